"""The embedder `sentence_transformers` in float32, bfloat16 and int8, side by side in one process.

    python evals/performance/precision.py [--corpus corpus.jsonl] [--texts 200] [--rounds 4] [--threads 2]

Same weights (the packaged all-MiniLM-L6-v2), same texts, the model's own maximum length. Prints texts a second, each
format against float32 and bfloat16, and how far its vectors are from those of float32. A format that ragprof refuses
here (int8 on a GPU, or on a CPU that is slower in it) is left out, and the reason printed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from paired import Durations, interleaved, rate, ratio, read
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ragprof.core import Vectors, registry
from ragprof.core.environment import describe
from ragprof.core.errors import BadInput, RagprofError
from ragprof.core.registry import PartSpec
from ragprof.core.stages import Embedder
from ragprof.parts.models.places import PACKAGED_MINILM

PROJECT = Path(__file__).parents[2]
PRECISIONS = ("float32", "bfloat16", "int8")
RIVALS = ("float32", "bfloat16")
SEED = 0


def main() -> None:
    options, console = arguments(), Console()
    with console.status("reading the corpus (the first time: building it)"):
        texts = sample(options.corpus, options.texts)
    set_threads(options.threads)
    parts = {}
    for precision in PRECISIONS:
        try:
            parts[precision] = embedder(precision)
        except BadInput as refusal:
            console.print(str(refusal), highlight=False)
    with console.status(f"embedding {len(texts)} texts"):
        vectors = {name: embed(part, texts) for name, part in parts.items()}
        sides = {name: partial(embed, part, texts) for name, part in parts.items()}
        durations = interleaved(sides, rounds=options.rounds)
    apart = {name: distances(found, vectors["float32"]) for name, found in vectors.items()}
    console.print(table(durations, apart, texts=len(texts), rounds=options.rounds))
    console.print(*(part.identity for part in parts.values()), machine(), sep="\n", style="dim", highlight=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "--corpus", type=Path, default=PROJECT / "corpora" / "python-docs", help="default: corpora/python-docs, built"
    )
    parser.add_argument("--texts", type=int, default=200, metavar="N", help="passages drawn by seed; default 200")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="times that each format embeds them")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of the arithmetic; default: torch's own")
    return parser.parse_args()


def sample(folder: Path, number: int) -> list[str]:
    """The same passages every time; all of them where there are not that many."""
    if number < 1:
        raise BadInput(f"--texts {number}; give at least 1")
    docs = read(folder).docs
    return [doc.content for doc in random.Random(SEED).sample(docs, min(number, len(docs)))]


def embedder(precision: str) -> Embedder:
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # as the command line does
    made: Embedder = registry.create("embedders", PartSpec(name="sentence_transformers", precision=precision))
    made.load()
    return made


def embed(part: Embedder, texts: Sequence[str]) -> Vectors:
    return part.embed_documents(texts).vectors


def set_threads(number: int | None) -> None:
    if number is None:
        return
    if number < 1:
        raise BadInput(f"--threads {number}; give at least 1")
    import torch

    torch.set_num_threads(number)


def distances(found: Vectors, against: Vectors) -> Vectors:
    """1 - cosine of each text's two vectors, in double precision."""
    left, right = found.astype(np.float64), against.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray(1 - np.sum(left * right, axis=1) / lengths)


def table(durations: Mapping[str, Durations], apart: Mapping[str, Vectors], *, texts: int, rounds: int) -> Table:
    title = f"{texts} passages, {PACKAGED_MINILM}: median of {rounds} rounds (lowest-highest)"
    shown = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    shown.add_column("")
    for heading in ("texts/s", *(f"times {rival}" for rival in RIVALS), "1 - cosine\nmean", "1 - cosine\nlargest"):
        shown.add_column(heading, justify="right")
    for name, taken in durations.items():
        against = ["1" if name == rival else ratio(durations[rival], taken).shown(".2f") for rival in RIVALS]
        far = ["", ""] if name == "float32" else [f"{apart[name].mean():.1e}", f"{apart[name].max():.1e}"]
        shown.add_row(name, rate(taken, items=texts).shown(".1f"), *against, *far)
    return shown


def machine() -> str:
    facts = describe()
    packages = ", ".join(f"{name} {facts['packages'].get(name)}" for name in ("torch", "sentence-transformers"))
    return f"{PACKAGED_MINILM} on {facts['gpu'] or facts['cpu']}\n{packages}"


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"precision.py: {error}")
