"""The passes in a row, for the command line and for Python: record, judge, price, summarise, report.

The determinism audit of an eval, for the command line and for Python: record, judge, summarise.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ragprof.core import DEFAULT_K, environment, files
from ragprof.core.clock import Progress, Silent
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec
from ragprof.core.stages import Generator
from ragprof.corpus import read_corpus, read_evaluation_set
from ragprof.evals import (
    DEFAULT_METRICS,
    EvalConfig,
    PipelineConfig,
    Prices,
    Timing,
    complaint,
    handed_down,
    keep_settings,
    lasting,
    settings_of,
)
from ragprof.judge.scores import canonical, judge
from ragprof.price import check_rate, price_recording
from ragprof.record.belonging import Basis, rests_alike
from ragprof.record.pipeline import Pipeline
from ragprof.record.query import within_window
from ragprof.record.recording import Bench, Subject, fingerprint_of, identities, record, redacted
from ragprof.session.pages import write_report
from ragprof.session.summary import summarise
from ragprof.studies.audit import study as auditing
from ragprof.studies.audit.analysis import audit_of
from ragprof.studies.contract import Pricing, Request
from ragprof.studies.growth.judge import judge_growth
from ragprof.studies.growth.plan import claim, plan_growth
from ragprof.studies.growth.record import record_growth
from ragprof.studies.injection.judge import judge_answers
from ragprof.studies.injection.model_judge import judge_by
from ragprof.studies.injection.plan import InjectionPlan, _model_judge, plan_injection
from ragprof.studies.injection.price import price_answers
from ragprof.studies.injection.record import record_injection
from ragprof.studies.preparation import (
    Prepared,
    check_pipeline,
    own_documents,
    prepare,
    rate_names,
    today,
)
from ragprof.studies.reranker.study import STUDY as RERANKER
from ragprof.studies.reranker.study import restate


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
    books: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Result:
    """Profile what an eval file declares. `out` defaults to reports/<name of the eval>.

    Raises RagprofError for what the user can mend, before anything is written.
    """
    prepared = prepare(Path(eval_file), corpus=None if corpus is None else Path(corpus), books=books)
    return _finish(prepared, None if out is None else Path(out), books, progress or Silent())


def grow(
    eval_file: str | Path,
    *,
    corpus: str | Path | None = None,
    out: str | Path | None = None,
    books: Sequence[Path] = (),
    changes: Mapping[str, Any] | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Measure what an eval declares while its corpus grows; the result joins the same folder, summary and report.

    `changes` go before the file's [growth] table, such as {"orders": 3}. A recording of the same eval that is in the
    folder is taken as it is, else it is made first. A killed growth recording is gone on with; another one in the
    folder is an error (BadInput), unless `fresh` throws it away.
    """
    prepared = prepare(Path(eval_file), corpus=None if corpus is None else Path(corpus), books=books)
    growing = plan_growth(prepared, Path(eval_file), changes=changes)
    bench = bench_of(prepared, None if out is None else Path(out), progress or Silent())
    with files.claimed(bench.folder):
        if fresh:
            shutil.rmtree(bench.folder / "growth", ignore_errors=True)
        claim(bench.folder / "growth", growing)
        if holds(bench.folder, prepared):
            adopt(bench.folder, prepared)
        else:
            record(prepared.subject, bench)
        judge(bench.folder, prepared.evaluation, metrics=prepared.subject.config.metrics)
        record_growth(growing, bench)
        judge_growth(bench.folder, prepared.evaluation)
        return reprice(bench.folder, books=books)


def holds(folder: Path, prepared: Prepared) -> bool:
    """Whether a finished recording of just this subject, made on this machine, is in the folder."""
    if not (folder / "manifest.json").exists():
        return False
    manifest, subject = files.read_manifest(folder), prepared.subject
    config = lasting(redacted(subject.config.model_dump(mode="json")))
    basis = Basis(
        corpus=subject.corpus.sha256,
        questions=fingerprint_of(subject.queries),
        pipelines=config["pipelines"],
        identities=redacted(identities(subject.pipelines)),
        cpu=environment.cpu_name(),
    )
    return "questions" in manifest and lasting(manifest["config"]) == config and rests_alike(basis, manifest)


def adopt(folder: Path, prepared: Prepared) -> None:
    """Let a recording go by the eval as it is now: metrics, prices and traffic, which it does not rest on."""
    keep_settings(folder, redacted(prepared.subject.config.model_dump(mode="json")))


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
    """Profile pipelines that are declared in Python, callables among their stages included. Raises as `run` does."""
    try:
        config = EvalConfig(
            name=name,
            metrics=canonical(metrics),
            pipelines=described(pipelines),
            prices=prices or Prices(),
            timing=timing or Timing(),
        )
    except ValidationError as failure:
        raise BadInput(complaint(failure)) from None
    for _, rate in rate_names(config):
        check_rate(rate, on=today(), file=Path(name))
    docs = read_corpus(Path(corpus))
    evaluation = read_evaluation_set(Path(queries), Path(qrels), corpus=docs)
    parts = tuple(pipeline.parts() for pipeline in pipelines)
    for each in parts:
        check_pipeline(each, docs, config.tokenizer)
    prepared = Prepared(Subject(config, docs, own_documents(evaluation.queries, docs), parts), evaluation)
    return _finish(prepared, None if out is None else Path(out), (), progress or Silent())


