"""Whether a change may pass: the quantities of [gate] against their margins, and the exit code that this makes.

Holm's family is the gates alone. Says in a sentence what each gate found; prints nothing and exits nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ragprof.errors import BadInput, UnknownName
from ragprof.evals import Gate, Margin
from ragprof.quantities import Quantity, quantity
from ragprof.studies.compare import verdicts
from ragprof.studies.compare.comparison import examined, terms_of
from ragprof.studies.compare.evidence import Evidence
from ragprof.studies.compare.findings import Ask, Finding, Terms
from ragprof.studies.compare.pairing import Pair, pairs_of
from ragprof.studies.compare.power import more_queries
from ragprof.studies.compare.rows import Row, family_of, found_rows, tidy

OBSTACLES: Mapping[str, verdicts.GateVerdict] = {
    "unpriced": "unpriced", "missing": "incomparable", "incomparable": "incomparable",
}  # fmt: skip


def gate_of(
    base: Evidence,
    candidate: Evidence,
    gate: Gate,
    *,
    strict: bool,
    noise: Mapping[str, Mapping[str, float]] | None = None,
    looks: int = 1,
) -> dict[str, Any]:
    """The `gate` of the document. A quantity is gated in every pipeline that has it, or in those that are named for it.

    `noise` and `looks` are as in `findings.Terms`. Raises BadInput for a gate without quantities, UnknownName for one
    that neither side recorded or for a pipeline that neither has, and what `comparison.compare` raises.
    """
    if not gate.quantities:
        raise BadInput(
            "[gate] names no quantity; add some under [gate.quantities], or have 'ragprof gate --init' write them"
        )
    differing, pairs = examined(base, candidate, None)
    if named := _named(gate):
        pairs_of(base, candidate, named)
    terms = replace(
        terms_of(base, candidate, differing, alpha=gate.alpha),
        noise=noise or {},
        looks=looks,
    )
    margins = gate.quantities
    gated = {label: _gated(label, margin.pipelines or gate.pipelines, pairs) for label, margin in margins.items()}
    places = [(pair, label) for pair in pairs for label in margins if pair in gated[label]]
    made = found_rows([_ask(pair, quantity(label), margins[label], terms) for pair, label in places], terms)
    family = family_of([row for _, row in made])
    rows = [
        _gate_row(found, row, margins[label], alpha=terms.alpha, family=family)
        for (found, row), (_, label) in zip(made, places, strict=True)
    ]
    told = [row["gate"] for row in rows]
    return {
        "verdict": verdicts.overall(told),
        "exit_code": verdicts.exit_code(told, strict=strict),
        "strict": strict,
        "family": family,
        "gates": rows,
    }


def _named(gate: Gate) -> list[str]:
    named = [*(gate.pipelines or ()), *(name for each in gate.quantities.values() for name in each.pipelines or ())]
    return list(dict.fromkeys(named))


def _gated(label: str, named: Sequence[str] | None, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs in which a quantity is gated. Raises UnknownName where a named one, or none of all, recorded it."""
    asked = quantity(label)
    chosen = [pair for pair in pairs if named is None or {pair.name, pair.base.pipeline} & set(named)]
    having = [pair for pair in chosen if asked in pair.recorded()]
    if not having or (named is not None and len(having) < len(chosen)):
        lacking = next(pair for pair in chosen if pair not in having)
        if named is not None:
            known = {each.label for each in lacking.listed()}
            raise UnknownName(f"quantity of pipeline '{lacking.name}'", label, known)
        raise UnknownName("quantity", label, {each.label for pair in chosen for each in pair.listed()})
    return having


def _ask(pair: Pair, asked: Quantity, margin: Margin, terms: Terms) -> Ask:
    allowed = verdicts.gated_tolerance(margin, asked.kind, terms.clock)
    return Ask(pair, asked, allowed, verdicts.better_of(asked, margin))


def _gate_row(found: Finding, row: Row, margin: Margin, *, alpha: float, family: int) -> Row:
    told = (
        OBSTACLES[found.obstacle]
        if found.obstacle
        else verdicts.gate_verdict(
            row["interval"], margin=row["margin"], p=row["p_holm"], better=row["better"], alpha=alpha
        )
    )
    more = None
    if told == "undecided" and found.effect is not None:
        beyond = row["margin"] if row["better"] == "lower" else -row["margin"]
        more = max(more_queries(found.effect, alpha=alpha / max(1, family), beyond=beyond) or 0, found.lacking) or None
    judged = {**row, "gate": told, "more_queries": more, "confidence": tidy(found.confidence)}
    limits = {"margin_absolute": margin.absolute, "margin_relative": margin.relative}
    return {**judged, **limits, "message": _message(judged)}


def _message(row: Row) -> str:
    what = f"{row['quantity']} of '{row['pipeline']}'"
    if row["gate"] == "unpriced":
        return f"{what} is UNPRICED ({row['reason']}); name a rate for it, or gate something else"
    if row["gate"] == "incomparable":
        return f"{what} cannot be compared: {row['reason']}"
    return f"{what} {_change(row)}: {_ending(row)}"


def _change(row: Row) -> str:
    unit = f" {row['unit']}" if row["unit"] else ""
    figures = f"went from {row['base']:.4g} to {row['candidate']:.4g}{unit}"
    if row["interval"] is None:
        return f"{figures} ({row['difference']:+.4g})"
    low, high = row["interval"]
    share = f"{100 * row['confidence']:.4g} % interval {low:+.4g} to {high:+.4g}"
    p = "" if row["p_holm"] is None else f", p {row['p_holm']:.2g}"
    return f"{figures} ({row['difference']:+.4g}, {share}{p})"


def _ending(row: Row) -> str:
    margin = f"the margin of {row['margin']:.4g} ({row['margin_why']})"
    if row["gate"] == "regression":
        return f"worse by more than {margin}"
    if row["gate"] == "holds":
        return f"within {margin}"
    more = "" if row["more_queries"] is None else f"; about {row['more_queries']} more would be needed"
    reason = f"; {row['reason']}" if row["reason"] else ""
    return f"{row['n']} queries do not tell whether it is within {margin}{more}{reason}"
