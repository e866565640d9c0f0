"""Growth as a study: what happens to precision, token cost, time and money as the corpus grows."""

from __future__ import annotations

import math
from pathlib import Path

from ragprof.core.recorded import remove_study
from ragprof.corpus import EvaluationSet
from ragprof.evals.settings import handed_down, settings_of
from ragprof.parts.models.encoder import EncoderReranker
from ragprof.price import price_recording
from ragprof.record.recording import Bench
from ragprof.record.trial import Trial, rounds_s, scoring
from ragprof.report.blocks import Folded, Pair, ReportPart, Sentences
from ragprof.report.figures import counted, rough_duration
from ragprof.studies.contract import Context, Effort, Pricing, Request, Study
from ragprof.studies.growth import tables
from ragprof.studies.growth.analysis import analyse
from ragprof.studies.growth.data import belongs, is_recorded
from ragprof.studies.growth.judge import judge_growth
from ragprof.studies.growth.plan import Growing, claim, plan_growth
from ragprof.studies.growth.record import record_growth
from ragprof.studies.growth.section import GrowthSection
from ragprof.studies.preparation import Prepared


def plan(prepared: Prepared, request: Request) -> Growing:
    """Check and lay out how the corpus grows. Raises BadInput."""
    return plan_growth(prepared, request.eval_file, changes=request.changes, fresh=request.fresh)


def estimate(growing: Growing, trial: Trial) -> Effort:
    """What growing records: rankings in every sub-corpus, pairs to score, and live timings at every size."""
    growth, sizes, queries = growing.growth, growing.ground.sizes, len(growing.subject.queries)
    cells = len(sizes) * growth.orders * len(growth.curves)
    rerankers = {id(parts.reranker) for parts in growing.subject.pipelines if parts.reranker is not None}
    edited = len(growing.pool.docs) - growing.pool.corpus
    declared, apps = growing.declared, len(growing.subject.pipelines) - len(growing.declared)
    rows = [
        ("sub-corpora", f"{cells:,} ({len(sizes)} sizes from {sizes[0]:,} to {sizes[-1]:,} passages, "
         f"{counted(growth.orders, 'order')}, {counted(len(growth.curves), 'curve')})"),
        *([("rankings", f"{cells * queries * len(declared):,}, from one search of the largest of each")] if declared
          else []),
    ]  # fmt: skip
    if apps:
        own = ", ".join(parts.name for parts in growing.subject.pipelines if parts.app is not None)
        rows.append(("apps", f"{own}: index(documents) for at most {cells:,} sub-corpora and again at every size in "
                     f"each live round; at most {cells * queries * apps:,} questions beside the live ones. What is "
                     "indexed now is replaced"))  # fmt: skip
    rows += [("left out", sentence) for sentence in growing.apps_left_out.values()]
    if edited:
        rows.append(("distractors", f"{edited:,} more passages to embed"))
    if rerankers:
        pairs = cells * queries * growing.depth * len(rerankers)
        rows.append(("pairs to rerank", f"at most {pairs:,}; each distinct one is scored once"))
    live = sum(_live_s(growing, trial, size) for size in sizes)
    rows.append(("live timings", f"about {rough_duration(live)}, all sizes together"))
    return Effort(rows, live + _ranking_s(growing, trial))


def _live_s(growing: Growing, trial: Trial, size: int) -> float:
    """Seconds of the live rounds at one size: indexes are filled and every pipeline warms up in each round."""
    timing, share = growing.growth.timing, size / len(growing.subject.corpus.docs)
    latencies = {name: one.query_s - one.search_s * (1 - share) for name, one in trial.pipelines.items()}
    each = timing.among(len(growing.ground.sizes))
    live = rounds_s(latencies, each, available=len(growing.subject.queries), warmed=timing.rounds)
    return live + timing.rounds * share * trial.building_s


