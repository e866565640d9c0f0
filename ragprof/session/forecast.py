"""Estimates of a run and of each study before they run, from small live probes and the studies' plans."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from ragprof.core import Doc, cores, environment, files
from ragprof.core.caches import digest
from ragprof.core.clock import SILENT, Progress, now_ns, step, today
from ragprof.core.errors import BadInput
from ragprof.core.stages import CutsTexts, Embedder, LengthLimited, Lexical, RemoteEmbedder
from ragprof.core.tokens import counter
from ragprof.corpus import Passages
from ragprof.evals import PipelineConfig
from ragprof.price.bills import PriceList
from ragprof.price.rates import Unpriced
from ragprof.record.pipeline import closing
from ragprof.record.recording import Subject, fingerprint_of, query_tokens
from ragprof.record.speeds import WAITING
from ragprof.record.trial import START_S, RecordingEffort, Trial, recording_effort
from ragprof.record.unread import UnreadTexts, unread_by_embedders, unread_by_rerankers
from ragprof.report.figures import corpus_size, rough_duration, usd
from ragprof.session import studies
from ragprof.session.drawn import program
from ragprof.studies.contract import Request
from ragprof.studies.preparation import Prepared, prepare

LONGEST_PATH = 1_000
CHECKS = "checks"
"""A folder of the cache: what was forecast of an eval file, and what that rests on."""

SEARCH_ALL = "--full searches them all"
FLATTERED = f"all relevant passages and fewer distractors, so quality looks better than on the whole; {SEARCH_ALL}"


@dataclass(frozen=True)
class EvalForecast:
    """Rows of (what, how much) for an eval, and notices about its questions and judgements.

    `seconds` are those of the whole command, for the main recording by the name `profile` and for every study whose
    time is known, the main recording left out; `prompt_tokens` the mean of a prompt by pipeline.
    """

    name: str
    rows: Sequence[tuple[str, str]]
    notices: Sequence[str]
    seconds: Mapping[str, float]
    prompt_tokens: Mapping[str, float]


def forecast_eval(
    eval_file: Path,
    *,
    corpus: Path | None = None,
    books: Sequence[Path] = (),
    passages: Passages | None = None,
    progress: Progress = SILENT,
) -> EvalForecast:
    """Check an eval file with all that it names, and estimate the main recording and every study of it.

    Raises RagprofError for what the main recording cannot do without. A study that cannot be made says why in its row.
    What was tried is kept in the cache: while nothing changes that it rests on, it is not tried again.
    """
    begun = now_ns()
    prepared = prepare(eval_file, corpus=corpus, books=books, passages=passages, progress=progress)
    start_s = START_S + (now_ns() - begun) / 1e9
    cache, rests_on = files.cache_folder(), _rests_on(prepared, books)
    path = cache / CHECKS / f"{digest(str(eval_file.resolve()), str(corpus), str(passages)).hex()}.json"
    has_app = any(parts.app is not None for parts in prepared.subject.pipelines)  # whose code may change unseen
    with suppress(BadInput, KeyError, TypeError, ValueError):  # missing, damaged, or of another version
        kept = files.read_json(path, remedy="check again")
        if kept["rests_on"] == rests_on and not has_app:
            rows = [(str(what), str(much)) for what, much in kept["rows"]]
            return EvalForecast(kept["name"], rows, tuple(kept["notices"]), kept["seconds"], kept["prompt_tokens"])
    meter, start = cores.meter(), now_ns()
    before = meter.of_process()
    with closing(prepared.subject.pipelines):
        found = _tried(prepared, Request(eval_file, books=books), cache, progress, start_s=start_s)
    added, took = meter.of_process().since(before), now_ns() - start
    if (added.waiting_ns or 0) <= WAITING * took:
        files.write_json(path, {"rests_on": rests_on, **asdict(found)})
    return found


def _rests_on(prepared: Prepared, books: Sequence[Path]) -> str:
    """A digest of what a forecast rests on: the eval, its texts and models, the cache, the machine, the program.

    Parts are told by how they are declared: some load torch to say what they call themselves.
    """
    subject, cache, config = prepared.subject, files.cache_folder(), prepared.subject.config.model_dump(mode="json")
    known = [f"{path.parent} {path.stat().st_size}" for path in sorted(cache.glob("*/*/keys.bin"))]
    machine: list[Any] = [environment.describe(), sorted(map(str, Path("/dev").glob("nvidia*")))]
    machine += [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "ONEDNN_MAX_CPU_ISA")]
    facts = [
        config,
        list(_stamps([config.get(table) for table in ("pipelines", "injection", "reranker")])),
        [subject.corpus.sha256, subject.corpus.name, str(subject.corpus.account), repr(subject.corpus.whole)],
        [fingerprint_of(subject.queries), prepared.evaluation.qrels_sha256, *prepared.evaluation.notices],
        [known, machine, program(), today().isoformat()],
        [book.read_text(encoding="utf-8") for book in books],
    ]
    return digest(json.dumps(facts, sort_keys=True, default=str)).hex()


def _stamps(value: Any) -> Iterator[str]:
    """Size and date of every file that a text in the value names, or that is in a folder that one names: models."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _stamps(inner)
    elif isinstance(value, str) and len(value) < LONGEST_PATH and os.sep in value:
        path = Path(value).expanduser()
        for each in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if each.is_file():
                yield f"{each} {each.stat().st_size} {each.stat().st_mtime_ns}"


