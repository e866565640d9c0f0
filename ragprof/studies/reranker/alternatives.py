"""What else would buy the same quality: more chunks, another search, embedder or reranker, fewer candidates.

Differences are paired, alternative minus this pipeline: on the study's metric, but for a larger k, which is about
evidence in the prompt. Bills are whole ones, of every stage and the prompt's tokens, from the main recording; where the
alternative was not a pipeline of it, what changes (the reranker, the tokens) is taken off or put on, and its time is
the pipeline's own, scaled by how the medians of live queries compare. Bills are USD per 1,000 queries; what is not
priced or not timed is None. Prices nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ragprof.core import DEFAULT_K
from ragprof.evals.recorded import SPANS, USAGE
from ragprof.price import read_pricing
from ragprof.price.pricing import QUERIES
from ragprof.record.disturbance import disturbances
from ragprof.statistics.draws import Array
from ragprof.statistics.estimates import quantile, rounds_of
from ragprof.statistics.unseen import SIGNED
from ragprof.studies.contract import EstimateValue
from ragprof.studies.reranker.chunks import more_chunks
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import estimate, live_rounds, money
from ragprof.studies.reranker.recorded import RERANK, SEARCH
from ragprof.studies.reranker.section import Alternative, Change, OwnBill, Relation
from ragprof.studies.reranker.statement import TOKENS, llm_of, usd_of

NEEDED = ("costs.parquet", "rates.json", "spans.parquet", "usage.parquet")


@dataclass(frozen=True)
class MainBills:
    """What whole pipelines cost and take, by pipeline; a name that is missing, or None, is not known.

    `usd` is the bill of all stages and `rerank_usd` the reranker's part, USD per 1,000 queries; `p50_ns` is that of
    live queries end to end; `prompt_tokens` are the mean of a query. `reported` is what the rerankers
    themselves said that they took: unit -> count by query_id, of the live queries.
    """

    usd: Mapping[str, float | None]
    rerank_usd: Mapping[str, float | None]
    p50_ns: Mapping[str, int]
    prompt_tokens: Mapping[str, float]
    reported: Mapping[str, Mapping[str, pd.Series]] = field(default_factory=dict)
    busy: Mapping[str, str] = field(default_factory=dict)
    """Why latencies, and what is billed by time, do not count, of the pipelines of which they do not."""


def whole_bills(home: Path) -> MainBills:
    """Of a recording's folder; nothing is known where it was not recorded or not priced."""
    if not all((home / name).exists() for name in NEEDED):
        return MainBills({}, {}, {}, {})
    bills = read_pricing(home).pipelines
    spans, usage = SPANS.read(home / "spans.parquet"), USAGE.read(home / "usage.parquet")
    timed = spans[(spans["phase"] == "timed") & (spans["stage"] == "query")]
    prompts = usage[(usage["stage"] == "inject") & (usage["unit"] == "prompt_tokens")]
    tokens = prompts.groupby("pipeline")["count"].mean()
    reported: dict[str, dict[str, pd.Series]] = {}
    for (name, unit), rows in usage[usage["stage"] == "rerank"].groupby(["pipeline", "unit"]):
        reported.setdefault(str(name), {})[str(unit)] = rows.set_index("query_id")["count"].astype(float)
    return MainBills(
        {name: None if bill.total is None else float(bill.total) for name, bill in bills.items()},
        {name: None if (usd := bill.stages.get("rerank")) is None else float(usd) for name, bill in bills.items()},
        {str(name): round(quantile(rounds_of(rows), 0.5)) for name, rows in timed.groupby("pipeline")},
        {str(name): float(mean) for name, mean in tokens.items()},
        reported,
        {name: flag.reason for name, flag in disturbances(home).items() if flag.busy},
    )


@dataclass(frozen=True)
class ComparedPipeline:
    """One reranked pipeline at its own depth and k, that alternatives are held against."""

    data: RerankerData
    arm: str
    whole: MainBills

    @property
    def pipeline(self) -> str:
        return self.data.arm(self.arm).pipeline

    @property
    def depth(self) -> int:
        return self.data.arm(self.arm).own_depth

    @property
    def k(self) -> int:
        return self.data.arm(self.arm).own_k

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

    def less_than_own(self, depth: int, arm: str | None = None) -> float | None:
        """The reranker's bill at a depth, or of a student, minus its bill at the own depth, per 1,000 queries.

        In the money of the main recording's bill, whose machine was timed apart: scaled by how the two compare here.
        """
        mine, others = self.data.usd(self.arm, self.depth), self.data.usd(arm or self.arm, depth)
        if mine is None or others is None:
            return None
        own, other = (float(np.nanmean(usd)) * QUERIES for usd in (mine, others))
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

    def beside(
        self, name: str, what: Change, *, k: int | None, depth: int, metric: str, quality: Array, own: Array,
        usd: float | None, p50_ns: float | None, tokens: float | None,
    ) -> Alternative:  # fmt: skip
        """An alternative of that quality, by query, beside this pipeline's own."""
        difference = estimate(self.data, quality - own, SIGNED)
        tied = not np.nan_to_num(quality - own).any()
        return Alternative(
            name=name, what=what, k=k, depth=depth, metric=metric, quality=estimate(self.data, quality),
            difference=difference, relation=relation(difference, self.data.settings.margin, tied=tied),
            usd_per_1000_queries=money(usd), p50_ns=p50_ns, tokens_per_query=tokens,
        )  # fmt: skip

    def reranked_by(self, arm: str, name: str, what: Change, depth: int) -> Alternative:
        """This pipeline with another reranker, or from another depth."""
        data, prompt = self.data, self.prompt(RERANK, depth, self.k, arm)
        return self.beside(
            name, what, k=self.k, depth=depth, metric=data.metric, quality=data.reranked(arm, data.metric, depth),
            own=data.reranked(self.arm, data.metric), usd=self.bill(prompt, self.less_than_own(depth, arm)),
            p50_ns=self.p50(depth, arm), tokens=prompt,
        )  # fmt: skip


