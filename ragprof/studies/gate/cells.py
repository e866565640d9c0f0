"""A row of a comparison as text and table cells: all its figures in one unit, differences signed, verdicts as mark and
word.

A figure that was not measured is `n/a`, one that lacks its rate `UNPRICED`; neither is shown as 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ragprof.core.quantities import PER_SECOND
from ragprof.report import figures
from ragprof.report.figures import signed
from ragprof.report.tables import Cell, Tone, figure
from ragprof.report.theme import time_unit
from ragprof.studies.gate.document import QuantityRow

Writer: TypeAlias = Callable[[float], str]
ARROW = "\u2192"
NS_PER_MS = 1e6
MILLION = 1_000_000
MARKS: dict[str, tuple[str, Tone]] = {
    "better": ("\u25b2 better", "better"),
    "worse": ("\u25bc worse", "worse"),
    "equivalent": ("\u25cf equivalent", "quiet"),
    "regression": ("\u25bc regression", "worse"),
    "holds": ("\u25cf holds", "quiet"),
    "undecided": ("\u25c7 undecided", "undecided"),
    "unpriced": (figures.UNPRICED, "unpriced"),
    "incomparable": ("\u00d7 incomparable", "absent"),
    "missing": ("\u2013 missing", "absent"),
}
"""Verdict -> its mark and word, and its tone: no verdict is told by colour alone."""


def unit_words(row: QuantityRow) -> str:
    """What its figures count: `score`, `ms`, `prompt tokens per query`, `USD per 1,000 queries`."""
    if row.kind == "usage":
        return f"{(row.unit or 'units').replace('_', ' ')} per query"
    if row.unit == PER_SECOND:
        return "requests a second"
    return {
        "latency": _time_unit(row)[0],
        "load": _time_unit(row)[0],
        "cost": "USD per 1,000 queries",
        "quality": "score",
    }[row.kind]


def amount(row: QuantityRow) -> Writer:
    """Writes a figure of this row with its unit; all of a row's durations are in one unit."""
    if row.unit == PER_SECOND:
        return lambda value: f"{figures.three_digits(value)}/s"
    if row.kind in ("latency", "load"):
        unit, length = _time_unit(row)
        return lambda value: f"{figures.three_digits(value * NS_PER_MS / length)} {unit}"
    return {"cost": figures.usd, "usage": _count}.get(row.kind, figures.score)


def _time_unit(row: QuantityRow) -> tuple[str, float]:
    known = [abs(value) for value in (row.base, row.candidate) if value is not None]
    return time_unit(max(known, default=1.0) * NS_PER_MS)


def _count(value: float) -> str:
    return figures.rough_count(value) if abs(value) >= MILLION else figures.mean_count(value)


def change(row: QuantityRow) -> Writer:
    """Writes a difference of this row, with its sign and unit."""
    if row.kind == "quality":
        return figures.difference
    if row.kind == "usage":
        return lambda value: signed(value, _count if abs(value) >= MILLION else figures.three_digits)
    return lambda value: signed(value, amount(row))


def percent(value: float) -> str:
    return signed(value, figures.share)


def ends(interval: figures.Interval, write: Writer) -> str:
    """Both ends of an interval; a unit that they share is written once."""
    text = figures.span(interval, write)
    low, between, high = text.partition(" to ")
    unit = high.rpartition(" ")[2]
    return f"{low.removesuffix(f' {unit}')}{between}{high}" if between and low.endswith(f" {unit}") else text


def side(row: QuantityRow, value: float | None) -> str:
    """The figure of one side. A bill that lacks a rate is UNPRICED."""
    if value is not None:
        return amount(row)(value)
    return figures.UNPRICED if row.verdict == "unpriced" else figures.ABSENT


def from_to(row: QuantityRow) -> str:
    """`base -> candidate`, a shared unit written once."""
    base, candidate = side(row, row.base), side(row, row.candidate)
    unit = candidate.partition(" ")[2]
    shared = unit and base.endswith(f" {unit}")
    return f"{base.removesuffix(f' {unit}') if shared else base} {ARROW} {candidate}"


def _written(value: float | None, write: Writer) -> str:
    return figures.ABSENT if value is None else write(value)


def difference(row: QuantityRow) -> str:
    return _written(row.difference, change(row))


def difference_ends(row: QuantityRow) -> str:
    return ends(row.interval, change(row))


def relative(row: QuantityRow) -> str:
    return _written(row.relative, percent)


def relative_ends(row: QuantityRow) -> str:
    return ends(row.relative_interval, percent)


def short_change(row: QuantityRow) -> tuple[str, str]:
    """The difference that people speak of, with its interval: points of a metric, else per cent where there are any."""
    if row.kind == "quality" or row.relative is None:
        return difference(row), difference_ends(row)
    return relative(row), relative_ends(row)


def short_margin(row: QuantityRow) -> str:
    """The margin as `short_change` tells the difference."""
    if row.kind == "quality" or row.relative is None or not row.base:
        return amount(row)(row.margin)
    return figures.share(row.margin / abs(row.base))


def short_p(row: QuantityRow) -> str:
    """The corrected p, or p where nothing was corrected."""
    return figures.p_value(row.p if row.p_holm is None else row.p_holm)


def pipeline_cell(row: QuantityRow) -> Cell:
    """The pipeline; where another one's figures are its base, that one is named."""
    note = "" if row.base_pipeline == row.pipeline else f"against {row.base_pipeline}"
    return Cell(row.pipeline, note, pipeline=row.pipeline)


def margin_cell(row: QuantityRow) -> Cell:
    """With where it comes from, unless that only repeats it."""
    return figure(amount(row)(row.margin), "" if row.margin_why == f"{row.margin:g}" else row.margin_why)


def verdict_cell(row: QuantityRow) -> Cell:
    """The decision on a row, with its reason or with what is missing for one."""
    text, tone = MARKS[row.decision]
    more = ""
    if row.decision == "undecided" and row.more_queries is not None:
        more = f"about {figures.count(row.more_queries)} more queries would be needed"
    if row.reason.startswith(figures.NOT_SIGNIFICANT) and more:
        return Cell(text, f"{row.reason}; {more}", tone)
    return Cell(text, row.reason or more, tone)
