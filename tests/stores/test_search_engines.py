"""Elasticsearch and OpenSearch by their wire protocol: no server of theirs installs here, so one that answers alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Passages
from search_engine import Engine

from ragprof.core import Doc, EmbeddedQuery, Query, registry
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec
from ragprof.parts.databases import claims
from ragprof.parts.databases.metrics import exact
from ragprof.parts.databases.rows import DatabaseStore

pytestmark = pytest.mark.slow


@pytest.fixture(params=["elasticsearch", "opensearch"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def made(name: str, **options: Any) -> DatabaseStore:
    store: DatabaseStore = registry.create("stores", PartSpec(name=name, **{"url_env": "ENGINE_URL", **options}))
    return store


@pytest.mark.parametrize("index", ["none", "hnsw"])
@pytest.mark.parametrize("metric", ["inner_product", "cosine", "l2"])
def test_scores_are_turned_back_into_ours(
    engine: Engine, name: str, index: str, metric: Any, passages: Passages
) -> None:
    docs, vectors = passages.docs[:60], 2 * passages.vectors[:60]
    store, best = made(name, index=index, metric=metric), exact(metric)
    store.add_labelled(docs, vectors, {"tenant": ["a", "b"] * 30})
    best.add(docs[::2], vectors[::2])
    for query in passages.queries[:5]:
        found, wanted = store.search_where(query, 10, {"tenant": "a"}).ranking, best.search(query, 10).ranking
        assert [item.doc.doc_id for item in found] == [item.doc.doc_id for item in wanted]
        assert [item.score for item in found] == pytest.approx([item.score for item in wanted], abs=1e-4)
    store.delete([docs[0].doc_id])
    assert store.index_bytes == 59_000
    assert len(store.tuned(ef_search=5).search(passages.queries[0], 100).ranking) == 59
    assert store.search_with_server_time(passages.queries[0], 3).usage["server_ns"] == 3_000_000  # type: ignore[attr-defined]
    store.close()
    assert engine.indexes == {}


@pytest.mark.parametrize("index", ["none", "hnsw"])
def test_words_and_vectors_are_fused_by_the_server(engine: Engine, name: str, index: str, passages: Passages) -> None:
    docs = [
        Doc(each, "", text, each) for each, text in (("a", "lava basalt"), ("b", "ice"), ("c", "basalt"), ("d", ""))
    ]
    vectors = np.eye(4, dtype=np.float32)[[3, 0, 1, 2]] + 0.1
    query = EmbeddedQuery(Query("q", "basalt lava"), np.array([1, 0.5, 0.1, 0], np.float32))  # nearest: b, c, d, a
    words = made(name, search="bm25")
    words.add(docs, None)
    assert [item.doc.doc_id for item in words.search(query, 10).ranking] == ["a", "c"]
    assert (words.needs_vectors, "embedding" in next(iter(engine.indexes.values()))["properties"]) == (False, False)
    words.close()
    by_rank = made(name, search="hybrid", index=index, rank_constant=1)
    by_rank.add_labelled(docs, vectors, {"tenant": ["x", "x", "y", "x"]})
    found = by_rank.search(query, 4).ranking
    assert [(item.doc.doc_id, round(item.score, 3)) for item in found] == [
        ("a", 0.7), ("c", 0.667), ("b", 0.5), ("d", 0.25),
    ]  # fmt: skip
    assert [item.doc.doc_id for item in by_rank.search_where(query, 2, {"tenant": "y"}).ranking] == ["c"]
    short = by_rank.tuned(window=2, rank_constant=10)
    assert {item.doc.doc_id for item in short.search(query, 2).ranking} <= {"a", "b", "c"}
    assert "hybrid rrf window=2 rank_constant=10" in str(short.identity)
    by_score = made(name, search="hybrid", index=index, fusion="linear", vector_weight=0.25)
    by_score.add(docs, vectors)
    found = by_score.search(query, 4).ranking
    assert (found[0].doc.doc_id, round(found[0].score, 3)) == ("a", 0.75)
    lexical = by_score.search(EmbeddedQuery(query.query, 0 * query.vector), 4).ranking  # type: ignore[operator]
    assert [item.doc.doc_id for item in lexical] == ["a", "c"]
    by_rank.close()
    by_score.close()


def test_what_was_left_is_taken_away_and_nothing_else(engine: Engine, name: str) -> None:
    gone = claims.own_name().split("_")
    gone[2] = "999999999"
    engine.indexes = {"ragprof_notes": {}, "_".join(gone): {}, claims.own_name(): {}}
    store = made(name)
    store.load()
    store.close()
    assert len(engine.indexes) == 2


def test_a_server_that_starts_again_is_waited_for_and_counted(engine: Engine, name: str, passages: Passages) -> None:
    store = made(name)
    store.add(passages.docs[:20], passages.vectors[:20])
    engine.failing = 2
    found = store.search(passages.queries[0], 5)
    assert (len(found.ranking), found.usage) == (5, {"searches": 1, "reconnects": 2})
    store.close()


def test_no_server_and_a_wrong_key_are_told_without_secrets(
    engine: Engine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.key = "right"
    monkeypatch.setenv("ENGINE_ACCESS", "sesame-open-7")
    with pytest.raises(BadInput, match=r"refused us \(401\); mend the key in \$ENGINE_ACCESS") as told:
        made(name, api_key_env="ENGINE_ACCESS").load()
    assert "sesame" not in str(told.value)
    monkeypatch.setenv("ENGINE_URL", "http://me:sesame-open-7@127.0.0.1:1")
    with pytest.raises(BadInput, match=r"does not answer .*; start it, or mend \$ENGINE_URL") as told:
        made(name).load()
    assert "sesame" not in str(told.value)
