"""What the study costs on top of training.

    python benchmarks/training.py [--steps 400] [--repeats 3]

Steps per second of a study's run (EMA, seeds, records, events and all, without the measuring)
beside a bare PyTorch loop on the same model, in turn within one process; and four runs with
``--workers 2`` beside one after another, as whole processes in turn.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from ecotone.denoisers import MODELS
from ecotone.populations import POPULATIONS
from ecotone.studies import Event, RunConfig, execute_run, load_design
from ecotone.studies.run import split_of
from ecotone.studies.store import RunFolder

CHUNK = 40


def bare(model: nn.Module, data: Tensor, batch_size: int, sigma_data: float) -> Iterator[None]:
    """Train as one would by hand: the same objective, optimizer and clipping; nothing else."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.99), fused=True)
    model.train()
    while True:
        clean = data[torch.randint(len(data), (batch_size,))]
        sigma = (torch.randn(batch_size) * 1.2 - 1.2).exp()
        level = sigma.view(-1, 1, 1, 1)
        error = model(clean + level * torch.randn_like(clean), sigma) - clean
        weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
        loss = (weight * error.square().flatten(1).mean(1)).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        yield


def chunk_seconds(events: Iterator[Event]) -> float:
    """Advance a run by a chunk of steps that holds no measurement; return how long it took."""
    while True:
        start, first = time.perf_counter(), None
        for event in events:
            if event.kind != "step":
                break  # measuring or starting: begin the chunk again
            if first is None:
                start, first = time.perf_counter(), event.step
            elif event.step - first >= CHUNK:
                return (time.perf_counter() - start) / (event.step - first)
        else:
            raise RuntimeError("the run ended before enough chunks were timed")


def loop_against_bare() -> None:
    torch.set_num_threads(1)
    steps = 200 + 50 * CHUNK
    # Measured seldom; the chunks that are timed hold no measurement.
    design = load_design("digits", ["n=64", f"training.steps={steps}", f"monitor.first={steps}"])
    config = design.cells[0].config
    assert isinstance(config, RunConfig)
    population = POPULATIONS.create("digits", {})
    training = split_of(config, population).training
    sigma_data = float(training.std())
    options = {"shape": (1, 8, 8), "sigma_data": sigma_data}
    model = MODELS.create(config.model.kind, config.model.options, **options)
    by_hand = bare(model, training, config.training.batch_size, sigma_data)
    with tempfile.TemporaryDirectory() as folder:
        events = execute_run(config, RunFolder(Path(folder) / "run"))
        ours, theirs = [], []
        for _ in range(15):
            ours.append(chunk_seconds(events))
            start = time.perf_counter()
            for _ in range(CHUNK):
                next(by_hand)
            theirs.append((time.perf_counter() - start) / CHUNK)
        events.close()
    ratio = statistics.median(b / a for a, b in zip(ours[1:], theirs[1:], strict=True))
    print("Training steps per second, U-Net of width 16 on 8×8 images, batch 32, one thread")
    print(f"  a study's run   {1 / statistics.median(ours[1:]):6.1f}")
    print(f"  bare PyTorch    {1 / statistics.median(theirs[1:]):6.1f}")
    print(f"  ratio           {ratio:6.2f}  (target: at least 0.9)")


def workers(steps: int, repeats: int) -> None:
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for count, spent in seconds.items():
            with tempfile.TemporaryDirectory() as folder:
                command = [str(Path(sys.executable).with_name("ecotone")), "study", "digits"]
                command += ["--out", folder, "--workers", str(count)]
                command += ["--set", f"training.steps={steps}"]
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                spent.append(time.perf_counter() - start)
    ratio = statistics.median(a / b for a, b in zip(seconds[1], seconds[2], strict=True))
    print(f"Four runs of {steps} steps, whole study, seconds")
    print(f"  one after another  {statistics.median(seconds[1]):6.1f}")
    print(f"  --workers 2        {statistics.median(seconds[2]):6.1f}")
    print(f"  ratio              {ratio:6.2f}  (target: at least 1.2)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    loop_against_bare()
    workers(arguments.steps, arguments.repeats)


if __name__ == "__main__":
    main()
