"""How long the command line takes to answer: ``ecotone --help``, as a whole process.

python benchmarks/command_line.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    command = [str(Path(sys.executable).with_name("ecotone")), "--help"]
    seconds = []
    for _ in range(21):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[1:])  # the first run fills the disk cache
    print(f"ecotone --help: median {median:.3f} s of {len(seconds) - 1} (target: under 0.25 s)")


if __name__ == "__main__":
    main()
