"""`gate`: may this change pass? The eval's [gate] against a baseline, or against another version in the same job."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ragprof import files
from ragprof.against.job import Job, run_job
from ragprof.comparing import Comparison, read_side
from ragprof.errors import BadInput, Incomparable, UnknownName
from ragprof.evals import EvalConfig, Gate, read_eval
from ragprof.preparation import Places, Prepared, prepare
from ragprof.progress import Progress, Silent
from ragprof.quantities import quantity
from ragprof.record.flops import FLOPS
from ragprof.record.recording import fingerprint_of
from ragprof.session import run
from ragprof.studies.compare import comparison as comparisons
from ragprof.studies.compare import evidence
from ragprof.studies.compare.comparable import same_job
from ragprof.studies.compare.evidence import MACHINE_TIME, Evidence
from ragprof.studies.compare.gates import gate_of
from ragprof.studies.compare.initial import InitialGate, initial_gate
from ragprof.studies.compare.refusals import refused

NOTHING_LEFT = (
    "without a clock nothing of [gate.quantities] is left ({left_out}); add counts such as rerank.docs_scored, "
    "inject.prompt_tokens or, with flop_queries, rerank.flops"
)
RANKING = ("search", "rerank", "inject")
CLOCKLESS = "Nothing that rests on a clock is gated, as was asked; left out: {left_out}."
OTHER_JOB = (
    "Latency is not gated against another job's, which may differ by 26 % on the same machine; left out: {left_out}. "
    "'ragprof gate --against REV' times both sides in one job; [gate] across_jobs = true gates it all the same."
)
ONE_MACHINE = (
    "Times of two machines are not gated. --against REV runs both sides in one job; --no-clock leaves out what rests "
    "on a clock: {timed}."
)


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
    progress: Progress | None = None,
) -> Comparison:
    """Record the eval and judge its [gate] against a `baseline` (a baseline's folder or a recording's).

    With `against` (a git revision, another eval file, another environment), both versions are run interleaved in this
    job instead, which is the only way to gate latency that can be believed; against a baseline, latency is left out
    unless the gate says `across_jobs`. `recording` is judged instead of a new
    one. Without a `clock`, latency and what is billed by time are left out. Raises BadInput before anything is run
    for a gate that cannot be judged; sides that cannot be compared are a verdict, with exit code 3.
    """
    path = Path(eval_file)
    prepared = prepare(path, corpus=None if corpus is None else Path(corpus), books=books)
    config = prepared.subject.config
    check_gate(config, path)
    if not clock or (against is None and not config.gate.across_jobs):
        without_clock(config.gate, set())
    folder = Path("reports") / config.name if out is None else Path(out)
    bars = progress or Silent()
    if against is not None:
        if baseline is not None or recording is not None:
            raise BadInput("--against runs both sides itself; leave out --baseline and --recording", file=path)
        job = Job(path, against, None if corpus is None else Path(corpus), folder, tuple(books), clock)
        found = run_job(job, prepared, bars)
        return judged(
            found.base, found.candidate, config.gate, strict=strict, clock=clock,
            noise=found.noise, looks=found.looks, against=found.facts,
        )  # fmt: skip
    place = _baseline(baseline, config, path)
    base = read_side(place)
    check_side(base, prepared)
    if recording is None:
        _check_place(place, folder)
        result = run(path, corpus=corpus, out=folder, books=books, progress=bars)
        recording = result.folder
    return judged(base, evidence.of_recording(Path(recording)), config.gate, strict=strict, clock=clock)


def judged(
    base: Evidence,
    candidate: Evidence,
    table: Gate,
    *,
    strict: bool = False,
    clock: bool = True,
    noise: dict[str, dict[str, float]] | None = None,
    looks: int = 1,
    against: dict[str, Any] | None = None,
) -> Comparison:
    """Both sides with the gate's verdict. Sides that cannot be compared make a document that says so."""
    why = ""
    left_out: list[str] = []
    if not clock:
        why, (table, left_out) = CLOCKLESS, without_clock(table, _billed_by_time(candidate))
    elif not same_job(base, candidate) and not table.across_jobs:
        why, (table, left_out) = OTHER_JOB, without_clock(table, set())
    try:
        document = comparisons.compare(base, candidate, noise=noise, looks=looks)
        document["gate"] = gate_of(base, candidate, table, strict=strict, noise=noise, looks=looks)
    except Incomparable as problem:
        return Comparison(refused(base, candidate, table, str(problem), strict=strict))
    if left_out:
        document["notes"].append(why.format(left_out=", ".join(left_out)))
    if timed := _timed_elsewhere(document):
        document["notes"].append(ONE_MACHINE.format(timed=", ".join(timed)))
    if against is not None:
        document["against"] = against
        document["base"]["source"] = document["candidate"]["source"] = "revision"
    return Comparison(document)


def _timed_elsewhere(document: dict[str, Any]) -> list[str]:
    """The gates that another machine keeps from being judged."""
    if not any(each["blocks"] == "latency" for each in document["differences"]):
        return []
    rows = [row for row in document["gate"]["gates"] if row["gate"] == "incomparable"]
    return list(dict.fromkeys(row["quantity"] for row in rows if row["kind"] in ("latency", "cost")))


