"""Two outcomes of the same work, compared bit for bit, and what a difference does to the ranking and the prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from ragprof.core import Ranking, StageName, Vectors

What: TypeAlias = Literal["vectors", "ranking", "scores", "prompt", "answer", "batch size", "threads"]
CHECK_COLUMNS = (
    "pipeline", "stage", "what", "variant", "query_id", "identical", "largest_difference",
    "ranking_changed", "injection_changed",
)  # fmt: skip
REPEATED, IN_A_BATCH, DOCUMENTS_IN_A_BATCH = "repeated", "in a batch", "documents in a batch"
ONE_BY_ONE, REVERSED, OTHER_THREADS = "one by one", "reversed", "other threads"


@dataclass(frozen=True, slots=True)
class Difference:
    """Whether outcomes are the same to the last bit, and the largest absolute difference where they are numbers."""

    identical: bool
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What a difference does: to documents or order of the stage's ranking, and to the chunks in the prompt.

    None where it cannot be told. `final` is the pipeline's own ranking where that may have become another one.
    """

    ranking: bool
    injection: bool | None
    final: Ranking | None = None


NO_EFFECT = Effect(False, False)


@dataclass(frozen=True, slots=True)
class Check:
    """One stage's work for one query, done in another way. `effect` is None where it was only done again."""

    stage: StageName
    what: What
    variant: str
    query_id: str
    difference: Difference
    effect: Effect | None = None


def vector_difference(first: Vectors, second: Vectors) -> Difference:
    """Of two arrays of one shape. Another shape is a difference without a size."""
    if first.shape != second.shape:
        return Difference(False)
    apart = np.abs(first.astype(np.float64) - second.astype(np.float64))
    return Difference(first.tobytes() == second.tobytes(), float(apart.max(initial=0.0)))


def score_difference(first: Ranking, second: Ranking) -> Difference:
    """Of the documents that both rankings hold, wherever they stand; None as the largest where they share none."""
    known = {item.doc.doc_id: item.score for item in first}
    apart = [abs(item.score - known[item.doc.doc_id]) for item in second if item.doc.doc_id in known]
    return Difference(not any(apart), max(apart, default=None))


def worst(differences: Iterable[Difference]) -> Difference:
    """All of them in one."""
    every = list(differences)
    sizes = [each.largest for each in every if each.largest is not None]
    return Difference(all(each.identical for each in every), max(sizes, default=None))


def ids(ranking: Ranking) -> tuple[str, ...]:
    """Documents of a ranking, best first."""
    return tuple(item.doc.doc_id for item in ranking)


def check_table(pipeline: str, checks: Sequence[Check]) -> pd.DataFrame:
    """One row a check; effects are nullable booleans."""
    rows = [
        (
            pipeline, check.stage, check.what, check.variant, check.query_id,
            check.difference.identical, check.difference.largest,
            check.effect.ranking if check.effect else None,
            check.effect.injection if check.effect else None,
        )
        for check in checks
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=list(CHECK_COLUMNS))
    nullable = dict.fromkeys(("ranking_changed", "injection_changed"), "boolean")
    return table.astype({"identical": bool, "largest_difference": float, **nullable})
