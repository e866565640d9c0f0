"""Price of rerankers: a recording of rerankers + rates -> costs. Reads no clock and no qrels, and scores nothing again.

A pipeline's reranker is priced by the pipeline's own `prices.rerank`, else the eval's, else as machine time unless it
runs elsewhere, else it is UNPRICED. A student is another reranker over the same candidates, and nobody wrote a price
beside it: what the pipeline's own reranker is billed says nothing of it. A student that runs here takes `machine`, or
the hourly rate that stands as `rerank` for a pipeline whose own reranker runs here too; one that runs elsewhere is
UNPRICED. Where `rerank` is "free", so are its students, but for one elsewhere beside a teacher that runs here.

What rerankers were given and what they hand on, in tokens, at every depth. Knows no money and no judgements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, localcontext
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from ragprof.core.errors import BadInput
from ragprof.core.files import read_json, read_table, write_json, write_table
from ragprof.core.ranking import closed_up, id_ranks, reordered
from ragprof.evals import settings_of
from ragprof.price.bills import (
    ELSEWHERE,
    PLACES,
    TEXT,
    USD,
    BillingTerms,
    Demand,
    PipelineFacts,
    PriceList,
    price_entries,
    price_terms,
    units,
)
from ragprof.price.pricing import EXACT
from ragprof.price.rates import FREE, PublishedRate, Unpriced, catalogue, shipped_books

Counts = NDArray[np.int64]
SEARCH, RERANK = "search", "rerank"


@dataclass(frozen=True)
class ArmCandidates:
    """One arm's candidates: `rows` of candidates.parquet, numbered by `query` and by their doc_id's `standing`.

    `shared` where shallower candidates are the beginning of deeper ones, so that one set holds for several depths.
    """

    name: str
    rows: pd.DataFrame
    query_ids: tuple[str, ...]
    shared: bool

    @classmethod
    def of(cls, name: str, manifest: Mapping[str, Any], candidates: pd.DataFrame) -> ArmCandidates:
        """Raises BadInput for a candidate without a score or of a query that was not asked."""
        arm, rows = manifest["arms"][name], candidates[candidates["arm"] == name]
        query = pd.Index(manifest["query_ids"]).get_indexer(pd.Index(rows["query_id"]))
        if (query < 0).any() or rows["rerank_score"].isna().any():
            raise BadInput(
                f"candidates.parquet has one of '{name}' without a rerank_score or of a query that was not asked; "
                "run 'ragprof reranker' again"
            )
        codes, doc_ids = pd.factorize(rows["doc_id"])
        numbered = rows.assign(query=query, standing=id_ranks(doc_ids.tolist())[codes])
        shared = bool(arm["prefix"] and not arm["pointwise"]["listwise"])
        return cls(name, numbered, tuple(manifest["query_ids"]), shared)

    def at(self, depth: int) -> pd.DataFrame:
        """The rows of a depth. Raises BadInput where it was not recorded."""
        recorded = sorted(self.rows["depth"].unique().tolist())
        fitting = [each for each in recorded if each == depth or (self.shared and each > depth)]
        if recorded and not fitting:
            raise BadInput(
                f"candidates.parquet lacks those of '{self.name}' at depth {depth}; run 'ragprof reranker' again"
            )
        chosen = self.rows["depth"] == (fitting[0] if fitting else depth)
        return self.rows[chosen & (self.rows["rank"] <= depth)]

    def tokens(self, depth: int) -> dict[str, list[int]]:
        """query_id -> tokens of each document that the reranker is given; empty where the search found none."""
        per_query: dict[str, list[int]] = {query_id: [] for query_id in self.query_ids}
        rows = self.at(depth)
        for query_id, count in zip(rows["query_id"].tolist(), rows["tokens"].tolist(), strict=True):
            per_query[query_id].append(count)
        return per_query

    def prompts(self, depth: int, ranking: str, max_k: int) -> pd.DataFrame:
        """Tokens of the first 1 to max_k passages of a ranking, a row a query and k; all that there is, if shorter."""
        rows = self.at(depth)
        tokens = np.append(rows["tokens"].to_numpy(np.int64), 0)
        context = _first(np.cumsum(tokens[self._order(rows, depth, ranking)], axis=-1), max_k)
        keys = {"arm": self.name, "ranking": ranking, "depth": depth, "query_id": np.repeat(self.query_ids, max_k)}
        ks = np.tile(np.arange(1, max_k + 1), len(self.query_ids))
        return pd.DataFrame({**keys, "k": ks, "context_tokens": context.ravel()})

    def _order(self, rows: pd.DataFrame, depth: int, ranking: str) -> Counts:
        """Places in `rows` in a ranking's order, (queries, depth); -1 behind the last."""
        shape = (len(self.query_ids), depth)
        at = (rows["query"].to_numpy(np.int64), rows["rank"].to_numpy(np.int64) - 1)
        places, scores = np.full(shape, -1, np.int64), np.full(shape, np.nan)
        places[at], scores[at] = np.arange(len(rows)), rows["rerank_score"]
        if ranking == SEARCH:
            return closed_up(places)
        return reordered(places, scores, np.append(rows["standing"].to_numpy(np.int64), -1))[0]


