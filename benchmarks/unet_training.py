"""Training a U-Net here, in diffusers' own loop, and in Lightning.

    python benchmarks/unet_training.py [--only 16x16] [--rounds N] [--same-memory] [--one-process]

Images per second of ``ecotone.training.train`` beside (a) a loop over the same UNet2DModel as
diffusers' example of unconditional image generation has it, with accelerate, and (b) Lightning's
Trainer. All of them draw batches and noise, clip gradients, take steps of AdamW and average the
weights, and each does so as it is by default: a study's process keeps freed memory
(``ecotone.core.allocator``), theirs do not unless ``--same-memory`` gives it to them. How memory
is allocated is a property of a process, so each has one of its own, unless ``--one-process`` has
them train in threads of this one and gives it to all. They take turns, a step or two each, while
the others sleep, and the ratio is the median over the rounds of the ratio within each.
On a busy machine the times of the processor, printed in brackets, say more than those of the clock.

Where the processor multiplies bfloat16, ours trains in it by itself; two more ways then tell what
float32 would give here, and what diffusers' loop makes of bfloat16.

Last (``--only monitoring``), the share of its time that a study's run spends measuring, at the
budget it has by default: in a run as long as the digits study's, where five measurements, which are
the least, take more evaluations than the budget has, and in one four times as long.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ecotone.training import multiplies_bfloat16
from turns import Answer, Ask, Process, Thread, Turn, serve

IMAGES = 2048
STEPS = 10_000  # what the schedules are told; no loop gets there


@dataclass(frozen=True)
class Case:
    """One network and how it is trained.

    Args:
        name: printed.
        width: of the U-Net.
        shape: of an image.
        batch: images a step.
        threads: of the CPU.
        chunk: steps timed at once.
        rounds: how often each way has its turn.
        device: ``"cpu"`` or ``"cuda"``.
    """

    name: str
    width: int
    shape: tuple[int, int, int]
    batch: int
    threads: int
    chunk: int
    rounds: int
    device: str = "cpu"


CPU = {
    "16x16-grey": Case("width 32, 1×16×16, batch 64, 1 thread", 32, (1, 16, 16), 64, 1, 2, 7),
    "16x16-colour": Case("width 32, 3×16×16, batch 128, 2 threads", 32, (3, 16, 16), 128, 2, 2, 7),
    "32x32-one": Case("width 64, 3×32×32, batch 64, 1 thread", 64, (3, 32, 32), 64, 1, 1, 3),
    "32x32-two": Case("width 64, 3×32×32, batch 128, 2 threads", 64, (3, 32, 32), 128, 2, 1, 3),
}
GPU = {
    "32x32-gpu": Case("width 128, 3×32×32, batch 128", 128, (3, 32, 32), 128, 2, 20, 9, "cuda"),
}


def ours(
    case: Case, *, keep: bool, precision: Literal["auto", "float32"] = "auto"
) -> Iterator[None]:
    """Train as a study's run does, in the precision that it chooses here; on a GPU, translated."""
    from ecotone.core.allocator import keep_freed_memory
    from ecotone.studies.config import Tenant
    from ecotone.studies.run_config import TrainingConfig
    from ecotone.training import TrainingState, train

    if case.device == "cpu" or keep:
        keep_freed_memory()
    plan = TrainingConfig(
        steps=STEPS,
        batch_size=case.batch,
        device=case.device,
        precision=precision,
        compile=case.device == "cuda",
    ).completed(Tenant.model_validate({"kind": "unet", "width": case.width}))
    state = TrainingState(_denoiser(case).to(case.device), plan)
    images = _images(case)
    loop = train(state, images, plan, sigma_data=0.5, seed=0, execution=plan.execution)
    for _ in loop:
        yield


