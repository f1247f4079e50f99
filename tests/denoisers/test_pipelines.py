"""To diffusers pipelines and back: the same bits, the same estimates, the same samples."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.vq_model import VQModel
from diffusers.models.unets.unet_2d import UNet2DModel
from diffusers.pipelines.ddim.pipeline_ddim import DDIMPipeline
from diffusers.pipelines.ddpm.pipeline_ddpm import DDPMPipeline
from diffusers.pipelines.deprecated.latent_diffusion_uncond.pipeline_latent_diffusion_uncond import (  # noqa: E501
    LDMPipeline,
)
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_edm_euler import EDMEulerScheduler
from diffusers.schedulers.scheduling_pndm import PNDMScheduler
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.seeds import normal, sample_seeds, torch_generator
from ecotone.denoisers import MODELS, Ddpm, Denoiser
from ecotone.denoisers.pipelines import PipelineDenoiser, from_pipeline, save_pipeline
from ecotone.denoisers.unet import UNet
from ecotone.features.pixels import Pixels
from ecotone.noise import ddpm_levels
from ecotone.samplers import Euler, Heun, sample
from ecotone.training import Judge

SHAPE = (1, 8, 8)
RANGE = (-1.0, 1.0)
EVERY_PREDICTION = [("epsilon", "epsilon"), ("v", "v_prediction"), ("x0", "sample")]
every_prediction = pytest.mark.parametrize(("prediction", "theirs"), EVERY_PREDICTION)


def trained(kind: str = "unet", shape: tuple[int, ...] = SHAPE, **options: object) -> Any:
    """Build a model off its start, as if it had been trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS.create(kind, {"width": 8, **options}, shape=shape, sigma_data=0.5)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
    return model.eval().requires_grad_(False)


def their_unet(**options: Any) -> UNet2DModel:
    """Build a small U-Net as diffusers does."""
    given: dict[str, Any] = {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (8, 16),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet2DModel(**{**given, **options}).eval().requires_grad_(False)


def their_options(prediction: str) -> dict[str, Any]:
    return {"prediction_type": prediction, "clip_sample": False}


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch_generator(0, "test"))


@every_prediction
def test_there_and_back(tmp_path: Path, prediction: str, theirs: str) -> None:
    model = trained(prediction=prediction, attention=True)
    save_pipeline(model, tmp_path / "pipeline", value_range=RANGE)
    pipeline = DDPMPipeline.from_pretrained(tmp_path / "pipeline", use_safetensors=True)
    assert pipeline.scheduler.config["prediction_type"] == theirs
    assert pipeline.unet.config["sample_size"] == [8, 8]
    # The network: the same at every whole step, which reaches it to the bit.
    x = draw(5, *SHAPE)
    seen: list[torch.Tensor] = []
    for network in (model.network.model, pipeline.unet):
        network.time_proj.register_forward_hook(lambda _, __, waves: seen.append(waves))
    steps = torch.arange(1000.0)
    # Among them those that a division by 250, and back, would miss.
    missed = (steps / 250 * 250 != steps).nonzero().flatten().tolist()
    assert missed
    for step in (0, 1, 100, 500, 999, *missed):
        mine = model.network(x, torch.full((5,), step / 256))
        torch.testing.assert_close(mine, pipeline.unet(x, step).sample, rtol=1e-4, atol=1e-5)
        assert torch.equal(*seen[-2:]), step
    # The denoiser: the same estimate at every level, between steps and beyond them too.
    back = from_pipeline(tmp_path / "pipeline")
    assert (back.prediction, back.shape, back.training) == (prediction, SHAPE, False)
    torch.testing.assert_close(back.levels, ddpm_levels(), rtol=1e-5, atol=0)
    sigma = torch.cat([torch.logspace(-3, 3, 40), ddpm_levels()[::50].float()])
    noisy = 0.5 * draw(1, *SHAPE) + sigma[:, None, None, None] * draw(60, *SHAPE)
    difference = (back(noisy, sigma) - model(noisy, sigma)).abs().flatten(1).max(1).values
    assert (difference / sigma.clamp(min=1)).max().item() < 1e-5


def test_a_pipeline_generates_with_what_we_trained(tmp_path: Path) -> None:
    model = trained(shape=(3, 8, 12), prediction="epsilon")
    save_pipeline(model, tmp_path / "pipeline", value_range=RANGE)
    pipeline = DDPMPipeline.from_pretrained(tmp_path / "pipeline")
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    (images,) = pipeline(
        batch_size=2,
        num_inference_steps=2,
        output_type="np",
        generator=generator,
        return_dict=False,
    )
    assert images.shape == (2, 8, 12, 3)
    assert bool(torch.from_numpy(images).isfinite().all())
    assert images.std() > 0.01


