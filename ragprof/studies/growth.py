"""summary["growth"]: what happens to quality, context, time, memory and money as the corpus grows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ragprof import files
from ragprof.core import STAGES
from ragprof.price import PipelinePricing, read_pricing
from ragprof.studies.growth_data import BIASED, KINDS, UNBIASED, Array, GrowthData, PipelineData, read_growth
from ragprof.studies.growth_effects import crossovers, evidence, losses
from ragprof.studies.growth_forecasts import forecasts
from ragprof.studies.latency import quantiles
from ragprof.studies.resampling import estimate, estimates

DIGITS = 6
WHAT = {
    "all_judged": "Every passage of a relevant document is in every sub-corpus; others are added at random. "
    "Small sizes look better than they are: the evidence is complete from the start.",
    "proportional": "A plain random part of the corpus: relevant documents come in proportion, so small sizes lack "
    "evidence. What a corpus that grows from that size would show.",
    "similar": "The smallest sub-corpus, then the passages nearest to relevant ones first.",
    "duplicate": "The smallest sub-corpus, then near-copies of relevant passages; a copy counts as not relevant.",
    "contradicting": "The smallest sub-corpus, then relevant passages with a figure, a name or a negation changed.",
    "foreign": "The smallest sub-corpus, then passages of another corpus; nobody judged them.",
}


def growth_of(folder: Path) -> dict[str, Any]:
    """The growth section of a recording's summary. Raises BadInput where the growth recording is incomplete."""
    data = read_growth(folder)
    pipelines = {name: data.read(name) for name in data.names}
    bills = {size: read_pricing(data.size_folder(size)).pipelines for size in data.sizes()}
    section = {
        "seed": data.settings["seed"],
        "orders": data.manifest["plan"]["orders"],
        "sizes": data.sizes(),
        "metric": data.metric,
        "cutoffs": data.settings["cutoffs"],
        "depths": data.settings["depths"],
        "kept": data.manifest["kept"],
        "curves": {curve: {"what": WHAT[curve], "flatters": curve != UNBIASED} for curve in data.curves},
        "pipelines": {name: _curves(each, bills) for name, each in pipelines.items()},
        "evidence": {name: evidence(each) for name, each in pipelines.items() if UNBIASED in data.curves},
        "loss": {name: losses(each) for name, each in pipelines.items()},
        "crossovers": crossovers(data, {name: each.quality(BIASED) for name, each in pipelines.items()}),
        "forecast": [line for each in pipelines.values() for line in forecasts(each)],
        "work": data.manifest["work"],
        "environment": data.manifest["environment"],
        "notes": notes(data),
    }
    return dict(rounded(section))


def _curves(pipeline: PipelineData, bills: Mapping[int, Mapping[str, PipelinePricing]]) -> dict[str, Any]:
    data = pipeline.data
    curves = {curve: _points(pipeline, curve) for curve in data.curves}
    for place, size in enumerate(data.sizes()):
        point = curves[BIASED][place]
        point.update(_timings(data, pipeline.name, size))
        point["cost_usd_per_1000_queries"] = bills[size][pipeline.name].as_json()
        if data.is_reranked(pipeline.name) and pipeline.name not in data.manifest["listwise"]:
            point["by_depth"] = _by_depth(pipeline, place)
    if UNBIASED in curves:
        _add_presence(pipeline, curves[UNBIASED])
    return curves


def _points(pipeline: PipelineData, curve: str) -> list[dict[str, Any]]:
    """Quality at every stage and what is in the prompt, at each size of one curve."""
    data, drawn = pipeline.data, pipeline.data.weights
    by_stage = {stage: pipeline.at_stage(curve, stage, pipeline.metrics) for stage in pipeline.stages}
    tokens, prompts = pipeline.tokens(curve), data.prompts(pipeline.name, curve)
    quality = pipeline.quality(curve)
    points = []
    for place, size in enumerate(data.sizes(curve)):
        scores = {
            stage: dict(zip(pipeline.metrics, estimates(values[:, place], drawn), strict=True))
            for stage, values in by_stage.items()
            if values is not None
        }
        points.append(
            {
                "size": size,
                "scores": scores,
                "change": estimate(quality[:, place] - quality[:, 0], drawn),
                "context_tokens": dict(zip(KINDS, np.nanmean(tokens[:, place], axis=(0, 1)).tolist(), strict=True)),
                "context_share": _shares(tokens[:, place], data),
                "prompt_tokens": estimate(prompts[:, place], drawn),
            }
        )
    return points


