"""summary["growth"]: what happens to quality, context, time, memory and money as the corpus grows.

What moves quality as the corpus grows: evidence or distractors, losses on the way, and who overtakes whom.

From which corpus size one ranking beats another, or that this cannot be told. Looks no further than was measured.

D(n) is the mean over orders and queries of candidate minus baseline, minus the bound. The crossing is the smallest size
from which D is above 0 at every larger measured size as well, by linear interpolation in the logarithm of the size. A
lead that is lost again at a larger size is none. Each replicate (the same queries and orders at every size) has its own
crossing, minus infinity where D is above 0 at all sizes and infinity where it is not at the largest; the interval is
the 95 % percentile interval of these. A status is stated only where the measured values and the whole interval agree:

- "from the smallest size": at most 2.5 % of the replicates cross anywhere; `size` and `interval` are None
- "crosses": both ends lie within the measured range, which is where `size` is given
- "not within the measured range": at most 2.5 % of the replicates are above the bound at the largest size; both None
- "undecided": anything else, and always below two queries with values. `size` is None; an end of `interval` that lies
  within the range is still given ([None, 5200]: by 5,200 at the latest), one outside it is None
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ragprof.core import RANKED_STAGES, STAGES, files
from ragprof.core.errors import BadInput
from ragprof.price import PipelinePricing, read_pricing
from ragprof.statistics.draws import Draws, observed_interval
from ragprof.statistics.estimates import latency_quantiles, rounded
from ragprof.studies.growth.data import BIASED, KINDS, UNBIASED, GrowthData, PipelineData, read_growth
from ragprof.studies.growth.data import Array as DataArray
from ragprof.studies.growth.forecasts import forecasts
from ragprof.studies.growth.section import GrowthSection

FROM_THE_SMALLEST = "from the smallest size"
CROSSES = "crosses"
NOT_WITHIN = "not within the measured range"
UNDECIDED = "undecided"
Array = NDArray[np.float64]


def crossover(
    sizes: Sequence[int], candidate: ArrayLike, baseline: ArrayLike, *, bound: float, draws: Draws
) -> dict[str, Any]:
    """{"size", "interval", "status"} of two metrics (sizes, orders, queries), larger is better; NaN where it is n/a.

    A query counts at a size and in an order where both have a value; a size where none counts is left out.
    """
    differences = np.asarray(candidate, dtype=np.float64) - np.asarray(baseline, dtype=np.float64) - bound
    _fitting(sizes, differences)
    kept = ~np.isnan(differences).all((1, 2))
    cells = np.moveaxis(differences[kept], 0, 2)
    if not cells.size or (~np.isnan(cells)).any((0, 2)).sum() < 2:
        return _answer(None, None, UNDECIDED)
    logs = np.log(np.asarray(sizes, dtype=np.float64)[kept])
    figures = draws.means(cells)
    measured, *drawn = crossings(logs, figures[~np.isnan(figures).any(1)])
    return _stated(float(measured), np.array(drawn))


def crossings(logs: Array, differences: Array) -> Array:
    """(rows, sizes) differences at rising log sizes -> log size of each row's crossing, or an infinity."""
    below = differences <= 0
    last = below.shape[1] - 1 - np.argmax(below[:, ::-1], axis=1)
    rows = np.arange(len(differences))
    after = np.minimum(last + 1, below.shape[1] - 1)
    low, high = differences[rows, last], differences[rows, after]
    way = np.divide(-low, high - low, out=np.zeros(len(rows)), where=high > low)
    found = logs[last] + way * (logs[after] - logs[last])
    found = np.where(below[:, -1], np.inf, found)
    return np.where(below.any(1), found, -np.inf)


def _stated(measured: float, drawn: Array) -> dict[str, Any]:
    ends = observed_interval(drawn)
    if ends is None:
        return _answer(None, None, UNDECIDED)
    low, high = ends
    if measured == high == -np.inf:
        return _answer(None, None, FROM_THE_SMALLEST)
    if measured == low == np.inf:
        return _answer(None, None, NOT_WITHIN)
    if np.isfinite([low, high, measured]).all():
        return _answer(measured, [low, high], CROSSES)
    return _answer(None, [low, high] if np.isfinite([low, high]).any() else None, UNDECIDED)


