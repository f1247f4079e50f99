"""Vision models of the timm library, where it is installed."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError, nearest
from ecotone.features.encoder import Encoder, check_device, file_hash, optional
from ecotone.features.preparation import Preparation, pair

__all__ = ["TimmEncoder"]

# Not an extra of ecotone's: it needs torchvision, whose builds and CPU builds of torch do not go
# together.
_INSTALL = "pip install timm, with a build of torchvision that fits your torch"


class TimmEncoder(Encoder):
    """What a timm model pools before its classifier, ``create_model(model, num_classes=0)``.

    Weights are in safetensors, in timm's own names (as in the hub's ``timm/`` repositories), and
    all of them: a model that lacks one is refused, rather than started at random. Mean, standard
    deviation and image size are those of the model's ``pretrained_cfg``.

    Args:
        model: timm's name, with a tag after a dot where it has several sets of weights.
        checkpoint: a ``.safetensors`` file.
        batch_size: how many images the model sees at once.
        device: where it computes.
        pretrained: fetch timm's own weights from the hub, in place of a checkpoint.
        value_range: lowest and highest value of the data, see
            :class:`~ecotone.features.preparation.Preparation`.

    Raises:
        ConfigError: where timm is not installed, for an unknown model, or without weights.
        DataError: for weights that are missing, in a pickle, or another model's.
    """

    def __init__(
        self,
        model: str,
        checkpoint: str | None = None,
        batch_size: int = 64,
        device: str = "cpu",
        pretrained: bool = False,
        value_range: list[float] | None = None,
    ) -> None:
        super().__init__(batch_size)
        timm = optional("timm", _INSTALL)
        if not timm.is_model(model):
            known = nearest(model.partition(".")[0], timm.list_models())
            # timm knows some thousand models, too many to list.
            hint = known.partition(" (known")[0] if known.startswith("did") else "see list_models()"
            raise ConfigError(f"timm knows no model {model!r}", hint=hint)
        if (checkpoint is None) == (not pretrained):
            raise ConfigError(
                f"{model} has {'no weights' if checkpoint is None else 'weights from two places'}",
                hint="set checkpoint to a .safetensors file, or pretrained=true to fetch timm's",
            )
        self.model = model
        self.device = check_device(device)
        self.value_range = pair(value_range)
        self.checkpoint = _checkpoint(checkpoint) if checkpoint else _fetched(timm, model)

    def describe(self) -> dict[str, Any]:
        """Return what was done: model, hash of its weights and preparation."""
        return {
            "features": "timm",
            "model": self.model,
            "weights": self._hash,
            "batch_size": self.batch_size,
            "device": self.device,
            "timm": optional("timm", _INSTALL).__version__,
            **self._preparation.describe(),
        }

    def _check(self, images: Tensor) -> None:
        self._preparation.check(images)

    def _encode(self, batch: Tensor) -> Tensor:
        return self._network(self._preparation(batch).to(self.device))

    @cached_property
    def _hash(self) -> str:
        return file_hash([self.checkpoint])

    @cached_property
    def _preparation(self) -> Preparation:
        said = self._network.pretrained_cfg
        _, height, width = said["input_size"]
        mean, std = (tuple(float(value) for value in said[name]) for name in ("mean", "std"))
        return Preparation((height, width), mean, std, self.value_range)

    @cached_property
    def _network(self) -> Any:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        # The random start, all of which is replaced, is not taken from the caller's stream.
        with torch.random.fork_rng(devices=[]):
            network = optional("timm", _INSTALL).create_model(
                self.model, pretrained=False, num_classes=0
            )
        try:
            missing, unexpected = network.load_state_dict(load_file(self.checkpoint), strict=False)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise DataError(
                f"{self.checkpoint} does not fit {self.model}: {error}",
                hint="set model to the one these weights are of",
            ) from error
        classifier = network.pretrained_cfg.get("classifier") or ()
        heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
        other = [key for key in unexpected if not key.startswith(tuple(f"{h}." for h in heads))]
        if missing or other:
            told = f"it lacks {missing[0]}" if missing else f"the model has no {other[0]}"
            raise DataError(
                f"{self.checkpoint} does not fit {self.model}: {told} "
                f"({len(missing)} missing, {len(other)} too many)",
                hint="set model to the one these weights are of",
            )
        return network.eval().requires_grad_(False).to(self.device)


def _checkpoint(path: str) -> Path:
    file = Path(path)
    if not file.is_file():
        raise DataError(f"there is no file {path}", hint="set checkpoint to a .safetensors file")
    if file.suffix != ".safetensors":
        raise DataError(
            f"{path} may be a pickle, which can run code and is not loaded",
            hint="if you trust it, convert it once with torch.load and safetensors.torch.save_file",
        )
    return file


def _fetched(timm: Any, model: str) -> Path:
    """Fetch a model's weights in safetensors from the hub, or find them where they were fetched."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import HfHubHTTPError

    said = timm.get_pretrained_cfg(model)
    repository = getattr(said, "hf_hub_id", None)
    if not repository:
        raise DataError(f"timm names no weights of {model} on the hub", hint="set checkpoint")
    try:
        return Path(hf_hub_download(repository, "model.safetensors"))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise DataError(
            f"no safetensors of {model} can be fetched from {repository}: {error}",
            hint="mend the connection, or set checkpoint to a .safetensors file",
        ) from error
