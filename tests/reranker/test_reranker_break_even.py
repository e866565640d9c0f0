"""Where a reranker's net changes its sign: prices, volume and the chart of both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reranker_data import Arm, data_of

from ragprof.statistics.draws import ends
from ragprof.studies.reranker.section import BreakEven, PriceGrid
from ragprof.studies.reranker.statement import break_even, net_of

PERFECT = Arm(search=[5] * 20, reranked=[1] * 20)
MIXED = Arm(search=[2, 4, 6, 8] * 10, reranked=[1, 6, 2, 3] * 10)


def grid_of(found: BreakEven) -> PriceGrid:
    assert found.grid is not None
    return found.grid


def hourly(**changes: Any) -> Arm:
    """Ten seconds of busy machine a query, at half its paid hours; 0.36 USD an hour."""
    facts = {
        "search": [5] * 20, "reranked": [1] * 20, "usd": 0.002, "units": 1 / 180, "shape": "per_hour",
        "rate_usd": "0.36", "rate_per": 1, "utilisation": "0.5",
    }  # fmt: skip
    return Arm(**{**facts, **changes})


def test_the_break_even_prices_of_a_perfect_reranker() -> None:
    found = break_even(data_of(PERFECT), "reranked")
    reranker, llm = found.reranker_usd, found.llm_usd_per_million_tokens
    assert (reranker.value, reranker.per, reranker.unit) == ("0.4", 1000, "search")
    assert reranker.sentence == "It pays for itself up to $0.400 per 1,000 searches; its price is $1.00."
    assert llm.value == "2.5"
    assert llm.sentence == "It pays for itself where a million LLM tokens cost $2.50 or more; they cost $1.0."


@pytest.mark.parametrize("llm", ["1", "5"])
def test_at_its_break_even_price_the_reranker_costs_what_it_saves(llm: str) -> None:
    data = data_of(MIXED, llm=llm)
    value, net = break_even(data, "reranked").reranker_usd.value, net_of(data, "reranked")
    assert value is not None
    assert net.cost is not None
    assert net.saved is not None
    assert float(value) * net.cost[0] == pytest.approx(net.saved[0], abs=1e-5)


def test_at_the_break_even_price_of_the_llm_the_net_is_nothing() -> None:
    data = data_of(MIXED)
    value = break_even(data, "reranked").llm_usd_per_million_tokens.value
    assert value is not None
    net = net_of(data, "reranked").at(float(value)).net
    assert net is not None
    assert net[0] == pytest.approx(0.0, abs=1e-5)


def test_an_hourly_rate_breaks_even_at_a_price_of_the_hour() -> None:
    found = break_even(data_of(hourly()), "reranked").reranker_usd
    assert (found.value, found.per, found.unit) == ("0.072", 1, "hour")
    assert found.sentence == "It pays for itself up to $0.0720 per hour; its price is $0.36."


def test_no_saving_breaks_even_at_no_price() -> None:
    found = break_even(data_of(Arm(search=[3] * 20, reranked=[3] * 20)), "reranked")
    assert found.reranker_usd.value is None
    assert found.reranker_usd.sentence == "It saves no tokens, so it pays for itself at no price."
    assert found.llm_usd_per_million_tokens.value is None


def test_a_harmful_reranker_breaks_even_nowhere() -> None:
    found = break_even(data_of(Arm(search=[1] * 20, reranked=[20] * 20, depths=(20,))), "reranked")
    assert found.reranker_usd.sentence.startswith("It needs more chunks than were looked at")
    assert {cell.told for cell in grid_of(found).cells} == {"costs"}
    assert {cell.net for cell in grid_of(found).cells} == {None}


def test_an_unpriced_reranker_may_cost_what_it_saves_a_query() -> None:
    found = break_even(data_of(Arm(search=[5] * 20, reranked=[1] * 20, usd=None)), "reranked")
    assert (found.reranker_usd.value, found.reranker_usd.unit) == ("0.4", "query")
    assert found.reranker_usd.sentence == "It pays for itself up to $0.400 per 1,000 queries."
    assert (found.llm_usd_per_million_tokens.value, found.grid) == (None, None)


def test_an_unpriced_llm_leaves_its_break_even_price_and_the_chart() -> None:
    found = break_even(data_of(PERFECT, llm=None), "reranked")
    assert found.reranker_usd.value is None
    assert found.llm_usd_per_million_tokens.value == "2.5"
    assert grid_of(found).here.as_json() == {"reranker_factor": 1.0, "llm_usd_per_million_tokens": None}


def test_a_free_reranker_pays_at_any_price_of_the_llm() -> None:
    found = break_even(data_of(Arm(search=[5] * 20, reranked=[1] * 20, usd=0.0, units=0.0, shape="free")), "reranked")
    assert found.llm_usd_per_million_tokens.value == "0"
    assert {cell.told for cell in grid_of(found).cells} == {"saves"}


def test_an_llm_without_a_price_saves_nothing() -> None:
    found = break_even(data_of(PERFECT, llm="0"), "reranked")
    assert found.reranker_usd.sentence == "The LLM's tokens are free, so it pays for itself at no price."
    assert 0.0 not in grid_of(found).llm_usd_per_million_tokens


def test_a_bill_by_use_has_no_volume_that_flips_the_sign() -> None:
    found = break_even(data_of(PERFECT), "reranked").queries_per_month
    assert found.value is None
    assert found.sentence.startswith("It is billed by use")


def test_a_machine_that_is_always_on_pays_from_a_volume() -> None:
    found = break_even(data_of(hourly(units=1 / 1800), llm="10"), "reranked").queries_per_month
    assert found.value == pytest.approx(730 * 0.36 / 0.004)
    assert "costs $262.80 a month" in found.sentence
    assert "65,700 queries a month" in found.sentence


def test_a_volume_beyond_what_one_machine_serves_is_none() -> None:
    found = break_even(data_of(hourly()), "reranked").queries_per_month
    assert found.value is None
    assert "one machine serves about 262,800: no volume pays" in found.sentence


def test_a_monthly_fee_pays_from_a_volume_too() -> None:
    fee = Arm(search=[5] * 20, reranked=[1] * 20, shape="per_month", rate_usd="80", rate_per=1, units=1e-6, usd=8e-5)
    assert break_even(data_of(fee), "reranked").queries_per_month.value == pytest.approx(200_000)


def test_the_chart_is_linear_in_both_prices_and_holds_the_actual_one() -> None:
    found = grid_of(break_even(data_of(PERFECT, llm="3"), "reranked"))
    assert (len(found.reranker_factor), len(found.llm_usd_per_million_tokens)) == (13, 14)
    assert 1.0 in found.reranker_factor
    assert 3.0 in found.llm_usd_per_million_tokens
    for cell in found.cells:
        assert cell.net is not None
        assert cell.net == pytest.approx(cell.reranker_factor - 0.4 * cell.llm_usd_per_million_tokens)
        assert cell.told == ("costs" if cell.net > 0 else "saves")


def test_a_cell_is_told_where_the_interval_of_its_net_excludes_nothing_spent() -> None:
    data = data_of(MIXED)
    net = net_of(data, "reranked")
    for cell in grid_of(break_even(data, "reranked")).cells:
        saved = net.at(cell.llm_usd_per_million_tokens).saved
        assert net.cost is not None
        assert saved is not None
        low, high = ends(net.cost * cell.reranker_factor - saved, n=net.n) or (None, None)
        assert low is not None
        assert high is not None
        assert cell.told == ("costs" if low > 0 else "saves" if high < 0 else "undecided")


def test_something_in_the_chart_is_undecided_where_the_saving_is() -> None:
    cells = grid_of(break_even(data_of(MIXED), "reranked")).cells
    assert {cell.told for cell in cells} == {"costs", "saves", "undecided"}
    assert np.isfinite([cell.net or 0.0 for cell in cells]).all()
