"""What profiling adds to an app: the same question with and without instruments, A B B A, many times over.

    python evals/performance/overhead.py FOLDER [--questions 40] [--rounds 30] [--depth 20] [--direct 2]

FOLDER is a collection in BEIR's format, such as xquad-en. The apps are those of `apps.py`: a function, LangChain,
LlamaIndex and Haystack. What a hook costs does not depend on how long the stage within it takes, but a difference of
microseconds cannot be seen beside a model's milliseconds. So two things are measured:

- **added**: in the same apps with stages that answer from memory, in CPU time of the app's thread, which other
  processes hardly change. The median of the differences within A B B A, with the interval of resampled questions; its
  share is of the p50 of the real app without instruments, by the clock.
- **direct**: in the real apps, `--direct` times a question, in CPU time of one thread: the same share with no
  assumption, and with the noise of the models in its interval.

Both are of what runs between question and answer; reading documents and tokens afterwards is in no latency.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
# One thread: the CPU time of a question is then that of the thread that answers it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from apps import Parts, function, haystack, langchain, llamaindex
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core import Doc, Query, Vectors
from ragprof.core.clock import Clock, now_ns, thread_cpu_ns
from ragprof.core.environment import describe
from ragprof.core.tokens import DEFAULT_TOKENIZER, counter
from ragprof.corpus import read_beir_folder_paths, read_corpus
from ragprof.record.apps import AskedApp
from ragprof.record.targets import asked_app
from ragprof.report import figures
from ragprof.statistics.estimates import ENDS

APPS: dict[str, Callable[[Parts], object]] = {
    "function": function, "LangChain": langchain, "LlamaIndex": llamaindex, "Haystack": haystack,
}  # fmt: skip
RESAMPLES, WARM = 2_000, 20


class Remembered(Parts):
    """The same answers from memory, as those parts gave them once."""

    def __init__(self, parts: Parts, questions: Sequence[str]) -> None:
        self.depth, self.docs = parts.depth, parts.docs
        self._vectors = {question: parts.embed(question) for question in questions}
        self._found = {question: parts.search(question, vector) for question, vector in self._vectors.items()}
        self._best = {
            question: parts.rerank(question, [doc for doc, _ in found]) for question, found in self._found.items()
        }

    def embed(self, question: str) -> Vectors:
        return self._vectors[question]

    def search(self, question: str, vector: Vectors) -> list[tuple[Doc, float]]:
        return list(self._found[question])

    def rerank(self, question: str, docs: Sequence[Doc]) -> list[tuple[Doc, float]]:
        return list(self._best[question])


def asked(name: str, target: object) -> AskedApp:
    app = asked_app(
        name, target, known_as=name, kind=None, doc_id=None, timeout_s=120.0, options={},
        count=counter(DEFAULT_TOKENIZER),
    )  # fmt: skip
    app.load()
    return app


def taken(app: AskedApp, query: Query, clock: Clock, *, watched: bool) -> int:
    heard = app.hear(query, clock, watched=watched)
    return heard.end_ns - heard.start_ns


def differences(app: AskedApp, queries: Sequence[Query], rounds: int, clock: Clock) -> tuple[np.ndarray, np.ndarray]:
    """(questions, rounds) of ns that instruments add, and of ns without them. Every other pair is B A A B."""
    added, bare = np.zeros((len(queries), rounds)), np.zeros((len(queries), rounds))
    for place in range(WARM):
        taken(app, queries[place % len(queries)], clock, watched=place % 2 == 0)
    for number in range(rounds):
        for place, query in enumerate(queries):
            first = (number + place) % 2 == 0
            order = (first, not first, not first, first)
            times = [(watched, taken(app, query, clock, watched=watched)) for watched in order]
            with_them, without = (sum(ns for watched, ns in times if watched is side) / 2 for side in (True, False))
            added[place, number], bare[place, number] = with_them - without, without
    return added, bare


def interval(values: np.ndarray, of: float) -> tuple[float, tuple[float, float]]:
    """The median over all, as a share `of` ns, with its 95 % interval over resampled questions."""
    rng = np.random.default_rng(0)
    draws = [np.median(values[rng.integers(0, len(values), len(values))]) for _ in range(RESAMPLES)]
    low, high = np.quantile(draws, ENDS)
    return float(np.median(values)) / of, (float(low) / of, float(high) / of)


def main() -> None:
    given = arguments()
    path, _ = read_beir_folder_paths(given.folder, "test")
    lines = path.read_text(encoding="utf-8").splitlines()[: given.questions]
    queries = [Query(each["_id"], each["text"]) for each in map(json.loads, lines)]
    parts = Parts(read_corpus(given.folder).docs, given.depth)
    remembered = Remembered(parts, [query.text for query in queries])
    drawn = Table(box=SIMPLE_HEAD)
    columns = (
        "app",
        "p50 without",
        "added, CPU",
        "95% interval",
        "of the p50",
        "95% interval",
        "direct",
        "95% interval",
    )
    for title in columns[: None if given.direct else -2]:
        drawn.add_column(title, justify="left" if title == "app" else "right")
    for name, build in APPS.items():
        real, light = asked(name, build(parts)), asked(name, build(remembered))
        p50 = float(np.median([taken(real, query, now_ns, watched=False) for query in queries]))
        added, _ = differences(light, queries, given.rounds, thread_cpu_ns)
        ns, ends = interval(added, 1.0)
        row = [name, figures.duration(p50), figures.duration(ns), figures.span(ends, figures.duration)]
        row += [figures.share(ns / p50), figures.span((ends[0] / p50, ends[1] / p50), figures.share)]
        if given.direct:
            direct, bare = differences(real, queries, given.direct, thread_cpu_ns)
            share, around = interval(direct, float(np.median(bare)))
            row += [figures.share(share), figures.span(around, figures.share)]
        drawn.add_row(*row)
    console, facts = Console(width=140), describe()
    console.print(drawn)
    console.print(
        f"{facts['cpu']}, {facts['cores']} cores; {len(queries)} questions, {given.rounds} and {given.direct} rounds",
        style="dim", highlight=False,
    )  # fmt: skip


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, help="a collection in BEIR's format")
    parser.add_argument("--questions", type=int, default=40, metavar="N", help="default 40")
    parser.add_argument("--rounds", type=int, default=30, metavar="N", help="with stages from memory; default 30")
    parser.add_argument("--depth", type=int, default=20, metavar="N", help="candidates, at least 5; default 20")
    parser.add_argument("--direct", type=int, default=2, metavar="N", help="rounds of the real apps; default 2")
    return parser.parse_args()


if __name__ == "__main__":
    main()
