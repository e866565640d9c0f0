"""A figure that a test asks for: value, interval, number of queries, and the two checks that it takes."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ragprof.pytest_plugin.cases import Case
from ragprof.pytest_plugin.checks import Check, bound_check
from ragprof.pytest_plugin.words import number, span
from ragprof.quantities import Quantity


@dataclass(frozen=True, eq=False, repr=False)
class Figure:
    """`interval` is of 95 % over queries, None with a single query. Metrics as they are, latency in ms, usage a query,
    money in USD per 1,000 queries. `by_query` is what each query has; `rankings` are the documents it got, best first.
    """

    quantity: Quantity
    pipeline: str
    value: float
    interval: tuple[float, float] | None
    n: int
    by_query: pd.Series
    rankings: pd.DataFrame
    case: Case

    @property
    def name(self) -> str:
        return f"{self.quantity.label} of {self.pipeline}"

    def __repr__(self) -> str:
        kind = self.quantity.kind
        return f"{self.name} = {number(self.value, kind)} {span(self.interval, kind)} (n {self.n})"

    def at_least(self, bound: float) -> Check:
        """Holds where the lower end of the interval is not below the bound: the figure is that high, beyond chance."""
        return self.case.made(bound_check(self, bound, "at least"))

    def at_most(self, bound: float) -> Check:
        """Holds where the upper end of the interval is not above the bound."""
        return self.case.made(bound_check(self, bound, "at most"))
