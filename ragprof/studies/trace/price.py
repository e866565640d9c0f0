"""Money of traced calls: the tokens and passages that the spans tell, at dated rates. Reads no clock.

An LLM's and an embedder's call is priced by its own provider and model (genai-prices), a reranker's by the rate of a
book whose name ends in its model, unless a rate is named for the stage. Where there is no rate and the span itself
tells what it cost, that is taken and said. All else is UNPRICED, never 0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import cache, lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ragprof.core import files
from ragprof.core.errors import BadInput
from ragprof.core.recorded import write_sealed
from ragprof.evals.settings import settings_of
from ragprof.evals.traced import CALLS, USAGE
from ragprof.price.bills import PLACES, PriceList, price_entries
from ragprof.price.columns import COLUMNS
from ragprof.price.pricing import EXACT
from ragprof.price.rates import PublishedRate, Unpriced, shipped_books
from ragprof.studies.contract import Pricing
from ragprof.traces.trees import RECORDED
from ragprof.traces.vocabulary import PROVIDERS

PROMPT, ANSWER, TOKENS, UNITS = "prompt tokens", "output tokens", "input tokens", "search units"
SEARCHING, REPORTED, NO_PRICE = "searches", "reported", "unpriced"
"""What an item of a bill is called."""
GUESSED = ("openai", "anthropic", "google", "cohere", "mistral", "deepseek", "x-ai", "groq")
"""Whose model it may be where a span names the model alone, in this order."""
ENTRY = {"embed": "embed", "rerank": "rerank", "generate": "llm"}
"""Stage -> the price that a user may name for it."""
StageBill: TypeAlias = "dict[tuple[str, str], Decimal | None]"
"""(stage, item) -> USD of one call; None is UNPRICED."""


TraceCost: TypeAlias = tuple[str, str, str, str, "str | None", "Decimal | None"]
"""A row of costs.parquet: pipeline, query_id, stage, item, rate, USD."""
ZERO = Decimal(0)
SIZES = 10_000
"""Sizes of calls whose bills are remembered."""
ROWS = 50_000
"""Rows that are gone through at once, so that memory does not grow with their number."""


@dataclass
class TraceBills:
    """What all bills have together: which rates were applied to what, and which calls have no price.

    `calls` is pipeline -> `priced`, `reported`, `unpriced` -> number of calls.
    """

    applied: set[tuple[str, str, str]] = field(default_factory=set)
    rates: dict[str, PublishedRate] = field(default_factory=dict)
    stages: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    unpriced: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    calls: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))


def price_traces(folder: Path, pricing: Pricing) -> None:
    """Write costs.parquet and rates.json of a trace profile. Raises BadInput for a rate that nobody has."""
    config = settings_of(folder)
    prices = PriceList.of(config, books=pricing.books, on=pricing.on, file=folder / "manifest.json")
    entries = price_entries(config, {}, llm=pricing.llm)
    bills = TraceBills()
    with localcontext(EXACT):
        rows = chain(
            _call_rows(CALLS.read(folder / "calls.parquet"), bills, _rates(prices, entries)),
            _search_rows(folder, prices.rate(entries["search"]), config, bills) if entries.get("search") else (),
        )
        _write_costs(folder / "costs.parquet", rows)
    write_sealed(folder / "rates.json", _document(bills, pricing, config), "costs.parquet")


@dataclass(frozen=True, slots=True)
class TracedCall:
    """A row of calls.parquet; None is what its span does not tell."""

    stage: str
    provider: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int
    docs: int | None
    reported_usd: float | None

    @classmethod
    def of(cls, stage: str, provider: str, model: str, *numbers: float | None) -> TracedCall:
        tokens = [None if number is None else int(number) for number in numbers[:4]]
        return cls(stage, provider, model, tokens[0], tokens[1], tokens[2] or 0, tokens[3], numbers[4])


RateOf: TypeAlias = Callable[[str, str, str], "PublishedRate | str"]
"""Stage, provider and model -> the rate, or why there is none."""


def _rates(prices: PriceList, entries: Mapping[str, Any]) -> RateOf:
    @cache
    def found(stage: str, provider: str, model: str) -> PublishedRate | str:
        if provider == RECORDED:
            return "its recording told what it costs"
        try:
            if named := entries.get(ENTRY[stage]):
                return prices.rate(named)
            if not model:
                return "its spans name no model"
            return _book_rate(prices, provider, model) if stage == "rerank" else _model_rate(prices, provider, model)
        except Unpriced as missing:
            return str(missing)

    return found


def _model_rate(prices: PriceList, provider: str, model: str) -> PublishedRate | str:
    """The rate of a model by its own provider, or where the span names none, of the first who has such a model."""
    known = PROVIDERS.get(provider, provider)
    for name in (known,) if known else GUESSED:
        with suppress(BadInput):
            return prices.rate(f"{name}:{model.rpartition('/')[2] if name in GUESSED else model}")
    return f"no price of '{model}'" + (f" of '{provider}'" if provider else "")


def _book_rate(prices: PriceList, provider: str, model: str) -> PublishedRate | str:
    """The rate in a book that ends in the model's name; of several, that of the provider."""
    wanted = model.rpartition("/")[2].lower()
    named = [name for name in prices.known if name.rpartition("/")[2].lower() == wanted]
    own = [name for name in named if name.partition("/")[0] == PROVIDERS.get(provider, provider)] or named
    if not own:
        return f"no rate of '{model}'; name one with --price rerank=BOOK/NAME"
    if len(own) > 1:
        return f"several rates of '{model}' ({', '.join(own)}); name one with --price rerank=BOOK/NAME"
    return prices.rate(own[0])


