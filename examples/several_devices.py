"""Train one model on several devices with accelerate.

    accelerate launch examples/several_devices.py model.safetensors

Each process takes its share of the same batches, so the weights come out as on one device, to
rounding.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file

from ecotone.denoisers import MODELS
from ecotone.populations import POPULATIONS
from ecotone.training import Plan, TrainingState, train


def main(out: Path) -> None:
    accelerator = Accelerator()
    split = POPULATIONS.create("gaussian", {"dimension": 8}).split(64, 64, seed=0)
    torch.manual_seed(0)
    model = MODELS.create("mlp", {"width": 32}, shape=(8,), sigma_data=1.0)
    plan = Plan(steps=50, batch_size=16)
    state = TrainingState(model.to(accelerator.device), plan)
    for step in train(state, split.training, plan, sigma_data=1.0, seed=0, accelerator=accelerator):
        if step.index % 10 == 0:
            accelerator.print(f"step {step.index}: loss {step.loss:.3f}")
    if accelerator.is_main_process:
        save_file(state.ema.model.state_dict(), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
