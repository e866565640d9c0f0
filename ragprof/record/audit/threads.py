"""Does an outcome depend on the number of threads? Each stage is given the same input with another number of them.

The numbers of PyTorch and FAISS are set, where those are loaded; what other libraries take, nobody here can set.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ragprof.record.audit.batches import finite, score_check, scored, searched, vector_check
from ragprof.record.audit.checks import OTHER_THREADS, Check, score_difference
from ragprof.record.audit.live import Live, effect_of_search
from ragprof.record.pipeline import Parts


@dataclass(frozen=True, slots=True)
class Setting:
    """The number of threads of one library."""

    read: Callable[[], int]
    write: Callable[[int], None]


def settings() -> list[Setting]:
    """One for each library that is loaded; nothing is imported for it."""
    names = {"torch": ("get_num_threads", "set_num_threads"), "faiss": ("omp_get_max_threads", "omp_set_num_threads")}
    loaded = {name: sys.modules[name] for name in names if name in sys.modules}
    return [Setting(*(getattr(module, verb) for verb in names[name])) for name, module in loaded.items()]


def present_threads() -> int | None:
    """The highest number that some library is set to; None where none is loaded that has one."""
    return max((setting.read() for setting in settings()), default=None)


def other_threads() -> int | None:
    """1, or 2 where 1 is the present number."""
    present = present_threads()
    return None if present is None else 2 if present == 1 else 1


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Every loaded library with this many threads; afterwards each has the number that it had."""
    before = [(setting, setting.read()) for setting in settings()]
    try:
        for setting, _ in before:
            setting.write(number)
        yield
    finally:
        for setting, was in before:
            setting.write(was)


def thread_checks(parts: Parts, live: Live) -> Iterator[Check]:
    """Embedding, search and reranking of one query as they are now, each against what it gave live for that input."""
    if parts.embedder is not None:
        vector = finite(parts.embedder.embed_queries([live.query.text]).vectors)[0]
        yield vector_check(parts, live, vector, ("threads", OTHER_THREADS))
    found = searched(parts, live.query, live.vector)
    difference, effect = score_difference(live.searched, found), effect_of_search(parts, live, found)
    yield Check("search", "threads", OTHER_THREADS, live.query.query_id, difference, effect)
    if parts.reranker is not None:
        pairs = scored(parts.reranker, live.query, [item.doc for item in live.searched])
        yield score_check(parts, live, pairs, ("threads", OTHER_THREADS))
