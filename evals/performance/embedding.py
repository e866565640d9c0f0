"""ragprof's embedder `sentence_transformers` against plain `SentenceTransformer(path).encode(texts)` with its defaults.

    python evals/performance/embedding.py [--corpus corpus.jsonl] [--texts 300] [--rounds 4] [--ndcg BEIR_FOLDER]

Same weights (the packaged all-MiniLM-L6-v2), same texts, same maximum length, same process. Prints documents a second
and how far the vectors are apart; with --ndcg also what the number format does to nDCG@10 of a collection.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from paired import Durations, PairedScores, compared, interleaved, rankings, rate, ratio, read
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.cli.bars import Bars
from ragprof.core import EmbeddedQuery, Query, Ranking, Vectors, registry
from ragprof.core.environment import describe
from ragprof.core.errors import BadInput, RagprofError
from ragprof.core.files import cache_folder
from ragprof.core.registry import PartSpec
from ragprof.core.stages import Embedder, Store
from ragprof.corpus import Corpus, EvaluationSet, read_beir_folder_paths, read_corpus, read_evaluation_set
from ragprof.parts.models.encoder import fastest_float
from ragprof.parts.models.places import PACKAGED_MINILM, locate
from ragprof.record.rankings import document_vectors, query_vectors

PROJECT = Path(__file__).parents[2]
RIVAL = "plain encode()"
LENGTHS = (256, 128)
DEPTH = 20
SEED = 0

Encode = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Measured:
    """Every side's durations, and the largest 1 - cosine between its vectors and the rival's."""

    durations: Mapping[str, Durations]
    deviations: Mapping[str, float]


def main() -> None:
    options, console = arguments(), Console()
    with console.status("reading the corpus (the first time: building it)"):
        texts = sample(read(options.corpus), options.texts)
    for length in LENGTHS:
        with console.status(f"embedding {len(texts)} texts, at most {length} tokens each"):
            measured = measure(encoders(length), texts, options.rounds)
        console.print(speed_table(measured, texts, length=length, rounds=options.rounds))
    if options.ndcg:
        console.print(quality_text(options.ndcg), highlight=False)
    console.print(machine(), style="dim", highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--corpus", type=Path, default=PROJECT / "corpora" / "python-docs", help="default: corpora/python-docs, built"
    )
    parser.add_argument("--texts", type=int, default=300, metavar="N", help="passages drawn by seed; default 300")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="times that each side embeds them")
    parser.add_argument("--ndcg", type=Path, metavar="BEIR_FOLDER", help="also compare nDCG@10 of the number formats")
    return parser.parse_args()


def sample(corpus: Corpus, number: int) -> list[str]:
    """The same passages every time; all of them where there are not that many."""
    if number < 1:
        raise BadInput(f"--texts {number}; give at least 1")
    chosen = random.Random(SEED).sample(corpus.docs, min(number, len(corpus.docs)))
    return [doc.content for doc in chosen]


def precisions() -> dict[str, str]:
    """label -> precision: float32, and bfloat16 where this processor computes in it."""
    return {f"ragprof, {precision}": precision for precision in dict.fromkeys(("float32", fastest_float()))}


def encoders(max_tokens: int) -> dict[str, Encode]:
    """The sides by name, the rival first; every model is loaded."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # as the command line does
    from sentence_transformers import SentenceTransformer

    rival = SentenceTransformer(str(locate(PACKAGED_MINILM)))
    rival.max_seq_length = max_tokens
    sides: dict[str, Encode] = {RIVAL: lambda texts: np.asarray(rival.encode(list(texts)))}
    for label, precision in precisions().items():
        sides[label] = partial(embed, embedder(precision, max_tokens=max_tokens))
    return sides


def embedder(precision: str, *, max_tokens: int | None) -> Embedder:
    options = {"model": PACKAGED_MINILM, "precision": precision, "max_tokens": max_tokens}
    made: Embedder = registry.create("embedders", PartSpec(name="sentence_transformers", **options))
    made.load()
    return made


def embed(part: Embedder, texts: Sequence[str]) -> Vectors:
    return part.embed_documents(texts).vectors


def measure(sides: Mapping[str, Encode], texts: Sequence[str], rounds: int) -> Measured:
    """One pass unmeasured, which warms up and gives the vectors to compare; then the rounds."""
    vectors = {name: encode(texts) for name, encode in sides.items()}
    durations = interleaved({name: partial(encode, texts) for name, encode in sides.items()}, rounds=rounds)
    return Measured(durations, {name: deviation(mine, vectors[RIVAL]) for name, mine in vectors.items()})


def deviation(first: Vectors, second: Vectors) -> float:
    """Largest 1 - cosine between vectors of the same text, in double precision."""
    left, right = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(np.max(1 - np.sum(left * right, axis=1) / lengths))


def speed_table(measured: Measured, texts: Sequence[str], *, length: int, rounds: int) -> Table:
    title = f"{len(texts)} passages, at most {length} tokens: median of {rounds} rounds (lowest-highest)"
    shown = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    shown.add_column("")
    for heading in ("docs/s", "times plain", "largest\n1 - cosine"):
        shown.add_column(heading, justify="right")
    for name, durations in measured.durations.items():
        speed = rate(durations, items=len(texts)).shown(".1f")
        if name == RIVAL:
            shown.add_row(name, speed, "1", "")
        else:
            against = ratio(measured.durations[RIVAL], durations).shown(".2f")
            shown.add_row(name, speed, against, f"{measured.deviations[name]:.1e}")
    return shown


def quality_text(folder: Path) -> str:
    """nDCG@10 in float32 and in bfloat16, or why there is nothing to compare."""
    narrow = fastest_float()
    if narrow == "float32":
        return "nDCG@10: this processor computes in nothing narrower than float32, so there is nothing to compare"
    corpus = read_corpus(folder)
    evaluation = read_evaluation_set(*read_beir_folder_paths(folder), corpus=corpus)
    found = {precision: dense(precision, corpus, evaluation) for precision in ("float32", narrow)}
    scores = compared(found["float32"], found[narrow], evaluation.qrels)
    return quality_lines(scores, corpus, narrow)


def quality_lines(scores: PairedScores, corpus: Corpus, narrow: str) -> str:
    means = f"float32 {scores.baseline:.4f}, {narrow} {scores.candidate:.4f}"
    return f"nDCG@10 on {corpus.name} ({len(corpus.docs):,} documents): {means}\n{scores.sentence()}"


def dense(precision: str, corpus: Corpus, evaluation: EvaluationSet) -> dict[str, Ranking]:
    """Exact vector search for every question, at the model's own maximum length; vectors come from the cache."""
    part, cache, queries = embedder(precision, max_tokens=None), cache_folder(), evaluation.queries
    with Bars(Console(stderr=True)) as bars:
        documents = document_vectors(part, [doc.content for doc in corpus.docs], cache=cache, progress=bars)
        questions = query_vectors(part, [query.text for query in queries], cache=cache, progress=bars)
    store: Store = registry.create("stores", PartSpec(name="faiss_flat"))
    store.add(corpus.docs, documents.vectors)
    vectors = dict(zip((query.query_id for query in queries), questions.vectors, strict=True))

    def search(query: Query) -> Ranking:
        return store.search(EmbeddedQuery(query, vectors[query.query_id]), min(DEPTH, len(corpus.docs))).ranking

    return rankings(search, queries)


def machine() -> str:
    facts = describe()
    packages = ", ".join(f"{name} {facts['packages'].get(name)}" for name in ("torch", "sentence-transformers"))
    return f"{facts['gpu'] or facts['cpu']}, {facts['threads']} threads\n{packages}"


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"embedding.py: {error}")
