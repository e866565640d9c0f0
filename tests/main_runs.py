"""Variants of the handbook's main run (`main_run`), for what that run does not show."""

from __future__ import annotations

from typing import Any

from ragprof.session.summary import Analysis, context_of
from ragprof.studies.contract import EstimateValue, Latency, Section
from ragprof.studies.profile.section import ProfileSection, StageCores, Waiting


def changed(run: ProfileSection, name: str, **figures: Any) -> ProfileSection:
    """The run with other figures of one pipeline."""
    return run.model_copy(update={"pipelines": {**run.pipelines, name: run.pipelines[name].model_copy(update=figures)}})


def cut(run: ProfileSection, *names: str) -> ProfileSection:
    """The run with these pipelines alone."""
    pairs = tuple(pair for pair in run.comparisons if {pair.baseline, pair.candidate} <= set(names))
    return run.model_copy(update={"pipelines": {name: run.pipelines[name] for name in names}, "comparisons": pairs})


def unpriced(run: ProfileSection, name: str, stage: str = "rerank") -> ProfileSection:
    """The run with one stage of a pipeline that nobody knows the price of."""
    bill = run.pipelines[name].cost_usd_per_1000_queries
    lost = {"total": None, "interval": None, "per_month": None, "unpriced": (f"{stage}: no rate named 'hosted'",)}
    lost |= {stage: None, "stage_intervals": {**bill.stage_intervals, stage: None}}
    return changed(run, name, cost_usd_per_1000_queries=type(bill).model_validate({**bill.as_json(), **lost}))


def twelve(run: ProfileSection) -> ProfileSection:
    """Twelve pipelines, some with long names and some that nearly coincide."""
    pipelines, final = dict(run.pipelines), dict(run.final_stage)
    for copy in range(2):
        for place, (name, figures) in enumerate(run.pipelines.items()):
            suffix = f" with a long descriptive suffix, variant {copy}.{place}" if place % 2 else f"-int{copy}"
            twin = name + suffix
            slower = {"p50_ns": int(figures.end_to_end.p50_ns * (1.04 + 0.05 * place))}
            pipelines[twin] = figures.model_copy(update={"end_to_end": figures.end_to_end.model_copy(update=slower)})
            final[twin] = run.final_stage[name]
    return run.model_copy(update={"pipelines": pipelines, "final_stage": final})


def led_by(run: ProfileSection, metric: str) -> ProfileSection:
    """The run as an eval that asks for this metric alone would have it."""
    pipelines = {
        name: figures.model_copy(
            update={"scores": {stage: {metric: scores[metric]} for stage, scores in figures.scores.items()}}
        )
        for name, figures in run.pipelines.items()
    }
    pairs = tuple(pair.model_copy(update={"metric": metric}) for pair in run.comparisons)
    return run.model_copy(update={"pipelines": pipelines, "comparisons": pairs})


def timed(run: ProfileSection, name: str, *, p50: float, spread: float = 0.5) -> ProfileSection:
    """Other latencies of one pipeline, in ms; the interval of p50 reaches `spread` ms to both sides."""
    ends = (round((p50 - spread) * 1e6), round((p50 + spread) * 1e6))
    whole = run.pipelines[name].end_to_end.model_copy(
        update={"p50_ns": round(p50 * 1e6), "p50_interval_ns": ends, "mean_ns": round(p50 * 1e6)}
    )
    return changed(run, name, end_to_end=whole)


def disturbed(run: ProfileSection, name: str, *, share: float) -> ProfileSection:
    """One pipeline of which threads waited for a core in this share of the time; its search is billed by the hour."""
    reason = f"the machine was busy ({share:.0%} of the time waiting for a core)" if share > 0.1 else ""
    waiting = Waiting(
        share=share, bound=0.1, busy=share > 0.1, reason=reason, switches_per_query=3.0, stolen_share=0.0,
        stages={"search": StageCores(cpu_ns=2_000_000, waiting_ns=6_000_000, share=share)}, pressure_share=0.9,
    )  # fmt: skip
    return changed(run, name, waiting=waiting, billed_by_time=("search",))


def scored(run: ProfileSection, name: str, mean: float | None) -> ProfileSection:
    """Another quality of one pipeline's own ranking, 0.05 to both sides of it."""
    stage = run.final_stage[name]
    scores = run.pipelines[name].scores
    interval = None if mean is None else (mean - 0.05, mean + 0.05)
    estimate = EstimateValue(mean=mean, interval=interval, n=12)
    return changed(run, name, scores={**scores, stage: {**scores[stage], "nDCG@10": estimate}})


def first_token(run: ProfileSection, name: str, *, p50_ns: int) -> ProfileSection:
    """One pipeline with a generator that streams."""
    pipeline = run.pipelines[name]
    first: Latency = pipeline.end_to_end.model_copy(update={"p50_ns": p50_ns})
    generate = pipeline.end_to_end.model_copy(update={"first_token": first})
    return changed(run, name, stages={**pipeline.stages, "generate": generate})


def analysed(run: ProfileSection, **sections: Section) -> Analysis:
    """The run as the report has it, with sections of studies by their names."""
    metric = next(iter(run.comparisons)).metric if run.comparisons else "nDCG@10"
    return Analysis(run, sections, context_of(tuple(run.pipelines), metric, run.final_stage))
