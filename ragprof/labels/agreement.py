"""How far judges agree: confusion of grades, and Cohen's kappa, plain and weighted, for every two of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ragprof.labels.choice import LEVELS
from ragprof.labels.records import PassageLabel, standing
from ragprof.statistics.draws import interval, resampled_counts

FEWEST_COMPARED = 5
"""Questions below which resampling them says nothing of a kappa."""


@dataclass(frozen=True)
class JudgesCompared:
    """Two judges on the pairs that both graded. `confusion[a][b]` counts first's grade a where second gave b.

    `kappa` is of relevant (grade 1 or more) against not, `weighted_kappa` of all four grades with quadratic weights
    (Cohen, Psychological Bulletin 70, 1968, 213-220); None where chance alone makes both agree. Their intervals
    resample questions, since the passages of one are judged alike; None below FEWEST_COMPARED questions.
    """

    first: str
    second: str
    pairs: int
    agreement: float
    kappa: float | None
    kappa_interval: tuple[float, float] | None
    weighted_kappa: float | None
    weighted_interval: tuple[float, float] | None
    confusion: tuple[tuple[int, ...], ...]


def compared(labels: Sequence[PassageLabel], *, seed: int) -> list[JudgesCompared]:
    """Every two judges that have graded a pair in common, by name."""
    found = []
    by_judge = standing(labels)
    for first, second in combinations(sorted(by_judge), 2):
        tables: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((LEVELS, LEVELS)))
        for pair in by_judge[first].keys() & by_judge[second].keys():
            one, other = by_judge[first][pair].grade, by_judge[second][pair].grade
            if one is not None and other is not None:
                tables[pair[0]][one, other] += 1
        if tables:
            found.append(_compared(first, second, np.stack([tables[query] for query in sorted(tables)]), seed))
    return found


def _compared(first: str, second: str, by_query: np.ndarray, seed: int) -> JudgesCompared:
    """`by_query` is (questions, LEVELS, LEVELS): confusion of the passages of each."""
    table = by_query.sum(axis=0)
    levels = np.arange(LEVELS)
    apart = (np.not_equal.outer(levels > 0, levels > 0).astype(float), np.subtract.outer(levels, levels) ** 2.0)
    counts = resampled_counts(len(by_query), seed=seed)
    drawn = np.tensordot(counts, by_query, axes=1)
    kappas = [float(_kappa(table[None], distance)[0]) for distance in apart]
    intervals = [
        _interval(_kappa(drawn, distance)) if len(by_query) >= FEWEST_COMPARED and np.isfinite(kappa) else None
        for kappa, distance in zip(kappas, apart, strict=True)
    ]
    plain, weighted = (kappa if np.isfinite(kappa) else None for kappa in kappas)
    return JudgesCompared(
        first, second, int(table.sum()), float(np.trace(table) / table.sum()), plain, intervals[0], weighted,
        intervals[1], tuple(tuple(int(count) for count in row) for row in table),
    )  # fmt: skip


def _interval(drawn: np.ndarray) -> tuple[float, float] | None:
    """None where the resamples are all alike, as where nobody disagreed: they say nothing of other questions."""
    found = interval(drawn)
    return None if found is None or np.nanmax(drawn) == np.nanmin(drawn) else found


def _kappa(tables: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """1 - observed over expected disagreement of each of (tables, levels, levels); NaN where none is expected."""
    rows, columns, n = tables.sum(axis=2), tables.sum(axis=1), tables.sum(axis=(1, 2))
    expected = np.einsum("ta,tb,ab->t", rows, columns, distance) / n
    observed = (tables * distance).sum(axis=(1, 2))
    return np.asarray(1 - np.divide(observed, expected, out=np.full(len(tables), np.nan), where=expected > 0))


def kappa_words(kappa: float | None, its_interval: Sequence[float] | None) -> str:
    """`0.61 (95% CI 0.42\u20130.77)`."""
    if kappa is None:
        return "n/a"
    return f"{kappa:.2f}" + (f" (95% CI {its_interval[0]:.2f}\u2013{its_interval[1]:.2f})" if its_interval else "")


def flip_rate(labels: Sequence[PassageLabel]) -> tuple[float, int] | None:
    """Of the pairs that a model graded twice: the share to which it gave two grades, and how many they are."""
    every = (label for judged in standing(labels).values() for label in judged.values())
    twice = [label for label in every if label.second is not None and label.grade is not None]
    flipped = sum(label.grade != label.second for label in twice)
    return (flipped / len(twice), len(twice)) if twice else None


GENERIC = frozenset(
    ("model", "models", "rerank", "reranker", "encoder", "cross", "bi", "api", "openai", "compatible", "http", "https",
     "chat", "instruct", "base", "large", "small", "mini", "max", "new", "tokens", "seed", "stop", "none", "v")
)  # fmt: skip


def model_family(name: str) -> str:
    """`qwen` for Qwen/Qwen2.5-72B-Instruct: the first word of a model's own name that is not every model's."""
    words = _words(name.rsplit("/", 1)[-1])
    return next((word for word in words if word not in GENERIC and len(word) > 1), "")


def same_family(judge: str, other: str) -> bool:
    """Whether the judging model's family is named in what the other part calls itself."""
    family = model_family(judge)
    return bool(family) and family in _words(other)


def _words(name: str) -> list[str]:
    cleaned = "".join(sign if sign.isalpha() else " " for sign in name.lower())
    return cleaned.split()
