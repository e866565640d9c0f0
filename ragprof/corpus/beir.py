"""BEIR's folder layout: corpus.jsonl, queries.jsonl, qrels/<split>.tsv. Packed folders are not unpacked."""

from __future__ import annotations

from pathlib import Path

from ragprof.errors import BadInput, UnknownName

CORPUS_FILE = "corpus.jsonl"
QUERIES_FILE = "queries.jsonl"


def read_beir_folder_paths(folder: Path, split: str = "test") -> tuple[Path, Path]:
    """Where the queries and the qrels of one split are. Raises UnknownName for a split that is not there."""
    queries, qrels = folder / QUERIES_FILE, folder / "qrels" / f"{split}.tsv"
    if not queries.is_file():
        raise BadInput(
            f"no {QUERIES_FILE} in this folder; BEIR has corpus.jsonl, queries.jsonl and qrels/", file=folder
        )
    if not qrels.is_file():
        raise UnknownName("split", split, [path.stem for path in qrels.parent.glob("*.tsv")], file=qrels.parent)
    return queries, qrels
