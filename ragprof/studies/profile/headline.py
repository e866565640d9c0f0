"""The answer in words: sentences made of the summary's figures, each with its uncertainty. Computes nothing new.

The few figures at the top of a report: extremes picked out of the summary, each with its interval and its n.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ragprof.core.quantities import duration, money
from ragprof.report import figures
from ragprof.report.lookup import COST, Summary, at, pipelines, unpriced_stages
from ragprof.report.lookup import METRIC as LOOKUP_METRIC
from ragprof.report.lookup import final_scores as lookup_final_scores
from ragprof.report.tables import Tile

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
                f"{name}: noisy timing, the rounds' median latencies differ by {noise['spread']:.0%} "
                f"(bound {noise['bound']:.0%}); compare its latency on a quieter machine"
            )
        if pipeline["closure"] < LOW_CLOSURE:
            found.append(f"{name}: the stages account for only {pipeline['closure']:.1%} of the time end to end")
        judged = final_scores(summary, name).get("Judged@5", {}).get("mean")
        if judged is not None and judged < LOW_JUDGED:
            found.append(f"{name}: only {judged:.0%} of its top five are judged; its quality may be understated")
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
    if len(names) == 1:
        return f"{names[0]} reaches {METRIC} {_with_interval(top)} over {summary['queries']} queries."
    lead = f"{names[0]} ranks highest: {METRIC} {_with_interval(top)}"
    tied = [name for name in names[1:] if (_compared(summary, names[0], name) or {}).get("verdict") == "undecided"]
    if not tied:
        return f"{lead}, told apart from every other pipeline with {summary['queries']} queries."
    lead += f"; with {summary['queries']} queries it cannot be told apart from {_listed(tied)}"
    return f"{lead}. {_fastest(summary, [names[0], *tied])}"


def _fastest(summary: Mapping[str, Any], names: Sequence[str]) -> str:
    """Which of several equals is the fastest, where the intervals of their medians leave no doubt."""
    order = sorted(names, key=lambda name: _p50(summary, name))
    first, second = (summary["pipelines"][name]["end_to_end"] for name in order[:2])
    ends = first["p50_interval_ns"], second["p50_interval_ns"]
    if None in ends or ends[0][1] >= ends[1][0]:
        return "None of them is clearly the fastest."
    return (
        f"Of these {order[0]} is the fastest: {duration(first['p50_ns'])} at p50 against {duration(second['p50_ns'])}."
    )


def _rerankers(summary: Mapping[str, Any]) -> list[str]:
    """One sentence for each pipeline whose twin differs in nothing but the reranker."""
    rows = {name: (base, _compared(summary, base, name)) for name, base in twins(summary).items()}
    return [_reranker(summary, name, base, row) for name, (base, row) in rows.items() if row is not None]


def _reranker(summary: Mapping[str, Any], name: str, base: str, row: Mapping[str, Any]) -> str:
    gain, ends = _gain(row, name)
    interval = f" (95 % interval {ends[0]:+.3f} to {ends[1]:+.3f})" if ends else ""
    told = "not told from zero" if row["verdict"] == "undecided" else "a real gain" if gain > 0 else "a real loss"
    more = f"; about {row['more_queries']:,} more queries would tell" if row["more_queries"] else ""
    added = duration(_p50(summary, name) - _p50(summary, base))
    return (
        f"The reranker of {name} changes {METRIC} by {gain:+.3f}{interval}, {told}{more}; "
        f"it adds {added} to the median query{_added_cost(summary, name)}."
    )


def _gain(row: Mapping[str, Any], candidate: str) -> tuple[float, list[float] | None]:
    """Difference and interval with the sign that `candidate` minus the other has."""
    sign = 1 if row["candidate"] == candidate else -1
    ends = sorted(sign * end for end in row["interval"]) if row["interval"] else None
    return sign * (row["difference"] or 0.0), ends


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


def _added_cost(summary: Mapping[str, Any], name: str) -> str:
    rerank = summary["pipelines"][name]["cost_usd_per_1000_queries"].get("rerank")
    return "" if rerank is None else f" and {money(rerank)} to 1,000 queries"


def _slowest_stage(summary: Mapping[str, Any]) -> str:
    slowest = max(summary["pipelines"], key=lambda name: _p50(summary, name))
    pipeline = summary["pipelines"][slowest]
    stage, latency = max(pipeline["stages"].items(), key=lambda item: item[1]["mean_ns"])
    share = latency["mean_ns"] / pipeline["end_to_end"]["mean_ns"]
    p50 = duration(_p50(summary, slowest))
    return f"In the slowest pipeline, {slowest} ({p50} at p50), {stage} takes {share:.0%} of the time."


def _context(summary: Mapping[str, Any]) -> str:
    tokens = {
        name: pipeline["usage_per_query"].get("inject.prompt_tokens") for name, pipeline in summary["pipelines"].items()
    }
    known = {name: count for name, count in tokens.items() if count}
    if not known:
        return ""
    if len(known) == 1:
        return "".join(f"A prompt of {name} holds {count:,.0f} tokens on average." for name, count in known.items())
    least, most = min(known, key=lambda name: known[name]), max(known, key=lambda name: known[name])
    return f"A prompt holds {known[least]:,.0f} tokens on average with {least} and {known[most]:,.0f} with {most}."


def _p50(summary: Mapping[str, Any], name: str) -> float:
    return float(summary["pipelines"][name]["end_to_end"]["p50_ns"])


def _with_interval(estimate: Mapping[str, Any]) -> str:
    low, high = estimate["interval"] or (None, None)
    return f"{estimate['mean']:.3f}" + ("" if low is None else f" (95 % interval {low:.3f} to {high:.3f})")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def tiles(summary: Summary) -> tuple[Tile, ...]:
    return (_tiles_quality(summary), _latency(summary), _cost(summary), _closure(summary), _basis(summary))


def _extreme(summary: Summary, read: Callable[[str], Any], pick: Callable[..., str]) -> tuple[str, bool]:
    """Whose value is picked, and whether there was another to pick; ("", False) where nobody has one."""
    values = {name: read(name) for name in pipelines(summary)}
    known = {name: float(value) for name, value in values.items() if value is not None}
    return (pick(known, key=known.__getitem__), len(known) > 1) if known else ("", False)


def _tiles_quality(summary: Summary) -> Tile:
    name, chosen = _extreme(summary, lambda name: at(lookup_final_scores(summary, name), LOOKUP_METRIC, "mean"), max)
    estimate = at(lookup_final_scores(summary, name), LOOKUP_METRIC)
    note = _interval_note(figures.span(at(estimate, "interval"), figures.score))
    label = f"Highest {LOOKUP_METRIC}" if chosen else LOOKUP_METRIC
    return Tile(label, figures.score(at(estimate, "mean")), "", note, name)


def _latency(summary: Summary) -> Tile:
    name, chosen = _extreme(summary, lambda name: at(pipelines(summary)[name], "end_to_end", "p50_ns"), min)
    latency = at(pipelines(summary), name, "end_to_end")
    note = _interval_note(figures.span(at(latency, "p50_interval_ns"), figures.duration))
    value, _, unit = figures.duration(at(latency, "p50_ns")).partition(" ")
    return Tile("Lowest latency p50" if chosen else "Latency p50", value, unit, note, name)


def _cost(summary: Summary) -> Tile:
    name, chosen = _extreme(summary, lambda name: at(pipelines(summary)[name], COST, "total"), min)
    if not name:
        return Tile("Cost of 1,000 queries", _no_total(pipelines(summary)), "", "no pipeline is fully priced")
    cost = at(pipelines(summary), name, COST)
    note = _interval_note(figures.span(at(cost, "interval"), figures.usd))
    label = "Lowest cost, 1,000 queries" if chosen else "Cost of 1,000 queries"
    return Tile(label, figures.usd(at(cost, "total")), "", note, name)


def _no_total(pipelines: Mapping[str, Any]) -> str:
    return figures.UNPRICED if any(unpriced_stages(pipeline) for pipeline in pipelines.values()) else figures.ABSENT


def _closure(summary: Summary) -> Tile:
    name, chosen = _extreme(summary, lambda name: at(pipelines(summary)[name], "closure"), min)
    overheads = [at(pipeline, "overhead") for pipeline in pipelines(summary).values()]
    measured = [overhead for overhead in overheads if overhead is not None]
    most = figures.share(max(measured)) if measured else figures.ABSENT
    value = figures.share(at(pipelines(summary), name, "closure"))
    note = f"of each query's time or more; profiler overhead at most {most}" if chosen else f"profiler overhead {most}"
    return Tile("Time accounted for", value, "", note)


def _basis(summary: Summary) -> Tile:
    docs, tokens = at(summary, "corpus", "docs"), at(summary, "corpus", "tokens")
    note = f"{figures.count(docs)} documents, {figures.rough_count(tokens)} tokens"
    return Tile("Measured on", figures.count(at(summary, "queries")), "queries", note)


def _interval_note(span: str) -> str:
    return f"95% interval {span}"
