"""What is wrong with a gate, or beside it, is told before anything is run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from gated_eval import EVAL, QUALITY, TOKENS, Recorded, gating, refused

from ragprof.core.errors import BadInput
from ragprof.session.gating import gate, unjudged
from ragprof.studies.gate.sides import save_baseline


def test_other_documents_are_refused_before_anything_is_run(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY)
    corpus = Path("handbook/corpus.jsonl")
    corpus.write_text(corpus.read_text().replace("leave", "holiday", 1))
    found = gate(small, baseline=recorded.base)
    (message,) = found.document["notes"]
    assert found.exit_code == 3
    assert [row["gate"] for row in found.rows] == ["incomparable"] * len(found.rows)
    assert message.startswith(
        f"{recorded.base.parent.name}/base: it was made with other data (corpus: 'handbook' (24 passages of 24"
    )
    assert "nothing was run" in message
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("queries.jsonl", "?", "??", "questions: 12 on both sides, with other contents"),
        ("qrels/test.tsv", "q01\tleave-annual\t2", "q01\tleave-annual\t1", "other relevance judgements"),
    ],
)
def test_other_questions_and_judgements_are_refused_too(
    small: Path, recorded: Recorded, file: str, old: str, new: str, named: str
) -> None:
    path = Path("handbook") / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    gating(small, QUALITY)
    found = gate(small, baseline=recorded.base)
    assert found.exit_code == 3
    assert f"it was made with other data ({named})" in found.document["notes"][0]


LINE = EVAL.count("\n") + 5
"""Of the first quantity that `gating` adds."""


@pytest.mark.parametrize(
    ("quantity", "table", "expected"),
    [
        ('"nDCG@5" = {}', "", "no metric of this eval named 'nDCG@5'; did you mean 'nDCG@10'? There are: R@10,"),
        ('"generate.latency_p50" = {}', "", "'generate.latency_p50': no pipeline has a generate stage; leave it out"),
        ('"rerank.docs_scored" = { pipelines = ["plain"] }', "",
         "'rerank.docs_scored': pipeline 'plain' has no rerank stage; name others under pipelines"),
        ('"rerank.docs_scored" = {}', 'pipelines = ["plain"]',
         "'rerank.docs_scored': pipeline 'plain' has no rerank stage; name others under pipelines"),
        ('"nDCG@10" = { pipelines = ["plane"] }', "", "no pipeline named 'plane'; there are: plain, reranked"),
        ('"embed.nDCG@10" = {}', "",
         "'embed.nDCG@10': the embed stage ranks nothing; there are metrics of search, rerank, inject"),
        ('"rerank.flops" = {}', "",
         "'rerank.flops' is not counted; say for how many queries with [gate] flop_queries = 20"),
        ('"latency" = {}', "", "no quantity named 'latency'; did you mean 'latency_p95'?"),
        ('"nDCG@10" = { absolute = nan }', "", "gate.quantities.nDCG@10.absolute: Input should be a finite number"),
        ('"nDCG@10" = { relative = -0.1 }', "", "gate.quantities.nDCG@10.relative: Input should be greater than"),
    ],
    ids=["metric", "stage", "named", "gates", "pipeline", "unranked", "uncounted", "quantity", "nan", "negative"],
)  # fmt: skip
def test_what_cannot_be_gated_is_refused_with_its_line_before_anything_is_run(
    small: Path, recorded: Recorded, quantity: str, table: str, expected: str
) -> None:
    message = refused(gating(small, quantity, table=table), baseline=recorded.base)
    assert message.startswith(f"small.toml:{LINE}: ")
    assert expected in message


def test_a_count_that_neither_side_has_is_refused_with_those_there_are(small: Path, recorded: Recorded) -> None:
    gating(small, '"rerank.docs_scord" = {}')
    with pytest.raises(
        BadInput,
        match=rf"small.toml:{LINE}: no usage of the rerank stage named 'docs_scord'; did you mean 'docs_scored'",
    ):
        gate(small, baseline=recorded.base, recording=recorded.same)


def test_an_eval_that_gates_nothing_is_told_how_to_begin(small: Path, recorded: Recorded) -> None:
    message = refused(small, baseline=recorded.base)
    assert message == (
        "small.toml: it has no [gate.quantities]; let 'ragprof gate EVAL.toml --init' write a sensible table"
    )


def test_nothing_to_compare_with_is_refused(small: Path) -> None:
    assert refused(gating(small, QUALITY)).startswith(
        "small.toml: nothing to compare with; give --baseline DIR or --ag"
    )


def test_against_takes_no_baseline_beside_it(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY)
    for given in ({"baseline": recorded.base}, {"recording": recorded.same}):
        assert refused(small, against="main", **given).startswith("small.toml: --against runs both sides itself; leave")


def test_a_folder_that_is_no_baseline_is_refused(small: Path) -> None:
    gating(small, QUALITY)
    assert refused(small, baseline="nowhere").startswith("nowhere: no such folder; give that of a recording")
    Path("empty").mkdir()
    assert refused(small, baseline="empty").startswith("empty/manifest.json: this file is missing")


def test_an_edited_baseline_is_refused_before_anything_is_run(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY)
    kept = save_baseline(recorded.worse, into="baselines/small")
    document = kept / "baseline.json"
    document.write_text(document.read_text().replace('"queries": 12', '"queries": 13'))
    assert refused(small, baseline=kept).startswith(
        "baselines/small/baseline.json: it is not as it was saved (its seal differs): it was edited; restore it from"
    )


def test_a_recording_does_not_take_the_place_of_its_own_baseline(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY)
    shutil.copytree(recorded.base, "reports/small")
    assert refused(small, baseline="reports/small", out="reports/small").startswith(
        "reports/small: this folder is the baseline, and a new recording would take its place; keep it with 'ragprof "
    )


def test_a_crash_is_no_verdict_and_has_an_exit_code_of_its_own(small: Path) -> None:
    """1 means a regression; whoever reads the files learns that ragprof is at fault, and nothing of its insides."""
    gating(small, QUALITY, TOKENS)
    found = unjudged(small, KeyError("secret"), strict=False)
    assert found is not None
    assert found.exit_code == 70
    assert {each.gate for each in found.gates} == {"incomparable"}
    assert found.notes == ("ragprof crashed (KeyError); the log of this step has more",)


def test_an_eval_file_without_gates_tells_nothing_of_what_could_not_be_judged(small: Path) -> None:
    assert unjudged(small, RuntimeError(), strict=False) is None
    assert unjudged(small.with_name("nowhere.toml"), RuntimeError(), strict=False) is None
