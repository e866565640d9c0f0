"""The chunking pass: the same documents cut in several ways, each searched, and packed into prompts of one budget.

Writes <recording>/chunking/: variants/ (each with placed.parquet: where in its document each passage stands) and, last,
manifest.json. Every variant is searched so deep that its passages could fill the budget, and injected by whole
passages, best first; what does not fit any more is passed over. Knows no judgement and no price.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

import pandas as pd

from ragprof.core import Doc, files
from ragprof.core.clock import SILENT, Progress, step
from ragprof.core.recorded import write_sealed
from ragprof.core.tokens import counter, remembering
from ragprof.corpus import Chunking
from ragprof.parts.injectors.token_budget import TokenBudgetInjector
from ragprof.record.recording import Bench, Subject, fingerprint_of, identities, redacted
from ragprof.record.variants import clear_variants, embedded, record_variant, tokens_of, variant_folder
from ragprof.studies.chunking.span_file import NOTHING_MARKED, MarkedSpans

OWN, WHOLE = "as declared", 10_000_000
"""The eval's own chunking; a passage of so many characters is a whole document."""
ROOM = 1.5
"""Passages differ in length: so many times as many as the mean would need are searched for."""
MOST = 100_000


@dataclass(frozen=True)
class ChunkingPlan:
    """The ways to cut, by name, the first the eval's own, and how the documents are read in each."""

    subject: Subject
    cuts: Mapping[str, Chunking | None]
    read: Callable[[Chunking | None], Sequence[Doc]]
    budget: int
    metric: str
    marked: MarkedSpans = NOTHING_MARKED


def whole_documents(read: Callable[[Chunking | None], Sequence[Doc]]) -> dict[str, str]:
    """The texts of all documents, in whose characters spans are counted."""
    found: dict[str, list[tuple[int, str]]] = {}
    for doc in read(Chunking(splitter="text", max_characters=WHOLE)):
        found.setdefault(doc.document_id, []).append((doc.position.start if doc.position else 0, doc.text))
    return {name: _joined(pieces) for name, pieces in found.items()}


def _joined(pieces: list[tuple[int, str]]) -> str:
    """Pieces at their places, blanks between them: what was left out at a border was white."""
    text = ""
    for start, piece in sorted(pieces):
        text += " " * (start - len(text)) + piece
    return text


def named(chunking: Chunking) -> str:
    """How a variant is called: `auto 1200`, `text 400, overlap 100`."""
    overlap = f", overlap {chunking.overlap}" if chunking.overlap else ""
    return f"{chunking.splitter} {chunking.max_characters}{overlap}"


def record_chunking(plan: ChunkingPlan, bench: Bench) -> None:
    """Cut, embed, index and search every variant."""
    here = replace(bench, folder=bench.folder / "chunking")
    files.ready_folder(here.folder, remedy="give another one with --out")
    (here.folder / "manifest.json").unlink(missing_ok=True)
    clear_variants(here.folder)
    subject, kept = plan.subject, {doc.document_id for doc in plan.subject.corpus.docs}
    with remembering():
        for name, chunking in plan.cuts.items():
            with step(here.progress, f"cut documents: {name}"):
                docs = [doc for doc in plan.read(chunking) if doc.document_id in kept]
            own = budgeted(plan, docs, here.progress)
            record_variant(name, own, docs, embedded(subject, docs, here), here)
            placed = [
                (doc.doc_id, doc.document_id, *((at.start, at.end) if (at := doc.position) else (0, len(doc.text))))
                for doc in docs
            ]
            table = pd.DataFrame(placed, columns=["doc_id", "document_id", "start", "end"])
            files.write_table(variant_folder(here.folder, name) / "placed.parquet", table)
    facts = {
        "recording": uuid4().hex,
        "config": redacted(subject.config.model_dump(mode="json")),
        "corpus": {"name": subject.corpus.name, "docs": len(subject.corpus.docs),
                   "documents": subject.corpus.documents, "sha256": subject.corpus.sha256},
        "questions": fingerprint_of(subject.queries),
        "identities": redacted(identities(subject.pipelines)),
        "queries": len(subject.queries),
        "budget": plan.budget,
        "cuts": {name: cut and cut.model_dump(mode="json") for name, cut in plan.cuts.items()},
    }  # fmt: skip
    write_sealed(here.folder / "manifest.json", facts, "variants/*/placed.parquet")


def budgeted(plan: ChunkingPlan, docs: Sequence[Doc], progress: Progress = SILENT) -> Subject:
    """The pipelines with prompts of the budget, searched as deep as it takes to fill them."""
    subject, count = plan.subject, counter(plan.subject.config.tokenizer)
    mean = max(1.0, sum(tokens_of(docs, count, progress)) / len(docs))
    needed = math.ceil(ROOM * plan.budget / mean)
    injector = TokenBudgetInjector(tokens=plan.budget, k=MOST, tokenizer=subject.config.tokenizer)
    pipelines = tuple(
        replace(parts, depth=min(len(docs), max(parts.depth, needed)), injector=injector) for parts in subject.pipelines
    )
    return replace(subject, pipelines=pipelines)
