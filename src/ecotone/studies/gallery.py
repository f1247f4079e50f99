"""The generated images most like copies, beside what they are nearest to."""

from __future__ import annotations

from pathlib import Path

import torch

from ecotone.core.tensors import write_tensors
from ecotone.populations import Split
from ecotone.training import Measurement

__all__ = ["write_gallery"]

PAIRS = 24


def write_gallery(
    path: Path,
    measurement: Measurement,
    split: Split,
    *,
    value_range: tuple[float, float] | None,
) -> None:
    """Write the most suspicious generated image for each training image, and its neighbours.

    The suspicion is the gap ratio: the distance to the nearest training image over that to the
    nearest distinct one. Nothing is written for data that are not images, or where the training
    set holds one distinct image only.

    Args:
        path: a safetensors file with tensors ``generated``, ``nearest_training``,
            ``second_training`` and ``nearest_holdout`` (k, channels, height, width) and
            ``distance_training``, ``distance_second`` and ``distance_holdout`` (k,), the most
            suspicious first; about them, the step, the range of values and the image ids.
        measurement: of the run's last step.
        split: the run's training set and holdout.
        value_range: lowest and highest value of a pixel; that of the training set where None.
    """
    near = measurement.neighbours.generated
    held = measurement.neighbours.generated_to_holdout
    if split.training.ndim != 4 or held is None:
        return
    if near.distinct_distance is None or near.distinct_index is None:
        return
    # A second distance of 0 does not occur: distinct images differ.
    suspicion = near.distance / near.distinct_distance
    order = torch.argsort(suspicion, stable=True).tolist()
    # One sample for each training image copied: a gallery of the same pair tells nothing more.
    first: dict[int, int] = {}
    for sample in order:
        first.setdefault(int(near.index[sample]), sample)
    chosen = torch.tensor(list(first.values())[:PAIRS])
    index = near.index[chosen]
    tensors = {
        "generated": measurement.generated[chosen],
        "nearest_training": split.training[index],
        "second_training": split.training[near.distinct_index[chosen]],
        "nearest_holdout": split.holdout[held.indices[chosen, 0]],
        "distance_training": near.distance[chosen],
        "distance_second": near.distinct_distance[chosen],
        "distance_holdout": held.distances[chosen, 0],
    }
    low, high = value_range or (float(split.training.min()), float(split.training.max()))
    about = {
        "step": measurement.step,
        "value_low": low,
        "value_high": high,
        "training_ids": [split.training_ids[i] for i in index.tolist()],
        "measure": "Euclidean distance of pixels; suspicion = nearest / nearest distinct",
    }
    write_tensors(path, {name: tensor.float() for name, tensor in tensors.items()}, about)
