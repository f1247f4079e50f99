"""To and from diffusers: a trained U-Net as a DDPM pipeline, and a pipeline as a denoiser.

What is read of a pipeline is said in :mod:`ecotone.denoisers.pipeline_files`.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from ecotone.core.errors import ConfigError, RecordError
from ecotone.core.records import PARTIAL
from ecotone.core.shapes import Batch, Levels
from ecotone.denoisers.base import check_inputs
from ecotone.denoisers.ddpm import STEPS_PER_UNIT, Ddpm
from ecotone.denoisers.pipeline_files import check_parts, read_pipeline
from ecotone.denoisers.precondition import Preconditioned
from ecotone.denoisers.unet import UNet
from ecotone.noise import Prediction, ddpm_levels, sigma_from_alpha_bar

if TYPE_CHECKING:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

__all__ = ["PipelineDenoiser", "from_pipeline", "save_pipeline"]

_PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}
"""What diffusers calls the predictions."""


def save_pipeline(
    model: nn.Module, folder: str | Path, *, value_range: tuple[float, float] | None
) -> None:
    """Write a trained U-Net as a folder that ``diffusers.DDPMPipeline.from_pretrained`` reads.

    It holds ``model_index.json``, ``unet/`` (safetensors, as averaged or trained: give
    ``state.ema.model`` for the former) and ``scheduler/``: DDPM's linear schedule, with the larger
    of its two variances (β_t; Ho et al. 2020, § 3.2) and estimates clipped to [−1, 1]. At whole
    time steps the pipeline's U-Net returns the bits that ours does.

    A network with EDM preconditioning cannot be written. Its input is x/√(σ² + σ_data²), but a
    pipeline's U-Net is given x/√(1 + σ²); the two agree only on data divided by σ_data, which a
    pipeline would then show at that contrast.

    Args:
        model: a :class:`~ecotone.denoisers.ddpm.Ddpm` on DDPM's levels around our U-Net.
        folder: to write; it must not exist, or be empty.
        value_range: of the images it was trained on, the population's: (−1, 1), as a pipeline takes
            this range for that of its images.

    Raises:
        ConfigError: for a model that a pipeline cannot express, or a folder that is not empty.
        RecordError: where the folder cannot be written.
    """
    network, prediction = _exportable(model, value_range)
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ConfigError(f"{folder} is not empty", hint="give a folder that does not exist yet")
    from diffusers.pipelines.ddpm.pipeline_ddpm import DDPMPipeline
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    prediction_type: Any = {ours: theirs for theirs, ours in _PREDICTIONS.items()}[prediction]
    scheduler = DDPMScheduler(
        num_train_timesteps=1000,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule="linear",
        variance_type="fixed_large",
        clip_sample=True,
        prediction_type=prediction_type,
    )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        written = Path(
            tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=PARTIAL)
        )
        try:
            DDPMPipeline(network.model, scheduler).save_pretrained(written, safe_serialization=True)
            written.chmod(0o755)
            written.replace(folder)
        finally:
            shutil.rmtree(written, ignore_errors=True)
    except OSError as error:
        raise RecordError(
            f"cannot write {folder}: {error.strerror or error}",
            hint="give another folder, or mend its permissions or its disk",
        ) from error


def _exportable(
    model: nn.Module, value_range: tuple[float, float] | None
) -> tuple[UNet, Prediction]:
    """Return the U-Net of a model that a DDPM pipeline can express, or say why it cannot."""
    if isinstance(model, Preconditioned):
        raise ConfigError(
            "a DDPM pipeline cannot hold a network with EDM preconditioning, whose input is scaled "
            "by the data's own standard deviation",
            hint="train with model.prediction=epsilon (or v, x0)",
        )
    if not (isinstance(model, Ddpm) and isinstance(model.network, UNet)):
        inside = getattr(model, "network", model)
        raise ConfigError(
            f"a DDPM pipeline holds a U-Net, not {type(inside).__name__}",
            hint="train with model.kind=unet and model.prediction=epsilon",
        )
    network = model.network
    own = network.scale == STEPS_PER_UNIT and torch.equal(model.levels.cpu(), ddpm_levels())
    if not own:
        raise ConfigError(
            "the time steps of this U-Net are not DDPM's",
            hint="build it as the model unet with prediction epsilon, v or x0",
        )
    height, width = network.model.config["sample_size"]
    if height % network.multiple or width % network.multiple:
        raise ConfigError(
            f"our U-Net pads images of {height}×{width}, which a pipeline does not",
            hint=f"train on images whose sides are multiples of {network.multiple}",
        )
    if value_range is None or tuple(value_range) != (-1.0, 1.0):
        raise ConfigError(
            f"a pipeline's images lie in [−1, 1], these in {value_range}",
            hint="train on images scaled to [−1, 1], and give value_range=(-1, 1)",
        )
    return network, model.prediction


class PipelineDenoiser(Ddpm):
    """The U-Net of a diffusers pipeline as a denoiser, at the levels of the pipeline's scheduler.

    What a pipeline's sampler does to estimates, clipping and thresholding, is left out.

    Args:
        unet: a diffusers ``UNet2DModel`` without classes.
        prediction: what it predicts.
        alpha_bars: ᾱ of each time step, falling.
        shape: of its images, (channels, height, width), with values in [−1, 1].

    Raises:
        ConfigError: for ᾱ that do not fall between 1 and 0.
    """

    def __init__(
        self,
        unet: nn.Module,
        *,
        prediction: Prediction,
        alpha_bars: Float64[Tensor, " steps"],
        shape: tuple[int, ...],
    ) -> None:
        # Where nothing is left of the image (a schedule rescaled to end in noise), σ is infinite.
        levels = sigma_from_alpha_bar(alpha_bars[alpha_bars > 0])
        super().__init__(_Steps(unet), prediction=prediction, levels=levels)
        self.shape = shape

    def forward(self, x: Batch, sigma: Levels) -> Batch:
        """Return the denoised batch, in x's shape and dtype.

        Raises:
            ValueError: for inputs that do not fit.
        """
        check_inputs(x, sigma, self.shape)
        return super().forward(x, sigma)


class _Steps(nn.Module):
    """Calls a diffusers U-Net with time steps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Batch, noise: Levels) -> Batch:
        (predicted,) = self.model(x, noise * STEPS_PER_UNIT, return_dict=False)
        return predicted


