"""Time an audit and what it is made of, beside other ways of having the same.

2,000 generated images against 10,000 training and 10,000 held-out ones, CIFAR-10's where
ECOTONE_DATA is set and smooth random images of its size elsewhere. Every way is given the same
numbers in one process; medians over the rounds are printed.

    python benchmarks/audit.py            the sizes above
    python benchmarks/audit.py --quick    a tenth of each
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from prdc import compute_prdc
from scipy.linalg import sqrtm
from sklearn.metrics.pairwise import polynomial_kernel
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

import ecotone
from ecotone.auditing.measuring import FAR, NEAR, evidence_of
from ecotone.auditing.space import space_for
from ecotone.measures import MEASURES, Evidence, nearest
from ecotone.measures.subsets import shuffled
from ecotone.populations import POPULATIONS

try:
    import faiss
except ImportError:
    faiss = None

COPIES = 100


class Sets(NamedTuple):
    """Images of 8 bits."""

    generated: Tensor
    training: Tensor
    holdout: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a tenth of the images")
    parser.add_argument("--rounds", type=int, default=3, help="times each way runs")
    parser.add_argument("--threads", type=int, default=2, help="threads for every way")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if faiss is not None:
        faiss.omp_set_num_threads(options.threads)
    scale = 10 if options.quick else 1
    sets = images(2000 // scale, 10_000 // scale, 10_000 // scale)
    print(
        f"{len(sets.generated):,} generated, {len(sets.training):,} training, "
        f"{len(sets.holdout):,} held out, {sets.training[0].numel():,} values each; "
        f"{options.threads} threads, medians of {options.rounds} rounds"
    )
    whole = timed(lambda: ecotone.audit(**sets._asdict()), options.rounds)
    print(f"\nThe whole audit, mirror images counting as the same: {whole:.1f} s")
    print("\nCost by measure, s")
    evidence = gathered(sets)
    of_pass = timed(lambda: gathered(sets), options.rounds)
    print(f"  {'neighbours of all sets (51 each)':42}{of_pass:8.2f}")
    for name in (*NEAR, *FAR):
        fresh = timed(lambda name=name: MEASURES.find(name)(evidence), options.rounds)
        print(f"  {name:42}{fresh:8.2f}")
    print("\nThe same by other means, s (and how many times ours is as fast)")
    for title, ours, theirs in ways(sets, evidence):
        own = timed(ours, options.rounds)
        print(f"  {title:42}{own:8.2f}")
        for name, way in theirs.items():
            other = timed(way, options.rounds)
            print(f"    {name:40}{other:8.2f}  ({other / own:.1f}×)")


def images(generated: int, training: int, holdout: int) -> Sets:
    """Return images of which some generated ones are copies."""
    total = generated + training + holdout
    if os.environ.get("ECOTONE_DATA"):
        drawn = POPULATIONS.create("cifar10", {}).draw(total, seed=0)
    else:
        random = torch.Generator().manual_seed(0)
        mixing = torch.randn(64, 3 * 32 * 32, generator=random)
        drawn = (torch.randn(total, 64, generator=random) @ mixing / 40).reshape(-1, 3, 32, 32)
    eight_bit = ((drawn.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    own, ours, theirs = eight_bit.split((generated, training, holdout))
    own = own.clone()
    own[: min(COPIES, len(own) // 10)] = ours[: min(COPIES, len(own) // 10)]
    return Sets(own, ours, theirs)


def gathered(sets: Sets) -> Evidence:
    """Return evidence on the sets, as the audit has it, in pixels without mirroring."""
    space = space_for(None, real=(sets.training, sets.holdout), value_range=(0.0, 255.0))
    found = evidence_of(**sets._asdict(), space=space, seed=0, told=untold, what="")
    return found.evidence


def untold(*_: object) -> None:
    """Tell nobody of progress."""


def ways(
    sets: Sets, evidence: Evidence
) -> list[tuple[str, Callable[[], object], dict[str, Callable[[], object]]]]:
    """Return what is compared: ours, and others' by name."""
    flat = [images.reshape(len(images), -1).float() for images in sets]
    generated, training, _ = (rows.numpy() for rows in flat)
    features = {
        name: evidence.features(images).numpy()
        for name, images in zip(("g", "t", "h"), sets, strict=True)
    }
    order = shuffled(sets.training, 0, "fidelity")
    size = min(len(sets.training), len(sets.holdout))
    real = features["h"][order[:size].numpy() % len(features["h"])]
    near: dict[str, Callable[[], object]] = {
        "scikit-learn, brute": lambda: by_sklearn(generated, training),
    }
    if faiss is not None:
        near["faiss, IndexFlatL2"] = lambda: by_faiss(generated, training)
    support, fidelity = MEASURES.find("support"), MEASURES.find("fidelity")
    return [
        ("nearest 4 of every generated image", lambda: nearest(sets[0], sets[1], 4), near),
        (
            "precision, recall, density, coverage",
            lambda: support(evidence),
            {"prdc (a value, no interval)": lambda: compute_prdc(real, features["g"], 5)},
        ),
        (
            "Fréchet and KID, five with intervals",
            lambda: fidelity(evidence),
            {
                "scipy's square root and a kernel of scikit-learn, no interval": lambda: (
                    by_square_root(features["g"], real),
                    by_kernel(features["g"], real),
                )
            },
        ),
    ]


def by_sklearn(queries: np.ndarray, references: np.ndarray) -> object:
    return NearestNeighbors(n_neighbors=4, algorithm="brute").fit(references).kneighbors(queries)


def by_faiss(queries: np.ndarray, references: np.ndarray) -> object:
    assert faiss is not None
    index = faiss.IndexFlatL2(references.shape[1])
    index.add(references)
    return index.search(queries, 4)


def by_square_root(left: np.ndarray, right: np.ndarray) -> float:
    ours, theirs = np.cov(left.T), np.cov(right.T)
    gap = left.mean(0) - right.mean(0)
    return float(gap @ gap + np.trace(ours + theirs - 2 * np.real(sqrtm(ours @ theirs))))


def by_kernel(left: np.ndarray, right: np.ndarray) -> float:
    def mean(first: np.ndarray, second: np.ndarray, own: bool) -> float:
        kernel = polynomial_kernel(first, second, degree=3, coef0=1)
        n = len(first)
        return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)) if own else kernel.mean())

    return mean(left, left, True) + mean(right, right, True) - 2 * mean(left, right, False)


def timed(run: Callable[[], object], rounds: int) -> float:
    """Return the median of some runs, in seconds."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