def diffusers(case: Case, *, keep: bool, precision: str = "no") -> Iterator[None]:
    """Train as diffusers' example of unconditional generation does, with its defaults and EMA."""
    from accelerate import Accelerator
    from diffusers.optimization import get_scheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from diffusers.training_utils import EMAModel
    from torch.utils.data import DataLoader, TensorDataset

    if keep:
        _keep()
    accelerator = Accelerator(mixed_precision=precision, cpu=case.device == "cpu")
    network = _network(case)
    average = EMAModel(
        network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75
    )
    average.to(accelerator.device)
    noising = DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
    )
    loader = DataLoader(TensorDataset(_images(case)), batch_size=case.batch, shuffle=True)
    schedule = get_scheduler(
        "cosine", optimizer=optimizer, num_warmup_steps=500, num_training_steps=STEPS
    )
    network, optimizer, loader, schedule = accelerator.prepare(network, optimizer, loader, schedule)
    network.train()
    while True:
        for (clean,) in loader:
            noise = torch.randn_like(clean)
            times = torch.randint(0, 1000, (len(clean),), device=clean.device)
            noisy = noising.add_noise(clean, noise, times)  # type: ignore[arg-type]
            with accelerator.accumulate(network):
                predicted = network(noisy, times).sample
                loss = nn.functional.mse_loss(predicted.float(), noise.float())
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                average.step(network.parameters())
            loss.detach().item()  # shown in its progress bar
            yield


def lightning(case: Case, pause: Callable[[], None], *, keep: bool) -> None:
    """Train by Lightning's Trainer, with its own averaging of weights; calls back after steps."""
    import logging

    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.callbacks import WeightAveraging
    from torch.optim.swa_utils import get_ema_multi_avg_fn
    from torch.utils.data import DataLoader, TensorDataset

    if keep:
        _keep()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    noising = DDPMScheduler(num_train_timesteps=1000)

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = _network(case)

        def training_step(self, batch: list[Tensor]) -> Tensor:
            (clean,) = batch
            noise = torch.randn_like(clean)
            times = torch.randint(0, 1000, (len(clean),), device=clean.device)
            noisy: Any = noising.add_noise(clean, noise, times)  # type: ignore[arg-type]
            return nn.functional.mse_loss(self.network(noisy, times).sample, noise)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-4)

    class Pause(Callback):
        def on_train_batch_end(self, *_: Any, **__: Any) -> None:
            pause()

    trainer = Trainer(
        accelerator="gpu" if case.device == "cuda" else "cpu",
        devices=1,
        max_epochs=-1,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(0.9999)), Pause()],
    )
    loader = DataLoader(TensorDataset(_images(case)), batch_size=case.batch, shuffle=True)
    trainer.fit(Module(), loader)


def _denoiser(case: Case) -> Any:
    from ecotone.denoisers import MODELS

    torch.manual_seed(0)
    return MODELS.create("unet", {"width": case.width}, shape=case.shape, sigma_data=0.5)


def _network(case: Case) -> nn.Module:
    """Return a UNet2DModel of the configuration that our denoiser's has."""
    from diffusers.models.unets.unet_2d import UNet2DModel

    return UNet2DModel.from_config(_denoiser(case).network.model.config)  # type: ignore[return-value]


def _images(case: Case) -> Tensor:
    images = torch.randn(IMAGES, *case.shape, generator=torch.Generator().manual_seed(0))
    return (images / 2).clamp(-1, 1)


def _keep() -> None:
    from ecotone.core.allocator import keep_freed_memory

    keep_freed_memory()


WAYS: dict[str, str] = {
    "ecotone": "ecotone",
    "diffusers": "diffusers' loop",
    "lightning": "Lightning's Trainer",
}
# Where training chooses bfloat16: what it would do without, and the others with it.
WAYS_WITH_BFLOAT16 = {
    **WAYS,
    "ecotone-float32": "ecotone, float32",
    "diffusers-bf16": "diffusers' loop, bfloat16",
}


def train_in_turns(way: str, case: Case, keep: bool, answer: Answer, ask: Ask) -> None:
    """Train one way without end; see ``turns.Train``.

    Args:
        way: of training.
        case: what is trained.
        keep: whether the process keeps freed memory in any case.
        answer: is told how long steps took.
        ask: tells how many are next.
    """
    torch.set_num_threads(case.threads)
    left, since = 0, (0.0, 0.0)

    def pause() -> None:
        nonlocal left, since
        left -= 1
        if left > 0:
            return
        if case.device == "cuda":
            torch.cuda.synchronize()
        answer(time.perf_counter() - since[0], time.process_time() - since[1])
        left = ask()
        since = time.perf_counter(), time.process_time()

    if way == "lightning":
        lightning(case, pause, keep=keep)
    elif way.startswith("ecotone"):
        for _ in ours(case, keep=keep, precision="float32" if way.endswith("32") else "auto"):
            pause()
    else:
        for _ in diffusers(case, keep=keep, precision="bf16" if way.endswith("bf16") else "no"):
            pause()


