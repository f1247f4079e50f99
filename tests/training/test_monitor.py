"""The extremes on real digits, and the monitor in somebody else's loop."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from ecotone.core import Step
from ecotone.denoisers import Preconditioned
from ecotone.features.pca import PrincipalComponents
from ecotone.populations import POPULATIONS, Split, plant_duplicates
from ecotone.samplers import Heun
from ecotone.training import Execution, Judge, Monitor

SHARE = "copied_share_gap_ratio"
QUANTILE = "copied_share_holdout_quantile"


@cache
def split() -> Split:
    return POPULATIONS.create("digits", {}).split(128, 512, seed=0)


@cache
def judge() -> Judge:
    return judge_of(split())


def judge_of(split: Split, measures: tuple[str, ...] = ("copying", "closeness")) -> Judge:
    return Judge(
        training=split.training,
        holdout=split.holdout,
        features=PrincipalComponents(components=8).fit(split.holdout),
        measures=measures,
        sigma_data=float(split.training.std()),
        seed=0,
    )


def test_samples_of_the_perfect_memorizer_are_copies() -> None:
    monitor = Monitor(judge(), sampler=Heun(steps=14, sigma_min=0.02, sigma_max=10.0), samples=200)
    readings = monitor.perfect_memorizer().readings
    assert readings[SHARE].value >= 0.99
    assert readings[QUANTILE].value >= 0.99
    assert readings["closer_to_training_share"].value >= 0.99


@pytest.mark.parametrize("duplicated", [False, True])
def test_training_images_given_as_generated_are_copies(duplicated: bool) -> None:
    data = split()
    if duplicated:
        data, _ = plant_duplicates(data, exact=40, near=10, noise=0.02, seed=0)
    readings = judge_of(data).judge(data.training).readings
    assert readings[SHARE].value == 1.0
    assert readings[QUANTILE].value == 1.0


def test_holdout_images_given_as_generated_score_the_floor() -> None:
    readings = judge().judge(split().holdout).readings
    assert readings[SHARE].value == readings[f"{SHARE}_floor"].value
    fresh = Monitor(judge(), sampler=Heun(steps=2), samples=2).holdout_as_generated().readings
    assert fresh[SHARE].value <= 0.01
    closer = fresh["closer_to_training_share"]
    assert closer.low is not None
    assert closer.high is not None
    assert closer.low < 0.5 < closer.high


def test_measuring_depends_on_the_step_and_nothing_else() -> None:
    monitor = Monitor(judge(), sampler=Heun(steps=3), samples=10)

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        return x / (1 + sigma.view(-1, 1, 1, 1) ** 2)

    first = monitor.measure(denoiser, 5)
    torch.manual_seed(7)
    monitor.measure(denoiser, 9)
    again, other = monitor.measure(denoiser, 5), monitor.measure(denoiser, 6)
    assert torch.equal(first.generated, again.generated)
    assert first.readings == again.readings
    assert not torch.equal(first.generated, other.generated)


def test_the_cost_is_what_the_network_is_asked_for() -> None:
    asked = 0

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        nonlocal asked
        asked += len(x)
        return 0.5 * x

    monitor = Monitor(
        judge_of(split(), ("copying", "denoising")), sampler=Heun(steps=5), samples=12
    )
    monitor.measure(denoiser, 1)
    assert asked == monitor.cost


def test_it_watches_anybodys_loop() -> None:
    """The weights move between measurements and are measured as they are."""
    weight = torch.zeros(())

    def loop() -> Iterator[Step]:
        for index in range(1, 8):
            weight.fill_(index / 10)
            yield Step(index, 0.0, 0.0, 0.0, index)

    def denoiser(x: Tensor, sigma: Tensor) -> Tensor:
        return weight * torch.ones_like(x)

    monitor = Monitor(judge(), sampler=Heun(steps=2), samples=4)
    seen = list(monitor.watch(loop(), denoiser, at=(2, 7)))
    measured = [item for item in seen if not isinstance(item, Step)]
    assert len(seen) == 9
    assert [item.step for item in measured] == [2, 7]
    assert [float(item.generated.mean()) for item in measured] == pytest.approx([0.2, 0.7])


def test_samples_are_drawn_in_the_precision_of_training_and_measures_ask_in_float32() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 64)

        def forward(self, x: Tensor, noise: Tensor) -> Tensor:
            out = self.layer(x.flatten(1))
            seen.append(out.dtype)
            return out.view_as(x)

    seen: list[torch.dtype] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        denoiser = Preconditioned(Network(), sigma_data=0.75)

    def measured(execution: Execution | None) -> tuple[Tensor, set[torch.dtype], torch.dtype]:
        seen.clear()
        judging = judge_of(split(), ("copying", "denoising"))
        monitor = Monitor(judging, sampler=Heun(steps=6), samples=20, execution=execution)
        generated = monitor.measure(denoiser, 3).generated
        assert len(seen) > monitor.sampler.evaluations
        return generated, set(seen[: monitor.sampler.evaluations]), seen[-1]

    plain, drawn, asked = measured(None)
    assert (drawn, asked) == ({torch.float32}, torch.float32)
    rounded, drawn, asked = measured(Execution(precision="bfloat16"))
    assert (drawn, asked) == ({torch.bfloat16}, torch.float32)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, plain)
    torch.testing.assert_close(rounded, plain, rtol=0.02, atol=0.02)
