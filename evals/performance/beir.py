"""Dense retrieval of a whole BEIR collection by `ragprof run`, and by the package `beir` itself, end to end.

    python -m venv BEIR && BEIR/bin/pip install beir
    python evals/performance/beir.py BEIR_FOLDER --beir BEIR/bin/python [--rounds 1]

Both sides are whole processes that start with nothing but the packaged all-MiniLM-L6-v2: they read the collection,
encode all of it and its questions, search exactly and say nDCG@10, which must be the same to four digits. ragprof
also times live queries for a second, prices them and draws its report: that is in its time. `beir` has an environment
of its own, since it pins other libraries than ragprof does; the versions that matter are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from paired import each, interleaved, ratio
from rich.console import Console
from rich.table import Table

from ragprof.core import environment
from ragprof.core.errors import BadInput, RagprofError
from ragprof.parts.models.places import PACKAGED_MINILM, locate

OURS, THEIRS = "ragprof run", "beir"
EVAL = """
name = "beir"
metrics = ["nDCG@10"]
[corpus]
path = "FOLDER"
[timing]
seconds = 1
rounds = 2
min_queries = 2
patience = 0
[[pipelines]]
name = "dense"
embedder = "sentence_transformers"
store = "faiss_flat"
depth = 100
"""
RIVAL = """
import json, sys
from importlib.metadata import version
from beir.datasets.data_loader import GenericDataLoader
from beir.retrieval import models
from beir.retrieval.evaluation import EvaluateRetrieval
from beir.retrieval.search.dense import DenseRetrievalExactSearch
corpus, queries, qrels = GenericDataLoader(sys.argv[1]).load(split="test")
model = DenseRetrievalExactSearch(models.SentenceBERT(sys.argv[2]), batch_size=32)
retriever = EvaluateRetrieval(model, score_function="cos_sim")
found = retriever.retrieve(corpus, queries)
ndcg = retriever.evaluate(qrels, found, [10])[0]["NDCG@10"]
versions = {name: version(name) for name in ("beir", "torch", "sentence-transformers")}
print(json.dumps({"nDCG@10": ndcg, "versions": versions}))
"""


def main() -> None:
    options, console = arguments(), Console()
    if not (options.folder / "corpus.jsonl").is_file():
        raise BadInput("no corpus.jsonl; give a folder in BEIR layout", file=options.folder)
    said: dict[str, dict[str, object]] = {}
    sides: dict[str, Callable[[], object]] = {
        OURS: lambda: said.update({OURS: ours(options.folder)}),
        THEIRS: lambda: said.update({THEIRS: theirs(options.folder, options.beir)}),
    }
    with console.status("measuring"):
        taken = interleaved(sides, rounds=options.rounds)
    shown = Table(title=f"{options.folder.name}, end to end", title_justify="left", box=None)
    for column in ("", "seconds", "as a share of beir's", "nDCG@10"):
        shown.add_column(column, justify="left" if not column else "right")
    for name, durations in taken.items():
        share = ratio(durations, taken[THEIRS]).shown(".2f")
        shown.add_row(name, each(durations).shown(".1f"), share, f"{said[name]['nDCG@10']:.5f}")
    console.print(shown)
    console.print(f"beir's environment: {said[THEIRS]['versions']}", highlight=False)
    console.print(f"{environment.cpu_name()}, {environment.torch_threads()} threads", style="dim", highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path, metavar="BEIR_FOLDER")
    parser.add_argument("--beir", type=Path, required=True, metavar="PYTHON", help="of the environment with beir")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="times that each side is run; default 1")
    return parser.parse_args()


def ours(folder: Path) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        path = place / "beir.toml"
        path.write_text(EVAL.replace("FOLDER", str(folder.resolve())), encoding="utf-8")
        told([sys.executable, "-m", "ragprof", "run", str(path), "--out", str(place / "out")], place / "cache")
        summary = json.loads((place / "out" / "summary.json").read_text(encoding="utf-8"))
    return {"nDCG@10": summary["pipelines"]["dense"]["scores"]["search"]["nDCG@10"]["mean"]}


def theirs(folder: Path, interpreter: Path) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as scratch:
        model = str(locate(PACKAGED_MINILM))
        output = told([str(interpreter), "-c", RIVAL, str(folder.resolve()), model], Path(scratch))
    answer: dict[str, object] = json.loads(output.splitlines()[-1])
    return answer


def told(command: Sequence[str], cache: Path) -> str:
    """The output of a process with ragprof's cache there. Raises BadInput where it fails."""
    environ = {**os.environ, "RAGPROF_CACHE": str(cache)}
    done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BadInput(f"exit code {done.returncode} of {' '.join(command[:2])}: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"beir.py: {error}")
