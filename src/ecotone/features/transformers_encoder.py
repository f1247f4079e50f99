"""Vision models of the transformers library: ViT, DINOv2, CLIP's image tower and their kin."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.features.encoder import Encoder, check_device, file_hash, optional
from ecotone.features.model_folders import find_folder, find_weights, read_preparation
from ecotone.features.preparation import pair

__all__ = ["TransformersEncoder"]

Layer = Literal["pooled", "cls", "mean"]

_CLASS_TOKENS = ("cls_token", "class_embedding")
_POOLERS = ("pooler.", "head.")


class TransformersEncoder(Encoder):
    """Features of a pretrained vision model, from a folder with ``config.json`` and safetensors.

    Weights in pickles, which can run code, are refused, as is code that comes with a model. Of a
    model of images and text the image tower is taken. Computed in float32.

    Args:
        model: a local folder, or a name on the Hugging Face hub.
        layer: ``cls`` is the class token of the last hidden state; ``mean`` the mean of its
            patches, without class, distillation and register tokens; ``pooled`` what the model
            itself makes of them, which not every checkpoint has weights for.
        batch_size: how many images the model sees at once.
        device: where it computes.
        download: fetch a model of the hub. Without it only what was fetched before is taken.
        size: side in pixels to resize to; what the model's ``preprocessor_config.json`` says
            (``crop_size``, else ``size``), else its ``image_size``, where None.
        value_range: lowest and highest value of the data, see
            :class:`~ecotone.features.preparation.Preparation`.

    Raises:
        ConfigError: where transformers is not installed, or for an option out of range.
        DataError: for a folder that is missing, or has no weights that are safe to load.
    """

    def __init__(
        self,
        model: str,
        layer: Layer = "cls",
        batch_size: int = 64,
        device: str = "cpu",
        download: bool = False,
        size: int | None = None,
        value_range: list[float] | None = None,
    ) -> None:
        super().__init__(batch_size)
        optional("transformers", "pip install 'ecotone[encoders]'")
        self.layer = layer
        self.device = check_device(device)
        self.folder = find_folder(model, download=download)
        # A folder is known by its own name, so that where it lies changes nothing.
        self.name = self.folder.name if Path(model).is_dir() else model
        self.weights = find_weights(self.folder)
        self.preparation = read_preparation(self.folder, size=size, value_range=pair(value_range))

    def describe(self) -> dict[str, Any]:
        """Return what was done: model, hashes of its files, layer and preparation."""
        return {
            "features": "transformers",
            "model": self.name,
            **self._hashes,
            "layer": self.layer,
            "batch_size": self.batch_size,
            "device": self.device,
            "transformers": version("transformers"),
            **self.preparation.describe(),
        }

    def _check(self, images: Tensor) -> None:
        self.preparation.check(images)

    def _encode(self, batch: Tensor) -> Tensor:
        pixels = self.preparation(batch).to(self.device)
        given: dict[str, Any] = {}
        if "interpolate_pos_encoding" in inspect.signature(self._tower.forward).parameters:
            given["interpolate_pos_encoding"] = True
        output = self._tower(pixel_values=pixels, **given)
        if self.layer == "pooled":
            if getattr(output, "pooler_output", None) is None:
                raise ConfigError(f"{self.name} has no pooled features", hint="set layer=mean")
            return output.pooler_output
        hidden = output.last_hidden_state
        if self.layer == "mean":
            # A convolutional model has a map of features in place of a row of tokens.
            return hidden.mean((2, 3)) if hidden.ndim == 4 else hidden[:, self._special :].mean(1)
        if hidden.ndim != 3 or not self._has_class_token:
            raise ConfigError(f"{self.name} has no class token", hint="set layer=mean")
        return hidden[:, 0]

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return {
            "weights": file_hash(self.weights),
            "config": file_hash([self.folder / "config.json"]),
        }

    @cached_property
    def _has_class_token(self) -> bool:
        return any(name.endswith(_CLASS_TOKENS) for name, _ in self._tower.named_parameters())

    @cached_property
    def _special(self) -> int:
        """How many tokens stand before those of the patches."""
        count = int(self._has_class_token)
        for name, parameter in self._tower.named_parameters():
            if name.endswith(("distillation_token", "register_tokens")):
                count += parameter.shape[1]
        return count

    @cached_property
    def _tower(self) -> Any:
        """The part of the model that sees images, in evaluation mode."""
        from transformers import AutoModel

        # What a checkpoint lacks is drawn at random: not from the caller's stream, then refused.
        with _quiet(), torch.random.fork_rng(devices=[]):
            try:
                model, found = AutoModel.from_pretrained(
                    self.folder,
                    local_files_only=True,
                    use_safetensors=True,
                    trust_remote_code=False,
                    dtype=torch.float32,
                    output_loading_info=True,
                )
            except Exception as error:  # the library raises many kinds for files it cannot use
                raise DataError(
                    f"transformers cannot load {self.folder}: {error}",
                    hint="give a folder that save_pretrained wrote, of a model the library knows",
                ) from error
        tower, prefix = model, ""
        if getattr(model, "main_input_name", "") != "pixel_values":
            tower, prefix = getattr(model, "vision_model", None), "vision_model."
            if tower is None:
                raise ConfigError(
                    f"{self.name} is a {type(model).__name__}, which takes no images",
                    hint="give a vision model, such as ViT, DINOv2 or CLIP",
                )
        missing = sorted(key for key in found["missing_keys"] if key.startswith(prefix))
        lacking = [key for key in missing if self._needs(key.removeprefix(prefix))]
        if lacking:
            pooler = self.layer == "pooled" and lacking[0].removeprefix(prefix).startswith(_POOLERS)
            raise DataError(
                f"{self.folder} has no weights for {lacking[0]} ({len(lacking)} are missing)",
                hint="set layer=cls or layer=mean" if pooler else "fetch or convert it again",
            )
        return tower.eval().requires_grad_(False).to(self.device)

    def _needs(self, key: str) -> bool:
        """Tell whether features depend on a weight."""
        if key.startswith(_POOLERS):
            return self.layer == "pooled"
        return not key.endswith("mask_token")  # stands in for hidden patches, in training alone


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from drawing bars and reporting what is reported here as an error."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
