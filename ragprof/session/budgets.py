"""What a budget in USD holds for: the hosted parts of an eval, by the rates of the day that it names for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path

from ragprof.core import Doc, Query, Usage
from ragprof.core.clock import today
from ragprof.core.errors import BadInput
from ragprof.core.stages import ConcurrentGenerator, RemoteEmbedder, RemoteReranker
from ragprof.core.tokens import counter
from ragprof.price.bills import PriceList, calls, pair_tokens
from ragprof.price.rates import PublishedRate, Unpriced
from ragprof.record.pipeline import Parts
from ragprof.record.purse import Bill, Purse, budget_of
from ragprof.studies.preparation import Prepared

BY_CALL = ("per_search", "per_request")
BY_TOKEN = "per_input_token"  # noqa: S105  # a shape of rates


def purse_of(
    prepared: Prepared, budget_usd: Decimal | str | None, books: Sequence[Path], *, more: Iterable[Parts] = ()
) -> Purse | None:
    """What hosted parts may spend, by today's rates: those of the eval, and of `more` that a study asks.

    A part that is billed by the hour costs nothing here. Raises BadInput for a budget that is none, and for a hosted
    part without a rate: what it spends could not be told.
    """
    if budget_usd is None:
        return None
    config, bills = prepared.subject.config, dict[int, Bill]()
    purse = Purse(budget_of(budget_usd), bills)
    prices = PriceList.of(config.model_dump(mode="json"), books=books, on=today(), file=Path(config.name))
    count, declared = counter(config.tokenizer), {each.name: each for each in config.pipelines}
    own = {id(parts.reranker) for parts in prepared.subject.pipelines}

    def rate_of(parts: Parts, what: str, stage: str, name: str | None) -> PublishedRate:
        if name is None:
            example = {"embed": "openai:text-embedding-3-small", "rerank": "cohere/rerank-v3.5"}
            raise BadInput(
                f"a budget needs the price of what '{parts.name}' {what} with; name it under [prices] as {stage}, such "
                f"as {example.get(stage, 'openai:gpt-4o-mini')}"
            )
        try:
            return prices.rate(name)
        except Unpriced as missing:
            raise BadInput(f"a budget needs a price: {missing}") from None

    for parts in (*prepared.subject.pipelines, *more):
        named = declared[parts.name].prices if parts.name in declared else config.prices
        if isinstance(parts.embedder, RemoteEmbedder):
            rate = rate_of(parts, "embeds", "embed", named.embed or config.prices.embed)
            if rate.shape == BY_TOKEN:
                bills[id(parts.embedder)] = partial(_billed, rate)
        if isinstance(parts.reranker, RemoteReranker):
            # What the pipeline's own reranker is billed says nothing of another over its candidates.
            price = (named.rerank or config.prices.rerank) if id(parts.reranker) in own else None
            if price is not None or parts.reranker.remote:
                rate = rate_of(parts, "reranks", "rerank", price)
                if rate.shape in (*BY_CALL, BY_TOKEN):
                    purse.hold_reranker(parts.reranker, partial(_reranked, rate, count))
        if isinstance(parts.generator, ConcurrentGenerator):
            rate = rate_of(parts, "answers", "llm", named.llm or config.prices.llm)
            if rate.shape == BY_TOKEN:
                purse.hold_generator(parts.generator, partial(_answered, rate))
    return purse


def _billed(rate: PublishedRate, tokens: int) -> Decimal:
    return rate.cost(Decimal(tokens))


def _reranked(
    rate: PublishedRate, count: Callable[[str], int], query: Query, docs: Sequence[Doc], usage: Usage
) -> Decimal:
    """By what the server counted, else as a bill counts it."""
    if rate.shape == BY_TOKEN:
        told = usage.get("input_tokens")
        tokens = pair_tokens([count(doc.content) for doc in docs], query_tokens=count(query.text))
        return rate.cost(Decimal(tokens if told is None else told))
    if (units := usage.get("search_units")) is not None and rate.shape == "per_search":
        return rate.cost(Decimal(units))
    sizes = [count(doc.content) if rate.window_tokens else 0 for doc in docs]
    return rate.cost(Decimal(calls(sizes, query_tokens=count(query.text) if rate.window_tokens else 0, rate=rate)))


def _answered(rate: PublishedRate, prompt_tokens: int, answer_tokens: int) -> Decimal:
    try:
        cost = rate.call(prompt_tokens=prompt_tokens, answer_tokens=answer_tokens)
    except Unpriced as missing:
        raise BadInput(f"a budget needs a price: {missing}") from None
    return cost.prompt + cost.answer
