"""Time the search for the two nearest images against other ways to it, side by side.

All variants run in turn within one process, so that what else the machine does falls on all of
them; medians over the rounds are printed, with ratios to a bare float32 matrix product and to
faiss.

    python benchmarks/neighbours.py            2,000 × 10,000 and × 50,000 images of 3,072 values
    python benchmarks/neighbours.py --quick    sizes that take seconds
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from ecotone.measures import nearest

try:
    import faiss
except ImportError:
    faiss = None

COPIES = 50
"""Queries that are exact copies of a reference."""
CHECKED = 100
"""Queries whose two nearest are held against float64 differences with every reference."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small sizes, for a first look")
    parser.add_argument("--rounds", type=int, default=5, help="times each variant runs")
    parser.add_argument("--threads", type=int, default=2, help="threads for every variant")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    processor = torch.backends.cpu.get_cpu_capability()
    print(f"torch {torch.__version__}, {options.threads} threads, {processor}")
    if faiss is None:
        print("faiss is not installed (pip install faiss-cpu): its rows and ratios are left out")
    else:
        faiss.omp_set_num_threads(options.threads)
    d = 768 if options.quick else 3072
    for q, n in ((500, 4000),) if options.quick else ((2000, 10_000), (2000, 50_000)):
        compare(q, n, d, options.rounds)
    small(options.rounds)
    memory(*((2000, 10_000, d) if options.quick else (10_000, 50_000, d)), options.threads)


def images(q: int, n: int, d: int) -> tuple[Tensor, Tensor]:
    """Return 8-bit images with the correlations of smooth pictures, some queries being copies."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(64, d, generator=generator)
    both = torch.randn(q + n, 64, generator=generator) @ mixing
    both += 4 * torch.randn(q + n, d, generator=generator)
    eight_bit = (both * 5 + 128).round_().clamp_(0, 255).to(torch.uint8)
    queries, references = eight_bit[:q].clone(), eight_bit[q:].clone()
    queries[:COPIES] = references[torch.randperm(n, generator=generator)[:COPIES]]
    return queries, references


def compare(q: int, n: int, d: int, rounds: int) -> None:
    """Print a table for one size."""
    queries8, references8 = images(q, n, d)
    queries, references = (part.float() / 127.5 - 1 for part in (queries8, references8))
    generator = torch.Generator().manual_seed(1)
    # As samples of a model are: near the range of images, but not on its 256 values.
    samples = queries + 0.02 * torch.randn(queries.shape, generator=generator)
    samples[:COPIES] = queries[:COPIES]
    shift = 0.001 * torch.randn(references.shape, generator=generator)
    anything = references + shift
    any_queries = samples.clone()
    any_queries[:COPIES] = anything[nearest(queries[:COPIES], references, 1).indices[:, 0]]
    del shift

    product = torch.empty(q, n)
    variants: dict[str, Callable[[], object]] = {
        "matrix product alone, float32": lambda: torch.mm(queries, references.T, out=product),
        "torch.cdist + topk, batches of 64": lambda: by_cdist(queries, references),
        "scikit-learn brute": lambda: by_sklearn(queries, references),
        "ecotone, float32, 8-bit values": lambda: nearest(queries, references, 2),
        "ecotone, float32, samples to 8-bit": lambda: nearest(samples, references, 2),
        "ecotone, float32, any values": lambda: nearest(any_queries, anything, 2),
        "ecotone, uint8": lambda: nearest(queries8, references8, 2),
    }
    if faiss is not None:
        variants["faiss IndexFlatL2"] = lambda: by_faiss(queries, references)
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    bare, theirs = medians["matrix product alone, float32"], medians.get("faiss IndexFlatL2")
    print(f"\nNearest 2 of {q:,} images among {n:,}, {d:,} values each; medians of {rounds} rounds")
    print(f"{'':36}{'seconds':>9}{'× product':>11}{'× faster than faiss':>21}{'wrong':>7}")
    for name, median in medians.items():
        ratio = f"{theirs / median:.2f}" if theirs else "-"
        print(f"{name:36}{median:9.3f}{bare / median:11.2f}{ratio:>21}", end="")
        given = {
            "ecotone, float32, 8-bit values": (queries, references),
            "ecotone, float32, samples to 8-bit": (samples, references),
            "ecotone, float32, any values": (any_queries, anything),
            "ecotone, uint8": (queries8, references8),
        }.get(name)
        print("" if given is None else f"{wrong(*given):7d}")
    copies = nearest(queries[:COPIES], references, 1).distances
    print(
        f"largest distance of {COPIES} exact copies: ecotone {float(copies.max()) * 127.5:.3g}",
        end="",
    )
    found = by_cdist(queries[:COPIES], references)[0][:, 0]
    print(f", cdist {float(found.max()) * 127.5:.3g}", end="")
    if faiss is not None:
        found = by_faiss(queries[:COPIES], references)[0][:, 0]
        print(f", faiss {float(found.max()) ** 0.5 * 127.5:.3g}", end="")
    print(" (8-bit units)")


def wrong(queries: Tensor, references: Tensor) -> int:
    """Return how many of the checked queries' two nearest differ from float64 brute force."""
    rows = torch.linspace(0, len(queries) - 1, CHECKED).long()
    found = nearest(queries, references, 2)
    squared = torch.empty(CHECKED, len(references), dtype=torch.float64)
    exact = queries[rows].double()
    for start in range(0, len(references), 64):
        tile = references[start : start + 64].double()
        for row, query in enumerate(exact):
            squared[row, start : start + 64] = (tile - query).square_().sum(dim=1)
    values, order = squared.sort(dim=1, stable=True)
    same = (found.indices[rows] == order[:, :2]).all(dim=1)
    close = torch.isclose(found.distances[rows], values[:, :2].sqrt(), rtol=1e-12, atol=0)
    return int((~(same & close.all(dim=1))).sum())


