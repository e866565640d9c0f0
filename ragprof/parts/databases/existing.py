"""An index that exists, of somebody else's: whether the pipeline's embedder is the one that filled it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ragprof.core import StoredRow
from ragprof.core.errors import BadInput
from ragprof.core.stages import Embedder
from ragprof.parts.databases.metrics import Metric

LOG = logging.getLogger("ragprof")
SAME, ANOTHER = 0.99, 0.5
"""Cosine of a stored vector and the embedder's own: halves and rounding stay above the first, other models below the
second. Between them the texts differ in a prefix, a title or a limit of length."""


@dataclass(frozen=True)
class FieldNames:
    """What an index that exists is called, and the fields in it. Without `place` there is none: ours is made."""

    place: str
    id: str
    text: str
    vector: str


def no_place(store: str, kind: str, name: str, there: Iterable[str]) -> BadInput:
    """For an index that there is not, with those that there are."""
    listed = ", ".join(sorted(there)) or "none"
    return BadInput(f"the store '{store}': there is no {kind} '{name}'; there are: {listed}")


def check_fields(store: str, names: FieldNames, known: Iterable[str], *options: str) -> None:
    """Raises BadInput for the first option that names no field of the index."""
    fields = sorted(known)
    for option in options:
        if getattr(names, option) not in fields:
            raise BadInput(
                f"the store '{store}': '{names.place}' has no field '{getattr(names, option)}', which {option} names; "
                f"it has {', '.join(fields)}"
            )


def check_metric(store: str, place: str, *, asked: Metric | None, found: Metric) -> None:
    """Raises BadInput where the index is built for another metric than the one that is asked for."""
    if asked not in (None, found):
        raise BadInput(f"the store '{store}': '{place}' is for {found}, not {asked}; leave metric out")


def said_to_scan(store: str, names: FieldNames) -> None:
    """Say that every search is an exact scan."""
    LOG.warning(
        "the store '%s': '%s' has no index on '%s': every search is an exact scan", store, names.place, names.vector
    )


def check_agreement(store: str, rows: Sequence[StoredRow], embedder: Embedder, *, metric: Metric) -> None:
    """Embed the texts again. Raises BadInput where another model filled the index; warns where texts differed."""
    rows = [row for row in rows if row.text.strip() and row.vector.any()]
    if not rows:
        LOG.warning("the store '%s' holds no text: whether the embedder filled it cannot be told", store)
        return
    again = embedder.embed_documents([row.text for row in rows]).vectors
    stored = len(rows[0].vector)
    if stored != again.shape[1]:
        raise BadInput(
            f"the store '{store}': the index has vectors of {stored} dimensions and the embedder gives "
            f"{again.shape[1]}; name the embedder that filled the index"
        )
    vectors = np.stack([row.vector for row in rows])
    lengths, own = np.linalg.norm(vectors, axis=1), np.linalg.norm(again, axis=1)
    cosine = float(np.median((vectors * again).sum(axis=1) / np.maximum(lengths * own, 1e-12)))
    if cosine < ANOTHER:
        raise BadInput(
            f"the store '{store}': the stored vectors are not this embedder's: of {len(rows)} documents that were "
            f"embedded again the median cosine is {cosine:.3f}; name the embedder that filled the index"
        )
    if cosine < SAME:
        LOG.warning(
            "the store '%s': of %d documents that were embedded again the median cosine with what is stored is %.3f: "
            "another prefix, title or limit of length? What is measured rests on the stored vectors",
            *(store, len(rows), cosine),
        )
    length = float(np.median(lengths))
    if metric == "inner_product" and abs(length - 1) > 0.01:
        LOG.warning(
            "the store '%s': the stored vectors are not normalised (median length %.3f) and are compared by inner "
            "product: long ones come first",
            *(store, length),
        )
