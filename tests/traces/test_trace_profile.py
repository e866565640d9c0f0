"""Files of traces to a profile: figures reckoned by hand, money, the inert reranker, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pytest
from written import MS, attributes, documents, openinference, request, span, write

import ragprof
from ragprof.core.errors import BadInput
from ragprof.session import summary as summary_module
from ragprof.session.again import Result, redraw, reprice
from ragprof.session.summary import trace_schema
from ragprof.session.tracing import prices_of, trace
from ragprof.studies.trace.section import TracedPipeline, TraceSection

ON = date(2026, 11, 24)
SCHEMA = Path(summary_module.__file__).with_name("trace.schema.json")
MINUTE = 60_000


def made(tmp_path: Path, traces: Sequence[list[dict[str, Any]]], **options: Any) -> TraceSection:
    return section(trace(write(tmp_path / "week.jsonl", [request(spans) for spans in traces]),
                         out=tmp_path / "out", on=ON, **options))  # fmt: skip


def section(result: Result) -> TraceSection:
    found = result.analysis.sections["trace"]
    assert isinstance(found, TraceSection)
    return found


def only(found: TraceSection) -> TracedPipeline:
    (pipeline,) = found.pipelines.values()
    return pipeline


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Fifty queries a minute apart, each as long as its number says; the reranker changes the set of five."""
    folder = tmp_path_factory.mktemp("fifty")
    every = [
        openinference(n, at_ms=n * MINUTE, scale=n / 25, reranked=("a", "b") if n % 10 else ("c", "a"))
        for n in range(1, 51)
    ]
    path = write(folder / "week.jsonl", [request(spans) for spans in every])
    return trace(path, out=folder / "out", on=ON)


def test_stages_have_percentiles_over_traces_with_intervals(fifty: Result) -> None:
    pipeline = only(section(fifty))
    assert pipeline.traces == 50
    assert list(pipeline.stages) == ["embed", "search", "rerank", "generate"]
    generate = pipeline.stages["generate"]
    assert generate.n == generate.queries == 50
    assert generate.mean_ns == pytest.approx(100 * MS * 25.5 / 25, abs=1)
    assert generate.p50_ns == pytest.approx(102 * MS, rel=0.02)
    assert generate.p50_interval_ns is not None
    assert generate.p99_interval_ns is None  # of fifty traces nobody knows it
    assert pipeline.first_token is not None
    assert pipeline.first_token.mean_ns == pytest.approx(25 * MS * 25.5 / 25, abs=1)


def test_the_critical_path_adds_up_to_the_whole(fifty: Result) -> None:
    pipeline = only(section(fifty))
    assert pipeline.end_to_end is not None
    assert sum(pipeline.mean_path_ns.values()) == pytest.approx(pipeline.end_to_end.mean_ns, abs=5)
    assert (pipeline.overlapping, pipeline.path) == (0, {})


def test_money_is_that_of_the_models_that_the_spans_name(fifty: Result) -> None:
    money = only(section(fifty)).money
    # gpt-4o-mini: 0.15 and 0.60 USD a million; text-embedding-3-small: 0.02; rerank-v3.5: 2 USD a thousand searches
    assert {stage: Decimal(usd) for stage, usd in money.stages_usd.items()} == {
        "embed": Decimal("0.000008"), "rerank": Decimal("0.1"), "inject": Decimal("0.0075"),
        "generate": Decimal("0.003"),
    }  # fmt: skip
    assert money.total_usd == "0.110508"
    assert (money.calls, money.priced, money.unpriced, money.priced_share) == (150, 150, 0, 1.0)
    assert money.per_1000_traces.total == "2.21016"
    assert {rate.name for rate in section(fifty).rates} == {
        "openai:gpt-4o-mini", "openai:text-embedding-3-small", "cohere/rerank-v3.5",
    }  # fmt: skip


