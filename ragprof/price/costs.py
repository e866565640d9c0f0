"""Cost pass: recording + rates -> costs. Reads no clock and no qrels, and runs nothing again.

A stage is priced by the pipeline's own entry under `prices`, else by the eval's, else as machine time, else it is
UNPRICED. The inject stage is the LLM's price of the prompt and, where a machine is named, the machine time of packing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation, localcontext
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from ragprof.errors import BadInput, UnknownName
from ragprof.files import write_json, write_table
from ragprof.price.billing import ITEMS, Demand, Terms, Units, units
from ragprof.price.facts import PipelineFacts, Recording, pipeline_facts, read_recording
from ragprof.price.models import model_rate
from ragprof.price.pricing import EXACT, Pricing, read_pricing
from ragprof.price.rates import FREE, Catalogue, PublishedRate, Unpriced, catalogue, free_rate, shipped_books, valid_on

TEXT, USD = pa.string(), pa.decimal128(38, 18)
COLUMNS = {"pipeline": TEXT, "query_id": TEXT, "stage": TEXT, "item": TEXT, "rate": TEXT, "usd": USD}
PLACES = Decimal(1).scaleb(-18)
PROMPT, UNPRICED = "prompt tokens", "unpriced"
ENTRY: Mapping[str, str] = {"embed": "embed", "search": "search", "rerank": "rerank", "inject": "llm"}


@dataclass(frozen=True)
class PriceList:
    """What names mean on one day."""

    known: Catalogue
    on: date
    file: Path

    def rate(self, name: str) -> PublishedRate:
        """Raises UnknownName or BadInput for a name nobody has, Unpriced where it has no rate on that day."""
        if name == FREE:
            return free_rate()
        if name in self.known:
            return valid_on(self.known[name], self.on)
        if ":" in name:
            return model_rate(name, self.on)
        raise UnknownName("rate", name, [FREE, "provider:model", *self.known], file=self.file)

    def entry(self, name: str, stage: str) -> PublishedRate:
        """The rate of a stage's own entry. An LLM by the hour is unpriced: packing is timed here, generating is not."""
        rate = self.rate(name)
        if stage == "inject" and rate.shape == "per_hour":
            raise Unpriced(f"'{name}' is billed per hour, and an LLM's generating is not timed in this stage")
        return rate

    def machine(self, name: str, stage: str) -> PublishedRate:
        rate = self.rate(name)
        if rate.shape not in ("per_hour", FREE):
            raise BadInput(
                f"'{name}' is billed {rate.shape.replace('_', ' ')} and cannot price the machine of '{stage}'; "
                "name an hourly rate",
                file=self.file,
            )
        return rate


def check_rate(name: str, *, on: date, file: Path, books: Sequence[Path] = ()) -> None:
    """Raise UnknownName or BadInput for a rate that nobody has; one without a price on that day is no error."""
    with suppress(Unpriced):
        PriceList(catalogue(books), on, file).rate(name)


@dataclass(frozen=True)
class Line:
    """One item of a stage's bill. Without a rate, `reason` says why; `usd` holds what each query costs."""

    stage: str
    item: str
    rate: PublishedRate | None
    usd: Mapping[str, Decimal]
    reason: str


def price_recording(folder: Path, *, books: Sequence[Path] = (), on: date, llm: str | None = None) -> Pricing:
    """Price a recording as of a day; writes costs.parquet and rates.json into its folder and returns what they say.

    `books` are rate books on top of the shipped ones, `llm` replaces the eval's. Raises BadInput for a recording or
    book that cannot be read and for a price under a name that does not exist.
    """
    recording = read_recording(folder)
    prices = PriceList(catalogue(books), on, folder / "manifest.json")
    bills: dict[str, list[Line]] = {}
    facts: dict[str, PipelineFacts] = {}
    with localcontext(EXACT):
        for pipeline in recording.config["pipelines"]:
            name = pipeline["name"]
            facts[name] = pipeline_facts(recording, name)
            entries = _entries(recording.config, pipeline, llm=llm)
            bills[name] = _bill(facts[name], entries, prices=prices, terms=_terms(entries, recording))
    write_table(folder / "costs.parquet", _table(bills, facts))
    write_json(folder / "rates.json", _document(bills, facts, recording, on=on, books=[*shipped_books(), *books]))
    return read_pricing(folder)


