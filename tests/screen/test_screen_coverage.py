"""Intervals of the whole source, over many sources whose effect is known: real collections, samples drawn again."""

from __future__ import annotations

import json
import lzma
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ragprof.judge.arrays import UNJUDGED, metrics
from ragprof.statistics.draws import Draws, interval
from ragprof.studies.screen.simulate import Candidates, Packing, Prompts, halves_of, simulate
from ragprof.studies.screen.source_effect import SourceEffect

SHARED = Path(__file__).parents[3] / "shared" / "data"
FIGURES = ("nDCG@10", "Judged@10", "from source", "context tokens")
DEPTH, RESAMPLES, SAMPLES, QUESTIONS = 20, 60, 5, 100
SIZES = (100, 400)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.shared_data,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the collections are not beside the project"),
]
Texts = list[tuple[str, str]]


@dataclass(frozen=True)
class Collection:
    docs: Texts
    queries: Texts
    qrels: dict[str, dict[str, int]]


def lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def texts(found: Sequence[str]) -> Texts:
    read = (json.loads(line) for line in found)
    return [(each["_id"], f"{each.get('title', '')} {each['text']}".strip()) for each in read]


def beir(folder: Path) -> Collection:
    qrels: dict[str, dict[str, int]] = {}
    table = next(path for path in sorted((folder / "qrels").iterdir()) if path.stem != "train")
    for line in lines(table.read_text())[1:]:
        query, doc, grade = line.split("\t")
        qrels.setdefault(query, {})[doc] = int(grade)
    queries = [each for each in texts(lines((folder / "queries.jsonl").read_text())) if each[0] in qrels]
    return Collection(texts(lines((folder / "corpus.jsonl").read_text())), queries, qrels)


@dataclass(frozen=True)
class World:
    """What is there today and what would be added."""

    name: str
    own: Texts
    source: Texts
    queries: Texts
    qrels: dict[str, dict[str, int]]


def beside(name: str, found: Collection, others: int, source: Texts | None) -> World:
    """Today's: what is judged and so many other documents. The source: all that is left of it, or another one."""
    judged = {doc for grades in found.qrels.values() for doc in grades}
    rest = [each for each in found.docs if each[0] not in judged]
    rest = [rest[place] for place in np.random.default_rng(0).permutation(len(rest))]
    own = [each for each in found.docs if each[0] in judged] + rest[:others]
    return World(name, own, rest[others:] if source is None else source, found.queries, found.qrels)


def third(name: str, found: Collection) -> World:
    """Today's: every third document, and the questions that it answers. The source: the others, often on the same."""
    kept = {found.docs[place][0] for place in np.random.default_rng(1).permutation(len(found.docs))[::3]}
    own, source = ([each for each in found.docs if (each[0] in kept) == is_own] for is_own in (True, False))
    queries = [each for each in found.queries if kept.issuperset(found.qrels[each[0]])]
    return World(name, own, source, queries, found.qrels)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> list[World]:
    unpacked = tmp_path_factory.mktemp("cosqa")
    with tarfile.open(SHARED / "beir" / "cosqa.tar.xz") as packed:
        packed.extractall(unpacked, filter="data")
    scifact, cosqa = beir(SHARED / "beir" / "scifact"), beir(next(unpacked.rglob("corpus.jsonl")).parent)
    nq = beir(SHARED / "beir" / "clapnq-dev")
    with lzma.open(SHARED / "distractors" / "peps.jsonl.xz", "rt") as packed_lines:
        peps = texts(lines(packed_lines.read()))[::2][:4000]
    return [
        beside("claims and more of them", scifact, 1200, None),
        third("a third of claims", scifact),
        third("a third of code", cosqa),
        beside("claims and Python's PEPs", scifact, 1200, peps),
        beside("code and Python's PEPs", cosqa, 0, peps),
        beside("Wikipedia and claims", nq, 0, scifact.docs),
    ]


