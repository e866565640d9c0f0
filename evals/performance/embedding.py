"""ragprof's embedder `sentence_transformers` against plain `SentenceTransformer(path).encode(texts)` with its defaults.

    python evals/performance/embedding.py [--corpus corpus.jsonl] [--texts 400] [--tokens 128] [--rounds 2]
                                          [--ndcg BEIR_FOLDER]

Same weights (the packaged all-MiniLM-L6-v2), same texts, same maximum length, same threads, same process. Prints
passages a second and a CPU-second, how near that is to what the processor can do (a plain float32 product of matrices
of the model's own shapes, in the same rounds), and how far the vectors are apart; with --ndcg also what the number
format does to nDCG@10 of a collection.
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
from paired import Durations, PairedScores, compared, interleaved, rankings, rate, rate_of_cores, ratio, read
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
LIMIT = "plain matmul"
DEPTH = 20
SEED = 0
ROWS = 2048
LAYERS, WIDTH, INNER = 6, 384, 1536
"""Of the packaged all-MiniLM-L6-v2."""
LIMIT_SHARE = 0.1
"""The matrix products of the limit are of a tenth of the work, but of LIMIT_FLOP at least: a second or two."""
LIMIT_FLOP = 100e9

Encode = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Measured:
    """Every side's durations and work in FLOP, and the largest 1 - cosine between its vectors and the rival's."""

    durations: Mapping[str, Durations]
    flop: Mapping[str, float]
    deviations: Mapping[str, float]


def main() -> None:
    options, console = arguments(), Console()
    with console.status("reading the corpus (the first time: building it)"):
        texts = sample(read(options.corpus), options.texts)
    with console.status(f"embedding {len(texts)} texts, at most {options.tokens} tokens each"):
        measured = measure(options.tokens, texts, options.rounds)
    console.print(speed_table(measured, texts, length=options.tokens, rounds=options.rounds))
    if options.ndcg:
        console.print(quality_text(options.ndcg), highlight=False)
    console.print(machine(), style="dim", highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--corpus", type=Path, default=PROJECT / "corpora" / "python-docs", help="default: corpora/python-docs, built"
    )
    parser.add_argument("--texts", type=int, default=400, metavar="N", help="passages drawn by seed; default 400")
    parser.add_argument("--tokens", type=int, default=128, metavar="N", help="most tokens of a text; default 128")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="times that each side embeds them")
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


def encoders(max_tokens: int) -> tuple[dict[str, Encode], Callable[[Sequence[str]], list[int]]]:
    """The sides by name, the rival first; every model is loaded. And what counts the tokens that they read."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # as the command line does
    from sentence_transformers import SentenceTransformer

    rival = SentenceTransformer(str(locate(PACKAGED_MINILM)))
    rival.max_seq_length = max_tokens
    sides: dict[str, Encode] = {RIVAL: lambda texts: np.asarray(rival.encode(list(texts)))}
    for label, precision in precisions().items():
        sides[label] = partial(embed, embedder(precision, max_tokens=max_tokens))

    def lengths(texts: Sequence[str]) -> list[int]:
        ids = rival.tokenizer(list(texts), truncation=True, max_length=max_tokens, padding=False)["input_ids"]
        return [len(tokens) for tokens in ids]

    return sides, lengths


def embedder(precision: str, *, max_tokens: int | None) -> Embedder:
    options = {"model": PACKAGED_MINILM, "precision": precision, "max_tokens": max_tokens}
    made: Embedder = registry.create("embedders", PartSpec(name="sentence_transformers", **options))
    made.load()
    return made


def embed(part: Embedder, texts: Sequence[str]) -> Vectors:
    return part.embed_documents(texts).vectors


def measure(max_tokens: int, texts: Sequence[str], rounds: int) -> Measured:
    """One pass unmeasured, which warms up and gives the vectors to compare; then the rounds, the limit among them."""
    sides, lengths = encoders(max_tokens)
    vectors = {name: encode(texts) for name, encode in sides.items()}
    work = flop_of(lengths(texts))
    repeats, products = layer_products(max(LIMIT_FLOP, LIMIT_SHARE * work))
    products(1)
    run: dict[str, Callable[[], object]] = {name: partial(encode, texts) for name, encode in sides.items()}
    durations = interleaved({**run, LIMIT: partial(products, repeats)}, rounds=rounds)
    flop = {**dict.fromkeys(sides, work), LIMIT: repeats * ROWS * linear_flop()}
    return Measured(durations, flop, {name: deviation(mine, vectors[RIVAL]) for name, mine in vectors.items()})


def linear_flop() -> float:
    """Of one token in the linear layers of one transformer layer; a multiplication and an addition are two."""
    return 2 * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER)


def flop_of(lengths: Sequence[int]) -> float:
    """What the model needs for texts of so many tokens, without padding: linear layers and attention's two products."""
    return float(sum(LAYERS * length * (linear_flop() + 4 * length * WIDTH) for length in lengths))


def layer_products(flop: float) -> tuple[int, Callable[[int], None]]:
    """How often one layer's six products of matrices over ROWS tokens come to so many FLOP; and what computes them."""
    import torch

    rows = {inputs: torch.randn(ROWS, inputs) for inputs in (WIDTH, INNER)}
    shapes = [(WIDTH, WIDTH)] * 4 + [(WIDTH, INNER), (INNER, WIDTH)]
    weights = [torch.randn(shape) for shape in shapes]

    def products(repeats: int) -> None:
        with torch.inference_mode():
            for _ in range(repeats):
                for weight in weights:
                    torch.mm(rows[len(weight)], weight)

    return max(1, round(flop / (ROWS * linear_flop()))), products


def deviation(first: Vectors, second: Vectors) -> float:
    """Largest 1 - cosine between vectors of the same text, in double precision."""
    left, right = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(np.max(1 - np.sum(left * right, axis=1) / lengths))


def speed_table(measured: Measured, texts: Sequence[str], *, length: int, rounds: int) -> Table:
    title = f"{len(texts):,} passages, at most {length} tokens: median of {rounds} rounds (lowest-highest)"
    shown = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    shown.add_column("")
    for heading in ("passages/s", "per\nCPU-s", "GFLOP/s", "of the\nlimit", "times plain", "largest\n1 - cosine"):
        shown.add_column(heading, justify="right")
    gflops = {name: measured.flop[name] / taken.median_ns for name, taken in measured.durations.items()}
    for name, durations in measured.durations.items():
        figures = [f"{gflops[name]:.1f}", f"{gflops[name] / gflops[LIMIT]:.2f}"]
        if name == LIMIT:
            shown.add_row(name, "", "", *figures, "", "")
            continue
        speed = rate(durations, items=len(texts)).shown(".1f")
        of_cores = f"{rate_of_cores(durations, items=len(texts)):.1f}"
        against = "1" if name == RIVAL else ratio(measured.durations[RIVAL], durations).shown(".2f")
        far = "" if name == RIVAL else f"{measured.deviations[name]:.1e}"
        shown.add_row(name, speed, of_cores, *figures, against, far)
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
