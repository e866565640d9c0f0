"""Tables of the time to the first token: the fitted curve, and the measured prompt lengths beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.growth.forecast_tables import signed
from ragprof.report.injection.cells import estimate_cell
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.tables import Cell, Column, Row, Table, figure

_TERMS = {
    "a_ns": ("a", "fixed, whatever the length"),
    "b_ns_per_token": ("b", "per token of the prompt"),
    "c_ns_per_token2": ("c", "per token squared"),
}


def first_token(summary: Summary) -> Any:
    return at(summary, "injection", "time_to_first_token")


def fit(summary: Summary) -> Table:
    """a, b and c of t = a + b n + c n^2, and how far the measured points lie off. No rows without a fit."""
    told = at(first_token(summary), "fit")
    found = told if any(at(told, key) is not None for key in _TERMS) else None
    columns = (Column("Term", numeric=False), Column("Value"), Column("What", numeric=False))
    rows = [Row(_term_cells(found, key)) for key in _TERMS] if found else []
    rows += [_off(found), _bend(found)] if found else []
    rows += _decoding(summary)
    note = (
        "Time to first token = a + b n + c n\u00b2, with n the tokens of the prompt. Small figures are 95% intervals."
    )
    return Table("injection-fit", "The fitted curve, term by term", columns, tuple(rows), note)


def _term_cells(found: Mapping[str, Any], key: str) -> tuple[Cell, ...]:
    letter, words = _TERMS[key]
    value = signed(at(found, key), figures.duration).removeprefix("+")
    return (
        Cell(letter),
        figure(value, figures.span(at(found, "intervals", key), _either_side)),
        Cell(words, tone="quiet"),
    )


def _either_side(value: float) -> str:
    return signed(value, figures.duration).removeprefix("+")


def _off(found: Mapping[str, Any]) -> Row:
    relative = at(found, "relative_residual")
    note = "" if relative is None else figures.share(relative)
    words = Cell("root mean square of measured minus fitted", tone="quiet")
    return Row((Cell("residual"), figure(figures.duration(at(found, "residual_ns")), note), words))


def _bend(found: Mapping[str, Any]) -> Row:
    start = at(found, "quadratic_from_tokens")
    value = Cell("not told", tone="undecided") if start is None else figure(f"{figures.count(start)} tokens")
    told = "c is not told apart from 0" if start is None else "from here c n\u00b2 is a tenth of the time or more"
    return Row((Cell("bend"), value, Cell(told, tone="quiet")))


def _decoding(summary: Summary) -> list[Row]:
    found = at(first_token(summary), "decode_ns_per_token")
    if at(found, "mean") is None:
        return []
    words = Cell("per token of the answer, after the first", tone="quiet")
    return [Row((Cell("decoding"), estimate_cell(found, figures.duration), words))]


def lengths(summary: Summary) -> Table:
    """A row a measured prompt length. No rows without timings."""
    columns = (
        *(
            Column("Prompt", "tokens", numeric=False),
            Column("First token", "p50"),
            Column("Residual", "measured minus fitted"),
        ),
        Column("n", "timings"),
    )
    found = [one for one in entries(first_token(summary), "points") if at(one, "prompt_tokens") is not None]
    residuals = {
        at(one, "prompt_tokens"): at(one, "residual_ns") for one in entries(first_token(summary), "fit", "residuals")
    }
    rows = tuple(Row(_length_cells(one, residuals)) for one in found)
    model = at(first_token(summary), "model") or at(summary, "injection", "generator", "model")
    by = "" if model is None else f" {model}."
    note = f"Live prompts of set lengths, small figures are 95% intervals.{by}"
    return Table("injection-lengths", "Time to first token by prompt length", columns, rows, note)


def _length_cells(point: Mapping[str, Any], residuals: Mapping[Any, Any]) -> tuple[Cell, ...]:
    interval = figures.span(at(point, "interval_ns"), figures.duration)
    return (
        *(Cell(figures.count(point["prompt_tokens"])), figure(figures.duration(at(point, "p50_ns")), interval)),
        figure(signed(residuals.get(point["prompt_tokens"]), figures.duration)),
        figure(figures.count(at(point, "n"))),
    )


def timings_words(summary: Summary) -> str:
    """What a point of the chart rests on."""
    counts = sorted({at(one, "n") for one in entries(first_token(summary), "points")} - {None})
    if not counts:
        return f"n {figures.ABSENT}"
    ends = dict.fromkeys(figures.count(count) for count in (counts[0], counts[-1]))
    return f"n = {' to '.join(ends)} timings per length"


def fit_statement(summary: Summary) -> str:
    return str(at(first_token(summary), "fit", "statement") or "")
