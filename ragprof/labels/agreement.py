"""How far judges agree: confusion of grades, and Cohen's kappa, plain and weighted, for every two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ragprof.labels.choice import LEVELS
from ragprof.labels.records import PassageLabel, standing


@dataclass(frozen=True)
class JudgesCompared:
    """Two judges on the pairs that both graded. `confusion[a][b]` counts first's grade a where second gave b.

    `kappa` is of relevant (grade 1 or more) against not, `weighted_kappa` of all four grades with quadratic weights
    (Cohen, Psychological Bulletin 70, 1968, 213-220); None where chance alone makes both agree.
    """

    first: str
    second: str
    pairs: int
    agreement: float
    kappa: float | None
    weighted_kappa: float | None
    confusion: tuple[tuple[int, ...], ...]


def compared(labels: Sequence[PassageLabel]) -> list[JudgesCompared]:
    """Every two judges that have graded a pair in common, by name."""
    found = []
    by_judge = standing(labels)
    for first, second in combinations(sorted(by_judge), 2):
        table = np.zeros((LEVELS, LEVELS), np.int64)
        for pair in by_judge[first].keys() & by_judge[second].keys():
            one, other = by_judge[first][pair].grade, by_judge[second][pair].grade
            if one is not None and other is not None:
                table[one, other] += 1
        if table.sum():
            found.append(_compared(first, second, table))
    return found


def _compared(first: str, second: str, table: np.ndarray) -> JudgesCompared:
    halves = np.array([[table[:1, :1].sum(), table[:1, 1:].sum()], [table[1:, :1].sum(), table[1:, 1:].sum()]])
    distance = np.subtract.outer(np.arange(LEVELS), np.arange(LEVELS)) ** 2
    return JudgesCompared(
        first, second, int(table.sum()), float(np.trace(table) / table.sum()),
        _kappa(halves, 1 - np.eye(2)), _kappa(table, distance), tuple(tuple(row) for row in table.tolist()),
    )  # fmt: skip


def _kappa(table: np.ndarray, distance: np.ndarray) -> float | None:
    """1 - observed over expected disagreement."""
    n = table.sum()
    expected = float((np.outer(table.sum(axis=1), table.sum(axis=0)) * distance).sum() / n)
    return None if expected == 0 else 1 - float((table * distance).sum()) / expected


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
