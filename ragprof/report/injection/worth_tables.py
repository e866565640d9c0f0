"""Tables of what an answer is worth: unit economics with their formulas, utility at the presets, who wins where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.injection import study
from ragprof.report.injection.answer_tables import seconds
from ragprof.report.injection.cells import PIPELINE, cost_cell, estimate_cell, plain
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.tables import Cell, Column, Row, Table, figure

_QUANTITIES = {
    "usd_per_query": "Cost per query",
    "usd_per_correct_answer": "Cost per correct answer",
    "usd_per_token_of_correctness": "Cost per token of correctness",
    "correct_answers_per_million_tokens": "Correct answers per million tokens",
    "tokens_per_query": "Tokens per query",
    "joules_per_query": "Energy per query",
    "energy_usd_per_1000_queries": "Energy cost of 1,000 queries",
    "joules_per_correct_answer": "Energy per correct answer",
    "kg_co2_per_1000_queries": "CO\u2082 of 1,000 queries",
    "accuracy": "Accuracy (A)",
    "relevance": "Relevance (R)",
    "time_to_first_token_s": "Time to first token (L)",
    "utility": "Utility (U)",
}
_ENERGY: dict[str, Callable[[Any], str]] = {
    **{"joules_per_query": plain, "joules_per_correct_answer": plain},
    **{"energy_usd_per_1000_queries": figures.usd, "kg_co2_per_1000_queries": plain},
}


def economics(summary: Summary) -> Table:
    """Money and tokens of an answer. No rows where no pipeline has any."""
    columns = (
        *(PIPELINE, Column("Cost", "per query"), Column("Cost", "per correct answer")),
        *(Column("Cost", "per token of correctness"), Column("Correct answers", "per million tokens")),
        Column("Tokens", "per query"),
    )
    rows = tuple(Row(_economics_cells(summary, name)) for name in _earners(summary))
    note = f"Small figures are 95% intervals, resampled by question; {study.basis(summary)}. {_why_unpriced(summary)}"
    return Table("injection-economics", "Unit economics", columns, rows, note.strip())


def energy(summary: Summary) -> Table:
    """Joules and CO\u2082 of an answer, marked where they are an estimate. No rows where no pipeline has any."""
    columns = (
        *(PIPELINE, Column("Energy", "J per query"), Column("Energy", "J per correct answer")),
        *(Column("Energy cost", "USD per 1,000 queries"), Column("CO\u2082", "kg per 1,000 queries")),
    )
    found = {name: study.economics(summary, name) for name in _earners(summary)}
    known = {name: one for name, one in found.items() if any(at(one, key) for key in _ENERGY)}
    rows = tuple(
        Row((Cell(name, pipeline=name), *(estimate_cell(at(one, key), write) for key, write in _ENERGY.items())))
        for name, one in known.items()
    )
    marked = " (estimate)" if study.is_estimated(summary) else ""
    told = "From a stated wattage, not metered. " if marked else ""
    note = f"{told}Small figures are 95% intervals; {study.basis(summary)}."
    return Table("injection-energy-used", f"Energy and CO\u2082 of an answer{marked}", columns, rows, note)


def _earners(summary: Summary) -> list[str]:
    return [name for name in study.names(summary) if study.economics(summary, name)]


def _why_unpriced(summary: Summary) -> str:
    found = {name: study.unpriced(summary, name) for name in _earners(summary)}
    told = [f"{name} ({'; '.join(reasons)})" for name, reasons in found.items() if reasons]
    return f"{figures.UNPRICED}: {', '.join(told)}." if told else ""


def _economics_cells(summary: Summary, name: str) -> tuple[Cell, ...]:
    found = study.economics(summary, name)
    costs = (cost_cell(found, key) for key in list(_QUANTITIES)[:3])
    return (
        *(Cell(name, pipeline=name), *costs),
        estimate_cell(at(found, "correct_answers_per_million_tokens"), plain),
        estimate_cell(at(found, "tokens_per_query"), figures.mean_count),
    )


def formulas(summary: Summary) -> Table:
    """How each figure of the economics is worked out, in words. No rows where the summary does not say."""
    told: dict[str, str] = {}
    for name in _earners(summary):
        told = {**(at(study.economics(summary, name), "formulas") or {}), **told}
    places = list(_QUANTITIES)
    keys = sorted(told, key=lambda key: places.index(key) if key in places else len(places))
    rows = tuple(Row((Cell(quantity(key)), Cell(figures.text(told[key])))) for key in keys)
    columns = (Column("Figure", numeric=False), Column("How it is worked out", numeric=False))
    return Table("injection-formulas", "How these figures are worked out", columns, rows)


def quantity(key: str) -> str:
    return _QUANTITIES.get(key) or key.replace("_", " ").capitalize()


def utility(summary: Summary) -> Table:
    """U at each named time-sensitivity beside the A, R and L that it is made of. No rows without any."""
    found = study.presets(summary)
    columns = (
        *(PIPELINE, Column("Accuracy", "A"), Column("Relevance", "R, nDCG of the prompt")),
        Column("First token", "L, end to end"),
        *(Column(*_field(one)) for one in found),
    )
    known = [name for name in _earners(summary) if at(study.economics(summary, name), "utility")]
    rows = tuple(Row(_utility_cells(summary, name, found)) for name in known)
    reasons = [f"{figures.text(at(one, 'name'))} ({one['reason']})" for one in found if at(one, "reason")]
    told = f" {'; '.join(reasons)}." if reasons else ""
    note = f"{study.formula(summary)}, L in seconds; small figures are 95% intervals.{told}"
    return Table("injection-utility", "Utility by how much time matters", columns, rows, note)


def _field(preset: Mapping[str, Any]) -> tuple[str, str]:
    """Title and unit of a field's column; one that is named by its k is not told it twice."""
    name, k = figures.text(at(preset, "name")), f"k = {preset['k']:g}"
    return ("U", k) if name == k else (f"U, {name}", k)


def _utility_cells(summary: Summary, name: str, presets: list[Mapping[str, Any]]) -> tuple[Cell, ...]:
    found = study.economics(summary, name)
    parts = (estimate_cell(at(found, key), figures.score) for key in ("accuracy", "relevance"))
    at_presets = (estimate_cell(study.utility_at(summary, name, float(one["k"])), plain) for one in presets)
    return (
        *(Cell(name, pipeline=name), *parts, estimate_cell(at(found, "time_to_first_token_s"), seconds)),
        *at_presets,
    )


def winners(summary: Summary) -> Table:
    """Which pipeline has the highest U over which stretch of k."""
    columns = (Column("k", numeric=False), Column("Highest U", numeric=False), Column("Agreement", "of resamples"))
    rows = tuple(Row(_winner_cells(one)) for one in entries(summary, "injection", "utility", "winners"))
    note = "Agreement: share of the resamples of the questions in which the same pipeline is ahead."
    return Table("injection-winners", "Which pipeline wins for which time-sensitivity", columns, rows, note)


def _winner_cells(found: Mapping[str, Any]) -> tuple[Cell, ...]:
    ends = [figures.text(None) if end is None else f"{end:.2g}" for end in (at(found, "from_k"), at(found, "to_k"))]
    name = at(found, "pipeline")
    winner = Cell(name, pipeline=name) if name else Cell("undecided", tone="undecided")
    return (Cell(" to ".join(ends)), winner, figure(figures.share(at(found, "share"))))
