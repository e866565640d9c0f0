"""What else would buy the same quality: more chunks, another search, embedder or reranker, fewer candidates.

Differences are paired, alternative minus this pipeline: on the study's metric, but for a larger k, which is about
evidence in the prompt. Bills are whole ones, of every stage and the prompt's tokens, from the main recording; where the
alternative was not a pipeline of it, what changes (the reranker, the tokens) is taken off or put on, and its time is
the pipeline's own, scaled by how the medians of live queries compare.

A reranked pipeline as it is declared: what its prompt, its whole bill and its time become when something changes.

Bills are USD per 1,000 queries; what is not priced or not timed is None. Reads no file.

What whole pipelines cost and take, from the main recording that the rerankers' lies in. Prices nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ragprof.core import DEFAULT_K, files
from ragprof.price import read_pricing
from ragprof.price.pricing import QUERIES
from ragprof.statistics.draws import Array
from ragprof.statistics.estimates import quantile, rounds_of
from ragprof.studies.reranker.chunks import more_chunks
from ragprof.studies.reranker.data import RERANK, SEARCH, RerankerData
from ragprof.studies.reranker.effects import live_rounds, money
from ragprof.studies.reranker.statement import TOKENS, llm_of, usd_of

NEEDED = ("costs.parquet", "rates.json", "spans.parquet", "usage.parquet")


@dataclass(frozen=True)
class Whole:
    """By pipeline; a name that is missing, or None, is not known.

    `usd` is the bill of all stages and `rerank_usd` the reranker's part, USD per 1,000 queries; `p50_ns` is that of
    live queries end to end; `prompt_tokens` are the mean of a query. `reported` is what the rerankers
    themselves said that they took: unit -> count by query_id, of the live queries.
    """

    usd: Mapping[str, float | None]
    rerank_usd: Mapping[str, float | None]
    p50_ns: Mapping[str, int]
    prompt_tokens: Mapping[str, float]
    reported: Mapping[str, Mapping[str, pd.Series]] = field(default_factory=dict)


def whole_bills(home: Path) -> Whole:
    """Of a recording's folder; nothing is known where it was not recorded or not priced."""
    if not all((home / name).exists() for name in NEEDED):
        return Whole({}, {}, {}, {})
    bills = read_pricing(home).pipelines
    spans, usage = files.read_table(home / "spans.parquet"), files.read_table(home / "usage.parquet")
    timed = spans[(spans["phase"] == "timed") & (spans["stage"] == "query")]
    prompts = usage[(usage["stage"] == "inject") & (usage["unit"] == "prompt_tokens")]
    tokens = prompts.groupby("pipeline")["count"].mean()
    return Whole(
        {name: _float(bill.total) for name, bill in bills.items()},
        {name: _float(bill.stages.get("rerank")) for name, bill in bills.items()},
        {str(name): round(quantile(rounds_of(rows), 0.5)) for name, rows in timed.groupby("pipeline")},
        {str(name): float(mean) for name, mean in tokens.items()},
        _reported(usage),
    )


def _reported(usage: pd.DataFrame) -> dict[str, dict[str, pd.Series]]:
    found: dict[str, dict[str, pd.Series]] = {}
    for (name, unit), rows in dict(list(usage[usage["stage"] == "rerank"].groupby(["pipeline", "unit"]))).items():
        found.setdefault(str(name), {})[str(unit)] = rows.set_index("query_id")["count"].astype(float)
    return found


def _float(usd: Decimal | None) -> float | None:
    return None if usd is None else float(usd)


