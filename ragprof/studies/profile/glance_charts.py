"""The main run in two charts of characters: quality with its interval, and where a query's time goes."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding

from ragprof.report import figures
from ragprof.report.terminal import INDENT
from ragprof.report.text_charts import StackedBar, StackedBars, Whisker, Whiskers
from ragprof.studies.profile.section import PipelineFigures, ProfileSection

UNACCOUNTED = "unaccounted"


def charts(section: ProfileSection) -> RenderableType:
    """Quality, where there are judgements, above the mean time of each stage."""
    times = [StackedBar(name, _parts(one), _whole(one)) for name, one in section.pipelines.items()]
    stages = [*section.stages, UNACCOUNTED]
    drawn: list[RenderableType] = [Padding(StackedBars("Mean time of a query, by stage", stages, times), INDENT)]
    if section.judged:
        drawn = [
            Padding(Whiskers(f"{section.metric}, with 95% intervals", _quality(section), figures.score), INDENT),
            "",
            *drawn,
        ]
    return Group(*drawn)


def _quality(section: ProfileSection) -> list[Whisker]:
    rows = []
    for name in section.pipelines:
        found = section.final_scores(name).get(section.metric)
        if found is not None and found.mean is not None:
            low, high = found.interval or (None, None)
            words = f"{figures.score(found.mean)} {figures.span(found.interval, figures.score)}"
            rows.append(Whisker(name, found.mean, low, high, words))
    return rows


def _parts(one: PipelineFigures) -> dict[str, float]:
    means: dict[str, float] = {stage: latency.mean_ns for stage, latency in one.stages.items()}
    return {**means, UNACCOUNTED: max(0, one.unaccounted.mean_ns)}


def _whole(one: PipelineFigures) -> str:
    return f"{figures.duration(one.end_to_end.mean_ns)}{' (busy machine)' if one.latency_withheld else ''}"
