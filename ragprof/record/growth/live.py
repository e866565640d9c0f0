"""Live timings at every size: a real index built anew, live queries one at a time. Nothing is reused or derived.

Rounds are the outer loop: in each, every size is visited once, and both sizes and pipelines start elsewhere each time,
so that a drifting machine hits all alike. One round of one size is a cell: it is written when it is done, and a killed
run goes on with the next. How many queries a pipeline answers is settled in its first round at that size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ragprof import files
from ragprof.core import Doc, Layout, Query, Vectors
from ragprof.progress import Silent
from ragprof.record.growth.plan import Growing
from ragprof.record.indexes import build_indexes
from ragprof.record.recording import Bench, shuffled
from ragprof.record.timings import Timings, rotated, shares, timed_query, warm_up
from ragprof.row_cache import blocks, mapped

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
