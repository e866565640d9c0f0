"""What people judge next: questions drawn with known chances, and what judging them is expected to bring."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragprof.core import files
from ragprof.core.errors import BadInput
from ragprof.judge.labelled import CorrectedFigure, Judgements, judgements_of
from ragprof.labels.choice import UNGRADED, Beliefs, Grades, draw, expected_errors, preferences
from ragprof.labels.records import DrawFile, QueryDraw, grades_by, ids_digest
from ragprof.session.label_work import Labelling, now, opened
from ragprof.session.labelling import final_ranking, scores_of_labels
from ragprof.session.pool_arrays import PoolArrays, metric_of
from ragprof.statistics.powered import FEWEST_DRAWN
from ragprof.statistics.unseen import SIGNED, UNIT

FIRST_DRAW = 20
"""Passages that people are given to judge where nothing was drawn for them."""


@dataclass(frozen=True)
class NextDraw:
    """Queries that were drawn for people, and what judging them is expected to do to the interval asked about."""

    queries: int
    passages: int
    waiting: int
    """Passages of former draws that nobody has judged yet; they come first."""
    figure: str
    half_width: float | None
    half_width_after: float | None
    evenly: bool
    """Drawn evenly: because it was asked for, or because no model has graded anything."""
    until_interval: int | None
    """About how many passages people have to judge before there is an interval, those that wait among them; None where
    there are too few questions for one."""


def next_draw(
    eval_file: str | Path,
    passages: int = FIRST_DRAW,
    *,
    between: tuple[str, str] | None = None,
    evenly: bool = False,
    corpus: str | Path | None = None,
) -> NextDraw:
    """Draw queries for people until about so many passages are waiting for them, and say what that would bring.

    `between` names baseline and candidate, whose difference is asked about; the first and the last pipeline where it is
    left out. `evenly` draws without regard to what is known. Raises BadInput where nothing is pooled or left.
    """
    work = opened(Path(eval_file), corpus=None if corpus is None else Path(corpus))
    work.check_pool()
    with files.claimed(work.folder, remedy="wait for it to end"):
        return draw_next(work, passages, between, evenly=evenly)


def draw_next(work: Labelling, passages: int, between: tuple[str, str] | None, *, evenly: bool) -> NextDraw:
    """As `next_draw` does, in a folder that is claimed."""
    sides = _sides(work, between)
    judged = judgements_of(work.folder, digests=work.digests)
    order = [each.query_id for each in work.pool]
    costs = np.array([len(each.passages) for each in work.pool], float)
    taken = [order.index(each.query_id) for each in work.draws()]
    left = np.delete(np.arange(len(order)), taken)
    waiting = len(work.waiting_for())
    if not len(left) and not waiting:
        raise BadInput("people have judged every question; there is nothing left to draw", file=work.folder)
    even = evenly or judged is None
    weights = np.full(len(order), 1 / len(order))
    if judged is not None and not evenly:
        weights = _weights(work, judged, *sides, costs)
    mean_cost = float(np.average(costs[left], weights=weights[left])) if len(left) else 1.0
    many = max(1 if not waiting else 0, round(max(0, passages - waiting) / mean_cost))
    found = draw(weights, taken, many, seed=work.config.seed)
    among = ids_digest(order)
    DrawFile(work.folder).append([QueryDraw(order[place], chance, len(order), now(), among) for place, chance in found])
    half, after = None, None
    if judged is not None and np.isfinite((figure := _asked(work, judged, *sides).corrected).half_width):
        half = figure.half_width
        after = figure.half_width_after(len(taken) + len(found) - len(judged.drawn.places))
    baseline, candidate = sides
    name = candidate if baseline == candidate else f"{candidate} - {baseline}"
    drawn = int(sum(costs[place] for place, _ in found))
    more = max(0, FEWEST_DRAWN - len(taken) - len(found))
    until = None if len(order) < FEWEST_DRAWN else round(waiting + drawn + more * mean_cost)
    return NextDraw(
        queries=len(found), passages=drawn, waiting=waiting, figure=f"{work.leading_metric} of {name}",
        half_width=half, half_width_after=after, evenly=even, until_interval=until,
    )  # fmt: skip


def _sides(work: Labelling, between: tuple[str, str] | None) -> tuple[str, str]:
    """Baseline and candidate. Raises BadInput for a pipeline that the eval does not have."""
    names = [each.name for each in work.config.pipelines]
    sides = between or (names[0], names[-1])
    for name in sides:
        if name not in names:
            raise BadInput(f"no pipeline named '{name}'; there are: {', '.join(names)}", file=work.eval_file)
    return sides


def _asked(work: Labelling, judged: Judgements, baseline: str, candidate: str) -> CorrectedFigure:
    scores, metric = scores_of_labels(work, judged), work.leading_metric
    by_model, by_people = scores.values(candidate, metric)
    bounds = UNIT
    if baseline != candidate:
        base_model, base_people = scores.values(baseline, metric)
        by_model, by_people = by_model - base_model, by_people - base_people
        bounds = SIGNED
    return CorrectedFigure.of(by_model, by_people, judged, seed=work.config.seed, bounds=bounds)


def _weights(
    work: Labelling, judged: Judgements, baseline: str, candidate: str, costs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Chances by the expected error of the asked figure, with what people have said so far."""
    places = PoolArrays.of(work.pool, judged.queries)
    labels = work.labels()
    drawn = np.zeros(len(judged.queries), bool)
    drawn[judged.drawn.places] = True
    person = np.where(drawn[:, None], places.grades(grades_by(labels, "person")), UNGRADED)
    first = places.grades(grades_by(labels, "model"))
    second = places.grades(
        {label.pair: label.second for label in labels if label.source == "model" and label.second is not None}
    )
    beliefs = Beliefs.after(first.ravel(), second.ravel(), person.ravel())
    sides = {name: places.ranks(final_ranking(work, name)) for name in {baseline, candidate}}

    def score(grades: Grades) -> NDArray[np.float64]:
        of_candidate = metric_of(work.leading_metric, grades, sides[candidate])
        if baseline == candidate:
            return of_candidate
        return of_candidate - metric_of(work.leading_metric, grades, sides[baseline])

    errors = expected_errors(score, first, beliefs.of(first, second), places.there, seed=work.config.seed)
    return preferences(errors, costs)
