"""What a reader must be told of this study's data and measures before taking its figures along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecotone.report.text import clean

__all__ = ["caveats"]

ENCODED = "cifar10"
"""The population whose published figures a reader will want to compare with."""


def caveats(about: Mapping[str, Any]) -> tuple[str, ...]:
    """Return cautions that only some studies need.

    Args:
        about: the content of ``study.json``.

    >>> caveats({"design": {"population": "digits"}})
    ()
    >>> (told,) = caveats({"design": {"population": {"kind": "cifar10"}}})
    >>> told.endswith("the Fréchet distance is that of the feature space “pca”.")
    True
    """
    design = about.get("design")
    if not isinstance(design, Mapping) or _kind(design.get("population")) != ENCODED:
        return ()
    monitor = design.get("monitor")
    features = _kind(monitor.get("features")) if isinstance(monitor, Mapping) else None
    return (
        "If the images were re-encoded (JPEG), figures here are not to be compared with published "
        f"FIDs, and the Fréchet distance is that of the feature space “{features or 'pca'}”.",
    )


def _kind(tenant: object) -> str | None:
    """Return a tenant's name, written alone or with its options."""
    kind = tenant.get("kind") if isinstance(tenant, Mapping) else tenant
    return clean(kind) if isinstance(kind, str) else None
