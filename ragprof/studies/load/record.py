"""The load pass: each target alone, then at rates that close in on its capacity, below it, beyond it and after a burst.

Writes <recording>/load/: a folder a target, in it a table (a row a request) and a JSON file for each step, and last
manifest.json. A step that is on disk is not run again, so a killed run goes on where it stopped: what comes next
depends on what was measured alone. Ctrl-C ends with what there is. Knows no judgement and no price.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from threading import Lock
from typing import Any, cast
from uuid import uuid4

import numpy as np
import pandas as pd

from ragprof.core import Query, cores, environment, files
from ragprof.core.clock import Progress, TellsState
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.core.recorded import write_sealed
from ragprof.core.stages import FusedStore, ServedStore
from ragprof.record.batching import batch_waits, batched
from ragprof.record.pipeline import Parts
from ragprof.record.query import traced
from ragprof.record.recording import (
    Bench,
    build_indexes,
    embed,
    fingerprint_of,
    identities,
    load,
    redacted,
    shuffled,
)
from ragprof.report import figures
from ragprof.statistics.estimates import quantile
from ragprof.studies.load.alone import asker_of_part
from ragprof.studies.load.arrivals import Times, arrivals
from ragprof.studies.load.capacity import estimate, is_hopeless, search
from ragprof.studies.load.client import HttpLoad
from ragprof.studies.load.measured import MeasuredStep
from ragprof.studies.load.plan import LoadPlan, Target
from ragprof.studies.load.pool import BEGUN, Asker, StepLimits, WorkerPool
from ragprof.studies.load.prefixes import record_prefixes
from ragprof.studies.load.processes import ProcessClients, WorkerOrder
from ragprof.studies.load.providers import servers_elsewhere
from ragprof.studies.load.recorded import BESIDE_FILE, REQUESTS, STEP, Purpose, RecordedStep
from ragprof.studies.load.requests import BATCH, RECENT, TOGETHER, UNREACHED, StepLog, StepRun

ALONE, CALIBRATE, CAPACITY, CURVE, BEYOND, BURST, CLOSED = 0.06, 0.04, 0.44, 0.30, 0.06, 0.10, 0.05
"""Shares of a target's time; the last for each concurrency that is asked for, on top."""
SHARES = (0.3, 0.6, 0.9)
"""Rates of the curve over the capacity."""
OVERLOAD, SURGE, AFTER = 1.3, 2.0, 0.5
WARM = 0.15
PROBES = 8
HTTP_CONCURRENCY = 8
SHORTEST_S = 0.05


class OutOfBudget(Exception):
    """No more requests are paid for."""


