"""Colours. One per pipeline, the same in every chart and table; another set for stages. Safe for colour-blind readers.

Pipelines: Paul Tol's qualitative twelve ("Colour Schemes", SRON/EPS/TN/09-002), ordered so that the first few differ
most. Identity never rests on colour alone: every point and bar is labelled too.
"""

from __future__ import annotations

from collections.abc import Iterable

INK, MUTED, GRID, RULE, PAPER = "#18222F", "#5A6675", "#E9ECF0", "#AEB7C2", "#FFFFFF"
_PIPELINES = (
    *("#332288", "#44AA99", "#CC6677", "#6699CC", "#882255", "#999933"),
    *("#117733", "#AA4499", "#DDAA33", "#661100", "#88CCEE", "#777777"),
)
_NAVY, _BLUE, _AMBER, _SAGE, _PLUM, _RUST = "#1D4E89", "#8FB8DE", "#E8A33D", "#7D9D8C", "#7A5C86", "#B4501E"
_SILVER, _MIST, _PALE = "#C3CCD6", "#EDF0F3", "#DCE2E9"
STAGES = {
    **{"embed": _BLUE, "search": _NAVY, "rerank": _AMBER, "inject": _SAGE, "generate": _PLUM},
    "unaccounted": "#D3D8DF",
}
TOKENS = {"context": _NAVY, "question": _AMBER, "template": "#B9C6D6"}
KINDS = {"random": INK, "similar": _NAVY, "duplicate": "#4E9BD1", "contradicting": _RUST, "foreign": _SAGE}
CONTEXT = {"relevant": _NAVY, "duplicate": _BLUE, "unjudged": _MIST, "irrelevant": _SILVER, "contradicting": _RUST}
LOSSES = {"embedding": _BLUE, "index": _NAVY, "rerank": _AMBER, "packing": _SAGE}
PROMPT = {
    **{"template": _SAGE, "question": _AMBER, "relevant": _NAVY, "duplicate": _BLUE},
    **{"irrelevant": _SILVER, "unjudged": _MIST, "truncated": PAPER},
}
LOST = {"correct": _PALE, "model": _PLUM, "packing": _SAGE, "rerank": _AMBER, "search": _NAVY}
FLIP = {"saves": _NAVY, "undecided": "#F3F5F8", "costs": "#DDA88A"}
HEADROOM = {"search": _NAVY, "reranker": _AMBER, "harm": _RUST, "left": "#F2DDB8", "missed": _PALE}
VERDICTS = {"better": _NAVY, "worse": _RUST, "undecided": "#8A94A1"}
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


def pipeline_colours(names: Iterable[str]) -> dict[str, str]:
    """name -> colour by place; a thirteenth pipeline starts over."""
    return {name: _PIPELINES[place % len(_PIPELINES)] for place, name in enumerate(names)}


def tint(colour: str, white: float = 0.5) -> str:
    """The colour with that share of white in it."""
    channels = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(channel + (255 - channel) * white):02X}" for channel in channels)