def test_the_reranker_is_told_by_what_it_changed(fifty: Result) -> None:
    reranker = only(section(fifty)).reranker
    assert reranker is not None
    assert reranker.set_changed is not None
    assert (reranker.set_changed.mean, reranker.order_changed.mean, reranker.first_changed.mean) == (0.1, 0.1, 0.1)
    assert reranker.set_changed.interval == pytest.approx((0.033, 0.218), abs=1e-3)
    assert reranker.verdict == "undecided"
    assert reranker.time_share == pytest.approx(20 / 180)


def test_what_no_stage_accounts_for_is_said_where_it_is_the_most(tmp_path: Path) -> None:
    """Of a second after the answer no span tells: 1,010 of 1,180 ms are nobody's, 100 the model's."""
    spans = openinference(1)
    spans[0]["endTimeUnixNano"] = str(int(spans[0]["endTimeUnixNano"]) + 1000 * MS)
    found = made(tmp_path, [spans])
    assert found.headline[0] == (
        "A trace takes 1.18 s at p50 and 1.18 s at p95; no stage accounts for 85.6% of it, generate for 8.5% (1 trace)."
    )


def test_a_reranker_that_never_changes_the_set_is_inert(tmp_path: Path) -> None:
    found = made(tmp_path, [openinference(n, reranked=("a", "b")) for n in range(1, 101)])
    reranker = only(found).reranker
    assert reranker is not None
    assert reranker.verdict == "inert"
    assert reranker.sentence == (
        "The reranker is inert: it changed which passages go on in 0.0% (95% CI 0.0%\u20133.6%) of 100 traces, "
        "for 11.1% of their time."
    )


def test_a_reranker_that_lets_all_through_is_judged_by_the_prompt(tmp_path: Path) -> None:
    """It turns the four candidates round; the prompt takes two of them."""
    turned = openinference(1, reranked=("d", "c", "b", "a"), in_prompt=("d", "c"))
    same = openinference(2, reranked=("b", "a", "c", "d"), in_prompt=("b", "a"))
    reranker = only(made(tmp_path, [turned, same])).reranker
    assert reranker is not None
    assert reranker.set_changed is not None
    assert (reranker.set_changed.mean, reranker.order_changed.mean, reranker.first_changed.mean) == (0.5, 1.0, 1.0)


def test_candidates_that_never_reach_a_prompt_are_told_with_a_depth(tmp_path: Path) -> None:
    ids = [f"d{n}" for n in range(20)]
    traces = [openinference(n, found=ids, reranked=(ids[4], ids[1])) for n in range(1, 101)]
    shrink = only(made(tmp_path, traces)).shrink
    assert shrink is not None
    assert (shrink.candidates, shrink.injected, shrink.never_injected_share) == (20, 2, pytest.approx(0.9))
    by_depth = {row.depth: row for row in shrink.by_depth}
    assert (by_depth[3].same_prompt.mean, by_depth[5].same_prompt.mean) == (0.0, 1.0)
    assert by_depth[5].saved_share == pytest.approx(0.75)
    assert shrink.depth == 5


def test_a_call_without_a_price_is_unpriced_and_said(tmp_path: Path) -> None:
    own = {"llm.model_name": "in-house-7b", "llm.token_count.prompt": 10, "llm.token_count.completion": 1}
    reported = {**own, "llm.cost.total": 0.5}
    found = made(tmp_path, [openinference(1, llm=own), openinference(2, llm=reported), openinference(3)])
    money = only(found).money
    assert (money.calls, money.priced, money.reported, money.unpriced) == (9, 7, 1, 1)
    assert money.reasons == ("generate: no price of 'in-house-7b' (1)",)
    assert money.stages_usd["generate"] == "0.50006"
    assert money.per_1000_traces.total is None
    assert found.headline[1].startswith("The model calls cost at least $168.74 per 1,000 traces ($0.506 in all); 88.9%")
    assert "shop: UNPRICED generate: no price of 'in-house-7b' (1)" in found.warnings


def test_a_trace_that_calls_no_model_costs_nothing(tmp_path: Path) -> None:
    found = made(tmp_path, [openinference(1), openinference(2)[:2]])
    costs = only(found).money.per_1000_traces
    assert (costs.total, costs.interval) == ("1.10508", ("0", "2.21016"))
    (spent,) = (sentence for sentence in found.headline if "model calls" in sentence)
    assert spent == (
        "The model calls cost $1.11 (95% CI $0\u2013$2.21) per 1,000 traces, $0.00221 in all; every one of 3 calls "
        "could be priced."
    )


