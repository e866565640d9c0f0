"""What may stand beside what: refusals, blocked rows, pairs of pipelines, and what a reader is told."""

from __future__ import annotations

import dataclasses
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from compare_data import cost, environment, ndcg, query, row, side, timings, tokens

from ragprof.core.errors import BadInput, Incomparable, NonFiniteScore, UnknownName
from ragprof.studies.gate.comparison import compare
from ragprof.studies.gate.evidence import SideEvidence

VALUES = [0.5, 0.6, 0.7]
TIMES = [timings([[10.0, 11.0, 12.0]])]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (
            {"corpus": {"name": "small", "docs": 3, "sha256": "c2"}},
            "corpus: 'small' (3 passages) on both sides, with other contents",
        ),
        (
            {"corpus": {"name": "big", "docs": 1, "documents": 1, "sha256": "c2"}},
            "corpus: 'small' (3 passages) and 'big' (1 passage of 1 document)",
        ),
        ({"questions": "s2"}, "questions: 4 on both sides, with other contents"),
        ({"questions": "s2", "queries": 3}, "questions: 4 and 3"),
        ({"qrels_sha256": "l2"}, "other relevance judgements"),
    ],
)
def test_other_documents_questions_or_judgements_are_refused(other: dict[str, object], told: str) -> None:
    with pytest.raises(Incomparable) as refused:
        compare(side(ndcg(VALUES)), side(ndcg(VALUES), label="candidate", **other))
    assert str(refused.value) == (
        f"'base' and 'candidate' cannot be compared: {told}; record both on the same corpus, questions and qrels"
    )


def test_a_refusal_names_every_field_and_prints_no_hash() -> None:
    with pytest.raises(Incomparable, match="questions: 4 on both sides, with other contents; other relevance judgem"):
        compare(side(ndcg(VALUES)), side(ndcg(VALUES), questions="x" * 64, qrels_sha256="l2"))


def test_no_query_in_common_is_refused() -> None:
    with pytest.raises(Incomparable, match=r"'base' \(2 queries\) and 'other' \(1 query\) have no query in common"):
        compare(side(ndcg([0.1, 0.2])), side(ndcg([None, None, 0.2]), label="other"))


@pytest.mark.parametrize(
    ("other", "field"),
    [
        ({"cpu": "Xeon"}, "environment.cpu"),
        ({"gpu": "H100"}, "environment.gpu"),
        ({"cores": 4}, "environment.cores"),
        ({"threads": 1}, "environment.threads"),
        ({"python": "3.12.1"}, "environment.python"),
        ({"packages": {"torch": "3.0.0", "bm25s": "0.3.9"}}, "environment.packages.torch"),
        ({"packages": {"torch": "2.13.0"}}, "environment.packages.bm25s"),
    ],
)
def test_another_machine_or_major_version_keeps_latency_alone_from_being_compared(
    other: dict[str, object], field: str
) -> None:
    rows = ndcg(VALUES), cost(VALUES, "search", "machine time"), cost(VALUES, "inject", "prompt tokens")
    dearer = ndcg(VALUES), cost([9 * each for each in VALUES], "search", "machine time"), rows[2]
    base = side(*rows, times=TIMES)
    document = compare(base, side(*dearer, times=TIMES, job="j2", environment=environment(**other)))
    latency = row(document, "latency_p50")
    assert latency.verdict == "incomparable"
    assert field in latency.reason
    assert (latency.base, latency.difference, latency.p_holm) == (11.0, None, None)
    assert row(document, "nDCG@10").verdict == row(document, "usd_per_1000_queries").verdict == "equivalent"
    assert row(document, "search.usd_per_1000_queries").reason == "it is all measured time, of two machines"
    assert [(each.field, each.blocks) for each in document.differences] == [(field, "latency")]
    assert document.notes[0] == f"Latency is not compared: {field} differ."


@pytest.mark.parametrize(
    "other", [{"python": "3.11.9"}, {"packages": {"torch": "2.14.1", "bm25s": "0.3.9"}}, {"memory_bytes": 2}]
)
def test_smaller_differences_of_machine_and_versions_are_only_noted(other: dict[str, object]) -> None:
    document = compare(side(times=TIMES), side(times=TIMES, job="j2", environment=environment(**other)))
    assert [each.blocks for each in document.differences] == ["nothing"]
    assert row(document, "latency_p50").verdict == "equivalent"


def test_in_one_job_the_libraries_may_be_what_is_measured() -> None:
    packages = {"torch": "3.0.0", "bm25s": "0.3.9"}
    document = compare(side(times=TIMES), side(times=TIMES, environment=environment(packages=packages)))
    assert row(document, "latency_p50").verdict == "equivalent"
    assert list(document.notes) == [
        "Timed in one job with different environment.packages.torch: their effect is in the figures."
    ]


