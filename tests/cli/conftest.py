"""The command line as its users have it: arguments in; exit code, output and message out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from commandline import Outcome, Ragprof

from ragprof.cli import console
from ragprof.cli.app import main


@pytest.fixture
def ragprof(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path) -> Ragprof:
    """Run a command within this process, with a cache of this test's own."""

    def command(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["ragprof", *map(str, arguments)])
        capsys.readouterr()
        console.terminal.cache_clear()  # its width is that of this command's start
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return command
