"""Ways of doing the same thing that take turns, each in a process or a thread of its own."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import IO, Protocol

Answer = Callable[[float, float], None]
"""Is given how long the steps took, by the clock and by the processor."""

Ask = Callable[[], int]
"""Returns how many steps to go on for, when it is this way's turn again."""

Train = Callable[[Answer, Ask], None]
"""Trains without end: answers after the first step, and then after as many as were asked for."""


def serve(train: Train) -> None:
    """Train in this process, as many steps as each line of standard input says."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries may print
    warnings.simplefilter("ignore")

    def ask() -> int:
        line = sys.stdin.readline()
        if not line:
            os._exit(0)
        return int(line)

    def answer(clock: float, processor: float) -> None:
        print(json.dumps([clock, processor]), file=answers)

    train(answer, ask)


class Turn(Protocol):
    """A way of training that goes on for some steps when it is its turn."""

    def seconds(self, steps: int) -> tuple[float, float]:
        """Return how long a step took, by the clock and by the processor."""
        ...

    def end(self) -> None:
        """Let it rest for good."""
        ...


class Thread:
    """A thread of this process that trains when it is its turn, with memory kept as by all.

    Args:
        train: trains without end, given how to answer and how to ask, see :data:`Train`.
    """

    def __init__(self, train: Train) -> None:
        self.asked: queue.Queue[int] = queue.Queue()
        self.answers: queue.Queue[tuple[float, float] | Exception] = queue.Queue()

        def run() -> None:
            try:
                train(lambda *took: self.answers.put(took), self.asked.get)
            except Exception as error:  # told where it is waited for
                self.answers.put(error)

        threading.Thread(target=run, daemon=True).start()
        self._answer()

    def seconds(self, steps: int) -> tuple[float, float]:
        """Return how long a step took, by the clock and by the processor."""
        self.asked.put(steps)
        clock, processor = self._answer()
        return clock / steps, processor / steps

    def end(self) -> None:
        """Leave it waiting: it ends with the process."""

    def _answer(self) -> tuple[float, float]:
        answer = self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Process:
    """A process that trains when it is its turn.

    Args:
        command: of the process, which calls :func:`serve`.
        threads: of the CPU.
        log: what it writes to standard error.
    """

    def __init__(self, command: Sequence[str], *, threads: int, log: IO[bytes]) -> None:
        self.log = log
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            bufsize=1,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        self._answer()  # the first step is over

    def seconds(self, steps: int) -> tuple[float, float]:
        """Return how long a step took, by the clock and by the processor."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{steps}\n")
        clock, processor = self._answer()
        return clock / steps, processor / steps

    def end(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> tuple[float, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(self.log.read().decode(errors="replace")[-3000:])
        clock, processor = json.loads(line)
        return clock, processor
