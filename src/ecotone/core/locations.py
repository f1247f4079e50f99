"""Where a user keeps data: the one thing below the command line that the environment may say.

A location decides no result: what a run is depends on the fingerprint of the content found there,
and a path that was not given stays not given in its configuration.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["DATA_VARIABLE", "data_root"]

DATA_VARIABLE = "ECOTONE_DATA"
"""Environment variable that names a folder of data sets."""


def data_root(path: str | None) -> Path | None:
    """Return the folder to look for data in: the one given, or else the one the environment names.

    Args:
        path: what a configuration gives, or None. A leading ``~`` is the user's home.

    >>> data_root("data/cifar10").as_posix()
    'data/cifar10'
    """
    named = os.environ.get(DATA_VARIABLE) if path is None else path
    return Path(named).expanduser() if named else None
