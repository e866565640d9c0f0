"""The reranker's statement on one page of GitHub Markdown, for whoever pays and has never heard of a metric.

Sentences of the one-page report, for a reader who knows no metric: finished text, not yet escaped.

What a reranker costs, saves and comes to, in sentences for a reader who pays: finished text, not yet escaped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.figures import signed
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.markdown import escaped
from ragprof.report.tables import is_llm_unpriced, is_net_unpriced, is_unpriced, of_100, open_span, per_words
from ragprof.studies.reranker import lookup as study

_FIRST = {"Success@1": "first", "Success@3": "among the first three", "Success@5": "among the first five"}
_FIRST["Success@10"] = "among the first ten"
_FOUND_MOST, _UNIT = 3, " points"


def bought(summary: Summary, name: str) -> str:
    """What the reranker buys: found passages first, the study's metric after it."""
    one = study.of(summary, name)
    gains = at(one, "statement", "quality_gain") or {}
    told = [_found_words(metric, gains[metric]) for metric in gains if metric in _FIRST]
    told += [_held_words(metric, gains[metric]) for metric in gains if metric.startswith("evidence@")]
    return " ".join(filter(None, [*told[:2], _score_words(summary, name)]))


def _found_words(metric: str, gain: Any) -> str:
    """Of 100 questions, the right passage is among the first five for 71 instead of 64."""
    without, reached = at(gain, "without"), at(gain, "with")
    if without is None or reached is None:
        return ""
    span = figures.span(at(gain, "interval"), _more_of_100)
    return (
        f"Of 100 questions, a right passage is {_FIRST[metric]} for {of_100(reached)} instead of {of_100(without)}: "
        f"{_more_of_100(at(gain, 'difference'))} (95% interval {span})."
    )


def _more_of_100(share: Any) -> str:
    return figures.ABSENT if share is None else f"{100 * share:+.1f}".replace("-", figures.MINUS)


def _held_words(metric: str, gain: Any) -> str:
    """What the passages in the prompt hold of what the questions need."""
    without, reached = at(gain, "without"), at(gain, "with")
    if without is None or reached is None:
        return ""
    k, span = metric.partition("@")[2], figures.span(at(gain, "interval"), _points).replace(f"{_UNIT} to ", " to ")
    many = "The one passage" if k == "1" else f"The {k} passages"
    return (
        f"{many} in the prompt hold {figures.share(reached)} of the right documents instead of "
        f"{figures.share(without)} (difference {_points(at(gain, 'difference'))}, 95% interval {span})."
    )


def _points(share: Any) -> str:
    return figures.ABSENT if share is None else f"{100 * share:+.1f}{_UNIT}".replace("-", figures.MINUS)


def _score_words(summary: Summary, name: str) -> str:
    metric = study.metric(summary, name)
    gain = study.gain(study.of(summary, name), metric)
    if at(gain, "difference") is None:
        return f"The change of the score {metric} is {figures.ABSENT}."
    span = figures.span(at(gain, "interval"), figures.difference)
    return f"The score {metric} changes by {figures.difference(gain['difference'])} (95% interval {span})."


_PLAIN = {
    "KEEP": "keep the reranker",
    "DROP": "go without the reranker",
    "UNDECIDED": "these questions do not tell",
}


def advised(one: Mapping[str, Any]) -> str:
    """The verdict as something to do."""
    word, more = at(one, "verdict"), at(one, "more_queries")
    if word == "SHRINK":
        return f"keep it, but let it read {figures.count(at(one, 'depth'))} candidates only"
    told = _PLAIN.get(str(word), figures.ABSENT)
    return f"{told}; about {figures.count(more)} more would" if word == "UNDECIDED" and more else told


def waited(one: Mapping[str, Any]) -> str:
    """What it takes: time of an ordinary query, and of a slow one."""
    statement = at(one, "statement")
    if at(statement, "added_p50_ns") is None:
        return f"Added waiting time: {figures.ABSENT}."
    parts = [_added(statement, quantile) for quantile in ("p50", "p95")]
    return (
        f"An ordinary question (the median) waits {parts[0]} longer; the time that 95 of 100 questions stay under "
        f"rises by {parts[1]}; {study.timed(one)}."
    )


