"""How a command ends: one message for an error, an exit code that says what kind it was, a tidy end from outside."""

from __future__ import annotations

import os
import platform
import shlex
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import typer

from ragprof.cli import console
from ragprof.core.errors import RagprofError
from ragprof.core.files import NO_ROOM, cache_folder

INTERRUPTED = 130
CRASHED = 70
"""EX_SOFTWARE of sysexits.h. Not 1, which means that a gate found a regression."""
ENDING = ("SIGTERM", "SIGHUP")
# typer carries its own copy of click since 0.20, so that its errors are found by way of one that it exports.
USAGE_ERRORS: tuple[type[Exception], ...] = (typer.BadParameter.__mro__[2], typer.Exit, typer.Abort)
SHORT = 200


@contextmanager
def ended_plainly() -> Iterator[None]:
    """Turn any error of the block into one line and an exit code. Wrong options are left to typer.

    2: what the user can mend; 3: recordings that cannot be compared; 70: a crash, with a log; 130: interrupted.
    """
    try:
        yield
    except USAGE_ERRORS:
        raise
    except RagprofError as error:
        console.message(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.message("stopped; vectors and scores so far are kept, the next run continues from there")
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.filename is None and error.errno not in NO_ROOM:
            sys.exit(crashed(error))
        remedy = "free some space or choose another folder" if error.errno in NO_ROOM else "check the path"
        console.message(f"{error.filename or 'a file'}: {error.strerror}; {remedy}")
        sys.exit(2)
    except Exception as error:
        sys.exit(crashed(error))


def crashed(error: Exception) -> int:
    """Write the traceback to a log and print its path. Returns the exit code."""
    told = f"{type(error).__name__}: {' '.join(str(error).split())}"
    told = told if len(told) <= SHORT else f"{told[:SHORT]} ..."
    log = kept_log(error)
    if log is None:
        traceback.print_exception(error)
    where = "no log could be written, what led to it is above" if log is None else f"the log is in {log}"
    console.message(f"crashed ({told}); {where}: please report it")
    return CRASHED


def kept_log(error: Exception) -> Path | None:
    """Write traceback, command and versions to the cache, else to the folder of temporary files. Returns the path."""
    from importlib.metadata import version

    about = f"ragprof {version('ragprof')}, Python {platform.python_version()}, {platform.platform()}"
    text = "\n".join([about, shlex.join(sys.argv), "", *traceback.format_exception(error)])
    folders: tuple[Callable[[], Path], ...] = (lambda: cache_folder() / "crashes", lambda: Path(tempfile.gettempdir()))
    for folder in folders:
        with suppress(OSError, RagprofError):
            folder().mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix="ragprof-", suffix=".log", dir=folder())
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
            return Path(name)
    return None


def unwind_when_ended() -> None:
    """Let these signals unwind the command as Ctrl-C does, so that check-outs and processes are removed.

    A signal that is ignored already (nohup) or that has a handler keeps it.
    """
    for name in ENDING:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: object) -> None:
    """Exit with 128 + number, the shell's convention; a second signal does not interrupt the clean-up."""
    signal.signal(number, signal.SIG_IGN)
    console.message(f"ended by {signal.Signals(number).name}")
    sys.exit(128 + number)
