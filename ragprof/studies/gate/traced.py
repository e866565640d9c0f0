"""Two profiles of traces compared, such as last week's and this week's. Nothing is paired: other questions were asked.

Every quantity of a service is a sample of traces on both sides. Means are compared by Welch's test, p50 and p95 by the
scatter of each side's own quantile; margins, verdicts and Holm's correction are those of every comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ragprof.core import in_order
from ragprof.core.errors import BadInput, Incomparable, UnknownName
from ragprof.core.quantities import KINDS, LATENCIES, Kind, Quantity, quantity
from ragprof.evals import GateMargin, GateSettings
from ragprof.evals.recorded import COSTS, RATES, SCORES
from ragprof.evals.settings import settings_of
from ragprof.evals.traced import (
    SPANS,
    TRACES,
    UNACCOUNTED,
    USAGE,
    WHOLE,
    groups_of,
    is_trace_profile,
    traced_manifest,
)
from ragprof.statistics.paired import NS_PER_MS, Effect, holm
from ragprof.statistics.power import more_queries
from ragprof.statistics.unpaired import LEAST, mean_effect, quantile_effect
from ragprof.statistics.unseen import UNIT
from ragprof.studies.gate import verdicts
from ragprof.studies.gate.comparison import gate_message
from ragprof.studies.gate.document import (
    ComparedSide,
    Comparison,
    FactDifference,
    GateResult,
    GateRow,
    GateVerdict,
    QuantityRow,
    Verdict,
)
from ragprof.studies.gate.findings import tidy

UNPAIRED = (
    "Other questions were asked on each side, and nothing is paired: a difference may be that of the questions. "
    "Compare periods with like traffic, such as the same days of two weeks."
)
FEW = f"a p95 of fewer than {LEAST['p95']} traces a side is not compared"
ONE_TRACE = "one trace has no scatter"
ALL_EQUAL = "so few traces, all of one value, have no interval"
JUDGED = "Judged"


@dataclass(frozen=True, eq=False)
class TracedSide:
    """One profile of traces. `label` is what the user called it."""

    label: str
    folder: Path

    @cached_property
    def facts(self) -> Mapping[str, object]:
        return traced_manifest(self.folder)

    @cached_property
    def config(self) -> Mapping[str, object]:
        return settings_of(self.folder)

    @cached_property
    def traces(self) -> pd.DataFrame:
        return TRACES.read(self.folder / "traces.parquet")

    @cached_property
    def pipelines(self) -> tuple[str, ...]:
        return tuple(str(each["name"]) for each in settings_of(self.folder)["pipelines"])

    @cached_property
    def unpriced(self) -> Mapping[str, Mapping[str, str]]:
        """Pipeline -> stage -> why calls of it have no price."""
        bills = RATES.read(self.folder / "rates.json")["pipelines"]
        return {
            name: {line["stage"]: f"{line['reason']} ({line['calls']} calls)" for line in bill["unpriced"]}
            for name, bill in bills.items()
        }

    @cached_property
    def groups(self) -> Mapping[str, pd.Series]:
        """Pipeline -> the number of the group that each trace is of, by its id."""
        found = {}
        for name, rows in self.traces.groupby("pipeline", observed=True):
            found[str(name)] = pd.Series(groups_of(rows), index=rows["query_id"].astype(str))
        return found

    @cached_property
    def samples(self) -> Mapping[str, Mapping[Quantity, pd.Series]]:
        """Pipeline -> quantity -> a value a trace, by its id: ms, counts, USD of 1,000 such traces, a metric."""
        found: dict[str, dict[Quantity, pd.Series]] = {name: {} for name in self.pipelines}
        self._add_times(found)
        usage = USAGE.read(self.folder / "usage.parquet")
        for (name, stage, unit), rows in usage.groupby(["pipeline", "stage", "unit"], observed=True):
            found[str(name)][Quantity("usage", str(stage), str(unit))] = _by_trace(rows, rows["count"])
        for own in found.values():
            # Only errors and retries that there were have a row; all other traces that have the stage have none.
            for calls in [each for each in own if each.name == "calls"]:
                for unit in ("errors", "retries"):
                    asked = Quantity("usage", calls.stage, unit)
                    seen = own.get(asked, own[calls].iloc[:0])
                    others = own[calls][~own[calls].index.isin(seen.index)]
                    own[asked] = pd.concat([seen, pd.Series(0.0, index=others.index)])
        self._add_costs(found)
        if (self.folder / "scores.parquet").exists():
            self._add_scores(found, SCORES.read(self.folder / "scores.parquet"))
        return found

    def _add_times(self, found: dict[str, dict[Quantity, pd.Series]]) -> None:
        spans = SPANS.read(self.folder / "spans.parquet")
        for (name, stage), rows in spans.groupby(["pipeline", "stage"], observed=True):
            if stage != UNACCOUNTED:
                values = _by_trace(rows, rows["duration_ns"] / NS_PER_MS)
                own = "" if stage == WHOLE else str(stage)
                found[str(name)] |= {Quantity("latency", own, latency): values for latency in LATENCIES}

    def _add_costs(self, found: dict[str, dict[Quantity, pd.Series]]) -> None:
        costs = COSTS.read(self.folder / "costs.parquet")
        table = costs[["pipeline", "query_id", "stage"]].assign(usd=costs["usd"].astype(float) * 1_000)
        for name, rows in table.groupby("pipeline", observed=True):
            whole = rows.groupby("query_id", observed=True)["usd"]
            found[str(name)][Quantity("cost", "", "")] = whole.sum()[whole.count() == whole.size()].rename(index=str)
            for stage, part in rows.groupby("stage", observed=True):
                priced = part[part["usd"].notna()].groupby("query_id", observed=True)["usd"].sum()
                found[str(name)][Quantity("cost", str(stage), "")] = priced.rename(index=str)

    @staticmethod
    def _add_scores(found: dict[str, dict[Quantity, pd.Series]], scores: pd.DataFrame) -> None:
        for (name, stage, metric), rows in scores.groupby(["pipeline", "stage", "metric"]):
            if not str(metric).startswith(JUDGED):
                found[str(name)][Quantity("quality", str(stage), str(metric))] = _by_trace(rows, rows["value"])
        for own in found.values():
            stages = {each.stage for each in own if each.kind == "quality"}
            final = "rerank" if "rerank" in stages else "search"
            own |= {
                Quantity("quality", "", each.name): values
                for each, values in list(own.items())
                if each.kind == "quality" and each.stage == final
            }

    @property
    def as_compared(self) -> ComparedSide:
        facts = traced_manifest(self.folder)
        version, created = str(facts["ragprof_version"]), str(facts["created"])
        return ComparedSide(self.label, "recording", {}, created, version, str(facts["recording"]), len(self.traces))


def _by_trace(rows: pd.DataFrame, values: pd.Series) -> pd.Series:
    return pd.Series(values.to_numpy(dtype=float), index=rows["query_id"].astype(str))


@dataclass(frozen=True)
class TracedRow:
    """A row and what it was made of: the effect, None where something stands in the way of one."""

    row: QuantityRow
    effect: Effect | None


def are_traced(*places: str | Path) -> bool:
    """Whether these are profiles of traces. Raises BadInput where one is and another is not."""
    found = [is_trace_profile(Path(place)) for place in places]
    if any(found) and not all(found):
        other = Path(places[found.index(False)])
        raise BadInput("the other side is a profile of traces, and this is none; compare two of a kind", file=other)
    return all(found)


def compare_traces(
    base: TracedSide,
    candidate: TracedSide,
    *,
    margins: Mapping[Kind, GateMargin] | None = None,
    pipelines: Sequence[str] | None = None,
) -> Comparison:
    """Every quantity of every common service. Raises Incomparable where they have none in common."""
    given = margins or {}
    pairs = _pairs(base, candidate, pipelines)
    asks = [
        (pair, asked, given.get(asked.kind, verdicts.DEFAULTS[asked.kind]))
        for pair in pairs
        for asked in _recorded(base, candidate, pair)
    ]
    rows = tuple(each.row for each in _rows(base, candidate, asks, alpha=verdicts.ALPHA))
    return Comparison(
        eval=str(candidate.config["name"]), title=str(candidate.config["title"]), base=base.as_compared,
        candidate=candidate.as_compared, queries=min(len(base.traces), len(candidate.traces)), same_job=False,
        differences=tuple(_differences(base, candidate)), notes=tuple(_notes(base, candidate, pairs)),
        alpha=verdicts.ALPHA, confidence=1 - verdicts.ALPHA, family=sum(row.p_holm is not None for row in rows),
        quantities=rows, paired=False,
    )  # fmt: skip


def gate_traces(base: TracedSide, candidate: TracedSide, table: GateSettings, *, strict: bool) -> Comparison:
    """The same with the verdict of [gate]. Raises UnknownName for a quantity that neither side recorded."""
    if not table.quantities:
        raise BadInput("[gate] names no quantity; add some under [gate.quantities], such as latency_p95")
    pairs = _pairs(base, candidate, None)
    asks = []
    for label, margin in table.quantities.items():
        asked, named = quantity(label), margin.pipelines or table.pipelines
        chosen = [pair for pair in pairs if named is None or {*pair} & {*named}]
        having = [pair for pair in chosen if asked in _recorded(base, candidate, pair)]
        if not having:
            known = {each.label for pair in chosen or pairs for each in _recorded(base, candidate, pair)}
            raise UnknownName("quantity of these traces", label, known)
        asks += [(pair, asked, margin) for pair in having]
    found = _rows(base, candidate, asks, alpha=table.alpha)
    family = sum(each.row.p_holm is not None for each in found)
    rows = tuple(
        _gate_row(each, margin, alpha=table.alpha, family=family)
        for each, (_, _, margin) in zip(found, asks, strict=True)
    )
    told = [row.gate for row in rows]
    gate = GateResult(verdicts.overall(told), verdicts.exit_code(told, strict=strict), strict, family, rows)
    return replace(compare_traces(base, candidate), gate=gate, alpha=table.alpha, confidence=1 - table.alpha)


def _gate_row(found: TracedRow, margin: GateMargin, *, alpha: float, family: int) -> GateRow:
    row, effect, more = found.row, found.effect, None
    told: GateVerdict = "unpriced" if row.verdict == "unpriced" else "incomparable"
    if effect is not None:
        told = verdicts.gate_verdict(row.interval, margin=row.margin, p=row.p_holm, better=row.better, alpha=alpha)
        if told == "undecided":
            beyond = effect.difference - (row.margin if row.better == "lower" else -row.margin)
            more = (
                more_queries(beyond, effect.standard_error, n=effect.spread_over, alpha=alpha / max(1, family)) or None
            )
    reason = row.reason if row.interval is None else verdicts.gate_correction(told, row, family=family)
    judged = GateRow(
        **{**vars(row), "more_queries": more, "reason": reason}, gate=told, confidence=tidy(1 - alpha),
        margin_absolute=margin.absolute, margin_relative=margin.relative, message="",
    )  # fmt: skip
    return replace(judged, message=gate_message(judged))


def _pairs(base: TracedSide, candidate: TracedSide, pipelines: Sequence[str] | None) -> list[tuple[str, str]]:
    """The services of both sides; two sides of one service each are paired whatever their names."""
    if len(base.pipelines) == len(candidate.pipelines) == 1:
        pairs = [(base.pipelines[0], candidate.pipelines[0])]
    else:
        pairs = [(name, name) for name in candidate.pipelines if name in base.pipelines]
    if not pairs:
        raise Incomparable(
            f"no service is in both '{base.label}' ({', '.join(base.pipelines)}) and '{candidate.label}' "
            f"({', '.join(candidate.pipelines)})"
        )
    for name in pipelines or ():
        if not any(name in pair for pair in pairs):
            raise UnknownName("service on both sides", name, {each for pair in pairs for each in pair})
    return [pair for pair in pairs if not pipelines or {*pair} & {*pipelines}]


def _recorded(base: TracedSide, candidate: TracedSide, pair: tuple[str, str]) -> list[Quantity]:
    """All that either side can be asked for, in the order of a report."""
    found: set[Quantity] = set()
    for side, name in zip((base, candidate), pair, strict=True):
        found |= {*side.samples[name], *(Quantity("cost", stage, "") for stage in side.unpriced.get(name, ()))}
        if side.unpriced.get(name):
            found.add(Quantity("cost", "", ""))
    stages = ["", *in_order({each.stage for each in found} - {""})]
    return sorted(found, key=lambda each: (KINDS.index(each.kind), stages.index(each.stage), each.name))


def _rows(
    base: TracedSide,
    candidate: TracedSide,
    asks: Sequence[tuple[tuple[str, str], Quantity, GateMargin]],
    *,
    alpha: float,
) -> list[TracedRow]:
    sides = (base, candidate)
    samples = [
        [side.samples[name].get(asked) for side, name in zip(sides, pair, strict=True)] for pair, asked, _ in asks
    ]
    reasons = [_obstacle(sides, *each) for each in zip(asks, samples, strict=True)]
    groups = [[side.groups.get(name) for side, name in zip(sides, pair, strict=True)] for pair, _, _ in asks]
    effects = [
        None if reason else _effect(asked, both, own, confidence=1 - alpha)
        for (_, asked, _), both, own, (_, reason) in zip(asks, samples, groups, reasons, strict=True)
    ]
    ps = {str(at): each.p for at, each in enumerate(effects) if each is not None and each.p is not None}
    corrected = holm(ps)
    return [
        _row(ask, both, obstacle, effect, corrected.get(str(at)), alpha=alpha, family=len(ps))
        for at, (ask, both, obstacle, effect) in enumerate(zip(asks, samples, reasons, effects, strict=True))
    ]


def _effect(
    asked: Quantity, both: Sequence[pd.Series | None], groups: Sequence[pd.Series | None], *, confidence: float
) -> Effect:
    """Of samples that are there. Traces that belong together count as one."""
    (base, first), (candidate, second) = (
        (each.to_numpy(dtype=float), own.reindex(each.index).to_numpy(np.int64))
        for each, own in zip(both, groups, strict=True)
        if each is not None and own is not None
    )
    if asked.kind == "latency":
        return quantile_effect(base, candidate, asked.name, seed=0, groups=(first, second), confidence=confidence)
    bounds = UNIT if asked.kind == "quality" else None
    return mean_effect(base, candidate, groups=(first, second), bounds=bounds, confidence=confidence)


def _obstacle(
    sides: tuple[TracedSide, TracedSide],
    ask: tuple[tuple[str, str], Quantity, GateMargin],
    samples: Sequence[pd.Series | None],
) -> tuple[Verdict, str]:
    """What stands in the way of a comparison, with its reason; an empty reason where nothing does."""
    pair, asked, _ = ask
    if asked.kind == "cost":
        told = [
            f"{which}: {stage}: {why}"
            for which, side, name in zip(("base", "candidate"), sides, pair, strict=True)
            for stage, why in side.unpriced.get(name, {}).items()
            if asked.stage in ("", stage)
        ]
        if told:
            return "unpriced", "; ".join(told)
    lacking = [
        which for which, each in zip(("base", "candidate"), samples, strict=True) if each is None or not len(each)
    ]
    if lacking:
        return "missing", f"the {' and the '.join(lacking)} did not record it"
    return "undecided", ""


def _row(
    ask: tuple[tuple[str, str], Quantity, GateMargin],
    samples: Sequence[pd.Series | None],
    obstacle: tuple[Verdict, str],
    effect: Effect | None,
    p_holm: float | None,
    *,
    alpha: float,
    family: int,
) -> TracedRow:
    (base_name, name), asked, margin = ask
    told, reason = obstacle
    if effect is None:
        figures = [
            None if each is None or not len(each) or told == "unpriced" else float(each.mean()) for each in samples
        ]
        base, candidate = figures if asked.kind != "latency" else (None, None)
    else:
        base, candidate = effect.base, effect.candidate
    bound = verdicts.bound(verdicts.given_tolerance(margin), base=base, unit=asked.unit)
    better = verdicts.better_of(asked, margin)
    more = None
    if effect is not None:
        told = verdicts.verdict(effect.interval, margin=bound.value, p=p_holm, better=better, alpha=alpha)
        if effect.interval is None:
            reason = FEW if asked.kind == "latency" else ONE_TRACE if effect.n == 1 else ALL_EQUAL
        reason = reason or verdicts.correction(told, effect.interval, p=p_holm, family=family)
        if told == "undecided":
            alone = alpha / max(1, family)
            more = more_queries(effect.difference, effect.standard_error, n=effect.spread_over, alpha=alone) or None
    row = QuantityRow(
        pipeline=name, base_pipeline=base_name, quantity=asked.label, kind=asked.kind, stage=asked.stage,
        name=asked.name, unit=asked.unit, better=better, primary=not asked.stage, base=_tidy(base),
        candidate=_tidy(candidate), difference=_tidy(effect.difference) if effect else None,
        interval=_span(effect.interval) if effect else None, relative=_tidy(effect.relative) if effect else None,
        relative_interval=_span(effect.relative_interval) if effect else None, p=_tidy(effect.p) if effect else None,
        p_holm=_tidy(p_holm), n=effect.n if effect else 0, margin=tidy(bound.value), margin_why=bound.why,
        verdict=told, reason=reason, more_queries=more,
    )  # fmt: skip
    return TracedRow(row, effect)


def _tidy(value: float | None) -> float | None:
    return None if value is None else tidy(value)


def _span(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if interval is None else (tidy(interval[0]), tidy(interval[1]))


def _differences(base: TracedSide, candidate: TracedSide) -> list[FactDifference]:
    """What the profiles rest on that differs; none of it keeps figures from being compared."""
    found = [("ragprof_version", base.facts["ragprof_version"], candidate.facts["ragprof_version"])]
    days = [RATES.read(side.folder / "rates.json")["on"] for side in (base, candidate)]
    found.append(("priced_on", *days))
    return [FactDifference(name, before, after, "nothing") for name, before, after in found if before != after]


def _repeats(base: TracedSide, candidate: TracedSide) -> Iterator[str]:
    """How many traces of each side are witnesses of their own, where not all are."""
    found = [(len(side.traces), sum(own.nunique() for own in side.groups.values())) for side in (base, candidate)]
    if any(traces > groups for traces, groups in found):
        told = [f"{traces:,} traces of {groups:,}" for traces, groups in found]
        yield (
            f"Traces of one question or one session count as one: base {told[0]}, candidate {told[1]} questions and "
            "sessions that are independent; intervals and p go by these."
        )


def _notes(base: TracedSide, candidate: TracedSide, pairs: Sequence[tuple[str, str]]) -> list[str]:
    notes = [UNPAIRED, *_repeats(base, candidate)]
    for before, after in pairs:
        if before != after:
            notes.append(f"'{before}' of the base is compared with '{after}' of the candidate.")
    signs = [bool(traced_manifest(side.folder)["counts"]["sampled"]) for side in (base, candidate)]
    shares = [traced_manifest(side.folder)["counts"]["kept_share"] for side in (base, candidate)]
    if any(signs) or shares != [None, None]:
        which = "both sides" if all(signs) else "one side"
        notes.append(
            f"Samplers left signs in {which}: where the sides were sampled in different ways, a difference may be the "
            "samplers'."
        )
    return notes
