"""Billing shapes: how many units of a rate one query of one stage uses. Knows counts, no prices and no dates.

Cohere's search unit (docs.cohere.com, reranking best practices; learn.microsoft.com, deploy Cohere Rerank): one query
with at most so many documents; a document that does not fit the window together with the query is split, and each
piece counts as a document. Bedrock splits in the same way. Voyage's and Jina's tokens (docs.voyageai.com, FAQ): query
tokens x documents + tokens of all documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from ragprof.price.facts import PipelineFacts
from ragprof.price.rates import FREE, PublishedRate, Unpriced

NS_PER_HOUR = 3_600 * 10**9
Units: TypeAlias = Mapping[str, Decimal]
"""query_id -> units; a query that was not measured is not in it."""


@dataclass(frozen=True)
class Terms:
    """What a bill needs besides the recording: the share of paid hours that is busy, and the month's traffic."""

    utilisation: Decimal | None
    queries_per_month: int | None


@dataclass(frozen=True)
class Demand:
    """One stage of one pipeline, to be counted in the units of one rate."""

    rate: PublishedRate
    stage: str
    facts: PipelineFacts
    terms: Terms


ITEMS: Mapping[str, str] = {
    "per_search": "search units",
    "per_request": "requests",
    "per_input_token": "input tokens",
    "per_hour": "machine time",
    "per_month": "monthly fee",
    FREE: "free",
}


STAGE_ITEMS: Mapping[str, str] = {"inject": "prompt tokens", "generate": "output tokens"}
"""What an LLM's price of a stage is called, whatever shape the rate has."""


def item_of(rate: PublishedRate, stage: str) -> str:
    """What a rate's line on the bill of a stage is called."""
    return ITEMS[rate.shape] if rate.shape == "per_hour" else STAGE_ITEMS.get(stage, ITEMS[rate.shape])


def units(demand: Demand) -> Units:
    """Units of each query. Raises Unpriced where the stage has nothing that this shape could count."""
    return _COUNTERS[demand.rate.shape](demand)


def answer_tokens(demand: Demand) -> Mapping[str, tuple[int, int]]:
    """query_id -> tokens of its prompt and of its answer, of the queries that were answered.

    Both belong to an answer's price: some models take more for the answer to a long prompt. Raises Unpriced where
    nothing was answered.
    """
    usage = demand.facts.usage
    prompts, answers = usage.get(("inject", "prompt_tokens")), usage.get(("generate", "output_tokens"))
    if prompts is None:
        raise Unpriced("the recording has no 'prompt_tokens' of 'inject'")
    if not answers:
        raise Unpriced("no query was answered, so no 'output_tokens' of 'generate'; record timings first")
    return {query_id: (prompts[query_id], count) for query_id, count in answers.items() if query_id in prompts}


def paid_hours(busy_ns: Decimal, *, rate: PublishedRate, terms: Terms) -> Decimal:
    """Hours of a machine that is paid while it is idle too. Raises Unpriced without a utilisation."""
    if terms.utilisation is None:
        raise Unpriced(
            f"'{rate.name}' is billed per hour; set utilisation under [prices], the busy share of paid hours"
        )
    return busy_ns / NS_PER_HOUR / terms.utilisation


def pieces(document_tokens: int, *, query_tokens: int, window_tokens: int | None) -> int:
    """As how many documents one counts: 1, or more where it does not fit the window together with the query.

    A query longer than half the window counts as half of it, which is where Cohere cuts queries.
    """
    if window_tokens is None:
        return 1
    room = window_tokens - min(query_tokens, window_tokens // 2)
    return max(1, _ceiling(document_tokens, room))


def calls(document_tokens: Sequence[int], *, query_tokens: int, rate: PublishedRate) -> int:
    """Searches or requests for one query's documents; 0 without documents."""
    count = sum(
        pieces(tokens, query_tokens=query_tokens, window_tokens=rate.window_tokens) for tokens in document_tokens
    )
    return _ceiling(count, rate.docs_per_unit) if rate.docs_per_unit else min(count, 1)


def pair_tokens(document_tokens: Sequence[int], *, query_tokens: int) -> int:
    """The query once for every document, and the documents."""
    return query_tokens * len(document_tokens) + sum(document_tokens)


def _ceiling(amount: int, size: int) -> int:
    return -(-amount // size)


def _calls(demand: Demand) -> Units:
    rate, stage, facts = demand.rate, demand.stage, demand.facts
    if stage == "search":
        return dict.fromkeys(facts.query_ids, Decimal(1))
    if stage != "rerank":
        raise Unpriced(f"'{rate.name}' is billed {rate.shape.replace('_', ' ')}, which '{stage}' has none of")
    return {
        query_id: Decimal(calls(tokens, query_tokens=_tokens_in_window(demand, query_id), rate=rate))
        for query_id, tokens in facts.candidates().items()
    }


def _tokens_in_window(demand: Demand, query_id: str) -> int:
    return demand.facts.tokens_of_query(query_id) if demand.rate.window_tokens else 0


def _input_tokens(demand: Demand) -> Units:
    facts = demand.facts
    if demand.stage == "embed":
        return {query_id: Decimal(facts.tokens_of_query(query_id)) for query_id in facts.query_ids}
    if demand.stage == "inject":
        return _recorded(demand, "prompt_tokens")
    if demand.stage != "rerank":
        raise Unpriced(f"'{demand.rate.name}' is billed per input token, and '{demand.stage}' reads none")
    return {
        query_id: Decimal(pair_tokens(tokens, query_tokens=facts.tokens_of_query(query_id)))
        for query_id, tokens in facts.candidates().items()
    }


def _hours(demand: Demand) -> Units:
    name, busy = demand.rate.name, demand.facts.busy_ns.get(demand.stage)
    if not busy:
        raise Unpriced(f"no timed query, so no machine time for '{name}'; record timings first")
    return {query_id: paid_hours(ns, rate=demand.rate, terms=demand.terms) for query_id, ns in busy.items()}


def _months(demand: Demand) -> Units:
    monthly = demand.terms.queries_per_month
    if not monthly:
        raise Unpriced(f"'{demand.rate.name}' is a monthly fee; set queries_per_month under [traffic] to share it out")
    return dict.fromkeys(demand.facts.query_ids, Decimal(1) / monthly)


def _nothing(demand: Demand) -> Units:
    return dict.fromkeys(demand.facts.query_ids, Decimal(0))


def _recorded(demand: Demand, unit: str) -> Units:
    counts, queries = demand.facts.usage.get((demand.stage, unit)), len(demand.facts.query_ids)
    if counts is None:
        raise Unpriced(f"the recording has no '{unit}' of '{demand.stage}'")
    if len(counts) < queries:
        raise Unpriced(f"the recording has '{unit}' of '{demand.stage}' for {len(counts)} of {queries} queries")
    return {query_id: Decimal(count) for query_id, count in counts.items()}


_COUNTERS: Mapping[str, Callable[[Demand], Units]] = {
    "per_search": _calls,
    "per_request": _calls,
    "per_input_token": _input_tokens,
    "per_hour": _hours,
    "per_month": _months,
    FREE: _nothing,
}
