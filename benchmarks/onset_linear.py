"""The linear study at the size the paper ran: seconds and memory, with shared and fresh originals.

    python benchmarks/onset_linear.py [--replicates 300]

Everything a user waits for counts: starting workers, tables, and the report.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time

CELLS = ("dimension=[100]", "n=[25,50,75,100]", "originals=10000")


def study(*settings: str) -> tuple[float, float]:
    """Return seconds, and the largest memory of any process so far, in GB."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "ecotone.cli", "study", "onset-linear", "--out", folder]
        for setting in (*CELLS, *settings):
            words += ["--set", setting]
        start = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the linear study.")
    parser.add_argument("--replicates", type=int, default=300)
    replicates = parser.parse_args().replicates
    print(f"onset-linear, {', '.join(CELLS)}, {replicates} replicates")
    for name, setting in (
        ("one original per replicate", "fresh_originals=false"),
        ("one original per cell", "fresh_originals=true"),
    ):
        seconds, memory = study(f"replicates={replicates}", setting)
        print(f"  {name:<27} {seconds:6.1f} s   largest process {memory:.2f} GB")


if __name__ == "__main__":
    main()
