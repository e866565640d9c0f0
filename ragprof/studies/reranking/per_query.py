"""Which queries a reranker helps and which it hurts, by the study's metric. Reads no file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.data import ORACLE, RerankerData

CLEAREST = 10
TOLD = ("doc_id", "doc_text", "from_rank", "to_rank")


def queries(data: RerankerData, arm: str) -> dict[str, Any]:
    """Counts of helped, hurt and unchanged (to the last digit), and the ten clearest of each.

    Largest change first. Of the unchanged, those where the best order of the candidates would have been better, the
    lowest metric first. Equals stand in the order of their ids.
    """
    before, after = data.plain(arm, data.metric), data.reranked(arm, data.metric)
    change = after - before
    room = data.values(arm, ORACLE, int(data.arm(arm)["own_depth"]), data.metric) > after
    chosen = {
        "helped": _first(-change, after > before),
        "hurt": _first(change, after < before),
        "unchanged": _first(after, (after == before) & room),
    }
    moves = data.table("moves", arm).set_index("query_id")
    return {
        "helped": int((after > before).sum()),
        "hurt": int((after < before).sum()),
        "unchanged": int((after == before).sum()),
        "clearest": {
            kind: [_told(data.query_ids[place], before[place], after[place], moves) for place in places]
            for kind, places in chosen.items()
        },
    }


def _first(keys: Array, wanted: NDArray[np.bool_]) -> list[int]:
    """Positions of the smallest keys among the wanted."""
    order = np.argsort(keys, kind="stable")
    return [int(place) for place in order if wanted[place]][:CLEAREST]


def _told(query_id: str, before: float, after: float, moves: pd.DataFrame) -> dict[str, Any]:
    """A query with the relevant document that moved most; null where none is among the candidates or texts are off."""
    found: Mapping[str, Any] = dict(moves.loc[query_id]) if query_id in moves.index else {}
    return {
        "query_id": query_id,
        "text": _plain(found.get("query_text")),
        "change": float(after - before),
        "before": float(before),
        "after": float(after),
        **{key: _plain(found.get(key)) for key in TOLD},
    }


def _plain(value: Any) -> str | int | None:
    """As JSON has it."""
    if value is None or pd.isna(value):
        return None
    return value if isinstance(value, str) else int(value)
