"""Sentences of the one-page report, for a reader who knows no metric: finished text, not yet escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.growth.forecast_tables import signed
from ragprof.report.injection.cells import is_unpriced
from ragprof.report.lookup import Summary, at, entries
from ragprof.report.reranker import study
from ragprof.report.reranker.cells import of_100

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