def test_what_is_written_is_the_schedule_and_no_pickle(tmp_path: Path) -> None:
    folder = tmp_path / "some" / "pipeline"
    save_pipeline(trained(prediction="v"), folder, value_range=RANGE)
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert files == {
        "model_index.json",
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    }
    assert [file.name for file in folder.parent.iterdir()] == ["pipeline"]
    assert not any(str(tmp_path) in file.read_text() for file in folder.rglob("*.json"))
    written = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    expected = {
        "num_train_timesteps": 1000,
        "beta_start": 1e-4,
        "beta_end": 0.02,
        "beta_schedule": "linear",
        "clip_sample": True,
        "prediction_type": "v_prediction",
    }
    assert expected.items() <= written.items()
    # A second time, there is something that might be wanted.
    with pytest.raises(ConfigError, match="is not empty"):
        save_pipeline(trained(prediction="v"), folder, value_range=RANGE)


def test_what_a_pipeline_cannot_express_is_refused(tmp_path: Path) -> None:
    v = trained(prediction="v")
    network = v.network
    assert isinstance(network, UNet)
    other_levels = Ddpm(network, prediction="v", levels=ddpm_levels()[::2])
    cases: list[tuple[torch.nn.Module, tuple[float, float] | None, str]] = [
        (trained(), RANGE, "model.prediction=epsilon"),
        (trained("mlp", prediction="epsilon"), RANGE, "model.kind=unet"),
        (trained("transformer", prediction="v"), RANGE, "a U-Net, not Transformer"),
        (network, RANGE, "model.prediction=epsilon"),
        (trained(shape=(1, 9, 8), prediction="v"), RANGE, "multiples of 2"),
        (other_levels, RANGE, "time steps of this U-Net are not DDPM's"),
        (Ddpm(trained().network, prediction="v"), RANGE, "time steps of this U-Net"),
        (v, (0.0, 1.0), r"these in (0.0, 1.0)"),
        (v, None, "value_range=(-1, 1)"),
    ]
    for model, value_range, told in cases:
        with pytest.raises(ConfigError) as refused:
            save_pipeline(model, tmp_path / "pipeline", value_range=value_range)
        assert told in str(refused.value)
        assert not (tmp_path / "pipeline").exists()