def test_another_tokenizer_blocks_what_is_made_of_prompt_tokens() -> None:
    rows = [ndcg(VALUES), tokens(VALUES), cost(VALUES), cost(VALUES, "search", "machine time")]
    document = compare(side(*rows), side(*rows, tokenizer="cl100k_base"))
    told = {each.quantity: each.verdict for each in document.quantities}
    assert told == {
        "nDCG@10": "equivalent",
        "inject.prompt_tokens": "incomparable",
        "usd_per_1000_queries": "incomparable",
        "search.usd_per_1000_queries": "equivalent",
        "inject.usd_per_1000_queries": "incomparable",
    }


def test_other_prices_are_noted() -> None:
    before, after = ({"gpt": {"usd": usd, "since": None}} for usd in ("1", "2"))
    document = compare(side(cost(VALUES), rates=before), side(cost(VALUES), rates=after, priced_on="2026-02-02"))
    assert [each.field for each in document.differences] == ["priced_on", "rates.gpt"]
    assert list(document.notes) == ["Rates differ between the sides: gpt; a difference in cost may be theirs."]


@pytest.mark.parametrize(("unpriced", "side_named"), [(0, "base"), (1, "candidate")])
def test_an_unpriced_side_has_no_bill(unpriced: int, side_named: str) -> None:
    lines = [{"a": ["rerank: no rate for docs_scored"]} if at == unpriced else {"a": []} for at in range(2)]
    base, candidate = (side(cost(VALUES), label=str(at), unpriced=line) for at, line in enumerate(lines))
    document = compare(base, candidate)
    whole, stage = row(document, "usd_per_1000_queries"), row(document, "rerank.usd_per_1000_queries")
    assert (whole.verdict, stage.verdict) == ("unpriced", "unpriced")
    assert whole.reason == f"{side_named}: rerank: no rate for docs_scored"
    assert [whole.base, whole.candidate][unpriced] is None
    assert whole.difference is None
    assert row(document, "inject.usd_per_1000_queries").verdict == "equivalent"


def test_a_metric_that_one_side_lacks_is_missing() -> None:
    document = compare(side(ndcg([0.4, 0.6])), side(tokens([1.0, 2.0])))
    found = row(document, "nDCG@10")
    assert (found.verdict, found.reason) == ("missing", "the candidate did not record it")
    assert (found.base, found.candidate, found.p, found.n) == (0.5, None, None, 0)


def test_a_figure_of_no_shared_query_is_missing() -> None:
    base = side(ndcg([0.4, 0.6]), tokens([1.0, None]))
    found = row(compare(base, side(ndcg([0.4, 0.6]), tokens([None, 1.0]))), "inject.prompt_tokens")
    assert (found.verdict, found.base) == ("missing", 1.0)
    assert found.reason == "no query was measured on both sides (prompt_tokens)"


def test_single_pipelines_are_paired_whatever_their_names() -> None:
    document = compare(side(ndcg(VALUES)), side(ndcg(VALUES, "b"), pipelines=["b"]))
    assert [(each.base_pipeline, each.pipeline) for each in document.quantities] == [("a", "b")]
    assert list(document.notes) == ["'a' of the base is compared with 'b' of the candidate."]


def test_several_pipelines_are_paired_by_name_and_the_rest_is_noted() -> None:
    base = side(ndcg(VALUES), ndcg(VALUES, "b"), pipelines=["a", "b"])
    document = compare(base, side(ndcg(VALUES, "b"), ndcg(VALUES, "c"), label="new", pipelines=["b", "c"]))
    assert [each.pipeline for each in document.quantities] == ["b"]
    assert list(document.notes) == ["Pipeline 'a' is in 'base' alone.", "Pipeline 'c' is in 'new' alone."]


def test_no_pipeline_in_common_is_refused() -> None:
    base = side(ndcg(VALUES), pipelines=["a", "b"])
    with pytest.raises(Incomparable, match=r"no pipeline is in both 'base' \(a, b\) and 'new' \(c\)"):
        compare(base, side(ndcg(VALUES, "c"), label="new", pipelines=["c"]))


def test_pipelines_can_be_chosen() -> None:
    sides = [side(ndcg(VALUES), ndcg(VALUES, "b"), pipelines=["a", "b"]) for _ in range(2)]
    assert {each.pipeline for each in compare(*sides, pipelines=["b"]).quantities} == {"b"}
    with pytest.raises(UnknownName, match="no pipeline named 'd'"):
        compare(*sides, pipelines=["d"])


def test_a_chosen_pipeline_that_one_side_lacks_is_refused() -> None:
    base = side(ndcg(VALUES), ndcg(VALUES, "b"), pipelines=["a", "b"])
    candidate = side(ndcg(VALUES), ndcg(VALUES, "c"), label="new", pipelines=["a", "c"])
    with pytest.raises(Incomparable, match="pipeline 'b' is not in 'new', which has a, c"):
        compare(base, candidate, pipelines=["b"])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(NonFiniteScore, match="'new': search 'nDCG@10' of pipeline 'a', query 'q01', is not a finite"):
        compare(side(ndcg(VALUES)), side(ndcg([0.5, value, 0.7]), label="new"))


