"""The store `bm25s` against the store `rank_bm25`: time a query, time to build the index, and nDCG@10.

    python evals/performance/bm25.py [--corpus corpus.jsonl] [--rounds 4] [--builds 2]

Both get the same passages, the same questions and the same tokeniser. The questions and judgements
are those of evals/python-docs, so another corpus must have its documents.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from paired import Durations, PairedScores, compared, each, interleaved, rankings, ratio, read
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core import Doc, EmbeddedQuery, Query, Ranking, registry
from ragprof.core.environment import describe, installed
from ragprof.core.errors import RagprofError
from ragprof.core.registry import PartSpec
from ragprof.core.stages import Store
from ragprof.corpus import read_evaluation_set

PROJECT = Path(__file__).parents[2]
OURS, RIVAL = "bm25s", "rank_bm25"
DEPTH = 20
MS = 1e6


def main() -> None:
    options, console = arguments(), Console()
    with console.status("reading the corpus (the first time: building it)"):
        corpus = read(options.corpus)
    evals = PROJECT / "evals" / "python-docs"
    evaluation = read_evaluation_set(evals / "queries.jsonl", evals / "qrels" / "test.tsv", corpus=corpus)
    stores: dict[str, Store] = {name: registry.create("stores", PartSpec(name=name)) for name in (RIVAL, OURS)}
    with console.status("building both indexes"):
        builds = built(stores, corpus.docs, options.builds)
    with console.status("asking both, once unmeasured"):
        found = {name: rankings(searching(store), evaluation.queries) for name, store in stores.items()}
    with console.status("asking both, measured"):
        asked = interleaved(asking(stores, evaluation.queries), rounds=options.rounds)
    scores = compared(found[RIVAL], found[OURS], evaluation.qrels)
    console.print(table(asked, builds, scores, title=title(len(corpus.docs), len(evaluation.queries), options.rounds)))
    for line in (f"nDCG@10, {OURS} minus {RIVAL}:", scores.sentence(), *evaluation.notices, machine()):
        console.print(line, style="dim", highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--corpus", type=Path, default=PROJECT / "corpora" / "python-docs", help="default: corpora/python-docs, built"
    )
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="times that all questions are asked")
    parser.add_argument("--builds", type=int, default=2, metavar="N", help="times that each index is built")
    return parser.parse_args()


def built(stores: Mapping[str, Store], docs: Sequence[Doc], rounds: int) -> dict[str, Durations]:
    """Seconds to build, tokenising included; leaves each store with its last index."""
    for store in stores.values():
        store.load()
        store.add(docs[:100], None)
    return interleaved({name: partial(store.add, docs, None) for name, store in stores.items()}, rounds=rounds)


def searching(store: Store) -> Callable[[Query], Ranking]:
    return lambda query: store.search(EmbeddedQuery(query, None), DEPTH).ranking


def asking(stores: Mapping[str, Store], queries: Sequence[Query]) -> dict[str, Callable[[], object]]:
    """For each store a call that asks all questions, one after the other."""
    return {name: partial(rankings, searching(store), queries) for name, store in stores.items()}


def table(
    asked: Mapping[str, Durations], builds: Mapping[str, Durations], scores: PairedScores, *, title: str
) -> Table:
    shown = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    shown.add_column("")
    for name in (RIVAL, OURS):
        shown.add_column(name, justify="right")
    shown.add_column(f"{RIVAL} / {OURS}", justify="right")
    queries = scores.queries
    shown.add_row(
        "ms a query",
        *(each(asked[name], items=queries, unit_ns=MS).shown(".2f") for name in (RIVAL, OURS)),
        ratio(asked[RIVAL], asked[OURS]).shown(".1f"),
    )
    shown.add_row(
        "index, s",
        *(each(builds[name]).shown(".1f") for name in (RIVAL, OURS)),
        ratio(builds[RIVAL], builds[OURS]).shown(".2f"),
    )
    shown.add_row("nDCG@10", f"{scores.baseline:.4f}", f"{scores.candidate:.4f}", "")
    return shown


def title(docs: int, queries: int, rounds: int) -> str:
    return f"{docs:,} passages, {queries} questions: median of {rounds} rounds (lowest-highest)"


def machine() -> str:
    facts = describe()
    versions = f"{OURS} {installed('bm25s')}, {RIVAL} {installed('rank-bm25')}"
    return f"depth {DEPTH}; {facts['cpu']}, {facts['cores']} cores\n{versions}"


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"bm25.py: {error}")
