"""The judge pass over a screening: screen/effects.parquet, a row a pipeline, part of the source and resample.

Each resample draws the queries, and how the estimate moves with the sample from half of the sample; where that is the
whole source, it does not move. Resample 0 is the estimate: all that was sampled is added, every query once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import Doc, files
from ragprof.core.clock import Progress
from ragprof.core.recorded import write_sealed
from ragprof.corpus import EvaluationSet
from ragprof.evals.config import own_k
from ragprof.evals.recorded import RANKING, TOKENS, USAGE
from ragprof.judge.arrays import metrics
from ragprof.parts.injectors.token_budget import TokenBudgetInjector
from ragprof.record.pipeline import Parts
from ragprof.record.recording import Bench
from ragprof.record.variants import variant_folder
from ragprof.report.figures import judged_beside
from ragprof.statistics.draws import Draws
from ragprof.studies.screen.record import AS_IT_IS, WITH_SAMPLE, ScreenPlan
from ragprof.studies.screen.recorded import MANIFEST, SAMPLED
from ragprof.studies.screen.section import ADDED
from ragprof.studies.screen.simulate import Candidates, Packing, Prompts, graded, halves_of, inflation, merged, simulate
from ragprof.studies.screen.source_effect import SourceEffect
from ragprof.studies.variants import judge_variants

RESAMPLES = 200
FIGURES = ("quality", "judged", "from_source", "context_tokens")


@dataclass(frozen=True)
class _Eval:
    """What is the same for all pipelines."""

    plan: ScreenPlan
    evaluation: EvaluationSet
    bench: Bench
    sampled: pd.DataFrame
    halves: NDArray[np.int64]
    tokens: Mapping[str, int]
    document_of: Mapping[str, str]
    share: float
    """Of the source that was sampled."""


def judge_screen(plan: ScreenPlan, evaluation: EvaluationSet, bench: Bench) -> None:
    """Scores of what was ranked, and the effects of the sample, of its parts and of the whole source."""
    place = bench.folder / "screen"
    manifest, sampled = MANIFEST.read(place / "manifest.json"), SAMPLED.read(place / "sampled.parquet")
    judge_variants(place, evaluation, (plan.metric, judged_beside(plan.metric)))
    docs: list[Doc] = [*plan.subject.corpus.docs, *plan.sample]
    table = TOKENS.read(variant_folder(place, WITH_SAMPLE) / "tokens.parquet")
    tokens = dict(zip(table["id"][table["kind"] == "doc"], table["tokens"][table["kind"] == "doc"], strict=True))
    every = _Eval(
        plan, evaluation, bench, sampled,
        halves_of(len(sampled), RESAMPLES, manifest["seed"]),
        tokens, {doc.doc_id: doc.document_id for doc in docs}, len(sampled) / manifest["source_documents"],
    )  # fmt: skip
    progress = bench.progress
    progress.start("draw halves of the sample", len(plan.subject.pipelines) * len(plan.subject.queries))
    rows = [row for parts in plan.subject.pipelines for row in _effects(every, parts, progress)]
    progress.done()
    files.write_table(place / "effects.parquet", pd.DataFrame(rows))
    facts = {
        "recording": manifest["recording"], "qrels_sha256": evaluation.qrels_sha256, "metric": plan.metric,
        "judged": evaluation.is_judged, "resamples": RESAMPLES,
    }  # fmt: skip
    write_sealed(place / "judgement.json", facts, "effects.parquet")


def _effects(every: _Eval, parts: Parts, progress: Progress) -> list[dict[str, object]]:
    """Rows of one pipeline."""
    plan, place = every.plan, every.bench.folder / "screen"
    stage = "search" if parts.reranker is None else "rerank"
    ranked = {name: _ranked(every, parts.name, name) for name in (AS_IT_IS, WITH_SAMPLE)}
    usage = USAGE.read(variant_folder(place, AS_IT_IS) / "usage.parquet")
    usage = usage[(usage["pipeline"] == parts.name) & (usage["stage"] == "inject")]
    usual: dict[str, dict[str, float]] = {}
    for query_id, unit, number in zip(usage["query_id"], usage["unit"], usage["count"], strict=True):
        usual.setdefault(query_id, {})[unit] = float(number)
    effect = SourceEffect(plan.metric, depth=parts.depth, share=every.share, halves=every.halves)
    numbers = {name: number for number, name in enumerate(every.sampled["document_id"])}
    similar = every.sampled["similar"].to_numpy(bool)
    shown = {"all": np.ones(len(similar), bool), "similar": similar, "unrelated": ~similar}
    config = next(each for each in plan.subject.config.pipelines if each.name == parts.name)
    queries = plan.subject.queries
    shape = (len(ADDED), len(FIGURES), len(queries))
    today = np.full((len(FIGURES), len(queries)), np.nan)
    added_all, halves = np.full(shape, np.nan), np.full((*shape, RESAMPLES), np.nan)
    none, every_one = np.zeros((1, len(numbers)), np.int64), np.ones((1, len(numbers)), np.int64)
    for at, query in enumerate(queries):
        both = [ranked[name].get((query.query_id, "search"), []) for name in (WITH_SAMPLE, AS_IT_IS)]
        last = [dict(ranked[name].get((query.query_id, stage), [])) for name in (WITH_SAMPLE, AS_IT_IS)]

        def candidates(found: Sequence[tuple[str, float]], query_id: str, final: Mapping[str, float]) -> Candidates:
            return _candidates(every, query_id, [name for name, _ in found], final, numbers, stage == "search")

        room = None
        if isinstance(parts.injector, TokenBudgetInjector):
            room = parts.injector.tokens - (
                usual[query.query_id]["prompt_tokens"] - usual[query.query_id]["context_tokens"]
            )
        pack = partial(simulate, depth=parts.depth, packing=Packing(own_k(config), room))
        base = _figures(every, query.query_id, pack(candidates(both[1], query.query_id, last[1]), none))
        today[:, at] = base[:, 0]
        # What only one of the two searches found is in the ranking where some of the sample is left out.
        some = candidates(merged(*both), query.query_id, {**last[1], **last[0]})
        for number, added in enumerate(ADDED):
            whole = candidates(both[0], query.query_id, last[0]) if added == "all" else some
            prompts = pack(whole, every_one * shown[added])
            there = _figures(every, query.query_id, prompts)
            if added == "all" and every.share < 1:
                ideal = _ideal(every, query.query_id) if every.evaluation.is_judged else None
                effect.see(some, ideal=ideal, held=int(prompts.held[0]), is_search=stage == "search")
            added_all[number, :, at] = (there - base)[:, 0]
            half = _figures(every, query.query_id, pack(some, every.halves * shown[added]))
            halves[number, :, at] = half - base
        progress.advance(1)
    drawn = Draws.of([query.query_id for query in queries], seed=plan.seed, resamples=RESAMPLES).counts
    rows: list[dict[str, object]] = []
    for resample, figures in enumerate(effect.changes(today, drawn) if every.share < 1 else ()):
        named = dict(zip(FIGURES, figures.tolist(), strict=True))
        rows.append({"pipeline": parts.name, "added": "source", "resample": resample, **named, "quality_of_half": None})
    for number, added in enumerate(ADDED):
        weighted = drawn[1:] @ added_all[number].T / len(queries)
        if every.share < 1:
            spread = halves[number] - halves[number].mean(axis=-1, keepdims=True)
            factors = inflation(added_all[number].mean(axis=1), halves[number].mean(axis=(1, 2)))
            weighted += np.einsum("rq,fqr->rf", drawn[1:], spread) / len(queries) * factors
        half = halves[number].mean(axis=(1, 2))
        for resample, figures in enumerate([added_all[number].mean(axis=1), *weighted]):
            named = dict(zip(FIGURES, figures.tolist(), strict=True))
            rows.append(
                {"pipeline": parts.name, "added": added, "resample": resample, **named, "quality_of_half": half[0]}
            )
    return rows


def _ranked(every: _Eval, pipeline: str, variant: str) -> dict[tuple[str, str], list[tuple[str, float]]]:
    """(query, stage) -> doc ids with scores, best first."""
    table = RANKING.read(variant_folder(every.bench.folder / "screen", variant) / "rankings" / f"{pipeline}.parquet")
    found: dict[tuple[str, str], list[tuple[str, float]]] = {}
    table = table.sort_values("rank", kind="stable")
    for query, stage, doc, score in zip(
        table["query_id"], table["stage"], table["doc_id"], table["score"], strict=True
    ):
        found.setdefault((query, stage), []).append((doc, score))
    return found


def _candidates(
    every: _Eval, query_id: str, names: Sequence[str], final: Mapping[str, float], numbers: Mapping[str, int],
    is_search: bool,
) -> Candidates:  # fmt: skip
    documents = [every.document_of[name] for name in names]
    codes: dict[str, int] = {}
    # A search is in its order already, which a merged list of two searches need not show in its scores.
    best = list(names) if is_search else sorted(names, key=lambda name: (final[name], name), reverse=True)
    places = {name: place for place, name in enumerate(best)}
    return Candidates(
        np.array([codes.setdefault(name, len(codes)) for name in documents], np.int64),
        np.array([numbers.get(name, -1) for name in documents], np.int64),
        np.array([-places[name] for name in names], np.float64),
        graded(documents, every.evaluation.qrels.get(query_id, {})),
        np.array([every.tokens[name] for name in names], np.float64),
    )


def _figures(every: _Eval, query_id: str, found: Prompts) -> NDArray[np.float64]:
    """(figures, resamples)."""
    missing = np.full(len(found.context_tokens), np.nan)
    quality, judged = missing, missing
    if every.evaluation.is_judged:
        cutoff, ideal = int(every.plan.metric.partition("@")[2]), _ideal(every, query_id)
        # Each resample stands where a query would: what could be found is the same for all.
        scored = metrics(found.grades, np.broadcast_to(ideal, (len(missing), len(ideal))), [cutoff])
        quality, judged = scored[every.plan.metric], scored[judged_beside(every.plan.metric)]
    return np.stack([quality, judged, found.from_source, found.context_tokens])


def _ideal(every: _Eval, query_id: str) -> NDArray[np.float64]:
    """The relevant grades that could be found, best first."""
    grades = sorted((grade for grade in every.evaluation.qrels[query_id].values() if grade > 0), reverse=True)
    return np.array(grades or [0], np.float64)
