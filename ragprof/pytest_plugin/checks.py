"""A figure that a test asks for, and a check: true or false in a plain `assert`, one short line as its repr, and
everything else as text for the report. Plain text of at most 80 columns.

Also what the options say, for the whole session, and the test that is running with the checks that it has made so far.
"""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import pandas as pd
import pytest

from ragprof.core import plain
from ragprof.core.errors import BadInput
from ragprof.core.files import written_path
from ragprof.core.quantities import Kind, Quantity
from ragprof.report.figures import three_digits
from ragprof.statistics.power import more_queries_needed

CheckVerdict: TypeAlias = Literal["holds", "fails", "undecided", "written"]
Sense: TypeAlias = Literal["at least", "at most"]


@dataclass(frozen=True)
class PluginSettings:
    """`session` is one name for all workers of a run; `crowded` is whether there are several of them.

    `out` holds recordings; `kept` is whether the user asked to keep them. Relative paths are looked up in `roots`.
    """

    update: bool
    strict: bool
    out: Path
    kept: bool
    baselines: str
    session: str
    crowded: bool
    roots: tuple[Path, ...]

    @classmethod
    def of(cls, config: pytest.Config, *, temporary: Path) -> PluginSettings:
        """`temporary` is this process's temporary folder; the workers of xdist share the one above it."""
        worker = getattr(config, "workerinput", {})
        shared, out = temporary.parent if worker else temporary, config.getoption("ragprof_out")
        root = config.invocation_params.dir
        return cls(
            update=config.getoption("ragprof_update") is not None,
            strict=bool(config.getoption("ragprof_strict")),
            out=root / out if out else shared / "ragprof",
            kept=bool(out),
            baselines=str(config.getini("ragprof_baselines")),
            session=str(worker.get("testrunuid") or f"{os.getpid()}-{temporary.name}"),
            crowded=worker.get("workercount", 1) > 1,
            roots=(config.rootpath, root),
        )


@dataclass(frozen=True, eq=False)
class RunningTest:
    """`file` is the test's own. `checks` are those that no report has told yet."""

    name: str
    file: Path
    settings: PluginSettings
    checks: list[PluginCheck] = field(default_factory=list)

    def made(self, check: PluginCheck) -> PluginCheck:
        """Remember a check for the report of this test."""
        self.checks.append(check)
        return check

    def located(self, given: str | Path, *, what: str) -> Path:
        """A path as it is, or relative to the test's file, to pytest's root or to where pytest was started.

        Raises BadInput naming where it looked.
        """
        path = written_path(given)
        places = [path] if path.is_absolute() else [root / path for root in (self.file.parent, *self.settings.roots)]
        tried = list(dict.fromkeys(places))
        found = next((each for each in tried if each.exists()), None)
        if found is None:
            raise BadInput(f"there is no {what} '{given}'; looked for {' and '.join(map(str, tried))}")
        return found.resolve()


@dataclass(frozen=True)
class CheckLine:
    """One checked figure, for the summary table and for JUnit. Plain values, so that it travels between processes.

    With `against`, a baseline's name, `value` and `interval` are differences from it.
    """

    verdict: CheckVerdict
    pipeline: str
    quantity: str
    kind: Kind | Literal[""]
    value: float | None
    interval: list[float] | None
    bound: float | None
    sense: Sense | Literal[""]
    n: int
    against: str = ""
    note: str = ""
    asserted: bool = False


@dataclass(eq=False, repr=False)
class PluginCheck:
    """What a test asserts. `asserted` turns true once somebody asked for its truth."""

    verdict: CheckVerdict
    passed: bool
    said: str
    title: str
    explanation: str
    lines: tuple[CheckLine, ...]
    asserted: bool = False

    def __bool__(self) -> bool:
        self.asserted = True
        return self.passed

    def __repr__(self) -> str:
        line = plain.line(self.said)
        return line if len(line) <= LONGEST_REPR else f"{line[: LONGEST_REPR - 3]}..."


