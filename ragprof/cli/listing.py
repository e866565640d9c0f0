"""`ragprof list`: plugins from their files' names and first lines, corpora from their folders. Imports no plugin."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ragprof import registry
from ragprof.errors import UnknownName

if TYPE_CHECKING:
    from ragprof.price.energy import RegionEnergy

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
        from ragprof.price.rates import rate_names

        _table("rates", ((name, "") for name in rate_names()))
    if what in ("all", "energy"):
        from ragprof.price.energy import region_named, regions

        _table("energy", ((name, _electricity(region_named(name))) for name in regions()))


def _table(title: str, rows: Iterable[tuple[str, str]]) -> None:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 2, 0, 0)
    )
    table.add_column(style="cyan", no_wrap=True, min_width=22)
    table.add_column(overflow="ellipsis", no_wrap=True)
    for name, text in rows:
        table.add_row(name, text)
    console.print(table)
    console.print()


def _electricity(region: RegionEnergy) -> str:
    stands_in = f" (as {region.price_of})" if region.price_of != region.region else ""
    usd, kg = region.price.usd_per_kwh, region.carbon.kg_co2_per_kwh
    return f"{region.name}: {usd:f} USD{stands_in}, {kg:f} kg CO2e a kWh"


def _title(recipe: Path) -> str:
    import tomllib

    return str(tomllib.loads(recipe.read_text(encoding="utf-8")).get("title", ""))
