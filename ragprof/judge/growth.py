"""The judge pass over a growth recording: growth/scores/, growth/context/ and growth/coverage.parquet.

Every cell's rankings against the judgements, per query: at each stage, at each depth of the depth curve, and by what
is present in a sub-corpus alone. Knows no clock and no price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ragprof import files
from ragprof.corpus import EvaluationSet
from ragprof.judge.arrays import Labels, labels
from ragprof.judge.growth_cells import Collection, Judged, Rankings, cell_index
from ragprof.judge.presence import Presence
from ragprof.judge.tails import judge_tails
from ragprof.ranking import id_ranks

UNBIASED = "proportional"
EVIDENCE_KEPT = "all_judged"


@dataclass(frozen=True)
class Bench:
    """A growth recording, read as far as all of its pipelines share it."""

    folder: Path
    manifest: Mapping[str, Any]
    collection: Collection
    labels: Labels

    def judged(self, file: Path, pipeline: Mapping[str, Any], curve: str) -> Judged:
        """The cells of one file."""
        plan, growth = self.manifest["plan"], self.manifest["config"]["growth"]
        shape = (plan["orders"], len(self.manifest["sizes"][curve]), len(self.collection.query_ids), plan["depth"])
        rankings = read_rankings(file, self.manifest["sizes"][curve], shape)
        return Judged(
            rankings,
            self.collection,
            self.labels,
            depth=pipeline["depth"],
            cutoffs=growth["cutoffs"],
            reranked=pipeline["reranker"]["name"] != "none",
        )

    def at_depths(self, pipeline: Mapping[str, Any], judged: Judged) -> list[pd.DataFrame]:
        """The final ranking at every depth of the depth curve; some searches had to be made for each depth."""
        tables = []
        for depth in self.manifest["config"]["growth"]["depths"]:
            file = self.folder / "cells" / pipeline["name"] / f"{EVIDENCE_KEPT}@{depth}.parquet"
            found = self.judged(file, pipeline, EVIDENCE_KEPT) if file.exists() else judged
            tables.append(found.final("final", depth))
        return tables


def judge_growth(folder: Path, evaluation: EvaluationSet) -> None:
    """Judge `folder`/growth. Raises BadInput where it is not a finished growth recording."""
    place = folder / "growth"
    manifest = files.read_json(place / "manifest.json")
    collection = read_collection(place)
    labelled = labels(evaluation.qrels, collection.query_ids, collection.numbers)
    bench = Bench(place, manifest, collection, labelled)
    presence = _presence(bench, evaluation)
    for pipeline in manifest["config"]["pipelines"]:
        _judge_pipeline(bench, pipeline, presence)
        judge_tails(place, pipeline["name"], collection, evaluation.qrels)
    if presence is not None:
        files.write_table(place / "coverage.parquet", presence.table())
    facts = {"recording": manifest["recording"], "qrels_sha256": evaluation.qrels_sha256}
    files.write_json(place / "judgement.json", facts)


def read_collection(place: Path) -> Collection:
    """The pool and the queries; one more place behind the last stands for nothing, so that -1 can be looked up."""
    docs = files.read_table(place / "docs.parquet")
    codes, documents = pd.factorize(docs["document_id"])
    return Collection(
        codes=np.append(codes, -1).astype(np.int64),
        numbers={str(document): number for number, document in enumerate(documents)},
        kinds=np.append(docs["kind"].to_numpy(object), ""),
        contents=np.append(docs["content"].to_numpy(), -1),
        tokens=np.append(docs["tokens"].astype("Float64").fillna(0.0).to_numpy(float), 0.0),
        ranks=np.append(id_ranks(docs["doc_id"].tolist()), -1),
        query_ids=files.read_table(place / "queries.parquet")["query_id"].tolist(),
    )


def read_rankings(file: Path, sizes: list[int], shape: tuple[int, int, int, int]) -> Rankings:
    """Cells of shape (orders, sizes, queries, depth) from their table."""
    table = files.read_table(file)
    at = (*cell_index(table, sizes), table["rank"].to_numpy() - 1)
    places, scores, injected = np.full(shape, -1, np.int64), np.full(shape, np.nan), np.zeros(shape, np.int64)
    places[at], scores[at], injected[at] = table["place"], table["rerank_score"], table["injected"]
    return Rankings(tuple(sizes), places, scores, injected)


def _presence(bench: Bench, evaluation: EvaluationSet) -> Presence | None:
    """What of the evidence is in each sub-corpus of the unbiased curve; None where it was not recorded."""
    if UNBIASED not in bench.manifest["sizes"]:
        return None
    entry = files.read_table(bench.folder / "entry.parquet")
    return Presence.of(
        entry[entry["curve"] == UNBIASED],
        sizes=bench.manifest["sizes"][UNBIASED],
        collection=bench.collection,
        qrels=evaluation.qrels,
    )


def _judge_pipeline(bench: Bench, pipeline: Mapping[str, Any], presence: Presence | None) -> None:
    name = pipeline["name"]
    scores: list[pd.DataFrame] = []
    contexts: list[pd.DataFrame] = []
    for curve in bench.manifest["sizes"]:
        judged = bench.judged(bench.folder / "cells" / name / f"{curve}.parquet", pipeline, curve)
        tables = judged.stages()
        if curve == EVIDENCE_KEPT and name not in bench.manifest["listwise"]:
            tables += bench.at_depths(pipeline, judged) if judged.reranked else []
        if curve == UNBIASED and presence is not None:
            tables.append(judged.final("present", pipeline["depth"], ideal=presence.ideal))
        scores += [table.assign(curve=curve) for table in tables]
        contexts.append(judged.context().assign(curve=curve))
    exact = bench.folder / "exact" / f"{name}.parquet"
    if exact.exists():
        searched = bench.judged(exact, pipeline, EVIDENCE_KEPT).searched("exact")
        scores.append(searched.assign(curve=EVIDENCE_KEPT))
    for folder, parts in (("scores", scores), ("context", contexts)):
        (bench.folder / folder).mkdir(exist_ok=True)
        files.write_table(bench.folder / folder / f"{name}.parquet", pd.concat(parts, ignore_index=True))