@dataclass
class TargetSteps:
    """Runs the steps of one target, or reads those that are on disk already."""

    plan: LoadPlan
    target: Target
    folder: Path
    bench: Bench
    driver: WorkerPool | HttpLoad
    number: int
    left: Callable[[int], None]
    """Takes so many requests off the budget. Raises OutOfBudget."""
    done: list[str] = field(default_factory=list)

    def step(
        self, key: str, purpose: Purpose, seconds: float, *, rate: float | None = None, concurrency: int | None = None,
        due: Times | None = None, patient: bool = False,
    ) -> MeasuredStep:  # fmt: skip
        """Run it, unless it is there. A `patient` step is not cut off, however long its queue grows."""
        path, seconds = self.folder / f"{key}.parquet", max(seconds, SHORTEST_S)
        if path.exists():
            step, table = read_step(self.folder, key)
            self.left(len(table))
        else:
            step, table = self._ran(key, purpose, seconds, rate, concurrency, due, patient)
            files.write_json(self.folder / f"{key}.json", dict(step))
            files.write_table(path, table)
        self.done.append(key)
        return MeasuredStep.of(step, table, seed=self.plan.settings.seed)

    def _ran(
        self, key: str, purpose: Purpose, seconds: float, rate: float | None, concurrency: int | None,
        due: Times | None, patient: bool,
    ) -> tuple[RecordedStep, pd.DataFrame]:  # fmt: skip
        settings, bench = self.plan.settings, self.bench
        promise_s = settings.slo.ms / 1e3
        limits = StepLimits(
            drain_s=0.5 if patient else min(settings.timeout_seconds, max(1.0, 4 * promise_s)),
            longest_wait_s=1e9 if patient else max(1.0, 10 * promise_s),
        )
        what = f"{figures.three_digits(rate)}/s" if rate else f"{concurrency} at a time"
        if rate and due is None:
            seed = (settings.seed, self.number, len(self.done))
            due = arrivals(settings.arrivals, rate, seconds, seed=seed, trace=self.plan.trace)
        if due is not None:
            self.left(len(due))
        elif self.plan.most_requests is not None:
            limits = StepLimits(limits.drain_s, limits.longest_wait_s, most_requests=self._may_send(seconds))
        meter = cores.meter()
        bench.progress.start(f"{self.target.name} {what}", len(due) if due is not None else 1)
        before, start = meter.of_machine(), bench.clock()
        display = Display(bench.progress, is_counted=due is not None)
        if due is not None:
            run = self.driver.open(due, limits, display.watch)
        else:
            run = self.driver.closed(concurrency or 1, seconds, limits, display.watch)
        wall, added = bench.clock() - start, meter.of_machine().since(before)
        display.over(run.log)
        bench.progress.done()
        if due is None:
            self.left(len(run.log.due))
        table = run.log.table([query.query_id for query in self.driver.queries], run.cut)
        self._check(run, table)
        bench.progress.note(_told(self.target.name, what, run, table))
        step = RecordedStep(
            key=key, purpose=purpose, mode="closed" if due is None else "open", rate=rate, concurrency=concurrency,
            seconds=seconds, warm_s=0.0 if purpose == "burst" else WARM * seconds, cut_ns=run.cut, stopped=run.stopped,
            retry_after=run.log.retry_after, said=redacted(run.log.said), used=run.log.used, cpu_ns=added.cpu_ns,
            machine_ns=added.machine_ns, waiting_ns=added.waiting_ns, wall_ns=wall,
        )  # fmt: skip
        return step, table

    def _may_send(self, seconds: float) -> int:
        """Requests that a closed step may make: no faster than the ceiling, and no more than are paid for."""
        most = self.plan.settings.max_rate
        return max(1, min(self.plan.most_requests or 1, round((most or 1e9) * seconds)))

    def _check(self, run: StepRun, table: pd.DataFrame) -> None:
        """Raises BadInput where nothing at all was answered: the target is not there, or wants something else."""
        ended = table[table["outcome"] != "unfinished"]
        if len(ended) and not (ended["outcome"] == "ok").any():
            said = max(run.log.said, key=run.log.said.__getitem__, default="nothing came")
            if set(ended["outcome"]) == {UNREACHED} and any(self.done):
                raise BadInput(
                    f"'{self.target.name}' is gone: it answered before, then none of {counted(len(ended), 'request')} "
                    f"({said}); start it again and go on with the same command, which keeps the steps that are done"
                )
            if not self.done:
                raise BadInput(
                    f"'{self.target.name}' answered none of {counted(len(ended), 'request')} ({said}); mend that first"
                )

    def make(self) -> str:
        """All steps. Why they ended early, if they did."""
        settings, share = self.plan.settings, self.plan.settings.seconds
        target, usual = self.target, self.plan.workers
        workers = target.workers(usual) if target.kind != "http" else HTTP_CONCURRENCY
        try:
            alone = self.step("alone", "alone", ALONE * share, concurrency=1)
            for many in settings.concurrency:
                self.step(f"closed-{many}", "closed", CLOSED * share, concurrency=many)
            rates, found = list(settings.rates), None
            hopeless = is_hopeless(alone, settings.slo)
            sought = not hopeless and (settings.search or not rates)
            if hopeless and not rates:
                return f"one request at a time does not keep {self.plan.promise}"
            if sought:
                calibrated = self.step("calibrate", "calibrate", CALIBRATE * share, concurrency=workers)
                trials: list[MeasuredStep] = []
                # Of slow answers few end within the step: then what they held their workers for says more.
                held = calibrated.held()
                able = max(calibrated.answered, workers * 1e9 / held if held else 0.0)

                def trial(rate: float, seconds: float) -> MeasuredStep:
                    trials.append(self.step(f"capacity-{len(trials)}", "capacity", seconds, rate=rate))
                    return trials[-1]

                search(
                    trial, settings.slo, start=max(0.02, 0.7 * able), most=settings.max_rate,
                    seconds=CAPACITY * share, trial_s=CAPACITY * share / PROBES,
                )  # fmt: skip
                found = estimate(trials, settings.slo).rate
                rates = rates or ([] if not found else [found * part for part in SHARES])
            order = [(repeat, place) for repeat in range(settings.repeats) for place in range(len(rates))]
            Random(settings.seed).shuffle(order)
            for repeat, place in order:
                seconds = CURVE * share / len(order)
                self.step(f"curve-{place}-{repeat}", "curve", seconds, rate=_capped(rates[place], settings.max_rate))
            if found:
                self._beyond(found, share)
        except OutOfBudget:
            return "the budget was spent"
        return ""

    def _beyond(self, capacity: float, share: float) -> None:
        """More than it can keep up with for a while; then a burst, and the calm after it."""
        settings, most = self.plan.settings, self.plan.settings.max_rate
        if most is not None and most < OVERLOAD * capacity:
            return
        self.step("beyond", "beyond", BEYOND * share, rate=OVERLOAD * capacity, patient=True)
        if most is not None and most < SURGE * capacity:
            return
        seconds, seed = BURST * share, (settings.seed, self.number, 10_000)
        surge = arrivals("poisson", SURGE * capacity, seconds / 4, seed=seed)
        after = arrivals("poisson", AFTER * capacity, seconds * 3 / 4, seed=(*seed, 1))
        due = np.concatenate([surge, after + round(seconds / 4 * 1e9)])
        self.step("burst", "burst", seconds, rate=SURGE * capacity, due=due, patient=True)


