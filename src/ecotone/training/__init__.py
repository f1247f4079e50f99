"""Training denoisers and measuring them on the way."""

from ecotone.training.cadence import measuring_steps
from ecotone.training.checkpoints import load_checkpoint, save_checkpoint
from ecotone.training.ema import Ema
from ecotone.training.execution import Execution, multiplies_bfloat16
from ecotone.training.loop import (
    DivergenceError,
    ExhaustedError,
    TrainingError,
    TrainingState,
    train,
)
from ecotone.training.monitor import Judge, Measurement, Monitor
from ecotone.training.plan import Batches, Plan

__all__ = [
    "Batches",
    "DivergenceError",
    "Ema",
    "Execution",
    "ExhaustedError",
    "Judge",
    "Measurement",
    "Monitor",
    "Plan",
    "TrainingError",
    "TrainingState",
    "load_checkpoint",
    "measuring_steps",
    "multiplies_bfloat16",
    "save_checkpoint",
    "train",
]
