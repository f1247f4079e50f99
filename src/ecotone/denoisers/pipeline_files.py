"""Files of diffusers pipelines: which are read, and which kinds are refused before they are.

No code that comes with a pipeline is run, and no pickle is read: only JSON and safetensors.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ecotone.core.errors import ConfigError, DataError, RecordError
from ecotone.core.records import read_json

__all__ = ["check_parts", "read_pipeline"]

_INDEX = "model_index.json"
# What is fetched once the index has shown the pipeline to be of the right kind. Older pipelines
# have no folders.
_FILES = (
    "unet/config.json",
    "unet/*.safetensors",
    "unet/*.safetensors.index.json",
    "scheduler/scheduler_config.json",
    "config.json",
    "diffusion_pytorch_model.safetensors",
    "scheduler_config.json",
)


def read_pipeline(source: str | Path, *, download: bool) -> tuple[Any, Any]:
    """Return the U-Net and the scheduler of a pipeline.

    Args:
        source: its folder, or its name on the Hugging Face hub.
        download: whether it may be fetched from there.

    Raises:
        ConfigError: for a pipeline of other parts than these two, or of parts not diffusers' own.
        DataError: where there is no such pipeline, or its weights are only there as a pickle.
    """
    import diffusers
    from diffusers.models.unets.unet_2d import UNet2DModel
    from diffusers.schedulers.scheduling_utils import SchedulerMixin

    folder = _folder(source, (_INDEX,), download)
    parts = _parts(folder)
    check_parts(parts)
    library, name = parts["scheduler"]
    scheduler_class = getattr(diffusers, name, None) if library == "diffusers" else None
    # Whatever else diffusers has might read a pickle.
    if not (isinstance(scheduler_class, type) and issubclass(scheduler_class, SchedulerMixin)):
        scheduler_class = None
    if parts["unet"] != ["diffusers", "UNet2DModel"] or scheduler_class is None:
        raise ConfigError(
            f"the pipeline in {folder} has the unet {'.'.join(parts['unet'])} and the scheduler "
            f"{'.'.join(parts['scheduler'])}",
            hint="give one of diffusers' own UNet2DModel and one of its schedulers",
        )
    folder = _folder(source, _FILES, download)
    try:
        unet = UNet2DModel.from_pretrained(
            _part(folder, "unet"), use_safetensors=True, local_files_only=True
        )
        scheduler = scheduler_class.from_pretrained(
            _part(folder, "scheduler"), local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read the pipeline in {folder}: {error}",
            hint="save it again with save_pretrained(folder, safe_serialization=True)",
        ) from error
    return unet, scheduler


def _folder(source: str | Path, files: Sequence[str], download: bool) -> Path:
    """Return a pipeline's folder: the one that is named, or the hub's copy on this machine."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download

    try:
        kept = snapshot_download(
            str(source), allow_patterns=list(files), local_files_only=not download
        )
    except (OSError, ValueError) as error:
        raise DataError(
            f"there is no folder {source}, nor a pipeline of that name"
            + ("" if download else " fetched before"),
            hint="give a pipeline's folder, or its name on the hub and download=True",
        ) from error
    return Path(kept)


def _parts(folder: Path) -> dict[str, list[str]]:
    """Return library and class of a pipeline's parts, as its index names them."""
    try:
        index = read_json(folder / _INDEX)
    except RecordError as error:
        raise DataError(
            f"{folder} holds no diffusers pipeline: {error}",
            hint="give a folder that a pipeline's save_pretrained wrote",
        ) from error
    listed = index.items() if isinstance(index, dict) else ()
    return {
        name: part
        for name, part in listed
        if isinstance(part, list) and len(part) == 2 and all(part)
    }


def _part(folder: Path, name: str) -> Path:
    return folder / name if (folder / name).is_dir() else folder


def check_parts(parts: Collection[str]) -> None:
    """Check that a pipeline consists of a U-Net and a scheduler, or say what else it is.

    Args:
        parts: names of its parts, without those that are left empty.

    Raises:
        ConfigError: for latents, text, or parts that denoising alone does not need.

    >>> check_parts(["scheduler", "unet"])
    """
    more = sorted(set(parts) - {"unet", "scheduler"})
    if any(name.startswith(("vae", "vqvae", "movq")) for name in more):
        kind = "works on latents, in which distances to training images have another meaning"
    elif any("text" in name or "token" in name for name in more):
        kind = "is conditioned by text"
    elif more:
        kind = f"has parts that denoising alone does not need: {', '.join(more)}"
    elif not {"unet", "scheduler"} <= set(parts):
        kind = "has no unet and scheduler"
    else:
        return
    raise ConfigError(
        f"the pipeline {kind}",
        hint="give an unconditional pipeline of images, such as a DDPMPipeline",
    )
