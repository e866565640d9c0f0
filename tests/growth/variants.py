"""The recorded growth section, cut down or changed in ways that real studies are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ragprof.report.palette import pipeline_colours
from ragprof.studies.contract import Context
from ragprof.studies.growth.section import GrowthPoint, GrowthSection

HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>|a"


def context_of(section: GrowthSection) -> Context:
    """A report of these pipelines alone."""
    names = tuple(section.pipelines)
    return Context(names, section.metric, {}, pipeline_colours(names))


def changed(section: GrowthSection, change: Callable[[dict[str, Any]], object]) -> GrowthSection:
    """The section with a change made to its JSON."""
    document = section.as_json()
    change(document)
    return GrowthSection.model_validate(document)


def each_point(section: GrowthSection, change: Callable[[str, str, GrowthPoint], GrowthPoint]) -> GrowthSection:
    """The section with every point changed, given its pipeline and its curve."""
    pipelines = {
        name: {curve: [change(name, curve, point) for point in points] for curve, points in curves.items()}
        for name, curves in section.pipelines.items()
    }
    return section.model_copy(update={"pipelines": pipelines})


def without_curves(section: GrowthSection, *left: str) -> GrowthSection:
    """The same, recorded along fewer curves."""
    pipelines = {
        name: {curve: points for curve, points in curves.items() if curve in left}
        for name, curves in section.pipelines.items()
    }
    evidence = section.evidence if "proportional" in left else {}
    return section.model_copy(update={"pipelines": pipelines, "evidence": evidence})


def one_size(section: GrowthSection) -> GrowthSection:
    """The smallest alone; nothing can be forecast from it."""

    def cut(document: dict[str, Any]) -> None:
        for curves in document["pipelines"].values():
            curves.update({curve: points[:1] for curve, points in curves.items()})
        for part in ("evidence", "loss"):
            document[part] = {name: rows[:1] for name, rows in document[part].items()}
        document.update(sizes=document["sizes"][:1], forecast=[], crossovers=[])

    return changed(section, cut)


def abstaining(section: GrowthSection) -> GrowthSection:
    """Every model missed its own interval."""
    missed = {"abstained": True, "reason": "it missed", "at": [], "preferred": False}
    return section.model_copy(update={"forecast": [one.model_copy(update=missed) for one in section.forecast]})


def without_intervals(section: GrowthSection) -> GrowthSection:
    """Every interval is null, but those of forecasts."""

    def stripped(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                key: None if key.endswith(("interval", "interval_ns")) else stripped(each) for key, each in node.items()
            }
        return [stripped(each) for each in node] if isinstance(node, list) else node

    return changed(section, lambda document: document.update(pipelines=stripped(document["pipelines"])))


def renamed(section: GrowthSection, old: str, new: str) -> GrowthSection:
    """A pipeline under another name, everywhere."""
    text = json.dumps(section.as_json(), ensure_ascii=False)
    return GrowthSection.model_validate_json(text.replace(f'"{old}"', json.dumps(new, ensure_ascii=False)))


def hostile(section: GrowthSection) -> GrowthSection:
    """Every text that is free is an attack."""
    name = {"pipeline": HOSTILE, "model": HOSTILE, "reason": HOSTILE}
    only = renamed(section, "dense", HOSTILE)
    update = {
        "pipelines": {HOSTILE: only.pipelines[HOSTILE]},
        "loss": {HOSTILE: only.loss[HOSTILE]},
        "forecast": [one.model_copy(update=name) for one in only.forecast if one.pipeline == HOSTILE],
        "crossovers": [only.crossovers[0].model_copy(update={"what": HOSTILE, "metric": HOSTILE})],
        "curves": {HOSTILE: section.curves["similar"].model_copy(update={"what": HOSTILE})},
        "notes": [HOSTILE],
    }
    return only.model_copy(update=update)
