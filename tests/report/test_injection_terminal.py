"""Answers on a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from ragprof.session.pages import audit_table, injection_table

Variant = Callable[..., dict[str, Any]]


def _lines(table: RenderableType, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()


def _words(table: RenderableType) -> str:
    return " ".join(" ".join(_lines(table)).split())


def _row(lines: list[str], name: str) -> list[str]:
    return next(line for line in lines if line.strip().startswith(name)).split()


def test_six_pipelines_fit_into_eighty_columns_a_line_each(whole_answers: dict[str, Any]) -> None:
    lines = _lines(injection_table(whole_answers))
    assert max(map(len, lines)) <= 80
    assert _row(lines, "dense+maxsim") == [
        *("dense+maxsim", "45%", "32%\u201358%", "0.414", "73%", "2.63", "s", "$0.000809")
    ]
    assert _row(lines, "hybrid+maxsim")[-1] == "UNPRICED"


def test_main_findings_and_what_they_rest_on_stand_below(whole_answers: dict[str, Any]) -> None:
    words = _words(injection_table(whole_answers))
    assert "\u2022 From k = 3 on one more chunk costs more than it brings." in words
    assert "Answered by gemma-3-270m (local, bfloat16, cpu); n = 60 questions and 30 unanswerable ones; tokens" in words
    assert "Correct: a gold answer stands in the answer." in words


def test_absent_values_are_named(answers_variant: Variant) -> None:
    assert _row(_lines(injection_table(answers_variant("bare"))), "dense") == ["dense", *["n/a"] * 5]


def test_without_timings_only_they_are_absent(answers_variant: Variant) -> None:
    row = _row(_lines(injection_table(answers_variant("without_timings"))), "bm25")
    assert row == ["bm25", "33%", "21%\u201345%", "0.307", "58%", "n/a", "$0.000856"]


@pytest.mark.parametrize("width", [80, 200])
def test_hostile_names_are_text_and_nothing_is_cut(answers_variant: Variant, width: int) -> None:
    name = "[red]a pipeline[/red] [/nothing] with quite a long and hostile name, \u691c\u7d22 too"
    lines = _lines(injection_table(answers_variant("renamed", "dense", name)), width)
    text = "\n".join(lines)
    assert "\u2026" not in text
    assert "[red]a" in text
    assert max(map(cell_len, lines)) <= width


def test_a_summary_without_them_says_so(summary: dict[str, Any]) -> None:
    assert _words(injection_table(summary)) == "no answers in this summary"
    assert _words(audit_table(summary)) == "no determinism audit in this summary"
