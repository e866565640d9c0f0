"""From a prepared eval to something that can grow: sizes, what is kept, distractors. Finds what is wrong before work.

Loads no model. What only vectors can tell (which passages are similar) is settled while recording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ragprof.adapters.functions import FunctionStore
from ragprof.core import Doc
from ragprof.corpus import read_corpus
from ragprof.corpus.layouts import Ground, log_sizes
from ragprof.distractors.contradictions import contradictions
from ragprof.distractors.edits import Edit
from ragprof.distractors.near_copies import near_copies
from ragprof.errors import BadInput
from ragprof.evals import Growth, complaint
from ragprof.preparation import Places, Prepared
from ragprof.record.growth.plan import Growing, Pool

EDITING: Mapping[str, Callable[..., list[Edit]]] = {"duplicate": near_copies, "contradicting": contradictions}
LARGEST_OVER_SMALLEST = 16
ROOM_BESIDE_KEPT = 1.2
"""The smallest sub-corpus holds at least so many times the passages that are kept."""


def plan_growth(prepared: Prepared, eval_file: Path, *, changes: Mapping[str, Any] | None = None) -> Growing:
    """Check and lay out how an eval grows. `changes` go before the file's [growth]. Raises BadInput."""
    growth = _changed(prepared.subject.config.growth, changes or {})
    places = Places(eval_file)
    docs = prepared.subject.corpus.docs
    kept = _relevant(prepared)
    deepest = max([*growth.depths, *(parts.depth for parts in prepared.subject.pipelines)])
    with nullcontext() if "sizes" in (changes or {}) else places.put_before("growth", "sizes"):
        sizes = _sizes(growth, total=len(docs), kept=len(kept), deepest=deepest)
    with places.put_before("growth", "forecast"):
        _check_forecast(growth, sizes)
    with places.put_before("growth", "curves"):
        _check_stores(prepared)
        pool, left_out = _pool(prepared, [docs[place] for place in kept.tolist()], growth, eval_file)
    growth = growth.model_copy(update={"curves": tuple(curve for curve in growth.curves if curve not in left_out)})
    ground = Ground(docs, kept, sizes, growth.seed)
    return Growing(prepared.with_growth(growth).subject, growth, pool, ground, left_out)


def _changed(growth: Growth, changes: Mapping[str, Any]) -> Growth:
    """The settings with those of the command line on top."""
    try:
        return Growth.model_validate({**growth.model_dump(exclude_unset=True), **changes})
    except ValidationError as failure:
        raise BadInput(f"[growth] {complaint(failure)}") from None


def _relevant(prepared: Prepared) -> NDArray[np.int64]:
    """Places of all passages of all documents that are relevant to some query, rising."""
    asked = [prepared.evaluation.qrels[query.query_id] for query in prepared.subject.queries]
    relevant = {document for judged in asked for document, grade in judged.items() if grade > 0}
    docs = prepared.subject.corpus.docs
    return np.array([place for place, doc in enumerate(docs) if doc.document_id in relevant], np.int64)


def _sizes(growth: Growth, *, total: int, kept: int, deepest: int) -> tuple[int, ...]:
    least = max(kept, deepest)
    if not kept:
        raise BadInput("no relevant document is in this corpus, so there is nothing to keep while it grows")
    if not growth.sizes:
        smallest = max(int(least * ROOM_BESIDE_KEPT), total // LARGEST_OVER_SMALLEST)
        if smallest >= total:
            raise BadInput(
                f"{kept:,} of the {total:,} passages belong to relevant documents and {deepest} are asked for: "
                "no smaller sub-corpus could hold them; grow a larger corpus"
            )
        return log_sizes(smallest, total, growth.points)
    if growth.sizes[-1] > total:
        raise BadInput(f"size {growth.sizes[-1]:,} is above the corpus's {total:,} passages; lower it")
    if growth.sizes[0] < least:
        what = f"the {kept:,} passages of relevant documents" if kept >= deepest else f"the depth of {deepest}"
        raise BadInput(f"size {growth.sizes[0]:,} is below {what}, which every sub-corpus must hold; raise it")
    return growth.sizes


def _check_forecast(growth: Growth, sizes: Sequence[int]) -> None:
    largest = sizes[-1]
    if growth.forecast and len(sizes) < 3:
        raise BadInput(f"a forecast needs at least three sizes, here are {len(sizes)}; raise points or name sizes")
    within = next((size for size in growth.forecast if size <= largest), None)
    if within is not None:
        raise BadInput(f"forecast {within:,} is not beyond the largest measured size, {largest:,}; raise it")


def _check_stores(prepared: Prepared) -> None:
    for parts in prepared.subject.pipelines:
        if isinstance(parts.store, FunctionStore):
            raise BadInput(
                f"pipeline '{parts.name}' searches with a function of its own, which cannot be given a sub-corpus"
            )


def _pool(prepared: Prepared, kept: Sequence[Doc], growth: Growth, eval_file: Path) -> tuple[Pool, dict[str, str]]:
    """The corpus and whatever is added to it, and which curves cannot be drawn with the reason.

    Only curves that nobody asked for by name are left out; one that was asked for raises BadInput.
    """
    docs = prepared.subject.corpus.docs
    pool: list[Doc] = list(docs)
    kinds: dict[str, NDArray[np.int64]] = {}
    edits: dict[int, Edit] = {}
    left_out: dict[str, str] = {}
    for curve in growth.curves:
        try:
            if curve == "similar":
                _check_embedder(prepared)
            if curve == "foreign":
                _add(pool, kinds, curve, _foreign(growth, eval_file))
            if curve in EDITING:
                made = EDITING[curve](kept, variants=growth.variants, seed=growth.seed)
                _add(pool, kinds, curve, [edit.doc for edit in made])
                edits.update(zip(kinds[curve].tolist(), made, strict=True))
        except BadInput as problem:
            if "curves" in growth.model_fields_set:
                raise
            left_out[curve] = problem.message
    return Pool(tuple(pool), len(docs), kinds, edits), left_out


def _check_embedder(prepared: Prepared) -> None:
    if all(parts.embedder is None for parts in prepared.subject.pipelines):
        raise BadInput("the curve 'similar' compares vectors, and no pipeline has an embedder; leave it out of curves")


def _add(pool: list[Doc], kinds: dict[str, NDArray[np.int64]], kind: str, docs: Sequence[Doc]) -> None:
    if not docs:
        raise BadInput(f"no {kind} distractor could be made; leave '{kind}' out of curves")
    taken = {doc.doc_id for doc in pool} | {doc.document_id for doc in pool}
    clash = next((doc for doc in docs if doc.doc_id in taken or doc.document_id in taken), None)
    if clash is not None:
        raise BadInput(f"the {kind} passage '{clash.doc_id}' has the id of a passage of the corpus; rename one of them")
    kinds[kind] = np.arange(len(pool), len(pool) + len(docs))
    pool.extend(docs)


def _foreign(growth: Growth, eval_file: Path) -> Sequence[Doc]:
    return read_corpus(eval_file.parent / Path(growth.foreign or "").expanduser()).docs
