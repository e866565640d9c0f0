"""The statement of one pipeline's reranker: what it buys, takes, costs and saves, a line each with its interval.

The depth curve as tables, the headroom of the candidates, and what the reranker did not get to read.

Verdicts at a glance, a row a pipeline, and rerankers side by side.

What one pipeline's statement becomes at other prices, and what else would buy the same.

Query by query: whom the reranker helps and hurts most, which queries could go without it, and corpus size.

Every table of the reranker's section, in the order in which a reader meets them, and what is said between them.

Verdicts on a terminal: a line a pipeline, then why, no wider than 80 columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from ragprof.report import figures
from ragprof.report.figures import signed
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.tables import (
    HOW_QUANTILES,
    PIPELINE,
    Cell,
    Column,
    Row,
    Table,
    Tone,
    added_cell,
    cost_at,
    difference_cell,
    estimate_cell,
    figure,
    group,
    is_llm_unpriced,
    is_net_unpriced,
    is_unpriced,
    money,
    money_cell,
    net_at,
    open_span,
    p_and_n,
    per_words,
    plain,
    quantile_cell,
    score_change,
    share_cell,
    signed_usd,
    tokens,
)
from ragprof.studies.reranker import lookup as study

_DASH = Cell(figures.DASH, tone="quiet")


def statement(summary: Summary, name: str) -> Table:
    """Profit and loss: quality and time of a query, money of 1,000 queries and of a month."""
    found = at(study.of(summary, name), "statement") or {}
    columns = (
        *(Column("", numeric=False), Column("Line", numeric=False), Column("Amount", "95% interval")),
        *(Column("Per month", _month_words(found)), Column("Rests on", numeric=False)),
    )
    rows = (
        *group(Cell("Buys", "per query"), _bought(found)),
        *group(Cell("Takes", "per query"), _taken(found)),
        *group(Cell("Costs", "USD per 1,000 queries"), _paid(summary, name)),
    )
    note = (
        f"Against {figures.text(at(study.of(summary, name), 'against'))}, paired by query. Small figures are 95% "
        "intervals, resampled by query. Net is the reranker's cost minus the prompt tokens saved: above 0 it costs, "
        f"below 0 it saves. A point is 0.01 of {study.metric(summary, name)}. {HOW_QUANTILES}"
    )
    return Table("reranker-statement", "The statement", columns, tuple(rows), note)


def _month_words(found: Any) -> str:
    queries = at(found, "per_month", "queries")
    return f"{figures.rough_count(queries)} queries" if queries is not None else f"traffic {figures.ABSENT}"


def _bought(found: Any) -> list[tuple[Cell, ...]]:
    gains = at(found, "quality_gain") or {}
    return [_gain_line(metric, one or {}) for metric, one in gains.items()] or [
        (Cell("quality"), figure(figures.ABSENT), _DASH, figure(figures.ABSENT))
    ]


def _gain_line(metric: str, one: Mapping[str, Any]) -> tuple[Cell, ...]:
    without, reached = at(one, "without"), at(one, "with")
    change = f"{figures.score(without)} \u2192 {figures.score(reached)}"
    return (Cell(metric, change), difference_cell(one), _DASH, Cell(p_and_n(one), tone="quiet"))


def _taken(found: Any) -> list[tuple[Cell, ...]]:
    rests = Cell(study.timed({"statement": found}), tone="quiet")
    return [(Cell(f"added time, {quantile}"), added_cell(found, quantile), _DASH, rests) for quantile in ("p50", "p95")]


def _paid(summary: Summary, name: str) -> list[tuple[Cell, ...]]:
    found = at(study.of(summary, name), "statement") or {}
    no_llm, no_net = is_llm_unpriced(found), is_net_unpriced(found)
    no_rate = at(found, "reranker_usd_per_1000_queries") is None
    month = at(found, "per_month") or {}
    return [
        (
            Cell("reranker"),
            money(found, "reranker_usd_per_1000_queries", "reranker_usd_interval"),
            money(month, "reranker_usd", "reranker_usd_interval"),
            _billing_cell(found),
        ),
        (
            Cell("prompt tokens saved"),
            money(found, "llm_usd_saved_per_1000_queries", "llm_usd_saved_interval", lacks_price=no_llm),
            money(month, "llm_usd_saved", "llm_usd_saved_interval", lacks_price=no_llm),
            _saving_cell(found),
        ),
        (
            Cell("net"),
            money(found, "net_usd_per_1000_queries", "net_interval", lacks_price=no_net, write=signed_usd),
            money(month, "net_usd", "net_interval", lacks_price=no_net, write=signed_usd),
            Cell("reranker less tokens saved", tone="quiet"),
        ),
        (
            Cell("per point gained"),
            money(found, "usd_per_point", "usd_per_point_interval", lacks_price=no_rate),
            _DASH,
            Cell(f"reranker's price of 0.01 {study.metric(summary, name)} at equal k", tone="quiet"),
        ),
    ]


def _billing_cell(found: Any) -> Cell:
    """The rate with its true unit, and how many units a query takes."""
    billing = at(found, "billing") or {}
    if at(billing, "unpriced"):
        return Cell(str(billing["unpriced"]), tone="quiet")
    if not billing:
        return figure(figures.ABSENT)
    return Cell(f"{rate_words(billing)}; {_units_words(billing)}", _rate_note(billing), "quiet")


def rate_words(billing: Mapping[str, Any]) -> str:
    """The published rate: $2.00 per 1,000 searches."""
    return f"{figures.plain_usd(at(billing, 'usd'))} per {per_words(billing)}"


def _units_words(billing: Mapping[str, Any]) -> str:
    units = at(billing, "units_per_query")
    cell = estimate_cell(units, plain)
    words = f"{cell.text} {_units(billing)} a query" + (f" ({cell.note})" if cell.note else "")
    utilisation = at(billing, "utilisation")
    return words if utilisation is None else f"{words}, machine used to {figures.share(float(utilisation))}"


def _units(billing: Mapping[str, Any]) -> str:
    """In the plural: searches, hours, input tokens."""
    return per_words({"per": 2, "unit": at(billing, "unit")}).removeprefix("2 ")


def _rate_note(billing: Mapping[str, Any]) -> str:
    since, verified = at(billing, "since"), at(billing, "verified")
    parts = [figures.text(at(billing, "rate"))]
    parts += [f"since {since}"] if since is not None else []
    parts += [] if verified is None else ["not verified" if verified is False else f"verified {figures.text(verified)}"]
    parts += [str(billing["note"])] if at(billing, "note") else []
    return ", ".join(parts)


def _saving_cell(found: Any) -> Cell:
    """Iso-quality k: how many chunks hold what the search holds with its own."""
    iso = at(found, "iso_quality_k") or {}
    without, reached = at(iso, "k_without"), at(iso, "k_with")
    if without is None:
        return figure(figures.ABSENT)
    if reached is None:
        return Cell(
            f"no k holds the {figures.text(at(iso, 'metric'))} that search holds with {without} chunks", tone="quiet"
        )
    span = figures.span(at(iso, "interval"), figures.count)
    fewer = estimate_cell(at(iso, "tokens_saved_per_query"), tokens)
    words = f"{reached} chunks ({span}) hold what search holds with {without}"
    saving = f"tokens saved a query: {fewer.text}" + (f" ({fewer.note})" if fewer.note else "")
    model = at(found, "llm")
    return Cell(f"{words}; {saving}", f"tokens priced as {model}" if model else "no LLM is priced", "quiet")


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
        f"end to end, of the queries counted beside it. {_COMPOSED} Gain: against the search order; net below 0 saves. "
        f"{HOW_QUANTILES}"
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


_RELATIONS: dict[str, tuple[str, Tone]] = {
    "better": ("\u25b2 better", "better"),
    "as good": ("= as good", "strong"),
    "worse": ("\u25bc worse", "worse"),
    "undecided": ("\u25c7 undecided", "undecided"),
}


def break_even(summary: Summary, name: str) -> Table:
    """Where the sign of net flips, one price or volume at a time. No rows where nobody says."""
    found = at(study.of(summary, name), "statement", "break_even") or {}
    reranker, llm, traffic = (
        at(found, key) for key in ("reranker_usd", "llm_usd_per_million_tokens", "queries_per_month")
    )
    columns = (
        *(Column("What", numeric=False), Column("Net is 0 at", "95% interval"), Column("Unit", numeric=False)),
        Column("In words", numeric=False),
    )
    lines = (
        ("the reranker's price", reranker, _flip_cell(reranker, figures.usd), f"USD per {per_words(reranker)}"),
        ("the LLM's price", llm, _flip_cell(llm, figures.usd), "USD per million tokens"),
        ("traffic", traffic, _flip_cell(traffic, figures.rough_count), "queries a month"),
    )
    rows = tuple(
        Row((Cell(what), cell, Cell(unit, tone="quiet"), figure(figures.text(at(node, "sentence")))))
        for what, node, cell, unit in lines
        if node
    )
    note = (
        f"One thing is moved, all others stay as they are today; {study.basis(summary, name)}. n/a: no value turns the "
        "sign, or a price is missing."
    )
    return Table("reranker-break-even", "Where it breaks even", columns, rows, note)


def _flip_cell(node: Any, write: Callable[[Any], str]) -> Cell:
    span = open_span(node["interval"], write) if at(node, "interval") else ""
    return figure(write(at(node, "value")), span)


def scenarios(summary: Summary, name: str) -> Table:
    """The statement at the prices of other LLMs. No rows where none was asked for."""
    columns = (
        *(Column("Prompt tokens priced as", numeric=False), Column("Price", "USD per million tokens")),
        *(Column("Saved", "USD per 1,000 queries"), Column("Net", "USD per 1,000 queries")),
        *(Column("Verdict", numeric=False), Column("Why", numeric=False)),
    )
    statement = at(study.of(summary, name), "statement")
    found = entries(statement, "scenarios")
    rows = tuple(Row(_scenario_cells(one, statement)) for one in found)
    note = f"Quality and time stay as they are. Net with 95% intervals, {study.basis(summary, name)}; below 0 it saves."
    return Table("reranker-scenarios", "At the prices of other LLMs", columns, rows, note)


def _scenario_cells(one: Mapping[str, Any], statement: Any) -> tuple[Cell, ...]:
    no_llm = is_unpriced(at(one, "usd_per_million_tokens"))
    no_reranker = is_unpriced(at(statement, "reranker_usd_per_1000_queries"))
    return (
        Cell(figures.text(at(one, "llm"))),
        money_cell(one, "usd_per_million_tokens", write=figures.plain_usd),
        money(one, "llm_usd_saved_per_1000_queries", "llm_usd_saved_interval", lacks_price=no_llm),
        money(one, "net_usd_per_1000_queries", "net_interval", lacks_price=no_llm or no_reranker, write=signed_usd),
        Cell(study.verdict_words({"verdict": at(one, "verdict")}), tone=study.verdict_tone(at(one, "verdict"))),
        figure(figures.text(at(one, "reason"))),
    )


def alternatives(summary: Summary, name: str) -> Table:
    """This pipeline first, then what else was tried. No rows where there is nothing beside it."""
    one = study.of(summary, name)
    found = entries(one, "statement", "alternatives")
    metric = study.metric(summary, name)
    columns = (
        *(Column("Alternative", numeric=False), Column("k", "chunks"), Column("Depth", "candidates")),
        *(Column("Quality", metric), Column("Difference", "to this pipeline"), Column("Is", numeric=False)),
        *(
            Column("Whole bill", "USD per 1,000 queries"),
            Column("p50", "of a query"),
            Column("Prompt", "tokens a query"),
        ),
    )
    own = at(one, "statement", "own")
    rows = [Row(_own_cells(name, one, own)), *(Row(_alternative_cells(other, metric)) for other in found)]
    note = (
        f"Small figures are 95% intervals, paired by query, {study.basis(summary, name)}. As good: the interval of the "
        "difference stays within the smallest gain that counts. The whole bill counts every stage and the prompt."
    )
    return Table("reranker-alternatives", "What else would buy the same", columns, tuple(rows) if found else (), note)


def _own_cells(name: str, one: Any, own: Any) -> tuple[Cell, ...]:
    k, depth = at(one, "k"), at(one, "own_depth")
    return (
        *(Cell(name, "as it is", pipeline=name), figure(figures.count(k)), figure(figures.count(depth))),
        *(
            estimate_cell(at(own, "quality"), figures.score),
            Cell(figures.DASH, tone="quiet"),
            Cell(figures.DASH, tone="quiet"),
        ),
        *_bill(own),
    )


def _alternative_cells(other: Mapping[str, Any], metric: str) -> tuple[Cell, ...]:
    relation, own_metric = at(other, "relation"), at(other, "metric")
    words, tone = _RELATIONS.get(relation or "", (figures.text(relation), "absent" if relation is None else ""))
    what = figures.text(at(other, "what"))
    return (
        Cell(figures.text(at(other, "name")), what if own_metric in (None, metric) else f"{what}, by {own_metric}"),
        *(figure(_or_dash(at(other, "k"))), figure(_or_dash(at(other, "depth")))),
        *(estimate_cell(at(other, "quality"), figures.score), score_change(at(other, "difference"))),
        *(Cell(words, tone=tone), *_bill(other)),
    )


def _or_dash(value: Any) -> str:
    return figures.DASH if value is None else figures.count(value)


def _bill(node: Any) -> tuple[Cell, Cell, Cell]:
    return (
        money(node, "usd_per_1000_queries", "usd_interval"),
        figure(figures.duration(at(node, "p50_ns"))),
        figure(figures.mean_count(at(node, "tokens_per_query"))),
    )


def price_trend(summary: Summary, name: str) -> Table:
    """The verdict if LLM prices keep falling. No rows where it was not asked for."""
    trend = at(study.of(summary, name), "price_trend")
    columns = (
        *(Column("Year", numeric=False), Column("LLM price", "USD per million tokens")),
        *(Column("Net", "USD per 1,000 queries"), Column("Verdict", numeric=False)),
    )
    statement = at(study.of(summary, name), "statement")
    rows = tuple(Row(_year_cells(year, statement)) for year in entries(trend, "years"))
    percent = at(trend, "percent_a_year")
    told = "" if percent is None else f"LLM prices fall by {plain(percent)}% a year here and nothing else changes."
    note = str(at(trend, "sentence") or told)
    return Table("reranker-trend", "As LLM prices fall", columns, rows, note)


def _year_cells(year: Mapping[str, Any], statement: Any) -> tuple[Cell, ...]:
    return (
        Cell(str(at(year, "year"))),
        money_cell(year, "llm_usd_per_million_tokens"),
        net_at(statement, year),
        Cell(study.verdict_words({"verdict": at(year, "verdict")}), tone=study.verdict_tone(at(year, "verdict"))),
    )


def price_history(summary: Summary, name: str) -> Table:
    """Every price of the reranker's rate that the books hold. No rows where there is just one."""
    found = entries(study.of(summary, name), "price_history")
    columns = (Column("In force since", numeric=False), Column("Price", "USD"))
    rows = tuple(
        Row((figure(figures.text(at(one, "since"))), money_cell(one, "usd", write=figures.plain_usd))) for one in found
    )
    return Table("reranker-history", "The reranker's price so far", columns, rows if len(found) > 1 else ())


