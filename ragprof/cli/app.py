"""`ragprof`: all commands in one line, one message for an error, and a tidy end for what is ended from outside."""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import Annotated

import typer

from ragprof.cli import export_commands, gate_commands, listing, study_commands
from ragprof.core.errors import RagprofError

ENDING = ("SIGTERM", "SIGHUP")
INTERRUPTED = 130
CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)

# Without rich's markup mode help needs neither rich.markdown nor its tables: half of the time of `--help`.
app = typer.Typer(
    name="ragprof", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


def main() -> None:
    """Run the command line and turn RagprofError into one message and its exit code."""
    unwind_when_ended()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        app()
    except RagprofError as error:
        typer.echo(f"ragprof: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise
        typer.echo(
            f"ragprof: {error.filename or 'a file'}: {error.strerror}; free some space or choose another folder",
            err=True,
        )
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            typer.echo(
                "ragprof: stopped; vectors and scores so far are kept, the next run continues from there", err=True
            )
        raise


def unwind_when_ended() -> None:
    """From now on these signals unwind what runs, as Ctrl-C does, so that check-outs and processes are taken away.

    A signal that is ignored already (nohup) or that has a handler keeps it.
    """
    for name in ENDING:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: object) -> None:
    """Exit with 128 + number, the shell's convention; a second signal does not disturb the tidying."""
    signal.signal(number, signal.SIG_IGN)
    typer.echo(f"ragprof: ended by {signal.Signals(number).name}", err=True)
    sys.exit(128 + number)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("ragprof"))
        raise typer.Exit


@app.callback()
def options(
    _show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Profile RAG pipelines: where a query's time, tokens and money go, stage by stage, and what quality they buy."""


for commands in (study_commands, listing, gate_commands, export_commands):
    commands.add_to(app)
