"""SciFact, whose figures are published: rankings and judgement only, no clock.

all-MiniLM-L6-v2 is listed with nDCG@10 0.645 on MTEB, BM25 with 0.665 to 0.69 depending on its tokens.
Set RAGPROF_CACHE to keep the vectors for the next time.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ragprof.core.clock import Silent, now_ns
from ragprof.judge.scores import measure, scores_of
from ragprof.record.recording import Bench, build_indexes, embed, load, rank
from ragprof.studies.preparation import prepare

PROJECT = Path(__file__).parents[2]
SCIFACT = PROJECT.parent / "shared" / "data" / "beir" / "scifact"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared_data,
    pytest.mark.skipif(not SCIFACT.is_dir(), reason=f"SciFact is not beside the project ({SCIFACT.name})"),
]


@pytest.fixture(scope="module")
def ndcg_at_10(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Mean nDCG@10 of each pipeline of evals/scifact.toml, after its last stage that ranks the candidates."""
    folder = tmp_path_factory.mktemp("scifact")
    bench = Bench(folder, Path(os.environ.get("RAGPROF_CACHE", folder / "cache")), Silent())
    prepared = prepare(PROJECT / "evals" / "scifact.toml", corpus=SCIFACT)
    subject = prepared.subject
    load(subject.pipelines, bench.progress)
    embedding = embed(subject, subject.corpus.docs, bench)
    build_indexes(subject.pipelines, subject.corpus.docs, embedding.documents, clock=now_ns, progress=bench.progress)
    return {
        name: float(
            scores_of(
                result.rankings,
                prepared.evaluation.qrels,
                [measure("nDCG@10")],
                stages=["rerank" if "rerank" in set(result.rankings["stage"]) else "search"],
            )["value"].mean()
        )
        for name, result in rank(subject, embedding, bench).items()
    }


def test_the_dense_pipeline_reaches_what_is_published(ndcg_at_10: dict[str, float]) -> None:
    assert ndcg_at_10["dense"] == pytest.approx(0.645, abs=0.003)


def test_bm25_reaches_what_is_published(ndcg_at_10: dict[str, float]) -> None:
    assert 0.66 <= ndcg_at_10["bm25"] <= 0.69


def test_late_interaction_is_worth_its_reranking_here(ndcg_at_10: dict[str, float]) -> None:
    assert ndcg_at_10["dense+maxsim"] >= 0.69
