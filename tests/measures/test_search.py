from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecotone.core import DataError
from ecotone.measures import products, search, tiles
from ecotone.measures.search import nearest, within


def brute_force(queries: Tensor, references: Tensor, k: int) -> tuple[Tensor, Tensor]:
    queries, references = queries.flatten(1).double(), references.flatten(1).double()
    squared = torch.stack([(row - references).square().sum(dim=1) for row in queries])
    values, order = squared.sort(dim=1, stable=True)
    return values[:, :k].sqrt(), order[:, :k]


@pytest.fixture(params=["float32 first", "8 bits first", "no 8 bits", "low precision"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every way a search can go; the result must be the same."""
    if request.param == "8 bits first":
        monkeypatch.setattr(search, "_TRIAL_WORK", 0)
        monkeypatch.setattr(search, "_pays", lambda *_: True)
    if request.param == "no 8 bits":
        monkeypatch.setattr(products, "_int_mm", None)
        products._int_mm_works.cache_clear()
    if request.param == "low precision":
        torch.set_float32_matmul_precision("medium")
    yield request.param
    torch.set_float32_matmul_precision("highest")
    monkeypatch.undo()
    products._int_mm_works.cache_clear()


def _normal(scale: float = 1.0, offset: float = 0.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(5)
    queries = torch.randn(60, 48, generator=generator, dtype=dtype) * scale + offset
    references = torch.randn(3000, 48, generator=generator, dtype=dtype) * scale + offset
    return queries, references


def _few_values():
    generator = torch.Generator().manual_seed(6)
    queries = torch.randint(0, 3, (60, 6), generator=generator)
    return queries.float(), torch.randint(0, 3, (3000, 6), generator=generator).float()


def _copies_among_images():
    generator = torch.Generator().manual_seed(7)
    references = torch.randint(0, 256, (3000, 3, 4, 4), generator=generator, dtype=torch.uint8)
    queries = torch.randint(0, 256, (60, 3, 4, 4), generator=generator, dtype=torch.uint8)
    queries[:30] = references[1000:1030]
    references[2000:2040] = references[1000]
    return queries, references


def _scaled_images():
    queries, references = _copies_among_images()
    return queries.float() / 127.5 - 1, references.float() / 127.5 - 1


SETS = {
    "normal": _normal,
    "far from the origin": lambda: _normal(offset=1e4),
    "crowded, far from the origin": lambda: _normal(scale=1e-3, offset=100.0),
    "minute": lambda: _normal(scale=1e-25),
    "vast": lambda: _normal(scale=1e25),
    "float64": lambda: _normal(dtype=torch.float64),
    "float64 below float32": lambda: _normal(scale=1e-60, dtype=torch.float64),
    "float64 above float32": lambda: _normal(scale=1e100, dtype=torch.float64),
    "few values, many ties": _few_values,
    "few values in uint8": lambda: tuple(images.byte() for images in _few_values()),
    "uint8 with copies": _copies_among_images,
    "8-bit images as floats": _scaled_images,
    "all equal": lambda: (torch.ones(5, 7), torch.ones(400, 7)),
    "rows of one value": lambda: tuple(images[:, :1].byte() for images in _few_values()),
    "one reference": lambda: (torch.randn(5, 7), torch.randn(1, 7)),
}


@pytest.mark.parametrize("name", SETS)
def test_it_is_brute_force_in_float64(name: str, path: str) -> None:
    queries, references = SETS[name]()
    before = queries.clone(), references.clone()
    k = min(3, len(references))
    found = nearest(queries, references, k)
    distances, indices = brute_force(queries, references, k)
    assert torch.equal(found.indices, indices)
    torch.testing.assert_close(found.distances, distances, rtol=1e-12, atol=0.0)
    assert torch.equal(queries, before[0])
    assert torch.equal(references, before[1])


@given(
    st.integers(1, 12),
    st.integers(1, 90),
    st.integers(1, 6),
    st.integers(0, 2**20),
    st.sampled_from([torch.float32, torch.float64, torch.uint8]),
)
@settings(max_examples=25, deadline=None)
def test_small_sets_with_ties_are_brute_force_too(b, n, d, seed, dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randint(0, 4, (b, d), generator=generator).to(dtype)
    references = torch.randint(0, 4, (n, d), generator=generator).to(dtype)
    k = 1 + seed % n
    found = nearest(queries, references, k)
    distances, indices = brute_force(queries, references, k)
    assert torch.equal(found.indices, indices)
    torch.testing.assert_close(found.distances, distances)


def test_tiles_and_blocks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "_TILE_BYTES", 1 << 14)
    monkeypatch.setattr(search, "_QUERY_ROWS", 7)
    for queries, references in (_normal(), _few_values(), _copies_among_images()):
        found = nearest(queries, references, 4)
        assert torch.equal(found.indices, brute_force(queries, references, 4)[1])


def test_exact_copies_are_at_distance_zero() -> None:
    _, references = _normal(offset=300.0)
    found = nearest(references[100:200], references, 1)
    assert torch.equal(found.indices[:, 0], torch.arange(100, 200))
    assert (found.distances == 0).all()


def test_references_with_the_label_of_the_query_are_passed_over(path: str) -> None:
    _, references = _normal()
    labels = torch.arange(len(references)) // 10
    queries = references[:50]
    found = nearest(queries, references, 2, passing_over=(labels[:50], labels))
    for row in range(50):
        others = (labels != labels[row]).nonzero()[:, 0]
        _, expected = brute_force(queries[row : row + 1], references[others], 2)
        assert torch.equal(found.indices[row], others[expected[0]])


def test_where_fewer_than_k_are_left_the_rest_is_marked(path: str) -> None:
    points = torch.arange(4.0)[:, None]
    labels = torch.tensor([0, 0, 0, 1])
    found = nearest(points, points, 3, passing_over=(labels, labels))
    assert found.indices.tolist() == [[3, -1, -1], [3, -1, -1], [3, -1, -1], [2, 1, 0]]
    assert found.distances[0, 0] == 3
    assert torch.isinf(found.distances[0, 1:]).all()


def test_within_finds_every_pair_once() -> None:
    queries, references = _few_values()
    found = [
        (int(row), int(column))
        for pairs in within(queries, references, 2.0)
        for row, column in zip(pairs.rows, pairs.columns, strict=True)
    ]
    near = (queries[:, None] - references).square().sum(-1) <= 4
    assert sorted(found) == [tuple(pair) for pair in near.nonzero().tolist()]


def test_progress_ends_when_the_work_does() -> None:
    seen: list[tuple[int, int]] = []
    queries, references = _few_values()
    nearest(queries, references, 2, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(queries) * len(references),) * 2
    assert seen == sorted(seen)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e200])
def test_values_that_are_not_finite_are_named(value: float) -> None:
    images = torch.zeros(5, 2, 2, dtype=torch.float64)
    wrong = images.clone()
    wrong[3, 1, 0] = value
    with pytest.raises(DataError, match="row 3 of the references"):
        nearest(images, wrong, 1)
    with pytest.raises(DataError, match="row 3 of the queries"):
        nearest(wrong, images, 1)


@pytest.mark.parametrize(
    ("queries", "references", "k", "told"),
    [
        (torch.zeros(2, 3), torch.zeros(2, 4), 1, r"\(3,\) have no distance"),
        (torch.zeros(2, 3), torch.zeros(2, 3), 3, "the 3 nearest of 2"),
        (torch.zeros(2, 3), torch.zeros(2, 3), 0, "the 0 nearest of 2"),
        (torch.zeros(0, 3), torch.zeros(2, 3), 1, "the queries are empty"),
        (torch.zeros(2, 3), torch.zeros(0, 3), 1, "the references are empty"),
        (torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.uint8), 1, "different scales"),
        (torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.int64), 1, "hold torch.int64"),
    ],
)
def test_what_cannot_be_searched_is_said(queries, references, k, told) -> None:
    with pytest.raises(DataError, match=told):
        nearest(queries, references, k)


def test_rounding_to_8_bits_is_left_alone_where_it_does_not_pay() -> None:
    generator = torch.Generator().manual_seed(8)
    # One outlier makes the 256 steps so wide that all other images fall on the same few.
    references = torch.randn(5000, 30, generator=generator)
    references[0] = 1e4
    queries = torch.randn(100, 30, generator=generator)
    assert not search._pays(products.EightBit.spanning(references), queries, references, 2)
    images = torch.randint(0, 256, (5000, 30), generator=generator).float()
    assert search._pays(products.EightBit.spanning(images), images[:100] + 0.0, images, 2)


def test_a_small_search_takes_about_a_millisecond() -> None:
    generator = torch.Generator().manual_seed(9)
    queries = torch.randn(256, 64, generator=generator)
    references = torch.randn(128, 64, generator=generator)
    nearest(queries, references, 2)
    times = []
    for _ in range(30):
        start = time.process_time()
        nearest(queries, references, 2)
        times.append(time.process_time() - start)
    # Five times what it takes with shapes checked at run time, on a machine with other work.
    assert min(times) < 0.01


MEMORY = """
import torch
from ecotone.measures import nearest
torch.set_num_threads(1)
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
queries = torch.rand(1500, 1024)
references = torch.rand(40_000, 1024)
nearest(queries[:5], references[:5], 1)
before = peak()
nearest(queries, references, 2)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_bounded_by_tiles() -> None:
    # All scores together would take 240 MB, a float64 copy of the references 328 MB.
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=120
    )
    assert float(done.stdout) < 200
