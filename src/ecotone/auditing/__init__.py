"""The audit: whether generated samples are copies of a training set, with how sure one can be.

Importing this package does not import torch; the names below are fetched when first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecotone.auditing.record import AuditRecord
    from ecotone.auditing.run import Audit, audit

__all__ = ["Audit", "AuditRecord", "audit"]

_HOMES = {"Audit": "run", "AuditRecord": "record", "audit": "run"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
