"""A comparison on a terminal, as a comment on a pull request and as a page."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from comparisons import BM25, DENSE, HYBRID, everywhere, find, golden, many, only, with_gates
from rich.console import Console

from ragprof.evals import GateSettings
from ragprof.report.tables import Cell, Table
from ragprof.studies.gate import cells, tables, words
from ragprof.studies.gate.charts import effects
from ragprof.studies.gate.comparison import refused, unrecorded
from ragprof.studies.gate.document import GATE_VERDICTS, VERDICTS, Comparison, FactDifference, GateRow, LostQuery
from ragprof.studies.gate.pages import comparison_markdown, comparison_page
from ragprof.studies.gate.tables import comparison_table, fallen

HOSTILE = "<script>alert('x')</script> **bold** | [link](javascript:alert(1)) @team"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,2000"),
    *("--virtual-time-budget=8000", "--enable-logging=stderr", "--v=0", "--dump-dom"),
)
_BAR = re.compile(r"(?<!\\)\|")


@pytest.fixture(scope="module")
def page() -> str:
    return comparison_page(golden("gated"))


def _lines(comparison: Comparison, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(comparison_table(comparison))
    return [line.rstrip() for line in captured.get().splitlines()]


def _row(table: Table, quantity: str, *, column: int = 1) -> list[Cell]:
    return next(list(row.cells) for row in table.rows if row.cells[column].text == quantity)


def _gates(comparison: Comparison) -> tuple[GateRow, ...]:
    assert comparison.gate is not None
    return comparison.gate.gates


def test_the_golden_comparisons_have_every_verdict() -> None:
    both = golden("compared").quantities + golden("gated").quantities
    assert {row.verdict for row in both} == set(VERDICTS)
    assert {row.gate for row in _gates(golden("gated"))} == set(GATE_VERDICTS)


def test_without_a_gate_the_headline_counts() -> None:
    assert words.headline(golden("compared")) == (
        "no gate; 6 worse, 4 better, 17 equivalent, 15 undecided, 2 UNPRICED, 27 incomparable, 8 missing"
    )


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        (
            GATE_VERDICTS,
            "REGRESSION: 3 of 14 gates (bm25 inject.prompt_tokens, dense nDCG@10, hybrid+overlap inject.prompt_tokens) "
            "got worse by more than the margin; 1 UNPRICED",
        ),
        (
            ("unpriced", "holds"),
            "UNPRICED: 1 of 9 gates (dense usd_per_1000_queries) lacks a price, and without one a money gate fails",
        ),
        (
            ("incomparable", "undecided", "holds"),
            "INCOMPARABLE: 1 of 10 gates (hybrid+overlap rerank.latency_p50) cannot be judged from these two "
            "recordings",
        ),
        (
            ("undecided", "holds"),
            "UNDECIDED: 1 of 9 gates (hybrid+overlap nDCG@10) cannot be told yet; 8 hold. The gate passes, as it is "
            "not strict",
        ),
        (("holds",), "HOLDS: all 8 gates hold"),
    ],
)
def test_the_headline_says_what_the_gate_says(verdicts: Sequence[str], sentence: str) -> None:
    assert words.headline(only(*verdicts)) == sentence


def test_a_strict_gate_fails_undecided() -> None:
    assert words.headline(only("undecided", "holds", strict=True)).endswith("hold. The gate fails, as it is strict")


def test_a_headline_names_three_gates_and_counts_the_rest() -> None:
    row = next(row for row in _gates(golden("gated")) if row.quantity == "nDCG@10")
    row = replace(row, gate="regression")
    found = with_gates(golden("gated"), *(replace(row, pipeline=name) for name in "abcde"))
    assert "5 of 5 gates (a nDCG@10, b nDCG@10, c nDCG@10, 2 more) got worse" in words.headline(found)


def test_the_worst_gates_come_first() -> None:
    told = [(row.cells[0].text, row.cells[2].text) for row in tables.gate_table(golden("gated")).rows]
    assert told == [
        *((BM25, text) for text in ("▼ regression", "● holds", "● holds", "● holds")),
        *((DENSE, text) for text in ("▼ regression", "UNPRICED", "● holds", "● holds")),
        *((HYBRID, text) for text in ("▼ regression", "\u00d7 incomparable", "◇ undecided", *["● holds"] * 3)),
    ]


def test_a_gate_has_its_figures_units_and_margin() -> None:
    rows = [row.cells for row in tables.gate_table(golden("gated")).rows]
    found = next(row for row in rows if (row[0].text, row[1].text) == (DENSE, "nDCG@10"))
    assert [(cell.text, cell.note) for cell in found] == [
        ("dense", ""),
        ("nDCG@10", "score, higher is better"),
        ("▼ regression", ""),
        ("0.827", ""),
        ("0.262", ""),
        ("\u22120.566", "\u22120.766 to \u22120.351"),
        ("\u221268.4%", "\u221283.8% to \u221249.7%"),
        ("0.010", ""),
        ("0.014", ""),
    ]


def test_what_lacks_a_price_is_unpriced_and_never_nothing() -> None:
    row = next(row for row in tables.gate_table(golden("gated")).rows if row.cells[2].text == "UNPRICED")
    assert [cell.text for cell in row.cells[2:7]] == ["UNPRICED", "$0.0190", "UNPRICED", "n/a", "n/a"]
    assert row.cells[2].note.startswith("candidate: inject: no rate for the prompt")


def test_what_was_not_measured_is_absent() -> None:
    found = _row(tables.quantity_tables(golden("compared"))[HYBRID], "rerank.docs_scored", column=0)
    assert [cell.text for cell in found] == [
        *("rerank.docs_scored", "\u2013 missing", "10.0", "n/a", "n/a", "n/a", "0.1", "n/a", "n/a", "0"),
    ]
    assert found[1].note == "the candidate did not record it"


def test_both_sides_of_a_latency_have_one_unit() -> None:
    row = replace(
        find(golden("gated"), BM25, "latency_p50"),
        base=0.694,
        candidate=0.81,
        difference=0.116,
        interval=(-0.164, 0.396),
    )
    assert cells.from_to(row) == "694 → 810 µs"
    assert (cells.difference(row), cells.difference_ends(row)) == ("+116 µs", "\u2212164 to +396 µs")
    assert cells.from_to(replace(row, base=25_000.0, candidate=24_000.0)) == "25.0 → 24.0 s"


def test_a_margin_is_told_as_the_difference_is() -> None:
    assert cells.short_margin(find(golden("gated"), BM25, "latency_p50")) == "26.0%"
    assert cells.short_margin(find(golden("gated"), BM25, "nDCG@10")) == "0.010"


def test_another_base_pipeline_is_named() -> None:
    cell = cells.pipeline_cell(replace(golden("gated").quantities[0], pipeline="new", base_pipeline="old"))
    assert (cell.text, cell.note) == ("new", "against old")


def test_rankings_say_where_a_document_went() -> None:
    worst = golden("gated").worst[DENSE]
    query = LostQuery("q-0042", 0.91, 0.2, ("d17", "d4", "d99", "d3"), ("d4", "d17", "d512", "d3"))
    found = replace(golden("gated"), worst={DENSE: replace(worst, queries=(query,))})
    ranking = fallen(found)[0].rankings[0]
    assert ranking.title == "Query q-0042: nDCG@10 0.910 → 0.200"
    assert [tuple((cell.text, cell.note) for cell in row.cells[1:]) for row in ranking.rows] == [
        (("d17", "now 2"), ("d4", "was 2")),
        (("d4", "now 1"), ("d17", "was 1")),
        (("d99", "gone from the first ten"), ("d512", "new in the first ten")),
        (("d3", ""), ("d3", "")),
    ]


def test_pipelines_that_got_worse_have_their_queries_first() -> None:
    found = golden("compared")
    rows = [row for row in found.quantities if row.pipeline != HYBRID or row.verdict != "worse"]
    spoilt = replace(next(row for row in rows if row.pipeline == DENSE), verdict="worse")
    worst = {HYBRID: found.worst[DENSE], DENSE: found.worst[DENSE]}
    assert list(replace(found, quantities=(*rows, spoilt), worst=worst).fallen) == [DENSE, HYBRID]


@pytest.mark.parametrize("name", ["compared", "gated", "interleaved"])
def test_a_terminal_of_80_columns_holds_it(name: str) -> None:
    assert max(map(len, _lines(golden(name)))) <= 80


def test_a_terminal_of_80_columns_holds_any_name() -> None:
    assert max(map(len, _lines(everywhere(HOSTILE)))) <= 80


def test_the_terminal_tells_the_verdict_first_and_what_it_rests_on() -> None:
    lines = _lines(golden("gated"))
    assert lines[1] == " REGRESSION: 3 of 14 gates (bm25 inject.prompt_tokens, dense nDCG@10,"
    assert "  nDCG@10                         0.827           \u22120.566     0.010 ▼ regression" in lines
    assert "    score                         0.262 \u22120.766 to \u22120.351 p = 0.014" in lines
    assert " changed: dense: embedder hashing 256 → hashing 2" in lines
    assert " worst: dense, nDCG@10: q03 1.000 → 0.000, q10 1.000 → 0.000, q11 1.000 →" in lines
    other_machine = replace(golden("compared"), differences=(FactDifference("environment.cpu", "A", "B", "latency"),))
    assert " ! environment.cpu: A → B; so latency cannot be compared" in _lines(other_machine)


def test_without_a_gate_the_terminal_has_primary_rows_and_all_that_changed() -> None:
    lines = _lines(golden("compared"))
    assert [line for line in lines if line.startswith("  inject.docs_injected") and line.endswith("▲ better")]
    assert not [line for line in lines if "embed.latency_p95" in line]


def test_a_name_that_is_markup_to_the_terminal_is_shown_as_it_is() -> None:
    assert _lines(replace(golden("gated"), title="[bold]x[/bold]"))[0] == " [bold]x[/bold]"


def test_a_comment_begins_with_its_marker_and_the_verdict() -> None:
    text = comparison_markdown(golden("gated"))
    assert text.startswith(
        "<!-- ragprof -->\n\n## ragprof: Handbook: which pipeline finds the rule?\n\n**REGRESSION: 3 of 14 gates"
    )
    assert text.index("**Gates**") < text.index("<details>")
    assert text.count("<details>") == text.count("</details>") == 9
    assert text.endswith("</sub>\n")


@pytest.mark.parametrize("found", [golden("compared"), golden("gated"), everywhere(HOSTILE)])
def test_every_table_of_a_comment_is_well_formed(found: Comparison) -> None:
    for block in comparison_markdown(found).split("\n\n"):
        if block.startswith("|"):
            assert len({len(_BAR.findall(line)) for line in block.split("\n")}) == 1


@pytest.mark.parametrize("pipelines", [12, pytest.param(400, marks=pytest.mark.slow)])
def test_a_comment_is_never_too_long_and_says_what_is_left_out(pipelines: int) -> None:
    text = comparison_markdown(many(pipelines))
    assert len(text) <= 60_000
    assert "sections of details were left out here, because a comment may not be longer" in text
    assert text.count("<details>") == text.count("</details>")


def test_endless_texts_do_not_make_a_comment_too_long() -> None:
    found = everywhere("m" * 90_000)
    assert len(comparison_markdown(replace(found, eval="e" * 90_000, notes=("n" * 90_000,) * 90))) <= 60_000


def test_texts_of_users_are_no_markup_in_a_comment() -> None:
    text = comparison_markdown(everywhere(HOSTILE))
    assert "<script" not in text
    markdown = re.sub(r"<summary>.*</summary>", "", text)  # HTML, where brackets are only brackets
    assert not re.findall(r"(?<!\\)\]\(javascript", markdown)
    assert " @team" not in text


def test_a_title_that_opens_a_fold_shows_its_own_characters() -> None:
    assert "<summary>my_pipeline: " in comparison_markdown(everywhere("my_pipeline"))


def test_texts_of_users_are_no_markup_on_a_page() -> None:
    assert "<script>alert" not in comparison_page(everywhere(HOSTILE))


def test_a_page_needs_nothing_else(page: str) -> None:
    head = page.partition("<script")[0]
    assert not re.findall(r'(?:src|href)="(?!#|data:)', head)
    assert "http://" not in head.replace("http://www.w3.org", "")


def test_a_page_has_its_sections(page: str) -> None:
    found = re.findall(r'<section id="(\w+)"', page)
    assert found == ["gates", "effects", "quantities", "queries", "sides", "method"]


def test_a_page_without_a_gate_has_no_gates() -> None:
    assert '<section id="gates"' not in comparison_page(golden("compared"))


def test_a_page_of_a_refusal_has_no_chart_and_no_zeros() -> None:
    sides = unrecorded("before", queries=12), unrecorded("after", queries=12)
    gate = GateSettings.model_validate({"quantities": {"latency_p50": {"absolute": 5}}})
    found = refused(sides, gate, "other documents", eval_name="e", title="e", pipelines=[BM25], strict=False)
    text = comparison_page(found)
    assert '<section id="effects"' not in text
    assert '<span class="figure">n/a</span>' in text
    assert '<span class="figure">0</span>' not in text


def test_only_pipelines_that_got_worse_stand_open() -> None:
    page = comparison_page(golden("compared"))
    folds = re.findall(r'<details class="pipeline-fold"( open)?>', page.partition('id="queries"')[0])
    assert folds == ["", "", " open"]


def test_the_chart_has_a_panel_a_kind_and_says_what_is_missing() -> None:
    chart = effects(golden("gated"))
    assert chart is not None
    assert [panel.title for panel in chart.panels] == [
        "Quality, score",
        "Latency: latency_p50, µs",
        "Tokens and other usage: inject.prompt_tokens, prompt tokens per query",
        "Money: usd_per_1000_queries, USD per 1,000 queries",
    ]
    assert [key.label for key in chart.legend] == ["regression", "holds", "undecided", "margin"]
    assert chart.notes == (
        "dense usd_per_1000_queries (UNPRICED: candidate: inject: no rate for the prompt; name one under [prices] as "
        "llm)",
        "hybrid+overlap rerank.latency_p50 (\u00d7 incomparable: the candidate did not record it)",
    )


def test_the_chart_draws_intervals_and_margins_as_shares_of_the_base() -> None:
    chart = effects(golden("gated"))
    assert chart is not None
    data = [row for rows in chart.panels[2].spec["datasets"].values() for row in rows]
    dense = next(row for row in data if row.get("what") == "dense inject.prompt_tokens")
    assert {key: round(dense[key], 4) for key in ("low", "middle", "high", "band_high")} == {
        "low": -0.5029,
        "middle": -0.4832,
        "high": -0.4643,
        "band_high": 0.05,
    }


def test_noise_of_the_machine_is_shown_where_both_sides_ran_interleaved() -> None:
    job = golden("interleaved").against
    assert job is not None
    found = replace(
        golden("interleaved"), against=replace(job, noise={DENSE: {"latency_p50": 0.004, "latency_p95": 0.031}})
    )
    assert [[cell.text for cell in row.cells] for row in tables.noise_table(found).rows] == [
        [DENSE, "latency_p50", "0.4%"],
        [DENSE, "latency_p95", "3.1%"],
    ]
    assert tables.noise_table(golden("interleaved")).rows
    assert not tables.noise_table(golden("gated")).rows


def test_an_interleaved_job_says_what_it_took() -> None:
    job = golden("interleaved").against
    assert job is not None
    found = replace(golden("interleaved"), against=replace(job, spent_seconds=184.2, budget_seconds=300.0, looks=2))
    assert words.basis(found).endswith("timed in one job: 2 of 4 looks, 184 of 300 s of live queries")
    assert [line for line in words.method(found) if "2 of 4 looks in 184.2 of 300.0 seconds" in line]
    assert "looks" not in words.basis(golden("gated"))
    assert not [line for line in words.method(golden("gated")) if "A B B A" in line]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH to open the page in")
@pytest.mark.slow
def test_a_browser_draws_every_panel_and_complains_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "comparison.html"
    path.write_text(comparison_page(everywhere(HOSTILE)), encoding="utf-8")
    opened = subprocess.run(
        [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    live = re.findall(r'<div class="live[^>]*><svg[^>]*class="marks"', opened.stdout)
    assert len(live) == 4
    assert not [line for line in opened.stderr.splitlines() if "CONSOLE" in line]
