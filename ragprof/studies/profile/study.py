"""The main run: record the pipelines, judge and price the recording, say what was found. The study to copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragprof.report.blocks import Block, Pair, ReportPart, Small, Titled
from ragprof.studies.applied_rates import rates_table
from ragprof.studies.contract import Context, Pricing, Request, Study
from ragprof.studies.profile.section import ProfileSection

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ragprof.corpus import EvaluationSet
    from ragprof.record.recording import Bench
    from ragprof.studies.preparation import Prepared


def plan(prepared: Prepared, _request: Request) -> Prepared:
    """Preparation has checked all that can be wrong."""
    return prepared


def record(prepared: Prepared, bench: Bench) -> None:
    from ragprof.record.recording import record as record_main

    record_main(prepared.subject, bench)


def judge(prepared: Prepared, evaluation: EvaluationSet, bench: Bench) -> None:
    from ragprof.judge.scores import judge as judge_main

    judge_main(bench.folder, evaluation, metrics=prepared.subject.config.metrics)


def price(folder: Path, pricing: Pricing) -> None:
    from ragprof.price import price_recording

    price_recording(folder, books=pricing.books, on=pricing.on, llm=pricing.llm)


def analyse(folder: Path) -> ProfileSection:
    from ragprof.studies.profile.analysis import profile_of

    return profile_of(folder)


def show(section: ProfileSection, context: Context) -> Sequence[ReportPart]:
    """What was found goes before the other studies, what it rests on behind them."""
    from ragprof.studies.profile import charts, tables
    from ragprof.studies.profile.headline import answers

    answered = answers(section)
    parts = (
        ReportPart("glance", "", [tables.glance(section)]),
        ReportPart("time", "Time", [charts.stage_times(section), tables.latency(section)], "Time", details=True),
        *(_quality_parts(section, context) if section.judged else _unjudged_parts(section)),
        ReportPart(
            "resources",
            "Tokens, builds and memory",
            [charts.tokens(section), tables.builds(section)],
            "Resources",
            last=True,
            details=True,
        ),
        ReportPart(
            "trust",
            "How far to trust this",
            [
                tables.trust(section),
                *([cores] if (cores := tables.cores(section)) else []),
                Pair(Titled("Method", section.method), Titled("Limits", section.limits)),
            ],
            "Trust",
            last=True,
            details=True,
        ),
        ReportPart(
            "origin",
            "Rates and environment",
            [
                rates_table(section.rates),
                Pair(tables.measured(section), tables.machine(section)),
                tables.reading(section),
                tables.parsing(section),
                Small(_listed(section.corpus.versions or {}), "Corpus"),
                Small(_listed(section.packages), "Packages"),
            ],
            "Rates",
            last=True,
            details=True,
        ),
    )
    return [replace(part, answer=answered.get(part.key, "")) for part in parts]


def _quality_parts(section: ProfileSection, context: Context) -> tuple[ReportPart, ...]:
    from ragprof.studies.profile import charts, tables

    latency, cost = (
        draw(section, context.colours) for draw in (charts.quality_against_latency, charts.quality_against_cost)
    )
    is_wide = any(chart is not None and chart.wide for chart in (latency, cost))
    scatter: list[Block] = [latency, cost] if is_wide else [Pair(latency, cost)]
    from ragprof.studies.labelled import agreement_tables, labelled_table

    blocks = [
        *([labelled_table(section.labelled), *agreement_tables(section.labelled)] if section.labelled else []),
        *(charts.differences(section), tables.comparisons(section)),
        *(charts.quality_by_stage(section), tables.quality(section), tables.overlaps(section)),
    ]
    return (
        ReportPart(
            "trade-off", "Quality for time and money", [*scatter, tables.cost(section)], "Trade-off", details=True
        ),
        ReportPart("quality", "Quality", blocks, "Quality"),
    )


def _unjudged_parts(section: ProfileSection) -> tuple[ReportPart, ...]:
    """What can be said without relevance judgements."""
    from ragprof.studies.profile import tables

    return (
        ReportPart("money", "Money", [tables.cost(section)], "Money", details=True),
        ReportPart("overlap", "Overlap of the results", [tables.overlaps(section)], "Overlap"),
    )


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def print_section(section: ProfileSection, _context: Context) -> RenderableType:
    from ragprof.studies.profile.tables import terminal_table

    return terminal_table(section)


STUDY = Study(
    name="profile",
    plan=plan,
    record=record,
    judge=judge,
    price=price,
    section=ProfileSection,
    analyse=analyse,
    show=show,
    print=print_section,
    needs_profile=False,
)