def _call_rows(calls: pd.DataFrame, bills: TraceBills, rate_of: RateOf) -> Iterator[TraceCost]:
    """Yield a row a trace, stage and item. The calls of one trace stand together in their table."""
    columns = ("pipeline", "query_id", "stage", "provider", "model", "input_tokens", "output_tokens", "cached_tokens",
               "docs", "reported_usd")  # fmt: skip
    owner: tuple[str, str] | None = None
    usd: StageBill = {}
    names: dict[tuple[str, str], str] = {}
    # Calls of one model are often of the same size: an embedder's, a reranker's.
    billed = lru_cache(SIZES)(partial(_billed, bills, rate_of))
    for start in range(0, len(calls), ROWS):
        some = calls.iloc[start : start + ROWS]
        for pipeline, query_id, *call in zip(*(some[name].tolist() for name in columns), strict=True):
            if owner is not None and owner != (pipeline, query_id):
                yield from _rows(owner, usd, names, bills)
                usd, names = {}, {}
            owner = pipeline, query_id
            # What is missing is NaN, which alone differs from itself.
            bill, rate, reason = billed(*[None if value != value else value for value in call])  # noqa: PLR0124
            how = "priced" if rate else "unpriced" if reason else "reported"
            bills.calls[pipeline][how] += 1
            if reason:
                bills.unpriced[pipeline][call[0], reason] += 1
            for item, cost in bill.items():
                before = usd.get(item, ZERO)
                usd[item] = None if cost is None or before is None else before + cost
                if rate:
                    names[item] = rate
    if owner is not None:
        yield from _rows(owner, usd, names, bills)


def _rows(
    owner: tuple[str, str], usd: StageBill, names: Mapping[tuple[str, str], str], bills: TraceBills
) -> Iterator[TraceCost]:
    for (stage, item), cost in usd.items():
        bills.stages[owner[0]].add(stage)
        yield *owner, stage, item, names.get((stage, item)), None if cost is None else cost.quantize(PLACES)


def _billed(bills: TraceBills, rate_of: RateOf, *call: Any) -> tuple[StageBill, str, str]:
    """The bill of a call, the name of its rate, and why it has no price; empty words for none."""
    traced = TracedCall.of(*call)
    rate = rate_of(traced.stage, traced.provider, traced.model)
    reason = rate if isinstance(rate, str) else ""
    if not isinstance(rate, str):
        try:
            bill = _bill(rate, traced)
        except Unpriced as missing:
            reason = str(missing)
        else:
            bills.rates[rate.name] = rate
            bills.applied |= {(stage, item, rate.name) for stage, item in bill}
            return bill, rate.name, ""
    if traced.reported_usd is not None:
        return {(traced.stage, REPORTED): Decimal(str(traced.reported_usd))}, "", ""
    return {(traced.stage, NO_PRICE): None}, "", reason


