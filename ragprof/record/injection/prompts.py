"""Prompts of every pipeline, setting and question, and what stands in them: ids and counts; texts stay in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from ragprof.core import Doc, Injected, Query, Ranking, StageName
from ragprof.record.injection.plan import Setting, with_injector
from ragprof.record.pipeline import Parts
from ragprof.record.query import within_window
from ragprof.record.rankings import final_of
from ragprof.row_cache import digest

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
