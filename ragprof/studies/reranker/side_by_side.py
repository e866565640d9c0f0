"""Teacher and student side by side: what a cheaper part keeps of the quality, and at which cost and time.

Three kinds of pair. A student reranker over the candidates of its pipeline, against that pipeline's own. Two reranked
pipelines with the same embedder, store and depth but another reranker. Two pipelines that differ in nothing but the
embedder (so float32 and int8 of the same model). Of two pipelines the one that stands first in the eval is the teacher.
All ratios are student / teacher: a cost or latency ratio below 1 means that the student is cheaper, or faster.

A reranker is known from the rerankers' recording alone. An embedder is known from the recording that it lies in: final
rankings, spans and costs of whole pipelines; what is missing there is not known, and not 0. Kendall's tau is variant b,
which counts ties (Kendall, Biometrika 33, 1945), of the documents that both rankings hold; a query that either ranking
lacks takes no part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from ragprof.core import DEFAULT_K
from ragprof.core.quantities import duration
from ragprof.evals.recorded import COSTS, RANKING, SPANS
from ragprof.report import figures
from ragprof.statistics.draws import Array, ends
from ragprof.statistics.estimates import quantile, quantile_draws, rounds_of
from ragprof.statistics.paired import paired_p
from ragprof.statistics.unseen import SIGNED, UNIT
from ragprof.studies.contract import EstimateValue
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import TIMES, estimate, estimates, known, means, percent, ratio_estimate, share_of
from ragprof.studies.reranker.recorded import order_after
from ragprof.studies.reranker.section import RankingAgreement, StudentBesideTeacher

TIMED = ["query_id", "round", "duration_ns"]
RANKED = ["query_id", "rank", "doc_id", "score"]
SEARCHING = ("embedder", "store", "depth")
BESIDE = ("name", "embedder", "prices")
DECIMALS = 12
"""Beyond them tau is rounding only: the same order is exactly 1."""


@dataclass(frozen=True)
class ComparedPart:
    """A teacher or a student. `quality`, `gain` and `usd` have a value a query (NaN: not known).

    `gain` and `usd` are None where unknown. `ranking` has the columns RANKED, `times` those of TIMED.
    """

    name: str
    quality: Array
    gain: Array | None
    ranking: pd.DataFrame | None
    usd: Array | None
    times: pd.DataFrame


def side_by_side(data: RerankerData) -> tuple[StudentBesideTeacher, ...]:
    """A row for each pair: students first, then pipelines by reranker, then pipelines by embedder."""
    return (*_students(data), *_rerankers(data), *_embedders(data))


def _students(data: RerankerData) -> Iterator[StudentBesideTeacher]:
    for name in data.names:
        own = data.arm(name)
        for arm in data.students(name):
            student = data.arm(arm)
            teacher = _named(own.reranker, student.reranker)
            parts = _reranker(data, name, teacher), _reranker(data, arm, str(student.student))
            yield compared(data, *parts, kind="reranker", over=name, k=own.own_k)


def _rerankers(data: RerankerData) -> Iterator[StudentBesideTeacher]:
    """Over what: the search that both rerank."""
    reranked = [pipeline for pipeline in data.pipelines if pipeline["name"] in data.names]
    for first, second in combinations(reranked, 2):
        if _same(first, second, SEARCHING) and first["reranker"] != second["reranker"]:
            parts = [_reranker(data, each["name"], each["name"]) for each in (first, second)]
            arm = data.arm(first["name"])
            yield compared(data, *parts, kind="reranker", over=arm.against, k=arm.own_k)


def _embedders(data: RerankerData) -> Iterator[StudentBesideTeacher]:
    judged = set(data.tables["others"]["pipeline"])
    for first, second in combinations([each for each in data.pipelines if each["name"] in judged], 2):
        others = (set(first) | set(second)) - set(BESIDE)
        if first["embedder"] and second["embedder"] and _same(first, second, others):
            parts = [_embedder(data, each["name"]) for each in (first, second)]
            if first["embedder"] != second["embedder"] and not any(np.isnan(part.quality).all() for part in parts):
                arm = data.arms.get(first["name"])
                k = arm.own_k if arm else (first.get("injector") or {}).get("k") or DEFAULT_K
                yield compared(data, *parts, kind="embedder", over=str(first["store"]["name"]), k=int(k))


def _same(first: Mapping[str, Any], second: Mapping[str, Any], keys: Iterable[str]) -> bool:
    return all(first.get(key) == second.get(key) for key in keys)


def _named(spec: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """A part's name, with those of its options that tell it from another of the same name."""
    if spec["name"] != other["name"]:
        return str(spec["name"])
    telling = [str(value) for key, value in spec.items() if key != "name" and value != other.get(key)]
    return " ".join([str(spec["name"]), *telling])


