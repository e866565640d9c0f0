"""Teacher and student side by side: what a cheaper part keeps of the quality, and at which cost and time.

Three kinds of pair. A student reranker over the candidates of its pipeline, against that pipeline's own. Two reranked
pipelines with the same embedder, store and depth but another reranker. Two pipelines that differ in nothing but the
embedder (so float32 and int8 of the same model). Of two pipelines the one that stands first in the eval is the teacher.
All ratios are student / teacher: a cost or latency ratio below 1 means that the student is cheaper, or faster.

A teacher or a student: what is known of a reranker or of an embedder before two of them are compared.

A reranker is known from the rerankers' recording alone. An embedder is known from the recording that it lies in: final
rankings, spans and costs of whole pipelines; what is missing there is not known, and not 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from ragprof.core import DEFAULT_K, files
from ragprof.core.quantities import duration
from ragprof.statistics.draws import Array, ends
from ragprof.statistics.estimates import quantile, quantile_draws, rounds_of
from ragprof.statistics.paired import paired_p
from ragprof.studies.reranker.candidates import agreement, reranked, unknown
from ragprof.studies.reranker.data import RerankerData
from ragprof.studies.reranker.effects import TIMES, known, level, means, percent, ratio_estimate, share_of

TIMED = ["query_id", "round", "duration_ns"]


@dataclass(frozen=True)
class Side:
    """`quality`, `gain` and `usd` have a value a query (NaN: not known); `gain` and `usd` are None where unknown.

    `ranking` has query_id, rank, doc_id and score. `times` has query_id, round and duration_ns.
    """

    name: str
    quality: Array
    gain: Array | None
    ranking: pd.DataFrame | None
    usd: Array | None
    times: pd.DataFrame


def reranker_side(data: RerankerData, arm: str, name: str) -> Side:
    """At the arm's own depth; the time is that of reranking alone."""
    depth = int(data.arm(arm)["own_depth"])
    timed = data.timed(arm, depth).dropna(subset=["rerank_ns"])
    return Side(
        name,
        quality=data.reranked(arm, data.metric),
        gain=data.gain(arm, data.metric),
        ranking=reranked(data, arm, depth)[["query_id", "rank", "doc_id", "score"]],
        usd=data.usd(arm, depth),
        times=timed.assign(duration_ns=timed["rerank_ns"])[TIMED],
    )


def embedder_side(data: RerankerData, pipeline: str) -> Side:
    """A whole pipeline by its final ranking; time and cost are those of embedding the query alone."""
    return Side(
        pipeline,
        quality=data.other(pipeline, data.metric),
        gain=None,
        ranking=_final_ranking(data, pipeline),
        usd=_embedding_usd(data, pipeline),
        times=_embedding_times(data, pipeline),
    )


def injected_k(data: RerankerData, pipeline: Mapping[str, Any]) -> int:
    """How many passages a pipeline's prompt holds; 10 where its injector does not say."""
    arm = data.manifest["arms"].get(pipeline["name"])
    return int(arm["own_k"] if arm else (pipeline.get("injector") or {}).get("k") or DEFAULT_K)


def _final_ranking(data: RerankerData, pipeline: str) -> pd.DataFrame | None:
    path = data.home / "rankings" / f"{pipeline}.parquet"
    if not path.exists():
        return None
    rows = files.read_table(path)
    stage = "rerank" if (rows["stage"] == "rerank").any() else "search"
    mine = rows[(rows["stage"] == stage) & rows["query_id"].isin(data.query_ids)]
    return mine[["query_id", "rank", "doc_id", "score"]]


def _embedding_times(data: RerankerData, pipeline: str) -> pd.DataFrame:
    path = data.home / "spans.parquet"
    if not path.exists():
        return pd.DataFrame(columns=TIMED)
    rows = files.read_table(path)
    mine = rows[(rows["pipeline"] == pipeline) & (rows["phase"] == "timed") & (rows["stage"] == "embed")]
    return mine[TIMED]


def _embedding_usd(data: RerankerData, pipeline: str) -> Array | None:
    path = data.home / "costs.parquet"
    if not path.exists():
        return None
    rows = files.read_table(path)
    mine = rows[(rows["pipeline"] == pipeline) & (rows["stage"] == "embed")]
    if mine.empty or mine["usd"].isna().any():
        return None
    usd = mine["usd"].astype(float).groupby(mine["query_id"]).sum()
    return np.asarray(usd.reindex(data.query_ids).to_numpy(float, na_value=np.nan))


RERANKER, EMBEDDER = "reranker", "embedder"
SEARCHING = ("embedder", "store", "depth")
BESIDE = ("name", "embedder", "prices")


def side_by_side(data: RerankerData) -> list[dict[str, Any]]:
    """A row for each pair: students first, then pipelines by reranker, then pipelines by embedder."""
    return [*_students(data), *_rerankers(data), *_embedders(data)]


def compared(
    data: RerankerData, teacher: Side, student: Side, *, kind: str, over: str, k: int
) -> dict[str, Any]:  # fmt: skip
    """`retained` is the student's share of the teacher's gain over the search, for embedders of its quality.

    An end of a ratio's interval is null where the sign of what it is a share of is open.
    """
    difference = student.quality - teacher.quality
    own, theirs = (np.where(np.isnan(difference), np.nan, side.quality) for side in (student, teacher))
    share = _share(data, own, theirs)
    gains = teacher.gain is not None and student.gain is not None
    zero_where_unknown = np.nan_to_num(difference)
    found = {
        "kind": kind,
        "teacher": teacher.name,
        "student": student.name,
        "over": over,
        "retained": _share(data, student.gain, teacher.gain) if gains else share,
        "quality_share": share,
        "difference": data.draws.estimate(difference),
        "p": paired_p(zero_where_unknown, np.zeros(len(difference)), seed=data.seed) if known(difference) else None,
        "agreement": _agreement(data, teacher, student, k),
        "cost_ratio": _cost_ratio(teacher, student),
        "latency_ratio": latency_ratio(teacher, student, seed=data.seed),
    }
    return {**found, "sentence": _sentence(data, found, teacher, student)}


