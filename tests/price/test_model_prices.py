"""Prices of models against the library that they come from: every provider, fixed and marginal, at a stated hour."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache

import pytest
from genai_prices import Usage, calc_price, data

from ragprof.core.errors import BadInput
from ragprof.price import rates
from ragprof.price.rates import QUOTED, ModelRate, Unpriced, model_rate

DAY = date(2026, 7, 1)
PROVIDERS = {provider.id: [model.id for model in provider.models] for provider in data.providers}


@cache
def rates_of(provider: str) -> list[ModelRate]:
    """All its models that have a price of input tokens on that day."""
    found = []
    for model in PROVIDERS[provider]:
        try:
            found.append(model_rate(f"{provider}:{model}", DAY))
        except (Unpriced, BadInput):
            continue
    return found


@pytest.mark.slow
def test_what_is_compared_below_is_the_whole_book() -> None:
    assert sum(len(rates_of(provider)) for provider in PROVIDERS) > 0.8 * sum(map(len, PROVIDERS.values())) > 1_000
    hourly = {provider for provider in PROVIDERS for rate in rates_of(provider) if rate.hour is not None}
    assert hourly == {"deepseek"}


def told(rate: ModelRate, *, hour: int = 0, **tokens: int) -> Decimal:
    """What the library says of one request."""
    at = datetime(DAY.year, DAY.month, DAY.day, hour, tzinfo=UTC)
    usage = Usage(**tokens)
    total: Decimal = calc_price(
        usage, model_ref=rate.model, provider_id=rate.provider, genai_request_timestamp=at
    ).total_price
    return total


@pytest.mark.parametrize(
    "provider",
    [pytest.param(name, marks=pytest.mark.slow if len(models) > 100 else ()) for name, models in PROVIDERS.items()],
)
def test_the_price_of_a_and_b_tokens_is_the_librarys_and_the_fee_once_with_the_tokens_of_both(provider: str) -> None:
    for rate in rates_of(provider):
        for a, b in ((300, 700), (1, 1), (40_000, 900_000)):
            assert rate.cost(Decimal(a + b)) == told(rate, input_tokens=a + b), rate.name
        short = (300, 700)
        assert sum(short) == QUOTED
        assert rate.cost(Decimal(sum(short))) == rate.request_usd + rate.usd * sum(short) / rate.per, rate.name
        parts = [rate.cost(Decimal(tokens)) for tokens in short]
        assert sum(parts, Decimal(0)) == rate.cost(Decimal(sum(short))) + rate.request_usd, rate.name
        if rate.output_usd is not None:
            call = rate.call(prompt_tokens=700, answer_tokens=300)
            assert call.prompt + call.answer == told(rate, input_tokens=700, output_tokens=300), rate.name
            assert call.answer == rate.output_usd * 300 / rate.per, rate.name


def test_a_fee_per_request_stands_beside_the_price_of_tokens_and_not_in_it() -> None:
    sonar = model_rate("perplexity:sonar", DAY)
    assert (sonar.usd, sonar.per, sonar.request_usd) == (Decimal(1), 1_000_000, Decimal("0.012"))
    assert sonar.as_json()["request_usd"] == "0.012"
    assert sonar.cost(Decimal(2_000)) == Decimal("0.014")
    assert "request_usd" not in model_rate("openai:gpt-4o-mini", DAY).as_json()


def test_a_price_that_depends_on_the_hour_is_that_of_the_stated_hour() -> None:
    name = next(rate.name for rate in rates_of("deepseek") if rate.hour is not None)
    prices = {hour: model_rate(name, DAY, hour) for hour in (0, 9, 17, 23)}
    for hour, rate in prices.items():
        assert rate.hour == hour
        assert rate.as_json()["hour"] == hour
        assert f"that of {hour:02d}:00 UTC" in rate.note
        assert rate.cost(Decimal(1_000)) == told(rate, hour=hour, input_tokens=1_000)
    assert len({rate.usd for rate in prices.values()}) > 1
    assert model_rate("openai:gpt-4o-mini", DAY, 7).hour is None


def test_a_fee_per_request_stands_beside_the_price_of_each_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model has both today: a fee is put on one whose price depends on the hour."""
    asked, fee = rates._price, Decimal("0.012")

    def with_fee(provider: str, model: str, *, at: datetime, **tokens: int) -> object:
        priced = asked(provider, model, at=at, **tokens)
        return replace(priced, total_price=priced.total_price + fee)

    name = next(rate.name for rate in rates_of("deepseek") if rate.hour is not None)
    plain = {hour: model_rate(name, DAY, hour) for hour in (0, 9)}
    monkeypatch.setattr(rates, "_price", with_fee)
    model_rate.cache_clear()
    rates._per_token.cache_clear()
    try:
        for hour, rate in plain.items():
            dear = model_rate(name, DAY, hour)
            assert (dear.hour, dear.usd, dear.request_usd) == (hour, rate.usd, fee)
            assert dear.cost(Decimal(500)) == fee + rate.usd * 500 / rate.per
            call = dear.call(prompt_tokens=500, answer_tokens=70)
            assert (call.prompt, call.answer) == (dear.cost(Decimal(500)), rate.output_usd * 70 / rate.per)  # type: ignore[operator]
    finally:
        model_rate.cache_clear()
        rates._per_token.cache_clear()