def _bill(rate: PublishedRate, call: TracedCall) -> StageBill:
    """(stage, item) -> USD of one call. Raises Unpriced where the span lacks what the rate counts."""
    if call.stage == "generate":
        if call.input_tokens is None or call.output_tokens is None:
            raise Unpriced("its spans tell no tokens")
        cost = rate.call(
            prompt_tokens=call.input_tokens, answer_tokens=call.output_tokens,
            cached_tokens=min(call.cached_tokens, call.input_tokens),
        )  # fmt: skip
        return {("inject", PROMPT): cost.prompt, ("generate", ANSWER): cost.answer}
    if rate.shape in ("per_search", "per_request"):
        if rate.docs_per_unit and call.docs is None:
            raise Unpriced(f"'{rate.name}' counts passages, and its spans do not tell how many there were")
        units = -(-(call.docs or 1) // rate.docs_per_unit) if rate.docs_per_unit else 1
        return {(call.stage, UNITS): rate.cost(Decimal(units))}
    if rate.shape in ("per_hour", "per_month"):
        raise Unpriced(f"'{rate.name}' is billed {rate.shape.replace('_', ' ')}, which no span tells")
    if call.input_tokens is None and rate.shape != "free":
        raise Unpriced("its spans tell no tokens")
    return {(call.stage, TOKENS): rate.cost(Decimal(call.input_tokens or 0))}


def _search_rows(
    folder: Path, rate: PublishedRate, config: Mapping[str, Any], bills: TraceBills
) -> Iterator[TraceCost]:
    """Yield what searching costs by the rate that was named: by the search, or a share of a month's fee."""
    monthly = (config.get("traffic") or {}).get("queries_per_month")
    each: Decimal | None = None
    if rate.shape == "per_month" and monthly:
        each = rate.cost(Decimal(1)) / monthly
    elif rate.shape in ("per_search", "per_request", "free"):
        each = rate.cost(Decimal(1))
    usage = USAGE.read(folder / "usage.parquet")
    searched = usage[(usage["stage"] == "search") & (usage["unit"] == "calls")]
    if each is not None:
        bills.rates[rate.name] = rate
        bills.applied.add(("search", SEARCHING, rate.name))
    columns = (searched[name].tolist() for name in ("pipeline", "query_id", "count"))
    for pipeline, query_id, count in zip(*columns, strict=True):
        bills.stages[pipeline].add("search")
        if each is None:
            bills.unpriced[pipeline]["search", f"'{rate.name}' cannot be shared out over traces"] += count
            yield pipeline, query_id, "search", NO_PRICE, None, None
        else:
            cost = each if rate.shape == "per_month" else each * count
            yield pipeline, query_id, "search", SEARCHING, rate.name, cost.quantize(PLACES)


def _write_costs(path: Path, rows: Iterable[TraceCost]) -> None:
    text = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema([(name, text if kind == pa.string() else kind) for name, kind in COLUMNS.items()])
    with files.whole(path) as partial, pq.ParquetWriter(partial, schema) as writer:
        for batch in batched(rows, ROWS):
            arrays = [
                pa.array(column, pa.string()).dictionary_encode().cast(field.type) if field.type == text
                else pa.array(column, field.type)
                for column, field in zip(zip(*batch, strict=True), schema, strict=True)
            ]  # fmt: skip
            writer.write_table(pa.table(arrays, schema=schema))


def batched(rows: Iterable[TraceCost], size: int) -> Iterator[tuple[TraceCost, ...]]:
    """Yield the rows in tuples of at most `size` (itertools.batched is there from Python 3.12 on)."""
    waiting = iter(rows)
    while batch := tuple(islice(waiting, size)):
        yield batch


def _document(bills: TraceBills, pricing: Pricing, config: Mapping[str, Any]) -> dict[str, Any]:
    applied = [{"stage": stage, "item": item, "rate": rate} for stage, item, rate in sorted(bills.applied)]
    return {
        "format": 1,
        "on": pricing.on.isoformat(),
        "books": [book.name for book in [*shipped_books(), *pricing.books]],
        "queries_per_month": (config.get("traffic") or {}).get("queries_per_month"),
        "rates": {name: rate.as_json() for name, rate in sorted(bills.rates.items())},
        "pipelines": {
            name: {
                "stages": sorted(bills.stages[name]),
                "applied": applied,
                "unpriced": [
                    {"stage": stage, "item": NO_PRICE, "reason": reason, "calls": str(calls)}
                    for (stage, reason), calls in bills.unpriced[name].most_common()
                ],
                "calls": {how: bills.calls[name][how] for how in ("priced", "reported", "unpriced")},
            }
            for name in (pipeline["name"] for pipeline in config["pipelines"])
        },
    }