def test_a_rate_can_be_named_for_a_stage(tmp_path: Path) -> None:
    own = {"llm.model_name": "in-house-7b", "llm.token_count.prompt": 10**6, "llm.token_count.completion": 10**6}
    prices = prices_of(["llm=openai:gpt-4o-mini", "rerank=free", "search=free"])
    money = only(made(tmp_path, [openinference(1, llm=own)], prices=prices)).money
    assert (money.stages_usd["inject"], money.stages_usd["generate"]) == ("0.15", "0.6")
    assert (money.stages_usd["rerank"], money.stages_usd["search"]) == ("0", "0")


def test_a_profile_is_priced_anew_without_its_files(tmp_path: Path) -> None:
    made(tmp_path, [openinference(1)])
    (tmp_path / "week.jsonl").unlink()
    again = reprice(tmp_path / "out", on=ON, llm="openai:gpt-4o")
    assert only(section(again)).money.stages_usd["inject"] == "0.0025"
    assert redraw(tmp_path / "out").summary == again.summary


def test_errors_and_retries_are_counted_by_stage(tmp_path: Path) -> None:
    failed = span(1, 6, "ChatOpenAI", 76, 77, {"openinference.span.kind": "LLM"}, status={"code": 2})
    lost = openinference(2)
    lost[0]["status"] = {"code": "STATUS_CODE_ERROR"}
    pipeline = only(made(tmp_path, [[*openinference(1), failed], lost]))
    assert (pipeline.errors, pipeline.retries, pipeline.failed.mean) == ({"generate": 1}, {"generate": 1}, 0.5)


def test_services_are_pipelines_and_traces_without_a_stage_are_left_out(tmp_path: Path) -> None:
    health = [span(9, 1, "GET /health", 0, 1, {"http.request.method": "GET"}, parent=None)]
    path = write(tmp_path / "week.jsonl", [
        request(openinference(1), service="shop/eu"), request(openinference(2)), request(openinference(3)),
        request(health),
    ])  # fmt: skip
    found = section(trace(path, out=tmp_path / "out", on=ON))
    assert {name: each.traces for name, each in found.pipelines.items()} == {"shop": 2, "shop-eu": 1}
    assert found.without_stage == 1
    assert "Left out: 1 trace of 4, without a span of a RAG stage." in found.warnings


def test_sampling_is_said(tmp_path: Path) -> None:
    spans = [{**each, "traceState": "ot=th:c"} for each in openinference(1)]
    path = write(tmp_path / "week.jsonl", [request(spans, scope={"tailsampling.policy": "slow"})])
    first, second, *_ = section(trace(path, out=tmp_path / "out", on=ON)).warnings
    assert first.startswith("The traces are sampled: by their trace state as few as 25.0% were kept.")
    assert second.startswith("Traces carry signs of sampling: tailsampling.policy (1). A sampler that keeps slow")


def test_days_are_told_apart_and_drift_is_tested(tmp_path: Path) -> None:
    day = 24 * 60 * MINUTE
    traces = [openinference(n, at_ms=(n % 2) * day, scale=(1 + n % 2) * (1 + n / 4000)) for n in range(1, 241)]
    pipeline = only(made(tmp_path, traces))
    assert [(each.day, each.traces) for each in pipeline.days] == [("2025-11-24", 120), ("2025-11-25", 120)]
    assert len(pipeline.drift) == 2
    assert pipeline.drift[0].startswith(
        "Drift: p50 is 371 ms in the second half of the days and was 185 ms in the first"
    )


def test_the_slowest_traces_are_named_with_what_took_most(fifty: Result) -> None:
    slowest = only(section(fifty)).slowest
    assert len(slowest) == 10
    assert (slowest[0].trace_id, slowest[0].stage, slowest[0].duration_ns) == (f"{50:032x}", "generate", 360 * MS)