@dataclass(frozen=True)
class Own:
    """One reranked pipeline at its own depth and k, that alternatives are held against."""

    data: RerankerData
    arm: str
    whole: Whole

    @property
    def pipeline(self) -> str:
        return str(self.data.arm(self.arm)["pipeline"])

    @property
    def depth(self) -> int:
        return int(self.data.arm(self.arm)["own_depth"])

    @property
    def k(self) -> int:
        return int(self.data.arm(self.arm)["own_k"])

    def prompt(self, ranking: str, depth: int, k: int, arm: str | None = None) -> float:
        """Mean tokens of a prompt with the first k passages.

        Where the pipeline's own prompts were recorded, with whatever budget cuts them short, it is theirs, and what
        whole passages more or less take beside them.
        """
        context = float(self.data.context_tokens(arm or self.arm, ranking, depth)[k - 1].mean())
        recorded = self.whole.prompt_tokens.get(self.pipeline)
        if recorded is not None:
            return recorded + context - float(self.data.context_tokens(self.arm, RERANK, self.depth)[self.k - 1].mean())
        return context + float(self.data.manifest["template_tokens"]) + float(self.data.manifest["query_tokens"])

    def bill(self, prompt_tokens: float, reranker_usd: float | None) -> float | None:
        """The whole bill with this much more for the reranker (USD per 1,000 queries) and a prompt of this length."""
        total, price = self.whole.usd.get(self.pipeline), usd_of(llm_of(self.data, self.arm))
        if total is None or price is None or reranker_usd is None:
            return None
        return (
            total + reranker_usd + (prompt_tokens - self.prompt(RERANK, self.depth, self.k)) * price * QUERIES / TOKENS
        )

    def usd(self, depth: int, arm: str | None = None) -> float | None:
        """The reranker's, per 1,000 queries."""
        usd = self.data.usd(arm or self.arm, depth)
        return None if usd is None else float(np.nanmean(usd)) * QUERIES

    def less_than_own(self, depth: int, arm: str | None = None) -> float | None:
        """The reranker's bill at a depth, or of a student, minus its bill at the own depth.

        In the money of the main recording's bill, whose machine was timed apart: scaled by how the two compare here.
        """
        own, other = self.usd(self.depth), self.usd(depth, arm)
        if own is None or other is None:
            return None
        billed = self.whole.rerank_usd.get(self.pipeline)
        scale = billed / own if billed is not None and own > 0 else 1.0
        return (other - own) * scale

    def p50(self, depth: int, arm: str | None = None) -> int | None:
        """ns end to end at a depth, or of a student: as live where the main recording timed nothing."""
        whole, live = self.whole.p50_ns.get(self.pipeline), live_p50(self.data, arm or self.arm, depth)
        if whole is None:
            return live
        if (arm or self.arm, depth) == (self.arm, self.depth):
            return whole
        own = live_p50(self.data, self.arm, self.depth)
        return None if live is None or not own else round(whole * live / own)


def live_p50(data: RerankerData, arm: str, depth: int) -> int | None:
    """p50 end to end, ns, at a depth (0: without the reranker); None where it was not timed."""
    rounds = live_rounds(data, arm, depth)
    return round(quantile(rounds, 0.5)) if rounds.size else None


AS_GOOD, BETTER, WORSE, UNDECIDED = "as good", "better", "worse", "undecided"
LARGER_K, SMALLER_DEPTH = "larger k", "smaller depth"
ANOTHER_SEARCH, ANOTHER_EMBEDDER, ANOTHER_RERANKER = "another search", "another embedder", "another reranker"


def alternatives(data: RerankerData, arm: str, whole: Whole) -> dict[str, Any]:
    """{"alternatives": [...], "own": {...}} of an arm at its own depth."""
    this = Own(data, arm, whole)
    found = [*_larger_k(this), *_pipelines(this), *_students(this), *_depths(this)]
    own = {
        "usd_per_1000_queries": money(whole.usd.get(this.pipeline)),
        "p50_ns": this.p50(this.depth),
        "tokens_per_query": this.prompt(RERANK, this.depth, this.k),
        "quality": data.draws.estimate(data.reranked(arm, data.metric)),
    }
    return {"alternatives": found, "own": own}


def relation(difference: Mapping[str, Any], margin: float) -> str:
    """Of an alternative minus this: "better" or "worse" than it, "as good" within the margin, or "undecided"."""
    if difference["interval"] is None:
        return UNDECIDED
    low, high = difference["interval"]
    if low > 0:
        return BETTER
    if low >= -margin:
        return AS_GOOD
    return WORSE if high < 0 else UNDECIDED


