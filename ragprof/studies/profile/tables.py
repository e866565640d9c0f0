"""Tables of the main run, and the run on a terminal: the answer and one table, no wider than 80 columns."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ragprof.core import RANKED_STAGES
from ragprof.report import figures
from ragprof.report.figures import UNPRICED
from ragprof.report.lookup import judged_beside
from ragprof.report.tables import (
    HOW_QUANTILES,
    PIPELINE,
    Cell,
    Column,
    Row,
    Table,
    bill_cell,
    estimate_cell,
    figure,
    group,
    interval_cell,
    judged_cell,
    verdict_cell,
)
from ragprof.report.terminal import INDENT, empty_table, styled
from ragprof.studies.contract import ComparedPair, EstimateValue, Latency
from ragprof.studies.profile.section import AppliedRate, PipelineFigures, ProfileSection

_MACHINE = {
    "cpu": "Processor",
    "cores": "Cores",
    "threads": "Threads used",
    "memory_bytes": "Memory",
    "gpu": "GPU",
    "os": "System",
    "python": "Python",
    "ragprof": "ragprof",
}


def glance(section: ProfileSection) -> Table:
    """One row a pipeline: quality of the final ranking, latency, money, tokens."""
    metric, judged = section.metric, judged_beside(section.metric)
    columns = (
        PIPELINE,
        Column(metric, "final ranking"),
        Column(judged),
        Column("p50", "end to end"),
        Column("p95", "end to end"),
        Column("Cost", "per 1,000 queries"),
        Column("Context", "tokens per query"),
        Column("On the front", numeric=False),
    )
    rows = []
    for name, pipeline in section.pipelines.items():
        fronts = [front for front, names in section.pareto if name in names]
        tokens = figures.mean_count(pipeline.usage_per_query.get("inject.context_tokens"))
        cells = (*_key_cells(section, name), figure(tokens), Cell(", ".join(fronts) or figures.DASH, tone="quiet"))
        rows.append(Row((Cell(name, pipeline.description, pipeline=name), *cells)))
    cutoff = judged.partition("@")[2]
    note = (
        f"Small figures are 95% intervals. {judged} is the share of the {f'first {cutoff} ' if cutoff else ''}results "
        "that has a relevance judgement: unjudged is not irrelevant. On the front: no other pipeline measured here has "
        f"both a higher {metric} and a lower latency (or cost). {HOW_QUANTILES}"
    )
    return Table("glance", "At a glance", columns, tuple(rows), note)


def _key_cells(section: ProfileSection, name: str) -> list[Cell]:
    """The leading metric and the share of judged results, p50 and p95, and the cost."""
    pipeline, scores = section.pipelines[name], section.final_scores(name)
    latency = pipeline.end_to_end
    return [
        estimate_cell(scores.get(section.metric), figures.score),
        judged_cell(scores, section.metric),
        interval_cell(latency.p50_ns, latency.p50_interval_ns, figures.duration),
        interval_cell(latency.p95_ns, latency.p95_interval_ns, figures.duration),
        bill_cell(pipeline.cost_usd_per_1000_queries),
    ]


def latency(section: ProfileSection) -> Table:
    columns = (
        PIPELINE,
        Column("Stage", numeric=False),
        *(Column(quantile) for quantile in ("p50", "p95", "p99")),
        Column("n", "timings"),
        Column("Cold start", "first query"),
    )
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        cells = [
            _latency_cells(stage, pipeline.stages[stage], pipeline.cold_start_ns.get(stage))
            for stage in section.stages
            if stage in pipeline.stages
        ]
        if "generate" in pipeline.stages and (first := pipeline.stages["generate"].first_token):
            cells.append(_latency_cells("first token of it", first, None))
        *whole, _ = _latency_cells("end to end", pipeline.end_to_end, None)
        strong = (*(Cell(cell.text, cell.note, cell.tone or "strong") for cell in whole), Cell(""))
        rows += group(Cell(name, pipeline=name), [*cells, strong])
    note = (
        "Small figures are 95% intervals, resampled by query. The cold start is the first query after loading; "
        f"it is in no other figure. n counts timings: every query in every round. {HOW_QUANTILES}"
    )
    return Table("latency", "Latency of each stage", columns, tuple(rows), note)


def _latency_cells(stage: str, found: Latency, cold_start: int | None) -> tuple[Cell, ...]:
    return (
        Cell(stage),
        interval_cell(found.p50_ns, found.p50_interval_ns, figures.duration),
        interval_cell(found.p95_ns, found.p95_interval_ns, figures.duration),
        interval_cell(found.p99_ns, found.p99_interval_ns, figures.duration),
        figure(figures.count(found.n)),
        figure(figures.duration(cold_start)),
    )


def quality(section: ProfileSection) -> Table:
    """Every metric at every stage that ranks, each with the share of its results that is judged."""
    every = [scores for pipeline in section.pipelines.values() for scores in pipeline.scores.values()]
    metrics = list(dict.fromkeys(metric for scores in every for metric in scores if not metric.startswith("Judged@")))
    pairs = [pair for metric in metrics for pair in (Column(metric), Column(judged_beside(metric), quiet=True))]
    columns = (PIPELINE, Column("After", numeric=False), *pairs, Column("n", "queries"))
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        cells = []
        for stage in RANKED_STAGES:
            if scores := pipeline.scores.get(stage):
                label = Cell(stage, tone="strong" if stage == section.final_stage[name] else "")
                cells.append((label, *_quality_cells(scores, metrics)))
        rows += group(Cell(name, pipeline=name), cells)
    note = (
        "Means over queries with 95% bootstrap intervals. The row in bold is the pipeline's final ranking. "
        "Judged@k stands beside each metric with the same cutoff; n/a where it was not scored."
    )
    return Table("quality", "Ranking quality after each stage", columns, tuple(rows), note)


def _quality_cells(scores: Mapping[str, EstimateValue], metrics: list[str]) -> list[Cell]:
    cells = []
    for metric in metrics:
        cells += [estimate_cell(scores.get(metric), figures.score), judged_cell(scores, metric)]
    n = max((scores[metric].n for metric in metrics if metric in scores), default=0)
    return [*cells, figure(figures.count(n or None))]


def cost(section: ProfileSection) -> Table:
    month = section.traffic.queries_per_month
    traffic = "" if month is None else f"{figures.rough_count(month)} queries"
    columns = (
        PIPELINE,
        *(Column(stage) for stage in section.stages),
        Column("Total", "per 1,000 queries"),
        Column("Per month", traffic),
    )
    rows = []
    for name, pipeline in section.pipelines.items():
        bill = pipeline.cost_usd_per_1000_queries
        stages = []
        for stage in section.stages:
            usd, interval = bill.of_stage(stage), bill.stage_intervals.get(stage)
            unpriced = usd is None and stage in bill.unpriced_stages
            note = "" if interval is None else figures.span(interval, figures.usd)
            stages.append(figure(UNPRICED) if unpriced else figure(figures.usd(usd), note))
        per_month = UNPRICED if bill.total is None else figures.usd(bill.per_month)
        cells = (*stages, bill_cell(bill), figure(per_month, tone="strong"))
        rows.append(Row((Cell(name, pipeline=name), *cells)))
    note = (
        "USD per 1,000 queries; small figures are 95% intervals. n/a: the pipeline has no such stage, or nothing was "
        "recorded for it. UNPRICED: the stage was measured, but no rate for it is known; it is not free."
    )
    return Table("cost", "Cost of 1,000 queries, by stage", columns, tuple(rows), note)


def builds(section: ProfileSection) -> Table:
    columns = (
        PIPELINE,
        Column("Build", "time"),
        Column("Index", "size"),
        Column("Build memory", "peak"),
        Column("Query memory", "peak"),
        Column("Prompt", "tokens per query"),
        Column("Scored pairs", "per query"),
    )
    rows = []
    for name, pipeline in section.pipelines.items():
        build, usage = pipeline.build, pipeline.usage_per_query
        texts = (
            figures.duration(build.duration_ns),
            figures.size(build.index_bytes),
            figures.size(build.peak_rss_bytes),
            figures.size(pipeline.peak_rss_bytes),
            figures.mean_count(usage.get("inject.prompt_tokens")),
            figures.mean_count(usage.get("rerank.docs_scored")),
        )
        rows.append(Row((Cell(name, pipeline=name), *map(figure, texts))))
    note = "Memory is the process's peak resident size."
    return Table("builds", "Builds, memory and usage", columns, tuple(rows), note)


def trust(section: ProfileSection) -> Table:
    """How far each pipeline's timings can be trusted: do stages add up, what did measuring cost, how noisy was it."""
    columns = (
        PIPELINE,
        Column("Stages add up to", "of end to end"),
        Column("Unaccounted", "mean per query"),
        Column("Profiler overhead", "of end to end"),
        Column("Spread between rounds", "bound in small"),
        Column("Timings", numeric=False),
    )
    rows = [Row((Cell(name, pipeline=name), *_trust_cells(one))) for name, one in section.pipelines.items()]
    return Table("trust", "How far the timings can be trusted", columns, tuple(rows))


