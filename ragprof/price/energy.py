"""What electricity costs and emits, by region: joules -> USD and kg CO2e. Measures nothing.

The shipped book is books/energy.toml, which explains its format; a book of the user's own goes before it, figure by
figure. A figure that a region does not have is taken from the wider region that it names as `within`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.files import read_toml
from ragprof.price.rates import ENERGY, books_folder

JOULES_PER_KWH = 3_600_000
Amount = Annotated[Decimal, BeforeValidator(str), Field(ge=0)]


class EnergyFigure(BaseModel):
    """`as_of` is the last day of what it is the mean of, `verified` the day on which it was read in its own source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_of: date
    source: str
    verified: date | Literal[False] = False
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "date": self.as_of.isoformat(),
            "source": self.source,
            "verified": self.verified.isoformat() if self.verified else False,
            "note": self.note,
        }


class Price(EnergyFigure):
    """What businesses pay."""

    usd_per_kwh: Amount


class Carbon(EnergyFigure):
    """What generating it emits."""

    kg_co2_per_kwh: Amount


class Region(BaseModel):
    """One table of a book."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    within: str | None = None
    price: Price | None = None
    carbon: Carbon | None = None


class Book(BaseModel):
    """A whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    regions: dict[str, Region]


Regions: TypeAlias = dict[str, Region]


@dataclass(frozen=True)
class RegionEnergy:
    """A region's figures, and the regions that they are of: itself, or wider ones that stand in for it."""

    region: str
    name: str
    price: Price
    price_of: str
    carbon: Carbon
    carbon_of: str

    def as_json(self) -> dict[str, Any]:
        """Money and mass are strings, as they stand in the book."""
        return {
            "region": self.region,
            "name": self.name,
            "usd_per_kwh": format(self.price.usd_per_kwh, "f"),
            "price": {"region": self.price_of, **self.price.as_json()},
            "kg_co2_per_kwh": format(self.carbon.kg_co2_per_kwh, "f"),
            "carbon": {"region": self.carbon_of, **self.carbon.as_json()},
        }


@dataclass(frozen=True)
class EnergyCost:
    """What some electricity cost, and the kg CO2e of generating it."""

    usd: Decimal
    kg_co2: Decimal


def cost_of(joules: float | Decimal, region: RegionEnergy) -> EnergyCost:
    """Price and emissions of electricity at the region's averages."""
    kwh = Decimal(str(joules)) / JOULES_PER_KWH
    return EnergyCost(kwh * region.price.usd_per_kwh, kwh * region.carbon.kg_co2_per_kwh)


def region_named(name: str, *, book: Path | None = None) -> RegionEnergy:
    """Raises UnknownName for a region that no book has, BadInput for a book that cannot be read."""
    known = regions(book)
    wider: list[str] = []  # the region and all that it is within, nearest first
    step: str | None = name
    while step is not None:
        if step not in known:
            raise UnknownName("region with a price of electricity", step, known, file=book)
        if step in wider:
            raise BadInput(f"region '{name}' is within itself: {' -> '.join([*wider, step])}", file=book)
        wider.append(step)
        step = known[step].within
    price = next(((of, known[of].price) for of in wider if known[of].price), None)
    carbon = next(((of, known[of].carbon) for of in wider if known[of].carbon), None)
    if price is None or price[1] is None:
        raise _incomplete(name, "price, with usd_per_kwh", book)
    if carbon is None or carbon[1] is None:
        raise _incomplete(name, "carbon, with kg_co2_per_kwh", book)
    return RegionEnergy(name, known[name].name or name, price[1], price[0], carbon[1], carbon[0])


def regions(book: Path | None = None) -> Regions:
    """Every region by its name: the shipped ones, a book's own figures on top."""
    known = dict(_shipped())
    for name, region in (read_energy_book(book) if book else {}).items():
        under = known.get(name, Region())
        known[name] = under.model_copy(update={key: getattr(region, key) for key in region.model_fields_set})
    return known


@cache
def _shipped() -> Regions:
    return read_energy_book(books_folder() / ENERGY)


def read_energy_book(path: Path) -> Regions:
    """Raises BadInput or UnknownName with file and line for anything that is no region."""
    text, table = read_toml(path, what="energy book")
    try:
        return Book.model_validate(table).regions
    except ValidationError as failure:
        from ragprof.evals import complaint, line_of

        problem = failure.errors()[0]
        place, line = problem["loc"], line_of(text, problem["loc"])
        if problem["type"] != "extra_forbidden":
            raise BadInput(complaint(failure), file=path, line=line) from None
        models: dict[int, type[BaseModel]] = {1: Book, 3: Region}
        keys = models.get(len(place), Price if "price" in place else Carbon).model_fields
        raise UnknownName("key of an energy book", str(place[-1]), keys, file=path, line=line) from None


def _incomplete(name: str, what: str, book: Path | None) -> BadInput:
    return BadInput(f"region '{name}' has no {what}; write one, or a wider region as within", file=book)
