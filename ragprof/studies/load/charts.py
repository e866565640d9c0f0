"""Charts of a load section: latency against rate with the promise, and where the time of each stage goes.

Imports Altair: import this module late.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.palette import MUTED, RULE, pipeline_colours
from ragprof.report.theme import Chart, Key, Panel, linear, logarithmic, rows, specification, time_unit
from ragprof.studies.load.section import LoadSection, LoadStep, LoadTarget

HEIGHT = 300
OPEN = ("capacity", "curve", "beyond")


def _opened(target: LoadTarget) -> list[LoadStep]:
    kept = [each for each in target.steps if each.purpose in OPEN and each.mode == "open"]
    return sorted(kept, key=lambda each: each.offered)


def latency_against_rate(section: LoadSection) -> Chart | None:
    """The promised quantile of every step over the rate that was due, a line a target, and the promise across."""
    level, points = section.promise.level, []
    field, of = (f"first_{level}", " of the first token") if section.promise.of_first_token else (level, "")
    for target in section.targets:
        for step in _opened(target):
            found = getattr(step, field)
            if found is not None and found.ns:
                low, high = found.interval_ns or (found.ns, found.ns)
                points.append((target.name, step, found.ns, low, high))
    if not points:
        return None
    promise_ns = section.promise.ms * 1e6
    unit, length = time_unit(max(promise_ns, *(ns for _, _, ns, _, _ in points)))
    x = linear([0.0, *(step.offered for _, step, *_ in points)], margin=0.04)
    y = logarithmic([max(1.0, end) / length for _, _, ns, low, high in points for end in (ns, low, high)]
                    + [promise_ns / length])  # fmt: skip
    colours = pipeline_colours(dict.fromkeys(target.name for target in section.targets))
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
    promise = alt.Chart(rows([{"ns": promise_ns / length}])).mark_rule(strokeDash=[5, 4], color=MUTED, strokeWidth=1.4)
    drawn = alt.layer(
        promise.encode(y="ns:Q"),
        base.mark_rule(opacity=0.4, strokeWidth=1.5).encode(y="low:Q", y2="high:Q"),
        base.mark_line(strokeWidth=1.4, opacity=0.7),
        base.mark_circle(size=60, opacity=1).encode(tooltip=tooltip),
    )
    caption = (
        f"{level}{of} from when each request was due, 95% intervals by blocks of time. Dashed: the promise, "
        f"{section.promise.ms:g} ms. Steps of the search, of the curve and beyond the capacity."
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
    for target in section.targets:
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
