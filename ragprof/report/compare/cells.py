"""Figures of a comparison as text and cells: each row in one unit, differences signed, verdicts with mark and word.

A figure that was not measured is `n/a`, one that lacks its rate `UNPRICED`; neither is shown as 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ragprof.report import figures
from ragprof.report.compare.reading import Row, pipeline
from ragprof.report.context_tables import needed
from ragprof.report.growth.forecast_tables import signed
from ragprof.report.lookup import at
from ragprof.report.scales import time_unit
from ragprof.report.tables import Cell, Tone, figure

Writer: TypeAlias = Callable[[float], str]
ARROW = "\u2192"
NS_PER_MS = 1e6
_MILLION = 1_000_000
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


def unit_words(row: Row) -> str:
    """What its figures count: `score`, `ms`, `prompt tokens per query`, `USD per 1,000 queries`."""
    kind = at(row, "kind")
    if kind == "latency":
        return _time_unit(row)[0]
    if kind == "usage":
        return f"{str(at(row, 'unit') or 'units').replace('_', ' ')} per query"
    return "USD per 1,000 queries" if kind == "cost" else "score"


def direction(row: Row) -> str:
    better = at(row, "better")
    return f"{better} is better" if better else ""


def amount(row: Row) -> Writer:
    """Writes a figure of this row with its unit; all of a row's durations are in one unit."""
    kind = at(row, "kind")
    if kind == "latency":
        unit, length = _time_unit(row)
        return lambda value: f"{figures.three_digits(value * NS_PER_MS / length)} {unit}"
    return {"cost": figures.usd, "usage": _count}.get(str(kind), figures.score)


def _time_unit(row: Row) -> tuple[str, float]:
    known = [abs(at(row, side)) for side in ("base", "candidate") if at(row, side) is not None]
    return time_unit(max(known, default=1.0) * NS_PER_MS)


def _count(value: float) -> str:
    return figures.rough_count(value) if abs(value) >= _MILLION else figures.mean_count(value)


def change(row: Row) -> Writer:
    """Writes a difference of this row, with its sign and unit."""
    kind, write = at(row, "kind"), amount(row)
    if kind == "usage":
        write = _small_count
    return figures.difference if kind == "quality" else lambda value: signed(value, write)


def _small_count(value: float) -> str:
    return _count(value) if abs(value) >= _MILLION else figures.three_digits(value)


def percent(value: float) -> str:
    return signed(value, figures.share)


def ends(interval: figures.Interval, write: Writer) -> str:
    """Both ends of an interval; a unit that they share is written once."""
    text = figures.span(interval, write)
    low, between, high = text.partition(" to ")
    unit = high.rpartition(" ")[2]
    return f"{low.removesuffix(f' {unit}')}{between}{high}" if between and low.endswith(f" {unit}") else text


def side(row: Row, key: str) -> str:
    """The figure of one side. A bill that lacks a rate is UNPRICED."""
    value = at(row, key)
    if value is not None:
        return amount(row)(value)
    unpriced = "unpriced" in (at(row, "verdict"), at(row, "gate"))
    return figures.UNPRICED if unpriced else figures.ABSENT


def from_to(row: Row) -> str:
    """`base -> candidate`, a shared unit written once."""
    base, candidate = side(row, "base"), side(row, "candidate")
    unit = candidate.partition(" ")[2]
    shared = unit and base.endswith(f" {unit}")
    return f"{base.removesuffix(f' {unit}') if shared else base} {ARROW} {candidate}"


def _written(value: Any, write: Writer) -> str:
    return figures.ABSENT if value is None else write(value)


def difference(row: Row) -> str:
    return _written(at(row, "difference"), change(row))


def difference_ends(row: Row) -> str:
    return ends(at(row, "interval"), change(row))


def relative(row: Row) -> str:
    return _written(at(row, "relative"), percent)


def relative_ends(row: Row) -> str:
    return ends(at(row, "relative_interval"), percent)


def short_change(row: Row) -> tuple[str, str]:
    """The difference that people speak of, with its interval: points of a metric, else per cent where there are any."""
    if at(row, "kind") == "quality" or at(row, "relative") is None:
        return difference(row), difference_ends(row)
    return relative(row), relative_ends(row)


def short_margin(row: Row) -> str:
    """The margin as `short_change` tells the difference."""
    base, margin = at(row, "base"), at(row, "margin")
    if margin is None or at(row, "kind") == "quality" or at(row, "relative") is None or not base:
        return _written(margin, amount(row))
    return figures.share(margin / abs(base))


def quantity_cell(row: Row) -> Cell:
    words = ", ".join(part for part in (unit_words(row), direction(row)) if part)
    return Cell(figures.text(at(row, "quantity")), words)


def pipeline_cell(row: Row) -> Cell:
    """The pipeline; where another one's figures are its base, that one is named."""
    name, base = pipeline(row), at(row, "base_pipeline")
    return Cell(name, f"against {base}" if base not in (None, name) else "", pipeline=name)


def side_cell(row: Row, key: str) -> Cell:
    return figure(side(row, key))


def difference_cell(row: Row) -> Cell:
    return figure(difference(row), difference_ends(row))


def relative_cell(row: Row) -> Cell:
    return figure(relative(row), relative_ends(row))


def margin_cell(row: Row) -> Cell:
    """With where it comes from, unless that only repeats it."""
    margin, why = at(row, "margin"), str(at(row, "margin_why") or "")
    return figure(_written(margin, amount(row)), "" if margin is not None and why == f"{margin:g}" else why)


def p_cells(row: Row) -> tuple[Cell, Cell]:
    return figure(figures.p_value(at(row, "p"))), figure(figures.p_value(at(row, "p_holm")))


def short_p(row: Row) -> str:
    """The corrected p, or p where nothing was corrected."""
    corrected = at(row, "p_holm")
    return figures.p_value(at(row, "p") if corrected is None else corrected)


def words(verdict: Any) -> str:
    """A mark and a word: never told by colour alone."""
    return figures.ABSENT if verdict is None else MARKS.get(verdict, (str(verdict), ""))[0]


def tone(verdict: Any) -> Tone:
    return "absent" if verdict is None else MARKS.get(verdict, ("", ""))[1]


def verdict_cell(row: Row, key: str = "verdict") -> Cell:
    """The verdict of a row (`verdict`) or of its gate (`gate`), with its reason or with what is missing for one."""
    verdict = at(row, key)
    more = needed(row) if verdict == "undecided" else ""
    return Cell(words(verdict), str(at(row, "reason") or "") or more, tone(verdict))
