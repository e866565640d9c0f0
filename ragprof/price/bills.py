"""Cost pass: recording + rates -> costs. Reads no clock and no qrels, and runs nothing again.

A stage is priced by the pipeline's own entry under `prices`, else by the eval's, else as machine time unless its model
runs elsewhere, else it is UNPRICED. The inject stage is the LLM's price of the prompt and, where a machine is named,
the machine time of packing. The generate stage is the LLM's price of the answer, or the machine time of both: never
both prices for one generation.

How many units of a rate one query uses: a search unit of Cohere (docs.cohere.com, reranking best practices;
learn.microsoft.com, deploy Cohere Rerank) is one query with at most so many documents; a document that does not fit the
window together with the query is split, and each piece counts as a document. Bedrock splits in the same way. Voyage
and Jina bill tokens (docs.voyageai.com, FAQ): query tokens x documents + tokens of all documents.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation, localcontext
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ragprof.core import OTHER, in_order
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.files import write_table
from ragprof.core.recorded import of_recording, write_sealed
from ragprof.evals.recorded import ANY, RANKING, SPANS, TOKENS, USAGE, read_manifest
from ragprof.evals.settings import SETTINGS_FILE, settings_of
from ragprof.price.parsing import UNNAMED, parsing_bill, reading_of
from ragprof.price.pricing import EXACT, MACHINE_TIME, PricedRecording, plain, read_pricing
from ragprof.price.rates import (
    FREE,
    Catalogue,
    PublishedRate,
    Unpriced,
    catalogue,
    free_rate,
    model_rate,
    shipped_books,
    valid_on,
)

if TYPE_CHECKING:
    import pandas as pd


ByQuery: TypeAlias = Mapping[str, int]
ByQueryTime: TypeAlias = Mapping[str, Decimal]


@dataclass(frozen=True)
class Recording:
    """The tables that all pipelines share; `spans` is empty where no timings were recorded."""

    folder: Path
    config: Mapping[str, Any]
    usage: pd.DataFrame
    tokens: pd.DataFrame
    spans: pd.DataFrame

    @cached_property
    def tokens_of(self) -> dict[str, dict[str, int]]:
        """query or doc -> id -> tokens."""
        return {
            str(kind): dict(zip(of["id"].tolist(), of["tokens"].tolist(), strict=True))
            for kind, of in self.tokens.groupby("kind")
        }


@dataclass(frozen=True)
class PipelineFacts:
    """One pipeline of a recording. `busy_ns` holds only the queries that were timed: a mean over rounds."""

    folder: Path
    name: str
    query_ids: tuple[str, ...]
    stages: tuple[str, ...]
    usage: Mapping[tuple[str, str], ByQuery]
    query_tokens: ByQuery
    doc_tokens: ByQuery
    busy_ns: Mapping[str, Mapping[str, Decimal]]
    is_embedded_elsewhere: bool = field(default=False, kw_only=True)
    """Whether a server embeds, which counts what it reads."""

    def candidates(self) -> dict[str, list[int]]:
        """query_id -> tokens of each document that the search gave the reranker; empty where it found none."""
        path = self.folder / "rankings" / f"{self.name}.parquet"
        ranking = RANKING.read(path)
        found = ranking[ranking["stage"] == "search"]
        tokens = found["doc_id"].map(self.doc_tokens)
        if tokens.isna().any():
            missing = found["doc_id"][tokens.isna()].iloc[0]
            raise BadInput(f"tokens.parquet has no document '{missing}'; record it again with 'ragprof run'", file=path)
        per_query: dict[str, list[int]] = {query_id: [] for query_id in self.query_ids}
        for query_id, count in zip(found["query_id"].tolist(), tokens.astype(int).tolist(), strict=True):
            per_query.setdefault(query_id, []).append(count)
        return per_query

    def tokens_of_query(self, query_id: str) -> int:
        if query_id not in self.query_tokens:
            raise BadInput(
                f"no query '{query_id}' in it; record it again with 'ragprof run'", file=self.folder / "tokens.parquet"
            )
        return self.query_tokens[query_id]


def read_recording(folder: Path, settings: Mapping[str, Any] | None = None) -> Recording:
    """Priced by `settings`, else by its own. Raises BadInput where a file is missing, unreadable or of no recording."""
    import pandas as pd

    spans, timed = folder / "spans.parquet", ["pipeline", "phase", "round", "query_id", "stage", "duration_ns"]
    return Recording(
        folder=folder,
        config=settings_of(folder) if settings is None else settings,
        usage=USAGE.read(folder / "usage.parquet"),
        tokens=TOKENS.read(folder / "tokens.parquet"),
        spans=SPANS.read(spans)[timed] if spans.exists() else pd.DataFrame(columns=timed),
    )


def pipeline_facts(recording: Recording, name: str) -> PipelineFacts:
    """Raises BadInput for a pipeline without recorded usage."""
    usage = recording.usage[recording.usage["pipeline"] == name]
    if usage.empty:
        raise BadInput(
            f"it has nothing of the pipeline '{name}'; run it first", file=recording.folder / "usage.parquet"
        )
    spans = recording.spans
    mine = spans[spans["pipeline"] == name]
    timed = mine[mine["phase"] == "timed"]
    per_round = timed.groupby(["stage", "query_id", "round"])["duration_ns"].sum().reset_index()
    busy: dict[str, dict[str, Decimal]] = {}
    for (stage, query_id), rounds in per_round.groupby(["stage", "query_id"])["duration_ns"]:
        # Summed as Python's integers: ns of many rounds stay exact.
        busy.setdefault(str(stage), {})[str(query_id)] = Decimal(sum(rounds.tolist())) / len(rounds)
    declared: Mapping[str, Any] = next((each for each in recording.config["pipelines"] if each["name"] == name), {})
    if declared.get("app") is not None:
        busy |= _unattributed(busy)
    present = {*usage["stage"], *mine["stage"], *busy} - {
        WHOLE
    }  # where nothing was timed, its first call still shows each stage
    return PipelineFacts(
        folder=recording.folder,
        name=name,
        query_ids=tuple(sorted(set(usage["query_id"]))),
        stages=tuple(in_order(present)),
        usage={
            (str(stage), str(unit)): dict(zip(of["query_id"], of["count"].tolist(), strict=True))
            for (stage, unit), of in usage.groupby(["stage", "unit"])
        },
        query_tokens=recording.tokens_of.get("query", {}),
        doc_tokens={**recording.tokens_of.get("outside", {}), **recording.tokens_of.get("doc", {})},
        busy_ns=busy,
        is_embedded_elsewhere=(declared.get("embedder") or {}).get("name") in HOSTED_EMBEDDERS,
    )


def _unattributed(busy: Mapping[str, ByQueryTime]) -> dict[str, dict[str, Decimal]]:
    """What no stage accounts for: in a pipeline of the user's own that may be much of its time, and is paid alike."""
    stages = [each for stage, each in busy.items() if stage != WHOLE]
    whole = busy.get(WHOLE, {})
    rest = {query_id: ns - sum(each.get(query_id, Decimal(0)) for each in stages) for query_id, ns in whole.items()}
    return {UNATTRIBUTED: rest} if any(ns > 0 for ns in rest.values()) else {}


