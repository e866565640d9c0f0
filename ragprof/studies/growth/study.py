"""Growth as a study: what happens to precision, token cost, time and money as the corpus grows."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from ragprof.corpus import EvaluationSet
from ragprof.evals.settings import handed_down, settings_of
from ragprof.price import price_recording
from ragprof.record.recording import Bench
from ragprof.report.blocks import Folded, Pair, ReportPart, Sentences
from ragprof.studies.contract import Context, Pricing, Request, Study
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


def estimate(growing: Growing, _cache: Path) -> Sequence[tuple[str, str]]:
    """What growing records: rankings in every sub-corpus, pairs to score, and live timings at every size."""
    growth, sizes, queries = growing.growth, growing.ground.sizes, len(growing.subject.queries)
    cells = len(sizes) * growth.orders * len(growth.curves)
    rerankers = {id(parts.reranker) for parts in growing.subject.pipelines if parts.reranker is not None}
    edited = len(growing.pool.docs) - growing.pool.corpus
    rows = [
        ("sub-corpora", f"{cells:,} ({len(sizes)} sizes from {sizes[0]:,} to {sizes[-1]:,} passages, "
         f"{growth.orders} orders, {len(growth.curves)} curves)"),
        ("rankings", f"{cells * queries * len(growing.subject.pipelines):,}, from one search of the largest of each"),
    ]  # fmt: skip
    if edited:
        rows.append(("distractors", f"{edited:,} more passages to embed"))
    if rerankers:
        pairs = cells * queries * growing.depth * len(rerankers)
        rows.append(("pairs to rerank", f"at most {pairs:,}; each distinct one is scored once"))
    rows.append(("live timings", f"about {growth.timing.seconds:,.0f} s, all sizes together"))
    return rows


def ready(growing: Growing, bench: Bench) -> None:
    """Claim the folder. Raises BadInput where it holds another growth recording."""
    if growing.fresh:
        shutil.rmtree(bench.folder / "growth", ignore_errors=True)
    claim(bench.folder / "growth", growing)


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
    from ragprof.studies.growth import charts

    if not section.judged:
        costs = [
            *(Sentences(section.notes), tables.resources(section), charts.time(section, context)),
            *(charts.cost(section, context), tables.forecasts(section), Folded(tables.other_forecasts(section))),
            Pair(tables.curves(section), tables.work(section)),
        ]
        return [ReportPart("growth", "Growth", costs, link="Growth")]
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
    return [ReportPart("growth", "Growth", blocks, link="Growth")]


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
    is_continued=True,
    left_out=(
        "The growth recording in this folder is of another corpus, other questions, pipelines or judgements and is "
        "left out; record it anew with 'ragprof grow --fresh'."
    ),
)
