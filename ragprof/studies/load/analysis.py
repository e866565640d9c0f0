"""Analyses a load recording: capacity, what is full first, what lies beyond, money at the promise, and verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import numpy as np

from ragprof.evals import unpriced
from ragprof.evals.load import LoadSettings, Promise
from ragprof.evals.settings import settings_of
from ragprof.record.belonging import Basis, rests_alike
from ragprof.statistics.estimates import QUANTILES
from ragprof.studies.contract import EstimateValue
from ragprof.studies.load import models
from ragprof.studies.load.batches import with_gains
from ragprof.studies.load.capacity import breaks, estimate
from ragprof.studies.load.economics import LoadTraffic, money_of
from ragprof.studies.load.measured import MeasuredStep
from ragprof.studies.load.money_section import LoadProvider
from ragprof.studies.load.own_or_api import own_or_api
from ragprof.studies.load.prefix_costs import prefixes_of
from ragprof.studies.load.providers import providers_of
from ragprof.studies.load.recorded import (
    BESIDE,
    BESIDE_FILE,
    BILLS,
    MANIFEST,
    REQUESTS,
    STEP,
    RecordedStep,
    RecordedTarget,
)
from ragprof.studies.load.requests import OK, OUTCOMES
from ragprof.studies.load.section import (
    Fitted,
    Keeps,
    LoadBatching,
    LoadBeyond,
    LoadCapacity,
    LoadFit,
    LoadPromise,
    LoadQuantile,
    LoadRecovery,
    LoadSaturation,
    LoadSection,
    LoadStage,
    LoadStep,
    LoadTarget,
    LoadWaits,
)
from ragprof.studies.load.verdicts import verdicts_of
from ragprof.studies.load.words import statements_of

FULL = 0.9
"""Workers, or cores, that are busy for so much of the time have no room: waiting grows with 1 / (1 - share)."""
PLATEAU, COLLAPSE = 0.9, 0.6


def is_loaded(folder: Path) -> bool:
    """Whether a load recording is there, ended or interrupted."""
    return (folder / "load" / "manifest.json").exists()


def load_belongs(folder: Path, manifest: Mapping[str, Any], _judgement: Mapping[str, Any]) -> bool:
    """Whether it is of the same corpus, questions and pipelines as the recording that it lies in, on such a machine."""
    own = MANIFEST.read(folder / "load" / "manifest.json")
    basis = Basis(
        corpus=own["corpus"]["sha256"], questions=own["questions"], pipelines=unpriced(own["config"]["pipelines"]),
        identities=own["identities"], cpu=own["environment"]["cpu"],
    )  # fmt: skip
    return rests_alike(basis, manifest)


@dataclass(frozen=True)
class TargetData:
    """The steps of one target as they were measured."""

    facts: RecordedTarget
    place: Path
    promise: Promise
    cores: int
    seed: int

    @cached_property
    def steps(self) -> list[MeasuredStep]:
        """In the order in which they ran."""
        found = []
        for key in self.facts["steps"]:
            step = cast(RecordedStep, STEP.read(self.place / f"{key}.json"))
            found.append(MeasuredStep.of(step, REQUESTS.read(self.place / f"{key}.parquet"), seed=self.seed))
        return found

    def of(self, purpose: str) -> list[MeasuredStep]:
        return [each for each in self.steps if each.steps[0]["purpose"] == purpose]

    @cached_property
    def alone(self) -> MeasuredStep | None:
        return next(iter(self.of("alone")), None)

    @cached_property
    def joined(self) -> list[MeasuredStep]:
        """Repetitions of one rate, or of one number of requests under way, as one; rising."""

        def key(step: MeasuredStep) -> tuple[str, str, float, int]:
            first = step.steps[0]
            return first["purpose"], first["mode"], first["rate"] or 0.0, first["concurrency"] or 0

        found = []
        for _, same in groupby(sorted(self.steps, key=key), key):
            whole, *more = list(same)
            for each in more:
                whole = whole.joined(each)
            if whole.n:
                found.append(whole)
        return found

    @cached_property
    def stages_alone(self) -> dict[str, float]:
        return self.alone.stage_means() if self.alone is not None else {}


def analyse(folder: Path) -> LoadSection:
    """The section of the summary. Raises BadInput where a file is missing."""
    place = folder / "load"
    manifest, config = MANIFEST.read(place / "manifest.json"), settings_of(folder)
    money = BILLS.read(place / "costs.json")
    bills = money["bills"]
    recorded = LoadSettings.model_validate(manifest["settings"])
    now = LoadSettings.model_validate(config.get("load") or {})
    promise = recorded.slo
    traffic = LoadTraffic.of(config, now.profile, manifest["trace_peak"])
    targets = []
    for number, facts in enumerate(manifest["targets"]):
        data = TargetData(cast(RecordedTarget, facts), place / str(number), promise, manifest["cores"], recorded.seed)
        targets.append(_target(data, bills[facts["name"]], traffic))
    section = LoadSection(
        promise=LoadPromise(
            level=promise.level, ms=promise.ms, of_first_token=promise.of_first_token, error_rate=promise.error_rate
        ),
        arrivals=recorded.arrivals,
        workers=recorded.workers or manifest["cores"],
        cores=manifest["cores"],
        queries=len(manifest["query_ids"]),
        passages=manifest["corpus"]["docs"],
        interrupted=manifest["interrupted"],
        profile=traffic.profile,
        peak=traffic.peak,
        queries_per_month=traffic.queries_per_month,
        usd_per_question=None if traffic.earned is None else str(traffic.earned),
        targets=targets,
        verdicts=[],
        own_or_api=own_or_api(targets, money.get("api", []), config, traffic),
        providers=providers_of(folder, config, targets, _beside(place)),
        prefixes=prefixes_of(place, money.get("prefixes", []), config, recorded.seed),
        statements=[],
    )
    section = section.model_copy(update={"targets": with_gains(section.targets)})
    section = section.model_copy(update={"verdicts": verdicts_of(section, folder)})
    return section.model_copy(update={"statements": statements_of(section)})


def _beside(place: Path) -> list[LoadProvider]:
    """What other recordings met, as it was read when this one was made."""
    path = place / BESIDE_FILE
    return [LoadProvider.model_validate(each) for each in BESIDE.read(path)["providers"]] if path.exists() else []


def _target(data: TargetData, bill: Mapping[str, Any], traffic: LoadTraffic) -> LoadTarget:
    facts = data.facts
    trials = [step for step in data.steps if step.steps[0]["mode"] == "open" and step.steps[0]["purpose"] != "burst"]
    found = estimate([step for step in trials if step.steps[0]["purpose"] != "beyond"], data.promise, alone=data.alone)
    steps = [_step(data, each) for each in data.joined]
    opened = [each.goodput for each in steps if each.mode == "open" and each.purpose != "burst"]
    return LoadTarget(
        name=facts["name"],
        pipeline=facts["pipeline"],
        kind=facts["kind"],
        workers=facts["workers"],
        depth=facts["depth"],
        reranked=facts["reranked"],
        batching=LoadBatching(**facts["batching"]) if "batching" in facts else None,
        only=facts.get("only"),
        ended=facts["ended"],
        capacity=LoadCapacity(
            status=found.status, per_second=found.rate, interval=found.interval, tried=len(data.of("capacity"))
        ),
        goodput=max(opened, default=None),
        steps=steps,
        saturation=_saturation(data, steps),
        fits=_fits(data),
        beyond=_beyond(data, found.rate),
        recovery=_recovery(data),
        money=money_of(found, bill, traffic),
    )


def _quantile(step: MeasuredStep, name: str) -> LoadQuantile:
    found = step.estimate(name)
    span = None if found.interval is None else (round(found.interval[0]), round(found.interval[1]))
    return LoadQuantile(ns=None if found.mean is None else round(found.mean), interval_ns=span)


def _step(data: TargetData, step: MeasuredStep) -> LoadStep:
    first, bound_ns, workers = step.steps[0], data.promise.ms * 1e6, data.facts["workers"]
    held, counts = step.held(), step.table["outcome"].value_counts()
    stages = {}
    pool = None if workers is None else step.pool_share(first["concurrency"] or workers)
    means = step.stage_means()
    for stage, mean in means.items():
        alone = data.stages_alone.get(stage)
        stages[stage] = LoadStage(
            mean_ns=round(mean),
            alone_ns=None if alone is None else round(alone),
            waiting_ns=None if alone is None else max(0, round(mean - alone)),
            share=None if pool is None or not held else pool * mean / held,
        )
    machine, wall = [each["machine_ns"] for each in step.steps], sum(each["wall_ns"] for each in step.steps)
    late, queued, batched = step.late(), step.queued(), step.batched()
    return LoadStep(
        purpose=first["purpose"],
        mode=first["mode"],
        rate=first["rate"],
        concurrency=first["concurrency"],
        seconds=step.seconds,
        requests=step.n,
        offered=step.offered,
        answered=step.answered,
        goodput=step.promised(data.promise).goodput(bound_ns),
        p50=_quantile(step, "p50"),
        p95=_quantile(step, "p95"),
        p99=_quantile(step, "p99"),
        first_p50=_quantile(step.as_first, "p50") if step.tells_first else None,
        first_p95=_quantile(step.as_first, "p95") if step.tells_first else None,
        first_p99=_quantile(step.as_first, "p99") if step.tells_first else None,
        used=_summed(each.get("used", {}) for each in step.steps),
        failed=EstimateValue.of(step.failures()),
        outcomes={name: int(counts[name]) for name in OUTCOMES if name in counts},
        retry_after=sum(each["retry_after"] for each in step.steps),
        said=_summed(each["said"] for each in step.steps),
        late_p50_ns=None if late.mean is None else round(late.mean),
        generator_bound=step.generator_bound,
        unsteady=step.unsteady,
        stages=stages,
        queue_ns=None if queued is None else round(queued),
        batch_ns=None if batched is None else round(batched[0]),
        batch_size=None if batched is None else batched[1],
        waits=_waits(
            step, held, means, batch=0.0 if batched is None else batched[0], http=data.facts["kind"] == "http"
        ),
        held_ns=None if held is None else round(held),
        pool_share=pool,
        cores_share=None if None in machine else sum(each or 0 for each in machine) / (data.cores * wall),
        others_share=others_share(step, data),
        keeps=_keeps(step, data.promise),
    )


def _waits(
    step: MeasuredStep, held: float | None, stages: Mapping[str, float], *, batch: float, http: bool
) -> LoadWaits:
    """What a request waited for while it held its worker, or its connection."""
    if held is None:
        return LoadWaits()
    if http:
        return LoadWaits(in_service_ns=max(0, round(held - sum(stages.values()))) if stages else None)
    known = step.on_cores()
    if known is None:
        return LoadWaits()
    ran, waited = known
    asleep = max(0.0, held - ran - waited - batch)
    return LoadWaits(on_core_ns=round(ran), for_core_ns=round(waited), for_others_ns=round(asleep))


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return dict(sum((Counter(each) for each in counts), Counter()))


def others_share(step: MeasuredStep, data: TargetData) -> float | None:
    """Of the cores, by other processes; None behind HTTP and in a pool of processes: those may be the target's own."""
    both = [(each["machine_ns"], each["cpu_ns"], each["wall_ns"]) for each in step.steps]
    if data.facts["kind"] in ("http", "processes") or any(machine is None or own is None for machine, own, _ in both):
        return None
    others = sum(max(0, (machine or 0) - (own or 0)) for machine, own, _ in both)
    return min(1.0, others / (data.cores * sum(wall for _, _, wall in both)))