def _answer(size: float | None, interval: list[float] | None, status: str) -> dict[str, Any]:
    """Log sizes as passages."""
    return {
        "size": None if size is None else round(float(np.exp(size))),
        "interval": None if interval is None else [_passages(end) for end in interval],
        "status": status,
    }


def _passages(log_size: float) -> int | None:
    return round(float(np.exp(log_size))) if np.isfinite(log_size) else None


def _fitting(sizes: Sequence[int], differences: Array) -> None:
    if differences.ndim != 3 or len(differences) != len(sizes):
        raise BadInput(
            f"a crossover needs values of the shape (sizes, orders, queries) with {len(sizes)} sizes, "
            f"not {differences.shape}"
        )
    if list(sizes) != sorted(set(sizes)) or min(sizes, default=0) < 1:
        raise BadInput(f"sizes of a crossover rise and are above 0; found {list(sizes)}")


PARTS = ("embedding", "index", "rerank", "packing")


def evidence(pipeline: PipelineData) -> list[dict[str, Any]]:
    """Per size: what distractors have cost since the smallest size, and what the missing evidence costs.

    Distractors: `all_judged` at its smallest size minus here, where only distractors were added. Missing evidence:
    `all_judged` minus `proportional` at the same size, where the number of passages is the same.
    """
    kept, natural = pipeline.quality(BIASED), pipeline.quality(UNBIASED)
    draws = pipeline.data.draws
    return [
        {
            "size": size,
            "distractors": draws.estimate(kept[:, 0] - kept[:, place]),
            "missing_evidence": draws.estimate(kept[:, place] - natural[:, place]),
        }
        for place, size in enumerate(pipeline.data.sizes())
    ]


def losses(pipeline: PipelineData) -> list[dict[str, Any]]:
    """Where a perfect score is lost, per size of `all_judged`; the parts sum to the total.

    embedding: what exact search by the pipeline's own scores does not rank as the labels do; index: what an
    approximate index misses of that; rerank: what reordering loses (below 0: wins); packing: what is not injected.
    A store that says neither that it is exact nor what an exact one would be has no index loss (null): it is in
    embedding. The total is 1 minus the metric of what is injected.
    """
    data = pipeline.data
    at = {stage: pipeline.at_stage(BIASED, stage, [data.metric]) for stage in (*RANKED_STAGES, "exact")}
    search, inject = at["search"], at["inject"]
    if search is None or inject is None:
        return []
    reranked = search if at["rerank"] is None else at["rerank"]
    known = pipeline.name not in data.manifest["exactness_unknown"]
    exact = search if at["exact"] is None else at["exact"]
    parts = {
        "embedding": 1 - exact,
        "index": exact - search if known else np.full(search.shape, np.nan),
        "rerank": search - reranked,
        "packing": reranked - inject,
        "total": 1 - inject,
    }
    return [_loss(parts, place, size, data) for place, size in enumerate(data.sizes())]


def _loss(parts: Mapping[str, DataArray], place: int, size: int, data: GrowthData) -> dict[str, Any]:
    line: dict[str, Any] = {"size": size, "metric": data.metric}
    for name, values in parts.items():
        found = data.draws.estimate(values[:, place, :, 0])
        line[name], line[f"{name}_interval"] = found["mean"], found["interval"]
    return line


def crossovers(data: GrowthData, quality: Mapping[str, DataArray]) -> list[dict[str, Any]]:
    """From which size one pipeline beats another, and a reranker gains more than the bound that the eval sets."""
    return [
        {
            "what": what,
            "metric": data.metric,
            "candidate": candidate,
            "baseline": baseline,
            "bound": bound,
            **crossover(
                data.sizes(),
                quality[candidate].swapaxes(0, 1),
                quality[baseline].swapaxes(0, 1),
                bound=bound,
                draws=data.draws,
            ),
        }
        for what, candidate, baseline, bound in questions(data, quality)
    ]


