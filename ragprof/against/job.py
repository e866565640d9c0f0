"""Both versions in one job: start a process for each side, let them answer by turns, and read what they recorded."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd

from ragprof import files
from ragprof.against import duel
from ragprof.against.duel import Noise, SideName
from ragprof.against.processes import Process, Side
from ragprof.against.sides import other_side
from ragprof.against.worker import PROTOCOL
from ragprof.clock import now_ns
from ragprof.errors import BadInput, Incomparable
from ragprof.judge.scores import judge
from ragprof.preparation import Prepared, today
from ragprof.price import price_recording
from ragprof.progress import Progress
from ragprof.quantities import quantity
from ragprof.studies.compare import evidence
from ragprof.studies.compare.evidence import Evidence
from ragprof.studies.compare.looks import Level, Watched, told, undecided, watched
from ragprof.studies.compare.machine_noise import learned

COUNTED_QUERIES = 20
MUST_EQUAL = ("corpus", "questions", "qrels")


@dataclass(frozen=True)
class Job:
    """What is asked. Without a `clock` no query is timed against another; some are asked, to count what they take."""

    eval_file: Path
    against: str
    corpus: Path | None
    folder: Path
    books: tuple[Path, ...]
    clock: bool


@dataclass(frozen=True)
class Found:
    """Both sides as recorded, and how the job went; `facts` is None where nothing was timed."""

    base: Evidence
    candidate: Evidence
    noise: Noise
    looks: int
    facts: dict[str, Any] | None


def run_job(job: Job, prepared: Prepared, progress: Progress) -> Found:
    """Run both sides; their recordings are left in `against/base` and `against/candidate` of the folder.

    Raises BadInput for what cannot be run and Incomparable for sides with other documents, questions or judgements,
    both before a model is loaded.
    """
    files.ready_folder(job.folder, remedy="give another one with --out (in Python out=)")
    with files.claimed(job.folder), ExitStack() as stack:
        base = stack.enter_context(other_side(job.against, eval_file=job.eval_file))
        sides: dict[SideName, Side] = {"base": base, "candidate": Side("candidate", job.eval_file), "twin": base}
        places: dict[SideName, Path] = {name: (job.folder / "against" / name).absolute() for name in sides}
        if not (job.clock and _timed(prepared)):
            del sides["twin"]
        workers = {name: stack.enter_context(Process(side, progress)) for name, side in sides.items()}
        told = {name: worker.ask("prepare", **_given(job, sides[name])) for name, worker in workers.items()}
        pipelines = _common(told, base.label, job.eval_file)
        _load(workers, places)
        outcome = _asked(prepared, workers, pipelines, told["candidate"]["queries"], progress)
        for name in ("base", "candidate"):
            workers[name].ask("write", job=outcome.job)
    shutil.rmtree(places["twin"], ignore_errors=True)
    labels: dict[SideName, str] = {"base": base.label.removeprefix("base "), "candidate": "as it is here"}
    read = {name: _read(places[name], job, prepared, label) for name, label in labels.items()}
    return Found(read["base"], read["candidate"], outcome.noise, outcome.looks, outcome.facts)


@dataclass(frozen=True)
class _Asked:
    job: str
    noise: Noise
    looks: int
    facts: dict[str, Any] | None


def _timed(prepared: Prepared) -> tuple[str, ...]:
    """The pipelines whose latency is gated, or whose bill is and holds measured time."""
    config = prepared.subject.config
    latency = {each.pipeline for each in watched(config.gate, _stages(prepared))}
    bills = {
        each.name
        for label, margin in config.gate.quantities.items()
        if quantity(label).kind == "cost"
        for each in config.pipelines
        if each.name in (margin.pipelines or config.gate.pipelines or [each.name])
        and (each.prices.machine or config.prices.machine)
    }
    return tuple(each.name for each in config.pipelines if each.name in latency | bills)


def _stages(prepared: Prepared) -> dict[str, tuple[str, ...]]:
    """The stages of each pipeline that a clock sees."""
    names = ("embed", "search", "rerank", "inject", "generate")
    return {
        parts.name: tuple(
            name
            for name, part in zip(
                names, (parts.embedder, parts.store, parts.reranker, parts.injector, parts.generator), strict=True
            )
            if part is not None
        )
        for parts in prepared.subject.pipelines
    }


def _given(job: Job, side: Side) -> dict[str, Any]:
    return {
        "eval_file": str(side.eval_file.absolute()),
        "corpus": None if job.corpus is None else str(job.corpus.absolute()),
        "books": [str(book.absolute()) for book in job.books],
    }


def _common(told: Mapping[SideName, Mapping[str, Any]], label: str, eval_file: Path) -> tuple[str, ...]:
    """The pipelines of both sides. Raises Incomparable where the sides rest on different things."""
    base, candidate = told["base"], told["candidate"]
    if base["protocol"] != PROTOCOL:
        raise BadInput(f"{label} has another version of ragprof, which cannot be asked; update it", file=eval_file)
    differing = [
        f"{key} ({base[key][:12]} and {candidate[key][:12]})" for key in MUST_EQUAL if base[key] != candidate[key]
    ]
    if differing:
        remedy = "; --corpus DIR gives both the same documents" if base["corpus"] != candidate["corpus"] else ""
        raise Incomparable(
            f"'{label}' and 'candidate' cannot be compared: they differ in {', '.join(differing)}{remedy}"
        )
    common = tuple(name for name in candidate["pipelines"] if name in base["pipelines"])
    if not common:
        raise Incomparable(
            f"'{label}' and 'candidate' have no pipeline in common: {', '.join(base['pipelines'])} there, "
            f"{', '.join(candidate['pipelines'])} here; give those that belong together one name"
        )
    return common


def _load(workers: Mapping[SideName, Process], places: Mapping[SideName, Path]) -> None:
    """One after the other, so that the second finds in the cache what the first has computed."""
    for name, worker in workers.items():
        worker.ask("load", folder=str(places[name]))
        if name != "twin":
            worker.ask("rank")


def _asked(
    prepared: Prepared,
    workers: Mapping[SideName, Process],
    pipelines: Sequence[str],
    queries: Sequence[str],
    progress: Progress,
) -> _Asked:
    """Live queries: by turns where time is gated, else a few on each side to count what they take."""

    def ask(side: SideName, pipeline: str, query_id: str, *, phase: str, number: int) -> Mapping[str, int]:
        taken: Mapping[str, int] = workers[side].ask(
            "ask", pipeline=pipeline, query=query_id, phase=phase, number=number
        )
        return taken

    gate, seed = prepared.subject.config.gate, prepared.subject.config.seed
    gates = [each for each in watched(gate, _stages(prepared)) if each.pipeline in pipelines]
    timed = [name for name in _timed(prepared) if name in pipelines]
    identity = uuid4().hex
    if "twin" not in workers or not timed:
        _count(ask, pipelines, queries[:COUNTED_QUERIES], progress)
        return _Asked(identity, {}, 1, None)
    start = now_ns()
    others = [name for name in pipelines if name not in timed]
    plan = duel.planned(ask, timed, queries, seconds=gate.budget_seconds, looks=gate.looks, clock=now_ns)
    outcome = duel.fought(
        ask,
        plan,
        learn=partial(learned, seed=seed),
        judge=_judge(gates, alpha=gate.alpha, family=len(gate.quantities) * len(pipelines), seed=seed),
        progress=progress,
        seconds=gate.budget_seconds,
        clock=now_ns,
    )
    _count(ask, others, queries[:COUNTED_QUERIES], progress)
    spent = (now_ns() - start) / 1e9
    facts = duel.facts(outcome, plan, seconds=gate.budget_seconds, spent_seconds=spent)
    return _Asked(identity, outcome.noise, plan.looks, facts)


def _judge(gates: Sequence[Watched], *, alpha: float, family: int, seed: int) -> duel.Judge:
    def judge_look(base: pd.DataFrame, candidate: pd.DataFrame, noise: Noise, looks: int) -> set[str]:
        level = Level(alpha, looks, family, seed)
        return undecided(gates, told(base, candidate, gates, noise=noise, level=level))

    return judge_look


def _count(ask: duel.Asker, pipelines: Sequence[str], queries: Sequence[str], progress: Progress) -> None:
    """Every side some queries once, by turns."""
    progress.start("ask both sides", len(pipelines) * len(queries))
    for pipeline in pipelines:
        for query_id, order in duel.turns(queries, 0):
            for place in order:
                ask(("base", "candidate")[place], pipeline, query_id, phase=duel.TIMED, number=0)
            progress.advance(1)
    progress.done()


def _read(folder: Path, job: Job, prepared: Prepared, label: str) -> Evidence:
    judge(folder, prepared.evaluation, metrics=prepared.subject.config.metrics)
    price_recording(folder, books=job.books, on=today())
    return evidence.of_recording(folder, label=label)