def test_a_judged_question_is_found_by_its_words(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "how many days of  leave are there?"}\n')
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tb\t1\n")
    asked = "How many days of leave are there?"
    traces = [openinference(1, question=asked), openinference(2, question=asked, reranked=("a", "b")), openinference(3)]
    found = made(tmp_path, traces, queries=tmp_path / "queries.jsonl", qrels=tmp_path / "qrels.tsv",
                 metrics=["RR@10", "Judged@5"])  # fmt: skip
    pipeline = only(found)
    assert (found.questions, pipeline.judged) == (1, 2)
    assert pipeline.scores["search"]["RR@10"].mean == 0.5
    assert pipeline.scores["rerank"]["RR@10"].mean == 0.75
    assert set(pipeline.scores) == {"search", "rerank", "inject"}


def judged(tmp_path: Path, traces: list[list[dict[str, Any]]]) -> TraceSection:
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "How many days?"}\n')
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tb.md\t1\n")
    return made(tmp_path, traces, queries=tmp_path / "queries.jsonl", qrels=tmp_path / "qrels.tsv", metrics=["RR@10"])


def test_a_passage_without_an_id_is_known_by_its_metadata(tmp_path: Path) -> None:
    """As LangChain's instrumentor writes them: no id, and metadata as JSON."""
    spans = openinference(1, question="How many days?", reranked=None)
    kept = [each for each in spans[1]["attributes"] if not each["key"].endswith("document.id")]
    metadata = {
        f"retrieval.documents.{place}.document.metadata": json.dumps({"page": 1, "source": f"{name}.md"})
        for place, name in enumerate("abcd")
    }
    spans[1]["attributes"] = kept + attributes(metadata)
    pipeline = only(judged(tmp_path, [spans]))
    assert (pipeline.judged, pipeline.foreign_ids) == (1, 0)
    assert pipeline.scores["search"]["RR@10"].mean == 0.5


def test_passages_with_other_ids_than_the_judgements_have_no_quality(tmp_path: Path) -> None:
    found = judged(tmp_path, [openinference(1, question="How many days?"), openinference(2)])
    pipeline = only(found)
    assert (pipeline.judged, pipeline.foreign_ids, pipeline.scores) == (0, 1, {})
    assert found.warnings[0].startswith("shop: 1 trace of judged questions, and no passage in them has an id of the ")


def test_judgements_of_other_questions_are_refused(tmp_path: Path) -> None:
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "Why?"}\n')
    (tmp_path / "qrels.tsv").write_text("q9\tb\t1\n")
    with pytest.raises(BadInput, match="none of the judged queries is in"):
        made(tmp_path, [openinference(1)], queries=tmp_path / "queries.jsonl", qrels=tmp_path / "qrels.tsv")


def test_a_summary_follows_the_published_schema(fifty: Result) -> None:
    document = json.loads((fifty.folder / "summary.json").read_text())
    assert json.loads(SCHEMA.read_text()) == trace_schema()
    jsonschema.Draft202012Validator(trace_schema()).validate(document)
    assert (document["format"], document["eval"], document["title"]) == (1, "week", "Traces: week")
    assert document == fifty.summary


def test_the_page_on_traces_names_every_field() -> None:
    text = (Path(__file__).parents[2] / "docs" / "traces.md").read_text(encoding="utf-8")
    own = {"TraceSection", "TracedPipeline", "TracedMoney", "RerankerActivity", "ShrinkCandidates", "SamplingSigns"}
    named = {name for kind in own for name in trace_schema()["$defs"][kind]["properties"]}
    assert sorted(name for name in named if f"`{name}`" not in text and f".{name}`" not in text) == []


def test_no_text_and_no_secret_of_a_trace_is_written(tmp_path: Path) -> None:
    spans = openinference(1, question="Where is MYQUESTION?")
    spans[0]["attributes"] += [{"key": "authorization", "value": {"stringValue": "Bearer MYSECRET"}}]
    spans[-1]["status"] = {"code": 2, "message": "key MYSECRET was refused"}
    made(tmp_path, [spans])
    everything = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    for text in (b"MYQUESTION", b"MYSECRET", b"at some length"):
        assert text not in everything


