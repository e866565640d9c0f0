"""Live timings at every size, what every cell puts into the prompt, and all of it as files.

At each size a real index is built anew and live queries are asked one at a time; nothing is reused or derived. Rounds
are the outer loop: in each, every size is visited once, and both sizes and pipelines start elsewhere each time, so that
a drifting machine hits all alike. One round of one size is a cell: it is written when it is done, and a killed run
continues with the next. How many queries a pipeline answers is settled in its first round at that size.

growth/sizes/<size>/ is a recording of its own, with the tables that the price pass reads: rankings and prompt tokens
are those of the first order's sub-corpus, the one whose index was built and timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import Doc, Layout, Query, ScoredDoc, Vectors, files
from ragprof.core.caches import blocks, mapped
from ragprof.core.clock import Silent
from ragprof.core.recorded import write_sealed
from ragprof.core.stages import Injector
from ragprof.core.tokens import counter
from ragprof.record.budget import shares
from ragprof.record.rankings import RANKING_COLUMNS
from ragprof.record.recording import Bench, build_indexes, redacted, shuffled
from ragprof.record.timings import (
    QuietMoments,
    TimedQuery,
    Timings,
    WarmedUp,
    busiest,
    rotated,
    timed_query,
    unless_it_fails,
    warm_up,
)
from ragprof.studies.growth.plan import Growing
from ragprof.studies.growth.record_cells import Cells
from ragprof.studies.growth.recorded import CELLS, LIVE, PROMPTS


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
    timing, sizes, pipelines = growing.growth.timing, growing.ground.sizes, growing.subject.pipelines
    each = timing.among(len(sizes))
    queries = shuffled(growing.subject.queries, growing.subject.config.seed)
    patience = QuietMoments(timing, bench.clock, Silent())

    def warmed_up() -> dict[str, WarmedUp]:
        return {parts.name: warm_up(parts, queries, each, len(pipelines), bench.clock) for parts in pipelines}

    def timed(warm: Mapping[str, WarmedUp], counts: Mapping[str, int], size: int, number: int) -> Timings:
        timings = Timings()
        for parts in rotated(pipelines, number):
            with timings.reading(parts.name, number, bench.clock):
                for query in queries[: counts[parts.name]]:
                    with unless_it_fails(parts, query, of=len(queries)):
                        made = timed_query(parts, query, number, timings, bench.clock, read=warm[parts.name].read)
                        if bench.sink is not None:
                            bench.sink.add(TimedQuery(parts.name, number, *made, size))
        if bench.sink is not None:
            bench.sink.send()
        return timings

    bench.progress.start("time live queries at every size", timing.rounds * len(sizes))
    for number in range(timing.rounds):
        for size in [sizes[(place - number) % len(sizes)] for place in range(len(sizes))]:
            cell = _cell_folder(folder, number, size)
            if not all((cell / f"{name}.parquet").exists() for name in LIVE):
                prefix = {key: vectors[:size] for key, vectors in rows.vectors.items()}
                builds = build_indexes(pipelines, rows.docs[:size], prefix, clock=bench.clock, progress=Silent())
                warm = patience.quiet(warmed_up)
                estimates = {name: one.duration_ns for name, one in warm.items()}
                counts = _counts(growing, estimates, len(queries), size=size, folder=folder)
                again = partial(timed, warm, counts, size)
                (timings,) = patience.rounds(again, busiest, [number], task="time a size", steps=0)
                cell.mkdir(parents=True, exist_ok=True)
                files.write_table(cell / "usage.parquet", timings.usage_table())
                files.write_table(cell / "builds.parquet", builds.assign(round=number, size=size))
                files.write_table(cell / "spans.parquet", timings.span_table())
            bench.progress.advance(1)
    bench.progress.done()


def _cell_folder(folder: Path, number: int, size: int) -> Path:
    return folder / "live" / f"{number}-{size}"


def _counts(growing: Growing, estimates: dict[str, int], available: int, *, size: int, folder: Path) -> dict[str, int]:
    """Queries a pipeline answers at one size: those of its first recorded round, so that rounds hold the same ones."""
    timing = growing.growth.timing
    for number in range(timing.rounds):
        path = _cell_folder(folder, number, size) / "spans.parquet"
        if path.exists():
            spans = LIVE["spans"].read(path)
            timed = spans[(spans["phase"] == "timed") & (spans["stage"] == "query")]
            return {parts.name: int((timed["pipeline"] == parts.name).sum()) for parts in growing.subject.pipelines}
    # At every size each round builds an index of its own, and so warms up anew.
    each = timing.among(len(growing.ground.sizes))
    return shares(estimates, available, each, asked=timing.rounds, warmed=timing.rounds)


Places = NDArray[np.int64]
Prompt = tuple[int, int, int]
"""prompt tokens, question tokens, context tokens"""


@dataclass
class InjectedPrompts:
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
            pairs = zip(places.tolist(), scores.tolist(), strict=True)
            ranking = tuple(ScoredDoc(self.docs[place], score) for place, score in pairs if place >= 0)
            known = {self.docs[place].doc_id: place for place in places.tolist() if place >= 0}
            done = self.injector.inject(query, ranking)
            chosen = [known[item.doc.doc_id] for item in done.ranking]
            for place in chosen:
                if place not in self.tokens:
                    self.tokens[place] = self.count(self.docs[place].content)
            prompt, question = self.count(done.prompt), self.count(query.text)
            context = min(sum(self.tokens[place] for place in chosen), prompt - question)
            self._known[key] = chosen, (prompt, question, context)
        return self._known[key]


@dataclass(frozen=True)
class InjectedCells:
    """`positions`: 1 for the first passage of the prompt, 0 for one that is not in it, in the places' own layout;
    `prompts`: (orders, sizes, queries, 3) tokens of prompt, question and context."""

    positions: NDArray[np.int16]
    prompts: Places


def injected(
    prompts: InjectedPrompts, queries: Sequence[Query], candidates: Places, ranked: tuple[Places, NDArray[np.float64]]
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


PROMPT_COLUMNS = ("order", "size", "query", "prompt_tokens", "query_tokens", "context_tokens")


def cells_path(folder: Path, pipeline: str, curve: str) -> Path:
    return folder / "cells" / pipeline / f"{curve}.parquet"


def prompts_path(folder: Path, pipeline: str, curve: str) -> Path:
    return folder / "prompts" / pipeline / f"{curve}.parquet"


def is_recorded(folder: Path, pipeline: str, curve: str) -> bool:
    return cells_path(folder, pipeline, curve).exists() and prompts_path(folder, pipeline, curve).exists()


def write_cells(folder: Path, pipeline: str, curve: str, *, cells: Cells, inside: InjectedCells | None = None) -> None:
    """Prompts first: a curve counts as recorded when both of its files are there.

    Nothing is injected into cells of another depth than the pipeline's own: they have no prompts.
    """
    paths = (prompts_path(folder, pipeline, curve), cells_path(folder, pipeline, curve))
    for path in paths if inside is not None else paths[1:]:
        path.parent.mkdir(parents=True, exist_ok=True)
    if inside is not None:
        files.write_table(paths[0], prompt_table(cells.sizes, inside))
    files.write_table(paths[1], cell_table(cells, inside))


def cell_table(cells: Cells, inside: InjectedCells | None = None) -> pd.DataFrame:
    """One row a candidate; `place` is a position in docs.parquet, `injected` its position in the prompt or 0."""
    at = order, size, query, rank = np.nonzero(cells.places >= 0)
    reranked = np.full(cells.places.shape, np.nan) if cells.rerank_scores is None else cells.rerank_scores
    positions = np.zeros(cells.places.shape, np.int16)
    if inside is not None:
        # Candidates below the pipeline's own depth are in no prompt.
        positions[..., : inside.positions.shape[-1]] = inside.positions
    return pd.DataFrame(
        {
            "order": order.astype(np.int16),
            "size": np.array(cells.sizes, np.int64)[size],
            "query": query.astype(np.int32),
            "rank": (rank + 1).astype(np.int16),
            "place": cells.places[at],
            "score": cells.scores[at],
            "rerank_score": reranked[at],
            "injected": positions[at],
        }
    )


def prompt_table(sizes: tuple[int, ...], inside: InjectedCells) -> pd.DataFrame:
    orders, _, queries, _ = inside.prompts.shape
    order, size, query = np.indices((orders, len(sizes), queries)).reshape(3, -1)
    counted = inside.prompts.reshape(-1, 3)
    columns = (order.astype(np.int16), np.array(sizes, np.int64)[size], query.astype(np.int32), *counted.T)
    return pd.DataFrame(dict(zip(PROMPT_COLUMNS, columns, strict=True)))


LIVE_ORDER, LIVE_CURVE = 0, "all_judged"
USAGE_COLUMNS = ("pipeline", "query_id", "stage", "unit", "count")


def write_sizes(growing: Growing, folder: Path) -> None:
    """One folder per size, from the cells and prompts of the live order."""
    pipelines, docs, ids = growing.subject.pipelines, growing.pool.docs, np.array(growing.query_ids)
    live: dict[str, pd.DataFrame] = {}
    for name in LIVE:
        cells = [(number, size) for number in range(growing.growth.timing.rounds) for size in growing.ground.sizes]
        parts_of = [LIVE[name].read(_cell_folder(folder, *cell) / f"{name}.parquet") for cell in cells]
        live[name] = pd.concat(
            [table.assign(size=size) for table, (_, size) in zip(parts_of, cells, strict=True)], ignore_index=True
        )
    ranked: dict[str, pd.DataFrame] = {}
    prompts: dict[str, pd.DataFrame] = {}
    for parts in pipelines:
        rows = CELLS.read(cells_path(folder, parts.name, LIVE_CURVE))
        counted = PROMPTS.read(prompts_path(folder, parts.name, LIVE_CURVE))
        rows, counted = (table[table["order"] == LIVE_ORDER] for table in (rows, counted))
        within = rows if parts.app is not None else rows[rows["rank"] <= parts.depth]
        ranked[parts.name], prompts[parts.name] = within, counted
    count = counter(growing.subject.config.tokenizer)
    found = sorted({int(place) for table in ranked.values() for place in table["place"].unique()})
    counts = [("query", query.query_id, count(query.text)) for query in growing.subject.queries]
    counts += [("doc", docs[place].doc_id, count(docs[place].content)) for place in found]
    tokens = pd.DataFrame(counts, columns=["kind", "id", "tokens"])
    config = redacted(growing.subject.config.model_dump(mode="json"))
    for size in growing.ground.sizes:
        here = folder / "sizes" / str(size)
        (here / "rankings").mkdir(parents=True, exist_ok=True)
        usage = []
        for name, table in ranked.items():
            rows = table[table["size"] == size]
            searched = {
                "query_id": ids[rows["query"]].tolist(),
                "stage": "search",
                "rank": rows["rank"].to_numpy(),
                "doc_id": [docs[place].doc_id for place in rows["place"]],
                "document_id": [docs[place].document_id for place in rows["place"]],
                "score": rows["score"].to_numpy(),
            }
            ranking = pd.DataFrame(searched)[list(RANKING_COLUMNS)]
            files.write_table(here / "rankings" / f"{name}.parquet", ranking)
            counted = prompts[name][prompts[name]["size"] == size]
            counted = counted.melt(["query"], list(PROMPT_COLUMNS[3:]), "unit", "count")
            usage.append(counted.assign(pipeline=name, stage="inject", query_id=ids[counted["query"]].tolist()))
        # What the stages reported in live calls; a query reports the same in every round.
        reported = live["usage"][(live["usage"]["size"] == size) & (live["usage"]["stage"] != "inject")]
        usage.append(reported.drop_duplicates(list(USAGE_COLUMNS[:4])))
        files.write_table(here / "usage.parquet", pd.concat([table[list(USAGE_COLUMNS)] for table in usage]))
        for name in ("spans", "builds"):
            mine = live[name][live[name]["size"] == size]
            files.write_table(here / f"{name}.parquet", mine.drop(columns="size"))
        files.write_table(here / "tokens.parquet", tokens)
        manifest = {"config": config, "size": size, "curve": LIVE_CURVE, "order": LIVE_ORDER}
        write_sealed(
            here / "manifest.json",
            manifest,
            *(f"{name}.parquet" for name in ("usage", "builds", "spans", "tokens", "rankings/*")),
        )
