"""Progress of one long command: a bar where there is a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["stages"]

_SECONDS = 10.0
"""Between one plain line and the next."""


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function to tell what is being done, and how much of it is done and to do.

    It shows on standard error and is gone when the command ends.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console).tell
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=max(total, 1))

        yield tell


class _Lines:
    """Tells a line every few seconds, so that a log shows that there is progress.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self._console, self._last = console, time.monotonic()

    def tell(self, what: str, done: int, total: int) -> None:
        """Tell how far something is, unless something was told just now."""
        now = time.monotonic()
        if now - self._last >= _SECONDS:
            self._last = now
            share = f" {done / total:.0%}" if total else ""
            self._console.print(f"{what}{share}", highlight=False, markup=False)
