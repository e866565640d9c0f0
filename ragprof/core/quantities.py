"""What two recordings are compared on: quality, latency, usage, money and load, each under one name.

`nDCG@10` is the metric of the pipeline's final ranking, `search.nDCG@10` that of a stage; `latency_p95` is end to end,
`rerank.latency_p95` a stage's; `inject.prompt_tokens` is what a stage counted; `usd_per_1000_queries` is the bill,
`rerank.usd_per_1000_queries` a stage's; `capacity`, `goodput` and `load.p95` are what `ragprof load` measured. Knows
names only: whether a recording has such a figure is not asked here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ragprof.core import OTHER, STAGES
from ragprof.core.errors import UnknownName

Kind: TypeAlias = Literal["quality", "latency", "usage", "cost", "load"]
KINDS: tuple[Kind, ...] = ("quality", "latency", "usage", "cost", "load")
LATENCIES = ("p50", "p95")
LATENCY, MONEY = "latency_", "usd_per_1000_queries"
LOAD_RATES, LOAD_TAILS, UNDER_LOAD = ("capacity", "goodput"), ("p50", "p95", "p99"), "load."
PER_SECOND = "a second"
UNITS: dict[Kind, str] = {"quality": "", "latency": "ms", "usage": "", "cost": "USD", "load": "ms"}
COUNT = re.compile(r"[a-z][a-z0-9_]*")
EXAMPLES = (
    "nDCG@10", "search.R@20", "latency_p50", "latency_p95", "rerank.latency_p95", "inject.prompt_tokens", MONEY,
    *LOAD_RATES,
    *(f"{UNDER_LOAD}{name}" for name in LOAD_TAILS),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quantity:
    """`stage` is empty for the whole query and for the final ranking. `name` is a metric, `p50` or `p95`, a unit of
    usage, one of LOAD_RATES or LOAD_TAILS; empty for money."""

    kind: Kind
    stage: str
    name: str

    @property
    def label(self) -> str:
        """The name that people write: the inverse of `quantity`."""
        own = {"latency": f"{LATENCY}{self.name}", "cost": MONEY}.get(self.kind, self.name)
        if self.kind == "load" and self.name in LOAD_TAILS:
            own = f"{UNDER_LOAD}{self.name}"
        return f"{self.stage}.{own}" if self.stage else own

    @property
    def unit(self) -> str:
        """`ms`, `USD` (per 1,000 queries), the unit of usage (a query), `a second`, or nothing for a metric."""
        if self.kind == "load" and self.name in LOAD_RATES:
            return PER_SECOND
        return self.name if self.kind == "usage" else UNITS[self.kind]

    @property
    def lower_is_better(self) -> bool:
        return self.kind != "quality" and not (self.kind == "load" and self.name in LOAD_RATES)


def quantity(label: str) -> Quantity:
    """The quantity of a name. Raises UnknownName for what cannot be one; a metric's own name is not checked here."""
    stage, dot, rest = label.partition(".")
    if not dot or not (stage in STAGES or stage.startswith(OTHER)):
        stage, rest = "", label
    if label in LOAD_RATES:
        return Quantity("load", "", label)
    if label.startswith(UNDER_LOAD) and label.removeprefix(UNDER_LOAD) in LOAD_TAILS:
        return Quantity("load", "", label.removeprefix(UNDER_LOAD))
    if rest == MONEY:
        return Quantity("cost", stage, "")
    if rest.startswith(LATENCY) and rest.removeprefix(LATENCY) in LATENCIES:
        return Quantity("latency", stage, rest.removeprefix(LATENCY))
    if COUNT.fullmatch(rest) is None and rest:
        return Quantity("quality", stage, rest)
    if stage and not rest.startswith(LATENCY):
        return Quantity("usage", stage, rest)
    raise UnknownName("quantity", label, EXAMPLES)


def duration(nanoseconds: float) -> str:
    """ns as a reader's unit: 850 µs, 12.3 ms, 1.2 s."""
    scaled = [(float(f"{nanoseconds / size:.3g}"), unit) for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs"))]
    value, unit = next((each for each in scaled if abs(each[0]) >= 1), scaled[-1])
    return f"{value:g} {unit}"
