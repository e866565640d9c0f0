"""The reranker's statement on one page of GitHub Markdown, for whoever pays and has never heard of a metric."""

from __future__ import annotations

from ragprof.report import figures
from ragprof.report.figures import signed
from ragprof.report.markdown import escaped
from ragprof.report.tables import open_span
from ragprof.studies.contract import Context
from ragprof.studies.reranker.section import (
    Alternative,
    PerMonth,
    QualityGain,
    RerankerSection,
    RerankerVerdict,
    Scenario,
    Statement,
)
from ragprof.studies.reranker.tables import metrics_of, rate_words, signed_usd, verdict_words

WHOLE = 2
"""Pipelines that are told in full, so that it stays one page."""
MOST_NOTES, MOST_ALTERNATIVES = 2, 3
_FIRST = {
    "Success@1": "first", "Success@3": "among the first three", "Success@5": "among the first five",
    "Success@10": "among the first ten",
}  # fmt: skip
_ADVICE = {
    "KEEP": "keep the reranker",
    "DROP": "go without the reranker",
    "UNDECIDED": "not decided yet",
}
_GLOSSARY = (
    ("Reranker", "reads the question together with each passage that search found, and puts the best ones first."),
    ("Passage", "a piece of a document; the first few go into the prompt of the LLM that answers."),
    ("95% interval", "how far the luck of these questions reaches: 95 of 100 such ranges hold the true figure."),
    ("Net", "what the reranker costs less what shorter prompts save; above 0 it costs money, below 0 it saves."),
)
_SCORE = "a score of the order, from 0 to 1: how near the first passages are to the best order that exists."


