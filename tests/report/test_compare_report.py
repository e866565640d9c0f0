"""A comparison on a terminal, as a comment on a pull request and as a page."""

from __future__ import annotations

import io
import re
import runpy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ragprof.report.tables import Cell, Table
from ragprof.session.pages import comparison_table, render_comparison_markdown, render_comparison_page
from ragprof.studies.gate import cells, words
from ragprof.studies.gate import cells as reading
from ragprof.studies.gate import tables as sections
from ragprof.studies.gate.charts import effects
from ragprof.studies.gate.tables import fallen

_SAMPLE = runpy.run_path(str(Path(__file__).with_name("compare_sample.py")))
DENSE, RERANKED, SPARSE = "dense", "dense+maxsim", "bm25"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,2000"),
    *("--virtual-time-budget=8000", "--enable-logging=stderr", "--v=0", "--dump-dom"),
)
_BAR = re.compile(r"(?<!\\)\|")
Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    return _SAMPLE["document"]()


@pytest.fixture
def gated() -> Document:
    return _SAMPLE["gated"]()


@pytest.fixture
def gated_as() -> Callable[[str], Document]:
    return _SAMPLE["gated"]


@pytest.fixture
def hostile() -> Document:
    return _SAMPLE["hostile"]()


@pytest.fixture
def bare() -> Document:
    return _SAMPLE["bare"]()


@pytest.fixture(scope="module")
def page() -> str:
    return render_comparison_page(_SAMPLE["gated"]())


def _lines(document: Document, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(comparison_table(document))
    return [line.rstrip() for line in captured.get().splitlines()]


def _row(table: Table, quantity: str, *, column: int = 1) -> list[Cell]:
    return next(list(row.cells) for row in table.rows if row.cells[column].text == quantity)


def _find(document: Document, pipeline: str, quantity: str) -> dict[str, Any]:
    return next(row for row in document["rows"] if (row["pipeline"], row["quantity"]) == (pipeline, quantity))


def test_the_sample_has_every_verdict(gated: Document) -> None:
    assert {row["verdict"] for row in gated["rows"]} == set(reading.VERDICTS)
    assert {row["gate"] for row in gated["gate"]["gates"]} == set(reading.GATE_VERDICTS)


def test_without_a_gate_the_headline_counts(document: Document) -> None:
    counted = "4 worse, 3 better, 10 equivalent, 3 undecided, 1 UNPRICED, 1 incomparable, 1 missing"
    assert words.headline(document) == f"no gate; {counted}"


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (
            "regression",
            "REGRESSION: 2 of 9 gates (dense+maxsim nDCG@10, dense+maxsim inject.prompt_tokens) got worse by more than "
            "the margin; 1 UNPRICED",
        ),
        (
            "incomparable",
            "INCOMPARABLE: 1 of 6 gates (dense+maxsim rerank.latency_p95) cannot be judged from these two recordings",
        ),
        (
            "undecided",
            "UNDECIDED: 1 of 5 gates (bm25 latency_p95) cannot be told yet; 4 hold. The gate passes, as it is not "
            "strict",
        ),
        ("holds", "HOLDS: all 4 gates hold"),
    ],
)
def test_the_headline_says_what_the_gate_says(gated_as: Callable[[str], Document], verdict: str, sentence: str) -> None:
    assert words.headline(gated_as(verdict)) == sentence


def test_a_gate_that_fails_for_want_of_a_price_says_so(gated: Document) -> None:
    gated["gate"]["gates"] = [row for row in gated["gate"]["gates"] if row["gate"] in ("unpriced", "holds")]
    assert words.headline(gated) == (
        "UNPRICED: 1 of 5 gates (dense+maxsim usd_per_1000_queries) lacks a price, and without one a money gate fails"
    )


def test_a_strict_gate_fails_undecided(gated_as: Callable[[str], Document]) -> None:
    document = gated_as("undecided")
    document["gate"].update(strict=True, exit_code=4)
    assert words.headline(document).endswith("4 hold. The gate fails, as it is strict")


def test_the_worst_gates_come_first(gated: Document) -> None:
    told = [(row.cells[0].text, row.cells[2].text) for row in sections.gate_table(gated).rows]
    assert told == [
        (RERANKED, "▼ regression"),
        (RERANKED, "▼ regression"),
        (RERANKED, "UNPRICED"),
        (RERANKED, "\u00d7 incomparable"),
        (SPARSE, "◇ undecided"),
        (SPARSE, "● holds"),
        (DENSE, "● holds"),
        (DENSE, "● holds"),
        (DENSE, "● holds"),
    ]


def test_a_gate_has_its_figures_units_and_margin(gated: Document) -> None:
    cells_of_gate = _row(sections.gate_table(gated), "nDCG@10")
    assert [(cell.text, cell.note) for cell in cells_of_gate] == [
        ("dense+maxsim", ""),
        ("nDCG@10", "score, higher is better"),
        ("▼ regression", ""),
        ("0.712", ""),
        ("0.679", ""),
        ("\u22120.033", "\u22120.045 to \u22120.021"),
        ("\u22124.6%", "\u22126.3% to \u22122.9%"),
        ("0.010", "0.01 of a metric, the default"),
        ("0.001", ""),
    ]


