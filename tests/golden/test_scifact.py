"""SciFact, whose figures are published: rankings and judgement only, no clock.

all-MiniLM-L6-v2 is listed with nDCG@10 0.645 on MTEB, BM25 with 0.665 to 0.69 depending on its tokens.
Set RAGPROF_CACHE to keep the vectors for the next time.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ragprof.core import Vectors
from ragprof.core.clock import Silent, now_ns
from ragprof.judge.scores import measure, scores_of
from ragprof.parts.embedders.sentence_transformers import SentenceTransformersEmbedder
from ragprof.record.recording import Bench, Embedding, build_indexes, embed, load, rank
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


def test_untimed_vectors_rank_as_those_of_the_librarys_call(tmp_path: Path) -> None:
    """Every text by both, in float32: cosines of 0.99999 at least, and the same nDCG@10 to four digits."""
    bench = Bench(tmp_path, Path(os.environ.get("RAGPROF_CACHE", tmp_path / "cache")), Silent())
    prepared = prepare(PROJECT / "evals" / "scifact.toml", corpus=SCIFACT)
    subject = replace(
        prepared.subject, pipelines=tuple(parts for parts in prepared.subject.pipelines if parts.name == "dense")
    )
    embedder = subject.pipelines[0].embedder
    assert isinstance(embedder, SentenceTransformersEmbedder)
    assert embedder.precision == "float32"
    untimed = embed(subject, subject.corpus.docs, bench)
    documents = embedder._transformer.called([doc.content for doc in subject.corpus.docs])[0]
    queries = embedder.embed_queries([query.text for query in subject.queries]).vectors
    called = Embedding({id(embedder): documents}, {id(embedder): queries}, {})
    assert nearest(untimed.documents[id(embedder)], documents) >= 0.99999
    assert nearest(untimed.queries[id(embedder)], queries) >= 0.99999
    means = []
    for vectors in (untimed, called):
        build_indexes(subject.pipelines, subject.corpus.docs, vectors.documents, clock=now_ns, progress=bench.progress)
        found = rank(subject, vectors, bench)["dense"].rankings
        means.append(
            scores_of(found, prepared.evaluation.qrels, [measure("nDCG@10")], stages=["search"])["value"].mean()
        )
    assert round(means[0], 4) == round(means[1], 4)


def nearest(first: Vectors, second: Vectors) -> float:
    """The lowest cosine of two rows that belong together."""
    left, right = np.asarray(first, np.float64), np.asarray(second, np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(((left * right).sum(axis=1) / lengths).min())


def test_the_dense_pipeline_reaches_what_is_published(ndcg_at_10: dict[str, float]) -> None:
    assert ndcg_at_10["dense"] == pytest.approx(0.645, abs=0.003)


def test_bm25_reaches_what_is_published(ndcg_at_10: dict[str, float]) -> None:
    assert 0.66 <= ndcg_at_10["bm25"] <= 0.69


def test_late_interaction_is_worth_its_reranking_here(ndcg_at_10: dict[str, float]) -> None:
    assert ndcg_at_10["dense+maxsim"] >= 0.69