def reprice(folder: Path, *, books: Sequence[Path] = (), on: date | None = None, llm: str | None = None) -> Result:
    """Price a recording anew and write its summary and report again. Runs no pipeline."""
    settings, day = settings_of(folder), on or today()
    for part in (folder, *growth_sizes(folder)):
        price_recording(part, settings=handed_down(part, settings), books=books, on=day, llm=llm)
    if (part := folder / "injection" / "judgement.json").exists():
        price_answers(folder, settings=handed_down(part.parent, settings), books=books, on=day, llm=llm)
    if RERANKER.is_recorded(folder):
        manifest, judgement = files.read_manifest(folder), files.read_json(folder / "judgement.json")
        if RERANKER.belongs(folder, manifest, judgement):
            RERANKER.price(folder, Pricing(books, day, llm))
    return redraw(folder)


def growth_sizes(folder: Path) -> list[Path]:
    """The recordings of single sizes in a finished growth recording; none where there is no such thing."""
    if not (folder / "growth" / "manifest.json").exists():
        return []
    return sorted((folder / "growth" / "sizes").iterdir())


def redraw(folder: Path) -> Result:
    """Summary and report of a recording, from its files."""
    summary = summarise(folder)
    write_report(summary, folder)
    return Result(folder, summary)


def described(pipelines: Sequence[Pipeline]) -> tuple[PipelineConfig, ...]:
    """Python pipelines as the manifest shows them: callables by their names, different ones under different names."""
    names = Names()
    return tuple(
        PipelineConfig(
            name=pipeline.name,
            embedder=None if pipeline.embedder is None else names.spec(pipeline.embedder),
            store=names.spec(pipeline.store),
            depth=pipeline.depth,
            reranker=names.spec(pipeline.reranker or "none"),
            injector=names.injector(pipeline),
            generator=None if pipeline.generator is None else names.spec(pipeline.generator),
        )
        for pipeline in pipelines
    )


class Names:
    """Specifications for objects that have none: their name, numbered where another object took it."""

    def __init__(self) -> None:
        self._taken: dict[str, list[object]] = {}

    def spec(self, given: object) -> PartSpec:
        if isinstance(given, PartSpec):
            return given
        if isinstance(given, str | dict):
            return PartSpec.model_validate(given)
        name = str(getattr(given, "__name__", type(given).__name__))
        same = self._taken.setdefault(name, [])
        if not any(other is given for other in same):
            same.append(given)
        number = next(place for place, other in enumerate(same, start=1) if other is given)
        return PartSpec(name=name if number == 1 else f"{name}#{number}")

    def injector(self, pipeline: Pipeline) -> PartSpec:
        """A callable injector gets as many chunks as the depth has, at most the usual number."""
        spec = self.spec(pipeline.injector)
        if isinstance(pipeline.injector, str | dict | PartSpec):
            return spec
        return PartSpec.model_validate({"name": spec.name, "k": min(DEFAULT_K, pipeline.depth)})


def _finish(prepared: Prepared, out: Path | None, books: Sequence[Path], progress: Progress) -> Result:
    bench = bench_of(prepared, out, progress)
    with files.claimed(bench.folder):
        record(prepared.subject, bench)
        judge(bench.folder, prepared.evaluation, metrics=prepared.subject.config.metrics)
        return reprice(bench.folder, books=books)


def bench_of(prepared: Prepared, out: Path | None, progress: Progress) -> Bench:
    """The folders of a recording, once they can be written."""
    folder, cache = out or Path("reports") / prepared.subject.config.name, files.cache_folder()
    files.ready_folder(folder, remedy="give another one with --out (in Python out=)")
    files.ready_folder(cache, remedy="set RAGPROF_CACHE to one that can be written")
    return Bench(folder, cache, progress)


def inject(
    eval_file: str | Path,
    *,
    corpus: str | Path | None = None,
    out: str | Path | None = None,
    books: Sequence[Path] = (),
    changes: Mapping[str, Any] | None = None,
    keep_text: bool = True,
    progress: Progress | None = None,
) -> Result:
    """Let a model answer from what an eval's pipelines retrieve; the result joins the same folder, summary and report.

    `changes` go before the file's [injection] table, such as {"questions": 20}. A recording of the same eval that is
    in the folder is taken as it is, else it is made first. Without `keep_text` the answers are judged and then
    forgotten. Raises RagprofError for what the user can mend, before any model is asked.
    """
    prepared = prepare(Path(eval_file), corpus=None if corpus is None else Path(corpus), books=books)
    injecting = plan_injection(prepared, Path(eval_file), changes=changes)
    judging = _model_judge(injecting.injection, Path(eval_file))
    _load([*injecting.generators, *([] if judging is None else [judging])], progress or Silent())
    _check_windows(injecting)
    bench = bench_of(prepared, None if out is None else Path(out), progress or Silent())
    with files.claimed(bench.folder):
        if holds(bench.folder, prepared):
            adopt(bench.folder, prepared)
        else:
            record(prepared.subject, bench)
        judge(bench.folder, prepared.evaluation, metrics=prepared.subject.config.metrics)
        record_injection(injecting, bench)
        contents = {doc.doc_id: doc.content for doc in prepared.subject.corpus.docs}
        judge_answers(bench.folder, prepared.evaluation, contents)
        if judging is not None:
            judge_by(
                judging,
                bench.folder,
                prepared.evaluation,
                cache=bench.cache,
                seed=prepared.subject.config.seed,
                progress=bench.progress,
            )
        if not keep_text:
            forget_texts(bench.folder)
        return reprice(bench.folder, books=books)


