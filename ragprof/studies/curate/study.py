"""Curating as a study: what does a corpus hold twice or for nothing, and what would removing it change?"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ragprof.core.errors import BadInput
from ragprof.core.recorded import write_sealed
from ragprof.corpus import EvaluationSet
from ragprof.corpus.redundancy import Limits
from ragprof.evals import complaint
from ragprof.evals.curate import CurateSettings
from ragprof.record.recording import Bench
from ragprof.record.trial import Trial
from ragprof.studies.contract import Effort, Pricing, Request, Study
from ragprof.studies.curate.analysis import analyse, curate_belongs, is_curated
from ragprof.studies.curate.record import CuratePlan, record_curate
from ragprof.studies.curate.recorded import MANIFEST
from ragprof.studies.curate.section import CurateSection
from ragprof.studies.curate.tables import curate_table, show
from ragprof.studies.preparation import Places, Prepared
from ragprof.studies.variants import judge_variants, metrics_of, price_variants


def plan(prepared: Prepared, request: Request) -> CuratePlan:
    """Check the limits. `request.changes` go before the file's [curate]. Raises BadInput."""
    prepared = prepared.without_apps("curate")
    config = prepared.subject.config
    try:
        settings = CurateSettings.model_validate({**config.curate.model_dump(exclude_unset=True), **request.changes})
    except ValidationError as failure:
        raise BadInput(f"[curate] {complaint(failure)}") from None
    if settings.related > settings.near:
        raise BadInput(
            f"[curate] related = {settings.related:g} is above near = {settings.near:g}, and copies are alike at least "
            "as much as versions; lower related"
        )
    with Places(request.eval_file).put_before("curate", "metric"):
        metric = metrics_of(settings.metric or config.metrics[0])[0]
    limits = Limits(**settings.model_dump(exclude={"metric"}))
    return CuratePlan(prepared.subject, limits, metric, request.keep_text)


def estimate(planned: CuratePlan, _trial: Trial) -> Effort:
    """How much is read; how long it takes to search the variants is not known before they are."""
    documents = planned.subject.corpus.documents
    return Effort([("documents compared", f"{documents:,}")], None)


def judge(planned: CuratePlan, evaluation: EvaluationSet, bench: Bench) -> None:
    """Both scorings of every variant."""
    place = bench.folder / "curate"
    manifest = MANIFEST.read(place / "manifest.json")
    judge_variants(place, evaluation, metrics_of(planned.metric), manifest["same_as"])
    facts = {
        "recording": manifest["recording"],
        "qrels_sha256": evaluation.qrels_sha256,
        "metric": planned.metric,
        "judged": evaluation.is_judged,
    }
    write_sealed(place / "judgement.json", facts, "variants/*/as_one.parquet")


def price(folder: Path, pricing: Pricing) -> None:
    price_variants(folder, "curate", pricing)


STUDY: Study[CuratePlan, CurateSection] = Study(
    name="curate",
    plan=plan,
    estimate=estimate,
    record=record_curate,
    judge=judge,
    price=price,
    section=CurateSection,
    analyse=analyse,
    show=show,
    print=curate_table,
    is_recorded=is_curated,
    belongs=curate_belongs,
    left_out=(
        "What was curated in this folder is of another corpus, other questions, pipelines or judgements and is left "
        "out; make it anew with 'ragprof curate'."
    ),
)
