"""The table at the end of the run: every figure that was checked. Reads reports only, so it is the same under xdist."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import pytest

from ragprof.pytest_plugin import CHECKS
from ragprof.pytest_plugin.words import WIDTH, number, signed, span

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
