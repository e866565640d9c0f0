"""Colours. One per pipeline, the same in every chart and table; another set for stages. Safe for colour-blind readers.

Pipelines: Paul Tol's qualitative twelve ("Colour Schemes", SRON/EPS/TN/09-002), ordered so that the first few differ
most. Identity never rests on colour alone: every point and bar is labelled too.
"""

from __future__ import annotations

from collections.abc import Iterable

INK = "#18222F"
MUTED = "#5A6675"
GRID = "#E9ECF0"
RULE = "#AEB7C2"
PAPER = "#FFFFFF"

_PIPELINES = (
    "#332288",
    "#44AA99",
    "#CC6677",
    "#6699CC",
    "#882255",
    "#999933",
    "#117733",
    "#AA4499",
    "#DDAA33",
    "#661100",
    "#88CCEE",
    "#777777",
)
STAGES = {
    "embed": "#8FB8DE",
    "search": "#1D4E89",
    "rerank": "#E8A33D",
    "inject": "#7D9D8C",
    "generate": "#7A5C86",
    "unaccounted": "#D3D8DF",
}
TOKENS = {"context": "#1D4E89", "question": "#E8A33D", "template": "#B9C6D6"}
VERDICTS = {"better": "#1D4E89", "worse": "#B4501E", "undecided": "#8A94A1"}


def pipeline_colours(names: Iterable[str]) -> dict[str, str]:
    """name -> colour by place; a thirteenth pipeline starts over."""
    return {name: _PIPELINES[place % len(_PIPELINES)] for place, name in enumerate(names)}
