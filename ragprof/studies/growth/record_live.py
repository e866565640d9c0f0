"""Live timings at every size: a real index built anew, live queries one at a time. Nothing is reused or derived.

Rounds are the outer loop: in each, every size is visited once, and both sizes and pipelines start elsewhere each time,
so that a drifting machine hits all alike. One round of one size is a cell: it is written when it is done, and a killed
run goes on with the next. How many queries a pipeline answers is settled in its first round at that size.

Each size as a recording of its own, growth/sizes/<size>/: the tables that the price pass reads, from the live order.

Rankings and prompt tokens are those of the first order's sub-corpus, the one whose index was built and timed.

Cells as files: growth/cells/<pipeline>/<curve>.parquet and growth/prompts/<pipeline>/<curve>.parquet, and back.

What every cell puts into the prompt, by the pipeline's own injector; the same ranking and scores, injected once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import Doc, Layout, Query, ScoredDoc, Vectors, files
from ragprof.core.caches import blocks, mapped
from ragprof.core.clock import Silent
from ragprof.core.stages import Injector
from ragprof.core.tokens import counter
from ragprof.record.pipeline import Parts
from ragprof.record.rankings import RANKING_COLUMNS
from ragprof.record.recording import Bench, build_indexes, redacted, shuffled
from ragprof.record.timings import Timings, rotated, shares, timed_query, warm_up
from ragprof.studies.growth.plan import Growing
from ragprof.studies.growth.record_cells import Cells

TABLES = ("spans", "usage", "builds")


@dataclass(frozen=True)
class Rows:
    """Passages in the order in which they enter, and their vectors in that order by id() of the embedder."""

    docs: Sequence[Doc]
    vectors: Mapping[int, Vectors]


def laid_out(growing: Growing, layout: Layout, vectors: dict[int, Vectors], cache: Path) -> Rows:
    """The pool in a layout's order, its vectors mapped from files: every sub-corpus is a prefix, none a copy.

    `vectors` are the pool's; they are taken out of the dict as they are laid out, so that they are not held twice.
    """
    ordered = {}
    for key in list(vectors):
        rows = vectors.pop(key)
        ordered[key] = mapped((rows[members] for members in blocks(layout.members)), cache)
    return Rows([growing.pool.docs[place] for place in layout.members.tolist()], ordered)


def time_sizes(growing: Growing, rows: Rows, bench: Bench, folder: Path) -> None:
    """Every cell that is not recorded yet, as growth/live/<round>-<size>/{spans,usage,builds}.parquet."""
    timing, sizes = growing.growth.timing, growing.ground.sizes
    queries = shuffled(growing.subject.queries, growing.subject.config.seed)
    bench.progress.start("time live queries at every size", timing.rounds * len(sizes))
    for number in range(timing.rounds):
        for size in [sizes[(place - number) % len(sizes)] for place in range(len(sizes))]:
            if not is_timed(folder, number, size):
                _cell(growing, rows, queries, number=number, size=size, bench=bench, folder=folder)
            bench.progress.advance(1)
    bench.progress.done()


def cell_folder(folder: Path, number: int, size: int) -> Path:
    return folder / "live" / f"{number}-{size}"


def is_timed(folder: Path, number: int, size: int) -> bool:
    return all((cell_folder(folder, number, size) / f"{name}.parquet").exists() for name in TABLES)


def _cell(
    growing: Growing,
    rows: Rows,
    queries: Sequence[Query],
    *,
    number: int,
    size: int,
    bench: Bench,
    folder: Path,
) -> None:
    pipelines, timings = growing.subject.pipelines, Timings()
    prefix = {key: vectors[:size] for key, vectors in rows.vectors.items()}
    builds = build_indexes(pipelines, rows.docs[:size], prefix, clock=bench.clock, progress=Silent())
    estimates = {parts.name: warm_up(parts, queries, growing.growth.timing.warmup, bench.clock) for parts in pipelines}
    counts = _counts(growing, estimates, len(queries), size=size, folder=folder)
    for parts in rotated(pipelines, number):
        for query in queries[: counts[parts.name]]:
            timed_query(parts, query, number, timings, bench.clock)
    place = cell_folder(folder, number, size)
    place.mkdir(parents=True, exist_ok=True)
    files.write_table(place / "usage.parquet", timings.usage_table())
    files.write_table(place / "builds.parquet", builds.assign(round=number, size=size))
    files.write_table(place / "spans.parquet", timings.span_table())


def _counts(growing: Growing, estimates: dict[str, int], available: int, *, size: int, folder: Path) -> dict[str, int]:
    """Queries a pipeline answers at one size: those of its first recorded round, so that rounds hold the same ones."""
    timing = growing.growth.timing
    for number in range(timing.rounds):
        path = cell_folder(folder, number, size) / "spans.parquet"
        if path.exists():
            spans = files.read_table(path)
            timed = spans[(spans["phase"] == "timed") & (spans["stage"] == "query")]
            return {parts.name: int((timed["pipeline"] == parts.name).sum()) for parts in growing.subject.pipelines}
    share = timing.model_copy(update={"seconds": timing.seconds / len(growing.ground.sizes)})
    return shares(estimates, available, share)


def live_table(folder: Path, growing: Growing, name: str) -> pd.DataFrame:
    """One of the tables over all cells, with the size of each row."""
    cells = [(number, size) for number in range(growing.growth.timing.rounds) for size in growing.ground.sizes]
    tables = [files.read_table(cell_folder(folder, *cell) / f"{name}.parquet").assign(size=cell[1]) for cell in cells]
    return pd.concat(tables, ignore_index=True)


Places = NDArray[np.int64]
Prompt = tuple[int, int, int]
"""prompt tokens, question tokens, context tokens"""


@dataclass
class Prompts:
    """Injects and counts. `tokens` are those of every passage that some prompt holds, by its place."""

    injector: Injector
    docs: Sequence[Doc]
    count: Callable[[str], int]
    tokens: dict[int, int]
    _known: dict[tuple[int, bytes, bytes], tuple[list[int], Prompt]] = field(default_factory=dict)

    def of(self, number: int, query: Query, places: Places, scores: NDArray[np.float64]) -> tuple[list[int], Prompt]:
        """The places injected for one ranking, in the prompt's order, and what the prompt counts."""
        key = (number, places.tobytes(), scores.tobytes())
        if key not in self._known:
            self._known[key] = self._injected(query, places, scores)
        return self._known[key]

    def _injected(self, query: Query, places: Places, scores: NDArray[np.float64]) -> tuple[list[int], Prompt]:
        filled = [(place, score) for place, score in zip(places.tolist(), scores.tolist(), strict=True) if place >= 0]
        known = {self.docs[place].doc_id: place for place, _ in filled}
        done = self.injector.inject(query, tuple(ScoredDoc(self.docs[place], score) for place, score in filled))
        chosen = [known[item.doc.doc_id] for item in done.ranking]
        prompt, question = self.count(done.prompt), self.count(query.text)
        context = min(sum(map(self.tokens_of, chosen)), prompt - question)
        return chosen, (prompt, question, context)

    def tokens_of(self, place: int) -> int:
        if place not in self.tokens:
            self.tokens[place] = self.count(self.docs[place].content)
        return self.tokens[place]


