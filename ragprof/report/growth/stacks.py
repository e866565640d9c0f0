"""Parts of a whole on top of each other, size by size: losses upwards from zero, gains (negative losses) downwards.

A size at which a part is missing that the pipeline has elsewhere is not stacked: the stack would look complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import altair as alt

from ragprof.report.growth.axes import seen
from ragprof.report.palette import PAPER
from ragprof.report.theme import rows

Rows: TypeAlias = list[dict[str, Any]]
_WIDEST_BAR, _ALL_BARS = 18, 170


@dataclass(frozen=True, slots=True)
class Stack:
    """All parts at one size, the lowest first. `more` is drawn over it, such as a total."""

    size: int
    parts: Mapping[str, float]


Found: TypeAlias = Mapping[int, Mapping[str, float | None]]


def whole(found: Found) -> list[Stack]:
    """The sizes at which no part is missing. A part that is missing everywhere is no part."""
    parts = parts_of(found)
    known = {size: {part: values.get(part) for part in parts} for size, values in found.items()}
    return [
        Stack(size, {part: value for part, value in values.items() if value is not None})
        for size, values in sorted(known.items())
        if parts and None not in values.values()
    ]


def parts_of(found: Found) -> list[str]:
    """In the order of the readings."""
    named = dict.fromkeys(part for values in found.values() for part in values)
    return [part for part in named if any(values.get(part) is not None for values in found.values())]


def gaps(found: Found) -> list[int]:
    """The sizes at which some part is missing, though something was measured there."""
    drawn = {one.size for one in whole(found)}
    return sorted(size for size, values in found.items() if size not in drawn and any(_known(values)))


def _known(values: Mapping[str, float | None]) -> Iterable[bool]:
    return (value is not None for value in values.values())


def top(stacks: Sequence[Stack]) -> float:
    return max((sum(value for value in one.parts.values() if value > 0) for one in stacks), default=0.0)


def bottom(stacks: Sequence[Stack]) -> float:
    return min((sum(value for value in one.parts.values() if value < 0) for one in stacks), default=0.0)


def pieces(stacks: Sequence[Stack], write: Callable[[float], str]) -> Rows:
    """One row a part and size. A part that changes sides has a row of no height on the other, so that areas close."""
    return [
        {"x": one.size, "part": part, "side": side, "low": seen(low), "high": seen(high), "words": write(value)}
        for side in _sides(stacks)
        for one in stacks
        for part, value, low, high in _piled(one, side)
    ]


def _sides(stacks: Sequence[Stack]) -> list[int]:
    """Upwards always, downwards where something is won."""
    return [1, -1] if bottom(stacks) < 0 else [1]


def _piled(stack: Stack, side: int) -> list[tuple[str, float, float, float]]:
    """Part, its value, where it begins and where it ends on this side of zero."""
    piled, reached = [], 0.0
    for part, value in stack.parts.items():
        height = value if value * side > 0 else 0.0
        piled.append((part, value, reached, reached + height))
        reached += height
    return piled


def areas(found: Rows, x: Any, y: Any, colours: Mapping[str, str]) -> list[Any]:
    """An area a part, and a thin line at each measured size. A single size has no area: it is drawn as a bar."""
    sizes = {row["x"] for row in found}
    if len(sizes) == 1:
        return [bars(found, x, y, colours)]
    base = alt.Chart(rows(found)).encode(x=x, y=y, y2="high:Q")
    filled = base.mark_area(stroke=PAPER, strokeWidth=0.8).encode(color=_colour(colours), detail="side:N")
    return [filled, base.mark_rule(stroke=PAPER, strokeWidth=1, opacity=0.5)]


def bars(found: Rows, x: Any, y: Any, colours: Mapping[str, str]) -> Any:
    """A bar a size, only as wide as its neighbours allow."""
    width = min(_WIDEST_BAR, _ALL_BARS / max(1, len({row["x"] for row in found})))
    titles = {"part": "Part", "x": "Passages", "words": "Value"}
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
    base = alt.Chart(rows(found)).encode(x=x, y=y, y2="high:Q", color=_colour(colours), tooltip=tooltip)
    return base.mark_bar(orient="vertical", size=width, stroke=PAPER, strokeWidth=0.6)


def _colour(colours: Mapping[str, str]) -> Any:
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color("part:N", scale=scale, legend=None)
