"""A study on disk: its folder, and one for each run, named by its configuration."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from ecotone.core import Reading, RecordError
from ecotone.core.records import PARTIAL, content_hash, read_json, write_json
from ecotone.studies.config import ExperimentConfig
from ecotone.studies.design import Scalar, StudyDesign

__all__ = ["RunFacts", "RunFolder", "RunRecord", "Status", "StudyFolder", "measuring_share"]

Status = Literal["finished", "stopped", "failed", "unfinished"]

_WRITTEN = (
    "runs",
    "results.parquet",
    "references.parquet",
    "replicates.parquet",
    "runs.parquet",
    "report.html",
)
"""What a study writes into its folder, beside study.json."""

_SEALED = (
    "config.json",
    "readings.json",
    "references.json",
    "facts.json",
    "checkpoint.safetensors",
    "safe.safetensors",
    "samples.safetensors",
    "gallery.safetensors",
    "replicates.json",
)


@dataclass(frozen=True)
class RunRecord:
    """How a run ended.

    Args:
        status: ``"finished"``, ``"stopped"`` (by its stopping policy), ``"failed"`` (its loss
            turned NaN, or memory ran out) or ``"unfinished"``.
        steps: the last step trained.
        failed_step: where it failed.
        reason: why it failed or was stopped.
    """

    status: Status
    steps: int
    failed_step: int | None = None
    reason: str | None = None

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do and something to show."""
        return self.status in {"finished", "stopped"}


@dataclass(frozen=True)
class RunFacts:
    """What a run's configuration does not say of it.

    Args:
        images: training images, mirror images among them.
        parameters: of the model.
    """

    images: int
    parameters: int


