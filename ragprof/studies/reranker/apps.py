"""The reranker of a user's own app: with it and without, at other depths, and with one of ours in its place.

What the app found and how it ordered it is read from the main recording, where each variant of it was asked every
question; live, its variants are asked as they are. No score of an app is known, so its order stands for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pandas as pd

from ragprof.core import Doc, Query, Ranking, Scored, ScoredDoc, Span, Trace
from ragprof.core.clock import Clock
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec
from ragprof.evals import EvalConfig, PipelineConfig, RerankerSettings
from ragprof.evals.recorded import RANKING
from ragprof.record.pipeline import Parts
from ragprof.record.query import reranked, traced

OWN = PartSpec(name="own")
"""What stands for the reranker of an app, which nobody but the app knows."""
RERANKER_KNOBS, OFF = ("reranker", "rerank", "reranking", "use_reranker"), ("off", "none", "no", "false", "0")
DEPTH_KNOBS = ("depth", "top_n", "fetch_k", "candidates", "num_candidates", "rerank_depth")


@dataclass
class GivenOrder:
    """A reranker that orders candidates as the app did; it knows no others."""

    orders: dict[tuple[str, tuple[str, ...]], dict[str, int]] = field(default_factory=dict)
    identity: str | None = None
    pointwise: bool = False

    def load(self) -> None:
        """Nothing to load: the app has its own."""

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        """Minus the place of each. Raises KeyError for candidates that the app was not seen with."""
        places = self.orders[query.query_id, tuple(doc.doc_id for doc in docs)]
        return Scored(tuple(-float(places[doc.doc_id]) for doc in docs), {})


@dataclass(frozen=True)
class AppVariants:
    """An app as it is declared, the variant without its reranker if there is one, and those of other depths."""

    own: Parts
    without: Parts | None
    others: tuple[Parts, ...]
    is_wished: bool
    """Whether the eval names it among those to look at; else it may turn out to have no reranker."""


def variants_of(config: EvalConfig, settings: RerankerSettings, pipelines: Sequence[Parts]) -> list[AppVariants]:
    """Every app whose reranker may be looked at. Raises BadInput for a `depth_knob` that none has."""
    parts = {each.name: each for each in pipelines}
    declared = [each for each in config.pipelines if each.app is not None and each.variant_of in (None, each.name)]
    if settings.depth_knob and not any(_named(each, (settings.depth_knob,)) for each in declared):
        raise BadInput(f"depth_knob = '{settings.depth_knob}' is no knob of an app; name one of its knobs")
    found = []
    for own in declared:
        if settings.pipelines is not None and own.name not in settings.pipelines:
            continue
        family = [each for each in config.pipelines if each.variant_of == own.name and each is not own]
        switch = _named(own, RERANKER_KNOBS)
        depth = _named(own, (settings.depth_knob,) if settings.depth_knob else DEPTH_KNOBS)
        off = [
            each
            for each in family
            if _differ(own, each) == {switch} and str((each.knobs or {}).get(switch or "")).lower() in OFF
        ]
        deeper = [each for each in family if _differ(own, each) == {depth}]
        found.append(
            AppVariants(
                parts[own.name],
                parts[off[0].name] if off else None,
                tuple(parts[each.name] for each in deeper),
                settings.pipelines is not None,
            )
        )
    return found


def _named(config: PipelineConfig, names: Sequence[str]) -> str | None:
    """The knob of that name, whole or the last step of its path."""
    return next((knob for knob in config.knobs or {} if knob in names or knob.rpartition(".")[2] in names), None)


def _differ(first: PipelineConfig, second: PipelineConfig) -> set[str | None]:
    return {knob for knob, value in (first.knobs or {}).items() if (second.knobs or {}).get(knob) != value}


@dataclass(frozen=True)
class SeenApp:
    """What the main recording has of an app: by depth the variant, and what it found and how it ordered that.

    `found` are candidates, one ranking a query; without its reranker an app may find some that it lacks with it.
    """

    by_depth: Mapping[int, Parts]
    found: Mapping[int, Sequence[Ranking]]
    order: GivenOrder
    own_depth: int
    own_k: int


def seen(variants: AppVariants, home: Path, queries: Sequence[Query], docs: Sequence[Doc]) -> SeenApp | None:
    """Of an app in the recording at `home`; None where nobody told of its reranker.

    Its depth is how many candidates it had at most. At its own depth candidates stand in the order of the variant
    without its reranker, if there is one, then in that of its search. What a reranker left out comes after what it
    kept.
    """
    names = [each.name for each in (variants.own, *variants.others, variants.without) if each is not None]
    tables = {name: RANKING.read(home / "rankings" / f"{name}.parquet") for name in names}
    contents = {doc.doc_id: doc for doc in docs}
    if "rerank" not in set(tables[variants.own.name]["stage"]):
        if variants.is_wished:
            raise BadInput(
                f"nobody told of a reranker in app '{variants.own.name}'; mark it with ragprof.span('rerank') and give "
                "that the documents"
            )
        return None
    order, by_depth, found = GivenOrder(), dict[int, Parts](), dict[int, Sequence[Ranking]]()
    for parts in (variants.own, *variants.others):
        searched, final = (_lists(tables[parts.name], stage) for stage in ("search", "rerank"))
        first = (
            {}
            if parts is not variants.own or variants.without is None
            else _lists(
                tables[variants.without.name],
                "rerank" if "rerank" in set(tables[variants.without.name]["stage"]) else "search",
            )
        )
        mine = []
        for query in queries:
            name = query.query_id
            ids = list(dict.fromkeys([*first.get(name, ()), *searched.get(name, ()), *final.get(name, ())]))
            kept = list(dict.fromkeys([*final.get(name, ()), *searched.get(name, ()), *ids]))
            order.orders[name, tuple(ids)] = {doc_id: place for place, doc_id in enumerate(kept)}
            unknown = (Doc(doc_id, "", "", doc_id) for doc_id in ids)
            mine.append(
                tuple(ScoredDoc(contents.get(doc.doc_id, doc), -float(place)) for place, doc in enumerate(unknown))
            )
        depth = max(1, *map(len, mine))
        if depth not in by_depth:
            by_depth[depth], found[depth] = parts, mine
    injected = _lists(tables[variants.own.name], "inject")
    own_depth = next(iter(by_depth))
    own_k = max(1, *map(len, injected.values())) if injected else 1
    return SeenApp(by_depth, found, order, own_depth, min(own_k, own_depth))


def _lists(table: pd.DataFrame, stage: str) -> dict[str, list[str]]:
    rows = table[table["stage"] == stage].sort_values("rank")
    return {str(name): mine["doc_id"].tolist() for name, mine in rows.groupby("query_id")}


def traced_app(
    parts: Parts, query: Query, clock: Clock, how: Literal["whole", "without", "student"]
) -> tuple[Ranking, Trace]:
    """What the reranker was given in a live question, and the question's spans. Raises AppFailed.

    "without" and "student" leave out the time of the app's own reranker, if it has run; a student then scores the same
    candidates in its place.
    """
    answer, trace = traced(parts, query, clock, read={"query"})
    given = answer.rankings["search"]
    if how == "whole":
        return given, trace
    taken = sum(span.duration_ns for span in trace.spans if span.stage == "rerank")
    spans = tuple(span for span in trace.spans if span.stage != "rerank")
    whole = replace(trace, spans=spans, duration_ns=max(0, trace.duration_ns - taken))
    if how == "without" or parts.reranker is None:
        return (), whole
    start = clock()
    reranked(parts.reranker, query, given)
    span = Span("rerank", start, clock() - start)
    return given, replace(whole, spans=(*spans, span), duration_ns=whole.duration_ns + span.duration_ns)
