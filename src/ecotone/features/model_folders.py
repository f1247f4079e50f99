"""Folders of pretrained models: where one lies, which files hold its weights, what it expects."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ecotone.core.errors import ConfigError, DataError
from ecotone.features.preparation import IMAGENET_MEAN, IMAGENET_STD, Preparation

__all__ = ["find_folder", "find_weights", "read_preparation"]

_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_FETCHED = (
    "config.json",
    "*processor_config.json",
    "model*.safetensors",
    "model*.safetensors.index.json",
)
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def find_folder(model: str, *, download: bool) -> Path:
    """Return the folder of a model.

    Args:
        model: a local folder, or a name on the Hugging Face hub, whose local cache is looked in.
        download: ask the hub, and fetch what the cache lacks.

    Raises:
        DataError: where there is none.
    """
    if Path(model).is_dir():
        return Path(model)
    if not _HUB_NAME.fullmatch(model):
        raise DataError(
            f"there is no folder {model}",
            hint="set model to a folder with config.json and model.safetensors",
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import HfHubHTTPError

    try:
        return Path(
            snapshot_download(model, local_files_only=not download, allow_patterns=list(_FETCHED))
        )
    except (HfHubHTTPError, OSError, ValueError) as error:
        if download:
            raise DataError(
                f"{model} cannot be fetched from the hub: {error}",
                hint="mend the name or the connection, or set model to a local folder",
            ) from error
        raise DataError(
            f"there is no folder {model}, and no model of that name was fetched from the hub",
            hint="set model to a folder with config.json and model.safetensors, or download=true "
            "to fetch it",
        ) from error


def find_weights(folder: Path) -> list[Path]:
    """Return the safetensors files that hold a model's weights.

    Raises:
        DataError: for a folder without ``config.json``, without weights, with weights in pickles
            alone, or with a list of files of which one is missing.
    """
    if not (folder / "config.json").is_file():
        raise DataError(
            f"{folder} has no config.json",
            hint="set model to a folder that save_pretrained wrote",
        )
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        listed = _json(index).get("weight_map")
        names = sorted(set(listed.values())) if isinstance(listed, dict) else []
        missing = [name for name in names if not (folder / name).is_file()]
        if missing or not names:
            raise DataError(
                f"{folder} has no {missing[0] if missing else 'weights in ' + index.name}",
                hint="fetch or copy the whole folder again",
            )
        return [folder / name for name in names]
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in _PICKLES)
    if pickles:
        raise DataError(
            f"{folder} has its weights in {pickles[0]}, a pickle, which can run code and is not "
            "loaded",
            hint='if you trust it, convert it once: python -c "from transformers import AutoModel '
            f"as M; M.from_pretrained('{folder}').save_pretrained('{folder}')\"",
        )
    raise DataError(
        f"{folder} describes a model but has no weights",
        hint="put model.safetensors beside config.json, or give the model's name on the hub with "
        "download=true",
    )


def read_preparation(
    folder: Path, *, size: int | None, value_range: tuple[float, float] | None
) -> Preparation:
    """Return how a model's images are prepared, by its own files.

    Args:
        folder: of the model.
        size: side in pixels; None for what the files say.
        value_range: of the data.

    Raises:
        ConfigError: where the files do not say the size, or what they say is not done here.
        DataError: where they cannot be read.
    """
    try:
        return _preparation(folder, size, value_range)
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{folder} does not describe its images as models do: {error}",
            hint="mend its preprocessor_config.json, or remove it for ImageNet's mean and std",
        ) from error


def _preparation(
    folder: Path, size: int | None, value_range: tuple[float, float] | None
) -> Preparation:
    """Return what the files say, where they say it as they should."""
    config = _json(folder / "config.json")
    said: dict[str, Any] = {}
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            said = _json(folder / name)
            said = said.get("image_processor", said)
            break
    if abs((said.get("rescale_factor") or 1 / 255) * 255 - 1) > 1e-6 or not said.get(
        "do_rescale", True
    ):
        raise ConfigError(
            f"{folder} expects pixels that are not scaled to [0, 1], which is not done here",
            hint="wrap the model in a function of your own: features 'callable'",
        )
    mean, std = said.get("image_mean") or IMAGENET_MEAN, said.get("image_std") or IMAGENET_STD
    if not said.get("do_normalize", True):
        mean, std = [0.0] * 3, [1.0] * 3
    image_size = (config.get("vision_config") or config).get("image_size")
    known = (said.get("crop_size"), said.get("size"), image_size)
    sides = (size, size) if size is not None else next(filter(None, map(_sides, known)), None)
    if sides is None:
        raise ConfigError(f"{folder} does not say its image size", hint="set size, in pixels")
    return Preparation(sides, tuple(map(float, mean)), tuple(map(float, std)), value_range)


def _sides(said: Any) -> tuple[int, int] | None:
    """Return height and width as one of the ways to write them has it.

    >>> _sides(224), _sides([32, 16]), _sides({"shortest_edge": 256}), _sides(None)
    ((224, 224), (32, 16), (256, 256), None)
    """
    if isinstance(said, int):
        return said, said
    if isinstance(said, list) and len(said) == 2:
        return int(said[0]), int(said[1])
    if isinstance(said, dict) and {"height", "width"} <= said.keys():
        return int(said["height"]), int(said["width"])
    if isinstance(said, dict) and said.get("shortest_edge"):
        return int(said["shortest_edge"]), int(said["shortest_edge"])
    return None


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}", hint="fetch or copy it again") from error
    if not isinstance(value, dict):
        raise DataError(f"{file} does not describe a model", hint="fetch or copy it again")
    return value
