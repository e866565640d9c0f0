"""The reranker's statement: on the page, in Markdown, on one page of its own and on a terminal."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from ragprof.report.tables import Cell, Table, money, per_words
from ragprof.session import summary as summary_module
from ragprof.session.pages import render_html, render_markdown, render_reranker_page, reranker_table, write_report
from ragprof.studies.reranker import (
    tables as contents,
)
from ragprof.studies.reranker import (
    tables as depth_tables,
)
from ragprof.studies.reranker import (
    tables as glance_tables,
)
from ragprof.studies.reranker import (
    tables as price_tables,
)
from ragprof.studies.reranker import (
    tables as query_tables,
)
from ragprof.studies.reranker import (
    tables as statement_tables,
)

FULL, SPARSE = "dense+maxsim", "hybrid+maxsim"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,2000"),
    *("--virtual-time-budget=8000", "--enable-logging=stderr", "--v=0", "--dump-dom"),
)
_BAR = re.compile(r"(?<!\\)\|")
PICTURES = 7 + 2  # of the full one: six charts, one of two panels; of the sparse one: depth and queries
Summary = dict[str, Any]


def _section(page: str) -> str:
    return page.partition('<section id="reranker">')[2].partition("</section>")[0]


def _row(table: Table, text: str, *, column: int = 0) -> list[Cell]:
    return next(list(row.cells) for row in table.rows if row.cells[column].text == text)


def _shown(cells: list[Cell]) -> list[tuple[str, str]]:
    return [(cell.text, cell.note) for cell in cells]


def _lines(summary: Summary, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(reranker_table(summary))
    return captured.get().splitlines()


def test_the_made_up_section_follows_the_format(whole_rerankers: Summary) -> None:
    schema = json.loads(Path(summary_module.__file__).with_name("summary.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator({**schema["$defs"]["verdict"], "$defs": schema["$defs"]})
    for verdict in whole_rerankers["reranker"].values():
        validator.validate(verdict)


def test_verdicts_at_a_glance_have_their_intervals(whole_rerankers: Summary) -> None:
    table = glance_tables.glance(whole_rerankers)
    assert _shown(_row(table, FULL)) == [
        ("dense+maxsim", "maxsim over 20 candidates"),
        ("\u25b2 KEEP", ""),
        ("+0.051", "+0.032 to +0.070"),
        ("+58.2 ms", "+55.9 ms to +61.0 ms"),
        ("$0.0212", "$0.0201\u2013$0.0223"),
        ("$1.00", "$0.784\u2013$1.23"),
        ("\u2212$0.984", "\u2212$1.20 to \u2212$0.763"),
        ("160", ""),
    ]


def test_what_nobody_has_priced_is_unpriced_and_what_was_not_measured_absent(whole_rerankers: Summary) -> None:
    table = glance_tables.glance(whole_rerankers)
    cells = _row(table, SPARSE)
    assert [cell.text for cell in cells[3:7]] == ["n/a", "UNPRICED", "n/a", "UNPRICED"]
    assert cells[1] == Cell("\u25c7 UNDECIDED", "needs about 420 more queries", "undecided")
    assert "UNPRICED: hybrid+maxsim (no rate named 'rerank-hosted' in the book)." in table.note


@pytest.mark.parametrize(
    ("verdict", "words", "tone"),
    [
        ("KEEP", "\u25b2 KEEP", "better"),
        ("DROP", "\u25bc DROP", "worse"),
        ("SHRINK", "\u25c6 SHRINK to depth 10", "undecided"),
        ("UNDECIDED", "\u25c7 UNDECIDED", "undecided"),
        (None, "n/a", "absent"),
    ],
)
def test_a_verdict_is_a_word_and_a_mark_with_its_tone(reranked: Summary, verdict: str, words: str, tone: str) -> None:
    reranked["reranker"][FULL] |= {"verdict": verdict, "depth": 10}
    cell = _row(glance_tables.glance(reranked), FULL)[1]
    assert (cell.text, cell.tone) == (words, tone)


def test_every_line_of_the_statement_has_its_interval(whole_rerankers: Summary) -> None:
    table = statement_tables.statement(whole_rerankers, FULL)
    assert {row.cells[1].text: (row.cells[2].text, row.cells[2].note) for row in table.rows} == {
        "nDCG@10": ("+0.051", "+0.032 to +0.070"),
        "RR@10": ("+0.063", "+0.037 to +0.089"),
        "Success@5": ("+0.070", "+0.030 to +0.110"),
        "R@5": ("+0.071", "+0.038 to +0.104"),
        "evidence@5": ("+0.071", "+0.038 to +0.104"),
        "added time, p50": ("+58.2 ms", "+55.9 ms to +61.0 ms"),
        "added time, p95": ("+91.4 ms", "+82.0 ms to +110 ms"),
        "reranker": ("$0.0212", "$0.0201\u2013$0.0223"),
        "prompt tokens saved": ("$1.00", "$0.784\u2013$1.23"),
        "net": ("\u2212$0.984", "\u2212$1.20 to \u2212$0.763"),
        "per point gained": ("\u2212$0.193", "\u2212$0.283 to \u2212$0.103"),
    }


def test_money_of_a_month_stands_beside_that_of_1000_queries(whole_rerankers: Summary) -> None:
    table = statement_tables.statement(whole_rerankers, FULL)
    assert table.columns[3].unit == "100,000 queries"
    months = [_row(table, line, column=1)[3].text for line in ("reranker", "prompt tokens saved", "net")]
    assert months == ["$2.12", "$100.50", "\u2212$98.38"]


def test_the_reranker_is_billed_by_its_true_unit(whole_rerankers: Summary) -> None:
    cell = _row(statement_tables.statement(whole_rerankers, FULL), "reranker", column=1)[-1]
    assert cell.text.startswith(
        "$0.17 per hour; 0.000130 hours a query (0.000120\u20130.000130), machine used to 35.0%"
    )
    assert cell.note == "cpu-4-cores, since 2025-11-01, verified 2026-10-02"
    assert per_words({"per": 1000, "unit": "search"}) == "1,000 searches"
    assert per_words({"per": 1_000_000, "unit": "input token"}) == "1,000,000 input tokens"


def test_the_saving_says_how_many_chunks_hold_the_same(whole_rerankers: Summary) -> None:
    lines = [
        _row(statement_tables.statement(whole_rerankers, name), "prompt tokens saved", column=1)[-1].text
        for name in (FULL, SPARSE)
    ]
    assert lines == [
        "3 chunks (3\u20134) hold what search holds with 5; tokens saved a query: 402.0 (313.6\u2013490.4)",
        "no k holds the evidence@5 that search holds with 5 chunks",
    ]


def test_an_infinite_net_is_absent_where_both_prices_are_known(reranked: Summary) -> None:
    statement = reranked["reranker"][FULL]["statement"]
    statement |= {"net_usd_per_1000_queries": None, "llm_usd_saved_per_1000_queries": None}
    texts = [cell.text for cell in _row(glance_tables.glance(reranked), FULL)[4:7]]
    assert texts == ["$0.0212", "n/a", "n/a"]


def test_without_a_price_of_the_llm_what_it_saves_is_unpriced(reranked: Summary) -> None:
    statement = reranked["reranker"][FULL]["statement"]
    statement |= {"net_usd_per_1000_queries": None, "llm_usd_saved_per_1000_queries": None, "scenarios": []}
    statement["break_even"]["grid"] = None
    assert [cell.text for cell in _row(glance_tables.glance(reranked), FULL)[5:7]] == ["UNPRICED", "UNPRICED"]


def test_an_open_end_of_money_is_said() -> None:
    found = {"usd": "0.06", "ends": ["0.02", None]}
    assert money(found, "usd", "ends").note == "$0.0200 or more"


def test_what_costs_more_tokens_is_not_shown_as_a_saving(reranked: Summary) -> None:
    reranked["reranker"][FULL]["statement"]["llm_usd_saved_per_1000_queries"] = "-0.0045"
    cell = _row(statement_tables.statement(reranked, FULL), "prompt tokens saved", column=1)[2]
    assert cell.text.startswith("\u2212$0.0045")


def test_break_even_has_a_row_a_price_with_its_unit(whole_rerankers: Summary) -> None:
    rows = [_shown(list(row.cells))[:3] for row in price_tables.break_even(whole_rerankers, FULL).rows]
    assert rows == [
        [("the reranker's price", ""), ("$8.04", "$6.30\u2013$9.81"), ("USD per hour", "")],
        [("the LLM's price", ""), ("$0.0527", "$0.0432\u2013$0.0676"), ("USD per million tokens", "")],
        [("traffic", ""), ("123,483", ""), ("queries a month", "")],
    ]
    assert {row.cells[1].text for row in price_tables.break_even(whole_rerankers, SPARSE).rows} == {"n/a"}


def test_scenarios_alternatives_and_trend_tell_their_verdicts_in_words(whole_rerankers: Summary) -> None:
    last = list(price_tables.scenarios(whole_rerankers, FULL).rows[-1].cells)
    assert _shown(last)[1:5] == [
        *(("$2.5", ""), ("$1.00", "")),
        *(("\u2212$0.984", "\u2212$1.20 to \u2212$0.763"), ("\u25b2 KEEP", "")),
    ]
    table = price_tables.alternatives(whole_rerankers, FULL)
    assert [row.cells[5].text for row in table.rows] == [
        *("\u2013", "= as good", "\u25c7 undecided", "\u25bc worse", "\u25c7 undecided", "\u25bc worse")
    ]
    assert _row(table, "dense without its reranker, k = 8")[0].note == "larger k, by evidence@8"
    assert _row(table, "dense, large vectors")[6].text == "UNPRICED"
    assert [row.cells[2].text for row in price_tables.price_trend(whole_rerankers, FULL).rows][:2] == [
        *("\u2212$0.984", "\u2212$0.481")
    ]
    assert [row.cells[1].text for row in price_tables.price_history(whole_rerankers, FULL).rows] == ["$0.19", "$0.17"]


def test_depths_are_marked_and_a_latency_that_was_not_timed_is_absent(whole_rerankers: Summary) -> None:
    table = depth_tables.curve(whole_rerankers, FULL)
    assert _shown([row.cells[0] for row in table.rows]) == [
        *(("5", ""), ("10", "knee"), ("20", "own"), ("30", ""), ("50", "falls from here"))
    ]
    assert _shown(_row(table, "10"))[3:5] == [("n/a", ""), ("50.6 ms", "")]
    assert _shown(_row(table, "20"))[3:6] == [("78.1 ms", "75.0\u201382.0 ms"), ("80.4 ms", ""), ("24", "")]
    assert len(depth_tables.grid(whole_rerankers, FULL).rows) == 20
    assert depth_tables.grid(whole_rerankers, SPARSE).rows == ()


def test_headroom_and_truncation_are_told_in_figures(whole_rerankers: Summary) -> None:
    assert _row(depth_tables.headroom(whole_rerankers, FULL), "captured")[1] == Cell("22.0%", "14.0%\u201330.0%")
    assert _row(depth_tables.headroom(whole_rerankers, SPARSE), "captured")[1].text == "n/a"
    table = depth_tables.truncation(whole_rerankers, FULL)
    assert _shown([row.cells[1] for row in table.rows]) == [
        *(("3,200", ""), ("512 tokens", ""), ("8.3%", ""), ("21.7 tokens", "6.4% of all")),
        *(("19 of 231", "8.2%"), ("+0.006", "\u22120.002 to +0.014")),
    ]
    assert {row.cells[1].text for row in depth_tables.truncation(whole_rerankers, SPARSE).rows} == {"n/a"}


def test_single_queries_are_shown_with_what_moved(whole_rerankers: Summary) -> None:
    table = query_tables.clearest(whole_rerankers, SPARSE)
    assert [row.cells[6].text for row in table.rows] == ["not found \u2192 2", "2 \u2192 not found"]
    assert table.rows[1].cells[1] == Cell("q7")
    assert "helped 44, hurt 40, unchanged 76" in table.note


def test_routing_keeps_an_open_end_open(reranked: Summary) -> None:
    reranked["reranker"][FULL]["routing"][3]["interval"] = [0.4, None]
    cells = query_tables.routing(reranked, FULL).rows[3].cells
    assert _shown(list(cells))[1:] == [("30.0%", ""), ("63.3%", "40.0% or more"), ("30.0%", ""), ("70.0%", "")]


def test_a_student_is_set_beside_its_teacher(whole_rerankers: Summary) -> None:
    cells = _row(glance_tables.side_by_side(whole_rerankers), "maxsim int8")
    assert _shown(cells)[3:6] == [
        *(("99.0%", "96.0%\u2013102.0%"), ("99.8%", "99.4%\u2013100.2%")),
        ("\u22120.001", "\u22120.004 to +0.002, p = 0.620"),
    ]
    assert "Kendall's tau 0.910 (0.890\u20130.930)" in cells[6].text
    assert _shown(cells)[7:] == [("0.430\u00d7", ""), ("0.470\u00d7", "0.420\u00d7\u20130.520\u00d7")]


def test_a_report_without_rerankers_has_no_trace_of_them(page: str, summary: Summary, tmp_path: Path) -> None:
    body = page.partition("</style>")[2].partition('id="chart-specifications"')[0]
    assert 'id="reranker"' not in body
    assert "#reranker" not in body
    assert '"reranker-' not in page
    assert "worth it" not in render_markdown(summary)
    write_report(summary, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md"]


def test_the_section_is_in_the_contents_and_stands_after_the_answers(reranked_page: str) -> None:
    places = [reranked_page.index(f'<section id="{name}">') for name in ("quality", "reranker", "resources")]
    assert places == sorted(places)
    assert '<a href="#reranker">Reranker</a>' in reranked_page.partition("<nav")[2].partition("</nav>")[0]


def test_every_chart_is_there_as_a_still_too(reranked_page: str) -> None:
    section = _section(reranked_page)
    assert section.count('class="marks"') == section.count('class="still"') == PICTURES
    found = re.search(r'id="chart-specifications">(.*?)</script>', reranked_page, re.DOTALL)
    assert found is not None
    assert len([key for key in json.loads(found.group(1)) if key.startswith("reranker-")]) == PICTURES


def test_the_second_pipeline_is_folded_away(reranked_page: str) -> None:
    section = _section(reranked_page)
    assert section.count('<details class="reranked">') == 1
    assert section.index('</i>dense+maxsim</span> <span class="verdict better">') < section.index('<details class="re')
    assert '<span class="verdict undecided"><span class="figure">\u25c7 UNDECIDED</span>' in section


def test_hostile_texts_are_shown_and_never_run(reranked_page: str, whole_rerankers: Summary) -> None:
    section = _section(reranked_page)
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in section
    assert reranked_page.count("<script") == 3
    text = render_markdown(whole_rerankers)
    assert "<script" not in text
    assert (
        "&lt;script&gt;alert('x')&lt;/script&gt; \\*\\*bold\\*\\* \\| \\[link\\](javascript:alert(1)) &commat;team"
        in text
    )


def test_a_pipeline_of_nulls_has_no_zeros(reranked: Summary) -> None:
    section = _section(render_html(reranked)).partition('<details class="reranked">')[2]
    assert ">0<" not in section
    assert ">$0<" not in section
    reranked["reranker"] = {SPARSE: dict.fromkeys(reranked["reranker"][SPARSE])}
    assert ">0<" not in _section(render_html(reranked))


def test_markdown_unfolds_the_verdicts_and_folds_the_rest(whole_rerankers: Summary) -> None:
    text = render_markdown(whole_rerankers)
    part = text.partition("### Is the reranker worth it?")[2].partition("<summary>Where the time")[0]
    assert part.index("**Verdicts at a glance**") < part.index("<details>")
    assert "| **\u25b2 KEEP** | +0.051 (+0.032 to +0.070) |" in part
    assert "<summary>hybrid+maxsim: \u25c7 UNDECIDED</summary>" in part
    for block in (block for block in part.split("\n\n") if block.startswith("|")):
        assert len({len(_BAR.findall(line)) for line in block.split("\n")}) == 1


def test_one_page_says_it_in_plain_words(whole_rerankers: Summary) -> None:
    page = render_reranker_page(whole_rerankers)
    for words in (
        "**\u25b2 KEEP**: keep the reranker",
        "Of 100 questions, a right passage is among the first five for 71 instead of 64: +7.0 (95% interval +3.0 to",
        "An ordinary question (the median) waits 58.2 ms (55.9 ms to 61.0 ms) longer",
        "At 100,000 questions a month: the reranker costs \\$2.12 (\\$0.0212 per 1,000, \\$0.0201\u2013\\$0.0223",
        "In all it saves \\$98.38 a month (\u2212\\$0.984 per 1,000, 95% interval \u2212\\$1.20 to \u2212\\$0.763).",
        "dense without its reranker, k = 8 is as good (+0.004, \u22120.014 to +0.022) for \\$5.01 per 1,000",
        "n = 160 questions, p &lt; 0.001",
        "What the reranker costs is UNPRICED (no rate named 'rerank-hosted' in the book): not known, which is not",
        "About 420 more questions would be needed to decide.",
    ):
        assert words in page
    assert len(page.splitlines()) <= 70
    assert page.endswith("</sub>\n")


def test_one_page_stays_one_page_and_escapes_what_it_is_given(reranked: Summary, hostile_text: str) -> None:
    full = reranked["reranker"][FULL]
    reranked["reranker"] = {f"{hostile_text} {place}": {**full, "reason": hostile_text} for place in range(12)}
    reranked["reranker_study"]["notes"] = [hostile_text]
    page = render_reranker_page(reranked)
    assert len(page.splitlines()) <= 80
    assert "<script" not in page
    assert "@team" not in page
    table = next(block for block in page.split("\n\n") if block.startswith("|"))
    assert {len(_BAR.findall(line)) for line in table.split("\n")} == {4}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"verdict": "SHRINK", "depth": 10}, "keep it, but let it read 10 candidates only"),
        ({"verdict": "DROP", "depth": 0}, "go without the reranker"),
        ({"verdict": "UNDECIDED", "more_queries": 90}, "these questions do not tell; about 90 more would"),
    ],
)
def test_one_page_tells_what_to_do(reranked: Summary, change: Summary, words: str) -> None:
    reranked["reranker"][FULL] |= change
    assert words in render_reranker_page(reranked)


def test_one_page_of_nulls_and_of_nothing(reranked: Summary, summary: Summary) -> None:
    assert render_reranker_page(summary).endswith("No reranker was looked at in this recording.\n")
    reranked["reranker"] = {SPARSE: dict.fromkeys(reranked["reranker"][SPARSE])}
    page = render_reranker_page(reranked)
    assert "The change of the score nDCG@10 is n/a." in page
    assert "What the reranker costs is UNPRICED" in page
    assert "$0" not in page.replace("\\", "")


def test_prompts_that_grow_are_not_called_savings(reranked: Summary) -> None:
    statement = reranked["reranker"][FULL]["statement"]
    statement["llm_usd_saved_per_1000_queries"] = "-0.2"
    statement["per_month"] |= {"llm_usd_saved": "-20"}
    assert "prompts that hold as much cost more, by \\$20.00 (saved \u2212\\$0.200" in render_reranker_page(reranked)


def test_verdicts_fit_into_eighty_columns(whole_rerankers: Summary, reranked: Summary, hostile_text: str) -> None:
    lines = _lines(whole_rerankers)
    assert max(map(len, lines)) <= 80
    row = next(line.split() for line in lines if line.strip().startswith(FULL))
    assert row == [FULL, "\u25b2", "KEEP", "+0.051", "+58.2", "ms", "$0.0212", "\u2212$0.984"]
    row = next(line.split() for line in lines if line.strip().startswith(SPARSE))
    assert row == [SPARSE, "\u25c7", "UNDECIDED", "+0.012", "n/a", "UNPRICED", "UNPRICED"]
    reranked["reranker"] = {f"[red]{hostile_text}[/nothing]": reranked["reranker"][FULL]}
    reranked["reranker_study"] = None
    lines = _lines(reranked)
    assert max(map(len, lines)) <= 80
    assert "[red]" in "".join(lines)


def test_a_terminal_without_rerankers_says_so(summary: Summary) -> None:
    assert [line.strip() for line in _lines(summary)] == ["no rerankers in this summary"]


def test_the_page_for_the_budget_is_written_beside_the_report(reranked: Summary, tmp_path: Path) -> None:
    write_report(reranked, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md", "reranker.md"]
    assert (tmp_path / "reranker.md").read_text(encoding="utf-8") == render_reranker_page(reranked)


def test_every_table_says_what_its_intervals_rest_on(whole_rerankers: Summary) -> None:
    found = contents.sections(whole_rerankers)[0].tables
    quiet = {"statement", "truncation", "trend", "history", "clearest"}
    assert all("n = 160 queries" in table.note for key, table in found.items() if key not in quiet)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH to open the report in")
def test_a_browser_draws_every_chart_and_complains_of_nothing(reranked_page: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(reranked_page, encoding="utf-8")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    opened = subprocess.run(
        [str(BROWSER), *FLAGS, profile, page.as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    live = re.findall(r'<div class="live[^>]*><svg[^>]*class="marks"', opened.stdout)
    assert len(live) == 6 + PICTURES
    assert not [line for line in opened.stderr.splitlines() if "CONSOLE" in line]
