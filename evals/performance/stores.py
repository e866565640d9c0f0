"""Indexes of FAISS through the store `faiss` against FAISS called by hand: milliseconds a search, seconds to build.

    python evals/performance/stores.py [--vectors 100000] [--dimensions 384] [--queries 200] [--rounds 20]

Both ask one index with the same queries, one search after the other, depth 10, in rounds of alternating order; of each
query the shortest time of all rounds counts. By hand is FAISS's own call, and its rows turned into documents.
*Reported* is what a search of the store is reported to take: the same call and the same turning. *Whole* is all that
the store does: counts, checks, the order of ties and the form of its answer too. Threads are those of the environment:
set OMP_NUM_THREADS=1 to compare the work alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import faiss
import numpy as np
from paired import added, each, interleaved, item_by_item
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core import Doc, EmbeddedQuery, Query, Vectors, registry
from ragprof.core.environment import describe, installed
from ragprof.core.errors import RagprofError
from ragprof.core.registry import PartSpec
from ragprof.core.stages import Store

DEPTH, US = 10, 1e3
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
    heads = (
        "us by hand",
        "reported",
        "whole",
        "reported / by hand",
        "whole / by hand",
        "build s by hand",
        "of the store",
    )
    for name in ("index", *heads):
        shown.add_column(name, justify="left" if name == "index" else "right")
    for factory, knobs in INDEXES.items():
        with console.status(f"building {factory}"):
            store = filled(factory, knobs, docs, vectors)
            builds = interleaved(
                {"hand": partial(by_hand, factory, vectors, knobs), "store": partial(store.add, docs, vectors)},
                rounds=options.builds,
            )
        with console.status(f"asking {factory}"):
            took = item_by_item(asked(store, docs), embedded(queries), rounds=options.rounds)
        hand, ours = took["hand"].wall_ns, took["store"]
        shown.add_row(
            " ".join([factory, *(f"{name}={value}" for name, value in knobs.items())]),
            *(f"{times.mean() / US:.1f}" for times in (hand, ours.reported_ns, ours.wall_ns)),
            *(added(times, hand).shown(".3f") for times in (ours.reported_ns, ours.wall_ns)),
            *(each(builds[side]).shown(".1f") for side in ("hand", "store")),
        )
    console.print(shown)
    facts = describe()
    console.print(f"faiss {installed('faiss-cpu')}; {facts['cpu']}, {facts['cores']} cores", style="dim")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    for name, default in {"vectors": 100_000, "dimensions": 384, "queries": 200, "rounds": 20, "builds": 1}.items():
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


def embedded(queries: Vectors) -> list[EmbeddedQuery]:
    return [EmbeddedQuery(Query(str(place), ""), row) for place, row in enumerate(queries)]


def asked(store: Any, docs: list[Doc]) -> dict[str, Callable[[EmbeddedQuery], object]]:
    """For each side a call that asks one query."""
    store.search(EmbeddedQuery(Query("", ""), np.ones(store._index.d, np.float32)), DEPTH)
    index, parameters = store._index, next(iter(store._made.values()))

    def hand(query: EmbeddedQuery) -> object:
        scores, places = index.search(query.vector[None, :], DEPTH, params=parameters)  # type: ignore[index]
        return [
            (docs[place], score)
            for place, score in zip(places[0].tolist(), scores[0].tolist(), strict=True)
            if place >= 0
        ]

    return {"hand": hand, "store": lambda query: store.search(query, DEPTH)}


def title(options: argparse.Namespace) -> str:
    return (
        f"{options.vectors:,} x {options.dimensions} vectors, {options.queries} queries, us a search: shortest of "
        f"{options.rounds} rounds (95 % interval over the queries)"
    )


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"stores.py: {error}")
