"""What a study's ``precision: auto`` becomes, on machines that have bfloat16 and on others."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ecotone.studies import RunConfig, load_design, run_config
from ecotone.training import multiplies_bfloat16


def precision(model: dict[str, Any], training: dict[str, Any]) -> str:
    settings = [f"model={model}", *(f"training.{name}={value}" for name, value in training.items())]
    config = load_design("digits", ["n=16", *settings]).cells[0].config
    assert isinstance(config, RunConfig)
    assert config.training.execution.precision == config.training.precision
    return config.training.precision


@pytest.mark.parametrize(
    ("kind", "width", "gains"),
    [
        ("unet", 16, False),
        ("unet", 32, True),
        ("transformer", 32, False),
        ("transformer", 128, True),
        ("mlp", 512, False),
    ],
)
def test_on_cpus_with_tiles_wide_networks_train_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch, kind: str, width: int, gains: bool
) -> None:
    model, cpu = {"kind": kind, "width": width}, {"device": "cpu"}
    monkeypatch.setattr(run_config, "multiplies_bfloat16", lambda _: True)
    assert precision(model, cpu) == ("bfloat16" if gains else "float32")
    # Who asks for one gets it.
    assert precision(model, {**cpu, "precision": "float32"}) == "float32"
    assert precision(model, {**cpu, "precision": "bfloat16"}) == "bfloat16"
    monkeypatch.setattr(run_config, "multiplies_bfloat16", lambda _: False)
    assert precision(model, cpu) == "float32"


def test_all_runs_of_a_study_have_one_precision_unless_it_varies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_config, "multiplies_bfloat16", lambda _: True)

    def precisions(*settings: str) -> list[str]:
        cells = load_design("digits", ["n=16", "training.device=cpu", *settings]).cells
        return [cell.config.model_dump()["training"]["precision"] for cell in cells]

    assert precisions("model.width=[16, 32]") == ["float32"] * 2
    assert precisions("model.width=[32, 64]") == ["bfloat16"] * 2
    assert precisions("model.width=[16, 32]", "training.precision=bfloat16") == ["bfloat16"] * 2
    varied = precisions("training.precision=[auto, float32]", "model.width=32")
    assert varied == ["bfloat16", "float32"]
    levels = "factors={n: [16], training: {a: {steps: 9, precision: bfloat16}, b: {steps: 9}}}"
    assert precisions(levels, "model.width=16") == ["bfloat16", "float32"]


def test_a_gpu_with_bfloat16_uses_it_for_all_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_config, "multiplies_bfloat16", lambda device: device == "cuda")
    assert precision({"kind": "unet", "width": 16}, {"device": "cuda"}) == "bfloat16"
    assert precision({"kind": "unet", "width": 64}, {"device": "mps"}) == "float32"


def test_what_pytorch_says_of_its_own_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert multiplies_bfloat16("cpu")
    assert not multiplies_bfloat16("mps")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert not multiplies_bfloat16("cpu")
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert not multiplies_bfloat16("cpu")


def test_training_in_bfloat16_learns_what_float32_does() -> None:
    """A U-Net wide enough that tiles pay, with the attention that CPUs have in bfloat16."""
    from ecotone.denoisers import MODELS
    from ecotone.populations import POPULATIONS
    from ecotone.training import Execution, Plan, TrainingState, train

    training = POPULATIONS.create("digits", {}).split(8, 8, seed=0).training
    plan = Plan(steps=60, batch_size=8, warmup_steps=5)

    def losses(execution: Execution) -> list[float]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            options = {"width": 32, "attention": True}
            model = MODELS.create("unet", options, shape=(1, 8, 8), sigma_data=0.75)
        state = TrainingState(model, plan)
        loop = train(state, training, plan, sigma_data=0.75, seed=0, execution=execution)
        return [step.loss for step in loop]

    plain, rounded = losses(Execution()), losses(Execution(precision="bfloat16"))
    assert plain != rounded
    assert sum(rounded[-20:]) == pytest.approx(sum(plain[-20:]), rel=0.05)
    assert sum(plain[-20:]) < 0.9 * sum(plain[:20])
