"""What a run may spend on embedders that are paid by the token. Knows no rate: it is told what tokens cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TypeAlias

from ragprof.core.errors import BadInput
from ragprof.core.stages import Embedder
from ragprof.report import figures

Bill: TypeAlias = Callable[[int], Decimal]
"""Tokens -> USD."""


@dataclass
class Purse:
    """A budget in USD for one run. `bills` are by id() of the embedder; what is not in it costs nothing."""

    usd: Decimal
    bills: Mapping[int, Bill]
    spent: Decimal = field(default=Decimal(0))

    def opened(self, embedder: Embedder, tokens: int) -> Callable[[int], None] | None:
        """What is to be told of every token that was paid for, None where they cost nothing.

        `tokens` are those expected. Raises BadInput where they would cost more than is left.
        """
        bill = self.bills.get(id(embedder))
        if bill is None:
            return None
        expected, left = bill(tokens), self.usd - self.spent
        if expected > left:
            raise BadInput(
                f"about {tokens:,} tokens are still to be embedded, for about {figures.usd(expected)}: more than the "
                f"{figures.usd(left)} that the budget leaves; raise --budget-usd, or embed less with --passages"
            )
        return partial(self._paid, bill)

    def _paid(self, bill: Bill, tokens: int) -> None:
        self.spent += bill(tokens)
        if self.spent > self.usd:
            raise BadInput(
                f"the budget of {figures.usd(self.usd)} is spent ({figures.usd(self.spent)}); what was embedded is "
                "kept, so that a run with a larger --budget-usd goes on from there"
            )


def budget_of(written: Decimal | str) -> Decimal:
    """USD as written. Raises BadInput for what is no amount."""
    try:
        usd = Decimal(written)
    except InvalidOperation:
        usd = Decimal(-1)
    if not usd.is_finite() or usd < 0:
        raise BadInput(f"a budget of '{written}' is no amount of USD; write it like 2.50")
    return usd
