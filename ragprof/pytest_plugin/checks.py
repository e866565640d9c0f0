"""What the options say, for the whole session. Refuses to update baselines where CI runs.

The test that is running: where it stands, what the options say, and the checks that it has made so far.

How checks write numbers, rankings and facts, in plain text of at most 80 columns. Loads nothing heavy.

A check: true or false in a plain `assert`, one short line as its repr, everything else as text for the report.

The whole explanation of a bound that does not hold: the figure, what would help, and the queries behind it.

A figure that a test asks for: value, interval, number of queries, and the two checks that it takes.
"""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import pandas as pd
import pytest

from ragprof.core.errors import BadInput
from ragprof.core.quantities import Quantity
from ragprof.report.figures import three_digits
from ragprof.statistics.power import more_queries_needed

if TYPE_CHECKING:
    pass


NO = ("", "0", "false", "no")


@dataclass(frozen=True)
class Settings:
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


def settings_of(config: pytest.Config, *, temporary: Path) -> Settings:
    """`temporary` is this process's temporary folder; the workers of xdist share the one above it."""
    worker = getattr(config, "workerinput", {})
    shared, out = temporary.parent if worker else temporary, config.getoption("ragprof_out")
    root = config.invocation_params.dir
    return Settings(
        update=config.getoption("ragprof_update") is not None,
        strict=bool(config.getoption("ragprof_strict")),
        out=root / out if out else shared / "ragprof",
        kept=bool(out),
        baselines=str(config.getini("ragprof_baselines")),
        session=str(worker.get("testrunuid") or f"{os.getpid()}-{temporary.name}"),
        crowded=worker.get("workercount", 1) > 1,
        roots=(config.rootpath, root),
    )


def refuse_update(config: pytest.Config) -> None:
    """Raises UsageError for --ragprof-update in CI: a gate that rewrites its baseline gates nothing."""
    if config.getoption("ragprof_update") == "yes" and os.environ.get("CI", "").lower() not in NO:
        raise pytest.UsageError(
            "--ragprof-update is refused where CI=true, because a build that writes its own baseline can never fail; "
            "update on your machine and commit the folder, or say --ragprof-update=force"
        )


CHECKS = "ragprof_checks"
"""The attribute of a report that holds the figures that its test checked."""


WIDTH = 80
LONGEST_REPR = 200
"""pytest cuts a repr at 240 characters, and writes a line end in it as two characters."""
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