def _trust_cells(pipeline: PipelineFigures) -> tuple[Cell, ...]:
    noise = pipeline.noise
    return (
        figure(figures.share(pipeline.closure)),
        figure(figures.duration(pipeline.unaccounted.mean_ns)),
        interval_cell(pipeline.overhead, pipeline.overhead_interval, figures.share),
        figure(figures.share(noise.spread), f"bound {figures.share(noise.bound)}"),
        Cell("noisy", tone="worse") if noise.noisy else Cell("steady", tone="quiet"),
    )


def comparisons(section: ProfileSection) -> Table:
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
    rows = tuple(Row(_comparison_cells(pair)) for pair in section.comparisons)
    note = (
        "Paired by query; candidate minus baseline. p (Holm) is corrected for all comparisons in this table. "
        "Undecided means not distinguishable with these queries, which is not the same as equal."
    )
    return Table("comparisons", "All comparisons", columns, rows, note)


def _comparison_cells(pair: ComparedPair) -> tuple[Cell, ...]:
    return (
        Cell(pair.candidate, pipeline=pair.candidate),
        Cell(pair.baseline, pipeline=pair.baseline),
        figure(pair.metric, f"{pair.stage} ranking"),
        interval_cell(pair.difference, pair.interval, figures.difference),
        figure(figures.p_value(pair.p)),
        figure(figures.p_value(pair.p_holm)),
        figure(figures.count(pair.n)),
        verdict_cell(pair),
    )