def _added(statement: Any, quantile: str) -> str:
    value = signed(at(statement, f"added_{quantile}_ns"), figures.duration).removeprefix("+")
    span = figures.span(at(statement, f"added_{quantile}_interval_ns"), lambda end: signed(end, figures.duration))
    return f"{value} ({span.replace('+', '')})"


def instead(one: Mapping[str, Any]) -> str:
    """What else would buy the same; that nothing does is an answer."""
    found = entries(one, "statement", "alternatives")
    if not found:
        return "Nothing else was tried."
    as_good = [other for other in found if at(other, "relation") in ("as good", "better")]
    if not as_good:
        return f"None of the {figures.count(len(found))} alternatives that were tried is known to be as good."
    own = figures.usd(at(one, "statement", "own", "usd_per_1000_queries"))
    cheapest = sorted(as_good, key=_price)[:_FOUND_MOST]
    words = "; ".join(_alternative_words(other) for other in cheapest)
    more = len(as_good) - _FOUND_MOST
    rest = f"; and {more} more" if more > 0 else ""
    return (
        f"{words}{rest}. This pipeline's whole bill is {own if own != figures.ABSENT else figures.UNPRICED} per 1,000."
    )


def _price(other: Mapping[str, Any]) -> float:
    """Those without a price come last."""
    usd = at(other, "usd_per_1000_queries")
    return math.inf if is_unpriced(usd) else float(usd)


def _alternative_words(other: Mapping[str, Any]) -> str:
    usd = at(other, "usd_per_1000_queries")
    price = figures.UNPRICED if is_unpriced(usd) else figures.usd(usd)
    difference = at(other, "difference")
    change = (
        f"{figures.difference(at(difference, 'mean'))}, {figures.span(at(difference, 'interval'), figures.difference)}"
    )
    wait = figures.duration(at(other, "p50_ns"))
    return f"{figures.text(at(other, 'name'))} is {at(other, 'relation')} ({change}) for {price} per 1,000 at {wait}"


def sure(summary: Summary, name: str) -> str:
    """How sure: questions, interval, and how many more would tell."""
    one = study.of(summary, name)
    found = study.gain(one, study.metric(summary, name))
    parts = [f"{study.basis(summary, name)}".replace("queries", "questions")]
    parts += [f"p = {figures.p_value(at(found, 'p'))}".replace("= <", "<")] if at(found, "p") is not None else []
    more = at(one, "more_queries")
    needed = f" About {figures.count(more)} more questions would be needed to decide." if more else ""
    return f"{', '.join(parts)}; every range above is a 95% interval over questions.{needed}"


def paid(one: Mapping[str, Any]) -> str:
    """What it costs, saves and comes to, a month and per 1,000 questions."""
    statement = at(one, "statement")
    month = at(statement, "per_month") or {}
    cost, net = at(statement, "reranker_usd_per_1000_queries"), at(statement, "net_usd_per_1000_queries")
    traffic = at(month, "queries")
    of = (
        f"At {figures.count(traffic)} questions a month" if traffic is not None else f"Monthly traffic {figures.ABSENT}"
    )
    if is_unpriced(cost):
        why = study.why_unpriced(one)
        return (
            f"What the reranker costs is {figures.UNPRICED}{f' ({why})' if why else ''}: not known, which is not free."
        )
    return (
        f"{of}: {_cost_words(statement, month)}; {_saving_words(statement, month)}. {_net_words(statement, month, net)}"
    )


def _cost_words(statement: Any, month: Any) -> str:
    span = open_span(at(statement, "reranker_usd_interval"), figures.usd)
    each = figures.usd(at(statement, "reranker_usd_per_1000_queries"))
    billing = at(statement, "billing") or {}
    rate = f", billed at {figures.plain_usd(at(billing, 'usd'))} per {per_words(billing)}" if at(billing, "usd") else ""
    return f"the reranker costs {figures.usd(at(month, 'reranker_usd'))} ({each} per 1,000, {span}{rate})"


