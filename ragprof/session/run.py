"""The runner: the steps that all studies share, for the command line and for Python.

Prepare, take or make the main recording, let the study record and judge, price, write summary.json, draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ragprof.core import DEFAULT_K, files
from ragprof.core.clock import SILENT, Progress, step, today
from ragprof.core.errors import BadInput
from ragprof.core.recorded import check_ours
from ragprof.core.registry import PartSpec
from ragprof.corpus import OwnDocuments, Passages, read_corpus, read_evaluation_set, with_own_documents
from ragprof.evals import DEFAULT_METRICS, EvalConfig, PipelineConfig, Prices, Timing, complaint, read_eval
from ragprof.evals.settings import keep_settings
from ragprof.judge.labelled import keep_labelled
from ragprof.judge.scores import canonical, judge
from ragprof.price import check_rate
from ragprof.record.belonging import holds, join
from ragprof.record.pipeline import Pipeline, closing
from ragprof.record.purse import Purse
from ragprof.record.recording import Bench, Subject, record, record_untimed, redacted
from ragprof.record.speeds import AFTERWARDS, Speeds
from ragprof.session import studies
from ragprof.session.again import Result, price_all, redraw, reprice
from ragprof.session.budgets import purse_of
from ragprof.session.summary import Analysis
from ragprof.studies.contract import Request
from ragprof.studies.preparation import Prepared, check_pipeline, prepare, rate_names, settle


def run(
    eval_file: str | Path,
    *,
    corpus: str | Path | None = None,
    out: str | Path | None = None,
    books: Sequence[Path] = (),
    passages: Passages | None = None,
    otlp: str | None = None,
    otlp_texts: bool = False,
    budget_usd: Decimal | str | None = None,
    progress: Progress = SILENT,
) -> Result:
    """Profile what an eval file declares. `out` defaults to reports/<name of the eval>.

    `passages` is how much of the corpus is searched, in place of the file's: a number, which keeps all that is judged
    relevant, for a first report; or "all". `otlp` is an address that each live query is sent to as a trace, without
    questions and passages unless `otlp_texts`. Hosted embedders, rerankers and generators stop before they have cost
    more than `budget_usd`. Raises RagprofError for what the user can mend, before anything is written.
    """
    files.check_unclaimed(_path(out) or Path("reports") / read_eval(Path(eval_file)).name)
    prepared = prepare(Path(eval_file), corpus=_path(corpus), books=books, passages=passages, progress=progress)
    purse = purse_of(prepared, budget_usd, books)
    return _finish(prepared, _path(out), books, progress, _Live(otlp, otlp_texts), purse)


def run_study(
    name: str,
    eval_file: str | Path,
    *,
    corpus: str | Path | None = None,
    out: str | Path | None = None,
    books: Sequence[Path] = (),
    changes: Mapping[str, Any] | None = None,
    keep_text: bool = True,
    fresh: bool = False,
    otlp: str | None = None,
    otlp_texts: bool = False,
    budget_usd: Decimal | str | None = None,
    progress: Progress = SILENT,
) -> Result:
    """Run one study of an eval; its section joins the main recording's folder, summary and report.

    `changes` override the study's table of the eval file, such as {"orders": 3} for [growth]. A recording of the
    same eval that is in the folder is taken as it is, be it of a part of the corpus, else it is made first (growth
    always takes the whole corpus, and has it made of that). A study that was killed is continued;
    another one's recording in the folder is an error (BadInput), unless `fresh` throws it away. Without `keep_text` no
    question, passage or answer is kept. `otlp`, `otlp_texts` and `budget_usd` as of `run`: the main recording, if it is
    made, and growth send what they time. Raises RagprofError for what the user can mend, before anything is recorded.
    """
    study, home = studies.study(name), _path(out) or Path("reports") / read_eval(Path(eval_file)).name
    files.check_unclaimed(home)
    wanted: Passages | None = "all" if study.needs_whole_corpus else None
    prepared = prepare(
        Path(eval_file), corpus=_path(corpus), books=books, passages=wanted, beside=home, progress=progress
    )
    request = Request(Path(eval_file), changes or {}, books, keep_text, fresh)
    with step(progress, f"plan {name}"):
        plan = study.plan(prepared, request)
    apps = [parts.name for parts in prepared.subject.pipelines if parts.app is not None]
    if apps and not study.asks_apps:
        progress.note(f"{name} takes pipelines apart, and leaves out {', '.join(apps)}, which is asked whole")
    bench = replace(
        bench_of(prepared, home, progress), purse=purse_of(prepared, budget_usd, books, more=study.uses(plan))
    )
    stores = closing(prepared.subject.pipelines)
    with files.claimed(bench.folder), stores, _Live(otlp, otlp_texts).sending(prepared, bench) as bench:
        study.ready(plan, bench)
        if study.needs_profile:
            take_or_make(prepared, bench)
        with step(progress, f"record {name}"):
            study.record(plan, bench)
        if study.needs_profile:
            join(bench.folder, name, continued=study.is_continued)
        with step(progress, f"judge {name}"):
            study.judge(plan, prepared.evaluation, bench)
        if study.needs_profile:
            return reprice(bench.folder, books=books, progress=progress)
        # Such a study changes no price: what is priced in the folder may rest on rate books that were not given again.
        analysis = Analysis.alone(name, study.analyse(bench.folder), prepared.subject)
        files.write_json(bench.folder / name / f"{name}.json", analysis.as_json())
        beside = (bench.folder / "summary.json").exists() and holds(bench.folder, prepared.subject)
        return redraw(bench.folder, progress=progress) if beside else Result(bench.folder, analysis)


def grow(eval_file: str | Path, **options: Any) -> Result:
    """Measure what an eval declares while its corpus grows. Options as of `run_study`."""
    return run_study("growth", eval_file, **options)


def inject(eval_file: str | Path, **options: Any) -> Result:
    """Let a model answer from what an eval's pipelines retrieve. Options as of `run_study`."""
    return run_study("injection", eval_file, **options)


