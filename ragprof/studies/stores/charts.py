"""Charts of a stores section: quality against latency and money, and what each setting loses.

Imports Altair: import this module late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.changes import Shift, changes_chart
from ragprof.report.front import FEW, SHORT, Dot, Plot, Reach, ends_of_all, scatter
from ragprof.report.palette import MUTED, pipeline_colours
from ragprof.report.tables import gain_span
from ragprof.report.theme import Chart, linear, logarithmic, rows, specification, time_unit
from ragprof.studies.stores.section import StoreQuality, StoreSetting, StoresSection

FRONT = "Filled points, joined by the line, are on the Pareto front: no other setting here beats them on both axes."


def _colours(section: StoresSection) -> dict[str, str]:
    """A colour an index; its settings share it."""
    of_index = pipeline_colours(dict.fromkeys(each.index for each in section.settings))
    return {each.name: of_index[each.index] for each in section.settings}


def _worth(one: StoreSetting) -> Any:
    return one.recall if one.quality is None else one.quality.score


def _measured(section: StoresSection) -> str:
    return section.metric if section.judged else f"recall@{section.k}"


def _plot(section: StoresSection, known: Mapping[str, tuple[Reach, str]], x: Any, front: Sequence[str]) -> Plot:
    of = {each.name: each for each in section.settings}
    dots = []
    for name, (reach, words) in known.items():
        worth = _worth(of[name])
        told = {"x_words": words, "y_words": figures.with_interval(worth.mean, worth.interval, figures.score)}
        dots.append(Dot(name, reach, Reach.of(worth.mean, worth.interval), told))
    y = linear(ends_of_all(dot.y for dot in dots), margin=0.12, most=1.0)
    wide = len(dots) > FEW or max(map(len, known)) > SHORT
    return Plot(dots, x, y, front, _colours(section), wide=wide)


def quality_against_p95(section: StoresSection) -> Chart:
    """Every setting; p95 of the search alone."""
    ends = [each.latency.p95_interval_ns or (each.latency.p95_ns,) for each in section.settings]
    unit, length = time_unit(max(max(each) for each in ends))
    known = {
        each.name: (
            Reach.of(each.latency.p95_ns, each.latency.p95_interval_ns, length),
            figures.with_interval(each.latency.p95_ns, each.latency.p95_interval_ns, figures.duration),
        )
        for each in section.settings
    }
    x = logarithmic(ends_of_all(reach for reach, _ in known.values()))
    plot = _plot(section, known, x, [each.name for each in section.settings if each.latency_front])
    axis = alt.Axis(title=f"Search p95 ({unit}, logarithmic)", values=x.ticks(), format="~g")
    counts = [each.latency.n for each in section.settings]
    caption = (
        f"{_measured(section)} and p95 of a live search, 95% intervals; {figures.counted(section.queries, 'query')}, "
        f"{figures.between(counts, 'timing')} per setting. {FRONT}"
    )
    drawn = scatter(plot, axis, _measured(section), "Search p95", what="Setting")
    spec = specification(drawn, height=plot.size[1])
    return Chart("stores-latency", "Quality against latency of the search", caption, spec, wide=plot.wide)


def quality_against_usd(section: StoresSection) -> Chart | None:
    """Priced settings; None where none is, or where all cost the same."""
    priced = {each.name: float(each.usd_per_month) for each in section.settings if each.usd_per_month is not None}
    if len(set(priced.values())) < 2 or section.database is None:
        return None
    known = {name: (Reach.of(usd, None), figures.usd(usd)) for name, usd in priced.items()}
    least = [] if section.database.least_usd is None else [float(section.database.least_usd)]
    x = linear([*priced.values(), *least], margin=0.2)
    plot = _plot(section, known, x, [each.name for each in section.settings if each.cost_front])
    axis = alt.Axis(title="USD a month", tickCount=5, format=f"$,.{x.decimals()}f")
    caption = f"{_measured(section)} with 95% intervals; a month of {section.database.name}. {FRONT}"
    drawn = scatter(plot, axis, _measured(section), "A month", what="Setting")
    if least:
        caption += f" The line stands at {figures.usd(least[0])}, which is billed at least, however small the index."
        floor = alt.Chart(rows([{"x": least[0]}])).mark_rule(stroke=MUTED, strokeDash=[2, 4]).encode(x="x:Q")
        drawn = alt.layer(floor, drawn)
    spec = specification(drawn, height=plot.size[1])
    return Chart("stores-cost", "Quality against the bill of a month", caption, spec, wide=plot.wide)


def losses(section: StoresSection) -> Chart | None:
    """What each setting changes against exact search, alone and behind the reranker."""

    def shifts(name: str, read: Any) -> list[Shift]:
        found = []
        for each in section.settings:
            quality: StoreQuality | None = read(each)
            change = None if quality is None else quality.change
            if change is not None and change.mean is not None and change.interval is not None:
                low, high = (float(end or 0) for end in change.interval)
                told = f"{figures.difference(change.mean)} ({gain_span(change.interval, figures.score)})"
                found.append(Shift(each.name, name, change.mean, low, high, told))
        return found

    alone, behind = "alone", f"behind {section.reranker}"
    drawn = [*shifts(alone, lambda one: one.quality), *shifts(behind, lambda one: one.reranked)]
    caption = (
        f"Change of {section.metric} against exact search, paired by query, "
        f"{figures.counted(section.queries, 'query')}. Point: mean; line: 95% interval. The margin "
        f"is {section.margin:g}."
    )
    colours = pipeline_colours([alone, behind])
    return changes_chart("stores-losses", "What the index loses", caption, {section.metric: drawn}, colours)


def recall_by_phase(section: StoresSection) -> Chart | None:
    """How recall differs from before while an index is changed, afterwards, and after it was built anew."""
    names = {"during": "while it changes", "after": "afterwards", "rebuilt": "built anew"}
    drawn = []
    for each in section.phases:
        if each.change is None or each.change.mean is None or each.change.interval is None:
            continue
        low, high = (float(end or 0) for end in each.change.interval)
        told = f"{figures.difference(each.change.mean)} ({gain_span(each.change.interval, figures.score)})"
        drawn.append(Shift(each.setting, names[each.phase], each.change.mean, low, high, told))
    caption = (
        f"Change of recall@{section.k} against before, paired by query, each against exact search over what is in the "
        "index at that moment. Point: mean; line: 95% interval."
    )
    colours = pipeline_colours(names.values())
    return changes_chart(
        "stores-freshness", "What changes do to an index", caption, {f"recall@{section.k}": drawn}, colours
    )
