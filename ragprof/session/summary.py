"""summary.json: all that a report or a machine reads of a recording. Documented in docs/summary.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from ragprof.core import STAGES, files
from ragprof.core.errors import BadInput
from ragprof.evals import settings_of
from ragprof.price import PipelinePricing, read_pricing
from ragprof.statistics.estimates import latency_quantiles
from ragprof.studies.audit.analysis import audit_belongs, audit_of, is_audited
from ragprof.studies.growth import data as growth_data
from ragprof.studies.growth.study import growth_of
from ragprof.studies.injection import data as injection_data
from ragprof.studies.injection.analysis import analyse as analyse_answers
from ragprof.studies.profile.headline import METRIC, final_scores, headline, reranker_of, warnings
from ragprof.studies.profile.latency import latency_of, mean_usage
from ragprof.studies.profile.quality import comparisons, estimates, final_stage, pareto
from ragprof.studies.reranker import data as reranking_data
from ragprof.studies.reranker.analysis import analyse as analyse_rerankers

FORMAT = 1
RETRIEVAL_ONLY = (
    "Money covers retrieval and the prompt's tokens. The answer's tokens are not in it: no answer was generated."
)
WITH_ANSWERS = (
    "Money a stage covers retrieval and the prompt's tokens; what answers cost is under injection and economics."
)
LIMITS = (
    "Latency is that of one query at a time on the machine named below; it says nothing of throughput under load.",
    "Quality rests on the judged documents: a result that nobody judged counts as not relevant (see Judged@k).",
    RETRIEVAL_ONLY,
    "Machine cost is measured busy time at the stated utilisation; batching under load is not seen.",
    "Peak memory is that of the whole process with all pipelines loaded.",
)


def summarise(folder: Path) -> dict[str, Any]:
    """Build the summary of a judged and priced recording and write summary.json."""
    summary = assemble(folder)
    files.write_json(folder / "summary.json", summary)
    return summary


def assemble(folder: Path) -> dict[str, Any]:
    """The summary as a dict. Raises BadInput where the recording is incomplete."""
    manifest = files.read_manifest(folder)
    judgement = files.read_json(folder / "judgement.json")
    _same_recording(folder, manifest, judgement)
    config, seed = settings_of(folder), manifest["config"]["seed"]
    scores = files.read_table(folder / "scores.parquet")
    names = [pipeline["name"] for pipeline in config["pipelines"]]
    pricing, rates = read_pricing(folder).pipelines, files.read_json(folder / "rates.json")
    summary: dict[str, Any] = {
        "format": FORMAT,
        "ragprof_version": manifest["ragprof_version"],
        "eval": config["name"],
        "title": config["title"] or config["name"],
        "created": manifest["created"],
        "corpus": manifest["corpus"],
        "queries": judgement["queries"],
        "qrels_sha256": judgement["qrels_sha256"],
        "seed": seed,
        "environment": {**manifest["environment"], "ragprof": manifest["ragprof_version"]},
        "work": manifest["work"],
        "pipelines": _pipelines(folder, {**manifest, "config": config}, scores, pricing),
        "comparisons": comparisons(scores, names, _metric(config), seed=seed) if len(names) > 1 else [],
        "final_stage": {name: final_stage(scores[scores["pipeline"] == name]) for name in names},
        "traffic": config["traffic"],
        "rates": [{"name": name, **rate} for name, rate in rates["rates"].items()],
        "method": method(config, manifest.get("engines", {})),
        "limits": list(LIMITS),
    }
    summary["pareto"] = _fronts(summary)
    summary["headline"] = headline(summary)
    summary["warnings"] = warnings(summary, judgement["notices"])
    if growth_data.is_recorded(folder):
        _add_growth(summary, folder, manifest, judgement)
    if injection_data.is_recorded(folder):
        _add_injection(summary, folder, manifest, judgement)
    if reranking_data.is_judged(folder):
        _add_reranker(summary, folder, manifest, judgement)
    if is_audited(folder):
        _add_audit(summary, folder, manifest, judgement)
    return summary


def _add_growth(
    summary: dict[str, Any], folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]
) -> None:
    """The growth section; one that belongs to another corpus, other parts or labels is left out, and said to be."""
    if growth_data.belongs(folder, manifest, judgement):
        summary["growth"] = growth_of(folder)
        return
    summary["warnings"].append(
        "The growth recording in this folder is of another corpus, other questions, pipelines or judgements and is "
        "left out; record it anew with 'ragprof grow --fresh'."
    )


def _add_injection(
    summary: dict[str, Any], folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]
) -> None:
    """The injection section and the pipelines' economics; answers of another eval are left out, and said to be."""
    if not injection_data.belongs(folder, manifest, judgement):
        summary["warnings"].append(
            "The answers in this folder are of another corpus, other questions, pipelines or judgements and are left "
            "out; record them anew with 'ragprof inject'."
        )
        return
    analyse_answers(folder).place(summary, "injection")
    summary["limits"] = [WITH_ANSWERS if line == RETRIEVAL_ONLY else line for line in summary["limits"]]


