"""One row of a comparison: both figures, their difference with interval and p, its margin and its verdict.

p is corrected after Holm over the rows that are asked for together; rows that cannot be compared have none. Figures are
given to twelve digits, and judged as given: what is beyond them is the arithmetic's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ragprof.quantities import Quantity
from ragprof.statistics import holm
from ragprof.studies.compare import verdicts
from ragprof.studies.compare.effects import Interval
from ragprof.studies.compare.findings import Ask, Finding, Terms, findings
from ragprof.studies.compare.measures import own_figure
from ragprof.studies.compare.power import more_queries

Row: TypeAlias = dict[str, Any]
PROMPT = Quantity("usage", "inject", "prompt_tokens")


def rows_of(asks: Sequence[Ask], terms: Terms) -> list[Row]:
    """One row an ask, in order; Holm's family is all of them that have a p."""
    return [row for _, row in found_rows(asks, terms)]


def found_rows(asks: Sequence[Ask], terms: Terms) -> list[tuple[Finding, Row]]:
    """As `rows_of`, each with what it was made from."""
    found = findings(asks, terms)
    p_values = {str(at): each.p for at, each in enumerate(found) if each.p is not None}
    corrected = holm(p_values)
    alone = terms.alpha / max(1, len(p_values))
    return [(each, _row(each, corrected.get(str(at)), terms, alone=alone)) for at, each in enumerate(found)]


def family_of(rows: Sequence[Row]) -> int:
    """How many p values were corrected together."""
    return sum(row["p_holm"] is not None for row in rows)


def tidy(value: float | None) -> float | None:
    """To twelve digits."""
    return None if value is None else float(f"{value:.12g}")


def _row(found: Finding, p_holm: float | None, terms: Terms, *, alone: float) -> Row:
    """`alone` is alpha shared out over the family: what a row has to itself at worst."""
    ask, quantity = found.ask, found.ask.quantity
    figures = _figures(found)
    noise = _noise(found, terms, figures["base"])
    margin = verdicts.bound(
        ask.allowed, base=figures["base"], clocked_base=found.clocked_base, noise=noise, unit=quantity.unit
    )
    value = float(f"{margin.value:.12g}")
    told = found.obstacle or verdicts.verdict(
        figures["interval"], margin=value, p=p_holm, better=ask.better, alpha=terms.alpha
    )
    more = None
    if told == "undecided" and found.effect is not None:
        more = max(more_queries(found.effect, alpha=alone) or 0, found.lacking) or None
    return {
        "pipeline": ask.pair.name,
        "base_pipeline": ask.pair.base.pipeline,
        "quantity": quantity.label,
        "kind": quantity.kind,
        "stage": quantity.stage,
        "name": quantity.name,
        "unit": quantity.unit,
        "better": ask.better,
        "primary": not quantity.stage or quantity == PROMPT,
        **figures,
        "p": tidy(found.effect.p) if found.effect else None,
        "p_holm": tidy(p_holm),
        "n": found.effect.n if found.effect else 0,
        "margin": value,
        "margin_why": margin.why,
        "verdict": told,
        "reason": found.reason,
        "more_queries": more,
        "noise": tidy(noise),
    }


def _noise(found: Finding, terms: Terms, base: float | None) -> float | None:
    """As a share of the base's figure: of a bill, of its measured time alone."""
    noise = terms.noise.get(found.ask.pair.name, {}).get(found.ask.quantity.label)
    if noise is None or found.ask.quantity.kind != "cost":
        return noise
    return noise * found.clocked_base / base if base else None


def _figures(found: Finding) -> Row:
    effect, ask = found.effect, found.ask
    if effect is None:
        sides = {"base": ask.pair.base, "candidate": ask.pair.candidate}
        figures = {name: tidy(own_figure(side, ask.quantity)) for name, side in sides.items()}
        return {**figures, "difference": None, "interval": None, "relative": None, "relative_interval": None}
    return {
        "base": tidy(effect.base),
        "candidate": tidy(effect.candidate),
        "difference": tidy(effect.difference),
        "interval": _ends(effect.interval),
        "relative": tidy(effect.relative),
        "relative_interval": _ends(effect.relative_interval),
    }


def _ends(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [tidy(end) for end in interval]
