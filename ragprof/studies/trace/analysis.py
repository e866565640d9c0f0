"""Tables of a trace profile in, one section out. Runs nothing; every figure is over traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ragprof.core import STAGES, Estimate
from ragprof.core.collecting import give_back_large_blocks
from ragprof.core.errors import BadInput
from ragprof.core.recorded import PRICED, RecordedTable, refuse_replaced
from ragprof.evals.recorded import RATES
from ragprof.evals.settings import settings_of
from ragprof.evals.traced import CALLS, SPANS, TRACES, UNACCOUNTED, USAGE, WHOLE, groups_of, traced_manifest
from ragprof.price.pricing import EXACT, QUERIES, plain
from ragprof.statistics.estimates import latency_quantiles
from ragprof.statistics.grouped import grouped_latency, grouped_mean, grouped_share
from ragprof.studies.contract import AppliedRate, CostFigures, EstimateValue, Latency
from ragprof.studies.trace import effects, words
from ragprof.studies.trace.section import (
    SamplingSigns,
    SlowTrace,
    SourceFacts,
    TracedDay,
    TracedModel,
    TracedMoney,
    TracedPipeline,
    TracedTokens,
    TraceSection,
)

SLOWEST = 10


def analyse(folder: Path) -> TraceSection:
    """Return the section of a recorded and priced trace profile. Raises BadInput where a file of it is missing."""
    give_back_large_blocks()
    manifest, config = traced_manifest(folder), settings_of(folder)
    rates = RATES.read(folder / "rates.json")
    traces = TRACES.read(folder / "traces.parquet")
    ids = pd.CategoricalDtype(traces["query_id"].tolist())
    traces = traces.assign(query_id=range(len(traces)))
    names = [each["name"] for each in config["pipelines"]]
    own = {name: _in_rounds(traces[traces["pipeline"] == name]) for name in names}
    scores, monthly = effects.scores_of_traces(folder), rates["queries_per_month"]
    # A table at a time is in memory: each of a million spans takes a hundred megabytes.
    figures = [
        _times(_numbered(SPANS, folder / "spans.parquet", ids), own, ids),
        _used(_numbered(USAGE, folder / "usage.parquet", ids), own),
        _called(_numbered(CALLS, folder / "calls.parquet", ids), names),
        {
            name: {"money": _money(_costs(folder, name, own[name], ids), bill, monthly=monthly, traces=own[name])}
            for name, bill in rates["pipelines"].items()
        },
        {name: _of_traces(rows, scores[scores["pipeline"] == name], ids) for name, rows in own.items()},
    ]
    pipelines = {
        name: TracedPipeline(**{field: value for part in figures for field, value in part[name].items()})
        for name in names
    }
    counts = dict(manifest["counts"])
    starts = traces["start_ns"]
    section = TraceSection(
        sources=tuple(SourceFacts(**source) for source in manifest["sources"]),
        first=stamp(int(starts.min())), last=stamp(int(starts.max())),
        **{name: counts[name] for name in (
            "spans", "traces", "without_stage", "rootless", "unfinished", "repeated", "skewed",
        )},
        asked_again=counts.get("asked_again", 0), renamed=counts.get("renamed", {}),
        sampling=SamplingSigns(attributes=counts["sampled"], kept_share=counts["kept_share"]),
        pipelines=pipelines, questions=config.get("questions"),
        rates=tuple(AppliedRate(name=name, **rate) for name, rate in rates["rates"].items()),
        headline=(), warnings=(), method=words.METHOD, limits=words.LIMITS,
    )  # fmt: skip
    told = {"headline": tuple(words.headline(section)), "warnings": tuple(words.warnings(section))}
    return section.model_copy(update=told)


def _in_rounds(traces: pd.DataFrame) -> pd.DataFrame:
    """The traces of a pipeline with the columns `asked` and `round`: which query each is of, and its how manieth; and
    `group`, which says what traces are of one question or session, so that intervals go by these.

    A recording of ragprof asks each query in several rounds: its figures are over queries, as in the recording. Where
    some trace does not tell which query it asked, each trace is counted for itself.
    """
    traces = traces.assign(group=groups_of(traces))
    if "asked" not in traces or traces["asked"].isna().any():
        return traces.assign(asked=traces["query_id"], round=0)
    ordered = traces.sort_values("start_ns", kind="stable")
    rounds = ordered.groupby("asked", observed=True, sort=False).cumcount()
    return traces.assign(asked=pd.factorize(traces["asked"], sort=True)[0], round=rounds.reindex(traces.index))


def _once(traces: pd.DataFrame) -> pd.DataFrame:
    """One trace of each question: what it did is the same in every round."""
    return traces[traces["round"] == 0]


Fields: TypeAlias = dict[str, Any]
"""Some fields of `TracedPipeline`."""


def _numbered(kind: RecordedTable, path: Path, ids: pd.CategoricalDtype) -> pd.DataFrame:
    """A table with the places of its traces in `ids` instead of their ids, whose texts would fill the memory."""
    table = kind.read(path).drop(columns=["phase", "start_ns"], errors="ignore")
    table["query_id"] = table["query_id"].astype(ids).cat.codes.astype("int32")
    pa.default_memory_pool().release_unused()
    give_back_large_blocks()
    return table


def _times(spans: pd.DataFrame, traces: Mapping[str, pd.DataFrame], ids: pd.CategoricalDtype) -> dict[str, Fields]:
    """What spans tell of time, by pipeline."""
    found = {}
    for name, own in traces.items():
        mine = spans if len(traces) == 1 else spans[spans["pipeline"] == name]
        by_stage = {str(stage): rows for stage, rows in mine.groupby("stage", observed=True)}
        whole = by_stage.pop(WHOLE, None)
        stages = _in_order(by_stage)
        timed = np.zeros(len(ids.categories), bool)
        if whole is not None:
            timed[whole["query_id"]] = True
        more, means = np.zeros(len(timed)), {}
        for stage, rows in stages.items():
            is_timed = timed[rows["query_id"]]
            numbers, path = rows["query_id"].to_numpy()[is_timed], rows["path_ns"].to_numpy(dtype=float)[is_timed]
            more[numbers] += rows["duration_ns"].to_numpy()[is_timed] - path
            if timed.any():
                means[stage] = round(float(path.sum()) / int(timed.sum()))
        told = {stage: rows for stage, rows in stages.items() if stage != UNACCOUNTED}
        overlapping = int((more > 0).sum())
        paths = {stage: rows[timed[rows["query_id"]]] for stage, rows in told.items()} if overlapping else {}
        found[name] = {
            "end_to_end": None if whole is None else latency(whole, own),
            "stages": {stage: latency(rows, own) for stage, rows in told.items()},
            "path": {
                stage: latency(rows.assign(duration_ns=rows["path_ns"]), own)
                for stage, rows in paths.items()
                if len(rows)
            },
            "in_traces": {stage: len(rows) / len(own) for stage, rows in told.items()},
            "mean_path_ns": means, "overlapping": overlapping,
            "reranker": effects.reranker_activity(_once(own), stages.get("rerank"), whole),
            "slowest": _slowest(own, mine, ids),
        }  # fmt: skip
    return found


def _used(usage: pd.DataFrame, traces: Mapping[str, pd.DataFrame]) -> dict[str, Fields]:
    """What stages did, by pipeline, and what of it falls on each day."""
    found = {}
    for name, own in traces.items():
        mine = usage if len(traces) == 1 else usage[usage["pipeline"] == name]
        totals = mine.groupby(["stage", "unit"], observed=True)["count"].sum().reset_index()
        found[name] = {
            "errors": _counts(mine, "errors"), "retries": _counts(mine, "retries"), "tokens": _tokens(mine, _once(own)),
            "usage_per_trace": {
                f"{stage}.{unit}": float(total) / len(own)
                for stage, unit, total in zip(*(totals[key] for key in ("stage", "unit", "count")), strict=True)
            },
            "days": _days(own, mine),
        }  # fmt: skip
    return found


def _called(calls: pd.DataFrame, names: Sequence[str]) -> dict[str, Fields]:
    return {name: {"models": _models(calls[calls["pipeline"] == name])} for name in names}


def _of_traces(traces: pd.DataFrame, scores: pd.DataFrame, ids: pd.CategoricalDtype) -> Fields:
    """What the table of traces and their scores tell of one pipeline."""
    first, once = traces[traces["first_token_ns"].notna()], _once(traces)
    if not scores.empty:
        groups = once["group"].set_axis(ids.categories[once["query_id"]])
        scores = scores[scores["query_id"].isin(groups.index)]
        scores = scores.assign(group=groups.loc[scores["query_id"]].to_numpy())
    return {
        "traces": len(traces), "independent": traces["group"].nunique(),
        "first_token": None if first.empty else latency(first.assign(duration_ns=first["first_token_ns"]), traces),
        "failed": EstimateValue.of(grouped_share(once["failed"].to_numpy(bool), once["group"].to_numpy())),
        "shrink": effects.shrink_candidates(once), "drift": tuple(effects.drift(traces)),
        "judged": 0 if scores.empty else scores["query_id"].nunique(),
        "foreign_ids": int(once["question"].notna().sum()) if scores.empty else 0, "scores": effects.quality(scores),
    }  # fmt: skip


def latency(rows: pd.DataFrame, traces: pd.DataFrame) -> Latency:
    """Quantiles of duration_ns over traces, with intervals over questions and sessions or a recording's queries."""
    asked = traces.set_index("query_id")
    if traces["round"].any():
        place = asked.index.get_indexer(pd.Index(rows["query_id"]))
        rows = rows.assign(query_id=asked["asked"].to_numpy()[place], round=asked["round"].to_numpy()[place])
        return Latency(**latency_quantiles(rows, seed=0))
    return Latency(**grouped_latency(rows, asked["group"]))