@pytest.mark.parametrize("scheduler", [DDPMScheduler, DDIMScheduler, PNDMScheduler])
@pytest.mark.parametrize(("prediction", "theirs"), EVERY_PREDICTION[:2])
def test_their_pipelines_denoise_as_their_schedulers_say(
    scheduler: type, prediction: str, theirs: str
) -> None:
    """On whole steps, D is the scheduler's own estimate of x0."""
    unet = their_unet()
    beta: dict[str, Any] = {"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 200}
    pipeline = DDPMPipeline(unet, scheduler(prediction_type=theirs, **beta))
    denoiser = from_pipeline(pipeline)
    assert isinstance(denoiser, Denoiser)
    assert (denoiser.prediction, denoiser.shape, len(denoiser.levels)) == (prediction, SHAPE, 200)
    their_step = DDIMScheduler(**beta, **their_options(theirs))
    their_step.set_timesteps(200)
    for step in (1, 20, 100, 180):
        alpha = their_step.alphas_cumprod[step].sqrt()
        x_t = draw(3, *SHAPE)
        told = their_step.step(unet(x_t, step).sample, step, x_t, return_dict=False)[1]
        sigma = denoiser.levels[step].expand(3)
        torch.testing.assert_close(denoiser(x_t / alpha, sigma), told, rtol=1e-4, atol=1e-4)


@dataclass(frozen=True)
class Ladder(Euler):
    """Euler's method over given levels."""

    given: tuple[float, ...] = ()

    def levels(self) -> list[float]:
        return list(self.given) or super().levels()


@every_prediction
def test_their_ddim_is_our_euler(
    monkeypatch: pytest.MonkeyPatch, prediction: str, theirs: str
) -> None:
    scheduler = DDIMScheduler(**their_options(theirs))
    pipeline = DDIMPipeline(their_unet(), scheduler)
    pipeline.set_progress_bar_config(disable=True)
    denoiser = from_pipeline(pipeline)
    seeds = sample_seeds(3, 0, "test")
    scheduler.set_timesteps(20)
    levels = [*denoiser.levels[scheduler.timesteps].tolist(), 0.0]
    ours = sample(
        denoiser,
        Ladder(steps=20, sigma_max=levels[0], given=tuple(levels)),
        seeds=seeds,
        shape=denoiser.shape,
    )
    # Both start from the same point, which is α σ_max z in their units.
    start = levels[0] / (1 + levels[0] ** 2) ** 0.5 * normal(seeds, denoiser.shape)
    monkeypatch.setattr(
        "diffusers.pipelines.ddim.pipeline_ddim.randn_tensor", lambda *_, **__: start
    )
    states: list[Tensor] = []
    step = pipeline.scheduler.step

    def keeping(*inputs: Any, **options: Any) -> Any:
        output = step(*inputs, **options)
        states.append(output[0])
        return output

    monkeypatch.setattr(pipeline.scheduler, "step", keeping)
    images = pipeline(batch_size=3, num_inference_steps=20, output_type="pt", return_dict=False)[0]
    assert len(states) == 20
    assert ours.std().item() > 0.1
    # Before and after a pipeline fits what it generated into the range of images.
    torch.testing.assert_close(ours, states[-1], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close((ours / 2 + 0.5).clamp(0, 1), images, rtol=0, atol=1e-4)


def test_their_pipeline_is_sampled_and_judged(tmp_path: Path) -> None:
    DDPMPipeline(their_unet(), DDPMScheduler(prediction_type="v_prediction")).save_pretrained(
        tmp_path / "theirs", safe_serialization=True
    )
    denoiser = from_pipeline(str(tmp_path / "theirs"))
    sampler, seeds = Heun(steps=4), sample_seeds(12, 0, "test")
    generated = sample(denoiser, sampler, seeds=seeds, shape=denoiser.shape)
    holdout = draw(24, *SHAPE)

    def share(training: Tensor) -> float:
        judge = Judge(
            training=training,
            holdout=holdout,
            features=Pixels(),
            measures=["copying", "denoising"],
            sigma_data=0.5,
            seed=0,
        )
        seen = judge.judge(generated, denoiser=denoiser).readings
        assert any("denoising" in name or "loss" in name for name in seen)
        return seen["copied_share_gap_ratio"].value

    # What it generates is copied where it is the training set, and not where that is noise.
    assert share(torch.cat([generated, draw(36, *SHAPE)[24:]])) == 1.0
    assert share(draw(60, *SHAPE)[24:]) == 0.0


def test_an_infinite_level_is_left_out() -> None:
    scheduler = DDIMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    denoiser = from_pipeline(DDIMPipeline(their_unet(), scheduler))
    assert len(denoiser.levels) == 999
    assert bool(denoiser.levels.isfinite().all())
    assert bool(denoiser(draw(2, *SHAPE), torch.tensor([1.0, 1e4])).isfinite().all())


def test_shapes_are_checked() -> None:
    denoiser = from_pipeline(DDPMPipeline(their_unet(sample_size=(8, 16)), DDPMScheduler()))
    assert denoiser.shape == (1, 8, 16)
    with pytest.raises(ValueError, match=r"\(batch, 1, 8, 16\)"):
        denoiser(draw(2, 1, 8, 8), torch.ones(2))


@pytest.mark.parametrize(
    ("unet", "scheduler", "told"),
    [
        ({"num_class_embeds": 10}, DDPMScheduler(), "conditioned by classes"),
        ({"out_channels": 2}, DDPMScheduler(), "a learned variance"),
        ({"sample_size": None}, DDPMScheduler(), "sample_size in unet/config.json"),
        (
            {"time_embedding_type": "learned", "num_train_timesteps": 1000},
            DDPMScheduler(),
            "whole time steps alone",
        ),
        ({}, EDMEulerScheduler(), "the scheduler EDMEulerScheduler"),
    ],
)
def test_pipelines_that_are_no_denoiser_are_refused(
    unet: dict[str, Any], scheduler: Any, told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        from_pipeline(DDPMPipeline(their_unet(**unet), scheduler))
    assert told in str(refused.value)


def test_latents_are_refused() -> None:
    pipeline = LDMPipeline(VQModel(), their_unet(), DDIMScheduler())
    with pytest.raises(ConfigError, match="works on latents"):
        from_pipeline(pipeline)


def folder_of(tmp_path: Path, **parts: Sequence[str | None]) -> Path:
    """Write a pipeline whose index names other parts than it has."""
    folder = tmp_path / "pipeline"
    DDPMPipeline(their_unet(), DDPMScheduler()).save_pretrained(folder)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, **parts}))
    return folder


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"text_encoder": ["transformers", "CLIPTextModel"]}, "conditioned by text"),
        ({"vae": ["diffusers", "AutoencoderKL"]}, "works on latents"),
        ({"safety": ["mine", "Checker"]}, "parts that denoising alone does not need: safety"),
        ({"unet": ["diffusers", "UNet2DConditionModel"]}, "diffusers.UNet2DConditionModel"),
        # Code that comes with the pipeline, which would have to be run.
        ({"unet": ["my_unet", "UNet2DModel"]}, "my_unet.UNet2DModel"),
        ({"scheduler": ["my_scheduler", "DDPMScheduler"]}, "my_scheduler.DDPMScheduler"),
        ({"scheduler": ["diffusers", "NoScheduler"]}, "diffusers.NoScheduler"),
        ({"unet": [None, None]}, "has no unet and scheduler"),
    ],
)
def test_folders_of_other_pipelines_are_refused_before_anything_is_loaded(
    tmp_path: Path, parts: dict[str, list[str | None]], told: str
) -> None:
    folder = folder_of(tmp_path, **parts)
    for file in folder.rglob("*.safetensors"):
        file.unlink()
    with pytest.raises(ConfigError) as refused:
        from_pipeline(folder)
    assert told in str(refused.value)


