"""How the time to first token grows with the prompt: a + b n + c n^2 with a, b, c >= 0, and whether c is there.

The scatter of timings is proportional to their size, so the fit is weighted least squares with weights 1 / predicted,
found by iteration (Carroll and Ruppert: Transformation and weighting in regression, 1988, chapter 2; weights of
1 / observed would pull the curve down to the timings that happened to be short). No time is negative and no token
makes a prompt faster, hence the bounds: with three coefficients the bounded optimum is the best of the seven ordinary
fits on the subsets of columns that keeps them (Lawson and Hanson: Solving least squares problems, 1974, chapter 23).

Intervals: bootstrap of relative residuals, the rounds' mean residuals and what is left within rounds drawn apart (a
machine that is slow for a whole round is not as many witnesses as it has lengths), inflated so that with few timings
the percentile interval has the width of Student's. The interval of c comes from the same fit without bounds: a bounded
c is never below 0, so that its own interval could not tell. c is there when that interval is above 0.
Reads no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.report import figures
from ragprof.statistics.draws import ENDS, RESAMPLES, Array
from ragprof.statistics.estimates import estimated, quantile_estimates
from ragprof.studies.injection.section import FirstTokenFit, FitIntervals, FitPoint, FitResidual, TimedLength

COEFFICIENTS = ("a_ns", "b_ns_per_token", "c_ns_per_token2")
LENGTHS = 3
SHARE = 0.1
"""The quadratic term matters from the length at which it makes up this share of the prediction."""
NOTHING = 1e-6
"""Share of the prediction at the longest prompt below which a quadratic term is a rounding error."""
ITERATIONS, CURVE_POINTS = 10, 30
WEIGHTS = "1 / predicted"
COLUMNS = [list(chosen) for size in (1, 2, 3) for chosen in combinations(range(3), size)]


@dataclass(frozen=True, slots=True)
class PrefillTimings:
    """One entry a timed prompt: its tokens, its ns, and which round it was timed in (numbered from 0)."""

    tokens: Array
    ns: Array
    rounds: NDArray[np.int64]

    @property
    def scale(self) -> Array:
        """Ends the columns 1, n, n^2 at 1, so that they are of one size."""
        return np.asarray(self.tokens.max() ** np.arange(3.0))

    @property
    def degrees(self) -> int:
        """Timings beyond what three coefficients and the rounds' means take."""
        return len(self.ns) - 3 - int(self.rounds.max())


@dataclass(frozen=True, slots=True)
class FittedTerms:
    """Coefficients (a, b, c) in ns; `bounded` and `free` are their resamples, (resamples, 3), or None."""

    coefficients: Array
    bounded: Array | None
    free: Array | None


def first_token(prefill: pd.DataFrame, *, model: str, seed: int) -> tuple[list[TimedLength], FirstTokenFit]:
    """What was measured by length and the fit, from rows of (round, prompt_tokens, first_token_ns).

    Nulls and a statement that says why where fewer than three lengths were timed.
    """
    known = prefill.dropna(subset=["first_token_ns"]).sort_values(["prompt_tokens", "round"])
    lengths = known["prompt_tokens"].nunique()
    points = []
    for tokens, ns in known.groupby("prompt_tokens")["first_token_ns"]:
        (median,) = quantile_estimates(ns.to_numpy(float)[:, None], [0.5], seed=seed)
        points.append(
            TimedLength(
                prompt_tokens=int(str(tokens)),
                p50_ns=None if median.mean is None else round(median.mean),
                interval_ns=None if median.interval is None else (round(median.interval[0]), round(median.interval[1])),
                n=len(ns),
            )
        )
    if lengths < LENGTHS:
        return points, _nothing(model, lengths)
    timings = PrefillTimings(
        known["prompt_tokens"].to_numpy(float),
        known["first_token_ns"].to_numpy(float),
        np.unique(known["round"].to_numpy(), return_inverse=True)[1],
    )
    return points, fit_entry(timings, fitted(timings, seed=seed), model)


