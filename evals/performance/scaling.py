"""How time and memory grow with passages, questions and pipelines: one at a time, to twenty times as many.

    python evals/performance/scaling.py [--corpus DIR] [--axis passages] [--most 20]

Every point is a process of its own on real text: passages of a corpus, whose first sentences are the questions, each
about its own passage. It starts from an empty cache and says CPU seconds and the highest resident memory of each pass:
reading, recording (live queries have a budget of a second), judging, pricing, analysing, drawing, and a growth study
of four sizes. The exponent is the slope of the last three points on logarithmic axes: 1 is in proportion, 2 a square.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core import Doc, environment, files
from ragprof.core.clock import Silent, cpu_ns
from ragprof.core.errors import BadInput, RagprofError
from ragprof.corpus import find, read_corpus

PROJECT = Path(__file__).parents[2]

FACTORS = (1, 2, 5, 10, 20)
LEAST = {"passages": 500, "questions": 50, "pipelines": 1}
BESIDE = {"passages": 2_000, "questions": 100, "pipelines": 2}
"""What the other two are while one grows."""
FITTED = 3
SHORT_S, SMALL_MIB = 0.2, 20
"""What takes less, or takes so little more memory, is noise: it has no exponent."""
EVAL = """
name = "scaling"
[corpus]
path = "corpus.jsonl"
[evaluation]
queries = "queries.jsonl"
qrels = "qrels.tsv"
[timing]
seconds = 1
rounds = 2
min_queries = 2
warmup = 1
patience = 0
[growth]
points = 4
orders = 2
[growth.timing]
seconds = 1
rounds = 2
min_queries = 2
warmup = 1
patience = 0
[prices]
llm = "openai:gpt-4o-mini"
machine = "aws/m7i.large"
"""
PIPELINE = """
[[pipelines]]
name = "hybrid-{number}"
embedder = "static"
store = {{ name = "rrf", k = {number}, stores = ["bm25s", "faiss_flat"] }}
"""


@dataclass(frozen=True, slots=True)
class Point:
    """What one process took, by pass: seconds, and MiB of memory at most."""

    factor: int
    seconds: Mapping[str, float]
    mib: Mapping[str, float]


def main() -> None:
    options, console = arguments(), Console()
    if options.worker is not None:
        sys.stdout.write(json.dumps(passes(options.worker)) + "\n")
        return
    docs = texts(options.corpus)
    for axis in [options.axis] if options.axis else LEAST:
        points = []
        for factor in (factor for factor in FACTORS if factor <= options.most):
            with console.status(f"{axis}: {factor} times"):
                points.append(measured(axis, factor, docs))
        console.print(table(axis, points))
    console.print(f"{environment.cpu_name()}, {os.cpu_count()} cores", style="dim", highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, help="what ragprof reads as a corpus; default: the corpus python-docs")
    parser.add_argument("--axis", choices=list(LEAST), help="one alone; default: all three")
    parser.add_argument("--most", type=int, default=FACTORS[-1], metavar="N", help="the largest factor")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def texts(corpus: Path | None) -> Sequence[Doc]:
    """The passages in a seeded order. Raises BadInput where there are too few."""
    shipped = PROJECT / "evals" / "python-docs.toml"
    read = read_corpus(corpus) if corpus else read_corpus(find("python-docs", near=shipped), format="recipe")
    docs = list(read.docs)
    most = LEAST["passages"] * FACTORS[-1]
    if len(docs) < most:
        raise BadInput(f"this corpus has {len(docs):,} passages, and {most:,} are measured", file=corpus)
    return [docs[place] for place in np.random.default_rng(0).permutation(len(docs))[:most]]


def measured(axis: str, factor: int, docs: Sequence[Doc]) -> Point:
    """Write an eval of this size and run all passes on it in a process of their own."""
    counts = BESIDE | {axis: LEAST[axis] * factor}
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        chosen = docs[: max(counts["passages"], counts["questions"])]
        write(
            place / "corpus.jsonl",
            ({"_id": f"d{n}", "title": each.title, "text": each.text} for n, each in enumerate(chosen)),
        )
        asked = chosen[: counts["questions"]]
        write(place / "queries.jsonl", ({"_id": f"q{n}", "text": question(each)} for n, each in enumerate(asked)))
        judged = [f"q{number}\td{number}\t1" for number in range(counts["questions"])]
        (place / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]), encoding="utf-8")
        pipelines = "".join(PIPELINE.format(number=number + 1) for number in range(counts["pipelines"]))
        (place / "scaling.toml").write_text(EVAL + pipelines, encoding="utf-8")
        alone = {**os.environ, "RAGPROF_CACHE": str(place / "cache")}
        done = subprocess.run(
            [sys.executable, __file__, "--worker", str(place)], env=alone, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise BadInput(f"{axis}, {factor} times: {done.stderr[-2000:]}")
    seconds, mib = json.loads(done.stdout.splitlines()[-1])
    return Point(factor, seconds, mib)


def write(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def question(doc: Doc) -> str:
    """The first sentence of a passage."""
    return doc.content.strip().partition(". ")[0][:200] or doc.doc_id


def passes(place: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds and MiB by pass."""
    from ragprof.judge.scores import judge
    from ragprof.price import price_recording
    from ragprof.record.recording import Bench, record
    from ragprof.session.pages import write_report
    from ragprof.session.run import grow
    from ragprof.session.summary import analyse
    from ragprof.studies.preparation import prepare, today

    seconds, mib = dict[str, float](), dict[str, float]()

    def taken(name: str, work: Callable[[], Any]) -> Any:
        environment.reset_peak()
        start = cpu_ns()
        found = work()
        seconds[name], mib[name] = (cpu_ns() - start) / 1e9, environment.peak_rss_bytes() / 2**20
        return found

    path, out = place / "scaling.toml", place / "out"
    prepared = taken("read", lambda: prepare(path))
    bench = Bench(out, files.cache_folder(), Silent())
    out.mkdir()
    taken("record", lambda: record(prepared.subject, bench))
    metrics = prepared.subject.config.metrics
    taken("judge", lambda: judge(out, prepared.evaluation, metrics=metrics))
    taken("price", lambda: price_recording(out, books=(), on=today()))
    analysis = taken("analyse", lambda: analyse(out))
    files.write_json(out / "summary.json", analysis.as_json())
    taken("draw", lambda: write_report(analysis, out))
    mib["report.html"] = (out / "report.html").stat().st_size / 2**20
    taken("grow", lambda: grow(path, out=out))
    return seconds, mib


