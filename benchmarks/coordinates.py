"""Time the coordinates' distances against a double loop over pairs, and sampling in batches.

python benchmarks/coordinates.py            10,000 images in each set, a U-Net of width 16
python benchmarks/coordinates.py --quick    1,000 images, fewer sampler steps

The double loop would take hours; it is timed on some rows of pairs, in turn with ours, and scaled
up to all of them.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ecotone.core.seeds import torch_generator
from ecotone.denoisers.unet import unet
from ecotone.measures.coordinates import distances
from ecotone.samplers import Heun, sample

DIMENSION = 64
SHAPE = (1, 8, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small sizes, for a first look")
    parser.add_argument("--rounds", type=int, default=3, help="times each variant runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    compare_distances(1000 if options.quick else 10_000, options.rounds)
    compare_sampling(4 if options.quick else 14, options.rounds)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def double_loop(first: list[float], second: list[float], variance: float) -> float:
    """Return the sum of kernels over pairs of one coordinate, as published scripts write it."""
    total = 0.0
    for one in first:
        for two in second:
            total += math.exp(-((one - two) ** 2) / (2 * variance))
    return total


def compare_distances(n: int, rounds: int) -> None:
    """Print a table for three sets of n images: five double sums a coordinate."""
    sets = [
        torch.randn(n, DIMENSION, generator=torch_generator(0, name), dtype=torch.float64)
        for name in ("generated", "training", "original")
    ]
    column = sets[1][:, 0].tolist()
    rows = 20
    ours, loops = [], []
    for _ in range(rounds):
        named = dict(zip(("generated", "training", "original"), sets, strict=True))
        ours.append(seconds(lambda named=named: distances(**named, std=1.0)))
        loops.append(seconds(lambda: double_loop(column[:rows], column, 2 / n**2)))
    # Sums of TT, OO, GG, TG and OG; symmetric ones are looped over in full, as published.
    whole = statistics.median(loops) * (n / rows) * DIMENSION * 5
    median = statistics.median(ours)
    print(f"Distances of {n:,} images to two sets of {n:,}, {DIMENSION} coordinates, one thread")
    print(f"  ecotone      {median:12.2f} s  (median of {rounds})")
    print(f"  double loop  {whole:12.0f} s  (scaled up from {rows} rows of one sum)")
    print(f"  ratio        {whole / median:12.0f}  (target: at least 500)")


def compare_sampling(steps: int, rounds: int) -> None:
    """Print the time of 64 samples in one batch and one after another."""
    torch.manual_seed(0)
    denoiser = unet(16, attention=True, shape=SHAPE, sigma_data=0.5)
    with torch.no_grad():  # A new network's output layer is 0; off that, rounding can show.
        for parameter in denoiser.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    sampler = Heun(steps=steps, sigma_min=0.02, sigma_max=10.0)

    def draw(batch_size: int) -> Tensor:
        return sample(denoiser, sampler, seeds=range(64), shape=SHAPE, batch_size=batch_size)

    together, single = [], []
    for _ in range(rounds):
        together.append(seconds(lambda: draw(64)))
        single.append(seconds(lambda: draw(1)))
    ratio = statistics.median(single) / statistics.median(together)
    print(f"64 samples of a U-Net of width 16, Heun's method in {steps} steps, one thread")
    print(f"  in one batch       {statistics.median(together):8.2f} s  (median of {rounds})")
    print(f"  one after another  {statistics.median(single):8.2f} s")
    print(f"  ratio              {ratio:8.1f}  (target: at least 5)")
    difference = float((draw(64) - draw(1)).abs().max())
    print(f"  largest difference between the two: {difference:.1e}")


if __name__ == "__main__":
    main()
