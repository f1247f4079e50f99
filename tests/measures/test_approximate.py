from __future__ import annotations

import os
import sys

import pytest
import torch
from torch import Tensor

from ecotone.core import ConfigError, DataError
from ecotone.measures.approximate import approximate_nearest
from ecotone.measures.search import nearest

try:
    import faiss
except ImportError:
    if os.environ.get("ECOTONE_REQUIRE_EXTRAS") == "1":
        raise
    faiss = None

needs_faiss = pytest.mark.skipif(faiss is None, reason='pip install "ecotone[faiss]"')


def clouds(n: int, d: int = 16, seed: int = 0) -> Tensor:
    """Return points around a few hundred centres, as features of images are."""
    centres = torch.randn(200, d, generator=torch.Generator().manual_seed(99)) * 3
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(200, (n,), generator=generator)
    return centres[chosen] + torch.randn(n, d, generator=generator)


def eight_bit(n: int, seed: int = 0) -> Tensor:
    return (clouds(n, seed=seed) * 12 + 128).round().clamp(0, 255).byte().view(n, 1, 4, 4)


SETS = {
    "float32": lambda: (clouds(400, seed=1), clouds(6000)),
    "float64, far from the origin": lambda: (
        clouds(400, seed=1).double() + 1e7,
        clouds(6000).double() + 1e7,
    ),
    "vast": lambda: (clouds(400, seed=1).double() * 1e60, clouds(6000).double() * 1e60),
    "uint8": lambda: (eight_bit(400, seed=1), eight_bit(6000)),
    "few": lambda: (clouds(9, seed=1), clouds(30)),
    "all equal": lambda: (torch.ones(20, 3), torch.ones(200, 3)),
}


@needs_faiss
@pytest.mark.parametrize("name", SETS)
def test_most_are_the_nearest_and_the_distances_of_all_are_exact(name: str) -> None:
    queries, references = SETS[name]()
    before = queries.clone(), references.clone()
    found, recall = approximate_nearest(queries, references, 3, seed=0)
    exact = nearest(queries, references, 3)
    same = found.distances[:, 0] == exact.distances[:, 0]
    assert float(same.double().mean()) > 0.97
    rows = queries.flatten(1).double()
    pairs = references.flatten(1).double()[found.indices]
    own = torch.linalg.vector_norm(rows[:, None] - pairs, dim=2)
    torch.testing.assert_close(found.distances, own, rtol=1e-12, atol=0.0)
    assert (found.distances.diff(dim=1) >= 0).all()
    assert recall.low is not None
    assert recall.high is not None
    assert recall.low <= recall.value <= recall.high
    assert torch.equal(queries, before[0])
    assert torch.equal(references, before[1])


@needs_faiss
def test_where_all_cells_are_looked_in_it_is_the_exact_search() -> None:
    queries, references = clouds(100, seed=1), clouds(3000)
    found, recall = approximate_nearest(queries, references, 2, seed=0, recall=1.0)
    if recall.how["cells_looked_in"] == recall.how["cells"]:
        assert torch.equal(found.indices, nearest(queries, references, 2).indices)
    # 30 references make no more than one cell.
    few, recall = approximate_nearest(queries, references[:30], 2, seed=0)
    assert recall.how["cells"] == 1
    assert torch.equal(few.indices, nearest(queries, references[:30], 2).indices)


@needs_faiss
@pytest.mark.parametrize("kind", [clouds, eight_bit])
def test_copies_are_found_at_distance_zero(kind) -> None:
    references = kind(6000)
    found, recall = approximate_nearest(references[1000:1200], references, 1, seed=0)
    assert (found.distances == 0).all()
    assert recall.value == 1


@needs_faiss
def test_recall_is_what_it_is_said_to_be() -> None:
    queries, references = torch.randn(2000, 24), torch.randn(8000, 24)
    found, recall = approximate_nearest(queries, references, 1, seed=0, recall=0.8)
    assert recall.n == 500
    assert recall.low is not None
    assert recall.high is not None
    truth = nearest(queries, references, 1).distances
    share = float((found.distances == truth).double().mean())
    assert recall.low - 0.02 <= share <= recall.high + 0.02
    assert share < 1
    better = approximate_nearest(queries, references, 1, seed=0, recall=0.99)[1]
    assert better.value > recall.value
    assert better.how["cells_looked_in"] > recall.how["cells_looked_in"]  # type: ignore[operator]


@needs_faiss
def test_it_repeats_in_any_order_of_either_set() -> None:
    queries, references = clouds(300, seed=1), clouds(5000)
    found, recall = approximate_nearest(queries, references, 2, seed=0)
    assert approximate_nearest(queries, references, 2, seed=0)[1] == recall
    order = torch.randperm(5000, generator=torch.Generator().manual_seed(0))
    again, same = approximate_nearest(queries.flip(0), references[order], 2, seed=0)
    assert same == recall
    assert torch.equal(again.distances.flip(0), found.distances)
    assert torch.equal(order[again.indices.flip(0)], found.indices)


@needs_faiss
def test_threads_are_torchs_and_left_as_they_were() -> None:
    assert faiss is not None
    faiss.omp_set_num_threads(2)
    approximate_nearest(clouds(50, seed=1), clouds(500), 1, seed=0)
    assert faiss.omp_get_max_threads() == 2


@needs_faiss
def test_progress_ends_with_the_last_query() -> None:
    seen: list[tuple[int, int]] = []
    approximate_nearest(
        clouds(50, seed=1), clouds(500), 1, seed=0, progress=lambda *done: seen.append(done)
    )
    assert seen[-1] == (50, 50)


@needs_faiss
@pytest.mark.parametrize(
    ("queries", "references", "k", "told"),
    [
        (torch.zeros(2, 3), torch.zeros(2, 4), 1, r"\(3,\) have no distance"),
        (torch.zeros(2, 3), torch.zeros(2, 3), 3, "the 3 nearest of 2"),
        (torch.zeros(0, 3), torch.zeros(2, 3), 1, "the queries are empty"),
        (torch.zeros(2, 3), torch.zeros(0, 3), 1, "the references are empty"),
        (torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.uint8), 1, "different scales"),
        (torch.tensor([[0.0], [torch.nan]]), torch.zeros(2, 1), 1, "row 1 of the queries"),
        (torch.zeros(2, 1), torch.tensor([[0.0], [torch.inf]]), 1, "row 1 of the references"),
    ],
)
def test_what_cannot_be_searched_is_said(queries, references, k, told) -> None:
    with pytest.raises(DataError, match=told):
        approximate_nearest(queries, references, k, seed=0)


@needs_faiss
@pytest.mark.parametrize("wrong", [{"recall": 0.0}, {"recall": 1.5}, {"recall_sample": 1}])
def test_what_cannot_be_asked_for_is_said(wrong) -> None:
    with pytest.raises(ConfigError, match="cannot be asked for"):
        approximate_nearest(torch.zeros(5, 2), torch.zeros(5, 2), 1, seed=0, **wrong)


def test_without_faiss_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ConfigError, match=r'pip install "ecotone\[faiss\]"'):
        approximate_nearest(torch.zeros(5, 2), torch.zeros(5, 2), 1, seed=0)
