"""Both versions in one job: start a process for each side, let them answer by turns, and read what they recorded.

What `--against` names (a git revision, another eval file, another environment) becomes a side that can be run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pandas as pd

from ragprof.core import STAGES, files
from ragprof.core.clock import Progress, now_ns, step, today
from ragprof.core.errors import BadInput, Incomparable
from ragprof.core.quantities import quantity
from ragprof.evals import EvalConfig, GateSettings
from ragprof.evals.load import LoadSettings
from ragprof.judge.scores import judge
from ragprof.price import price_recording
from ragprof.record.timings import FLOPS
from ragprof.report.figures import differing
from ragprof.studies.gate import duel, evidence
from ragprof.studies.gate.document import InterleavedJob, Noise
from ragprof.studies.gate.duel import SideName
from ragprof.studies.gate.evidence import SideEvidence
from ragprof.studies.gate.load_job import LoadJob, loaded_pipelines, shared_settings
from ragprof.studies.gate.looks import LookLevel, learned, told, undecided, watched
from ragprof.studies.gate.processes import PROTOCOL, Process, RunnableSide
from ragprof.studies.preparation import Prepared

OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
"""What git tells its hooks of the commit in the making; a check-out that went by it would overwrite that."""


@contextmanager
def other_side(against: str, *, eval_file: Path) -> Iterator[RunnableSide]:
    """The base of a comparison, as long as the block lasts; a revision is checked out beside the repository.

    `against` is an existing .toml file, else a folder with bin/python (or a python itself), else a git revision.
    Raises BadInput for what is none of these.
    """
    path = files.written_path(against)
    if path.suffix == ".toml":
        if not path.is_file():
            raise BadInput("no such eval file to compare with", file=path)
        yield RunnableSide(f"base {path.name}", path)
        return
    for python in (path / "bin" / "python", path / "Scripts" / "python.exe", path):
        if python.is_file() and python.name.startswith("python"):  # not resolved: a link leads out of the environment
            yield RunnableSide(f"base in {path.name}", eval_file, python=python.absolute())
            return
    with _checked_out(against, eval_file) as side:
        yield side


@contextmanager
def _checked_out(revision: str, eval_file: Path) -> Iterator[RunnableSide]:
    """The checked out tree, its modules first on the import path, started from the place that the user stands in."""
    top = Path(_git(eval_file.resolve().parent, "rev-parse", "--show-toplevel", otherwise=(
        f"'{revision}' is no eval file and no environment, and this file is in no git repository; name one of these, "
        "or a revision inside a repository"
    )))  # fmt: skip
    commit = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", otherwise=(
        f"no git revision '{revision}' (nor a file or environment of that name); in CI, fetch it first: "
        "actions/checkout with fetch-depth: 0, or git fetch origin main"
    ))  # fmt: skip
    inside = eval_file.resolve().relative_to(top.resolve())
    _remove_left_over(top)
    with TemporaryDirectory(prefix=f"{CHECKED_OUT}{os.getpid()}-") as place:
        tree = Path(place) / "tree"
        switched_off = _filters(top)
        _git(top, *switched_off, "worktree", "add", "--detach", "--force", str(tree), commit,
             otherwise="git cannot check it out")  # fmt: skip
        try:
            if not (tree / inside).is_file():
                raise BadInput(f"revision {revision} has no {inside}; compare with a later one", file=eval_file)
            named = revision if commit.startswith(revision) else f"{revision} ({commit[:9]})"
            here, paths = Path.cwd().resolve(), tuple(path for path in (tree, tree / "src") if path.is_dir())
            folder = tree / (here.relative_to(top.resolve()) if here.is_relative_to(top.resolve()) else "")
            folder = folder if folder.is_dir() else tree
            yield RunnableSide(f"base {named}", tree / inside, folder=folder, paths=paths)
        finally:
            with suppress(BadInput):
                _git(top, "worktree", "remove", "--force", str(tree), otherwise="")


CHECKED_OUT = "ragprof-against-"
KEPT_FILTERS = ("lfs",)
"""Data of an eval may be kept by Git LFS."""


def _filters(top: Path) -> list[str]:
    """Options that switch off the commands that git, as it is set up here, would pass each file through."""
    with suppress(BadInput):  # there are none
        said = _git(top, "config", "--name-only", "--get-regexp", r"^filter\..*\.(smudge|process)$", otherwise="")
        names = {line.partition(".")[2].rpartition(".")[0] for line in said.splitlines()} - {*KEPT_FILTERS}
        nothing = [(f"filter.{name}.{key}", "") for name in sorted(names) for key in ("smudge", "process")]
        nothing += [(f"filter.{name}.required", "false") for name in sorted(names)]
        return [word for key, value in nothing for word in ("-c", f"{key}={value}")]
    return []


def _remove_left_over(top: Path) -> None:
    """Remove the check-outs of gates that were killed."""
    with suppress(BadInput):
        listed = _git(top, "worktree", "list", "--porcelain", otherwise="")
        for line in listed.splitlines():
            tree = Path(line.removeprefix("worktree "))
            owner = re.match(rf"{CHECKED_OUT}(\d+)-", tree.parent.name)
            if line.startswith("worktree ") and owner and not files.is_running(int(owner[1])):
                _git(top, "worktree", "remove", "--force", "--force", str(tree), otherwise="")
                shutil.rmtree(tree.parent, ignore_errors=True)


def _git(folder: Path, *arguments: str, otherwise: str) -> str:
    """What git prints. Raises BadInput with `otherwise` and git's own last line."""
    surroundings = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
    try:
        command = ["git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", *arguments]
        done = subprocess.run(command, env=surroundings, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError:
        raise BadInput("git is not installed; --against a revision needs it") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise BadInput(otherwise + (f" ({said[-1]})" if said else ""))
    return os.fsdecode(done.stdout).removesuffix("\n")


COUNTED_QUERIES, COUNTED = 20, "counted"
"""How many queries are asked to count what they use, and the phase of their spans where nothing is to be timed."""


@dataclass(frozen=True)
class Job:
    """What is asked. Without a `clock` nothing is timed; a few queries are asked where a gate counts what they use."""

    eval_file: Path
    against: str
    corpus: Path | None
    folder: Path
    books: tuple[Path, ...]
    clock: bool


@dataclass(frozen=True)
class JobResult:
    """Both sides as recorded, and how the job went; `facts` is None where nothing was timed."""

    base: SideEvidence
    candidate: SideEvidence
    facts: InterleavedJob | None


def run_job(job: Job, prepared: Prepared, progress: Progress) -> JobResult:
    """Run both sides; their recordings are left in `against/base` and `against/candidate` of the folder.

    Raises BadInput for what cannot be run and Incomparable for sides with other documents, questions or judgements,
    both before a model is loaded.
    """
    files.ready_folder(job.folder, remedy="give another one with --out (in Python out=)")
    with files.claimed(job.folder), ExitStack() as stack:
        base = stack.enter_context(other_side(job.against, eval_file=job.eval_file))
        here = RunnableSide("candidate", job.eval_file)
        sides: dict[SideName, RunnableSide] = {"base": base, "candidate": here, "twin": base}
        places: dict[SideName, Path] = {name: (job.folder / "against" / name).absolute() for name in sides}
        under_load = loaded_pipelines(prepared.subject.config.gate, prepared.subject.config) if job.clock else ()
        if not (job.clock and (_timed(prepared) or under_load)):
            del sides["twin"]
        workers = {name: stack.enter_context(Process(side, progress)) for name, side in sides.items()}
        corpus = None if job.corpus is None else str(job.corpus.absolute())
        books = [str(book.absolute()) for book in job.books]
        with step(progress, "read the corpus and the questions of all sides"):
            told = {
                name: worker.ask("prepare", eval_file=str(sides[name].eval_file.absolute()), corpus=corpus, books=books)
                for name, worker in workers.items()
            }
        pipelines = _common(told, base.label, job.eval_file)
        under_load = tuple(name for name in under_load if name in pipelines)
        settings = shared_settings(prepared.subject.config, under_load, job.eval_file, sides=len(workers))
        for worker in workers.values() if under_load else ():
            worker.ask("plan_load", settings=settings)
        for name, worker in workers.items():  # one by one: the second finds in the cache what the first has computed
            worker.ask("load", folder=str(places[name]))
            if name != "twin":
                worker.ask("rank")
        facts = _ask_all(job, prepared, workers, pipelines, told["candidate"]["queries"], progress)
        if under_load:
            facts = _with_load(facts, _put_load(workers, places, prepared, under_load, settings, progress))
        job_id = uuid4().hex
        with step(progress, "write both recordings"):
            for name in ("base", "candidate"):
                workers[name].ask("write", job=job_id)
    shutil.rmtree(places["twin"], ignore_errors=True)
    with step(progress, "judge and price both recordings"):
        for name in ("base", "candidate"):
            judge(places[name], prepared.evaluation, metrics=prepared.subject.config.metrics)
            price_recording(places[name], books=job.books, on=today())
    return JobResult(
        evidence.of_recording(places["base"], label=base.label.removeprefix("base ")),
        evidence.of_recording(places["candidate"], label="as it is here"),
        facts,
    )


def _put_load(
    workers: Mapping[SideName, Process],
    places: Mapping[SideName, Path],
    prepared: Prepared,
    pipelines: Sequence[str],
    settings: Mapping[str, Any],
    progress: Progress,
) -> InterleavedJob:
    """Steps of all sides by turns, and what is known of the job by them alone."""
    gate, start = prepared.subject.config.gate, now_ns()
    wanted = frozenset(asked.name for label in gate.quantities if (asked := quantity(label)).kind == "load")
    table = LoadSettings.model_validate(settings)
    chosen = {name: places[name] for name in workers}
    noise = LoadJob(workers, chosen, table, wanted, progress).run(pipelines)
    budget, spent = len(workers) * table.seconds * len(pipelines), (now_ns() - start) / 1e9
    queries = len(prepared.subject.queries)
    return InterleavedJob(budget, round(spent, 1), 1, 1, table.repeats, queries, noise)


def _with_load(timed: InterleavedJob | None, load: InterleavedJob) -> InterleavedJob:
    """Both halves of a job as one: its time and what it learned of the machine."""
    if timed is None:
        return load
    noise = {name: {**timed.noise.get(name, {}), **load.noise.get(name, {})} for name in {**timed.noise, **load.noise}}
    spent = round(timed.spent_seconds + load.spent_seconds, 1)
    return replace(timed, budget_seconds=timed.budget_seconds + load.budget_seconds, spent_seconds=spent, noise=noise)


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
    """The stages of each pipeline that a clock sees; of an app all that it may turn out to have."""
    found: dict[str, tuple[str, ...]] = {}
    for parts in prepared.subject.pipelines:
        if parts.app is not None:
            found[parts.name] = STAGES
            continue
        held = (parts.embedder, parts.store, parts.reranker, parts.injector, parts.generator)
        found[parts.name] = tuple(name for name, part in zip(STAGES, held, strict=False) if part is not None)
    return found


def _common(told: Mapping[SideName, Mapping[str, Any]], label: str, eval_file: Path) -> tuple[str, ...]:
    """The pipelines of both sides. Raises Incomparable where the sides rest on different things."""
    base, candidate = told["base"], told["candidate"]
    if base["protocol"] != PROTOCOL:
        raise BadInput(f"{label} has another version of ragprof, which cannot be asked; update it", file=eval_file)
    # A side of a version that does not say so in words is told by the beginning of its hash.
    found = [
        differing(words, *(side.get("named", {}).get(key, f"{side[key][:12]}...") for side in (base, candidate)))
        for key, words in evidence.MUST_EQUAL.items()
        if base[key] != candidate[key]
    ]
    if found:
        remedy = "; --corpus DIR gives both the same documents" if base["corpus"] != candidate["corpus"] else ""
        raise Incomparable(f"'{label}' and 'candidate' cannot be compared: {'; '.join(found)}{remedy}")
    common = tuple(name for name in candidate["pipelines"] if name in base["pipelines"])
    if not common:
        raise Incomparable(
            f"'{label}' and 'candidate' have no pipeline in common: {', '.join(base['pipelines'])} there, "
            f"{', '.join(candidate['pipelines'])} here; give those that belong together one name"
        )
    return common


def counted(gate: GateSettings, config: EvalConfig) -> tuple[str, ...]:
    """The pipelines of which a gate counts what live queries use, or bills that. Prompts are known without asking."""
    found: set[str] = set()
    for label, margin in gate.quantities.items():
        asked = quantity(label)
        if asked.stage != "inject" and (asked.kind == "cost" or (asked.kind == "usage" and asked.name != FLOPS)):
            found.update(margin.pipelines or gate.pipelines or [each.name for each in config.pipelines])
    return tuple(each.name for each in config.pipelines if each.name in found)


def _ask_all(
    job: Job,
    prepared: Prepared,
    workers: Mapping[SideName, Process],
    pipelines: Sequence[str],
    queries: Sequence[str],
    progress: Progress,
) -> InterleavedJob | None:
    """Live queries: by turns where time is gated, else a few on each side to count what they use."""

    def ask(side: SideName, pipeline: str, query_id: str, *, phase: str, number: int) -> Mapping[str, int]:
        taken: Mapping[str, int] = workers[side].ask(
            "ask", pipeline=pipeline, query=query_id, phase=phase, number=number
        )
        return taken

    gate, seed = prepared.subject.config.gate, prepared.subject.config.seed
    if not job.clock:
        wanted = [name for name in counted(gate, prepared.subject.config) if name in pipelines]
        _count(ask, wanted, queries[:COUNTED_QUERIES], progress, phase=COUNTED)
        return None
    gates = [each for each in watched(gate, _stages(prepared)) if each.pipeline in pipelines]
    timed = [name for name in _timed(prepared) if name in pipelines]
    if "twin" not in workers or not timed:
        _count(ask, pipelines, queries[:COUNTED_QUERIES], progress)
        return None

    def judge_look(base: pd.DataFrame, candidate: pd.DataFrame, noise: Noise, looks: int) -> set[str]:
        level = LookLevel(gate.alpha, looks, len(gate.quantities) * len(pipelines), seed)
        return undecided(gates, told(base, candidate, gates, noise=noise, level=level))

    start, budget = now_ns(), gate.budget_seconds
    plan = duel.plan_duel(ask, timed, queries, seconds=budget, looks=gate.looks, clock=now_ns)
    outcome = duel.run_duel(
        ask, plan, learn=partial(learned, seed=seed), judge=judge_look, progress=progress, seconds=budget, clock=now_ns
    )
    _count(ask, [name for name in pipelines if name not in timed], queries[:COUNTED_QUERIES], progress)
    return duel.told(outcome, plan, seconds=budget, spent_seconds=(now_ns() - start) / 1e9)


def _count(
    ask: duel.SideAsker,
    pipelines: Sequence[str],
    queries: Sequence[str],
    progress: Progress,
    *,
    phase: str = duel.TIMED,
) -> None:
    """Every side some queries once, by turns."""
    progress.start("ask both sides", len(pipelines) * len(queries))
    for pipeline in pipelines:
        for query_id, order in duel.turns(queries, 0):
            for place in order:
                ask(("base", "candidate")[place], pipeline, query_id, phase=phase, number=0)
            progress.advance(1)
    progress.done()
