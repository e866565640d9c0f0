"""The judge pass over a growth recording: growth/scores/, growth/context/ and growth/coverage.parquet.

Every cell's rankings against the judgements, per query: at each stage, at each depth of the depth curve, and by what
is present in a sub-corpus alone; what is injected, by kind; how much of each query's evidence is in the sub-corpora
that take judged documents in proportion. growth/distributions/<pipeline>.parquet has scores told apart by the
judgements, for fitting score distributions. Knows no clock and no price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import files
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.core.ranking import id_ranks, reordered
from ragprof.core.recorded import write_sealed
from ragprof.corpus import EvaluationSet
from ragprof.judge.arrays import UNJUDGED, Labels, Values, by_document, labels, metrics
from ragprof.studies.growth.recorded import ANEW, CELLS, DOCS, ENTRY, MANIFEST, QUERIES, TAILS

Places = NDArray[np.int64]
KINDS = ("relevant", "irrelevant", "unjudged", "duplicate", "contradicting")


@dataclass(frozen=True)
class Collection:
    """The pool as the judge sees it: for each place a document's number, a kind, a number of its text, its tokens.

    The arrays have one entry more than there are places: what -1 points at, which is nothing.
    """

    codes: Places
    numbers: Mapping[str, int]
    kinds: NDArray[np.object_]
    contents: Places
    tokens: Values
    ranks: Places
    query_ids: list[str]


@dataclass(frozen=True)
class Rankings:
    """Arrays of shape (orders, sizes, queries, depth); -1, NaN and 0 where there is nothing."""

    sizes: tuple[int, ...]
    places: Places
    rerank_scores: Values
    injected: Places


@dataclass(frozen=True)
class Judged:
    """Rankings with what they are judged by. `depth` is the pipeline's own; `reranked`, whether it has a reranker."""

    rankings: Rankings
    collection: Collection
    labels: Labels
    depth: int
    cutoffs: Sequence[int]
    reranked: bool

    def stages(self) -> list[pd.DataFrame]:
        """After search, after rerank where there is one, and of what was injected."""
        after = [self.final("rerank", self.depth)] if self.reranked else []
        return [self.searched("search"), *after, self._table("inject", self.depth, self._injected())]

    def searched(self, stage: str) -> pd.DataFrame:
        return self._table(stage, self.depth, self.rankings.places[..., : self.depth])

    def final(self, stage: str, depth: int, *, ideal: Values | None = None) -> pd.DataFrame:
        """The last ranking from the first `depth` candidates; by other judgements' ideal where one is given."""
        places = self.rankings.places[..., :depth]
        if self.reranked:
            scores = self.rankings.rerank_scores[..., :depth]
            # What an app's reranker leaves out has no score, and is in no ranking behind it.
            places, _ = reordered(np.where(np.isnan(scores), -1, places), scores, self.collection.ranks)
        return self._table(stage, depth, places, ideal=ideal)

    def _injected(self) -> Places:
        """The prompt's passages in its order."""
        inside = self.rankings.injected > 0
        order = np.argsort(np.where(inside, self.rankings.injected, np.inf), axis=-1, kind="stable")
        return np.take_along_axis(np.where(inside, self.rankings.places, -1), order, axis=-1)

    def _table(self, stage: str, depth: int, places: Places, *, ideal: Values | None = None) -> pd.DataFrame:
        """Values of every metric; NaN for a query without anything to find in an ideal of its own, and unjudged."""
        possible = self.labels.ideal if ideal is None else ideal
        grades = self.labels.of(by_document(self.collection.codes[places]))
        values = metrics(grades, possible, self.cutoffs)
        of_some = (self.labels.ideal > 0).any() if ideal is None else (possible > 0).any(axis=-1)
        answerable = np.broadcast_to(of_some, grades.shape[:-1])
        keys = self._keys().assign(stage=stage, depth=depth)
        return keys.assign(**{name: np.where(answerable, each, np.nan).ravel() for name, each in values.items()})

    def context(self) -> pd.DataFrame:
        """Injected tokens by kind: edited passages as such, a repeated text as a duplicate, the rest as judged."""
        places = self._injected()
        grades, texts = self.labels.of(self.collection.codes[places]), self.collection.contents[places]
        # Whether the same text stands further up in the same prompt.
        repeated = np.zeros(places.shape, bool)
        for rank in range(1, places.shape[-1]):
            repeated[..., rank] = (texts[..., :rank] == texts[..., rank : rank + 1]).any(axis=-1)
        made = self.collection.kinds[places]
        kinds = np.select(
            [
                (repeated & (places >= 0)) | (made == "duplicate"),
                made == "contradicting",
                grades > 0,
                grades == UNJUDGED,
            ],
            ["duplicate", "contradicting", "relevant", "unjudged"],
            "irrelevant",
        )
        tokens = np.where(places < 0, 0.0, self.collection.tokens[places])
        return self._keys().assign(**{kind: (tokens * (kinds == kind)).sum(axis=-1).ravel() for kind in KINDS})

    def _keys(self) -> pd.DataFrame:
        orders, sizes, queries, _ = self.rankings.places.shape
        order, size, query = np.indices((orders, sizes, queries)).reshape(3, -1)
        return pd.DataFrame({"order": order, "size": np.array(self.rankings.sizes)[size], "query": query})


NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Presence:
    """Relevant grades that are present, best first, (orders, sizes, queries, most), and how many there are at all."""

    sizes: tuple[int, ...]
    ideal: Values
    relevant: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        entry: pd.DataFrame,
        *,
        sizes: Sequence[int],
        collection: Collection,
        qrels: Mapping[str, Mapping[str, int]],
    ) -> Presence:
        """From the positions at which kept passages enter; a document is there when its first passage is."""
        orders = int(entry["order"].max()) + 1
        first = np.full((orders, len(collection.numbers)), NEVER, np.int64)
        np.minimum.at(
            first, (entry["order"].to_numpy(), collection.codes[entry["place"]]), entry["position"].to_numpy()
        )
        numbers = collection.numbers
        judged = [qrels.get(query_id, {}) for query_id in collection.query_ids]
        present = [
            [(numbers[document], grade) for document, grade in each.items() if grade > 0 and document in numbers]
            for each in judged
        ]
        most = max((len(each) for each in present), default=0) or 1
        ideal = np.zeros((orders, len(sizes), len(present), most))
        for number, found in enumerate(present):
            for column, (code, grade) in enumerate(found):
                ideal[:, :, number, column] = grade * (first[:, code, None] < np.array(sizes))
        wanted = [sum(grade > 0 for grade in each.values()) for each in judged]
        return cls(tuple(sizes), -np.sort(-ideal, axis=-1), np.array(wanted))

    def table(self) -> pd.DataFrame:
        """order, size, query, coverage: the share of the query's relevant documents; NaN for one that has none."""
        orders, sizes, queries, _ = self.ideal.shape
        order, size, query = np.indices((orders, sizes, queries)).reshape(3, -1)
        present = (self.ideal > 0).sum(axis=-1)
        share = np.divide(present, self.relevant, out=np.full(present.shape, np.nan), where=self.relevant > 0)
        return pd.DataFrame(
            {"order": order, "size": np.array(self.sizes)[size], "query": query, "coverage": share.ravel()}
        )


DISTRIBUTION_COLUMNS = ("order", "size", "query", "grade", "score")


