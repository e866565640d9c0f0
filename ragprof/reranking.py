"""The reranker's profit and loss, for the command line and for Python: plan, record, judge, price, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ragprof import files, registry
from ragprof.errors import BadInput
from ragprof.evals import EvalConfig, PipelineConfig, Reranking, complaint
from ragprof.injecting import own_k
from ragprof.judge.reranking import judge_reranking
from ragprof.judge.scores import judge
from ragprof.preparation import Places, Prepared, prepare, today
from ragprof.price import check_rate
from ragprof.progress import Progress, Silent
from ragprof.record.pipeline import Parts, Workshop
from ragprof.record.recording import Bench, record
from ragprof.record.redaction import redacted
from ragprof.record.reranking.plan import Arm, Weighing
from ragprof.record.reranking.recording import record_rerankers
from ragprof.registry import PartSpec
from ragprof.session import Result, adopt, bench_of, holds, reprice, weighed_here
from ragprof.stages import Signal

RESTATED = (
    "margin", "worth_usd_per_point", "max_added_p95_ms", "max_usd_per_1000_queries", "llms", "price_trend", "folds",
)  # fmt: skip
"""What of the settings a recording does not rest on."""


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
    weighing = plan_weighing(prepared, Path(eval_file), changes=changes)
    for name in weighing.settings.llms:
        check_rate(name, on=today(), file=Path(eval_file), books=books)
    bench = bench_of(prepared, None if out is None else Path(out), progress or Silent())
    with files.claimed(bench.folder):
        if not keep_text:
            _forget_texts(bench.folder)
        _greet(weighing, bench)
        if holds(bench.folder, prepared):
            adopt(bench.folder, prepared)
        else:
            record(prepared.subject, bench)
        judge(bench.folder, prepared.evaluation, metrics=prepared.subject.config.metrics)
        record_rerankers(weighing, bench)
        contents = {doc.doc_id: doc for doc in prepared.subject.corpus.docs}
        judge_reranking(bench.folder, prepared.evaluation, contents, keep_text=keep_text)
        return reprice(bench.folder, books=books)


def reweigh(
    folder: str | Path,
    *,
    books: Sequence[Path] = (),
    on: date | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Result:
    """Weigh the recorded rerankers anew: at other prices, with another worth or margin. Runs no pipeline.

    `changes` are among RESTATED; what the recording rests on cannot be changed (BadInput).
    """
    home = Path(folder)
    path = home / "reranker" / "manifest.json"
    if not path.exists():
        raise BadInput("no rerankers were recorded in this folder; run 'ragprof reranker EVAL.toml'", file=home)
    with files.claimed(home):
        if not weighed_here(home):
            raise BadInput(
                "the rerankers in this folder were not recorded to the end, or over another corpus, other questions, "
                "parts or judgements than the recording around them; run 'ragprof reranker EVAL.toml'",
                file=home,
            )
        manifest = files.read_json(path)
        for name in changes or {}:
            if name not in RESTATED:
                raise BadInput(
                    f"'{name}' is part of the recording in this folder; give the eval file instead of the folder",
                    file=home,
                )
        settings = _validated({**manifest["config"]["reranker"], **(changes or {})})
        for name in settings.llms:
            check_rate(name, on=on or today(), file=home, books=books)
        config = {**manifest["config"], "reranker": settings.model_dump(mode="json")}
        files.write_json(path, {**manifest, "config": config})
        try:
            return reprice(home, books=books, on=on)
        except BaseException:
            files.write_json(path, manifest)
            raise


def plan_weighing(prepared: Prepared, eval_file: Path, *, changes: Mapping[str, Any] | None = None) -> Weighing:
    """Check and lay out what is asked. `changes` go before the file's [reranker]. Loads no model. Raises BadInput."""
    config = prepared.subject.config
    settings = _changed(config, changes or {})
    places = Places(eval_file)
    with places.put_before("reranker", "pipelines"):
        chosen = _chosen(config, settings)
    with places.put_before("reranker", "signals"):
        signals = _signals(settings)
    own = [_own_arm(prepared, each, settings) for each in chosen]
    with places.put_before("reranker", "students"):
        students = _students(own, settings)
    return Weighing(prepared.subject, settings, (*own, *students), signals)


def _signals(settings: Reranking) -> dict[str, Signal]:
    """Every signal by its label. Raises BadInput where two have the same."""
    labels = [_label(spec) for spec in settings.signals]
    for label in labels:
        if labels.count(label) > 1:
            raise BadInput(f"the signal '{label}' is named twice; name each once")
    return {label: registry.create("signals", spec) for label, spec in zip(labels, settings.signals, strict=True)}


