"""Variants of a corpus, each a small recording of its own: rankings, prompts and indexes; nothing is timed.

<folder>/variants/<name>/ holds what the judge and price passes read of a recording. A document's vector does not depend
on the corpus around it, so whatever is in several variants is embedded once, and pairs are scored once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import Doc, files
from ragprof.core.clock import Progress, Silent, step
from ragprof.core.recorded import VARIANTS, write_sealed
from ragprof.core.tokens import counter, remembering
from ragprof.record.recording import Bench, Embedding, Subject, build_indexes, embed, load, rank, redacted

Places = NDArray[np.int64]


def variant_folder(folder: Path, name: str) -> Path:
    """Where a study's recording, in `folder`, keeps a variant."""
    return folder / VARIANTS / name


def clear_variants(folder: Path) -> None:
    """Take away the variants of an older recording."""
    shutil.rmtree(folder / VARIANTS, ignore_errors=True)


def embedded(subject: Subject, docs: Sequence[Doc], bench: Bench) -> Embedding:
    """Models loaded, and the vectors of all passages that some variant has; what the cache knows is not embedded."""
    load(subject.pipelines, bench.progress)
    return embed(subject, docs, bench)


def record_variants(
    subject: Subject, docs: Sequence[Doc], embedding: Embedding, variants: Mapping[str, Places], bench: Bench
) -> None:
    """Record each sub-corpus of `docs`, whose vectors are in `embedding`. `bench.folder` is the study's."""
    quiet = replace(bench, progress=Silent())
    bench.progress.start("search every variant", len(variants))
    with remembering():
        for name, members in variants.items():
            part = [docs[place] for place in members.tolist()]
            rows = {key: vectors[members] for key, vectors in embedding.documents.items()}
            record_variant(name, subject, part, replace(embedding, documents=rows), quiet)
            bench.progress.advance(1)
    bench.progress.done()


def tokens_of(docs: Sequence[Doc], count: Callable[[str], int], progress: Progress) -> list[int]:
    """Tokens of each passage as a prompt holds it."""
    found = []
    with step(progress, "count tokens", len(docs)):
        for doc in docs:
            found.append(count(doc.content))
            progress.advance(1)
    return found


def record_variant(name: str, subject: Subject, docs: Sequence[Doc], embedding: Embedding, bench: Bench) -> None:
    """Build every index over these passages, rank every query, and write what the other passes need of it."""
    here = replace(bench, folder=variant_folder(bench.folder, name))
    builds = build_indexes(subject.pipelines, docs, embedding.documents, clock=bench.clock, progress=here.progress)
    ranked = rank(subject, embedding, here)
    count = counter(subject.config.tokenizer)
    usage = []
    for each, result in ranked.items():
        usage.append(result.tokens.assign(pipeline=each, stage="inject"))
        scored = result.rankings[result.rankings["stage"] == "rerank"].groupby("query_id").size()
        rows = {"query_id": scored.index, "unit": "docs_scored", "count": scored.to_numpy()}
        usage.append(pd.DataFrame(rows).assign(pipeline=each, stage="rerank"))
    tokens = [("query", query.query_id, count(query.text)) for query in subject.queries]
    tokens += [
        ("doc", doc.doc_id, each) for doc, each in zip(docs, tokens_of(docs, count, bench.progress), strict=True)
    ]
    files.write_table(here.folder / "builds.parquet", builds)
    files.write_table(
        here.folder / "usage.parquet",
        pd.concat(usage, ignore_index=True)[["pipeline", "query_id", "stage", "unit", "count"]],
    )
    files.write_table(here.folder / "tokens.parquet", pd.DataFrame(tokens, columns=["kind", "id", "tokens"]))
    facts = {
        "recording": uuid4().hex,
        "config": redacted(subject.config.model_dump(mode="json")),
        "corpus": {"docs": len(docs), "documents": len({doc.document_id for doc in docs})},
    }
    write_sealed(
        here.folder / "manifest.json", facts, "builds.parquet", "usage.parquet", "tokens.parquet", "rankings/*.parquet"
    )
