"""What a study's watcher is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Event"]


@dataclass(frozen=True, slots=True)
class Event:
    """What a study's watcher is told.

    Args:
        kind: ``"waiting"`` or ``"already"`` (finished earlier) before the runs, and ``"estimated"``
            where it was asked how long they will take; then for each
            ``"started"``, ``"step"``, ``"measuring"`` and one of ``"finished"``, ``"failed"``,
            ``"stopped"`` and ``"crashed"``.
        run: identity of the run; empty where all are meant.
        step: training steps taken, or replicates done, so far.
        steps: steps the run will take.
        detail: why it failed; what it measures; how long all will take.
    """

    kind: Literal[
        "waiting",
        "already",
        "estimated",
        "started",
        "step",
        "measuring",
        "finished",
        "failed",
        "stopped",
        "crashed",
    ]
    run: str
    step: int
    steps: int
    detail: str = ""
