"""Tables with one or more rows for each pipeline: at a glance, latency, quality, cost, builds, trust.

Tables about the run as a whole: comparisons, rates, environment, what was measured.

The report on a terminal: the answer and one table, no wider than 80 columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from ragprof.core import RANKED_STAGES
from ragprof.report import figures
from ragprof.report.figures import ABSENT, UNPRICED
from ragprof.report.lookup import (
    COST,
    METRIC,
    Summary,
    at,
    entries,
    final_scores,
    judged_beside,
    metrics,
    pipelines,
    stages,
    unpriced_stages,
)
from ragprof.report.tables import (
    HOW_QUANTILES,
    Cell,
    Column,
    Row,
    Table,
    Tone,
    figure,
    group,
    judged_cell,
    quantile_cell,
    score_cell,
    total_cell,
    verdict_cell,
)

END_TO_END = "end to end"


def glance(summary: Summary) -> Table:
    """One row a pipeline: quality, latency, money, tokens. Quality is that of the final ranking."""
    columns = (
        Column("Pipeline", numeric=False),
        Column(METRIC, "final ranking"),
        Column("Judged@10"),
        Column("p50", "end to end"),
        Column("p95", "end to end"),
        Column("Cost", "per 1,000 queries"),
        Column("Context", "tokens per query"),
        Column("On the front", numeric=False),
    )
    rows = tuple(Row(_glance_cells(summary, name)) for name in pipelines(summary))
    return Table("glance", "At a glance", columns, rows, _GLANCE_NOTE)


_GLANCE_NOTE = (
    "Small figures are 95% intervals. Judged@10 is the share of the first ten results that has a relevance judgement: "
    "unjudged is not irrelevant. On the front: no other pipeline measured here has both a higher nDCG@10 and a lower "
    f"latency (or cost). {HOW_QUANTILES}"
)


def _glance_cells(summary: Summary, name: str) -> tuple[Cell, ...]:
    pipeline, scores = pipelines(summary)[name], final_scores(summary, name)
    return (
        Cell(name, at(pipeline, "description") or "", pipeline=name),
        score_cell(scores, METRIC),
        judged_cell(scores, METRIC),
        quantile_cell(at(pipeline, "end_to_end"), "p50"),
        quantile_cell(at(pipeline, "end_to_end"), "p95"),
        total_cell(pipeline),
        figure(figures.mean_count(at(pipeline, "usage_per_query", "inject.context_tokens"))),
        Cell(", ".join(fronts(summary, name)) or figures.DASH, tone="quiet"),
    )


def fronts(summary: Summary, name: str) -> list[str]:
    """The Pareto fronts that the pipeline is on."""
    return [front for front in ("latency", "cost") if name in entries(summary, "pareto", front)]


def latency(summary: Summary) -> Table:
    columns = (
        Column("Pipeline", numeric=False),
        Column("Stage", numeric=False),
        *(Column(quantile) for quantile in ("p50", "p95", "p99")),
        Column("n", "timings"),
        Column("Cold start", "first query"),
    )
    rows = [row for name in pipelines(summary) for row in _latency_rows(summary, name)]
    note = (
        "Small figures are 95% intervals, resampled by query. The cold start is the first query after loading; "
        f"it is in no other figure. n counts timings: every query in every round. {HOW_QUANTILES}"
    )
    return Table("latency", "Latency of each stage", columns, tuple(rows), note)


def _latency_rows(summary: Summary, name: str) -> list[Row]:
    pipeline = pipelines(summary)[name]
    present = [stage for stage in stages(summary) if at(pipeline, "stages", stage) is not None]
    rows = [
        _latency_cells(stage, at(pipeline, "stages", stage), at(pipeline, "cold_start_ns", stage)) for stage in present
    ]
    first_token = at(pipeline, "stages", "generate", "first_token")
    rows += [_latency_cells("first token of it", first_token, None)] if first_token else []
    *whole, _ = _latency_cells(END_TO_END, at(pipeline, "end_to_end"), None)
    strong = (*(Cell(cell.text, cell.note, cell.tone or "strong") for cell in whole), Cell(""))
    return group(Cell(name, pipeline=name), [*rows, strong])


def _latency_cells(stage: str, latency: Any, cold_start: float | None) -> tuple[Cell, ...]:
    quantiles = (quantile_cell(latency, quantile) for quantile in ("p50", "p95", "p99"))
    return (Cell(stage), *quantiles, figure(figures.count(at(latency, "n"))), figure(figures.duration(cold_start)))


def quality(summary: Summary) -> Table:
    """Every metric at every stage that ranks, each with the share of its results that is judged."""
    chosen = metrics(summary)
    pairs = [pair for metric in chosen for pair in (Column(metric), Column(judged_beside(metric), quiet=True))]
    columns = (Column("Pipeline", numeric=False), Column("After", numeric=False), *pairs, Column("n", "queries"))
    rows = [row for name in pipelines(summary) for row in _quality_rows(summary, name, chosen)]
    note = (
        "Means over queries with 95% bootstrap intervals. The row in bold is the pipeline's final ranking. "
        "Judged@k stands beside each metric with the same cutoff; n/a where it was not scored."
    )
    return Table("quality", "Ranking quality after each stage", columns, tuple(rows), note)


def _quality_rows(summary: Summary, name: str, chosen: list[str]) -> list[Row]:
    scores = at(pipelines(summary)[name], "scores") or {}
    final = at(summary, "final_stage", name)
    rows = []
    for stage in (stage for stage in RANKED_STAGES if at(scores, stage)):
        label = Cell(stage, tone="strong" if stage == final else "")
        rows.append((label, *_quality_cells(scores[stage], chosen)))
    return group(Cell(name, pipeline=name), rows or [(figure(ABSENT),) * (2 * len(chosen) + 2)])


def _quality_cells(scores: Mapping[str, Any], chosen: list[str]) -> tuple[Cell, ...]:
    pairs = [cell for metric in chosen for cell in (score_cell(scores, metric), judged_cell(scores, metric))]
    n = max((at(scores, metric, "n") or 0 for metric in chosen), default=0)
    return (*pairs, figure(figures.count(n or None)))


def cost(summary: Summary) -> Table:
    columns = (
        Column("Pipeline", numeric=False),
        *(Column(stage) for stage in _cost_stages(summary)),
        Column("Total", "per 1,000 queries"),
        Column("Per month", _traffic(summary)),
    )
    rows = tuple(Row(_cost_cells(summary, name)) for name in pipelines(summary))
    note = (
        "USD per 1,000 queries; small figures are 95% intervals. n/a: the pipeline has no such stage, or nothing was "
        "recorded for it. UNPRICED: the stage was measured, but no rate for it is known; it is not free."
    )
    return Table("cost", "Cost of 1,000 queries, by stage", columns, rows, note)


def _cost_stages(summary: Summary) -> list[str]:
    return stages(summary)


def _traffic(summary: Summary) -> str:
    queries = at(summary, "traffic", "queries_per_month")
    return "" if queries is None else f"{figures.rough_count(queries)} queries"


def _cost_cells(summary: Summary, name: str) -> tuple[Cell, ...]:
    pipeline = pipelines(summary)[name]
    unpriced = unpriced_stages(pipeline)
    by_stage = (_stage_cost(at(pipeline, COST), stage, unpriced) for stage in _cost_stages(summary))
    total = total_cell(pipeline)
    month = figures.usd(at(pipeline, COST, "per_month"))
    per_month = UNPRICED if month == ABSENT and total.text == UNPRICED else month
    return (Cell(name, pipeline=name), *by_stage, total, figure(per_month, tone="strong"))


def _stage_cost(cost: Any, stage: str, unpriced: set[str]) -> Cell:
    if at(cost, stage) is None and stage in unpriced:
        return figure(UNPRICED)
    interval = at(cost, "stage_intervals", stage)
    return figure(figures.usd(at(cost, stage)), "" if interval is None else figures.span(interval, figures.usd))


def builds(summary: Summary) -> Table:
    columns = (
        Column("Pipeline", numeric=False),
        Column("Build", "time"),
        Column("Index", "size"),
        Column("Build memory", "peak"),
        Column("Query memory", "peak"),
        Column("Prompt", "tokens per query"),
        Column("Scored pairs", "per query"),
    )
    rows = tuple(Row(_build_cells(name, pipeline)) for name, pipeline in pipelines(summary).items())
    return Table("builds", "Builds, memory and usage", columns, rows, "Memory is the process's peak resident size.")


def _build_cells(name: str, pipeline: Mapping[str, Any]) -> tuple[Cell, ...]:
    build, usage = at(pipeline, "build"), at(pipeline, "usage_per_query")
    return (
        Cell(name, pipeline=name),
        figure(figures.duration(at(build, "duration_ns"))),
        figure(figures.size(at(build, "index_bytes"))),
        figure(figures.size(at(build, "peak_rss_bytes"))),
        figure(figures.size(at(pipeline, "peak_rss_bytes"))),
        figure(figures.mean_count(at(usage, "inject.prompt_tokens"))),
        figure(figures.mean_count(at(usage, "rerank.docs_scored"))),
    )


def trust(summary: Summary) -> Table:
    """How far each pipeline's timings can be trusted: do stages add up, what did measuring cost, how noisy was it."""
    columns = (
        Column("Pipeline", numeric=False),
        Column("Stages add up to", "of end to end"),
        Column("Unaccounted", "mean per query"),
        Column("Profiler overhead", "of end to end"),
        Column("Spread between rounds", "bound in small"),
        Column("Timings", numeric=False),
    )
    rows = tuple(Row(_trust_cells(name, pipeline)) for name, pipeline in pipelines(summary).items())
    return Table("trust", "How far the timings can be trusted", columns, rows)