def short(text: str) -> str:
    """One line that pytest does not cut."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_REPR else f"{line[: LONGEST_REPR - 3]}..."


def facts(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """`name  value` lines, the values wrapped under each other."""
    lines = []
    for name, value in pairs:
        lines += textwrap.wrap(
            value, WIDTH, initial_indent=f"  {name:<10} ", subsequent_indent=" " * 13, break_long_words=False
        ) or [f"  {name}"]
    return lines


def ranked(rankings: pd.DataFrame, pipeline: str, query_id: str) -> list[str]:
    """The documents of one query, best first."""
    rows = rankings[(rankings["pipeline"] == pipeline) & (rankings["query_id"] == query_id)]
    return [str(document) for document in rows.sort_values("rank")["document_id"]]


def documents(name: str, ids: Sequence[str]) -> list[str]:
    """A ranking on as many lines as it needs."""
    listed = ", ".join(f"{place} {document_id}" for place, document_id in enumerate(ids, start=1))
    return textwrap.wrap(
        listed or "nothing",
        WIDTH,
        initial_indent=f"    {name:<8}",
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )


@dataclass(frozen=True, eq=False, repr=False)
class Figure:
    """`interval` is of 95 % over queries, None with a single query. Metrics as they are, latency in ms, usage a query,
    money in USD per 1,000 queries. `by_query` is what each query has; `rankings` are the documents it got, best first.
    """

    quantity: Quantity
    pipeline: str
    value: float
    interval: tuple[float, float] | None
    n: int
    by_query: pd.Series
    rankings: pd.DataFrame
    case: Case

    @property
    def name(self) -> str:
        return f"{self.quantity.label} of {self.pipeline}"

    def __repr__(self) -> str:
        kind = self.quantity.kind
        return f"{self.name} = {number(self.value, kind)} {span(self.interval, kind)} (n {self.n})"

    def at_least(self, bound: float) -> Check:
        """Holds where the lower end of the interval is not below the bound: the figure is that high, beyond chance."""
        return self.case.made(bound_check(self, bound, "at least"))

    def at_most(self, bound: float) -> Check:
        """Holds where the upper end of the interval is not above the bound."""
        return self.case.made(bound_check(self, bound, "at most"))


SHOWN_QUERIES = 5


def bound_text(figure: Figure, bound: float, sense: str) -> str:
    """Figure, interval, bound, n, how many more queries would tell, and the five queries that pull it down (or up)."""
    kind, end = figure.quantity.kind, "lower" if sense == "at least" else "upper"
    lines = facts(
        [
            ("figure", number(figure.value, kind)),
            ("interval", f"{span(figure.interval, kind)} (95 %)"),
            ("bound", f"{sense} {number(bound, kind)}, for the {end} end of the interval"),
            ("queries", f"{figure.n}"),
            ("more", more_text(figure, bound, sense)),
        ]
    )
    return "\n".join([*lines, "", *extremes(figure, sense)])


def more_text(figure: Figure, bound: float, sense: str) -> str:
    """Whether more queries of the kind could bring the interval to the other side of the bound, and how many."""
    beyond = figure.value < bound if sense == "at least" else figure.value > bound
    if beyond:
        return "the figure itself is beyond the bound: more queries of this kind would not mend it"
    if figure.quantity.kind == "latency":
        return "the figure itself is within the bound: more queries or rounds narrow the interval"
    needed = more_queries_needed(figure.by_query.to_numpy(dtype=float) - bound)
    if needed is None or figure.value == bound:
        return "the figure is just at the bound: no number of queries would tell"
    return f"about {max(needed, 1):,} more queries of this kind would tell, if the figure stays"


def extremes(figure: Figure, sense: str) -> list[str]:
    """The five lowest (or highest) queries with the documents that they got."""
    rising = sense == "at least"
    chosen = figure.by_query.sort_values(ascending=rising, kind="stable").head(SHOWN_QUERIES)
    which = f"{len(chosen)} {'lowest' if rising else 'highest'} of {len(figure.by_query)} queries"
    lines = [f"the {which}, and their rankings:"]
    for query_id, value in chosen.items():
        lines.append(f"  {query_id}  {number(float(value), figure.quantity.kind)}")
        lines += documents("got", ranked(figure.rankings, figure.pipeline, str(query_id)))
    return lines


Verdict: TypeAlias = Literal["holds", "fails", "undecided", "written"]
Sense: TypeAlias = Literal["at least", "at most"]


@dataclass(frozen=True)
class Line:
    """One checked figure, for the summary table and for JUnit. Plain values, so that it travels between processes.

    With `against`, a baseline's name, `value` and `interval` are differences from it.
    """

    verdict: str
    pipeline: str
    quantity: str
    kind: str
    value: float | None
    interval: list[float] | None
    bound: float | None
    sense: str
    n: int
    against: str = ""
    note: str = ""


@dataclass(eq=False, repr=False)
class Check:
    """What a test asserts. `asserted` turns true once somebody asked for its truth."""

    verdict: Verdict
    passed: bool
    said: str
    title: str
    explanation: str
    lines: tuple[Line, ...]
    asserted: bool = False

    def __bool__(self) -> bool:
        self.asserted = True
        return self.passed

    def __repr__(self) -> str:
        return short(self.said)


def bound_check(figure: Figure, bound: float, sense: Sense) -> Check:
    """The end of the interval that is nearer to failing, against a bound. Raises BadInput for a bound of NaN."""
    if math.isnan(bound):
        raise BadInput(f"{figure.name}: '{sense} NaN' can be neither true nor false; give a number")
    verdict: Verdict = "holds" if _within(figure, bound, sense) else "fails"
    demand = f"{sense} {number(bound, figure.quantity.kind)}"
    line = Line(
        verdict=verdict,
        pipeline=figure.pipeline,
        quantity=figure.quantity.label,
        kind=figure.quantity.kind,
        value=figure.value,
        interval=None if figure.interval is None else list(figure.interval),
        bound=float(bound),
        sense=sense,
        n=figure.n,
    )
    return Check(
        verdict=verdict,
        passed=verdict == "holds",
        said=f"{figure!r} {verdict}: {demand}",
        title=f"{figure.name}: {demand}",
        explanation=bound_text(figure, bound, sense) if verdict == "fails" else "",
        lines=(line,),
    )


def _within(figure: Figure, bound: float, sense: Sense) -> bool:
    """Without an interval (a single query) nothing is beyond chance, so nothing holds."""
    if figure.interval is None:
        return False
    low, high = figure.interval
    return low >= bound if sense == "at least" else high <= bound


@dataclass(frozen=True, eq=False)
class Case:
    """`file` is the test's own. `checks` are those that no report has told yet."""

    name: str
    file: Path
    settings: Settings
    checks: list[Check] = field(default_factory=list)

    def made(self, check: Check) -> Check:
        """Remember a check for the report of this test."""
        self.checks.append(check)
        return check

    def located(self, given: str | Path, *, what: str) -> Path:
        """A path as it is, or relative to the test's file, to pytest's root or to where pytest was started.

        Raises BadInput naming where it looked.
        """
        path = Path(given).expanduser()
        places = [path] if path.is_absolute() else [root / path for root in (self.file.parent, *self.settings.roots)]
        tried = list(dict.fromkeys(places))
        found = next((each for each in tried if each.exists()), None)
        if found is None:
            raise BadInput(f"there is no {what} '{given}'; looked for {' and '.join(map(str, tried))}")
        return found.resolve()
