"""What every sampler must do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ecotone.core.seeds import sample_seeds
from ecotone.samplers import SAMPLERS, Sampler, sample

# Small settings for each; a new sampler is one more line.
CASES: dict[str, dict[str, float]] = {
    "euler": {"steps": 6},
    "heun": {"steps": 6},
    "multistep": {"steps": 6},
    "stochastic": {"steps": 6, "s_churn": 3.0},
}
DETERMINISTIC = ["euler", "heun", "multistep"]
SEEDS = sample_seeds(7, 0, "contract")


def test_every_registered_sampler_has_a_case() -> None:
    assert set(SAMPLERS) == set(CASES)


@pytest.fixture(params=sorted(CASES))
def sampler(request: pytest.FixtureRequest) -> Sampler:
    return SAMPLERS.create(request.param, CASES[request.param])


def mixture(x: Tensor, sigma: Tensor) -> Tensor:
    """Posterior mean for the two points ±1 in every coordinate: nonlinear, and bounded."""
    return torch.tanh(x / sigma.reshape(-1, *[1] * (x.ndim - 1)) ** 2)


@pytest.mark.parametrize("steps", [1, 2, 9])
@pytest.mark.parametrize("name", sorted(CASES))
def test_evaluations_are_counted_exactly(name: str, steps: int) -> None:
    sampler = SAMPLERS.create(name, {**CASES[name], "steps": steps})
    seen = 0

    def counting(x: Tensor, sigma: Tensor) -> Tensor:
        nonlocal seen
        seen += len(x)
        return mixture(x, sigma)

    sample(counting, sampler, seeds=SEEDS, shape=(3,), batch_size=3)
    assert seen == sampler.evaluations * len(SEEDS)


def test_seeds_decide(sampler: Sampler) -> None:
    first, again = (sample(mixture, sampler, seeds=SEEDS, shape=(3, 2)) for _ in range(2))
    assert torch.equal(first, again)
    other = sample(mixture, sampler, seeds=sample_seeds(7, 1, "contract"), shape=(3, 2))
    assert not torch.allclose(first, other)
    # A sample follows its seed, wherever the seed stands.
    turned = sample(mixture, sampler, seeds=SEEDS[::-1], shape=(3, 2))
    torch.testing.assert_close(turned.flip(0), first)


@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
def test_the_batch_size_changes_nothing(sampler: Sampler, batch_size: int) -> None:
    together = sample(mixture, sampler, seeds=SEEDS, shape=(5,), dtype=torch.float64)
    parts = sample(
        mixture, sampler, seeds=SEEDS, shape=(5,), dtype=torch.float64, batch_size=batch_size
    )
    torch.testing.assert_close(parts, together, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(1,), (2,), (3, 4, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype(sampler: Sampler, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    seen: set[torch.dtype] = set()

    def noting(x: Tensor, sigma: Tensor) -> Tensor:
        seen.update((x.dtype, sigma.dtype))
        return mixture(x, sigma)

    generated = sample(noting, sampler, seeds=SEEDS, shape=shape, dtype=dtype)
    assert generated.shape == (len(SEEDS), *shape)
    assert generated.dtype == dtype
    assert seen == {dtype}


def test_the_dtype_does_not_change_the_noise(sampler: Sampler) -> None:
    single, double = (
        sample(lambda x, sigma: x / (1 + sigma[:, None] ** 2), sampler, seeds=SEEDS, shape=(4,),
               dtype=dtype)
        for dtype in (torch.float32, torch.float64)
    )  # fmt: skip
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-4)


def test_a_constant_denoiser_is_reached_exactly(sampler: Sampler) -> None:
    target = torch.tensor([0.3, -0.7])
    generated = sample(lambda x, _: target.expand_as(x), sampler, seeds=SEEDS, shape=(2,))
    assert torch.equal(generated, target.expand(7, 2))


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_denoiser_that_keeps_everything_leaves_the_noise_as_it_is(name: str) -> None:
    """With D(x) = x the flow stands still: the sample is the noise it started from."""
    from ecotone.core.seeds import normal

    sampler = SAMPLERS.create(name, CASES[name])
    generated = sample(lambda x, _: x, sampler, seeds=SEEDS, shape=(3,))
    assert torch.equal(generated, sampler.sigma_max * normal(SEEDS, (3,)))


def test_settings_survive_the_registry(sampler: Sampler) -> None:
    again = type(sampler)(**vars(sampler))
    assert again == sampler
    assert hash(again) == hash(sampler)