class Known:
    """A source whose effect is known: every document has a score for every question."""

    def __init__(self, world: World, scores: np.ndarray, tokens: np.ndarray) -> None:
        self.scores, self.tokens, self.own, self.source = scores, tokens, len(world.own), len(world.source)
        places = {doc: place for place, (doc, _) in enumerate(world.own)}
        asked = [world.qrels[query] for query, _ in world.queries]
        self.grades = [{places[doc]: grade for doc, grade in each.items() if doc in places} for each in asked]
        self.ideal = [np.array(sorted((g for g in each.values() if g > 0), reverse=True) or [0.0]) for each in asked]
        self.best = [np.argsort(-row[: self.own], kind="stable")[:DEPTH] for row in scores]
        self.order = [np.argsort(-row[self.own :], kind="stable") for row in scores]
        self.pack = partial(simulate, depth=DEPTH, packing=Packing(5, None))
        nothing, everything = np.full(self.source, -1), np.arange(self.source)
        self.today = self._figures(nothing)
        self.change = (self._figures(everything) - self.today).mean(axis=1)

    def candidates(self, query: int, number: np.ndarray) -> Candidates:
        """Of both searches, best first; `number` is that of a document in the sample, -1 where it is not there."""
        ordered = self.order[query]
        new = ordered[number[ordered] >= 0][:DEPTH] + self.own
        found = np.concatenate([self.best[query], new])
        found = found[np.argsort(-self.scores[query][found], kind="stable")]
        # What only the search without the sample reached comes behind.
        found = np.concatenate([found[:DEPTH], [place for place in found[DEPTH:] if place < self.own]]).astype(np.int64)
        is_own = found < self.own
        grades = [self.grades[query].get(place, UNJUDGED) if place < self.own else UNJUDGED for place in found.tolist()]
        return Candidates(
            np.arange(len(found)), np.where(is_own, -1, number[np.maximum(found - self.own, 0)]),
            -np.arange(len(found), dtype=float), np.array(grades), self.tokens[found],
        )  # fmt: skip

    def prompts(self, query: int, number: np.ndarray) -> tuple[Candidates, Prompts]:
        found = self.candidates(query, number)
        return found, self.pack(found, np.ones((1, max(1, int(number.max()) + 1)), np.int64))

    def _figures(self, number: np.ndarray) -> np.ndarray:
        rows = []
        for query, ideal in enumerate(self.ideal):
            held = self.prompts(query, number)[1]
            scored = metrics(held.grades, ideal[None, :], [10])
            rows.append([scored["nDCG@10"][0], scored["Judged@10"][0], held.from_source[0], held.context_tokens[0]])
        return np.array(rows).T

    def estimated(self, size: int, seed: int) -> np.ndarray:
        """(1 + resamples, figures) from a sample."""
        number = np.full(self.source, -1)
        number[np.sort(np.random.default_rng(seed).permutation(self.source)[:size])] = np.arange(size)
        halves = halves_of(size, RESAMPLES, seed)
        effect = SourceEffect("nDCG@10", depth=DEPTH, share=size / self.source, halves=halves)
        for query, ideal in enumerate(self.ideal):
            found, held = self.prompts(query, number)
            effect.see(found, ideal=ideal, held=int(held.held[0]), is_search=True)
        drawn = Draws.of([str(query) for query in range(len(self.ideal))], seed=seed, resamples=RESAMPLES)
        return effect.changes(self.today, drawn.counts)


def scored(world: World) -> tuple[World, dict[str, np.ndarray], np.ndarray]:
    """The world with a hundred of its questions, and scores of BM25 and of static vectors, (questions, documents)."""
    import bm25s

    from ragprof.parts.embedders.static import StaticEmbedder

    order = np.random.default_rng(5).permutation(len(world.queries))[:QUESTIONS]
    asked = World(world.name, world.own, world.source, [world.queries[place] for place in order], world.qrels)
    documents, questions = [text for _, text in world.own + world.source], [text for _, text in asked.queries]
    embedder: Any = StaticEmbedder()
    dense = (
        np.asarray(embedder.embed_queries(questions).vectors)
        @ np.asarray(embedder.embed_documents(documents).vectors).T
    )
    index = bm25s.BM25()
    index.index(bm25s.tokenize(documents, return_ids=False, show_progress=False), show_progress=False)
    words = bm25s.tokenize(questions, return_ids=False, show_progress=False)
    lexical = np.stack([index.get_scores(each) for each in words])
    return asked, {"bm25": lexical, "static": dense}, np.array([len(text) / 4 for text in documents])


def test_intervals_hold_what_adding_the_whole_source_does(worlds: list[World]) -> None:
    """Six sources, two searches, samples of 100 and 400, each drawn five times: at least nine of ten of each figure."""
    held: dict[str, list[bool]] = {figure: [] for figure in FIGURES}
    every: list[str] = []
    for world in worlds:
        asked, searches, tokens = scored(world)
        for name, scores in searches.items():
            known = Known(asked, scores, tokens)
            for size in SIZES:
                rows = [known.estimated(size, seed) for seed in range(SAMPLES)]
                for at, figure in enumerate(FIGURES):
                    ends = [interval(row[1:, at]) for row in rows]
                    found = [low - 1e-6 <= known.change[at] <= high + 1e-6 for low, high in ends]
                    held[figure] += found
                    every.append(
                        f"{world.name}, {name}, {size}: {figure} {known.change[at]:+.3f} held {sum(found)} times"
                    )
    shares = {figure: float(np.mean(each)) for figure, each in held.items()}
    assert min(shares.values()) >= 0.9, "\n".join([str(shares), *every])
