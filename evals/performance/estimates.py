"""What `ragprof check` promises of a run and of every study, and what the commands then take.

    python evals/performance/estimates.py BEIR_FOLDER [BEIR_FOLDER ...] [--models] [--answers]

Every folder is measured from an empty cache: check, run, then the commands of the studies and a gate against the
recording. `--models` gives it pipelines with a small transformer and a reranker instead of those without; `--answers`
adds `inject` with the extractive generator. A row is as promised where the estimate is within 25 % of what was taken,
or within two seconds, and tokens within 5 %; where one is not, the exit status is 1. Needs a machine that does nothing
else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core.environment import describe
from ragprof.core.errors import BadInput, RagprofError

TIME, TOKENS = 0.25, 0.05
SHORT_S = 2.0
"""Of commands that take seconds, starting Python is a good part: so much is always forgiven."""
SETTINGS = """
name = "timed"
tokenizer = "o200k_base"
[corpus]
path = "FOLDER"
[timing]
seconds = 10
patience = 0
[growth]
points = 4
orders = 2
[growth.timing]
seconds = 10
patience = 0
[injection]
generator = "extractive"
questions = 20
unanswerable = 0
[injection.timing]
seconds = 10
patience = 0
[reranker.timing]
seconds = 10
patience = 0
[gate.quantities]
"nDCG@10" = { absolute = 0.02 }
"""
LEXICAL = """
[[pipelines]]
name = "bm25"
store = "bm25s"
[[pipelines]]
name = "static"
embedder = "static"
store = "faiss_flat"
[[pipelines]]
name = "hybrid"
embedder = "static"
store = { name = "rrf", stores = ["bm25s", "faiss_flat"] }
injector = { name = "token_budget", k = 5, tokens = 1200 }
"""
MODELS = """
[[pipelines]]
name = "dense"
embedder = "sentence_transformers"
store = "faiss_flat"
depth = 10
[[pipelines]]
name = "dense+maxsim"
embedder = "sentence_transformers"
store = "faiss_flat"
depth = 10
reranker = "maxsim"
"""
PROMISES = """
import json, sys
from pathlib import Path
from ragprof.session.forecast import forecast_eval
found = forecast_eval(Path(sys.argv[1]))
print(json.dumps({"seconds": dict(found.seconds), "tokens": dict(found.prompt_tokens)}))
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One quantity of one eval: what was promised and what it took."""

    eval_name: str
    what: str
    promised: float
    taken: float
    allowed: float

    @property
    def is_kept(self) -> bool:
        return abs(self.promised - self.taken) <= self.allowed


def main() -> None:
    options, console = arguments(), Console()
    rows = [row for folder in options.folders for row in measured(folder, options, console)]
    console.print(table(rows))
    facts = describe()
    console.print(f"{facts['cpu']}, {facts['cores']} cores", style="dim", highlight=False)
    sys.exit(0 if all(row.is_kept for row in rows) else 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="BEIR_FOLDER")
    parser.add_argument("--models", action="store_true", help="pipelines with a transformer and a reranker")
    parser.add_argument("--answers", action="store_true", help="inject, with the extractive generator")
    return parser.parse_args()


def measured(folder: Path, options: argparse.Namespace, console: Console) -> Iterator[Row]:
    """Check, then the commands in the order in which a user would give them."""
    if not folder.is_dir():
        raise BadInput("no such folder; give one in BEIR layout", file=folder)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        path, out, name = place / "eval.toml", place / "out", folder.name + (" with models" if options.models else "")
        pipelines = MODELS if options.models else LEXICAL
        path.write_text(SETTINGS.replace("FOLDER", str(folder.resolve())) + pipelines, encoding="utf-8")
        told = json.loads(python(["-c", PROMISES, str(path)], place)[1])
        commands: dict[str, list[str]] = {"profile": ["run"], "growth": ["grow"]}
        if options.models:
            commands["reranker"] = ["reranker"]
        if options.answers:
            commands["injection"] = ["inject"]
        commands["audit"] = ["audit"]
        for study, command in commands.items():
            promised = told["seconds"].get(study)
            if promised is None:
                console.print(f"{name}: check says nothing of the time of {study}, so it is left out")
                continue
            with console.status(f"{name}: {study}"):
                taken, _ = python(["-m", "ragprof", *command, str(path), "--out", str(out)], place)
            yield Row(name, f"{study}, s", promised, taken, max(SHORT_S, TIME * taken))
            if study == "profile":
                yield from prompts(name, told["tokens"], out)
        with console.status(f"{name}: gate"):
            taken, _ = python(["-m", "ragprof", "gate", str(path), "--baseline", str(out)], place)
        yield Row(name, "gate, s", told["seconds"]["gate"], taken, max(SHORT_S, TIME * taken))


def prompts(name: str, told: Mapping[str, float], recording: Path) -> Iterator[Row]:
    """The mean of a prompt of every pipeline."""
    pipelines = json.loads((recording / "summary.json").read_text(encoding="utf-8"))["pipelines"]
    for pipeline, promised in told.items():
        taken = pipelines[pipeline]["usage_per_query"]["inject.prompt_tokens"]
        yield Row(name, f"{pipeline}, tokens", promised, taken, TOKENS * taken)


def python(arguments: Sequence[str], place: Path) -> tuple[float, str]:
    """Seconds of a Python of its own, with a cache of its own, and its output. Raises BadInput where it fails."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=place, env={**os.environ, "RAGPROF_CACHE": str(place / "cache")},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    taken = time.perf_counter() - start
    if done.returncode:
        raise BadInput(f"exit code {done.returncode} of {' '.join(arguments[:4])}: {done.stderr[-2000:]}")
    return taken, done.stdout


def table(rows: Sequence[Row]) -> Table:
    shown = Table(title="what check promised, and what it took", box=SIMPLE_HEAD, title_justify="left")
    for heading in ("eval", "what"):
        shown.add_column(heading)
    for heading in ("promised", "taken", "off by"):
        shown.add_column(heading, justify="right")
    for row in rows:
        off = f"{row.promised / row.taken - 1:+.0%}" + ("" if row.is_kept else "  NOT AS PROMISED")
        shown.add_row(row.eval_name, row.what, f"{row.promised:,.1f}", f"{row.taken:,.1f}", off)
    return shown


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"estimates.py: {error}")
