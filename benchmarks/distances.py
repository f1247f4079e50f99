"""Time the squared distances of one linear model against their published formulas, side by side.

python benchmarks/distances.py            75 training and 10,000 original points, 100 dimensions
python benchmarks/distances.py --quick    75 and 1,000
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecotone.measures.delta import delta
from ecotone.measures.densities import KernelDensity
from ecotone.measures.pair_sums import PairSum
from ecotone.populations.normal import Normal

NOISE = 1 - math.exp(-4)
"""Variance of the forward process at time 2, and e^−2 the factor of the signal."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="few points, for a first look")
    parser.add_argument("--rounds", type=int, default=5, help="times ours runs; the other once")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, numpy {np.__version__}, {options.threads} thread(s)")
    n, d = (1000 if options.quick else 10_000), 100
    compare_cells(n, 75, d, options.rounds)
    compare_sums(n, d, options.rounds)


def points(n: int, d: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, dtype=torch.float64, generator=generator)


def fit(training: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and map A of the one-step linear model: it generates N(mean, A Aᵀ)."""
    n, d = training.shape
    signal, noise = math.exp(-2), NOISE * math.exp(-4)
    noisy = signal * training - math.sqrt(noise) * points(n, d, 99)
    centred = noisy - noisy.mean(0), training - training.mean(0)
    slope = torch.linalg.lstsq(*centred, driver="gelsd").solution.T
    spread = signal**2 * float(training.var(0).mean()) + noise
    mean = training.mean(0) + slope @ (signal * training.mean(0) - noisy.mean(0))
    return mean, math.sqrt(spread) * slope


def as_published(mean: Tensor, root: Tensor, data: Tensor) -> float:
    """Return T2' − T3' the way the published script goes about it.

    Every pair's distance is formed in float32, in chunks, and the matrix of the quadratic form is
    inverted anew for every point.
    """
    n, d = data.shape
    variance = n ** (-2 / d)
    single = data.float()
    total = 0.0
    for chunk in single.split(500):
        exponents = torch.cdist(chunk, single).square() / (4 * variance)
        total += float(torch.exp(-exponents).sum())
    second = total / (math.sqrt(2 * math.pi) * (2 * variance) ** (d / 2) * n**2)
    centre: NDArray[np.float64] = mean.numpy()
    matrix = root.numpy().T @ root.numpy() + variance * np.eye(d)
    third = 0.0
    for point in single.numpy():
        gap = centre - point
        third += math.exp(-0.5 * float(gap @ np.linalg.inv(matrix) @ gap))
    third *= 2 / (n * math.sqrt(2 * math.pi) * math.sqrt(float(np.linalg.det(matrix))))
    return second - third


def compare_cells(original_points: int, training_points: int, d: int, rounds: int) -> None:
    """Print a table for Δ of one model: its distances to training set and original."""
    training, original = points(training_points, d, 0), points(original_points, d, 1)
    mean, root = fit(training)
    # The script's covariance is AᵀA where A Aᵀ is right; both sides take it here.
    _, values, right = torch.linalg.svd(root)
    rank = min(training_points - 1, d)
    model = Normal(mean, values[:rank].square(), right[:rank].T.contiguous())

    def published() -> float:
        return as_published(mean, root, training) - as_published(mean, root, original)

    def ours(tolerance: float) -> float:
        # New objects: nothing is had from an earlier round.
        found = delta(
            generated=[model],
            training=KernelDensity(training, std=1.0),
            original=KernelDensity(original, std=1.0),
            tolerance=tolerance,
        )
        return float(found)

    units = (4 * math.pi) ** (d / 2) / (2 * math.pi) ** ((d - 1) / 2)
    kept = KernelDensity(original, std=1.0)

    def next_model() -> float:
        small = KernelDensity(training, std=1.0)
        return float(delta(generated=[model], training=small, original=kept, tolerance=math.inf))

    variants: dict[str, Callable[[], float]] = {
        "ecotone, Δ to 1e-6": lambda: ours(1e-6),
        "ecotone, sign": lambda: ours(math.inf),
        "… same original": next_model,
    }
    results, medians = timed(variants, rounds)
    one, seconds = timed({"published": published}, 1)
    results = {"published": one["published"] * units, **results}
    medians = {**seconds, **medians}
    print(
        f"\nΔ · (4π)^(d/2), d = {d}, {training_points} training and {original_points:,} original "
        f"points; medians of {rounds}, published once"
    )
    print(f"{'':22}{'seconds':>9}{'× faster':>10}{'Δ':>16}")
    for name, median in medians.items():
        ratio = medians["published"] / median
        print(f"{name:22}{median:9.3f}{ratio:10.0f}{results[name]:16.6e}")


def compare_sums(n: int, d: int, rounds: int) -> None:
    """Print a table for R alone, in the arithmetics it may be had in."""
    data = points(n, d, 1)
    variance = n ** (-2 / d)

    def direct() -> float:
        total = 0.0
        for start in range(0, n, 500):
            squares = torch.cdist(data[start : start + 500], data).square()
            total += float(torch.exp(-squares / (4 * variance)).sum())
        return math.log((total - n) / n)

    def middle(passes: int) -> float:
        pair = PairSum(data, variance)
        for _ in range(passes):
            pair.tighten()
        widths[passes] = pair.bounds()[1] - pair.bounds()[0]
        return sum(pair.bounds()) / 2 - math.log(n)

    widths: dict[int, float] = {}
    variants: dict[str, Callable[[], float]] = {
        "torch.cdist, float64": direct,
        "ecotone, first bounds": lambda: middle(1),
        "ecotone, two passes": lambda: middle(2),
        "ecotone, exact": lambda: PairSum(data, variance).log_value - math.log(n),
    }
    results, medians = timed(variants, rounds)
    print(f"\nlog R of {n:,} points, d = {d}; medians of {rounds}")
    print(f"{'':22}{'seconds':>9}{'× faster':>10}{'log R':>12}{'±':>9}")
    wide = {"ecotone, first bounds": widths[1], "ecotone, two passes": widths[2]}
    for name, median in medians.items():
        ratio = medians["torch.cdist, float64"] / median
        half = f"{wide[name] / 2:9.1g}" if name in wide else ""
        print(f"{name:22}{median:9.3f}{ratio:10.1f}{results[name]:12.6f}{half}")


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


if __name__ == "__main__":
    main()