_KINDS: dict[str, tuple[str, Tone]] = {
    "helped": ("\u25b2 helped", "better"),
    "hurt": ("\u25bc hurt", "worse"),
    "unchanged": ("= unchanged", "quiet"),
}


def clearest(summary: Summary, name: str) -> Table:
    """The clearest queries of each kind with the document that moved most. Texts are those of the recording."""
    one = study.of(summary, name)
    metric = study.metric(summary, name)
    columns = (
        *(Column("Query", numeric=False), Column("Change", metric), Column("Before"), Column("After")),
        *(Column("Relevant document that moved most", numeric=False), Column("Rank", "from \u2192 to")),
    )
    rows = [row for kind in _KINDS for row in _kind_rows(kind, at(one, "queries") or {})]
    counts = ", ".join(f"{kind} {figures.count(at(one, 'queries', kind))}" for kind in _KINDS)
    note = f"Of {study.basis(summary, name).removeprefix('n = ')}: {counts}. Single queries have no interval."
    return Table(
        "reranker-clearest",
        "The clearest queries of each kind",
        (Column("", numeric=False), *columns),
        tuple(rows),
        note,
    )


def _kind_rows(kind: str, queries: Mapping[str, Any]) -> list[Row]:
    found = entries(queries, "clearest", kind)
    words, _ = _KINDS[kind]
    total = at(queries, kind)
    return group(Cell(words, f"{figures.count(total)} in all"), [_query_cells(one) for one in found])