def compare(name: str, case: Case, *, keep: bool, together: bool, rounds: int | None) -> None:
    """Let all ways take turns at one case, and print how they did."""
    ways = WAYS_WITH_BFLOAT16 if multiplies_bfloat16(case.device) else WAYS
    if together:  # accelerate has one precision in a process
        ways = {way: label for way, label in ways.items() if way != "diffusers-bf16"}
    turns: dict[str, Turn] = {}
    spent: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    try:
        for way in ways:
            if together:
                turns[way] = Thread(partial(train_in_turns, way, case, True))
                continue
            log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the benchmark
            command = [sys.executable, __file__, "--serve", way, name, *["--same-memory"] * keep]
            turns[way] = Process(command, threads=case.threads, log=log)
        for count in range(1 + (rounds or case.rounds)):
            # There and back, so that none always follows the same one.
            for way in list(ways) if count % 2 else list(ways)[::-1]:
                spent[way].append(turns[way].seconds(case.chunk))
    finally:
        for turn in turns.values():
            turn.end()
    print(f"Images per second, {case.name}")
    for way, label in ways.items():
        rate = case.batch / statistics.median(clock for clock, _ in spent[way][1:])
        told = ""
        if not way.startswith("ecotone"):
            told = "".join(_beside(spent, way, mine) for mine in ways if mine.startswith("ecotone"))
            target = {"diffusers": 1.5 if case.device == "cuda" else 1.15, "lightning": 1.1}
            told += f"  (target: {target[way]})" if way in target else ""
        print(f"  {label:24}{rate:9.1f}{told}", flush=True)


def _beside(spent: dict[str, list[tuple[float, float]]], way: str, mine: str) -> str:
    """Return how many times as fast as one way ours is, by the clock and by the processor."""
    pairs = list(zip(spent[way], spent[mine], strict=True))[1:]
    clock, processor = (statistics.median(a[k] / b[k] for a, b in pairs) for k in (0, 1))
    return f"   {mine} {clock:5.2f} times that [{processor:5.2f}]"


def monitoring(steps: int) -> None:
    """Print the share of its time that a run on digits spends measuring by default."""
    from ecotone.core.allocator import keep_freed_memory
    from ecotone.studies import execute_run, load_design, measuring_share
    from ecotone.studies.run_config import MonitorConfig
    from ecotone.studies.store import RunFolder

    keep_freed_memory()
    torch.set_num_threads(1)
    budget = MonitorConfig().share
    given = ["n=64", f"training.steps={steps}", f"monitor.share={budget}"]
    config: Any = load_design("digits", given).cells[0].config
    with tempfile.TemporaryDirectory() as out:
        for _ in execute_run(config, RunFolder(Path(out) / "runs" / "run")):
            pass
        share = measuring_share(Path(out), ["run"])
    assert share is not None
    print(f"Measuring, in a run of {steps:,} steps on digits, as a share of its time")
    print(f"  measured                {100 * share:5.1f} %")
    print(f"  budget (evaluations)    {100 * budget:5.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--rounds", type=int, help="turns of each way; the case's if absent")
    parser.add_argument("--same-memory", action="store_true", help="freed memory is kept by all")
    parser.add_argument(
        "--one-process", action="store_true", help="all in this one, which keeps freed memory"
    )
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[2500, 10_000], help="of runs that are measured"
    )
    parser.add_argument("--serve", nargs=2, metavar=("WAY", "CASE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cases = {**CPU, **(GPU if torch.cuda.is_available() else {})}
    if arguments.serve:
        way, name = arguments.serve
        serve(partial(train_in_turns, way, cases[name], arguments.same_memory))
        return
    for name, case in cases.items():
        if arguments.only in name:
            compare(
                name,
                case,
                keep=arguments.same_memory,
                together=arguments.one_process,
                rounds=arguments.rounds,
            )
    if not arguments.only or arguments.only in "monitoring":
        for steps in arguments.steps:
            monitoring(steps)


if __name__ == "__main__":
    main()
