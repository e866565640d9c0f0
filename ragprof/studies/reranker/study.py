"""The study of rerankers: is it worth what it costs, at which depth, and what else would buy the same?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragprof.core import files
from ragprof.core.clock import today
from ragprof.core.errors import BadInput
from ragprof.corpus import EvaluationSet
from ragprof.evals import handed_down, keep_settings, settings_of
from ragprof.evals.recorded import JUDGEMENT, read_manifest
from ragprof.evals.settings import SETTINGS_FILE
from ragprof.price import check_rate
from ragprof.record.recording import Bench
from ragprof.studies.contract import Pricing, Request, Study
from ragprof.studies.preparation import Prepared
from ragprof.studies.reranker.analysis import analyse
from ragprof.studies.reranker.corrected import keep_corrected
from ragprof.studies.reranker.data import belongs, is_judged
from ragprof.studies.reranker.decision import decision_page, decisions
from ragprof.studies.reranker.judge import judge
from ragprof.studies.reranker.page import reranker_page
from ragprof.studies.reranker.plan import RerankerPlan, estimate, plan_reranker, validated
from ragprof.studies.reranker.price import price
from ragprof.studies.reranker.record import record
from ragprof.studies.reranker.section import RerankerSection
from ragprof.studies.reranker.show import answers, print_table, show

RESTATED = (
    "margin", "worth_usd_per_point", "max_added_p95_ms", "max_usd_per_1000_queries", "llms", "price_trend", "folds",
)  # fmt: skip
"""What of the settings a recording does not rest on."""


def plan(prepared: Prepared, request: Request) -> RerankerPlan:
    """Check and lay out what is asked. Raises BadInput for a price that has no rate, too."""
    prepared.need_judgements("what a reranker is worth")
    planned = plan_reranker(prepared, request.eval_file, changes=request.changes, keep_text=request.keep_text)
    for name in planned.settings.llms:
        check_rate(name, on=today(), file=request.eval_file, books=request.books)
    return planned


def ready(plan: RerankerPlan, bench: Bench) -> None:
    """Load rerankers and greet servers; take away the texts of an earlier run where none are to be kept."""
    if not plan.keep_text:
        for path in (bench.folder / "reranker").glob("*moves.parquet*"):
            path.unlink()
        for name in ("summary.json", "report.html", "report.md", "reranker.md", "decision.md"):
            (bench.folder / name).unlink(missing_ok=True)
    rerankers = {id(arm.reranker): arm.reranker for arm in plan.arms}
    bench.progress.start("load rerankers", len(rerankers))
    for reranker in rerankers.values():
        reranker.load()
        bench.progress.advance(1)
    bench.progress.done()


def judge_recorded(plan: RerankerPlan, evaluation: EvaluationSet, bench: Bench) -> None:
    contents = {doc.doc_id: doc for doc in plan.subject.corpus.docs}
    judge(bench.folder, evaluation, contents, keep_text=plan.keep_text)
    keep_corrected(bench.folder, evaluation)


def price_recorded(folder: Path, pricing: Pricing) -> None:
    """By the prices of the recording around it, where both declare the same pipelines."""
    settings = handed_down(folder / "reranker", settings_of(folder))
    price(folder, settings=settings, books=pricing.books, on=pricing.on, llm=pricing.llm)


def restate(home: Path, changes: Mapping[str, Any], pricing: Pricing) -> None:
    """Keep other settings beside the recording in this folder, and price it by them. Nothing is run or judged again.

    `changes` are among RESTATED; what the recording rests on cannot be changed (BadInput). Where the recording cannot
    be priced, the settings are what they were.
    """
    place = home / "reranker"
    if not (place / "manifest.json").exists():
        raise BadInput("no rerankers were recorded in this folder; run 'ragprof reranker EVAL.toml'", file=home)
    judged = is_judged(home)
    if not judged or not belongs(home, read_manifest(home), JUDGEMENT.read(home / "judgement.json")):
        raise BadInput(
            "the rerankers in this folder were not recorded to the end, or over another corpus, other questions, "
            "parts or judgements than the recording around them; run 'ragprof reranker EVAL.toml'",
            file=home,
        )
    for name in changes:
        if name not in RESTATED:
            raise BadInput(
                f"'{name}' is part of the recording in this folder; give the eval file instead of the folder",
                file=home,
            )
    config, kept = settings_of(place), place / SETTINGS_FILE
    settings = validated({**config["reranker"], **changes})
    for name in settings.llms:
        check_rate(name, on=pricing.on, file=home, books=pricing.books)
    before = kept.read_text(encoding="utf-8") if kept.exists() else None
    keep_settings(place, {**config, "reranker": settings.model_dump(mode="json")})
    try:
        price_recorded(home, pricing)
    except BaseException:
        kept.unlink(missing_ok=True) if before is None else files.write_text(kept, before)
        raise


STUDY: Study[RerankerPlan, RerankerSection] = Study(
    name="reranker",
    plan=plan,
    estimate=estimate,
    ready=ready,
    record=record,
    uses=lambda plan: [arm.parts for arm in plan.arms],
    judge=judge_recorded,
    price=price_recorded,
    section=RerankerSection,
    analyse=analyse,
    show=show,
    print=print_table,
    answers=answers,
    asks_apps=True,
    decisions=decisions,
    pages={"reranker.md": reranker_page, "decision.md": decision_page},
    restate=restate,
    is_recorded=is_judged,
    belongs=belongs,
    left_out="The rerankers in this folder were recorded over another corpus, other questions, pipelines or judgements "
    "and are left out; record them anew with 'ragprof reranker'.",
)
