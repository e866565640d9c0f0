"""What a test's report says of its checks: sections of those that failed, figures for JUnit and for the summary.

Everything goes into the report as plain values: under xdist it travels to the process that writes the summary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from ragprof.errors import RagprofError
from ragprof.pytest_plugin import CHECKS
from ragprof.pytest_plugin.cases import Case
from ragprof.pytest_plugin.checks import Check, Line
from ragprof.pytest_plugin.settings import Settings

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
