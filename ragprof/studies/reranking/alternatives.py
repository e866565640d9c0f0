"""What else would buy the same quality: more chunks, another search, embedder or reranker, fewer candidates.

Differences are paired, alternative minus this pipeline: on the study's metric, but for a larger k, which is about
evidence in the prompt. Bills are whole ones, of every stage and the prompt's tokens, from the main recording; where the
alternative was not a pipeline of it, what changes (the reranker, the tokens) is taken off or put on, and its time is
the pipeline's own, scaled by how the medians of live queries compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragprof.studies.query_draws import Array
from ragprof.studies.reranking.data import RERANK, SEARCH, RerankerData
from ragprof.studies.reranking.figures import estimate, money
from ragprof.studies.reranking.more_chunks import more_chunks
from ragprof.studies.reranking.own_pipeline import Own
from ragprof.studies.reranking.whole_bills import Whole

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
        "quality": estimate(data, data.reranked(arm, data.metric)),
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
    k = pipeline["injector"].get("k", 5)
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
    difference = estimate(this.data, quality - own)
    return {
        "name": name, "what": what, "k": k, "depth": depth, "metric": metric,
        "quality": estimate(this.data, quality), "difference": difference,
        "relation": relation(difference, float(this.data.settings["margin"])),
    }  # fmt: skip


def _means(usd: float | None, p50_ns: int | None, tokens: float | None) -> dict[str, Any]:
    return {"usd_per_1000_queries": money(usd), "p50_ns": p50_ns, "tokens_per_query": tokens}