def _larger_k(this: Own) -> list[dict[str, Any]]:
    """The search alone with the fewest chunks that hold as much evidence; none where its own k already does."""
    data, arm, depth = this.data, this.arm, this.depth
    reranked = data.reranked(arm, f"evidence@{this.k}")
    found = more_chunks(data, arm)
    if found is None or found.k <= this.k:
        return []
    k = found.k
    prompt = this.prompt(SEARCH, depth, k)
    reranker = this.whole.rerank_usd.get(this.pipeline)
    against = data.arm(arm)["against"]
    entry = _entry(
        this, f"{against}, k = {k}", LARGER_K, k=k, depth=depth, metric=f"evidence@{k}",
        quality=data.plain(arm, f"evidence@{k}"), own=reranked,
    )  # fmt: skip
    usd = this.bill(prompt, None if reranker is None else -reranker)
    return [entry | _means(usd, this.whole.p50_ns.get(against, this.p50(0)), prompt)]


def _pipelines(this: Own) -> list[dict[str, Any]]:
    """Other pipelines of the eval that find, embed or rerank otherwise; the one without the reranker is no such."""
    data, whole = this.data, this.whole
    declared = {pipeline["name"]: pipeline for pipeline in data.config["pipelines"]}
    mine, found = declared[this.pipeline], []
    for name, other in declared.items():
        what = _what(mine, other)
        if what is not None:
            entry = _entry(
                this, name, what, k=_k(other), depth=other["depth"], metric=data.metric,
                quality=data.other(name, data.metric), own=data.reranked(this.arm, data.metric),
            )  # fmt: skip
            found.append(entry | _means(whole.usd.get(name), whole.p50_ns.get(name), whole.prompt_tokens.get(name)))
    return found


def _what(mine: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """What differs; None for this pipeline itself and for one that only leaves the reranker out."""
    if other["store"] != mine["store"]:
        return ANOTHER_SEARCH
    if other["embedder"] != mine["embedder"]:
        return ANOTHER_EMBEDDER
    another = other["reranker"] != mine["reranker"] and other["reranker"]["name"] != "none"
    return ANOTHER_RERANKER if another else None


def _k(pipeline: Mapping[str, Any]) -> int:
    """How many chunks it injects as it is declared."""
    k = pipeline["injector"].get("k", DEFAULT_K)
    return k if isinstance(k, int) else int(pipeline["depth"])


def _students(this: Own) -> list[dict[str, Any]]:
    """Other rerankers over the same candidates."""
    data, depth, found = this.data, this.depth, []
    for student in data.students(this.pipeline) if data.arm(this.arm)["student"] is None else ():
        entry = _entry(
            this, student, ANOTHER_RERANKER, k=this.k, depth=depth, metric=data.metric,
            quality=data.reranked(student, data.metric), own=data.reranked(this.arm, data.metric),
        )  # fmt: skip
        prompt = this.prompt(RERANK, depth, this.k, student)
        usd = this.bill(prompt, this.less_than_own(depth, student))
        found.append(entry | _means(usd, this.p50(depth, student), prompt))
    return found


def _depths(this: Own) -> list[dict[str, Any]]:
    """The same reranker over fewer candidates, deepest first."""
    data, arm, found = this.data, this.arm, []
    for depth in sorted((each for each in data.arm(arm)["depths"] if each < this.depth), reverse=True):
        entry = _entry(
            this, f"{this.arm}, depth {depth}", SMALLER_DEPTH, k=this.k, depth=depth, metric=data.metric,
            quality=data.reranked(arm, data.metric, depth), own=data.reranked(arm, data.metric),
        )  # fmt: skip
        prompt = this.prompt(RERANK, depth, this.k)
        usd = this.bill(prompt, this.less_than_own(depth))
        found.append(entry | _means(usd, this.p50(depth), prompt))
    return found


def _entry(
    this: Own, name: str, what: str, *, k: int | None, depth: int, metric: str, quality: Array, own: Array
) -> dict[str, Any]:
    difference = this.data.draws.estimate(quality - own)
    return {
        "name": name, "what": what, "k": k, "depth": depth, "metric": metric,
        "quality": this.data.draws.estimate(quality), "difference": difference,
        "relation": relation(difference, float(this.data.settings["margin"])),
    }  # fmt: skip


def _means(usd: float | None, p50_ns: int | None, tokens: float | None) -> dict[str, Any]:
    return {"usd_per_1000_queries": money(usd), "p50_ns": p50_ns, "tokens_per_query": tokens}