def read_step(folder: Path, key: str) -> tuple[RecordedStep, pd.DataFrame]:
    """A step that is on disk. Raises BadInput for one that is broken."""
    return cast(RecordedStep, STEP.read(folder / f"{key}.json")), REQUESTS.read(folder / f"{key}.parquet")


def _capped(rate: float, most: float | None) -> float:
    return rate if most is None else min(rate, most)


def _told(name: str, what: str, run: StepRun, table: pd.DataFrame) -> str:
    """What a log is told of a step."""
    answered = table[table["outcome"] == "ok"]
    took = (answered["ended_ns"] - answered["due_ns"]).to_numpy(float)
    middle, high = (quantile(took[:, None], level) if len(took) else None for level in (0.5, 0.95))
    return (
        f"{name} at {what}: {counted(len(table), 'request')}, p50 {figures.duration(middle)}, "
        f"p95 {figures.duration(high)}, {len(table) - len(answered):,} not answered"
        + (f"; {run.stopped}" if run.stopped else "")
    )


class Display:
    """Tells a progress how a step stands: rate, requests under way, p50 and p95 of the last, failures."""

    def __init__(self, progress: Progress, *, is_counted: bool) -> None:
        self._progress, self._is_counted, self._shown = progress, is_counted, 0

    def watch(self, log: StepLog, passed_s: float) -> None:
        """About four times a second."""
        if self._is_counted:
            self._progress.advance(log.done - self._shown)
            self._shown = log.done
        if isinstance(self._progress, TellsState):
            recent = sorted(log.recent.copy())
            words = f"{figures.three_digits(log.done / max(passed_s, 1e-3))}/s, {log.under_way} in flight"
            if recent:
                middle, high = recent[len(recent) // 2], recent[int(0.95 * (len(recent) - 1))]
                words += (
                    f", last {min(RECENT, len(recent))}: p50 {figures.duration(middle)} p95 {figures.duration(high)}"
                )
            self._progress.state(f"{words}, {log.failed:,} failed")

    def over(self, log: StepLog) -> None:
        """At its end."""
        if self._is_counted:
            self._progress.advance(log.done - self._shown)


def record_load(plan: LoadPlan, bench: Bench) -> None:
    """Make all steps of all targets. Raises BadInput for a target that answers nothing."""
    folder = bench.folder / "load"
    files.ready_folder(folder, remedy="give another one with --out")
    facts = _facts(plan)
    _continue_or_clear(folder, facts)
    _ready(plan, bench)
    queries = shuffled(plan.subject.queries, plan.subject.config.seed)
    spent = {"requests": 0}

    def take(many: int) -> None:
        if plan.most_requests is not None and spent["requests"] + many > plan.most_requests:
            raise OutOfBudget
        spent["requests"] += many

    record_prefixes(plan, queries, bench)
    met = servers_elsewhere(plan.beside, fingerprint_of(plan.subject.queries))
    files.write_json(folder / BESIDE_FILE, {"providers": [each.model_dump(mode="json") for each in met]})
    recorded: list[dict[str, Any]] = []
    interrupted = False
    for number, target in enumerate(plan.targets):
        place = folder / f"{number}"
        place.mkdir(exist_ok=True)
        stack = ExitStack()
        steps = TargetSteps(plan, target, place, bench, _driver(plan, target, queries, bench, stack), number, take)
        ended = ""
        try:
            with stack:
                ended = steps.make()
        except KeyboardInterrupt:
            if not steps.done and not recorded:
                raise
            interrupted, ended = True, "it was interrupted"
            bench.progress.note("interrupted: what was measured is reported; the same command goes on from there")
        recorded.append(_as_recorded(steps, ended))
        if interrupted:
            break
    _write_manifest(folder, facts, recorded, interrupted=interrupted)


def _as_recorded(steps: TargetSteps, ended: str) -> dict[str, Any]:
    target = steps.target
    return {
        "name": target.name, "pipeline": target.pipeline, "kind": target.kind,
        "workers": None if target.kind == "http" else target.workers(steps.plan.workers), "depth": target.depth,
        "reranked": target.reranked, "steps": steps.done, "ended": ended,
        **({} if target.batching is None else {"batching": target.batching.model_dump()}),
        **({} if target.only is None else {"only": target.only}),
    }  # fmt: skip


def _write_manifest(
    folder: Path, facts: Mapping[str, Any], targets: Sequence[Mapping[str, Any]], *, interrupted: bool
) -> None:
    write_sealed(
        folder / "manifest.json",
        {**facts, "recording": uuid4().hex, "interrupted": interrupted, "targets": list(targets),
         "environment": environment.describe()},
        "*.parquet", "*/*.parquet",
    )  # fmt: skip


class LoadBench:
    """Targets of loaded pipelines that are put under load step by step, by somebody else's plan; one manifest after."""

    def __init__(self, plan: LoadPlan, bench: Bench) -> None:
        self._plan, self._folder, self._spent, self._stack = plan, bench.folder / "load", 0, ExitStack()
        files.ready_folder(self._folder, remedy="give another one with --out")
        queries = shuffled(plan.subject.queries, plan.subject.config.seed)
        self._steps: dict[str, TargetSteps] = {}
        for number, target in enumerate(plan.targets):
            (self._folder / str(number)).mkdir(exist_ok=True)
            driver = _driver(plan, target, queries, bench, self._stack)
            self._steps[target.name] = TargetSteps(
                plan, target, self._folder / str(number), bench, driver, number, self._take
            )

    def _take(self, many: int) -> None:
        if self._plan.most_requests is not None and self._spent + many > self._plan.most_requests:
            raise OutOfBudget
        self._spent += many

    def put(
        self, name: str, key: str, purpose: Purpose, seconds: float, *, rate: float | None, concurrency: int | None
    ) -> bool:
        """Make a step of a pipeline; whether the budget allowed it."""
        try:
            self._steps[name].step(key, purpose, seconds, rate=rate, concurrency=concurrency)
        except OutOfBudget:
            return False
        return True

    def write(self) -> None:
        """Seal what was made, and end what it was made with."""
        self._stack.close()
        _write_manifest(
            self._folder, _facts(self._plan), [_as_recorded(each, "") for each in self._steps.values()],
            interrupted=False,
        )  # fmt: skip


def _ready(plan: LoadPlan, bench: Bench) -> None:
    """Models in memory and indexes built, for what is made of parts."""
    pipelines = [parts for parts in plan.subject.pipelines if parts.app is None]
    load([target.parts for target in plan.targets if target.parts is not None], bench.progress)
    if pipelines:
        embedding = embed(plan.subject, plan.subject.corpus.docs, bench)
        build_indexes(
            pipelines, plan.subject.corpus.docs, embedding.documents, clock=bench.clock, progress=bench.progress
        )


def _driver(
    plan: LoadPlan, target: Target, queries: tuple[Query, ...], bench: Bench, stack: ExitStack
) -> WorkerPool | HttpLoad:
    """What asks a target. What it holds, such as processes, ends with the stack."""
    settings = plan.settings
    if target.kind == "http":
        return HttpLoad(target.service, queries, bench.clock, settings.timeout_seconds, settings.max_in_flight)
    app = target.declared.app
    if app is not None:
        return WorkerPool(app.asker, plan.workers, queries, bench.clock)
    if target.only is not None:
        queries, alone = asker_of_part(target.declared, target.only, queries, bench)
        return WorkerPool(lambda: nullcontext(alone), plan.workers, queries, bench.clock)
    if target.kind == "processes":
        own = {**plan.settings.model_dump(mode="json", exclude_unset=True), "pipelines": [target.pipeline]}
        order = WorkerOrder(
            plan.eval_file, bench.folder, bench.cache, own, target.name, plan.subject.corpus.sha256
        )  # fmt: skip
        processes = ProcessClients(order)
        stack.callback(processes.close)
        return WorkerPool(processes.asker, plan.workers, queries, bench.clock)
    parts = target.declared if target.batching is None else batched(target.declared, target.batching, bench.clock)
    clients = Clients(parts, partial(stages_of, bench=bench))
    return WorkerPool(clients.asker, target.workers(plan.workers), queries, bench.clock)


class Clients:
    """What workers ask with: the pipeline, and where its store is a server's a connection for each of them.

    Connections are kept from step to step, as a service would; they end with the store.
    """

    def __init__(self, parts: Parts, stages: Callable[[Parts, Query], Mapping[str, int]]) -> None:
        self._parts, self._stages, self._lock = parts, stages, Lock()
        self._free: list[Parts] = []

    @contextmanager
    def asker(self) -> Iterator[Asker]:
        with self._lock:  # one after the other: a store notes who asks beside it
            parts = self._free.pop() if self._free else self._made()
        try:
            yield partial(self._stages, parts)
        finally:
            self._free.append(parts)

    def _made(self) -> Parts:
        store = self._parts.store
        if isinstance(store, FusedStore):
            return replace(self._parts, store=store.connected())
        return replace(self._parts, store=store.tuned()) if isinstance(store, ServedStore) else self._parts


def stages_of(parts: Parts, query: Query, *, bench: Bench) -> Mapping[str, int]:
    """Ns of each stage; where batches were waited for, `batch` is that wait, which is in no stage, and `together` the
    size of the last one. `begun` is the time to the answer's first token."""
    before = batch_waits()
    answer, trace = traced(parts, query, bench.clock)
    stages = {str(span.stage): span.duration_ns for span in trace.spans}
    spoken = None if answer.generated is None else answer.generated.first_token_ns
    if spoken is not None:
        begun = next(span.start_ns for span in trace.spans if span.stage == "generate")
        stages[BEGUN] = begun - trace.start_ns + spoken
    after = batch_waits()
    if after is before:
        return stages
    return stages | {BATCH: after.waited_ns - before.waited_ns, TOGETHER: after.together}


def _facts(plan: LoadPlan) -> dict[str, Any]:
    """What the recording rests on."""
    subject, settings = plan.subject, plan.settings
    return {
        "config": redacted(subject.config.model_dump(mode="json")),
        "corpus": {"name": subject.corpus.name, "docs": len(subject.corpus.docs),
                   "documents": subject.corpus.documents, "sha256": subject.corpus.sha256},
        "questions": fingerprint_of(subject.queries),
        "identities": redacted(identities(subject.pipelines)),
        "query_ids": [query.query_id for query in subject.queries],
        "put_on": [target.name for target in plan.targets],
        "settings": redacted({**settings.model_dump(mode="json"), "workers": plan.workers}),
        "trace_peak": None if plan.trace is None else plan.trace.peak(),
        "cores": len(os.sched_getaffinity(0)),
    }  # fmt: skip


OF_MONEY = ("budget_usd", "usd_per_request", "profile")


def _continue_or_clear(folder: Path, facts: Mapping[str, Any]) -> None:
    """Keep the steps that an ended run of the same plan left; a finished recording is made anew."""
    path, manifest = folder / "plan.json", folder / "manifest.json"
    basis = {key: value for key, value in facts.items() if key != "config"}
    basis["settings"] = {key: value for key, value in facts["settings"].items() if key not in OF_MONEY}
    same = path.exists() and files.read_json(path, remedy="delete it") == basis
    finished = manifest.exists() and not files.read_json(manifest, remedy="delete it").get("interrupted")
    if not same or finished:
        for each in folder.iterdir():
            if each.is_dir() and each.name.isdigit():
                shutil.rmtree(each)
    manifest.unlink(missing_ok=True)
    files.write_json(path, basis)