def rates(section: ProfileSection) -> Table:
    columns = (
        Column("Rate", numeric=False),
        Column("Price"),
        Column("Per", numeric=False),
        Column("Valid from", numeric=False),
        Column("Verified", numeric=False),
        Column("Source", numeric=False),
    )
    rows = tuple(Row(_rate_cells(rate)) for rate in section.rates)
    return Table("rates", "Rates", columns, rows, "Usage is a fact of the recording; these prices were applied to it.")


def _rate_cells(rate: AppliedRate) -> tuple[Cell, ...]:
    unit = rate.unit.replace("_", " ")
    unit = unit.removesuffix("s") if rate.per == 1 else unit
    web = rate.source.startswith(("https://", "http://"))
    return (
        Cell(rate.name, rate.note),
        figure(figures.plain_usd(rate.usd)),
        figure(f"{figures.count(rate.per)} {unit}".strip()),
        figure(figures.text(rate.since)),
        figure(figures.text(rate.verified)),
        Cell(rate.source.partition("://")[2].rstrip("/"), href=rate.source) if web else Cell(rate.source),
    )


def machine(section: ProfileSection) -> Table:
    """What the figures were measured on. Packages are not in it, nor is anything that looks like a place on a disk."""
    found = section.environment
    others = {key: value for key, value in found.items() if key not in _MACHINE and _is_plain(value)}
    labels = _MACHINE | {key: key.replace("_", " ").capitalize() for key in others}
    facts = {}
    for key, label in labels.items():
        value = found.get(key)
        facts[label] = figures.size(value) if key == "memory_bytes" and isinstance(value, int) else figures.text(value)
    return _facts("machine", "Machine", facts)


def _is_plain(value: JsonValue) -> bool:
    return isinstance(value, int | float) or (isinstance(value, str) and "/" not in value and "\\" not in value)


def measured(section: ProfileSection) -> Table:
    """The corpus, the queries and the work that was done for this report."""
    corpus = section.corpus
    facts = {
        "Eval": section.eval,
        "Corpus": corpus.name,
        "Documents": figures.count(corpus.docs),
        "Tokens": figures.count(corpus.tokens),
        "Corpus SHA-256": corpus.sha256[:16],
        "Queries": figures.count(section.queries),
        "Seed": str(section.seed),
    }
    work = {key.replace("_", " ").capitalize(): figures.text(count) for key, count in section.work.items()}
    return _facts("measured", "What was measured", facts | work)


def _facts(key: str, title: str, known: Mapping[str, str]) -> Table:
    columns = (Column("What", numeric=False), Column("Value", numeric=False))
    return Table(key, title, columns, tuple(Row((Cell(label), figure(value))) for label, value in known.items()))


def terminal_table(section: ProfileSection) -> RenderableType:
    """Headline, one row a pipeline, warnings. Long names go on over several lines; nothing is cut."""
    table, metric = empty_table(), section.metric
    judged = judged_beside(metric).lower().replace("@", "\n@")
    for title in (f"{metric}\n95% interval", judged, "p50", "p95", "USD per\n1,000"):
        table.add_column(title, justify="right", no_wrap=True)
    for name in section.pipelines:
        score, *others = _key_cells(section, name)
        cells = [Cell(f"{score.text} {score.note}".strip(), tone=score.tone), *others]
        table.add_row(Text(name), *map(styled, cells))
    answer = [Text(sentence, style="" if place else "bold") for place, sentence in enumerate(section.headline)]
    warnings = [Text(f"! {warning}", style="yellow") for warning in section.warnings]
    queries, docs = figures.count(section.queries), figures.count(section.corpus.docs)
    basis = Text(f"n = {queries} queries, {docs} documents; p50 and p95 are end to end", style="dim")
    above, below = [Text(section.title, style="dim"), *answer], [*warnings, basis]
    return Group(*(Padding(line, INDENT) for line in above), table, *(Padding(line, INDENT) for line in below))
