"""The reranker's gain as the corpus grows, with the size from which it pays."""

from __future__ import annotations

from typing import Any

from ragprof.report import figures
from ragprof.report.growth.axes import ends_of, estimate_mark, near, size_axis, size_scale, spelling
from ragprof.report.growth.forecast_tables import reach
from ragprof.report.growth.panels import Series
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.reranker import study
from ragprof.report.reranker.curves import level_rule, line_layers, quiet_specification, upright_rules, vertical
from ragprof.report.theme import Chart

_HEIGHT = 240


def growth(summary: Summary, name: str, place: int) -> Chart | None:
    """None without gains at two sizes."""
    found = at(study.of(summary, name), "growth")
    points = [
        point for point in entries(found, "points") if at(point, "size") and at(point, "gain", "mean") is not None
    ]
    if len(points) < 2:
        return None
    marks = [estimate_mark(point["size"], point["gain"], figures.difference) for point in points]
    metric = study.metric(summary, name)
    scale = near([0.0, *ends_of(marks)])
    y = {
        field: vertical(field, f"Gain in {metric}", scale, f"+{spelling(scale)}", above=24)
        for field in ("value", "low")
    }
    x = size_axis(size_scale([one.x for one in marks]), ticks=4)
    line = {Series(name, study.colours(summary)[name]): marks}
    layers = [level_rule(0.0, y["value"], dash=(1, 0)), *_pays(found, x), *line_layers(line, x, y)]
    caption = (
        f"Gain of the reranker over the same pipeline without it, {metric}; the band is the 95% interval, "
        f"{study.basis(summary, name)}. {_pays_words(found)}"
    ).strip()
    spec = quiet_specification(layers, height=_HEIGHT)
    return Chart(f"reranker-{place}-growth", "What the reranker brings as the corpus grows", caption, spec)


def _pays(found: Any, x: Any) -> list[Any]:
    size = at(found, "pays_from", "size")
    return [] if not size else upright_rules({float(size): f"pays from {figures.count(size)}"}, x, _HEIGHT)


def _pays_words(found: Any) -> str:
    pays = at(found, "pays_from") or {}
    if at(pays, "size") is None:
        return f"From which size it pays: {figures.text(at(pays, 'status'))}."
    return f"Pays from {figures.count(pays['size'])} passages on ({reach(pays)})."
