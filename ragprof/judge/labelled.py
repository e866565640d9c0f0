"""Figures of judgements that were made by `ragprof label`: as the model's grades have them, and corrected by people's.

Both are of the pooled passages alone, so that what a person saw of a query is what the model saw. Reads no clock and no
price.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import NotRequired

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from typing_extensions import TypedDict

from ragprof.core import StageName, files
from ragprof.core.recorded import RecordedJson, RecordedTable
from ragprof.corpus import EvaluationSet
from ragprof.evals.recorded import final_stage, manifest_of
from ragprof.judge.scores import Qrels, measure, rankings, scores_of
from ragprof.labels.agreement import compared
from ragprof.labels.pool import PooledQuery, missed, read_pool
from ragprof.labels.records import (
    DrawFile,
    LabelFile,
    Pair,
    PassageLabel,
    QueryDraw,
    best_grades,
    grades_by,
    qrels_of,
    skipped_by_people,
    still_drawn,
    still_worded,
    words_digest,
)
from ragprof.statistics.draws import Array
from ragprof.statistics.estimates import mean_estimate
from ragprof.statistics.powered import DrawnQueries, PoweredMean, powered_mean
from ragprof.statistics.unseen import SIGNED, UNIT, Bounds

LABELLED_FILE, LABELLED_SCORES_FILE = "labelled.json", "labelled.parquet"
LABELLED_SCORES = RecordedTable(
    text="pipeline metric query_id", number="by_model by_people draw chance", flag="graded", may_be_empty=True
)
"""A row for each query and metric of a pipeline's last ranking; `draw` is its place among those people judged."""


@dataclass(frozen=True)
class Judgements:
    """Grades of pooled passages by the model and by people, and the queries that people were drawn to judge.

    `drawn` is the longest beginning of the draws of which every pooled passage is judged or was skipped; what was
    skipped keeps the model's grade. `queries` are all that are pooled. The model graded something of those that are
    `graded`, (queries,); the others score 0 by it, which biases no corrected figure, and count in no naive one.
    """

    queries: tuple[str, ...]
    by_model: Qrels
    by_people: Qrels
    graded: NDArray[np.bool_]
    drawn: DrawnQueries
    skipped: int
    imported: int
    """Pooled passages with a grade that was imported."""
    changed: int
    """Judgements and questions that no longer count, because words were changed or questions removed."""
    people: tuple[str, ...]
    models: tuple[str, ...]
    labels: tuple[PassageLabel, ...]
    """All that count, of passages from below the pool, too."""


def judgements_of(
    folder: Path, *, digests: Mapping[str, str] = MappingProxyType({}), gone: Collection[str] = ()
) -> Judgements | None:
    """The judgements in a folder of labels; None where no model judged or nothing is pooled.

    `digests` are those of questions' words as they are now, where they may differ from those that were pooled. Where a
    pooled question is `gone`, draws were among others than are left, and none counts.
    """
    every, store = LabelFile(folder).read(), folder / "pool.jsonl"
    if not store.exists():
        return None
    pool = {each.query_id: each for each in read_pool(store) if each.query_id not in gone}
    labels = _still_worded(every, pool.values(), digests)
    model, people = grades_by(labels, "model"), grades_by(labels, "person")
    if not model:
        return None
    queries = tuple(pool)
    skipped = skipped_by_people(labels)
    finished = _finished(folder, pool, people.keys() | skipped)
    seen = {draw.query_id for draw in finished}
    inside = {(query, doc) for query in queries for doc in pool[query].pooled}
    of_people = {pair: people.get(pair, model.get(pair)) for pair in inside if pair[0] in seen}
    graded = {query for query, _ in inside & model.keys()}
    return Judgements(
        queries=queries,
        by_model=_complete(labels, {pair: model[pair] for pair in inside & model.keys()}, queries),
        by_people=_complete(labels, {pair: grade for pair, grade in of_people.items() if grade is not None}, [*seen]),
        graded=np.array([query in graded for query in queries], bool),
        drawn=DrawnQueries(
            np.array([queries.index(draw.query_id) for draw in finished], np.int64),
            np.array([draw.chance for draw in finished]),
        ),
        skipped=len({pair for pair in skipped & inside if pair[0] in seen}),
        imported=len(inside & grades_by(labels, "import").keys()),
        changed=len(every) - len(labels) + len(gone),
        people=tuple(sorted({label.judge for label in labels if label.source == "person"})),
        models=tuple(sorted({label.model for label in labels if label.source == "model"})),
        labels=tuple(labels),
    )


