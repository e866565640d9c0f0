"""Tables of a trace profile, and the profile on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from rich.console import Group, RenderableType
from rich.padding import Padding

from ragprof.core import STAGES
from ragprof.report import figures
from ragprof.report.figures import UNPRICED
from ragprof.report.tables import (
    PIPELINE,
    Cell,
    Column,
    Row,
    Table,
    bill_cell,
    estimate_cell,
    figure,
    group,
    quantile_cell,
    score_cell,
    share_cell,
)
from ragprof.report.terminal import INDENT, bullets, empty_table, styled
from ragprof.statistics.estimates import QUANTILES
from ragprof.studies.contract import EstimateValue, Latency
from ragprof.studies.trace.section import TracedPipeline, TraceSection

Columns: TypeAlias = dict[Column, Callable[[str], Cell]]
MOST_OTHER = 12
"""Other stages that a table shows: those that take most time."""
HOW = "Small figures are 95% intervals over traces; those of one question or one session count as one."


def glance(section: TraceSection) -> Table:
    of = section.pipelines
    columns: Columns = {
        PIPELINE: lambda name: Cell(name, pipeline=name),
        Column("Traces", "questions, sessions"): lambda name: figure(
            figures.count(of[name].traces), figures.count(of[name].independent)
        ),
        Column("p50", "end to end"): lambda name: _end_to_end(of[name], "p50"),
        Column("p95", "end to end"): lambda name: _end_to_end(of[name], "p95"),
        Column("Failed", "of the traces"): lambda name: share_cell(of[name].failed),
        Column("Cost", "per 1,000 traces"): lambda name: _bill(of[name]),
        Column("Priced", "of the model calls"): lambda name: figure(figures.share(of[name].money.priced_share)),
        Column("Reranker", "changed the set"): lambda name: _changed(of[name]),
    }
    return Table.of("glance", "At a glance", columns, of, HOW)


def _end_to_end(pipeline: TracedPipeline, quantile: str) -> Cell:
    return figure(figures.ABSENT) if pipeline.end_to_end is None else quantile_cell(pipeline.end_to_end, quantile)


def _bill(pipeline: TracedPipeline) -> Cell:
    """The bill; with a word where nothing could be priced, and without an interval where something could not."""
    money = pipeline.money
    if money.calls and not money.priced and not money.reported:
        return figure(UNPRICED)
    return bill_cell(money.per_1000_traces)


def _changed(pipeline: TracedPipeline) -> Cell:
    if pipeline.reranker is None or pipeline.reranker.set_changed is None:
        return figure(figures.ABSENT)
    return share_cell(pipeline.reranker.set_changed)


def latency(section: TraceSection) -> Table:
    columns = (
        PIPELINE, Column("Stage", numeric=False), *(Column(quantile) for quantile in QUANTILES),
        Column("Mean", "critical path"), Column("In", "of the traces"), Column("n", "traces"), Column("Errors"),
        Column("Retries"),
    )  # fmt: skip
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        cells = [
            (*_quantiles(stage, found), figure(figures.duration(pipeline.mean_path_ns.get(stage))),
             figure(figures.share(pipeline.in_traces.get(stage))), figure(figures.count(found.n)),
             *(figure(figures.count(counts.get(stage, 0))) for counts in (pipeline.errors, pipeline.retries)))
            for stage, found in shown(pipeline.stages).items()
        ]  # fmt: skip
        blank = Cell("")
        if pipeline.first_token is not None:
            cells.append((*_quantiles("first token", pipeline.first_token), blank, blank,
                          figure(figures.count(pipeline.first_token.n)), blank, blank))  # fmt: skip
        if (rest := pipeline.mean_path_ns.get("unaccounted")) is not None:
            cells.append((Cell("unaccounted"), *[blank] * 3, figure(figures.duration(rest)), *[blank] * 4))
        if (whole := pipeline.end_to_end) is not None:
            cells.append((*_quantiles("end to end", whole), figure(figures.duration(whole.mean_ns)), blank,
                          figure(figures.count(whole.n)), blank, blank))  # fmt: skip
        rows += group(Cell(name, pipeline=name), cells)
    note = (
        f"{HOW} A stage's own time without its children's, added up over its spans in a trace, of the traces that have "
        "the stage; the means on the critical path are over all timed traces and add up to the mean end to end."
    )
    return Table("latency", "Latency of each stage", columns, tuple(rows), note)


def _quantiles(stage: str, found: Latency) -> tuple[Cell, ...]:
    return (Cell(stage), *(quantile_cell(found, quantile) for quantile in QUANTILES))


def shown(stages: Mapping[str, Latency]) -> dict[str, Latency]:
    """The five stages, and the other ones that take most time."""
    others = [stage for stage in stages if stage not in STAGES][:MOST_OTHER]
    return {stage: found for stage, found in stages.items() if stage in STAGES or stage in others}


def overlap(section: TraceSection) -> Table:
    """Busy time and critical path of pipelines in which branches run side by side."""
    columns = (PIPELINE, Column("Stage", numeric=False), Column("Busy p50"), Column("Path p50"), Column("Busy p95"),
               Column("Path p95"))  # fmt: skip
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        path = shown(pipeline.path)
        cells = [
            (Cell(stage), quantile_cell(pipeline.stages[stage], "p50"), quantile_cell(found, "p50"),
             quantile_cell(pipeline.stages[stage], "p95"), quantile_cell(found, "p95"))
            for stage, found in path.items() if stage in pipeline.stages
        ]  # fmt: skip
        rows += group(Cell(name, f"{pipeline.overlapping:,} traces with parallel branches", pipeline=name), cells)
    note = "Busy: own time of all spans of the stage; path: the part of it that the end of the trace waited for."
    return Table("overlap", "Branches side by side", columns, tuple(rows), note)


def reranker(section: TraceSection) -> Table:
    of = {name: each.reranker for name, each in section.pipelines.items() if each.reranker is not None}
    columns: Columns = {
        PIPELINE: lambda name: Cell(name, pipeline=name),
        Column("Set changed", "of the traces"): lambda name: _share(of[name].set_changed),
        Column("Order changed"): lambda name: share_cell(of[name].order_changed),
        Column("First changed", "passage"): lambda name: share_cell(of[name].first_changed),
        Column("Takes", "of the time"): lambda name: figure(figures.share(of[name].time_share)),
        Column("n", "traces"): lambda name: figure(figures.count(of[name].traces)),
        Column("It is", numeric=False): lambda name: Cell(
            of[name].verdict, tone="worse" if of[name].verdict == "inert" else ""
        ),
    }
    note = (
        f"{HOW} What went on, against as many of the first candidates in the order that the reranker was given them. "
        "Inert: the whole interval of the changed sets (of changed orders, where all passages go on) is below 5%. "
        "Whether a change is for the better needs relevance judgements."
    )
    return Table.of("reranker", "Does the reranker change anything?", columns, of, note)


def _share(found: EstimateValue | None) -> Cell:
    return figure(figures.ABSENT) if found is None else share_cell(found)


def shrink(section: TraceSection) -> Table:
    columns = (PIPELINE, Column("Candidates"), Column("Same prompt", "of the traces"),
               Column("Saved", "of the candidates"))  # fmt: skip
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        if (found := pipeline.shrink) is not None:
            cells = [
                (Cell(str(row.depth), tone="strong" if row.depth == found.depth else ""),
                 share_cell(row.same_prompt), figure(figures.share(row.saved_share)))
                for row in found.by_depth
            ]  # fmt: skip
            told = f"{found.candidates:.1f} candidates, {found.injected:.1f} in the prompt, {found.traces:,} traces"
            rows += group(Cell(name, told, pipeline=name), cells)
    note = (
        f"{HOW} How many prompts would hold the same passages if no more candidates had been asked for. True of "
        "rerankers that score each passage by itself; one that reads all of them together may choose otherwise."
    )
    return Table("shrink", "Passages that never reach the prompt", columns, tuple(rows), note)


def money(section: TraceSection) -> Table:
    of = section.pipelines
    stages = [stage for stage in STAGES if any(stage in each.money.stages_usd for each in of.values())]
    columns: Columns = {
        PIPELINE: lambda name: Cell(name, pipeline=name),
        **{Column(stage, "total"): _stage_cell(section, stage) for stage in stages},
        Column("Total", "of these traces"): lambda name: figure(figures.usd(of[name].money.total_usd), tone="strong"),
        Column("Per 1,000", "traces"): lambda name: _bill(of[name]),
        Column("Calls"): lambda name: figure(figures.count(of[name].money.calls)),
        Column("Priced", "by rate, by span"): lambda name: figure(
            figures.share(of[name].money.priced_share),
            f"{of[name].money.priced:,} and {of[name].money.reported:,}",
        ),
    }
    note = "inject: what LLMs take for prompts; generate: for answers. UNPRICED calls are in no sum; they are not free."
    return Table.of("money", "What the model calls cost", columns, of, note)


def _stage_cell(section: TraceSection, stage: str) -> Callable[[str], Cell]:
    return lambda name: figure(figures.usd(section.pipelines[name].money.stages_usd.get(stage)))


def models(section: TraceSection) -> Table:
    columns = (PIPELINE, Column("Stage", numeric=False), Column("Model", numeric=False), Column("Calls"),
               Column("Input", "tokens"), Column("Output", "tokens"), Column("Passages"))  # fmt: skip
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        cells = [
            (Cell(each.stage), Cell(each.model or "(not told)", each.provider), figure(figures.count(each.calls)),
             *(figure(figures.count(value or None)) for value in (each.input_tokens, each.output_tokens, each.docs)))
            for each in pipeline.models
        ]  # fmt: skip
        rows += group(Cell(name, pipeline=name), cells)
    return Table("models", "Models", columns, tuple(rows))


def tokens(section: TraceSection) -> Table:
    columns = (PIPELINE, Column("Tokens", numeric=False), Column("Total"), Column("Per trace"), Column("n", "traces"))
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        cells = [
            (Cell(unit.replace(".", ": ").replace("_", " ")), figure(figures.rough_count(found.total)),
             estimate_cell(found.per_trace, figures.mean_count), figure(figures.count(found.per_trace.n)))
            for unit, found in pipeline.tokens.items()
        ]  # fmt: skip
        rows += group(Cell(name, pipeline=name), cells)
    return Table("tokens", "Tokens", columns, tuple(rows), f"{HOW} Of the traces that tell them.")


def quality(section: TraceSection) -> Table:
    every = [scores for each in section.pipelines.values() for scores in each.scores.values()]
    metrics = list(dict.fromkeys(metric for scores in every for metric in scores))
    columns = (PIPELINE, Column("After", numeric=False), *map(Column, metrics), Column("n", "traces"))
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        cells = [
            (Cell(stage), *(score_cell(scores, metric) for metric in metrics), figure(figures.count(pipeline.judged)))
            for stage, scores in pipeline.scores.items()
        ]
        rows += group(Cell(name, pipeline=name), cells)
    note = f"{HOW} Of the traces whose question, by its words, has relevance judgements."
    return Table("quality", "Quality of judged questions", columns, tuple(rows), note)


def days(section: TraceSection) -> Table:
    columns = (PIPELINE, Column("Day", "UTC", numeric=False), Column("Traces"), Column("p50"), Column("p95"),
               Column("Failed"), Column("Tokens", "per trace"))  # fmt: skip
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        cells = [
            (Cell(day.day), figure(figures.count(day.traces)), quantile_cell(day, "p50"), quantile_cell(day, "p95"),
             share_cell(day.failed), figure(figures.count(day.tokens)))
            for day in pipeline.days
        ]  # fmt: skip
        rows += group(Cell(name, pipeline=name), cells)
    return Table("days", "Day by day", columns, tuple(rows), HOW)


def slowest(section: TraceSection) -> Table:
    columns = (PIPELINE, Column("Trace", numeric=False), Column("Took"), Column("Most in", numeric=False),
               Column("Began", numeric=False), Column("Errors"), Column("Retries"))  # fmt: skip
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        cells = [
            (Cell(each.trace_id, each.name), figure(figures.duration(each.duration_ns)),
             Cell(each.stage, figures.duration(each.stage_ns)), Cell(each.start), figure(figures.count(each.errors)),
             figure(figures.count(each.retries)))
            for each in pipeline.slowest
        ]  # fmt: skip
        rows += group(Cell(name, pipeline=name), cells)
    return Table("slowest", "Slowest traces", columns, tuple(rows))


def sources(section: TraceSection) -> Table:
    columns = {
        Column("File", numeric=False): lambda each: Cell(each.name),
        Column("Size"): lambda each: figure(figures.size(each.bytes)),
        Column("Spans", numeric=False): lambda each: Cell(", ".join(f"{n:,} {name}" for name, n in each.spans.items())),
        Column("Unread", "lines"): lambda each: figure(figures.count(each.unread)),
        Column("No spans", "objects"): lambda each: figure(figures.count(each.foreign)),
    }
    return Table.of("sources", "What was read", columns, section.sources)


def terminal(section: TraceSection) -> RenderableType:
    """The answer and one table, no wider than 80 columns."""
    table = empty_table()
    for title in ("stage", "p50", "p95", "p99", "n"):
        table.add_column(title, justify="left" if title == "stage" else "right", no_wrap=title != "stage")
    for name, pipeline in section.pipelines.items():
        rows = list(shown(pipeline.stages).items())
        if pipeline.end_to_end is not None:
            rows.append(("end to end", pipeline.end_to_end))
        for place, (stage, found) in enumerate(rows):
            cells = (*_quantiles(stage, found), figure(figures.count(found.n)))
            table.add_row("" if place else name, *map(styled, cells))
    return Group(Padding(Group(*bullets(section.headline)), INDENT), table,
                 Padding(Group(*bullets(f"! {warning}" for warning in section.warnings)), INDENT))  # fmt: skip
