"""Injection as a study: what a model makes of what is retrieved, and what its answers are worth, cost and wait for."""

from __future__ import annotations

from pathlib import Path

from ragprof.core import files
from ragprof.core.recorded import seal_again
from ragprof.corpus import EvaluationSet
from ragprof.evals import handed_down, settings_of
from ragprof.record.query import within_window
from ragprof.record.recording import Bench
from ragprof.record.trial import Trial, rounds_s
from ragprof.report.blocks import Folded, Pair, ReportPart, Sentences, Small
from ragprof.report.figures import counted
from ragprof.studies.contract import Context, Effort, Pricing, Request, Study
from ragprof.studies.injection import tables
from ragprof.studies.injection.analysis import analyse
from ragprof.studies.injection.data import belongs, is_recorded
from ragprof.studies.injection.judge import judge_answers
from ragprof.studies.injection.model_judge import judge_by
from ragprof.studies.injection.plan import InjectionPlan, plan_injection
from ragprof.studies.injection.price import price_answers
from ragprof.studies.injection.record import record_injection
from ragprof.studies.injection.recorded import ANSWERS
from ragprof.studies.injection.section import InjectionSection
from ragprof.studies.preparation import Prepared


def plan(prepared: Prepared, request: Request) -> InjectionPlan:
    prepared.need_judgements("injection")
    return plan_injection(prepared, request.eval_file, changes=request.changes, keep_text=request.keep_text)


def estimate(planned: InjectionPlan, trial: Trial) -> Effort:
    """What is asked of the generators. Only where the eval has a table [injection] is a local one loaded and tried."""
    timing, lengths = planned.injection.timing, len(planned.injection.lengths)
    prompts = sum(len(planned.queries_of(one)) for settings in planned.settings.values() for one in settings)
    asked = f"{counted(len(planned.queries), 'question')}, {counted(len(planned.unanswerable), 'unanswerable one')}"
    rows = [
        ("prompts to answer", f"at most {prompts:,} ({asked}); each distinct one once, those in the cache not again"),
        ("live answers", f"about {timing.seconds:.0f} s, {counted(timing.rounds, 'round')}, or what six queries take"),
        ("prompts by length", f"{lengths * timing.repeats:,} ({counted(lengths, 'length')}, {timing.repeats} times)"),
    ]
    if "injection" not in trial.subject.config.model_fields_set:
        return Effort(rows, None)
    seconds, latencies = 0.0, dict[str, float]()
    for parts in planned.subject.pipelines:
        answer_s = None if parts.generator is None else trial.answer_s(parts.generator, parts)
        if answer_s is None:
            return Effort([*rows, ("time", "not known: a server answers, and is not asked before it is needed")], None)
        for one in planned.settings[parts.name]:
            seconds += answer_s * len(planned.queries_of(one))
            if one.timed:
                latencies[f"{parts.name} {one.name}"] = trial.pipelines[parts.name].query_s + answer_s
    seconds += rounds_s(latencies, timing, available=len(planned.queries))
    seconds += lengths * timing.repeats * sum(latencies.values()) / max(1, len(latencies))
    return Effort(rows, seconds)


def ready(planned: InjectionPlan, bench: Bench) -> None:
    """Load models and greet servers. Raises BadInput where a question alone is too long for its model."""
    generators = [*planned.generators, *([planned.model_judge] if planned.model_judge else [])]
    bench.progress.start("load generators", len(generators))
    for generator in generators:
        generator.load()
        bench.progress.advance(1)
    bench.progress.done()
    for parts in planned.subject.pipelines:
        for query in planned.asked.queries:
            within_window(parts, query, ())


def judge(planned: InjectionPlan, evaluation: EvaluationSet, bench: Bench) -> None:
    """By gold answers and judgements, by a model where one is named; then the answers' words may be forgotten."""
    contents = {doc.doc_id: doc.content for doc in planned.subject.corpus.docs}
    judge_answers(bench.folder, evaluation, contents)
    if planned.model_judge is not None:
        seed = planned.subject.config.seed
        judge_by(planned.model_judge, bench.folder, evaluation, cache=bench.cache, seed=seed, progress=bench.progress)
    if not planned.keep_text:
        path = bench.folder / "injection" / "answers.parquet"
        files.write_table(path, ANSWERS.read(path).assign(text=None).astype({"text": "string"}))
        seal_again(path.with_name("manifest.json"), path)


def price(folder: Path, pricing: Pricing) -> None:
    settings = handed_down(folder / "injection", settings_of(folder))
    price_answers(folder, settings=settings, books=pricing.books, on=pricing.on, llm=pricing.llm)


def show(section: InjectionSection, context: Context) -> list[ReportPart]:
    """One part: answers, then chunks, then waiting, then what it is worth and costs, then how it was made."""
    from ragprof.studies.injection import charts

    by_k, k_tokens, by_budget, budget_tokens = tables.swept(section)
    blocks = (
        Sentences(section.statements),
        Small(tables.model_words(section)),
        tables.glance(section),
        charts.lost(section, context),
        Folded(tables.attribution(section)),
        tables.endings(section),
        tables.reasoning(section),
        tables.comparisons(section),
        Folded(tables.abstention(section)),
        Folded(tables.agreement(section)),
        charts.quality(section, context),
        Sentences(tables.marginal_statements(section)),
        tables.marginal(section),
        Folded(by_k),
        Folded(by_budget),
        charts.tokens(section, context),
        Folded(k_tokens),
        Folded(budget_tokens),
        tables.orders(section),
        charts.time_to_first_token(section, context),
        Pair(tables.lengths(section), tables.fit(section)),
        charts.utility(section, context),
        tables.winners(section),
        tables.utility(section),
        charts.cost(section, context),
        tables.economics(section),
        tables.energy_used(section),
        tables.formulas(section),
        tables.budget(section),
        Pair(tables.setup(section), tables.energy(section)),
        Sentences(section.notes),
    )
    return [ReportPart("injection", "Context and answers", blocks, link="Answers")]


STUDY: Study[InjectionPlan, InjectionSection] = Study(
    name="injection",
    plan=plan,
    estimate=estimate,
    ready=ready,
    record=record_injection,
    uses=lambda plan: plan.subject.pipelines,
    judge=judge,
    price=price,
    section=InjectionSection,
    analyse=analyse,
    show=show,
    print=tables.injection_table,
    is_recorded=is_recorded,
    belongs=belongs,
    left_out=(
        "The answers in this folder are of another corpus, other questions, pipelines or judgements and are left out; "
        "record them anew with 'ragprof inject'."
    ),
)