@dataclass(frozen=True, eq=False, repr=False)
class CheckedFigure:
    """`interval` is of 95 % over queries, None with a single query. Metrics as they are, latency in ms, usage a query,
    money in USD per 1,000 queries. `by_query` is what each query has; `rankings` are the documents it got, best first.
    `withheld` is why no bound of it can be judged; empty where one can. With fewer than `fewest` queries there is no
    interval, so that a bound can be broken and not be kept.
    """

    quantity: Quantity
    pipeline: str
    value: float
    interval: tuple[float, float] | None
    n: int
    by_query: pd.Series
    rankings: pd.DataFrame
    test: RunningTest
    withheld: str = ""
    fewest: int = 0

    @property
    def name(self) -> str:
        return f"{self.quantity.label} of {self.pipeline}"

    def __repr__(self) -> str:
        kind = self.quantity.kind
        return f"{self.name} = {number(self.value, kind)} {span(self.interval, kind)} (n {self.n})"

    def at_least(self, bound: float) -> PluginCheck:
        """Holds where the lower end of the interval is not below the bound: the figure is that high, beyond chance."""
        low = None if self.interval is None else self.interval[0]
        return self._check(bound, "at least", holds=low is not None and low >= bound)

    def at_most(self, bound: float) -> PluginCheck:
        """Holds where the upper end of the interval is not above the bound."""
        high = None if self.interval is None else self.interval[1]
        return self._check(bound, "at most", holds=high is not None and high <= bound)

    def _check(self, bound: float, sense: Sense, *, holds: bool) -> PluginCheck:
        """Without an interval (a single query) nothing is beyond chance, so nothing holds. Raises BadInput for NaN.

        Undecided is what was timed on a busy machine, whatever the figure, and a latency within its bound that rests on
        too few queries for an interval: it passes with a remark, or fails where the options are strict.
        """
        if math.isnan(bound):
            raise BadInput(f"{self.name}: '{sense} NaN' can be neither true nor false; give a number")
        why = self.withheld
        if not why and self.n < self.fewest and not self._is_beyond(bound, sense):
            why = f"{self.quantity.name} of fewer than {self.fewest} queries has no interval"
        verdict: CheckVerdict = "undecided" if why else "holds" if holds else "fails"
        passed = not self.test.settings.strict if why else holds
        demand = f"{sense} {number(bound, self.quantity.kind)}"
        line = CheckLine(
            verdict=verdict, pipeline=self.pipeline, quantity=self.quantity.label, kind=self.quantity.kind,
            value=self.value, interval=None if self.interval is None else list(self.interval), bound=float(bound),
            sense=sense, n=self.n, note=why,
        )  # fmt: skip
        said, title = f"{self!r} {verdict}: {demand}", f"{self.name}: {demand}"
        if why:
            said = f"{said}; {why}"
        explanation = "" if passed else self._explained(bound, sense)
        return self.test.made(PluginCheck(verdict, passed, said, title, explanation, (line,)))

    def _explained(self, bound: float, sense: Sense) -> str:
        """Figure, interval, bound, n, how many more queries would tell, and the five queries that pull it down (or up)
        with the documents that they got."""
        kind, rising = self.quantity.kind, sense == "at least"
        end = "lower" if rising else "upper"
        told = {
            "figure": number(self.value, kind),
            "interval": f"{span(self.interval, kind)} (95 %)",
            "bound": f"{sense} {number(bound, kind)}, for the {end} end of the interval",
            "queries": f"{self.n}",
            "more": self._more_queries(bound, sense),
        }
        if self.withheld:
            told["more"] = f"{self.withheld}; time it again when the machine does nothing else"
        lines = facts(told.items())
        if self.by_query.empty:
            return "\n".join(lines)
        chosen = self.by_query.sort_values(ascending=rising, kind="stable").head(SHOWN_QUERIES)
        which = f"{len(chosen)} {'lowest' if rising else 'highest'} of {len(self.by_query)} queries"
        lines += ["", f"the {which}, and their rankings:"]
        for query_id, value in chosen.items():
            lines.append(f"  {query_id}  {number(float(value), kind)}")
            lines += documents("got", self.rankings, self.pipeline, str(query_id))
        return "\n".join(lines)

    def _is_beyond(self, bound: float, sense: Sense) -> bool:
        return self.value < bound if sense == "at least" else self.value > bound

    def _more_queries(self, bound: float, sense: Sense) -> str:
        """Whether more queries of the kind could bring the interval to the other side of the bound, and how many."""
        if self._is_beyond(bound, sense):
            return "the figure itself is beyond the bound: more queries of this kind would not mend it"
        if self.quantity.kind == "load":
            return "the figure itself is within the bound: more seconds of [load] narrow the interval"
        if self.quantity.kind == "latency":
            return "the figure itself is within the bound: more queries or rounds narrow the interval"
        needed = more_queries_needed(self.by_query.to_numpy(dtype=float) - bound)
        if needed is None or self.value == bound:
            return "the figure is just at the bound: no number of queries would tell"
        return f"about {max(needed, 1):,} more queries of this kind would tell, if the figure stays"


WIDTH = 80
LONGEST_REPR = 200
"""pytest cuts a repr at 240 characters, and writes a line end in it as two characters."""
SHOWN_QUERIES = 5
UNITS = {"latency": " ms", "cost": " USD"}


def number(value: float | None, kind: str) -> str:
    """A figure of a kind with its unit: 0.874, 12.3 ms, 254, 0.412 USD."""
    if value is None:
        return "n/a"
    return f"{value:.3f}" if kind == "quality" else three_digits(value) + UNITS.get(kind, "")


def signed(value: float | None, kind: str) -> str:
    text = number(value, kind)
    return f"+{text}" if value is not None and value > 0 else text


def span(interval: Sequence[float] | None, kind: str) -> str:
    """`[0.720, 0.981]`; the unit is that of the figure beside it."""
    if interval is None:
        return "without interval"
    low, high = (number(end, kind).removesuffix(UNITS.get(kind, "")) for end in interval)
    return f"[{low}, {high}]"


def facts(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """`name  value` lines, the values wrapped under each other."""
    lines = []
    for name, value in pairs:
        lines += textwrap.wrap(
            value, WIDTH, initial_indent=f"  {name:<10} ", subsequent_indent=" " * 13, break_long_words=False
        ) or [f"  {name}"]
    return lines


def documents(when: str, rankings: pd.DataFrame, pipeline: str, query_id: str) -> list[str]:
    """The documents of one query, best first, on as many lines as they need."""
    rows = rankings[(rankings["pipeline"] == pipeline) & (rankings["query_id"] == query_id)]
    ranked = enumerate(rows.sort_values("rank")["document_id"], start=1)
    text = ", ".join(f"{place} {document_id}" for place, document_id in ranked) or "nothing"
    return textwrap.wrap(
        text, WIDTH, initial_indent=f"    {when:<8}", subsequent_indent=" " * 12, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
