"""Tables of answers: pipelines at a glance, where answers are lost, abstention, comparisons, the model that judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.injection import study
from ragprof.report.injection.cells import (
    PIPELINE,
    cost_cell,
    estimate_cell,
    points,
    points_span,
    price_cell,
    share_cell,
    verdict_cells,
)
from ragprof.report.lookup import Summary, at, entries, pipelines
from ragprof.report.palette import LOST
from ragprof.report.pipeline_tables import quantile_cell
from ragprof.report.tables import Cell, Column, Row, Table, figure

_METRICS = {"correct": "correct", "f1": "F1", "exact_match": "exact match"}
_ANSWERED = ("correct", "f1", "exact_match", "answer_in_context", "answer_in_answer")
_GAP = "The gap between in context and correct is what the model leaves unused."


def seconds(value: float | None) -> str:
    """Seconds in the unit that reads best."""
    return figures.ABSENT if value is None else figures.duration(value * 1e9)


def glance(summary: Summary) -> Table:
    """One row a pipeline: what its answers are worth, how long they take to begin, what they cost."""
    streamed = any(_first_token(summary, name) for name in study.names(summary))
    columns = (
        *(PIPELINE, Column("Correct", "of the answers"), Column("F1", "of tokens"), Column("Exact match")),
        *(Column("In context", "a gold answer"), Column("In answer", "a gold answer")),
        Column("First token", "mean, end to end"),
        *((Column("First token", "p50, generate"),) if streamed else ()),
        *(Column("Cost", "per 1,000 queries"), Column("Cost", "per correct answer")),
    )
    rows = tuple(Row(_glance_cells(summary, name, streamed=streamed)) for name in study.names(summary))
    notes = (
        *("Small figures are 95% intervals;", f"{study.basis(summary)}.", study.correct_words(summary)),
        *(_GAP, "First token, end to end: retrieval and the time to the first token."),
    )
    note = " ".join(words for words in notes if words)
    return Table("injection-glance", "Answers at a glance", columns, rows, note)


def _glance_cells(summary: Summary, name: str, *, streamed: bool) -> tuple[Cell, ...]:
    found, economics = study.answers(summary, name), study.economics(summary, name)
    correct, f1, *others = (at(found, key) for key in _ANSWERED)
    own = (quantile_cell(_first_token(summary, name), "p50"),) if streamed else ()
    return (
        *(named(found, name), share_cell(correct), estimate_cell(f1, figures.score), *map(share_cell, others)),
        *(estimate_cell(at(economics, "time_to_first_token_s"), seconds), *own),
        price_cell(economics),
        cost_cell(economics, "usd_per_correct_answer"),
    )


def named(found: Mapping[str, Any], name: str) -> Cell:
    """The pipeline; how its chunks were put into the prompt is told where it is not its own way."""
    setting = at(found, "setting")
    return Cell(name, "" if setting in (None, "own") else str(setting), pipeline=name)


def _first_token(summary: Summary, name: str) -> Any:
    return at(pipelines(summary), name, "stages", "generate", "first_token")


def attribution(summary: Summary) -> Table:
    """How many answers each part lost; every wrong answer is counted once. No rows where nothing was attributed."""
    parts = [part for part in LOST if part != "correct"]
    columns = (
        *(PIPELINE, Column("Asked", "questions"), Column("Correct")),
        *(Column(part.capitalize(), _LOST_BY.get(part, "")) for part in parts),
    )
    found = {name: study.answers(summary, name) for name in study.names(summary)}
    known = {name: one for name, one in found.items() if at(one, "attribution") or at(one, "attribution_counts")}
    rows = tuple(Row(_attribution_cells(one, name, parts)) for name, one in known.items())
    note = (
        "Each wrong answer is put down to the first part that lost it; small figures are shares of all questions asked "
        "(of correct: its 95% interval). Search: no gold answer among the candidates. Rerank: ranked too low. Packing: "
        "left out of the prompt. Model: the gold answer stood in the prompt and the answer is wrong all the same."
    )
    return Table("injection-attribution", "Where answers are lost", columns, rows, note)


_LOST_BY = {"model": "had it in the prompt", "packing": "left it out", "rerank": "ranked it too low"}
_LOST_BY["search"] = "did not find it"


def _attribution_cells(found: Mapping[str, Any], name: str, parts: list[str]) -> tuple[Cell, ...]:
    counts, shares = at(found, "attribution_counts"), at(found, "attribution")
    lost = (_lost_cell(at(counts, part), at(shares, part)) for part in parts)
    asked = at(found, "n")
    return (
        *(named(found, name), figure(figures.count(at(found, "correct", "n") if asked is None else asked))),
        *(share_cell(at(found, "correct")), *lost),
    )


def _lost_cell(count: Any, share: Any) -> Cell:
    if count is None:
        return figure(figures.share(share))
    return figure(figures.count(count), "" if share is None else figures.share(share))


def abstention(summary: Summary) -> Table:
    """Whether the model keeps silent where it should, and only there. No rows where that was not looked at."""
    columns = (
        *(PIPELINE, Column("Abstained rightly", "unanswerable questions"), Column("n", "unanswerable")),
        *(Column("Abstained wrongly", "answerable questions"), Column("n", "answerable")),
    )
    found = {name: at(study.answers(summary, name), "abstention") for name in study.names(summary)}
    rows = tuple(Row((Cell(name, pipeline=name), *_abstention_cells(one))) for name, one in found.items() if one)
    note = "Shares with 95% intervals. Rightly: higher is better; wrongly: lower is better."
    return Table("injection-abstention", "Questions that nothing answers", columns, rows, note)


def _abstention_cells(found: Mapping[str, Any]) -> tuple[Cell, ...]:
    kinds = (at(found, "unanswerable"), at(found, "answerable"))
    return tuple(cell for kind in kinds for cell in (share_cell(kind), figure(figures.count(at(kind, "n")))))


def comparisons(summary: Summary) -> Table:
    """Every pair of pipelines, each at its own way of putting chunks into the prompt."""
    columns = (
        *(Column("Candidate", numeric=False), Column("Against", numeric=False), Column("Metric", numeric=False)),
        *(Column("Difference", "95% interval"), Column("p"), Column("n", "questions")),
        Column("Verdict", numeric=False),
    )
    rows = tuple(Row(_comparison_cells(one)) for one in entries(summary, "injection", "comparisons"))
    note = (
        "Paired by question; candidate minus baseline; pp are percentage points. Undecided means not distinguishable "
        "with these questions, which is not the same as equal."
    )
    return Table("injection-comparisons", "Which pipelines answer better", columns, rows, note)


def _comparison_cells(comparison: Mapping[str, Any]) -> tuple[Cell, ...]:
    candidate, baseline = at(comparison, "candidate"), at(comparison, "baseline")
    metric = figures.text(at(comparison, "metric"))
    p, verdict = verdict_cells(comparison)
    return (
        Cell(figures.text(candidate), pipeline=candidate or ""),
        Cell(figures.text(baseline), pipeline=baseline or ""),
        *(figure(_METRICS.get(metric, metric)), _difference_cell(comparison, metric), p),
        *(figure(figures.count(at(comparison, "n"))), verdict),
    )


def _difference_cell(comparison: Mapping[str, Any], metric: str) -> Cell:
    difference, interval = at(comparison, "difference"), at(comparison, "interval")
    if metric == "f1":
        return figure(figures.difference(difference), figures.span(interval, figures.difference))
    return figure(points(difference), points_span(interval))


def agreement(summary: Summary) -> Table:
    """A model as judge beside the gold answers. No rows where no model judged."""
    columns = (
        *(PIPELINE, Column("Judge", "model", numeric=False), Column("Agreement", "with gold answers")),
        *(Column("Cohen's kappa", "95% interval"), Column("n", "answers")),
    )
    found = {name: at(study.answers(summary, name), "judge") for name in study.names(summary)}
    rows = tuple(Row((Cell(name, pipeline=name), *_judge_cells(one))) for name, one in found.items() if one)
    note = (
        "Kappa is agreement beyond chance: 0 is chance, 1 is full agreement. No other figure here rests on this judge."
    )
    return Table("injection-judge", "A model as judge against the gold answers", columns, rows, note)


def _judge_cells(judge: Mapping[str, Any]) -> tuple[Cell, ...]:
    agreed, kappa = at(judge, "agreement"), at(judge, "kappa")
    interval = figures.span(at(judge, "kappa_interval"), figures.score)
    return (
        figure(figures.text(at(judge, "model"))),
        estimate_cell(agreed, figures.share) if isinstance(agreed, Mapping) else figure(figures.share(agreed)),
        *(figure(figures.score(kappa).replace("-", figures.MINUS), interval), figure(figures.count(at(judge, "n")))),
    )