def prompts_of(arms: Sequence[ArmCandidates], manifest: Mapping[str, Any]) -> pd.DataFrame:
    """The search's order at each arm's own depth and the reranker's at every depth."""
    most = manifest["max_k"]
    tables = []
    for arm in arms:
        facts = manifest["arms"][arm.name]
        tables.append(arm.prompts(facts["own_depth"], SEARCH, most))
        tables += [arm.prompts(depth, RERANK, most) for depth in facts["depths"]]
    return pd.concat(tables, ignore_index=True)


def _first(sums: Counts, most: int) -> Counts:
    """The first `most` columns; the last one again where there are fewer, 0 where there is none."""
    if not sums.shape[-1]:
        return np.zeros((len(sums), most), np.int64)
    return sums[:, np.minimum(np.arange(most), sums.shape[-1] - 1)]


COLUMNS = {"arm": TEXT, "depth": pa.int64(), "query_id": TEXT, "units": pa.float64(), "usd": USD}
STAGE, MILLION = "rerank", 1_000_000
STUDENT_ELSEWHERE = (
    "a student that runs elsewhere has no price here; make a pipeline of it and name its rate under [prices] as rerank"
)


@dataclass(frozen=True)
class DepthFacts(PipelineFacts):
    """What one arm was given at one depth, to be counted in the units of a rate."""

    given: Mapping[str, list[int]]

    def candidates(self) -> dict[str, list[int]]:
        return dict(self.given)


@dataclass(frozen=True)
class Cost:
    """What one query used, and what that costs."""

    units: Decimal
    usd: Decimal


@dataclass(frozen=True)
class Bill:
    """One arm's bill by depth; a depth that is in `unpriced` has its reason there and no costs.

    `name` is the rate's name, None where none applies; `rate` is None where the name has no price on the day.
    """

    name: str | None
    rate: PublishedRate | None
    terms: BillingTerms
    costs: Mapping[int, Mapping[str, Cost]]
    unpriced: Mapping[int, str]


