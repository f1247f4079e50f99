from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from ecotone.core.allocator import keep_freed_memory

ON_GLIBC = platform.libc_ver()[0] == "glibc"

# Blocks above 32 MiB, the most that glibc ever puts on its heap of its own accord.
FAULTS = """
import resource, sys
import torch
from ecotone.core.allocator import keep_freed_memory

torch.set_num_threads(1)
if sys.argv[1] == "keep":
    assert keep_freed_memory()
    assert keep_freed_memory()

def use(value: float) -> None:
    block = torch.full((48 * 2**18,), value)
    assert (block == value).all()

for value in range(5):
    use(value)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for value in range(10):
    use(value)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(choice: str) -> int:
    command = [sys.executable, "-c", FAULTS, choice]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not ON_GLIBC, reason="another C library than glibc")
def test_a_large_block_is_had_again_without_page_faults() -> None:
    given_back, kept = faults("leave"), faults("keep")
    # Ten times 48 MiB: 12,288 pages each, or 24 where pages are of 2 MiB.
    assert given_back >= 200
    assert kept < given_back / 20


class Library:
    """A C library as ctypes shows it, with the functions it is given."""

    def __init__(self, **functions: object) -> None:
        self.__dict__.update(functions)


class Mallopt:
    def __init__(self, refused: int | None = None) -> None:
        self.refused, self.asked = refused, {}

    def __call__(self, name: int, value: int) -> int:
        self.asked[name] = value
        return int(name != self.refused)


def test_glibc_is_asked_for_all_three(monkeypatch: pytest.MonkeyPatch) -> None:
    mallopt = Mallopt()
    library = Library(gnu_get_libc_version=object(), mallopt=mallopt)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    assert keep_freed_memory() is True
    # M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD.
    assert mallopt.asked == {-4: 0, -1: -1, -2: 64 * 1024**2}


@pytest.mark.parametrize("refused", [-1, -2, -4])
def test_a_refusal_is_told_and_the_rest_is_set(
    monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    mallopt = Mallopt(refused)
    library = Library(gnu_get_libc_version=object(), mallopt=mallopt)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: library)
    assert keep_freed_memory() is False
    assert len(mallopt.asked) == 3


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    mallopt = Mallopt()
    for library in (Library(mallopt=mallopt), Library(gnu_get_libc_version=object()), Library()):
        monkeypatch.setattr(ctypes, "CDLL", lambda _, library=library: library)
        assert keep_freed_memory() is False
    assert not mallopt.asked

    def missing(name: object) -> None:
        raise TypeError("LoadLibrary() argument 1 must be str, not None")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert keep_freed_memory() is False


def test_nothing_changes_on_import() -> None:
    """Neither the package nor its training touches the allocator of whoever imports it."""
    code = (
        "import ecotone.core.allocator as allocator\n"
        "def refuse():\n"
        "    raise AssertionError('called on import')\n"
        "allocator._glibc = refuse\n"
        "import ecotone, ecotone.training\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
