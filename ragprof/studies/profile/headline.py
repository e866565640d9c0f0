"""The answer in words, warnings, and the key figures at the top of a report.

Sentences are made of the section's figures, each with its uncertainty. Nothing new is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ragprof.price.bills import NAME_ONE
from ragprof.record.unread import NO_ROOM, UnreadTexts
from ragprof.report import figures
from ragprof.report.tables import WITHHELD, Tile, needed
from ragprof.statistics.unseen import is_tie
from ragprof.studies.contract import ComparedPair, CostFigures
from ragprof.studies.profile.section import AppFigures, ProfileSection

K = TypeVar("K")
V = TypeVar("V")
LOW_JUDGED = 0.95
LOW_CLOSURE = 0.99


def headline(section: ProfileSection, *, answered: Collection[str] = ()) -> list[str]:
    """Main answer first. Never names one best pipeline where several cannot be told apart.

    Of the rerankers of pipelines that are `answered` nothing is said: their own study has.
    """
    sentences = [
        _leaders(section),
        _part(section),
        *_rerankers(section, answered),
        *_own_rerankers(section, answered),
        _slowest_stage(section),
        *_apps(section),
        _context(section),
    ]
    return [sentence for sentence in sentences if sentence]


def answers(section: ProfileSection) -> dict[str, str]:
    """What each part of the report says in a sentence, by its key; shown beside the heading while it is closed."""
    ones = section.pipelines
    fronts = {"time": section.pareto.latency, "money": section.pareto.cost}
    on_front = "; ".join(f"for {what} {figures.listed(names)}" for what, names in fronts.items() if names)
    noisy = [name for name, one in ones.items() if one.noise.noisy or one.latency_withheld]
    rounds = "the rounds agree" if not noisy else f"timings of {figures.listed(noisy)} are noisy or those of other work"
    priced = [rate.verified for rate in section.rates if rate.verified]
    rates = f"rates that were read at their sources between {min(priced)} and {max(priced)}" if priced else "no rates"
    if priced and min(priced) == max(priced):
        rates = f"rates that were read at their sources on {priced[0]}"
    cpu = section.environment.get("cpu")
    return {
        "time": _slowest_stage(section),
        "trade-off": f"No other pipeline measured here is better and takes less: {on_front}." if on_front else "",
        "quality": _leaders(section),
        "overlap": _unjudged(section),
        "resources": _context(section),
        "trust": f"Stages account for {figures.share(min(one.closure for one in ones.values()))} of the time or more; "
        f"{rounds}.",
        "origin": f"Measured on {cpu or 'this machine'}, with {rates}.",
    }


def warnings(section: ProfileSection, notices: Sequence[str]) -> list[str]:
    """What a reader must know before believing a figure; the judge pass's notices first.

    A thing is said once, with the names of all pipelines that it holds for.
    """
    ones = section.pipelines
    chunks = [each for each in section.unread if each.what == "chunks"]
    found = [*notices, *(each.sentence for each in section.unread if each.what != "chunks"), *_left_out(chunks)]
    withheld = {name: (one.latency_withheld, bool(one.cost_withheld)) for name, one in ones.items()}
    for (busy, cost), names in _alike({name: each for name, each in withheld.items() if each[0]}).items():
        its = "its" if len(names) == 1 else "their"
        found.append(
            f"{figures.listed(names)}: {its} latency{f' and {its} cost' if cost else ''} may be that of other work: "
            f"{busy}; run it again when the machine does nothing else"
        )
    noisy = {name: one.noise for name, one in ones.items() if one.noise.noisy and not one.latency_withheld}
    if noisy:
        spreads, bounds = ([getattr(each, key) for each in noisy.values()] for key in ("spread", "bound"))
        found.append(
            f"{figures.listed([*noisy])}: noisy timing, the rounds' median latencies differ by {_span(spreads, '.0%')} "
            f"(bound {_span(bounds, '.0%')}); compare {'its' if len(noisy) == 1 else 'their'} latency on a quieter "
            "machine"
        )
    if open_ := {name: one.closure for name, one in ones.items() if one.closure < LOW_CLOSURE and one.app is None}:
        shares = _span(open_.values(), ".1%")
        found.append(f"{figures.listed([*open_])}: the stages account for only {shares} of the time end to end")
    for name, one in ones.items():
        found += _about_app(name, one.app)
    if empty := {name: one.empty_rankings for name, one in ones.items() if one.empty_rankings}:
        counts = _span(empty.values(), ",")
        found.append(f"{figures.listed([*empty])}: found nothing for {counts} of {_queries(section)}; they count as 0")
    if low := {name: share for name in ones if (share := _judged(section, name)) < LOW_JUDGED}:
        its = "its" if len(low) == 1 else "their"
        found.append(
            f"{figures.listed([*low])}: only {_span(low.values(), '.0%')} of {its} top five are judged; {its} quality "
            "may be understated"
        )
    found += _unpriced({name: one.cost_usd_per_1000_queries for name, one in ones.items()})
    return found


def _unpriced(bills: Mapping[str, CostFigures]) -> Iterator[str]:
    """Why pipelines are UNPRICED, in one sentence for all stages of which no rate is named."""
    bare = {
        name: tuple(reason.partition(": ")[0] for reason in bill.unpriced)
        for name, bill in bills.items()
        if len(bill.unpriced) > 1 and all(NAME_ONE in reason for reason in bill.unpriced)
    }
    for stages, names in _alike(bare).items():
        yield (
            f"{figures.listed(names)}: UNPRICED {figures.listed(stages)}: no rate is named; under [prices], llm "
            "is the rate of prompts and answers, machine that of what runs here"
        )
    reasons = {(name, each): each for name, bill in bills.items() if name not in bare for each in bill.unpriced}
    for reason, which in _alike(reasons).items():
        yield f"{figures.listed([name for name, _ in which])}: UNPRICED {reason}"


def _left_out(chunks: Sequence[UnreadTexts]) -> Iterator[str]:
    """What pipelines leave out of prompts, those of one kind in one sentence."""
    if len(chunks) < 2:
        yield from (each.sentence for each in chunks)
        return
    names = figures.listed([each.pipelines[0] for each in chunks])
    shares = _span([each.cut / each.of for each in chunks], ".1%")
    yield f"{names} leave out {shares} of the chunks that they would put into prompts, as they do not fit; {NO_ROOM}"


def _judged(section: ProfileSection, name: str) -> float:
    """The share of its top five that is judged, of the queries for which it found anything: others have no unjudged."""
    judged, empty = section.final_scores(name).get("Judged@5"), section.pipelines[name].empty_rankings or 0
    if not judged or judged.mean is None or empty >= section.queries:
        return 1.0
    return judged.mean * section.queries / (section.queries - empty)


def _alike(found: Mapping[K, V]) -> dict[V, list[K]]:
    """Values with all keys that have them, in order."""
    alike: dict[V, list[K]] = {}
    for key, value in found.items():
        alike.setdefault(value, []).append(key)
    return alike


def _span(values: Iterable[float], form: str) -> str:
    """`12%`, or `12% to 34%`."""
    low, high = f"{min(known := list(values)):{form}}", f"{max(known):{form}}"
    return low if low == high else f"{low} to {high}"


def _about_app(name: str, app: AppFigures | None) -> list[str]:
    """What went wrong with an app, and what of its documents nobody can judge."""
    found = []
    if app is not None and app.failed:
        late = f", {app.timed_out:,} of them not in time" if app.timed_out else ""
        found.append(
            f"{name}: failed for {figures.counted(app.failed, 'question')} of {app.asked:,}{late}; "
            f"{'it counts as 0 and has' if app.failed == 1 else 'they count as 0 and have'} no timings. The first: "
            f"{app.first_failure}"
        )
    if app is not None and app.unknown_documents:
        some = ", ".join(app.unknown_examples)
        found.append(
            f"{name}: {figures.counted(app.unknown_documents, 'document')} that it found "
            f"{'is not in the corpus and counts' if app.unknown_documents == 1 else 'are not in the corpus and count'} "
            f"as unjudged: {some}"
            f"{', ...' if app.unknown_documents > len(app.unknown_examples) else ''}; say where the id is with doc_id"
        )
    return found


def _leaders(section: ProfileSection) -> str:
    """Who ranks highest, and who cannot be told apart from it; of several equals the fastest. Unjudged, nobody does."""
    if not section.judged:
        return _unjudged(section)
    means = {name: found.mean or 0.0 for name in section.pipelines if (found := section.quality(name))}
    if not means:
        return ""
    first, *others = sorted(section.pipelines, key=lambda name: -means.get(name, -1.0))
    top, asked = section.final_scores(first)[section.metric], _queries(section)
    if not top.mean:
        return _nothing_found(section)
    reached = f"{section.metric} {figures.with_interval(top.mean, top.interval, figures.score)}"
    if not others:
        return f"{first} reaches {reached} over {asked}."
    equal = [name for name in (first, *others) if means.get(name) == means[first]]
    below = [name for name in others if name not in equal]
    highest = f"{first} ranks highest" if len(equal) == 1 else f"{figures.listed(equal)} rank equally high"
    pairs = {name: _compared(section, first, name) for name in below}
    tied = [name for name, row in pairs.items() if row and row.verdict == "undecided"]
    if tied:
        they = "it" if len(equal) == 1 else "they"
        return (
            f"{highest}: {reached}; with {asked} {they} cannot be told apart from "
            f"{figures.listed(tied)}. {_fastest(section, [*equal, *tied])}"
        )
    above = ", significantly above every other" if below else ""
    fastest = f" {_fastest(section, equal)}" if len(equal) > 1 else ""
    return f"{highest}: {reached}{above} with {asked}.{fastest}"


def _part(section: ProfileSection) -> str:
    """What was searched, and what that does to quality, where it is a part of the corpus."""
    whole = section.corpus.whole
    if whole is None:
        return ""
    searched = f"Only {section.corpus.docs:,} of the corpus's {whole.docs:,} passages were searched"
    if not section.judged:
        return f"{searched}; 'ragprof run --full' searches them all."
    return (
        f"{searched}, all relevant ones among them: with fewer distractors quality looks better than on the whole; "
        "'ragprof run --full' searches them all."
    )


def _nothing_found(section: ProfileSection) -> str:
    """Where no pipeline ranks anything relevant, nobody leads, and something is wrong with the run."""
    who = next(iter(section.pipelines)) if len(section.pipelines) == 1 else "No pipeline"
    silent = all(one.empty_rankings == section.queries for one in section.pipelines.values())
    why = (
        "every ranking is empty: check that the search reads the language and the fields of the corpus"
        if silent
        else "check that the judgements name documents of this corpus"
    )
    ranks = "ranks a relevant document" if who == "No pipeline" else "ranks no relevant document"
    return f"{who} {ranks}: {section.metric} is 0 over {_queries(section)}; {why}."


def _queries(section: ProfileSection) -> str:
    return figures.counted(section.queries, "query", "queries")


def _unjudged(section: ProfileSection) -> str:
    """Which pipelines are least alike: what judgements would have to decide."""
    nobody = "Nobody has judged these results, so no pipeline is ranked"
    if not section.overlaps:
        return f"{nobody}."
    least = min(section.overlaps, key=lambda pair: 1.0 if pair.shared.mean is None else pair.shared.mean)
    alike = figures.with_interval(least.shared.mean, least.shared.interval, figures.share)
    first = figures.counted(least.depth, "document")
    return f"{nobody}; {least.one} and {least.other} share {alike} of their first {first}."


def _compared(section: ProfileSection, first: str, second: str) -> ComparedPair | None:
    for row in section.comparisons:
        if row.metric == section.metric and {row.baseline, row.candidate} == {first, second}:
            return row
    return None


def _fastest(section: ProfileSection, names: Sequence[str]) -> str:
    """Which of several equals is the fastest, where the intervals of their medians leave no doubt."""
    if busy := _busy(section, names):
        return f"Which of them is the fastest is withheld: {busy}."
    order = sorted(names, key=lambda name: section.pipelines[name].end_to_end.p50_ns)
    first, second = (section.pipelines[name].end_to_end for name in order[:2])
    ends, following = first.p50_interval_ns, second.p50_interval_ns
    if ends is None or following is None or ends[1] >= following[0]:
        return "None of them is clearly the fastest."
    fast, next_best = (figures.duration(latency.p50_ns) for latency in (first, second))
    return f"Of these {order[0]} is the fastest: {fast} at p50 against {next_best}."


def _rerankers(section: ProfileSection, answered: Collection[str]) -> list[str]:
    """One sentence for each pipeline whose twin differs in nothing but the reranker."""
    sentences = []
    for name, base in twins(section).items():
        row = _compared(section, base, name)
        if row is None or name in answered:
            continue
        sign = 1 if row.candidate == name else -1
        gain = sign * (row.difference or 0.0)
        ends = sorted(sign * end for end in row.interval) if row.interval else None
        verdict = "a real gain" if gain > 0 else "a real loss"
        if row.verdict == "undecided":
            family = sum(each.metric == row.metric for each in section.comparisons)
            verdict = figures.not_significant(ends, row.p_holm, family)
        more = f"; {needed(row)}" if row.more_queries else ""
        reranked, plain = section.pipelines[name], section.pipelines[base]
        added = figures.duration(reranked.end_to_end.p50_ns - plain.end_to_end.p50_ns)
        usd, busy = reranked.cost_usd_per_1000_queries.of_stage("rerank"), _busy(section, [base, name])
        if busy and "rerank" in reranked.billed_by_time:
            usd = None
        money = "" if usd is None else f"{figures.usd(usd)} to 1,000 queries"
        takes = f"it adds {added} to the median query{' and ' if money else ''}{money}"
        if busy:
            takes = f"{f'it adds {money}; ' if money else ''}what it adds to the latency is withheld: {busy}"
        if is_tie(row.difference, row.interval, row.n):
            sentences.append(f"The reranker of {name} leaves the {section.metric} of every query as it is; {takes}.")
            continue
        sentences.append(
            f"The reranker of {name} changes {section.metric} by "
            f"{figures.with_interval(gain, ends, figures.difference)}, {verdict}{more}; {takes}."
        )
    return sentences


def _own_rerankers(section: ProfileSection, answered: Collection[str]) -> Iterator[str]:
    """One sentence for each app that reranks, against the order of its own search."""
    for name, one in section.pipelines.items():
        change, latency = one.reranked, one.stages.get("rerank")
        if change is None or change.mean is None or name in answered:
            continue
        share = "" if latency is None or one.latency_withheld else (
            f" and takes {figures.share(latency.mean_ns / one.end_to_end.mean_ns)} of its time"
        )  # fmt: skip
        changes = (
            f"changes {section.metric} by {figures.with_interval(change.mean, change.interval, figures.difference)}"
        )
        if change.mean == 0 and change.interval in (None, (0.0, 0.0)):
            changes = f"leaves {section.metric} as it is"
        yield (
            f"The reranker of {name} {changes} against the order of its own search{share}; whether it is worth that, "
            "'ragprof reranker' says."
        )


def _busy(section: ProfileSection, names: Sequence[str]) -> str:
    """Why latencies of these pipelines are not compared, by the one that waited most; empty where they may be."""
    waits = [waiting for name in names if (waiting := section.pipelines[name].waiting) is not None and waiting.busy]
    return max(waits, key=lambda waiting: waiting.share or 0.0).reason if waits else ""


def twins(section: ProfileSection) -> dict[str, str]:
    """Reranked pipeline -> the pipeline that equals it but for the reranker."""
    without: dict[str, str] = {}
    reranked: dict[str, str] = {}
    for name, pipeline in section.pipelines.items():
        rest = repr([pipeline.config.get(key) for key in ("embedder", "store", "depth", "injector")])
        if reranker_of(pipeline.config):
            reranked[name] = rest
        else:
            without[rest] = name
    return {name: without[rest] for name, rest in reranked.items() if rest in without}


def reranker_of(config: Mapping[str, Any]) -> str | None:
    """Name of a declared pipeline's reranker; None for none."""
    spec = config.get("reranker")
    name = spec.get("name") if isinstance(spec, Mapping) else spec
    return None if name in (None, "none") else str(name)