def _trust_cells(name: str, pipeline: Mapping[str, Any]) -> tuple[Cell, ...]:
    bound = at(pipeline, "noise", "bound")
    overhead = at(pipeline, "overhead_interval")
    return (
        Cell(name, pipeline=name),
        figure(figures.share(at(pipeline, "closure"))),
        figure(figures.duration(at(pipeline, "unaccounted", "mean_ns"))),
        figure(figures.share(at(pipeline, "overhead")), figures.span(overhead, figures.share)),
        figure(
            figures.share(at(pipeline, "noise", "spread")), "" if bound is None else f"bound {figures.share(bound)}"
        ),
        _noise_cell(at(pipeline, "noise", "noisy")),
    )


def _noise_cell(noisy: bool | None) -> Cell:
    if noisy is None:
        return figure(ABSENT)
    return Cell("noisy", tone="worse") if noisy else Cell("steady", tone="quiet")


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


_WIDTH = 78
_STYLES: dict[Tone, str] = {"absent": "dim", "unpriced": "yellow", "quiet": "dim", "strong": "bold"}
_INDENT = (0, 1)


def terminal_table(summary: Summary) -> RenderableType:
    """Headline, one row a pipeline, warnings. Long names go on over several lines; nothing is cut."""
    title = figures.text(at(summary, "title") or at(summary, "eval"))
    headline = [
        Text(sentence, style="" if place else "bold") for place, sentence in enumerate(entries(summary, "headline"))
    ]
    warnings = [Text(f"! {warning}", style="yellow") for warning in entries(summary, "warnings")]
    lines = [Padding(line, _INDENT) for line in (Text(title, style="dim"), *headline)]
    return Group(*lines, _table(summary), *(Padding(line, _INDENT) for line in (*warnings, _basis(summary))))


