"""Record prompts and answers in <recording>/injection/. Knows no gold answer, no relevance judgement and no price.

prompts, chunks, candidates, answers, live and prefill.parquet; manifest.json is written last. Answers are kept in the
cache as they come, so a killed run goes on where it stopped; live timings always start anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pandas as pd

from ragprof import environment, files
from ragprof.core import Query, Ranking, StageName
from ragprof.energy import ESTIMATE, Meter, find_meter
from ragprof.record.indexes import build_indexes
from ragprof.record.injection.answering import answer_prompts, answer_rows
from ragprof.record.injection.live import time_answers, time_lengths
from ragprof.record.injection.plan import Injecting
from ragprof.record.injection.prompts import Prompts
from ragprof.record.pipeline import Parts
from ragprof.record.rankings import orders_of
from ragprof.record.recording import Bench, Embedding, embed, embedded_queries, fingerprint_of, identities, load
from ragprof.record.redaction import redacted
from ragprof.tokens import counter, remembering
from ragprof.waiting import excluded_ns

FORMAT = 1
DERIVED = ("manifest.json", "judgement.json", "judged.parquet", "costs.parquet", "rates.json")


def record_injection(injecting: Injecting, bench: Bench) -> None:
    """Make the recording. What was made of an older one in the folder is taken away first."""
    folder = bench.folder / "injection"
    files.ready_folder(folder, remedy="give another folder with --out (in Python out=)")
    for name in DERIVED:
        (folder / name).unlink(missing_ok=True)
    load(injecting.subject.pipelines, bench.progress)
    embedding = embed(injecting.asked, injecting.subject.corpus.docs, bench)
    build_indexes(
        injecting.subject.pipelines,
        injecting.subject.corpus.docs,
        embedding.documents,
        clock=bench.clock,
        progress=bench.progress,
    )
    with remembering():
        prompts = build_prompts(injecting, embedding, bench)
    answers, generated = answer_all(injecting, prompts, bench)
    stated = injecting.subject.config.energy.watts
    meter = find_meter(stated, clock=lambda: bench.clock() - excluded_ns())  # waiting draws none of the stated watts
    live = time_answers(injecting, bench, meter)
    prefill = time_lengths(
        injecting.generators[0],
        injecting.subject.corpus.docs,
        injecting.injection.lengths,
        repeats=injecting.injection.timing.repeats,
        progress=bench.progress,
    )
    tables = {**prompts.tables(), "answers": answers, "live": live, "prefill": prefill}
    for name, table in tables.items():
        files.write_table(folder / f"{name}.parquet", table)
    work = {"prompts": len(prompts.prompts), "distinct": len(answers), "generated": generated}
    work["reused"] = work["distinct"] - generated
    files.write_json(folder / "manifest.json", manifest(injecting, work, meter))


def build_prompts(injecting: Injecting, embedding: Embedding, bench: Bench) -> Prompts:
    """Prompts of all questions of all pipelines; question by question, so that shared beginnings meet."""
    prompts = Prompts(counter(injecting.subject.config.tokenizer))
    asked = injecting.asked.queries
    ordered: dict[str, Mapping[str, Mapping[StageName, Ranking]]] = {}
    for parts in injecting.subject.pipelines:
        queries = embedded_queries(asked, embedding.queries.get(id(parts.embedder)))
        rankings, _ = orders_of(parts, queries, cache=bench.cache, progress=bench.progress)
        ordered[parts.name] = {query.query_id: each for query, each in zip(asked, rankings, strict=True)}
    bench.progress.start("build prompts", len(asked))
    for query in asked:
        for parts in injecting.subject.pipelines:
            rankings_of = ordered[parts.name][query.query_id]
            prompts.add_candidates(parts, query, rankings_of)
            _add_settings(prompts, injecting, parts, query, rankings_of)
        bench.progress.advance(1)
    bench.progress.done()
    return prompts


def _add_settings(
    prompts: Prompts, injecting: Injecting, parts: Parts, query: Query, rankings: Mapping[StageName, Ranking]
) -> None:
    for setting in injecting.settings[parts.name]:
        if any(each.query_id == query.query_id for each in injecting.queries_of(setting)):
            prompts.add(parts, setting, query, rankings, wanted=setting.wanted)


def answer_all(injecting: Injecting, prompts: Prompts, bench: Bench) -> tuple[pd.DataFrame, int]:
    """Answers of every generator, and how many were generated now. Generators of one identity share their prompts."""
    count, tables, generated = counter(injecting.subject.config.tokenizer), [], 0
    for generator in injecting.generators:
        texts = prompts.texts.get(id(generator), {})
        answers, fresh = answer_prompts(generator, texts, cache=bench.cache, progress=bench.progress)
        tables.append(answer_rows(answers, count))
        generated += fresh
    return pd.concat(tables).drop_duplicates("digest", ignore_index=True), generated


def manifest(injecting: Injecting, work: Mapping[str, int], meter: Meter | None) -> dict[str, Any]:
    """What the recording rests on."""
    subject, config = injecting.subject, injecting.subject.config
    return {
        "format": FORMAT,
        "recording": uuid4().hex,
        "config": redacted(config.model_dump(mode="json")),
        "corpus_sha256": subject.corpus.sha256,
        "questions_sha256": fingerprint_of(subject.queries),
        "identities": redacted(identities(subject.pipelines)),
        "generators": {name: parts["generator"] for name, parts in redacted(identities(subject.pipelines)).items()},
        "generator": generator_facts(injecting),
        "environment": environment.describe(),
        "questions": [query.query_id for query in injecting.queries],
        "unanswerable": [query.query_id for query in injecting.unanswerable],
        "own_k": dict(injecting.own_k),
        "settings": {name: [setting.name for setting in settings] for name, settings in injecting.settings.items()},
        "energy": None if meter is None else energy_facts(injecting, meter),
        "work": dict(work),
    }


def energy_facts(injecting: Injecting, meter: Meter) -> dict[str, Any]:
    """Where the joules come from, and what electricity costs there. Stated watts count only where nothing measures."""
    stated = injecting.subject.config.energy.watts if meter.source == ESTIMATE else None
    counted = (
        f"estimated as {stated:g} stated watts times the time" if stated else f"counted by the machine ({meter.source})"
    )
    words = f"Energy is {counted}. {injecting.electricity.get('statement', '')}".strip()
    return {"source": meter.source, "watts": stated, **injecting.electricity, "statement": words}


def generator_facts(injecting: Injecting) -> dict[str, Any]:
    """The generator whose times to first token by length were measured: the first pipeline's."""
    generator = injecting.generators[0]
    spec = injecting.subject.config.pipelines[0].generator or injecting.injection.generator
    return {
        "name": spec.name,
        "model": generator.model_name,
        "context_tokens": generator.context_tokens,
        "max_new_tokens": generator.max_new_tokens,
    }
