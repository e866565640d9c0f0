"""One part of a pipeline under load, given what reaches it there: its own capacity is what an API is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ragprof.core import Doc, Query
from ragprof.core.errors import BadInput
from ragprof.record.pipeline import Parts
from ragprof.record.query import ask, bare
from ragprof.record.recording import Bench
from ragprof.studies.load.plan import AloneStage
from ragprof.studies.load.pool import Asker

MOST_PREPARED = 200
"""Questions whose candidates or prompts are found before the load; they are asked in turn."""


def asker_of_part(
    parts: Parts, stage: AloneStage, queries: tuple[Query, ...], bench: Bench
) -> tuple[tuple[Query, ...], Asker]:
    """The questions, and what asks the part one of them. What comes before it in the pipeline is done here."""
    chosen = queries[:MOST_PREPARED]
    candidates: dict[str, list[Doc]] = {}
    prompts: dict[str, str] = {}
    if stage != "embed":
        before = replace(parts, generator=None, reranker=None if stage == "rerank" else parts.reranker)
        bench.progress.start(f"what reaches {stage} of {parts.name}", len(chosen))
        for query in chosen:
            answer = ask(before, query, bare)
            candidates[query.query_id] = [item.doc for item in answer.rankings["search"]]
            prompts[query.query_id] = answer.prompt
            bench.progress.advance(1)
        bench.progress.done()
    embedder, reranker, generator = parts.embedder, parts.reranker, parts.generator

    def asked(query: Query) -> Mapping[str, int]:
        start = bench.clock()
        if stage == "embed" and embedder is not None:
            embedder.embed_queries([query.text])
        elif stage == "rerank" and reranker is not None:
            reranker.score(query, candidates[query.query_id])
        elif stage == "generate" and generator is not None:
            generator.generate(prompts[query.query_id])
        else:
            raise BadInput(f"'{parts.name}' has no part for {stage}")
        return {stage: bench.clock() - start}

    return chosen, asked