def _add_reranker(
    summary: dict[str, Any], folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]
) -> None:
    """The rerankers' sections; those of another corpus, other parts or labels are left out, and said to be."""
    if reranking_data.is_recorded(folder) and reranking_data.belongs(folder, manifest, judgement):
        summary |= analyse_rerankers(folder).placed()
        return
    summary["warnings"].append(
        "The rerankers in this folder were recorded over another corpus, other questions, pipelines or judgements and "
        "are left out; record them anew with 'ragprof reranker'."
    )


def _add_audit(
    summary: dict[str, Any], folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]
) -> None:
    """The audit section; one of another corpus, other parts or labels is left out, and said to be."""
    if audit_belongs(folder, manifest, judgement):
        summary["audit"] = audit_of(folder)
        return
    summary["warnings"].append(
        "The audit in this folder is of another corpus, other questions, pipelines or judgements and is left out; "
        "make it anew with 'ragprof audit'."
    )


def _same_recording(folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]) -> None:
    """A run that was stopped between its passes leaves scores of another recording behind: refuse to mix them."""
    if judgement.get("recording") != manifest.get("recording"):
        raise BadInput("it judges another recording; run 'ragprof run' to the end", file=folder / "judgement.json")


def method(config: Mapping[str, Any], engines: Mapping[str, Mapping[str, Mapping[str, str]]]) -> list[str]:
    """How the figures came about, in sentences. Old recordings have no `engines`, and so no sentence about them."""
    timing = config["timing"]
    calls: dict[str, list[str]] = {stage: [] for stage in STAGES}
    for stage, of in (item for stages in engines.values() for item in stages.items()):
        calls[stage].append(f"{of['engine']} in {of['precision']}")
    called = "; ".join(f"{stage} by {' or '.join(dict.fromkeys(some))}" for stage, some in calls.items() if some)
    return [
        *([f"What was timed is the call that a user's own code would make: {called}."] if called else []),
        f"Timings: live queries, one at a time, {timing['rounds']} rounds interleaved over the pipelines after "
        f"{timing['warmup']} warm-up queries each; loading and index building are outside, the cold start is apart.",
        "p50, p95 and p99: Harrell and Davis's estimator over all rounds; their intervals: percentile bootstrap over "
        "queries (2,000 resamples), the rounds of a query kept together.",
        "Overhead: each query is asked instrumented and bare in a row; median of the differences over the bare median.",
        "Quality: ir_measures on the ranking after each stage; percentile bootstrap, the same resamples everywhere.",
        "Differences: paired randomisation test (9,999 sign flips), Holm-corrected over all pairs of pipelines.",
        f"Tokens: counted with {config['tokenizer']}. Rankings come from cached vectors and scores, timings never do.",
    ]


def describe(config: Mapping[str, Any]) -> str:
    """A pipeline in one line: `all-MiniLM-L6-v2 → rrf(bm25s, faiss_flat) → maxsim(20) → token_budget(k=5)`."""
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


def _metric(config: Mapping[str, Any]) -> str:
    """What pipelines are compared on: nDCG@10, or the first metric where it was not asked for."""
    return METRIC if METRIC in config["metrics"] else str(config["metrics"][0])


def _pipelines(
    folder: Path, manifest: Mapping[str, Any], scores: pd.DataFrame, pricing: Mapping[str, PipelinePricing]
) -> dict[str, Any]:
    spans = files.read_table(folder / "spans.parquet")
    usage = files.read_table(folder / "usage.parquet")
    builds = files.read_table(folder / "builds.parquet").set_index("pipeline")
    config, result = manifest["config"], {}
    for pipeline in config["pipelines"]:
        name = pipeline["name"]
        means, intervals = mean_usage(usage[usage["pipeline"] == name], seed=config["seed"])
        timing = latency_of(
            spans[spans["pipeline"] == name], noise_bound=config["timing"]["noise_bound"], seed=config["seed"]
        )
        if (first := first_token(folder, name, seed=config["seed"])) is not None:
            timing["stages"]["generate"]["first_token"] = first
        result[name] = {
            "description": describe(pipeline),
            "config": pipeline,
            **timing,
            "build": {key: int(value) for key, value in builds.loc[name].items()},
            "peak_rss_bytes": manifest["peak_rss_bytes"].get(name),
            "usage_per_query": means,
            "usage_estimates": intervals,
            "cost_usd_per_1000_queries": pricing[name].as_json(),
            "scores": estimates(scores[scores["pipeline"] == name], seed=config["seed"]),
        }
    return result


def first_token(folder: Path, name: str, *, seed: int) -> dict[str, Any] | None:
    """Quantiles of the time from the generator's call to its first token; None where none was measured."""
    path = folder / "first_tokens.parquet"
    if not path.exists():
        return None
    table = files.read_table(path)
    mine = table[table["pipeline"] == name].rename(columns={"first_token_ns": "duration_ns"})
    return latency_quantiles(mine, seed=seed) if len(mine) else None


def _fronts(summary: Mapping[str, Any]) -> dict[str, list[str]]:
    names = list(summary["pipelines"])
    quality = {name: final_scores(summary, name).get(METRIC, {}).get("mean") for name in names}
    latency = {name: float(summary["pipelines"][name]["end_to_end"]["p50_ns"]) for name in names}
    totals = {name: summary["pipelines"][name]["cost_usd_per_1000_queries"]["total"] for name in names}
    cost = {name: None if total is None else float(total) for name, total in totals.items()}
    return {"latency": pareto(quality, latency), "cost": pareto(quality, cost)}