def _keeps(step: MeasuredStep, promise: Promise) -> Keeps:
    """By the whole interval; a step that was cut off, or of which too many surely failed, broke it."""
    found, failed = step.promised(promise).estimate(promise.level), step.failures()
    too_many = failed.interval is not None and failed.interval[0] > promise.error_rate
    if too_many or any(each["stopped"] for each in step.steps):
        return "broken"
    if found.interval is None:
        return "undecided"
    low, high = (end / 1e6 for end in found.interval)
    return "broken" if low > promise.ms else "kept" if high <= promise.ms and not breaks(step, promise) else "undecided"


def _saturation(data: TargetData, steps: Sequence[LoadStep]) -> LoadSaturation | None:
    """What was full first as the rate rose, and the stage that takes most of it in the highest step."""
    opened = sorted((each for each in steps if each.mode == "open" and each.purpose != "burst"), key=_offered)
    if not opened:
        return None
    highest = opened[-1]
    if data.facts["kind"] == "http":
        added = {name: stage.waiting_ns or 0 for name, stage in highest.stages.items()}
        most = max(added, key=added.__getitem__, default=None)
        share = added[most] / sum(added.values()) if most and sum(added.values()) else None
        return LoadSaturation(
            what="service", stage=most if share else None, stage_share=share, from_rate=None, full_at=None
        )
    by_pool = next((each for each in opened if (each.pool_share or 0) >= FULL), None)
    by_cores = next((each for each in opened if (each.cores_share or 0) >= FULL), None)
    cores_first = by_cores is not None and (by_pool is None or by_cores.offered < by_pool.offered)
    first = by_cores if cores_first else by_pool
    shown = first or highest
    shares = {name: stage.mean_ns for name, stage in shown.stages.items()}
    most = max(shares, key=shares.__getitem__, default=None)
    whole = max(sum(shares.values()), shown.held_ns or 0)
    kept = [each for each in opened if each.keeps == "kept" and each.held_ns] or opened[:1]
    held, workers = kept[-1].held_ns, data.facts["workers"] or 1
    return LoadSaturation(
        what="cores" if cores_first else "workers",
        stage=most,
        stage_share=shares[most] / whole if most and whole else None,
        from_rate=None if first is None else first.offered,
        full_at=None if not held else workers * 1e9 / held,
    )


