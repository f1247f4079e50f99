"""Memory that a process keeps once it has it, where its allocator can be told to."""

from __future__ import annotations

import ctypes
from typing import Any

__all__ = ["keep_freed_memory"]

# Numbers of glibc's mallopt, from its malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4

_SETTINGS = (
    (_MMAP_MAX, 0),  # large blocks come from the heap, not from mappings of their own
    (_TRIM_THRESHOLD, -1),  # the heap is never trimmed (mallopt(3))
    (_TOP_PAD, 64 * 1024**2),  # while it grows, it grows by this much at least
)


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory for the next allocation, in this process, from now on.

    glibc gives large blocks back to the system when they are freed, and gets them anew, zeroed page
    by page at first touch, for the next step of a training loop: up to a third of a step's time for
    U-Nets whose activations have tens of megabytes each, nothing where they are smaller. The price
    is that the process holds its largest use of memory until it ends, and a few per cent more. What
    is computed does not change.

    It is the calling process's own decision, so nothing calls it on import; a study's processes do.
    Calling it again changes nothing.

    Returns:
        Whether it took effect: False where the C library is not glibc.
    """
    library = _glibc()
    if library is None:
        return False
    taken = [library.mallopt(name, value) == 1 for name, value in _SETTINGS]
    return all(taken)


def _glibc() -> Any | None:
    """Return this process's C library where it is glibc."""
    try:
        library = ctypes.CDLL(None)
        # Only glibc has this; others may have a mallopt that means something else.
        _ = library.gnu_get_libc_version
        library.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
        library.mallopt.restype = ctypes.c_int
    except (OSError, AttributeError, TypeError):  # the last on Windows
        return None
    return library
