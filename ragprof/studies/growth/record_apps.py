"""Growth of apps: each sub-corpus is indexed by the app itself, and every question is asked in it.

Nothing is derived from a larger sub-corpus, since nobody knows how an app searches; only one and the same set of
passages, which several orders may come to, is asked once. When all is recorded the app has the whole corpus again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragprof.core import RANKED_STAGES, Answer, Doc, Layout, Query
from ragprof.core.clock import Progress
from ragprof.core.errors import BadInput
from ragprof.record.indexed import IndexedApp
from ragprof.record.pipeline import Parts
from ragprof.studies.growth.record_cells import Cells
from ragprof.studies.growth.record_live import InjectedCells


@dataclass
class Asking:
    """What happened while an app was asked in all of its sub-corpora."""

    asked: int = 0
    failed: int = 0
    first_failure: str = ""
    unknown: set[str] = field(default_factory=set)


@contextmanager
def whole_afterwards(pipelines: Sequence[Parts], docs: Sequence[Doc], progress: Progress) -> Iterator[None]:
    """Whatever happens within, every app that was given a sub-corpus has the whole corpus in the end."""
    try:
        yield
    except BaseException:
        for store in _indexes(pipelines):
            with suppress(BadInput):
                if store.is_filled:
                    store.add(docs)
        raise
    filled = [store for store in _indexes(pipelines) if store.is_filled]
    if filled:
        progress.start("index the whole corpus again", len(filled))
        for store in filled:
            store.add(docs)
            progress.advance(1)
        progress.done()


def _indexes(pipelines: Sequence[Parts]) -> list[IndexedApp]:
    found = {id(parts.store): parts.store for parts in pipelines}
    return [store for store in found.values() if isinstance(store, IndexedApp)]


@dataclass(frozen=True)
class AnsweredCell:
    """One sub-corpus: (queries, candidates) of places, scores, the reranker's ranks, and positions in the prompt.

    `prompts` are tokens of prompt, question and context, (queries, 3).
    """

    places: NDArray[np.int64]
    scores: NDArray[np.float64]
    reranked: NDArray[np.float64]
    positions: NDArray[np.int16]
    prompts: NDArray[np.int64]


@dataclass
class AppAsker:
    """Asks apps in sub-corpora. `count` counts tokens; `notes` has what happened, by pipeline."""

    docs: Sequence[Doc]
    queries: Sequence[Query]
    count: Callable[[str], int]
    progress: Progress
    notes: dict[str, Asking] = field(default_factory=dict)

    def ask(self, group: Sequence[Parts], curves: Mapping[str, list[Layout]]) -> dict[str, dict[str, AppCells]]:
        """Cells of all pipelines over one index, by pipeline and curve."""
        known: dict[str, dict[str, AnsweredCell]] = {}
        sets = {
            _key(layout.members[:size]): layout.members[:size]
            for layouts in curves.values()
            for layout in layouts
            for size in layout.sizes
        }
        self.progress.start(f"ask {group[0].name} in every sub-corpus", len(sets) * len(group) * len(self.queries))
        for key, members in sets.items():
            group[0].store.add([self.docs[place] for place in np.sort(members).tolist()], None)
            known[key] = {parts.name: self._cell(parts) for parts in group}
        self.progress.done()
        for parts in group:
            if not any(cells[parts.name].places.shape[1] for cells in known.values()):
                raise BadInput(
                    f"app '{parts.name}' found nothing in any sub-corpus; does index(documents) fill the index that it "
                    "searches?"
                )
        return {
            parts.name: {
                curve: _stacked(
                    [[known[_key(each.members[:size])][parts.name] for size in each.sizes] for each in layouts],
                    layouts[0].sizes,
                )
                for curve, layouts in curves.items()
            }
            for parts in group
        }

    def _cell(self, parts: Parts) -> AnsweredCell:
        places = {doc.doc_id: place for place, doc in enumerate(self.docs)}
        app, answers = parts.app, list[Answer]()
        if app is None:
            raise TypeError(f"pipeline '{parts.name}' is no app")
        for query in self.queries:
            answers.append(app.ranked(query, of=len(self.queries)))
            self.progress.advance(1)
        log, note = app.log, self.notes.setdefault(parts.name, Asking())
        note.asked += log.asked
        note.failed += len(log.failed)
        note.first_failure = note.first_failure or next(iter(log.failed.values()), "")
        note.unknown |= log.unknown.keys()
        if (stale := next((doc_id for doc_id in log.unknown if doc_id in places), None)) is not None:
            raise BadInput(
                f"app '{parts.name}' found '{stale}', which is none of the documents that index(documents) was given "
                "last; index(documents) has to take away what was there before"
            )
        rows = [self._row(answer, places) for answer in answers]
        width = max((len(row[0]) for row in rows), default=0)
        return AnsweredCell(
            _padded([row[0] for row in rows], width, -1, np.int64),
            _padded([row[1] for row in rows], width, 0, np.float64),
            _padded([row[2] for row in rows], width, np.nan, np.float64),
            _padded([row[3] for row in rows], width, 0, np.int16),
            np.array([self._prompt(answer) for answer in answers], np.int64),
        )

    def _row(self, answer: Answer, places: Mapping[str, int]) -> tuple[list[int], list[float], list[float], list[int]]:
        """Candidates as the search had them, behind them what stands in a later ranking alone."""
        scores: dict[str, float] = {}
        for stage in RANKED_STAGES:
            for item in answer.rankings.get(stage, ()):
                scores.setdefault(item.doc.doc_id, item.score)
        ranks = {item.doc.doc_id: float(-rank) for rank, item in enumerate(answer.rankings.get("rerank", ()))}
        inside = {item.doc.doc_id: rank for rank, item in enumerate(answer.rankings["inject"], start=1)}
        return (
            [places.get(doc_id, -1) for doc_id in scores],
            list(scores.values()),
            [ranks.get(doc_id, np.nan) for doc_id in scores],
            [inside.get(doc_id, 0) for doc_id in scores],
        )

    def _prompt(self, answer: Answer) -> tuple[int, int, int]:
        prompt = answer.usage.get("generate", {}).get("input_tokens") or self.count(answer.prompt)
        question = self.count(answer.query.text)
        context = sum(self.count(item.doc.content) for item in answer.rankings["inject"])
        return prompt, question, max(0, min(context, prompt - question))


@dataclass(frozen=True)
class AppCells:
    """Cells of one curve, with what of them is in the prompt."""

    cells: Cells
    inside: InjectedCells


def _key(members: NDArray[np.int64]) -> str:
    return sha256(np.sort(members).tobytes()).hexdigest()


def _padded(rows: Sequence[Sequence[Any]], width: int, empty: Any, kind: Any) -> NDArray[Any]:
    table = np.full((len(rows), width), empty, kind)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row
    return table


def _stacked(orders: Sequence[Sequence[AnsweredCell]], sizes: tuple[int, ...]) -> AppCells:
    width = max(cell.places.shape[1] for row in orders for cell in row)

    def every(name: str, empty: Any, kind: Any) -> NDArray[Any]:
        return np.stack(
            [np.stack([_padded(getattr(cell, name), width, empty, kind) for cell in row]) for row in orders]
        )

    reranked = every("reranked", np.nan, np.float64)
    cells = Cells(
        sizes,
        every("places", -1, np.int64),
        every("scores", 0, np.float64),
        None if np.isnan(reranked).all() else reranked,
    )
    prompts = np.stack([np.stack([cell.prompts for cell in row]) for row in orders])
    return AppCells(cells, InjectedCells(every("positions", 0, np.int16), prompts))