def _tried(prepared: Prepared, request: Request, cache: Path, progress: Progress, *, start_s: float) -> EvalForecast:
    with step(progress, "try the pipelines out"):
        trial = Trial(prepared.subject, cache, start_s=start_s)
        effort = recording_effort(trial)
        rows = forecast(trial, effort, judged=prepared.evaluation.is_judged, books=request.books)
    seconds, refused = {studies.PROFILE: effort.seconds}, dict[str, list[str]]()
    for study in studies.every():
        if not study.is_asked(prepared.subject.config):
            continue
        if study.needs_whole_corpus and prepared.subject.corpus.whole:
            rows.append((study.name, "takes the whole corpus whatever was recorded; --full estimates it"))
            continue
        with step(progress, f"estimate {study.name}"):
            try:
                plan = study.plan(prepared, request)
            except BadInput as problem:
                refused.setdefault(problem.message.removeprefix(f"{study.name} "), []).append(study.name)
                continue
            beside = study.estimate(plan, trial)
            rows += [(f"{study.name}: {what}", much) for what, much in beside.rows]
            if beside.seconds is not None:
                seconds[study.name] = effort.fixed_s + beside.seconds
                words = f"about {rough_duration(seconds[study.name])} beside the main recording"
                rows.append((f"{study.name}: time", words))
    for reason, names in refused.items():
        rows.append((", ".join(names), f"not possible with this eval file: {reason}"))
    if prepared.subject.config.gate.quantities:
        seconds["gate"] = effort.again_s
        again, clockless = rough_duration(effort.again_s), rough_duration(effort.clockless_s)
        rows.append(("gate: time", f"about {again} against a baseline, about {clockless} with --no-clock"))
    tokens = {name: one.prompt_tokens for name, one in trial.pipelines.items()}
    return EvalForecast(prepared.subject.config.name, rows, prepared.evaluation.notices, seconds, tokens)


def forecast(
    trial: Trial, effort: RecordingEffort, *, judged: bool, books: Sequence[Path] = ()
) -> list[tuple[str, str]]:
    """Rows of (what, how much) for the main recording."""
    subject, sample = trial.subject, trial.sample
    docs = subject.corpus.docs
    mean_tokens = float(np.mean([counter(subject.config.tokenizer)(doc.content) for doc in sample]))
    of_it = subject.corpus.whole
    size = corpus_size(len(docs), subject.corpus.documents, None if of_it is None else of_it.docs)
    rows = [
        ("read", str(subject.corpus.account)),
        *(("left out", str(each)) for each in subject.corpus.account.left_out),
        *(("parsed", str(each)) for each in subject.corpus.account.parsed),
        ("corpus", f"{subject.corpus.name}: {size}, about {mean_tokens * len(docs):,.0f} tokens"),
        *([("part", FLATTERED if judged else SEARCH_ALL)] if of_it else []),
        ("questions", f"{len(subject.queries):,} {'judged' if judged else 'without judgements'}"),
        ("pipelines", ", ".join(parts.name for parts in subject.pipelines)),
        *_app_rows(subject),
    ]
    for label, embedder in _embedders(subject).items():
        missing = trial.missing(embedder, docs)
        needed = trial.embedding_s(embedder, missing)
        rows.append(
            (
                f"embed with {label}",
                f"{len(missing):,} of {len(docs):,} passages are new: about {rough_duration(needed)}",
            )
        )
        if isinstance(embedder, RemoteEmbedder):
            tokens = round(mean_tokens * len(missing)) + query_tokens(subject, embedder, trial.cache)
            rows.append((f"{label} is paid", _embedding_usd(subject, embedder, tokens, books)))
    for name, one in effort.scoring.items():
        scored = f"{one.pairs:,} pairs, cached ones are reused: about {rough_duration(one.seconds)}"
        rows.append((f"rerank with {name}", scored))
    patience = subject.config.timing.patience
    busy = f"; where the machine is busy, up to {rough_duration(patience)} more (timing.patience)" if patience else ""
    whole, live = rough_duration(effort.seconds), rough_duration(effort.live_s)
    rows.append(("time", f"about {whole} in all, {live} of it live timings{busy}"))
    spoken: dict[str, list[str]] = {}
    for parts in subject.pipelines:
        if isinstance(parts.store, Lexical) and parts.store.language:
            spoken.setdefault(parts.store.language, []).append(parts.name)
    rows += [
        ("language", f"{language.capitalize()} is read by {', '.join(names)}") for language, names in spoken.items()
    ]
    rows += [("cut", each.sentence) for each in _unread(subject, sample)]
    rows.extend(_prompts(subject, pipeline, trial) for pipeline in subject.config.pipelines)
    return rows