def by_cdist(queries: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two nearest as published scripts find them."""
    found = [torch.cdist(part, references).topk(2, largest=False) for part in queries.split(64)]
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])


def by_sklearn(queries: Tensor, references: Tensor) -> object:
    """Return the two nearest by scikit-learn."""
    search = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(references.numpy())
    return search.kneighbors(queries.numpy())


def by_faiss(queries: Tensor, references: Tensor) -> tuple:
    """Return the two nearest by faiss, squared."""
    index = faiss.IndexFlatL2(references.shape[1])  # type: ignore[union-attr]
    index.add(references.numpy())
    return index.search(queries.numpy(), 2)


def small(rounds: int) -> None:
    """Print what a search costs that has next to nothing to do."""
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(256, 64, generator=generator)
    references = torch.randn(128, 64, generator=generator)
    times = []
    for _ in range(20 * rounds):
        start = time.perf_counter()
        nearest(queries, references, 2)
        times.append(time.perf_counter() - start)
    print(f"\nNearest 2 of 256 among 128, 64 values: {statistics.median(times) * 1e3:.2f} ms")


MEMORY = """
import sys, torch
from ecotone.measures import nearest
q, n, d, threads = map(int, sys.argv[1:])
torch.set_num_threads(threads)
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
generator = torch.Generator().manual_seed(0)
queries, references = (torch.empty(rows, d) for rows in (q, n))
for part in (*queries.split(1000), *references.split(1000)):
    part.copy_(torch.randint(0, 256, part.shape, generator=generator) / 127.5 - 1)
nearest(queries[:8], references[:8], 2)
before = peak()
nearest(queries, references, 2)
print(peak() - before)
"""


def memory(q: int, n: int, d: int, threads: int) -> None:
    """Print the peak memory of a search beyond its inputs, in a process of its own."""
    if sys.platform != "linux":
        print("peak memory is read from /proc, which is not there")
        return
    arguments = [sys.executable, "-c", MEMORY, *map(str, (q, n, d, threads))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    print(f"Peak memory beyond the inputs at {q:,} × {n:,} × {d:,}: {float(done.stdout):.0f} MB")


if __name__ == "__main__":
    main()
