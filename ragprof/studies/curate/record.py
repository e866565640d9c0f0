"""The curate pass: what is redundant, and rankings over the corpus without it. Knows no judgement and no price.

Writes <recording>/curate/: review.parquet and review.csv (the list to look through), lines.parquet, variants/ and,
last, manifest.json. The corpus is not touched.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import files
from ragprof.core.clock import step
from ragprof.core.recorded import write_sealed
from ragprof.core.tokens import counter
from ragprof.corpus.redundancy import REDUNDANT, Limits, Redundancy, Redundant, find_redundancy
from ragprof.record.recording import Bench, Subject, fingerprint_of, identities, redacted
from ragprof.record.variants import clear_variants, embedded, record_variants

AS_IT_IS, ALL = "as_it_is", "all"
"""The corpus as it is, and without everything that was found."""
SHOWN_LINES = 1_000


@dataclass(frozen=True)
class CuratePlan:
    """What is looked through, from where on something counts as redundant, and whether texts are kept."""

    subject: Subject
    limits: Limits
    metric: str
    keep_text: bool


def record_curate(plan: CuratePlan, bench: Bench) -> None:
    """Find, list, and rank every question over the corpus without each kind."""
    here = replace(bench, folder=bench.folder / "curate")
    files.ready_folder(here.folder, remedy="give another one with --out")
    (here.folder / "manifest.json").unlink(missing_ok=True)
    clear_variants(here.folder)
    subject, docs = plan.subject, plan.subject.corpus.docs
    embedding = embedded(subject, docs, here)
    dense = next((parts for parts in subject.pipelines if parts.embedder is not None), None)
    vectors = None if dense is None else embedding.documents[id(dense.embedder)]
    found = find_redundancy(docs, limits=plan.limits, vectors=vectors, progress=bench.progress)
    with step(bench.progress, "write the list to review"):
        write_review(plan, found, here)
    variants = variants_of(found, len(docs))
    pool = [*docs, *(replace(docs[place], text=text) for place, text in found.shortened.items())]
    # Passages that lose lines have other vectors; all others are in the cache.
    record_variants(subject, pool, embedded(subject, pool, here) if found.shortened else embedding, variants, here)
    write_sealed(
        here.folder / "manifest.json",
        _manifest(plan, found, variants, None if dense is None else dense.name),
        "review.parquet",
        "lines.parquet",
    )


def variants_of(found: Redundancy, passages: int) -> dict[str, NDArray[np.int64]]:
    """The places that stay, by what is removed: nothing, each kind that was found, and all of them if there are more.

    Behind the passages as they are stand the shortened ones, in their order. A removal that would leave nothing is left
    out.
    """
    every = np.arange(passages)
    short = every.copy()
    short[list(found.shortened)] = passages + np.arange(len(found.shortened))
    whole = [kind for kind in REDUNDANT if kind != "lines" and len(found.places(kind))]
    kept: dict[str, NDArray[np.int64]] = {kind: every[~np.isin(every, found.places(kind))] for kind in whole}
    if found.shortened:
        kept["lines"] = short
    if len(kept) > 1:
        kept[ALL] = short[~np.isin(every, found.places(*whole))]
    return {AS_IT_IS: every, **{name: places for name, places in kept.items() if len(places)}}


def write_review(plan: CuratePlan, found: Redundancy, bench: Bench) -> None:
    """review.parquet, the same as review.csv, and lines.parquet. Without texts ids and numbers alone."""
    count, docs = counter(plan.subject.config.tokenizer), plan.subject.corpus.docs

    def spared(place: int, kind: Redundant) -> int:
        whole = count(docs[place].content)
        return whole - count(replace(docs[place], text=found.shortened[place]).content) if kind == "lines" else whole

    rows = [
        {
            "kind": each.kind, "document": each.document_id, "kept": each.kept, "similarity": each.similarity,
            "passages": len(each.places), "tokens": sum(spared(place, each.kind) for place in each.places),
            "title": each.title if plan.keep_text else None, "reason": each.reason if plan.keep_text else None,
        }
        for each in found.findings
    ]  # fmt: skip
    columns = ["kind", "document", "kept", "similarity", "passages", "tokens", "title", "reason"]
    table = pd.DataFrame(rows, columns=columns)
    if not rows:
        table = table.astype({"similarity": float, "passages": int, "tokens": int})
    files.write_table(bench.folder / "review.parquet", table.astype({"similarity": float}))
    with files.whole(bench.folder / "review.csv") as path, path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, columns)
        writer.writeheader()
        writer.writerows(rows)
    lines = found.lines[:SHOWN_LINES] if plan.keep_text else ()
    told = pd.DataFrame([vars(line) for line in lines], columns=["text", "documents", "words"])
    files.write_table(bench.folder / "lines.parquet", told)


def _manifest(
    plan: CuratePlan, found: Redundancy, variants: Mapping[str, Any], searched_vectors: str | None
) -> dict[str, Any]:
    subject = plan.subject
    return {
        "recording": uuid4().hex,
        "config": redacted(subject.config.model_dump(mode="json")),
        "corpus": {
            "name": subject.corpus.name,
            "docs": len(subject.corpus.docs),
            "documents": subject.corpus.documents,
            "sha256": subject.corpus.sha256,
        },
        "questions": fingerprint_of(subject.queries),
        "identities": redacted(identities(subject.pipelines)),
        "queries": len(subject.queries),
        "without_text": len(subject.corpus.without_text),
        "searched_vectors": searched_vectors,
        "keep_text": plan.keep_text,
        "variants": list(variants),
        "same_as": found.same_as,
    }