def _query_cells(one: Mapping[str, Any]) -> tuple[Cell, ...]:
    query, text = figures.text(at(one, "query_id")), at(one, "text")
    document, words = at(one, "doc_id"), at(one, "doc_text")
    return (
        Cell(str(text), query) if text else Cell(query),
        *(figure(figures.difference(at(one, "change"))), figure(figures.score(at(one, "before")))),
        figure(figures.score(at(one, "after"))),
        Cell(str(words), figures.text(document)) if words else figure(figures.text(document)),
        figure(_ranks(one)),
    )


def _ranks(one: Mapping[str, Any]) -> str:
    before, after = at(one, "from_rank"), at(one, "to_rank")
    if before is None and after is None:
        return figures.ABSENT
    return f"{_rank(before)} \u2192 {_rank(after)}"


def _rank(rank: Any) -> str:
    return "not found" if rank is None else figures.count(rank)


def routing(summary: Summary, name: str) -> Table:
    """Rerank only where the retriever is unsure: what is kept and what is saved, a group a signal."""
    one = study.of(summary, name)
    columns = (
        *(Column("Signal", numeric=False), Column("Reranked", "of the queries"), Column("Gain kept", "95% interval")),
        *(Column("At random", "gain kept"), Column("Cost saved", "of the reranker's")),
    )
    by_signal: dict[str, list[tuple[Cell, ...]]] = {}
    for point in entries(one, "routing"):
        by_signal.setdefault(figures.text(at(point, "signal")), []).append(_routing_cells(point))
    rows = [row for signal, lines in by_signal.items() for row in group(Cell(signal), lines)]
    note = (
        f"Queries are reranked where the signal says that search is least sure; thresholds are cross-validated, "
        f"{study.basis(summary, name)}. Random: the same share of queries picked blindly."
    )
    return Table("reranker-routing", "Reranking only some queries", columns, tuple(rows), note)