def _ranking_s(growing: Growing, trial: Trial) -> float:
    """Seconds of embedding what is added, of scoring the pairs and of injecting in every sub-corpus.

    While a corpus grows by a factor, the best `depth` of it change about depth * log(factor) times.
    """
    growth, sizes, queries = growing.growth, growing.ground.sizes, len(growing.subject.queries)
    orders = growth.orders * len(growth.curves)
    added = [doc.content for doc in growing.pool.docs[growing.pool.corpus :]]
    embedders = {id(each.embedder): each.embedder for each in growing.subject.pipelines if each.embedder is not None}
    seconds = sum(trial.embedding_s(embedder, added) for embedder in embedders.values())
    changes = 1 + orders * math.log(sizes[-1] / sizes[0])
    for name, scored in scoring(trial).items():
        # what is drawn again and again from so many is met again: after n draws of N, N (1 - exp(-n / N)) are known
        reranker = next(parts.reranker for parts in growing.subject.pipelines if parts.name == name)
        most = len(growing.pool.docs) * (1 if isinstance(reranker, EncoderReranker) else queries)
        reads = most * -math.expm1(-scored.reads * changes / most)
        seconds += scored.read_s * max(0.0, reads - scored.reads)
    for parts in growing.subject.pipelines:
        one = trial.pipelines[parts.name]
        if parts.app is not None:
            seconds += len(sizes) * orders * queries * one.query_s
            continue
        prompts = queries * min(orders * len(sizes), changes * len(sizes))
        seconds += prompts * (one.inject_s + one.count_s) + orders * queries * one.search_s
    return seconds


def ready(growing: Growing, bench: Bench) -> None:
    """Claim the folder. Raises BadInput where it holds another growth recording."""
    if growing.fresh:
        remove_study(bench.folder / "growth")
    claim(bench.folder / "growth", growing)
    for sentence in growing.apps_left_out.values():
        bench.progress.note(f"{sentence}; it is left out")


def judge(_: Growing, evaluation: EvaluationSet, bench: Bench) -> None:
    judge_growth(bench.folder, evaluation)


def price(folder: Path, pricing: Pricing) -> None:
    """Price each size's recording, by the prices and the traffic of the recording around it."""
    settings = settings_of(folder)
    for place in sorted((folder / "growth" / "sizes").iterdir()):
        price_recording(
            place, settings=handed_down(place, settings), books=pricing.books, on=pricing.on, llm=pricing.llm
        )


def show(section: GrowthSection, context: Context) -> list[ReportPart]:
    """What flatters first, then quality, what moves it, and what it takes."""
    from ragprof.studies.growth import charts, lookup

    if not section.judged:
        costs = [
            *(Sentences(section.notes), tables.resources(section), charts.time(section, context)),
            *(charts.cost(section, context), tables.forecasts(section), Folded(tables.other_forecasts(section))),
            Pair(tables.curves(section), tables.work(section)),
        ]
        return [ReportPart("growth", "Growth", costs, link="Growth", answer=lookup.answer(section))]
    blocks = [
        *(Sentences(section.notes), tables.glance(section), charts.quality(section, context)),
        *(tables.crossovers(section), tables.forecasts(section), Folded(tables.other_forecasts(section))),
        *(charts.causes(section, context), Folded(tables.evidence(section))),
        *(charts.kinds(section, context), Folded(tables.kinds(section))),
        *(charts.context_worth(section, context), Folded(tables.context_worth(section))),
        *(charts.loss(section, context), Folded(tables.loss(section))),
        *(charts.depth(section, context), charts.time(section, context), Folded(tables.resources(section))),
        *(charts.cost(section, context), Pair(tables.curves(section), tables.work(section))),
    ]
    return [ReportPart("growth", "Growth", blocks, link="Growth", answer=lookup.answer(section))]


STUDY: Study[Growing, GrowthSection] = Study(
    name="growth",
    plan=plan,
    estimate=estimate,
    ready=ready,
    record=record_growth,
    judge=judge,
    price=price,
    section=GrowthSection,
    analyse=analyse,
    show=show,
    print=tables.growth_table,
    is_recorded=is_recorded,
    belongs=belongs,
    asks_apps=True,
    needs_whole_corpus=True,
    is_continued=True,
    left_out=(
        "The growth recording in this folder is of another corpus, other questions, pipelines or judgements and is "
        "left out; record it anew with 'ragprof grow --fresh'."
    ),
)