NS_PER_HOUR = 3_600 * 10**9
WHOLE, UNATTRIBUTED = "query", f"{OTHER}unattributed"
UNTIMED = "no timed query, so no machine time"
NO_PROMPTS = "the recording has no 'prompt_tokens' of 'inject'"
Units: TypeAlias = Mapping[str, Decimal]
"""query_id -> units; a query that was not measured is not in it."""


@dataclass(frozen=True)
class BillingTerms:
    """What a bill needs besides the recording: the share of paid hours that is busy, and the month's traffic."""

    utilisation: Decimal | None
    queries_per_month: int | None


@dataclass(frozen=True)
class Demand:
    """One stage of one pipeline, to be counted in the units of one rate."""

    rate: PublishedRate
    stage: str
    facts: PipelineFacts
    terms: BillingTerms


ITEMS: Mapping[str, str] = {
    "per_search": "search units",
    "per_request": "requests",
    "per_input_token": "input tokens",
    "per_hour": MACHINE_TIME,
    "per_month": "monthly fee",
    "per_page": "pages",
    FREE: "free",
}


STAGE_ITEMS: Mapping[str, str] = {"inject": "prompt tokens", "generate": "output tokens"}
"""What an LLM's price of a stage is called, whatever shape the rate has."""


def units(demand: Demand) -> Units:
    """Units of each query. Raises Unpriced where the stage has nothing that this shape could count."""
    name, facts, terms = demand.rate.name, demand.facts, demand.terms
    if demand.rate.shape == FREE:
        return dict.fromkeys(facts.query_ids, Decimal(0))
    if demand.rate.shape == "per_month":
        if not terms.queries_per_month:
            raise Unpriced(f"'{name}' is a monthly fee; set queries_per_month under [traffic] to share it out")
        return dict.fromkeys(facts.query_ids, Decimal(1) / terms.queries_per_month)
    if demand.rate.shape == "per_hour":
        busy = facts.busy_ns.get(demand.stage)
        if not busy:
            raise Unpriced(f"{UNTIMED} for '{name}'; record timings first")
        return {query_id: paid_hours(ns, rate=demand.rate, terms=terms) for query_id, ns in busy.items()}
    return _input_tokens(demand) if demand.rate.shape == "per_input_token" else _calls(demand)


