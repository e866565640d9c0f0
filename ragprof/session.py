"""The passes in a row, for the command line and for Python: record, judge, price, summarise, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ragprof import files
from ragprof.corpus import read_corpus, read_evaluation_set
from ragprof.evals import DEFAULT_METRICS, EvalConfig, PipelineConfig, Prices, Timing
from ragprof.judge.scores import judge
from ragprof.preparation import Prepared, check_pipeline, prepare
from ragprof.price import price_recording
from ragprof.progress import Progress, Silent
from ragprof.record.pipeline import Pipeline
from ragprof.record.recording import Bench, Subject, record
from ragprof.registry import PartSpec
from ragprof.report import write_report
from ragprof.studies.summary import summarise


@dataclass(frozen=True)
class Result:
    """A finished recording: its folder, the report's path, and the summary as a dict (see docs/summary.md)."""

    folder: Path
    summary: dict[str, Any]

    @property
    def report(self) -> Path:
        return self.folder / "report.html"


def run(
    eval_file: str | Path,
    *,
    corpus: str | Path | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Profile what an eval file declares. `out` defaults to reports/<name of the eval>.

    Raises RagprofError for what the user can mend, before anything is written.
    """
    prepared = prepare(Path(eval_file), corpus=None if corpus is None else Path(corpus))
    return _finish(prepared, None if out is None else Path(out), progress or Silent())


def profile(
    pipelines: Sequence[Pipeline],
    *,
    corpus: str | Path,
    queries: str | Path,
    qrels: str | Path,
    name: str = "profile",
    out: str | Path | None = None,
    prices: Prices | None = None,
    timing: Timing | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    progress: Progress | None = None,
) -> Result:
    """Profile pipelines that are declared in Python, callables among their stages included."""
    config = EvalConfig(
        name=name,
        metrics=tuple(metrics),
        pipelines=tuple(described(pipeline) for pipeline in pipelines),
        prices=prices or Prices(),
        timing=timing or Timing(),
    )
    docs = read_corpus(Path(corpus))
    evaluation = read_evaluation_set(Path(queries), Path(qrels), corpus=docs)
    parts = tuple(pipeline.parts() for pipeline in pipelines)
    for each in parts:
        check_pipeline(each, docs, config.tokenizer)
    prepared = Prepared(Subject(config, docs, evaluation.queries, parts), evaluation)
    return _finish(prepared, None if out is None else Path(out), progress or Silent())


def reprice(folder: Path, *, books: Sequence[Path] = (), on: date | None = None, llm: str | None = None) -> Result:
    """Price a recording anew and write its summary and report again. Runs no pipeline."""
    price_recording(folder, books=books, on=on or _today(), llm=llm)
    return redraw(folder)


def redraw(folder: Path) -> Result:
    """Summary and report of a recording, from its files."""
    summary = summarise(folder)
    write_report(summary, folder)
    return Result(folder, summary)


def described(pipeline: Pipeline) -> PipelineConfig:
    """A Python pipeline as the manifest shows it: callables by their names."""
    return PipelineConfig(
        name=pipeline.name,
        embedder=None if pipeline.embedder is None else _named(pipeline.embedder),
        store=_named(pipeline.store),
        depth=pipeline.depth,
        reranker=_named(pipeline.reranker or "none"),
        injector=_named(pipeline.injector),
    )


def _named(given: object) -> PartSpec:
    if isinstance(given, PartSpec):
        return given
    if isinstance(given, str | dict):
        return PartSpec.model_validate(given)
    return PartSpec(name=str(getattr(given, "__name__", type(given).__name__)))


def _finish(prepared: Prepared, out: Path | None, progress: Progress) -> Result:
    config = prepared.subject.config
    folder = out or Path("reports") / config.name
    record(prepared.subject, Bench(folder, files.cache_folder(), progress))
    judge(folder, prepared.evaluation, metrics=config.metrics)
    return reprice(folder)


def _today() -> date:
    return datetime.now(UTC).date()
