"""The energy book: figures say where they are from, regions stand in for each other, a book of one's own wins."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from ragprof.core.errors import BadInput, UnknownName
from ragprof.price.energy import cost_of, region_named, regions

OWN = """\
[regions.DE.price]
usd_per_kwh = "0.10"
as_of = 2026-12-31
source = "our contract"

[regions.office]
name = "Our office"
within = "DE"

[regions.office.carbon]
kg_co2_per_kwh = "0"
as_of = 2026-12-31
source = "the roof"
verified = 2026-12-31
"""


def test_the_shipped_book_has_the_regions_that_evals_name() -> None:
    assert {"world", "EU", "DE", "FR", "UK", "US", "gcp/us-central1", "gcp/europe-west3"} <= set(regions())


def test_every_figure_says_where_it_is_from_and_of_when() -> None:
    for region in regions().values():
        for figure in (region.price, region.carbon):
            if figure is not None:
                assert figure.source.startswith("https://")
                assert date(2023, 1, 1) < figure.as_of < date(2026, 12, 31)


def test_a_price_that_nobody_checked_says_what_it_rests_on() -> None:
    unchecked = {name for name, region in regions().items() if region.price and not region.price.verified}
    assert unchecked == {"EU", "DE", "UK", "US", "IE", "FI"}
    assert all(region.price.note for region in regions().values() if region.price)


def test_every_region_has_both_figures_in_the_end() -> None:
    for name in regions():
        region = region_named(name)
        assert Decimal("0.05") < region.price.usd_per_kwh < Decimal("0.5")
        assert Decimal("0.01") < region.carbon.kg_co2_per_kwh < Decimal(1)


def test_a_kilowatt_hour_costs_its_price_and_emits_its_carbon() -> None:
    cost = cost_of(3_600_000, region_named("DE"))
    assert (cost.usd, cost.kg_co2) == (Decimal("0.213"), Decimal("0.34414"))


def test_joules_are_taken_as_they_are_written() -> None:
    assert cost_of(36.0, region_named("world")).usd == Decimal("0.00000161")


def test_a_wider_region_stands_in_and_is_named() -> None:
    region = region_named("SE")
    assert (region.price_of, region.carbon_of) == ("EU", "SE")
    written = region.as_json()
    assert (written["usd_per_kwh"], written["kg_co2_per_kwh"]) == ("0.209", "0.03582")
    assert written["price"]["region"] == "EU"
    assert written["price"]["date"] == "2025-06-30"
    assert written["price"]["verified"] is False


def test_a_book_of_ones_own_goes_before_the_shipped_figure_by_figure(book: Callable[..., Path]) -> None:
    own = book(OWN)
    germany, office = region_named("DE", book=own), region_named("office", book=own)
    assert (germany.price.usd_per_kwh, germany.carbon.kg_co2_per_kwh) == (Decimal("0.10"), Decimal("0.34414"))
    assert (office.price.usd_per_kwh, office.price_of, office.carbon.kg_co2_per_kwh) == (Decimal("0.10"), "DE", 0)
    assert region_named("DE").price.usd_per_kwh == Decimal("0.213")


def test_an_unknown_region_is_asked_about() -> None:
    with pytest.raises(UnknownName, match="no region with a price of electricity named 'wrld'; did you mean 'world'"):
        region_named("wrld")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[regions.x]\nwithin = 'Atlantis'\n", "no region with a price of electricity named 'Atlantis'"),
        ("[regions.x]\nwithin = 'y'\n[regions.y]\nwithin = 'x'\n", "region 'x' is within itself: x -> y -> x"),
        ("[regions.x]\nname = 'x'\n", "region 'x' has no price, with usd_per_kwh; write one, or a wider region"),
        (
            "[regions.x]\nwhithin = 'DE'\n",
            "own.toml:2: no key of an energy book named 'whithin'; did you mean 'within'",
        ),
        ("[regions.x.price]\nusd = 1\n", "own.toml:1: regions.x.price.as_of: Field required"),
        ("[[rates]]\nname = 'x'\n", "regions: Field required"),
        ("[regions.x\n", "own.toml:1: not valid TOML"),
    ],
)
def test_a_bad_book_says_where_it_is_bad(book: Callable[..., Path], text: str, says: str) -> None:
    with pytest.raises(BadInput, match=re.escape(says)):
        region_named("x", book=book(text))


def test_a_price_below_0_is_refused(book: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match=r"own\.toml:2: regions\.DE\.price\.usd_per_kwh"):
        region_named("DE", book=book(OWN.replace("0.10", "-0.10")))


def test_a_book_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot read this energy book"):
        region_named("DE", book=tmp_path / "none.toml")
