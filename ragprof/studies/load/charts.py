"""Charts of a load section: latency against rate with the promise, and where the time of each stage goes.

Imports Altair: import this module late.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import altair as alt

from ragprof.price.databases import HOURS
from ragprof.price.pricing import QUERIES
from ragprof.report import figures
from ragprof.report.palette import INK, MUTED, PAPER, RULE, pipeline_colours
from ragprof.report.theme import Chart, Key, Panel, linear, logarithmic, rows, specification, time_unit
from ragprof.studies.load.money_section import OwnOrApi
from ragprof.studies.load.own_or_api import PARTS
from ragprof.studies.load.section import LoadCapacity, LoadSection, LoadStep, LoadTarget

HEIGHT = 300
OPEN = ("capacity", "curve", "beyond")


def _opened(target: LoadTarget) -> list[LoadStep]:
    kept = [each for each in target.steps if each.purpose in OPEN and each.mode == "open"]
    return sorted(kept, key=lambda each: each.offered)


def latency_against_rate(section: LoadSection) -> Chart | None:
    """The promised quantile of every step over the rate that was due, a line a target, and the promise across."""
    level, points = section.promise.level, []
    field, of = (f"first_{level}", " of the first token") if section.promise.of_first_token else (level, "")
    whole = [target for target in section.targets if target.only is None]
    for target in whole:
        for step in _opened(target):
            found = getattr(step, field)
            if found is not None and found.ns:
                low, high = found.interval_ns or (found.ns, found.ns)
                points.append((target.name, step, found.ns, low, high))
    if not points:
        return None
    promise_ns = section.promise.ms * 1e6
    unit, length = time_unit(max(promise_ns, *(ns for _, _, ns, _, _ in points)))
    found = [(each.name, *_reach(each.capacity)) for each in whole if each.capacity.per_second]
    x = linear([0.0, *(step.offered for _, step, *_ in points), *(most for *_, most in found)], margin=0.04)
    y = logarithmic([max(1.0, end) / length for _, _, ns, low, high in points for end in (ns, low, high)]
                    + [promise_ns / length])  # fmt: skip
    colours = pipeline_colours(dict.fromkeys(target.name for target in whole))
    table = [
        {"target": name, "rate": step.offered, "ns": ns / length, "low": low / length, "high": high / length,
         "told": figures.with_interval(ns, None if low == high else (low, high), figures.duration),
         "rated": f"{figures.three_digits(step.offered)} a second", "step": step.purpose}
        for name, step, ns, low, high in points
    ]  # fmt: skip
    axis = alt.Axis(title="Requests due per second", tickCount=6)
    base = alt.Chart(rows(table)).encode(
        x=alt.X("rate:Q", axis=axis, scale=x.domain()),
        y=alt.Y("ns:Q", scale=y.domain(), axis=alt.Axis(title=f"{level}{of} ({unit}, logarithmic)", values=y.ticks(),
                                                         format="~g", labelColor=MUTED)),
        color=alt.Color("target:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None),
    )  # fmt: skip
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in
               (("target", "Target"), ("rated", "Rate"), ("told", level), ("step", "Step"))]  # fmt: skip
    capacities = _capacities(whole, promise_ns / length, base.encoding.color) if found else []
    promise = alt.Chart(rows([{"ns": promise_ns / length}])).mark_rule(strokeDash=[5, 4], color=MUTED, strokeWidth=1.4)
    drawn = alt.layer(
        promise.encode(y="ns:Q"),
        base.mark_rule(opacity=0.4, strokeWidth=1.5).encode(y="low:Q", y2="high:Q"),
        base.mark_line(strokeWidth=1.4, opacity=0.7),
        base.mark_circle(size=60, opacity=1).encode(tooltip=tooltip),
        *capacities,
    )
    caption = (
        f"{level}{of} from when each request was due, 95% intervals by blocks of time. Dashed: the promise, "
        f"{section.promise.ms:g} ms; diamonds on it: the capacity, with its interval. Steps of the search, "
        "of the curve and beyond the capacity."
    )
    return Chart(
        "load-latency",
        "Latency against rate",
        caption,
        specification(drawn, height=HEIGHT),
        wide=True,
        legend=tuple(Key(name, colour, shape="circle") for name, colour in colours.items()),
    )


def stages_against_rate(section: LoadSection) -> Chart | None:
    """Mean time of a request over the rate, stacked: the queue, then each stage; a panel a target."""
    panels = []
    names = list(dict.fromkeys(name for target in section.targets for step in target.steps for name in step.stages))
    is_batched = any(step.batch_ns for target in section.targets for step in target.steps)
    colours = {"queue": MUTED, **({"batch": RULE} if is_batched else {}), **pipeline_colours(names)}
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    for target in [each for each in section.targets if each.only is None]:
        steps = [each for each in _opened(target) if each.purpose == "curve" and each.stages]
        if not steps:
            continue
        longest = max(
            (each.queue_ns or 0) + (each.batch_ns or 0) + sum(stage.mean_ns for stage in each.stages.values())
            for each in steps
        )
        unit, length = time_unit(longest)
        table: list[dict[str, Any]] = []
        for step in steps:
            parts = {"queue": step.queue_ns or 0, "batch": step.batch_ns or 0}
            parts |= {name: stage.mean_ns for name, stage in step.stages.items()}
            parts = {name: ns for name, ns in parts.items() if name in colours}
            for place, (name, ns) in enumerate(parts.items()):
                table.append({"rate": f"{figures.three_digits(step.offered)}/s", "stage": name, "ms": ns / length,
                              "place": place, "told": figures.duration(ns)})  # fmt: skip
        order = [f"{figures.three_digits(each.offered)}/s" for each in steps]
        drawn = alt.Chart(rows(table)).mark_bar(size=34).encode(
            x=alt.X("rate:N", sort=order, axis=alt.Axis(title="Requests due", labelAngle=0)),
            y=alt.Y("ms:Q", axis=alt.Axis(title=f"Mean time ({unit})", labelColor=MUTED), stack="zero"),
            color=alt.Color("stage:N", scale=scale, legend=None),
            order=alt.Order("place:Q"),
            tooltip=[alt.Tooltip("stage:N", title="Stage"), alt.Tooltip("rate:N", title="Rate"),
                     alt.Tooltip("told:N", title="Mean")],
        )  # fmt: skip
        panels.append(Panel(target.pipeline, specification(drawn, height=220), target.name))
    if not panels:
        return None
    waits = "a worker (queue) and for a batch" if is_batched else "a worker (queue)"
    caption = f"Mean of a request at each rate of the curve: waiting for {waits}, then its stages under load."
    return Chart(
        "load-stages-chart",
        "Where the time goes as load rises",
        caption,
        {},
        panels=tuple(panels),
        legend=tuple(Key(name, colour, area=True) for name, colour in colours.items()),
    )


def _capacities(targets: Sequence[LoadTarget], promise: float, colour: Any) -> list[Any]:
    """A diamond where a target's capacity meets the promise, over its interval."""
    table = []
    for each in targets:
        low, rate, high = _reach(each.capacity)
        told = figures.with_interval(rate, each.capacity.interval, figures.three_digits)
        if rate:
            table.append({"target": each.name, "rate": rate, "low": low, "high": high, "ns": promise, "told": told})
    marks = alt.Chart(rows(table)).encode(y="ns:Q", color=colour)
    tooltip = [alt.Tooltip("target:N", title="Target"), alt.Tooltip("told:N", title="Capacity, a second")]
    return [
        marks.mark_rule(strokeWidth=5, opacity=0.35).encode(x="low:Q", x2="high:Q"),
        marks.mark_point(shape="diamond", size=150, filled=True, opacity=1, stroke=PAPER, strokeWidth=1.5).encode(
            x="rate:Q", tooltip=tooltip
        ),
    ]


