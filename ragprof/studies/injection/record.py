"""Record prompts and answers in <recording>/injection/. Knows no gold answer, no relevance judgement and no price.

prompts, chunks, candidates, answers, live and prefill.parquet; manifest.json is written last. Each distinct prompt is
answered once, over all runs, and no clock runs: answers are kept in the cache as they come, so a killed run goes on
where it stopped. Live timings always start anew. Of passages ids and counts are kept; their texts stay in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd

from ragprof.core import Generated, Query, Ranking, StageName, environment, files
from ragprof.core.caches import AnswerCache, digest
from ragprof.core.clock import Progress, excluded_ns
from ragprof.core.reasoning import apart, untimed
from ragprof.core.recorded import write_sealed
from ragprof.core.stages import ConcurrentGenerator, Generator, ManyGenerator
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
class PromptTables:
    """What was built so far. `texts` are the prompts by id() of their generator and by digest."""

    count: Callable[[str], int]
    prompts: list[tuple[object, ...]] = field(default_factory=list)
    chunks: list[tuple[object, ...]] = field(default_factory=list)
    candidates: list[tuple[object, ...]] = field(default_factory=list)
    texts: dict[int, dict[str, str]] = field(default_factory=dict)
    _contents: dict[bytes, int] = field(default_factory=dict)

    def add_candidates(self, parts: Parts, query: Query, rankings: Rankings) -> None:
        self.candidates += [
            (parts.name, stage, query.query_id, rank, item.doc.doc_id, item.doc.document_id)
            for stage, ranking in rankings.items()
            for rank, item in enumerate(ranking, start=1)
        ]

    def add(self, parts: Parts, setting: Setting, query: Query, rankings: Rankings) -> None:
        """Build one prompt. The pipeline must have a generator."""
        ranking, generator = final_of(rankings), parts.generator
        injected = within_window(with_injector(parts, setting), query, ranking)
        if generator is None:
            raise ValueError(f"pipeline '{parts.name}' has no generator")
        key = digest(str(generator.identity or id(generator)), injected.prompt).hex()
        self.texts.setdefault(id(generator), {})[key] = injected.prompt
        sizes = {item.doc.doc_id: self.count(item.doc.content) for item in injected.ranking}
        # Prompt, context, question; the template is what is left. Tokens that join across a border make the parts
        # larger than the whole, hence the bounds.
        prompt, question = self.count(injected.prompt), self.count(query.text)
        context = max(0, min(sum(sizes.values()), prompt - question))
        wanted = (item.doc for item in ranking[: setting.wanted] if item.doc.doc_id not in sizes)
        where = (parts.name, setting.name, query.query_id)
        self.prompts.append(
            (
                *(*where, key, prompt, prompt - question - context, context, question),
                *(generator.count_tokens(injected.prompt), len(sizes), injected.usage.get("docs_dropped", 0)),
                sum(self.count(doc.content) for doc in wanted),
            )
        )
        ranks = {item.doc.doc_id: rank for rank, item in enumerate(ranking, start=1)}
        for position, doc in enumerate((item.doc for item in injected.ranking), start=1):
            # A number per text, the same for the same one but for case and spaces.
            text = digest(" ".join(doc.content.casefold().split()))
            content = self._contents.setdefault(text, len(self._contents))
            found = (doc.doc_id, doc.document_id, sizes[doc.doc_id], content)
            self.chunks.append((*where, position, ranks[doc.doc_id], *found))

    def tables(self) -> dict[str, pd.DataFrame]:
        return {
            "prompts": pd.DataFrame(self.prompts, columns=list(PROMPT_COLUMNS)),
            "chunks": pd.DataFrame(self.chunks, columns=list(CHUNK_COLUMNS)),
            "candidates": pd.DataFrame(self.candidates, columns=list(CANDIDATE_COLUMNS)),
        }


ANSWER_COLUMNS = ("digest", "text", "output_tokens", "answer_tokens", "finish", "reasoning_tokens")
AT_ONCE = 96
"""Prompts that a generator which answers many together is given at once, and so what a kill loses."""


def answer_prompts(
    generator: Generator, texts: Mapping[str, str], *, known: AnswerCache | None, progress: Progress
) -> tuple[dict[str, Generated], int]:
    """The answer of each prompt by its digest, and how many had to be generated; `known` is `kept_answers`.

    `texts` are in the order of their questions: prompts that share their beginning stand near each other. What came
    before an error is in the cache when it is raised.
    """
    found = {key: known.get(prompt) for key, prompt in texts.items()} if known is not None else {}
    answers = {key: answer for key, answer in found.items() if answer is not None}
    todo = [key for key in texts if key not in answers]
    progress.start("answer prompts", len(todo))
    for given in as_they_come(generator, {key: texts[key] for key in todo}):
        if known is not None:
            known.put([texts[key] for key in given], list(given.values()))
        answers |= given
        progress.advance(len(given))
    progress.done()
    return {key: apart(answers[key]) for key in texts}, len(todo)


def kept_answers(generator: Generator, *, cache: Path) -> AnswerCache | None:
    """Read what it has answered before; None where answers may differ from one time to the next, and are not kept."""
    identity = cache_identity(generator, "answer")
    return None if identity is None else AnswerCache(cache / "answers", identity=identity)


def as_they_come(generator: Generator, texts: Mapping[str, str]) -> Iterator[dict[str, Generated]]:
    """Answers by the keys of their prompts, in the pieces in which they come.

    Of several that are asked for at once, those that were answered come out before the error of another is raised.
    """
    if isinstance(generator, ConcurrentGenerator):
        pool, failed = ThreadPoolExecutor(generator.concurrency), None
        asked = {pool.submit(generator.generate, prompt): key for key, prompt in texts.items()}
        waiting = set(asked)
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    if (error := future.exception()) is None:
                        yield {asked[future]: untimed(future.result())}
                    else:
                        failed = failed or error
                if failed is not None:
                    # Who is cancelled leaves the set: waiting for it would never end (no worker tells of it any more).
                    waiting = {future for future in waiting if not future.cancel()}
        finally:
            pool.shutdown(cancel_futures=True)
        if failed is not None:
            raise failed
    elif isinstance(generator, ManyGenerator):
        keys = list(texts)
        for start in range(0, len(keys), AT_ONCE):
            some = keys[start : start + AT_ONCE]
            yield dict(zip(some, generator.generate_many([texts[key] for key in some]), strict=True))
    else:
        for key, prompt in texts.items():
            yield {key: generator.generate(prompt)}


FORMAT = 1
DERIVED = ("manifest.json", "judgement.json", "judged.parquet", "costs.parquet", "rates.json")


def record_injection(planned: InjectionPlan, bench: Bench) -> None:
    """Make the recording. What was made of an older one in the folder is taken away first."""
    folder = bench.folder / "injection"
    files.ready_folder(folder, remedy="give another folder with --out (in Python out=)")
    for name in DERIVED:
        (folder / name).unlink(missing_ok=True)
    load(planned.subject.pipelines, bench.progress)
    embedding = embed(planned.asked, planned.subject.corpus.docs, bench)
    docs = planned.subject.corpus.docs
    build_indexes(planned.subject.pipelines, docs, embedding.documents, clock=bench.clock, progress=bench.progress)
    with remembering():
        prompts = build_prompts(planned, embedding, bench)
    answers, generated = answer_all(planned, prompts, bench)
    # What was paid for is on disk before anything else can fail.
    for name, table in {**prompts.tables(), "answers": answers}.items():
        files.write_table(folder / f"{name}.parquet", table)
    stated = planned.subject.config.energy.watts
    meter = find_meter(stated, clock=lambda: bench.clock() - excluded_ns())  # waiting draws none of the stated watts
    files.write_table(folder / "live.parquet", time_answers(planned, bench, meter))
    repeats, lengths = planned.injection.timing.repeats, planned.injection.lengths
    prefill = time_lengths(planned.generators[0], docs, lengths, repeats=repeats, bench=bench)
    files.write_table(folder / "prefill.parquet", prefill)
    work = {"prompts": len(prompts.prompts), "distinct": len(answers), "generated": generated}
    work["reused"] = work["distinct"] - generated
    write_sealed(
        folder / "manifest.json",
        manifest(planned, work, meter),
        *(f"{name}.parquet" for name in ("prompts", "chunks", "candidates", "answers", "live", "prefill")),
    )


def build_prompts(planned: InjectionPlan, embedding: Embedding, bench: Bench) -> PromptTables:
    """Prompts of all questions of all pipelines; question by question, so that shared beginnings meet."""
    prompts = PromptTables(counter(planned.subject.config.tokenizer))
    asked = planned.asked.queries
    ordered: dict[str, Mapping[str, Mapping[StageName, Ranking]]] = {}
    for parts in planned.subject.pipelines:
        queries = embedded_queries(asked, embedding.queries.get(id(parts.embedder)))
        rankings, _ = orders_of(parts, queries, cache=bench.cache, progress=bench.progress)
        ordered[parts.name] = {query.query_id: each for query, each in zip(asked, rankings, strict=True)}
    every = (setting for settings in planned.settings.values() for setting in settings)
    asked_in = {one.name: {query.query_id for query in planned.queries_of(one)} for one in every}
    bench.progress.start("build prompts", len(asked))
    for query in asked:
        for parts in planned.subject.pipelines:
            rankings_of = ordered[parts.name][query.query_id]
            prompts.add_candidates(parts, query, rankings_of)
            for setting in planned.settings[parts.name]:
                if query.query_id in asked_in[setting.name]:
                    prompts.add(parts, setting, query, rankings_of)
        bench.progress.advance(1)
    bench.progress.done()
    return prompts


def answer_all(planned: InjectionPlan, prompts: PromptTables, bench: Bench) -> tuple[pd.DataFrame, int]:
    """Answers of every generator, and how many were generated now. Generators of one identity share their prompts."""
    count, tables, generated = counter(planned.subject.config.tokenizer), [], 0
    for generator in planned.generators:
        texts = prompts.texts.get(id(generator), {})
        known = kept_answers(generator, cache=bench.cache)
        answers, fresh = answer_prompts(generator, texts, known=known, progress=bench.progress)
        rows = [
            (
                *(key, answer.text, answer.usage.get("output_tokens")),
                *(count(answer.text) if answer.text.strip() else 0, answer.finish),
                answer.usage.get("reasoning_tokens", count(answer.reasoning)),
            )
            for key, answer in answers.items()
        ]
        # output_tokens is null where the generator does not say; it holds the reasoning, answer_tokens does not.
        tables.append(pd.DataFrame(rows, columns=list(ANSWER_COLUMNS)).astype({"output_tokens": "Int64"}))
        generated += fresh
    return pd.concat(tables).drop_duplicates("digest", ignore_index=True), generated


def manifest(planned: InjectionPlan, work: Mapping[str, int], meter: Meter | None) -> dict[str, Any]:
    """What the recording rests on.

    `generator` is the one whose times to first token by length were measured: the first pipeline's. Stated watts count
    only where nothing measures.
    """
    subject, config, generator = planned.subject, planned.subject.config, planned.generators[0]
    own = redacted(identities(subject.pipelines))
    energy: dict[str, Any] | None = None
    if meter is not None:
        watts = config.energy.watts if meter.source == ESTIMATE else None
        counted = f"counted by the machine ({meter.source})"
        if watts:
            counted = f"estimated as {watts:g} stated watts times the time"
        words = f"Energy is {counted}. {planned.electricity.get('statement', '')}".strip()
        energy = {"source": meter.source, "watts": watts, **planned.electricity, "statement": words}
    return {
        "format": FORMAT,
        "recording": uuid4().hex,
        "config": redacted(config.model_dump(mode="json")),
        "corpus_sha256": subject.corpus.sha256,
        "questions_sha256": fingerprint_of(subject.queries),
        "identities": own,
        "generators": {name: parts["generator"] for name, parts in own.items()},
        "generator": {
            "name": (config.pipelines[0].generator or planned.injection.generator).name,
            "model": generator.model_name,
            "context_tokens": generator.context_tokens,
            "max_new_tokens": generator.max_new_tokens,
        },
        "environment": environment.describe(),
        "questions": [query.query_id for query in planned.queries],
        "unanswerable": [query.query_id for query in planned.unanswerable],
        "own_k": dict(planned.own_k),
        "settings": {name: [setting.name for setting in settings] for name, settings in planned.settings.items()},
        "energy": energy,
        "work": dict(work),
    }