def _reranker(data: RerankerData, arm: str, name: str) -> ComparedPart:
    """At the arm's own depth; the time is that of reranking alone."""
    depth = data.arm(arm).own_depth
    timed = data.timed(arm, depth).dropna(subset=["rerank_ns"])
    rows = data.candidates(arm, depth)
    ordered = rows.iloc[order_after(rows)].reset_index(drop=True)
    return ComparedPart(
        name,
        quality=data.reranked(arm, data.metric),
        gain=data.gain(arm, data.metric),
        ranking=ordered.assign(rank=ordered.groupby("query_id").cumcount() + 1, score=ordered["rerank_score"])[RANKED],
        usd=data.usd(arm, depth),
        times=timed.assign(duration_ns=timed["rerank_ns"])[TIMED],
    )


def _embedder(data: RerankerData, pipeline: str) -> ComparedPart:
    """A whole pipeline by its final ranking; time and cost are those of embedding the query alone."""
    rankings, spans, costs = (
        table.read(path) if (path := data.home / name).exists() else None
        for name, table in {
            f"rankings/{pipeline}.parquet": RANKING, "spans.parquet": SPANS, "costs.parquet": COSTS,
        }.items()
    )  # fmt: skip
    ranking, usd, times = None, None, pd.DataFrame(columns=TIMED)
    if rankings is not None:
        stage = "rerank" if (rankings["stage"] == "rerank").any() else "search"
        ranking = rankings[(rankings["stage"] == stage) & rankings["query_id"].isin(data.query_ids)][RANKED]
    if spans is not None:
        mine = (spans["pipeline"] == pipeline) & (spans["phase"] == "timed") & (spans["stage"] == "embed")
        times = spans[mine][TIMED]
    if costs is not None:
        paid = costs[(costs["pipeline"] == pipeline) & (costs["stage"] == "embed")]
        if len(paid) and not paid["usd"].isna().any():
            by_query = paid["usd"].astype(float).groupby(paid["query_id"]).sum()
            usd = np.asarray(by_query.reindex(data.query_ids).to_numpy(float, na_value=np.nan), np.float64)
    return ComparedPart(pipeline, data.other(pipeline, data.metric), None, ranking, usd, times)


def compared(
    data: RerankerData,
    teacher: ComparedPart,
    student: ComparedPart,
    *,
    kind: Literal["reranker", "embedder"],
    over: str,
    k: int,
) -> StudentBesideTeacher:
    """`retained` is the student's share of the teacher's gain over the search, for embedders of its quality.

    An end of a ratio's interval is None where the sign of what it is a share of is open.
    """
    difference = student.quality - teacher.quality
    own, theirs = (np.where(np.isnan(difference), np.nan, part.quality) for part in (student, teacher))
    share = retained = ratio_estimate(means(data, own), means(data, theirs), n=known(theirs))
    if teacher.gain is not None and student.gain is not None:
        retained = ratio_estimate(means(data, student.gain), means(data, teacher.gain), n=known(teacher.gain))
    zero_where_unknown = np.nan_to_num(difference)
    cost_ratio, times = _cost_ratio(teacher, student), _times(teacher, student, seed=data.seed)
    qualities = [figures.score(estimate(data, part.quality).mean) for part in (student, teacher)]
    words = (
        f"{student.name} keeps {percent(share)} of the quality of {teacher.name} ({data.metric} {qualities[0]} against "
        f"{qualities[1]})"
    )
    if kind == "reranker":
        words += f" and {percent(retained)} of its gain over the search"
    # Nothing is said of what is not known.
    at = [] if times is None else [f"{share_of(times[0])} its time (p50 {times[1]})"]
    if cost_ratio is not None:
        at.append(f"{cost_ratio:.3g} times its cost" if cost_ratio > TIMES else f"{100 * cost_ratio:.3g} % of its cost")
    return StudentBesideTeacher(
        kind=kind,
        teacher=teacher.name,
        student=student.name,
        over=over,
        retained=retained,
        quality_share=share,
        difference=estimate(data, difference, SIGNED),
        p=paired_p(zero_where_unknown, np.zeros(len(difference)), seed=data.seed) if known(difference) else None,
        agreement=agreement(data, teacher.ranking, student.ranking, k=k),
        cost_ratio=cost_ratio,
        latency_ratio=None if times is None else times[0],
        sentence=f"{words}{', at ' if at else ''}{' and '.join(at)}.",
    )


