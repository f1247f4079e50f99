"""Twins, mirror images, the stopping policy, and runs that cannot go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from ecotone.core import ConfigError, DataError, Reading
from ecotone.core.tensors import read_tensors
from ecotone.populations import POPULATIONS
from ecotone.studies import Event, load_design, run_study
from ecotone.studies import run as run_module
from ecotone.studies.export import load_run
from ecotone.studies.run import split_of
from ecotone.studies.run_config import RunConfig
from ecotone.studies.samples import compare_twins, read_samples, write_samples
from ecotone.training import Measurement, Monitor
from tiny_study import write_study

TWINS = {"seeds": [0, 1], "twin_of": "previous"}
KEEP = {"samples": 12, "share": 0.6, "first": 10, "per_decade": 6, "keep": 5}


def configs(study: Path, *settings: str) -> list[RunConfig]:
    found = [cell.config for cell in load_design(str(study), settings).cells]
    return [config for config in found if isinstance(config, RunConfig)]


def carry_out(study: Path, out: Path, *settings: str) -> list[Event]:
    return list(run_study(load_design(str(study), settings), out, workers=0))


def folders(out: Path) -> list[Path]:
    runs = pl.read_parquet(out / "runs.parquet")
    return [out / "runs" / run for run in runs["run"].to_list()]


def test_twins_share_no_training_image_but_the_holdout_and_the_noise(tmp_path: Path) -> None:
    first, second, *_ = configs(write_study(tmp_path, **TWINS, monitor=KEEP))
    assert (first.seed, first.twin_of) == (0, None)
    assert (second.seed, second.twin_of) == (1, 0)
    population = POPULATIONS.create("digits", {})
    one, other = split_of(first, population), split_of(second, population)
    assert one.n == other.n == 4
    assert not set(one.training_ids) & set(other.training_ids)
    assert one.holdout_ids == other.holdout_ids
    assert first.shared_seed == second.shared_seed


def test_an_odd_seed_has_no_twin(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="even number of seeds"):
        configs(write_study(tmp_path, seeds=[0, 1, 2], twin_of="previous"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["twin_of=0"], "is the run's own seed"),
        (["seeds=[0,1]", "twin_of=previous", "monitor.keep=0"], "monitor.keep = 0 keeps nothing"),
        (["twin_of=-1"], "twin_of"),
        (["twin_of=true"], "twin_of"),
        (["monitor.keep=1"], "monitor.keep = 1"),
        (["monitor.stop=onset", "monitor.measures=[novelty]"], "needs the measure copying"),
    ],
)
def test_what_would_silently_do_nothing_is_refused(
    tmp_path: Path, settings: list[str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        configs(write_study(tmp_path, monitor=KEEP), *settings)


def test_a_twin_of_a_twin_is_not_compared(tmp_path: Path) -> None:
    """Both train on the images that their common other half does not."""
    study = write_study(tmp_path, factors={"n": [4]}, seeds=[1, 2], twin_of=0, monitor=KEEP)
    carry_out(study, tmp_path / "out")
    measures = set(pl.read_parquet(tmp_path / "out" / "results.parquet")["measure"])
    assert not any(name.startswith("agreement") for name in measures)


def test_samples_of_any_size_are_kept_finite(tmp_path: Path) -> None:
    images = torch.tensor([[1e6], [-1e6], [0.5]])
    write_samples(tmp_path / "a", {3: images})
    kept = read_samples(tmp_path / "a")[3]
    assert bool(kept.isfinite().all())
    assert float(kept[2, 0]) == 0.5
    readings = compare_twins(tmp_path / "a", tmp_path / "a")[3]
    assert readings["agreement_halves"].value == pytest.approx(1.0)


def test_twins_are_held_against_each_other_in_the_table(tmp_path: Path) -> None:
    study = write_study(tmp_path, **TWINS, monitor=KEEP)
    carry_out(study, tmp_path / "out")
    results = pl.read_parquet(tmp_path / "out" / "results.parquet")
    runs = pl.read_parquet(tmp_path / "out" / "runs.parquet")
    assert runs["twin_of"].to_list() == [None, 0, None, 0]
    agreed = results.filter(measure="agreement_halves")
    # At every measured step of both runs of both sizes, and the same for both.
    steps = results["step"].n_unique()
    assert len(agreed) == 4 * steps
    assert agreed.filter(seed=0)["value"].to_list() == agreed.filter(seed=1)["value"].to_list()
    one, *_ = folders(tmp_path / "out")
    assert compare_twins(one / "samples.safetensors", tmp_path / "none") == {}
    kept = read_samples(one / "samples.safetensors")
    assert {len(images) for images in kept.values()} == {5}
    assert read_samples(one / "samples.safetensors", up_to=10).keys() == {10}


def test_a_model_is_in_full_agreement_with_itself(tmp_path: Path) -> None:
    study = write_study(tmp_path, factors={"n": [8]}, monitor=KEEP)
    carry_out(study, tmp_path / "out")
    (run,) = folders(tmp_path / "out")
    both = compare_twins(run / "samples.safetensors", run / "samples.safetensors")
    for readings in both.values():
        assert readings["agreement_halves"].value == pytest.approx(1.0, abs=1e-6)


def test_mirror_images_count_as_training_images(tmp_path: Path) -> None:
    study = write_study(tmp_path, flips=True)
    (config, _) = configs(study)
    split = split_of(config, POPULATIONS.create("digits", {}))
    assert torch.equal(split.training[4:], split.training[:4].flip(-1))
    carry_out(study, tmp_path / "out")
    runs = pl.read_parquet(tmp_path / "out" / "runs.parquet")
    assert runs["images"].to_list() == [8, 16]
    assert runs["n"].to_list() == [4, 8]
    assert runs["parameters"].n_unique() == 1
    assert runs["parameters"][0] > 1000


def copying_from(step: int) -> Any:
    """Measure as usual, but call every sample a copy from a step on."""
    measure = Monitor.measure

    def measured(self: Monitor, denoiser: Any, at: int) -> Measurement:
        found = measure(self, denoiser, at)
        share = Reading(float(at >= step), n=200, unit="share", higher_is="more copying")
        readings = {**found.readings, "copied_share_gap_ratio": share}
        readings["copied_share_gap_ratio_floor"] = Reading(
            0.0, n=200, unit="share", higher_is="more copying"
        )
        return Measurement(at, readings, found.neighbours, found.generated)

    return measured


STOP = {"samples": 12, "share": 0.6, "first": 10, "per_decade": 6, "stop": "onset"}


def test_a_run_stops_at_the_first_alarm_and_keeps_the_last_safe_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path, factors={"n": [8]}, monitor=STOP)
    carry_out(study, tmp_path / "full")  # it copies nothing by itself
    steps = sorted(pl.read_parquet(tmp_path / "full" / "results.parquet")["step"].unique())
    assert pl.read_parquet(tmp_path / "full" / "runs.parquet")["status"].to_list() == ["finished"]

    monkeypatch.setattr(Monitor, "measure", copying_from(steps[2]))
    events = carry_out(study, tmp_path / "out")
    assert events[-1].kind == "finished"
    assert f"copying was seen at step {steps[2]}" in events[-1].detail
    runs = pl.read_parquet(tmp_path / "out" / "runs.parquet")
    assert runs["status"].to_list() == ["stopped"]
    assert runs["steps"].to_list() == [steps[2]]
    (run,) = folders(tmp_path / "out")
    _, about = read_tensors(run / "safe.safetensors")
    assert about["step"] == steps[1]
    assert (run / "gallery.safetensors").exists()
    # The run is done: it is not tried again.
    assert [event.kind for event in carry_out(study, tmp_path / "out")] == ["already"]
    safe, _ = load_run(run, safe=True)
    last, _ = load_run(run)
    assert not torch.equal(next(safe.parameters()), next(last.parameters()))


def test_a_run_killed_after_its_alarm_does_not_train_past_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path, factors={"n": [8]}, monitor=STOP)
    monkeypatch.setattr(Monitor, "measure", copying_from(20))
    carry_out(study, tmp_path / "whole")
    with monkeypatch.context() as patch:

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(run_module, "write_gallery", killed)
        with pytest.raises(KeyboardInterrupt):
            carry_out(study, tmp_path / "out")
    carry_out(study, tmp_path / "out")
    (run,) = (folder.name for folder in folders(tmp_path / "out"))
    for name in ("results.parquet", "runs.parquet", f"runs/{run}/gallery.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_without_memory_is_recorded_as_failed_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ecotone.denoisers.mlp import MLP

    def exhausted(*_: object) -> None:
        raise torch.OutOfMemoryError("tried to allocate 2.00 GiB")

    monkeypatch.setattr(MLP, "forward", exhausted)
    events = carry_out(write_study(tmp_path), tmp_path / "out")
    assert [event.kind for event in events if event.kind == "failed"] == ["failed"] * 2
    runs = pl.read_parquet(tmp_path / "out" / "runs.parquet")
    assert runs["status"].to_list() == ["failed"] * 2
    assert "out of memory with one image at a time" in runs["reason"][0]


def test_a_run_whose_samples_are_not_finite_is_recorded_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Measurement:
        raise DataError("the denoiser returned NaN or infinity at sigma = 80")

    monkeypatch.setattr(Monitor, "measure", broken)
    events = carry_out(write_study(tmp_path), tmp_path / "out")
    assert [event.kind for event in events if event.kind == "failed"] == ["failed"] * 2
    runs = pl.read_parquet(tmp_path / "out" / "runs.parquet")
    assert "NaN or infinity" in runs["reason"][0]


def test_sampling_takes_half_as_many_images_where_memory_is_short(tmp_path: Path) -> None:
    from ecotone.features.pixels import Pixels
    from ecotone.samplers import Euler
    from ecotone.training import Judge

    split = POPULATIONS.create("digits", {}).split(8, 24, seed=0)
    judge = Judge(
        training=split.training,
        holdout=split.holdout,
        features=Pixels(),
        measures=["copying"],
        sigma_data=0.5,
        seed=0,
    )

    def limited(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        if len(x) > 40:
            raise torch.OutOfMemoryError("tried to allocate 2.00 GiB")
        return x / (1 + sigma.view(-1, 1, 1, 1) ** 2)

    monitor = Monitor(judge, sampler=Euler(steps=3), samples=100)
    drawn = monitor.measure(limited, 1).generated

    def plenty(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x / (1 + sigma.view(-1, 1, 1, 1) ** 2)

    whole = Monitor(judge, sampler=Euler(steps=3), samples=100).measure(plenty, 1).generated
    torch.testing.assert_close(drawn, whole, rtol=1e-5, atol=1e-6)
