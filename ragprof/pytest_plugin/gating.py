"""What `no_worse_than` compares: a [gate] table, made of what a test gives. Knows no recording but by its names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import ValidationError

from ragprof.errors import BadInput, UnknownName
from ragprof.evals import Gate, Margin, complaint
from ragprof.quantities import KINDS, LATENCIES, LATENCY, MONEY, Kind, quantity
from ragprof.studies.compare.evidence import Evidence
from ragprof.studies.compare.verdicts import BETWEEN_JOBS, DEFAULTS

Given: TypeAlias = float | Mapping[str, Any] | Margin
USUAL: dict[Kind, Margin] = {**DEFAULTS, "latency": Margin(relative=BETWEEN_JOBS)}
"""A baseline was timed in another job than the test that is compared with it."""
PROMPT = "inject.prompt_tokens"


@dataclass(frozen=True)
class Asked:
    """Margins by kind, or by quantity where `quantities` is not None."""

    margins: Mapping[Kind, Margin]
    quantities: Mapping[str, Margin] | None
    pipelines: tuple[str, ...] | None

    def gate(self, base: Evidence, candidate: Evidence) -> Gate:
        """The table for two sides. Raises BadInput where nothing is left to compare."""
        chosen = self.quantities
        if chosen is None:
            labels = dict.fromkeys(_usual(base, candidate, self.margins))
            chosen = {label: self.margins.get(quantity(label).kind, USUAL[quantity(label).kind]) for label in labels}
        if not chosen:
            raise BadInput("there is nothing to compare: no metric in common; name something with quantities=")
        return Gate(quantities=dict(chosen), pipelines=self.pipelines)


def gate_for(
    *,
    margins: Mapping[str, Given] | None,
    quantities: Mapping[str, Given] | None,
    pipelines: Sequence[str] | None,
) -> Asked:
    """Raises BadInput or UnknownName for what cannot be asked."""
    if margins is not None and quantities is not None:
        raise BadInput(
            "both margins= and quantities= are given; quantities= brings its own margins, so give one of them"
        )
    by_kind: dict[Kind, Margin] = {_kind(name): margin(name, given) for name, given in (margins or {}).items()}
    by_name = None if quantities is None else {name: margin(name, given) for name, given in quantities.items()}
    return Asked(by_kind, by_name, None if pipelines is None else tuple(pipelines))


def margin(name: str, given: Given) -> Margin:
    """A margin of a kind or a quantity; a bare number is absolute for quality and relative for the rest."""
    if isinstance(given, Margin):
        return given
    kind = name if name in KINDS else quantity(name).kind
    table = given if isinstance(given, Mapping) else {"absolute" if kind == "quality" else "relative": given}
    try:
        return Margin.model_validate(dict(table))
    except ValidationError as failure:
        raise BadInput(f"margin of {name}: {complaint(failure)}") from None


def _kind(name: str) -> Kind:
    for kind in KINDS:
        if name == kind:
            return kind
    try:
        quantity(name)
    except UnknownName:
        raise UnknownName("kind of quantity", name, KINDS) from None
    raise BadInput(f"margins= goes by kind ({', '.join(KINDS)}); for '{name}' alone give quantities={{'{name}': ...}}")


def _usual(base: Evidence, candidate: Evidence, margins: Mapping[Kind, Margin]) -> Iterator[str]:
    yield from (name for name in candidate.facts["metrics"] if name in base.facts["metrics"])
    if all((side.figures["name"] == "prompt_tokens").any() for side in (base, candidate)):
        yield PROMPT
    if "cost" in margins or all(not any(side.facts["unpriced"].values()) for side in (base, candidate)):
        yield MONEY
    if "latency" in margins:
        yield from (f"{LATENCY}{name}" for name in LATENCIES)
