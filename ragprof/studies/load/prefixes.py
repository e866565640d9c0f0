"""How much of a prompt repeats what the prompt before it began with, by the order of its chunks.

Providers take less for a prefix that they have read a moment ago. A reranker puts other chunks first for each question,
so a prompt in its order shares little more than the template; one in a fixed order (by id) may share whole chunks.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from os.path import commonprefix

import pandas as pd

from ragprof.core import Doc, Query, files, prompt
from ragprof.core.tokens import counter
from ragprof.evals.recorded import RANKING
from ragprof.record.pipeline import Parts
from ragprof.record.recording import Bench
from ragprof.studies.load.plan import LoadPlan
from ragprof.studies.load.recorded import FIXED, PREFIX_TABLE

MOST_PROMPTS = 300


def record_prefixes(plan: LoadPlan, queries: Sequence[Query], bench: Bench) -> None:
    """Write load/prefixes.parquet from the rankings of the main recording, where it is there."""
    docs = {doc.doc_id: doc for doc in plan.subject.corpus.docs}
    count = counter(plan.subject.config.tokenizer)
    rows: list[tuple[str, str, str, int, int, int]] = []
    for name in dict.fromkeys(target.pipeline for target in plan.targets):
        parts = next((each for each in plan.subject.pipelines if each.name == name), None)
        path = bench.folder / "rankings" / f"{name}.parquet"
        if parts is not None and parts.app is None and hasattr(parts.injector, "template") and path.exists():
            rows += _of_pipeline(parts, RANKING.read(path), docs, queries[:MOST_PROMPTS], count)
    columns = ["pipeline", "order", "query_id", "tokens", "repeated", "repeated_any"]
    table = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[3:], "int64"))
    files.write_table(bench.folder / "load" / PREFIX_TABLE, table)


def _of_pipeline(
    parts: Parts, ranking: pd.DataFrame, docs: dict[str, Doc], queries: Sequence[Query], count: Callable[[str], int]
) -> Iterator[tuple[str, str, str, int, int, int]]:
    """A row an order and question, in the order in which load asks them."""
    best_first = _chunks(ranking, docs)
    template: str = parts.injector.template  # type: ignore[attr-defined]  # those without one are left out
    own: prompt.Order = getattr(parts.injector, "order", "best_first")
    orders: dict[str, prompt.Order | None] = {
        own: own,
        "best_first": "best_first",
        "best_last": "best_last",
        FIXED: None,
    }
    for order, arranged_as in orders.items():
        asked: list[str] = []
        before = ""
        for query in queries:
            chunks = best_first.get(query.query_id, [])
            placed = (
                sorted(chunks, key=lambda doc: doc.doc_id)
                if arranged_as is None
                else prompt.arranged(chunks, arranged_as)
            )
            text = prompt.build(template, query.text, placed)
            repeated = _shared(before, text)
            any_before = max((_shared(text, other) for other in _neighbours(asked, text)), key=len, default="")
            yield parts.name, order, query.query_id, count(text), count(repeated), count(any_before)
            before = text
            insort(asked, text)


def _shared(one: str, other: str) -> str:
    """What both begin with, to the character."""
    return commonprefix([one, other])  # noqa: RUF071  # these are no paths


def _neighbours(asked: Sequence[str], text: str) -> list[str]:
    """Those of sorted texts that share most with this one stand beside its place."""
    place = bisect_left(asked, text)
    return list(asked[max(0, place - 1) : place + 1])


def _chunks(ranking: pd.DataFrame, docs: dict[str, Doc]) -> dict[str, list[Doc]]:
    """query_id -> the chunks of its prompt, best first: in the order of the last stage before it."""
    injected = ranking[ranking["stage"] == "inject"].groupby("query_id")["doc_id"].agg(set)
    last = "rerank" if (ranking["stage"] == "rerank").any() else "search"
    ranked = ranking[ranking["stage"] == last].sort_values("rank").groupby("query_id")["doc_id"].agg(list)
    return {
        str(query_id): [docs[doc_id] for doc_id in ranked.get(query_id, []) if doc_id in chosen and doc_id in docs]
        for query_id, chosen in injected.items()
    }
