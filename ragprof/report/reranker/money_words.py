"""What a reranker costs, saves and comes to, in sentences for a reader who pays: finished text, not yet escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragprof.report import figures
from ragprof.report.growth.forecast_tables import signed
from ragprof.report.injection.cells import is_unpriced, open_span
from ragprof.report.lookup import at, entries
from ragprof.report.reranker import study
from ragprof.report.reranker.cells import is_llm_unpriced, is_net_unpriced, per_words


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
