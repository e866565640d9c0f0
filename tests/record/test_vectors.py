"""Vectors that are computed once: over runs, over purposes, and over runs that were killed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from counting import CountingEmbedder, InfiniteEmbedder

from ragprof.core import Doc, Embedded, Query
from ragprof.core.clock import Silent
from ragprof.core.errors import BadInput, NonFiniteScore
from ragprof.core.stages import Embedder
from ragprof.parts.embedders.hashing import HashingEmbedder
from ragprof.record import rankings as vectors
from ragprof.record.pipeline import Pipeline, part
from ragprof.record.query import ask, bare
from ragprof.record.rankings import Reused, document_vectors, query_vectors
from ragprof.record.recording import foretold
from ragprof.studies.preparation import prepare

TEXTS = [f"passage about {'very ' * number}much" for number in range(10)]


def documents(embedder: Embedder, cache: Path, texts: list[str] = TEXTS) -> Reused:
    return document_vectors(embedder, texts, cache=cache, progress=Silent())


@pytest.fixture
def chunks_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "VECTORS_CHUNK", 2)


def test_vectors_from_the_cache_equal_brute_force_to_the_last_digit(tmp_path: Path) -> None:
    expected = HashingEmbedder(64).embed_documents(TEXTS).vectors
    for computed in (10, 0):
        result = documents(CountingEmbedder(), tmp_path)
        assert result.computed == computed
        assert result.vectors.dtype == np.float32
        assert np.array_equal(result.vectors, expected)


def test_each_distinct_text_is_embedded_once(tmp_path: Path) -> None:
    embedder = CountingEmbedder()
    result = documents(embedder, tmp_path, ["a cat", "a dog", "a cat"])
    assert (result.computed, sorted(embedder.embedded)) == (2, ["a cat", "a dog"])
    assert np.array_equal(result.vectors[0], result.vectors[2])


@pytest.mark.usefixtures("chunks_of_two")
def test_longest_texts_go_first(tmp_path: Path) -> None:
    embedder = CountingEmbedder()
    documents(embedder, tmp_path)
    assert embedder.embedded == TEXTS[::-1]


@pytest.mark.usefixtures("chunks_of_two")
def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    killed = CountingEmbedder(stops_after=6)
    with pytest.raises(KeyboardInterrupt):
        documents(killed, tmp_path)
    assert len(killed.embedded) == 6
    resumed = CountingEmbedder()
    result = documents(resumed, tmp_path)
    assert result.computed == 4
    assert sorted(killed.embedded + resumed.embedded) == sorted(TEXTS)
    assert np.array_equal(result.vectors, HashingEmbedder(64).embed_documents(TEXTS).vectors)


@pytest.mark.usefixtures("chunks_of_two")
def test_rows_without_their_digests_are_written_again(tmp_path: Path) -> None:
    """A kill between the two files leaves rows that no digest vouches for."""
    with pytest.raises(KeyboardInterrupt):
        documents(CountingEmbedder(stops_after=6), tmp_path)
    (rows,) = tmp_path.rglob("rows.bin")
    with rows.open("ab") as stream:
        stream.write(b"\xff" * 100)
    result = documents(CountingEmbedder(), tmp_path)
    assert result.computed == 4
    assert np.array_equal(result.vectors, HashingEmbedder(64).embed_documents(TEXTS).vectors)


def test_half_a_digest_counts_for_nothing(tmp_path: Path) -> None:
    documents(CountingEmbedder(), tmp_path, TEXTS[:4])
    (keys,) = tmp_path.rglob("keys.bin")
    keys.write_bytes(keys.read_bytes()[:-7])
    result = documents(CountingEmbedder(), tmp_path, TEXTS[:4])
    assert result.computed == 1
    assert np.array_equal(result.vectors, HashingEmbedder(64).embed_documents(TEXTS[:4]).vectors)


def test_queries_are_kept_apart_from_documents(tmp_path: Path) -> None:
    documents(CountingEmbedder(), tmp_path)
    assert query_vectors(CountingEmbedder(), TEXTS, cache=tmp_path, progress=Silent()).computed == 10


def test_another_model_is_another_cache(tmp_path: Path) -> None:
    documents(HashingEmbedder(64), tmp_path)
    assert documents(HashingEmbedder(32), tmp_path).computed == 10
    assert documents(HashingEmbedder(64), tmp_path).computed == 0


def test_a_function_is_never_cached(tmp_path: Path) -> None:
    calls: list[int] = []

    def ones(texts: list[str]) -> np.ndarray:
        calls.append(len(texts))
        return np.ones((len(texts), 3))

    embedder = part("embedders", ones)
    assert [documents(embedder, tmp_path).computed for _ in range(2)] == [10, 10]
    assert calls == [10, 10]
    assert not list(tmp_path.iterdir())


def test_a_function_without_finite_numbers_is_refused(tmp_path: Path) -> None:
    embedder = part("embedders", lambda texts: np.full((len(texts), 3), np.nan))
    with pytest.raises(NonFiniteScore, match="the embedder returned NaN or infinity; no ranking could be trusted"):
        documents(embedder, tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
def test_vectors_that_nothing_can_be_found_with_are_refused_live_too(value: float) -> None:
    """A live query meets the check as well: its vector comes straight from the part, or from the server behind it."""

    def embed(texts: list[str]) -> np.ndarray:
        return np.full((len(texts), 3), value)

    parts = Pipeline("p", embedder=embed, store="faiss_flat").parts()
    parts.store.add([Doc("d", "", "text", "d")], np.ones((1, 3), np.float32))
    fault = "a vector of zeros" if value == 0 else "NaN or infinity"
    told = f"the embedder returned {fault}; no ranking could be trusted. The text: 'which one?'"
    with pytest.raises(NonFiniteScore) as raised:
        ask(parts, Query("q", "which one?"), bare)
    assert str(raised.value) == told


def test_a_text_without_a_known_word_has_zeros_and_is_counted_and_not_kept(tmp_path: Path) -> None:
    """A row of zeros in a cache is damage, so that such a text is asked for again."""
    known = HashingEmbedder(64).embed_documents(TEXTS).vectors
    for computed in (12, 1):
        made = documents(HashingEmbedder(64), tmp_path, ["???", *TEXTS, "???", "a cat"])
        assert (made.computed, made.unknown) == (computed, 2)
        assert np.flatnonzero(~made.vectors.any(axis=1)).tolist() == [0, 11]
        assert np.array_equal(made.vectors[1:11], known)
    parts = Pipeline("p", embedder="hashing", store="faiss_flat").parts()
    parts.store.add([Doc("d", "", "text", "d")], parts.embedder.embed_documents(["text"]).vectors)  # type: ignore[union-attr]
    assert ask(parts, Query("q", "???"), bare).rankings["search"] == ()


def test_a_vector_of_zeros_names_its_text_and_is_not_kept(tmp_path: Path) -> None:
    class Empty(HashingEmbedder):
        zeros_are_unknown = False

        def embed_documents(self, texts: Sequence[str]) -> Embedded:
            made = super().embed_documents(texts)
            made.vectors[[text == TEXTS[3] for text in texts]] = 0
            return made

    with pytest.raises(NonFiniteScore, match=r"a vector of zeros; .* The text: 'passage about very very very much'"):
        documents(Empty(64), tmp_path)
    assert not list(tmp_path.rglob("rows.bin"))


def test_a_part_without_finite_numbers_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteScore, match="the embedder returned NaN or infinity"):
        documents(InfiniteEmbedder(), tmp_path)
    assert not list(tmp_path.rglob("rows.bin"))


def test_a_function_owes_one_row_a_text(tmp_path: Path) -> None:
    def one_row(texts: list[str]) -> np.ndarray:
        return np.ones((1, 3))

    with pytest.raises(BadInput, match=r"embedder 'one_row' gave shape \(1, 3\) for 10 texts; it owes one row a text"):
        documents(part("embedders", one_row), tmp_path)


@dataclass
class Notes(Silent):
    """Keeps what is said."""

    said: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        self.said.append(sentence)


def test_what_embedding_takes_is_told_by_a_few_texts_of_every_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "TRIED", 4)
    embedder, notes = CountingEmbedder(), Notes()
    result = document_vectors(
        embedder, TEXTS, cache=tmp_path, progress=notes, foretell=lambda texts, each_s: f"{texts} texts, {each_s > 0}"
    )
    longest_first = TEXTS[::-1]
    first = [longest_first[place] for place in (0, 3, 6, 9)]
    assert embedder.embedded == [*first, *(text for text in longest_first if text not in first)]
    assert notes.said == ["10 texts, True"]
    assert np.array_equal(result.vectors, HashingEmbedder(64).embed_documents(TEXTS).vectors)


@pytest.mark.parametrize(
    ("each_s", "smallest", "expected"),
    [
        (0.001, 15, None),
        (2.0, 15, "embedding 24 passages: about 48 s"),
        (30.0, None, "embedding 24 passages: about 12.0 min"),
        (30.0, 15, "embedding 24 passages: about 12.0 min"),
        (30.0, 10, "embedding 24 passages: about 12.0 min; --passages 10 would give a first report in about 10.0 min"),
    ],
    ids=["in-a-moment", "short", "no-part-can-be-taken", "a-part-would-be-most-of-it", "a-part-is-offered"],
)
def test_a_part_of_the_corpus_is_offered_where_embedding_takes_long(
    handbook: Path, each_s: float, smallest: int | None, expected: str | None
) -> None:
    subject = replace(prepare(handbook).subject, smallest_part=smallest)
    assert foretold(subject, 24, each_s) == expected
