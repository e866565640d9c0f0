"""The answer in sentences, warnings, method and limits of a trace profile. Computes nothing new."""

from __future__ import annotations

from collections.abc import Iterator

from ragprof.core import STAGES
from ragprof.evals.traced import UNACCOUNTED
from ragprof.report import figures
from ragprof.report.figures import UNPRICED, counted
from ragprof.report.tables import Tile
from ragprof.studies.trace.section import TracedPipeline, TraceSection

METHOD = (
    "A span's own time is its duration without what its children cover; a stage's time in a trace is the own time of "
    "its spans, added up. A span that names no stage belongs to the stage that it lies in, and all that runs inside a "
    "reranker is the reranker's.",
    "Critical path: every moment of a trace goes to the span that its end waited for, so the stages and what no stage "
    "accounts for add up to the whole.",
    "p50, p95 and p99: Harrell and Davis's estimator over traces; their intervals resample traces (2,000 resamples), "
    "and above 2,000 traces are order statistics. Shares: exact binomial intervals.",
    "Traces of one question (the same words) or of one session are no independent witnesses: where there are such, "
    "intervals and tests go by questions and sessions (linearised variances with Student's t; quantiles: Woodruff; "
    "shares: Korn and Graubard).",
    "Inert-reranker test: the passages that a reranker was offered against those that it let through, as many of both. "
    "A trace counts as changed where any of its rerankings changed something.",
    "In the prompt is a passage that the trace says was injected, else one of whose text a piece stands in the prompt, "
    "else, where neither is told, one that the reranker let through.",
    "Drift: the first half of the days against the second, unpaired, told where p is below 0.01.",
    "Money: each call at the rate of its own provider and model on the day that is named; prompts stand under inject, "
    "answers under generate. Where there is no rate, what the span itself tells is taken, and counted as reported.",
)
LIMITS = (
    "Traces are of one's own traffic: nothing here says what another setting would have done to the answers.",
    "Latency is as the clocks of the traced services measured it, under the load that there was.",
    "Passages that a reranker splits because they are too long for its window are billed as several, which spans do "
    "not tell: a bill by the search may be higher.",
)


def headline(section: TraceSection) -> list[str]:
    """Time, money, the reranker, candidates, errors, quality, drift; the busiest pipeline first."""
    sentences = []
    several = len(section.pipelines) > 1
    for name, pipeline in section.pipelines.items():
        prefix = f"{name}: " if several else ""
        found = [
            *_time(pipeline), *_money(pipeline),
            *([pipeline.reranker.sentence] if pipeline.reranker else ()),
            *([pipeline.shrink.sentence] if pipeline.shrink else ()),
            *_failures(pipeline), *_quality(pipeline), *pipeline.drift,
        ]  # fmt: skip
        sentences += [prefix + sentence for sentence in found]
    return sentences


def _time(pipeline: TracedPipeline) -> Iterator[str]:
    whole = pipeline.end_to_end
    if whole is None:
        yield f"{counted(pipeline.traces, 'trace')}, none with an end: nothing is said of time."
        return
    means = {stage: ns for stage, ns in pipeline.mean_path_ns.items() if stage in STAGES}
    total = sum(pipeline.mean_path_ns.values())
    words = f"A trace takes {figures.with_interval(whole.p50_ns, whole.p50_interval_ns, figures.duration)} at p50"
    words += f" and {figures.with_interval(whole.p95_ns, whole.p95_interval_ns, figures.duration)} at p95"
    if means and total:
        longest = max(means, key=lambda stage: means[stage])
        share, unknown = means[longest] / total, pipeline.mean_path_ns.get(UNACCOUNTED, 0) / total
        if unknown > share:
            words += f"; no stage accounts for {figures.share(unknown)} of it, {longest} for {figures.share(share)}"
        else:
            words += f"; {longest} takes most of it, {figures.share(share)}"
    witnesses = f" of {whole.queries:,} questions and sessions" if whole.queries < whole.n else ""
    yield f"{words} ({counted(whole.n, 'trace')}{witnesses})."


def _money(pipeline: TracedPipeline) -> Iterator[str]:
    money = pipeline.money
    if not money.calls:
        return
    if not money.priced and not money.reported:
        yield f"All {counted(money.calls, 'model call')} are {UNPRICED}: {money.reasons[0] if money.reasons else ''}."
        return
    costs, priced = money.per_1000_traces, f"of {counted(money.calls, 'call')} could be priced."
    if money.unpriced:
        spent = f"at least {figures.usd(costs.priced_subtotal)} per 1,000 traces ({figures.usd(money.total_usd)} in all"
        yield f"The model calls cost {spent}); {figures.share(money.priced_share)} {priced}"
        return
    spent = figures.with_interval(costs.total, costs.interval, figures.usd)
    yield f"The model calls cost {spent} per 1,000 traces, {figures.usd(money.total_usd)} in all; every one {priced}"


def _failures(pipeline: TracedPipeline) -> Iterator[str]:
    errors, retries = sum(pipeline.errors.values()), sum(pipeline.retries.values())
    if pipeline.failed.mean or errors or retries:
        yield (
            f"{figures.with_interval(pipeline.failed.mean, pipeline.failed.interval, figures.share)} of the traces "
            f"failed; their stages had {counted(errors, 'error')} and {counted(retries, 'retry', 'retries')}."
        )


def _quality(pipeline: TracedPipeline) -> Iterator[str]:
    for stage in ("rerank", "search"):
        if scores := pipeline.scores.get(stage):
            metric, found = next(iter(scores.items()))
            yield (
                f"{metric} after {stage} is {figures.with_interval(found.mean, found.interval, figures.score)} over "
                f"{counted(pipeline.judged, 'judged trace')}."
            )
            return