def reranker(eval_file: str | Path, **options: Any) -> Result:
    """Compare what an eval's rerankers buy with what they cost. Options as of `run_study`."""
    return run_study("reranker", eval_file, **options)


def audit(
    eval_file: str | Path,
    *,
    times: int | None = None,
    queries: int | None = None,
    answers: bool = False,
    **options: Any,
) -> Result:
    """Ask the same queries several times, in other batches and with other threads, and say what differs, by stage.

    `queries` is the size of the seeded sample, by default 20 or all there are; each is asked `times` times, by default
    5. With `answers`, pipelines without a generator of their own get that of [injection]. Where the recording of the
    same eval is in the folder, the section joins its summary and report, else the summary holds this section alone.
    """
    given = {"times": times, "queries": queries, "answers": answers or None}
    changes = {name: value for name, value in given.items() if value is not None}
    return run_study("audit", eval_file, changes=changes, **options)


def curate(eval_file: str | Path, **options: Any) -> Result:
    """Find what a corpus holds twice or for nothing, and what removing it would change. Options as of `run_study`.

    Nothing is removed: the list to look through is `curate/review.csv` in the recording's folder.
    """
    return run_study("curate", eval_file, **options)


def screen(eval_file: str | Path, source: str | Path, *, sample: int | None = None, **options: Any) -> Result:
    """Say from a sample what adding a source would do to the questions of today. Further options as of `run_study`.

    `sample` is how many documents of the source are looked at, by default 1,000 or all there are. Nothing is added.
    """
    changes = {"source": str(source), **({} if sample is None else {"sample": sample}), **options.pop("changes", {})}
    return run_study("screen", eval_file, changes=changes, **options)


def chunking(eval_file: str | Path, **options: Any) -> Result:
    """Compare ways to cut the documents at one budget of prompt tokens. Options as of `run_study`."""
    return run_study("chunking", eval_file, **options)


def stores(eval_file: str | Path, **options: Any) -> Result:
    """Compare the indexes of [stores] with exact search over the same vectors. Options as of `run_study`."""
    return run_study("stores", eval_file, **options)


def load(eval_file: str | Path, *, budget_usd: Decimal | str | None = None, **options: Any) -> Result:
    """Put load on an eval's pipelines until they break the promise of [load]. Further options as of `run_study`.

    A service on another host needs a budget, the most that its requests may cost, besides `max_rate` and
    `usd_per_request` of [load].
    """
    changes = {**options.pop("changes", {}), **({} if budget_usd is None else {"budget_usd": str(budget_usd)})}
    return run_study("load", eval_file, changes=changes, **options)


weigh = reranker
"""The former name, for one release."""


def profile(
    pipelines: Sequence[Pipeline],
    *,
    corpus: str | Path,
    queries: str | Path,
    qrels: str | Path | None = None,
    name: str = "profile",
    out: str | Path | None = None,
    prices: Prices | None = None,
    timing: Timing | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    own_documents: OwnDocuments = "beir",
    otlp: str | None = None,
    otlp_texts: bool = False,
    progress: Progress = SILENT,
) -> Result:
    """Profile pipelines that are declared in Python, callables among their stages included. Raises as `run` does.

    Without `qrels` nothing is said of quality. `own_documents` as in the eval file's table [evaluation], `otlp` and
    `otlp_texts` as of `run`.
    """
    prepared = prepare_pipelines(
        pipelines, corpus=corpus, queries=queries, qrels=qrels, name=name, prices=prices, timing=timing,
        metrics=metrics, own_documents=own_documents,
    )  # fmt: skip
    return _finish(prepared, _path(out), (), progress, _Live(otlp, otlp_texts))


