from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from ragprof.session.pages import terminal_table


def _lines(summary: dict[str, Any], width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(terminal_table(summary))
    return captured.get().splitlines()


def test_six_pipelines_fit_into_eighty_columns_a_line_each(summary: dict[str, Any]) -> None:
    lines = _lines(summary)
    assert max(map(len, lines)) <= 80
    for name in summary["pipelines"]:
        assert len([line for line in lines if line.split()[:1] == [name] and "\u2013" in line]) == 1


def test_figures_are_whole(summary: dict[str, Any]) -> None:
    row = next(line for line in _lines(summary) if line.strip().startswith("hybrid+maxsim "))
    assert row.split() == ["hybrid+maxsim", "0.581", "0.535\u20130.626", "90.4%", "80.4", "ms", "100", "ms", "UNPRICED"]


@pytest.mark.parametrize("width", [80, 200])
def test_long_names_go_on_below_and_nothing_is_cut(twelve_pipelines: dict[str, Any], width: int) -> None:
    text = "\n".join(_lines(twelve_pipelines, width))
    assert "…" not in text
    assert "variant" in text


def test_square_brackets_are_no_markup(two_pipelines: dict[str, Any]) -> None:
    two_pipelines["headline"] = ["[red]answer[/red] [/nothing]"]
    assert "[red]answer[/red] [/nothing]" in "\n".join(_lines(two_pipelines))


def test_absent_values_are_named(bare: dict[str, Any]) -> None:
    row = next(line for line in _lines(bare) if line.strip().startswith("lonely"))
    assert row.split() == ["lonely", "n/a", "n/a", "n/a", "n/a", "n/a"]
