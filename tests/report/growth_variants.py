"""The made-up growth study of `growth_sample.py`, cut down in ways that real studies are."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

growth = runpy.run_path(str(Path(__file__).with_name("growth_sample.py")))["growth"]


def one_pipeline(name: str = "dense") -> dict[str, Any]:
    study = growth()
    for part in ("pipelines", "evidence", "loss"):
        study[part] = {name: study[part][name]}
    study["forecast"] = [one for one in study["forecast"] if one["pipeline"] == name]
    return study | {"crossovers": []}


def one_order() -> dict[str, Any]:
    return growth() | {"orders": 1}


def all_judged_points(study: dict[str, Any]) -> list[dict[str, Any]]:
    return [point for curves in study["pipelines"].values() for point in curves["all_judged"]]


def without_timings() -> dict[str, Any]:
    study = growth()
    for point in all_judged_points(study):
        for key in ("stages", "end_to_end", "unaccounted", "build", "cost_usd_per_1000_queries"):
            del point[key]
    study["forecast"] = [one for one in study["forecast"] if one["quantity"] == "nDCG@10"]
    return study


def abstaining() -> dict[str, Any]:
    study = growth()
    for forecast in study["forecast"]:
        forecast |= {"abstained": True, "reason": "the held-out size missed its own interval", "at": []}
    return study


def unpriced() -> dict[str, Any]:
    study = growth()
    for point in all_judged_points(study):
        point["cost_usd_per_1000_queries"] |= {"total": None, "interval": None, "unpriced": ["inject: no rate 'llm'"]}
    study["forecast"] = [one for one in study["forecast"] if not one["quantity"].startswith("cost")]
    return study


def without_intervals() -> dict[str, Any]:
    """Every interval is null, however deep it lies."""
    study: dict[str, Any] = _stripped(growth())
    return study


def renamed(old: str, new: str) -> dict[str, Any]:
    """A pipeline under another name, everywhere."""
    study = growth()
    for part in ("pipelines", "evidence", "loss"):
        study[part] = {new if name == old else name: value for name, value in study[part].items()}
    for forecast in study["forecast"]:
        forecast["pipeline"] = new if forecast["pipeline"] == old else forecast["pipeline"]
    for crossing in study["crossovers"]:
        crossing |= {key: crossing[key].replace(old, new) for key in ("what", "candidate", "baseline")}
    return study


def one_size() -> dict[str, Any]:
    study = growth()
    for curves in study["pipelines"].values():
        curves |= {curve: points[:1] for curve, points in curves.items()}
    for part in ("evidence", "loss"):
        study[part] = {name: rows[:1] for name, rows in study[part].items()}
    return study | {"sizes": study["sizes"][:1], "forecast": []}


def bare() -> dict[str, Any]:
    """Nothing but what the format demands, all of it null."""
    points = [{"size": size, "scores": {}, "context_tokens": {}} for size in (10, 20)]
    pipelines = {name: {"all_judged": points} for name in ("bm25", "dense")}
    return {"sizes": [10, 20], "orders": 1, "pipelines": pipelines, "loss": {}, "crossovers": [], "forecast": []}


def _stripped(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: None if "interval" in key else _stripped(value) for key, value in node.items()}
    return [_stripped(value) for value in node] if isinstance(node, list) else node
