"""A growth run to a million passages with the embedder `static`: how long, and how much memory at its highest.

    python evals/performance/scale.py --data DIR [--passages 1000000] [--folder SCRATCH]

DIR holds collections in BEIR layout and .jsonl files of passages (.xz too), wherever they lie; `--questions` names
the collection whose questions and judgements are asked. Documents are cut into passages of 1,200 characters. Where that
is not enough, passages are repeated with every tenth word left out at random (seeded): this measures size, not quality.
"""

from __future__ import annotations

import argparse
import json
import lzma
import random
import resource
import shutil
from collections.abc import Iterator, Mapping
from itertools import count, islice
from pathlib import Path
from typing import Any

from rich.console import Console

import ragprof
from ragprof.core import Doc, environment
from ragprof.core.clock import now_ns
from ragprof.corpus import Chunking
from ragprof.corpus.collection import cut

EVAL = """
name = "scale"
metrics = ["nDCG@10", "R@20", "Judged@10"]

[corpus]
path = "corpus.jsonl"

[evaluation]
queries = "queries.jsonl"
qrels = "qrels.tsv"

[timing]
seconds = 20
rounds = 2
min_queries = 10

[growth]
points = 6
orders = 3
curves = ["all_judged", "proportional"]

[growth.timing]
seconds = 60
rounds = 2
min_queries = 10

[[pipelines]]
name = "static"
embedder = "static"
store = "faiss_flat"
injector = { name = "token_budget", k = 5, tokens = 4000 }
"""
LEFT_OUT = 0.1


def main() -> None:
    options, console = arguments(), Console()
    options.folder.mkdir(parents=True, exist_ok=True)
    with console.status("writing the corpus"):
        written, own = write_corpus(options)
    (options.folder / "scale.toml").write_text(EVAL)
    start = now_ns()
    with console.status(f"growing to {written:,} passages"):
        result = ragprof.grow(options.folder / "scale.toml", out=options.folder / "out", fresh=True)
    minutes = (now_ns() - start) / 60e9
    growth = result.summary["growth"]
    vectors = written * 256 * 4
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    console.print(f"{written:,} passages ({own:,} of them as they are), sizes {growth['sizes']}", highlight=False)
    console.print(f"{minutes:.1f} min; peak memory {peak / 2**30:.2f} GiB, vectors {vectors / 2**30:.2f} GiB")
    for point in growth["pipelines"]["static"]["all_judged"]:
        console.print(line(point), highlight=False)
    console.print(f"{environment.cpu_name()}, {environment.torch_threads()} threads", style="dim", highlight=False)


def line(point: Mapping[str, Any]) -> str:
    """One size of the curve."""
    search, build = point["stages"]["search"]["p50_ns"] / 1e6, point["build"]
    return (
        f"{point['size']:>10,}: search p50 {search:.1f} ms, build {build['duration_ns'] / 1e9:.2f} s, "
        f"index {build['index_bytes'] / 2**20:,.0f} MiB, peak {build['peak_rss_bytes'] / 2**30:.2f} GiB"
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--data", type=Path, required=True, help="where the collections are")
    parser.add_argument("--questions", default="aws-docs", help="the collection whose questions are asked")
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("scale"), help="scratch: corpus, eval and report")
    return parser.parse_args()


def write_corpus(options: argparse.Namespace) -> tuple[int, int]:
    """corpus.jsonl, queries.jsonl and qrels.tsv; returns how many passages, and how many of them are originals.

    Passages are documents of their own here, so judgements name the first passage of what they judge.
    """
    target = options.folder / "corpus.jsonl"
    with target.open("w", encoding="utf-8") as stream:
        own = sum(_write(stream, doc) for doc in islice(passages(options.data), options.passages))
    with target.open("a", encoding="utf-8") as stream:
        more = sum(_write(stream, doc) for doc in islice(repeated(options.data), options.passages - own))
    folder = next(path.parent for path in options.data.rglob("queries.jsonl") if path.parent.name == options.questions)
    shutil.copy(folder / "queries.jsonl", options.folder / "queries.jsonl")
    rows = (folder / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()
    judged = [row.split("\t") for row in rows[1:] if row.strip()]
    lines = [f"{query}\t{options.questions}/{doc}#0001\t{grade}" for query, doc, grade in judged]
    (options.folder / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n")
    return own + more, own


def _write(stream: object, doc: Doc) -> int:
    line = json.dumps({"_id": doc.doc_id, "title": doc.title, "text": doc.text}, ensure_ascii=False)
    return bool(stream.write(line + "\n"))  # type: ignore[attr-defined]


def passages(data: Path) -> Iterator[Doc]:
    """Every document that lies in the folder, cut; ids begin with the collection's name."""
    for path in sorted([*data.rglob("corpus.jsonl"), *data.rglob("distractors/*.jsonl*")]):
        name = path.parent.name if path.name == "corpus.jsonl" else path.name.partition(".")[0]
        with lzma.open(path, "rt") if path.suffix == ".xz" else path.open(encoding="utf-8") as stream:
            rows = (json.loads(line) for line in stream if line.strip())
            docs = (Doc(f"{name}/{row['_id']}", row.get("title") or "", row["text"], row["_id"]) for row in rows)
            yield from (doc for doc in cut(docs, Chunking(max_characters=1200)) if doc.content)


def repeated(data: Path) -> Iterator[Doc]:
    """The passages again and again, every tenth word left out, another one each time."""
    for turn in count(1):
        rng = random.Random(turn)
        for doc in passages(data):
            words = [word for word in doc.text.split(" ") if rng.random() > LEFT_OUT]
            yield Doc(f"{doc.doc_id}~{turn}", doc.title, " ".join(words) or doc.text, doc.document_id)


if __name__ == "__main__":
    main()