def _forget_texts(folder: Path) -> None:
    """What an earlier run with texts has left, so that none is kept even where this run does not finish."""
    moves = (folder / "reranker").glob("*moves.parquet*")
    for path in (*moves, *(folder / name for name in ("summary.json", "report.html", "report.md", "reranker.md"))):
        path.unlink(missing_ok=True)


def _greet(weighing: Weighing, bench: Bench) -> None:
    """Rerankers are ready, wrong addresses and keys known, before anything is recorded."""
    rerankers = {id(arm.reranker): arm.reranker for arm in weighing.arms}
    bench.progress.start("load rerankers", len(rerankers))
    for reranker in rerankers.values():
        reranker.load()
        bench.progress.advance(1)
    bench.progress.done()


def _changed(config: EvalConfig, changes: Mapping[str, Any]) -> Reranking:
    """The settings with those of the command line on top."""
    changed = _validated({**config.reranker.model_dump(exclude_unset=True), **changes})
    try:
        whole = {**config.model_dump(exclude_unset=True), "reranker": changed.model_dump(exclude_unset=True)}
        return EvalConfig.model_validate(whole).reranker
    except ValidationError as failure:
        raise BadInput(f"[reranker] {complaint(failure)}") from None


def _validated(settings: Mapping[str, Any]) -> Reranking:
    try:
        return Reranking.model_validate(dict(settings))
    except ValidationError as failure:
        raise BadInput(f"[reranker] {complaint(failure)}") from None


def _chosen(config: EvalConfig, settings: Reranking) -> list[PipelineConfig]:
    """The pipelines to look at. Raises BadInput where one has no reranker, or none has."""
    reranked = [each for each in config.pipelines if each.reranker.name != "none"]
    if not reranked:
        raise BadInput('no pipeline has a reranker; give one reranker = "maxsim", say')
    for name in settings.pipelines or ():
        if name not in [each.name for each in reranked]:
            raise BadInput(
                f"pipeline '{name}' has no reranker to be weighed; those that have one: "
                f"{', '.join(each.name for each in reranked)}"
            )
    return [each for each in reranked if settings.pipelines is None or each.name in settings.pipelines]


def _own_arm(prepared: Prepared, config: PipelineConfig, settings: Reranking) -> Arm:
    parts = next(each for each in prepared.subject.pipelines if each.name == config.name)
    most = len(prepared.subject.corpus.docs)
    depths = tuple(sorted({parts.depth, *(depth for depth in settings.depths if depth <= most)}))
    return Arm(
        name=parts.name,
        pipeline=parts.name,
        student=None,
        spec=config.reranker,
        parts=replace(parts, generator=None),
        depths=depths,
        own_k=own_k(config),
        against=_twin(prepared.subject.config, config) or f"{config.name} without its reranker",
    )


def _twin(config: EvalConfig, reranked: PipelineConfig) -> str | None:
    """The eval's pipeline that equals it but for the reranker."""
    same = ("embedder", "store", "depth", "injector")
    return next(
        (
            each.name
            for each in config.pipelines
            if each.reranker.name == "none" and all(getattr(each, part) == getattr(reranked, part) for part in same)
        ),
        None,
    )


def _students(own: Sequence[Arm], settings: Reranking) -> list[Arm]:
    """Every student over the candidates of every pipeline whose own reranker it is not."""
    workshop, arms = Workshop(), []
    labels = [_label(spec) for spec in settings.students]
    for label, spec in zip(labels, settings.students, strict=True):
        if spec.name == "none":
            raise BadInput("'none' is no student; the search alone is what every reranker is compared with anyway")
        if labels.count(label) > 1:
            raise BadInput(f"two students are called '{label}'; name each once, with options that tell them apart")
        student = workshop.reranker(spec)
        mine = [arm for arm in own if arm.spec.key != spec.key]
        if not mine:
            raise BadInput(f"'{label}' is the pipelines' own reranker; there is nothing to compare it with")
        arms += [_student_arm(arm, label, spec, replace(arm.parts, reranker=student)) for arm in mine]
    return arms


def _student_arm(arm: Arm, label: str, spec: PartSpec, parts: Parts) -> Arm:
    return replace(arm, name=f"{arm.name} ~ {label}", student=label, spec=spec, parts=parts, depths=(parts.depth,))


def _label(spec: PartSpec) -> str:
    """`maxsim precision=int8`, without folders of this machine and without secrets."""
    options = " ".join(f"{key}={value}" for key, value in redacted(dict(spec.options)).items())
    return f"{spec.name} {options}".strip()