def warnings(section: TraceSection) -> Iterator[str]:
    """What a reader must know before believing a figure: sampling first."""
    signs = section.sampling
    if signs.kept_share is not None:
        yield (
            f"The traces are sampled: by their trace state as few as {figures.share(signs.kept_share)} were kept. "
            "Counts and totals are those of the sample."
        )
    if signs.attributes:
        names = ", ".join(f"{name} ({traces:,})" for name, traces in list(signs.attributes.items())[:4])
        yield (
            f"Traces carry signs of sampling: {names}. A sampler that keeps slow or failed traces (tail sampling) "
            "makes percentiles, error shares and costs look higher than those of all traffic."
        )
    for source in section.sources:
        yield from _unread(source)
    yield from _named_here(section)
    if section.without_stage:
        total = section.without_stage + section.traces
        yield f"Left out: {counted(section.without_stage, 'trace')} of {total:,}, without a span of a RAG stage."
    if section.rootless:
        yield (
            f"Without their beginning in the files: {counted(section.rootless, 'trace')}, timed from the first span to "
            "the last, which may be too short."
        )
    if section.unfinished:
        yield (
            "Without an end, or with one before the beginning or a year after it: "
            f"{counted(section.unfinished, 'span')}; the time of that stage in that trace is left out."
        )
    if section.skewed:
        yield (
            f"Reaching beyond the span that they lie in (clocks of two machines, or work that goes on behind): "
            f"{counted(section.skewed, 'span')}; what reaches beyond is not counted."
        )
    if section.repeated:
        yield f"There twice, and counted once: {counted(section.repeated, 'span')}."
    every = section.pipelines.values()
    if section.questions and not any(pipeline.judged or pipeline.foreign_ids for pipeline in every):
        yield (
            f"None of the {counted(section.questions, 'judged question')} was asked in these traces, word for word: "
            "quality is not told."
        )
    for name, pipeline in section.pipelines.items():
        if pipeline.foreign_ids:
            yield (
                f"{name}: {counted(pipeline.foreign_ids, 'trace')} of judged questions, and no passage in them has an "
                "id of the judgements: quality is not told. Export document.id, or a metadata member such as source, "
                "as the judgements have it."
            )
        for reason in pipeline.money.reasons[:5]:
            yield f"{name}: {UNPRICED} {reason}"


def _named_here(section: TraceSection) -> Iterator[str]:
    """What the traces and their services stand for."""
    if section.asked_again:
        again, asked = counted(section.asked_again, "trace"), section.traces - section.asked_again
        yield (
            f"The traces are of a recording of ragprof, which asks each query in several rounds: {again} of "
            f"{section.traces:,} time one of {counted(asked, 'query', 'queries')} again. Intervals and shares are over "
            "queries."
        )
    for name, pipeline in section.pipelines.items() if not section.asked_again else ():
        if pipeline.independent is not None and pipeline.independent < pipeline.traces:
            yield (
                f"{name}: traces of one question or one session count as one: {pipeline.traces:,} traces of "
                f"{pipeline.independent:,} questions and sessions that are independent; intervals go by these."
            )
    for name, service in section.renamed.items():
        yield f"The service '{service[:80]}' is called {name} here."


def _unread(source: object) -> Iterator[str]:
    name, unread, foreign, too_long, first, cut_off, lost, broken = (
        getattr(source, key)
        for key in (
            "name", "unread", "foreign", "too_long", "first_unread", "cut_off", "without_trace", "lost_attributes",
        )
    )  # fmt: skip
    if cut_off and unread == 1:
        yield f"{name} ends in the middle of line {first}, which is left out."
    elif unread:
        yield f"{name}: {counted(unread, 'line')} could not be read, the first of them line {first}."
    if foreign:
        yield f"{name}: passed over {counted(foreign, 'object')} that no span is in."
    if lost:
        yield f"{name}: left out {counted(lost, 'span')} that {'names' if lost == 1 else 'name'} no trace."
    if too_long:
        yield f"{name}: passed over {counted(too_long, 'line')} of more than 64 MB."
    if broken:
        yield f"{name}: {counted(broken, 'attribute')} could not be read; the spans are counted without them."


def tiles(section: TraceSection) -> tuple[Tile, ...]:
    """Key figures of the busiest pipeline."""
    name, pipeline = next(iter(section.pipelines.items()))
    own = name if len(section.pipelines) > 1 else ""
    whole, money = pipeline.end_to_end, pipeline.money
    found = []
    for quantile in ("p50", "p95") if whole is not None else ():
        number, _, unit = figures.duration(getattr(whole, f"{quantile}_ns")).partition(" ")
        interval = figures.span(getattr(whole, f"{quantile}_interval_ns"), figures.duration)
        found.append(Tile(f"Latency {quantile}", number, unit, f"95% CI {interval}", own))
    if money.calls:
        costs = money.per_1000_traces
        value = figures.usd(costs.priced_subtotal) if money.priced or money.reported else UNPRICED
        below = f"at least: {figures.share(money.priced_share)} of calls priced"
        if not money.unpriced and figures.span(costs.interval, figures.usd) != figures.ABSENT:
            below = f"95% CI {figures.span(costs.interval, figures.usd)}"
        found.append(Tile("1,000 traces cost", value, "", below, own))
    if (reranker := pipeline.reranker) is not None:
        changed = reranker.set_changed or reranker.order_changed
        found.append(
            Tile("Reranker changed", figures.share(changed.mean), "",
                 f"of prompts: {reranker.verdict}; 95% CI {figures.span(changed.interval, figures.share)}", own)
        )  # fmt: skip
    return (*found, Tile("Read", figures.rough_count(section.traces), "traces", f"{section.spans:,} spans"))