def exponent(points: Sequence[Point], values: Sequence[float], *, least: float) -> float | None:
    """The slope of the last points on logarithmic axes; None where they differ by next to nothing."""
    some, found = points[-FITTED:], values[-FITTED:]
    if len(some) < FITTED or found[-1] - found[0] < least or min(found) <= 0:
        return None
    return float(np.polyfit([math.log(each.factor) for each in some], [math.log(value) for value in found], 1)[0])


def table(axis: str, points: Sequence[Point]) -> Table:
    beside = ", ".join(f"{count:,} {name}" for name, count in BESIDE.items() if name != axis)
    shown = Table(title=f"{LEAST[axis]:,} {axis} and more, beside {beside}", box=SIMPLE_HEAD, title_justify="left")
    shown.add_column("pass")
    for point in points:
        shown.add_column(f"x{point.factor}, s", justify="right")
    for heading in ("exponent", f"MiB, x{points[0].factor}", f"MiB, x{points[-1].factor}", "exponent"):
        shown.add_column(heading, justify="right")
    for name in points[0].mib:
        times = [point.seconds[name] for point in points] if name in points[0].seconds else []
        memory = [point.mib[name] for point in points]
        slope = exponent(points, times, least=SHORT_S) if times else None
        steep = exponent(points, memory, least=SMALL_MIB if times else 0.1)
        shown.add_row(
            name, *([f"{value:.2f}" for value in times] or [""] * len(points)), _shown(slope),
            *(f"{value:,.1f}" if value < 10 else f"{value:,.0f}" for value in (memory[0], memory[-1])), _shown(steep),
        )  # fmt: skip
    return shown


def _shown(slope: float | None) -> str:
    return "" if slope is None else f"{slope:.2f}"


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"scaling.py: {error}")
