"""A comparison as typed values, and as the plain JSON of comparison.json, which docs/ci.md describes.

None is not measured, never 0. What stands in the way of a figure is a verdict with its reason: `unpriced`, `missing`,
`incomparable`. Computes no statistics and writes no text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeAlias, get_args

from ragprof.core.quantities import Kind

Verdict: TypeAlias = Literal["worse", "better", "equivalent", "undecided", "unpriced", "incomparable", "missing"]
GateVerdict: TypeAlias = Literal["regression", "unpriced", "incomparable", "undecided", "holds"]
"""The worst first."""
Better: TypeAlias = Literal["lower", "higher"]
Blocks: TypeAlias = Literal["all", "latency", "tokens", "nothing"]
Interval: TypeAlias = tuple[float, float]
Noise: TypeAlias = Mapping[str, Mapping[str, float]]
"""pipeline -> quantity -> the share by which two equal sides were seen to differ on this machine."""

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
GATE_VERDICTS: tuple[GateVerdict, ...] = get_args(GateVerdict)
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class QuantityRow:
    """One quantity of one pipeline on both sides. Figures and margin are in `unit`; `difference` is candidate - base.

    `relative` is a share of the base. `noise` is the relative noise that the job measured. `reason` says why there is
    no figure or no verdict, `more_queries` how many more would tell.
    """

    pipeline: str
    base_pipeline: str
    quantity: str
    kind: Kind
    stage: str
    name: str
    unit: str
    better: Better
    primary: bool
    base: float | None = None
    candidate: float | None = None
    difference: float | None = None
    interval: Interval | None = None
    relative: float | None = None
    relative_interval: Interval | None = None
    p: float | None = None
    p_holm: float | None = None
    n: int = 0
    margin: float
    margin_why: str
    verdict: Verdict
    reason: str = ""
    more_queries: int | None = None
    noise: float | None = None

    @property
    def decision(self) -> Verdict | GateVerdict:
        """What a reader is told: the gate's verdict where the row is a gate, else that of the comparison."""
        return self.verdict

    @property
    def unit_of_n(self) -> str:
        """What `n` counts."""
        return "query" if self.kind != "load" else "step" if self.name == "capacity" else "request"

    @property
    def is_shown(self) -> bool:
        """Whether a reader without a gate wants it: the main quantities, and all that got better or worse."""
        return self.primary or self.verdict in ("worse", "better")


@dataclass(frozen=True, kw_only=True)
class GateRow(QuantityRow):
    """A row judged by [gate]. `message` is the sentence of the report, `confidence` that of its intervals."""

    gate: GateVerdict
    confidence: float
    margin_absolute: float
    margin_relative: float
    message: str

    @property
    def decision(self) -> GateVerdict:
        return self.gate


@dataclass(frozen=True)
class GateResult:
    """`family` is over how many p values Holm's correction went."""

    verdict: GateVerdict
    exit_code: int
    strict: bool
    family: int
    gates: tuple[GateRow, ...]


@dataclass(frozen=True)
class ComparedSide:
    """Who a side is. One that was refused before it was recorded has neither corpus, time, version nor recording."""

    label: str
    source: Literal["recording", "baseline", "revision"]
    corpus: Mapping[str, str | int]
    created: str | None
    ragprof_version: str | None
    recording: str | None
    queries: int


@dataclass(frozen=True)
class FactDifference:
    """One field of what the sides rest on that differs, and which figures it keeps from being compared."""

    field: str
    base: object
    candidate: object
    blocks: Blocks

    def __str__(self) -> str:
        texts = ("none" if value is None else str(value) for value in (self.base, self.candidate))
        base, candidate = (text if len(text) <= 40 else f"{text[:37]}..." for text in texts)
        return f"{self.field} is '{base}' and '{candidate}'"


@dataclass(frozen=True)
class LostQuery:
    """A query that got worse: its metric on both sides, and the first documents of both rankings."""

    query_id: str
    base: float
    candidate: float
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class WorstQueries:
    """At most five queries of a pipeline, the largest loss of `metric` first."""

    metric: str
    queries: tuple[LostQuery, ...]


