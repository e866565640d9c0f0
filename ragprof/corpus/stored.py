"""A corpus that is taken out of an index that exists: once, into the cache, its vectors beside its documents.

The copy's folder is named by the store's declaration and by a digest of its address. It is taken anew where the index
has another number of rows than the copy.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ragprof.core import Doc, StoredRow
from ragprof.core.clock import Progress, step
from ragprof.core.errors import BadInput
from ragprof.core.files import read_json, ready_folder, write_json
from ragprof.core.registry import PartSpec
from ragprof.core.stages import ExistingIndex
from ragprof.corpus import jsonl
from ragprof.corpus.collection import Corpus, StoredVectors, fingerprint_of_docs

LOG = logging.getLogger("ragprof")
TAKEN, DOCS, VECTORS = "taken.json", "corpus.jsonl", "vectors.f32"
FORMAT = 1


def take_stored(store: ExistingIndex, spec: PartSpec, *, cache: Path, progress: Progress) -> Path:
    """The folder of the copy, which is made where there is none of as many rows. Raises BadInput."""
    addresses = [os.environ.get(str(value), "") for option, value in spec.options.items() if option.endswith("_env")]
    key = hashlib.sha256(json.dumps([FORMAT, spec.key, addresses]).encode()).hexdigest()[:24]
    folder = cache / "stored" / key
    rows = store.stored_count()
    if rows == 0:
        raise BadInput(f"the index of the store '{spec.name}' has no document with a vector; see its where")
    if (folder / TAKEN).is_file():
        taken = read_json(folder / TAKEN, remedy=f"delete {folder}")
        if taken["rows"] == rows:
            return folder
        LOG.warning(
            "the index has %s documents and the copy of %s has %s: it is taken anew",
            *(f"{rows:,}", taken["taken"], f"{taken['rows']:,}"),
        )
    ready_folder(folder.parent, remedy="set RAGPROF_CACHE to a folder that can be written")
    partial = folder.with_name(f".{key}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        with step(progress, "take documents and vectors from the index", rows):
            found, width = _written(store.stored_rows(), partial, progress)
        if found != rows:
            LOG.warning(
                "the index had %s documents and gave %s: it changes while it is read", f"{rows:,}", f"{found:,}"
            )
        day = datetime.now(UTC).strftime("%Y-%m-%d")
        write_json(partial / TAKEN, {"rows": found, "width": width, "taken": day, "store": spec.name})
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _written(rows: Iterable[StoredRow], folder: Path, progress: Progress) -> tuple[int, int]:
    """How many rows, and of how many dimensions."""
    count, width, seen = 0, 0, set[str]()
    with (folder / DOCS).open("w", encoding="utf-8") as docs, (folder / VECTORS).open("wb") as vectors:
        for row in rows:
            if row.doc_id in seen:
                raise BadInput(
                    f"two rows of the index have the id '{row.doc_id}'; name the column that tells them apart"
                )
            if width not in (0, len(row.vector)):
                raise BadInput(
                    f"the index has vectors of {width} and of {len(row.vector)} dimensions ('{row.doc_id}'); choose "
                    "the rows of one model with where"
                )
            seen.add(row.doc_id)
            count, width = count + 1, len(row.vector)
            docs.write(json.dumps({"_id": row.doc_id, "text": row.text}) + "\n")
            vectors.write(np.ascontiguousarray(row.vector, np.float32).tobytes())
            progress.advance(1)
    return count, width


def read_stored(folder: Path, name: str | None = None) -> Corpus:
    """The copy as a corpus that knows its vectors."""
    taken = read_json(folder / TAKEN, remedy=f"delete {folder}")
    records = (record for _, record in jsonl.records(folder / DOCS))
    docs = tuple(Doc(each["_id"], "", each["text"], each["_id"]) for each in records)
    return Corpus(
        name or str(taken["store"]),
        docs,
        fingerprint_of_docs(docs),
        {"format": "store", "documents": len(docs), "taken": taken["taken"]},
        without_text=frozenset(doc.doc_id for doc in docs if not doc.text.strip()),
        stored=StoredVectors(folder / VECTORS, {doc.doc_id: row for row, doc in enumerate(docs)}, int(taken["width"])),
    )
