"""The answer in words: sentences put together from the summary's figures, each with its uncertainty. Computes nothing new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

METRIC = "nDCG@10"
LOW_JUDGED = 0.95
LOW_CLOSURE = 0.99


def headline(summary: Mapping[str, Any]) -> list[str]:
    """Main answer first. Never names one best pipeline where several cannot be told apart."""
    sentences = [_leaders(summary), *_rerankers(summary), _slowest_stage(summary), _context(summary)]
    return [sentence for sentence in sentences if sentence]


def warnings(summary: Mapping[str, Any], notices: Sequence[str]) -> list[str]:
    """What a reader must know before believing a figure."""
    found = list(notices)
    for name, pipeline in summary["pipelines"].items():
        noise = pipeline["noise"]
        if noise["noisy"]:
            found.append(
                f"{name}: the median latency of the rounds differs by {noise['spread']:.0%} (bound {noise['bound']:.0%}); "
                "the machine was noisy, run it again on a quiet one before comparing its latency"
            )
        if pipeline["closure"] < LOW_CLOSURE:
            found.append(f"{name}: the stages account for only {pipeline['closure']:.1%} of the time end to end")
        judged = final_scores(summary, name).get("Judged@5", {}).get("mean")
        if judged is not None and judged < LOW_JUDGED:
            found.append(
                f"{name}: only {judged:.0%} of its first five results are judged; its quality may be understated"
            )
        for reason in pipeline["cost_usd_per_1000_queries"]["unpriced"]:
            found.append(f"{name}: UNPRICED {reason}")
    return found


def final_scores(summary: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """metric -> estimate of a pipeline's own ranking."""
    scores: Mapping[str, Any] = summary["pipelines"][name]["scores"].get(summary["final_stage"][name], {})
    return scores


def _quality(summary: Mapping[str, Any], name: str) -> float:
    mean = final_scores(summary, name).get(METRIC, {}).get("mean")
    return -1.0 if mean is None else float(mean)


def _compared(summary: Mapping[str, Any], first: str, second: str) -> Mapping[str, Any] | None:
    for row in summary["comparisons"]:
        if row["metric"] == METRIC and {row["baseline"], row["candidate"]} == {first, second}:
            return dict(row)
    return None


def _leaders(summary: Mapping[str, Any]) -> str:
    names = sorted(summary["pipelines"], key=lambda name: -_quality(summary, name))
    if _quality(summary, names[0]) < 0:
        return ""
    top = final_scores(summary, names[0])[METRIC]
    lead = f"{names[0]} ranks highest: {METRIC} {_with_interval(top)}"
    tied = [name for name in names[1:] if (_compared(summary, names[0], name) or {}).get("verdict") == "undecided"]
    if not tied:
        return f"{lead}, told apart from every other pipeline with {summary['queries']} queries."
    group = [names[0], *tied]
    fastest = min(group, key=lambda name: summary["pipelines"][name]["end_to_end"]["p50_ns"])
    lead += f"; with {summary['queries']} queries it cannot be told apart from {_listed(tied)}"
    if fastest == names[0]:
        return f"{lead}, and it is the fastest of them."
    ratio = _p50(summary, names[0]) / _p50(summary, fastest)
    return f"{lead}. Of these {fastest} is the fastest: {duration(_p50(summary, fastest))} at p50, {ratio:,.1f} times less."


def _rerankers(summary: Mapping[str, Any]) -> list[str]:
    """One sentence for each pipeline whose twin differs in nothing but the reranker."""
    sentences = []
    for name, base in twins(summary).items():
        row = _compared(summary, base, name)
        if row is None:
            continue
        sign = 1 if row["candidate"] == name else -1
        ends = sorted(sign * end for end in row["interval"]) if row["interval"] else None
        verdict = (
            "a real gain"
            if row["verdict"] == "better"
            else "a real loss"
            if row["verdict"] == "worse"
            else "not told from zero"
        )
        if sign < 0 and row["verdict"] != "undecided":
            verdict = "a real loss" if row["verdict"] == "better" else "a real gain"
        interval = f" (95 % interval {ends[0]:+.3f} to {ends[1]:+.3f})" if ends else ""
        added = _p50(summary, name) - _p50(summary, base)
        more = f"; about {row['more_queries']:,} more queries would tell" if row["more_queries"] else ""
        sentences.append(
            f"The reranker of {name} changes {METRIC} by {sign * (row['difference'] or 0):+.3f}{interval}, {verdict}{more}, "
            f"and adds {duration(added)} to the median query{_added_cost(summary, base, name)}."
        )
    return sentences


def twins(summary: Mapping[str, Any]) -> dict[str, str]:
    """Reranked pipeline -> the pipeline that equals it but for the reranker."""
    configs = {name: pipeline["config"] for name, pipeline in summary["pipelines"].items()}
    plain = {_without_reranker(config): name for name, config in configs.items() if not reranker_of(config)}
    pairs = {name: plain.get(_without_reranker(config)) for name, config in configs.items() if reranker_of(config)}
    return {name: base for name, base in pairs.items() if base}


def reranker_of(config: Mapping[str, Any]) -> str | None:
    """Name of a pipeline's reranker; None for none."""
    spec = config.get("reranker")
    name = spec.get("name") if isinstance(spec, Mapping) else spec
    return None if name in (None, "none") else str(name)


def _without_reranker(config: Mapping[str, Any]) -> str:
    return repr([config.get(key) for key in ("embedder", "store", "depth", "injector")])


def _added_cost(summary: Mapping[str, Any], base: str, name: str) -> str:
    costs = [summary["pipelines"][each]["cost_usd_per_1000_queries"] for each in (base, name)]
    rerank = costs[1].get("rerank")
    return "" if rerank is None else f" and {money(rerank)} to 1,000 queries"


def _slowest_stage(summary: Mapping[str, Any]) -> str:
    slowest = max(summary["pipelines"], key=lambda name: _p50(summary, name))
    pipeline = summary["pipelines"][slowest]
    stage, latency = max(pipeline["stages"].items(), key=lambda item: item[1]["mean_ns"])
    share = latency["mean_ns"] / pipeline["end_to_end"]["mean_ns"]
    return f"In the slowest pipeline, {slowest} ({duration(_p50(summary, slowest))} at p50), {stage} takes {share:.0%} of the time."


def _context(summary: Mapping[str, Any]) -> str:
    tokens = {
        name: pipeline["usage_per_query"].get("inject.prompt_tokens") for name, pipeline in summary["pipelines"].items()
    }
    known = {name: count for name, count in tokens.items() if count}
    if not known:
        return ""
    least, most = min(known, key=lambda name: known[name]), max(known, key=lambda name: known[name])
    return f"A prompt holds {known[least]:,.0f} tokens on average with {least} and {known[most]:,.0f} with {most}."


def _p50(summary: Mapping[str, Any], name: str) -> float:
    return float(summary["pipelines"][name]["end_to_end"]["p50_ns"])


def _with_interval(estimate: Mapping[str, Any]) -> str:
    low, high = estimate["interval"] or (None, None)
    return f"{estimate['mean']:.3f}" + ("" if low is None else f" (95 % interval {low:.3f} to {high:.3f})")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def duration(nanoseconds: float) -> str:
    """ns as a reader's unit: 850 µs, 12.3 ms, 1.20 s."""
    for unit, size in (("s", 1e9), ("ms", 1e6)):
        if abs(nanoseconds) >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds / 1e3:.3g} µs"


def money(usd: str) -> str:
    """A decimal string as dollars to three significant digits."""
    value = float(usd)
    return f"${value:,.2f}" if value >= 1 else f"${value:.3g}"