def _slowest_stage(section: ProfileSection) -> str:
    if busy := _busy(section, list(section.pipelines)):
        return f"Where the time goes is not told: {busy}."
    name, pipeline = max(section.pipelines.items(), key=lambda item: item[1].end_to_end.p50_ns)
    if not pipeline.stages:
        return f"The slowest pipeline is {name}: {figures.duration(pipeline.end_to_end.p50_ns)} at p50."
    stage, latency = max(pipeline.stages.items(), key=lambda item: item[1].mean_ns)
    p50, share = figures.duration(pipeline.end_to_end.p50_ns), latency.mean_ns / pipeline.end_to_end.mean_ns
    where = f"In the slowest pipeline, {name}" if len(section.pipelines) > 1 else f"In {name}"
    return f"{where} ({p50} at p50), {stage} takes {share:.0%} of the time."


def _apps(section: ProfileSection) -> list[str]:
    """Of the pipelines of the user's own: what they are, who told of their stages, and what nobody did.

    Variants of one app are one sentence, as far as the same sources told of the same stages.
    """
    sentences = []
    apps = {name: pipeline.app for name, pipeline in section.pipelines.items() if pipeline.app is not None}
    alike = _alike({name: (app.target, app.description, tuple(app.sources.items())) for name, app in apps.items()})
    for (target, description, sources), names in alike.items():
        told: dict[str, list[str]] = {}
        for stage, source in sources:
            told.setdefault(source, []).append(stage)
        heard = "; ".join(f"{figures.listed(stages)} told by {source}" for source, stages in told.items())
        what = f"{names[0]} is {target}, a pipeline of your own ({description})"
        if len(names) > 1:
            what = f"{figures.listed(names)} are {target}, a pipeline of your own ({description}), with other settings"
        its = "its" if len(names) == 1 else "their"
        if not told:
            http = apps[names[0]].kind == "http"
            how = "return spans to see more" if http else f"mark {its} stages with ragprof.span to see more"
            sentences.append(f"{what}; nobody told of {its} stages, so all of {its} time is one figure: {how}.")
            continue
        shares = _span([max(0.0, section.pipelines[name].unaccounted.share) for name in names], ".1%")
        sentences.append(f"{what}: {heard}; nobody told of {shares} of {its} time.")
    return sentences


