"""A check: true or false in a plain `assert`, one short line as its repr, everything else as text for the report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ragprof.errors import BadInput
from ragprof.pytest_plugin.explanations import bound_text
from ragprof.pytest_plugin.words import number, short

if TYPE_CHECKING:
    from ragprof.pytest_plugin.figures import Figure

Verdict: TypeAlias = Literal["holds", "fails", "undecided", "written"]
Sense: TypeAlias = Literal["at least", "at most"]


@dataclass(frozen=True)
class Line:
    """One checked figure, for the summary table and for JUnit. Plain values, so that it travels between processes.

    With `against`, a baseline's name, `value` and `interval` are differences from it.
    """

    verdict: str
    pipeline: str
    quantity: str
    kind: str
    value: float | None
    interval: list[float] | None
    bound: float | None
    sense: str
    n: int
    against: str = ""
    note: str = ""


@dataclass(eq=False, repr=False)
class Check:
    """What a test asserts. `asserted` turns true once somebody asked for its truth."""

    verdict: Verdict
    passed: bool
    said: str
    title: str
    explanation: str
    lines: tuple[Line, ...]
    asserted: bool = False

    def __bool__(self) -> bool:
        self.asserted = True
        return self.passed

    def __repr__(self) -> str:
        return short(self.said)


def bound_check(figure: Figure, bound: float, sense: Sense) -> Check:
    """The end of the interval that is nearer to failing, against a bound. Raises BadInput for a bound of NaN."""
    if math.isnan(bound):
        raise BadInput(f"{figure.name}: '{sense} NaN' can be neither true nor false; give a number")
    verdict: Verdict = "holds" if _within(figure, bound, sense) else "fails"
    demand = f"{sense} {number(bound, figure.quantity.kind)}"
    line = Line(
        verdict=verdict,
        pipeline=figure.pipeline,
        quantity=figure.quantity.label,
        kind=figure.quantity.kind,
        value=figure.value,
        interval=None if figure.interval is None else list(figure.interval),
        bound=float(bound),
        sense=sense,
        n=figure.n,
    )
    return Check(
        verdict=verdict,
        passed=verdict == "holds",
        said=f"{figure!r} {verdict}: {demand}",
        title=f"{figure.name}: {demand}",
        explanation=bound_text(figure, bound, sense) if verdict == "fails" else "",
        lines=(line,),
    )


def _within(figure: Figure, bound: float, sense: Sense) -> bool:
    """Without an interval (a single query) nothing is beyond chance, so nothing holds."""
    if figure.interval is None:
        return False
    low, high = figure.interval
    return low >= bound if sense == "at least" else high <= bound