@dataclass(frozen=True)
class Arm:
    """One arm of the manifest, with the prices of its pipeline."""

    name: str
    facts: Mapping[str, Any]
    entries: Mapping[str, Any]
    terms: BillingTerms
    teacher_remote: bool
    prices: PriceList

    @property
    def student(self) -> bool:
        return self.facts["student"] is not None

    def rate(self, name: str) -> PublishedRate:
        """Raises Unpriced where the name has no price on the day, BadInput for a machine that is not hourly."""
        find = self.prices.entry if name == self.entries.get("rerank") else self.prices.machine
        return find(name, STAGE)

    def rate_name(self) -> str:
        """Raises Unpriced where no entry says what this reranker costs."""
        own, machine = self.entries.get("rerank"), self.entries.get("machine")
        if own and (not self.student or self._holds_for_students(own)):
            return str(own)
        if machine and not self.facts["remote"]:
            return str(machine)
        raise Unpriced(self._missing())

    def _holds_for_students(self, own: str) -> bool:
        if own == FREE:
            return not self.facts["remote"] or self.teacher_remote
        hourly = any(entry.shape == "per_hour" for entry in self.prices.known.get(own, ()))
        return hourly and not self.facts["remote"] and not self.teacher_remote

    def _missing(self) -> str:
        if self.facts["remote"]:
            return STUDENT_ELSEWHERE if self.student else ELSEWHERE
        return f"no rate for rerank; name one under [prices] as {'machine' if self.student else 'rerank or machine'}"


@dataclass(frozen=True)
class Recorded:
    """A recording of rerankers, read for pricing; `home` is the recording that it lies in."""

    home: Path
    manifest: Mapping[str, Any]
    arms: tuple[ArmCandidates, ...]
    live: pd.DataFrame

    def facts(self, arm: ArmCandidates, depth: int) -> DepthFacts:
        return DepthFacts(
            folder=self.home, name=arm.name, query_ids=arm.query_ids, stages=(STAGE,), usage={},
            query_tokens=self._query_tokens, doc_tokens={}, busy_ns={STAGE: self._busy(arm.name, depth)},
            given=arm.tokens(depth),
        )  # fmt: skip

    def _busy(self, arm: str, depth: int) -> dict[str, Decimal]:
        """query_id -> ns of reranking so many candidates live, the mean over its rounds, exactly."""
        rows = self.live[(self.live["arm"] == arm) & (self.live["depth"] == depth) & self.live["rerank_ns"].notna()]
        return {
            str(query_id): Decimal(sum(int(ns) for ns in rounds.tolist())) / len(rounds)
            for query_id, rounds in rows.groupby("query_id")["rerank_ns"]
        }

    @cached_property
    def _query_tokens(self) -> dict[str, int]:
        tokens = read_table(self.home / "tokens.parquet")
        rows = tokens[tokens["kind"] == "query"]
        return dict(zip(rows["id"].tolist(), rows["tokens"].tolist(), strict=True))


