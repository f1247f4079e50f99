"""What a run generated at each measurement, written down for runs to be compared by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ecotone.core import Reading, RecordError
from ecotone.core.tensors import read_tensors, write_tensors
from ecotone.measures.agreement import agreement

__all__ = ["compare_twins", "read_samples", "write_samples"]


def write_samples(path: Path, samples: Mapping[int, Float[Tensor, " kept *shape"]]) -> None:
    """Write the samples of every measured step, in half precision: they are to be looked at.

    Args:
        path: a safetensors file with one tensor a step, named by it.
        samples: by step.
    """
    # float16 ends at 65,504; images of data in units of their own may lie beyond.
    tensors = {
        str(step): images.clamp(-65504, 65504).to(torch.float16) for step, images in samples.items()
    }
    write_tensors(path, tensors, {"dtype": "float16"})


def read_samples(
    path: Path, *, up_to: int | None = None
) -> dict[int, Float[Tensor, " kept *shape"]]:
    """Return the samples by step; none where none were written, and none after ``up_to``.

    Raises:
        RecordError: where the file is harmed.
    """
    if not path.exists():
        return {}
    tensors, _ = read_tensors(path)
    try:
        steps = sorted(int(name) for name in tensors)
    except ValueError as error:
        raise RecordError(f"{path} holds no samples by step", hint="run the study again") from error
    return {step: tensors[str(step)].float() for step in steps if up_to is None or step <= up_to}


def compare_twins(first: Path, second: Path) -> dict[int, dict[str, Reading]]:
    """Return how far two runs agree that trained on disjoint sets and sampled from one noise.

    Args:
        first: samples of one run.
        second: samples of its twin.

    Returns:
        :func:`ecotone.measures.agreement.agreement` at every step that both were measured at; none
        where a file is missing or harmed.
    """
    try:
        one, other = read_samples(first), read_samples(second)
    except RecordError:
        return {}
    return {
        step: agreement(first=one[step], second=other[step])
        for step in sorted(one.keys() & other.keys())
        if one[step].shape == other[step].shape and len(one[step]) > 1
    }
