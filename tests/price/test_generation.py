"""Pipelines that answer: the answer's price in the bill of a recording, and a model's price of one call."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from ragprof.core.errors import BadInput
from ragprof.price import price_recording
from ragprof.price.pricing import PipelinePricing
from ragprof.price.rates import CallCost, Unpriced, catalogue, free_rate, model_rate

ON = date(2026, 11, 22)
HOUR = 36 * 10**11
STAGES = ["inject", "generate"]
OWN = """
[[rates]]
name = "own/llm"
shape = "per_input_token"
usd = "1"
output_usd = "4"
per = 1000000
since = 2026-01-01
source = "our contract"
"""


def bill(folder: Path, **choices: object) -> PipelinePricing:
    return price_recording(folder, on=ON, **choices).pipelines["dense"]  # type: ignore[arg-type]


def test_an_answer_costs_the_llms_price_of_its_output_tokens(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices={"llm": "openai:gpt-4o-mini"}, stages=STAGES, answers={"q1": 100, "q2": 300})
    priced = bill(folder)
    assert priced.stages == {"inject": Decimal("0.15"), "generate": Decimal("0.12")}
    assert priced.total == Decimal("0.27")
    applied = json.loads((folder / "rates.json").read_text())["pipelines"]["dense"]["applied"]
    assert [(line["stage"], line["item"], line["queries"]) for line in applied] == [
        ("inject", "prompt tokens", 2),
        ("generate", "output tokens", 2),
    ]


def test_only_the_queries_that_were_answered_are_in_the_mean(recorded: Callable[..., Path]) -> None:
    priced = bill(recorded(prices={"llm": "openai:gpt-4o-mini"}, stages=STAGES, answers={"q2": 500}))
    assert priced.stages["generate"] == Decimal("0.3")


def test_a_long_prompt_makes_the_answer_dearer_where_the_model_has_steps(recorded: Callable[..., Path]) -> None:
    choices = {"prices": {"llm": "google:gemini-2.5-pro"}, "stages": STAGES, "answers": {"q1": 1_000, "q2": 1_000}}
    assert bill(recorded(prompt_tokens=1_000, **choices)).stages["generate"] == Decimal(10)
    assert bill(recorded(prompt_tokens=250_000, **choices)).stages["generate"] == Decimal(15)


def test_without_an_llm_the_machine_reads_and_answers_in_its_own_time(recorded: Callable[..., Path]) -> None:
    folder = recorded(
        prices={"machine": "aws/m7i.large", "utilisation": "1"},
        stages=STAGES,
        answers={"q1": 100},
        timed_ns={"q1": [HOUR]},
    )
    priced = bill(folder)
    assert priced.stages == {"inject": Decimal("100.8"), "generate": Decimal("100.8")}
    lines = json.loads((folder / "rates.json").read_text())["pipelines"]["dense"]
    assert [(line["stage"], line["item"]) for line in lines["applied"]] == [
        ("inject", "machine time"),
        ("generate", "machine time"),
    ]
    assert lines["unpriced"] == []


def test_a_hosted_llm_and_the_machines_time_are_never_added(recorded: Callable[..., Path]) -> None:
    folder = recorded(
        prices={"llm": "openai:gpt-4o-mini", "machine": "aws/m7i.large"},
        stages=STAGES,
        answers={"q1": 100},
        timed_ns={"q1": [HOUR]},
    )
    assert bill(folder).stages["generate"] == Decimal("0.06")


def test_the_machine_here_does_not_pay_for_a_model_elsewhere(recorded: Callable[..., Path]) -> None:
    folder = recorded(
        prices={"machine": "aws/m7i.large"},
        stages=STAGES,
        answers={"q1": 100},
        timed_ns={"q1": [HOUR]},
        generator="openai_compatible",
    )
    assert bill(folder).unpriced == (
        "inject: no rate for the prompt; name one under [prices] as llm",
        "generate: no rate for generate; name one under [prices] as llm or machine",
    )


def test_an_llm_by_the_hour_is_priced_by_the_time_of_generating(recorded: Callable[..., Path]) -> None:
    folder = recorded(
        prices={"llm": "aws/g5.xlarge", "utilisation": "1"},
        stages=STAGES,
        answers={"q1": 100},
        timed_ns={"q1": [HOUR]},
    )
    assert bill(folder).stages["generate"] == Decimal(1_006)
    applied = json.loads((folder / "rates.json").read_text())["pipelines"]["dense"]["applied"]
    assert [(line["stage"], line["item"]) for line in applied] == [("generate", "machine time")]


def test_without_any_rate_the_prompt_and_the_answer_are_unpriced(recorded: Callable[..., Path]) -> None:
    priced = bill(recorded(stages=STAGES, answers={"q1": 100}))
    assert priced.stages == {"inject": None, "generate": None}
    assert priced.unpriced == (
        "inject: no rate for the prompt; name one under [prices] as llm",
        "generate: no rate for generate; name one under [prices] as llm or machine",
    )


def test_an_llm_without_a_price_of_answers_leaves_them_unpriced(recorded: Callable[..., Path]) -> None:
    priced = bill(recorded(prices={"llm": "openai:text-embedding-3-small"}, stages=STAGES, answers={"q1": 100}))
    assert priced.stages["inject"] == Decimal("0.02")
    assert priced.unpriced == (
        "generate: genai-prices lists 'openai:text-embedding-3-small' without a price of output tokens",
    )


def test_a_recording_without_answers_is_unpriced(recorded: Callable[..., Path]) -> None:
    priced = bill(recorded(prices={"llm": "openai:gpt-4o-mini"}, stages=STAGES, timed_ns={"q1": [10**9]}))
    assert priced.unpriced == (
        "generate: no query was answered, so no 'output_tokens' of 'generate'; record timings first",
    )


def test_free_answers_cost_nothing_because_somebody_wrote_so(recorded: Callable[..., Path]) -> None:
    assert bill(recorded(prices={"llm": "free"}, stages=STAGES, answers={"q1": 9})).stages["generate"] == Decimal(0)


def test_a_book_may_say_what_answers_cost(recorded: Callable[..., Path], book: Callable[..., Path]) -> None:
    folder = recorded(prices={"llm": "own/llm"}, stages=STAGES, answers={"q1": 500})
    assert bill(folder, books=[book(OWN)]).stages == {"inject": Decimal(1), "generate": Decimal(2)}
    assert json.loads((folder / "rates.json").read_text())["rates"]["own/llm"]["output_usd"] == "4"


def test_a_price_of_answers_belongs_to_tokens_alone(book: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match="no key of a per_hour rate named 'output_usd'"):
        catalogue([book(OWN.replace("per_input_token", "per_hour"))])


def test_one_call_costs_its_prompt_its_cached_part_and_its_answer() -> None:
    rate = model_rate("openai:gpt-4o-mini", ON)
    assert rate.output_usd == Decimal("0.6")
    assert rate.call(prompt_tokens=1_000, answer_tokens=200) == CallCost(Decimal("0.00015"), Decimal("0.00012"))
    cached = rate.call(prompt_tokens=1_000, answer_tokens=200, cached_tokens=400)
    assert cached == CallCost(Decimal("0.00012"), Decimal("0.00012"))


def test_a_model_without_a_price_of_answers_says_so_when_called() -> None:
    rate = model_rate("openai:text-embedding-3-small", ON)
    assert rate.output_usd is None
    with pytest.raises(Unpriced, match="without a price of output tokens"):
        rate.call(prompt_tokens=10, answer_tokens=1)


def test_a_free_call_is_free() -> None:
    assert free_rate().call(prompt_tokens=10**9, answer_tokens=10**9) == CallCost(Decimal(0), Decimal(0))
