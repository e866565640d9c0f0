"""How checks write numbers, rankings and facts, in plain text of at most 80 columns. Loads nothing heavy."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ragprof.report.figures import three_digits

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 80
LONGEST_REPR = 200
"""pytest cuts a repr at 240 characters, and writes a line end in it as two characters."""
UNITS = {"latency": " ms", "cost": " USD"}


def number(value: float | None, kind: str) -> str:
    """A figure of a kind with its unit: 0.874, 12.3 ms, 254, 0.412 USD."""
    if value is None:
        return "n/a"
    return f"{value:.3f}" if kind == "quality" else three_digits(value) + UNITS.get(kind, "")


def signed(value: float | None, kind: str) -> str:
    text = number(value, kind)
    return f"+{text}" if value is not None and value > 0 else text


def span(interval: Sequence[float] | None, kind: str) -> str:
    """`[0.720, 0.981]`; the unit is that of the figure beside it."""
    if interval is None:
        return "without interval"
    low, high = (number(end, kind).removesuffix(UNITS.get(kind, "")) for end in interval)
    return f"[{low}, {high}]"


def short(text: str) -> str:
    """One line that pytest does not cut."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_REPR else f"{line[: LONGEST_REPR - 3]}..."


def facts(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """`name  value` lines, the values wrapped under each other."""
    lines = []
    for name, value in pairs:
        lines += textwrap.wrap(
            value, WIDTH, initial_indent=f"  {name:<10} ", subsequent_indent=" " * 13, break_long_words=False
        ) or [f"  {name}"]
    return lines


def ranked(rankings: pd.DataFrame, pipeline: str, query_id: str) -> list[str]:
    """The documents of one query, best first."""
    rows = rankings[(rankings["pipeline"] == pipeline) & (rankings["query_id"] == query_id)]
    return [str(document) for document in rows.sort_values("rank")["document_id"]]


def documents(name: str, ids: Sequence[str]) -> list[str]:
    """A ranking on as many lines as it needs."""
    listed = ", ".join(f"{place} {document_id}" for place, document_id in enumerate(ids, start=1))
    return textwrap.wrap(
        listed or "nothing",
        WIDTH,
        initial_indent=f"    {name:<8}",
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )
