"""The screening pass: a seeded sample of a source's documents, ranked together with the corpus. Knows no judgement.

Writes <recording>/screen/: sampled.parquet (a row a document of the sample), variants/ (the corpus as it is, and with
the sample) and, last, manifest.json. Of the source only the sample is embedded; nothing is added to the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import Doc, Vectors, files
from ragprof.core.clock import step
from ragprof.core.recorded import write_sealed
from ragprof.core.tokens import counter
from ragprof.corpus.redundancy import WholeText, whole_texts
from ragprof.evals.recorded import RANKING
from ragprof.record.recording import Bench, Subject, fingerprint_of, identities, redacted
from ragprof.record.variants import clear_variants, embedded, record_variants, variant_folder

AS_IT_IS, WITH_SAMPLE = "as_it_is", "with_sample"
LIKE_HALF = 0.5
"""A document is similar that is as close to some result as this share of the corpus's own documents is at most."""
BLOCK = 4096


@dataclass(frozen=True)
class ScreenPlan:
    """The eval, and the documents of the source in a seeded order: the sample is their beginning."""

    subject: Subject
    source: str
    documents: int
    sample: tuple[Doc, ...]
    metric: str
    seed: int


def sampled(docs: Sequence[Doc], documents: int, *, seed: int, name: str) -> tuple[Doc, ...]:
    """The passages of so many documents, drawn without replacement; their ids begin with the source's name."""
    texts = whole_texts(docs)
    order = np.random.default_rng(seed).permutation(len(texts))[:documents]
    chosen = [docs[place] for number in sorted(order.tolist()) for place in texts[number].places]
    return tuple(replace(doc, doc_id=f"{name}/{doc.doc_id}", document_id=f"{name}/{doc.document_id}") for doc in chosen)


def record_screen(plan: ScreenPlan, bench: Bench) -> None:
    """Rank every question over the corpus, and over it with the sample."""
    here = replace(bench, folder=bench.folder / "screen")
    files.ready_folder(here.folder, remedy="give another one with --out")
    (here.folder / "manifest.json").unlink(missing_ok=True)
    clear_variants(here.folder)
    subject, corpus = plan.subject, plan.subject.corpus.docs
    pool = [*corpus, *plan.sample]
    embedding = embedded(subject, pool, here)
    every = np.arange(len(pool))
    record_variants(subject, pool, embedding, {AS_IT_IS: every[: len(corpus)], WITH_SAMPLE: every}, here)
    dense = next((parts for parts in subject.pipelines if parts.embedder is not None), None)
    with step(bench.progress, "tell similar documents from others"):
        found, known = whole_texts(pool), {" ".join(each.text.split()) for each in whole_texts(corpus)}
        own, new = ([each for each in found if (each.places[0] >= len(corpus)) == is_new] for is_new in (False, True))
        near = None
        if dense is not None:
            results = _results(here, [parts.name for parts in subject.pipelines], pool)
            near = closeness(own, new, embedding.documents[id(dense.embedder)], results)
        write_sampled(plan, new, near, known, here)
    facts = {
        "recording": uuid4().hex,
        "config": redacted(subject.config.model_dump(mode="json")),
        "corpus": {"name": subject.corpus.name, "docs": len(corpus), "documents": subject.corpus.documents,
                   "sha256": subject.corpus.sha256},
        "questions": fingerprint_of(subject.queries),
        "identities": redacted(identities(subject.pipelines)),
        "queries": len(subject.queries),
        "source": plan.source,
        "source_documents": plan.documents,
        "has_vectors": dense is not None,
        "seed": plan.seed,
    }  # fmt: skip
    write_sealed(here.folder / "manifest.json", facts, "sampled.parquet")


def _results(bench: Bench, pipelines: Sequence[str], pool: Sequence[Doc]) -> NDArray[np.int64]:
    """Places of the passages that some prompt holds today."""
    places = {doc.doc_id: place for place, doc in enumerate(pool)}
    found = set[int]()
    for name in pipelines:
        table = RANKING.read(variant_folder(bench.folder, AS_IT_IS) / "rankings" / f"{name}.parquet")
        found |= {places[doc_id] for doc_id in table.loc[table["stage"] == "inject", "doc_id"]}
    return np.array(sorted(found), np.int64)


@dataclass(frozen=True)
class Closeness:
    """How close each new document comes to some result, and from where on that is similar."""

    values: NDArray[np.float64]
    similar_from: float


def closeness(
    own: Sequence[WholeText], new: Sequence[WholeText], vectors: Vectors, results: NDArray[np.int64]
) -> Closeness:
    """The highest inner product of a document's passages with passages that some prompt holds.

    Documents of the corpus that are results themselves say nothing of where similar begins, unless all are.
    """
    kept = np.ascontiguousarray(vectors[results].T)
    best = np.full(len(vectors), -np.inf)
    for start in range(0, len(vectors) if len(results) else 0, BLOCK):
        best[start : start + BLOCK] = (vectors[start : start + BLOCK] @ kept).max(axis=1)
    inside = set(results.tolist())
    others = [each for each in own if not inside & set(each.places)] or list(own)
    values = np.array([best[list(each.places)].max() for each in new])
    return Closeness(values, float(np.quantile([best[list(each.places)].max() for each in others], LIKE_HALF)))


def write_sampled(
    plan: ScreenPlan, new: Sequence[WholeText], near: Closeness | None, known: set[str], bench: Bench
) -> None:
    """sampled.parquet; without vectors nothing is similar and closeness is missing."""
    count = counter(plan.subject.config.tokenizer)
    content = {doc.doc_id: doc.content for doc in plan.sample}
    passages: dict[str, list[str]] = {}
    for doc in plan.sample:
        passages.setdefault(doc.document_id, []).append(content[doc.doc_id])
    table = pd.DataFrame(
        {
            "document_id": [each.document_id for each in new],
            "passages": [len(each.places) for each in new],
            "tokens": [sum(count(text) for text in passages[each.document_id]) for each in new],
            "closeness": np.full(len(new), np.nan) if near is None else near.values,
            "similar": np.zeros(len(new), bool) if near is None else near.values >= near.similar_from,
            "copy": [" ".join(each.text.split()) in known for each in new],
        }
    )
    files.write_table(bench.folder / "sampled.parquet", table)