def test_a_duration_that_is_no_number_is_refused() -> None:
    candidate = side(times=TIMES, label="new")
    times = candidate.times.assign(duration_ns=math.nan)
    with pytest.raises(NonFiniteScore, match="'new': a duration is not a finite number"):
        compare(side(times=TIMES), dataclasses.replace(candidate, times=times))


def test_a_figure_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="query 'q00', stands there twice"):
        compare(side(ndcg(VALUES)), side(ndcg(VALUES), ndcg(VALUES)))


def test_rows_stand_by_pipeline_kind_stage_and_name() -> None:
    rows = [cost(VALUES), tokens(VALUES), ndcg(VALUES, "b"), ndcg(VALUES)]
    sides = [side(*rows, times=TIMES, pipelines=["a", "b"]) for _ in range(2)]
    assert [(each.pipeline, each.quantity, each.primary) for each in compare(*sides).quantities] == [
        ("a", "nDCG@10", True),
        ("a", "latency_p50", True),
        ("a", "latency_p95", True),
        ("a", "inject.prompt_tokens", True),
        ("a", "usd_per_1000_queries", True),
        ("a", "inject.usd_per_1000_queries", False),
        ("b", "nDCG@10", True),
    ]


def test_a_ranking_is_listed_once_and_its_last_stage_has_the_short_name() -> None:
    reranked = [(*cells[:2], "rerank", *cells[3:]) for cells in ndcg([0.9, 0.9, 0.9])]
    document = compare(side(ndcg(VALUES), reranked), side(ndcg(VALUES), reranked))
    assert [(each.quantity, each.base) for each in document.quantities] == [
        ("nDCG@10", 0.9),
        ("search.nDCG@10", 0.6),
    ]


def test_the_document_is_plain_json_and_says_who_was_compared() -> None:
    document = json.loads(
        json.dumps(compare(side(ndcg([0.5])), side(ndcg([0.4]), times=TIMES)).document, allow_nan=False)
    )
    assert (document["format"], document["eval"], document["queries"], document["gate"]) == (1, "handmade", 1, None)
    assert document["base"] == {
        "label": "base",
        "source": "recording",
        "corpus": {"name": "small", "docs": 3, "sha256": "c1"},
        "created": "2026-01-01T00:00:00Z",
        "ragprof_version": "0.1.0",
        "recording": "r1",
        "queries": 4,
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "beauty"}, "is of no kind or stage that there is"),
        ({"stage": "nowhere"}, "is of no kind or stage that there is"),
        ({"value": 1e308}, "is beyond all that is measured (1e+15)"),
    ],
)
def test_a_figure_that_nothing_can_be_is_named(change: dict[str, object], said: str) -> None:
    made = side(ndcg([0.5, 0.25]))
    odd = dataclasses.replace(made, figures=made.figures.assign(**change))
    with pytest.raises(BadInput, match=re.escape(said)):
        compare(odd, made)


@pytest.mark.parametrize("rows", [timings([[-1.0, 2.0]]), timings([[1.0, 2.0]], stage="nowhere")])
def test_a_duration_that_none_can_be_is_refused(rows: list[tuple[object, ...]]) -> None:
    made = side(ndcg([0.5, 0.25]))
    with pytest.raises(BadInput, match="a duration is negative or of no stage; record or save it again"):
        compare(side(ndcg([0.5, 0.25]), times=[rows]), made)


def test_a_models_judgements_are_told_as_such_and_corrected_by_people_beside_the_gates() -> None:
    queries = [query(number) for number in range(30)]

    def judged(label: str, by_model: float, by_people: float, drawn: int) -> SideEvidence:
        places = np.where(np.arange(30) < drawn, np.arange(30.0), np.nan)
        table = pd.DataFrame({
            "pipeline": "a", "metric": "nDCG@10", "query_id": queries, "by_model": by_model,
            "by_people": np.where(np.isnan(places), np.nan, by_people), "draw": places, "chance": 1 / (30 - places),
            "graded": True,
        })  # fmt: skip
        return dataclasses.replace(side(ndcg([by_model] * 30), label=label), labelled=table)

    (note,) = compare(judged("base", 0.5, 0.5, 20), judged("new", 0.7, 0.6, 20)).notes
    assert note.startswith(
        "a: nDCG@10 +0.200 by the model, corrected by people +0.100 (95% CI \u22120.085 to +0.252). These"
    )
    (note,) = compare(judged("base", 0.5, 0.5, 14), judged("new", 0.7, 0.6, 20)).notes
    assert "people have judged fewer than 15 of the drawn questions: no difference is corrected" in note
    kept = dataclasses.replace(judged("base", 0.5, 0.5, 20), labelled=None, source="baseline")
    (note,) = compare(kept, judged("new", 0.7, 0.6, 20)).notes
    assert note.endswith("no difference is corrected by people, because of 'base': a baseline keeps no labels.")
