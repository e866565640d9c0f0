"""Prices of models by `provider:model`, from genai-prices' bundled data. Asks no network and knows no stage."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from ragprof.errors import BadInput, UnknownName
from ragprof.price.rates import CallCost, PublishedRate, Unpriced

PER = 1_000_000
QUOTED = 1_000  # a prompt of this length is in every model's lowest step


@dataclass(frozen=True, slots=True)
class ModelRate(PublishedRate):
    """A model's prices. genai-prices does not say since when, so `since` is the day asked for.

    `usd` is for tokens of a short prompt, `output_usd` for those of its answer.
    """

    provider: str = ""
    model: str = ""

    def cost(self, units: Decimal) -> Decimal:
        """One request of so many input tokens: prices with steps by length are met as they are."""
        usd: Decimal = _price(self.provider, self.model, on=self.since, input_tokens=int(units)).total_price
        return usd

    def call(self, *, prompt_tokens: int, answer_tokens: int, cached_tokens: int = 0) -> CallCost:
        """One request as the provider bills it: with steps by length of the prompt and its price of cached tokens."""
        if self.output_usd is None:
            raise Unpriced(f"genai-prices lists '{self.name}' without a price of output tokens")
        priced = _price(
            self.provider, self.model, on=self.since,
            input_tokens=prompt_tokens, output_tokens=answer_tokens, cache_read_tokens=cached_tokens,
        )  # fmt: skip
        return CallCost(priced.total_price - priced.output_price, priced.output_price)

    def as_json(self) -> dict[str, Any]:
        return {**PublishedRate.as_json(self), "since": None, "on": self.since.isoformat()}


def model_rate(name: str, on: date) -> ModelRate:
    """The rate of `provider:model` on a day.

    Raises UnknownName or BadInput for a provider or model that genai-prices does not have, Unpriced for a model
    that it has without a price of input tokens.
    """
    provider, _, model = name.partition(":")
    try:
        priced = _price(provider, model, on=on, input_tokens=QUOTED)
    except LookupError:
        raise _unknown(provider, model) from None
    if priced.model_price.input_mtok is None:
        raise Unpriced(f"genai-prices lists '{name}' without a price of input tokens")
    usd = _per_million(priced.total_price)
    urls = priced.provider.pricing_urls or ["https://github.com/pydantic/genai-prices"]
    return ModelRate(
        name=name, unit="input token", usd=usd, per=PER, since=on, source=urls[0],
        shape="per_input_token", verified=None, note=f"From genai-prices {version('genai-prices')}.",
        output_usd=_output_usd(provider, model, on=on), provider=provider, model=model,
    )  # fmt: skip


def _output_usd(provider: str, model: str, *, on: date) -> Decimal | None:
    """Of a million tokens that answer a short prompt; None for a model that has no price of its answers."""
    priced = _price(provider, model, on=on, input_tokens=QUOTED, output_tokens=QUOTED)
    return None if priced.model_price.output_mtok is None else _per_million(priced.output_price)


def _per_million(usd: Decimal) -> Decimal:
    return (usd * (PER // QUOTED)).normalize() + 0


def _price(provider: str, model: str, *, on: date, **tokens: int) -> Any:
    from genai_prices import Usage, calc_price

    moment = datetime(on.year, on.month, on.day, tzinfo=UTC)
    return calc_price(Usage(**tokens), model_ref=model, provider_id=provider, genai_request_timestamp=moment)


def _unknown(provider: str, model: str) -> BadInput:
    from genai_prices import data

    models = {known.id: [listed.id for listed in known.models] for known in data.providers}
    if provider not in models:
        return UnknownName("provider of model prices", provider, models)
    close = difflib.get_close_matches(model, models[provider], n=3)
    hint = f"; did you mean {' or '.join(repr(name) for name in close)}?" if close else "."
    return BadInput(
        f"genai-prices has no model '{model}' of '{provider}'{hint} It has {len(models[provider])} models of it."
    )