def _times(teacher: ComparedPart, student: ComparedPart, *, seed: int) -> tuple[EstimateValue, str] | None:
    """Student's p50 over teacher's, over the queries that both were timed on, and both in words.

    The interval resamples those queries.
    """
    both = sorted(set(teacher.times["query_id"]) & set(student.times["query_id"]))
    theirs, mine = (rounds_of(part.times, queries=both) for part in (teacher, student))
    if not theirs.size or not quantile(theirs, 0.5) > 0:
        return None
    taken, taught = (quantile_draws(rounds, [0.5], seed=seed)[:, 0] for rounds in (mine, theirs))
    ratios, n = taken / taught, len(theirs)
    span = ends(ratios, n=n) if n > 1 else None
    found = EstimateValue(mean=float(ratios[0]), interval=None if span is None else (span[0], span[1]), n=n)
    return found, f"{duration(float(taken[0]))} against {duration(float(taught[0]))}"


def _cost_ratio(teacher: ComparedPart, student: ComparedPart) -> float | None:
    """Over the queries whose cost is known of both; None where there is none, or the teacher is free."""
    if teacher.usd is None or student.usd is None:
        return None
    both = ~(np.isnan(teacher.usd) | np.isnan(student.usd))
    paid = float(teacher.usd[both].sum())
    return float(student.usd[both].sum()) / paid if paid > 0 else None


def agreement(
    data: RerankerData, first: pd.DataFrame | None, second: pd.DataFrame | None, *, k: int
) -> RankingAgreement:  # fmt: skip
    """The same first document, the share of the first k that both hold, and tau; each ranking has RANKED.

    Of the first k of the shorter ranking, where that is shorter. Unknown without a ranking.
    """
    if first is None or second is None:
        unknown = EstimateValue(mean=None, interval=None, n=0)
        return RankingAgreement(same_first=unknown, overlap=unknown, kendall_tau=unknown)
    both = first.merge(second, on=["query_id", "doc_id"], suffixes=("_first", "_second"))
    measures = ["same_first", "overlap", "kendall_tau"]
    found = pd.DataFrame(index=pd.Index(data.query_ids), columns=measures, dtype=float)
    asked = found.index.intersection(pd.Index(first["query_id"])).intersection(pd.Index(second["query_id"]))
    top = both[(both["rank_first"] <= k) & (both["rank_second"] <= k)].groupby("query_id").size()
    same = both[(both["rank_first"] == 1) & (both["rank_second"] == 1)].groupby("query_id").size()
    lengths = [each.groupby("query_id").size().reindex(asked).clip(upper=k) for each in (first, second)]
    found.loc[asked, "same_first"] = same.reindex(asked).fillna(0).astype(float)
    found.loc[asked, "overlap"] = top.reindex(asked).fillna(0) / np.minimum(lengths[0], lengths[1])
    pairs = both.groupby("query_id")[["score_first", "score_second"]]
    taus = {str(query_id): kendall_tau(*rows.to_numpy(float).T) for query_id, rows in pairs}
    found["kendall_tau"] = pd.Series(taus, dtype=float).reindex(found.index)
    return RankingAgreement(
        **dict(
            zip(
                measures,
                estimates(data, found.to_numpy(float), [UNIT, UNIT, SIGNED]),
                strict=True,
            )
        )
    )


def kendall_tau(first: Array, second: Array) -> float:
    """Variant b of two lists of scores (Kendall 1945); NaN below two, or where all of one are equal.

    By every pair: lists are no longer than a depth, and loading scipy.stats for them would take a second.
    """
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    order, other = (np.sign(scores[:, None] - scores) for scores in (first, second))
    return round(float((order * other).sum() / np.sqrt((order**2).sum() * (other**2).sum())), DECIMALS)
