"""Chunking as a study: which way to cut the documents puts most of what answers into prompts of one size?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ragprof.core import Doc, files
from ragprof.core.errors import BadInput
from ragprof.corpus import Chunking, read_corpus
from ragprof.evals import complaint
from ragprof.evals.chunking import ChunkingSettings
from ragprof.record.trial import Trial
from ragprof.studies.chunking.analysis import analyse, chunking_belongs, is_chunked
from ragprof.studies.chunking.judge import judge_chunking
from ragprof.studies.chunking.record import OWN, ChunkingPlan, named, record_chunking, whole_documents
from ragprof.studies.chunking.section import ChunkingSection
from ragprof.studies.chunking.span_file import NOTHING_MARKED, read_spans
from ragprof.studies.chunking.tables import chunking_table, show
from ragprof.studies.contract import Effort, Pricing, Request, Study
from ragprof.studies.preparation import Places, Prepared, corpus_path
from ragprof.studies.variants import metrics_of, price_variants


def plan(prepared: Prepared, request: Request) -> ChunkingPlan:
    """Check the variants. `request.changes` go before the file's [chunking]. Raises BadInput."""
    prepared = prepared.without_apps("chunking")
    prepared.need_judgements("chunking")
    config = prepared.subject.config
    try:
        given = {**config.chunking.model_dump(exclude_unset=True), **request.changes}
        settings = ChunkingSettings.model_validate(given)
    except ValidationError as failure:
        raise BadInput(f"[chunking] {complaint(failure)}") from None
    own = config.corpus.chunking
    others = [each for each in settings.variants if each != own]
    if not others:
        raise BadInput(
            "there is nothing to compare the chunking with; name other ways to cut in [chunking], such as "
            "variants = [{ max_characters = 600 }, { max_characters = 2400 }]"
        )
    with Places(request.eval_file).put_before("chunking", "metric"):
        metric = metrics_of(settings.metric or config.metrics[0])[0]
    folder, written = corpus_path(config, request.eval_file), config.corpus.format
    kind = "recipe" if config.corpus.recipe else written

    def read(chunking: Chunking | None) -> Sequence[Doc]:
        return read_corpus(folder, format=kind, chunking=chunking, rules=config.corpus.rules).docs

    marked = NOTHING_MARKED
    if settings.spans is not None:
        given_here = request.changes.get("spans") is not None
        path = files.written_path(settings.spans, beside=None if given_here else request.eval_file)
        asked = {query.query_id for query in prepared.subject.queries}
        marked = read_spans(path, queries=asked, texts=whole_documents(read))
    return ChunkingPlan(
        prepared.subject, {OWN: own, **{named(each): each for each in others}}, read, settings.budget, metric, marked
    )


def estimate(planned: ChunkingPlan, _trial: Trial) -> Effort:
    """How often all documents are cut and embedded anew."""
    return Effort([("ways to cut", f"{len(planned.cuts)}, the first as declared; the others are embedded anew")], None)


def price(folder: Path, pricing: Pricing) -> None:
    price_variants(folder, "chunking", pricing)


STUDY: Study[ChunkingPlan, ChunkingSection] = Study(
    name="chunking",
    plan=plan,
    is_asked=lambda config: bool(config.chunking.variants),
    estimate=estimate,
    record=record_chunking,
    judge=judge_chunking,
    price=price,
    section=ChunkingSection,
    analyse=analyse,
    show=show,
    print=chunking_table,
    is_recorded=is_chunked,
    belongs=chunking_belongs,
    left_out=(
        "The chunking recording in this folder is of another corpus, other questions, pipelines or judgements and is "
        "left out; make it anew with 'ragprof chunking'."
    ),
)
