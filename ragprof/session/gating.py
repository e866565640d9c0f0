"""`gate`: may this change pass? The eval's [gate] against a baseline, or against another version in the same job."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ragprof.core.clock import SILENT, Progress, step
from ragprof.core.errors import BadInput, Incomparable, RagprofError
from ragprof.core.files import written_path
from ragprof.core.quantities import quantity
from ragprof.evals import EvalConfig, GateSettings, read_eval
from ragprof.evals.reading import read_gate
from ragprof.evals.traced import is_trace_profile
from ragprof.session.run import run, run_study, run_untimed
from ragprof.studies.gate.comparison import compare, gate_of, refused, refused_sides, side_of, unrecorded
from ragprof.studies.gate.document import ComparedSide, Comparison, InterleavedJob
from ragprof.studies.gate.evidence import SideEvidence, same_job
from ragprof.studies.gate.job import COUNTED_QUERIES, Job, counted, run_job
from ragprof.studies.gate.sides import check_gate, check_recorded, check_side, read_side, shown
from ragprof.studies.gate.traced import TracedSide, are_traced, gate_traces
from ragprof.studies.preparation import Prepared, prepare

CLOCKLESS = "Nothing that rests on a clock is gated, as was asked; left out: {left_out}."
OTHER_JOB = (
    "Latency is not gated against another job's, which may differ by 26 % on the same machine; left out: {left_out}. "
    "'ragprof gate --against REV' times both sides in one job; [gate] across_jobs = true gates it all the same."
)
CRASHED = 70
"""Exit code of a fault of ragprof: EX_SOFTWARE of sysexits.h."""
OVERRUN = 1.2
"""By how much live queries may take longer than they should before a note says so."""


def gate(
    eval_file: str | Path,
    *,
    baseline: str | Path | None = None,
    against: str | None = None,
    recording: str | Path | None = None,
    corpus: str | Path | None = None,
    out: str | Path | None = None,
    books: Sequence[Path] = (),
    strict: bool = False,
    clock: bool = True,
    progress: Progress = SILENT,
) -> Comparison:
    """Record the eval and judge its [gate] against a `baseline` (a baseline's folder or a recording's).

    With `against` (a git revision, another eval file, another environment), both versions are run interleaved in this
    job instead, which is the only way to gate latency that can be believed; against a baseline, latency is left out
    unless the gate says `across_jobs`. `recording` is judged instead of a new one; where it is a profile of traces, so
    is the baseline, and the file need hold nothing but its [gate]. Without a `clock`, latency and what
    is billed by time are left out, and nothing is timed; a few live queries are asked if a gate counts what they use.
    Raises BadInput before anything is run for a gate that cannot be judged; sides that cannot be compared are a
    verdict, with exit code 3. What is recorded goes to reports/<name>/gate, or to `out`.
    """
    path = Path(eval_file)
    if recording is not None and is_trace_profile(Path(recording)):
        if against is not None or not clock:
            raise BadInput("traces were timed where they ran; leave out --against and --no-clock", file=path)
        return _of_traces(path, Path(recording), baseline, strict=strict)
    prepared = prepare(path, corpus=None if corpus is None else Path(corpus), books=books, progress=progress)
    config = prepared.subject.config
    check_gate(config, path)
    if not clock or (against is None and recording is None and not config.gate.across_jobs):
        without_clock(config.gate, set())
    # A folder of its own: what is recorded in reports/<name>, and every study beside it, stays as it is.
    folder = Path("reports") / config.name / "gate" if out is None else Path(out)
    if against is not None:
        if baseline is not None or recording is not None:
            raise BadInput("--against runs both sides itself; leave out --baseline and --recording", file=path)
        job = Job(path, against, None if corpus is None else Path(corpus), folder, tuple(books), clock)
        return _in_one_job(job, prepared, progress, strict=strict)
    if recording is not None and out is not None:
        raise BadInput("--recording is judged as it is, and nothing is recorded; leave out --out", file=path)
    place = _baseline(baseline, config, path)
    base = read_side(place)
    check_recorded(base, config, path)
    try:
        check_side(base, prepared)
    except Incomparable as problem:
        return _refused_early(side_of(base), prepared, path, problem, strict=strict)
    if recording is None:
        if place.resolve() == folder.resolve():  # a baseline that the new recording overwrote would move with every run
            raise BadInput(
                "this folder is the baseline, and a new recording would take its place; keep it with 'ragprof baseline "
                "save', or give another --out",
                file=folder,
            )
        if clock:
            recording = run(path, corpus=corpus, out=folder, books=books, progress=progress).folder
            if gates_load(config.gate):
                run_study("load", path, corpus=corpus, out=folder, books=books, progress=progress)
        else:
            kept, _ = without_clock(config.gate, billed_by_time([base]))
            recording = run_untimed(
                prepared, asked=counted(kept, config), queries=COUNTED_QUERIES, out=folder, books=books,
                progress=progress,
            )  # fmt: skip
    with step(progress, "compare"):
        return judged(base, read_side(recording), config.gate, strict=strict, clock=clock)


def _of_traces(path: Path, recording: Path, baseline: str | Path | None, *, strict: bool) -> Comparison:
    """Judge a profile of traces against another by the [gate] of a file that need hold nothing else."""
    table = read_gate(path)
    named = written_path(table.baseline, beside=path) if baseline is None and table.baseline else baseline
    if named is None:
        raise BadInput('nothing to compare with; give --baseline DIR, or [gate] baseline = "..."', file=path)
    are_traced(named, recording)
    base, candidate = (TracedSide(shown(Path(place)), Path(place)) for place in (named, recording))
    return gate_traces(base, candidate, table, strict=strict)


def unjudged(eval_file: Path, problem: Exception, *, strict: bool) -> Comparison | None:
    """A gate that ended without a verdict, for the files that were asked for: every gate incomparable, with the reason.

    Its exit code is that of the command. None where the eval file tells of no gate.
    """
    try:
        config = read_eval(eval_file)
    except RagprofError:
        return None
    if not config.gate.quantities:
        return None
    code, why = (
        CRASHED,
        f"ragprof crashed ({type(problem).__name__}); the log of this step has more",
    )
    if isinstance(problem, RagprofError):
        code, why = problem.exit_code, str(problem)
    sides = unrecorded("base", queries=0), unrecorded(shown(eval_file), queries=0)
    found = refused(
        sides, config.gate, why, eval_name=config.name, title=config.title or config.name,
        pipelines=[each.name for each in config.pipelines], strict=strict,
    )  # fmt: skip
    return replace(found, gate=found.gate and replace(found.gate, exit_code=code))


def _in_one_job(job: Job, prepared: Prepared, progress: Progress, *, strict: bool) -> Comparison:
    """Both versions run and judged; sides that differ in what must be equal are a verdict before a model is loaded."""
    try:
        found = run_job(job, prepared, progress)
    except Incomparable as problem:
        named = shown(Path(job.against)) if Path(job.against).exists() else job.against
        base = unrecorded(named, queries=len(prepared.subject.queries))
        return _refused_early(base, prepared, job.eval_file, problem, strict=strict)
    gate_table = prepared.subject.config.gate
    with step(progress, "compare"):
        judgement = judged(found.base, found.candidate, gate_table, strict=strict, clock=job.clock, job=found.facts)
    base, candidate = (replace(side, source="revision") for side in (judgement.base, judgement.candidate))
    return replace(judgement, base=base, candidate=candidate)


def _refused_early(
    base: ComparedSide, prepared: Prepared, eval_file: Path, problem: Incomparable, *, strict: bool
) -> Comparison:
    """The verdict on sides of other documents, questions or judgements, before anything is run."""
    config = prepared.subject.config
    here = unrecorded(shown(eval_file), queries=len(prepared.subject.queries))
    names, title = [each.name for each in config.pipelines], config.title or config.name
    return refused(
        (base, here), config.gate, str(problem), eval_name=config.name, title=title, pipelines=names, strict=strict
    )


def judged(
    base: SideEvidence,
    candidate: SideEvidence,
    table: GateSettings,
    *,
    strict: bool = False,
    clock: bool = True,
    job: InterleavedJob | None = None,
) -> Comparison:
    """Both sides with the gate's verdict; `job` is how they were timed together. Sides that cannot be compared make a
    verdict that says so."""
    why = ""
    left_out: list[str] = []
    if not clock:
        why, (table, left_out) = CLOCKLESS, without_clock(table, billed_by_time([base, candidate]))
    elif not same_job(base, candidate) and not table.across_jobs:
        why, (table, left_out) = OTHER_JOB, without_clock(table, set())
    noise, looks = (job.noise, job.looks_allowed) if job else (None, 1)
    try:
        comparison = compare(base, candidate, noise=noise, looks=looks, clock=clock)
        found = gate_of(base, candidate, table, strict=strict, noise=noise, looks=looks)
    except Incomparable as problem:
        return refused_sides(base, candidate, table, str(problem), strict=strict)
    if not clock:  # nothing that rests on a clock was to be compared, so nothing is kept from being
        found_alike = (
            replace(each, blocks="nothing") if each.blocks == "latency" else each for each in comparison.differences
        )
        comparison = replace(comparison, differences=tuple(found_alike))
    # A gated quantity has the gate's number of further queries, so that a page has one such number per quantity.
    more = {(row.pipeline, row.quantity): row.more_queries for row in found.gates}
    rows = (
        replace(row, more_queries=more.get((row.pipeline, row.quantity), row.more_queries))
        for row in comparison.quantities
    )
    comparison = replace(comparison, gate=found, against=job, quantities=tuple(rows))
    notes = [why.format(left_out=", ".join(left_out))] if left_out else []
    return replace(comparison, notes=(*comparison.notes, *notes, *_job_notes(comparison)))


def _job_notes(comparison: Comparison) -> Iterator[str]:
    """Yield notes: timings of another machine that were not judged, and live queries that exceeded their budget."""
    if comparison.gate and any(each.blocks == "latency" for each in comparison.differences):
        rows = [
            row
            for row in comparison.gate.gates
            if row.gate == "incomparable" and row.kind in ("latency", "cost", "load")
        ]
        if rows:
            timed = ", ".join(dict.fromkeys(row.quantity for row in rows))
            yield (
                "Times of two machines are not gated. --against REV runs both sides in one job; --no-clock leaves out "
                f"what rests on a clock: {timed}."
            )
    job = comparison.against
    if job is not None and job.spent_seconds > OVERRUN * job.budget_seconds:
        yield (
            f"Live queries took {job.spent_seconds:.0f} s of the {job.budget_seconds:.0f} s that they may: "
            f"{job.queries} queries in two rounds are the least. Give more [gate] budget_seconds, or gate fewer "
            "pipelines."
        )


def gates_load(table: GateSettings) -> bool:
    """Whether load has to be put on the pipelines for this gate."""
    return any(quantity(label).kind == "load" for label in table.quantities)


def billed_by_time(sides: Sequence[SideEvidence]) -> set[str]:
    """The stages whose bill holds machine time on some side, and with any of them the whole bill, which is ''."""
    stages = {stage for side in sides for bill in side.facts["clocked"].values() for stage in bill}
    return {"", *stages} if stages else set()


def without_clock(table: GateSettings, billed_by_time: Collection[str]) -> tuple[GateSettings, list[str]]:
    """The gate without latency and without the bills of some stages, and the names of what was left out."""
    kept = {
        label: margin
        for label, margin in table.quantities.items()
        if (asked := quantity(label)).kind not in ("latency", "load")
        and not (asked.kind == "cost" and asked.stage in billed_by_time)
    }
    left_out = [label for label in table.quantities if label not in kept]
    if not kept:
        raise BadInput(
            f"nothing of [gate.quantities] is left without a clock that can be believed ({', '.join(left_out)}); use "
            "--against REV, or add counts such as rerank.docs_scored, inject.prompt_tokens or, with flop_queries, "
            "rerank.flops"
        )
    return table.model_copy(update={"quantities": kept}), left_out


def _baseline(given: str | Path | None, config: EvalConfig, eval_file: Path) -> Path:
    if given is not None:
        return written_path(given)
    if config.gate.baseline is None:
        raise BadInput(
            'nothing to compare with; give --baseline DIR or --against REV, or [gate] baseline = "..."', file=eval_file
        )
    named = written_path(config.gate.baseline, beside=eval_file)
    plain = Path(os.path.normpath(named))
    return plain if plain.resolve() == named.resolve() else named
