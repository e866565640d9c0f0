"""The main recording, judged and priced, as the top level of summary.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from ragprof.core import STAGES
from ragprof.core.errors import BadInput
from ragprof.core.recorded import RecordedJson, of_recording
from ragprof.evals import Timing, settings_of
from ragprof.evals.recorded import (
    BUILDS,
    FIRST_TOKENS,
    JUDGEMENT,
    RANKING,
    RATES,
    SPANS,
    USAGE,
    MainManifest,
    final_stage,
    read_manifest,
    read_scores,
)
from ragprof.price import read_pricing
from ragprof.record.budget import FewTimed, few_timed
from ragprof.record.unread import UnreadTexts
from ragprof.statistics.estimates import latency_quantiles
from ragprof.studies.contract import BuildFigures, CostFigures, Latency
from ragprof.studies.labelled import labelled_quality, labelled_warning
from ragprof.studies.profile.headline import headline, reranker_of, warnings
from ragprof.studies.profile.latency import latency_of, mean_usage
from ragprof.studies.profile.overlap import overlaps
from ragprof.studies.profile.quality import change_by_reranking, comparisons, estimates, pareto
from ragprof.studies.profile.section import FORMAT, AppFigures, IndexingCost, Pareto, PipelineFigures, ProfileSection

RETRIEVAL_ONLY = (
    "Money covers retrieval and the prompt's tokens. The answer's tokens are not in it: no answer was generated."
)
JUDGED_ONLY = (
    "Quality rests on the judged documents: a result that nobody judged counts as not relevant (see Judged@k)."
)
LIMITS = (
    "Latency is that of one query at a time on the machine named below; it says nothing of throughput under load.",
    JUDGED_ONLY,
    RETRIEVAL_ONLY,
    "Machine cost is measured busy time at the stated utilisation; batching under load is not seen.",
    "Peak memory is that of the whole process with all pipelines loaded.",
)


class ProfileManifest(MainManifest, total=False):
    """manifest.json with what no other study reads."""

    unread: list[UnreadTexts]


MANIFEST = RecordedJson(ProfileManifest)


@of_recording
def profile_of(folder: Path) -> ProfileSection:
    """Return the section of a recording's folder. Raises BadInput where a pass is missing or of another recording."""
    manifest, judgement = read_manifest(folder, MANIFEST), JUDGEMENT.read(folder / "judgement.json")
    if judgement.get("recording") != manifest.get("recording"):  # a run was stopped between its passes
        raise BadInput("it judges another recording; run 'ragprof run' to the end", file=folder / "judgement.json")
    if manifest.get("untimed"):
        raise BadInput(
            "nothing was timed in it ('gate --no-clock' made it), so it has no report; record with 'ragprof run'",
            file=folder,
        )
    config = settings_of(folder)
    seed, metric, judged = config["seed"], config["metrics"][0], judgement.get("judged", True)
    names = [one["name"] for one in config["pipelines"]]
    table = read_scores(folder, pipelines=names if judged else ())
    scores = {one["name"]: table[table["pipeline"] == one["name"]] for one in config["pipelines"]}
    ranked = rankings(folder, config)
    final = {one["name"]: final_stage(one, ranked[one["name"]]) for one in config["pipelines"]}
    peaks, apps = manifest["peak_rss_bytes"], manifest.get("apps", {})
    pipelines = _pipelines(folder, config, scores, ranked, peaks=peaks, apps=apps)
    priced = RATES.read(folder / "rates.json")
    rates, parsing = priced["rates"], priced.get("parsing")
    section = ProfileSection.model_validate(
        {
            "format": FORMAT,
            "ragprof_version": manifest["ragprof_version"],
            "eval": config["name"],
            "title": config["title"] or config["name"],
            "created": manifest["created"],
            "revision": manifest.get("revision"),
            "corpus": {**manifest["corpus"], **({"parsing": parsing} if parsing else {})},
            "queries": judgement["queries"],
            "judged": judged,
            "qrels_sha256": judgement["qrels_sha256"],
            "seed": seed,
            "environment": {**manifest["environment"], "ragprof": manifest["ragprof_version"]},
            "work": manifest["work"],
            "pipelines": pipelines,
            "comparisons": comparisons(scores, metric, seed=seed) if judged else (),
            "overlaps": overlaps(ranked, final, seed=seed),
            "final_stage": final,
            "traffic": config["traffic"],
            "rates": [{"name": name, **rate} for name, rate in rates.items()],
            "method": method(config, manifest.get("engines", {})),
            "limits": LIMITS if judged else tuple(line for line in LIMITS if line != JUDGED_ONLY),
            "pareto": Pareto(latency=(), cost=()),
            "headline": (),
            "warnings": (),
            **({"unread": manifest["unread"]} if manifest.get("unread") else {}),
            **({"labelled": labelled} if (labelled := labelled_quality(folder)) is not None else {}),
        }
    )
    section = section.model_copy(update={"pareto": _fronts(section)})
    found = warnings(section, judgement["notices"])
    if section.labelled is not None:
        found.insert(0, labelled_warning(section.labelled))
    if few := _few_timed(section, config["timing"], asked=manifest["queries"]):
        found.append(few.sentence)
    said = {"headline": tuple(headline(section)), "warnings": tuple(found)}
    return section.model_copy(update=said)


