"""What happens to quality, context, time, memory and money as the corpus grows: from tables to the typed section.

A crossover is the corpus size from which one ranking beats another. It looks no further than was measured. D(n) is the
mean over orders and queries of candidate minus baseline, minus the bound. The crossing is the smallest size from which
D is above 0 at every larger measured size as well, by linear interpolation in the logarithm of the size; a lead that is
lost again at a larger size is none. Each resample (the same queries and orders at every size) has its own crossing,
minus infinity where D is above 0 at all sizes and infinity where it is not at the largest; the interval is the 95 %
percentile interval of these. A status is stated only where the measured values and the whole interval agree:

- "from the smallest size": at most 2.5 % of the resamples cross anywhere; `size` and `interval` are None
- "crosses": both ends lie within the measured range, which is where `size` is given
- "not within the measured range": at most 2.5 % of the resamples are above the bound at the largest size; both None
- "undecided": anything else, and always below two queries with values. `size` is None; an end of `interval` that lies
  within the range is still given ([None, 5200]: by 5,200 at the latest), one outside it is None
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ragprof.core import STAGES
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.evals import GrowthTiming
from ragprof.evals.recorded import BUILDS, SPANS
from ragprof.record.budget import FewTimed, few_timed
from ragprof.record.unread import UnreadTexts
from ragprof.statistics.draws import Draws, observed_interval
from ragprof.statistics.estimates import latency_quantiles, rounded
from ragprof.statistics.unseen import SIGNED, UNIT, Bounds
from ragprof.studies.growth.data import BIASED, KINDS, UNBIASED, Array, GrowthData, PipelineData, read_growth
from ragprof.studies.growth.forecasts import forecasts
from ragprof.studies.growth.recorded import GrownApp
from ragprof.studies.growth.section import GrowthSection
from ragprof.studies.labelled import correction_notes_of, labelled_quality

FROM_THE_SMALLEST = "from the smallest size"
CROSSES = "crosses"
NOT_WITHIN = "not within the measured range"
UNDECIDED = "undecided"
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


AT_RANDOM = "Passages of the corpus, whole documents in a random order."


UNCORRECTED = (
    "These are of all passages; at smaller sizes rankings hold passages that nobody pooled, which no correction mends: "
    "the curves show the judgements as they are."
)


WITHIN: Mapping[str, Bounds | None] = {"change": SIGNED, "prompt_tokens": None}
"""Bounds of what is estimated by size; of all else they are UNIT."""


def analyse(folder: Path) -> GrowthSection:
    """The growth section of a recording's summary. Raises BadInput where the growth recording is incomplete."""
    data = read_growth(folder)
    pipelines = {name: data.read(name) for name in data.names}
    curves = {name: {curve: points(each, curve) for curve in data.curves} for name, each in pipelines.items()}
    for name in data.names:
        for size, point in zip(data.sizes(), curves[name][BIASED], strict=True):
            flag, bill = data.disturbances[name, size], data.bills[size][name]
            busy = flag.reason if flag.busy else ""
            withheld = {"latency_withheld": busy, "cost_withheld": busy if bill.billed_by_time else ""}
            point.update(timings(data, name, size), cost_usd_per_1000_queries=bill.as_json(), **withheld)
    section = {
        **{key: data.settings[key] for key in ("seed", "cutoffs", "depths")},
        **{key: data.manifest[key] for key in ("kept", "work", "environment")},
        "orders": data.manifest["plan"]["orders"],
        "sizes": data.sizes(),
        "metric": data.metric,
        "curves": {curve: {"what": WHAT[curve], "flatters": curve != UNBIASED} for curve in data.curves}
        if data.judged
        else {BIASED: {"what": AT_RANDOM, "flatters": False}},
        "pipelines": curves,
        "evidence": {name: evidence(each) for name, each in pipelines.items() if UNBIASED in data.curves},
        "judged": data.judged,
        "loss": {name: losses(each) for name, each in pipelines.items() if data.judged},
        "crossovers": crossovers(data, {name: each.quality(BIASED) for name, each in pipelines.items()})
        if data.judged
        else [],
        "forecast": [line for each in pipelines.values() for line in forecasts(each)],
        "notes": [*notes(data), *correction_notes_of(labelled_quality(folder) if data.judged else None, UNCORRECTED)],
        **({"unread": data.manifest["unread"]} if data.manifest.get("unread") else {}),
    }
    return GrowthSection.model_validate(rounded(section))


