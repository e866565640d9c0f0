"""What is forecast beyond the largest size, and from which figures. Fits nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from ragprof.core import STAGES, files
from ragprof.price.pricing import QUERIES, plain
from ragprof.statistics.draws import interval
from ragprof.statistics.estimates import QUANTILES, quantile_draws, rounds_of
from ragprof.studies.growth.data import BIASED, Array, GrowthData, PipelineData
from ragprof.studies.growth.extrapolation import LOG_LINEAR, POWER_LAW, Predicted, checked, forecast
from ragprof.studies.growth.score_distribution import FAMILIES, expected, padded

MULTIPLES = (2, 5, 10, 20)
SCORE_DISTRIBUTION = "score distribution"
COST = "cost_usd_per_1000_queries"
UNIT_INTERVAL, POSITIVE = (0.0, 1.0), (0.0, np.inf)


@dataclass(frozen=True)
class MeasuredSeries:
    """One quantity at rising sizes: means (sizes,) and resampled means (replicates, sizes)."""

    quantity: str
    unit: str
    model: str
    bounds: tuple[float, float]
    means: Array
    replicates: Array


def targets(data: GrowthData) -> list[int]:
    """The sizes that are asked for; by default multiples of the largest."""
    return list(data.settings["forecast"]) or [data.sizes()[-1] * multiple for multiple in MULTIPLES]


def forecasts(pipeline: PipelineData) -> list[dict[str, Any]]:
    """Every quantity of one pipeline, in the shape of summary.json."""
    data, lines = pipeline.data, []
    for each in _series(pipeline):
        found = forecast(
            data.sizes(), each.replicates, each.means, targets=targets(data), model=each.model, bounds=each.bounds
        )
        lines.append({"pipeline": pipeline.name, "quantity": each.quantity, "unit": each.unit, **found})
    distributed = _by_score_distribution(pipeline) if data.judged else None
    if distributed is not None:
        lines.insert(1, distributed)
    shown = [_as_money(line) if line["quantity"] == COST else line for line in lines if len(data.sizes()) > 1]
    return [{**line, "preferred": line is preferred(shown, line["quantity"])} for line in shown]


def preferred(lines: Sequence[dict[str, Any]], quantity: str) -> dict[str, Any] | None:
    """Of the models of one quantity the one to quote: it answers for the most sizes, then errs least where held out."""
    given = [line for line in lines if line["quantity"] == quantity and line["at"]]
    return min(given, key=lambda line: (-len(line["at"]), abs(float(line["held_out"]["error"]))), default=None)


def _series(pipeline: PipelineData) -> Iterator[MeasuredSeries]:
    """Quality and prompt tokens over queries and orders; latencies, index and cost from live timings at each size."""
    data = pipeline.data
    resampled = [
        *([(data.metric, "", pipeline.quality(BIASED), UNIT_INTERVAL)] if data.judged else []),
        ("prompt_tokens", "tokens", data.prompts(pipeline.name, BIASED), POSITIVE),
    ]
    for quantity, unit, values, bounds in resampled:
        figures = data.draws.means(values.transpose(0, 2, 1))
        yield MeasuredSeries(quantity, unit, LOG_LINEAR, bounds, figures[0], figures[1:])
    spans, builds = (
        [files.read_table(data.size_folder(size) / f"{name}.parquet") for size in data.sizes()]
        for name in ("spans", "builds")
    )
    timed = [table[(table["pipeline"] == pipeline.name) & (table["phase"] == "timed")] for table in spans]
    stages = [stage for stage in STAGES if all((table["stage"] == stage).any() for table in timed)]
    wanted = [(stage, stage, "p50") for stage in stages]
    for stage, name, quantile in [*wanted, ("query", "end_to_end", "p50"), ("query", "end_to_end", "p95")]:
        rounds = [rounds_of(table[table["stage"] == stage]) for table in timed]
        drawn = [quantile_draws(each, [QUANTILES[quantile]], seed=data.config["seed"])[:, 0] for each in rounds]
        figures = np.stack(drawn, axis=1)
        yield MeasuredSeries(f"{name}_{quantile}_ns", "ns", POWER_LAW, POSITIVE, figures[0], figures[1:])
    for column, quantity, unit in (("index_bytes", "index_bytes", "bytes"), ("duration_ns", "build_ns", "ns")):
        # Nothing is resampled: one figure per size.
        medians = [table.loc[table["pipeline"] == pipeline.name, column].median() for table in builds]
        yield MeasuredSeries(quantity, unit, POWER_LAW, POSITIVE, np.array(medians, float), np.empty((0, len(medians))))
    cost = _cost(pipeline)
    if cost is not None:
        yield cost


def _cost(pipeline: PipelineData) -> MeasuredSeries | None:
    """USD per 1,000 queries; None where something is unpriced at some size.

    A replicate that drew none of the timed queries has no machine time, so no total: NaN.
    """
    data, figures = pipeline.data, []
    for size in data.sizes():
        costs = files.read_table(data.size_folder(size) / "costs.parquet")
        mine = costs[costs["pipeline"] == pipeline.name]
        if mine.empty or mine["usd"].isna().any():
            return None
        items = mine.assign(usd=mine["usd"].astype(float)).pivot_table(
            index="query_id", columns=["stage", "item"], values="usd", aggfunc="sum"
        )
        # What each item costs each query; NaN where the query was not timed.
        figures.append(data.draws.means(items.reindex(list(data.query_ids)).to_numpy(float)).sum(axis=1))
    found = np.stack(figures, axis=1) * QUERIES
    return MeasuredSeries(COST, "usd", POWER_LAW, POSITIVE, found[0], found[1:])


def _as_money(line: dict[str, Any]) -> dict[str, Any]:
    """The same with money as decimal strings."""

    def written(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [written(end) for end in value]
        return None if value is None else plain(Decimal(repr(float(value))))

    held = {key: value if key == "size" else written(value) for key, value in line["held_out"].items()}
    at = [{key: value if key == "size" else written(value) for key, value in each.items()} for each in line["at"]]
    return {**line, "held_out": held, "at": at}


def _by_score_distribution(pipeline: PipelineData) -> dict[str, Any] | None:
    """Quality of an exact dense search by the distribution of its scores; None where it was not recorded.

    None too where the metric looks deeper than the pipeline does: the model knows of no such end.
    """
    data = pipeline.data
    path = data.folder / "distributions" / f"{pipeline.name}.parquet"
    family, _, cutoff = data.metric.partition("@")
    if not path.exists() or family not in FAMILIES or len(data.sizes()) < 2:
        return None
    found = Distribution(data, files.read_table(path), family, int(cutoff))
    if found.depth() <= max(int(cutoff), SHALLOWEST) or int(cutoff) > data.pipeline(pipeline.name)["depth"]:
        return None
    before, largest = data.sizes()[-2:]
    held, at_largest = found.values(before, largest), pipeline.quality(BIASED)[:, -1]
    predicted, measured = (data.draws.means(each[..., None])[:, 0] for each in (held, at_largest))
    at = [_predicted(data, found.values(largest, size), size) for size in targets(data)]
    answer = checked(
        SCORE_DISTRIBUTION,
        _predicted(data, held, largest),
        measured=float(measured[0]),
        fitted=data.sizes()[:-1],
        at=at,
        bounds=UNIT_INTERVAL,
        errors=(predicted - measured)[1:],
    )
    return {"pipeline": pipeline.name, "quantity": data.metric, "unit": "", **answer}


def _predicted(data: GrowthData, values: Array, size: int) -> Predicted:
    """The mean over orders and queries, (orders, queries), with its resampled interval."""
    figures = data.draws.means(values[..., None])[:, 0]
    return Predicted(size, float(figures[0]), interval(figures[1:]) or (-np.inf, np.inf))


@dataclass(frozen=True)
class Distribution:
    """Scores of relevant documents and of the best others, of one pipeline, and the metric that they are to give."""

    data: GrowthData
    table: pd.DataFrame
    family: str
    cutoff: int

    def depth(self) -> int:
        """How many scores of others are known of every query, order and size."""
        others = self.table[self.table["grade"] == 0]
        counts = others.groupby(["order", "size", "query"]).size()
        return int(counts.min()) if len(counts) else 0

    def values(self, size: int, at: int) -> Array:
        """From the sub-corpora of `size` passages, the metric with `at` passages: (orders, queries).

        A single order where they are the whole corpus and so the same. 0 for a query with nothing relevant, as it is
        measured.
        """
        table, whole = self.table, size == self.data.manifest["corpus_docs"]
        relevant = table[table["grade"] > 0]
        found = []
        for order in range(1 if whole else int(self.data.manifest["plan"]["orders"])):
            others = table[(table["grade"] == 0) & (table["order"] == order) & (table["size"] == size)]
            tails = self._by_query(others, "score")
            deep = min(len(tail) for tail in tails)
            found.append(
                expected(
                    self.family,
                    self.cutoff,
                    relevant_scores=padded(self._by_query(relevant.fillna({"score": NOWHERE}), "score")),
                    grades=padded(self._by_query(relevant, "grade")),
                    tail=np.array([tail[:deep] for tail in tails]),
                    size=size,
                    at=at,
                )
            )
        return np.nan_to_num(np.stack(found))

    def _by_query(self, rows: pd.DataFrame, column: str) -> list[list[float]]:
        """A list for each query, in the order of the rows."""
        found: list[list[float]] = [[] for _ in self.data.query_ids]
        for query, value in zip(rows["query"].tolist(), rows[column].tolist(), strict=True):
            found[query].append(value)
        return found


SHALLOWEST = 10
"""With no more scores than these no tail is fitted."""
NOWHERE = -1e9
"""The score of a relevant document that the corpus lacks: it is never found, but counts for the ideal."""