def test_what_lacks_a_price_is_unpriced_and_never_nothing(gated: Document) -> None:
    found = _row(sections.gate_table(gated), "usd_per_1000_queries")
    assert [cell.text for cell in found[2:7]] == ["UNPRICED", "$3.02", "UNPRICED", "n/a", "n/a"]
    assert found[2].note == "the candidate has no rate named 'rerank-hosted'"


def test_what_was_not_measured_is_absent(document: Document) -> None:
    found = _row(sections.quantity_table(document, RERANKED), "generate.latency_p95", column=0)
    assert [cell.text for cell in found] == [
        *("generate.latency_p95", "\u00d7 incomparable", "n/a", "n/a", "n/a", "n/a", "n/a", "n/a", "n/a", "0"),
    ]


def test_both_sides_of_a_latency_have_one_unit(document: Document) -> None:
    row = _find(document, SPARSE, "latency_p95")
    assert cells.from_to(row) == "694 → 810 µs"
    assert (cells.difference(row), cells.difference_ends(row)) == ("+116 µs", "\u2212164 to +396 µs")


def test_a_long_latency_is_in_seconds() -> None:
    assert cells.from_to({"kind": "latency", "base": 25_000.0, "candidate": 24_000.0}) == "25.0 → 24.0 s"


def test_a_margin_is_told_as_the_difference_is(document: Document) -> None:
    assert cells.short_margin(_find(document, RERANKED, "latency_p95")) == "26.0%"
    assert cells.short_margin(_find(document, RERANKED, "nDCG@10")) == "0.010"


def test_another_base_pipeline_is_named() -> None:
    cell = cells.pipeline_cell({"pipeline": "new", "base_pipeline": "old"})
    assert (cell.text, cell.note) == ("new", "against old")


def test_rankings_say_where_a_document_went(document: Document) -> None:
    ranking = fallen(document)[0].rankings[0]
    assert ranking.title == "Query q-0042: nDCG@10 0.910 → 0.200"
    assert [tuple((cell.text, cell.note) for cell in row.cells[1:]) for row in ranking.rows] == [
        (("d17", "now 2"), ("d4", "was 2")),
        (("d4", "now 1"), ("d17", "was 1")),
        (("d99", "gone from the first ten"), ("d512", "new in the first ten")),
        (("d3", ""), ("d3", "")),
    ]


def test_pipelines_that_got_worse_have_their_queries_first(document: Document) -> None:
    document["worst"] = {SPARSE: document["worst"][RERANKED], **document["worst"]}
    assert list(reading.worst(document)) == [RERANKED, SPARSE]


@pytest.mark.parametrize("name", ["document", "gated", "interleaved", "bare", "hostile"])
def test_a_terminal_of_80_columns_holds_it(name: str) -> None:
    assert max(map(len, _lines(_SAMPLE[name]()))) <= 80


def test_the_terminal_tells_the_verdict_first_and_what_it_rests_on(gated: Document) -> None:
    lines = _lines(gated)
    assert lines[1] == " REGRESSION: 2 of 9 gates (dense+maxsim nDCG@10, dense+maxsim"
    assert "  nDCG@10                         0.712           \u22120.033     0.010 ▼ regression" in lines
    assert "    score                         0.679 \u22120.045 to \u22120.021 p = 0.001" in lines
    assert " ! environment.cpu: AMD EPYC → Intel Xeon; so latency cannot be compared" in lines
    assert " worst: dense+maxsim, nDCG@10: q-0042 0.910 → 0.200, q-0107 1.000 → 0.631" in lines


def test_without_a_gate_the_terminal_has_primary_rows_and_all_that_changed(document: Document) -> None:
    lines = _lines(document)
    assert "  search.R@20                0.830 → 0.861 +0.031 +0.019 to +0.043 ▲ better" in lines
    assert not [line for line in lines if "generate.latency_p95" in line]


def test_a_name_that_is_markup_to_the_terminal_is_shown_as_it_is(document: Document) -> None:
    document["title"] = "[bold]x[/bold]"
    assert _lines(document)[0] == " [bold]x[/bold]"


def test_a_comment_begins_with_its_marker_and_the_verdict(gated: Document) -> None:
    text = render_comparison_markdown(gated)
    assert text.startswith("<!-- ragprof -->\n\n## ragprof: SciFact: scientific claims\n\n**REGRESSION: 2 of 9 gates")
    assert text.index("**Gates**") < text.index("<details>")
    assert text.count("<details>") == text.count("</details>") == 8
    assert text.endswith("</sub>\n")


@pytest.mark.parametrize("name", ["document", "gated", "hostile"])
def test_every_table_of_a_comment_is_well_formed(name: str) -> None:
    text = render_comparison_markdown(_SAMPLE[name]())
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({len(_BAR.findall(line)) for line in block.split("\n")}) == 1


@pytest.mark.parametrize("pipelines", [12, 400])
def test_a_comment_is_never_too_long_and_says_what_is_left_out(pipelines: int) -> None:
    text = render_comparison_markdown(_SAMPLE["many"](pipelines))
    assert len(text) <= 60_000
    assert "sections of details were left out here, because a comment may not be longer" in text
    assert text.count("<details>") == text.count("</details>")


