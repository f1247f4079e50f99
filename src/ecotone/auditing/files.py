"""An audit in a folder: its record, its tables, and the pairs to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ecotone.core.records import write_atomic, write_json
from ecotone.core.tensors import write_tensors
from ecotone.measures.scores import gap_ratios

if TYPE_CHECKING:
    from ecotone.auditing.run import Audit

__all__ = ["GALLERY", "GENERATED", "HOLDOUT", "RECORD", "TRAINING", "write_audit"]

RECORD = "audit.json"
TRAINING, GENERATED, HOLDOUT = "training.csv", "generated.csv", "holdout.csv"
GALLERY = "gallery.safetensors"
PAIRS = 24


def write_audit(audit: Audit, folder: Path) -> Path:
    """Write an audit to a folder; the same audit gives the same bytes.

    ``audit.json`` is its record (:class:`ecotone.auditing.record.AuditRecord`), ``training.csv``
    and ``generated.csv`` its tables, ``holdout.csv`` the scores of held-out images where there are
    any. ``gallery.safetensors``, for images, holds the pairs most like
    copies, one for each training image: ``generated``, ``nearest_training``, ``second_training``
    (the nearest distinct one) and, with a holdout, ``nearest_holdout``, (k, channels, height,
    width), and the distances to these three. About them it says ids and the range of values.

    Returns:
        The folder.

    Raises:
        RecordError: where it cannot be written.
    """
    write_json(folder / RECORD, audit.record.model_dump(mode="json"))
    write_atomic(folder / TRAINING, audit.training.write_csv().encode())
    write_atomic(folder / GENERATED, audit.generated.write_csv().encode())
    if audit.holdout is None:
        (folder / HOLDOUT).unlink(missing_ok=True)
    else:
        write_atomic(folder / HOLDOUT, audit.holdout.write_csv().encode())
    _write_gallery(audit, folder / GALLERY)
    return folder


def _write_gallery(audit: Audit, path: Path) -> None:
    sets, near = audit.sets, audit.neighbours.generated
    ratios = gap_ratios(near)
    if not sets.training.is_image or ratios is None or near.distinct_index is None:
        path.unlink(missing_ok=True)
        return
    assert near.distinct_distance is not None
    # One sample for each training image: a gallery of the same pair tells nothing more.
    first: dict[int, int] = {}
    for sample in torch.argsort(ratios, stable=True).tolist():
        first.setdefault(int(near.index[sample]), sample)
        if len(first) == PAIRS:
            break
    chosen = torch.tensor(list(first.values()))
    own, second = near.index[chosen], near.distinct_index[chosen]
    tensors = {
        "generated": sets.generated.items[chosen],
        "nearest_training": sets.training.items[own],
        "second_training": sets.training.items[second],
        "distance_training": near.distance[chosen],
        "distance_second": near.distinct_distance[chosen],
    }
    about = {
        "generated_ids": [sets.generated.ids[i] for i in chosen.tolist()],
        "training_ids": [sets.training.ids[i] for i in own.tolist()],
        "second_ids": [sets.training.ids[i] for i in second.tolist()],
        "value_range": sets.training.value_range,
    }
    held = audit.neighbours.generated_to_holdout
    if held is not None and sets.holdout is not None:
        outside = held.indices[chosen, 0]
        tensors["nearest_holdout"] = sets.holdout.items[outside]
        tensors["distance_holdout"] = held.distances[chosen, 0]
        about["holdout_ids"] = [sets.holdout.ids[i] for i in outside.tolist()]
    write_tensors(path, {name: tensor.float() for name, tensor in tensors.items()}, about)
