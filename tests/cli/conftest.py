from __future__ import annotations

import signal
import sys

import pytest

from command_line import Ended, Run
from ecotone.cli import main


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process, which has its imports behind it."""

    def run(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["ecotone", *(str(word) for word in words)])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        assert isinstance(code, int)
        written = capfd.readouterr()
        return Ended(code, str(written.out), str(written.err))

    return run