@dataclass(frozen=True)
class InjectedCells:
    """`positions`: 1 for the first passage of the prompt, 0 for one that is not in it, in the places' own layout;
    `prompts`: (orders, sizes, queries, 3) tokens of prompt, question and context."""

    positions: NDArray[np.int16]
    prompts: Places


def injected(
    prompts: Prompts, queries: Sequence[Query], candidates: Places, ranked: tuple[Places, NDArray[np.float64]]
) -> InjectedCells:
    """Inject every cell. `candidates` are the places as the store had them, `ranked` the final rankings."""
    positions = np.zeros(candidates.shape, np.int16)
    counts = np.zeros((*candidates.shape[:-1], 3), np.int64)
    places, scores = ranked
    for index in np.ndindex(candidates.shape[:-1]):
        number = index[-1]
        chosen, counts[index] = prompts.of(number, queries[number], places[index], scores[index])
        for position, place in enumerate(chosen, start=1):
            positions[index][candidates[index] == place] = position
    return InjectedCells(positions, counts)


CELL_COLUMNS = ("order", "size", "query", "rank", "place", "score", "rerank_score", "injected")
PROMPT_COLUMNS = ("order", "size", "query", "prompt_tokens", "query_tokens", "context_tokens")


def cells_path(folder: Path, pipeline: str, curve: str) -> Path:
    return folder / "cells" / pipeline / f"{curve}.parquet"


