"""Where things are in a summary. Every key may be missing or null: both read as None, never as 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import BaseModel

from ragprof.report import figures
from ragprof.report.figures import JUDGED
from ragprof.report.palette import pipeline_colours

Summary: TypeAlias = Mapping[str, Any]
METRIC = "nDCG@10"
COST = "cost_usd_per_1000_queries"


def at(node: Any, *keys: str) -> Any:
    """What lies under the keys, which may be names of a typed section's fields; or None."""
    for key in keys:
        if isinstance(node, BaseModel):
            node = getattr(node, key, None)
        else:
            node = node.get(key) if isinstance(node, Mapping) else None
    return node


def entries(node: Any, *keys: str) -> Sequence[Any]:
    """The list under the keys; empty where there is none."""
    return at(node, *keys) or ()


def pipelines(summary: Summary) -> dict[str, Mapping[str, Any]]:
    """name -> pipeline, in the order of the summary; that order gives each its colour."""
    return {name: pipeline or {} for name, pipeline in (at(summary, "pipelines") or {}).items()}


def interval(node: Any, *keys: str) -> tuple[float, float] | None:
    """An interval with both of its ends, or None."""
    found = at(node, *keys)
    if found is None or any(end is None for end in found):
        return None
    low, high = found
    return float(low), float(high)


def metrics(summary: Summary) -> list[str]:
    """Every quality metric that some stage of some pipeline has, first seen first; Judged@k is none."""
    seen: dict[str, None] = {}
    for pipeline in pipelines(summary).values():
        for scores in (at(pipeline, "scores") or {}).values():
            seen.update(dict.fromkeys(metric for metric in scores or {} if not metric.startswith(JUDGED)))
    return list(seen)


def reach(found: Mapping[str, Any]) -> str:
    """The interval of a size; an end that lies outside what was measured is open."""
    low, high = at(found, "interval") or (None, None)
    if low is not None and high is not None:
        return figures.span((low, high), figures.count)
    if low is None and high is None:
        return figures.ABSENT
    return f"up to {figures.count(high)}" if low is None else f"{figures.count(low)} or more"


_STUDIED = (
    ("growth", "pipelines"),
    *(("injection", part) for part in ("answers", "by_k", "by_budget", "orders", "marginal")),
    ("audit", "pipelines"),
    ("reranker",),
)
"""Where studies keep a table by the name of the pipeline."""


def colours(summary: Summary) -> dict[str, str]:
    """Each pipeline's colour, the same in the whole report: by its place in the summary, then in the studies."""
    studied = [name for keys in _STUDIED for name in at(summary, *keys) or {}]
    return pipeline_colours(dict.fromkeys([*pipelines(summary), *studied]))