def _shares(tokens: Array, data: GrowthData) -> dict[str, Any]:
    """Of each query's injected tokens the share of each kind; a query without any takes no part."""
    whole = tokens.sum(axis=-1, keepdims=True)
    shares = np.divide(tokens, whole, out=np.full(tokens.shape, np.nan), where=whole > 0)
    return dict(zip(KINDS, estimates(shares, data.weights), strict=True))


def _by_depth(pipeline: PipelineData, place: int) -> list[dict[str, Any]]:
    """The final ranking's quality when the reranker sees fewer or more candidates."""
    lines = []
    for depth in pipeline.data.settings["depths"]:
        values = pipeline.at_stage(BIASED, "final", pipeline.metrics, depth)
        if values is not None:
            found = estimates(values[:, place], pipeline.data.weights)
            lines.append({"depth": depth, "scores": dict(zip(pipeline.metrics, found, strict=True))})
    return lines


def _add_presence(pipeline: PipelineData, points: list[dict[str, Any]]) -> None:
    """How much evidence is there, and quality by what is there alone."""
    data, coverage = pipeline.data, pipeline.data.coverage()
    wanted = [metric for metric in pipeline.metrics if not metric.startswith("Judged")]
    present = pipeline.at_stage(UNBIASED, "present", wanted)
    for place, point in enumerate(points):
        point["coverage"] = estimate(coverage[:, place], data.weights)
        if present is not None:
            point["present"] = dict(zip(wanted, estimates(present[:, place], data.weights), strict=True))


def _timings(data: GrowthData, name: str, size: int) -> dict[str, Any]:
    """Live latency on an index of this size, and what building it took: medians over the rounds' builds."""
    folder, seed = data.size_folder(size), data.config["seed"]
    spans = files.read_table(folder / "spans.parquet")
    timed = spans[(spans["pipeline"] == name) & (spans["phase"] == "timed")]
    stages = {stage: quantiles(rows, seed=seed) for stage in STAGES if len(rows := timed[timed["stage"] == stage])}
    whole = quantiles(timed[timed["stage"] == "query"], seed=seed)
    rest = whole["mean_ns"] - sum(stage["mean_ns"] for stage in stages.values())
    return {
        "stages": stages,
        "end_to_end": whole,
        "unaccounted": {"mean_ns": rest, "share": rest / whole["mean_ns"]},
        "build": build(files.read_table(folder / "builds.parquet"), name),
    }


def build(builds: pd.DataFrame, name: str) -> dict[str, Any]:
    """Median duration over the rounds with its range, index bytes, and the highest memory."""
    mine = builds[builds["pipeline"] == name]
    return {
        "duration_ns": int(mine["duration_ns"].median()),
        "duration_range_ns": [int(mine["duration_ns"].min()), int(mine["duration_ns"].max())],
        "index_bytes": int(mine["index_bytes"].max()),
        "peak_rss_bytes": int(mine["peak_rss_bytes"].max()),
        "n": len(mine),
    }


def notes(data: GrowthData) -> list[str]:
    """What a reader must know before believing a curve."""
    kept = data.manifest["kept"]
    found = [
        f"The {kept['passages']:,} passages of {kept['documents']:,} relevant documents are in every sub-corpus of all "
        "curves but 'proportional': small sizes are flattered, since their evidence is complete.",
        f"Intervals resample queries and the {data.manifest['plan']['orders']} orders{_in_the_end(data)}.",
        "Timings are live, on the first order's sub-corpora; index sizes and builds too.",
        "Unjudged passages count as not relevant: see Judged@k, which falls where a distractor was never judged.",
    ]
    if {"duplicate", "contradicting"} & set(data.curves):
        found.append("Near-copies and contradictions are made by rules (docs/distractors.md), not written by people.")
    if not data.metric.startswith("nDCG"):
        found.append(
            f"The best possible {data.metric} is below 1 for a question with "
            f"{'fewer' if data.metric.startswith('P') else 'more'} relevant documents than the cutoff; of the losses, "
            "that part stands under embedding."
        )
    found += [f"No curve '{curve}': {reason}." for curve, reason in data.manifest["left_out"].items()]
    if data.settings["depths"] and data.manifest["listwise"]:
        names = ", ".join(data.manifest["listwise"])
        found.append(f"No depth curve for {names}: a listwise reranker's scores hold for one depth only.")
    return found


def _in_the_end(data: GrowthData) -> str:
    """Only the whole corpus is the same in every order."""
    whole = data.sizes()[-1] == data.manifest["corpus_docs"]
    return "; at the largest size all orders are the same corpus" if whole else ""


def rounded(value: Any) -> Any:
    """Floats to six significant digits, all through: the file is read by people too."""
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    if isinstance(value, float):
        return None if np.isnan(value) else float(f"{value:.{DIGITS}g}")
    return value
