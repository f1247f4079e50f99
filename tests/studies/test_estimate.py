from __future__ import annotations

from pathlib import Path

import pytest

from ecotone.populations import POPULATIONS
from ecotone.studies import load_design, run_study
from ecotone.studies.estimate import Pace, makespan, measure_pace, seconds_of, tell_time
from ecotone.studies.run_config import RunConfig


def configs(tiny: Path, *settings: str) -> list[RunConfig]:
    found = [cell.config for cell in load_design(str(tiny), settings).cells]
    assert all(isinstance(config, RunConfig) for config in found)
    return found  # type: ignore[return-value]


def test_a_run_takes_its_steps_and_its_measurements(tiny: Path) -> None:
    (config, _) = configs(tiny)
    assert seconds_of(config, Pace(step=2.0, image=0.0)) == (120.0, 0.0)
    # 12 samples of 4 evaluations, and 4 images of each set at 7 levels, at every measurement.
    steps, measuring = seconds_of(config, Pace(step=2.0, image=1.0))
    assert steps == 120.0
    assert measuring % (12 * 4 + 2 * 4 * 7) == 0
    assert measuring > 0


def test_jobs_share_the_workers() -> None:
    assert makespan([1.0, 2.0, 3.0], workers=1) == 6.0
    assert makespan([1.0, 2.0, 3.0], workers=2) == 4.0
    assert makespan([1.0, 2.0, 3.0], workers=9) == 3.0


def test_a_larger_model_takes_longer(tiny: Path) -> None:
    small, large = (configs(tiny, f"model.width={width}")[0] for width in (8, 1024))
    assert measure_pace(large, (1, 8, 8)).step > measure_pace(small, (1, 8, 8)).step


def test_it_is_told_before_the_first_run_starts(tiny: Path, tmp_path: Path) -> None:
    events = [e.kind for e in run_study(load_design(str(tiny)), tmp_path, workers=0, estimate=True)]
    assert events.index("estimated") < events.index("started")
    assert events.count("estimated") == 1
    again = [e.kind for e in run_study(load_design(str(tiny)), tmp_path, workers=0, estimate=True)]
    assert again == ["already"] * 2


def test_the_sentence_counts_what_is_left(tiny: Path) -> None:
    population = POPULATIONS.create("digits", {})
    (first, second) = configs(tiny)
    key = first.population.model_dump_json()
    told = tell_time([first, second], {key: population}, 2)
    assert told.startswith("about 1 minute for 2 runs, 2 at a time; a step takes 0.0")
    assert told.endswith("% of it all")


@pytest.mark.parametrize("workers", [1, 2])
def test_measuring_the_pace_changes_no_result(tiny: Path, tmp_path: Path, workers: int) -> None:
    design = load_design(str(tiny))
    list(run_study(design, tmp_path / "told", workers=workers, estimate=True))
    list(run_study(design, tmp_path / "not", workers=workers))
    both = [(tmp_path / name / "results.parquet").read_bytes() for name in ("told", "not")]
    assert both[0] == both[1]