def _load(generators: Sequence[Generator], progress: Progress) -> None:
    """Models into memory, endpoints greeted: what is wrong with them is known before anything is recorded."""
    progress.start("load generators", len(generators))
    for generator in generators:
        generator.load()
        progress.advance(1)
    progress.done()


def _check_windows(injecting: InjectionPlan) -> None:
    """Raise BadInput where a question alone is too long for its model, before anything is recorded."""
    for parts in injecting.subject.pipelines:
        for query in injecting.asked.queries:
            within_window(parts, query, ())


def forget_texts(folder: Path) -> None:
    """Take the answers' words out of a judged recording."""
    path = folder / "injection" / "answers.parquet"
    files.write_table(path, files.read_table(path).assign(text=None).astype({"text": "string"}))


def weigh(
    eval_file: str | Path,
    *,
    corpus: str | Path | None = None,
    out: str | Path | None = None,
    books: Sequence[Path] = (),
    changes: Mapping[str, Any] | None = None,
    keep_text: bool = True,
    progress: Progress | None = None,
) -> Result:
    """Weigh what an eval's rerankers buy against what they cost; the result joins the same folder, summary and report.

    `changes` go before the file's [reranker] table, such as {"depths": (5, 20)}. A recording of the same eval that is
    in the folder is taken as it is, else it is made first. Without `keep_text` no question and no passage is kept.
    Raises RagprofError for what the user can mend, before anything is recorded.
    """
    prepared = prepare(Path(eval_file), corpus=None if corpus is None else Path(corpus), books=books)
    planned = RERANKER.plan(prepared, Request(Path(eval_file), changes or {}, books, keep_text))
    bench = bench_of(prepared, None if out is None else Path(out), progress or Silent())
    with files.claimed(bench.folder):
        RERANKER.ready(planned, bench)
        if holds(bench.folder, prepared):
            adopt(bench.folder, prepared)
        else:
            record(prepared.subject, bench)
        judge(bench.folder, prepared.evaluation, metrics=prepared.subject.config.metrics)
        RERANKER.record(planned, bench)
        RERANKER.judge(planned, prepared.evaluation, bench)
        return reprice(bench.folder, books=books)


def reweigh(
    folder: str | Path,
    *,
    books: Sequence[Path] = (),
    on: date | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Result:
    """Analyse the recorded rerankers anew: at other prices, with another worth or margin. Runs no pipeline.

    `changes` are among the settings that the recording does not rest on; others cannot be changed (BadInput).
    """
    home = Path(folder)
    with files.claimed(home):
        restate(home, changes or {}, Pricing(books, on or today()))
        return reprice(home, books=books, on=on)


def audit(
    eval_file: str | Path,
    *,
    times: int = auditing.TIMES,
    queries: int | None = None,
    answers: bool = False,
    corpus: str | Path | None = None,
    out: str | Path | None = None,
    books: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Result:
    """Ask the same queries `times` times, in other batches and with other threads, and say what differs, by stage.

    `queries` is the size of the seeded sample, by default 20 or all there are. With `answers`, pipelines without a
    generator of their own get that of [injection]. The facts go to `audit` in `out`
    (default: reports/<name of the eval>). Where the recording of the same eval is in `out`, the section joins its
    summary and its report, else the summary holds this section alone. Raises BadInput before any of it is run.
    """
    prepared = prepare(Path(eval_file), corpus=None if corpus is None else Path(corpus), books=books)
    changes = {"times": times, "queries": queries, "answers": answers}
    planned = auditing.plan(prepared, Request(Path(eval_file), changes, books))
    bench = bench_of(prepared, None if out is None else Path(out), progress or Silent())
    with files.claimed(bench.folder):
        auditing.record(planned, bench)
        auditing.judge(planned, prepared.evaluation, bench)
        return _summarised(bench.folder, prepared)


def _summarised(folder: Path, prepared: Prepared) -> Result:
    """With the recording's own summary, where its folder holds a finished one of this eval."""
    config = prepared.subject.config
    summary: dict[str, Any] = {
        "eval": config.name,
        "title": config.title or config.name,
        "corpus": {"name": prepared.subject.corpus.name, "docs": len(prepared.subject.corpus.docs)},
        "audit": audit_of(folder),
    }
    files.write_json(folder / "audit" / "audit.json", summary)
    if (folder / "summary.json").exists() and holds(folder, prepared):
        return redraw(folder)
    return Result(folder, summary)