def _reach(found: LoadCapacity) -> tuple[float, float, float]:
    """Low end, capacity and high end."""
    rate = found.per_second or 0.0
    low, high = found.interval or (rate, rate)
    return low, rate, high


VOLUMES, SHARES_SHOWN = 28, 20
CHEAPER = {"own": "#1D4E89", "undecided": "#F3F5F8", "api": "#DDA88A"}
SAID = {"own": "One's own machines are cheaper", "undecided": "Within the intervals", "api": "The API is cheaper"}


def own_or_api_chart(section: LoadSection) -> Chart | None:
    """Which is cheaper over the monthly volume and how full machines are; a panel a part, today as a ring."""
    panels, present = [], set()
    for one in section.own_or_api:
        drawn = _cheaper_over(one, section)
        if drawn is not None:
            panel, told = drawn
            panels.append(panel)
            present |= told
    if not panels:
        return None
    caption = (
        "Across: questions a month; up: how full machines are on average, the share of their capacity at the promise. "
        "Machines are whole. Pale: that depends on where in their intervals capacity and the API's price lie. "
        "The ring is today: the eval's traffic, and its profile's mean over its busiest hour."
    )
    legend = tuple(Key(SAID[word], colour, area=True) for word, colour in CHEAPER.items() if word in present)
    return Chart("load-own-or-api-chart", "From which volume on one's own machines are cheaper", caption, {},
                 panels=tuple(panels), legend=legend)  # fmt: skip


