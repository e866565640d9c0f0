"""The table of the published prices that were applied, for the reports of all studies that price something."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ragprof.report import figures
from ragprof.report.tables import Cell, Column, Table, figure
from ragprof.studies.contract import AppliedRate


def rates_table(rates: Sequence[AppliedRate]) -> Table:
    """A row a rate."""
    columns: dict[Column, Callable[[AppliedRate], Cell]] = {
        Column("Rate", numeric=False): lambda rate: Cell(rate.name, rate.note),
        Column("Price"): lambda rate: figure(
            figures.plain_usd(rate.usd),
            "" if rate.request_usd is None else f"and {figures.plain_usd(rate.request_usd)} per request",
        ),
        Column("Per", numeric=False): _per_cell,
        Column("Valid from", numeric=False): lambda rate: figure(figures.text(rate.since)),
        Column("Verified", numeric=False): lambda rate: figure(figures.text(rate.verified)),
        Column("Source", numeric=False): _source_cell,
    }
    note = "Usage is a fact of the recording; these prices were applied to it."
    return Table.of("rates", "Rates", columns, rates, note)


def _per_cell(rate: AppliedRate) -> Cell:
    words = figures.per_words(rate.per, rate.unit)
    return figure(f"1 {words}" if rate.per == 1 else words)


def _source_cell(rate: AppliedRate) -> Cell:
    if not rate.source.startswith(("https://", "http://")):
        return Cell(rate.source)
    return Cell(rate.source.partition("://")[2].rstrip("/"), href=rate.source)
