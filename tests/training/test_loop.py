from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ecotone.core import RecordError, Step
from ecotone.core.seeds import generator, torch_generator
from ecotone.denoisers import MODELS
from ecotone.noise import edm_weight
from ecotone.training import (
    DivergenceError,
    Execution,
    ExhaustedError,
    Plan,
    TrainingState,
    load_checkpoint,
    save_checkpoint,
    train,
)

PLAN = Plan(steps=12, batch_size=6, learning_rate=5e-3, warmup_steps=3)


def data() -> Tensor:
    return torch.randn(10, 4, generator=torch_generator(0, "data"))


def begin(plan: Plan = PLAN, **options: object) -> TrainingState:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MODELS.create("mlp", {"width": 16, **options}, shape=(4,), sigma_data=1.0)
    return TrainingState(model, plan)


def run(state: TrainingState, plan: Plan = PLAN, seed: int = 3) -> list:
    return list(train(state, data(), plan, sigma_data=1.0, seed=seed))


def weights(state: TrainingState) -> Tensor:
    both = [*state.model.parameters(), *state.ema.model.parameters()]
    return torch.cat([parameter.detach().flatten() for parameter in both])


def test_steps_tell_what_happened() -> None:
    steps = run(begin())
    assert [step.index for step in steps] == list(range(1, 13))
    assert [step.images_seen for step in steps] == [6 * k for k in range(1, 13)]
    assert steps[0].learning_rate == pytest.approx(PLAN.learning_rate / 3)
    assert all(step.gradient_norm > 0 for step in steps)


def test_the_loss_is_the_weighted_denoising_loss() -> None:
    """Against the objective written out for the first step's own noise."""
    state = begin()
    random = torch_generator(3, "training", 1)
    sigma = PLAN.levels.draw(6, random).float()
    noise = torch.randn((6, 4), generator=random)
    clean = data()[generator(3, "epoch", 0).permutation(10)[:6]]
    with torch.no_grad():
        error = state.model(clean + sigma[:, None] * noise, sigma) - clean
    expected = (edm_weight(sigma, 1.0) * error.square().mean(1)).mean()
    first = next(train(state, data(), PLAN, sigma_data=1.0, seed=3))
    assert first.loss == pytest.approx(float(expected), rel=1e-5)


def test_training_learns() -> None:
    """Two points can be learned by heart: their loss goes far below the start's."""
    plan = PLAN.model_copy(update={"steps": 900})
    loop = train(begin(plan), data()[:2], plan, sigma_data=1.0, seed=3)
    losses = [step.loss for step in loop]
    assert sum(losses[-100:]) < 0.6 * sum(losses[:100])


def test_the_seed_decides() -> None:
    one, same, other = begin(), begin(), begin()
    run(one)
    run(same)
    run(other, seed=4)
    assert torch.equal(weights(one), weights(same))
    assert not torch.equal(weights(one), weights(other))


@pytest.mark.parametrize("stop", [1, 5, 11, 12])
def test_a_saved_run_goes_on_to_the_same_bytes(tmp_path: Path, stop: int) -> None:
    whole = begin()
    run(whole)
    state, path = begin(), tmp_path / "checkpoint.safetensors"
    for step in train(state, data(), PLAN, sigma_data=1.0, seed=3):
        if step.index == stop:
            save_checkpoint(path, state, identity="me")
            break
    resumed = begin()
    load_checkpoint(path, resumed, identity="me")
    assert resumed.step == stop
    run(resumed)
    assert torch.equal(weights(resumed), weights(whole))
    save_checkpoint(tmp_path / "a", resumed, identity="me")
    save_checkpoint(tmp_path / "b", whole, identity="me")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "execution",
    [Execution(), Execution(channels_last=True), Execution("bfloat16", channels_last=True)],
)
def test_a_saved_run_of_a_convolutional_model_goes_on_to_the_same_bytes(
    tmp_path: Path, execution: Execution
) -> None:
    """A checkpoint's tensors are laid out otherwise than weights with channels innermost."""
    images = 0.5 * torch.randn(10, 3, 8, 8, generator=torch_generator(0, "images"))

    def fresh() -> TrainingState:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            options = {"width": 8, "attention": True}
            model = MODELS.create("unet", options, shape=(3, 8, 8), sigma_data=0.5)
        return TrainingState(model, PLAN)

    def steps(state: TrainingState) -> Iterator[Step]:
        return train(state, images, PLAN, sigma_data=0.5, seed=3, execution=execution)

    whole, state, path = fresh(), fresh(), tmp_path / "checkpoint.safetensors"
    list(steps(whole))
    for step in steps(state):
        if step.index == 7:
            save_checkpoint(path, state, identity="me")
            break
    resumed = fresh()
    load_checkpoint(path, resumed, identity="me")
    list(steps(resumed))
    for one, other in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_dropout_repeats_and_leaves_the_callers_randomness_alone(tmp_path: Path) -> None:
    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)
            self.drop = nn.Dropout(0.5)

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            return self.drop(self.inner(x))

    def state() -> TrainingState:
        torch.manual_seed(1)
        return TrainingState(Dropping(), PLAN)

    whole = state()
    before = torch.random.get_rng_state()
    run(whole)
    assert torch.equal(torch.random.get_rng_state(), before)
    parted = state()
    loop = train(parted, data(), PLAN, sigma_data=1.0, seed=3)
    for _ in range(4):
        next(loop)
    torch.manual_seed(99)
    run(parted)
    assert torch.equal(weights(parted), weights(whole))


