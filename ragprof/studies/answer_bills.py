"""What answering costs: the price pass's rows of one pipeline and setting as a bill. Prices nothing and reads no file.

A bill is the sum over items of the item's mean over the questions that it is known for (machine time is known for timed
questions alone). One null among the rows makes the whole bill UNPRICED: None, never 0. Money is exact in Decimal; only
its intervals, which are statistics, go through floats.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

import numpy as np
import pandas as pd

from ragprof.price.pricing import EXACT, QUERIES, plain
from ragprof.studies.query_draws import Array, Draws, ends


@dataclass(frozen=True)
class Bill:
    """item -> query_id -> USD; at least one item, each of at least one question."""

    items: Mapping[str, Mapping[str, Decimal]]

    def per_query(self) -> Decimal:
        """Mean USD of a question."""
        with localcontext(EXACT):
            return sum((sum(usd.values(), Decimal(0)) / len(usd) for usd in self.items.values()), Decimal(0))

    def drawn(self, draws: Draws) -> Array:
        """Mean USD of a question in each resample; NaN where one drew no question that an item is known for."""
        means = [draws.mean(pd.Series({key: float(usd) for key, usd in item.items()})) for item in self.items.values()]
        return np.asarray(np.sum(means, axis=0))

    @property
    def rests_on(self) -> int:
        """Questions that every item is known for at least."""
        return min(len(usd) for usd in self.items.values())


def bill_of(costs: pd.DataFrame, ids: Collection[str]) -> Bill | None:
    """The bill of one pipeline's and setting's rows, over these questions; None where unpriced or not priced at all."""
    rows = costs[costs["query_id"].isin(list(ids))]
    if rows.empty or rows["usd"].isna().any():
        return None
    return Bill(
        {str(item): dict(zip(of["query_id"], of["usd"], strict=True)) for item, of in rows.groupby("item", sort=False)}
    )


def usd_per_1000(bill: Bill | None) -> str | None:
    """Decimal string of six significant digits."""
    return None if bill is None else plain(bill.per_query() * QUERIES)


def usd_interval(bill: Bill | None, draws: Draws) -> list[str] | None:
    """Its interval over questions; None where an item is known for a single one."""
    if bill is None or bill.rests_on < 2:
        return None
    found = ends(bill.drawn(draws) * QUERIES)
    return None if found is None else [plain(Decimal(repr(end))) for end in found]


def usd_for_each(bill: Bill | None, count: float | None) -> str | None:
    """The bill of a question over how much of something it brings (tokens, say); None where it brings nothing."""
    if bill is None or not count or np.isnan(count):
        return None
    with localcontext(EXACT):
        return plain(bill.per_query() / Decimal(repr(float(count))))


def added_usd(dearer: Bill | None, cheaper: Bill | None) -> Decimal | None:
    """What a question costs more under the first bill than under the second."""
    if dearer is None or cheaper is None:
        return None
    with localcontext(EXACT):
        return dearer.per_query() - cheaper.per_query()
