"""ecotone: where a diffusion model stops copying its training set and starts to generalize."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecotone.auditing import Audit, audit

__all__ = ["Audit", "__version__", "audit"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Fetched when asked for: the command line must not wait for torch to say its version.
    if name in ("Audit", "audit"):
        from ecotone import auditing

        return getattr(auditing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
