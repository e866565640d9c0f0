"""What the quality grid of a growing corpus costs, as a ratio to its single largest cell and to scoring its pairs.

    python evals/performance/growth.py [--corpus DIR] [--rounds 5] [--rerank]

The grid is 8 sizes x 5 orders x 4 depths x 3 cutoffs of the pipeline `dense` of evals/python-docs.toml (every depth is
judged, reranker or not); the cell is the whole corpus at one depth and one cutoff, by the same code and, for
comparison, by an index of its own and ir_measures. Vectors are in the cache before anything is timed; both sides read
them from there. With --rerank the grid of `dense+maxsim` too: its pairs are scored anew, in an empty cache.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from paired import Durations, each, interleaved, ratio
from rich.console import Console
from rich.table import Table

from ragprof.core import Layout, environment, files
from ragprof.core.clock import Silent, now_ns
from ragprof.core.ranking import id_ranks
from ragprof.core.tokens import counter
from ragprof.corpus.layouts import all_judged
from ragprof.judge.arrays import Labels, by_document, labels, metrics
from ragprof.judge.scores import measure, scores_of
from ragprof.record.pipeline import Parts
from ragprof.record.rankings import PairScores, rank_queries
from ragprof.record.recording import Bench, embed, embedded_queries
from ragprof.studies.growth.plan import Growing, plan_growth
from ragprof.studies.growth.record_cells import Cells, final, pair_values, searched, union
from ragprof.studies.preparation import Prepared, prepare

PROJECT = Path(__file__).parents[2]
DEPTHS, CUTOFFS = (5, 10, 15, 20), (5, 10, 20)
GRID, CELL, ALONE = "the whole grid", "its largest cell", "the cell by an index and ir_measures"


@dataclass(frozen=True)
class Task:
    """A pipeline over a corpus, and what it is judged by."""

    prepared: Prepared
    growing: Growing
    parts: Parts
    codes: np.ndarray[tuple[int], np.dtype[np.int64]]
    labels: Labels
    ranks: np.ndarray[tuple[int], np.dtype[np.int64]]

    def grid(self, layouts: Sequence[Layout], depths: Sequence[int], cutoffs: Sequence[int]) -> int:
        """Search and judge; returns the number of values."""
        cells = self.cells(layouts, max(depths))
        return self.judged(cells, depths, cutoffs)

    def cells(self, layouts: Sequence[Layout], depth: int) -> Cells:
        embedding = embed(self.growing.subject, self.growing.subject.corpus.docs, self.bench(files.cache_folder()))
        vectors, asked = embedding.documents[id(self.parts.embedder)], embedding.queries[id(self.parts.embedder)]
        queries = embedded_queries(self.growing.subject.queries, asked)
        docs = self.growing.subject.corpus.docs
        found = searched(self.parts.store, docs, vectors, queries=queries, curves={"all": list(layouts)}, depth=depth)
        return found["all"]

    def judged(self, cells: Cells, depths: Sequence[int], cutoffs: Sequence[int]) -> int:
        values = 0
        for depth in depths:
            places, _ = final(cells, self.ranks, depth)
            found = metrics(self.labels.of(by_document(self.codes[places])), self.labels.ideal, cutoffs)
            values += sum(each.size for each in found.values())
        return values

    def alone(self) -> None:
        """The largest cell as `ragprof run` has it: an index, one search a query, ir_measures."""
        docs = self.growing.subject.corpus.docs
        embedding = embed(self.growing.subject, docs, self.bench(files.cache_folder()))
        self.parts.store.add(docs, embedding.documents[id(self.parts.embedder)])
        queries = embedded_queries(self.growing.subject.queries, embedding.queries[id(self.parts.embedder)])
        ranked = rank_queries(
            self.parts, queries, cache=files.cache_folder(), count=counter("o200k_base"), progress=Silent()
        )
        scores_of(ranked.rankings, self.prepared.evaluation.qrels, [measure("nDCG@10")], stages=["search"])

    def bench(self, cache: Path) -> Bench:
        return Bench(cache, cache, Silent())


def main() -> None:
    options, console = arguments(), Console()
    with console.status("reading the corpus, embedding what is not embedded yet"):
        prepared = prepare(PROJECT / "evals" / "python-docs.toml", corpus=options.corpus)
        task = made(prepared, "dense")
        layouts = [all_judged(task.growing.ground, order) for order in range(5)]
        whole = [Layout(layouts[0].members, layouts[0].sizes[-1:])]
        sides: dict[str, Callable[[], object]] = {
            GRID: lambda: task.grid(layouts, DEPTHS, CUTOFFS),
            CELL: lambda: task.grid(whole, (20,), (10,)),
            ALONE: task.alone,
        }
        for side in sides.values():
            side()
    with console.status("measuring"):
        taken = interleaved(sides, rounds=options.rounds)
    console.print(table(taken, title=title(task)))
    if options.rerank:
        with console.status("scoring the pairs of the whole grid, some minutes"):
            lines = reranked(made(prepared, "dense+maxsim"), layouts)
        for line in lines:
            console.print(line, highlight=False)
    console.print(f"{environment.cpu_name()}, {environment.torch_threads()} threads", style="dim", highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, default=None, help="default: that of evals/python-docs.toml")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="times that each side is run")
    parser.add_argument("--rerank", action="store_true", help="score the grid of dense+maxsim too")
    return parser.parse_args()


def made(prepared: Prepared, name: str) -> Task:
    changes = {"curves": ("all_judged",), "depths": DEPTHS, "cutoffs": CUTOFFS, "points": 8, "sizes": ()}
    growing = plan_growth(prepared, PROJECT / "evals" / "python-docs.toml", changes=changes)
    parts = next(parts for parts in growing.subject.pipelines if parts.name == name)
    parts.store.load()
    numbers = {
        document: place for place, document in enumerate(dict.fromkeys(growing.subject.corpus.document_of.values()))
    }
    codes = [numbers[doc.document_id] for doc in growing.subject.corpus.docs]
    return Task(
        prepared,
        _alone(growing, parts),
        parts,
        np.array([*codes, -1]),
        labels(prepared.evaluation.qrels, growing.query_ids, numbers),
        id_ranks([doc.doc_id for doc in growing.subject.corpus.docs]),
    )


def _alone(growing: Growing, parts: Parts) -> Growing:
    """The same with one pipeline, so that no other embedder's vectors are read."""
    from dataclasses import replace

    return replace(growing, subject=replace(growing.subject, pipelines=(parts,)))


