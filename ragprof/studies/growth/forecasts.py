"""What is forecast beyond the largest size, and from which figures. Fits nothing itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from ragprof.core import STAGES
from ragprof.evals.recorded import BUILDS, COSTS
from ragprof.price.pricing import QUERIES, plain
from ragprof.statistics.draws import interval
from ragprof.statistics.estimates import QUANTILES, quantile_draws, rounds_of
from ragprof.studies.growth.data import BIASED, Array, GrowthData, PipelineData
from ragprof.studies.growth.extrapolation import (
    CONSTANT,
    LINEAR,
    LOG_LINEAR,
    LOGARITHMIC,
    POWER_LAW,
    Addend,
    Held,
    Predicted,
    checked,
    forecast_sum,
)
from ragprof.studies.growth.recorded import DISTRIBUTION
from ragprof.studies.growth.score_distribution import FAMILIES, expected, padded

MULTIPLES = (2, 5, 10, 20)
SCORE_DISTRIBUTION = "score distribution"
COST = "cost_usd_per_1000_queries"
UNIT_INTERVAL, POSITIVE = (0.0, 1.0), (0.0, np.inf)


SEARCHED = {"bm25s": LINEAR, "rank_bm25": LINEAR, "faiss_flat": LINEAR, "faiss_hnsw": LOGARITHMIC}
"""Store -> how the time of a search grows with the corpus. Of any other store nothing is known."""
STORED = {"faiss_flat": LINEAR, "faiss_hnsw": LINEAR}
"""Store -> how its bytes grow. The vocabulary of BM25 grows more slowly than its postings."""
BUILT = {"faiss_flat": LINEAR}


@dataclass(frozen=True)
class MeasuredSeries:
    """One quantity at rising sizes, as the sum of its parts."""

    quantity: str
    unit: str
    bounds: tuple[float, float]
    parts: tuple[Addend, ...]

    @classmethod
    def of(
        cls, quantity: str, unit: str, model: str, figures: Array, bounds: tuple[float, float] = (0.0, np.inf)
    ) -> MeasuredSeries:
        """A quantity of one part; row 0 of (1 + replicates, sizes) is what was measured."""
        return cls(quantity, unit, bounds, (Addend(model, figures[0], figures[1:]),))


def by_store(store: Mapping[str, Any], known: Mapping[str, str]) -> str:
    """The model of a store; of a fusion that of its part that grows fastest, if all of them are known."""
    inner = store.get("stores") or [store["name"]]
    found = {known.get(each if isinstance(each, str) else each["name"], POWER_LAW) for each in inner}
    return next(model for model in (POWER_LAW, LINEAR, LOGARITHMIC) if model in found)


def targets(data: GrowthData) -> list[int]:
    """The sizes that are asked for; by default multiples of the largest."""
    return list(data.settings["forecast"]) or [data.sizes()[-1] * multiple for multiple in MULTIPLES]


def forecasts(pipeline: PipelineData) -> list[dict[str, Any]]:
    """Every quantity of one pipeline, in the shape of summary.json."""
    data, lines = pipeline.data, []
    for each in measured_series(pipeline):
        found = forecast_sum(data.sizes(), each.parts, targets=targets(data), bounds=each.bounds)
        live = each.unit == "ns" and each.quantity != "build_ns"
        live |= each.quantity == COST and any(bills[pipeline.name].billed_by_time for bills in data.bills.values())
        if live and (busy := data.busy_words(pipeline.name)):
            found |= {"abstained": True, "reason": busy, "at": []}
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


def measured_series(pipeline: PipelineData) -> Iterator[MeasuredSeries]:
    """Quality and prompt tokens over queries and orders; latencies, index and cost from live timings at each size."""
    data = pipeline.data
    store = data.pipeline(pipeline.name)["store"]
    search, prompts = by_store(store, SEARCHED), data.prompts(pipeline.name, BIASED)
    if data.judged:
        figures = data.draws.means(pipeline.quality(BIASED).transpose(0, 2, 1))
        yield MeasuredSeries.of(data.metric, "", LOG_LINEAR, figures, UNIT_INTERVAL)
    yield MeasuredSeries.of("prompt_tokens", "tokens", LOG_LINEAR, data.draws.means(prompts.transpose(0, 2, 1)))
    builds = [BUILDS.read(data.size_folder(size) / "builds.parquet") for size in data.sizes()]
    stages = [stage for stage in STAGES if all((pipeline.name, stage) in timed for timed in data.live)]
    asked: list[tuple[str, str, str, str]] = [
        (stage, stage, "p50", {"search": search, "inject": LOGARITHMIC}.get(stage, CONSTANT)) for stage in stages
    ]
    asked += [("query", "end_to_end", quantile, search) for quantile in ("p50", "p95")]
    # The texts of a prompt are few, but they lie in a memory that grows: the caches hold ever less of it.
    for stage, name, quantile, model in asked:
        rounds = [rounds_of(timed[pipeline.name, stage]) for timed in data.live]
        drawn = [quantile_draws(each, [QUANTILES[quantile]], seed=data.config["seed"])[:, 0] for each in rounds]
        yield MeasuredSeries.of(f"{name}_{quantile}_ns", "ns", model, np.stack(drawn, axis=1))
    for column, quantity, unit, models in (
        ("index_bytes", "index_bytes", "bytes", STORED),
        ("duration_ns", "build_ns", "ns", BUILT),
    ):
        # Nothing is resampled: one figure per size.
        known = [table.loc[table["pipeline"] == pipeline.name, column] for table in builds]
        if any(each.isna().any() for each in known):  # an app need not tell the size of its index
            continue
        medians = [each.median() for each in known]
        yield MeasuredSeries.of(quantity, unit, by_store(store, models), np.array([medians], float))
    cost = cost_series(pipeline, search)
    if cost is not None:
        yield cost


def cost_series(pipeline: PipelineData, search: str) -> MeasuredSeries | None:
    """USD per 1,000 queries, in parts that grow alike; None where something is unpriced at some size.

    Searching grows as its time does, the prompt as its tokens do; what is paid for any other stage does not grow. A
    replicate that drew none of the timed queries has no machine time, so no total: NaN.
    """
    data, by_model = pipeline.data, {"search": search, "inject": LOG_LINEAR}
    figures: dict[str, list[Array]] = {}
    for size in data.sizes():
        costs = COSTS.read(data.size_folder(size) / "costs.parquet")
        mine = costs[costs["pipeline"] == pipeline.name]
        if mine.empty or mine["usd"].isna().any():
            return None
        items = mine.assign(usd=mine["usd"].astype(float)).pivot_table(
            index="query_id", columns=["stage", "item"], values="usd", aggfunc="sum"
        )
        # What each item costs each query; NaN where the query was not timed.
        drawn = data.draws.means(items.reindex(list(data.query_ids)).to_numpy(float)) * QUERIES
        models = np.array([by_model.get(column[0], CONSTANT) for column in items.columns.tolist()])
        for model in dict.fromkeys(models.tolist()):
            figures.setdefault(model, []).append(drawn[:, models == model].sum(axis=1))
    whole = [
        Addend(model, found[0], found[1:]) for model, each in figures.items() if (found := np.stack(each, axis=1)).any()
    ]
    if any(len(each) != len(data.sizes()) for each in figures.values()) or not whole:
        return None
    return MeasuredSeries(COST, "usd", POSITIVE, tuple(whole))


def _as_money(line: dict[str, Any]) -> dict[str, Any]:
    """The same with money as decimal strings."""

    def written(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [written(end) for end in value]
        return None if value is None else plain(Decimal(repr(float(value))))

    def priced(each: dict[str, Any]) -> dict[str, Any]:
        return {key: value if key == "size" else written(value) for key, value in each.items()}

    before = line.get("held_out_before")
    line = line if before is None else {**line, "held_out_before": priced(before)}
    return {**line, "held_out": priced(line["held_out"]), "at": [priced(each) for each in line["at"]]}


def _by_score_distribution(pipeline: PipelineData) -> dict[str, Any] | None:
    """Quality of an exact dense search by the distribution of its scores; None where it was not recorded.

    None too where the metric looks deeper than the pipeline does: the model knows of no such end.
    """
    data = pipeline.data
    path = data.folder / "distributions" / f"{pipeline.name}.parquet"
    family, _, cutoff = data.metric.partition("@")
    if not path.exists() or family not in FAMILIES or len(data.sizes()) < 2:
        return None
    found = Distribution(data, DISTRIBUTION.read(path), family, int(cutoff))
    if found.depth() <= max(int(cutoff), SHALLOWEST) or int(cutoff) > data.pipeline(pipeline.name)["depth"]:
        return None
    sizes, quality = data.sizes(), pipeline.quality(BIASED)
    held = []
    recorded = set(found.table["size"])  # the scores of others are kept of the largest sizes alone
    for last in [last for last in (len(sizes) - 1, len(sizes) - 2) if last > 0 and sizes[last - 1] in recorded]:
        said = found.values(sizes[last - 1], sizes[last])
        predicted, measured = (data.draws.means(each[..., None])[:, 0] for each in (said, quality[:, last]))
        there = _predicted(data, said, sizes[last])
        held.append(Held(there, float(measured[0]), sizes[last - 1], (predicted - measured)[1:]))
    at = [_predicted(data, found.values(sizes[-1], size), size) for size in targets(data)]
    answer = checked(SCORE_DISTRIBUTION, held, at=at, bounds=UNIT_INTERVAL)
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
