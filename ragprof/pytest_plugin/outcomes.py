"""What a test's report says of its checks, and the table at the end of the run: every figure that was checked.

Everything goes into the report as plain values: under xdist it travels to the process that writes the summary.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from ragprof.core import plain
from ragprof.core.errors import RagprofError
from ragprof.pytest_plugin.checks import (
    WIDTH,
    CheckLine,
    CheckVerdict,
    RunningTest,
    number,
    signed,
    span,
)

TEST = pytest.StashKey[RunningTest]()
"""The test that is running, remembered until its reports are made."""
ORDER: tuple[CheckVerdict, ...] = ("fails", "undecided", "written", "holds")
COLOURS = {"fails": "red", "undecided": "yellow", "written": "yellow", "holds": "green"}
SIGNS = {"at least": ">=", "at most": "<="}
INDENT = " " * 12


def tell(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport, *, under: str) -> None:
    """Complete a report: sections of the checks that failed, figures for JUnit and for the summary.

    An error of ragprof becomes its one message: what is inside ragprof is not the test's. The figures lie in the
    attribute `under` of the report.
    """
    if call.excinfo is not None and report.failed and isinstance(call.excinfo.value, RagprofError):
        report.longrepr = item.repr_failure(_plain(call.excinfo, item.path))
    test = item.stash.get(TEST, None)
    if test is None or not test.checks:
        return
    checks, test.checks[:] = tuple(test.checks), ()
    lines = [replace(line, asserted=check.asserted) for check in checks for line in check.lines]
    setattr(report, under, [asdict(line) for line in lines])
    for found in (each for line in lines for each in properties(line)):
        if found not in item.user_properties:
            item.user_properties.append(found)
            report.user_properties.append(found)
    if report.failed:
        report.sections += [
            (f"ragprof: {plain.line(check.title)}", plain.no_command(plain.text(check.explanation)))
            for check in checks
            if not check.passed
        ]


def properties(line: CheckLine) -> Iterator[tuple[str, Any]]:
    """Flat names for JUnit's properties: `ragprof.<pipeline>.<quantity>` and what belongs to it."""
    name = f"ragprof.{line.pipeline}.{line.quantity}"
    if line.against:
        name = f"{name}.vs.{line.against}"
    if line.value is not None:
        yield name, line.value
    if line.interval is not None:
        yield f"{name}.low", line.interval[0]
        yield f"{name}.high", line.interval[1]
    if line.bound is not None:
        yield f"{name}.{line.sense.replace(' ', '_')}", line.bound
    yield f"{name}.n", line.n
    yield f"{name}.verdict", line.verdict


def _plain(caught: pytest.ExceptionInfo[BaseException], test: Path) -> pytest.ExceptionInfo[BaseException]:
    """The same error as a failure without traceback; its place is the last line of the test's own file."""
    entry, message = caught.tb, f"ragprof: {caught.value}"
    each: TracebackType | None = entry
    while each is not None:
        if Path(each.tb_frame.f_code.co_filename) == test:
            entry, message = each, f"ragprof: {caught.value} ({test.name}:{each.tb_lineno})"
        each = each.tb_next
    alone = TracebackType(None, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    failure = pytest.fail.Exception(message, pytrace=False)
    return pytest.ExceptionInfo.from_exception(failure.with_traceback(alone))


def write_summary(terminal: pytest.TerminalReporter, *, under: str) -> None:
    """What the tests checked, test by test, those that fail first. What is undecided passed, unless --ragprof-strict.

    Reads reports only, so it is the same under xdist.
    """
    found: dict[str, list[CheckLine]] = {}
    for report in (each for reports in terminal.stats.values() for each in reports):
        for line in (CheckLine(**each) for each in getattr(report, under, [])):
            lines = found.setdefault(report.nodeid, [])
            lines += [line] if line not in lines else []
    terminal.section("ragprof")
    for name, lines in sorted(
        found.items(), key=lambda test: (min(ORDER.index(each.verdict) for each in test[1]), test[0])
    ):
        told = plain.no_command(plain.line(name))
        terminal.line(told if len(told) <= WIDTH else f"...{told[3 - WIDTH :]}")
        for line in lines:
            for text in _row(line):
                terminal.line(plain.no_command(text), **{COLOURS[line.verdict]: True})
    counted = Counter(line.verdict for lines in found.values() for line in lines)
    terminal.line(", ".join(f"{counted[verdict]} {verdict}" for verdict in ORDER if counted[verdict]))
    if out := terminal.config.getoption("ragprof_out"):
        terminal.line(plain.no_command(f"recordings and comparisons: {plain.line(out)}"))


def _row(line: CheckLine) -> Iterator[str]:
    """Verdict, name and figures, on two lines where one is too narrow; remarks below."""
    figures = f"n {line.n}" if line.n else ""
    if line.value is not None:
        value = signed(line.value, line.kind) if line.against else number(line.value, line.kind)
        bound = f"{SIGNS[line.sense]} {number(line.bound, line.kind)}"
        figures = f"{value} {span(line.interval, line.kind)} {bound}, n {line.n}"
    name = plain.line(f"{line.pipeline}: {line.quantity}{f' vs {line.against}' if line.against else ''}")
    start = f"  {line.verdict:<9} {name}"
    if len(start) + len(figures) + 2 <= WIDTH:
        yield f"{start}{figures:>{WIDTH - len(start)}}".rstrip()
    else:
        yield start if len(start) <= WIDTH else f"{start[: WIDTH - 3]}..."
        yield f"{figures:>{WIDTH}}"
    for remark in (line.note, "" if line.asserted else "no assert asked for this check, so it cannot fail"):
        yield from textwrap.wrap(
            plain.line(remark), WIDTH, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False
        )
