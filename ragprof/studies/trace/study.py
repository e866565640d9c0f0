"""Traces of production as a study: what a team already recorded, profiled offline. It has no eval and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ragprof.core.errors import BadInput
from ragprof.report.blocks import Pair, ReportPart, Titled
from ragprof.studies.applied_rates import rates_table
from ragprof.studies.contract import Context, Pricing, Request, Study
from ragprof.studies.trace.section import TraceSection

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ragprof.record.recording import Bench
    from ragprof.studies.preparation import Prepared

OF_FILES = "a trace profile is made of files of traces, not of an eval: ragprof trace FILE..."


def plan(_prepared: Prepared, request: Request) -> None:
    """There is nothing to plan: raises BadInput."""
    raise BadInput(OF_FILES, file=request.eval_file)


def record(_plan: None, _bench: Bench) -> None:
    """There is nothing to run: raises BadInput. Files are read by `record_traces`."""
    raise BadInput(OF_FILES)


def price(folder: Path, pricing: Pricing) -> None:
    from ragprof.studies.trace.price import price_traces

    price_traces(folder, pricing)


def analyse(folder: Path) -> TraceSection:
    from ragprof.studies.trace.analysis import analyse as analyse_traces

    return analyse_traces(folder)


def show(section: TraceSection, _context: Context) -> Sequence[ReportPart]:
    from ragprof.studies.trace import charts, tables

    parts = [
        ReportPart("glance", "", [tables.glance(section)]),
        ReportPart(
            "time", "Time", [charts.stage_times(section), tables.latency(section), tables.overlap(section)], "Time",
        ),
        ReportPart("reranker", "Reranker", [tables.reranker(section), tables.shrink(section)], "Reranker"),
        ReportPart("quality", "Quality", [tables.quality(section)], "Quality"),
        ReportPart(
            "money", "Money and tokens", [tables.money(section), tables.models(section), tables.tokens(section)],
            "Money",
        ),
        ReportPart("days", "Day by day", [charts.days(section), tables.days(section)], "Days", details=True),
        ReportPart("slowest", "Slowest traces", [tables.slowest(section)], "Slowest", details=True),
        ReportPart(
            "trust", "How far to trust this",
            [tables.sources(section), Pair(Titled("Method", section.method), Titled("Limits", section.limits)),
             rates_table(section.rates)],
            "Trust", last=True, details=True,
        ),
    ]  # fmt: skip
    return [part for part in parts if any(getattr(block, "rows", True) for block in part.blocks if block is not None)]


def print_section(section: TraceSection, _context: Context) -> RenderableType:
    from ragprof.studies.trace.tables import terminal

    return terminal(section)


STUDY = Study(
    name="trace",
    plan=plan,
    record=record,
    price=price,
    section=TraceSection,
    analyse=analyse,
    show=show,
    print=print_section,
    needs_profile=False,
)
"""What production does, in the words of the other studies."""
