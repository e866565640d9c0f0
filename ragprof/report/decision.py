"""A decision in the words of whoever pays: what to do, why, what it changes, what would change it, how sure.

No metric is named and no interval stands in a sentence; numbers have two significant digits, as people speak. The
intervals are in the picture, and the evidence is a link away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from ragprof.report.markdown import escaped

Tone: TypeAlias = Literal["better", "worse", "undecided"]


@dataclass(frozen=True, slots=True)
class PaidEffect:
    """One thing that the choice changes; `value`, `low` and `high` are in one unit, of which 0 is no change."""

    label: str
    text: str
    value: float
    low: float | None
    high: float | None
    more_is_better: bool

    @property
    def tone(self) -> Tone:
        """Undecided where the interval holds 0, or there is none."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return "undecided"
        return "better" if (self.value > 0) == self.more_is_better else "worse"

    def bar(self) -> tuple[float, float, float, float]:
        """Low end, value, high end and 0 as shares of a line on which all of them lie, with a little room."""
        ends = [0.0, self.value, *(end for end in (self.low, self.high) if end is not None)]
        first, last = min(ends), max(ends)
        room = 0.06 * ((last - first) or 1.0)
        first, width = first - room, last - first + 2 * room
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        return tuple(round(100 * (end - first) / width, 2) for end in (low, self.value, high, 0.0))  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class PaidDecision:
    """One question, answered. `evidence` is the key of the part of the report that it rests on."""

    question: str
    verdict: str
    tone: Tone
    because: str
    effects: Sequence[PaidEffect]
    changes: Sequence[str]
    sure: str
    following: str
    evidence: str


def spoken(value: float) -> str:
    """Two significant digits, as people say a number: 0.24, 3.1, 13, 1,300."""
    if value == 0:
        return "0"
    digits = Decimal(f"{value:.1e}")
    return f"{digits:,.0f}" if abs(digits) >= 10 else f"{digits.normalize():f}"


def spoken_usd(value: float) -> str:
    """Dollars as people say them: cents below ten dollars, nothing finer than a cent."""
    amount = abs(value)
    if amount < 0.005:
        return "less than a cent"
    return f"${spoken(amount)}" if amount >= 10 else f"${float(f'{amount:.1e}'):.2f}"


def spoken_seconds(ns: float) -> str:
    """0.24 s, 12 ms; below a millisecond nobody notices."""
    amount = abs(ns) / 1e9
    if amount < 0.001:
        return "less than 1 ms"
    return f"{spoken(amount)} s" if amount >= 0.1 else f"{spoken(amount * 1e3)} ms"


def decision_markdown(title: str, decisions: Sequence[PaidDecision], origin: str) -> str:
    """The page as GitHub Markdown. Ends with a newline."""
    parts = [f"# {escaped(title)}"]
    for one in decisions:
        effects = "\n".join(f"| {escaped(effect.label)} | {escaped(effect.text)} |" for effect in one.effects)
        changes = "\n".join(f"- {escaped(line)}" for line in one.changes)
        parts += [
            f"## {escaped(one.question)}", f"**{escaped(one.verdict)}** {escaped(one.because)}",
            f"| What it changes | |\n| :--- | ---: |\n{effects}" if effects else "",
            f"What would change this:\n\n{changes}" if changes else "",
            escaped(f"{one.sure} {one.following}".strip()),
        ]  # fmt: skip
    return (
        "\n\n".join(part for part in (*parts, f"<sub>{escaped(origin)} The evidence: report.html.</sub>") if part)
        + "\n"
    )