def prepare_pipelines(
    pipelines: Sequence[Pipeline],
    *,
    corpus: str | Path,
    queries: str | Path,
    qrels: str | Path | None,
    name: str,
    prices: Prices | None,
    timing: Timing | None,
    metrics: Sequence[str],
    own_documents: OwnDocuments = "beir",
) -> Prepared:
    """Check what `profile` is given, as `prepare` checks an eval file. Loads no model."""
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
    evaluation = read_evaluation_set(Path(queries), _path(qrels), corpus=docs)
    evaluation = with_own_documents(evaluation, docs, own_documents)
    parts = tuple(variant for pipeline in pipelines for variant in pipeline.variants())
    settle(parts, docs)
    for each in parts:
        check_pipeline(each, docs, config.tokenizer)
    return Prepared(Subject(config, docs, evaluation.queries, parts), evaluation)


def keep(prepared: Prepared, *, out: Path, books: Sequence[Path] = (), progress: Progress = SILENT) -> Path:
    """Record, judge and price as `run` does, and draw nothing; returns the recording's folder."""
    bench = bench_of(prepared, out, progress)
    with files.claimed(bench.folder), closing(prepared.subject.pipelines):
        record(prepared.subject, bench)
        _judge_and_price(prepared, bench, books)
    return bench.folder


def take_or_make(prepared: Prepared, bench: Bench) -> None:
    """Have the main recording in the folder, judged: the one that is there if it is of this eval, else a new one."""
    if not holds(bench.folder, prepared.subject):
        record(prepared.subject, bench)
    keep_settings(bench.folder, redacted(prepared.subject.config.model_dump(mode="json")))
    with step(bench.progress, "judge"):
        judge_all(prepared, bench)


def run_untimed(
    prepared: Prepared, *, asked: Sequence[str], queries: int, out: Path, books: Sequence[Path], progress: Progress
) -> Path:
    """As `keep`, but times nothing. The pipelines in `asked` are asked a few queries, to know what these use."""
    bench = bench_of(prepared, out, progress)
    with files.claimed(bench.folder), closing(prepared.subject.pipelines):
        record_untimed(prepared.subject, bench, asked=asked, queries=queries)
        _judge_and_price(prepared, bench, books)
    return bench.folder


def bench_of(prepared: Prepared, out: Path | None, progress: Progress) -> Bench:
    """Return the folders of a recording after checking that they can be written."""
    folder, cache = out or Path("reports") / prepared.subject.config.name, files.cache_folder()
    check_ours(folder)
    files.ready_folder(folder, remedy="give another one with --out (in Python out=)")
    files.ready_folder(cache, remedy="set RAGPROF_CACHE to one that can be written")
    return Bench(folder, cache, progress)


@dataclass(frozen=True)
class _Live:
    """Where traces are sent while they are recorded, if anywhere."""

    address: str | None
    texts: bool

    @contextmanager
    def sending(self, prepared: Prepared, bench: Bench) -> Iterator[Bench]:
        """The bench, telling the address of each live query. Raises BadInput where nobody takes traces there."""
        if self.address is None:
            yield bench
            return
        from ragprof.exports.live import LiveTraces

        live = LiveTraces(self.address, prepared.subject.config, texts=self.texts, progress=bench.progress)
        with step(bench.progress, f"ask {live.address} for traces"):
            live.greet()
        try:
            yield replace(bench, sink=live)
        finally:
            live.close()


def _finish(
    prepared: Prepared,
    out: Path | None,
    books: Sequence[Path],
    progress: Progress,
    live: _Live,
    purse: Purse | None = None,
) -> Result:
    bench = replace(bench_of(prepared, out, progress), purse=purse)
    with files.claimed(bench.folder), closing(prepared.subject.pipelines):
        with live.sending(prepared, bench) as telling:
            record(prepared.subject, telling)

        def finished() -> Result:
            _judge_and_price(prepared, bench, books)
            return redraw(bench.folder, progress=progress)

        return Speeds(bench.cache).timed(AFTERWARDS, finished)


def _judge_and_price(prepared: Prepared, bench: Bench, books: Sequence[Path]) -> None:
    with step(bench.progress, "judge"):
        judge_all(prepared, bench)
    price_all(bench.folder, books=books, on=today(), progress=bench.progress)


def judge_all(prepared: Prepared, bench: Bench) -> None:
    """Judge the main recording, and correct what rests on a model's grades by those of people."""
    config = prepared.subject.config
    judge(bench.folder, prepared.evaluation, metrics=config.metrics)
    keep_labelled(bench.folder, prepared.evaluation, metrics=config.metrics, seed=config.seed)


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def described(pipelines: Sequence[Pipeline]) -> tuple[PipelineConfig, ...]:
    """Python pipelines as the manifest shows them: callables by their names, different ones under different names."""
    names = Names()
    return tuple(
        pipeline.declared()
        if pipeline.app is not None
        else PipelineConfig(
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