def _finished(folder: Path, pool: Mapping[str, PooledQuery], settled: Collection[Pair]) -> list[QueryDraw]:
    """The draws up to the first of which a pooled passage is not settled: which ones get finished must not depend on
    what is in them."""
    found = []
    for draw in still_drawn(DrawFile(folder).read(), list(pool)):
        pooled = pool[draw.query_id].pooled if draw.query_id in pool else ()
        if not pooled or not all((draw.query_id, doc) in settled for doc in pooled):
            break
        found.append(draw)
    return found


def _still_worded(
    labels: Sequence[PassageLabel], pool: Iterable[PooledQuery], digests: Mapping[str, str]
) -> list[PassageLabel]:
    """Labels of words that are those of the pool, or of `digests` for questions that are known better."""
    pool = list(pool)
    questions = {each.query_id: each.question_digest for each in pool} | dict(digests)
    passages = {doc: noted for each in pool for doc, noted in each.digest_of_passages().items()}
    return still_worded(labels, questions, passages)


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
    def of(
        cls,
        by_model: Array,
        by_people: Array,
        judged: Judgements,
        *,
        seed: int,
        bounds: Bounds = SIGNED,
    ) -> CorrectedFigure:
        """From values of all queries by the model and of the drawn ones by people, as `LabelledScores` gives them.

        `bounds` are those of one value.
        """
        of_graded = by_model[judged.graded]
        naive = mean_estimate(of_graded, bounds=bounds, seed=seed)
        return cls(
            float(of_graded.mean()), naive.interval, powered_mean(by_model, by_people, judged.drawn, bounds=bounds)
        )


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
    imported: NotRequired[int]
    changed: NotRequired[int]
    beyond_pool: NotRequired[list[str]]
    figures: list[dict[str, object]]
    missed: NotRequired[dict[str, object] | None]
    agreements: NotRequired[list[dict[str, object]]]


LABELLED = RecordedJson(LabelledFacts)


def judgements_behind(evaluation: EvaluationSet) -> Judgements | None:
    """What `ragprof label` knows of an evaluation's judgements; None where it did not make them, or no model judged."""
    home = None if evaluation.qrels_file is None else evaluation.qrels_file.parent
    if home is None or not (home / "labels.jsonl").exists() or not (home / "pool.jsonl").exists():
        return None
    digests = {query.query_id: words_digest(query.text) for query in evaluation.queries}
    pool = read_pool(home / "pool.jsonl")
    graded = best_grades(_still_worded(LabelFile(home).read(), pool, digests))
    # A question of which nobody judged a pooled passage is left out of the evaluation, and is not gone.
    judged = {each.query_id for each in pool if any((each.query_id, doc) in graded for doc in each.pooled)}
    return judgements_of(home, digests=digests, gone=judged - digests.keys())


def keep_labelled(folder: Path, evaluation: EvaluationSet, *, metrics: Sequence[str], seed: int) -> None:
    """Write labelled.json into a recording where its judgements were made by `ragprof label`; else take it away."""
    path, judged = folder / LABELLED_FILE, judgements_behind(evaluation)
    if judged is None or evaluation.qrels_file is None:
        for each in (path, folder / LABELLED_SCORES_FILE):
            each.unlink(missing_ok=True)
        return
    pool = read_pool(evaluation.qrels_file.parent / "pool.jsonl")
    manifest = manifest_of(folder)
    recorded = _Recorded.of(folder, judged, metrics, of_rerankers=str(manifest.config["reranker"]["metric"]))
    if recorded.metrics:
        files.write_table(folder / LABELLED_SCORES_FILE, recorded.table(judged))
    estimate = missed(pool, best_grades(judged.labels))
    files.write_json(
        path,
        {
            "recording": manifest.recording, "models": judged.models, "people": judged.people,
            "queries": len(judged.queries), "drawn": len(judged.drawn.places), "skipped": judged.skipped,
            "imported": judged.imported, "changed": judged.changed,
            "beyond_pool": recorded.beyond(pool), "figures": recorded.figures(judged, seed=seed),
            "missed": None if estimate is None else asdict(estimate),
            "agreements": [asdict(each) for each in compared(judged.labels, seed=seed)],
        },
    )  # fmt: skip


