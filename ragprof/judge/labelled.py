"""Figures of judgements that were made by `ragprof label`: as the model's grades have them, and corrected by people's.

Both are of the pooled passages alone, so that what a person saw of a query is what the model saw. Reads no clock and no
price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import NotRequired

import numpy as np
import pandas as pd
from typing_extensions import TypedDict

from ragprof.core import StageName, files
from ragprof.core.recorded import RecordedJson
from ragprof.corpus import EvaluationSet
from ragprof.evals.recorded import final_stage, manifest_of
from ragprof.judge.scores import Qrels, measure, rankings, scores_of
from ragprof.labels.pool import missed, read_pool
from ragprof.labels.records import DrawFile, LabelFile, Pair, PassageLabel, best_grades, grades_by, qrels_of
from ragprof.statistics.draws import Array
from ragprof.statistics.estimates import mean_estimate
from ragprof.statistics.powered import DrawnQueries, PoweredMean, powered_mean

LABELLED_FILE = "labelled.json"


@dataclass(frozen=True)
class Judgements:
    """Grades of pooled passages by the model and by people, and the queries that people were drawn to judge.

    `drawn` is the longest beginning of the draws of which every pooled passage is judged or was skipped; what was
    skipped keeps the model's grade. `queries` are all that are pooled; where the model graded nothing, it scores 0.
    """

    queries: tuple[str, ...]
    by_model: Qrels
    by_people: Qrels
    drawn: DrawnQueries
    skipped: int
    people: tuple[str, ...]
    models: tuple[str, ...]


def judgements_of(folder: Path) -> Judgements | None:
    """The judgements in a folder of labels; None where no model judged or nothing is pooled."""
    labels, store = LabelFile(folder).read(), folder / "pool.jsonl"
    model = grades_by(labels, "model")
    if not model or not store.exists():
        return None
    pool = {each.query_id: each for each in read_pool(store)}
    queries = tuple(pool)
    people = grades_by(labels, "person")
    skipped = {label.pair for label in labels if label.source == "person" and label.state == "skipped"} - people.keys()
    places, chances = [], []
    for draw in DrawFile(folder).read():
        pairs = {(draw.query_id, doc) for doc in pool[draw.query_id].pooled} if draw.query_id in pool else set()
        # Draws among other questions than these say nothing of them; after one that is unfinished no order is known.
        if draw.among != len(queries) or not pairs or not pairs <= people.keys() | skipped:
            break
        places.append(queries.index(draw.query_id))
        chances.append(draw.chance)
    seen = {queries[place] for place in places}
    inside = {(query, doc) for query in queries for doc in pool[query].pooled}
    of_people = {pair: people.get(pair, model.get(pair)) for pair in inside if pair[0] in seen}
    return Judgements(
        queries=queries,
        by_model=_complete(labels, {pair: model[pair] for pair in inside & model.keys()}, queries),
        by_people=_complete(labels, {pair: grade for pair, grade in of_people.items() if grade is not None}, [*seen]),
        drawn=DrawnQueries(np.array(places, np.int64), np.array(chances)),
        skipped=len({pair for pair in skipped & inside if pair[0] in seen}),
        people=tuple(sorted({label.judge for label in labels if label.source == "person"})),
        models=tuple(sorted({label.model for label in labels if label.source == "model"})),
    )


def _complete(labels: Sequence[PassageLabel], grades: Mapping[Pair, int], queries: Sequence[str]) -> Qrels:
    """Judgements of documents, with an entry for each query, relevant or not: a query without any scores 0."""
    found = qrels_of(labels, grades)
    return {query: found.get(query) or {"": 0} for query in queries}


@dataclass(frozen=True)
class CorrectedFigure:
    """A metric, or its difference, as the model's grades have it (`naive`) and `corrected`."""

    naive: float
    naive_interval: tuple[float, float] | None
    corrected: PoweredMean

    @classmethod
    def of(cls, by_model: Array, by_people: Array, drawn: DrawnQueries, *, seed: int) -> CorrectedFigure:
        naive = mean_estimate(by_model, seed=seed)
        return cls(float(by_model.mean()), naive.interval, powered_mean(by_model, by_people, drawn))