def test_a_file_without_a_rag_span_is_refused_and_an_old_profile_stays(tmp_path: Path) -> None:
    made(tmp_path, [openinference(1)])
    before = (tmp_path / "out" / "summary.json").read_bytes()
    health = write(tmp_path / "health.jsonl", [request([span(9, 1, "GET /health", 0, 1, {}, parent=None)])])
    with pytest.raises(BadInput, match="1 span, none of which tells that it embeds, searches, reranks or generates"):
        trace(health, out=tmp_path / "out")
    assert (tmp_path / "out" / "summary.json").read_bytes() == before
    assert not (tmp_path / "out" / ".partial").exists()


def test_a_recording_of_something_else_is_not_overwritten(tmp_path: Path, handbook_recording: Path) -> None:
    path = write(tmp_path / "week.jsonl", [request(openinference(1))])
    with pytest.raises(BadInput, match="this folder holds a recording of something else"):
        trace(path, out=handbook_recording)


def test_what_was_recorded_over_a_profile_is_no_profile(tmp_path: Path, handbook_recording: Path) -> None:
    """A run into the folder of a profile leaves the table of traces behind."""
    made(tmp_path, [openinference(1)])
    shutil.copy(tmp_path / "out" / "traces.parquet", handbook_recording)
    assert redraw(handbook_recording).analysis.profile is not None


def test_a_file_that_is_missing_is_told_before_the_others_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "week.jsonl", [request(openinference(1))])
    with pytest.raises(BadInput, match="no such file of traces") as failure:
        trace(path, tmp_path / "missing.jsonl", out=tmp_path / "out")
    assert failure.value.file == tmp_path / "missing.jsonl"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("word", "says"), [("rerank", "write STAGE=RATE"), ("inject=free", "with a stage of llm, embed"), ("llm=", "write")]
)
def test_a_price_that_is_none_is_refused(word: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        prices_of([word])


def test_a_rate_that_nobody_has_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "week.jsonl", [request(openinference(1))])
    with pytest.raises(BadInput, match="no rate named 'cohere/none'"):
        trace(path, out=tmp_path / "out", prices=prices_of(["rerank=cohere/none"]))


