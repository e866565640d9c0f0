"""The depth curve as tables, the headroom of the candidates, and what the reranker did not get to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ragprof.report import figures
from ragprof.report.injection.cells import estimate_cell
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.pipeline_tables import quantile_cell
from ragprof.report.reranker import study
from ragprof.report.reranker.cells import cost_at, difference_cell, net_at, score_change
from ragprof.report.tables import Cell, Column, Row, Table, figure, group

_COMPOSED = "Composed: search and inject as timed, plus the reranker's time per candidate; not timed at that depth."


def curve(summary: Summary, name: str) -> Table:
    """A row a depth at the pipeline's own k."""
    one = study.of(summary, name)
    found = study.steps(one)
    metric = study.metric(summary, name)
    columns = (Column("Depth", "candidates", numeric=False), *_step_columns(metric))
    rows = tuple(Row((_depth_cell(one, step), *_step_cells(step, metric, at(one, "statement")))) for step in found)
    k = figures.count(at(found[0], "k")) if found else figures.ABSENT
    note = (
        f"At k = {k} chunks in the prompt. Small figures are 95% intervals, {study.basis(summary, name)}; p50 live, "
        f"end to end, of the queries counted beside it. {_COMPOSED} Gain: against the search order; net below 0 saves."
    )
    return Table("reranker-depth", "Depth by depth", columns, rows, note)


def _step_columns(metric: str) -> tuple[Column, ...]:
    return (
        *(Column(metric, "95% interval"), Column("Gain", f"{metric}, 95% interval")),
        *(Column("p50", "live"), Column("p50", "composed"), Column("Timed", "queries")),
        *(Column("Reranker", "USD per 1,000 queries"), Column("Net", "USD per 1,000 queries")),
        Column("Prompt", "tokens"),
    )


def _depth_cell(one: Mapping[str, Any], step: Mapping[str, Any]) -> Cell:
    marks = marks_of(one, step["depth"])
    return Cell(figures.count(step["depth"]), ", ".join(marks), "strong" if marks else "")


def marks_of(one: Mapping[str, Any], depth: Any) -> list[str]:
    """What that depth is: the pipeline's own, the knee, where quality starts to fall."""
    known = {
        "own": at(one, "own_depth"),
        "knee": at(one, "knee", "depth"),
        "falls from here": at(one, "falls_from", "depth"),
    }
    return [word for word, found in known.items() if found is not None and found == depth]


def _step_cells(step: Mapping[str, Any], metric: str, statement: Any) -> tuple[Cell, ...]:
    return (
        estimate_cell(at(step, "scores", metric), figures.score),
        score_change(at(step, "gain")),
        quantile_cell(step, "p50"),
        figure(figures.duration(at(step, "composed_p50_ns"))),
        figure(figures.count(at(step, "timed_queries"))),
        cost_at(statement, step),
        net_at(statement, step),
        figure(figures.mean_count(at(step, "prompt_tokens"))),
    )


def grid(summary: Summary, name: str) -> Table:
    """Every depth and every k with the scores of that k. No rows where there is just one k."""
    found = [step for step in entries(study.of(summary, name), "depth_curve") if at(step, "depth") is not None]
    statement = at(study.of(summary, name), "statement")
    by_depth: dict[Any, list[Mapping[str, Any]]] = {}
    for step in found:
        by_depth.setdefault(step["depth"], []).append(step)
    columns = (
        *(
            Column("Depth", "candidates", numeric=False),
            Column("k", "chunks"),
            Column("nDCG@k"),
            Column("P@k"),
            Column("evidence@k"),
        ),
        *(
            Column("Prompt", "tokens"),
            Column("Reranker", "USD per 1,000 queries"),
            Column("Net", "USD per 1,000 queries"),
        ),
    )
    lines = [row for depth, steps in by_depth.items() for row in _depth_rows(depth, steps, statement)]
    several = len({at(step, "k") for step in found}) > 1
    note = (
        f"Small figures are 95% intervals, {study.basis(summary, name)}. evidence@k: the share of a query's relevant "
        "documents that k passages hold. A depth below k puts fewer chunks into the prompt."
    )
    return Table("reranker-grid", "Every depth and k", columns, tuple(lines) if several else (), note)