def points(pipeline: PipelineData, curve: str) -> list[dict[str, Any]]:
    """Quality at every stage and what is in the prompt, at each size of one curve.

    Of the unbiased curve also how much evidence is there, and quality by what is there alone; of the biased one
    quality at each depth of a reranker that scores pairs apart from each other.
    """
    data, metrics = pipeline.data, pipeline.metrics
    tokens, quality = pipeline.tokens(curve), pipeline.quality(curve)
    # Of each query's injected tokens the share of each kind; a query without any takes no part.
    whole = tokens.sum(axis=-1, keepdims=True)
    shares = np.divide(tokens, whole, out=np.full(tokens.shape, np.nan), where=whole > 0)
    pointwise = data.has_depth_curve(pipeline.name)
    depths = data.settings["depths"] if curve == BIASED and pointwise and data.judged else []
    stages = pipeline.stages if data.judged else []
    relevant = [metric for metric in metrics if not metric.startswith("Judged")]
    asked: dict[Any, Array | None] = {
        **{("scores", stage): pipeline.at_stage(curve, stage, metrics) for stage in stages},
        **{("by_depth", depth): pipeline.at_stage(BIASED, "final", metrics, depth) for depth in depths},
        "change": (quality - quality[:, :1])[..., None],
        "context_share": shares,
        "prompt_tokens": data.prompts(pipeline.name, curve)[..., None],
    }
    if curve == UNBIASED:
        asked |= {
            "coverage": data.coverage()[..., None],
            "present": pipeline.at_stage(UNBIASED, "present", relevant),
        }
    known = by_size(data.draws, {name: values for name, values in asked.items() if values is not None}, WITHIN)
    found: list[dict[str, Any]] = []
    for place, size in enumerate(data.sizes(curve)):
        at = {name: estimates[place] for name, estimates in known.items()}
        scores = {name: dict(zip(metrics, each, strict=True)) for name, each in at.items() if isinstance(name, tuple)}
        point: dict[str, Any] = {
            "size": size,
            "scores": {stage: scores["scores", stage] for stage in stages if ("scores", stage) in scores},
            "change": at["change"][0] if place else _by_itself(at["change"][0]),
            "context_tokens": dict(zip(KINDS, np.nanmean(tokens[:, place], axis=(0, 1)).tolist(), strict=True)),
            "context_share": dict(zip(KINDS, at["context_share"], strict=True)),
            "prompt_tokens": at["prompt_tokens"][0],
        }
        if curve == BIASED and pointwise:
            of_depth = {depth: scores["by_depth", depth] for depth in depths if ("by_depth", depth) in scores}
            point["by_depth"] = [{"depth": depth, "scores": each} for depth, each in of_depth.items()]
        if "coverage" in at:
            point["coverage"] = at["coverage"][0]
        if "present" in at:
            point["present"] = dict(zip(relevant, at["present"], strict=True))
        found.append(point)
    return found


def by_size(
    draws: Draws, asked: Mapping[Any, Array], bounds: Mapping[Any, Bounds | None]
) -> dict[Any, list[list[dict[str, Any]]]]:
    """Name -> one list per size with an estimate per column, of values (orders, sizes, queries, columns).

    `bounds` are those of one value, UNIT of what it does not name. All are resampled in one call: stages
    and sizes have many columns in common.
    """
    flat = [values.transpose(0, 2, 1, 3).reshape(values.shape[0], values.shape[2], -1) for values in asked.values()]
    within = [bounds.get(name, UNIT) for name, values in asked.items() for _ in range(values[0, :, 0].size)]
    found = iter(draws.estimates(np.concatenate(flat, axis=2), bounds=within))
    return {
        name: [[next(found) for _ in range(values.shape[3])] for _ in range(values.shape[1])]
        for name, values in asked.items()
    }


