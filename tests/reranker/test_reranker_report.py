"""What is shown of the rerankers that the product recorded: on the page, in Markdown, on one page, on a terminal."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from ragprof.report.blocks import Block, Folded, PipelineFold, Sentences
from ragprof.report.figures import disagreement, per_words
from ragprof.report.html import Front, charts_of, page
from ragprof.report.markdown import as_part
from ragprof.report.palette import pipeline_colours
from ragprof.report.tables import Cell, Table
from ragprof.studies.contract import Context
from ragprof.studies.reranker import tables
from ragprof.studies.reranker.page import reranker_page
from ragprof.studies.reranker.section import RerankerSection, RerankerVerdict
from ragprof.studies.reranker.show import answers, print_table, show

HYBRID, DENSE = "hybrid+overlap", "dense+overlap"
HOSTILE = "<script>alert('x')</script> **bold** | [link](javascript:alert(1)) @team"
FRONT = Front("t", "", (), (), (), "1 May 2026", "1")
_BAR = re.compile(r"(?<!\\)\|")
MINUS = "\u2212"


def context(section: RerankerSection) -> Context:
    names = tuple(section.verdicts)
    return Context(names, "nDCG@10", {}, pipeline_colours(dict.fromkeys(names)), "Handbook", "ragprof 1, 18 passages")


def changed(section: RerankerSection, name: str, **changes: Any) -> RerankerSection:
    """With other figures of one verdict; `statement` and others may be given as changes of theirs."""
    one = section.verdicts[name]
    nested = {key: getattr(one, key).model_copy(update=value) for key, value in changes.items() if type(value) is dict}
    return section.model_copy(
        update={"verdicts": {**section.verdicts, name: one.model_copy(update={**changes, **nested})}}
    )


def unpriced(section: RerankerSection) -> RerankerSection:
    billing = section.verdicts[DENSE].statement.billing.model_copy(update={"unpriced": "no rate is named", "usd": None})
    money = ("reranker_usd_per_1000_queries", "net_usd_per_1000_queries", "usd_per_point", "usd_per_point_interval")
    gone = dict.fromkeys((*money, "reranker_usd_interval", "net_interval"))
    return changed(section, DENSE, statement={**gone, "billing": billing})


def cells(table: Table, text: str, *, column: int = 0) -> list[Cell]:
    return next(list(row.cells) for row in table.rows if row.cells[column].text == text)


def shown(found: list[Cell]) -> list[tuple[str, str]]:
    return [(cell.text, cell.note) for cell in found]


def printed(section: RerankerSection, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(print_table(section, context(section)))
    return captured.get().splitlines()


def every(blocks: list[Block]) -> list[Block]:
    inner = [one for block in blocks if isinstance(block, PipelineFold) for one in block.blocks]
    return [*blocks, *inner]


@pytest.fixture(scope="module")
def dense(section: RerankerSection) -> RerankerVerdict:
    return section.verdicts[DENSE]


def test_the_section_places_its_verdicts_and_its_study(section: RerankerSection) -> None:
    document: dict[str, Any] = {}
    section.place(document, "reranker")
    assert list(document) == ["reranker", "reranker_study"]
    assert document["reranker"][DENSE]["statement"]["quality_gain"]["nDCG@10"]["with"] > 0
    again = RerankerSection(verdicts=document["reranker"], study=document["reranker_study"])
    assert again == section


def test_every_field_says_what_it_is() -> None:
    schema = RerankerSection.model_json_schema()
    for name, model in schema["$defs"].items():
        for key, field in model["properties"].items():
            assert field.get("description") or "$ref" in field, f"{name}.{key}"


def test_verdicts_at_a_glance_have_their_intervals(section: RerankerSection) -> None:
    assert shown(cells(tables.glance(section), DENSE))[:3] == [
        (DENSE, "overlap over 15 candidates"),
        ("\u25bc DROP", ""),
        ("+0.195", "+0.041 to +0.353"),
    ]
    assert cells(tables.glance(section), HYBRID)[1] == Cell(
        "\u25c7 UNDECIDED", "needs about 503 more queries", "undecided"
    )
    assert shown(cells(tables.glance(section), DENSE))[4:] == [
        ("$2.00", "$2.00\u2013$2.00"), ("$0.00768", "$0.00339\u2013$0.00828"),
        ("+$1.99", "+$1.99 to +$2.00"), ("12", ""),
    ]  # fmt: skip


def test_what_nobody_has_priced_is_unpriced(section: RerankerSection) -> None:
    table = tables.glance(unpriced(section))
    texts = [cell.text for cell in cells(table, DENSE)]
    assert (texts[4], texts[5][0], texts[6]) == ("UNPRICED", "$", "UNPRICED")
    assert "UNPRICED: dense+overlap (no rate is named)." in table.note


@pytest.mark.parametrize(
    ("verdict", "words", "tone"),
    [
        ("KEEP", "\u25b2 KEEP", "better"),
        ("DROP", "\u25bc DROP", "worse"),
        ("SHRINK", "\u25c6 SHRINK to depth 7", "undecided"),
        ("UNDECIDED", "\u25c7 UNDECIDED", "undecided"),
    ],
)
def test_a_verdict_is_a_word_and_a_mark_with_its_tone(
    section: RerankerSection, verdict: str, words: str, tone: str
) -> None:
    cell = cells(tables.glance(changed(section, DENSE, verdict=verdict, depth=7)), DENSE)[1]
    assert (cell.text, cell.tone) == (words, tone)


def test_every_line_of_the_statement_has_its_interval(dense: RerankerVerdict) -> None:
    table = tables.statement(dense)
    lines = [row.cells[1].text for row in table.rows]
    assert lines == [
        "nDCG@10", "RR@10", "Success@5", "R@3", "evidence@3", "added time, p50", "added time, p95", "reranker",
        "prompt tokens saved", "net", "per point gained",
    ]  # fmt: skip
    assert all(row.cells[2].note for row in table.rows)
    assert table.columns[3].unit == "100,000 queries"
    months = [cells(table, line, column=1)[3].text for line in ("reranker", "prompt tokens saved", "net")]
    assert months == ["$200.00", "$0.768", "+$199.23"]


def test_without_traffic_the_months_money_is_absent_and_not_unpriced(section: RerankerSection) -> None:
    month = dict.fromkeys(type(section.verdicts[DENSE].statement.per_month).model_fields)
    per_month = section.verdicts[DENSE].statement.per_month.model_copy(update=month)
    table = tables.statement(changed(section, DENSE, statement={"per_month": per_month}).verdicts[DENSE])
    assert {cells(table, line, column=1)[3].text for line in ("reranker", "prompt tokens saved", "net")} == {"n/a"}
    assert table.columns[3].unit == "traffic n/a"


def test_the_reranker_is_billed_by_its_true_unit(dense: RerankerVerdict) -> None:
    cell = cells(tables.statement(dense), "reranker", column=1)[-1]
    assert cell.text == "$2.00 per 1,000 searches; 1.00 searches a query (1.00\u20131.00)"
    assert cell.note.startswith("cohere/rerank-v3.5, since ")
    assert per_words(1000, "search") == "1,000 searches"
    assert per_words(1_000_000, "input token") == "1,000,000 input tokens"
    assert per_words(1, "hour") == "hour"


def test_the_saving_says_how_many_chunks_hold_the_same(section: RerankerSection, dense: RerankerVerdict) -> None:
    iso = dense.statement.iso_quality_k
    cell = cells(tables.statement(dense), "prompt tokens saved", column=1)[-1]
    assert cell.text.startswith("1 chunk (1\u20131) holds what search holds with 3; ")
    more = dense.statement.model_copy(update={"iso_quality_k": iso.model_copy(update={"k_with": 2})})
    cell = cells(tables.statement(dense.model_copy(update={"statement": more})), "prompt tokens saved", column=1)[-1]
    assert cell.text.startswith("2 chunks (")
    assert f"hold what search holds with {iso.k_without}; tokens saved a query: " in cell.text
    fewer = dense.statement.model_copy(update={"iso_quality_k": iso.model_copy(update={"own_k": 5})})
    cell = cells(tables.statement(dense.model_copy(update={"statement": fewer})), "prompt tokens saved", column=1)[-1]
    assert f"holds what search holds with {iso.k_without} of its 5; tokens saved a query: " in cell.text
    none = iso.model_copy(update={"k_with": None})
    cell = cells(
        tables.statement(changed(section, DENSE, statement={"iso_quality_k": none}).verdicts[DENSE]),
        "prompt tokens saved", column=1,
    )[-1]  # fmt: skip
    assert cell.text == f"no k holds the evidence@k that search holds with {iso.k_without} chunks"


def test_an_infinite_net_is_absent_where_both_prices_are_known(section: RerankerSection) -> None:
    gone = {"net_usd_per_1000_queries": None, "llm_usd_saved_per_1000_queries": None}
    texts = [cell.text for cell in cells(tables.glance(changed(section, DENSE, statement=gone)), DENSE)[4:7]]
    assert texts == ["$2.00", "n/a", "n/a"]


def test_without_a_price_of_the_llm_what_it_saves_is_unpriced(section: RerankerSection) -> None:
    flips = section.verdicts[DENSE].statement.break_even.model_copy(update={"grid": None})
    gone = {"net_usd_per_1000_queries": None, "llm_usd_saved_per_1000_queries": None, "scenarios": ()}
    found = cells(tables.glance(changed(section, DENSE, statement={**gone, "break_even": flips})), DENSE)
    assert [cell.text for cell in found[5:7]] == ["UNPRICED", "UNPRICED"]


def test_an_open_end_of_money_is_said() -> None:
    assert tables.money("0.06", ("0.02", None)).note == "$0.0200 or more"


def test_break_even_has_a_row_a_price_with_its_unit(dense: RerankerVerdict) -> None:
    rows = [[cell.text for cell in row.cells[:3]] for row in tables.break_even(dense).rows]
    assert [(what, unit) for what, _, unit in rows] == [
        ("the reranker's price", "USD per 1,000 searches"),
        ("the LLM's price", "USD per million tokens"),
        ("traffic", "queries a month"),
    ]
    assert rows[2][1] == "n/a"


def test_scenarios_alternatives_and_trend_tell_their_verdicts_in_words(dense: RerankerVerdict) -> None:
    assert [row.cells[4].text for row in tables.scenarios(dense).rows] == ["\u25bc DROP", "\u25bc DROP"]
    table = tables.alternatives(DENSE, dense)
    assert table.rows[0].cells[0] == Cell(DENSE, "as it is", pipeline=DENSE)
    assert [row.cells[6].text for row in table.rows][:3] == ["\u2013", "\u25c7\u00a0undecided", "\u25b2 better"]
    larger = cells(table, "dense+overlap without its reranker, k = 7")
    assert larger[0].note == "larger k"
    assert shown([larger[3]]) == [("evidence@7", "against this pipeline's evidence@3")]
    assert {row.cells[3].text for row in table.rows if row.cells[0].note != "larger k"} == {"nDCG@10"}
    assert [row.cells[0].text for row in tables.price_trend(dense).rows] == ["0", "1", "2", "3", "4", "5"]
    assert tables.price_history(dense).rows == ()
    history = (*dense.price_history, dense.price_history[0].model_copy(update={"usd": "1.50", "since": "2099-01-01"}))
    shown_twice = tables.price_history(dense.model_copy(update={"price_history": history}))
    assert [row.cells[1].text for row in shown_twice.rows] == ["$2.00", "$1.50"]


def test_the_head_of_the_report_has_the_advice_and_its_ground_alone(
    section: RerankerSection, dense: RerankerVerdict
) -> None:
    reasons = {
        "KEEP": "It lifts ranking quality, and costs $1.00; whether that is paid for is not known.",
        "DROP": "It adds 100 ms. From 5 candidates instead of 20 this is open: it gains; about 3 more would decide it.",
        "SHRINK": "It adds 100 ms; but from 5 candidates instead of 15 it lifts more.",
        "UNDECIDED": "Its gain is not significant; about 3 more would decide it.",
    }
    told = {
        word: answers(section.model_copy(update={"verdicts": {DENSE: one}}))[DENSE]
        for word, reason in reasons.items()
        for one in [dense.model_copy(update={"verdict": word, "reason": reason, "depth": 5})]
    }
    assert told == {
        "KEEP": f"Keep the reranker of {DENSE}. It lifts ranking quality, and costs $1.00.",
        "DROP": f"Drop the reranker of {DENSE}. It adds 100 ms.",
        "SHRINK": f"Let the reranker of {DENSE} read 5 candidates instead of 15. {reasons['SHRINK']}",
        "UNDECIDED": f"Whether the reranker of {DENSE} is worth it is undecided. {reasons['UNDECIDED']}",
    }


def test_depths_are_marked_and_a_latency_that_was_not_timed_is_absent(section: RerankerSection) -> None:
    table = tables.depths(section.verdicts[DENSE])
    assert shown([row.cells[0] for row in table.rows]) == [("4", ""), ("7", ""), ("15", "own"), ("20", "knee")]
    steps = tuple(
        step.model_copy(update={"p50_ns": None, "p50_interval_ns": None})
        for step in section.verdicts[DENSE].depth_curve
    )
    table = tables.depths(section.verdicts[DENSE].model_copy(update={"depth_curve": steps}))
    assert {row.cells[3].text for row in table.rows} == {"n/a"}
    assert len(tables.grid(section.verdicts[DENSE]).rows) == 12


def test_headroom_and_truncation_are_told_in_figures(section: RerankerSection) -> None:
    one = section.verdicts[DENSE]
    assert cells(tables.headroom(one), "captured")[1].note
    none = changed(section, DENSE, headroom={"captured_share": None}).verdicts[DENSE]
    assert cells(tables.headroom(none), "captured")[1].text == "n/a"
    assert {row.cells[1].text for row in tables.truncation(one).rows} == {"n/a"}
    read = {"pairs": 3200, "max_tokens": 512, "over_length_share": 0.083, "tokens_dropped": 21.7}
    table = tables.truncation(
        changed(section, DENSE, truncation={**read, "tokens_dropped_share": 0.064}).verdicts[DENSE]
    )
    assert shown([row.cells[1] for row in table.rows])[:4] == [
        ("3,200", ""), ("512 tokens", ""), ("8.3%", ""), ("21.7 tokens", "6.4% of all"),
    ]  # fmt: skip


def test_single_queries_are_shown_with_what_moved(dense: RerankerVerdict) -> None:
    table = tables.clearest(dense)
    assert f"helped {dense.queries.helped}, hurt {dense.queries.hurt}, unchanged" in table.note
    first = dense.queries.clearest.helped[0]
    assert table.rows[0].cells[1] == Cell(str(first.text), first.query_id)
    textless = first.model_copy(update={"text": None, "doc_text": None, "from_rank": None})
    clearest = dense.queries.clearest.model_copy(update={"helped": (textless,), "hurt": (), "unchanged": ()})
    queries = dense.queries.model_copy(update={"clearest": clearest})
    (row,) = tables.clearest(dense.model_copy(update={"queries": queries})).rows
    assert row.cells[1] == Cell(first.query_id)
    assert row.cells[6].text == f"not found \u2192 {first.to_rank}"


def test_routing_keeps_an_open_end_open(dense: RerankerVerdict) -> None:
    step = dense.routing[0].model_copy(
        update={"share_reranked": 0.3, "share_of_gain_kept": 0.633, "interval": (0.4, None), "random": 0.3}
    )
    (row,) = tables.routing(dense.model_copy(update={"routing": (step,)})).rows
    assert shown(list(row.cells))[:4] == [("margin", ""), ("30.0%", ""), ("63.3%", "40.0% or more"), ("30.0%", "")]


def test_a_student_is_set_beside_its_teacher(section: RerankerSection) -> None:
    found = cells(tables.side_by_side(section), "wide")
    assert found[0] == Cell("wide", "embedder")
    assert found[3].text == found[4].text == "67.7%"
    assert ", p = 0.0" in found[5].note
    assert "Kendall's tau " in found[6].text
    assert found[7].text.endswith("\u00d7")


def test_every_table_says_what_its_intervals_rest_on(section: RerankerSection) -> None:
    (part,) = show(section, context(section))
    blocks = [block.table if isinstance(block, Folded) else block for block in every(list(part.blocks))]
    found = {block.key.removeprefix("reranker-"): block for block in blocks if isinstance(block, Table) and block.rows}
    quiet = {"glance", "sides", "statement", "trend", "history", "clearest"}
    assert len(found) == 14
    assert all("n = 12 queries" in table.note for key, table in found.items() if key not in quiet)


def test_the_part_has_its_heading_the_first_pipeline_open_and_the_others_folded(section: RerankerSection) -> None:
    (part,) = show(section, context(section))
    assert (part.key, part.title, part.link) == ("reranker", "Is the reranker worth it?", "Reranker")
    folds = [block for block in part.blocks if isinstance(block, PipelineFold)]
    assert [(fold.pipeline, fold.open) for fold in folds] == [(HYBRID, True), (DENSE, False)]
    assert part.blocks[0] == Sentences(section.study.statements)
    assert len([*charts_of(part.blocks)]) == 5 + 6


@pytest.mark.usefixtures("real_pictures")
def test_hostile_texts_are_shown_and_never_run(section: RerankerSection) -> None:
    queries = section.verdicts[DENSE].queries
    first = queries.clearest.helped[0].model_copy(update={"text": HOSTILE, "doc_text": HOSTILE})
    clearest = queries.clearest.model_copy(update={"helped": (first,)})
    hostile = changed(section, DENSE, reason=HOSTILE, queries={"clearest": clearest})
    parts = show(hostile, context(hostile))
    html = page(FRONT, parts, context(hostile).colours)
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in html
    assert html.count("<script") == 4
    text = as_part(parts[0])
    assert "<script" not in text
    assert (
        "&lt;script&gt;alert('x')&lt;/script&gt; \\*\\*bold\\*\\* \\| \\[link\\](javascript:alert(1)) &commat;" in text
    )
    for block in (block for block in text.split("\n\n") if block.startswith("|")):
        assert len({len(_BAR.findall(line)) for line in block.split("\n")}) == 1


def test_one_page_says_it_in_plain_words(section: RerankerSection) -> None:
    text = reranker_page(section, context(section))
    for words in (
        "# Is the reranker worth it? Handbook",
        "**\u25bc DROP**: go without the reranker",
        "**\u25c7 UNDECIDED**: not decided yet; about 503 more questions would decide it",
        "Of 100 questions, a right passage is among the first five for ",
        "The 3 passages in the prompt hold ",
        "An ordinary question (the median) waits ",
        "At 100,000 questions a month: the reranker costs \\$200.00 (\\$2.00 per 1,000, ",
        "billed at \\$2.00 per 1,000 searches",
        "In all it costs \\$199.23 a month (+\\$1.99 per 1,000, 95% interval +\\$1.99 to +\\$2.00).",
        "hybrid is better (nDCG@10 +0.",
        "n = 12 questions, p = 0.0",
        "About 503 more questions would decide it.",
        "<sub>ragprof 1, 18 passages. The whole statement: report.html.</sub>",
    ):
        assert words in text, words
    assert len(text.splitlines()) <= 70
    assert text.endswith("</sub>\n")
    why = "What the reranker costs is UNPRICED (no rate is named): not known, which is not free."
    assert why in reranker_page(unpriced(section), context(section))


def test_one_page_stays_one_page_and_escapes_what_it_is_given(section: RerankerSection) -> None:
    one = section.verdicts[DENSE].model_copy(update={"reason": HOSTILE})
    many = section.model_copy(update={"verdicts": {f"{HOSTILE} {place}": one for place in range(12)}})
    text = reranker_page(many, context(many))
    assert len(text.splitlines()) <= 80
    assert "<script" not in text
    assert "@team" not in text
    table = next(block for block in text.split("\n\n") if block.startswith("|"))
    assert {len(_BAR.findall(line)) for line in table.split("\n")} == {4}


def test_one_page_tells_to_read_fewer_candidates(section: RerankerSection) -> None:
    shrunk = changed(section, DENSE, verdict="SHRINK", depth=7)
    assert "keep it, but let it read 7 candidates only" in reranker_page(shrunk, context(section))


def test_prompts_that_grow_are_not_called_savings(section: RerankerSection) -> None:
    text = reranker_page(section, context(section))
    assert f"prompts that hold as much cost more, by \\$0.451 (saved {MINUS}\\$0.00451" in text


def test_verdicts_fit_into_eighty_columns(section: RerankerSection) -> None:
    lines = printed(section)
    assert max(map(len, lines)) <= 80
    row = next(line.split() for line in lines if line.strip().startswith(DENSE[:12]))
    assert DENSE.startswith(row[0])  # a long name continues below
    assert row[1:4] == ["\u25bc", "DROP", "+0.195"]
    assert row[-2:] == ["$2.00", "+$1.99"]
    hostile = section.model_copy(update={"verdicts": {f"[red]{HOSTILE}[/nothing]": section.verdicts[DENSE]}})
    lines = printed(hostile)
    assert max(map(len, lines)) <= 80
    assert "[red]" in "".join(lines)


def test_one_page_repeats_what_it_was_decided_with(section: RerankerSection) -> None:
    assert (
        "**Decided with.** A gain counts from 0.01 nDCG@10; a point (0.01) is worth $0.5 per 1,000 questions. For "
        "other ones: ragprof reranker DIR with"
    ) in reranker_page(section, context(section)).replace("\\", "")
    limits = {"worth_usd_per_point": None, "max_added_p95_ms": 40.0, "max_usd_per_1000_queries": 0.25}
    study = section.study.model_copy(update=limits)
    text = reranker_page(section.model_copy(update={"study": study}), context(section)).replace("\\", "")
    assert (
        "A gain counts from 0.01 nDCG@10; nobody says what a point is worth; more than 40 ms at p95 is too slow; more "
        "than $0.25 per 1,000 questions is too dear."
    ) in text


def test_time_that_a_reranker_saves_is_no_waiting(section: RerankerSection) -> None:
    faster = {"added_p50_ns": -2_000_000, "added_p50_interval_ns": (-3_000_000, -1_000_000)}
    page_of = reranker_page(changed(section, DENSE, statement=faster), context(section))
    assert f"The time of an ordinary question (the median) changes by {MINUS}2.00 ms ({MINUS}3.00 ms to" in page_of


def test_times_and_money_of_a_busy_machine_are_marked(section: RerankerSection) -> None:
    busy = "the machine was busy (40% of the time waiting for a core)"
    marked = changed(section, HYBRID, latency_withheld=busy, cost_withheld=busy)
    quiet_rows, rows = (tables.statement(each.verdicts[HYBRID]).rows for each in (section, marked))
    for before, after in zip(quiet_rows, rows, strict=True):
        line = after.cells[1].text
        mine = [cell.text.removesuffix(" *") for cell in after.cells]
        assert mine == [cell.text for cell in before.cells]
        told = [cell.text.endswith(" *") for cell in after.cells[2:4]]
        if line.startswith("added time") or line == "per point gained":
            assert told == [True, False]
        else:
            assert told == [line in ("reranker", "net")] * 2
    assert busy in tables.statement(marked.verdicts[HYBRID]).note
    row = cells(tables.glance(marked), HYBRID)
    assert [cell.text.endswith(" *") for cell in row] == [False, False, False, True, True, False, True, False]


@pytest.mark.parametrize(
    ("interval", "p", "said"),
    [
        ((0.01, 0.09), 0.057, "; not significant: the interval excludes 0 and p is not below 0.05, and both must tell"),
        ((-0.01, 0.09), 0.03, "; not significant: the interval holds 0 and p is below 0.05, and both must tell"),
        ((0.01, 0.09), 0.04, ""),
        ((-0.01, None), 0.2, ""),
        (None, 0.2, ""),
    ],
)
def test_an_interval_and_a_test_that_disagree_are_told(
    interval: tuple[float | None, float | None] | None, p: float, said: str
) -> None:
    assert disagreement(interval, p) == said
