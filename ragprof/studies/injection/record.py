"""Record prompts and answers in <recording>/injection/. Knows no gold answer, no relevance judgement and no price.

prompts, chunks, candidates, answers, live and prefill.parquet; manifest.json is written last. Answers are kept in the
cache as they come, so a killed run goes on where it stopped; live timings always start anew.

Prompts of every pipeline, setting and question, and what stands in them: ids and counts; texts stay in memory.

Answers, for quality: each distinct prompt is answered once, over all runs. No clock runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd

from ragprof.core import Doc, Generated, Injected, Query, Ranking, StageName, environment, files
from ragprof.core.caches import AnswerCache, digest
from ragprof.core.clock import Progress, excluded_ns
from ragprof.core.stages import Generator, ManyGenerator
from ragprof.core.tokens import counter, remembering
from ragprof.record.pipeline import Parts
from ragprof.record.query import within_window
from ragprof.record.rankings import cache_identity, final_of, orders_of
from ragprof.record.recording import (
    Bench,
    Embedding,
    build_indexes,
    embed,
    embedded_queries,
    fingerprint_of,
    identities,
    load,
    redacted,
)
from ragprof.studies.injection.meters import ESTIMATE, Meter, find_meter
from ragprof.studies.injection.plan import InjectionPlan, Setting, with_injector
from ragprof.studies.injection.record_live import time_answers, time_lengths

PROMPT_COLUMNS = (
    "pipeline", "setting", "query_id", "digest", "prompt_tokens", "template_tokens", "context_tokens", "query_tokens",
    "model_tokens", "docs_injected", "docs_dropped", "truncated_tokens",
)  # fmt: skip
CHUNK_COLUMNS = (
    "pipeline", "setting", "query_id", "position", "rank", "doc_id", "document_id", "tokens", "content",
)  # fmt: skip
CANDIDATE_COLUMNS = ("pipeline", "stage", "query_id", "rank", "doc_id", "document_id")
Rankings = Mapping[StageName, Ranking]


@dataclass
class Prompts:
    """What was built so far. `texts` are the prompts by id() of their generator and by digest."""

    count: Callable[[str], int]
    prompts: list[tuple[object, ...]] = field(default_factory=list)
    chunks: list[tuple[object, ...]] = field(default_factory=list)
    candidates: list[tuple[object, ...]] = field(default_factory=list)
    texts: dict[int, dict[str, str]] = field(default_factory=dict)
    _contents: dict[bytes, int] = field(default_factory=dict)

    def add_candidates(self, parts: Parts, query: Query, rankings: Rankings) -> None:
        for stage, ranking in rankings.items():
            for rank, item in enumerate(ranking, start=1):
                row = (parts.name, stage, query.query_id, rank, item.doc.doc_id, item.doc.document_id)
                self.candidates.append(row)

    def add(self, parts: Parts, setting: Setting, query: Query, rankings: Rankings, *, wanted: int) -> None:
        """Build one prompt. `wanted` is how many chunks the setting asks for."""
        ranking = final_of(rankings)
        injected = within_window(with_injector(parts, setting), query, ranking)
        generator = parts.generator
        if generator is None:
            raise ValueError(f"pipeline '{parts.name}' has no generator")
        key = digest(str(generator.identity or id(generator)), injected.prompt).hex()
        self.texts.setdefault(id(generator), {})[key] = injected.prompt
        sizes = [self.count(item.doc.content) for item in injected.ranking]
        self.prompts.append(
            (
                *(parts.name, setting.name, query.query_id, key),
                *self._tokens(query, injected, sum(sizes)),
                *(generator.count_tokens(injected.prompt), len(sizes), injected.usage.get("docs_dropped", 0)),
                self._left_out(ranking[:wanted], injected),
            )
        )
        self.chunks += self._chunks(parts, setting, query, ranking, injected, sizes)

    def _tokens(self, query: Query, injected: Injected, chunks: int) -> tuple[int, int, int, int]:
        """Prompt, template, context, question; the template is what is left."""
        prompt, question = self.count(injected.prompt), self.count(query.text)
        context = max(0, min(chunks, prompt - question))
        return prompt, prompt - question - context, context, question

    def _left_out(self, ranking: Ranking, injected: Injected) -> int:
        """Tokens of the wanted chunks that did not get in."""
        inside = {item.doc.doc_id for item in injected.ranking}
        return sum(self.count(item.doc.content) for item in ranking if item.doc.doc_id not in inside)

    def _chunks(
        self,
        parts: Parts,
        setting: Setting,
        query: Query,
        ranking: Ranking,
        injected: Injected,
        sizes: Sequence[int],
    ) -> Iterator[tuple[object, ...]]:
        ranks = {item.doc.doc_id: rank for rank, item in enumerate(ranking, start=1)}
        for position, (item, tokens) in enumerate(zip(injected.ranking, sizes, strict=True), start=1):
            doc = item.doc
            where = (parts.name, setting.name, query.query_id, position, ranks[doc.doc_id])
            yield (*where, doc.doc_id, doc.document_id, tokens, self._content(doc))

    def _content(self, doc: Doc) -> int:
        """A number a text, the same for the same one but for case and spaces."""
        key = digest(" ".join(doc.content.casefold().split()))
        return self._contents.setdefault(key, len(self._contents))

    def tables(self) -> dict[str, pd.DataFrame]:
        return {
            "prompts": pd.DataFrame(self.prompts, columns=list(PROMPT_COLUMNS)),
            "chunks": pd.DataFrame(self.chunks, columns=list(CHUNK_COLUMNS)),
            "candidates": pd.DataFrame(self.candidates, columns=list(CANDIDATE_COLUMNS)),
        }


ANSWER_COLUMNS = ("digest", "text", "output_tokens", "answer_tokens", "finish")
AT_ONCE = 96
"""Prompts between two writes to the cache: what a kill loses."""


def answer_prompts(
    generator: Generator, texts: Mapping[str, str], *, cache: Path, progress: Progress
) -> tuple[dict[str, Generated], int]:
    """The answer of each prompt by its digest, and how many had to be generated.

    `texts` are in the order of their questions: prompts that share their beginning stand near each other.
    """
    identity = cache_identity(generator, "answer")
    known = AnswerCache(cache / "answers", identity=identity) if identity is not None else None
    found = {key: known.get(prompt) for key, prompt in texts.items()} if known is not None else {}
    answers = {key: answer for key, answer in found.items() if answer is not None}
    todo = [key for key in texts if key not in answers]
    progress.start("answer prompts", len(todo))
    for keys in _batched(todo):
        prompts = [texts[key] for key in keys]
        given = _generated(generator, prompts)
        if known is not None:
            known.put(prompts, given)
        answers.update(zip(keys, given, strict=True))
        progress.advance(len(keys))
    progress.done()
    return answers, len(todo)


def answer_rows(answers: Mapping[str, Generated], count: Callable[[str], int]) -> pd.DataFrame:
    """A row a distinct prompt. `output_tokens` is null where the generator does not say."""
    rows = [
        (key, answer.text, answer.usage.get("output_tokens"), count(answer.text), answer.finish)
        for key, answer in answers.items()
    ]
    return pd.DataFrame(rows, columns=list(ANSWER_COLUMNS)).astype({"output_tokens": "Int64"})


def _generated(generator: Generator, prompts: Sequence[str]) -> list[Generated]:
    if isinstance(generator, ManyGenerator):
        return list(generator.generate_many(prompts))
    return [generator.generate(prompt) for prompt in prompts]


def _batched(keys: Sequence[str]) -> Iterator[list[str]]:
    left = iter(keys)
    while batch := list(islice(left, AT_ONCE)):
        yield batch


FORMAT = 1
DERIVED = ("manifest.json", "judgement.json", "judged.parquet", "costs.parquet", "rates.json")


def record_injection(injecting: InjectionPlan, bench: Bench) -> None:
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


def build_prompts(injecting: InjectionPlan, embedding: Embedding, bench: Bench) -> Prompts:
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
    prompts: Prompts, injecting: InjectionPlan, parts: Parts, query: Query, rankings: Mapping[StageName, Ranking]
) -> None:
    for setting in injecting.settings[parts.name]:
        if any(each.query_id == query.query_id for each in injecting.queries_of(setting)):
            prompts.add(parts, setting, query, rankings, wanted=setting.wanted)


def answer_all(injecting: InjectionPlan, prompts: Prompts, bench: Bench) -> tuple[pd.DataFrame, int]:
    """Answers of every generator, and how many were generated now. Generators of one identity share their prompts."""
    count, tables, generated = counter(injecting.subject.config.tokenizer), [], 0
    for generator in injecting.generators:
        texts = prompts.texts.get(id(generator), {})
        answers, fresh = answer_prompts(generator, texts, cache=bench.cache, progress=bench.progress)
        tables.append(answer_rows(answers, count))
        generated += fresh
    return pd.concat(tables).drop_duplicates("digest", ignore_index=True), generated


def manifest(injecting: InjectionPlan, work: Mapping[str, int], meter: Meter | None) -> dict[str, Any]:
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


def energy_facts(injecting: InjectionPlan, meter: Meter) -> dict[str, Any]:
    """Where the joules come from, and what electricity costs there. Stated watts count only where nothing measures."""
    stated = injecting.subject.config.energy.watts if meter.source == ESTIMATE else None
    counted = (
        f"estimated as {stated:g} stated watts times the time" if stated else f"counted by the machine ({meter.source})"
    )
    words = f"Energy is {counted}. {injecting.electricity.get('statement', '')}".strip()
    return {"source": meter.source, "watts": stated, **injecting.electricity, "statement": words}


def generator_facts(injecting: InjectionPlan) -> dict[str, Any]:
    """The generator whose times to first token by length were measured: the first pipeline's."""
    generator = injecting.generators[0]
    spec = injecting.subject.config.pipelines[0].generator or injecting.injection.generator
    return {
        "name": spec.name,
        "model": generator.model_name,
        "context_tokens": generator.context_tokens,
        "max_new_tokens": generator.max_new_tokens,
    }