def _routing_cells(point: Mapping[str, Any]) -> tuple[Cell, ...]:
    interval = open_span(at(point, "interval"), figures.share)
    return (
        figure(figures.share(at(point, "share_reranked"))),
        figure(figures.share(at(point, "share_of_gain_kept")), interval),
        figure(figures.share(at(point, "random"))),
        figure(figures.share(at(point, "share_of_cost_saved"))),
    )


def growth(summary: Summary, name: str) -> Table:
    """Gain and net value at each corpus size. No rows without a growth recording."""
    found = at(study.of(summary, name), "growth")
    columns = (
        *(Column("Corpus", "passages", numeric=False), Column("Gain", f"{study.metric(summary, name)}, 95% interval")),
        *(Column("Net", "USD per 1,000 queries"), Column("Worth it", numeric=False)),
    )
    statement = at(study.of(summary, name), "statement")
    rows = tuple(Row(_size_cells(point, statement)) for point in entries(found, "points"))
    note = f"Small figures are 95% intervals, {study.basis(summary, name)}; net below 0 saves."
    return Table("reranker-growth", "By corpus size", columns, rows, note)


def _size_cells(point: Mapping[str, Any], statement: Any) -> tuple[Cell, ...]:
    return (
        figure(figures.count(at(point, "size"))),
        score_change(at(point, "gain")),
        net_at(statement, point),
        figure(figures.text(at(point, "worth"))),
    )