def _offered(step: LoadStep) -> float:
    return step.offered


def _fits(data: TargetData) -> list[LoadFit]:
    found = []
    curve = [each for each in data.joined if each.steps[0]["purpose"] == "curve" and not breaks(each, data.promise)]
    if data.promise.of_first_token:  # a queue of whole answers tells nothing of when they begin
        curve = []
    points = [models.RatePoint(each.offered, value, each.estimate(data.promise.level).interval)
              for each in curve if (value := each.quantile(QUANTILES[data.promise.level])) is not None]  # fmt: skip
    if curve:
        lowest = min(curve, key=lambda each: each.offered)
        sent = lowest.table[(lowest.table["outcome"] == OK) & lowest.table["sent_ns"].notna()]
        services = (sent["ended_ns"] - sent["sent_ns"]).to_numpy(float)
        level = QUANTILES[data.promise.level]
        queue = models.queue_fit(services, points, level, servers=data.facts["workers"], seed=data.seed)
        if queue is not None:
            found.append(_fit("queue", queue))
    closed = [(int(each.steps[0]["concurrency"] or 1), each.answered) for each in data.of("closed")]
    law = models.law_fit(closed)
    return found if law is None else [*found, _fit("scalability", law)]


def _fit(model: Fitted, fit: models.ModelFit) -> LoadFit:
    return LoadFit(
        model=model, held_out=fit.held_out, predicted=fit.predicted if np.isfinite(fit.predicted) else None,
        measured=fit.measured, holds=fit.holds, servers=fit.servers, contention=fit.contention,
        coherence=fit.coherence, peak=fit.peak,
    )  # fmt: skip