def _saving_words(statement: Any, month: Any) -> str:
    value, llm = at(statement, "llm_usd_saved_per_1000_queries"), at(statement, "llm")
    iso = at(statement, "iso_quality_k") or {}
    if llm is None:
        return f"no LLM is priced, so what shorter prompts save is {figures.ABSENT}"
    if is_unpriced(value):
        missing = figures.UNPRICED if is_llm_unpriced(statement) else figures.ABSENT
        return f"what shorter prompts save is {missing} at {llm}"
    span = open_span(at(statement, "llm_usd_saved_interval"), figures.usd)
    chunks = _chunks_words(iso)
    monthly = figures.usd(at(month, "llm_usd_saved"))
    verb = "prompts that hold as much save"
    if monthly.startswith(figures.MINUS):
        verb, monthly = "prompts that hold as much cost more, by", monthly.removeprefix(figures.MINUS)
    return f"{verb} {monthly} (saved {figures.usd(value)} per 1,000, {span}; {llm}{chunks})"


def _chunks_words(iso: Any) -> str:
    without, reached = at(iso, "k_without"), at(iso, "k_with")
    return "" if without is None or reached is None else f": {reached} passages hold what {without} did"


def _net_words(statement: Any, month: Any, net: Any) -> str:
    if is_unpriced(net):
        return f"Net: {figures.UNPRICED if is_net_unpriced(statement) else figures.ABSENT}."
    each, span = (
        signed(net, figures.usd),
        open_span(at(statement, "net_interval"), lambda end: signed(end, figures.usd)),
    )
    monthly = at(month, "net_usd")
    verb = "saves" if each.startswith(figures.MINUS) else "costs"
    amount = figures.usd(monthly).removeprefix(figures.MINUS)
    return f"In all it {verb} {amount} a month ({each} per 1,000, 95% interval {span})."


def elsewhere(one: Any) -> str:
    """The verdict at other LLM prices, today and as they may become. Empty where no other was asked for."""
    own = at(one, "statement", "llm")
    others = [each for each in entries(one, "statement", "scenarios") if at(each, "llm") != own]
    said = [_scenario_words(each) for each in others]
    return " ".join([*said, *filter(None, [at(one, "price_trend", "sentence")])])


def _scenario_words(scenario: Mapping[str, Any]) -> str:
    """openai:gpt-4o at $2.50 a million tokens: KEEP, saves $0.41 per 1,000."""
    price, net = at(scenario, "usd_per_million_tokens"), at(scenario, "net_usd_per_1000_queries")
    name, word = figures.text(at(scenario, "llm")), figures.text(at(scenario, "verdict"))
    if is_unpriced(price):
        return f"{name}: {figures.UNPRICED}."
    each = figures.ABSENT if is_unpriced(net) else signed(net, figures.usd)
    return f"{name}, at {figures.plain_usd(price)} a million tokens: {word}, net {each} per 1,000."


_WHOLE = 2
_MOST_LIMITS = 2
_GLOSSARY = (
    ("Reranker", "reads the question together with each passage that search found, and puts the best ones first."),
    ("Passage", "a piece of a document; the first few go into the prompt of the LLM that answers."),
    ("95% interval", "how far the luck of these questions reaches: 95 of 100 such ranges hold the true figure."),
    ("Net", "what the reranker costs less what shorter prompts save; above 0 it costs money, below 0 it saves."),
)


