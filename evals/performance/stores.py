"""Indexes of FAISS through the store `faiss` against FAISS called by hand: milliseconds a search, seconds to build.

    python evals/performance/stores.py [--vectors 100000] [--dimensions 384] [--queries 200] [--rounds 4]

Both get the same clustered random vectors and the same queries, one search after the other, depth 10. Every index is
built once by each side; searches run in rounds of alternating order.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import faiss
import numpy as np
from paired import each, interleaved, ratio
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core import Doc, EmbeddedQuery, Query, Vectors, registry
from ragprof.core.environment import describe, installed
from ragprof.core.errors import RagprofError
from ragprof.core.registry import PartSpec
from ragprof.core.stages import Store

DEPTH, MS = 10, 1e6
INDEXES: dict[str, dict[str, int]] = {
    "IVF256,Flat": {"nprobe": 8},
    "IVF256,SQ8": {"nprobe": 8},
    "HNSW32": {"ef_search": 64},
    "SQ8": {},
}


def main() -> None:
    options, console = arguments(), Console()
    vectors, queries = clustered(options.vectors + options.queries, options.dimensions, split=options.vectors)
    docs = [Doc(f"d{place:07}", "", "", "") for place in range(len(vectors))]
    shown = Table(title=title(options), box=SIMPLE_HEAD, title_justify="left")
    for name in ("index", "by hand", "store", "store / by hand", "build by hand", "build of the store"):
        shown.add_column(name, justify="left" if name == "index" else "right")
    for factory, knobs in INDEXES.items():
        with console.status(f"building {factory}"):
            index, store = by_hand(factory, vectors, knobs), filled(factory, knobs, docs, vectors)
            builds = interleaved(
                {"hand": partial(by_hand, factory, vectors, knobs), "store": partial(store.add, docs, vectors)},
                rounds=options.builds,
            )
        with console.status(f"asking {factory}"):
            took = interleaved(asked(index, store, queries), rounds=options.rounds)
        shown.add_row(
            " ".join([factory, *(f"{name}={value}" for name, value in knobs.items())]),
            *(each(took[side], items=len(queries), unit_ns=MS).shown(".3f") for side in ("hand", "store")),
            ratio(took["store"], took["hand"]).shown(".3f"),
            *(each(builds[side]).shown(".1f") for side in ("hand", "store")),
        )
    console.print(shown)
    facts = describe()
    console.print(f"faiss {installed('faiss-cpu')}; {facts['cpu']}, {facts['cores']} cores", style="dim")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    for name, default in {"vectors": 100_000, "dimensions": 384, "queries": 200, "rounds": 4, "builds": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    return parser.parse_args()


def clustered(count: int, dimensions: int, *, split: int) -> tuple[Vectors, Vectors]:
    """Unit vectors around a thousand centres, and those that are asked."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(1000, dimensions)).astype(np.float32)
    rows = centres[random.integers(1000, size=count)]
    rows += 0.7 * random.normal(size=rows.shape).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[:split], rows[split:]


def by_hand(factory: str, vectors: Vectors, knobs: dict[str, int]) -> Any:
    index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    for name, value in knobs.items():
        faiss.ParameterSpace().set_index_parameter(index, {"ef_search": "efSearch"}.get(name, name), value)
    return index


def filled(factory: str, knobs: dict[str, int], docs: list[Doc], vectors: Vectors) -> Store:
    store: Store = registry.create("stores", PartSpec(name="faiss", factory=factory, **knobs))
    store.add(docs, vectors)
    return store


def asked(index: Any, store: Store, queries: Vectors) -> dict[str, Callable[[], object]]:
    """For each side a call that asks all queries, one after the other."""
    embedded = [EmbeddedQuery(Query(str(place), ""), row) for place, row in enumerate(queries)]

    def hand() -> None:
        for row in queries:
            index.search(row[None, :], DEPTH)

    def ours() -> None:
        for each_query in embedded:
            store.search(each_query, DEPTH)

    return {"hand": hand, "store": ours}


def title(options: argparse.Namespace) -> str:
    return (
        f"{options.vectors:,} x {options.dimensions} vectors, {options.queries} queries, ms a search: median of "
        f"{options.rounds} rounds (lowest-highest)"
    )


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"stores.py: {error}")