def _depth_rows(depth: Any, steps: Sequence[Mapping[str, Any]], statement: Any) -> list[Row]:
    return group(Cell(figures.count(depth)), [_grid_cells(step, statement) for step in steps])


def _grid_cells(step: Mapping[str, Any], statement: Any) -> tuple[Cell, ...]:
    k = at(step, "k")
    return (
        figure(figures.count(k)),
        *(estimate_cell(at(step, "scores", f"{kind}@{k}"), figures.score) for kind in ("nDCG", "P", "evidence")),
        figure(figures.mean_count(at(step, "prompt_tokens"))),
        cost_at(statement, step),
        net_at(statement, step),
    )


def headroom(summary: Summary, name: str) -> Table:
    """What the candidates would allow, and who left how much of it."""
    found = at(study.of(summary, name), "headroom") or {}
    metric = figures.text(at(found, "metric") or study.metric(summary, name))
    columns = (Column("What", numeric=False), Column(metric, "95% interval"), Column("Meaning", numeric=False))
    lines = (
        ("search alone", "search", figures.score, "the order in which search found the candidates"),
        ("with this reranker", "reranked", figures.score, "what the pipeline reaches"),
        ("best order there is", "oracle", figures.score, "a perfect reranker over the same candidates"),
        ("captured", "captured_share", figures.share, "share of what any reranker could win here"),
        ("left by the reranker", "left_by_reranker", figures.score, "a better reranker could win this"),
        ("missed by search", "missed_by_search", figures.score, "no reranker can: it is not among the candidates"),
    )
    rows = tuple(
        Row((Cell(what), estimate_cell(at(found, key), write), Cell(told, tone="quiet")))
        for what, key, write, told in lines
    )
    limit = figures.text(at(found, "limit"))
    note = f"Small figures are 95% intervals, {study.basis(summary, name)}. What limits quality: {limit}."
    return Table("reranker-headroom", "Headroom", columns, rows if found else (), note)


def truncation(summary: Summary, name: str) -> Table:
    """Pairs that the reranker could not read whole. No rows where it was not looked at."""
    found = at(study.of(summary, name), "truncation") or {}
    columns = (Column("What", numeric=False), Column("Value", numeric=False))
    judged, cost = at(found, "judged_cut"), at(found, "quality_cost")
    lines = (
        ("Pairs of query and passage", figure(figures.count(at(found, "pairs")))),
        ("Longest that the reranker reads", figure(_tokens(at(found, "max_tokens")))),
        ("Pairs over that length", figure(figures.share(at(found, "over_length_share")))),
        ("Dropped, mean per pair", _dropped_cell(found)),
        ("Relevant passages that were cut", _judged_cell(judged)),
        ("Quality that costs", difference_cell(cost or {})),
    )
    rows = tuple(Row((Cell(what), cell)) for what, cell in lines)
    note = (
        "Quality that costs: cut documents read again piece by piece, the best piece counting, less the pipeline as it "
        f"is; {study.metric(summary, name)} with its 95% interval, {study.basis(summary, name)}."
    )
    return Table("reranker-truncation", "What the reranker did not read", columns, rows if found else (), note)


def _tokens(value: Any) -> str:
    return figures.ABSENT if value is None else f"{figures.count(value)} tokens"


def _dropped_cell(found: Any) -> Cell:
    dropped, part = at(found, "tokens_dropped"), at(found, "tokens_dropped_share")
    words = figures.ABSENT if dropped is None else f"{figures.mean_count(dropped)} tokens"
    return figure(words, "" if part is None else f"{figures.share(part)} of all")


def _judged_cell(judged: Any) -> Cell:
    documents, of = at(judged, "documents"), at(judged, "of")
    if documents is None:
        return figure(figures.ABSENT)
    return figure(f"{figures.count(documents)} of {figures.count(of)}", figures.share(at(judged, "share")))