def timings(data: GrowthData, name: str, size: int) -> dict[str, Any]:
    """Live latency on an index of this size, and what building it took: medians over the rounds' builds."""
    folder, seed = data.size_folder(size), data.config["seed"]
    spans = SPANS.read(folder / "spans.parquet", pipelines=[name])
    builds = BUILDS.read(folder / "builds.parquet", pipelines=[name])
    timed = spans[(spans["pipeline"] == name) & (spans["phase"] == "timed")]
    by_stage = {stage: rows for stage in STAGES if len(rows := timed[timed["stage"] == stage])}
    stages = {stage: latency_quantiles(rows, seed=seed) for stage, rows in by_stage.items()}
    whole = latency_quantiles(timed[timed["stage"] == "query"], seed=seed)
    rest = whole["mean_ns"] - sum(stage["mean_ns"] for stage in stages.values())
    mine = builds[builds["pipeline"] == name]
    return {
        "stages": stages,
        "end_to_end": whole,
        "unaccounted": {"mean_ns": rest, "share": rest / whole["mean_ns"]},
        "build": {
            "duration_ns": int(mine["duration_ns"].median()),
            "duration_range_ns": [int(mine["duration_ns"].min()), int(mine["duration_ns"].max())],
            **{
                column: None if mine[column].isna().any() else int(mine[column].max())
                for column in ("index_bytes", "peak_rss_bytes")
            },
            "n": len(mine),
        },
    }


def evidence(pipeline: PipelineData) -> list[dict[str, Any]]:
    """Per size: what distractors have cost since the smallest size, and what the missing evidence costs.

    Distractors: `all_judged` at its smallest size minus here, where only distractors were added. Missing evidence:
    `all_judged` minus `proportional` at the same size, where the number of passages is the same.
    """
    kept, natural = pipeline.quality(BIASED), pipeline.quality(UNBIASED)
    parts = np.stack([kept[:, :1] - kept, kept - natural], axis=-1)
    (found,) = by_size(pipeline.data.draws, {"": parts}, {"": SIGNED}).values()
    return [
        {
            "size": size,
            "distractors": distractors if place else _by_itself(distractors),
            # At the size of the whole corpus both curves are of that.
            "missing_evidence": missing if place < len(found) - 1 else _by_itself(missing),
        }
        for place, (size, (distractors, missing)) in enumerate(zip(pipeline.data.sizes(), found, strict=True))
    ]


def _by_itself(found: dict[str, Any]) -> dict[str, Any]:
    """The difference of something from itself where it is 0: no query could have shown anything else."""
    return {**found, "interval": None} if found["mean"] == 0 else found


def losses(pipeline: PipelineData) -> list[dict[str, Any]]:
    """Where a perfect score is lost, per size of `all_judged`; the parts sum to the total.

    embedding: what exact search by the pipeline's own scores does not rank as the labels do; index: what an
    approximate index misses of that; rerank: what reordering loses (below 0: wins); packing: what is not injected.
    A store that says neither that it is exact nor what an exact one would be has no index loss (null): it is in
    embedding. The total is 1 minus the metric of what is injected.
    """
    data = pipeline.data
    at = {stage: pipeline.at_stage(BIASED, stage, [data.metric]) for stage in ("search", "rerank", "inject", "exact")}
    search, inject = at["search"], at["inject"]
    if search is None or inject is None:
        return []
    reranked = search if at["rerank"] is None else at["rerank"]
    exact = search if at["exact"] is None else at["exact"]
    known = pipeline.name not in data.manifest["exactness_unknown"]
    same = {name for name, stage in (("index", "exact"), ("rerank", "rerank")) if at[stage] is None}
    parts = {
        "embedding": 1 - exact,
        "index": exact - search if known else np.full(search.shape, np.nan),
        "rerank": search - reranked,
        "packing": reranked - inject,
        "total": 1 - inject,
    }
    (found,) = by_size(data.draws, {"": np.concatenate(list(parts.values()), axis=-1)}, {"": SIGNED}).values()
    lines: list[dict[str, Any]] = []
    for size, estimates in zip(data.sizes(), found, strict=True):
        lines.append({"size": size, "metric": data.metric})
        for name, each in zip(parts, estimates, strict=True):
            told = _by_itself(each) if name in same else each
            lines[-1] |= {name: told["mean"], f"{name}_interval": told["interval"]}
    return lines