def _few_timed(section: ProfileSection, timing: Mapping[str, Any], *, asked: int) -> FewTimed | None:
    """Return the pipelines that were timed on fewer queries than wished for; None where none was."""
    end_to_end = {name: one.end_to_end for name, one in section.pipelines.items()}
    wished = Timing.model_validate({key: value for key, value in timing.items() if key in Timing.model_fields})
    return few_timed(
        {name: one.mean_ns for name, one in end_to_end.items()},
        {name: one.queries for name, one in end_to_end.items()},
        asked,
        wished,
        asked=wished.rounds + 1,
    )


def rankings(folder: Path, config: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The ranking tables by pipeline, in the order of the eval."""
    names = [one["name"] for one in config["pipelines"]]
    return {name: RANKING.read(folder / "rankings" / f"{name}.parquet") for name in names}


def _pipelines(
    folder: Path,
    config: Mapping[str, Any],
    scores: Mapping[str, pd.DataFrame],
    found: Mapping[str, pd.DataFrame],
    *,
    peaks: Mapping[str, int],
    apps: Mapping[str, Mapping[str, Any]],
) -> dict[str, PipelineFigures]:
    seed, pricing = config["seed"], read_pricing(folder).pipelines
    names, pipelines = [one["name"] for one in config["pipelines"]], {}
    spans = SPANS.read(folder / "spans.parquet", pipelines=names)
    usage = USAGE.read(folder / "usage.parquet", pipelines=names)
    built = [name for name in names if name not in apps]
    builds = BUILDS.read(folder / "builds.parquet", pipelines=built).set_index("pipeline")
    indexing = RATES.read(folder / "rates.json").get("indexing", {})
    for pipeline in config["pipelines"]:
        name = pipeline["name"]
        timing = latency_of(spans[spans["pipeline"] == name], timing=config["timing"], seed=seed)
        if "generate" in timing["stages"] and (first := first_token(folder, name, seed=seed)) is not None:
            timing["stages"]["generate"] = timing["stages"]["generate"].model_copy(update={"first_token": first})
        mine = usage[usage["pipeline"] == name]
        usage_estimates = mean_usage(mine, seed=seed)
        pipelines[name] = PipelineFigures(
            description=describe(pipeline),
            config=pipeline,
            empty_rankings=empty_rankings(
                found[name], pipeline, (scores[name] if len(scores[name]) else mine)["query_id"]
            ),
            **timing,
            billed_by_time=pricing[name].billed_by_time,
            build=BuildFigures(**{key: int(value) for key, value in builds.loc[name].items()})
            if name in builds.index
            else None,
            peak_rss_bytes=peaks.get(name),
            usage_per_query={key: estimate.mean for key, estimate in usage_estimates.items()},
            usage_estimates=usage_estimates,
            cost_usd_per_1000_queries=CostFigures(**pricing[name].as_json()),
            indexing=None if (bill := indexing.get(name)) is None else IndexingCost.model_validate(bill),
            scores=estimates(scores[name], seed=seed),
            **_of_app(apps[name], scores[name], config["metrics"][0], seed=seed) if name in apps else {},
        )
    return pipelines


def _of_app(said: Mapping[str, Any], scores: pd.DataFrame, metric: str, *, seed: int) -> dict[str, Any]:
    """What is said of an app alone."""
    reranked = change_by_reranking(scores, metric, seed=seed)
    return {"app": AppFigures.model_validate(said)} | ({} if reranked is None else {"reranked": reranked})


def empty_rankings(table: pd.DataFrame, pipeline: Mapping[str, Any], asked: pd.Series) -> int:
    """How many of the queries asked have no document in the ranking that is the pipeline's own."""
    found = table.loc[table["stage"] == final_stage(pipeline, table), "query_id"]
    return len({*asked.tolist()} - {*found.tolist()})


def first_token(folder: Path, name: str, *, seed: int) -> Latency | None:
    """Time from the generator's call to its first token; None where none was measured."""
    path = folder / "first_tokens.parquet"
    if not path.exists():
        return None
    table = FIRST_TOKENS.read(path)
    mine = table[table["pipeline"] == name].rename(columns={"first_token_ns": "duration_ns"})
    return Latency(**latency_quantiles(mine, seed=seed)) if len(mine) else None


def _fronts(section: ProfileSection) -> Pareto:
    """Both fronts. One over figures of which some are withheld would be no front: it is left empty."""
    every = section.pipelines
    quality = {name: found.mean if (found := section.quality(name)) else None for name in every}
    latency = {name: one.end_to_end.p50_ns for name, one in every.items()}
    totals = {name: one.cost_usd_per_1000_queries.total for name, one in every.items()}
    cost = {name: None if total is None else float(total) for name, total in totals.items()}
    return Pareto(
        latency=() if any(one.latency_withheld for one in every.values()) else pareto(quality, latency),
        cost=() if any(one.cost_withheld for one in every.values()) else pareto(quality, cost),
    )


def method(config: Mapping[str, Any], engines: Mapping[str, Mapping[str, Mapping[str, str]]]) -> tuple[str, ...]:
    """How the figures came about, in sentences. Old recordings have no `engines`, and so no sentence about them."""
    timing = config["timing"]
    calls: dict[str, list[str]] = {stage: [] for stage in STAGES}
    for stage, of in (item for stages in engines.values() for item in stages.items()):
        calls[stage].append(f"{of['engine']} in {of['precision']}")
    called = "; ".join(f"{stage} by {' or '.join(dict.fromkeys(some))}" for stage, some in calls.items() if some)
    return (
        *([f"What was timed is the call that a user's own code would make: {called}."] if called else []),
        f"Timings: live queries, one at a time, {timing['rounds']} rounds interleaved over the pipelines after "
        f"{timing['warmup']} warm-up queries each; loading and index building are outside, the cold start is apart.",
        "p50, p95 and p99: Harrell and Davis's estimator over all rounds; their intervals: percentile bootstrap over "
        "queries (2,000 resamples), the rounds of a query kept together.",
        "Overhead: each query is asked instrumented and bare in a row; median of the differences over the bare median.",
        "Quality: ir_measures on the ranking after each stage; percentile bootstrap, the same resamples everywhere.",
        "Differences: paired randomisation test (all sign flips, or 9,999 random ones), Holm-corrected over all pairs.",
        f"Tokens: counted with {config['tokenizer']}. Rankings come from cached vectors and scores, timings never do.",
    )


def describe(config: Mapping[str, Any]) -> str:
    """A pipeline in one line: `all-MiniLM-L6-v2 → rrf(bm25s, faiss_flat) → maxsim(20) → token_budget(k=5)`."""
    if config.get("app"):
        return str(config["app"])
    parts = []
    if config.get("embedder"):
        parts.append(PurePath(config["embedder"].get("model", config["embedder"]["name"])).name)
    inner = config["store"].get("stores")
    names = [spec if isinstance(spec, str) else spec["name"] for spec in inner or []]
    parts.append(config["store"]["name"] + (f"({', '.join(names)})" if names else ""))
    if reranker_of(config):
        parts.append(f"{config['reranker']['name']}({config['depth']})")
    options = {key: value for key, value in config["injector"].items() if key in ("k", "tokens")}
    parts.append(f"{config['injector']['name']}({', '.join(f'{key}={value}' for key, value in options.items())})")
    return " → ".join(parts)