def _beyond(data: TargetData, capacity: float | None) -> LoadBeyond | None:
    step = next(iter(data.of("beyond")), None)
    if step is None or not capacity or step.offered <= capacity:  # the curve may have found a higher one since
        return None
    kept = step.answered / capacity
    return LoadBeyond(
        rate=step.offered,
        answered=step.answered,
        goodput=min(step.answered, step.promised(data.promise).goodput(data.promise.ms * 1e6)),
        behaviour="plateau" if kept >= PLATEAU else "sags" if kept >= COLLAPSE else "collapse",
    )


def _recovery(data: TargetData) -> LoadRecovery | None:
    """The burst is the first quarter of its step; what was due later is looked at."""
    step = next(iter(data.of("burst")), None)
    if step is None:
        return None
    first, table = step.steps[0], step.promised(data.promise).table
    ends_ns = first["seconds"] / 4 * 1e9
    after = table[table["due_ns"] >= ends_ns]
    late = after[(after["outcome"] != OK) | (after["ended_ns"] - after["due_ns"] > data.promise.ms * 1e6)]
    # The promise allows a share above it: recovered is when no more than that share of all that follows is above.
    bad = after.index.isin(late.index)
    rest = np.cumsum(bad[::-1])[::-1] / np.arange(len(bad), 0, -1)
    good = np.flatnonzero((rest <= 1 - QUANTILES[data.promise.level]) & ~bad)
    recovered = (float(after["due_ns"].iloc[good[0]]) - ends_ns) / 1e9 if len(good) else None
    return LoadRecovery(
        burst_rate=float(first["rate"] or 0), burst_seconds=first["seconds"] / 4, after_seconds=recovered
    )