class RunFolder:
    """One run's files. Whatever is damaged is discarded, and that run alone is done again.

    Args:
        path: the folder, named by the run's identity.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.identity = path.name
        self.checkpoint = path / "checkpoint.safetensors"
        self.gallery = path / "gallery.safetensors"
        self.samples = path / "samples.safetensors"
        self.safe = path / "safe.safetensors"

    def begin(self, config: ExperimentConfig) -> None:
        """Write down what the run is."""
        write_json(self.path / "config.json", config.model_dump(mode="json"))

    def write_facts(self, facts: RunFacts) -> None:
        """Write down what the configuration does not say."""
        write_json(self.path / "facts.json", asdict(facts))

    def facts(self) -> RunFacts | None:
        """Return what the configuration does not say; None where it is not known yet."""
        try:
            return RunFacts(**read_json(self.path / "facts.json"))
        except (RecordError, TypeError):
            return None

    def record(self) -> RunRecord | None:
        """Return how the run ended, or None where it did not, or where a file was harmed since."""
        try:
            sealed = read_json(self.path / "run.json")
            for name, digest in sealed.pop("files").items():
                if content_hash((self.path / name).read_bytes()) != digest:
                    return None
            return RunRecord(**sealed)
        except (RecordError, OSError, TypeError, KeyError, AttributeError):
            return None

    def seal(self, record: RunRecord) -> None:
        """Write down how the run ended, with hashes of its files."""
        present = [self.path / name for name in _SEALED if (self.path / name).exists()]
        hashes = {path.name: content_hash(path.read_bytes()) for path in present}
        write_json(self.path / "run.json", {**asdict(record), "files": hashes})

    def discard(self) -> None:
        """Forget everything, so that the run starts again from its first step."""
        for name in (*_SEALED, "run.json", "timing.json"):
            (self.path / name).unlink(missing_ok=True)
        self.tidy()

    def tidy(self) -> None:
        """Remove what a killed process was writing."""
        for left_over in self.path.glob(f".*{PARTIAL}"):
            left_over.unlink(missing_ok=True)

    def write_readings(self, trajectory: Mapping[int, Mapping[str, Reading]]) -> None:
        """Write the readings of every measured step."""
        write_json(
            self.path / "readings.json",
            {
                str(step): {name: reading.to_record() for name, reading in readings.items()}
                for step, readings in trajectory.items()
            },
        )

    def readings(self, *, up_to: int | None = None) -> dict[int, dict[str, Reading]]:
        """Return the readings by step; none after ``up_to``.

        Raises:
            RecordError: where the file is harmed.
        """
        path = self.path / "readings.json"
        if not path.exists():
            return {}
        try:
            trajectory = {
                int(step): {name: Reading.from_record(value) for name, value in readings.items()}
                for step, readings in read_json(path).items()
            }
        except (TypeError, ValueError, AttributeError) as error:
            raise RecordError(f"cannot read {path}: {error}", hint="run the study again") from error
        return {
            step: trajectory[step] for step in sorted(trajectory) if up_to is None or step <= up_to
        }

    def write_references(self, references: Mapping[str, Mapping[str, Reading]]) -> None:
        """Write the readings of the perfect memorizer and of the holdout."""
        write_json(
            self.path / "references.json",
            {
                name: {measure: reading.to_record() for measure, reading in readings.items()}
                for name, readings in references.items()
            },
        )

    def references(self) -> dict[str, dict[str, Reading]]:
        """Return the readings of the perfect memorizer and of the holdout, where written."""
        path = self.path / "references.json"
        if not path.exists():
            return {}
        try:
            return {
                name: {m: Reading.from_record(value) for m, value in readings.items()}
                for name, readings in read_json(path).items()
            }
        except (TypeError, ValueError, AttributeError) as error:
            raise RecordError(f"cannot read {path}: {error}", hint="run the study again") from error

    def write_values(self, values: Mapping[str, Any]) -> None:
        """Write the raw values of the replicates done so far."""
        write_json(self.path / "replicates.json", values)

    def values(self) -> dict[str, Any]:
        """Return the raw values of the replicates done, by number; none where none are written.

        Raises:
            RecordError: where the file is harmed.
        """
        path = self.path / "replicates.json"
        if not path.exists():
            return {}
        values = read_json(path)
        if not isinstance(values, dict) or not all(key.isdecimal() for key in values):
            raise RecordError(f"{path} holds no replicates", hint="run the study again")
        return values

    def add_time(self, *, training: float, measuring: float) -> None:
        """Add wall seconds spent; they decide nothing and are kept apart from the results."""
        path = self.path / "timing.json"
        spent = self.timing()
        write_json(
            path,
            {
                "training": spent["training"] + training,
                "measuring": spent["measuring"] + measuring,
            },
        )

    def timing(self) -> dict[str, float]:
        """Return wall seconds spent on training and on measuring, as far as they are known."""
        try:
            spent = read_json(self.path / "timing.json")
            return {name: float(spent[name]) for name in ("training", "measuring")}
        except (RecordError, TypeError, KeyError, ValueError):
            return {"training": 0.0, "measuring": 0.0}


class StudyFolder:
    """A folder that holds one study.

    Args:
        path: the folder; made where it is missing.
        design: the study.

    Raises:
        RecordError: where the folder holds another study, is not ours, or cannot be written to.
    """

    def __init__(self, path: Path, design: StudyDesign) -> None:
        self.path = path
        self.design = design
        if path.exists() and not path.is_dir():
            raise RecordError(f"{path} is a file, not a folder", hint="give another with --out")
        self.held = self._held_design()
        ours = self.held is not None or any(path.glob("runs/*/config.json"))
        present = [name for name in _WRITTEN if (path / name).exists()]
        if self.held is not None and self.held.get("name") != design.name:
            raise RecordError(
                f"{path} holds the runs of study {self.held.get('name')!r}, not of {design.name!r}",
                hint="give another folder with --out",
            )
        if present and not ours:
            raise RecordError(
                f"{path} holds a {present[0]} that no study of ecotone is known to have written",
                hint="give another folder with --out",
            )

    def _held_design(self) -> dict[str, Any] | None:
        """Return what the folder's study.json says; None where it is missing or harmed."""
        try:
            record = read_json(self.path / "study.json")
        except RecordError:
            return None
        return record if isinstance(record, dict) else None

    def replaces_another_design(self) -> bool:
        """Tell whether the folder's tables are of another design of the same study."""
        return self.held is not None and self.held.get("design") != self.design.to_record()

    def lock(self) -> FileLock:
        """Take the folder for this process.

        Raises:
            RecordError: where another process is at work in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RecordError(
                f"another process is running a study in {self.path}",
                hint="wait for it, or give another folder with --out",
            ) from error
        except OSError as error:
            raise RecordError(
                f"cannot write to {self.path}: {error.strerror}",
                hint="give another folder with --out",
            ) from error
        return lock

    def run(self, identity: str) -> RunFolder:
        """Return the folder of a run."""
        return RunFolder(self.path / "runs" / identity)

    def write_design(self) -> None:
        """Write down what the study is, and on what it is run."""
        import torch

        factors: dict[str, list[Scalar]] = {}
        for cell in self.design.cells:
            for name, level in cell.factors.items():
                levels = factors.setdefault(name, [])
                if level not in levels:
                    levels.append(level)
        packages = ("ecotone", "torch", "diffusers", "numpy", "scipy", "scikit-learn")
        write_json(
            self.path / "study.json",
            {
                "name": self.design.name,
                "title": self.design.header.title or self.design.name,
                "description": self.design.header.description,
                "design": self.design.to_record(),
                "experiment": self.design.header.experiment,
                "scale": self.design.scale,
                "factors": factors,
                "seeds": self.design.header.seeds,
                "cells": self.design.summary(),
                "versions": {"python": platform.python_version()}
                | {package: version(package) for package in packages},
                "machine": {
                    "system": f"{platform.system()} {platform.machine()}",
                    "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
                    "byte order": sys.byteorder,
                },
            },
        )


def measuring_share(path: Path, runs: Iterable[str]) -> float | None:
    """Return the share of runs' wall time that sampling and measuring took, where known."""
    spent = [RunFolder(path / "runs" / run).timing() for run in runs]
    training = sum(times["training"] for times in spent)
    measuring = sum(times["measuring"] for times in spent)
    return measuring / (training + measuring) if training + measuring else None
