"""What a grid of corpus sizes and depths with a reranker costs, in forwards of its models and against a plain loop.

    python evals/performance/grid.py BEIR_FOLDER [--rounds 1]

Six sizes x four depths x three cutoffs over 500 passages and ten questions, with the packaged all-MiniLM-L6-v2 as
embedder and a cross-encoder of the same size, whose weights are those of MiniLM under a head that was never trained:
what it ranks means nothing, what it takes is what such a model takes. The floor is what no grid can do without, by the
libraries' own calls: every passage and question encoded once, every distinct pair predicted once. The plain loop is
what people write: vectors are shared between cells, then every cell is searched and its candidates predicted. All
three start without a vector or a score, and the models are in memory. The loop and the grid must agree in every metric.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import ir_measures
import numpy as np
from paired import each, interleaved, ratio
from rich.console import Console
from rich.table import Table

from ragprof.core import Doc, Layout, Query, environment, registry
from ragprof.core.clock import Silent
from ragprof.core.errors import BadInput, RagprofError
from ragprof.core.ranking import id_ranks
from ragprof.core.registry import PartSpec
from ragprof.core.stages import Embedder, Reranker, Store
from ragprof.corpus import read_beir_folder_paths, read_corpus, read_evaluation_set
from ragprof.judge.arrays import by_document, labels, metrics
from ragprof.parts.models.places import PACKAGED_MINILM, locate
from ragprof.record.rankings import PairScores, document_vectors, query_vectors
from ragprof.record.recording import embedded_queries
from ragprof.studies.growth.record_cells import final, pair_values, searched, union

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer

SIZES, DEPTHS, CUTOFFS = (100, 180, 260, 340, 420, 500), (5, 10, 15, 20), (5, 10, 20)
QUESTIONS = 10
SEED = 0
GRID, FLOOR, LOOP = "ragprof's grid", "its forwards alone", "a plain loop over the cells"

Values = Mapping[tuple[int, int, int], float]
"""(size, depth, cutoff) -> mean nDCG."""


@dataclass
class Task:
    """Passages in the order in which the corpus grows, those that are relevant first; the questions; the models."""

    docs: list[Doc]
    queries: list[Query]
    qrels: Mapping[str, Mapping[str, int]]
    embedder: Embedder
    reranker: Reranker
    encoder: SentenceTransformer
    predictor: CrossEncoder
    pairs: set[tuple[int, int]] = field(default_factory=set)
    """(query, passage) numbers that some cell scores; known once the grid was scored."""

    def grid(self) -> Values:
        """As `ragprof grow` has it: encode once, search once, score each pair once, sort for every depth."""
        with TemporaryDirectory() as folder:
            cache = Path(folder)
            vectors = document_vectors(
                self.embedder, [doc.content for doc in self.docs], cache=cache, progress=Silent()
            ).vectors
            asked = query_vectors(
                self.embedder, [query.text for query in self.queries], cache=cache, progress=Silent()
            ).vectors
            layout = Layout(np.arange(len(self.docs)), SIZES)
            found = searched(
                store(), self.docs, vectors,
                queries=embedded_queries(self.queries, asked), curves={"all": [layout]}, depth=max(DEPTHS),
            )["all"]  # fmt: skip
            candidates = union([found], passages=len(self.docs))
            self.pairs = {divmod(key, len(self.docs)) for key in candidates.keys.tolist()}
            scores = PairScores(self.reranker, cache)
            values = pair_values(scores, candidates, self.queries, self.docs, Silent())
        cells = type(found)(found.sizes, found.places, found.scores, candidates.spread(values, found.places))
        numbers = {doc.doc_id: number for number, doc in enumerate(self.docs)}
        codes = np.array([*range(len(self.docs)), -1])
        judged = labels(self.qrels, [query.query_id for query in self.queries], numbers)
        ranks = id_ranks([doc.doc_id for doc in self.docs])
        means: dict[tuple[int, int, int], float] = {}
        for depth in DEPTHS:
            places, _ = final(cells, ranks, depth)
            of = metrics(judged.of(by_document(codes[places])), judged.ideal, CUTOFFS)
            for cutoff in CUTOFFS:
                for number, size in enumerate(SIZES):
                    means[size, depth, cutoff] = float(of[f"nDCG@{cutoff}"][0, number].mean())
        return means

    def loop(self) -> Values:
        """Vectors once, then every cell: an index of its own, its candidates predicted, judged by ir_measures."""
        vectors = np.asarray(self.encoder.encode([doc.content for doc in self.docs], normalize_embeddings=True))
        asked = np.asarray(self.encoder.encode([query.text for query in self.queries], normalize_embeddings=True))
        means: dict[tuple[int, int, int], float] = {}
        for size in SIZES:
            index = store()
            index.add(self.docs[:size], vectors[:size])
            for depth in DEPTHS:
                run: dict[str, dict[str, float]] = {}
                for query in embedded_queries(self.queries, asked):
                    found = [item.doc for item in index.search(query, depth).ranking]
                    scores = self.predictor.predict([(query.query.text, doc.content) for doc in found])
                    run[query.query.query_id] = {
                        doc.doc_id: float(score) for doc, score in zip(found, scores, strict=True)
                    }
                for cutoff in CUTOFFS:
                    measure = ir_measures.nDCG @ cutoff
                    means[size, depth, cutoff] = ir_measures.calc_aggregate([measure], self.qrels, run)[measure]
        return means

    def floor(self) -> None:
        """Every passage, every question and every distinct pair, each by one call of its library."""
        self.encoder.encode([doc.content for doc in self.docs], normalize_embeddings=True)
        self.encoder.encode([query.text for query in self.queries], normalize_embeddings=True)
        self.predictor.predict([(self.queries[q].text, self.docs[d].content) for q, d in sorted(self.pairs)])


def main() -> None:
    options, console = arguments(), Console()
    with TemporaryDirectory() as scratch:
        with console.status("loading the models"):
            task = made(options.folder, Path(scratch))
        said: dict[str, Values] = {}
        sides: dict[str, Callable[[], object]] = {
            GRID: lambda: said.update({GRID: task.grid()}),
            FLOOR: task.floor,
            LOOP: lambda: said.update({LOOP: task.loop()}),
        }
        with console.status("measuring"):
            taken = interleaved(sides, rounds=options.rounds)
    cells = len(SIZES) * len(DEPTHS) * len(CUTOFFS)
    shown = Table(
        title=f"{cells} cells, {len(task.docs)} passages, {len(task.queries)} questions, {len(task.pairs):,} distinct "
        f"pairs: median of {options.rounds} rounds (range)",
        title_justify="left", box=None,
    )  # fmt: skip
    for column in ("", "seconds", "times as long as ragprof's"):
        shown.add_column(column, justify="left" if not column else "right")
    for name, durations in taken.items():
        shown.add_row(name, each(durations).shown(".2f"), ratio(durations, taken[GRID]).shown(".2f"))
    console.print(shown)
    apart = max(abs(said[LOOP][cell] - said[GRID][cell]) for cell in said[LOOP])
    console.print(f"largest difference of nDCG between the loop and the grid, over {cells} cells: {apart:.1e}")
    console.print(f"{environment.cpu_name()}, {environment.torch_threads()} threads", style="dim", highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, metavar="BEIR_FOLDER")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="times that each side is run; default 1")
    return parser.parse_args()


def made(folder: Path, scratch: Path) -> Task:
    """The first questions, their relevant documents, and others by seed. Raises BadInput where there are too few."""
    corpus = read_corpus(folder)
    evaluation = read_evaluation_set(*read_beir_folder_paths(folder), corpus=corpus)
    queries = list(evaluation.queries[:QUESTIONS])
    qrels = {query.query_id: dict(evaluation.qrels[query.query_id]) for query in queries}
    relevant = {document for grades in qrels.values() for document, grade in grades.items() if grade > 0}
    first = [doc for doc in corpus.docs if doc.document_id in relevant]
    others = [doc for doc in corpus.docs if doc.document_id not in relevant]
    if len(first) > SIZES[0] or len(first) + len(others) < SIZES[-1]:
        raise BadInput(f"needs {SIZES[-1]} passages, of which at most {SIZES[0]} are relevant", file=folder)
    docs = first + random.Random(SEED).sample(others, SIZES[-1] - len(first))
    from sentence_transformers import CrossEncoder, SentenceTransformer

    headed(scratch)
    embedder = registry.create("embedders", PartSpec(name="sentence_transformers", model=PACKAGED_MINILM))
    reranker = registry.create("rerankers", PartSpec(name="cross_encoder", model=str(scratch)))
    embedder.load()
    reranker.load()
    reranker.score(queries[0], docs[:1])
    return Task(
        docs, queries, qrels, embedder, reranker,
        SentenceTransformer(str(locate(PACKAGED_MINILM))), CrossEncoder(str(scratch)),
    )  # fmt: skip


def headed(folder: Path) -> None:
    """Write MiniLM with a head of one output, drawn by seed, as a model of its own."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(SEED)
    place = str(locate(PACKAGED_MINILM))
    AutoModelForSequenceClassification.from_pretrained(place, num_labels=1).save_pretrained(folder)
    AutoTokenizer.from_pretrained(place).save_pretrained(folder)


def store() -> Store:
    made: Store = registry.create("stores", PartSpec(name="faiss_flat"))
    return made


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"grid.py: {error}")