def crossovers(data: GrowthData, quality: Mapping[str, Array]) -> list[dict[str, Any]]:
    """From which size one pipeline beats another, and a reranker gains more than the bound that the eval sets.

    Every reranker against the same search without it, by the eval's bound; of every two pipelines without a reranker,
    the one that is ahead at the largest size against the other.
    """
    bound = float(data.settings["gain_bound"])
    asked: list[tuple[str, str, str, float]] = []
    for pair in combinations(data.names, 2):
        behind, ahead = sorted(pair, key=lambda name: float(quality[name][:, -1].mean()))
        plain, reranked = sorted(pair, key=data.is_reranked)
        searches = [{part: data.pipeline(name)[part] for part in ("embedder", "store")} for name in pair]
        if not data.is_reranked(reranked) or set(pair) & data.apps.keys():
            asked.append((f"{ahead} beats {behind}", ahead, behind, 0.0))
        elif not data.is_reranked(plain) and searches[0] == searches[1]:
            asked.append((f"{reranked} gains more than {bound:g} over {plain}", reranked, plain, bound))
    lines = []
    for what, candidate, baseline, least in asked:
        sides = (quality[name].swapaxes(0, 1) for name in (candidate, baseline))
        found = crossover(data.sizes(), *sides, bound=least, draws=data.draws)
        line = {"what": what, "metric": data.metric, "candidate": candidate, "baseline": baseline, "bound": least}
        lines.append({**line, **found})
    return lines


def crossover(
    sizes: Sequence[int], candidate: ArrayLike, baseline: ArrayLike, *, bound: float, draws: Draws
) -> dict[str, Any]:
    """{"size", "interval", "status"} of two metrics (sizes, orders, queries), larger is better; NaN where it is n/a.

    A query counts at a size and in an order where both have a value; a size where none counts is left out.
    """
    differences = np.asarray(candidate, dtype=np.float64) - np.asarray(baseline, dtype=np.float64) - bound
    if differences.ndim != 3 or len(differences) != len(sizes):
        raise BadInput(
            f"a crossover needs values of the shape (sizes, orders, queries) with {len(sizes)} sizes, "
            f"not {differences.shape}"
        )
    if list(sizes) != sorted(set(sizes)) or min(sizes, default=0) < 1:
        raise BadInput(f"sizes of a crossover rise and are above 0; found {list(sizes)}")
    undecided = {"size": None, "interval": None, "status": UNDECIDED}
    kept = ~np.isnan(differences).all((1, 2))
    cells = np.moveaxis(differences[kept], 0, 2)
    if not cells.size or (~np.isnan(cells)).any((0, 2)).sum() < 2:
        return undecided
    logs = np.log(np.asarray(sizes, dtype=np.float64)[kept])
    figures = draws.means(cells)
    measured, *drawn = crossings(logs, figures[~np.isnan(figures).any(1)]).tolist()
    ends = observed_interval(np.array(drawn))
    if ends is None:
        return undecided
    if measured == ends[1] == -np.inf:
        return {**undecided, "status": FROM_THE_SMALLEST}
    if measured == ends[0] == np.inf:
        return {**undecided, "status": NOT_WITHIN}
    low, high, size = (round(float(np.exp(end))) if np.isfinite(end) else None for end in (*ends, measured))
    if None not in (low, high, size):
        return {"size": size, "interval": [low, high], "status": CROSSES}
    return {**undecided, "interval": None if low is None and high is None else [low, high]}


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


