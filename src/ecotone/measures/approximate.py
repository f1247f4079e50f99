"""Nearest references by a faiss index, for sets too large to compare every pair (extra ``faiss``).

:func:`ecotone.measures.search.nearest` is exact and, for images of 8 bits, faster than an index up
to some hundred thousand of them. An index pays where rows are short and there are millions.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped
from numpy.typing import NDArray
from torch import Tensor

from ecotone.core.errors import ConfigError, DataError
from ecotone.core.intervals import wilson
from ecotone.core.readings import Reading
from ecotone.core.seeds import derive
from ecotone.measures.products import squared_distances
from ecotone.measures.search import Labels, Progress, TopK, nearest
from ecotone.measures.subsets import shuffled

__all__ = ["approximate_nearest"]

_MARGIN = 14
"""Candidates beyond k whose distances are settled: codes of 8 bits misplace close ones."""
_SPARE = 16
"""References listed beyond those asked for where some are passed over."""
_PER_CELL = 39
"""References that a cell's centre is the mean of (what faiss advises)."""
_LEARNED = 1 << 26
"""Values that centres are learned from, at most."""
_ROUNDS = 10
_BLOCK_BYTES = 32 << 20
_FIRST = 4


def approximate_nearest(
    queries: Shaped[Tensor, "queries ..."],
    references: Shaped[Tensor, "references ..."],
    k: int,
    *,
    seed: int,
    passing_over: Labels | None = None,
    recall: float = 0.99,
    recall_sample: int = 1000,
    progress: Progress | None = None,
) -> tuple[TopK, Reading]:
    """Return k near references of each query, and how often the first is the nearest.

    An inverted file (Jégou et al. 2011): references are sorted into about 4√n cells by their
    nearest centre (k-means), kept as codes of 8 bits a value, and looked for in the cells nearest
    to a query. Of k + 14 candidates the distances are computed anew, as float64 differences, so
    that those of the pairs returned are exact and copies are at 0.

    Recall is measured against :func:`~ecotone.measures.search.nearest` on random queries. On one
    half of them the number of cells to look in is doubled until ``recall`` is reached; the other
    half, which decided nothing, gives the reading.

    Results repeat for one number of threads, those of torch. Neither the order of the queries nor,
    but for equal distances, that of the references changes them.

    Args:
        queries: any shape past the first axis; floating point, or uint8 where references are.
        references: of the queries' shape.
        k: how many, 1 to the number of references.
        seed: for the queries of the sample and the references that cells are learned from.
        passing_over: labels of queries and references, as for ``nearest``. Those passed over are
            left out of longer lists; where more than 16 of them are near, a list may end early.
        recall: share of the first half to reach, above 0, up to 1: at 1 cells are looked in until
            none of the sample is missed.
        recall_sample: queries to measure recall on, 2 or more; all where there are fewer.
        progress: called with the queries done and to do.

    Returns:
        Distances and indices as those of ``nearest``, inf and −1 where fewer than k were found, and
        recall@1 with Wilson's interval. ``how`` of the reading tells cells, and cells looked in.

    Raises:
        ConfigError: where faiss is not installed, for a recall or sample out of range.
        DataError: as ``nearest`` does.

    >>> points = torch.arange(2000.0)[:, None]
    >>> found, recall = approximate_nearest(points[:300] + 0.25, points, 2, seed=0)
    >>> found.indices[7].tolist(), found.distances[7].tolist(), recall.value
    ([7, 8], [0.25, 0.75], 1.0)
    """
    faiss = _faiss()
    if not 0 < recall <= 1 or recall_sample < 2:
        raise ConfigError(
            f"recall = {recall} on a sample of {recall_sample} cannot be asked for",
            hint="give a recall above 0 and up to 1, and a sample of 2 queries or more",
        )
    if queries.ndim < 2 or not queries.numel():
        nearest(queries, references, k)  # which says what is wrong with them
    _check_finite(queries)
    sample = shuffled(queries, seed, "recall")[:recall_sample].to(queries.device)
    labels = None if passing_over is None else (passing_over[0][sample], passing_over[1])
    truth = nearest(queries[sample], references, 1, passing_over=labels).distances[:, 0].cpu()
    if not 1 <= k <= len(references):
        raise DataError(
            f"the {k} nearest of {len(references)} references cannot be had",
            hint=f"give k of 1 to {len(references)}",
        )
    device = queries.device
    flat, stored = (
        images.detach().reshape(len(images), -1).cpu() for images in (queries, references)
    )
    own = None if passing_over is None else tuple(part.cpu() for part in passing_over)
    wanted = k if own is None else min(len(references), k + _SPARE)

    def listed(index: _Index, rows: Tensor) -> TopK:
        found = index.nearest(flat[rows], wanted)
        return found if own is None else _without(found, own[0][rows], own[1], k)

    with _threads(faiss):
        index = _Index(faiss, stored, seed)
        tried = max(1, len(sample) // 2)
        choosing, measuring = sample[:tried].cpu(), sample[-tried:].cpu()
        index.probed = min(_FIRST, index.cells)
        while index.probed < index.cells:
            found = listed(index, choosing).distances[:, 0]
            if float((found <= truth[:tried]).double().mean()) >= recall:
                break
            index.probed = min(2 * index.probed, index.cells)
        found = listed(index, measuring).distances[:, 0]
        hits = int((found <= truth[-tried:]).sum())
        parts, done = [], 0
        for rows in torch.arange(len(flat)).split(_rows(flat)):
            parts.append(listed(index, rows))
            done += len(rows)
            if progress is not None:
                progress(done, len(flat))
    low, high = wilson(hits, tried)
    reading = Reading(
        hits / tried,
        n=tried,
        unit="share",
        higher_is="better",
        low=low,
        high=high,
        how={
            "index": "inverted file of 8-bit codes",
            "cells": index.cells,
            "cells_looked_in": index.probed,
            "references": len(stored),
            "seed": seed,
            "interval": "Wilson",
        },
    )
    distances, indices = (torch.cat(columns).to(device) for columns in zip(*parts, strict=True))
    return TopK(distances, indices), reading


class _Index:
    """References in the cells of an inverted file."""

    def __init__(self, faiss: Any, references: Tensor, seed: int) -> None:
        n, d = references.shape
        self._references = references
        most = max(1, _LEARNED // d)
        self.cells = max(1, min(round(4 * math.sqrt(n)), n // _PER_CELL, most))
        self.probed = self.cells
        learned = shuffled(references, seed, "cells")[: min(_PER_CELL * self.cells, most)]
        some = references[learned]
        # Codes of 8-bit images are the images. Others are centred and scaled, so that float32
        # neither overflows nor loses what sets far from the origin differ by.
        self._centre = torch.zeros(d, dtype=torch.float64)
        self._scale = 1.0
        kind = faiss.ScalarQuantizer.QT_8bit_direct
        if references.is_floating_point():
            kind = faiss.ScalarQuantizer.QT_8bit
            for block in some.split(_rows(some)):
                self._centre += block.double().sum(dim=0) / len(some)
            reach = max(
                float((block.double() - self._centre).abs().max())
                for block in some.split(_rows(some))
            )
            self._scale = 1 / reach if reach > 0 else 1.0
        centres = faiss.IndexFlatL2(d)
        self._index = faiss.IndexIVFScalarQuantizer(centres, d, self.cells, kind, faiss.METRIC_L2)
        # Direct codes are of values, not of what they are away from a cell's centre.
        self._index.by_residual = references.is_floating_point()
        self._index.cp.seed = derive(seed, "cells") % (1 << 31)
        self._index.cp.niter = _ROUNDS
        # Fewer are learned from than faiss would warn of where there are no more.
        self._index.cp.min_points_per_centroid = 1
        self._index.train(self._single(some))
        for block in references.split(_rows(references)):
            self._index.add(self._single(block))

    def nearest(self, queries: Tensor, k: int) -> TopK:
        """Return the k nearest candidates of each query by float64 differences."""
        self._index.nprobe = self.probed
        count = min(len(self._references), k + _MARGIN)
        _, labels = self._index.search(self._single(queries), count)
        columns: Int64[Tensor, "queries count"] = torch.from_numpy(labels).sort(dim=1).values
        row, place = (columns >= 0).nonzero(as_tuple=True)
        squared: Float64[Tensor, "queries count"] = torch.full(
            columns.shape, torch.inf, dtype=torch.float64
        )
        squared[row, place] = squared_distances(queries, self._references, row, columns[row, place])
        squared, order = squared.sort(dim=1, stable=True)
        return TopK(squared[:, :k].sqrt(), columns.gather(1, order)[:, :k])

    def _single(self, rows: Tensor) -> NDArray[np.float32]:
        if not rows.is_floating_point():
            return rows.float().numpy()
        return ((rows.double() - self._centre) * self._scale).float().numpy()


def _without(
    found: TopK,
    own: Int64[Tensor, " queries"],
    others: Int64[Tensor, " references"],
    k: int,
) -> TopK:
    """Return the k nearest found whose label is not the query's."""
    passed = others[found.indices.clamp_min(0)] == own[:, None]
    distances = found.distances.masked_fill(passed, torch.inf)
    indices = found.indices.masked_fill(passed, -1)
    order = distances.argsort(dim=1, stable=True)[:, :k]
    return TopK(distances.gather(1, order), indices.gather(1, order))


def _rows(images: Tensor) -> int:
    """Return how many rows to turn into other types at a time."""
    return max(1, _BLOCK_BYTES // (8 * images.shape[1]))


def _check_finite(queries: Tensor) -> None:
    """Name the first query that is not finite, which a sample would give another number."""
    if not queries.is_floating_point():
        return
    flat = queries.detach().reshape(len(queries), -1)
    for start in range(0, len(flat), _rows(flat)):
        wrong = ~(flat[start : start + _rows(flat)].abs() < 1e150).all(dim=1)
        if bool(wrong.any()):
            raise DataError(
                f"row {start + int(wrong.int().argmax())} of the queries holds NaN, an infinity or "
                "a value past 1e150",
                hint="leave it out, or look at how it was made",
            )


@contextmanager
def _threads(faiss: Any) -> Iterator[None]:
    """Let faiss take as many threads as torch does."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(torch.get_num_threads())
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _faiss() -> Any:
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise ConfigError(
            "approximate neighbours need faiss, which is not installed",
            hint='pip install "ecotone[faiss]"',
        ) from error
