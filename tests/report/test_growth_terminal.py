"""Growth on a terminal of 80 columns."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from ragprof.session.pages import growth_table

Variant = Callable[..., dict[str, Any]]


def _lines(summary: dict[str, Any], width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(growth_table(summary))
    return captured.get().splitlines()


def _words(summary: dict[str, Any]) -> str:
    return " ".join(" ".join(_lines(summary)).split())


def test_six_pipelines_fit_into_eighty_columns_a_line_each(whole_study: dict[str, Any]) -> None:
    lines = _lines(whole_study)
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if line.strip().startswith("dense+maxsim"))
    assert " ".join(row.split()) == (
        "dense+maxsim 0.583 \u2192 0.497 \u22120.086 36.1% \u2192 30.8% 153 ms \u2192 165 ms"
    )


def test_crossovers_are_sentences(whole_study: dict[str, Any]) -> None:
    words = _words(whole_study)
    assert "dense beats bm25: crosses, 5,200 passages, interval 3,100\u20138,900" in words
    assert "hybrid beats dense: from the smallest size \u00d7" in words
    assert "dense+maxsim gains more than 0.02 over dense: undecided, interval 4,100 or more" in words
    assert "static beats bm25: not within the measured range" in words


def test_forecasts_are_those_of_the_farthest_size(whole_study: dict[str, Any]) -> None:
    words = _words(whole_study)
    assert "Forecast at 400,000 passages, 95% intervals; cost is of 1,000 queries:" in words
    assert "dense: nDCG@10 0.290 (0.255\u20130.325), p50 141 ms (124\u2013158 ms), cost $0.282" in words
    assert "static: nDCG@10 abstains, p50 83.2 ms (73.2\u201393.2 ms), cost $0.255" in words


def test_where_every_model_abstains_that_is_the_forecast(growth_variant: Variant) -> None:
    assert "Forecast, 95% intervals; cost is of 1,000 queries: \u2192 bm25: nDCG@10 abstains, p50 abstains" in _words(
        growth_variant("abstaining")
    )


def test_what_it_rests_on_and_what_flatters_is_said(whole_study: dict[str, Any]) -> None:
    words = _words(whole_study)
    assert "1,234 \u2192 19,740 passages; n = 160 queries, 5 orders of the documents; every judged" in words
    assert "! Keeping every judged document flatters the small sizes" in words


def test_absent_values_are_named(growth_variant: Variant) -> None:
    row = next(line for line in _lines(growth_variant("bare")) if line.strip().startswith("dense"))
    assert row.split() == ["dense", "n/a", "n/a", "n/a", "n/a"]


def test_without_timings_only_they_are_absent(growth_variant: Variant) -> None:
    row = next(line for line in _lines(growth_variant("without_timings")) if line.strip().startswith("bm25"))
    assert row.split() == ["bm25", "0.512", "\u2192", "0.398", "\u22120.114", "31.7%", "\u2192", "24.7%", "n/a"]


def test_one_size_has_no_arrow(growth_variant: Variant) -> None:
    row = next(line for line in _lines(growth_variant("one_size")) if line.strip().startswith("bm25"))
    assert row.split() == ["bm25", "0.512", "n/a", "31.7%", "1.29", "ms"]


@pytest.mark.parametrize("width", [80, 200])
def test_hostile_names_are_text_and_nothing_is_cut(growth_variant: Variant, width: int) -> None:
    name = "[red]a pipeline[/red] [/nothing] with quite a long and hostile name"
    lines = _lines(growth_variant("renamed", "dense", name), width)
    text = "\n".join(lines)
    assert "…" not in text
    assert "[red]a" in text
    assert max(map(len, lines)) <= width


def test_a_summary_without_growth_says_so(summary: dict[str, Any]) -> None:
    assert _words(summary) == "no growth study in this summary"