_OF_PIPELINE = (
    statement,
    break_even,
    scenarios,
    alternatives,
    curve,
    grid,
    headroom,
    truncation,
    clearest,
    routing,
    growth,
    price_trend,
    price_history,
)
_SAID = {
    "depth": (("knee", "sentence"), ("falls_from", "sentence"), ("latency_check", "sentence")),
    "headroom": (("headroom", "sentence"),),
    "truncation": (("truncation", "sentence"),),
    "routing": (("routing_choice", "sentence"),),
    "growth": (("growth", "sentence"),),
}
GLANCE = glance
SIDES = side_by_side


@dataclass(frozen=True, slots=True)
class Section:
    """What is shown of one pipeline; `place` counts from 1 and is part of its charts' names."""

    name: str
    place: int
    verdict: str
    tone: Tone
    sentences: tuple[str, ...]
    said: dict[str, tuple[str, ...]]
    tables: dict[str, Table]
    notes: tuple[str, ...]


def sections(summary: Summary) -> list[Section]:
    """A section a pipeline with a verdict."""
    return [_section(summary, name, place) for place, name in enumerate(study.names(summary), start=1)]


def _section(summary: Summary, name: str, place: int) -> Section:
    one = study.of(summary, name)
    drawn = (draw(summary, name) for draw in _OF_PIPELINE)
    said = {part: tuple(str(at(one, *keys)) for keys in places if at(one, *keys)) for part, places in _SAID.items()}
    return Section(
        name,
        place,
        study.verdict_words(one),
        study.verdict_tone(at(one, "verdict")),
        tuple(study.sentences(one)),
        said,
        {table.key.removeprefix("reranker-"): table for table in drawn},
        tuple(str(note) for note in entries(one, "notes")),
    )


