"""Cost pass: recording + rates -> costs. Reads no clock and no qrels, and runs nothing again.

A stage is priced by the pipeline's own entry under `prices`, else by the eval's, else as machine time unless its model
runs elsewhere, else it is UNPRICED. The inject stage is the LLM's price of the prompt and, where a machine is named,
the machine time of packing. The generate stage is the LLM's price of the answer, or the machine time of both: never
both prices for one generation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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
from ragprof.price.billing import ITEMS, STAGE_ITEMS, Demand, Terms, answer_tokens, item_of, units
from ragprof.price.facts import PipelineFacts, Recording, pipeline_facts, read_recording
from ragprof.price.models import model_rate
from ragprof.price.pricing import EXACT, Pricing, read_pricing
from ragprof.price.rates import FREE, Catalogue, PublishedRate, Unpriced, catalogue, free_rate, shipped_books, valid_on

TEXT, USD = pa.string(), pa.decimal128(38, 18)
COLUMNS = {"pipeline": TEXT, "query_id": TEXT, "stage": TEXT, "item": TEXT, "rate": TEXT, "usd": USD}
PLACES = Decimal(1).scaleb(-18)
UNPRICED, REMOTE = "unpriced", ("openai_compatible", "rerank_api")
ELSEWHERE = "its reranker runs elsewhere, whose time this machine does not pay; name its rate under [prices] as rerank"
ENTRY: Mapping[str, str] = {
    "embed": "embed", "search": "search", "rerank": "rerank", "inject": "llm", "generate": "llm",
}  # fmt: skip


@dataclass(frozen=True)
class PriceList:
    """What names mean on one day. `file` is where a name that nobody has is complained of."""

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
            entries = price_entries(recording.config, pipeline, llm=llm)
            terms = price_terms(entries, recording.config, file=prices.file)
            bills[name] = _bill(facts[name], entries, prices=prices, terms=terms, elsewhere=_elsewhere(pipeline))
    write_table(folder / "costs.parquet", _table(bills, facts))
    write_json(folder / "rates.json", _document(bills, facts, recording, on=on, books=[*shipped_books(), *books]))
    return read_pricing(folder)


def price_entries(config: Mapping[str, Any], pipeline: Mapping[str, Any], *, llm: str | None) -> dict[str, Any]:
    """The eval's prices, the pipeline's own on top; a missing entry inherits."""
    own = {key: value for key, value in (pipeline.get("prices") or {}).items() if value is not None}
    merged = {**(config.get("prices") or {}), **own}
    return {**merged, "llm": llm} if llm else merged


def is_remote(part: str) -> bool:
    """Whether a generator's or reranker's name or identity is of one whose model runs elsewhere: this machine's time
    is not its."""
    return part.startswith(REMOTE)


def _elsewhere(pipeline: Mapping[str, Any]) -> set[str]:
    """The stages of a pipeline that wait for a model elsewhere."""
    parts = {"rerank": pipeline.get("reranker") or {}, "generate": pipeline.get("generator") or {}}
    remote = {stage for stage, part in parts.items() if is_remote(part.get("name", ""))}
    return remote - ({"rerank"} if _is_here(parts["rerank"]) else set())


def _is_here(reranker: Mapping[str, Any]) -> bool:
    """Whether a server of this machine scores: its time is this machine's."""
    if "base_url" not in reranker:
        return False
    from ragprof.http_calls import is_loopback

    return is_loopback(str(reranker["base_url"]))


def price_terms(entries: Mapping[str, Any], config: Mapping[str, Any], *, file: Path) -> Terms:
    """Raises BadInput for a utilisation that is no share."""
    written = entries.get("utilisation")
    try:
        utilisation = None if written is None else Decimal(str(written))
    except InvalidOperation:
        utilisation = Decimal(0)
    if utilisation is not None and not 0 < utilisation <= 1:
        raise BadInput(
            f'utilisation is {written!r}; write the busy share of paid hours, above 0 and at most 1, such as "0.5"',
            file=file,
        )
    return Terms(utilisation, (config.get("traffic") or {}).get("queries_per_month"))


def _bill(
    facts: PipelineFacts,
    entries: Mapping[str, Any],
    *,
    prices: PriceList,
    terms: Terms,
    elsewhere: Collection[str],
) -> list[Line]:
    lines = []
    generates_here = "generate" not in elsewhere
    answers_by_hour = "generate" in facts.stages and _by_the_hour(entries, prices, generates_here=generates_here)
    for stage in facts.stages:
        own = entries.get(ENTRY.get(stage, ""))
        machine = None if stage in elsewhere else entries.get("machine")
        has_own_price = stage != "inject" or not answers_by_hour
        line = partial(_line, stage, facts=facts, terms=terms)
        if own and has_own_price:
            lines.append(line(STAGE_ITEMS.get(stage), find=partial(prices.entry, own, stage)))
        if machine and (stage == "inject" or not own):
            lines.append(line(ITEMS["per_hour"], find=partial(prices.machine, machine, stage)))
        if not own and has_own_price and (stage == "inject" or not machine):
            lines.append(_without_rate(stage, elsewhere))
    return lines


def _by_the_hour(entries: Mapping[str, Any], prices: PriceList, *, generates_here: bool) -> bool:
    """Whether a generation is paid by its machine's time, which reading the prompt is a part of."""
    own = entries.get("llm")
    if not own:
        return bool(entries.get("machine")) and generates_here
    try:
        return prices.rate(own).shape == "per_hour"
    except Unpriced:
        return False


def _line(
    stage: str, item: str | None, *, find: Callable[[], PublishedRate], facts: PipelineFacts, terms: Terms
) -> Line:
    """`item` is what the line is called where no rate can say so. Without a price it gets its reason instead."""
    try:
        rate = find()
        usd = _usd(Demand(rate, stage, facts, terms))
    except Unpriced as missing:
        return Line(stage, item or UNPRICED, None, {}, str(missing))
    return Line(stage, item if item == ITEMS["per_hour"] else item_of(rate, stage), rate, usd, "")


def _usd(demand: Demand) -> dict[str, Decimal]:
    """Every query's cost, to the 18 decimal places of the file; equal counts are priced once."""
    rate = demand.rate
    if demand.stage == "generate" and rate.shape not in ("per_hour", FREE):
        answer = cache(lambda tokens: rate.call(prompt_tokens=tokens[0], answer_tokens=tokens[1]).answer)
        return {query_id: answer(tokens).quantize(PLACES) for query_id, tokens in answer_tokens(demand).items()}
    cost = cache(rate.cost)
    return {query_id: cost(amount).quantize(PLACES) for query_id, amount in units(demand).items()}


def _without_rate(stage: str, elsewhere: Collection[str]) -> Line:
    entry = ENTRY.get(stage)
    if stage == "rerank" and stage in elsewhere:
        return Line(stage, UNPRICED, None, {}, ELSEWHERE)
    if stage == "inject":
        return Line(stage, STAGE_ITEMS[stage], None, {}, "no rate for the prompt; name one under [prices] as llm")
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
