from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.denoisers import EmpiricalDenoiser
from ecotone.measures.memorizer import memorizer_readings
from ecotone.measures.probe import Probe, levels
from ecotone.populations import POPULATIONS

SIGMAS = (0.1, 0.5, 2.0)


def gaussians(n: int, seed: int, d: int = 6) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def probe(n: int = 40, *, draws: int = 1, images: int = 64) -> Probe:
    return Probe(
        training=gaussians(n, 1),
        holdout=gaussians(300, 2),
        sigmas=SIGMAS,
        seed=0,
        draws=draws,
        images=images,
    )


def population(x: Tensor, sigma: Tensor) -> Tensor:
    """The posterior mean of standard normal data."""
    return x / (1 + sigma[:, None] ** 2)


def test_the_memorizer_itself_has_no_excess_and_no_distance() -> None:
    found = memorizer_readings(EmpiricalDenoiser(gaussians(40, 1)), probe(), sigma_data=1.0)
    assert len(found) == 2 * len(SIGMAS) + 2
    assert {reading.value for reading in found.values()} == {0.0}


def test_the_excess_is_the_squared_distance_from_the_memorizer() -> None:
    """M's errors are orthogonal to every function of the noisy image: E[excess] = E|D − M|²."""
    training = gaussians(12, 1)
    many = Probe(training=training, holdout=training, sigmas=SIGMAS, seed=0, draws=600)
    found = memorizer_readings(population, many, sigma_data=1.0)
    answers, exact = many.ask(population), many.memorizer
    apart = (answers.estimates - exact.estimates)[:, :, 0].double().square().mean(dim=(1, 2, 3))
    for sigma, squared in zip(SIGMAS, apart.tolist(), strict=True):
        assert found[f"memorizer_excess[sigma={sigma:g}]"].value == pytest.approx(squared, rel=0.1)


def test_a_denoiser_that_moves_nothing_is_as_far_as_the_memorizer_moves() -> None:
    found = memorizer_readings(lambda x, _: x, probe(), sigma_data=1.0)
    for sigma in SIGMAS:
        assert found[f"memorizer_distance[sigma={sigma:g}]"].value == pytest.approx(1.0)


def test_half_way_to_the_memorizer_is_a_quarter_of_the_squared_distance() -> None:
    asked = probe()
    memorizer = EmpiricalDenoiser(gaussians(40, 1))

    def half(x: Tensor, sigma: Tensor) -> Tensor:
        return (population(x, sigma) + memorizer(x, sigma)) / 2

    whole = memorizer_readings(population, asked, sigma_data=1.0)
    found = memorizer_readings(half, asked, sigma_data=1.0)
    for name, reading in found.items():
        if "distance" in name:
            assert reading.value == pytest.approx(whole[name].value / 4, rel=1e-4)


def test_more_training_images_bring_the_memorizer_nearer_to_the_population() -> None:
    def distance(n: int) -> float:
        one = Probe(training=gaussians(n, 1, 2), holdout=gaussians(300, 2, 2), sigmas=[0.5], seed=0)
        return memorizer_readings(population, one, sigma_data=1.0)["memorizer_distance"].value

    assert distance(10) > 2 * distance(1000)


def test_intervals_cover_what_more_images_say() -> None:
    narrow = memorizer_readings(population, probe(200, images=150), sigma_data=1.0)
    found = memorizer_readings(population, probe(200, images=30), sigma_data=1.0)
    inside = 0
    for name, reading in found.items():
        assert reading.low is not None
        assert reading.high is not None
        inside += reading.low <= narrow[name].value <= reading.high
    assert inside >= len(found) - 1


def test_what_is_not_finite_is_left_out() -> None:
    def broken(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.where(sigma[:, None] < 0.2, torch.nan, population(x, sigma))

    found = memorizer_readings(broken, probe(), sigma_data=1.0)
    assert set(found) == {
        f"memorizer_{kind}[sigma={sigma}]"
        for kind in ("excess", "distance")
        for sigma in ("0.5", "2")
    }


def test_the_probe_asks_the_same_each_time_and_in_any_order() -> None:
    training, holdout = gaussians(30, 1), gaussians(50, 2)
    first = Probe(training=training, holdout=holdout, sigmas=SIGMAS, seed=0)
    turned = Probe(training=training.flip(0), holdout=holdout.flip(0), sigmas=SIGMAS, seed=0)
    assert torch.equal(first.clean, turned.clean)
    answers = [one.ask(population).losses for one in (first, first, turned)]
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])


def test_digits_between_the_population_and_the_memorizer() -> None:
    split = POPULATIONS.create("digits", {}).split(64, 512, seed=0)
    sigma_data = float(split.training.std())
    asked = Probe(training=split.training, holdout=split.holdout, sigmas=levels(sigma_data), seed=0)
    others = EmpiricalDenoiser(split.holdout)
    found = memorizer_readings(others, asked, sigma_data=sigma_data)
    excess = found["memorizer_excess"]
    assert excess.low is not None
    assert excess.low > 0


def test_wrong_input_is_refused() -> None:
    images = gaussians(3, 0)
    for sigmas in ([], [0.0]):
        with pytest.raises(ConfigError, match="above 0"):
            Probe(training=images, holdout=-images, sigmas=sigmas, seed=0)
    with pytest.raises(DataError, match="at least one"):
        Probe(training=gaussians(0, 0), holdout=gaussians(3, 1), sigmas=[1.0], seed=0)
