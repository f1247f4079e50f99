"""A user's own function from images to features."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.records import content_hash
from ecotone.features.encoder import Encoder, file_hash, state_hash

__all__ = ["UserEncoder", "user_encoder"]


class UserEncoder(Encoder):
    """Features by any function from images, in the data's units, to one row each.

    Args:
        function: from (n, *shape) floats to (n, dimension) numbers, a tensor or a numpy array; a
            ``torch.nn.Module`` in evaluation mode for instance. It sees a copy of the images,
            without gradients.
        batch_size: how many images it sees at once.
        name: what to call it in records; where it was defined where None.

    >>> means = UserEncoder(lambda images: images.mean((2, 3)), name="means")
    >>> means(torch.ones(2, 3, 8, 8)).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def __init__(
        self, function: Callable[..., Any], *, batch_size: int = 64, name: str | None = None
    ) -> None:
        super().__init__(batch_size)
        self.function = function
        self.name = name or _name(function)

    def describe(self) -> dict[str, Any]:
        """Return what was done: the function, and hashes of its source and weights where it has.

        ``source`` is the SHA-256 of the file that it is defined in; ``weights`` is of a module's
        state, as it was when first asked for. What a function reads elsewhere is in neither.
        """
        return {
            "features": "callable",
            "target": self.name,
            "batch_size": self.batch_size,
            **self._hashes,
        }

    def _encode(self, batch: Tensor) -> Tensor:
        found = self.function(batch.clone())
        if isinstance(found, Tensor):
            return found.detach()
        array = np.asarray(found)
        if array.dtype.kind not in "biufc":
            raise DataError(
                f"{self.name} returns a {type(found).__name__}, no tensor or array of numbers",
                hint="have it return (n, dimension): one row an image",
            )
        return torch.from_numpy(np.ascontiguousarray(array))

    @cached_property
    def _hashes(self) -> dict[str, str]:
        hashes: dict[str, str] = {}
        source = _source(self.function)
        if source is not None:
            hashes["source"] = file_hash([source])
        bare = _bare(self.function)
        module = getattr(bare, "__self__", bare)
        if isinstance(module, torch.nn.Module):
            hashes["weights"] = state_hash(module)
        return hashes


def user_encoder(target: str, batch_size: int = 64) -> UserEncoder:
    """Return a :class:`UserEncoder` of a function that stands in a module or a file.

    The file or module is run, as importing it does: name your own code, or code that you trust.

    Args:
        target: ``package.module:function`` or ``path/encoder.py:function``.
        batch_size: how many images it sees at once.

    Raises:
        ConfigError: for a target of another form, one that cannot be imported, or has no such
            function.
    """
    place, _, attribute = target.rpartition(":")
    if not place or not attribute.isidentifier():
        raise ConfigError(
            f"target = {target!r} does not name a function",
            hint="write package.module:function or path/encoder.py:function",
        )
    is_file = place.endswith(".py")
    if is_file and not Path(place).is_file():
        raise ConfigError(f"there is no file {place}", hint="set target=path/encoder.py:function")
    try:
        module = _run(Path(place)) if is_file else import_module(place)
    except Exception as error:  # whatever the user's own code raises
        hint = "mend it" if is_file else "install it, or name its file: path/encoder.py:function"
        raise ConfigError(
            f"target = {target!r} cannot be imported: {type(error).__name__}: {error}", hint=hint
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        raise ConfigError(
            f"{place} has no function {attribute!r}", hint="set target to one that it has"
        )
    name = f"{Path(place).name if is_file else place}:{attribute}"
    return UserEncoder(function, batch_size=batch_size, name=name)


def _run(file: Path) -> Any:
    """Run a file as a module of its own, under a name that no other file has."""
    name = f"ecotone_user_{file.stem}_{content_hash(str(file.resolve()))[:16]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not Python")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their own module up while it runs.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function without the arguments that were filled in."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _defined(function: Callable[..., Any]) -> Any:
    """Return what has a place in a source file: a function, or the class of a callable object."""
    bare = inspect.unwrap(_bare(function))
    return bare if hasattr(bare, "__qualname__") else type(bare)


def _name(function: Callable[..., Any]) -> str:
    named = _defined(function)
    return f"{named.__module__}:{named.__qualname__}"


def _source(function: Callable[..., Any]) -> Path | None:
    try:
        file = inspect.getsourcefile(_defined(function))
    except TypeError:  # built in
        return None
    return Path(file) if file is not None and Path(file).is_file() else None
