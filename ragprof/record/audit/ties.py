"""Ties that a cut goes through: equal scores on both sides of it, so that a rule decides and not the score."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ragprof.core import EmbeddedQuery
from ragprof.record.audit.checks import ids
from ragprof.record.audit.live import Live
from ragprof.record.pipeline import Parts

TIE_COLUMNS = ("pipeline", "query_id", "at_depth", "at_k")


def tie_table(parts: Parts, lives: Sequence[Live], *, documents: int) -> pd.DataFrame:
    """One row a query; `documents` is the size of the corpus, beyond which no store is asked."""
    rows = [(parts.name, live.query.query_id, tied_at_depth(parts, live, documents), tied_at_k(live)) for live in lives]
    return pd.DataFrame(rows, columns=list(TIE_COLUMNS)).astype({"at_depth": bool, "at_k": bool})


def tied_at_depth(parts: Parts, live: Live, documents: int) -> bool:
    """Whether a search one deeper finds a document that was left out with the score of the last that was not."""
    if len(live.found) < parts.depth or parts.depth >= documents:
        return False
    deeper = parts.store.search(EmbeddedQuery(live.query, live.vector), parts.depth + 1).ranking
    inside = set(ids(live.found))
    return any(item.score == live.found[-1].score for item in deeper if item.doc.doc_id not in inside)


def tied_at_k(live: Live) -> bool:
    """Whether the last document in the prompt and the next one of the final ranking have one score."""
    injected = set(ids(live.injected))
    places = [place for place, item in enumerate(live.final) if item.doc.doc_id in injected]
    if not places or places[-1] + 1 == len(live.final):
        return False
    return live.final[places[-1]].score == live.final[places[-1] + 1].score
