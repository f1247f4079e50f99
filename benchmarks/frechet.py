"""Time the Fréchet distance against scipy's matrix square root, side by side.

python benchmarks/frechet.py            2,048 features of 5,120 images, and of 1,024
python benchmarks/frechet.py --quick    256 features
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy
import scipy.linalg
import torch
from torch import Tensor

from ecotone.measures.frechet import frechet_distance, root_trace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few features, for a first look")
    parser.add_argument("--rounds", type=int, default=3, help="times each variant runs")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    d = 256 if options.quick else 2048
    print(f"torch {torch.__version__}, scipy {scipy.__version__}, {options.threads} threads")
    compare_traces(d, options.rounds)
    for n, m in ((5 * d // 2, 5 * d // 2), (d // 2, 5 * d // 2), (d // 2, d // 2)):
        compare(n, m, d, options.rounds)


def features(n: int, d: int, seed: int) -> Tensor:
    """Return features whose variances fall off as those of networks do."""
    generator = torch.Generator().manual_seed(seed)
    scales = (1 + torch.arange(d, dtype=torch.float64)) ** -0.5
    rotation, _ = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
    return torch.randn(n, d, generator=generator, dtype=torch.float64) * scales @ rotation


def by_square_root(left: Tensor, right: Tensor) -> float:
    """Return the distance as published scripts compute it."""
    means = float((left.mean(dim=0) - right.mean(dim=0)).square().sum())
    one, two = (np.cov(rows.numpy(), rowvar=False) for rows in (left, right))
    root = scipy.linalg.sqrtm(one @ two)
    return means + float(np.trace(one + two - 2 * np.real(root)))


def by_nuclear_norm(left: Tensor, right: Tensor) -> float:
    """Return the distance by symmetric square roots, which singular covariances do not harm."""
    roots = []
    for rows in (left, right):
        _, values, vectors = np.linalg.svd((rows - rows.mean(dim=0)).numpy(), full_matrices=False)
        roots.append(vectors.T * values / np.sqrt(len(rows) - 1))
    means = float((left.mean(dim=0) - right.mean(dim=0)).square().sum())
    traces = sum(float((root**2).sum()) for root in roots)
    return means + traces - 2 * float(np.linalg.svd(roots[0].T @ roots[1], compute_uv=False).sum())


def compare_traces(d: int, rounds: int) -> None:
    """Print a table for the trace term alone, the covariances being there."""
    one, two = (torch.cov(features(5 * d // 2, d, seed).T) for seed in (0, 1))
    product = (one @ two).numpy()
    variants: dict[str, Callable[[], float]] = {
        "scipy.linalg.sqrtm": lambda: float(np.trace(np.real(scipy.linalg.sqrtm(product)))),
        "ecotone": lambda: root_trace(one, two) or float("nan"),
    }
    results, medians = timed(variants, rounds)
    print(f"\nTrace of the root of a product of covariances, {d:,} features; medians of {rounds}")
    print(f"{'':20}{'seconds':>9}{'× faster':>10}{'trace':>20}")
    for name, median in medians.items():
        ratio = medians["scipy.linalg.sqrtm"] / median
        print(f"{name:20}{median:9.3f}{ratio:10.1f}{results[name]:20.12g}")
    between = abs(results["ecotone"] / results["scipy.linalg.sqrtm"] - 1)
    print(f"relative difference between the two: {between:.1e}")


def timed(
    variants: dict[str, Callable[[], float]], rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Run variants in turn; return their results and the medians of their seconds."""
    results: dict[str, float] = {}
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, run in variants.items():
            start = time.perf_counter()
            results[name] = run()
            seconds.setdefault(name, []).append(time.perf_counter() - start)
    return results, {name: statistics.median(times) for name, times in seconds.items()}


def compare(n: int, m: int, d: int, rounds: int) -> None:
    """Print a table for one size."""
    left, right = features(n, d, 0), features(m, d, 1)
    regular = min(n, m) > d
    variants: dict[str, Callable[[], float]] = {
        "scipy.linalg.sqrtm": lambda: by_square_root(left, right),
        "ecotone": lambda: frechet_distance(generated=left, reference=right),
    }
    results, medians = timed(variants, rounds)
    truth = by_nuclear_norm(left, right)
    print(
        f"\nFréchet distance of {n:,} and {m:,} images, {d:,} features; medians of {rounds} rounds"
    )
    if not regular:
        print("(covariances are singular)")
    print(f"{'':20}{'seconds':>9}{'× faster':>10}{'distance':>20}{'error to SVD':>14}")
    for name, median in medians.items():
        ratio = medians["scipy.linalg.sqrtm"] / median
        error = abs(results[name] - truth) / truth
        print(f"{name:20}{median:9.3f}{ratio:10.1f}{results[name]:20.12g}{error:14.1e}")
    between = abs(results["ecotone"] / results["scipy.linalg.sqrtm"] - 1)
    print(f"relative difference between the two: {between:.1e}")


if __name__ == "__main__":
    main()
