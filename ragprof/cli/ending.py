"""How a command ends when it is ended from outside, as a CI job is that somebody cancels: as by Ctrl-C, tidily."""

from __future__ import annotations

import signal
import sys

import typer

ENDING = ("SIGTERM", "SIGHUP")


def unwind_when_ended() -> None:
    """From now on these signals unwind what runs, so that check-outs and processes of this command are taken away.

    One that is ignored already (nohup) or that has a handler keeps it.
    """
    for name in ENDING:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: object) -> None:
    """Ends with 128 + number, as a shell says it; a second signal does not disturb the tidying."""
    signal.signal(number, signal.SIG_IGN)
    typer.echo(f"ragprof: ended by {signal.Signals(number).name}", err=True)
    sys.exit(128 + number)
