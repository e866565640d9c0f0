"""`ragprof list` and `ragprof corpora`: what is available, from names and first lines. Imports no plugin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragprof.cli import console
from ragprof.cli.options import with_progress
from ragprof.core.clock import step
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput, UnknownName

if TYPE_CHECKING:
    from ragprof.price.energy import RegionEnergy
    from ragprof.price.rates import PublishedRate

WHAT = ("all", "plugins", "corpora", "rates", "energy")
RecipeName = Annotated[str, typer.Argument(help="A recipe's name or folder.")]


def add_to(app: typer.Typer) -> None:
    """Make these commands part of the command line."""
    app.command("list")(show)
    corpora = typer.Typer(help="Build and inspect corpora that are made on this machine.", no_args_is_help=True)
    corpora.command("build")(with_progress(build_corpus))
    corpora.command("info")(show_corpus)
    app.add_typer(corpora, name="corpora")


def build_corpus(name: RecipeName) -> None:
    """Build a corpus by its recipe, unless it is built already.

    Example: ragprof corpora build python-docs
    """
    from ragprof.core.files import cache_folder, read_json
    from ragprof.corpus import build, find

    recipe = find(name, near=Path.cwd())
    with console.progress() as bars, step(bars, f"build the corpus '{name}'"):
        folder = build(recipe, cache=cache_folder())
    manifest = read_json(folder / "manifest.json", remedy=f"delete {folder} and build it again")
    console.line(f"{counted(manifest['docs'], 'passage')}, sha256 {manifest['sha256'][:16]}")
    for package, reason in manifest.get("left_out", {}).items():
        console.sentence(f"left out: {package} ({reason})")
    console.line(folder)


def show_corpus(name: RecipeName) -> None:
    """Show what a recipe makes, from which packages, under which licences.

    Example: ragprof corpora info python-docs
    """
    from ragprof.corpus import find, info, installed_versions
    from ragprof.report.terminal import columns

    folder = find(name, near=Path.cwd())
    if not (folder / "recipe.toml").is_file():
        raise BadInput("this corpus has no recipe; only what is built on this machine has more to tell", file=folder)
    recipe = info(folder)
    console.sentence(f"{recipe.name}: {recipe.title}")
    found = installed_versions(recipe).items()
    rows = [(package, version or "not installed", recipe.licences[package]) for package, version in found]
    console.show(columns(("package", "version", "licence"), rows))


def show(
    what: Annotated[
        str, typer.Argument(metavar="[WHAT]", help="plugins, corpora, rates or energy; default: all.")
    ] = "all",
) -> None:
    """List plugins, corpora, rates and regions.

    A region is one with a price of electricity.

    Example: ragprof list rates
    """
    from ragprof.core import registry

    if what not in WHAT:
        raise UnknownName("list", what, WHAT)
    if what in ("all", "plugins"):
        for kind in registry.KINDS:
            console.listing(kind, ((name, registry.summary(kind, name)) for name in registry.names(kind)))
    if what in ("all", "corpora"):
        console.listing(
            "corpora", ((path.parent.name, _title(path)) for path in sorted(Path("corpora").glob("*/recipe.toml")))
        )
    if what in ("all", "rates"):
        console.listing("rates", _rates())
    if what in ("all", "energy"):
        from ragprof.price.energy import region_named, regions

        console.listing("energy", ((name, _electricity(region_named(name))) for name in regions()))


def _rates() -> Iterator[tuple[str, str]]:
    """Yield every dated price of the shipped books, oldest first per name, followed by its limits."""
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
    from ragprof.core.files import read_toml

    try:
        return str(read_toml(recipe, what="recipe")[1].get("title", ""))
    except BadInput as problem:
        return f"not readable: {problem.message}"
