"""Price of rerankers: a recording of rerankers + rates -> costs. Reads no clock and no qrels, and scores nothing again.

A pipeline's reranker is priced by the pipeline's own `prices.rerank`, else the eval's, else as machine time unless it
runs elsewhere, else it is UNPRICED. A student is another reranker over the same candidates, and nobody wrote a price
beside it: what the pipeline's own reranker is billed says nothing of it. A student that runs here takes `machine`, or
the hourly rate that stands as `rerank` for a pipeline whose own reranker runs here too; one that runs elsewhere is
UNPRICED. Where `rerank` is "free", so are its students, but for one elsewhere beside a teacher that runs here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from ragprof.core.files import write_table
from ragprof.core.ranking import id_ranks
from ragprof.core.recorded import write_sealed
from ragprof.evals import settings_of
from ragprof.evals.recorded import TOKENS
from ragprof.price.bills import (
    ELSEWHERE,
    PLACES,
    BillingTerms,
    Demand,
    PipelineFacts,
    PriceList,
    price_entries,
    price_terms,
    units,
)
from ragprof.price.columns import TEXT, USD
from ragprof.price.pricing import EXACT
from ragprof.price.rates import FREE, PublishedRate, Unpriced, shipped_books
from ragprof.studies.reranker.recorded import (
    MANIFEST,
    RERANK,
    SEARCH,
    TABLES,
    CandidateTable,
    RecordedArm,
    candidates_at,
    check_candidates,
)

Counts = NDArray[np.int64]
COLUMNS = {"arm": TEXT, "depth": pa.int64(), "query_id": TEXT, "units": pa.float64(), "usd": USD}
STAGE, MILLION = "rerank", 1_000_000
STUDENT_ELSEWHERE = (
    "a student that runs elsewhere has no price here; make a pipeline of it and name its rate under [prices] as rerank"
)


@dataclass(frozen=True)
class Recorded:
    """A recording of rerankers, read for pricing. `home` is the recording that it lies in.

    `candidates` are numbered by `query` and by their doc_id's `standing`.
    """

    home: Path
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    candidates: pd.DataFrame
    live: pd.DataFrame

    @classmethod
    def read(cls, folder: Path, settings: Mapping[str, Any] | None) -> Recorded:
        """Raises BadInput for a candidate without a score or of a query that was not asked."""
        place = folder / "reranker"
        manifest, rows = MANIFEST.read(place / "manifest.json"), TABLES["candidates"].read(place / "candidates.parquet")
        check_candidates(rows, manifest["query_ids"], place / "candidates.parquet")
        codes, doc_ids = pd.factorize(rows["doc_id"])
        query = pd.Index(manifest["query_ids"]).get_indexer(pd.Index(rows["query_id"]))
        numbered = rows.assign(query=query, standing=id_ranks(doc_ids.tolist())[codes])
        return cls(
            folder, manifest, settings or settings_of(place), numbered, TABLES["live"].read(place / "live.parquet")
        )

    @cached_property
    def arms(self) -> dict[str, RecordedArm]:
        return {name: RecordedArm.model_validate(arm) for name, arm in self.manifest["arms"].items()}

    @property
    def query_ids(self) -> tuple[str, ...]:
        return tuple(self.manifest["query_ids"])

    def at(self, name: str, depth: int) -> pd.DataFrame:
        return candidates_at(self.candidates, name, self.arms[name], depth)

    def entries(self, name: str, llm: str | None = None) -> dict[str, Any]:
        """The prices of an arm's pipeline, the eval's where it has none of its own."""
        pipeline = next(each for each in self.config["pipelines"] if each["name"] == self.arms[name].pipeline)
        return price_entries(self.config, pipeline, llm=llm)

    def facts(self, name: str, depth: int) -> DepthFacts:
        """What the reranker was given at a depth, and the mean ns of its live rounds by query, exactly."""
        rows = self.at(name, depth)
        given: dict[str, list[int]] = {query_id: [] for query_id in self.query_ids}
        for query_id, count in zip(rows["query_id"].tolist(), rows["tokens"].tolist(), strict=True):
            given[query_id].append(count)
        live = self.live[(self.live["arm"] == name) & (self.live["depth"] == depth) & self.live["rerank_ns"].notna()]
        busy = {
            str(query_id): Decimal(sum(int(ns) for ns in rounds.tolist())) / len(rounds)
            for query_id, rounds in live.groupby("query_id")["rerank_ns"]
        }
        return DepthFacts(
            folder=self.home, name=name, query_ids=self.query_ids, stages=(STAGE,), usage={},
            query_tokens=self._query_tokens, doc_tokens={}, busy_ns={STAGE: busy}, given=given,
        )  # fmt: skip

    @cached_property
    def _query_tokens(self) -> dict[str, int]:
        tokens = TOKENS.read(self.home / "tokens.parquet")
        rows = tokens[tokens["kind"] == "query"]
        return dict(zip(rows["id"].tolist(), rows["tokens"].tolist(), strict=True))

    def prompts(self) -> pd.DataFrame:
        """Tokens of the first 1 to max_k passages, a row a query and k; all that there is, if a ranking is shorter.

        The search's order at each arm's own depth and the reranker's at every depth.
        """
        most, tables = int(self.manifest["max_k"]), []
        for name, arm in self.arms.items():
            for ranking, depth in ((SEARCH, arm.own_depth), *((RERANK, depth) for depth in arm.depths)):
                rows = self.at(name, depth)
                table = CandidateTable.of(rows.assign(place=np.arange(len(rows))), queries=len(self.query_ids))
                ranks = np.append(rows["standing"].to_numpy(np.int64), -1)
                places = table.searched if ranking == SEARCH else table.reranked(ranks)
                tokens = np.append(rows["tokens"].to_numpy(np.int64), 0)
                keys = {"arm": name, "ranking": ranking, "depth": depth, "query_id": np.repeat(self.query_ids, most)}
                ks = np.tile(np.arange(1, most + 1), len(self.query_ids))
                context = _first(np.cumsum(tokens[places], axis=-1), most).ravel()
                tables.append(pd.DataFrame({**keys, "k": ks, "context_tokens": context}))
        return pd.concat(tables, ignore_index=True)


def _first(sums: Counts, most: int) -> Counts:
    """The first `most` columns; the last one again where there are fewer, 0 where there is none."""
    if not sums.shape[-1]:
        return np.zeros((len(sums), most), np.int64)
    return sums[:, np.minimum(np.arange(most), sums.shape[-1] - 1)]


@dataclass(frozen=True)
class DepthFacts(PipelineFacts):
    """What one arm was given at one depth, to be counted in the units of a rate."""

    given: Mapping[str, list[int]]

    def candidates(self) -> dict[str, list[int]]:
        return dict(self.given)


@dataclass(frozen=True)
class QueryCost:
    """What one query used, and what that costs."""

    units: Decimal
    usd: Decimal


@dataclass(frozen=True)
class ArmBill:
    """One arm's bill by depth; a depth that is in `unpriced` has its reason there and no costs.

    `name` is the rate's name, None where none applies; `rate` is None where the name has no price on the day.
    """

    name: str | None
    rate: PublishedRate | None
    terms: BillingTerms
    costs: Mapping[int, Mapping[str, QueryCost]]
    unpriced: Mapping[int, str]


def price(
    folder: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    books: Sequence[Path] = (),
    on: date,
    llm: str | None = None,
) -> None:
    """Write reranker/{costs,prompts}.parquet and reranker/rates.json of a recording's folder.

    `settings` is the configuration to price it by, its own where none is given; `books` are rate books on top of the
    shipped ones, `llm` replaces the eval's. Raises BadInput for files that cannot be read, and for a price
    under a name that does not exist.
    """
    recorded, place = Recorded.read(folder, settings), folder / "reranker"
    prices = PriceList.of(recorded.config, books=books, on=on, file=place / "manifest.json")
    with localcontext(EXACT):
        bills = {name: _bill(recorded, name, prices) for name in recorded.arms}
        llms = {name: _llms(recorded, recorded.entries(name, llm), prices) for name in recorded.arms}
    write_table(place / "costs.parquet", _table(bills, recorded.query_ids))
    write_table(place / "prompts.parquet", recorded.prompts())
    document = {
        "on": on.isoformat(),
        "books": [book.name for book in [*shipped_books(), *books]],
        "queries_per_month": (recorded.config.get("traffic") or {}).get("queries_per_month"),
        "arms": {
            name: {**_summary(bill, recorded.arms[name].own_depth, prices), "llms": llms[name]}
            for name, bill in bills.items()
        },
    }
    write_sealed(place / "rates.json", document, "costs.parquet", "prompts.parquet")


def _bill(recorded: Recorded, name: str, prices: PriceList) -> ArmBill:
    arm, entries = recorded.arms[name], recorded.entries(name)
    terms = price_terms(entries, recorded.config, file=prices.file)
    rate_name = None
    try:
        rate_name = _rate_name(recorded, arm, entries, prices)
        rate = (prices.entry if rate_name == entries.get("rerank") else prices.machine)(rate_name, STAGE)
    except Unpriced as missing:
        return ArmBill(rate_name, None, terms, {}, dict.fromkeys(arm.depths, str(missing)))
    costs: dict[int, dict[str, QueryCost]] = {}
    unpriced: dict[int, str] = {}
    for depth in arm.depths:
        try:
            costs[depth] = _costs(Demand(rate, STAGE, recorded.facts(name, depth), terms))
        except Unpriced as missing:
            unpriced[depth] = str(missing)
    return ArmBill(rate_name, rate, terms, costs, unpriced)


def _rate_name(recorded: Recorded, arm: RecordedArm, entries: Mapping[str, Any], prices: PriceList) -> str:
    """Raises Unpriced where no entry says what this reranker costs."""
    own, machine = entries.get("rerank"), entries.get("machine")
    teacher = recorded.arms.get(arm.pipeline)
    teacher_remote = teacher is not None and teacher.remote
    if own == FREE:
        holds_for_students = not arm.remote or teacher_remote
    else:
        hourly = any(entry.shape == "per_hour" for entry in prices.known.get(own or "", ()))
        holds_for_students = hourly and not arm.remote and not teacher_remote
    if own and (arm.student is None or holds_for_students):
        return str(own)
    if machine and not arm.remote:
        return str(machine)
    if arm.remote:
        raise Unpriced(ELSEWHERE["rerank"] if arm.student is None else STUDENT_ELSEWHERE)
    as_what = "rerank or machine" if arm.student is None else "machine"
    raise Unpriced(f"no rate for rerank; name one under [prices] as {as_what}")


def _costs(demand: Demand) -> dict[str, QueryCost]:
    """By query, to the 18 decimal places of the file; equal counts are priced once."""
    cost = cache(lambda used: QueryCost(used, demand.rate.cost(used).quantize(PLACES)))
    return {query_id: cost(used) for query_id, used in units(demand).items()}


def _table(bills: Mapping[str, ArmBill], query_ids: Sequence[str]) -> pd.DataFrame:
    """A row an arm, depth and query, of machine time a row a timed query; null `units` and `usd` where unpriced."""
    priced = [
        (name, depth, query_id, float(cost.units), cost.usd)
        for name, bill in bills.items()
        for depth, costs in bill.costs.items()
        for query_id, cost in costs.items()
    ]
    unpriced = [
        (name, depth, query_id, None, None)
        for name, bill in bills.items()
        for depth in bill.unpriced
        for query_id in query_ids
    ]
    return pd.DataFrame([*priced, *unpriced], columns=list(COLUMNS)).astype(
        {name: pd.ArrowDtype(kind) for name, kind in COLUMNS.items()}
    )


def _summary(bill: ArmBill, own_depth: int, prices: PriceList) -> dict[str, Any]:
    """What rates.json says of an arm. `unpriced` is the own depth's reason; `history` is every date of the rate."""
    hourly = bill.rate is not None and bill.rate.shape == "per_hour"
    busy = bill.terms.utilisation
    return {
        "rate": None if bill.rate is None else {**bill.rate.as_json(), "name": bill.rate.name},
        "unpriced": bill.unpriced.get(own_depth),
        "utilisation": format(busy, "f") if hourly and busy is not None else None,
        "history": [
            {"since": entry.since.isoformat(), "usd": format(entry.usd, "f")}
            for entry in prices.known.get(bill.name or "", ())
        ],
        "hourly": hourly,
    }


def _llms(recorded: Recorded, entries: Mapping[str, Any], prices: PriceList) -> list[dict[str, Any]]:
    """The prices of a prompt: the LLM that the pipeline is billed by, and those of the [reranker] table."""
    primary, others = entries.get("llm"), recorded.config["reranker"].get("llms") or ()
    found = []
    for name in dict.fromkeys([primary, *others]):
        if name:
            usd, reason = None, None
            try:
                usd = format(_per_million(prices.rate(name)), "f")
            except Unpriced as missing:
                reason = str(missing)
            found.append({"name": name, "usd_per_million_tokens": usd, "unpriced": reason, "primary": name == primary})
    return found


def _per_million(rate: PublishedRate) -> Decimal:
    """USD of a million tokens of prompts. Raises Unpriced where the rate is not for tokens."""
    if rate.shape == FREE:
        return Decimal(0)
    if rate.shape == "per_hour":
        raise Unpriced(f"'{rate.name}' is billed per hour, and how long a prompt takes is not measured here")
    if rate.shape != "per_input_token":
        raise Unpriced(f"'{rate.name}' is billed {rate.shape.replace('_', ' ')} and has no price of a prompt's tokens")
    return (rate.usd * MILLION / rate.per).normalize() + 0