def _few_timed(data: GrowthData) -> FewTimed | None:
    """Return the pipelines that were timed on few queries, by what a query takes at the largest size."""
    timing, sizes = GrowthTiming.model_validate(data.settings["timing"]), data.sizes()
    durations, timed = dict[str, int](), dict[str, int]()
    for size in sizes:
        spans = SPANS.read(data.size_folder(size) / "spans.parquet")
        whole = spans[(spans["phase"] == "timed") & (spans["stage"] == "query")].groupby("pipeline")
        durations = {name: round(whole["duration_ns"].mean()[name]) for name in data.names}
        counts = whole["query_id"].nunique()
        timed = {name: min(timed.get(name, len(data.query_ids)), int(counts[name])) for name in data.names}
    return few_timed(
        durations,
        timed,
        len(data.query_ids),
        timing.among(len(sizes)),
        asked=timing.rounds,
        warmed=timing.rounds,
        table="growth.timing",
        parts=len(sizes),
    )


def _of_app(name: str, app: GrownApp) -> list[str]:
    """How an app grew, and what went wrong with it."""
    happened = f"{counted(app['asked'], 'question')} asked for quality, {app['failed']:,} failed"
    if app["failed"]:
        happened += f"; the first: {app['first_failure']}"
    if not app["asked"]:
        happened = "All were asked for quality before this run was continued; how many failed then is not known"
    told = [
        f"{name} is an app: index(documents) was called for every sub-corpus, and each question was asked in it. "
        f"{happened}."
    ]
    if app["unknown"]:
        told.append(
            f"{name} found {counted(app['unknown'], 'document')} that the corpus does not have; its rankings are "
            "judged without them."
        )
    return told


def notes(data: GrowthData) -> list[str]:
    """What a reader must know before believing a curve."""
    kept, listwise = data.manifest["kept"], data.manifest["listwise"]
    live = [
        f"{name}: {why}. Its live times there, and money that is billed by time, are marked in the tables and forecast "
        "nothing; grow again when the machine does nothing else."
        for name in data.names
        if (why := data.busy_words(name))
    ]
    if few := _few_timed(data):
        live.append(f"{few.sentence}.")
    live += [sentence for name, app in data.apps.items() for sentence in _of_app(name, app)]
    live += [f"Left out: {sentence}." for sentence in data.manifest.get("apps_left_out", ())]
    cut = [f"{UnreadTexts(**each).sentence}." for each in data.manifest.get("unread", ())]
    whole = data.sizes()[-1] == data.manifest["corpus_docs"]
    in_the_end = "; at the largest size all orders are the same corpus" if whole else ""
    number = data.manifest["plan"]["orders"]
    orders = "order" if number == 1 else counted(number, "order")
    if not data.judged:
        return [
            "No relevance judgements: time, memory, tokens and money are told at every size, and nothing of quality.",
            f"Intervals resample queries and the {orders}{in_the_end}.",
            "Timings are live, on the first order's sub-corpora; index sizes and builds too.",
            *live,
            *cut,
        ]
    found = [
        f"{counted(kept['passages'], 'passage')} of {counted(kept['documents'], 'relevant document')} "
        f"{'is' if kept['passages'] == 1 else 'are'} in every sub-corpus of all curves but "
        "'proportional': small sizes are flattered, since their evidence is complete.",
        f"Intervals resample queries and the {orders}{in_the_end}.",
        "Timings are live, on the first order's sub-corpora; index sizes and builds too.",
        "Unjudged passages count as not relevant: see Judged@k, which falls where a distractor was never judged.",
        *live,
        *cut,
    ]
    if {"duplicate", "contradicting"} & set(data.curves):
        found.append("Near-copies and contradictions are made by rules (docs/distractors.md), not written by people.")
    if not data.metric.startswith("nDCG"):
        found.append(
            f"The best possible {data.metric} is below 1 for a question with "
            f"{'fewer' if data.metric.startswith('P') else 'more'} relevant documents than the cutoff; of the losses, "
            "that part stands under scoring."
        )
    found += [f"No curve '{curve}': {reason}." for curve, reason in data.manifest["left_out"].items()]
    if data.settings["depths"] and listwise:
        found.append(f"No depth curve for {', '.join(listwise)}: a listwise reranker's scores hold for one depth only.")
    return found