def test_parts_that_are_left_out_do_no_harm(tmp_path: Path) -> None:
    assert from_pipeline(folder_of(tmp_path, vae=[None, None])).shape == SHAPE


def test_older_pipelines_without_folders_are_read(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    expected = from_pipeline(folder)
    for part in ("unet", "scheduler"):
        for file in (folder / part).iterdir():
            file.rename(folder / file.name)
        (folder / part).rmdir()
    denoiser, x, sigma = from_pipeline(folder), draw(2, *SHAPE), torch.ones(2)
    assert torch.equal(denoiser(x, sigma), expected(x, sigma))


def test_pickles_are_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "pipeline"
    DDPMPipeline(their_unet(), DDPMScheduler()).save_pretrained(folder, safe_serialization=False)
    assert (folder / "unet" / "diffusion_pytorch_model.bin").exists()
    with pytest.raises(DataError, match="safe_serialization=True"):
        from_pipeline(folder)


def test_only_what_is_needed_is_fetched_once_it_is_known_to_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The hub is stood in for by a folder, and told by the same patterns what to hand over."""
    import huggingface_hub

    hub = folder_of(tmp_path)
    (hub / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"a pickle")
    (hub / "unet" / "my_unet.py").write_text("raise SystemExit")
    fetched: list[str] = []

    def fetch(name: str, *, allow_patterns: list[str], local_files_only: bool) -> str:
        assert (name, local_files_only) == ("someone/pipeline", False)
        files = [str(file.relative_to(hub)) for file in hub.rglob("*") if file.is_file()]
        fetched.extend(
            huggingface_hub.utils.filter_repo_objects(files, allow_patterns=allow_patterns)
        )
        return str(hub)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert from_pipeline("someone/pipeline", download=True).shape == SHAPE
    assert fetched[0] == "model_index.json"
    assert sorted(fetched[1:]) == [
        "scheduler/scheduler_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ]
    index = json.loads((hub / "model_index.json").read_text())
    index["vae"] = ["diffusers", "AutoencoderKL"]
    (hub / "model_index.json").write_text(json.dumps(index))
    fetched.clear()
    with pytest.raises(ConfigError, match="works on latents"):
        from_pipeline("someone/pipeline", download=True)
    assert fetched == ["model_index.json"]


def test_what_is_no_pipeline_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no diffusers pipeline"):
        from_pipeline(tmp_path)
    (tmp_path / "model_index.json").write_text("[]")
    with pytest.raises(ConfigError, match="has no unet and scheduler"):
        from_pipeline(tmp_path)
    for name in (tmp_path / "missing", "nobody/nothing-of-that-name"):
        with pytest.raises(DataError, match="download=True"):
            from_pipeline(name)


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, ecotone.denoisers.pipelines as p; "
        "assert p.from_pipeline and 'diffusers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_pipeline_denoiser_is_a_ddpm_denoiser() -> None:
    denoiser = from_pipeline(DDPMPipeline(their_unet(), DDPMScheduler()))
    assert isinstance(denoiser, PipelineDenoiser)
    assert isinstance(denoiser, Ddpm)
    # Not one that we can write: its network need not be ours.
    with pytest.raises(ConfigError, match="a U-Net"):
        save_pipeline(denoiser, Path("never"), value_range=RANGE)


@pytest.mark.parametrize("named", [["diffusers", "AutoencoderKL"], ["diffusers"], ["os", "system"]])
def test_nothing_but_a_scheduler_is_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: list[str]
) -> None:
    """A model in its place would be loaded, from a pickle where it has no safetensors."""
    DDPMPipeline(their_unet(), DDPMScheduler()).save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps({**index, "scheduler": named}))

    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was read")

    monkeypatch.setattr(torch, "load", loaded)
    with pytest.raises(ConfigError):
        from_pipeline(tmp_path)
