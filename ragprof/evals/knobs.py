"""Knobs of an app: the values that it is tried with. Each combination of them is a variant, a pipeline of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from math import isfinite, prod
from typing import Any, TypeAlias

from ragprof.core.plain import names_secret

Knobs: TypeAlias = dict[str, Any]
"""The name of an argument, or a dotted path on the app, with its values in a list; of a variant with its own value."""
MOST_VARIANTS = 16
"""Each variant is asked every question, several times; a table of more lines is read by nobody."""
MOST_CHARACTERS = 24
"""Of a value in the name of a variant; the end tells models of one family apart better than their beginning."""
UNNAMEABLE = re.compile(r"[^A-Za-z0-9+._-]+")


def checked(knobs: Any) -> Any:
    """The same knobs. Raises ValueError for what gives no values, and for too many variants."""
    if knobs is None:
        return None
    if not isinstance(knobs, Mapping) or not knobs:
        raise ValueError("write knobs with their values, such as { k = [3, 5, 10] }")
    for name, given in knobs.items():
        values = values_of(given)
        sound = all(isinstance(each, str | int) or (isinstance(each, float) and isfinite(each)) for each in values)
        if not values or not sound or not all(str(name).split(".")):
            raise ValueError(f"knob '{name}' is {given!r}; its values are numbers, texts, true or false: [3, 5, 10]")
        if names_secret(str(name)):
            raise ValueError(
                f"knob '{name}' may be a secret, and values of knobs are written as names; let the app read it from "
                "the environment, and let a knob say from which variable"
            )
        if len({repr(each) for each in values}) < len(values):
            raise ValueError(f"knob '{name}' has a value twice; write each once")
    if (count := prod(len(values_of(given)) for given in knobs.values())) > MOST_VARIANTS:
        each = " x ".join(str(len(values_of(given))) for given in knobs.values())
        raise ValueError(
            f"{each} = {count} variants, each asked every question; {MOST_VARIANTS} are the most, so leave values out, "
            "or try the knobs in tables of their own"
        )
    return dict(knobs)


def values_of(given: Any) -> Sequence[Any]:
    """A knob's values; the one of a variant alone."""
    return given if isinstance(given, list | tuple) else (given,)


def variants(name: str, knobs: Knobs) -> list[tuple[str, Knobs]]:
    """Names of all combinations with the value of each knob, the app as declared first: the first value of each."""
    labels = _labels(knobs)
    firsts = {knob: values_of(given)[0] for knob, given in knobs.items()}
    found = []
    for combination in product(*(values_of(given) for given in knobs.values())):
        own = dict(zip(knobs, combination, strict=True))
        words = [f"{labels[knob]}={_short(value)}" for knob, value in own.items() if value is not firsts[knob]]
        found.append((" ".join([name, *words]), own))
    return found


def _labels(knobs: Knobs) -> dict[str, str]:
    """The last step of a path, or all of it where two end alike."""
    ends = [knob.rpartition(".")[2] for knob in knobs]
    return {
        knob: UNNAMEABLE.sub("-", end if ends.count(end) == 1 else knob) for knob, end in zip(knobs, ends, strict=True)
    }


def _short(value: Any) -> str:
    words = str(value).lower() if isinstance(value, bool) else str(value)
    return UNNAMEABLE.sub("-", words)[-MOST_CHARACTERS:] or "none"
