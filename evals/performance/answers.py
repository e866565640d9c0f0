"""Answers of the generator `local`: shared beginnings read once against prompt by prompt; blocks against one pass.

    python evals/performance/answers.py [--corpus DIR] [--questions 6] [--rounds 2] [--length 2048]

Prompts are those of a sweep: the first 1, 2, 3, 4 and 5 passages that BM25 finds for each question.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from paired import Durations, interleaved, ratio, read
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core import Doc, EmbeddedQuery, Query, prompt
from ragprof.core.clock import now_ns
from ragprof.core.environment import describe, installed
from ragprof.core.errors import RagprofError
from ragprof.corpus import read_queries
from ragprof.parts.generators.local import LocalGenerator
from ragprof.parts.models.causal import CausalModel
from ragprof.parts.stores.bm25s import Bm25sStore
from ragprof.studies.injection.record_live import prompt_of_length

PROJECT = Path(__file__).parents[2]
KS = (1, 2, 3, 4, 5)
S = 1e9


def main() -> None:
    options, console = arguments(), Console()
    with console.status("reading the corpus (the first time: building it)"):
        docs = read(options.corpus).docs
        queries = read_queries(PROJECT / "evals" / "python-docs" / "queries.jsonl")[: options.questions]
    with console.status("loading the model (the first time: converting it)"):
        LocalGenerator().load()
    start = now_ns()
    generator = LocalGenerator()
    generator.load()
    loading = (now_ns() - start) / S
    prompts = sweep(docs, queries)
    tokens = sum(map(generator.count_tokens, prompts))
    with console.status("answering both ways"):
        many = interleaved(
            {
                "one by one": partial(one_by_one, generator, prompts),
                "together": partial(generator.generate_many, prompts),
            },
            rounds=options.rounds,
        )
    with console.status("reading one long prompt both ways"):
        reading = read_both_ways(generator, docs, options.length, rounds=options.rounds * 2)
    console.print(table({**many, **reading}, [("one by one", "together"), ("one pass", "blocks of 512")]))
    lines = (
        f"{len(prompts)} prompts of {len(queries)} questions, {tokens:,} tokens; {generator.model_name}",
        f"loading the converted copy again, packages imported: {loading:.1f} s",
        machine(),
    )
    for line in lines:
        console.print(line, style="dim", highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--corpus", type=Path, default=PROJECT / "corpora" / "python-docs", help="default: corpora/python-docs, built"
    )
    parser.add_argument("--questions", type=int, default=6, metavar="N", help="questions, each with five prompts")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="times that all prompts are answered")
    parser.add_argument("--length", type=int, default=2048, metavar="N", help="tokens of the long prompt")
    return parser.parse_args()


def sweep(docs: Sequence[Doc], queries: Sequence[Query]) -> list[str]:
    """A prompt a question and number of chunks."""
    store = Bm25sStore()
    store.add(docs, None)
    found = [store.search(EmbeddedQuery(query, None), max(KS)).ranking for query in queries]
    return [
        prompt.build(prompt.TEMPLATE, query.text, [item.doc for item in ranking[:k]])
        for query, ranking in zip(queries, found, strict=True)
        for k in KS
    ]


def one_by_one(generator: LocalGenerator, prompts: Sequence[str]) -> None:
    for text in prompts:
        generator.generate(text)


def read_both_ways(generator: LocalGenerator, docs: Sequence[Doc], length: int, *, rounds: int) -> dict[str, Durations]:
    text = prompt_of_length(generator, docs, length, start=0)
    if text is None:
        sys.exit(f"the corpus has no prompt of {length} tokens")
    model = CausalModel("gemma-3-270m", precision="auto")
    model.load()
    ids = model.tokens_of(text)
    return interleaved(
        {
            "one pass": lambda: model.read(ids, model.empty_cache(), block=len(ids)),
            "blocks of 512": lambda: model.read(ids, model.empty_cache()),
        },
        rounds=rounds,
    )


def table(durations: dict[str, Durations], pairs: Sequence[tuple[str, str]]) -> Table:
    drawn = Table(title="Answers of the generator local", box=SIMPLE_HEAD, title_justify="left")
    for column in ("rival", "s", "ragprof", "s", "times as fast"):
        drawn.add_column(column)
    for rival, ours in pairs:
        drawn.add_row(
            *(rival, f"{durations[rival].median_ns / S:.2f}", ours, f"{durations[ours].median_ns / S:.2f}"),
            ratio(durations[rival], durations[ours]).shown(".2f"),
        )
    return drawn


def machine() -> str:
    facts = describe()
    return (
        f"{facts['cpu']}, {facts['cores']} cores, torch {installed('torch')}, transformers {installed('transformers')}"
    )


if __name__ == "__main__":
    try:
        main()
    except RagprofError as problem:
        sys.exit(f"answers.py: {problem}")
