"""Screening as a study: what would adding a source do to the questions of today, before it is ingested?"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from ragprof.core import files
from ragprof.core.errors import BadInput
from ragprof.corpus import read_corpus
from ragprof.corpus.redundancy import whole_texts
from ragprof.evals import complaint
from ragprof.evals.screen import ScreenSettings
from ragprof.record.trial import Trial
from ragprof.studies.contract import Effort, Pricing, Request, Study
from ragprof.studies.preparation import Prepared
from ragprof.studies.screen.analysis import analyse, is_screened, screen_belongs
from ragprof.studies.screen.judge import judge_screen
from ragprof.studies.screen.record import ScreenPlan, record_screen, sampled
from ragprof.studies.screen.section import ScreenSection
from ragprof.studies.screen.tables import screen_table, show
from ragprof.studies.variants import price_variants

COMPUTED = ("nDCG", "P", "R")
USUAL = "nDCG@10"


def plan(prepared: Prepared, request: Request) -> ScreenPlan:
    """Read the source and draw its sample. `request.changes` go before the file's [screen]. Raises BadInput."""
    prepared = prepared.without_apps("screen")
    config = prepared.subject.config
    changes = dict(request.changes)
    given = changes.pop("source", None)
    try:
        settings = ScreenSettings.model_validate({**config.screen.model_dump(exclude_unset=True), **changes})
    except ValidationError as failure:
        raise BadInput(f"[screen] {complaint(failure)}") from None
    if given is None and settings.source is None:
        raise BadInput("no source to screen; name one with --source FOLDER or as source in [screen]")
    path = Path(given) if given is not None else files.written_path(settings.source or "", beside=request.eval_file)
    source = read_corpus(path, chunking=config.corpus.chunking)
    first = config.metrics[0]
    metric = settings.metric or (first if first.partition("@")[0] in COMPUTED and "@" in first else USUAL)
    sample = sampled(source.docs, settings.sample, seed=settings.seed, name=source.name)
    return ScreenPlan(prepared.subject, source.name, len(whole_texts(source.docs)), sample, metric, settings.seed)


def estimate(planned: ScreenPlan, _trial: Trial) -> Effort:
    """How many passages of the source are embedded at most."""
    return Effort([("passages of the source", f"{len(planned.sample):,}")], None)


def price(folder: Path, pricing: Pricing) -> None:
    price_variants(folder, "screen", pricing)


STUDY: Study[ScreenPlan, ScreenSection] = Study(
    name="screen",
    plan=plan,
    is_asked=lambda config: config.screen.source is not None,
    estimate=estimate,
    record=record_screen,
    judge=judge_screen,
    price=price,
    section=ScreenSection,
    analyse=analyse,
    show=show,
    print=screen_table,
    is_recorded=is_screened,
    belongs=screen_belongs,
    left_out=(
        "The screening in this folder is of another corpus, other questions, pipelines or judgements and is left out; "
        "make it anew with 'ragprof screen'."
    ),
)