def test_endless_texts_do_not_make_a_comment_too_long(gated: Document) -> None:
    gated.update(title="t" * 90_000, notes=["n" * 90_000] * 90, eval="e" * 90_000)
    gated["base"]["label"] = "b" * 90_000
    for row in gated["gate"]["gates"]:
        row["message"] = row["reason"] = "m" * 90_000
    assert len(render_comparison_markdown(gated)) <= 60_000


def test_texts_of_users_are_no_markup_in_a_comment(hostile: Document) -> None:
    text = render_comparison_markdown(hostile)
    assert "<script" not in text
    markdown = re.sub(r"<summary>.*</summary>", "", text)  # HTML, where brackets are only brackets
    assert not re.findall(r"(?<!\\)\]\(javascript", markdown)
    assert " @team" not in text


def test_a_title_that_opens_a_fold_shows_its_own_characters(gated: Document) -> None:
    for row in [*gated["rows"], *gated["gate"]["gates"]]:
        row["pipeline"] = "my_pipeline"
    assert "<summary>my_pipeline: 4 \u25bc worse" in render_comparison_markdown(gated)


def test_texts_of_users_are_no_markup_on_a_page(hostile: Document) -> None:
    assert "<script>alert" not in render_comparison_page(hostile)


def test_a_page_needs_nothing_else(page: str) -> None:
    head = page.partition("<script")[0]
    assert not re.findall(r'(?:src|href)="(?!#|data:)', head)
    assert "http://" not in head.replace("http://www.w3.org", "")


def test_a_page_has_its_sections(page: str) -> None:
    found = re.findall(r'<section id="(\w+)"', page)
    assert found == ["gates", "effects", "quantities", "queries", "sides", "method"]


def test_a_page_without_a_gate_has_no_gates(document: Document) -> None:
    assert '<section id="gates"' not in render_comparison_page(document)


def test_a_page_of_nulls_has_no_chart_and_no_zeros(bare: Document) -> None:
    text = render_comparison_page(bare)
    assert '<section id="effects"' not in text
    assert '<span class="figure">n/a</span>' in text
    assert '<span class="figure">0</span>' not in text


def test_only_pipelines_that_got_worse_stand_open(page: str) -> None:
    folds = re.findall(r'<details class="pipeline-fold"( open)?>', page.partition('id="queries"')[0])
    assert folds == ["", "", " open"]


def test_the_chart_has_a_panel_a_kind_and_says_what_is_missing(gated: Document) -> None:
    chart = effects(gated)
    assert chart is not None
    assert [panel.title for panel in chart.panels] == [
        "Quality: nDCG@10, score",
        "Latency: latency_p95, µs or ms",
        "Tokens and other usage: inject.prompt_tokens, prompt tokens per query",
    ]
    assert [key.label for key in chart.legend] == ["regression", "holds", "undecided", "margin"]
    assert chart.notes[0] == (
        "dense+maxsim usd_per_1000_queries (UNPRICED: the candidate has no rate named 'rerank-hosted')"
    )


def test_the_chart_draws_intervals_and_margins_as_shares_of_the_base(document: Document) -> None:
    chart = effects(document)
    assert chart is not None
    dense = next(row for rows in chart.panels[3].spec["datasets"].values() for row in rows if row.get("place") == "1")
    assert {key: round(dense[key], 4) for key in ("low", "middle", "high", "band_high")} == {
        "low": 0.0,
        "middle": 0.0034,
        "high": 0.0067,
        "band_high": 0.02,
    }


def test_noise_of_the_machine_is_shown_where_both_sides_ran_interleaved() -> None:
    table = sections.noise_table(_SAMPLE["interleaved"]())
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        [DENSE, "latency_p50", "0.4%"],
        [DENSE, "latency_p95", "3.1%"],
        [RERANKED, "latency_p95", "1.2%"],
    ]


def test_the_method_tells_of_interleaving_only_where_there_was_any(document: Document) -> None:
    assert not [line for line in words.method(document) if "A B B A" in line]
    assert [line for line in words.method(_SAMPLE["interleaved"]()) if "2 of 4 looks in 184.2 of 300.0 seconds" in line]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH to open the page in")
def test_a_browser_draws_every_panel_and_complains_of_nothing(hostile: Document, tmp_path: Path) -> None:
    path = tmp_path / "comparison.html"
    path.write_text(render_comparison_page(hostile), encoding="utf-8")
    opened = subprocess.run(
        [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    live = re.findall(r'<div class="live[^>]*><svg[^>]*class="marks"', opened.stdout)
    assert len(live) == 3
    assert not [line for line in opened.stderr.splitlines() if "CONSOLE" in line]


def test_an_interleaved_job_says_what_it_took() -> None:
    assert words.basis(_SAMPLE["interleaved"]()).endswith(
        "timed in one job: 2 of 4 looks, 184 of 300 s of live queries"
    )
    assert "looks" not in words.basis(_SAMPLE["gated"]())
