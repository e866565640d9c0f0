"""The utility of inference U = A * R / L^k, and which pipeline wins for which time sensitivity k. Reads no file.

A is the share of correct answers, R the nDCG of what is in the prompt, L the seconds to the first token (retrieval and
packing included). In log U = log(A R) - k log L every pipeline is a straight line in k, so who wins where is the upper
envelope of those lines: exact, no grid. A pipeline with A R = 0 never wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log, sqrt
from typing import Any, TypeAlias

import numpy as np

from ragprof.studies.economics import Facts

FORMULA = "U = A * R / L^k"
LOWEST, HIGHEST = 0.01, 10.0
CURVE_POINTS = 31
AGREED = 0.95
TIE = 1e-12
PRESETS: tuple[tuple[str, float, str], ...] = (
    ("creative", 0.1, "a draft is read at leisure: ten times the wait costs a fifth of the use"),
    ("support", 0.5, "a customer waits, but not for long: four times the wait costs half of the use"),
    ("incident response", 1.0, "every second counts the same: twice the wait costs half of the use"),
    ("trading", 2.0, "a late answer is worth little: twice the wait costs three quarters of the use"),
)
Line: TypeAlias = tuple[float, float]
"""Slope and value at k = 0 of log U."""


def utility_of(facts: Mapping[str, Facts], *, sensitivities: Sequence[float]) -> dict[str, Any]:
    """The `utility` of the section; pipelines without answers judged, relevance or timings take no part."""
    known = {name: each for name, each in facts.items() if np.isfinite(each.utility(1.0)[0])}
    found = winners(known)
    return {
        "presets": presets(sensitivities),
        "curve": [{"k": float(k), "values": _values(known, float(k))} for k in steps()],
        "winners": found,
        "statement": statement(found, len(known)),
        "formula": FORMULA,
    }


def presets(sensitivities: Sequence[float]) -> list[dict[str, Any]]:
    """The presets, and the eval's own sensitivities."""
    named = [{"name": name, "k": k, "reason": reason} for name, k, reason in PRESETS]
    own = [{"name": f"k = {k:g}", "k": k, "reason": "from the eval file"} for k in sensitivities]
    return [*named, *(line for line in own if line["k"] not in {k for _, k, _ in PRESETS})]


def steps() -> list[float]:
    """Log-spaced k for drawing."""
    return [float(k) for k in np.geomspace(LOWEST, HIGHEST, CURVE_POINTS)]


def winners(facts: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """Ranges of rising k with the pipeline that wins in each.

    `share` is that of the joint resamples (all pipelines asked the same resampled questions) in which it also wins at
    the range's logarithmic middle; pipelines that tie there divide the resample between them.
    """
    lines = {name: _line(each) for name, each in facts.items() if each.accuracy[0] * each.relevance[0] > 0}
    return [
        {"from_k": start, "to_k": end, "pipeline": name, "share": share(facts, name, sqrt(start * end))}
        for start, end, name in envelope(lines)
    ]


def envelope(lines: Mapping[str, Line], low: float = LOWEST, high: float = HIGHEST) -> list[tuple[float, float, str]]:
    """Ranges (from, to, name) of the highest line, from `low` to `high` without a gap."""
    if not lines:
        return []
    place = low
    name = max(lines, key=lambda each: (lines[each][1] + low * lines[each][0], lines[each][0]))
    ranges: list[tuple[float, float, str]] = []
    while True:
        slope, start = lines[name]
        crossings = [((start - other) / (m - slope), -m, each) for each, (m, other) in lines.items() if m > slope]
        end, _, following = min(crossings, default=(high, 0.0, name))
        if end >= high:
            return [*ranges, (place, high, name)]
        if end > place:
            ranges.append((place, end, name))
        place, name = max(place, end), following


def share(facts: Mapping[str, Facts], name: str, k: float) -> float:
    """The share of resamples in which this pipeline has the highest U at k; one where every U is 0 has no winner."""
    columns = np.array([each.utility(k)[1:] for each in facts.values()])
    values = np.where(np.isnan(columns), 0.0, columns)
    highest = values.max(axis=0)
    tied = (values >= highest * (1 - TIE)) & (highest > 0)
    credit = tied / np.maximum(tied.sum(axis=0), 1)
    return float(credit[list(facts).index(name)].mean())


def statement(found: Sequence[Mapping[str, Any]], pipelines: int) -> str:
    """Who wins where, and where that cannot be told."""
    if not found:
        return f"{FORMULA} cannot be compared: no pipeline has correct answers, relevant chunks and timings together."
    if pipelines == 1:
        return (
            f"{FORMULA} has nothing to compare: {found[0]['pipeline']} is the only pipeline with answers and timings."
        )
    ranges = "; ".join(f"{each['pipeline']} is ahead {_range(each)}{_sure(each)}" for each in found)
    return f"By {FORMULA}, {ranges}."


def _range(winner: Mapping[str, Any]) -> str:
    if (winner["from_k"], winner["to_k"]) == (LOWEST, HIGHEST):
        return f"for every k from {LOWEST:g} to {HIGHEST:g}"
    if winner["from_k"] == LOWEST:
        return f"for k below {winner['to_k']:.2g}"
    if winner["to_k"] == HIGHEST:
        return f"for k above {winner['from_k']:.2g}"
    return f"for k from {winner['from_k']:.2g} to {winner['to_k']:.2g}"


def _sure(winner: Mapping[str, Any]) -> str:
    share = f"{100 * winner['share']:.0f} %"
    told = "" if winner["share"] >= AGREED else ", so it cannot be told apart from the others"
    return f" (in {share} of the resamples{told})"


def _line(facts: Facts) -> Line:
    return -log(facts.seconds[0]), log(facts.accuracy[0] * facts.relevance[0])


def _values(facts: Mapping[str, Facts], k: float) -> dict[str, float]:
    return {name: float(each.utility(k)[0]) for name, each in facts.items()}