def prompts_path(folder: Path, pipeline: str, curve: str) -> Path:
    return folder / "prompts" / pipeline / f"{curve}.parquet"


def is_recorded(folder: Path, pipeline: str, curve: str) -> bool:
    return cells_path(folder, pipeline, curve).exists() and prompts_path(folder, pipeline, curve).exists()


def write_cells(folder: Path, pipeline: str, curve: str, *, cells: Cells, inside: InjectedCells) -> None:
    """Prompts first: a curve counts as recorded when both of its files are there."""
    for path in (cells_path(folder, pipeline, curve), prompts_path(folder, pipeline, curve)):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write_table(prompts_path(folder, pipeline, curve), prompt_table(cells.sizes, inside))
    files.write_table(cells_path(folder, pipeline, curve), cell_table(cells, inside))


def write_candidates(folder: Path, pipeline: str, curve: str, *, cells: Cells) -> None:
    """Cells of which nothing is injected: those of another depth than the pipeline's own."""
    path = cells_path(folder, pipeline, curve)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_table(path, cell_table(cells))


def cell_table(cells: Cells, inside: InjectedCells | None = None) -> pd.DataFrame:
    """One row a candidate; `place` is a position in docs.parquet, `injected` its position in the prompt or 0."""
    order, size, query, rank = np.nonzero(cells.places >= 0)
    at = (order, size, query, rank)
    nothing = np.full(cells.places.shape, np.nan)
    return pd.DataFrame(
        {
            "order": order.astype(np.int16),
            "size": np.array(cells.sizes, np.int64)[size],
            "query": query.astype(np.int32),
            "rank": (rank + 1).astype(np.int16),
            "place": cells.places[at],
            "score": cells.scores[at],
            "rerank_score": (nothing if cells.rerank_scores is None else cells.rerank_scores)[at],
            "injected": (np.zeros(len(order), np.int16) if inside is None else _positions(cells, inside)[at]),
        }
    )


def _positions(cells: Cells, inside: InjectedCells) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """The injected positions at the cells' full depth; candidates below the pipeline's own depth are in no prompt."""
    positions = np.zeros(cells.places.shape, np.int16)
    positions[..., : inside.positions.shape[-1]] = inside.positions
    return positions


def prompt_table(sizes: tuple[int, ...], inside: InjectedCells) -> pd.DataFrame:
    orders, _, queries, _ = inside.prompts.shape
    order, size, query = np.indices((orders, len(sizes), queries)).reshape(3, -1)
    counted = inside.prompts.reshape(-1, 3)
    columns = (order.astype(np.int16), np.array(sizes, np.int64)[size], query.astype(np.int32), *counted.T)
    return pd.DataFrame(dict(zip(PROMPT_COLUMNS, columns, strict=True)))


LIVE_ORDER, LIVE_CURVE = 0, "all_judged"
USAGE_COLUMNS = ("pipeline", "query_id", "stage", "unit", "count")


def size_folder(folder: Path, size: int) -> Path:
    return folder / "sizes" / str(size)


