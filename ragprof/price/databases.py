"""What a managed vector database costs a month: bytes of an index, queries a month -> USD. Measures nothing.

The shipped book is books/databases.toml, which explains its format.
"""

from __future__ import annotations

from datetime import date
from decimal import ROUND_CEILING, Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.files import read_toml
from ragprof.price.rates import DATABASES, Unpriced, books_folder

Amount = Annotated[Decimal, BeforeValidator(str), Field(ge=0)]
HOURS = 730
"""Of a month, as cloud providers count them."""
GB, MILLION = Decimal(10**9), Decimal(10**6)


class ManagedDatabase(BaseModel):
    """One table of the book. `verified` is the day on which its prices were read in the provider's own list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    usd_per_gb_month: Amount = Decimal(0)
    usd_per_million_reads: Amount = Decimal(0)
    reads_per_gb: Amount = Decimal(0)
    reads_at_least: Amount = Decimal(0)
    usd_per_unit_hour: Amount = Decimal(0)
    memory_gb: Amount = Decimal(0)
    memory_share: Annotated[Amount, Field(gt=0, le=1)] = Decimal(1)
    units_at_least: int = Field(0, ge=0)
    usd_at_least: Amount = Decimal(0)
    since: date
    source: str
    verified: date | Literal[False] = False
    note: str = ""

    def usd_per_month(self, index_bytes: int, queries_per_month: int | None) -> Decimal:
        """Raises Unpriced where queries are billed and nobody says how many there are."""
        held = index_bytes / GB
        total = held * self.usd_per_gb_month
        if self.usd_per_million_reads:
            if queries_per_month is None:
                raise Unpriced(f"'{self.name}' bills queries; set queries_per_month under [traffic]")
            reads = max(self.reads_at_least, held * self.reads_per_gb) * queries_per_month
            total += reads / MILLION * self.usd_per_million_reads
        if self.usd_per_unit_hour:
            units = (held / (self.memory_gb * self.memory_share)).to_integral_value(ROUND_CEILING)
            total += max(units, Decimal(self.units_at_least)) * self.usd_per_unit_hour * HOURS
        return max(total, self.usd_at_least)

    def as_json(self) -> dict[str, Any]:
        """What a report says of the rate."""
        return {
            "name": self.name,
            "since": self.since.isoformat(),
            "source": self.source,
            "verified": self.verified.isoformat() if self.verified else False,
            "note": self.note,
        }


def managed_database(name: str) -> ManagedDatabase:
    """Raises UnknownName."""
    known = {each.name: each for each in _book(books_folder() / DATABASES)}
    if name not in known:
        raise UnknownName("managed database", name, known)
    return known[name]


@cache
def _book(path: Path) -> tuple[ManagedDatabase, ...]:
    _, parsed = read_toml(path, what="book of databases")
    try:
        return tuple(ManagedDatabase.model_validate(each) for each in parsed["databases"])
    except ValidationError as failure:
        raise BadInput(str(failure.errors()[0]["msg"]), file=path) from None
