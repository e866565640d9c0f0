"""Cold searches: an index that is ours is closed, its files are dropped from the page cache, and it is opened again.

Writes cold.parquet (each question right after opening, then once more) and opened.parquet (how long opening took, and
how much of the files the system kept). Only Linux tells what is in its page cache.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ragprof.core import EmbeddedQuery, files
from ragprof.core.clock import excluded_ns
from ragprof.core.stages import ReopenableStore, Store
from ragprof.record.recording import Bench, shuffled
from ragprof.studies.stores.plan import Index, StoresPlan, can_reopen

PAGE = mmap.PAGESIZE


def reopened(plan: StoresPlan) -> list[Index]:
    """The indexes that are ours to close; exact search, which has no file, is none."""
    return [index for index in plan.indexes if can_reopen(index.store)]


def record_cold(plan: StoresPlan, queries: Sequence[EmbeddedQuery], bench: Bench) -> None:
    """Ask each index by its first setting, cold and warm, after each of the restarts."""
    asked = plan.settings.cold
    if asked is None:
        return
    order = shuffled([each.query for each in queries], plan.subject.config.seed)
    embedded = {each.query.query_id: each for each in queries}
    chosen = [embedded[query.query_id] for query in order[: asked.queries]]
    searches, opened = [], []
    able = reopened(plan)
    bench.progress.start("close and open again", len(able) * asked.restarts)
    for index in able:
        setting = index.settings[0]
        for restart in range(asked.restarts):
            opening, resident = _opened_again(index.store, bench)
            opened.append((index.name, setting.name, restart, opening, resident))
            store = setting.of(index.store)
            first = restart % len(chosen)  # so that the very first question is not always the same
            turned = [*chosen[first:], *chosen[:first]]
            for warm in (False, True):
                for place, query in enumerate(turned):
                    took = _took(store, query, plan.parts.depth, bench)
                    searches.append((index.name, setting.name, query.query.query_id, warm, restart, place, took))
            bench.progress.advance(1)
    bench.progress.done()
    for index in able:
        if isinstance(index.store, ReopenableStore):
            index.store.open_again()  # a server that several share has cut off the others
    columns = ["index", "setting", "query_id", "warm", "restart", "place", "duration_ns"]
    files.write_table(bench.folder / "stores" / "cold.parquet", pd.DataFrame(searches, columns=columns))
    columns = ["index", "setting", "restart", "open_ns", "resident"]
    table = pd.DataFrame(opened, columns=columns).astype({"resident": "Float64"})
    files.write_table(bench.folder / "stores" / "opened.parquet", table)


def _opened_again(store: Store, bench: Bench) -> tuple[int, float | None]:
    """Ns that opening takes, and the share of the files that was in the page cache before."""
    if not isinstance(store, ReopenableStore):
        raise TypeError("a store that cannot be opened again was asked to")
    resident = dropped(store.shut())
    start, apart = bench.clock(), excluded_ns()
    store.open_again()
    return bench.clock() - start - (excluded_ns() - apart), resident


def _took(store: Store, query: EmbeddedQuery, depth: int, bench: Bench) -> int:
    start, apart = bench.clock(), excluded_ns()
    store.search(query, depth)
    return bench.clock() - start - (excluded_ns() - apart)


def dropped(folder: Path) -> float | None:
    """Drop the folder's files from the page cache, and return the share of their pages that stayed.

    None where the system has no such call, or does not let us look.
    """
    if not hasattr(os, "posix_fadvise"):
        return None
    pages = left = 0
    try:
        for path in [each for each in folder.rglob("*") if each.is_file() and each.stat().st_size]:
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)  # only clean pages can be dropped
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                kept = _in_page_cache(handle)
            finally:
                os.close(handle)
            pages, left = pages + len(kept), left + sum(page & 1 for page in kept)
    except (OSError, AttributeError):
        return None
    return left / pages if pages else None


def _in_page_cache(handle: int) -> bytes:
    """A byte a page of the file; its lowest bit says whether it is in the page cache. Raises OSError."""
    size = os.fstat(handle).st_size
    with mmap.mmap(handle, size, access=mmap.ACCESS_COPY) as mapped:  # nothing is written: an address needs it so
        start = ctypes.c_char.from_buffer(mapped)
        found = (ctypes.c_ubyte * ((size + PAGE - 1) // PAGE))()
        failed = ctypes.CDLL(None, use_errno=True).mincore(
            ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(size), found
        )
        del start
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return bytes(found)
