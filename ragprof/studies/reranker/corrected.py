"""What rerankers gain as people judged: reranker/corrected.json, where `ragprof label` made the judgements.

A gain that rests on a model's grades is a difference of two scores of each query; it is corrected by the queries that
people judged (prediction-powered, `statistics/powered.py`), at every depth, and so is what a smaller depth loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

from ragprof.core import files
from ragprof.corpus import EvaluationSet
from ragprof.judge.arrays import Places, Values, labels
from ragprof.judge.labelled import CorrectedFigure, Judgements, judgements_behind
from ragprof.statistics.draws import Array
from ragprof.statistics.estimates import Z
from ragprof.statistics.powered import FEWEST_DRAWN
from ragprof.studies.reranker.judge import DepthCurve, Passages, Yardstick, cutoffs
from ragprof.studies.reranker.recorded import (
    CORRECTED_FILE,
    MANIFEST,
    TABLES,
    CandidateTable,
    CorrectedDepth,
    CorrectedDifference,
    RecordedArm,
    candidates_at,
)
from ragprof.studies.reranker.verdict import limits


def keep_corrected(folder: Path, evaluation: EvaluationSet) -> None:
    """Write reranker/corrected.json into a judged recording; take it away where no model made the judgements."""
    place = folder / "reranker"
    judged, path = judgements_behind(evaluation), place / CORRECTED_FILE
    if judged is None:
        path.unlink(missing_ok=True)
        return
    found: list[CorrectedDepth] = []
    if len(judged.drawn.places) >= FEWEST_DRAWN:
        manifest, candidates = (
            MANIFEST.read(place / "manifest.json"),
            TABLES["candidates"].read(place / "candidates.parquet"),
        )
        arms = {name: RecordedArm.model_validate(arm) for name, arm in manifest["arms"].items()}
        sides = _Sides(
            judged, Passages.of([candidates]), manifest["config"]["reranker"]["metric"], cutoffs(manifest, arms)
        )
        seed = manifest["config"]["reranker"]["seed"]
        found = [each for name, arm in arms.items() for each in sides.depths(name, arm, candidates, seed=seed)]
    facts = {"judges": judged.models, "queries": len(judged.queries), "drawn": len(judged.drawn.places)}
    files.write_json(path, {**facts, "depths": found})


class _Sides:
    """Rankings scored by the model's grades of all queries, and by people's of those that were drawn."""

    def __init__(self, judged: Judgements, passages: Passages, metric: str, at: Sequence[int]) -> None:
        self._judged, self._metric = judged, metric
        self._drawn = [judged.queries[place] for place in judged.drawn.places]
        self._by_model, self._by_people = (
            Yardstick(passages, labels(qrels, queries, passages.numbers), at, 1)
            for qrels, queries in ((judged.by_model, judged.queries), (judged.by_people, self._drawn))
        )

    def depths(self, name: str, arm: RecordedArm, rows: pd.DataFrame, *, seed: int) -> list[CorrectedDepth]:
        queries, passages = self._judged.queries, self._by_model.passages
        numbered = passages.numbered(rows, queries)
        numbered = numbered[numbered["query"] >= 0]
        at = {
            depth: CandidateTable.of(candidates_at(numbered, name, arm, depth), queries=len(queries))
            for depth in sorted(arm.depths)
        }
        curve = DepthCurve(self._by_model, at, arm.own_depth)
        plain, own = self._values(curve.searched), self._values(curve.reranked_at_own)
        found = []
        for depth, places in zip(at, curve.reranked, strict=True):
            here = self._values(places)
            gain, loss = (self._corrected(after, before, seed=seed) for after, before in ((here, plain), (own, here)))
            found.append(CorrectedDepth(arm=name, depth=depth, gain=gain, loss=loss))
        return found

    def _values(self, places: Places) -> tuple[Values, Values]:
        """Of all queries by the model, and of the drawn ones by people."""
        drawn = places[self._judged.drawn.places]
        return self._by_model.values(places)[self._metric], self._by_people.values(drawn)[self._metric]

    def _corrected(
        self, after: tuple[Values, Values], before: tuple[Values, Values], *, seed: int
    ) -> CorrectedDifference:
        by_model, by_people = (one - other for one, other in zip(after, before, strict=True))
        found = CorrectedFigure.of(by_model, by_people, self._judged, seed=seed).corrected
        low, high = found.interval or (found.mean, found.mean)
        return CorrectedDifference(mean=found.mean, low=low, high=high)


def moved_to(drawn: Array, corrected: CorrectedDifference, *, seed: int) -> Array:
    """The resamples of a figure, row 0 what was found, with the corrected mean and interval in place of their own.

    They keep their order, so that what varies with them (a price, a latency) still does.
    """
    off = drawn - drawn[0]
    low, high = limits(off)
    if not (np.isfinite((low, high)).all() and low < 0 < high):  # by the model no query changed, or all of them alike
        off = np.append(0.0, np.random.default_rng(seed).standard_normal(len(drawn) - 1))
        low, high = limits(off)
    down, up = corrected["mean"] - corrected["low"], corrected["high"] - corrected["mean"]
    return np.asarray(corrected["mean"] + np.where(off < 0, off * down / -low, off * up / high))


def p_of(corrected: CorrectedDifference) -> float:
    """The two-sided p of no difference that belongs to its interval: below 0.05 where that excludes 0."""
    half = (corrected["high"] - corrected["low"]) / 2
    if half <= 0:
        return float(corrected["mean"] == 0)
    return 2 * NormalDist().cdf(-abs(corrected["mean"]) / half * Z)
