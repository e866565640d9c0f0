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
KINDS = {
    "random": "#18222F",
    "similar": "#1D4E89",
    "duplicate": "#4E9BD1",
    "contradicting": "#B4501E",
    "foreign": "#7D9D8C",
}
CONTEXT = {
    "relevant": "#1D4E89",
    "duplicate": "#8FB8DE",
    "unjudged": "#EDF0F3",
    "irrelevant": "#C3CCD6",
    "contradicting": "#B4501E",
}
LOSSES = {"embedding": "#8FB8DE", "index": "#1D4E89", "rerank": "#E8A33D", "packing": "#7D9D8C"}
PROMPT = {
    "template": "#7D9D8C",
    "question": "#E8A33D",
    "relevant": "#1D4E89",
    "duplicate": "#8FB8DE",
    "irrelevant": "#C3CCD6",
    "unjudged": "#EDF0F3",
    "truncated": "#FFFFFF",
}
LOST = {
    "correct": "#DCE2E9",
    "model": STAGES["generate"],
    "packing": STAGES["inject"],
    "rerank": STAGES["rerank"],
    "search": STAGES["search"],
}
FLIP = {"saves": "#1D4E89", "undecided": "#F3F5F8", "costs": "#DDA88A"}
HEADROOM = {
    "search": STAGES["search"],
    "reranker": STAGES["rerank"],
    "harm": "#B4501E",
    "left": "#F2DDB8",
    "missed": "#DCE2E9",
}
DASHES = {"solid": (), "dashed": (6, 4), "dotted": (1.5, 3), "dash-dotted": (8, 3, 1.5, 3), "short": (3, 2)}
SHAPES = {
    "circle": "M10.5 5.5a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
    "square": "M11 2.5h6v6h-6z",
    "triangle-up": "M14 1.5l4 7h-8z",
    "diamond": "M14 1l4 4.5-4 4.5-4-4.5z",
    "triangle-down": "M14 9.5l4-7h-8z",
    "cross": "M12.7 1.5h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7v-2.6h2.7z",
}
"""Vega's name of a mark -> its path in the middle of a legend's line, which is 28 wide and 11 high."""
TEXTURES = {
    "hatched": "M0.5 0.5h10v10h-10zM0 11L11 0M0 5L5 0M6 11L11 6",
    "dotted": "M0.5 0.5h10v10h-10zM2.6 3h.9M7.5 3h.9M5 6h.9M2.6 9h.9M7.5 9h.9",
}
"""What lies over an area in a legend, 11 by 11, so that it can be told without its colour."""
VERDICTS = {"better": "#1D4E89", "worse": "#B4501E", "undecided": "#8A94A1"}


def pipeline_colours(names: Iterable[str]) -> dict[str, str]:
    """name -> colour by place; a thirteenth pipeline starts over."""
    return {name: _PIPELINES[place % len(_PIPELINES)] for place, name in enumerate(names)}


def tint(colour: str, white: float = 0.5) -> str:
    """The colour with that share of white in it."""
    channels = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(channel + (255 - channel) * white):02X}" for channel in channels)
