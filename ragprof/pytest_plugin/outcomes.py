"""What a test's report says of its checks: sections of those that failed, figures for JUnit and for the summary.

Everything goes into the report as plain values: under xdist it travels to the process that writes the summary.

The table at the end of the run: every figure that was checked. Reads reports only, so it is the same under xdist.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import pytest

from ragprof.core.errors import RagprofError
from ragprof.pytest_plugin.checks import CHECKS, WIDTH, Case, Check, Line, Settings, number, signed, span

CASE = pytest.StashKey[Case]()


def case_of(item: pytest.Item, settings: Settings) -> Case:
    """The case of a test, remembered until its reports are made."""
    item.stash[CASE] = Case(item.nodeid, item.path, settings)
    return item.stash[CASE]


def tell(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Complete a report. An error of ragprof becomes its one message: what is inside ragprof is not the test's."""
    if call.excinfo is not None and report.failed and isinstance(call.excinfo.value, RagprofError):
        report.longrepr = item.repr_failure(_plain(call.excinfo, item.path))
    case = item.stash.get(CASE, None)
    if case is None or not case.checks:
        return
    checks, case.checks[:] = tuple(case.checks), ()
    setattr(report, CHECKS, [_told(check, line) for check in checks for line in check.lines])
    for name, value in (pair for check in checks for line in check.lines for pair in properties(line)):
        if (name, value) not in item.user_properties:
            item.user_properties.append((name, value))
            report.user_properties.append((name, value))
    if report.failed:
        report.sections += [(f"ragprof: {check.title}", check.explanation) for check in checks if not check.passed]


def properties(line: Line) -> Iterator[tuple[str, Any]]:
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


def _told(check: Check, line: Line) -> dict[str, Any]:
    return {**asdict(line), "asserted": check.asserted}


def _plain(caught: pytest.ExceptionInfo[BaseException], test: Path) -> pytest.ExceptionInfo[BaseException]:
    """The same error as a failure without traceback; its place is the last line of the test's own file."""
    entry = caught.tb
    here = [each for each in _entries(entry) if Path(each.tb_frame.f_code.co_filename) == test]
    message = f"ragprof: {caught.value}"
    if here:
        entry, message = here[-1], f"{message} ({test.name}:{here[-1].tb_lineno})"
    alone = TracebackType(None, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    failure = pytest.fail.Exception(message, pytrace=False)
    return pytest.ExceptionInfo.from_exception(failure.with_traceback(alone))


def _entries(entry: TracebackType | None) -> Iterator[TracebackType]:
    while entry is not None:
        yield entry
        entry = entry.tb_next


ORDER = ("fails", "undecided", "written", "holds")
COLOURS = {"fails": "red", "undecided": "yellow", "written": "yellow", "holds": "green"}
SIGNS = {"at least": ">=", "at most": "<="}
INDENT = " " * 12
Told: TypeAlias = Mapping[str, Any]


def write_summary(terminal: pytest.TerminalReporter) -> None:
    """What the tests checked, test by test, those that fail first."""
    tests = checked(terminal)
    terminal.section("ragprof")
    for name, lines in tests:
        terminal.line(name if len(name) <= WIDTH else f"...{name[3 - WIDTH :]}")
        for line in lines:
            for text in row(line):
                terminal.line(text, **{COLOURS[line["verdict"]]: True})
    terminal.line(counted([line for _, lines in tests for line in lines]))
    if out := terminal.config.getoption("ragprof_out"):
        terminal.line(f"recordings and comparisons: {out}")


def checked(terminal: pytest.TerminalReporter) -> list[tuple[str, list[Told]]]:
    """(test, its lines); those in which something failed come first, then by name."""
    found: dict[str, list[Told]] = {}
    for report in (each for reports in terminal.stats.values() for each in reports):
        lines = found.setdefault(getattr(report, "nodeid", ""), [])
        lines += [line for line in getattr(report, CHECKS, []) if line not in lines]
    told = [(name, lines) for name, lines in found.items() if lines]
    return sorted(told, key=lambda test: (min(ORDER.index(line["verdict"]) for line in test[1]), test[0]))


def row(line: Told) -> Iterator[str]:
    """Verdict, name and figures, on two lines where one is too narrow; remarks below."""
    name = f"{line['pipeline']}: {line['quantity']}"
    if line["against"]:
        name += f" vs {line['against']}"
    start, figures = f"  {line['verdict']:<9} {name}", _figures(line)
    if len(start) + len(figures) + 2 <= WIDTH:
        yield f"{start}{figures:>{WIDTH - len(start)}}".rstrip()
    else:
        yield start if len(start) <= WIDTH else f"{start[: WIDTH - 3]}..."
        yield f"{figures:>{WIDTH}}"
    for remark in _remarks(line):
        yield from textwrap.wrap(remark, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False)


def _figures(line: Told) -> str:
    kind = line["kind"]
    if line["value"] is None:
        return f"n {line['n']}" if line["n"] else ""
    value = signed(line["value"], kind) if line["against"] else number(line["value"], kind)
    return f"{value} {span(line['interval'], kind)} {SIGNS[line['sense']]} {number(line['bound'], kind)}, n {line['n']}"


def _remarks(line: Told) -> Iterator[str]:
    if line["note"]:
        yield line["note"]
    if not line["asserted"]:
        yield "no assert asked for this check, so it cannot fail"


def counted(lines: Sequence[Told]) -> str:
    """How many checks came to what; what is undecided passed, unless --ragprof-strict."""
    found = Counter(line["verdict"] for line in lines)
    return ", ".join(f"{found[verdict]} {verdict}" for verdict in ORDER if found[verdict])
