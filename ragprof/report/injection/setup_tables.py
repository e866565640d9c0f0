"""Tables of the frame: token budgets kept or not, where the energy figures come from, how answers were made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.injection import study
from ragprof.report.injection.cells import PIPELINE, facts, money_cell, plain
from ragprof.report.lookup import Summary, at
from ragprof.report.tables import Cell, Column, Row, Table, figure

_SOURCES = {"nvml": "the GPU's own counter (NVML)", "rapl": "the processor's own counter (RAPL)"}


def budget(summary: Summary) -> Table:
    """Each pipeline against the limits of the eval file. No rows where it sets none."""
    found = at(summary, "injection", "budget")
    tokens, usd = at(found, "tokens_per_query"), at(found, "usd_per_1000_queries")
    columns = (
        *(PIPELINE, Column("Tokens per query", _limit(tokens, figures.count))),
        *(Column("Cost of 1,000 queries", _limit(usd, figures.usd)), Column("Budget", numeric=False)),
    )
    known = at(found, "pipelines") or {}
    ordered = [name for name in study.names(summary) if name in known]
    rows = tuple(Row(_budget_cells(name, known[name])) for name in ordered)
    return Table("injection-budget", "Against the budget", columns, rows, "Limits are those of the eval file.")


def _limit(value: Any, write: Any) -> str:
    return "no limit" if value is None else f"limit {write(value)}"


def _budget_cells(name: str, found: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (
        *(Cell(name, pipeline=name), figure(figures.mean_count(at(found, "tokens_per_query")))),
        *(money_cell(found, "usd_per_1000_queries"), _within(at(found, "within"))),
    )


def _within(within: bool | None) -> Cell:
    if within is None:
        return figure(figures.ABSENT)
    return Cell("within", tone="better") if within else Cell("over", tone="worse")


def energy(summary: Summary) -> Table:
    """Where joules, their price and their CO\u2082 come from. No rows where no energy was told."""
    found = at(summary, "injection", "energy")
    source = at(found, "source")
    usd = at(found, "usd_per_kwh")
    pairs = {
        "Source": "estimate, from a stated wattage" if source == "estimate" else _counters(source),
        "Power": None if at(found, "watts") is None else f"{plain(at(found, 'watts'))} W",
        "Region": at(found, "region"),
        "Price": None if usd is None else f"{figures.plain_usd(usd)} per kWh",
        "Carbon": None if at(found, "kg_co2_per_kwh") is None else f"{found['kg_co2_per_kwh']} kg CO\u2082 per kWh",
        "As of": at(found, "date"),
    }
    columns = (Column("What", numeric=False), Column("Value", numeric=False))
    return Table(
        "injection-energy",
        "Where the energy figures come from",
        columns,
        facts(pairs),
        str(at(found, "statement") or ""),
    )


def _counters(source: Any) -> str | None:
    """`nvml+rapl` in words."""
    return None if source is None else " and ".join(_SOURCES.get(part, part) for part in str(source).split("+"))


def setup(summary: Summary) -> Table:
    """Who answered, what was asked and how much of it was computed."""
    found = at(summary, "injection")
    generator = at(found, "generator")
    work = {key.replace("_", " ").capitalize(): value for key, value in (at(found, "work") or {}).items()}
    seed = at(found, "seed")
    pairs = {
        "Model": at(generator, "model") or at(found, "time_to_first_token", "model"),
        "Generator": at(generator, "name"),
        **{key.capitalize(): at(generator, key) for key in ("precision", "device")},
        **{"Priced as": at(found, "priced_as"), "Questions": at(found, "questions")},
        **{"Unanswerable": at(found, "unanswerable"), "Correct is": at(found, "correct")},
        **{"Seed": None if seed is None else str(seed), **work},
    }
    columns = (Column("What", numeric=False), Column("Value", numeric=False))
    return Table("injection-setup", "How answers were made", columns, facts(pairs))
