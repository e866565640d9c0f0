"""One's own machines against an API: from which volume on a part is cheaper at home, and how full a machine must be.

The capacity is that of the part alone under load, at the promise. Machines are whole and paid for all hours; an API is
paid by use. So with a machine that is full to a share u, a question costs hour / (3600 x capacity x u) at home.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from ragprof.core.errors import RagprofError
from ragprof.price.databases import HOURS
from ragprof.price.energy import JOULES_PER_KWH, cost_of, region_named
from ragprof.price.pricing import QUERIES, plain
from ragprof.report import figures
from ragprof.report.tables import Cell, Column, Table, figure
from ragprof.studies.contract import EstimateValue
from ragprof.studies.load.batches import UNKNOWN
from ragprof.studies.load.economics import SECONDS, LoadTraffic, busiest_words, machines_for, smallest_volume
from ragprof.studies.load.money_section import ElectricityOnTop, OwnOrApi
from ragprof.studies.load.recorded import ApiBill
from ragprof.studies.load.section import LoadSection, LoadTarget

PARTS = {"embed": "embedder", "rerank": "reranker", "generate": "LLM"}


def own_or_api(
    targets: Sequence[LoadTarget], bills: Sequence[ApiBill], config: Mapping[str, Any], traffic: LoadTraffic
) -> list[OwnOrApi]:
    """One of each part that an API is named against."""
    fixed = Decimal(str((config.get("economics") or {}).get("operations_usd_per_month") or 0))
    power = electricity_of(config)
    return [_held_against(bill, _alone(targets, bill), fixed, power, traffic) for bill in bills]


def _alone(targets: Sequence[LoadTarget], bill: ApiBill) -> LoadTarget | None:
    mine = (each for each in targets if each.only == bill["stage"] and each.pipeline == bill["pipeline"])
    return next(mine, None)


def electricity_of(config: Mapping[str, Any]) -> ElectricityOnTop | None:
    """Of one machine for a month, at the watts and the region of [energy]; None where no watts are named."""
    energy = config.get("energy") or {}
    if not energy.get("watts"):
        return None
    kwh = Decimal(str(energy["watts"])) * HOURS / 1000
    book = energy.get("book")
    try:
        region = region_named(energy.get("region") or "world", book=Path(book) if book else None)
    except RagprofError:  # its book is not here any more: the recording is read elsewhere
        return None
    cost = cost_of(kwh * JOULES_PER_KWH, region)
    return ElectricityOnTop(
        region=region.name, kwh_per_month=float(kwh), usd_per_month=plain(cost.usd), kg_co2_per_month=plain(cost.kg_co2)
    )


def _held_against(
    bill: ApiBill, own: LoadTarget | None, fixed: Decimal, power: ElectricityOnTop | None, traffic: LoadTraffic
) -> OwnOrApi:
    missing = _missing(bill, own)
    capacity = None if own is None or own.capacity.status in UNKNOWN else own.capacity
    rate = None if capacity is None else capacity.per_second
    hour = None if own is None or own.money.usd_per_hour is None else Decimal(own.money.usd_per_hour)
    usd = bill["usd"]
    span = None if bill["interval"] is None else (bill["interval"][0] * QUERIES, bill["interval"][1] * QUERIES)
    found: dict[str, Any] = dict.fromkeys((
        "own_usd_per_1000_full", "break_even_share", "break_even_per_month", "break_even_interval",
        "break_even_with_electricity", "own_usd_per_month",
    ))  # fmt: skip
    if hour is not None and rate:
        full = float(hour) / (SECONDS * rate)
        machines = machines_for(traffic, rate)
        found |= {"own_usd_per_1000_full": full * QUERIES, "own_usd_per_month": plain(machines * hour * HOURS + fixed)}
        if usd:
            each = Decimal(str(usd))
            found["break_even_share"] = full / usd
            found["break_even_per_month"] = smallest_volume(rate, hour, each, traffic.peak, fixed=fixed)
            ends = None if capacity is None else capacity.interval
            if ends is not None and bill["interval"] is not None:
                found["break_even_interval"] = break_even_span(ends, bill["interval"], hour, fixed, traffic.peak)
            if power is not None:
                powered = hour + Decimal(power.usd_per_month) / HOURS
                found["break_even_with_electricity"] = smallest_volume(rate, powered, each, traffic.peak, fixed=fixed)
    return OwnOrApi(
        stage=bill["stage"],
        pipeline=bill["pipeline"],
        api=bill["rate"],
        api_usd_per_1000=EstimateValue(mean=None if usd is None else usd * QUERIES, interval=span, n=bill["n"]),
        own=None if own is None else own.money.rate,
        usd_per_hour=None if hour is None else plain(hour),
        per_second=rate,
        per_second_interval=None if capacity is None else capacity.interval,
        operations_usd_per_month=plain(fixed),
        electricity=power,
        api_usd_per_month=None if usd is None else plain(Decimal(str(usd)) * traffic.queries_per_month),
        missing=missing,
        **found,
    )


def break_even_span(
    rates: tuple[float, float], prices: Sequence[float], hour: Decimal, fixed: Decimal, peak: float
) -> tuple[int, int | None] | None:
    """Return the ends of the break-even volume: it falls with price and capacity, so where both are highest, or lowest.

    None where they are the same volume: an interval of no width would claim what nobody measured.
    """
    low = smallest_volume(rates[1], hour, Decimal(str(prices[1])), peak, fixed=fixed)
    high = smallest_volume(rates[0], hour, Decimal(str(prices[0])), peak, fixed=fixed)
    return None if low is None or low == high else (low, high)


def _missing(bill: ApiBill, own: LoadTarget | None) -> str:
    told = []
    if bill["usd"] is None:
        told.append(f"no price of the API: {bill['reason']}")
    elif not bill["usd"]:
        told.append("the API is free")
    if own is None:
        told.append(f"no {PARTS[bill['stage']]} of this machine was put under load alone, so its capacity is not known")
    elif own.capacity.status in UNKNOWN or not own.capacity.per_second:
        told.append("no capacity at the promise was found for it")
    if own is not None and own.money.usd_per_hour is None:
        told.append(f"no price of a machine: {own.money.reason}")
    return "; ".join(told)


def api_words(section: LoadSection) -> Iterator[str]:
    """One sentence for each part."""
    for one in section.own_or_api:
        part = f"The {PARTS[one.stage]} of {one.pipeline}"
        if one.missing:
            yield f"{part} against {one.api}: nothing can be said, since {one.missing}."
            continue
        now = (
            f"at {section.queries_per_month:,} questions a month the API takes {figures.usd(one.api_usd_per_month)}, "
            f"machines take {figures.usd(one.own_usd_per_month)}"
        )
        if one.break_even_per_month is None:
            yield (
                f"{part} is cheaper from {one.api} at every volume: even a machine that is always full takes "
                f"{figures.usd(one.own_usd_per_1000_full)} for 1,000 questions, and the API "
                f"{figures.usd(one.api_usd_per_1000.mean)}; {now}."
            )
            continue
        low, high = one.break_even_interval or (None, None)
        ends = "" if low is None else (
            f" (interval {figures.rough_count(low)} to {'no volume' if high is None else figures.rough_count(high)})"
        )  # fmt: skip
        share = "" if one.break_even_share is None else (
            f", and where a machine is full to {_percent(one.break_even_share)} a question costs the same"
        )  # fmt: skip
        yield (
            f"{part} is cheaper on one's own {one.own} than from {one.api} from "
            f"{figures.rough_count(one.break_even_per_month)} questions a month on{ends}{share}; {now}."
        )


def api_table(section: LoadSection) -> Table | None:
    """A row a part; None where no API is named."""
    if not section.own_or_api:
        return None
    columns = {
        Column("Part", numeric=False): lambda one: Cell(f"{PARTS[one.stage]} of {one.pipeline}", note=one.missing),
        Column("API", numeric=False): lambda one: Cell(one.api),
        Column("API", "USD per 1,000"): _api_usd,
        Column("Own machine", "capacity a second"): _capacity,
        Column("Always full", "USD per 1,000"): lambda one: figure(figures.usd(one.own_usd_per_1000_full)),
        Column("Same price", "when full to"): _share,
        Column("Own is cheaper from", "questions a month"): _break_even,
        Column("With electricity", "questions a month"): lambda one: figure(
            "at none" if one.break_even_with_electricity is None and one.electricity and not one.missing
            else figures.count(one.break_even_with_electricity)
        ),
        Column("API", "USD a month"): lambda one: figure(figures.usd(one.api_usd_per_month)),
        Column("Own", "USD a month"): lambda one: figure(figures.usd(one.own_usd_per_month)),
    }  # fmt: skip
    first = section.own_or_api[0]
    power = first.electricity
    electricity = (
        "Electricity: name watts under [energy] to have it on top."
        if power is None
        else f"Electricity on top: {power.kwh_per_month:,.0f} kWh a machine and month, "
        f"{figures.usd(power.usd_per_month)} and {figures.three_digits(float(power.kg_co2_per_month))} kg CO2e "
        f"in {power.region}; an hourly price of a cloud includes it."
    )
    note = (
        "Capacity of the part alone on one machine at the promise. Machines are whole, reserved for "
        f"{busiest_words(section.peak)}, and paid for all hours of the month; {_operations(first)}the interval of a "
        f"break-even takes both intervals at once and is wider than 95%. {electricity}"
    )
    return Table.of("load-own-or-api", "One's own machines against an API", columns, section.own_or_api, note)


def _operations(one: OwnOrApi) -> str:
    fixed = Decimal(one.operations_usd_per_month)
    return (
        f"{figures.usd(plain(fixed))} a month for running them are added; " if fixed
        else "people who run them are not counted (operations_usd_per_month); "
    )  # fmt: skip


def _api_usd(one: OwnOrApi) -> Cell:
    found = one.api_usd_per_1000
    if found.mean is None:
        return Cell(figures.UNPRICED, tone="unpriced")
    ends = figures.span(found.interval, figures.usd)
    return figure(figures.usd(found.mean), "" if ends == figures.ABSENT else ends)


def _capacity(one: OwnOrApi) -> Cell:
    if one.per_second is None:
        return Cell(figures.ABSENT, tone="absent")
    ends = figures.span(one.per_second_interval, figures.three_digits)
    told = "; ".join(words for words in ("" if ends == figures.ABSENT else ends, one.own or "") if words)
    return figure(figures.three_digits(one.per_second), told)


def _share(one: OwnOrApi) -> Cell:
    share = one.break_even_share
    if share is None:
        return Cell(figures.ABSENT, tone="absent")
    return Cell("never") if share > 1 else figure(_percent(share))


def _percent(share: float) -> str:
    """Three digits, as it may be very small."""
    return f"{figures.three_digits(100 * share)}%"


def _break_even(one: OwnOrApi) -> Cell:
    if one.missing:
        return Cell(figures.ABSENT, tone="absent")
    if one.break_even_per_month is None:
        return Cell("at no volume")
    low, high = one.break_even_interval or (None, None)
    ends = "" if low is None else f"{low:,}{figures.DASH}{'none' if high is None else f'{high:,}'}"
    return figure(f"{one.break_even_per_month:,}", ends)
