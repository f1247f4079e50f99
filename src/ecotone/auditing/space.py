"""What an audit measures distances in: pixels, or the features of an encoder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from ecotone.core.errors import ConfigError
from ecotone.features import FEATURES, FeatureSpace
from ecotone.features.cache import cached
from ecotone.features.pixels import Pixels
from ecotone.features.user_encoder import UserEncoder
from ecotone.measures.mirrored import mirrored_nearest
from ecotone.measures.search import Search, nearest
from ecotone.measures.subsets import shuffled

__all__ = ["Space", "parse_features", "space_for"]

_BLOCK = 1024
"""Images cast to floating point at once."""

_FITTED_TO = 10_000
"""Images that a feature space is fitted to, at most."""

Features = str | Mapping[str, Any] | FeatureSpace | Callable[..., Any] | None


@dataclass(frozen=True)
class Space:
    """Where distances between images are measured, and those between distributions.

    Args:
        rows: from images to what distances are measured between: themselves, or their features.
        features: fitted; from what ``rows`` gives to features of distributions.
        about: what both are, in plain values.
        search: how nearest rows are found.
    """

    rows: Callable[[Shaped[Tensor, " n *shape"]], Shaped[Tensor, " n *row"]]
    features: FeatureSpace
    about: Mapping[str, Any]
    search: Search


class InBlocks:
    """A feature space that is given images some at a time, in floating point and from −1 to 1.

    Args:
        space: to ask.
        value_range: of the images; None where they are numbers of another kind, which stay as
            they are.

    >>> space = InBlocks(Pixels(), (0.0, 255.0))
    >>> space(torch.tensor([[0, 255]], dtype=torch.uint8)).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(self, space: FeatureSpace, value_range: tuple[float, float] | None) -> None:
        self.space, self.value_range = space, value_range

    def fit(self, images: Shaped[Tensor, " n *shape"]) -> InBlocks:
        """Return this space fitted to images."""
        return InBlocks(self.space.fit(self._floats(images)), self.value_range)

    def __call__(self, images: Shaped[Tensor, " n *shape"]) -> Float64[Tensor, "n dimension"]:
        """Return one row of features an image."""
        return torch.cat([self.space(self._floats(part)) for part in images.split(_BLOCK)])

    def describe(self) -> dict[str, Any]:
        """Return what was done."""
        return self.space.describe()

    def _floats(self, images: Tensor) -> Float[Tensor, " n *shape"]:
        if self.value_range is None:
            return images if images.is_floating_point() else images.double()
        low, high = self.value_range
        floats = images.float() if images.dtype == torch.uint8 else images
        # Rounded once: 8-bit values v become v/127.5 − 1 as everywhere.
        return (2 * floats - (low + high)) / (high - low)


def space_for(
    features: Features,
    *,
    real: Sequence[Shaped[Tensor, "_ ..."]],
    value_range: tuple[float, float] | None,
    mirrored: bool = False,
    exact: Search = nearest,
) -> Space:
    """Return where an audit measures distances.

    Without features: between pixels, and between distributions of their principal components. With
    an encoder: both between its features.

    Args:
        features: None or ``"pixels"``; a feature space by name, see :func:`parse_features`; one
            that is at hand; or a function from images to features.
        real: the training set, and the holdout where there is one. What is fitted is fitted to as
            many of each: a space fitted to one alone would spread it wider than the other.
        value_range: of the images.
        mirrored: whether an image and its mirror image are to count as the same, which they do
            between pixels only.
        exact: how nearest rows are found, mirrored or not.

    Raises:
        ConfigError: for unknown features or options, and mirroring in the space of an encoder.
        DataError: for images that cannot be encoded.
    """
    asked = _tenant(features, image=value_range is not None)
    if asked is None:
        principal = FEATURES.create("pca", {})
        fitted = InBlocks(principal, value_range).fit(_as_many(real))
        about = {"distances": "pixels", "mirrored": mirrored, **fitted.describe()}
        search = partial(mirrored_nearest, search=exact) if mirrored else exact
        return Space(rows=lambda images: images, features=fitted, about=about, search=search)
    if mirrored:
        raise ConfigError(
            "mirror images count as the same between pixels only",
            hint="leave --mirrored out: most encoders see little difference between the two",
        )
    encoder = cached(InBlocks(asked, value_range).fit(_as_many(real)))
    told = encoder.describe()
    about = {"distances": told.get("features", "features"), **told}
    return Space(rows=encoder, features=Pixels(), about=about, search=exact)


def _as_many(sets: Sequence[Shaped[Tensor, "_ ..."]]) -> Shaped[Tensor, "n ..."]:
    """Return as many images of each set, chosen by their content, 10,000 in all at most."""
    each = min(*map(len, sets), _FITTED_TO // len(sets)) if len(sets) > 1 else _FITTED_TO
    return torch.cat([images[shuffled(images, 0, "fitted to")[:each]] for images in sets])


def parse_features(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the options of a feature space as the command line takes them.

    ``NAME``, ``NAME:WHERE`` with the folder, file or model that its first option names, or the
    JSON of a mapping with ``kind`` and options.

    Raises:
        ConfigError: for text that is none of these, or an unknown name.

    >>> parse_features("transformers:./dinov2")
    ('transformers', {'model': './dinov2'})
    >>> parse_features('{"kind": "pca", "components": 8}')
    ('pca', {'components': 8})
    """
    if text.lstrip().startswith("{"):
        try:
            options = json.loads(text)
        except ValueError as error:
            raise ConfigError(
                f"--features {text!r} is no JSON: {error}",
                hint='give NAME, NAME:WHERE, or {"kind": "NAME", "option": value}',
            ) from error
        kind = options.pop("kind", None)
        if not isinstance(kind, str):
            raise ConfigError(f"--features {text!r} names no kind", hint='give {"kind": "NAME"}')
        FEATURES.find(kind)
        return kind, options
    kind, _, where = text.partition(":")
    FEATURES.find(kind)
    if not where:
        return kind, {}
    first = {"transformers": "model", "timm": "model", "onnx": "path"}.get(kind)
    if first is None:
        raise ConfigError(f"the features {kind!r} take no {where!r}", hint=f"give {kind}")
    return kind, {first: where}


def _tenant(features: Features, *, image: bool) -> FeatureSpace | None:
    """Return the feature space that distances are measured in; None for pixels."""
    if isinstance(features, str):
        kind, options = parse_features(features)
    elif isinstance(features, Mapping):
        options = dict(features)
        kind = options.pop("kind", "")
    elif features is None:
        return None
    elif isinstance(features, FeatureSpace):
        return features
    else:
        return UserEncoder(features)
    if kind == "pixels":
        return None
    if kind == "callable":
        raise ConfigError(
            "the features 'callable' have no name", hint="in Python, give the function itself"
        )
    # Encoders are given images from −1 to 1, whatever the files hold.
    if image and "value_range" not in options and FEATURES.admits(kind, "value_range", [-1.0, 1.0]):
        options["value_range"] = [-1.0, 1.0]
    return FEATURES.create(kind, options)