def price_reranking(
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
    recorded = _read(folder, settings)
    home, manifest = folder / "reranker", recorded.manifest
    prices = PriceList(catalogue(books), on, home / "manifest.json")
    with localcontext(EXACT):
        bills = {arm.name: _bill(_arm(arm.name, manifest, prices), recorded, arm) for arm in recorded.arms}
        llms = {arm.name: _llms(_entries(arm.name, manifest, llm), manifest, prices) for arm in recorded.arms}
    write_table(home / "costs.parquet", _table(bills, manifest["query_ids"]))
    write_table(home / "prompts.parquet", prompts_of(recorded.arms, manifest))
    document = {
        "on": on.isoformat(),
        "books": [book.name for book in [*shipped_books(), *books]],
        "queries_per_month": (manifest["config"].get("traffic") or {}).get("queries_per_month"),
        "arms": {
            name: {**_summary(bill, manifest["arms"][name], prices), "llms": llms[name]} for name, bill in bills.items()
        },
    }
    write_json(home / "rates.json", document)


def _read(folder: Path, settings: Mapping[str, Any] | None) -> Recorded:
    home = folder / "reranker"
    config, candidates = settings or settings_of(home), read_table(home / "candidates.parquet")
    manifest = {**read_json(home / "manifest.json"), "config": config}
    arms = tuple(ArmCandidates.of(name, manifest, candidates) for name in manifest["arms"])
    return Recorded(folder, manifest, arms, read_table(home / "live.parquet"))


def _arm(name: str, manifest: Mapping[str, Any], prices: PriceList) -> Arm:
    facts, config = manifest["arms"][name], manifest["config"]
    entries = _entries(name, manifest, None)
    teacher = manifest["arms"].get(facts["pipeline"]) or {}
    terms = price_terms(entries, config, file=prices.file)
    return Arm(name, facts, entries, terms, bool(teacher.get("remote")), prices)


def _entries(name: str, manifest: Mapping[str, Any], llm: str | None) -> dict[str, Any]:
    """The prices of an arm's pipeline, the eval's where it has none of its own."""
    config, wanted = manifest["config"], manifest["arms"][name]["pipeline"]
    pipeline = next(each for each in config["pipelines"] if each["name"] == wanted)
    return price_entries(config, pipeline, llm=llm)


def _bill(arm: Arm, recorded: Recorded, candidates: ArmCandidates) -> Bill:
    depths: list[int] = arm.facts["depths"]
    name = None
    try:
        name = arm.rate_name()
        rate = arm.rate(name)
    except Unpriced as missing:
        return Bill(name, None, arm.terms, {}, dict.fromkeys(depths, str(missing)))
    bill = Bill(name, rate, arm.terms, {}, {})
    for depth in depths:
        demand = Demand(rate, STAGE, recorded.facts(candidates, depth), arm.terms)
        try:
            bill = replace(bill, costs={**bill.costs, depth: _costs(demand)})
        except Unpriced as missing:
            bill = replace(bill, unpriced={**bill.unpriced, depth: str(missing)})
    return bill


def _costs(demand: Demand) -> dict[str, Cost]:
    """By query, to the 18 decimal places of the file; equal counts are priced once."""
    price = cache(lambda used: Cost(used, demand.rate.cost(used).quantize(PLACES)))
    return {query_id: price(used) for query_id, used in units(demand).items()}


def _table(bills: Mapping[str, Bill], query_ids: Sequence[str]) -> pd.DataFrame:
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


def _summary(bill: Bill, arm: Mapping[str, Any], prices: PriceList) -> dict[str, Any]:
    """What rates.json says of an arm. `unpriced` is the own depth's reason; `history` is every date of the rate."""
    hourly = bill.rate is not None and bill.rate.shape == "per_hour"
    busy = bill.terms.utilisation
    return {
        "rate": None if bill.rate is None else {**bill.rate.as_json(), "name": bill.rate.name},
        "unpriced": bill.unpriced.get(arm["own_depth"]),
        "utilisation": format(busy, "f") if hourly and busy is not None else None,
        "history": [
            {"since": entry.since.isoformat(), "usd": format(entry.usd, "f")}
            for entry in prices.known.get(bill.name or "", ())
        ],
        "hourly": hourly,
    }


def _llms(entries: Mapping[str, Any], manifest: Mapping[str, Any], prices: PriceList) -> list[dict[str, Any]]:
    """The prices of a prompt: the LLM that the pipeline is billed by, and those of the [reranker] table."""
    primary, others = entries.get("llm"), manifest["config"]["reranker"].get("llms") or ()
    return [_llm(name, prices, primary=name == primary) for name in dict.fromkeys([primary, *others]) if name]


def _llm(name: str, prices: PriceList, *, primary: bool) -> dict[str, Any]:
    try:
        usd, reason = format(_per_million(prices.rate(name)), "f"), None
    except Unpriced as missing:
        usd, reason = None, str(missing)
    return {"name": name, "usd_per_million_tokens": usd, "unpriced": reason, "primary": primary}


def _per_million(rate: PublishedRate) -> Decimal:
    """USD of a million tokens of prompts. Raises Unpriced where the rate is not for tokens."""
    if rate.shape == FREE:
        return Decimal(0)
    if rate.shape == "per_hour":
        raise Unpriced(f"'{rate.name}' is billed per hour, and how long a prompt takes is not measured here")
    if rate.shape != "per_input_token":
        raise Unpriced(f"'{rate.name}' is billed {rate.shape.replace('_', ' ')} and has no price of a prompt's tokens")
    return (rate.usd * MILLION / rate.per).normalize() + 0