@dataclass(frozen=True)
class ChangedPart:
    """A part of a pipeline whose identity is not the same on both sides; None where a side has none."""

    part: str
    base: str | None
    candidate: str | None


@dataclass(frozen=True)
class InterleavedJob:
    """How two sides were timed in one job: the live queries' seconds, looks, rounds, and the machine's own noise."""

    budget_seconds: float
    spent_seconds: float
    looks: int
    looks_allowed: int
    rounds: int
    queries: int
    noise: Noise
    failed: Mapping[str, int] = field(default_factory=dict)
    """Queries that failed on a side and are left out of both, by pipeline."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two sides compared; judged by a gate where `gate` is not None.

    `quantities` are all of every common pipeline, `family` over how many p values Holm's correction went. Sides that
    are not `paired` are samples of different queries, such as traces of two weeks; `queries` is the smaller number.
    """

    eval: str
    title: str
    base: ComparedSide
    candidate: ComparedSide
    queries: int
    same_job: bool
    differences: tuple[FactDifference, ...]
    notes: tuple[str, ...]
    alpha: float
    confidence: float
    family: int
    quantities: tuple[QuantityRow, ...]
    worst: Mapping[str, WorstQueries] = field(default_factory=dict)
    changed: Mapping[str, tuple[ChangedPart, ...]] = field(default_factory=dict)
    gate: GateResult | None = None
    against: InterleavedJob | None = None
    paired: bool = True

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` writes: plain JSON, documented in docs/ci.md."""
        told = {("rows" if name == "quantities" else name): value for name, value in plain(self).items()}
        return {"format": FORMAT, **told}

    @property
    def exit_code(self) -> int:
        """0, unless a gate says otherwise: 1 regression, 3 not comparable, 4 undecided where that is strict."""
        return 0 if self.gate is None else self.gate.exit_code

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The gates where there are some, else every quantity; as in `document`."""
        found: list[dict[str, Any]] = plain(self.quantities if self.gate is None else self.gate.gates)
        return found

    @property
    def pipelines(self) -> list[str]:
        """Every pipeline that has a row or a gate, in order."""
        judged = () if self.gate is None else self.gate.gates
        return list(dict.fromkeys(row.pipeline for row in (*self.quantities, *judged)))

    @property
    def gates(self) -> list[GateRow]:
        """The worst first: pipelines by their worst gate, each one's gates by verdict; else in order."""
        found = () if self.gate is None else self.gate.gates
        rank, names = GATE_VERDICTS.index, list(dict.fromkeys(row.pipeline for row in found))
        worst = {name: min(rank(row.gate) for row in found if row.pipeline == name) for name in names}
        return sorted(found, key=lambda row: (worst[row.pipeline], names.index(row.pipeline), rank(row.gate)))

    @property
    def decisive(self) -> Sequence[QuantityRow]:
        """What the verdict rests on: the gates, or the primary rows where there is none."""
        return [row for row in self.quantities if row.primary] if self.gate is None else self.gates

    @property
    def fallen(self) -> dict[str, WorstQueries]:
        """`worst` of what is judged, pipelines that regressed or got worse first."""
        worse = {row.pipeline for row in self.quantities if row.verdict == "worse"}
        order = [row.pipeline for row in self.gates] or sorted(self.pipelines, key=lambda name: name not in worse)
        return {name: self.worst[name] for name in order if name in self.worst}


def counts(rows: Sequence[QuantityRow]) -> dict[str, int]:
    """Verdict -> how many rows have it, in the order of VERDICTS; none is left out for being 0."""
    found = [row.verdict for row in rows]
    return {verdict: found.count(verdict) for verdict in VERDICTS}


def gate_counts(rows: Sequence[GateRow]) -> dict[str, int]:
    """As `counts`, of the gates' verdicts."""
    found = [row.gate for row in rows]
    return {verdict: found.count(verdict) for verdict in GATE_VERDICTS}


def plain(value: Any) -> Any:
    """Dataclasses, mappings and sequences as JSON has them."""
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value
