"""Training states on disk, for going on to the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ecotone.core import RecordError
from ecotone.core.tensors import read_tensors, write_tensors
from ecotone.training.loop import TrainingState

__all__ = ["load_checkpoint", "save_checkpoint"]

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save_checkpoint(path: Path, state: TrainingState, *, identity: str) -> None:
    """Write a training state.

    Args:
        path: the file.
        state: weights, their average, the optimizer's moments and the step.
        identity: of the run; :func:`load_checkpoint` refuses another's.

    Raises:
        RecordError: where it cannot be written; an older checkpoint stays.
    """
    tensors = {f"model.{name}": t for name, t in state.model.state_dict().items()}
    tensors |= {f"average.{name}": t for name, t in state.ema.model.state_dict().items()}
    for index, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": moments[name] for name in _MOMENTS}
    write_tensors(path, tensors, {"identity": identity, "step": state.step})


def load_checkpoint(path: Path, state: TrainingState, *, identity: str) -> None:
    """Read a training state into a freshly built one, in place.

    Raises:
        RecordError: where the file is missing, truncated, changed since it was written, or
            another run's, or does not fit the model; the state is then to be thrown away.
    """
    tensors, about = read_tensors(path)
    if about.get("identity") != identity:
        raise RecordError(f"the checkpoint {path} is another run's", hint="remove it")
    try:
        _fill(state, tensors, about)
    except (RuntimeError, KeyError, ValueError) as error:
        raise RecordError(f"the checkpoint {path} does not fit the model: {error}") from error


def _fill(state: TrainingState, tensors: dict[str, Tensor], about: Mapping[str, Any]) -> None:
    moments: dict[int, dict[str, Tensor]] = {}
    for name in [name for name in tensors if name.startswith("optimizer.")]:
        _, index, moment = name.split(".")
        moments.setdefault(int(index), {})[moment] = tensors.pop(name)
    for prefix, module in (("model.", state.model), ("average.", state.ema.model)):
        module.load_state_dict(
            {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        )
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    state.step = about["step"]
