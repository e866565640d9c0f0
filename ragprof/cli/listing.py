"""`ragprof list`: plugins from their files' names and first lines, corpora from their folders. Imports no plugin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ragprof.core import registry
from ragprof.core.errors import UnknownName

if TYPE_CHECKING:
    from ragprof.price.energy import RegionEnergy
    from ragprof.price.rates import PublishedRate


console = Console()
WHAT = ("all", "plugins", "corpora", "rates", "energy")


def show(what: str) -> None:
    """Print tables of names. Raises UnknownName for a list that there is not."""
    if what not in WHAT:
        raise UnknownName("list", what, WHAT)
    if what in ("all", "plugins"):
        for kind in registry.KINDS:
            _table(kind, ((name, registry.summary(kind, name)) for name in registry.names(kind)))
    if what in ("all", "corpora"):
        _table("corpora", ((path.parent.name, _title(path)) for path in sorted(Path("corpora").glob("*/recipe.toml"))))
    if what in ("all", "rates"):
        _table("rates", _rates())
    if what in ("all", "energy"):
        from ragprof.price.energy import region_named, regions

        _table("energy", ((name, _electricity(region_named(name))) for name in regions()))


def _table(title: str, rows: Iterable[tuple[str, str]]) -> None:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 2, 0, 0)
    )
    shown = list(rows)
    table.add_column(style="cyan", no_wrap=True, min_width=max([22, *(len(name) for name, _ in shown)]))
    table.add_column(overflow="ellipsis", no_wrap=True)
    for name, text in shown:
        table.add_row(name, text)
    console.print(table)
    console.print()


def _rates() -> Iterator[tuple[str, str]]:
    """Every dated price of the shipped books, a name's oldest first, and under its last one what it is limited to."""
    from ragprof.price.rates import FREE, catalogue

    books = catalogue()
    for name in sorted({FREE, *books}):
        entries = books.get(name, ())
        yield from ((name, _price(rate)) for rate in entries)
        yield from (("", limits) for limits in _limits(entries[-1])) if entries else [(name, "written down by you")]
    yield "", "? not read in the provider's own list"


def _price(rate: PublishedRate) -> str:
    many = {1: "", 1_000: "1k ", 1_000_000: "1M "}.get(rate.per, f"{rate.per:,} ")
    mark = "" if rate.verified else " ?"
    return f"${rate.usd:f}/{many}{_plural(rate.unit, rate.per)}, {rate.since}{mark}"


def _limits(rate: PublishedRate) -> Iterator[str]:
    billed = [(rate.docs_per_unit, "{} docs"), (rate.window_tokens, "{} tokens each")]
    taken = [(rate.max_docs, "{} docs"), (rate.max_tokens, "window {}")]
    for title, counts in ((f"  a {rate.unit}: ", billed), ("  a call: ", taken)):
        told = [text.format(f"{count:,}") for count, text in counts if count]
        if told:
            yield title + ", ".join(told)


def _plural(unit: str, count: int) -> str:
    if count == 1:
        return unit
    stem, ending = (unit[:-1], "ies") if unit.endswith("y") else (unit, "es" if unit.endswith("ch") else "s")
    return stem + ending


def _electricity(region: RegionEnergy) -> str:
    stands_in = f" (as {region.price_of})" if region.price_of != region.region else ""
    usd, kg = region.price.usd_per_kwh, region.carbon.kg_co2_per_kwh
    return f"{region.name}: {usd:f} USD{stands_in}, {kg:f} kg CO2e a kWh"


def _title(recipe: Path) -> str:
    import tomllib

    return str(tomllib.loads(recipe.read_text(encoding="utf-8")).get("title", ""))