_WIDTH = 78
_INDENT = (0, 1)
_STYLES: dict[Tone, str] = {"absent": "dim", "unpriced": "yellow", "better": "bold", "worse": "bold yellow"}


def reranker_table(summary: Summary) -> RenderableType:
    """A line a pipeline, then the reasons; the rest is in the report. One line where there is no section.

    Nothing is cut; long names go on below.
    """
    if not study.is_present(summary):
        return Padding(Text("no rerankers in this summary", style="dim"), _INDENT)
    lines = [Text(f"\u2022 {sentence}") for sentence in _said(summary)]
    basis = Text(_basis(summary), style="dim")
    return Group(_verdicts(summary), *(Padding(line, _INDENT) for line in (*lines, basis)))


def _said(summary: Summary) -> list[str]:
    """The study's statements where there are any, else each verdict's reason; then what each hangs on."""
    told = [str(sentence) for sentence in entries(summary, "reranker_study", "statements")]
    if told:
        return told
    return [f"{name}: {' '.join(study.sentences(study.of(summary, name)))}" for name in study.names(summary)]


def _basis(summary: Summary) -> str:
    names = study.names(summary)
    metrics = " or ".join(dict.fromkeys(study.metric(summary, name) for name in names))
    words = " or ".join(dict.fromkeys(study.basis(summary, name) for name in names))
    priced = at(summary, "reranker_study", "priced_as")
    return (
        f"gain in {metrics} with its 95% interval, {words}; USD per 1,000 queries, net below 0 saves"
        f"{f'; prompt tokens priced as {priced}' if priced else ''}"
    )


def _verdicts(summary: Summary) -> RichTable:
    table = RichTable(box=SIMPLE_HEAD, width=_WIDTH, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("pipeline", overflow="fold", ratio=1, min_width=12)
    table.add_column("verdict", overflow="fold", max_width=12)
    for title in ("gain\n95% interval", "added\np50", "reranker\nUSD", "net\nUSD"):
        table.add_column(title, justify="right", no_wrap=True)
    for name in study.names(summary):
        table.add_row(Text(name), *(_text(cell) for cell in _cells(summary, name)))
    return table


def _cells(summary: Summary, name: str) -> list[Cell]:
    one = study.of(summary, name)
    found = study.gain(one, study.metric(summary, name))
    cost, _, net = money_cells(at(one, "statement"))
    return [
        Cell(study.verdict_words(one), tone=study.verdict_tone(at(one, "verdict"))),
        _gain_cell(at(found, "difference"), at(found, "interval")),
        Cell(signed(at(one, "statement", "added_p50_ns"), figures.duration)),
        *(cost, net),
    ]


def _gain_cell(difference: float | None, interval: figures.Interval) -> Cell:
    if difference is None:
        return Cell(figures.ABSENT, tone="absent")
    ends = figures.ABSENT if interval is None else " to ".join(_short(end) for end in interval)
    return Cell(f"{figures.difference(difference)}\n{ends}")


def _short(end: float) -> str:
    return f"{end:.3f}".replace("-", figures.MINUS)


def _text(cell: Cell) -> Text:
    return Text(cell.text, style=_STYLES.get(cell.tone, ""))
