"""Time the neighbour passes of an audit at full size, and take their peak memory.

As many generated as training images, a fifth as many held-out ones, all in uint8 and kept in
memory-mapped files. Every pass runs in a process of its own, whose peak resident memory counts the
mapped files as far as they were read; they are given beside it.

    python benchmarks/audit_size.py                    50,000 × 50,000 images of 3,072 values
    python benchmarks/audit_size.py --images 10000     fewer, for a first look

With ECOTONE_DATA set the images are those of CIFAR-10 (mirrored too, where more are asked for than
there are), and generated ones are mirrored training images with noise; else they are smooth random
images. In either case some generated images are exact copies of training images.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ecotone.core.seeds import torch_generator
from ecotone.measures import Reference
from ecotone.measures.approximate import approximate_nearest
from ecotone.measures.search import Progress

VALUES = 3072
COPIES = 50
"""Generated images that are exact copies of training images."""
BLOCK = 2000
SETS = ("training", "holdout", "generated")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=50_000, help="training and generated images")
    parser.add_argument("--listed", type=int, default=51, help="nearest training images to list")
    parser.add_argument("--threads", type=int, default=2, help="threads of every pass")
    parser.add_argument("--skip-index", action="store_true", help="leave the faiss index out")
    parser.add_argument("--pass", dest="name", choices=PASSES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.name:
        PASSES[options.name](options)
        return
    print(f"torch {torch.__version__}, {options.threads} threads", end=", ")
    print(torch.backends.cpu.get_cpu_capability(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        # In processes of their own throughout, as a child's peak memory starts from its parent's.
        for name in PASSES:
            if name == "index" and options.skip_index:
                continue
            own = ["--pass", name, "--folder", folder]
            subprocess.run([sys.executable, __file__, *sys.argv[1:], *own], check=True)


def prepare(options: argparse.Namespace) -> None:
    """Write the three sets and say what they are."""
    folder, n = options.folder, options.images
    files = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=(count, VALUES)
        )
        for name, count in zip(SETS, (n, n // 5, n), strict=True)
    }
    real = os.environ.get("ECOTONE_DATA") is not None
    blocks = cifar(n) if real else smooth(n)
    for name, start, images in blocks:
        files[name][start : start + len(images)] = images.numpy()
    training, generated = files["training"], files["generated"]
    if real:
        random = torch_generator(0, "generated")
        for start in range(0, n, BLOCK):
            images = torch.from_numpy(training[start : start + BLOCK].copy())
            flipped = images.view(-1, 3, 32, 32).flip(3).reshape(len(images), VALUES).float()
            noise = 8 * torch.randn(flipped.shape, generator=random)
            moved = (flipped + noise).round_().clamp_(0, 255).byte()
            generated[start : start + len(images)] = moved.numpy()
    step = max(1, n // COPIES)
    generated[::step] = training[::-1][::step]
    for file in files.values():
        file.flush()
    source = "CIFAR-10" if real else "smooth random images"
    size = sum(file.nbytes for file in files.values()) / 2**20
    print(
        f"{n:,} training and generated images, {n // 5:,} held out: {source}, {VALUES:,} values "
        f"each, {size:,.0f} MB",
        flush=True,
    )


def smooth(n: int) -> Iterator[tuple[str, int, Tensor]]:
    """Yield 8-bit images with the correlations of smooth pictures, by blocks."""
    mixing = torch.randn(64, VALUES, generator=torch_generator(0, "mixing"))
    for name, count in zip(SETS, (n, n // 5, n), strict=True):
        random = torch_generator(0, name)
        for start in range(0, count, BLOCK):
            size = min(BLOCK, count - start)
            images = torch.randn(size, 64, generator=random) @ mixing
            images += 4 * torch.randn(size, VALUES, generator=random)
            yield name, start, (images * 5 + 128).round_().clamp_(0, 255).byte()


def cifar(n: int) -> Iterator[tuple[str, int, Tensor]]:
    """Yield training and held-out images of CIFAR-10, and mirrored ones after the last."""
    from ecotone.populations import POPULATIONS

    split = POPULATIONS.create("cifar10", {}).split(40_000, 10_000, seed=0)
    for name, images, count in (
        ("training", split.training, n),
        ("holdout", split.holdout, n // 5),
    ):
        for start in range(0, count, BLOCK):
            places = torch.arange(start, min(start + BLOCK, count))
            block = images[places % len(images)]
            mirrored = (places // len(images) % 2 == 1)[:, None, None, None]
            block = torch.where(mirrored, block.flip(3), block)
            yield name, start, ((block + 1) * 127.5).round_().byte().flatten(1)


def opened(folder: Path) -> list[Tensor]:
    """Return the sets, mapped; copy-on-write, as torch warns of arrays that it may not write to."""
    return [torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="c")) for name in SETS]


def exact(options: argparse.Namespace) -> None:
    """Run the passes of an audit."""
    training, holdout, generated = opened(options.folder)
    start = time.perf_counter()
    reference = Reference(
        training=training, holdout=holdout, listed=options.listed, progress=shown("reference")
    )
    report("training to training, holdout to training", start)
    start = time.perf_counter()
    found = reference.neighbours(generated, progress=shown("generated"))
    report("generated to training, generated to holdout", start)
    copies = int((found.generated.distance == 0).sum())
    distinct = reference.how["distinct_training_images"]
    print(f"  exact copies found: {copies}; distinct training images: {distinct:,}")


def index(options: argparse.Namespace) -> None:
    """Find the same neighbours of generated images by an index."""
    training, _, generated = opened(options.folder)
    start = time.perf_counter()
    found, recall = approximate_nearest(
        generated, training, options.listed, seed=0, progress=shown("index")
    )
    report("generated to training by a faiss index", start)
    copies = int((found.distances[:, 0] == 0).sum())
    told = {key: recall.how[key] for key in ("cells", "cells_looked_in")}
    print(f"  recall@1 {recall}, {told}; exact copies found: {copies}")


def report(what: str, start: float) -> None:
    """Print the time since, and the peak memory of this process so far."""
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if sys.platform == "darwin":
        peak /= 1024  # Counted in bytes there.
    print(f"{what:46}{seconds:9.1f} s   peak {peak:7,.0f} MB", flush=True)


def shown(what: str) -> Progress:
    """Return a function that prints progress on a terminal, and is silent elsewhere."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\r" if done < total else "\r\033[K"
            print(f"{what} {done / total:4.0%}", end=end, file=sys.stderr, flush=True)

    return show


PASSES = {"prepare": prepare, "exact": exact, "index": index}

if __name__ == "__main__":
    main()
