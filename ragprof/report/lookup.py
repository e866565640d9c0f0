"""Where things are in a summary. Every key may be missing or null: both read as None, never as 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from ragprof.report import figures

COST = "cost_usd_per_1000_queries"


def at(node: Any, *keys: str) -> Any:
    """What lies under the keys, which may be names of a typed section's fields; or None."""
    for key in keys:
        if isinstance(node, BaseModel):
            node = getattr(node, key, None)
        else:
            node = node.get(key) if isinstance(node, Mapping) else None
    return node


def interval(node: Any, *keys: str) -> tuple[float, float] | None:
    """An interval with both of its ends, or None."""
    found = at(node, *keys)
    if found is None or any(end is None for end in found):
        return None
    low, high = found
    return float(low), float(high)


def reach(found: Mapping[str, Any]) -> str:
    """The interval of a size; an end that lies outside what was measured is open."""
    low, high = at(found, "interval") or (None, None)
    if low is not None and high is not None:
        return figures.span((low, high), figures.count)
    if low is None and high is None:
        return figures.ABSENT
    return f"up to {figures.count(high)}" if low is None else f"{figures.count(low)} or more"