def latency_ratio(teacher: Side, student: Side, *, seed: int) -> dict[str, Any] | None:
    """Student's p50 over teacher's, over the queries that both were timed on; the interval resamples those."""
    theirs, mine = shared_rounds(teacher, student)
    if not theirs.size or not quantile(theirs, 0.5) > 0:
        return None
    taken, taught = (quantile_draws(rounds, [0.5], seed=seed)[:, 0] for rounds in (mine, theirs))
    ratios = taken / taught
    n = len(theirs)
    return {"mean": float(ratios[0]), "interval": ends(ratios) if n > 1 else None, "n": n}


def shared_rounds(teacher: Side, student: Side) -> tuple[Array, Array]:
    """Times of the queries that both were timed on, (queries, rounds) each."""
    both = sorted(set(teacher.times["query_id"]) & set(student.times["query_id"]))
    return rounds_of(teacher.times, queries=both), rounds_of(student.times, queries=both)


def _students(data: RerankerData) -> Iterator[dict[str, Any]]:
    for name in data.names:
        own = data.arm(name)
        for arm in data.students(name):
            student = data.arm(arm)
            teacher = _named(own["reranker"], student["reranker"])
            sides = reranker_side(data, name, teacher), reranker_side(data, arm, str(student["student"]))
            yield compared(data, *sides, kind=RERANKER, over=name, k=int(own["own_k"]))


def _rerankers(data: RerankerData) -> Iterator[dict[str, Any]]:
    """Over what: the search that both rerank."""
    for first, second in combinations(_pipelines(data, set(data.names)), 2):
        if _same(first, second, SEARCHING) and first["reranker"] != second["reranker"]:
            sides = (reranker_side(data, each["name"], each["name"]) for each in (first, second))
            over, k = str(data.arm(first["name"])["against"]), injected_k(data, first)
            yield compared(data, *sides, kind=RERANKER, over=over, k=k)


def _embedders(data: RerankerData) -> Iterator[dict[str, Any]]:
    judged = set(data.tables["others"]["pipeline"])
    for first, second in combinations(_pipelines(data, judged), 2):
        others = (set(first) | set(second)) - set(BESIDE)
        if first["embedder"] and second["embedder"] and _same(first, second, others):
            sides = [embedder_side(data, each["name"]) for each in (first, second)]
            if first["embedder"] != second["embedder"] and not any(np.isnan(side.quality).all() for side in sides):
                over, k = str(first["store"]["name"]), injected_k(data, first)
                yield compared(data, *sides, kind=EMBEDDER, over=over, k=k)


def _pipelines(data: RerankerData, wanted: set[str]) -> list[dict[str, Any]]:
    """As the eval declares them, in its order."""
    return [dict(pipeline) for pipeline in data.config["pipelines"] if pipeline["name"] in wanted]


def _same(first: Mapping[str, Any], second: Mapping[str, Any], keys: Iterable[str]) -> bool:
    return all(first.get(key) == second.get(key) for key in keys)


def _named(spec: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """A part's name, with those of its options that tell it from another of the same name."""
    if spec["name"] != other["name"]:
        return str(spec["name"])
    telling = [str(value) for key, value in spec.items() if key != "name" and value != other.get(key)]
    return " ".join([str(spec["name"]), *telling])


def _share(data: RerankerData, student: Any, teacher: Any) -> dict[str, Any]:
    return ratio_estimate(means(data, student), means(data, teacher), n=known(teacher))


def _agreement(data: RerankerData, teacher: Side, student: Side, k: int) -> dict[str, Any]:
    if teacher.ranking is None or student.ranking is None:
        return unknown()
    return agreement(data, teacher.ranking, student.ranking, k=k)


def _cost_ratio(teacher: Side, student: Side) -> float | None:
    """Over the queries whose cost is known of both; None where there is none, or the teacher is free."""
    if teacher.usd is None or student.usd is None:
        return None
    both = ~(np.isnan(teacher.usd) | np.isnan(student.usd))
    paid = float(teacher.usd[both].sum())
    return float(student.usd[both].sum()) / paid if paid > 0 else None


def _sentence(data: RerankerData, found: Mapping[str, Any], teacher: Side, student: Side) -> str:
    qualities = [level({**data.draws.estimate(side.quality), "interval": None}) for side in (student, teacher)]
    lead = (
        f"{student.name} keeps {percent(found['quality_share'])} of the quality of {teacher.name} ({data.metric} "
        f"{qualities[0]} against {qualities[1]})"
    )
    if found["kind"] == RERANKER:
        lead += f" and {percent(found['retained'])} of its gain over the search"
    return f"{lead}{_price(found, teacher, student)}."


def _price(found: Mapping[str, Any], teacher: Side, student: Side) -> str:
    """At which share of the time and of the cost; nothing is said of what is not known."""
    shares = []
    if found["latency_ratio"] is not None:
        theirs, mine = (duration(quantile(rounds, 0.5)) for rounds in shared_rounds(teacher, student))
        shares.append(f"{share_of(found['latency_ratio'])} its time (p50 {mine} against {theirs})")
    if found["cost_ratio"] is not None:
        ratio = found["cost_ratio"]
        shares.append(f"{ratio:.3g} times its cost" if ratio > TIMES else f"{100 * ratio:.3g} % of its cost")
    return f", at {' and '.join(shares)}" if shares else ""