def paid_hours(busy_ns: Decimal, *, rate: PublishedRate, terms: BillingTerms) -> Decimal:
    """Hours of a machine that is paid while it is idle too. Raises Unpriced without a utilisation."""
    if terms.utilisation is None:
        raise Unpriced(
            f"'{rate.name}' is billed per hour; set utilisation under [prices], the busy share of paid hours"
        )
    return busy_ns / NS_PER_HOUR / terms.utilisation


def pieces(document_tokens: int, *, query_tokens: int, window_tokens: int | None) -> int:
    """As how many documents one counts: 1, or more where it does not fit the window together with the query.

    A query longer than half the window counts as half of it, which is where Cohere cuts queries.
    """
    if window_tokens is None:
        return 1
    room = window_tokens - min(query_tokens, window_tokens // 2)
    return max(1, -(-document_tokens // room))


def calls(document_tokens: Sequence[int], *, query_tokens: int, rate: PublishedRate) -> int:
    """Searches or requests for one query's documents; 0 without documents."""
    count = sum(
        pieces(tokens, query_tokens=query_tokens, window_tokens=rate.window_tokens) for tokens in document_tokens
    )
    return -(-count // rate.docs_per_unit) if rate.docs_per_unit else min(count, 1)


def pair_tokens(document_tokens: Sequence[int], *, query_tokens: int) -> int:
    """The query once for every document, and the documents."""
    return query_tokens * len(document_tokens) + sum(document_tokens)


def _calls(demand: Demand) -> Units:
    rate, stage, facts = demand.rate, demand.stage, demand.facts
    if stage == "search" and rate.shape != "per_page":
        return _searches(facts)
    if stage != "rerank" or rate.shape == "per_page":
        raise Unpriced(f"'{rate.name}' is billed {rate.shape.replace('_', ' ')}, which '{stage}' has none of")
    asked = facts.tokens_of_query if rate.window_tokens else lambda _: 0
    return {
        query_id: Decimal(calls(tokens, query_tokens=asked(query_id), rate=rate))
        for query_id, tokens in facts.candidates().items()
    }


def _searches(facts: PipelineFacts) -> Units:
    """As many as there were, of the queries that were asked live; one for each query where all of those had one.

    An app may search several times for a question, or not at all.
    """
    counts = facts.usage.get(("search", "searches"), {})
    found = {query_id: counts.get(query_id, 0) for query_id in {**facts.busy_ns.get(WHOLE, {}), **counts}}
    if not counts or set(found.values()) == {1}:
        return dict.fromkeys(facts.query_ids, Decimal(1))
    return {query_id: Decimal(count) for query_id, count in found.items()}


def _input_tokens(demand: Demand) -> Units:
    facts = demand.facts
    if demand.stage == "embed":
        counted_there = facts.usage.get(("embed", "input_tokens"), {}) if facts.is_embedded_elsewhere else {}
        if all(query_id in counted_there for query_id in facts.query_ids):
            return {query_id: Decimal(counted_there[query_id]) for query_id in facts.query_ids}
        return {query_id: Decimal(facts.tokens_of_query(query_id)) for query_id in facts.query_ids}
    if demand.stage == "inject":
        counts, queries = facts.usage.get(("inject", "prompt_tokens")), len(facts.query_ids)
        if counts is None:
            raise Unpriced(NO_PROMPTS)
        if len(counts) < queries:
            raise Unpriced(
                f"the recording has 'prompt_tokens' of 'inject' for {len(counts)} of {counted(queries, 'query')}"
            )
        return {query_id: Decimal(count) for query_id, count in counts.items()}
    if demand.stage != "rerank":
        raise Unpriced(f"'{demand.rate.name}' is billed per input token, and '{demand.stage}' reads none")
    return {
        query_id: Decimal(pair_tokens(tokens, query_tokens=facts.tokens_of_query(query_id)))
        for query_id, tokens in facts.candidates().items()
    }


PLACES = Decimal(1).scaleb(-18)
UNPRICED, REMOTE = "unpriced", ("openai_compatible", "rerank_api")
HOSTED_EMBEDDERS = ("openai_compatible", "cohere", "voyage", "jina")
NAME_ONE = "name one under [prices]"
ELSEWHERE: Mapping[str, str] = {
    stage: f"its {part} runs elsewhere, whose time this machine does not pay; name its rate under [prices] as {stage}"
    for stage, part in (("embed", "embedder"), ("rerank", "reranker"))
}
ENTRY: Mapping[str, str] = {
    "embed": "embed", "search": "search", "rerank": "rerank", "inject": "llm", "generate": "llm",
}  # fmt: skip


@dataclass(frozen=True)
class PriceList:
    """What names mean at one hour (UTC) of a day. `file` is where a name that nobody has is complained of."""

    known: Catalogue
    on: date
    file: Path
    hour: int = 0

    @classmethod
    def of(cls, config: Mapping[str, Any], *, books: Sequence[Path], on: date, file: Path) -> PriceList:
        """The shipped books with these on top, at the hour that the eval states under [prices]."""
        settings = file.with_name(SETTINGS_FILE)
        named_in = settings if settings.exists() else file
        return cls(catalogue(books), on, named_in, (config.get("prices") or {}).get("hour") or 0)

    def rate(self, name: str) -> PublishedRate:
        """Raises UnknownName or BadInput for a name nobody has, Unpriced where it has no rate on that day."""
        if name == FREE:
            return free_rate()
        if name in self.known:
            return valid_on(self.known[name], self.on)
        if ":" in name:
            return model_rate(name, self.on, self.hour)
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
class BillLine:
    """One item of a stage's bill. Without a rate, `reason` says why; `usd` holds what each query costs."""

    stage: str
    item: str
    rate: PublishedRate | None
    usd: Mapping[str, Decimal]
    reason: str


@of_recording
def price_recording(
    folder: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    books: Sequence[Path] = (),
    on: date,
    llm: str | None = None,
) -> PricedRecording:
    """Price a recording as of a day; writes costs.parquet and rates.json into its folder and returns what they say.

    `settings` is the configuration to price it by, its own where none is given; `books` are rate books on top of the
    shipped ones, `llm` replaces the eval's. Raises BadInput for a recording or book that cannot be read and for a price
    under a name that does not exist.
    """
    import pandas as pd

    from ragprof.price.columns import COLUMNS

    recording = read_recording(folder, settings)
    prices = PriceList.of(recording.config, books=books, on=on, file=folder / "manifest.json")
    bills: dict[str, list[BillLine]] = {}
    facts: dict[str, PipelineFacts] = {}
    with localcontext(EXACT):
        for pipeline in recording.config["pipelines"]:
            name = pipeline["name"]
            facts[name] = pipeline_facts(recording, name)
            entries = price_entries(recording.config, pipeline, llm=llm)
            terms = price_terms(entries, recording.config, file=prices.file)
            bills[name] = _bill(facts[name], entries, prices=prices, terms=terms, elsewhere=_elsewhere(pipeline))
    # A row a query and item; one with null `rate` and `usd` for each query of an item that is unpriced.
    rows = [
        (name, query_id, line.stage, line.item, line.rate.name if line.rate else None, line.usd.get(query_id))
        for name, lines in bills.items()
        for line in lines
        for query_id in (line.usd if line.rate else facts[name].query_ids)
    ]
    kinds = {name: pd.ArrowDtype(kind) for name, kind in COLUMNS.items()}
    write_table(folder / "costs.parquet", pd.DataFrame(rows, columns=list(COLUMNS)).astype(kinds))
    document = _document(bills, facts, recording, on=on, books=[*shipped_books(), *books])
    document |= _parsing(folder, recording.config, prices, document["rates"])
    indexing = {
        pipeline["name"]: bill
        for pipeline in recording.config["pipelines"]
        if (bill := _indexing(recording, pipeline, prices, llm=llm)) is not None
    }
    write_sealed(folder / "rates.json", document | ({"indexing": indexing} if indexing else {}), "costs.parquet")
    return read_pricing(folder)


def _indexing(
    recording: Recording, pipeline: Mapping[str, Any], prices: PriceList, *, llm: str | None
) -> dict[str, Any] | None:
    """What embedding the corpus costs once, by the token; None where it is paid by nobody's tokens.

    Tokens are the server's own where it embedded the corpus and counted them, else those of the eval's tokenizer.
    """
    embedder, own = pipeline.get("embedder"), price_entries(recording.config, pipeline, llm=llm).get("embed")
    is_hosted = embedder is not None and embedder.get("name") in HOSTED_EMBEDDERS
    if embedder is None or not (is_hosted or own):
        return None
    is_whole = is_hosted and (recording.folder / "manifest.json").exists()
    told = read_manifest(recording.folder, ANY).get("embedded_tokens", {}) if is_whole else {}
    tokens = told.get(pipeline["name"])
    by = "server" if tokens is not None else "tokenizer"
    tokens = sum(recording.tokens_of.get("doc", {}).values()) if tokens is None else tokens
    bill: dict[str, Any] = {"tokens": tokens, "counted_by": by, "rate": None, "usd": None, "reason": ""}
    try:
        if not own:
            raise Unpriced(f"no rate for embed; {NAME_ONE} as embed")
        rate = prices.rate(own)
        if rate.shape not in ("per_input_token", FREE):
            raise Unpriced(f"'{rate.name}' is billed {rate.shape.replace('_', ' ')}, and an index by the token")
        with localcontext(EXACT):
            return {**bill, "rate": rate.name, "usd": plain(rate.cost(Decimal(tokens)))}
    except Unpriced as missing:
        return {**bill, "reason": str(missing)}


def _parsing(folder: Path, config: Mapping[str, Any], prices: PriceList, applied: dict[str, Any]) -> dict[str, Any]:
    """The bill of parsing the corpus, and its rate among those applied; nothing where the recording parsed no file."""
    account = reading_of(read_manifest(folder, ANY).get("corpus")) if (folder / "manifest.json").exists() else None
    if account is None or not account.parsed:
        return {}
    entries = price_entries(config, {}, llm=None)
    rate, reason, own, machine = None, UNNAMED, entries.get("parse"), entries.get("machine")
    with localcontext(EXACT):
        try:
            rate = prices.rate(own) if own else prices.machine(machine, "parse") if machine else None
        except Unpriced as missing:
            reason = str(missing)
        terms = price_terms(entries, config, file=prices.file)
        bill = parsing_bill(account, rate, utilisation=terms.utilisation, reason=reason)
    if rate is None or bill["usd"] is None:
        return {"parsing": bill}
    return {"parsing": bill, "rates": {**applied, rate.name: rate.as_json()}}


def price_entries(config: Mapping[str, Any], pipeline: Mapping[str, Any], *, llm: str | None) -> dict[str, Any]:
    """The eval's prices, the pipeline's own on top; a missing entry inherits."""
    own = {key: value for key, value in (pipeline.get("prices") or {}).items() if value is not None}
    merged = {**(config.get("prices") or {}), **own}
    return {**merged, "llm": llm} if llm else merged


PAID_PARTS: Mapping[str, str] = {"embed": "embedder", "rerank": "reranker", "generate": "generator"}
"""Stage -> its part, where that may be a server of somebody else."""
ANY_STAGE = "*"
"""Stands for all stages of a pipeline of the user's own that runs elsewhere."""


def is_remote(part: str) -> bool:
    """Whether a generator's or reranker's name or identity is of one whose model runs elsewhere: this machine's time
    is not its."""
    return part.startswith(REMOTE)


def _elsewhere(pipeline: Mapping[str, Any]) -> set[str]:
    """The stages of a pipeline that wait for a model elsewhere; a server of this machine takes this machine's time."""
    app = str(pipeline.get("app") or "")
    if app.startswith(("http://", "https://")):
        from ragprof.parts.http.calls import is_loopback

        return set() if is_loopback(app) else {ANY_STAGE}
    parts = {stage: pipeline.get(part) or {} for stage, part in PAID_PARTS.items()}
    remote = {stage for stage, part in parts.items() if stage != "embed" and is_remote(part.get("name", ""))}
    remote |= {"embed"} if parts["embed"].get("name") in HOSTED_EMBEDDERS else set()
    addresses = {stage: parts[stage].get("base_url") for stage in remote & {"embed", "rerank"}}
    if parts["embed"].get("dialect") == "ollama" and not addresses.get("embed"):
        return remote - {"embed"}
    if not any(addresses.values()):
        return remote
    from ragprof.parts.http.calls import is_loopback

    return remote - {stage for stage, address in addresses.items() if address and is_loopback(str(address))}


def price_terms(entries: Mapping[str, Any], config: Mapping[str, Any], *, file: Path) -> BillingTerms:
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
    return BillingTerms(utilisation, (config.get("traffic") or {}).get("queries_per_month"))


def _bill(
    facts: PipelineFacts,
    entries: Mapping[str, Any],
    *,
    prices: PriceList,
    terms: BillingTerms,
    elsewhere: Collection[str],
) -> list[BillLine]:
    lines = []
    # A generation that is paid by its machine's time has paid for reading the prompt too.
    llm, answers_by_hour = entries.get("llm"), False
    if "generate" in facts.stages and llm:
        with suppress(Unpriced):
            answers_by_hour = prices.rate(llm).shape == "per_hour"
    elif "generate" in facts.stages:
        answers_by_hour = bool(entries.get("machine")) and not {"generate", ANY_STAGE} & set(elsewhere)
    for stage in facts.stages:
        own = entries.get(ENTRY.get(stage, ""))
        # What no span of an app shows is in the time of its other stages, or in what nobody attributed.
        is_timed = not facts.busy_ns or stage in facts.busy_ns
        machine = entries.get("machine") if is_timed and not {stage, ANY_STAGE} & set(elsewhere) else None
        has_own_price = stage != "inject" or not answers_by_hour
        line = partial(_line, stage, facts=facts, terms=terms)
        if own and has_own_price:
            lines.append(line(STAGE_ITEMS.get(stage), find=partial(prices.entry, own, stage)))
        if machine and (stage == "inject" or not own):
            lines.append(line(ITEMS["per_hour"], find=partial(prices.machine, machine, stage)))
        if stage == UNATTRIBUTED and not machine:
            continue
        if not own and has_own_price and (stage == "inject" or not machine):
            entry, item = ENTRY.get(stage), STAGE_ITEMS[stage] if stage == "inject" else UNPRICED
            reason = f"no rate for {stage}; {NAME_ONE} as {f'{entry} or machine' if entry else 'machine'}"
            if stage == "inject":
                reason = f"no rate for the prompt; {NAME_ONE} as llm"
            elif stage in ELSEWHERE and stage in elsewhere:
                reason = ELSEWHERE[stage]
            lines.append(BillLine(stage, item, None, {}, reason))
    return lines


def _line(
    stage: str, item: str | None, *, find: Callable[[], PublishedRate], facts: PipelineFacts, terms: BillingTerms
) -> BillLine:
    """`item` is what the line is called where no rate can say so. Without a price it gets its reason instead."""
    try:
        rate = find()
        usd = _usd(Demand(rate, stage, facts, terms))
    except Unpriced as missing:
        return BillLine(stage, item or UNPRICED, None, {}, str(missing))
    is_time = ITEMS["per_hour"] in (item, ITEMS[rate.shape])
    called = ITEMS["per_hour"] if is_time else STAGE_ITEMS.get(stage, ITEMS[rate.shape])
    return BillLine(stage, called, rate, usd, "")


def question_costs(recording: Recording, pipeline: str, stage: str, rate: PublishedRate) -> list[Decimal]:
    """What each question of a recording would cost at a stage by this rate, whoever did it; in order of their ids.

    Of `generate` it is prompt and answer together. Raises Unpriced where the recording has nothing that it counts.
    """
    facts, terms = pipeline_facts(recording, pipeline), BillingTerms(None, None)
    with localcontext(EXACT):
        usd = _usd(Demand(rate, stage, facts, terms))
        if stage == "generate":
            read = _usd(Demand(rate, "inject", facts, terms))
            usd = {query_id: cost + read[query_id] for query_id, cost in usd.items() if query_id in read}
    return [usd[query_id] for query_id in sorted(usd)]


def _usd(demand: Demand) -> dict[str, Decimal]:
    """Every query's cost, to the 18 decimal places of the file; equal counts are priced once."""
    rate, usage = demand.rate, demand.facts.usage
    if demand.stage == "generate" and rate.shape not in ("per_hour", FREE):
        prompts, answers = usage.get(("inject", "prompt_tokens")), usage.get(("generate", "output_tokens"))
        if prompts is None:
            raise Unpriced(NO_PROMPTS)
        if not answers:
            raise Unpriced("no query was answered, so no 'output_tokens' of 'generate'; record timings first")
        # The prompt's tokens belong to an answer's price: some models take more for the answer to a long prompt.
        call = cache(lambda prompt, answer: rate.call(prompt_tokens=prompt, answer_tokens=answer).answer)
        answered = {query_id: (prompts[query_id], count) for query_id, count in answers.items() if query_id in prompts}
        return {query_id: call(*tokens).quantize(PLACES) for query_id, tokens in answered.items()}
    cost = cache(rate.cost)
    return {query_id: cost(amount).quantize(PLACES) for query_id, amount in units(demand).items()}


def _document(
    bills: Mapping[str, list[BillLine]],
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
        "pipelines": {
            name: {
                "queries": len(facts[name].query_ids),
                "stages": list(facts[name].stages),
                "applied": [
                    {"stage": line.stage, "item": line.item, "rate": line.rate.name, "queries": len(line.usd)}
                    for line in lines
                    if line.rate
                ],
                "unpriced": [
                    {"stage": line.stage, "item": line.item, "reason": line.reason} for line in lines if not line.rate
                ],
            }
            for name, lines in bills.items()
        },
    }