def render_reranker_page(summary: Summary) -> str:
    """Verdicts in words, what is bought, paid and saved, what else would do, how sure. Ends with a newline.

    The first two pipelines are told in full, further ones in a sentence, so that it stays one page. Without the
    section it says that there is none.
    """
    title = escaped(figures.text(at(summary, "title") or at(summary, "eval")))
    head = f"# Is the reranker worth it? {title}"
    names = study.names(summary)
    if not names:
        return f"{head}\n\nNo reranker was looked at in this recording.\n"
    parts = [
        head,
        *_answers(summary),
        *(_told(summary, name) for name in names[:_WHOLE]),
        _others(summary, names[_WHOLE:]),
        _limits(summary),
        _glossary(summary),
        _origin(summary),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _answers(summary: Summary) -> list[str]:
    """A row a pipeline: the verdict and its reason in one sentence."""
    lines = ["| Pipeline | Verdict | Why |", "| :--- | :--- | :--- |"]
    for name in study.names(summary):
        one = study.of(summary, name)
        verdict = f"**{escaped(study.verdict_words(one))}**: {escaped(advised(one))}"
        lines.append(f"| {escaped(name)} | {verdict} | {escaped(figures.text(at(one, 'reason')))} |")
    return ["\n".join(lines)]


def _told(summary: Summary, name: str) -> str:
    one = study.of(summary, name)
    reranker, against = at(one, "reranker"), at(one, "against")
    what = f" ({escaped(str(reranker))}, against {escaped(figures.text(against))})" if reranker else ""
    points = {
        "What it buys": bought(summary, name),
        "What it takes": waited(one),
        "What it costs and saves": paid(one),
        "What else would buy the same": instead(one),
        "What this rests on": at(one, "sensitive_to", "sentence") or figures.ABSENT,
        "Where it breaks even": _flips(one),
        "At other prices": elsewhere(one),
        "What limits quality": at(one, "headroom", "sentence") or figures.ABSENT,
        "How deep, and for whom": _narrower(one),
        "How sure we are": sure(summary, name),
    }
    lines = [f"- **{title}.** {escaped(words)}" for title, words in points.items() if words]
    return f"## {escaped(name)}: {escaped(study.verdict_words(one))}{what}\n\n" + "\n".join(lines)


def _flips(one: object) -> str:
    places = ("reranker_usd", "llm_usd_per_million_tokens", "queries_per_month")
    found = [at(one, "statement", "break_even", place) for place in places]
    flipping = [each for each in found if at(each, "value") is not None]
    said = [at(each, "sentence") for each in flipping or found[:1]]
    return " ".join(str(sentence) for sentence in said if sentence) or figures.ABSENT


def _narrower(one: object) -> str:
    """What the reranker does from fewer candidates, and for the queries that need it."""
    places = ("knee", "falls_from", "routing_choice", "truncation")
    said = [at(one, place, "sentence") for place in places]
    return " ".join(str(sentence) for sentence in said if sentence)


def _others(summary: Summary, names: list[str]) -> str:
    """Further pipelines, a sentence each."""
    lines = [f"- **{escaped(name)}.** {escaped(bought(summary, name))}" for name in names]
    return "## Further pipelines\n\n" + "\n".join(lines) if lines else ""


def _limits(summary: Summary) -> str:
    found = list(entries(summary, "reranker_study", "notes"))[:_MOST_LIMITS]
    return "**Mind.** " + " ".join(escaped(str(note)) for note in found) if found else ""


def _glossary(summary: Summary) -> str:
    metrics = " or ".join(dict.fromkeys(study.metric(summary, name) for name in study.names(summary)))
    score = (
        metrics,
        "a score of the order, from 0 to 1: how near the first passages are to the best order that exists.",
    )
    lines = [f"- **{escaped(word)}**: {escaped(meaning)}" for word, meaning in (*_GLOSSARY, score)]
    return "**Words**\n\n" + "\n".join(lines)


def _origin(summary: Summary) -> str:
    created, version = figures.day(at(summary, "created")), figures.text(at(summary, "ragprof_version"))
    corpus = figures.count(at(summary, "corpus", "docs"))
    origin = f"ragprof {version}, {created}, {corpus} passages. The whole statement: report.html."
    return f"<sub>{escaped(origin)}</sub>"