def live_p50(data: RerankerData, arm: str, depth: int) -> int | None:
    """p50 end to end, ns, at a depth (0: without the reranker); None where it was not timed."""
    rounds = live_rounds(data, arm, depth)
    return round(quantile(rounds, 0.5)) if rounds.size else None


def alternatives(data: RerankerData, arm: str, whole: MainBills) -> tuple[tuple[Alternative, ...], OwnBill]:
    """Of an arm at its own depth, and its own bill."""
    this = ComparedPipeline(data, arm, whole)
    own = OwnBill(
        usd_per_1000_queries=money(whole.usd.get(this.pipeline)),
        p50_ns=this.p50(this.depth),
        tokens_per_query=this.prompt(RERANK, this.depth, this.k),
        quality=estimate(data, data.reranked(arm, data.metric)),
    )
    return (*_larger_k(this), *_pipelines(this), *_students(this), *_depths(this)), own


def relation(difference: EstimateValue, margin: float, *, tied: bool = False) -> Relation:
    """Of an alternative minus this: "better" or "worse" than it, "as good" within the margin, or "undecided".

    `tied` says that no query differs: as good in all that were asked, whatever others may show.
    """
    if tied and difference.n > 1:
        return "as good"
    low, high = difference.interval or (None, None)
    if low is None or high is None:
        return "undecided"
    if low > 0:
        return "better"
    if low >= -margin:
        return "as good"
    return "worse" if high < 0 else "undecided"


def _larger_k(this: ComparedPipeline) -> Iterator[Alternative]:
    """The search alone with the fewest chunks that hold as much evidence; none where its own k already does."""
    data, arm, depth = this.data, this.arm, this.depth
    found = more_chunks(data, arm)
    if found is None or found.k <= this.k:
        return
    reranker, against = this.whole.rerank_usd.get(this.pipeline), data.arm(arm).against
    prompt = this.prompt(SEARCH, depth, found.k)
    yield this.beside(
        f"{against}, k = {found.k}", "larger k", k=found.k, depth=depth, metric=f"evidence@{found.k}",
        quality=data.plain(arm, f"evidence@{found.k}"), own=data.reranked(arm, f"evidence@{this.k}"),
        usd=this.bill(prompt, None if reranker is None else -reranker),
        p50_ns=this.whole.p50_ns.get(against, this.p50(0)), tokens=prompt,
    )  # fmt: skip


def _pipelines(this: ComparedPipeline) -> Iterator[Alternative]:
    """Other pipelines of the eval that find, embed or rerank otherwise; the one without the reranker is no such."""
    data, whole = this.data, this.whole
    mine = next(pipeline for pipeline in data.pipelines if pipeline["name"] == this.pipeline)
    for other in data.pipelines:
        name, k = other["name"], other["injector"].get("k", DEFAULT_K)
        what = _what(mine, other)
        if what is not None:
            yield this.beside(
                name, what, k=k if isinstance(k, int) else int(other["depth"]), depth=other["depth"],
                metric=data.metric, quality=data.other(name, data.metric), own=data.reranked(this.arm, data.metric),
                usd=whole.usd.get(name), p50_ns=whole.p50_ns.get(name), tokens=whole.prompt_tokens.get(name),
            )  # fmt: skip


def _what(mine: Mapping[str, Any], other: Mapping[str, Any]) -> Change | None:
    """What differs; None for this pipeline itself and for one that only leaves the reranker out."""
    if other["store"] != mine["store"]:
        return "another search"
    if other["embedder"] != mine["embedder"]:
        return "another embedder"
    another = other["reranker"] != mine["reranker"] and other["reranker"]["name"] != "none"
    return "another reranker" if another else None


def _students(this: ComparedPipeline) -> Iterator[Alternative]:
    """Other rerankers over the same candidates."""
    for student in this.data.students(this.pipeline) if this.data.arm(this.arm).student is None else ():
        yield this.reranked_by(student, student, "another reranker", this.depth)


def _depths(this: ComparedPipeline) -> Iterator[Alternative]:
    """The same reranker over fewer candidates, deepest first."""
    for depth in sorted((each for each in this.data.arm(this.arm).depths if each < this.depth), reverse=True):
        yield this.reranked_by(this.arm, f"{this.arm}, depth {depth}", "smaller depth", depth)
