"""The shipped parts for tests, each with one reason not to give the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ragprof.core import Doc, Embedded, Generated, Query, Scored
from ragprof.core.clock import Silent
from ragprof.core.registry import PartSpec
from ragprof.parts.embedders.hashing import HashingEmbedder
from ragprof.parts.generators.extractive import ExtractiveGenerator
from ragprof.parts.rerankers.overlap import OverlapReranker
from ragprof.record.recording import Bench
from ragprof.studies.audit.analysis import analyse
from ragprof.studies.audit.judge import judge_audit
from ragprof.studies.audit.record import record_audit
from ragprof.studies.audit.section import AuditSection, StageCheck
from ragprof.studies.preparation import prepare


class TurningReranker(OverlapReranker):
    """Every second call turns the order around."""

    def __init__(self) -> None:
        self._sign = -1.0

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        self._sign = -self._sign
        return Scored(tuple(self._sign * score for score in super().score(query, docs).scores), {})


class BatchBoundReranker(OverlapReranker):
    """Every score grows by 0.25 with each document in the call."""

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        return Scored(tuple(score + 0.25 * len(docs) for score in super().score(query, docs).scores), {})


class PlaceBoundReranker(OverlapReranker):
    """What comes first in the call is the best."""

    pointwise = False

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        return Scored(tuple(-float(place) for place in range(len(docs))), {})


class ThreadBoundReranker(OverlapReranker):
    """One thread changes the sign of every score."""

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        import torch

        sign = -1.0 if torch.get_num_threads() == 1 else 1.0
        return Scored(tuple(sign * score for score in super().score(query, docs).scores), {})


class BatchBoundEmbedder(HashingEmbedder):
    """Vectors of several texts are twice as long as those of one: other numbers, the same order."""

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        embedded = super().embed_queries(texts)
        return Embedded(embedded.vectors * (1 if len(texts) == 1 else 2), embedded.usage)


class BatchTurningEmbedder(HashingEmbedder):
    """Vectors of several documents point the other way than those of one."""

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        embedded = super().embed_documents(texts)
        return Embedded(embedded.vectors * (1 if len(texts) == 1 else -1), embedded.usage)


class CountingGenerator(ExtractiveGenerator):
    """Ends every answer with the number of answers so far."""

    def __init__(self) -> None:
        super().__init__()
        self._given = 0

    def generate(self, prompt: str) -> Generated:
        self._given += 1
        return replace(super().generate(prompt), text=str(self._given))


class ManyAnswersGenerator(ExtractiveGenerator):
    """The same answers one by one; together, the last one is lost."""

    def generate_many(self, prompts: Sequence[str]) -> list[Generated]:
        answers = [self.generate(prompt) for prompt in prompts]
        return [*answers[:-1], replace(answers[-1], text="")]


def audited(handbook: Path, cache: Path, *, times: int = 3, queries: int = 12, **parts: Any) -> AuditSection:
    """The audit of the handbook's hybrid+overlap alone, with other parts in it; facts are in `out` beside the file."""
    prepared = prepare(handbook)
    subject, name = prepared.subject, "hybrid+overlap"
    config = subject.config.model_copy(
        update={"pipelines": tuple(each for each in subject.config.pipelines if each.name == name)}
    )
    pipeline = next(each for each in subject.pipelines if each.name == name)
    if "generator" in parts:
        generated = config.pipelines[0].model_copy(update={"generator": PartSpec(name="extractive")})
        config = config.model_copy(update={"pipelines": (generated,)})
    subject = replace(subject, config=config, pipelines=(replace(pipeline, **parts),))
    bench = Bench(handbook.parent / "out", cache, Silent())
    record_audit(subject, bench, times=times, queries=queries)
    judge_audit(bench.folder, prepared.evaluation, metric="nDCG@10")
    return analyse(bench.folder)


def row(section: AuditSection, stage: str, what: str, variant: str = "repeated") -> StageCheck:
    """One row of the only pipeline's table."""
    (pipeline,) = section.pipelines.values()
    (found,) = [each for each in pipeline.stages if (each.stage, each.what, each.variant) == (stage, what, variant)]
    return found
