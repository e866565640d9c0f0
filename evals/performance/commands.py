"""How long every command takes on a finished recording, as a whole process: wall and CPU seconds.

    python evals/performance/commands.py [--rounds 3] [--against REVISION] [--folder SCRATCH] [--only WORD]

The recording is made here, once: 300 questions and six lexical and static pipelines on 3,000 passages of the corpus
`python-docs`. Each question is the beginning of a passage, which alone is judged relevant. With --against, the same
commands of another git revision of ragprof run by turns with those of this one, on a copy of the recording.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from paired import read
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core.environment import describe
from ragprof.core.errors import BadInput, RagprofError

PROJECT = Path(__file__).parents[2]
PASSAGES, QUESTIONS, WORDS = 3_000, 300, 9
PRICED = """
[corpus]
path = "collection"

[prices]
llm = "openai:gpt-4o-mini"
machine = "aws/m7i.large"
utilisation = 0.5
"""
SIX = f"""
name = "commands"
title = "What the commands of ragprof take"
{PRICED}
[timing]
seconds = 60
rounds = 3
min_queries = 300
patience = 0

[gate.quantities]
"nDCG@10" = {{ absolute = 0.01 }}
"inject.prompt_tokens" = {{ relative = 0.02 }}
""" + "".join(
    f"""
[[pipelines]]
name = "{name}"
store = {store}
{"" if embedder is None else f'embedder = "{embedder}"'}
depth = {depth}
reranker = "{reranker}"
injector = {{ name = "token_budget", k = 5, tokens = 2000 }}
"""
    for name, embedder, store, depth, reranker in (
        ("bm25", None, '"bm25s"', 20, "none"),
        ("static", "static", '"faiss_flat"', 20, "none"),
        ("hybrid", "static", '{ name = "rrf", stores = ["bm25s", "faiss_flat"] }', 20, "none"),
        ("bm25+overlap", None, '"bm25s"', 20, "overlap"),
        ("hybrid+overlap", "static", '{ name = "rrf", stores = ["bm25s", "faiss_flat"] }', 20, "overlap"),
        ("hybrid+overlap deep", "static", '{ name = "rrf", stores = ["bm25s", "faiss_flat"] }', 50, "overlap"),
    )
)
DENSE = f"""
name = "dense"
{PRICED}
[[pipelines]]
name = "dense"
embedder = {{ name = "sentence_transformers", max_tokens = 128 }}
store = "faiss_flat"
"""
PAGES = ("drawn.json", "summary.json", "report.html", "report.md")


@dataclass(frozen=True)
class Command:
    """`before` is what is done to the side's folder each time before the command is started, unmeasured."""

    name: str
    arguments: Sequence[str]
    before: Callable[[Path], object] = lambda _folder: None


def undrawn(folder: Path) -> None:
    """The recording as if it had never been drawn."""
    for name in PAGES:
        (folder / "recording" / name).unlink(missing_ok=True)


COMMANDS = (
    Command("ragprof --help", ["--help"]),
    Command("list", ["list"]),
    Command("report, first drawing", ["report", "recording"], undrawn),
    Command("report, again", ["report", "recording"]),
    Command("price", ["price", "recording"]),
    Command("price --llm", ["price", "recording", "--llm", "openai:gpt-4o"]),
    Command("compare", ["compare", "recording", "other"]),
    Command("compare --html", ["compare", "recording", "other", "--html", "compared.html"]),
    Command("gate --recording", ["gate", "six.toml", "--baseline", "other", "--recording", "recording"]),
    Command("gate --no-clock", ["gate", "six.toml", "--baseline", "other", "--no-clock"]),
    Command("baseline save", ["baseline", "save", "recording", "--into", "kept"]),
    Command("baseline show", ["baseline", "show", "kept"]),
    Command("export per-query", ["export", "recording"]),
    Command("export ragas", ["export", "recording", "--format", "ragas", "--eval", "six.toml"]),
    Command("trec", ["trec", "recording"]),
    Command("check", ["check", "six.toml"]),
    Command("check, dense", ["check", "dense.toml"]),
)


@dataclass(frozen=True)
class Side:
    """A version of ragprof, by the folder of its package, and a folder of its own with the recording."""

    name: str
    package: Path
    folder: Path

    def start(self, arguments: Sequence[str]) -> tuple[float, float]:
        """Wall and CPU seconds of one process. Raises BadInput where it fails: such a time would say nothing."""
        surroundings = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "PYTHONPATH": str(self.package),
            "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"),
            "RAGPROF_CACHE": str(self.folder / "cache"),
        }
        start = time.perf_counter()
        with TemporaryDirectory() as place, (Path(place) / "said").open("w+", encoding="utf-8") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "ragprof", *arguments], cwd=self.folder, env=surroundings,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise BadInput(
                    f"{self.name}: 'ragprof {' '.join(arguments)}' ended with {process.returncode} and said: "
                    f"{said.read().strip()[-400:]}"
                )
        return wall, used.ru_utime + used.ru_stime