def _embedding_usd(subject: Subject, embedder: Embedder, tokens: int, books: Sequence[Path]) -> str:
    """What the new passages and all questions cost, live ones with them; UNPRICED where no rate is known."""
    about = f"about {tokens:,} tokens of new passages and of questions"
    config = subject.config
    declared = next(
        each for parts, each in zip(subject.pipelines, config.pipelines, strict=True) if parts.embedder is embedder
    )
    name = declared.prices.embed or config.prices.embed
    if name is None:
        return f"{about}, UNPRICED (no embed in [prices])"
    try:
        rate = PriceList.of(config.model_dump(mode="json"), books=books, on=today(), file=Path(config.name)).rate(name)
    except Unpriced as missing:
        return f"{about}, UNPRICED ({missing})"
    if rate.shape != "per_input_token":
        return f"{about}, priced by '{name}'"
    return f"{about}: about {usd(rate.cost(Decimal(tokens)))} by '{name}'; --budget-usd sets a limit"


def _app_rows(subject: Subject) -> Iterator[tuple[str, str]]:
    """What each app is, that it runs, its variants, and how often it is called."""
    most = 1 + len(subject.queries) * (2 + subject.config.timing.rounds) + subject.config.timing.warmup
    for parts, config in zip(subject.pipelines, subject.config.pipelines, strict=True):
        app = parts.app
        if app is None or config.variant_of not in (None, config.name):
            continue
        names = [each.name for each in subject.config.pipelines if config.name in (each.name, each.variant_of)]
        yield (
            f"app {parts.name}",
            f"{app.target} ({app.kind}: {app.app.description}), your own code, which runs: each question is asked once "
            f"for quality and again in live rounds, at most {most * len(names):,} calls in all, and whatever a call "
            "costs is spent",
        )
        if len(names) > 1:
            knobs = ", ".join(config.knobs or {})
            each = f"each a pipeline of its own with at most {most:,} of these calls"
            yield f"variants of {parts.name}", f"{len(names)} by {knobs}, {each}: {', '.join(names)}"


def _unread(subject: Subject, sample: Sequence[Doc]) -> list[UnreadTexts]:
    """What would be left unread of a sample of the passages, of all queries, and of pairs made of both."""
    pairs = list(zip(cycle(subject.queries), sample, strict=False))
    candidates = {parts.name: pairs for parts in subject.pipelines}
    passages, queries = [doc.content for doc in sample], [query.text for query in subject.queries]
    for parts in subject.pipelines:
        for part in (parts.embedder, parts.reranker):
            if isinstance(part, CutsTexts | LengthLimited):
                part.load()
    return [
        *unread_by_embedders(subject.config, subject.pipelines, passages=passages, queries=queries),
        *unread_by_rerankers(subject.config, subject.pipelines, candidates),
    ]


def _embedders(subject: Subject) -> dict[str, Embedder]:
    found: dict[int, tuple[str, Embedder]] = {}
    for parts, config in zip(subject.pipelines, subject.config.pipelines, strict=True):
        if parts.embedder is not None and config.embedder is not None:
            label = str(config.embedder.options.get("model", config.embedder.name))
            found.setdefault(id(parts.embedder), (label, parts.embedder))
    return dict(found.values())


def _prompts(subject: Subject, pipeline: PipelineConfig, trial: Trial) -> tuple[str, str]:
    tokens = trial.pipelines[pipeline.name].prompt_tokens
    llm = pipeline.prices.llm or subject.config.prices.llm
    if llm is None:
        cost = "UNPRICED (no llm in [prices])"
    elif ":" not in llm:
        cost = f"priced by '{llm}'"
    else:
        from genai_prices import Usage, calc_price

        provider, _, model = llm.partition(":")
        price = calc_price(Usage(input_tokens=round(tokens)), model_ref=model, provider_id=provider)
        cost = f"about ${float(price.total_price) * 1000:,.3g} per 1,000 queries with {llm}"
    return f"prompt of {pipeline.name}", f"about {tokens:,.0f} tokens per query, {cost}"
