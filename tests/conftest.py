"""Shapes and types are checked at run time in every test."""

from __future__ import annotations

import os
from pathlib import Path

# Two test processes on two cores: one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)

# Must come before the first import of any ecotone module that has shapes in its signatures.
install_import_hook("ecotone", "runtime_types.check")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A study of two runs that takes a second."""
    from tiny_study import write_study

    return write_study(tmp_path)