def from_pipeline(
    pipeline: str | Path | DiffusionPipeline, *, download: bool = False
) -> PipelineDenoiser:
    """Make a denoiser of an unconditional diffusers pipeline, in evaluation mode.

    Any pipeline will do that denoises images by a ``UNet2DModel``, with a scheduler that has
    ``alphas_cumprod`` and a ``prediction_type``: DDPM, DDIM, PNDM and the like.

    Args:
        pipeline: its folder, its name on the Hugging Face hub, or the pipeline itself, whose
            U-Net is then shared.
        download: whether it may be fetched from the hub; without, only what was fetched before.

    Raises:
        ConfigError: for a pipeline of another kind: of latents, or conditioned by text or classes.
        DataError: where the folder holds no pipeline, or its weights only as a pickle.
    """
    if isinstance(pipeline, (str, Path)):
        unet, scheduler = read_pipeline(pipeline, download=download)
    else:
        parts = {name: part for name, part in pipeline.components.items() if part is not None}
        check_parts(parts)
        unet, scheduler = parts["unet"], parts["scheduler"]
    shape = _shape(unet)
    name, told = type(scheduler).__name__, getattr(scheduler, "config", {}).get("prediction_type")
    if getattr(scheduler, "alphas_cumprod", None) is None or told not in _PREDICTIONS:
        raise ConfigError(
            f"the scheduler {name} with prediction_type = {told!r} is none of DDPM's",
            hint="give a pipeline with one such as DDPMScheduler or DDIMScheduler, and "
            f"prediction_type one of {', '.join(_PREDICTIONS)}",
        )
    denoiser = PipelineDenoiser(
        unet, prediction=_PREDICTIONS[told], alpha_bars=_alpha_bars(scheduler), shape=shape
    )
    return denoiser.eval()


def _shape(unet: Any) -> tuple[int, int, int]:
    """Return the shape of a U-Net's images, once it is known to be unconditional."""
    from diffusers.models.unets.unet_2d import UNet2DModel

    if not isinstance(unet, UNet2DModel):
        told = f"its unet is a {type(unet).__name__}, not a UNet2DModel"
    elif unet.class_embedding is not None:
        told = "it is conditioned by classes"
    elif unet.config["in_channels"] != unet.config["out_channels"]:
        told = "its unet returns other channels than it takes, a learned variance for instance"
    elif unet.config["time_embedding_type"] == "learned":
        told = "it knows whole time steps alone, and so no levels between them"
    elif unet.config["sample_size"] is None:
        told = "it does not say the size of its images (sample_size in unet/config.json)"
    else:
        size = unet.config["sample_size"]
        height, width = (size, size) if isinstance(size, int) else size
        return unet.config["in_channels"], height, width
    raise ConfigError(
        f"the pipeline gives no denoiser: {told}",
        hint="give an unconditional pipeline of images, such as a DDPMPipeline",
    )


def _alpha_bars(scheduler: Any) -> Float64[Tensor, " steps"]:
    """Return ᾱ in float64.

    A scheduler keeps it in float32, where 1 − ᾱ of the lowest levels is known to 6e−4 only; its β
    are known to 1e−5, so their product is taken anew where it is the same.
    """
    kept = torch.as_tensor(scheduler.alphas_cumprod).double().cpu()
    betas = getattr(scheduler, "betas", None)
    if betas is not None:
        exact = (1 - torch.as_tensor(betas).double().cpu()).cumprod(0)
        if exact.shape == kept.shape and torch.allclose(exact, kept, rtol=1e-3, atol=1e-6):
            return exact
    return kept