def main() -> None:
    options = arguments()
    with scratch(options.folder) as folder, versions(options.against, folder) as sides:
        measured = {
            command.name: measure(command, sides, rounds=options.rounds)
            for command in COMMANDS
            if options.only is None or options.only in command.name
        }
    console = Console()
    console.print(table(measured, [side.name for side in sides], options.rounds))
    facts = describe()
    console.print(f"{facts['cpu']}, {facts['cores']} cores, Python {facts['python']}", style="dim", highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="times each is started; default 3")
    parser.add_argument("--against", metavar="REVISION", help="a git revision of ragprof to compare with")
    parser.add_argument("--folder", type=Path, metavar="SCRATCH", help="keep the recording here, and take it from here")
    parser.add_argument("--only", metavar="WORD", help="only commands whose name holds it")
    return parser.parse_args()


@contextmanager
def scratch(kept: Path | None) -> Iterator[Path]:
    """A folder with the collection, the eval files and a recording of them."""
    with TemporaryDirectory(prefix="ragprof-commands-") as place:
        folder = Path(place) if kept is None else kept.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "this" / "recording" / "drawn.json").exists():
            prepare(folder / "this")
        yield folder


def prepare(folder: Path) -> None:
    """Write the collection and record it. Raises BadInput where the recording cannot be made."""
    corpus = read(PROJECT / "corpora" / "python-docs")
    docs = random.Random(0).sample([doc for doc in corpus.docs if len(doc.text.split()) > WORDS], PASSAGES)
    asked = [(f"q{number:03d}", doc) for number, doc in enumerate(docs[:QUESTIONS])]
    collection = folder / "collection"
    (collection / "qrels").mkdir(parents=True, exist_ok=True)
    lines(collection / "corpus.jsonl", ({"_id": doc.doc_id, "title": doc.title, "text": doc.text} for doc in docs))
    words = ((name, " ".join(doc.text.split()[:WORDS])) for name, doc in asked)
    lines(collection / "queries.jsonl", ({"_id": name, "text": text} for name, text in words))
    judged = "".join(f"{name}\t{doc.doc_id}\t1\n" for name, doc in asked)
    (collection / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8")
    (folder / "six.toml").write_text(SIX, encoding="utf-8")
    (folder / "dense.toml").write_text(DENSE, encoding="utf-8")
    here = Side("this", PROJECT, folder)
    here.start(["run", "six.toml", "--out", "recording"])
    shutil.copytree(folder / "recording", folder / "other")


def lines(path: Path, rows: Iterator[dict[str, str]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


@contextmanager
def versions(revision: str | None, folder: Path) -> Iterator[list[Side]]:
    """This version, and before it the other one where there is one, checked out and with a copy of the recording."""
    here = Side("this", PROJECT, folder / "this")
    if revision is None:
        yield [here]
        return
    with TemporaryDirectory(prefix="ragprof-before-") as place:
        tree, beside = Path(place) / "tree", Path(place) / "folder"
        git = ["git", "-C", str(PROJECT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
        try:
            shutil.copytree(here.folder, beside)
            yield [Side(revision, tree, beside), here]
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=False)


def measure(command: Command, sides: Sequence[Side], *, rounds: int) -> list[list[tuple[float, float]]]:
    """Wall and CPU seconds of every round by side: once unmeasured, then A B, B A, ..."""
    found: list[list[tuple[float, float]]] = [[] for _ in sides]
    for number in range(rounds + 1):
        for place in range(len(sides)) if number % 2 else reversed(range(len(sides))):
            command.before(sides[place].folder)
            taken = sides[place].start(command.arguments)
            if number:
                found[place].append(taken)
    return found


def table(measured: dict[str, list[list[tuple[float, float]]]], names: Sequence[str], rounds: int) -> Table:
    shown = Table(
        title=f"seconds of a process: median of {rounds} (fastest-slowest)", box=SIMPLE_HEAD, title_justify="left"
    )
    shown.add_column("command")
    for name in names:
        for what in ("wall", "CPU"):
            shown.add_column(f"{name} {what}", justify="right")
    if len(names) > 1:
        shown.add_column("wall, times", justify="right")
    for command, sides in measured.items():
        cells = [spread([taken[what] for taken in side]) for side in sides for what in (0, 1)]
        if len(names) > 1:
            before, after = (median(taken[0] for taken in side) for side in sides)
            cells.append(f"{before / after:.1f}")
        shown.add_row(command, *cells)
    return shown


def spread(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f})"


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"commands.py: {error}")