def reranked(task: Task, layouts: Sequence[Layout]) -> list[str]:
    """The grid with a reranker, in an empty cache of scores, against the scoring of its distinct pairs alone."""
    if task.parts.reranker is None:
        return []
    task.parts.reranker.load()
    docs, queries = task.growing.subject.corpus.docs, task.growing.subject.queries
    with TemporaryDirectory() as cache:
        start = now_ns()
        cells = task.cells(layouts, max(DEPTHS))
        candidates = union([cells], passages=len(docs))
        scoring = now_ns()
        values = pair_values(PairScores(task.parts.reranker, Path(cache)), candidates, queries, docs, Silent())
        scored = now_ns() - scoring
        full = Cells(cells.sizes, cells.places, cells.scores, candidates.spread(values, cells.places))
        task.judged(full, DEPTHS, CUTOFFS)
        whole = now_ns() - start
    return [
        f"with maxsim: {len(values):,} distinct pairs scored in {scored / 1e9:.1f} s; the whole grid took "
        f"{whole / 1e9:.1f} s, {whole / scored:.3f} times that"
    ]


def title(task: Task) -> str:
    sizes = len(task.growing.ground.sizes)
    docs, queries = len(task.growing.subject.corpus.docs), len(task.growing.subject.queries)
    grid = f"{sizes} sizes x 5 orders x {len(DEPTHS)} depths x {len(CUTOFFS)} cutoffs"
    return f"{grid}, {docs:,} passages, {queries} queries"


def table(taken: dict[str, Durations], *, title: str) -> Table:
    shown = Table(title=title, title_justify="left", box=None)
    for column in ("", "ms, median (range)", "grid / this"):
        shown.add_column(column, justify="left" if not column else "right")
    for name, durations in taken.items():
        shown.add_row(name, each(durations, unit_ns=1e6).shown(".0f"), ratio(taken[GRID], durations).shown(".2f"))
    return shown


if __name__ == "__main__":
    main()
