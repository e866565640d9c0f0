"""The reranker's section as a part of the report, and as a table on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ragprof.report import figures
from ragprof.report.blocks import Block, Folded, PipelineFold, ReportPart, Sentences
from ragprof.report.figures import signed
from ragprof.report.tables import Cell
from ragprof.studies.contract import Context
from ragprof.studies.reranker import tables
from ragprof.studies.reranker.section import RerankerSection, RerankerVerdict
from ragprof.studies.reranker.tables import MARKS, verdict_words

if TYPE_CHECKING:
    from rich.console import RenderableType


def show(section: RerankerSection, context: Context) -> list[ReportPart]:
    """Verdicts at a glance, then all about each pipeline: the first open, the others folded."""
    folds = [
        PipelineFold(
            name,
            verdict_words(one.verdict, one.depth),
            MARKS[one.verdict][1],
            tuple(_blocks(name, one, place, context)),
            open=place == 1,
        )
        for place, (name, one) in enumerate(section.verdicts.items(), start=1)
    ]
    study = section.study
    blocks: list[Block] = [Sentences(study.statements), tables.glance(section), tables.side_by_side(section)]
    blocks += [*folds, Sentences(study.notes)]
    return [ReportPart("reranker", "Is the reranker worth it?", blocks, link="Reranker")]


def _blocks(name: str, one: RerankerVerdict, place: int, context: Context) -> Iterator[Block]:
    from ragprof.studies.reranker import charts

    drawn = charts.Drawn(one, name, place, context.colours[name])
    yield Sentences([one.reason, one.sensitive_to.sentence])
    yield tables.statement(one)
    yield charts.break_even(drawn)
    yield from (tables.break_even(one), tables.scenarios(one), tables.alternatives(name, one))
    yield charts.depth(drawn)
    yield Sentences([found.sentence for found in (one.knee, one.falls_from, one.latency_check) if found])
    yield from (Folded(tables.depths(one)), Folded(tables.grid(one)))
    yield charts.headroom(drawn)
    yield from (Sentences([one.headroom.sentence]), Folded(tables.headroom(one)))
    yield from (tables.truncation(one), Sentences([one.truncation.sentence]))
    yield charts.changes(drawn)
    yield Folded(tables.clearest(one))
    yield charts.routing(drawn)
    yield Sentences([one.routing_choice.sentence] if one.routing_choice else [])
    yield Folded(tables.routing(one))
    yield charts.growth(drawn)
    yield Sentences([one.growth.sentence] if one.growth else [])
    yield Folded(tables.growth(one))
    yield from (tables.price_trend(one), tables.price_history(one), Sentences(one.notes))


def answers(section: RerankerSection) -> dict[str, str]:
    """The verdicts for the head of the report."""
    return {name: _answer(name, one) for name, one in section.verdicts.items()}


def _answer(name: str, one: RerankerVerdict) -> str:
    candidates = figures.counted(one.depth, "candidate")
    advice = {
        "KEEP": f"Keep the reranker of {name}",
        "DROP": f"Drop the reranker of {name}",
        "SHRINK": f"Let the reranker of {name} read {candidates} instead of {one.own_depth:,}",
        "UNDECIDED": f"Whether the reranker of {name} is worth it is undecided",
    }
    reason = one.reason
    if one.verdict in ("KEEP", "DROP"):
        # What is decided needs its ground alone; the section goes on to what else was found.
        reason = f"{reason.partition('; ')[0].partition('. From ')[0].removesuffix('.')}."
    return f"{advice[one.verdict]}. {reason}"


def print_table(section: RerankerSection, _context: Context) -> RenderableType:
    """A line a pipeline, then the reasons; the rest is in the report. Nothing is cut; long names continue below."""
    from rich.console import Group
    from rich.padding import Padding

    from ragprof.report import terminal

    table = terminal.empty_table()
    table.padding = (0, 1, 0, 0)
    table.add_column("verdict", overflow="fold", max_width=12)
    for title in ("gain\n95% interval", "added\np50", "reranker\nUSD", "net\nUSD"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, one in section.verdicts.items():
        cost, _, net = tables.money_cells(one.statement)
        low, high = one.gain.interval or (None, None)
        ends = figures.ABSENT if low is None or high is None else f"{low:.3f} to {high:.3f}".replace("-", figures.MINUS)
        gain = figures.difference(one.gain.difference)
        cells = (
            Cell(tables.verdict_cell(one).text, tone=MARKS[one.verdict][1]),
            Cell(gain, tone="absent") if gain == figures.ABSENT else Cell(f"{gain}\n{ends}"),
            Cell(signed(one.statement.added_p50_ns, figures.duration)),
            *(cost, net),
        )
        table.add_row(terminal.said(name), *map(terminal.styled, cells))
    priced = section.study.priced_as
    basis = " or ".join(dict.fromkeys(map(tables.basis, section.verdicts.values())))
    small = (
        f"gain in {tables.metrics_of(section)} with its 95% interval, {basis}; USD per 1,000 queries, net below 0 saves"
        f"{f'; prompt tokens priced as {priced}' if priced else ''}"
    )
    lines = [*terminal.bullets(section.study.statements), terminal.said(small, style="dim")]
    return Group(table, *(Padding(line, terminal.INDENT) for line in lines))