@dataclass(frozen=True)
class _Recorded:
    """The rankings of a recording, and their scores under either side's grades. `metrics` are shown of each pipeline,
    the first one of differences too, `of_rerankers` of what each reranker adds."""

    ranked: Mapping[str, pd.DataFrame]
    stages: Mapping[str, StageName]
    scores: LabelledScores
    metrics: tuple[str, ...]
    of_rerankers: str

    @classmethod
    def of(cls, folder: Path, judged: Judgements, metrics: Sequence[str], *, of_rerankers: str) -> _Recorded:
        ranked = rankings(folder)
        declared = {pipeline["name"]: pipeline for pipeline in manifest_of(folder).pipelines}
        stages = {name: final_stage(declared[name], table) for name, table in ranked.items()}
        shown = tuple(metric for metric in metrics if not metric.startswith("Judged"))
        scores = LabelledScores(judged, ranked, stages, [*shown, of_rerankers])
        return cls(ranked, stages, scores, shown, of_rerankers)

    def figures(self, judged: Judgements, *, seed: int) -> list[dict[str, object]]:
        """Of each pipeline, of every two of them, and of each reranker."""
        values = {(name, metric): self.scores.values(name, metric) for name in self.ranked for metric in self.metrics}
        found = [
            {"what": name, "metric": metric, **_figure(*both, judged, seed, UNIT)}
            for (name, metric), both in values.items()
        ]
        for first, second in combinations(self.ranked, 2) if self.metrics else ():
            leading = self.metrics[0]
            less = [b - a for a, b in zip(values[first, leading], values[second, leading], strict=True)]
            found.append({"what": f"{second} - {first}", "metric": leading, **_figure(less[0], less[1], judged, seed)})
        for name in self.ranked:
            if (gain := self.scores.gain(name, self.of_rerankers)) is not None:
                figure = _figure(*gain, judged, seed)
                found.append({"what": f"gain of {name}", "metric": self.of_rerankers, **figure})
        return found

    def table(self, judged: Judgements) -> pd.DataFrame:
        """As LABELLED_SCORES has it."""
        order = np.full(len(judged.queries), np.nan)
        order[judged.drawn.places] = np.arange(len(judged.drawn.places))
        chances, people = np.full(len(order), np.nan), np.full(len(order), np.nan)
        chances[judged.drawn.places] = judged.drawn.chances
        rows = []
        for name in self.ranked:
            for metric in self.metrics:
                by_model, people[judged.drawn.places] = self.scores.values(name, metric)
                facts = {"pipeline": name, "metric": metric, "query_id": judged.queries, "by_model": by_model}
                known = {"by_people": people.copy(), "draw": order, "chance": chances, "graded": judged.graded}
                rows.append(pd.DataFrame({**facts, **known}))
        return pd.concat(rows, ignore_index=True)

    def beyond(self, pool: Sequence[PooledQuery]) -> list[str]:
        """Metrics that look deeper into some ranking than passages were pooled: what lies there is not relevant."""
        pooled = {each.query_id: set(each.pooled) for each in pool}
        depth = min((self._pooled_depth(name, pooled) for name in self.ranked), default=0)
        return [metric for metric in self.metrics if "@" not in metric or int(metric.rpartition("@")[2]) > depth]

    def _pooled_depth(self, name: str, pooled: Mapping[str, Collection[str]]) -> float:
        """So many documents of every query's final ranking are pooled, whichever is the shallowest."""
        table = self.ranked[name]
        final = table[table["stage"] == self.stages[name]].sort_values("rank")
        final = final.drop_duplicates(["query_id", "document_id"])
        known = [
            query not in pooled or doc in pooled[query]
            for query, doc in zip(final["query_id"], final["doc_id"], strict=True)
        ]
        place = final.groupby("query_id").cumcount()
        outside = place[~np.array(known, bool)]
        return float(outside.min()) if len(outside) else np.inf


def labelled_scores(folder: Path) -> pd.DataFrame | None:
    """What a recording keeps of scores by a model's grades and by people's; None where no model judged."""
    path = folder / LABELLED_SCORES_FILE
    return LABELLED_SCORES.read(path) if path.exists() else None


def _figure(
    by_model: Array, by_people: Array, judged: Judgements, seed: int, bounds: Bounds = SIGNED
) -> dict[str, object]:
    found = CorrectedFigure.of(by_model, by_people, judged, seed=seed, bounds=bounds)
    return {
        "naive": {"mean": found.naive, "interval": found.naive_interval, "n": int(judged.graded.sum())},
        "corrected": {"mean": found.corrected.mean, "interval": found.corrected.interval, "n": len(by_model)}
        if found.corrected.interval is not None
        else None,
        "power": found.corrected.power,
    }