def decode_per_token(live: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    """ns a token of the answer after its first: of each question the time over its tokens, then the mean over them.

    Reasoning is no part of it. A question whose reasoning was seen but not counted tells nothing.
    """
    uncounted = live["first_reasoning_ns"].notna() & live["reasoning_tokens"].isna()
    thought = live["reasoning_tokens"].astype(float).fillna(0.0).where(~uncounted)
    counted = live.assign(after=live["output_tokens"] - thought - 1)
    sums = counted[counted["decode_ns"].notna() & (counted["after"] > 0)]
    sums = sums.groupby("query_id")[["decode_ns", "after"]].sum()
    return estimated(sums["decode_ns"] / sums["after"], bounds=None, seed=seed)


def fitted(timings: PrefillTimings, *, seed: int) -> FittedTerms:
    """The fit with its resamples; none of them where there are too few timings to see any scatter."""
    design = powers(timings.tokens) / timings.scale
    predicted = timings.ns
    for _ in range(ITERATIONS):
        coefficients = nonnegative(design / predicted[:, None], (timings.ns / predicted)[None])[0]
        predicted = design @ coefficients
    if timings.degrees < 1:
        return FittedTerms(coefficients / timings.scale, None, None)
    weighed = design / predicted[:, None]
    solve = np.linalg.pinv(weighed)
    free = solve @ (timings.ns / predicted)
    noise = _noise(timings.ns / predicted - weighed @ free, timings, seed)
    return FittedTerms(
        coefficients / timings.scale,
        nonnegative(weighed, weighed @ coefficients + noise) / timings.scale,
        (free + noise @ solve.T) / timings.scale,
    )


def powers(tokens: Array) -> Array:
    """1, n, n^2 of each length, (lengths, 3)."""
    return np.asarray(tokens[:, None] ** np.arange(3.0))


def nonnegative(design: Array, rows: Array) -> Array:
    """Least squares of each row (rows, points) on the design (points, 3) with coefficients >= 0, (rows, 3)."""
    best, least = np.zeros((len(rows), 3)), (rows**2).sum(1)
    for columns in COLUMNS:
        found = rows @ np.linalg.pinv(design[:, columns]).T
        loss = ((rows - found @ design[:, columns].T) ** 2).sum(1)
        better = (found >= 0).all(1) & (loss < least)
        least = np.where(better, loss, least)
        best[better] = 0.0
        best[np.ix_(better, columns)] = found[better]
    return best


def quadratic_from(a: float, b: float, c: float) -> int:
    """The smallest n at which c n^2 is SHARE of the prediction: (1 - SHARE) c n^2 = SHARE (a + b n). Needs c > 0."""
    linear, square = SHARE * b, (1 - SHARE) * c
    root = (linear + np.sqrt(linear**2 + 4 * square * SHARE * a)) / (2 * square)
    return int(np.ceil(root * (1 - 1e-12)))


def fit_entry(timings: PrefillTimings, fit: FittedTerms, model: str) -> FirstTokenFit:
    """The `fit` of the section. Residuals are observed minus fitted; those by length are means over its timings."""
    a, b, c = (float(value) for value in fit.coefficients)
    residuals = timings.ns - powers(timings.tokens) @ fit.coefficients
    relative = residuals / (timings.ns - residuals)
    by_length = pd.Series(residuals).groupby(timings.tokens).mean()
    ends: dict[str, Any] = dict.fromkeys(COEFFICIENTS)
    if fit.bounded is not None and fit.free is not None:
        columns = (fit.bounded[:, 0], fit.bounded[:, 1], fit.free[:, 2])
        ends = dict(zip(COEFFICIENTS, (np.quantile(column, ENDS).tolist() for column in columns), strict=True))
    entry = FirstTokenFit(
        a_ns=a,
        b_ns_per_token=b,
        c_ns_per_token2=c,
        residual_ns=float(np.sqrt((residuals**2).mean())),
        relative_residual=float(np.sqrt((relative**2).mean())),
        quadratic_from_tokens=quadratic_from(a, b, c) if is_bent(timings, fit) else None,
        intervals=FitIntervals(**ends),
        residuals=[
            FitResidual(prompt_tokens=int(tokens), residual_ns=float(ns))
            for tokens, ns in zip(by_length.index, by_length, strict=True)
        ],
        curve=curve(timings, fit),
        weights=WEIGHTS,
        n=len(timings.ns),
        statement="",
    )
    return entry.model_copy(update={"statement": _statement(entry, timings, model)})


def is_bent(timings: PrefillTimings, fit: FittedTerms) -> bool:
    """Whether the interval of c is above 0, and c more than a rounding error."""
    if fit.free is None or fit.coefficients[2] <= 0:
        return False
    longest = timings.tokens.max()
    predicted = float((powers(np.array([longest])) @ fit.coefficients)[0])
    return bool(np.quantile(fit.free[:, 2], ENDS[0]) * longest**2 > NOTHING * predicted)


def curve(timings: PrefillTimings, fit: FittedTerms) -> list[FitPoint]:
    """The fit between the shortest and the longest prompt that was timed, for drawing; nothing beyond them."""
    tokens = np.unique(np.geomspace(timings.tokens.min(), timings.tokens.max(), CURVE_POINTS).round())
    values = (powers(tokens) @ fit.coefficients).tolist()
    spans: list[Any] = [None] * len(tokens)
    if fit.bounded is not None:
        spans = np.quantile(fit.bounded @ powers(tokens).T, ENDS, axis=0).T.tolist()
    return [
        FitPoint(prompt_tokens=int(n), value_ns=value, interval_ns=span)
        for n, value, span in zip(tokens, values, spans, strict=True)
    ]


def _noise(residuals: Array, timings: PrefillTimings, seed: int) -> Array:
    """Resampled relative errors, (resamples, timings): one of a round, and one of each timing within its round."""
    from scipy import special

    rng, rounds, count = np.random.default_rng(seed), timings.rounds, int(timings.rounds.max()) + 1
    means = np.bincount(rounds, residuals) / np.bincount(rounds)
    within = residuals - means[rounds]
    student = special.stdtrit(timings.degrees, ENDS[1]) / special.ndtri(ENDS[1])
    drawn = rng.choice(within, size=(RESAMPLES, len(residuals))) * np.sqrt(len(residuals) / timings.degrees)
    if count > 1:
        slow = (means - means.mean()) * np.sqrt(count / (count - 1))
        drawn += rng.choice(slow, size=(RESAMPLES, count))[:, rounds]
    return np.asarray(drawn * student)


def _nothing(model: str, lengths: int) -> FirstTokenFit:
    return FirstTokenFit(
        **dict.fromkeys((*COEFFICIENTS, "residual_ns", "relative_residual", "quadratic_from_tokens")),
        intervals=FitIntervals(**dict.fromkeys(COEFFICIENTS)),
        residuals=[],
        curve=[],
        weights=WEIGHTS,
        n=0,
        statement=f"How the time to first token of {model} grows is not known: it was timed at {lengths} prompt "
        f"lengths, and a curve with a bend needs at least {LENGTHS}.",
    )


def _statement(entry: FirstTokenFit, timings: PrefillTimings, model: str) -> str:
    shortest, longest = (int(end) for end in (timings.tokens.min(), timings.tokens.max()))
    lead = (
        f"The time to first token of {model} is {figures.duration(entry.a_ns)} and "
        f"{figures.duration(entry.b_ns_per_token)} per prompt token (n = {entry.n}, {shortest:,} to {longest:,} tokens)"
    )
    interval = entry.intervals.c_ns_per_token2
    if interval is None:
        return f"{lead}; with so few timings nobody can tell whether it grows faster than that."
    ends = figures.span(interval, lambda end: f"{end:.3g}".replace("-", figures.MINUS))
    if (start := entry.quadratic_from_tokens) is None:
        slower = " and grows more slowly than in proportion" if interval[1] < 0 else ""
        return f"{lead}{slower}; no quadratic term can be told from 0 (95% CI {ends} ns per squared token)."
    where = " (beyond what was timed)" if start > longest else ""
    return (
        f"{lead}, plus {entry.c_ns_per_token2:.3g} ns per squared token (95% CI {ends}): the quadratic term makes up "
        f"{SHARE:.0%} of the time from {start:,} tokens on{where}."
    )