def without_clock(table: Gate, billed_by_time: Collection[str]) -> tuple[Gate, list[str]]:
    """The gate without latency and without the bills of some stages, and the names of what was left out."""
    kept = {
        label: margin
        for label, margin in table.quantities.items()
        if (asked := quantity(label)).kind != "latency" and not (asked.kind == "cost" and asked.stage in billed_by_time)
    }
    left_out = [label for label in table.quantities if label not in kept]
    if not kept:
        raise BadInput(
            f"nothing of [gate.quantities] is left without a clock that can be believed ({', '.join(left_out)}); use "
            "--against REV, or add counts such as rerank.docs_scored, inject.prompt_tokens or, with flop_queries, "
            "rerank.flops"
        )
    return table.model_copy(update={"quantities": kept}), left_out


def _billed_by_time(side: Evidence) -> set[str]:
    """The stages whose bill holds machine time, and the whole bill where any does."""
    stages = set(side.figures.loc[side.figures["name"] == MACHINE_TIME, "stage"])
    return {"", *stages} if stages else set()


def check_gate(config: EvalConfig, eval_file: Path) -> None:
    """What can be wrong with a gate before anything is run. Raises BadInput or UnknownName with file and line."""
    if not config.gate.quantities:
        raise BadInput(
            "it has no [gate.quantities]; let 'ragprof gate EVAL.toml --init' write a sensible table", file=eval_file
        )
    places = Places(eval_file)
    for label, margin in config.gate.quantities.items():
        asked = quantity(label)
        with places.put_before("gate", "quantities", label):
            if asked.kind == "quality" and asked.name not in config.metrics:
                raise UnknownName("metric of this eval", asked.name, config.metrics)
            if asked.kind == "usage" and asked.name == FLOPS and not config.gate.flop_queries:
                raise BadInput(f"'{label}' is not counted; say for how many queries with [gate] flop_queries = 20")
            if asked.stage:
                _check_stage(config, label, asked.stage, margin.pipelines or config.gate.pipelines)


def _check_stage(config: EvalConfig, label: str, stage: str, named: Sequence[str] | None) -> None:
    """Every pipeline that is named for a quantity has its stage; where none is named, one of all has."""
    if quantity(label).kind == "quality" and stage not in RANKING:
        raise BadInput(f"'{label}': the {stage} stage ranks nothing; there are metrics of {', '.join(RANKING)}")
    having = [
        each.name
        for each in config.pipelines
        if {"embed": each.embedder is not None, "rerank": each.reranker.name != "none",
            "generate": each.generator is not None}.get(stage, True)
    ]  # fmt: skip
    lacking = [name for name in named or () if name not in having]
    if lacking:
        raise BadInput(f"'{label}': pipeline '{lacking[0]}' has no {stage} stage; name others under pipelines")
    if not having:
        raise BadInput(f"'{label}': no pipeline has a {stage} stage; leave it out")


def check_side(base: Evidence, prepared: Prepared) -> None:
    """Refuse a baseline of another corpus, other questions or judgements before anything is run."""
    subject = prepared.subject
    mine = {
        "corpus": (base.facts["corpus"]["sha256"], subject.corpus.sha256),
        "questions": (base.facts["questions"], fingerprint_of(subject.queries)),
        "qrels": (base.facts["qrels_sha256"], prepared.evaluation.qrels_sha256),
    }
    differing = [f"{name} ({was[:12]} there, {now[:12]} here)" for name, (was, now) in mine.items() if was != now]
    if differing:
        raise Incomparable(
            f"{base.label}: it was made with other {', '.join(differing)}; nothing was run. Make it anew with "
            "'ragprof baseline save', once the change of the data is meant"
        )


def _check_place(baseline: Path, folder: Path) -> None:
    """A baseline that the new recording overwrote would move with every run."""
    if baseline.resolve() == folder.resolve():
        raise BadInput(
            "this folder is the baseline, and a new recording would take its place; keep it with 'ragprof baseline "
            "save', or give another --out",
            file=folder,
        )


def _baseline(given: str | Path | None, config: EvalConfig, eval_file: Path) -> Path:
    if given is not None:
        return Path(given)
    if config.gate.baseline is None:
        raise BadInput(
            'nothing to compare with; give --baseline DIR or --against REV, or [gate] baseline = "..."', file=eval_file
        )
    named = eval_file.parent / config.gate.baseline
    plain = Path(os.path.normpath(named))
    return plain if plain.resolve() == named.resolve() else named


def propose(eval_file: str | Path, *, recording: str | Path | None = None) -> InitialGate:
    """Write a [gate] into an eval file, from a recording of it (default: reports/<name>), and return what it says.

    Raises BadInput where the file has one already, or where the recording is of another eval.
    """
    path = Path(eval_file)
    config = read_eval(path)
    if config.gate.quantities:
        raise BadInput("it has [gate.quantities] already; edit them, or take them out first", file=path)
    side = read_side(Path("reports") / config.name if recording is None else recording)
    if side.facts["eval"] != config.name:
        raise BadInput(
            f"'{side.label}' is a recording of '{side.facts['eval']}', not of '{config.name}'; run 'ragprof run' first",
            file=path,
        )
    proposal = initial_gate(side, alpha=config.gate.alpha)
    text = path.read_text(encoding="utf-8-sig")
    if re.search(r"^\s*\[\s*gate\s*[\].]", text, re.MULTILINE):
        raise BadInput("it has a [gate] table without quantities; take it out and run this again", file=path)
    whole = f"{text.rstrip()}\n\n{proposal.toml}"
    _check_toml(whole, path)
    files.write_text(path, whole)
    return proposal


def _check_toml(text: str, path: Path) -> None:
    """What will be written can be read again."""
    try:
        EvalConfig.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as failure:
        raise BadInput(f"a [gate] cannot be added to it ({failure}); write one by hand", file=path) from None