def judge_tails(folder: Path, name: str, collection: Collection, qrels: Mapping[str, Mapping[str, int]]) -> None:
    """Write one pipeline's file, where its tails were recorded.

    `grade` above 0: a relevant document with the score of its best passage, null where the corpus lacks it (`order`
    and `size` are 0). Grade 0: another document with the score of its best passage, among the best passages of all in
    that order and size, best first.
    """
    path = folder / "tails" / f"{name}.parquet"
    if not path.exists():
        return
    # A relevant document that is nowhere in the corpus has a number below -1, a different one each.
    rows = [
        (number, collection.numbers.get(document, -2 - place), grade)
        for number, query_id in enumerate(collection.query_ids)
        for place, (document, grade) in enumerate(qrels.get(query_id, {}).items())
        if grade > 0
    ]
    graded = pd.DataFrame(rows, columns=["query", "code", "grade"]).astype(np.int64)
    tails = TAILS.read(path)
    tails = tails.assign(code=collection.codes[tails["place"].to_numpy()]).merge(graded, "left", ["query", "code"])
    own = tails[tails["size"] == 0].groupby(["query", "code"], as_index=False)["score"].max()
    relevant = graded.merge(own, "left", ["query", "code"]).assign(order=0, size=0)
    passages = tails[(tails["size"] > 0) & tails["grade"].isna()]
    others = passages.drop_duplicates(["order", "size", "query", "code"]).assign(grade=0)
    (folder / "distributions").mkdir(exist_ok=True)
    table = pd.concat([relevant, others], ignore_index=True)[list(DISTRIBUTION_COLUMNS)]
    files.write_table(folder / "distributions" / f"{name}.parquet", table)


UNBIASED = "proportional"
EVIDENCE_KEPT = "all_judged"


@dataclass(frozen=True)
class GrowthBench:
    """A growth recording, read as far as all of its pipelines share it."""

    folder: Path
    manifest: Mapping[str, Any]
    collection: Collection
    labels: Labels

    def judged(self, file: Path, pipeline: Mapping[str, Any], curve: str) -> Judged:
        """The cells of one file."""
        plan, growth = self.manifest["plan"], self.manifest["config"]["growth"]
        app = self.manifest.get("apps", {}).get(pipeline["name"])
        deepest = plan["depth"] if app is None else app["depth"]
        shape = (plan["orders"], len(self.manifest["sizes"][curve]), len(self.collection.query_ids), deepest)
        rankings = read_rankings(file, self.manifest["sizes"][curve], shape)
        return Judged(
            rankings,
            self.collection,
            self.labels,
            depth=pipeline["depth"] if app is None else deepest,
            cutoffs=growth["cutoffs"],
            reranked=pipeline["reranker"]["name"] != "none" if app is None else app["reranked"],
        )

    def at_depths(self, pipeline: Mapping[str, Any], judged: Judged) -> list[pd.DataFrame]:
        """The final ranking at every depth of the depth curve; some searches had to be made for each depth."""
        tables = []
        for depth in self.manifest["config"]["growth"]["depths"]:
            file = self.folder / "cells" / pipeline["name"] / f"{EVIDENCE_KEPT}@{depth}.parquet"
            found = self.judged(file, pipeline, EVIDENCE_KEPT) if file.exists() else judged
            tables.append(found.final("final", depth))
        return tables


def _check_whole(entry: pd.DataFrame, manifest: Mapping[str, Any], path: Path) -> None:
    """Raises BadInput where not every kept passage enters in every order of every curve."""
    kept, orders = manifest["kept"]["passages"], manifest["plan"]["orders"]
    found = entry.groupby(["curve", "order"])["place"].nunique()
    curves = len(manifest["sizes"])
    if len(found) != curves * orders or (found != kept).any():
        raise BadInput(
            f"it has not the {counted(kept, 'kept passage')} in each of {counted(orders, 'order')} of "
            f"{counted(curves, 'curve')}, so rows were lost; {ANEW}",
            file=path,
        )