def questions(data: GrowthData, quality: Mapping[str, DataArray]) -> list[tuple[str, str, str, float]]:
    """What is asked: (words, candidate, baseline, bound).

    Every reranker against the same search without it, by the eval's bound; of every two pipelines without a reranker,
    the one that is ahead at the largest size against the other.
    """
    bound = float(data.settings["gain_bound"])
    found: list[tuple[str, str, str, float]] = []
    for pair in combinations(data.names, 2):
        behind, ahead = sorted(pair, key=lambda name: float(quality[name][:, -1].mean()))
        reranked = [name for name in pair if data.is_reranked(name)]
        if not reranked:
            found.append((f"{ahead} beats {behind}", ahead, behind, 0.0))
        elif len(reranked) == 1 and _same_search(data, *pair):
            plain = next(name for name in pair if name not in reranked)
            found.append((f"{reranked[0]} gains more than {bound:g} over {plain}", reranked[0], plain, bound))
    return found


def _same_search(data: GrowthData, first: str, second: str) -> bool:
    return all(data.pipeline(first)[part] == data.pipeline(second)[part] for part in ("embedder", "store"))


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
    """As `analyse`, in the shape of summary.json."""
    return analyse(folder).as_json()


def analyse(folder: Path) -> GrowthSection:
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
    return GrowthSection.model_validate(rounded(section))


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
    data, draws = pipeline.data, pipeline.data.draws
    by_stage = {stage: pipeline.at_stage(curve, stage, pipeline.metrics) for stage in pipeline.stages}
    tokens, prompts = pipeline.tokens(curve), data.prompts(pipeline.name, curve)
    quality = pipeline.quality(curve)
    points = []
    for place, size in enumerate(data.sizes(curve)):
        scores = {
            stage: dict(zip(pipeline.metrics, draws.estimates(values[:, place]), strict=True))
            for stage, values in by_stage.items()
            if values is not None
        }
        points.append(
            {
                "size": size,
                "scores": scores,
                "change": draws.estimate(quality[:, place] - quality[:, 0]),
                "context_tokens": dict(zip(KINDS, np.nanmean(tokens[:, place], axis=(0, 1)).tolist(), strict=True)),
                "context_share": _shares(tokens[:, place], data),
                "prompt_tokens": draws.estimate(prompts[:, place]),
            }
        )
    return points


def _shares(tokens: DataArray, data: GrowthData) -> dict[str, Any]:
    """Of each query's injected tokens the share of each kind; a query without any takes no part."""
    whole = tokens.sum(axis=-1, keepdims=True)
    shares = np.divide(tokens, whole, out=np.full(tokens.shape, np.nan), where=whole > 0)
    return dict(zip(KINDS, data.draws.estimates(shares), strict=True))


def _by_depth(pipeline: PipelineData, place: int) -> list[dict[str, Any]]:
    """The final ranking's quality when the reranker sees fewer or more candidates."""
    lines = []
    for depth in pipeline.data.settings["depths"]:
        values = pipeline.at_stage(BIASED, "final", pipeline.metrics, depth)
        if values is not None:
            found = pipeline.data.draws.estimates(values[:, place])
            lines.append({"depth": depth, "scores": dict(zip(pipeline.metrics, found, strict=True))})
    return lines


def _add_presence(pipeline: PipelineData, points: list[dict[str, Any]]) -> None:
    """How much evidence is there, and quality by what is there alone."""
    data, coverage = pipeline.data, pipeline.data.coverage()
    wanted = [metric for metric in pipeline.metrics if not metric.startswith("Judged")]
    present = pipeline.at_stage(UNBIASED, "present", wanted)
    for place, point in enumerate(points):
        point["coverage"] = data.draws.estimate(coverage[:, place])
        if present is not None:
            point["present"] = dict(zip(wanted, data.draws.estimates(present[:, place]), strict=True))


def _timings(data: GrowthData, name: str, size: int) -> dict[str, Any]:
    """Live latency on an index of this size, and what building it took: medians over the rounds' builds."""
    folder, seed = data.size_folder(size), data.config["seed"]
    spans = files.read_table(folder / "spans.parquet")
    timed = spans[(spans["pipeline"] == name) & (spans["phase"] == "timed")]
    stages = {
        stage: latency_quantiles(rows, seed=seed) for stage in STAGES if len(rows := timed[timed["stage"] == stage])
    }
    whole = latency_quantiles(timed[timed["stage"] == "query"], seed=seed)
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
