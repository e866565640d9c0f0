"""The depth from which more candidates make the ranking worse, if there is one, with its interval. Reads no file.

Jacob and others: Drowning in documents: consequences of scaling reranker inference, arXiv 2411.11767, found rerankers
whose quality falls as they are given more. Here each smaller depth is compared with the greatest one. The best of
several depths was picked by what was found, so the comparison has the simultaneous band of all of them: mean +- c x
standard error, with c the 95 % quantile, over the resamples, of the largest deviation of any depth in standard errors
(the max-type bootstrap; Romano and Wolf, Econometrica 73, 2005).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ragprof.statistics import CONFIDENCE
from ragprof.studies.query_draws import ENDS, Array
from ragprof.studies.reranking.data import RerankerData
from ragprof.studies.reranking.means import means
from ragprof.studies.reranking.ratios import shown

FALLS, HOLDS, OPEN = "falls", "does not fall", "undecided"


def falls_from(data: RerankerData, arm: str) -> dict[str, Any]:
    """Status "falls" where the best smaller depth is told from the greatest; "does not fall" where none is better by
    `margin`; else "undecided". `depth` is the peak, null unless quality falls; its interval is that of
    the resamples' peaks.
    """
    depths = [int(depth) for depth in data.arm(arm)["depths"]]
    if len(depths) < 2 or len(data.query_ids) < 2:
        what = f"depth {depths[0]} was looked at" if len(depths) < 2 else "one question was asked"
        sentence = f"Only {what}, so nothing can be said of more candidates."
        return {"depth": None, "interval": None, "status": OPEN, "sentence": sentence}
    columns = np.column_stack([data.reranked(arm, data.metric, depth) for depth in depths])
    peak = depths[int(columns.mean(axis=0).argmax())]
    differences, band = _banded(means(data.draws, columns[:, :-1] - columns[:, -1:]))
    best = int(differences.argmax())
    status = _status(band, best, float(data.settings["margin"]))
    told = shown([float(end) for end in band[best]], sign="+")
    found = f"{differences[best]:+.3f}{told} in {data.metric} at depth {depths[best]} against depth {depths[-1]}"
    interval = _peaks(means(data.draws, columns), depths)
    return {
        "depth": peak if status == FALLS else None,
        "interval": None if status == HOLDS else interval,
        "status": status,
        "sentence": _sentence(status, found, peak, interval, len(depths) - 1),
    }


def _banded(figures: Array) -> tuple[Array, Array]:
    """(1 + resamples, depths) of differences -> what was found (depths,) and the ends of their band (depths, 2)."""
    found, drawn = figures[0], figures[1:]
    errors = drawn.std(axis=0)
    errors = np.where(errors > 1e-12, errors, 0.0)
    deviations = np.abs(drawn - found) / np.where(errors > 0, errors, np.inf)
    width = np.quantile(deviations.max(axis=1), CONFIDENCE) * errors
    return found, np.column_stack([found - width, found + width])


def _status(band: Array, best: int, margin: float) -> str:
    if band[best, 0] > 0:
        return FALLS
    return HOLDS if band[:, 1].max() < margin else OPEN


def _peaks(figures: Array, depths: list[int]) -> list[int]:
    """95 % of the resamples have their best depth in here; the smallest of equals."""
    peaks = np.array(depths)[figures[1:].argmax(axis=1)]
    low = np.quantile(peaks, ENDS[0], method="lower")
    return [int(low), int(np.quantile(peaks, ENDS[1], method="higher"))]


def _sentence(status: str, found: str, peak: int, interval: list[int], compared: int) -> str:
    band = f"95 % band over {compared} depths" if compared > 1 else "95 % interval"
    if status == FALLS:
        within = f"95 % of resamples: {interval[0]} to {interval[1]}"
        return f"Quality falls beyond depth {peak} ({within}): {found} ({band})."
    if status == HOLDS:
        return f"Quality does not fall with depth by as much as counts: {found} ({band})."
    return f"Whether quality falls with depth is undecided: {found} ({band})."