def _cheaper_over(one: OwnOrApi, section: LoadSection) -> tuple[Panel, set[str]] | None:
    if one.usd_per_hour is None or not one.per_second or not one.api_usd_per_1000.mean:
        return None
    hour, fixed = float(one.usd_per_hour), float(one.operations_usd_per_month)
    rates = (one.per_second, *(one.per_second_interval or (one.per_second, one.per_second)))
    mean, span = one.api_usd_per_1000.mean, one.api_usd_per_1000.interval
    ends = (mean, mean) if span is None or None in span else (float(span[0] or 0), float(span[1] or 0))
    middle = one.break_even_per_month or int((hour * HOURS + fixed) / mean * QUERIES)
    low, high = min(middle, section.queries_per_month) / 30, max(middle, section.queries_per_month) * 30
    step = (high / low) ** (1 / VOLUMES)
    table, told = [], set()

    def own(volume: float, share: float, rate: float) -> float:
        return max(1, ceil(volume / (HOURS * 3600 * rate * share))) * hour * HOURS + fixed

    for number in range(VOLUMES):
        left, right = low * step**number, low * step ** (number + 1)
        volume = (left * right) ** 0.5
        for place in range(SHARES_SHOWN):
            bottom, top = place / SHARES_SHOWN, (place + 1) / SHARES_SHOWN
            share = (bottom + top) / 2
            best, worst = own(volume, share, rates[2]), own(volume, share, rates[1])
            cheap, dear = (volume / QUERIES * end for end in ends)
            word = "own" if worst < cheap else "api" if best > dear else "undecided"
            told.add(word)
            table.append({
                "x": left, "x_end": right, "y": bottom, "y_end": top, "told": word, "said": SAID[word],
                "at": f"{figures.rough_count(volume)} a month, machines {100 * share:.0f}% full",
                "usd": f"{figures.usd(own(volume, share, rates[0]))} own, {figures.usd(volume / QUERIES * mean)} API",
            })  # fmt: skip
    x = logarithmic([low, high])
    looks = alt.Scale(domain=list(CHEAPER), range=list(CHEAPER.values()))
    colour, stroke = (channel("told:N", scale=looks, legend=None) for channel in (alt.Color, alt.Stroke))
    cells = alt.Chart(rows(table)).mark_rect(strokeWidth=0.6).encode(
        x=alt.X("x:Q", scale=x.domain(), axis=alt.Axis(title="Questions a month (logarithmic)", format="~s", grid=False,
                                                       values=x.ticks(3), labelOverlap="greedy")),
        x2="x_end:Q",
        y=alt.Y("y:Q", scale=alt.Scale(domain=[0, 1], nice=False),
                axis=alt.Axis(title="Machines are full to", format="%", grid=False)),
        y2="y_end:Q", color=colour, stroke=stroke,
        tooltip=[alt.Tooltip("said:N", title="Cheaper"), alt.Tooltip("at:N", title="At"),
                 alt.Tooltip("usd:N", title="USD a month")],
    )  # fmt: skip
    today = alt.Chart(rows([{"x": section.queries_per_month, "y": min(1.0, 1 / section.peak)}]))
    ring = today.mark_point(size=130, strokeWidth=2.6, filled=False, opacity=1).encode(
        x="x:Q", y="y:Q", color=alt.value(INK)
    )
    halo = today.mark_point(size=130, strokeWidth=6, filled=False, opacity=1).encode(
        x="x:Q", y="y:Q", color=alt.value(PAPER)
    )
    name = f"{PARTS[one.stage]} of {one.pipeline}: {one.own} against {one.api}"
    return Panel(one.pipeline, specification(alt.layer(cells, halo, ring), height=240), name), told
