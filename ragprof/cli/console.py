"""The one way to the terminal, for all commands: results go to the output stream, messages and progress to the other.

What is printed is printed as it is: no markup is read, nothing in a title, an id or a message steers the terminal or
commands a CI machine, and a sign that the terminal cannot show is replaced. Rich is imported by what draws with it.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, partial
from textwrap import fill
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from ragprof.core import plain
from ragprof.core.clock import SILENT, Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from ragprof.session.again import Result

LOOK_ALIKE = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        **dict.fromkeys("\u2018\u2019", "'"),
        **dict.fromkeys("\u201c\u201d", '"'),
        **{"\u00d7": "x", "\u00b7": ".", "\u2022": "*", "\u2026": "...", "\u2190": "<-", "\u2192": "->"},
        **{"\u2264": "<=", "\u2265": ">=", "\u00b5": "u", "\u03bc": "u", "\u00b1": "+/-"},
        **{"\u25b2": "^", "\u25bc": "v", "\u25cf": "*", "\u25c7": "o"},
    }
)

Shown: TypeAlias = Literal["shown", "quiet", "json"]
_progress: ContextVar[Shown] = ContextVar("progress", default="shown")


def open_streams() -> None:
    """Replace characters that a stream's encoding lacks from now on: by a similar one, else by `?`."""

    def replaced(failure: UnicodeError) -> tuple[str, int]:
        if not isinstance(failure, UnicodeEncodeError):
            raise failure
        signs = failure.object[failure.start : failure.end].translate(LOOK_ALIKE)
        return "".join(sign if sign.isascii() else "?" for sign in signs), failure.end

    codecs.register_error("ragprof", replaced)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # a test's or an editor's own stream, or none
            stream.reconfigure(errors="ragprof")  # type: ignore[union-attr]


@cache
def terminal(*, error: bool = False) -> Console:
    """Return rich's console on one of the streams, without markup; a closed pipe does not end the command."""
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

    class Terminal(Console):
        """Its segments contain no control characters but rich's own."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                told = plain.no_command(plain.text(segment.text))
                yield segment if segment.control else segment._replace(text=told)

        def on_broken_pipe(self) -> None:
            turned_off(self.file)

    return Terminal(stderr=error, markup=False, emoji=False, highlight=False)


def turned_off(stream: IO[str]) -> None:
    """Discard all further output: the reader has closed the pipe, which is no error of the command."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def raw(text: str, *, error: bool = False) -> None:
    """Write a line unchanged, for other programs to read."""
    stream = sys.stderr if error else sys.stdout
    if stream is None:
        return
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except BrokenPipeError:
        turned_off(stream)


def line(text: object) -> None:
    """Print one line of results, never folded: paths and other text to be copied."""
    raw(plain.no_command(plain.line(text)))


def message(text: object) -> None:
    """Print one line on the error stream, with the command's name in front."""
    raw(plain.no_command(f"ragprof: {plain.line(text)}"), error=True)


def sentence(text: object) -> None:
    """Print a sentence, folded to the terminal's width."""
    raw(plain.no_command(fill(plain.line(text), terminal().width, subsequent_indent="  ", break_on_hyphens=False)))


def show(drawn: RenderableType) -> None:
    """Print a table or a group of tables."""
    terminal().print(drawn)


def listing(title: str, rows: Iterable[tuple[str, str]]) -> None:
    """Print names with their meanings under a title, untruncated: folded on a terminal, else one line per name."""
    from rich.text import Text

    shown, out = [(plain.line(name), plain.line(words)) for name, words in rows], terminal()
    width = max([22, *(len(name) for name, _ in shown)]) + 2
    out.print(Text(plain.line(title), style="bold"))
    for name, words in shown:
        whole = f"{name:<{width}}{words}".rstrip()
        if out.is_terminal:
            whole = fill(whole, out.width, subsequent_indent=" " * min(width, out.width // 3), break_on_hyphens=False)
        told = Text(whole)
        told.stylize("cyan", 0, len(name))
        out.print(told, soft_wrap=True)
    out.print()


def report_progress(how: Shown) -> None:
    """Say how the progress of this command is shown."""
    _progress.set(how)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show on the error stream what the block is at: bars on a terminal, else lines; nothing with --quiet.

    What the package logs meanwhile is shown too; with --quiet only its warnings.
    """
    import logging

    how, logger, handler = _progress.get(), logging.getLogger("ragprof"), logging.Handler()
    handler.emit = lambda record: message(record.getMessage())  # type: ignore[method-assign]
    before = logger.level
    logger.setLevel(logging.WARNING if how == "quiet" else logging.INFO)
    logger.addHandler(handler)
    try:
        with _shown(how) as shown, _told(shown) as told:
            yield told
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def _told(shown: Progress) -> Iterator[Progress]:
    """What is shown is told to `ragprof view`, too."""
    from ragprof.cli.lines import Both, Lines, as_json
    from ragprof.core.running import announced

    with announced(" ".join(["ragprof", *sys.argv[1:]])) as announcement:
        if announcement is None:
            yield shown
        else:
            with Lines(announcement.tell, as_json) as lines:
                yield Both(shown, lines)


@contextmanager
def _shown(how: Shown) -> Iterator[Progress]:
    if how == "quiet":
        yield SILENT
    elif how == "shown" and terminal(error=True).is_terminal:
        from ragprof.cli.bars import Bars

        with Bars(terminal(error=True)) as bars:
            yield bars
    else:
        from ragprof.cli.lines import Lines, as_json, as_text

        with Lines(partial(raw, error=True), as_json if how == "json" else as_text) as lines:
            yield lines


def result(found: Result, study: str = "profile") -> None:
    """Print a study's table, then the paths of its pages and of the report.

    Where there is no main recording, as of traces, the main profile is that of its only study.
    """
    if study == "profile" and found.analysis.profile is None:
        study = next(iter(found.analysis.sections))
    show(found.table(study))
    for kind, page in found.pages(study):
        line(f"{kind}: {page}")


def numbers(listed: str | None, *, option: str) -> tuple[int, ...] | None:
    """Parse `1000,2000` as numbers; None if the option was not given. Raises BadInput for anything else."""
    from ragprof.core.errors import BadInput

    if listed is None:
        return None
    try:
        return tuple(int(number.strip().replace("_", "")) for number in listed.split(","))
    except ValueError:
        raise BadInput(f"{option} '{listed}' is not a list of numbers; write it like 1000,2000,4000") from None


def rates(listed: str | None, *, option: str) -> tuple[float, ...] | None:
    """Parse `0.5,20` as numbers with a fraction; None if not given. Raises BadInput for anything else."""
    from ragprof.core.errors import BadInput

    if listed is None:
        return None
    try:
        return tuple(float(number.strip().replace("_", "")) for number in listed.split(","))
    except ValueError:
        raise BadInput(f"{option} '{listed}' is not a list of numbers; write it like 0.5,20,100") from None


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given, which override the study's table of the eval file."""
    return {name: value for name, value in options.items() if value is not None}