def write_sizes(growing: Growing, folder: Path) -> None:
    """One folder a size."""
    names = [parts.name for parts in growing.subject.pipelines]
    live = {name: live_table(folder, growing, name) for name in ("spans", "usage", "builds")}
    cells = {parts.name: _candidates(folder, parts) for parts in growing.subject.pipelines}
    prompts = {name: _live(files.read_table(prompts_path(folder, name, LIVE_CURVE))) for name in names}
    tokens = _tokens(growing, cells)
    config = redacted(growing.subject.config.model_dump(mode="json"))
    for size in growing.ground.sizes:
        place = size_folder(folder, size)
        (place / "rankings").mkdir(parents=True, exist_ok=True)
        for name in names:
            files.write_table(place / "rankings" / f"{name}.parquet", _searched(growing, _of(cells[name], size)))
        usage = pd.concat([_inject_usage(growing, prompts, size), _stage_usage(_of(live["usage"], size))])
        files.write_table(place / "usage.parquet", usage)
        files.write_table(place / "spans.parquet", _of(live["spans"], size).drop(columns="size"))
        files.write_table(place / "builds.parquet", _of(live["builds"], size).drop(columns="size"))
        files.write_table(place / "tokens.parquet", tokens)
        files.write_json(place / "manifest.json", _manifest(config, size))


def _manifest(config: Mapping[str, Any], size: int) -> dict[str, Any]:
    return {"config": config, "size": size, "curve": LIVE_CURVE, "order": LIVE_ORDER}


def _candidates(folder: Path, parts: Parts) -> pd.DataFrame:
    """The live order's rankings as deep as the pipeline itself asks."""
    cells = _live(files.read_table(cells_path(folder, parts.name, LIVE_CURVE)))
    return cells[cells["rank"] <= parts.depth]


def _live(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["order"] == LIVE_ORDER]


def _of(table: pd.DataFrame, size: int) -> pd.DataFrame:
    return table[table["size"] == size]


def _searched(growing: Growing, cells: pd.DataFrame) -> pd.DataFrame:
    """What the search gave, in the columns of rankings/<pipeline>.parquet."""
    docs, ids = growing.pool.docs, growing.query_ids
    table = pd.DataFrame(
        {
            "query_id": [ids[number] for number in cells["query"]],
            "stage": "search",
            "rank": cells["rank"].to_numpy(),
            "doc_id": [docs[place].doc_id for place in cells["place"]],
            "document_id": [docs[place].document_id for place in cells["place"]],
            "score": cells["score"].to_numpy(),
        }
    )
    return table[list(RANKING_COLUMNS)]


def _inject_usage(growing: Growing, prompts: Mapping[str, pd.DataFrame], size: int) -> pd.DataFrame:
    """Prompt, question and context tokens of every query."""
    ids = growing.query_ids
    tables = [
        _of(table, size)
        .melt(["query"], ["prompt_tokens", "query_tokens", "context_tokens"], "unit", "count")
        .assign(pipeline=name, stage="inject", query_id=lambda rows: [ids[number] for number in rows["query"]])
        for name, table in prompts.items()
    ]
    return pd.concat(tables)[list(USAGE_COLUMNS)]


def _stage_usage(live: pd.DataFrame) -> pd.DataFrame:
    """What the stages reported in live calls; a query reports the same in every round."""
    return live[live["stage"] != "inject"].drop_duplicates(list(USAGE_COLUMNS[:4]))[list(USAGE_COLUMNS)]


def _tokens(growing: Growing, cells: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tokens of every query and of every passage that some pipeline found in the live order."""
    count, docs = counter(growing.subject.config.tokenizer), growing.pool.docs
    found = sorted({int(place) for table in cells.values() for place in table["place"].unique()})
    rows = [("query", query.query_id, count(query.text)) for query in growing.subject.queries]
    rows += [("doc", docs[place].doc_id, count(docs[place].content)) for place in found]
    return pd.DataFrame(rows, columns=["kind", "id", "tokens"])
