"""Vectors for many texts: each distinct text is embedded once, ever. Reads no clock and is never timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ragprof.core import Embedded, Vectors
from ragprof.errors import NonFiniteScore
from ragprof.progress import Progress
from ragprof.record.identity import cache_identity
from ragprof.row_cache import RowCache, digest
from ragprof.stages import Embedder

CHUNK = 1024


@dataclass(frozen=True, slots=True)
class Reused:
    """Vectors of shape (texts, dimensions) in the order of the texts, and how many had to be computed for them."""

    vectors: Vectors
    computed: int


def document_vectors(embedder: Embedder, texts: Sequence[str], *, cache: Path, progress: Progress) -> Reused:
    """Vectors of documents; longest texts first, so that the remaining time is over-, not underestimated."""
    return _through_cache(embedder, texts, "document", embedder.embed_documents, cache=cache, progress=progress)


def query_vectors(embedder: Embedder, texts: Sequence[str], *, cache: Path, progress: Progress) -> Reused:
    """Vectors of queries, kept apart from those of documents: models may prompt them differently."""
    return _through_cache(embedder, texts, "query", embedder.embed_queries, cache=cache, progress=progress)


def _through_cache(
    embedder: Embedder,
    texts: Sequence[str],
    purpose: str,
    embed: Callable[[Sequence[str]], Embedded],
    *,
    cache: Path,
    progress: Progress,
) -> Reused:
    identity = cache_identity(embedder, purpose)
    if identity is None:
        return Reused(_checked(embed(texts).vectors), len(texts))
    keys = [digest(text) for text in texts]
    dimensions = embed(["dimensions"]).vectors.shape[1]
    rows = RowCache(cache / "vectors", identity=identity, width=dimensions, dtype=np.float32)
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in rows}
    todo = sorted(missing.items(), key=lambda item: -len(item[1]))
    progress.start(f"embed {purpose} texts", len(todo))
    for start in range(0, len(todo), CHUNK):
        chunk = todo[start : start + CHUNK]
        vectors = _checked(embed([text for _, text in chunk]).vectors)
        rows.put([key for key, _ in chunk], vectors)
        progress.advance(len(chunk))
    progress.done()
    return Reused(np.asanyarray(rows.get_mapped(keys), np.float32), len(todo))


def _checked(vectors: Vectors) -> Vectors:
    if not np.isfinite(vectors).all():
        raise NonFiniteScore("the embedder returned NaN or infinity; no ranking could be trusted")
    return np.ascontiguousarray(vectors, np.float32)
