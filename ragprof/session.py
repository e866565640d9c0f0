"""The passes in a row, for the command line and for Python: record, judge, price, summarise, report."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ragprof import environment, files
from ragprof.adapters.functions import FunctionInjector
from ragprof.corpus import read_corpus, read_evaluation_set
from ragprof.errors import BadInput
from ragprof.evals import DEFAULT_METRICS, EvalConfig, PipelineConfig, Prices, Timing, complaint, unpriced
from ragprof.judge.growth import judge_growth
from ragprof.judge.scores import canonical, judge
from ragprof.planning import plan_growth
from ragprof.preparation import Prepared, check_pipeline, own_documents, prepare, rate_names, today
from ragprof.price import check_rate, price_answers, price_recording, price_reranking
from ragprof.progress import Progress, Silent
from ragprof.record.growth.plan import claim
from ragprof.record.growth.recording import record_growth
from ragprof.record.pipeline import Pipeline
from ragprof.record.recording import Bench, Subject, fingerprint_of, identities, record
from ragprof.record.redaction import redacted
from ragprof.registry import PartSpec
from ragprof.report import write_report
from ragprof.studies.reranking import data as reranking_data
from ragprof.studies.summary import summarise

UNRECORDED = ("growth", "injection", "reranker", "gate", "budget", "energy", "metrics", "prices", "traffic")
"""What of a configuration the main recording does not rest on."""


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
    return bool(
        _lasting(manifest["config"]) == _lasting(redacted(subject.config.model_dump(mode="json")))
        and manifest["corpus"]["sha256"] == subject.corpus.sha256
        and manifest.get("questions") == fingerprint_of(subject.queries)
        and manifest["identities"] == redacted(identities(subject.pipelines))
        and manifest["environment"]["cpu"] == environment.cpu_name()
    )


def adopt(folder: Path, prepared: Prepared) -> None:
    """Let a recording go by the eval as it is now: metrics, prices and traffic, which it does not rest on."""
    path, config = folder / "manifest.json", redacted(prepared.subject.config.model_dump(mode="json"))
    manifest = files.read_manifest(folder)
    if manifest["config"] != config:
        files.write_json(path, {**manifest, "config": config})


def _lasting(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration the main recording rests on."""
    kept = {key: value for key, value in config.items() if key not in UNRECORDED}
    return {**kept, "pipelines": unpriced(config["pipelines"])}


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
    hand_down_prices(folder)
    for priced in (folder, *growth_sizes(folder)):
        price_recording(priced, books=books, on=on or today(), llm=llm)
    if (folder / "injection" / "judgement.json").exists():
        price_answers(folder, books=books, on=on or today(), llm=llm)
    if weighed_here(folder):
        price_reranking(folder, books=books, on=on or today(), llm=llm)
    return redraw(folder)


def weighed_here(folder: Path) -> bool:
    """Whether rerankers were recorded to the end in this folder, over the recording that is in it."""
    if not reranking_data.is_judged(folder):
        return False
    manifest, judgement = files.read_manifest(folder), files.read_json(folder / "judgement.json")
    return reranking_data.belongs(folder, manifest, judgement)


def growth_sizes(folder: Path) -> list[Path]:
    """The recordings of single sizes in a finished growth recording; none where there is no such thing."""
    if not (folder / "growth" / "manifest.json").exists():
        return []
    return sorted((folder / "growth" / "sizes").iterdir())


def hand_down_prices(folder: Path) -> None:
    """What a recording is priced by goes for its growth and its rerankers too; another eval's, they keep their own."""
    config = files.read_manifest(folder)["config"]
    weighed = [folder / "reranker"] if weighed_here(folder) else []
    for part in (*growth_sizes(folder), *weighed):
        manifest = files.read_json(part / "manifest.json")
        if unpriced(manifest["config"]["pipelines"]) == unpriced(config["pipelines"]):
            priced = {key: config[key] for key in ("pipelines", "prices", "traffic")}
            files.write_json(part / "manifest.json", {**manifest, "config": {**manifest["config"], **priced}})


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
        return PartSpec.model_validate({"name": spec.name, "k": min(FunctionInjector.USUAL_K, pipeline.depth)})


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