def reranker_page(section: RerankerSection, context: Context) -> str:
    """Verdicts in words, what is bought, paid and saved, what else would do, how sure. Ends with a newline."""
    named = list(section.verdicts.items())
    answers = ["| Pipeline | Verdict | Why |", "| :--- | :--- | :--- |"]
    for name, one in named:
        verdict = f"**{escaped(verdict_words(one.verdict, one.depth))}**: {escaped(advised(one))}"
        answers.append(f"| {escaped(name)} | {verdict} | {escaped(one.reason)} |")
    further = [f"- **{escaped(name)}.** {escaped(bought(one))}" for name, one in named[WHOLE:]]
    notes = " ".join(escaped(note) for note in section.study.notes[:MOST_NOTES])
    words = [f"- **{escaped(word)}**: {escaped(told)}" for word, told in (*_GLOSSARY, (metrics_of(section), _SCORE))]
    parts = [
        f"# Is the reranker worth it? {escaped(context.title)}",
        "\n".join(answers),
        *(_told(name, one) for name, one in named[:WHOLE]),
        "\n".join(["## Further pipelines\n", *further]) if further else "",
        f"**Decided with.** {escaped(terms(section))}",
        f"**Mind.** {notes}" if notes else "",
        "\n".join(["**Words**\n", *words]),
        f"<sub>{escaped(f'{context.origin}. The whole statement: report.html.')}</sub>",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def terms(section: RerankerSection) -> str:
    """The margin, worth and limits of the [reranker] table that the verdicts rest on."""
    study = section.study
    worth, latency, usd = study.worth_usd_per_point, study.max_added_p95_ms, study.max_usd_per_1000_queries
    told = [
        f"a gain counts from {study.margin:g} {study.metric}",
        "nobody says what a point is worth"
        if worth is None
        else f"a point (0.01) is worth {figures.plain_usd(worth)} per 1,000 questions",
        "" if latency is None else f"more than {latency:g} ms at p95 is too slow",
        "" if usd is None else f"more than {figures.plain_usd(usd)} per 1,000 questions is too dear",
    ]
    words = "; ".join(one for one in told if one)
    return (
        f"{words[0].upper()}{words[1:]}. For other ones: ragprof reranker DIR with --margin, --worth, "
        "--max-added-p95-ms, --max-usd."
    )


def _told(name: str, one: RerankerVerdict) -> str:
    flips = one.statement.break_even
    every = (flips.reranker_usd, flips.llm_usd_per_million_tokens, flips.queries_per_month)
    flipping = [flip.sentence for flip in every if flip.value is not None] or [flips.reranker_usd.sentence]
    narrower = (one.knee, one.falls_from, one.routing_choice, one.truncation)
    points = {
        "What it buys": bought(one),
        "What it takes": waited(one.statement),
        "What it costs and saves": paid(one.statement),
        "What else would buy the same": instead(one.statement),
        "What this rests on": one.sensitive_to.sentence,
        "Where it breaks even": " ".join(flipping),
        "At other prices": elsewhere(one),
        "What limits quality": one.headroom.sentence,
        "How deep, and for whom": " ".join(found.sentence for found in narrower if found),
        "How sure we are": sure(one),
    }
    lines = [f"- **{title}.** {escaped(words)}" for title, words in points.items() if words]
    what = f"({escaped(one.reranker)}, against {escaped(one.against)})"
    return f"## {escaped(name)}: {escaped(verdict_words(one.verdict, one.depth))} {what}\n\n" + "\n".join(lines)


def advised(one: RerankerVerdict) -> str:
    """The verdict as something to do."""
    if one.verdict == "SHRINK":
        return f"keep it, but let it read {figures.counted(one.depth, 'candidate')} only"
    asked = "" if one.more_queries is None else figures.counted(one.more_queries, "more question")
    more = f"; about {asked} would decide it" if asked else ""
    return _ADVICE[one.verdict] + (more if one.verdict == "UNDECIDED" else "")


def bought(one: RerankerVerdict) -> str:
    """What the reranker buys: found passages first, the study's metric after it."""
    gains = one.statement.quality_gain.items()
    found = [_found(metric, gain) for metric, gain in gains if metric in _FIRST]
    found += [_held(metric, gain) for metric, gain in gains if metric.startswith("evidence@")]
    if one.gain.difference is None:
        score = f"The change of the score {one.metric} is {figures.ABSENT}."
    else:
        span = figures.span(one.gain.interval, figures.difference)
        score = (
            f"The score {one.metric} changes by {figures.difference(one.gain.difference)} (95% interval {span})."
        )  # fmt: skip
    return " ".join(filter(None, [*found[:2], score]))


def _found(metric: str, gain: QualityGain) -> str:
    """Of 100 questions, the right passage is among the first five for 71 instead of 64."""
    if gain.without is None or gain.reached is None:
        return ""
    return (
        f"Of 100 questions, a right passage is {_FIRST[metric]} for {100 * gain.reached:.0f} instead of "
        f"{100 * gain.without:.0f}: {_hundredths(gain.difference)} (95% interval "
        f"{figures.span(gain.interval, _hundredths)})."
    )


def _held(metric: str, gain: QualityGain) -> str:
    """What the passages in the prompt hold of what the questions need."""
    if gain.without is None or gain.reached is None:
        return ""
    k = metric.partition("@")[2]
    many = "The one passage" if k == "1" else f"The {k} passages"
    return (
        f"{many} in the prompt hold {figures.share(gain.reached)} of the right documents instead of "
        f"{figures.share(gain.without)} (difference {_hundredths(gain.difference)} points, 95% interval "
        f"{figures.span(gain.interval, _hundredths)} points)."
    )


def _hundredths(share: float | None) -> str:
    return figures.ABSENT if share is None else f"{100 * share:+.1f}".replace("-", figures.MINUS)


def waited(found: Statement) -> str:
    """What it takes: time of an ordinary query, and of a slow one."""
    if found.added_p50_ns is None:
        return f"Added waiting time: {figures.ABSENT}."
    quantiles = (
        (found.added_p50_ns, found.added_p50_interval_ns),
        (found.added_p95_ns, found.added_p95_interval_ns),
    )
    median, slow = (f"{_longer(value)} ({figures.span(ends, _longer)})" for value, ends in quantiles)
    if min(found.added_p50_ns, found.added_p95_ns or 0) < 0:
        median, slow = (
            f"{signed(value, figures.duration)} ({figures.span(ends, _longer)})" for value, ends in quantiles
        )
        return (
            f"The time of an ordinary question (the median) changes by {median}, the time that 95 of 100 questions "
            f"stay under by {slow}; n = {figures.counted(found.timed_queries, 'live query')}."
        )
    return (
        f"An ordinary question (the median) waits {median} longer; the time that 95 of 100 questions stay under "
        f"rises by {slow}; n = {figures.counted(found.timed_queries, 'live query', 'live queries')}."
    )


def _longer(ns: float | None) -> str:
    return signed(ns, figures.duration).removeprefix("+")


def paid(found: Statement) -> str:
    """What it costs, saves and comes to, a month and per 1,000 questions."""
    month = found.per_month
    if found.reranker_usd_per_1000_queries is None:
        why = f" ({found.billing.unpriced})" if found.billing.unpriced else ""
        return f"What the reranker costs is {figures.UNPRICED}{why}: not known, which is not free."
    traffic = "Monthly traffic n/a" if month.queries is None else f"At {figures.count(month.queries)} questions a month"
    span = open_span(found.reranker_usd_interval, figures.usd)
    billed = f", billed at {rate_words(found.billing)}" if found.billing.usd else ""
    cost = (
        f"the reranker costs {figures.usd(month.reranker_usd)} ({figures.usd(found.reranker_usd_per_1000_queries)} per "
        f"1,000, {span}{billed})"
    )
    return f"{traffic}: {cost}; {_saved(found, month)}. {_net(found, month)}"


def _saved(found: Statement, month: PerMonth) -> str:
    if found.llm is None:
        return f"no LLM is priced, so what shorter prompts save is {figures.ABSENT}"
    if found.llm_usd_saved_per_1000_queries is None:
        missing = figures.UNPRICED if found.is_llm_unpriced else figures.ABSENT
        return f"what shorter prompts save is {missing} at {found.llm}"
    iso = found.iso_quality_k
    chunks = ""
    if iso.k_with is not None:
        holds = "holds" if iso.k_with == 1 else "hold"
        before = f"{iso.k_without}" if iso.k_without == iso.own_k else f"the first {iso.k_without} of its {iso.own_k}"
        chunks = f": {figures.counted(iso.k_with, 'passage')} {holds} what {before} did"
    verb, monthly = "save", figures.usd(month.llm_usd_saved)
    if monthly.startswith(figures.MINUS):
        verb, monthly = "cost more, by", monthly.removeprefix(figures.MINUS)
    span = open_span(found.llm_usd_saved_interval, figures.usd)
    return (
        f"prompts that hold as much {verb} {monthly} (saved {figures.usd(found.llm_usd_saved_per_1000_queries)} per "
        f"1,000, {span}; {found.llm}{chunks})"
    )


def _net(found: Statement, month: PerMonth) -> str:
    if found.net_usd_per_1000_queries is None:
        return f"Net: {figures.UNPRICED if found.is_net_unpriced else figures.ABSENT}."
    each = signed_usd(found.net_usd_per_1000_queries)
    verb = "saves" if each.startswith(figures.MINUS) else "costs"
    monthly, span = figures.usd(month.net_usd).removeprefix(figures.MINUS), open_span(found.net_interval, signed_usd)
    return f"In all it {verb} {monthly} a month ({each} per 1,000, 95% interval {span})."


def instead(found: Statement) -> str:
    """What else would buy the same; that nothing does is an answer."""
    if not found.alternatives:
        return "Nothing else was tried."
    as_good = [other for other in found.alternatives if other.relation in ("as good", "better")]
    if not as_good:
        if len(found.alternatives) == 1:
            return "The one alternative that was tried is not known to be as good."
        return f"None of the {len(found.alternatives):,} alternatives that were tried is known to be as good."
    cheapest = sorted(as_good, key=lambda other: float(other.usd_per_1000_queries or "inf"))[:MOST_ALTERNATIVES]
    more = f"; and {len(as_good) - MOST_ALTERNATIVES} more" if len(as_good) > MOST_ALTERNATIVES else ""
    own = _priced(found.own.usd_per_1000_queries)
    return f"{'; '.join(map(_alternative, cheapest))}{more}. This pipeline's whole bill is {own} per 1,000."


def _priced(usd: str | None) -> str:
    return figures.UNPRICED if usd is None else figures.usd(usd)


def _alternative(other: Alternative) -> str:
    span = figures.span(other.difference.interval, figures.difference)
    return (
        f"{other.name} is {other.relation} ({other.metric} {figures.difference(other.difference.mean)}, {span}) for "
        f"{_priced(other.usd_per_1000_queries)} per 1,000 at {figures.duration(other.p50_ns)}"
    )


def elsewhere(one: RerankerVerdict) -> str:
    """The verdict at other LLM prices, today and as they may become. Empty where no other was asked for."""
    said = [_scenario(each) for each in one.statement.scenarios if each.llm != one.statement.llm]
    return " ".join([*said, *([one.price_trend.sentence] if one.price_trend else [])])


def _scenario(one: Scenario) -> str:
    """openai:gpt-4o, at $2.50 a million tokens: KEEP, net -$0.41 per 1,000."""
    if one.usd_per_million_tokens is None:
        return f"{one.llm}: {figures.UNPRICED}."
    price, net = figures.plain_usd(one.usd_per_million_tokens), signed_usd(one.net_usd_per_1000_queries)
    return f"{one.llm}, at {price} a million tokens: {one.verdict}, net {net} per 1,000."


def sure(one: RerankerVerdict) -> str:
    """How sure: questions, interval, and how many more would tell."""
    p = "" if one.gain.p is None else f", p = {figures.p_value(one.gain.p)}".replace("= <", "<")
    p += figures.disagreement(one.gain.interval, one.gain.p)
    more = f" About {figures.counted(one.more_queries, 'more question')} would decide it." if one.more_queries else ""
    asked = f"n = {figures.counted(one.gain.n, 'question')}"
    return f"{asked}{p}; every range above is a 95% interval over questions.{more}"
