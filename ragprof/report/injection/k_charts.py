"""Charts over the number of chunks, a panel a pipeline: what answers gain, and what the prompt's tokens are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ragprof.report import figures
from ragprof.report.growth.axes import Mark, Vertical, ends_of, estimate_mark, near
from ragprof.report.growth.panels import Series, lines_panel, panel_specification
from ragprof.report.growth.stacks import Found, Stack, pieces, top, whole
from ragprof.report.injection import study
from ragprof.report.lookup import Summary, at
from ragprof.report.palette import DASHES, INK, MUTED, PAPER, PROMPT, tint
from ragprof.report.scales import Scale, linear
from ragprof.report.theme import Chart, Key, Panel, rows

K_TITLE = "Chunks in the prompt (k)"
_TRUNCATED, _ROOM, _TICKS = "truncated", 1.06, 4
_LINES = {"correct": ("solid", "circle", 0.0), "answer_in_context": ("dashed", "square", 0.45)}
_WORDS = {"correct": "correct", "answer_in_context": "a gold answer stands in the chunks (paler)"}


def quality(summary: Summary) -> Chart | None:
    """Correct answers, and in paler what retrieval brought. None where k was not varied."""
    panels = {name: _quality_lines(summary, name) for name in study.names(summary)}
    panels = {name: lines for name, lines in panels.items() if lines}
    if not panels:
        return None
    marks = [one for lines in panels.values() for found in lines.values() for one in found]
    y = Vertical("of the questions", near(ends_of(marks)), ".0%")
    x = _k_axis([one.x for one in marks])
    drawn = tuple(Panel(name, lines_panel(lines, x, y)) for name, lines in panels.items())
    drawn_lines = {series.name for lines in panels.values() for series in lines}
    legend = tuple(
        Key(_WORDS[key], tint(INK, white), DASHES[dash], shape)
        for key, (dash, shape, white) in _LINES.items()
        if key.replace("_", " ") in drawn_lines
    )
    caption = (
        f"Share of the questions, {study.basis(summary)}; bands are 95% intervals over questions. "
        f"{study.correct_words(summary)} The gap between the lines is what retrieval brought and the model left unused."
    )
    return Chart("injection-quality", "Answers against the chunks in the prompt", caption, {}, (), False, drawn, legend)


def _quality_lines(summary: Summary, name: str) -> dict[Series, list[Mark]]:
    colour = study.colours(summary)[name]
    found = {
        Series(key.replace("_", " "), tint(colour, white), DASHES[dash], shape): [
            estimate_mark(study.size_of(step, study.BY_K), at(step, key), figures.share)
            for step in study.steps(summary, study.BY_K, name)
        ]
        for key, (dash, shape, white) in _LINES.items()
    }
    return {series: marks for series, marks in found.items() if any(one.value is not None for one in marks)}


def _k_axis(ks: Sequence[float]) -> Any:
    scale = linear(ks, margin=0.06)
    axis = alt.Axis(values=sorted(set(ks)), format="~d", grid=False, labelOverlap="greedy")
    domain = alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False)
    return alt.X("x:Q", title=K_TITLE, axis=axis, scale=domain)


def tokens(summary: Summary) -> Chart | None:
    """The prompt's tokens by what they are, and above them what did not get in. None where none were counted."""
    stacks = {name: whole(_tokens(summary, name)) for name in study.names(summary)}
    stacks = {name: found for name, found in stacks.items() if found}
    if not stacks:
        return None
    highest = max(top(found) for found in stacks.values())
    y = Vertical("tokens per prompt (mean)", Scale(0.0, highest * _ROOM), ",.0f")
    drawn = tuple(Panel(name, _tokens_panel(found, y)) for name, found in stacks.items())
    caption = (
        f"Mean tokens of a prompt by what they are, {study.basis(summary)}; the dashed part on top was within reach "
        "and did not get in. Unjudged is not irrelevant. Cost and time by k are in the tables."
    )
    return Chart(
        "injection-tokens",
        "What the prompt's tokens are",
        caption,
        {},
        panels=drawn,
        legend=_token_keys(stacks),
    )


def _tokens(summary: Summary, name: str) -> Found:
    return {
        int(study.size_of(step, study.BY_K)): {part: at(step, "tokens", part) for part in PROMPT}
        for step in study.steps(summary, study.BY_K, name)
    }


def _token_keys(stacks: Mapping[str, Sequence[Stack]]) -> tuple[Key, ...]:
    found = [one for several in stacks.values() for one in several]
    present = {part for one in found for part, value in one.parts.items() if value}
    return tuple(
        Key(part, colour, (2.5, 2) if part == _TRUNCATED else (), area=True)
        for part, colour in PROMPT.items()
        if part in present
    )


def _tokens_panel(stacks: Sequence[Stack], y: Vertical) -> dict[str, Any]:
    data = [row for row in pieces(stacks, figures.mean_count) if row["high"] > row["low"]]
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in _TOOLTIP.items()]
    axis = alt.Axis(labelAngle=0, labelColor=MUTED, labelOverlap="greedy")
    x = alt.X("x:O", title=K_TITLE, axis=axis, scale=alt.Scale(paddingInner=0.35, paddingOuter=0.2))
    scale = alt.Scale(domain=list(PROMPT), range=list(PROMPT.values()))
    base = alt.Chart().encode(x=x, y=y.axis("low", ticks=_TICKS), y2="high:Q", tooltip=tooltip)
    base = base.encode(color=alt.Color("part:N", scale=scale, legend=None))
    inside, outside = (f"datum.part {sign} '{_TRUNCATED}'" for sign in ("!=", "=="))
    layers = [
        base.transform_filter(inside).mark_bar(orient="vertical", stroke=PAPER, strokeWidth=0.6),
        base.transform_filter(outside).mark_bar(orient="vertical", stroke=MUTED, strokeWidth=1, strokeDash=[2.5, 2]),
    ]
    return panel_specification(alt.layer(*layers, data=rows(data)))


_TOOLTIP = {"part": "Part", "x": "Chunks", "words": "Tokens"}
