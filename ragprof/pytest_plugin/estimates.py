"""Single figures of one recording: a mean or a quantile with its interval, and the value of each query behind it.

Says what there is where a name is not recorded. Latency in ms, usage a query, money in USD per 1,000 queries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from ragprof.core import Estimate
from ragprof.errors import BadInput, UnknownName
from ragprof.quantities import Quantity
from ragprof.statistics import mean_estimate, quantile_estimates
from ragprof.studies.compare.evidence import Evidence
from ragprof.studies.latency import QUANTILES
from ragprof.studies.query_draws import Draws, resampled

WHOLE = "query"
NS_PER_MS = 1e6


@dataclass(frozen=True)
class Measured:
    """An estimate over `n` queries; `by_query` is what each of them has."""

    quantity: Quantity
    estimate: Estimate
    by_query: pd.Series


def pipeline_of(evidence: Evidence, name: str | None) -> str:
    """The pipeline meant; it may be left out where there is one. Raises UnknownName or BadInput."""
    names = evidence.pipelines
    if name is None and len(names) > 1:
        raise BadInput(f"'{evidence.label}' has {len(names)} pipelines; say which with pipeline=: {', '.join(names)}")
    if name is not None and name not in names:
        raise UnknownName("pipeline", name, names)
    return name or names[0]


def quality(evidence: Evidence, pipeline: str, name: str, stage: str | None) -> Measured:
    """A metric at a stage; without a stage that of the final ranking. Raises UnknownName for either."""
    rows = _rows(evidence, pipeline, "quality")
    metric = name if name in set(rows["name"]) else _written(name)
    _known("metric", metric, rows["name"])
    if stage is not None:
        _known("stage", stage, rows["stage"])
    at_stage = stage or ("rerank" if (rows["stage"] == "rerank").any() else "search")
    values = _by_query(rows[(rows["name"] == metric) & (rows["stage"] == at_stage)])
    return Measured(Quantity("quality", stage or "", metric), _mean(values, evidence), values)


def usage(evidence: Evidence, pipeline: str, name: str) -> Measured:
    """What a stage counted, by its full name such as `inject.prompt_tokens`. Raises UnknownName."""
    rows = _rows(evidence, pipeline, "usage")
    full = rows["stage"] + "." + rows["name"]
    _known("usage", name, full)
    values = _by_query(rows[full == name])
    stage, _, unit = name.partition(".")
    return Measured(Quantity("usage", stage, unit), _mean(values, evidence), values)


def latency(evidence: Evidence, pipeline: str, name: str, stage: str | None) -> Measured:
    """A quantile over all rounds in ms, end to end without a stage; the interval resamples queries."""
    _known("quantile of latency", name, QUANTILES)
    rows = evidence.times[evidence.times["pipeline"] == pipeline]
    if stage is not None:
        _known("timed stage", stage, rows["stage"][rows["stage"] != WHOLE])
    timed = rows[rows["stage"] == (stage or WHOLE)].sort_values(["query_id", "round"])
    groups = timed.assign(ms=timed["duration_ns"] / NS_PER_MS).groupby("query_id")["ms"]
    clusters = [group.to_numpy() for _, group in groups]
    (found,) = quantile_estimates(clusters, [QUANTILES[name]], seed=int(evidence.facts["seed"]))
    estimate = Estimate(found.mean, found.interval, len(clusters))
    return Measured(Quantity("latency", stage or "", name), estimate, groups.median())


def cost(evidence: Evidence, pipeline: str, stage: str | None) -> Measured:
    """The bill of a stage, or the whole one. Raises BadInput for one that is not priced: it is not 0."""
    missing = [line for line in evidence.facts["unpriced"][pipeline] if stage is None or line.startswith(f"{stage}:")]
    if missing:
        raise BadInput(f"{stage or 'the bill'} of pipeline '{pipeline}' is UNPRICED: {'; '.join(missing)}")
    rows = _rows(evidence, pipeline, "cost")
    if stage is not None:
        _known("stage with a bill", stage, rows["stage"])
        rows = rows[rows["stage"] == stage]
    if rows.empty:
        raise BadInput(f"pipeline '{pipeline}' has no bill; name rates under prices")
    items = [_by_query(each) for _, each in rows.groupby(["stage", "name"])]
    asked = sorted(set(rows["query_id"]))
    draws = Draws.of(asked, seed=int(evidence.facts["seed"]))
    total = resampled(sum(draws.mean(values) for values in items[1:]) + draws.mean(items[0]), len(asked))
    interval = None if total["interval"] is None else (total["interval"][0], total["interval"][1])
    estimate = Estimate(total["mean"], interval, len(asked))
    return Measured(Quantity("cost", stage or "", ""), estimate, pd.concat(items).groupby(level=0).sum())


def of_quantity(evidence: Evidence, pipeline: str, asked: Quantity) -> Measured:
    """Any quantity by its name."""
    stage = asked.stage or None
    if asked.kind == "quality":
        return quality(evidence, pipeline, asked.name, stage)
    if asked.kind == "usage":
        return usage(evidence, pipeline, asked.label)
    if asked.kind == "latency":
        return latency(evidence, pipeline, asked.name, stage)
    return cost(evidence, pipeline, stage)


def _rows(evidence: Evidence, pipeline: str, kind: str) -> pd.DataFrame:
    figures = evidence.figures
    return figures[(figures["pipeline"] == pipeline) & (figures["kind"] == kind)]


def _by_query(rows: pd.DataFrame) -> pd.Series:
    return rows.set_index("query_id")["value"].sort_index()


def _mean(values: pd.Series, evidence: Evidence) -> Estimate:
    return mean_estimate(values.to_numpy(), seed=int(evidence.facts["seed"]))


def _written(metric: str) -> str:
    """The name under which scores are kept: `MAP` is `AP`. What is no metric stays as it is."""
    from ragprof.judge.scores import canonical

    try:
        return canonical([metric])[0]
    except UnknownName:
        return metric


def _known(what: str, name: str, there: Iterable[str]) -> None:
    if name not in set(there):
        raise UnknownName(what, name, set(there))
