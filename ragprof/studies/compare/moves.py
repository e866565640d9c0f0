"""Which queries got worst, with their rankings before and after, and which parts are others. Reads no file."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from ragprof.quantities import Quantity
from ragprof.studies.compare.effects import DUST, Array
from ragprof.studies.compare.evidence import Evidence
from ragprof.studies.compare.pairing import Pair, Side

MOST = 5


def worst(pair: Pair) -> dict[str, Any] | None:
    """At most five queries whose final ranking lost most of the first metric that both sides have; None where none did.

    The largest loss first, equal ones by query_id.
    """
    metric = _metric(pair)
    if metric is None:
        return None
    table = pd.DataFrame(
        {name: _final(side, metric) for name, side in (("base", pair.base), ("candidate", pair.candidate))},
        index=pd.Index(pair.base.queries, name="query_id"),
    ).dropna()
    loss = table["base"] - table["candidate"]
    lost = table.assign(loss=loss)[loss > DUST * table.abs().max(axis=1)].reset_index()
    first = lost.sort_values(["loss", "query_id"], ascending=[False, True]).head(MOST)
    return (
        {"metric": metric, "queries": [_query(pair, row) for row in first.to_dict("records")]} if len(first) else None
    )


def changed(pair: Pair) -> list[dict[str, Any]]:
    """Parts whose identities differ between the sides, and the depth; empty where the pipelines are the same."""
    before, after = _parts(pair.base.evidence, pair.base.pipeline), _parts(pair.candidate.evidence, pair.name)
    return [
        {"part": part, "base": before.get(part), "candidate": after.get(part)}
        for part in dict.fromkeys([*before, *after])
        if before.get(part) != after.get(part)
    ]


def _metric(pair: Pair) -> str | None:
    known = [name for name in pair.candidate.evidence.facts["metrics"] if _has(pair.base, name)]
    return next((name for name in known if _has(pair.candidate, name)), None)


def _has(side: Side, metric: str) -> bool:
    return bool(side.items(Quantity("quality", "", metric)))


def _final(side: Side, metric: str) -> Array:
    (column,) = side.items(Quantity("quality", "", metric)).values()
    return column


def _query(pair: Pair, row: Mapping[Hashable, Any]) -> dict[str, Any]:
    return {
        "query_id": row["query_id"],
        "base": float(row["base"]),
        "candidate": float(row["candidate"]),
        "before": _ranking(pair.base, row["query_id"]),
        "after": _ranking(pair.candidate, row["query_id"]),
    }


def _ranking(side: Side, query_id: str) -> list[str]:
    table = side.evidence.rankings
    rows = table[(table["pipeline"] == side.pipeline) & (table["query_id"] == query_id)].sort_values("rank")
    return [str(document) for document in rows["document_id"]]


def _parts(evidence: Evidence, pipeline: str) -> dict[str, str | None]:
    depth = evidence.facts["depths"].get(pipeline)
    return {**evidence.facts["pipelines"][pipeline], "depth": None if depth is None else str(depth)}