def _entries(config: Mapping[str, Any], pipeline: Mapping[str, Any], *, llm: str | None) -> dict[str, Any]:
    """The eval's prices, the pipeline's own on top; a missing entry inherits."""
    own = {key: value for key, value in (pipeline.get("prices") or {}).items() if value is not None}
    merged = {**(config.get("prices") or {}), **own}
    return {**merged, "llm": llm} if llm else merged


def _terms(entries: Mapping[str, Any], recording: Recording) -> Terms:
    written = entries.get("utilisation")
    try:
        utilisation = None if written is None else Decimal(str(written))
    except InvalidOperation:
        utilisation = Decimal(0)
    if utilisation is not None and not 0 < utilisation <= 1:
        raise BadInput(
            f'utilisation is {written!r}; write the busy share of paid hours, above 0 and at most 1, such as "0.5"',
            file=recording.folder / "manifest.json",
        )
    return Terms(utilisation, (recording.config.get("traffic") or {}).get("queries_per_month"))


def _bill(facts: PipelineFacts, entries: Mapping[str, Any], *, prices: PriceList, terms: Terms) -> list[Line]:
    lines = []
    for stage in facts.stages:
        own, machine = entries.get(ENTRY.get(stage, "")), entries.get("machine")
        if own:
            item = PROMPT if stage == "inject" else None
            lines.append(_line(stage, item, find=partial(prices.entry, own, stage), facts=facts, terms=terms))
        if machine and (stage == "inject" or not own):
            find = partial(prices.machine, machine, stage)
            lines.append(_line(stage, ITEMS["per_hour"], find=find, facts=facts, terms=terms))
        if not own and (stage == "inject" or not machine):
            lines.append(_without_rate(stage))
    return lines


def _line(
    stage: str, item: str | None, *, find: Callable[[], PublishedRate], facts: PipelineFacts, terms: Terms
) -> Line:
    """`item` None: it is called after the shape of its rate. A stage without a price gets its reason instead."""
    try:
        rate = find()
        counted = units(Demand(rate, stage, facts, terms))
    except Unpriced as missing:
        return Line(stage, item or UNPRICED, None, {}, str(missing))
    return Line(stage, item or ITEMS[rate.shape], rate, _usd(rate, counted), "")


def _usd(rate: PublishedRate, counted: Units) -> dict[str, Decimal]:
    """Every query's cost, to the 18 decimal places of the file; equal counts are priced once."""
    cost = cache(rate.cost)
    return {query_id: cost(amount).quantize(PLACES) for query_id, amount in counted.items()}


def _without_rate(stage: str) -> Line:
    entry = ENTRY.get(stage)
    if stage == "inject":
        return Line(stage, PROMPT, None, {}, "no rate for the prompt; name one under [prices] as llm")
    named = f"{entry} or machine" if entry else "machine"
    return Line(stage, UNPRICED, None, {}, f"no rate for {stage}; name one under [prices] as {named}")


def _table(bills: Mapping[str, list[Line]], facts: Mapping[str, PipelineFacts]) -> pd.DataFrame:
    """A row a query and item; one with null `rate` and `usd` for each query of an item that is unpriced."""
    rows = [
        (name, query_id, line.stage, line.item, line.rate.name if line.rate else None, line.usd.get(query_id))
        for name, lines in bills.items()
        for line in lines
        for query_id in (line.usd if line.rate else facts[name].query_ids)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        {name: pd.ArrowDtype(kind) for name, kind in COLUMNS.items()}
    )


def _document(
    bills: Mapping[str, list[Line]],
    facts: Mapping[str, PipelineFacts],
    recording: Recording,
    *,
    on: date,
    books: Sequence[Path],
) -> dict[str, Any]:
    applied = {line.rate.name: line.rate for lines in bills.values() for line in lines if line.rate}
    return {
        "format": 1,
        "on": on.isoformat(),
        "books": [book.name for book in books],
        "queries_per_month": (recording.config.get("traffic") or {}).get("queries_per_month"),
        "rates": {name: rate.as_json() for name, rate in sorted(applied.items())},
        "pipelines": {name: _summary(lines, facts[name]) for name, lines in bills.items()},
    }


def _summary(lines: Sequence[Line], facts: PipelineFacts) -> dict[str, Any]:
    return {
        "queries": len(facts.query_ids),
        "stages": list(facts.stages),
        "applied": [
            {"stage": line.stage, "item": line.item, "rate": line.rate.name, "queries": len(line.usd)}
            for line in lines
            if line.rate
        ],
        "unpriced": [
            {"stage": line.stage, "item": line.item, "reason": line.reason} for line in lines if not line.rate
        ],
    }