class LabelledScores:
    """One value per query of each pipeline's rankings, under either side's grades; `metrics` are computed together."""

    def __init__(
        self,
        judged: Judgements,
        ranked: Mapping[str, pd.DataFrame],
        stages: Mapping[str, StageName],
        metrics: Sequence[str],
    ) -> None:
        self._judged, self._ranked, self._stages = judged, ranked, stages
        self._metrics = [measure(metric) for metric in dict.fromkeys(metrics)]
        self._tables: dict[tuple[str, bool], pd.Series] = {}

    def values(self, pipeline: str, metric: str, *, stage: StageName | None = None) -> tuple[Array, Array]:
        """By the model, (queries,), and by people, (drawn,), in the order of draws; by default of the last stage."""
        drawn = [self._judged.queries[place] for place in self._judged.drawn.places]
        stage = stage or self._stages[pipeline]
        return (
            self._of(pipeline, metric, stage, by_people=False, order=self._judged.queries),
            self._of(pipeline, metric, stage, by_people=True, order=drawn),
        )

    def gain(self, pipeline: str, metric: str) -> tuple[Array, Array] | None:
        """What its reranker adds to its search, likewise; None without a reranker."""
        if self._stages[pipeline] != "rerank":
            return None
        model, people = self.values(pipeline, metric, stage="rerank")
        base_model, base_people = self.values(pipeline, metric, stage="search")
        return model - base_model, people - base_people

    def _of(self, pipeline: str, metric: str, stage: str, *, by_people: bool, order: Sequence[str]) -> Array:
        if not order:
            return np.zeros(0)
        key = pipeline, by_people
        if key not in self._tables:
            qrels = self._judged.by_people if by_people else self._judged.by_model
            stages = [*dict.fromkeys(("search", self._stages[pipeline]))]
            table = scores_of(self._ranked[pipeline], qrels, self._metrics, stages=stages)
            self._tables[key] = table.set_index(["stage", "metric", "query_id"])["value"].sort_index()
        found = self._tables[key].loc[stage, str(measure(metric))].loc[list(order)]
        return np.asarray(found.to_numpy(), np.float64)


class LabelledFacts(TypedDict):
    """labelled.json."""

    recording: str
    models: list[str]
    people: list[str]
    queries: int
    drawn: int
    skipped: int
    figures: list[dict[str, object]]
    missed: NotRequired[dict[str, object] | None]


LABELLED = RecordedJson(LabelledFacts)


def keep_labelled(folder: Path, evaluation: EvaluationSet, *, metrics: Sequence[str], seed: int) -> None:
    """Write labelled.json into a recording where its judgements were made by `ragprof label`; else take it away."""
    path = folder / LABELLED_FILE
    home = None if evaluation.qrels_file is None else evaluation.qrels_file.parent
    judged = judgements_of(home) if home is not None and (home / "labels.jsonl").exists() else None
    if home is None or judged is None:
        path.unlink(missing_ok=True)
        return
    manifest = manifest_of(folder)
    found = rankings(folder)
    declared = {pipeline["name"]: pipeline for pipeline in manifest.pipelines}
    stages = {name: final_stage(declared[name], table) for name, table in found.items()}
    shown = [metric for metric in metrics if not metric.startswith("Judged")]
    of_rerankers = str(manifest.config["reranker"]["metric"])
    scores = LabelledScores(judged, found, stages, [*shown, of_rerankers])
    values = {(name, metric): scores.values(name, metric) for name in found for metric in shown}
    figures = [
        {"what": name, "metric": metric, **_figure(*values[name, metric], judged.drawn, seed)}
        for name, metric in values
    ]
    for first, second in combinations(found, 2) if shown else ():
        (base_model, base_people), (by_model, by_people) = values[first, shown[0]], values[second, shown[0]]
        less = _figure(by_model - base_model, by_people - base_people, judged.drawn, seed)
        figures.append({"what": f"{second} - {first}", "metric": shown[0], **less})
    for name in found:
        if (gain := scores.gain(name, of_rerankers)) is not None:
            figures.append({"what": f"gain of {name}", "metric": of_rerankers, **_figure(*gain, judged.drawn, seed)})
    pool, labels = read_pool(home / "pool.jsonl"), LabelFile(home).read()
    estimate = missed(pool, best_grades(labels))
    files.write_json(
        path,
        {
            "recording": manifest.recording, "models": judged.models, "people": judged.people,
            "queries": len(judged.queries), "drawn": len(judged.drawn.places), "skipped": judged.skipped,
            "figures": figures, "missed": None if estimate is None else asdict(estimate),
        },
    )  # fmt: skip


def _figure(by_model: Array, by_people: Array, drawn: DrawnQueries, seed: int) -> dict[str, object]:
    found = CorrectedFigure.of(by_model, by_people, drawn, seed=seed)
    return {
        "naive": {"mean": found.naive, "interval": found.naive_interval, "n": len(by_model)},
        "corrected": {"mean": found.corrected.mean, "interval": found.corrected.interval, "n": len(by_model)}
        if found.corrected.interval is not None
        else None,
        "power": found.corrected.power,
    }
