"""What every population must keep, whoever registers it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.integrate import quad

from cifar_files import labelled_images, write_hub
from ecotone.core.errors import ConfigError
from ecotone.populations import POPULATIONS, ExactPopulation, Population

Options = dict[str, Any]


def array_options(folder: Path, *, shift: float = 0.0) -> Options:
    path = folder / f"vectors{shift}.npy"
    np.save(path, np.random.default_rng(0).normal(size=(40, 5)) + shift)
    return {"path": str(path)}


def folder_options(folder: Path, *, shift: int = 0) -> Options:
    root = folder / f"images{shift}"
    root.mkdir()
    pixels = np.random.default_rng(shift).integers(0, 256, (40, 6, 6, 3), dtype=np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(root / f"{index:02d}.png")
    return {"path": str(root)}


def cifar10_options(folder: Path, *, shift: int = 0) -> Options:
    root = folder / f"cifar10-{shift}"
    write_hub(root, "train", *labelled_images(40, seed=shift))
    write_hub(root, "test", *labelled_images(12, seed=shift + 100))
    return {"path": str(root)}


@dataclass(frozen=True)
class Case:
    """Small options of a population, and others that make other data (None: it has no options)."""

    options: Callable[[Path], Options]
    others: Callable[[Path], list[Options]]


CASES = {
    "arrays": Case(array_options, lambda folder: [array_options(folder, shift=1.0)]),
    "cifar10": Case(
        cifar10_options,
        lambda folder: [
            cifar10_options(folder, shift=1),
            {"path": str(folder / "cifar10-0"), "grey": True},
            {"path": str(folder / "cifar10-0"), "size": 8},
            {"path": str(folder / "cifar10-0"), "part": "all"},
            {"path": str(folder / "cifar10-0"), "classes": ["dog", 3]},
        ],
    ),
    "digits": Case(lambda _: {}, lambda _: []),
    "folder": Case(
        folder_options,
        lambda folder: [
            folder_options(folder, shift=1),
            {"path": str(folder / "images0"), "grey": True},
            {"path": str(folder / "images0"), "size": 4},
            {"path": str(folder / "images0"), "size": 6},
        ],
    ),
    "gaussian": Case(
        lambda _: {"shape": [2, 3], "spectrum": 1.5, "rotation_seed": 1, "mean": 0.5},
        lambda _: [{"shape": [3, 2], "spectrum": 1.5, "rotation_seed": 1, "mean": 0.5}, {}],
    ),
    "low_rank": Case(
        lambda _: {"dimension": 12, "intrinsic_dimension": 3, "spectrum": [2.0, 1.0, 0.5]},
        lambda _: [{"dimension": 12, "intrinsic_dimension": 3}, {"basis_seed": 1}],
    ),
    "mixture": Case(
        lambda _: {"components": 3, "dimension": 4, "weights": [0.2, 0.3, 0.5], "std": 0.7},
        lambda _: [{"components": 3, "dimension": 4}, {"seed": 1}],
    ),
}
EXACT = ["gaussian", "low_rank", "mixture"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("populations")


@pytest.fixture(scope="module")
def built(folder: Path) -> dict[str, Population]:
    return {name: POPULATIONS.create(name, case.options(folder)) for name, case in CASES.items()}


@pytest.fixture(params=sorted(CASES))
def population(request: pytest.FixtureRequest, built: dict[str, Population]) -> Population:
    return built[request.param]


@pytest.fixture(params=EXACT)
def exact(request: pytest.FixtureRequest, built: dict[str, Population]) -> ExactPopulation:
    population = built[request.param]
    assert isinstance(population, ExactPopulation)
    return population


def test_every_registered_population_has_a_case(built: dict[str, Population]) -> None:
    assert set(CASES) == set(POPULATIONS)
    assert {n for n, p in built.items() if hasattr(p, "posterior_mean")} == set(EXACT)


def test_it_keeps_the_protocol(population: Population) -> None:
    assert isinstance(population, Population)
    assert population.name in CASES
    assert population.size is None or population.size >= 4


def test_draw_gives_finite_float32_of_the_shape_within_the_range(population: Population) -> None:
    items = population.draw(7, seed=3)
    assert items.shape == (7, *population.shape)
    assert items.dtype == torch.float32
    assert items.isfinite().all()
    if population.value_range is not None:
        low, high = population.value_range
        assert low <= float(items.min()) < float(items.max()) <= high
    assert len(items.flatten(1).unique(dim=0)) == 7


def test_a_seed_says_which_items(population: Population) -> None:
    assert torch.equal(population.draw(9, seed=3)[:4], population.draw(4, seed=3))
    assert not torch.equal(population.draw(4, seed=3), population.draw(4, seed=4))
    one, same, other = (population.split(4, 5, seed) for seed in (3, 3, 4))
    assert torch.equal(one.training, same.training)
    assert torch.equal(one.holdout, same.holdout)
    assert one.training_ids == same.training_ids
    assert not torch.equal(one.training, other.training)
    assert not torch.equal(one.holdout, other.holdout)


def test_training_sets_of_a_seed_are_nested_and_share_their_holdout(population: Population) -> None:
    small, large = population.split(5, 8, seed=1), population.split(30, 8, seed=1)
    assert torch.equal(small.training, large.training[:5])
    assert small.training_ids == large.training_ids[:5]
    assert torch.equal(small.holdout, large.holdout)
    assert small.holdout_ids == large.holdout_ids


def test_no_item_is_on_both_sides_of_a_split(population: Population) -> None:
    split = population.split(30, 8, seed=1)
    assert split.training.shape == (30, *population.shape)
    assert split.holdout.shape == (8, *population.shape)
    assert split.training.dtype == split.holdout.dtype == torch.float32
    assert len({*split.training_ids, *split.holdout_ids}) == 38
    everything = torch.cat([split.training, split.holdout]).flatten(1)
    assert len(everything.unique(dim=0)) == 38


@pytest.mark.parametrize(("n", "holdout", "named"), [(1, 5, "n = 1"), (5, 1, "holdout = 1")])
def test_a_split_needs_two_on_each_side(
    population: Population, n: int, holdout: int, named: str
) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        population.split(n, holdout, seed=0)
    assert "2 or more" in str(caught.value)


def test_draw_needs_one_item_or_more(population: Population) -> None:
    with pytest.raises(ConfigError, match="cannot draw 0"):
        population.draw(0, seed=0)


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_fingerprint_follows_the_data(
    name: str, built: dict[str, Population], tmp_path: Path
) -> None:
    case, first = CASES[name], built[name]
    again = POPULATIONS.create(name, case.options(tmp_path))
    assert again.fingerprint == first.fingerprint  # for files: wherever they lie
    others = [POPULATIONS.create(name, o).fingerprint for o in case.others(tmp_path)]
    neighbours = [p.fingerprint for other, p in built.items() if other != name]
    assert len({first.fingerprint, *others, *neighbours}) == 1 + len(others) + len(neighbours)


@pytest.mark.parametrize("name", sorted(CASES))
def test_options_survive_a_configuration_file(name: str, folder: Path, tmp_path: Path) -> None:
    checked = POPULATIONS.check(name, CASES[name].options(tmp_path))
    assert json.loads(json.dumps(checked)) == checked
    once = POPULATIONS.create(name, checked)
    assert once.fingerprint == POPULATIONS.create(name, json.loads(json.dumps(checked))).fingerprint


# --- where the density is known ---


def noised(population: ExactPopulation, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
    x0 = population.draw(6, seed=5).double()
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x0 + sigma * noise, torch.full((6,), sigma, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_posterior_mean_keeps_shape_and_dtype(exact: ExactPopulation, dtype: torch.dtype) -> None:
    x, sigma = (t.to(dtype) for t in noised(exact, 0.5))
    assert exact.posterior_mean(x, sigma).shape == x.shape
    assert exact.posterior_mean(x, sigma).dtype == dtype
    assert exact.log_density(x, sigma).shape == (6,)
    assert exact.log_density(x, sigma).dtype == torch.float64
    assert torch.equal(exact.denoiser()(x, sigma), exact.posterior_mean(x, sigma))


def test_without_noise_the_posterior_mean_is_x(exact: ExactPopulation) -> None:
    x, _ = noised(exact, 0.3)
    for sigma in (0.0, 1e-8):
        given = exact.posterior_mean(x, torch.full((6,), sigma, dtype=torch.float64))
        assert torch.allclose(given, x, rtol=0, atol=1e-12)


def test_in_noise_alone_the_posterior_mean_is_the_mean(exact: ExactPopulation) -> None:
    x, _ = noised(exact, 1.0)
    far = exact.posterior_mean(x, torch.full((6,), 1e9, dtype=torch.float64))
    assert torch.allclose(far, far[:1].expand_as(far), rtol=0, atol=1e-12)
    many = exact.draw(4000, seed=0).double()
    error = many.std(0) / len(many) ** 0.5
    assert ((many.mean(0) - far[0]).abs() < 5 * error).all()


@pytest.mark.parametrize("sigma", [0.05, 0.5, 3.0, 40.0])
def test_tweedie_joins_posterior_mean_and_density(exact: ExactPopulation, sigma: float) -> None:
    x, level = noised(exact, sigma)
    x.requires_grad_()
    (score,) = torch.autograd.grad(exact.log_density(x, level).sum(), x)
    told = (exact.posterior_mean(x, level) - x) / sigma**2
    assert torch.allclose(told, score, rtol=1e-8, atol=1e-8)


def test_each_row_has_its_own_noise_level(exact: ExactPopulation) -> None:
    x, _ = noised(exact, 0.5)
    levels = torch.tensor([0.0, 0.1, 0.5, 1.0, 5.0, 50.0], dtype=torch.float64)
    for row in range(6):
        alone = exact.posterior_mean(x[row : row + 1], levels[row : row + 1])
        assert torch.allclose(exact.posterior_mean(x, levels)[row], alone[0], atol=1e-12)
        alone = exact.log_density(x[row : row + 1], levels[row : row + 1])
        assert torch.allclose(exact.log_density(x, levels)[row], alone[0], atol=1e-12)


def test_a_stream_has_the_law_of_single_draws(exact: ExactPopulation) -> None:
    stream = exact.stream(4000, seed=3)
    assert stream.dtype == torch.float64
    assert torch.equal(exact.stream(70, seed=3), stream[:70])
    assert not torch.equal(exact.stream(70, seed=4), stream[:70])
    single = exact.draw(4000, seed=3).flatten(1).double()
    spread = exact.std / 4000**0.5
    assert (stream.mean(0) - single.mean(0)).abs().max() < 10 * spread
    assert (stream.T.cov() - single.T.cov()).abs().max() < 15 * exact.std * spread
    total = float((stream - stream.mean(0)).square().mean())
    assert total == pytest.approx(exact.std**2, rel=0.1)
    with pytest.raises(ConfigError, match="draw 0"):
        exact.stream(0, seed=0)


def test_another_shape_is_refused(exact: ExactPopulation) -> None:
    with pytest.raises(ValueError, match="has items of shape"):
        exact.posterior_mean(torch.zeros(2, 99), torch.ones(2))


ON_A_LINE: dict[str, Options] = {
    "gaussian": {"dimension": 1, "std": 0.4, "mean": 0.3},
    "low_rank": {"dimension": 1, "intrinsic_dimension": 1, "noise": 0.3},
    "mixture": {"means": [[-1.0], [2.0]], "weights": [0.3, 0.7], "std": 0.5},
}


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_the_density_on_a_line_has_mass_one(name: str, sigma: float) -> None:
    population = POPULATIONS.create(name, ON_A_LINE[name])
    assert isinstance(population, ExactPopulation)
    level = torch.tensor([sigma], dtype=torch.float64)

    def density(x: float) -> float:
        point = torch.tensor([[x]], dtype=torch.float64)
        return float(population.log_density(point, level).exp())

    mass, _ = quad(density, -12, 12, points=[-1.0, 0.3, 2.0], limit=100)
    assert mass == pytest.approx(1, abs=1e-7)


def test_importing_the_room_does_not_import_torch() -> None:
    import subprocess
    import sys

    code = "import sys, ecotone.populations as p; assert 'digits' in p.POPULATIONS; "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
