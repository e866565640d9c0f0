"""A number of things in words: the one place that knows a plural."""

from __future__ import annotations


def counted(value: int, one: str, many: str = "") -> str:
    """`1 query`, `2 queries`. `many` is the plural; left out, it is `one` and an s, or -ies for a -y."""
    plural = many or (f"{one.removesuffix('y')}ies" if one.endswith("ry") else f"{one}s")
    return f"{value:,} {one if value == 1 else plural}"
