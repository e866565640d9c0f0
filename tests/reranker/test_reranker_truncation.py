"""What a reranker does not read, and what that costs."""

from __future__ import annotations

from reranker_data import Arm, data_of

from ragprof.studies.reranker.headroom import truncation
from ragprof.studies.reranker.section import JudgedCut

TOP = "Success@1"


def pair(query: int, tokens: int, kept: int, **more: bool | None) -> dict[str, object]:
    return {"query_id": f"q{query:03}", "doc_id": f"d{tokens}", "tokens": tokens, "kept_tokens": kept, **more}


def test_shares_of_pairs_and_tokens_are_of_all_candidates() -> None:
    lengths = [pair(0, 100, 100), pair(0, 300, 200), pair(1, 100, 100), pair(1, 500, 200)]
    cuts = [
        pair(0, 100, 100, relevant=True), pair(0, 300, 200, relevant=None),
        pair(1, 100, 100, relevant=False), pair(1, 500, 200, relevant=True),
    ]  # fmt: skip
    found = truncation(data_of(Arm([1, 2], [1, 1], lengths=lengths, cuts=cuts, max_tokens=200)), "reranked")
    assert (found.pairs, found.max_tokens, found.over_length_share) == (4, 200, 0.5)
    assert (found.tokens_dropped, found.tokens_dropped_share) == (100.0, 0.4)
    assert found.judged_cut == JudgedCut(documents=1, of=2, share=0.5)
    assert found.quality_cost is None
    assert found.sentence == (
        "50.0% of 4 pairs are over the reranker's length of 200 tokens; 40.0% of all tokens are never read (100.0 a "
        "pair). Of 2 relevant passages among the candidates, 1 was cut."
    )


def test_what_it_costs_is_the_windowed_quality_minus_the_own() -> None:
    arm = Arm([2] * 20, [2] * 20, windowed=[1] * 10 + [2] * 10, lengths=[pair(0, 300, 200)])
    found = truncation(data_of(arm, metric=TOP), "reranked")
    assert found.quality_cost is not None
    assert (found.quality_cost.difference, found.quality_cost.interval) == (0.5, (0.3, 0.7))
    assert (found.quality_cost.p or 0.0) < 0.01
    assert found.sentence.endswith(
        "No relevant passage is among the candidates. Reading them piece by piece changes Success@1 by +0.500 "
        "(95% CI +0.300 to +0.700)."
    )


def test_where_every_pair_is_read_whole_it_says_so() -> None:
    found = truncation(data_of(Arm([1], [1], lengths=[pair(0, 100, 100)], max_tokens=512)), "reranked")
    assert (found.over_length_share, found.tokens_dropped) == (0.0, 0.0)
    assert found.sentence == "The reranker reads all 1 pairs whole; none is over its length of 512 tokens."


def test_nothing_is_said_of_a_reranker_that_does_not_say_how_much_it_reads() -> None:
    found = truncation(data_of(Arm([1], [1])), "reranked")
    assert {key: value for key, value in found.as_json().items() if value is not None} == {
        "sentence": "The reranker does not say how much of a text it reads, so what it leaves out is not known."
    }
    assert set(found.as_json()) >= {"pairs", "over_length_share", "tokens_dropped", "judged_cut"}
