"""What the stores in databases add to their bare clients: time a search, paired, and loading against the fastest way.

    python evals/performance/databases.py [--rows 5000] [--queries 200] [--rounds 30] [--stores pgvector qdrant]

Vectors are those of this project's own paragraphs, repeated with noise where there are too few. Both sides ask one
index on one server: ours through `search`, the bare client with the statement that a user would write, and its rows
turned into documents. Rounds alternate; of each question the shortest time of all rounds counts. *Reported* is what our
search is reported to take, *whole* all that our layer does. Loading is ours (`add` without an index) against rows that
lie ready for the client.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from paired import Durations, Lowest, Spread, added, each, interleaved, item_by_item, ratio
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core import Doc, EmbeddedQuery, Query, Vectors, registry
from ragprof.core.environment import describe, installed
from ragprof.core.registry import PartSpec

PROJECT = Path(__file__).parents[2]
DEPTH = 10
MS = 1e6


def main() -> None:
    options, console = arguments(), Console()
    with console.status("embedding"):
        docs, vectors, queries = passages(options.rows, options.queries)
    found = Table(
        *("store", "bare ms", "reported", "whole", "reported / bare", "whole / bare"),
        *("load: bare s", "ours s", "bare / ours"),
        box=SIMPLE_HEAD,
    )
    for name in options.stores:
        with console.status(name):
            asked, loaded = SIDES[name](docs, vectors, queries, options.rounds)
        bare, ours = asked["bare"].wall_ns, asked["ours"]
        found.add_row(
            name,
            *(f"{times.mean() / MS:.3f}" for times in (bare, ours.reported_ns, ours.wall_ns)),
            *(added(times, bare).shown(".3f") for times in (ours.reported_ns, ours.wall_ns)),
            *(each(loaded[side]).shown(".2f") for side in ("bare", "ours")),
            shown(ratio(loaded["bare"], loaded["ours"])),
        )
    console.print(found)
    told = describe()
    packages = ", ".join(
        f"{each} {version}" for each in ("psycopg", "pgvector", "qdrant-edge-py") if (version := installed(each))
    )
    done = f"{len(docs):,} x {vectors.shape[1]}, {len(queries)} questions, depth {DEPTH}, {options.rounds} rounds"
    machine = f"{told['cpu']}, {told['cores']} cores; {packages}"
    console.print(
        f"{done}; searches: shortest of the rounds (95 % interval over questions); loading: median (lowest-highest) of "
        f"the rounds. {machine}",
        style="dim",
        highlight=False,
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=5000, metavar="N", help="documents in the index")
    parser.add_argument("--queries", type=int, default=200, metavar="N", help="questions a round")
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="times that both sides are asked; even")
    parser.add_argument("--stores", nargs="+", default=list(SIDES), choices=list(SIDES), metavar="NAME")
    return parser.parse_args()


def passages(rows: int, asked: int) -> tuple[list[Doc], Vectors, list[EmbeddedQuery]]:
    """Documents with vectors of unit length, and questions that none of them is."""
    embedder = registry.create("embedders", PartSpec(name="static"))
    embedder.load()
    texts = [path.read_text(encoding="utf-8") for path in sorted(PROJECT.glob("docs/*.md"))]
    texts += [path.read_text(encoding="utf-8") for path in sorted(PROJECT.glob("ragprof/**/*.py"))]
    parts = [part for text in texts for part in re.split(r"\n\s*\n", text) if len(part) > 80]
    random = np.random.default_rng(0)
    chosen = random.choice(len(parts), rows + asked, replace=rows + asked > len(parts))
    vectors = embedder.embed_documents([parts[place] for place in chosen]).vectors
    vectors = (vectors + 0.02 * random.standard_normal(vectors.shape)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    docs = [Doc(f"d{row}", "", parts[place], f"d{row}") for row, place in enumerate(chosen[:rows].tolist())]
    queries = [EmbeddedQuery(Query(f"q{row}", ""), vector) for row, vector in enumerate(vectors[rows:])]
    return docs, vectors[:rows], queries


def shown(spread: Spread) -> str:
    return spread.shown(".2f")


Measured = tuple[dict[str, Lowest], dict[str, Durations]]


def of_pgvector(docs: list[Doc], vectors: Vectors, queries: list[EmbeddedQuery], rounds: int) -> Measured:
    """HNSW over one connection each; loading by binary COPY, of numpy rows as psycopg takes them."""
    import psycopg
    from pgvector import Vector
    from pgvector.psycopg import register_vector

    store: Any = registry.create("stores", PartSpec(name="pgvector"))
    store.add(docs, vectors)
    with psycopg.connect(store._server.url, autocommit=True, prepare_threshold=None) as connection:
        register_vector(connection)
        connection.execute("SET hnsw.ef_search = 40")
        distance = "embedding <#> %s::vector"
        statement = f"SELECT id, content, {distance} FROM {store._table} ORDER BY {distance} LIMIT %s"  # noqa: S608

        def bare(query: EmbeddedQuery) -> object:
            rows = connection.execute(statement, [query.vector, query.vector, DEPTH]).fetchall()
            return [(docs[number], -distance) for number, _, distance in rows]

        asked = searched(bare, store, queries, rounds)

        def copied() -> None:
            connection.execute("DROP TABLE IF EXISTS bare")
            connection.execute(
                f"CREATE TABLE bare (id bigint PRIMARY KEY, content text, embedding vector({vectors.shape[1]}))"
            )
            with connection.cursor().copy("COPY bare FROM STDIN WITH (FORMAT BINARY)") as copy:
                copy.set_types(["int8", "text", "vector"])
                for number, (doc, vector) in enumerate(zip(docs, vectors, strict=True)):
                    copy.write_row((number, doc.content, Vector(vector)))
            connection.execute("ANALYZE bare")

        plain: Any = registry.create("stores", PartSpec(name="pgvector", index="none"))
        plain.load()
        loaded = interleaved({"bare": copied, "ours": lambda: plain.add(docs, vectors)}, rounds=4)
    plain.close()
    store.close()
    return asked, loaded


def of_qdrant(docs: list[Doc], vectors: Vectors, queries: list[EmbeddedQuery], rounds: int) -> Measured:
    """The engine in this process, whose graph is part of loading."""
    import shutil
    import tempfile

    import qdrant_edge as edge

    store: Any = registry.create("stores", PartSpec(name="qdrant"))
    store.add(docs, vectors)
    shard = store._engine._shard

    def bare(query: EmbeddedQuery) -> object:
        request = edge.QueryRequest(
            limit=DEPTH,
            query=edge.Query.Nearest(query.vector.tolist()),  # type: ignore[union-attr]
            with_payload=True,
            params=edge.SearchParams(hnsw_ef=64),
        )
        return [(docs[point.id], point.score) for point in shard.query(request)]

    def filled() -> None:
        folder = tempfile.mkdtemp()
        config = edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(size=vectors.shape[1], distance=edge.Distance.Dot),
            hnsw_config=edge.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10),
            optimizers=edge.EdgeOptimizersConfig(indexing_threshold=100, default_segment_number=1),
        )
        other = edge.EdgeShard.create(folder, config)
        points = [
            edge.Point(number, vector, {"content": doc.content})
            for number, (doc, vector) in enumerate(zip(docs, vectors.tolist(), strict=True))
        ]
        for start in range(0, len(points), 1000):
            other.update(edge.UpdateOperation.upsert_points(points[start : start + 1000]))
        other.optimize()
        other.flush()
        other.close()
        shutil.rmtree(folder)

    asked = searched(bare, store, queries, rounds)
    loaded = interleaved({"bare": filled, "ours": lambda: store.add(docs, vectors)}, rounds=4)
    store.close()
    return asked, loaded


def searched(
    bare: Callable[[EmbeddedQuery], object], store: Any, queries: list[EmbeddedQuery], rounds: int
) -> dict[str, Lowest]:
    """Both asked all questions, once unmeasured."""

    def ours(query: EmbeddedQuery) -> object:
        return store.search(query, DEPTH)

    sides = {"bare": bare, "ours": ours}
    item_by_item(sides, queries, rounds=1)
    return item_by_item(sides, queries, rounds=rounds)


SIDES: dict[str, Callable[..., Measured]] = {"pgvector": of_pgvector, "qdrant": of_qdrant}


if __name__ == "__main__":
    main()