def test_a_harmed_checkpoint_is_refused(tmp_path: Path) -> None:
    state, path = begin(), tmp_path / "checkpoint.safetensors"
    next(train(state, data(), PLAN, sigma_data=1.0, seed=3))
    save_checkpoint(path, state, identity="me")
    whole = path.read_bytes()
    with pytest.raises(RecordError, match="another run's"):
        load_checkpoint(path, begin(), identity="you")
    changed = bytearray(whole)
    changed[-3] ^= 1
    for harmed in (whole[: len(whole) // 2], whole[:5], b"", bytes(changed)):
        path.write_bytes(harmed)
        fresh = begin()
        with pytest.raises(RecordError, match=r"checkpoint\.safetensors"):
            load_checkpoint(path, fresh, identity="me")
        assert fresh.step == 0
        assert torch.equal(weights(fresh), weights(begin()))


def test_a_loss_that_is_no_number_ends_the_run_at_its_step() -> None:
    class Breaking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.calls = nn.Linear(4, 4), 0

        def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
            self.calls += 1
            return self.inner(x) * (float("nan") if self.calls == 4 else 1.0)

    state = TrainingState(Breaking(), PLAN)
    loop = train(state, data(), PLAN, sigma_data=1.0, seed=3)
    assert [next(loop).index for _ in range(3)] == [1, 2, 3]
    with pytest.raises(DivergenceError, match="step 4") as failure:
        next(loop)
    assert failure.value.step == 4
    assert state.step == 3
    assert torch.isfinite(weights(state)).all()


def test_two_processes_train_like_one(tmp_path: Path) -> None:
    """By accelerate, over gloo; the example is what a user would launch."""
    example = Path(__file__).parents[2] / "examples" / "several_devices.py"
    saved = {}
    for count in (1, 2):
        out = tmp_path / f"{count}.safetensors"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(count), str(example), str(out)]
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        )
        assert ended.returncode == 0, ended.stderr[-3000:]
        from safetensors.torch import load_file

        saved[count] = load_file(out)
    assert saved[1].keys() == saved[2].keys()
    for name, tensor in saved[1].items():
        torch.testing.assert_close(tensor, saved[2][name], rtol=2e-4, atol=2e-5)


class Limited(nn.Module):
    """A model on a device whose memory holds so many images at a time."""

    def __init__(self, model: nn.Module, most: int) -> None:
        super().__init__()
        self.model, self.most = model, most
        self.seen: list[int] = []

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.seen.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("tried to allocate 2.00 GiB")
        return self.model(x, sigma)


def test_out_of_memory_halves_the_micro_batch_and_changes_nothing_but_rounding() -> None:
    plain = begin()
    steps = run(plain)
    limited = Limited(begin().model, most=2)
    state = TrainingState(limited, PLAN)
    again = run(state)
    # A batch of 6 is tried whole, by threes and by twos; later steps know.
    assert limited.seen[:5] == [6, 3, 2, 2, 2]
    assert max(limited.seen[5:]) == 2
    torch.testing.assert_close(weights(state), weights(plain), rtol=1e-4, atol=1e-5)
    assert [s.loss for s in again] == pytest.approx([s.loss for s in steps], rel=1e-4)


def test_a_micro_batch_can_be_given() -> None:
    plain = begin()
    run(plain)
    state = begin()
    list(train(state, data(), PLAN, sigma_data=1.0, seed=3, execution=Execution(micro_batch=4)))
    torch.testing.assert_close(weights(state), weights(plain), rtol=1e-4, atol=1e-5)


def test_out_of_memory_at_one_image_ends_the_run_with_the_reason() -> None:
    state = TrainingState(Limited(begin().model, most=0), PLAN)
    before = weights(state).clone()
    with pytest.raises(ExhaustedError, match="step 1: out of memory with one image") as ended:
        run(state)
    assert ended.value.step == 1
    assert "model.width" in str(ended.value)
    assert torch.equal(weights(state), before)


@pytest.mark.parametrize("kind", ["unet", "transformer"])
def test_layout_and_precision_change_the_rounding_only(kind: str) -> None:
    images = 0.5 * torch.randn(10, 3, 8, 8, generator=torch_generator(0, "images"))

    def losses(execution: Execution) -> list[float]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = MODELS.create(kind, {"width": 16}, shape=(3, 8, 8), sigma_data=0.5)
        state = TrainingState(model, PLAN)
        loop = train(state, images, PLAN, sigma_data=0.5, seed=3, execution=execution)
        return [step.loss for step in loop]

    plain = losses(Execution())
    assert losses(Execution(channels_last=True)) == pytest.approx(plain, rel=1e-3)
    assert losses(Execution(precision="bfloat16")) == pytest.approx(plain, rel=0.1)
