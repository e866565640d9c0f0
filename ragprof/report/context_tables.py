"""Tables about the run as a whole: comparisons, rates, environment, what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.figures import ABSENT
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.tables import Cell, Column, Row, Table, Tone, figure

_VERDICTS: dict[str, tuple[str, Tone]] = {
    "better": ("\u25b2 better", "better"),
    "worse": ("\u25bc worse", "worse"),
    "undecided": ("\u25c7 undecided", "undecided"),
}
_KNOWN_MACHINE = {
    "cpu": "Processor",
    "cores": "Cores",
    "threads": "Threads used",
    "memory_bytes": "Memory",
    "gpu": "GPU",
    "os": "System",
    "python": "Python",
    "ragprof": "ragprof",
}


def comparisons(summary: Summary) -> Table:
    columns = (
        Column("Candidate", numeric=False),
        Column("Against", numeric=False),
        Column("Metric", numeric=False),
        Column("Difference", "95% interval"),
        Column("p"),
        Column("p", "Holm"),
        Column("n", "queries"),
        Column("Verdict", numeric=False),
    )
    rows = tuple(Row(_comparison_cells(comparison)) for comparison in entries(summary, "comparisons"))
    note = (
        "Paired by query; candidate minus baseline. p (Holm) is corrected for all comparisons in this table. "
        "Undecided means not distinguishable with these queries, which is not the same as equal."
    )
    return Table("comparisons", "All comparisons", columns, rows, note)


def _comparison_cells(comparison: Mapping[str, Any]) -> tuple[Cell, ...]:
    metric, stage = at(comparison, "metric"), at(comparison, "stage")
    candidate, baseline = at(comparison, "candidate"), at(comparison, "baseline")
    return (
        Cell(figures.text(candidate), pipeline=candidate or ""),
        Cell(figures.text(baseline), pipeline=baseline or ""),
        figure(
            figures.text(metric), "" if stage is None else f"{stage} ranking" if stage == "final" else f"after {stage}"
        ),
        _difference_cell(comparison),
        figure(figures.p_value(at(comparison, "p"))),
        figure(figures.p_value(at(comparison, "p_holm"))),
        figure(figures.count(at(comparison, "n"))),
        verdict_cell(comparison),
    )


def _difference_cell(comparison: Mapping[str, Any]) -> Cell:
    interval = figures.span(at(comparison, "interval"), figures.difference)
    return figure(figures.difference(at(comparison, "difference")), interval)


def verdict_cell(comparison: Mapping[str, Any]) -> Cell:
    verdict = at(comparison, "verdict")
    if verdict is None:
        return figure(ABSENT)
    words, tone = _VERDICTS.get(verdict, (verdict, ""))
    return Cell(words, needed(comparison), tone)


def needed(comparison: Mapping[str, Any]) -> str:
    """How many more queries would decide it; empty where nothing is missing or nothing is known."""
    more = at(comparison, "more_queries")
    return "" if more is None else f"about {figures.count(more)} more queries would be needed"


def rates(summary: Summary) -> Table:
    columns = (
        Column("Rate", numeric=False),
        Column("Price"),
        Column("Per", numeric=False),
        Column("Valid from", numeric=False),
        Column("Verified", numeric=False),
        Column("Source", numeric=False),
    )
    rows = tuple(Row(_rate_cells(rate)) for rate in entries(summary, "rates"))
    return Table("rates", "Rates", columns, rows, "Usage is a fact of the recording; these prices were applied to it.")


def _rate_cells(rate: Mapping[str, Any]) -> tuple[Cell, ...]:
    per = figures.count(at(rate, "per"))
    unit = str(at(rate, "unit") or "").replace("_", " ")
    unit = unit.removesuffix("s") if at(rate, "per") == 1 else unit
    return (
        Cell(figures.text(at(rate, "name")), at(rate, "note") or ""),
        figure(figures.plain_usd(at(rate, "usd"))),
        figure(ABSENT if per == ABSENT else f"{per} {unit}".strip()),
        figure(figures.text(at(rate, "since"))),
        figure(figures.text(at(rate, "verified"))),
        _source_cell(at(rate, "source")),
    )


def _source_cell(source: str | None) -> Cell:
    if source is None:
        return figure(ABSENT)
    if not source.startswith(("https://", "http://")):
        return Cell(source)
    return Cell(source.partition("://")[2].rstrip("/"), href=source)


def machine(summary: Summary) -> Table:
    """What the figures were measured on; packages are a list of their own."""
    environment = at(summary, "environment") or {}
    rows = [(label, _machine_text(key, at(environment, key))) for key, label in _KNOWN_MACHINE.items()]
    rows += [
        (key.replace("_", " ").capitalize(), _machine_text(key, value))
        for key, value in environment.items()
        if key not in _KNOWN_MACHINE and _is_plain(value)
    ]
    return _facts("machine", "Machine", rows)


def _is_plain(value: Any) -> bool:
    """Numbers and short texts; places on the machine's disk are nobody else's business."""
    return isinstance(value, int | float) or (isinstance(value, str) and "/" not in value and "\\" not in value)


def packages(summary: Summary) -> list[tuple[str, str]]:
    """Installed packages with their versions, by name."""
    return sorted(
        (name, figures.text(version)) for name, version in (at(summary, "environment", "packages") or {}).items()
    )


def measured(summary: Summary) -> Table:
    """The corpus, the queries and the work that was done for this report."""
    corpus, work = at(summary, "corpus"), at(summary, "work") or {}
    rows = [
        ("Eval", figures.text(at(summary, "eval"))),
        ("Corpus", figures.text(at(corpus, "name"))),
        ("Documents", figures.count(at(corpus, "docs"))),
        ("Tokens", figures.count(at(corpus, "tokens"))),
        ("Corpus SHA-256", _short_hash(at(corpus, "sha256"))),
        ("Queries", figures.count(at(summary, "queries"))),
        ("Seed", _seed(at(summary, "seed"))),
        *((key.replace("_", " ").capitalize(), figures.text(value)) for key, value in work.items()),
    ]
    return _facts("measured", "What was measured", rows)


def _machine_text(key: str, value: Any) -> str:
    return figures.size(value) if key.endswith("_bytes") else figures.text(value)


def _seed(seed: int | None) -> str:
    return ABSENT if seed is None else str(seed)


def _short_hash(digest: str | None) -> str:
    return ABSENT if digest is None else digest[:16]


def _facts(key: str, title: str, pairs: list[tuple[str, str]]) -> Table:
    columns = (Column("What", numeric=False), Column("Value", numeric=False))
    return Table(key, title, columns, tuple(Row((Cell(label), figure(value))) for label, value in pairs))