def _context(section: ProfileSection) -> str:
    tokens = {name: one.usage_per_query.get("inject.prompt_tokens") for name, one in section.pipelines.items()}
    known = {name: count for name, count in tokens.items() if count}
    if not known:
        return ""
    least, most = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    if len(known) == 1:
        return f"A prompt of {least} holds {known[least]:,.0f} tokens on average."
    fewest, largest = (f"{known[name]:,.0f}" for name in (least, most))
    if fewest == largest:
        return f"A prompt holds {fewest} tokens on average with every pipeline."
    return f"A prompt holds {fewest} tokens on average with {least} and {largest} with {most}."


def tiles(section: ProfileSection) -> tuple[Tile, ...]:
    """Extremes picked out of the section, each with its interval, and what all of it rests on."""
    pipelines = section.pipelines
    qualities = {name: (found.mean, found.interval) for name in pipelines if (found := section.quality(name))}
    latencies = {name: (one.end_to_end.p50_ns, one.end_to_end.p50_interval_ns) for name, one in pipelines.items()}
    bills = {name: one.cost_usd_per_1000_queries for name, one in pipelines.items()}
    totals = {name: (bill.total, bill.interval) for name, bill in bills.items() if bill.total is not None}
    closure = figures.share(min(one.closure for one in pipelines.values()))
    overhead = figures.share(
        max((one.overhead for one in pipelines.values() if one.overhead is not None), default=None)
    )
    several = len(pipelines) > 1
    busy = _busy(section, list(pipelines))
    dear = _busy(section, [name for name, one in pipelines.items() if one.cost_withheld])
    accounted = f"of each query's time or more; profiler overhead at most {overhead}"
    basis = f"{section.corpus.size}, {figures.rough_count(section.corpus.tokens)} tokens"
    unpriced = Tile("Cost of 1,000 queries", figures.UNPRICED, "", "no pipeline is fully priced")
    cheapest = _extreme("Cost of 1,000 queries", "Lowest cost, 1,000 queries", totals, figures.usd, pick=min)
    quality = Tile("Quality", figures.ABSENT, "", "no relevance judgements")
    return (
        quality
        if not section.judged
        else _extreme(section.metric, f"Highest {section.metric}", qualities, figures.score, pick=max),
        Tile("Latency p50", WITHHELD, "", busy)
        if busy
        else _extreme("Latency p50", "Lowest latency p50", latencies, figures.duration, pick=min),
        (Tile("Cost of 1,000 queries", WITHHELD, "", dear) if dear else cheapest) if totals else unpriced,
        Tile("Time accounted for", closure, "", accounted if several else f"profiler overhead {overhead}"),
        Tile("Measured on", figures.count(section.queries), "query" if section.queries == 1 else "queries", basis),
    )


def _extreme(
    label: str, superlative: str, known: Mapping[str, tuple[Any, Any]], write: Callable[[Any], str], *, pick: Any
) -> Tile:
    """One of the figures by pipeline, each with its interval. Where there was nothing to pick from, no superlative."""
    if not known:
        return Tile(label, figures.ABSENT, "", f"95% CI {figures.ABSENT}")
    name = pick(known, key=lambda name: float(known[name][0]))
    value, interval = known[name]
    number, _, unit = write(value).partition(" ")
    note = f"95% CI {figures.span(interval, write)}"
    same = len(known) > 1 and len({float(figure) for figure, _ in known.values()}) == 1
    return Tile(superlative if len(known) > 1 and not same else label, number, unit, note, "" if same else name)