def stamp(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _in_order(by_stage: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The five stages in the order in which a query meets them, then the others by the time that they take."""
    rest = sorted((stage for stage in by_stage if stage not in STAGES),
                  key=lambda stage: (stage == UNACCOUNTED, -float(by_stage[stage]["duration_ns"].sum())))  # fmt: skip
    return {stage: by_stage[stage] for stage in (*STAGES, *rest) if stage in by_stage}


def _counts(usage: pd.DataFrame, unit: str) -> dict[str, int]:
    rows = usage[usage["unit"] == unit]
    found = rows.groupby("stage", observed=True)["count"].sum()
    return {stage: int(found[stage]) for stage in STAGES if found.get(stage, 0)}


def _tokens(usage: pd.DataFrame, once: pd.DataFrame) -> dict[str, TracedTokens]:
    """Totals, and means over the traces that tell their tokens, each query once."""
    told = usage[usage["unit"].isin(["input_tokens", "output_tokens", "cached_tokens"])]
    groups, found = once.set_index("query_id")["group"], {}
    for (stage, unit), rows in told.groupby(["stage", "unit"], observed=True):
        if len(rows):
            own = rows[rows["query_id"].isin(groups.index)].sort_values("query_id")
            mean = grouped_mean(own["count"].to_numpy(), groups.loc[own["query_id"]].to_numpy(), bounds=None)
            found[f"{stage}.{unit}"] = TracedTokens(
                total=int(rows["count"].sum()), per_trace=EstimateValue.of(mean)
            )  # fmt: skip
    return found


class TraceCosts:
    """What the calls of one pipeline cost: exact sums by stage, and a bill a trace where all of it has a price."""

    def __init__(self, stages: dict[str, Decimal], bills: pd.Series, by_stage: Mapping[str, pd.Series]) -> None:
        self.stages, self.bills, self.by_stage = stages, bills, by_stage


def _costs(folder: Path, name: str, traces: pd.DataFrame, ids: pd.CategoricalDtype) -> TraceCosts:
    """Read costs.parquet by columns: as Python's objects a million decimals would take a hundred megabytes.

    Sums are over all traces, bills of one of each question.
    """
    path = folder / "costs.parquet"
    try:
        table = pq.read_table(path, columns=["pipeline", "query_id", "stage", "usd"])
    except (OSError, ValueError, pa.ArrowException) as failure:
        raise BadInput(f"not a readable table of costs ({failure}); {PRICED}", file=path) from None
    refuse_replaced(path, PRICED)
    table = table.unify_dictionaries()
    table = table.filter(pc.equal(table["pipeline"], name))
    stages, by_stage = {}, {}
    with localcontext(EXACT):
        for stage in pc.unique(table["stage"]).to_pylist():
            rows = table.filter(pc.equal(table["stage"], stage))
            total = pc.sum(rows["usd"]).as_py()
            if total is not None:
                stages[str(stage)] = total
            by_stage[str(stage)] = rows
    if traces["round"].any():
        once = pa.array(ids.categories[_once(traces)["query_id"]], pa.string())
        table, *parts = (
            each.filter(pc.is_in(pc.cast(each["query_id"], pa.string()), once)) for each in (table, *by_stage.values())
        )
        by_stage = dict(zip(by_stage, parts, strict=True))
    bills = partial(_by_trace, ids=ids if traces["group"].nunique() < len(traces) else None)
    found = TraceCosts(stages, bills(table), {stage: bills(rows) for stage, rows in by_stage.items()})
    del table, by_stage
    pa.default_memory_pool().release_unused()
    give_back_large_blocks()
    return found


def _by_trace(table: Any, *, ids: pd.CategoricalDtype | None) -> pd.Series:
    """USD a trace, of the traces of which every row has a price. Traces are numbered by `ids`, else in no order."""
    own = table["query_id"].unify_dictionaries().combine_chunks() if len(table) else None
    numbers = [] if own is None else own.indices.to_numpy()
    if ids is not None and own is not None:
        numbers = ids.categories.get_indexer(pd.Index(own.dictionary.to_pylist()))[numbers]
    frame = pd.DataFrame({"trace": numbers, "usd": pc.cast(table["usd"], "float64").to_numpy()})
    grouped = frame.groupby("trace")["usd"]
    return grouped.sum()[grouped.count() == grouped.size()]


def _money(costs: TraceCosts, bill: Mapping[str, Any], *, monthly: int | None, traces: pd.DataFrame) -> TracedMoney:
    calls = bill["calls"]
    known = calls["priced"] + calls["reported"]
    total = sum(calls.values())
    reasons = [f"{line['stage']}: {line['reason']} ({int(line['calls']):,})" for line in bill["unpriced"]]

    once, number = _once(traces), len(traces)
    asked = len(once)

    def of_all(bills: pd.Series) -> Estimate:
        """Where everything has a price, a trace without such a call costs nothing. Each query counts once."""
        if once["group"].is_unique:
            missing = 0 if calls["unpriced"] else max(0, asked - len(bills))
            return grouped_mean(np.pad(bills.to_numpy(), (0, missing)), np.arange(len(bills) + missing), bounds=None)
        paid = once[["query_id", "group"]].assign(usd=once["query_id"].map(bills))
        paid = paid[paid["usd"].notna()] if calls["unpriced"] else paid.fillna({"usd": 0.0})
        return grouped_mean(paid["usd"].to_numpy(), paid["group"].to_numpy(), bounds=None)

    whole = of_all(costs.bills) if len(costs.bills) else None
    intervals = {stage: of_all(rows) for stage, rows in costs.by_stage.items() if len(rows)}
    with localcontext(EXACT):
        spent = sum(costs.stages.values(), Decimal(0))
    per_1000 = CostFigures(
        total=None if whole is None or whole.mean is None or calls["unpriced"] else _usd(whole.mean * QUERIES),
        interval=None if whole is None or whole.interval is None or calls["unpriced"] else _ends(whole.interval),
        priced_subtotal=plain(spent / number * QUERIES),
        **{stage: plain(usd / number * QUERIES) for stage, usd in costs.stages.items()},
        stage_intervals={
            stage: None if found.interval is None or found.n < asked else _ends(found.interval)
            for stage, found in intervals.items()
        },
        unpriced=tuple(reasons),
        per_month=None if calls["unpriced"] or not monthly else plain(spent / number * monthly),
    )  # fmt: skip
    return TracedMoney(
        total_usd=plain(spent), stages_usd={stage: plain(usd) for stage, usd in costs.stages.items()},
        calls=total, priced=calls["priced"], reported=calls["reported"], unpriced=calls["unpriced"],
        priced_share=known / total if total else None, reasons=tuple(reasons), per_1000_traces=per_1000,
    )  # fmt: skip


def _usd(value: float) -> str:
    return plain(Decimal(repr(value)))


def _ends(interval: tuple[float, float]) -> tuple[str, str]:
    low, high = (_usd(end * QUERIES) for end in interval)
    return low, high


def _models(calls: pd.DataFrame) -> tuple[TracedModel, ...]:
    """Each model of each stage, most calls first."""
    grouped = calls.groupby(["stage", "provider", "model"], observed=True)
    found = [
        TracedModel(
            stage=str(stage), provider=str(provider), model=str(model), calls=len(rows),
            **{name: int(rows[name].sum()) for name in ("input_tokens", "output_tokens", "docs")},
        )
        for (stage, provider, model), rows in grouped
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda each: (STAGES.index(each.stage), -each.calls)))


def _slowest(traces: pd.DataFrame, spans: pd.DataFrame, ids: pd.CategoricalDtype) -> tuple[SlowTrace, ...]:
    slow = traces[traces["duration_ns"].notna()].nlargest(SLOWEST, "duration_ns")
    parts = spans[spans["query_id"].isin(slow["query_id"].tolist()) & (spans["stage"] != WHOLE)]
    most: dict[int, tuple[int, str]] = {}
    for key, stage, ns in zip(*(parts[name].tolist() for name in ("query_id", "stage", "path_ns")), strict=True):
        if ns == ns and ns > most.get(key, (-1, ""))[0]:  # noqa: PLR0124 (not NaN)
            most[key] = int(ns), stage
    found = []
    for row in slow.to_dict("records"):
        ns, stage = most.get(row["query_id"], (0, UNACCOUNTED))
        numbers = {name: int(row[name]) for name in ("duration_ns", "errors", "retries")}
        found.append(
            SlowTrace(
                trace_id=str(ids.categories[row["query_id"]]), name=row["name"],
                start=stamp(int(row["start_ns"])), stage=stage, stage_ns=ns, **numbers,
            )
        )  # fmt: skip
    return tuple(found)


def _days(traces: pd.DataFrame, usage: pd.DataFrame) -> tuple[TracedDay, ...]:
    """Figures by day in UTC, in order."""
    tokens = usage[usage["unit"].isin(["input_tokens", "output_tokens"])]
    per_trace = tokens.groupby("query_id")["count"].sum()
    found = []
    for day, rows in traces.groupby(traces["start_ns"] // effects.NS_PER_DAY):
        timed = rows[rows["duration_ns"].notna()]
        spent = per_trace.reindex(rows["query_id"]).dropna()
        quantiles = grouped_latency(timed.assign(round=0), timed.set_index("query_id")["group"]) if len(timed) else {}
        found.append(TracedDay(
            day=stamp(int(day) * effects.NS_PER_DAY)[:10], traces=len(rows),
            **{name: quantiles.get(name) for name in ("p50_ns", "p50_interval_ns", "p95_ns", "p95_interval_ns")},
            failed=EstimateValue.of(grouped_share(rows["failed"].to_numpy(bool), rows["group"].to_numpy())),
            tokens=float(np.mean(spent)) if len(spent) else None,
        ))  # fmt: skip
    return tuple(found)
