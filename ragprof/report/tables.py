"""What a table is, before it is drawn as HTML, Markdown or on a terminal, and cells that several studies have.

Cells hold finished text. A price that nobody knows is UNPRICED, a figure that is missing n/a; neither is ever 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from ragprof.report import figures
from ragprof.report.figures import ABSENT, UNPRICED, signed
from ragprof.report.lookup import at

T = TypeVar("T")
MOST_COLUMNS = 6
"""Of a table on a page, before a reader asks for more."""
Tone: TypeAlias = Literal["", "absent", "unpriced", "better", "worse", "undecided", "quiet", "strong"]


class Estimated(Protocol):
    """A mean with its interval: an `EstimateValue` of a section, or a `core.Estimate`."""

    @property
    def mean(self) -> float | None: ...

    @property
    def interval(self) -> Sequence[float | None] | None: ...


@dataclass(frozen=True, slots=True)
class Cell:
    """`note` is an interval or another qualifier; `pipeline` asks for that pipeline's colour; `href` for a link."""

    text: str
    note: str = ""
    tone: Tone = ""
    pipeline: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """`unit` is written under the title. Numeric columns are set flush right.

    `quiet` ones qualify another. Those that are `extra`, or quiet, are the first that a page with many does not show.
    """

    title: str
    unit: str = ""
    numeric: bool = True
    quiet: bool = False
    extra: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """`span` is how many rows the first cell covers; 0 where the cell above covers this row."""

    cells: tuple[Cell, ...]
    span: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """A table with the sentence that its reader is owed."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    note: str = ""

    @classmethod
    def of(
        cls, key: str, title: str, columns: Mapping[Column, Callable[[T], Cell]], items: Iterable[T], note: str = ""
    ) -> Table:
        """A row an item, and in it what each column reads of the item."""
        rows = tuple(Row(tuple(read(item) for read in columns.values())) for item in items)
        return cls(key, title, tuple(columns), rows, note)

    @property
    def grouped(self) -> bool:
        return any(row.span != 1 for row in self.rows)

    @property
    def extra(self) -> frozenset[int]:
        """Places of the columns that a page shows only when asked for more: all but six.

        The last one, if it is in words, is a verdict and stays, unless it is extra itself.
        """

        def weight(place: int) -> tuple[bool, bool, int]:
            column = self.columns[place]
            is_verdict = place == len(self.columns) - 1 and not column.numeric
            return column.extra or column.quiet, not is_verdict, place

        return frozenset(sorted(range(len(self.columns)), key=weight)[MOST_COLUMNS:])


def figure(text: str, note: str = "", tone: Tone = "") -> Cell:
    """A value with its interval. An absent value is toned down and has no interval; a missing interval says so."""
    if text == ABSENT:
        return Cell(ABSENT, tone="absent")
    if text == UNPRICED:
        return Cell(UNPRICED, note, "unpriced")
    return Cell(text, "interval n/a" if note == ABSENT else note, tone)


def group(name: Cell, rows: Sequence[tuple[Cell, ...]]) -> list[Row]:
    """Rows under one shared first cell."""
    return [replace(Row((name, *cells)), span=0 if place else len(rows)) for place, cells in enumerate(rows)]


_VERDICTS: dict[str, tuple[str, Tone]] = {
    "better": ("\u25b2 better", "better"),
    "worse": ("\u25bc worse", "worse"),
    "undecided": ("\u25c7 undecided", "undecided"),
}


def interval_cell(value: Any, interval: Sequence[Any] | None, write: Callable[[Any], str], tone: Tone = "") -> Cell:
    """A figure with its interval, both as `write` has them. n/a where there is no figure."""
    return figure(write(value), figures.span(interval, write), tone)


class Decided(Protocol):
    """A verdict on a difference: the `ComparedPair` of a section."""

    @property
    def verdict(self) -> str: ...

    @property
    def more_queries(self) -> int | None: ...


def verdict_cell(comparison: Decided, family: int = 1) -> Cell:
    """The verdict with what is missing for one; `family` is over how many comparisons its p was corrected."""
    verdict = at(comparison, "verdict")
    if verdict is None:
        return figure(ABSENT)
    words, tone = _VERDICTS.get(verdict, (verdict, ""))
    why = ""
    if verdict == "undecided" and family > 1:
        interval = at(comparison, "interval") or at(comparison, "difference", "interval")
        why = figures.not_significant(interval, at(comparison, "p_holm"), family)
    notes = ["" if why == figures.NOT_SIGNIFICANT else why, needed(comparison)]
    return Cell(words, "; ".join(filter(None, notes)), tone)


def needed(comparison: Any) -> str:
    """How many more queries would decide it; empty where nothing is missing or nothing is known."""
    more = at(comparison, "more_queries")
    return "" if more is None else f"about {figures.counted(more, 'more query', 'more queries')} would be needed"


class Billed(Protocol):
    """USD of 1,000 queries as decimal strings: the `CostFigures` of a section."""

    @property
    def total(self) -> str | None: ...

    @property
    def interval(self) -> Sequence[str] | None: ...

    @property
    def priced_subtotal(self) -> str: ...


def bill_cell(bill: Billed | None) -> Cell:
    """The cost of 1,000 queries; UNPRICED, with what could be priced, where a rate is missing. n/a without a bill."""
    if bill is None:
        return figure(ABSENT)
    if bill.total is None:
        return figure(UNPRICED, f"without it {figures.usd(bill.priced_subtotal)}")
    return interval_cell(bill.total, bill.interval, figures.usd)


def score_cell(scores: Mapping[str, Estimated], metric: str) -> Cell:
    """The mean of a metric with its interval; n/a where it was not scored."""
    found = scores.get(metric)
    return figure(ABSENT) if found is None else interval_cell(found.mean, found.interval, figures.score)


def judged_cell(scores: Mapping[str, Estimated], metric: str) -> Cell:
    """The share of judged results that qualifies a metric."""
    found = scores.get(figures.judged_beside(metric))
    judged = figure(figures.share(found.mean if found else None))
    return Cell(judged.text, tone=judged.tone or "quiet")


HOW_QUANTILES = "p50, p95 and p99 are Harrell and Davis's estimates over all rounds of the queries."
"""For the notes of tables that have them."""


def quantile_cell(latency: Any, quantile: str) -> Cell:
    interval = figures.span(at(latency, f"{quantile}_interval_ns"), figures.duration)
    return figure(figures.duration(at(latency, f"{quantile}_ns")), interval)


WITHHELD = "withheld"
MARK = "*"


def marked(cell: Cell, reason: str) -> Cell:
    """The cell as it is, or with a mark behind its figure where there is a reason to withhold that from sentences."""
    return replace(cell, text=f"{cell.text} {MARK}", tone="undecided") if reason else cell


def mark_note(reasons: Mapping[str, str]) -> str:
    """What the mark means, for the note of a table: whose figures are withheld, and why. Empty where none are."""
    told = [f"{name}: {reason}" for name, reason in reasons.items() if reason]
    return f" {MARK} measured, but in no headline or verdict: {'; '.join(told)}." if told else ""


@dataclass(frozen=True, slots=True)
class Tile:
    """`pipeline` is whose figure it is; empty for a figure of the run."""

    label: str
    value: str
    unit: str
    note: str
    pipeline: str = ""


PIPELINE = Column("Pipeline", numeric=False)
_POINTS = " pp"


def plain(value: float | None) -> str:
    """Three significant digits of a figure whose unit is told elsewhere."""
    return figures.ABSENT if value is None else figures.three_digits(value).replace("-", figures.MINUS)


def points(value: float | None) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return figures.ABSENT if value is None else f"{100 * value:+.1f}{_POINTS}".replace("-", figures.MINUS)


def points_span(interval: Any) -> str:
    """Both ends of a difference of shares; the unit is written once."""
    return figures.span(interval, points).replace(f"{_POINTS} to ", " to ")


def gain_span(interval: Any, write: Callable[[Any], str]) -> str:
    """Both ends of a gain, each with its sign."""
    return figures.span(interval, lambda end: signed(end, write))


def open_span(interval: Any, write: Callable[[Any], str]) -> str:
    """An interval that may have no lower or no upper end: a price for each of what may not have been there at all."""
    low, high = interval or (None, None)
    if (low is None) == (high is None):
        return figures.span(interval, write)
    return f"{write(low)} or more" if high is None else f"up to {write(high)}"


def estimate_cell(estimate: Any, write: Callable[[Any], str]) -> Cell:
    return figure(write(at(estimate, "mean")), open_span(at(estimate, "interval"), write))


def share_cell(estimate: Any) -> Cell:
    return estimate_cell(estimate, figures.share)


def facts(pairs: Mapping[str, Any]) -> tuple[Row, ...]:
    """A row a fact that is known."""
    known = {label: value for label, value in pairs.items() if value is not None}
    return tuple(Row((Cell(label), figure(figures.text(value)))) for label, value in known.items())


def verdict_cells(comparison: Any, family: int) -> tuple[Cell, Cell]:
    """p, corrected where it was over `family` comparisons, and the verdict with what is missing for one."""
    corrected = at(comparison, "p_holm")
    note = "" if corrected is None else f"Holm {figures.p_value(corrected)}"
    return figure(figures.p_value(at(comparison, "p")), note), verdict_cell(comparison, family)


def score_change(estimate: Any) -> Cell:
    """An estimate of a difference of scores."""
    interval = figures.span(at(estimate, "interval"), figures.difference)
    return figure(figures.difference(at(estimate, "mean")), interval)