def judge_growth(folder: Path, evaluation: EvaluationSet) -> None:
    """Judge `folder`/growth. Raises BadInput where it is not a finished growth recording."""
    place = folder / "growth"
    manifest = MANIFEST.read(place / "manifest.json")
    collection, qrels = read_collection(place), evaluation.qrels
    bench = GrowthBench(place, manifest, collection, labels(qrels, collection.query_ids, collection.numbers))
    presence = None
    if UNBIASED in manifest["sizes"]:
        entry, sizes = ENTRY.read(place / "entry.parquet"), manifest["sizes"][UNBIASED]
        _check_whole(entry, manifest, place / "entry.parquet")
        entry = entry[entry["curve"] == UNBIASED]
        presence = Presence.of(entry, sizes=sizes, collection=collection, qrels=qrels)
        files.write_table(place / "coverage.parquet", presence.table())
    for pipeline in manifest["config"]["pipelines"]:
        _judge_pipeline(bench, pipeline, presence)
        judge_tails(place, pipeline["name"], collection, qrels)
    facts = {
        "recording": manifest["recording"],
        "qrels_sha256": evaluation.qrels_sha256,
        "judged": evaluation.is_judged,
    }
    write_sealed(
        place / "judgement.json",
        facts,
        *(f"{name}.parquet" for name in ("coverage", "scores/*", "context/*", "distributions/*")),
    )


def read_collection(place: Path) -> Collection:
    """The pool and the queries; one more place behind the last stands for nothing, so that -1 can be looked up."""
    docs = DOCS.read(place / "docs.parquet")
    codes, documents = pd.factorize(docs["document_id"])
    return Collection(
        codes=np.append(codes, -1).astype(np.int64),
        numbers={str(document): number for number, document in enumerate(documents)},
        kinds=np.append(docs["kind"].to_numpy(object), ""),
        contents=np.append(docs["content"].to_numpy(), -1),
        tokens=np.append(docs["tokens"].astype("Float64").fillna(0.0).to_numpy(float), 0.0),
        ranks=np.append(id_ranks(docs["doc_id"].tolist()), -1),
        query_ids=QUERIES.read(place / "queries.parquet")["query_id"].tolist(),
    )


def read_rankings(file: Path, sizes: list[int], shape: tuple[int, int, int, int]) -> Rankings:
    """Cells of shape (orders, sizes, queries, depth) from their table."""
    table = CELLS.read(file)
    size = np.searchsorted(np.array(sizes), table["size"].to_numpy())
    at = (table["order"].to_numpy(), size, table["query"].to_numpy(), table["rank"].to_numpy() - 1)
    places, scores, injected = np.full(shape, -1, np.int64), np.full(shape, np.nan), np.zeros(shape, np.int64)
    places[at], scores[at], injected[at] = table["place"], table["rerank_score"], table["injected"]
    return Rankings(tuple(sizes), places, scores, injected)


def _judge_pipeline(bench: GrowthBench, pipeline: Mapping[str, Any], presence: Presence | None) -> None:
    name = pipeline["name"]
    scores: list[pd.DataFrame] = []
    contexts: list[pd.DataFrame] = []
    for curve in bench.manifest["sizes"]:
        judged = bench.judged(bench.folder / "cells" / name / f"{curve}.parquet", pipeline, curve)
        tables = judged.stages()
        if curve == EVIDENCE_KEPT and name not in (*bench.manifest["listwise"], *bench.manifest.get("apps", {})):
            tables += bench.at_depths(pipeline, judged) if judged.reranked else []
        if curve == UNBIASED and presence is not None:
            tables.append(judged.final("present", judged.depth, ideal=presence.ideal))
        scores += [table.assign(curve=curve) for table in tables]
        contexts.append(judged.context().assign(curve=curve))
    exact = bench.folder / "exact" / f"{name}.parquet"
    if exact.exists():
        searched = bench.judged(exact, pipeline, EVIDENCE_KEPT).searched("exact")
        scores.append(searched.assign(curve=EVIDENCE_KEPT))
    for folder, parts in (("scores", scores), ("context", contexts)):
        (bench.folder / folder).mkdir(exist_ok=True)
        files.write_table(bench.folder / folder / f"{name}.parquet", pd.concat(parts, ignore_index=True))
