"""What an audit leaves in its folder: ids and numbers, the manifest last, and nothing of an older one."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from restless import PlaceBoundReranker, audited

from ragprof.record.recording import shuffled
from ragprof.studies.audit.checks import Difference, score_difference, vector_difference, worst

numpy = pytest.importorskip("numpy")


@pytest.fixture
def place(handbook: Path, cache: Path) -> Path:
    """The folder of an audit of four queries."""
    audited(handbook, cache, times=2, queries=4, reranker=PlaceBoundReranker())
    return handbook.parent / "out" / "audit"


def test_the_files_of_an_audit(place: Path) -> None:
    assert sorted(path.name for path in place.iterdir()) == [
        "checks.parquet", "judgement.json", "manifest.json", "rankings.parquet", "scores.parquet", "ties.parquet",
    ]  # fmt: skip


def test_the_manifest_says_what_was_asked(place: Path) -> None:
    manifest = json.loads((place / "manifest.json").read_text())
    assert (manifest["format"], manifest["times"], len(manifest["queries"])) == (1, 2, 4)
    assert manifest["pointwise"] == {"hybrid+overlap": False}
    assert set(manifest["threads"]) == {"present", "other"}
    assert manifest["corpus"]["docs"] == 24


def test_no_text_is_kept(place: Path) -> None:
    tables = {path.stem: pd.read_parquet(path) for path in place.glob("*.parquet")}
    texts = {name: list(table.select_dtypes(exclude=["number", "bool"]).columns) for name, table in tables.items()}
    assert texts == {
        "checks": ["pipeline", "stage", "what", "variant", "query_id"],
        "rankings": ["pipeline", "run", "query_id", "stage", "doc_id", "document_id"],
        "scores": ["pipeline", "run", "query_id", "metric"],
        "ties": ["pipeline", "query_id"],
    }


def test_every_repetition_and_every_other_order_is_a_run(place: Path) -> None:
    rankings = pd.read_parquet(place / "rankings.parquet")
    assert list(rankings.columns) == [
        "pipeline", "run", "query_id", "stage", "rank", "doc_id", "document_id", "score",
    ]  # fmt: skip
    assert list(rankings["run"].unique()) == ["1", "2", "rerank: one by one", "rerank: reversed"]
    assert rankings.groupby(["run", "stage"])["query_id"].nunique().to_dict() == {
        ("1", "search"): 4, ("1", "rerank"): 4, ("1", "inject"): 4,
        ("2", "search"): 4, ("2", "rerank"): 4, ("2", "inject"): 4,
        ("rerank: one by one", "rerank"): 4, ("rerank: reversed", "rerank"): 4,
    }  # fmt: skip


def test_scores_are_those_of_the_sample_alone(place: Path) -> None:
    scores, manifest = pd.read_parquet(place / "scores.parquet"), json.loads((place / "manifest.json").read_text())
    assert list(scores.columns) == ["pipeline", "run", "query_id", "metric", "value"]
    assert set(scores["query_id"]) == set(manifest["queries"])
    assert len(scores) == 4 * 4


def test_the_sample_is_the_beginning_of_a_seeded_order(place: Path, handbook: Path) -> None:
    from ragprof.studies.preparation import prepare

    expected = [query.query_id for query in shuffled(prepare(handbook).subject.queries, 0)[:4]]
    assert json.loads((place / "manifest.json").read_text())["queries"] == expected


def test_an_older_audit_goes_before_the_new_one_is_recorded(place: Path, handbook: Path, cache: Path) -> None:
    class Broken(PlaceBoundReranker):
        """Fails in the first call."""

        def score(self, query, docs):  # type: ignore[no-untyped-def]
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        audited(handbook, cache, reranker=Broken())
    assert not (place / "manifest.json").exists()
    assert not (place / "judgement.json").exists()


def test_vectors_are_compared_to_the_last_bit() -> None:
    one = numpy.array([1.0, 2.0], numpy.float32)
    next_one = numpy.nextafter(one, numpy.float32(9))
    assert vector_difference(one, one.copy()) == Difference(True, 0.0)
    assert vector_difference(one, next_one) == Difference(False, float(next_one[1]) - 2.0)
    assert vector_difference(one, one[:1]) == Difference(False, None)


def test_scores_are_compared_for_the_documents_that_both_have(handbook: Path) -> None:
    from test_audit_ties import ranking

    assert score_difference(ranking(a=3.0, b=2.0), ranking(b=2.0, a=3.0)) == Difference(True, 0.0)
    assert score_difference(ranking(a=3.0, b=2.0), ranking(b=2.5, c=9.0)) == Difference(False, 0.5)
    assert score_difference(ranking(a=3.0), ranking(b=3.0)) == Difference(True, None)


def test_the_worst_of_several_differences() -> None:
    assert worst([Difference(True, 0.0), Difference(False, 0.5)]) == Difference(False, 0.5)
    assert worst([Difference(True)]) == Difference(True, None)
    assert worst([]) == Difference(True, None)