def test_several_files_make_one_profile(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.jsonl", [request(openinference(n))]) for n in (1, 2)]
    found = ragprof.trace(*paths, out=tmp_path / "out").summary["trace"]
    assert (found["traces"], [source["name"] for source in found["sources"]]) == (2, ["1.jsonl", "2.jsonl"])


def test_a_trace_without_an_end_is_counted_and_not_timed(tmp_path: Path) -> None:
    endless = openinference(1)
    del endless[0]["endTimeUnixNano"]
    found = made(tmp_path, [endless])
    pipeline = only(found)
    assert (pipeline.end_to_end, found.unfinished, pipeline.traces) == (None, 1, 1)
    assert found.headline[0] == "1 trace, none with an end: nothing is said of time."


def test_parallel_branches_are_told_busy_and_on_the_path(tmp_path: Path) -> None:
    def both(n: int) -> list[dict[str, Any]]:
        found = documents("retrieval.documents", ["a"])
        return [
            span(n, 1, "root", 0, 100, {"openinference.span.kind": "CHAIN"}, parent=None),
            span(n, 2, "a", 0, 60, {"openinference.span.kind": "RETRIEVER", **found}),
            span(n, 3, "b", 20, 60, {"openinference.span.kind": "RETRIEVER", **found}),
        ]

    pipeline = only(made(tmp_path, [both(1), both(2)]))
    assert (pipeline.overlapping, pipeline.stages["search"].p50_ns, pipeline.path["search"].p50_ns) == (
        2,
        100 * MS,
        60 * MS,
    )


def test_an_edited_profile_is_refused_by_name(tmp_path: Path) -> None:
    home = ragprof.trace(
        write(tmp_path / "a.jsonl", [request(openinference(n)) for n in range(1, 4)]), out=tmp_path / "o"
    ).folder
    for name, sealed_by in (("spans", "manifest"), ("costs", "rates")):
        path = home / f"{name}.parquet"
        before = path.read_bytes()
        pd.read_parquet(path).iloc[1:].to_parquet(path)
        with pytest.raises(BadInput, match=rf"{name}.parquet: .*not the table that {sealed_by}.json was written with"):
            ragprof.compare(home, home)
        with pytest.raises(BadInput, match="not the table that"):
            redraw(home)
        path.write_bytes(before)
    assert reprice(home).summary["trace"]["traces"] == 3


@pytest.mark.parametrize("joined_by", ["question", "session"])
def test_traces_of_one_question_or_one_session_are_one_witness(tmp_path: Path, joined_by: str) -> None:
    """Six of them, each asked 25 times alike: what is known is what six values tell."""
    traces = []
    for n in range(150):
        group = n % 6
        spans = openinference(
            n + 1, at_ms=n * MINUTE, scale=1 + group, reranked=("c", "a") if group == 5 else ("a", "b"),
            question=f"Question {group}?" if joined_by == "question" else f"Question {n}?",
            llm={"llm.model_name": "gpt-4o-mini", "llm.provider": "openai",
                 "llm.token_count.prompt": 1000 * (1 + group), "llm.token_count.completion": 0},
        )  # fmt: skip
        if joined_by == "session":
            spans[0]["attributes"] += attributes({"session.id": f"user-{group}"})
        if group == 5:
            spans[0]["status"] = {"code": 2}
        traces.append(spans)
    found = made(tmp_path, traces)
    pipeline = only(found)
    assert (pipeline.traces, pipeline.independent) == (150, 6)
    whole = pipeline.end_to_end
    assert whole is not None
    assert (whole.n, whole.queries, whole.p95_interval_ns) == (150, 6, None)
    # Six values 1 to 6 have the mean 3.5 and Student's interval of 1.537 to 5.463; the median may be any of them.
    tokens = pipeline.tokens["generate.input_tokens"].per_trace
    assert (tokens.mean, tokens.n) == (3500, 150)
    assert tokens.interval == pytest.approx((1536.7, 5463.3), abs=0.1)
    assert whole.p50_interval_ns == (180 * MS, 6 * 180 * MS)
    bill = pipeline.money.per_1000_traces.stage_intervals["inject"]
    assert bill is not None
    assert [float(end) for end in bill] == pytest.approx([0.15 * 1.5367, 0.15 * 5.4633], rel=1e-4)
    # One of six failed, worth 2.95 independent ones, 5 x (1.976 / 2.571)^2; the ends are those of scipy.stats.beta.
    assert pipeline.failed.mean == pytest.approx(1 / 6)
    assert pipeline.failed.interval == pytest.approx((0.000136, 0.82707), abs=1e-5)
    assert pipeline.reranker is not None
    assert pipeline.reranker.set_changed == pipeline.failed
    assert found.warnings[0] == (
        "shop: traces of one question or one session count as one: 150 traces of 6 questions and sessions that are "
        "independent; intervals go by these."
    )
    assert "(150 traces of 6 questions and sessions)" in found.headline[0]


def test_six_questions_that_were_slower_on_the_second_day_are_no_drift(tmp_path: Path) -> None:
    """As 300 witnesses they would be; questions of their own that were as much slower are."""
    day = 24 * 60 * MINUTE
    for asked, told in ((6, 0), (150, 1)):
        traces = [
            openinference(
                second * 1000 + n + 1,
                at_ms=second * day + n * MINUTE,
                question=f"Question {n % asked} of {second}?",
                scale=(1 + 0.3 * second) * (0.7 + 0.1 * (n % 6)),
            )
            for second in (0, 1)
            for n in range(150)
        ]
        folder = tmp_path / str(asked)
        folder.mkdir()
        pipeline = only(made(folder, traces))
        assert [day.failed.interval is not None for day in pipeline.days] == [True, True]
        assert sum("p50 is" in sentence for sentence in pipeline.drift) == told, pipeline.drift
