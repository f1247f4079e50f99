"""Errors that say what is wrong, with which value, and what to type next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["ConfigError", "DataError", "EcotoneError", "RecordError", "nearest"]


class EcotoneError(Exception):
    """What a user can mend. The command line prints it without a traceback and exits with 2.

    Args:
        message: what is wrong, naming the offending value and the file it stands in.
        hint: what to type, or to change, next.

    >>> print(EcotoneError("n = 1 is too small", hint="give n of 2 or more"))
    n = 1 is too small; give n of 2 or more
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}; {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments are lost by the default pickling between processes.
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[EcotoneError], message: str, hint: str | None) -> EcotoneError:
    return kind(message, hint=hint)


class ConfigError(EcotoneError):
    """A configuration that cannot be run: an unknown key, a value out of range."""


class DataError(EcotoneError):
    """Data that cannot be used: wrong shapes, NaN, unreadable files."""


class RecordError(EcotoneError):
    """A record on disk that cannot be read or written: truncated, locked, another study's."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known name nearest to a mistaken one.

    >>> nearest("trainning", ["training", "model"])
    "did you mean 'training'? (known: model, training)"
    >>> nearest("zebra", ["training", "model"])
    'known: model, training'
    """
    choices = sorted(known)
    close = get_close_matches(name, choices, n=1)
    listed = f"known: {', '.join(choices)}"
    return f"did you mean {close[0]!r}? ({listed})" if close else listed