def _table(summary: Summary) -> RichTable:
    table = RichTable(box=SIMPLE_HEAD, width=_WIDTH, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("pipeline", overflow="fold", ratio=1)
    for title in (f"{METRIC}\n95% interval", "judged\n@10", "p50", "p95", "USD per\n1,000"):
        table.add_column(title, justify="right", no_wrap=True)
    for name in pipelines(summary):
        table.add_row(Text(name), *(_text(cell) for cell in _cells(summary, name)))
    return table


def _cells(summary: Summary, name: str) -> list[Cell]:
    pipeline, scores = pipelines(summary)[name], final_scores(summary, name)
    return [
        _with_interval(score_cell(scores, METRIC)),
        judged_cell(scores, METRIC),
        quantile_cell(at(pipeline, "end_to_end"), "p50"),
        quantile_cell(at(pipeline, "end_to_end"), "p95"),
        total_cell(pipeline),
    ]


def _with_interval(cell: Cell) -> Cell:
    return Cell(f"{cell.text} {cell.note}" if cell.note else cell.text, tone=cell.tone)


def _text(cell: Cell) -> Text:
    return Text(cell.text, style=_STYLES.get(cell.tone, ""))


def _basis(summary: Summary) -> Text:
    docs, queries = at(summary, "corpus", "docs"), at(summary, "queries")
    return Text(
        f"n = {figures.count(queries)} queries, {figures.count(docs)} documents; p50 and p95 are end to end",
        style="dim",
    )
