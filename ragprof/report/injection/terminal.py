"""Answers and the audit on a terminal: a line a pipeline, then what was found in words, no wider than 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ragprof.report import figures
from ragprof.report.injection import study
from ragprof.report.injection.answer_tables import seconds
from ragprof.report.injection.audit_tables import audit_basis, outcome, tiny
from ragprof.report.injection.cells import cost_cell
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.tables import Cell, Tone

_WIDTH = 78
_INDENT = (0, 1)
_REPEATED = "repeated"
_STYLES: dict[Tone, str] = {"absent": "dim", "unpriced": "yellow", "quiet": "dim", "worse": "yellow"}


def injection_table(summary: Summary) -> RenderableType:
    """A line a pipeline, then the main findings; notes are in the report. One line where there are no answers.

    Nothing is cut; long names go on below.
    """
    if not study.is_present(summary):
        return _absent("no answers in this summary")
    found = entries(summary, "injection", "statements")
    basis = " ".join(part for part in (study.model_words(summary), study.correct_words(summary)) if part)
    lines = [*_statements(found), *([Text(basis, style="dim")] if basis else [])]
    table = [_answers(summary)] if study.names(summary) else []
    return Group(*table, *(Padding(line, _INDENT) for line in lines))


def audit_table(summary: Summary) -> RenderableType:
    """A line a pipeline and stage, then what was found. One line where nothing was audited."""
    if not study.audited(summary):
        return _absent("no determinism audit in this summary")
    basis = audit_basis(summary)
    lines = [*_statements(entries(summary, "audit", "statements")), *([Text(basis, style="dim")] if basis else [])]
    return Group(_stages(summary), *(Padding(line, _INDENT) for line in lines))


def _absent(words: str) -> Padding:
    return Padding(Text(words, style="dim"), _INDENT)


def _statements(sentences: Iterable[str]) -> list[Text]:
    return [Text(f"\u2022 {sentence}") for sentence in sentences]


def _empty_table() -> Table:
    table = Table(box=SIMPLE_HEAD, width=_WIDTH, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("pipeline", overflow="fold", ratio=1, min_width=14)
    return table


def _answers(summary: Summary) -> Table:
    table = _empty_table()
    titles = ("correct\n95% interval", "F1", "in\ncontext", "first\ntoken", "USD per\ncorrect answer")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for name in study.names(summary):
        table.add_row(Text(name), *(_text(cell) for cell in _answer_cells(summary, name)))
    return table


def _answer_cells(summary: Summary, name: str) -> list[Cell]:
    found, economics = study.answers(summary, name), study.economics(summary, name)
    mean, ends = at(found, "correct", "mean"), at(found, "correct", "interval")
    interval = "" if mean is None or ends is None else f" {_whole_span(ends)}"
    return [
        Cell(f"{_whole(mean)}{interval}"),
        Cell(figures.score(at(found, "f1", "mean"))),
        Cell(_whole(at(found, "answer_in_context", "mean"))),
        Cell(seconds(at(economics, "time_to_first_token_s", "mean"))),
        cost_cell(economics, "usd_per_correct_answer"),
    ]


def _whole(share: float | None) -> str:
    return figures.ABSENT if share is None else f"{100 * share:.0f}%"


def _whole_span(ends: tuple[float, float]) -> str:
    return figures.span(ends, _whole)


def _text(cell: Cell) -> Text:
    return Text(cell.text, style=_STYLES.get(cell.tone, ""))


def _stages(summary: Summary) -> Table:
    table = _empty_table()
    for title in ("stage", "what", "outcome"):
        table.add_column(title, overflow="fold")
    table.add_column("largest\ndifference", justify="right", no_wrap=True)
    for name in study.audited(summary):
        shown = name
        for row in _stage_rows(entries(summary, "audit", "pipelines", name, "stages")):
            table.add_row(Text(shown), *row)
            shown = ""
    return table


def _stage_rows(checks: Sequence[Mapping[str, Any]]) -> list[list[Text]]:
    """What differs, a row each; what does not shares one."""
    same = [found for found in checks if outcome(found).text == "identical"]
    rows = [_stage_row(found) for found in checks if found not in same]
    if not same:
        return rows
    many = f"{len(same)} check{'' if len(same) == 1 else 's'}"
    which = "others" if rows else "all"
    return [*rows, [Text(which), Text(many), Text("identical", style="dim"), Text(figures.DASH)]]


def _stage_row(found: Mapping[str, Any]) -> list[Text]:
    variant, largest = at(found, "variant"), at(found, "largest_difference")
    what = figures.text(at(found, "what"))
    words = what if variant in (None, _REPEATED) else str(variant)
    difference = Text(figures.DASH if largest is None else tiny(largest))
    return [Text(figures.text(at(found, "stage"))), Text(words), _text(outcome(found)), difference]
