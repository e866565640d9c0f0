"""Verdicts at a glance, a row a pipeline, and rerankers side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.injection.cells import PIPELINE, estimate_cell, plain, share_cell
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.reranker import study
from ragprof.report.reranker.cells import (
    added_cell,
    difference_cell,
    is_llm_unpriced,
    is_net_unpriced,
    money,
    score_change,
    signed_usd,
)
from ragprof.report.tables import Cell, Column, Row, Table, figure

_AGREED = {"same_first": "same first passage", "overlap": "shared passages", "kendall_tau": "Kendall's tau"}


def glance(summary: Summary) -> Table:
    """One row a pipeline: the verdict, what the reranker brings, takes and costs."""
    columns = (
        *(PIPELINE, Column("Verdict", numeric=False), Column("Gain", _metric_words(summary))),
        *(Column("Added time", "p50 of a query"), Column("Reranker", "USD per 1,000 queries")),
        *(Column("Prompt tokens saved", "USD per 1,000 queries"), Column("Net", "USD per 1,000 queries")),
        Column("Questions", "n"),
    )
    rows = tuple(Row(_glance_cells(summary, name)) for name in study.names(summary))
    note = (
        "Small figures are 95% intervals. Gain: paired by query, against the same pipeline without its reranker. "
        "Net above 0 costs, below 0 saves. KEEP, DROP and SHRINK are told by the intervals; UNDECIDED means that these "
        f"queries do not tell. {_unpriced(summary)}"
    )
    return Table("reranker-glance", "Verdicts at a glance", columns, rows, note.strip())


def _metric_words(summary: Summary) -> str:
    return " or ".join(dict.fromkeys(study.metric(summary, name) for name in study.names(summary)))


def _unpriced(summary: Summary) -> str:
    told = {name: study.why_unpriced(study.of(summary, name)) for name in study.names(summary)}
    words = [f"{name} ({reason})" for name, reason in told.items() if reason]
    return f"{figures.UNPRICED}: {'; '.join(words)}." if words else ""


def _glance_cells(summary: Summary, name: str) -> tuple[Cell, ...]:
    one = study.of(summary, name)
    statement = at(one, "statement")
    depth = at(one, "own_depth")
    what = " over ".join(
        filter(None, (at(one, "reranker"), None if depth is None else f"{figures.count(depth)} candidates"))
    )
    return (
        Cell(name, what, pipeline=name),
        study.verdict_cell(one),
        difference_cell(study.gain(one, study.metric(summary, name))),
        added_cell(statement, "p50"),
        *money_cells(statement),
        figure(figures.count(study.queries(summary, name))),
    )


def money_cells(statement: Any) -> tuple[Cell, Cell, Cell]:
    """The reranker's cost, what is saved, and net."""
    return (
        money(statement, "reranker_usd_per_1000_queries", "reranker_usd_interval"),
        money(
            statement,
            "llm_usd_saved_per_1000_queries",
            "llm_usd_saved_interval",
            lacks_price=is_llm_unpriced(statement),
        ),
        money(
            statement,
            "net_usd_per_1000_queries",
            "net_interval",
            lacks_price=is_net_unpriced(statement),
            write=signed_usd,
        ),
    )


def side_by_side(summary: Summary) -> Table:
    """A student beside its teacher. No rows where nothing was compared."""
    columns = (
        *(Column("Student", numeric=False), Column("Teacher", numeric=False), Column("Over", numeric=False)),
        *(Column("Retained", "share of the gain"), Column("Quality", "share of the teacher's")),
        *(Column("Difference", study_metric(summary)), Column("Same order", "see the note", numeric=False)),
        *(Column("Cost", "of the teacher's"), Column("Latency", "of the teacher's")),
    )
    found = entries(summary, "reranker_study", "side_by_side")
    rows = tuple(Row(_side_cells(one)) for one in found)
    note = (
        "Small figures are 95% intervals. Rerankers rank the same candidates. Retained: the student's gain over search "
        "divided by the teacher's (of an embedder: its quality). Same order: queries with the same first passage, "
        "passages shared among those injected, and Kendall's tau of the two orders (1 is the same, 0 is chance)."
    )
    return Table("reranker-sides", "Teacher and student side by side", columns, rows, note)


def study_metric(summary: Summary) -> str:
    return figures.text(at(summary, "reranker_study", "metric"))


def _side_cells(one: Mapping[str, Any]) -> tuple[Cell, ...]:
    over = at(one, "over")
    p = at(one, "p")
    difference = score_change(at(one, "difference"))
    note = difference.note if p is None else f"{difference.note}, p = {figures.p_value(p)}".replace("= <", "<")
    return (
        Cell(figures.text(at(one, "student")), figures.text(at(one, "kind"))),
        figure(figures.text(at(one, "teacher"))),
        Cell(figures.text(over), pipeline=over or ""),
        *(share_cell(at(one, "retained")), share_cell(at(one, "quality_share"))),
        *(Cell(difference.text, note, difference.tone), _agreement_cell(at(one, "agreement"))),
        figure(figures.ABSENT if at(one, "cost_ratio") is None else f"{plain(at(one, 'cost_ratio'))}\u00d7"),
        estimate_cell(
            at(one, "latency_ratio"), lambda value: figures.ABSENT if value is None else f"{plain(value)}\u00d7"
        ),
    )


def _agreement_cell(found: Any) -> Cell:
    words = []
    for key, title in _AGREED.items():
        write = figures.score if key == "kendall_tau" else figures.share
        mean = at(found, key, "mean")
        if mean is not None:
            words.append(f"{title} {write(mean)} ({figures.span(at(found, key, 'interval'), write)})")
    return Cell("; ".join(words), tone="quiet") if words else figure(figures.ABSENT)
