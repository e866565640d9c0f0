"""A recording as a run of MLflow: what was measured as params and metrics, its reports as artefacts.

Logs what `summary.json` says and computes nothing. A figure that is not there is not logged, never as 0. MLflow is an
extra and is imported when something is logged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from typing_extensions import TypedDict

from ragprof.core import STAGES
from ragprof.core.errors import BadInput, MissingPackage
from ragprof.core.quantities import LATENCIES, Quantity
from ragprof.core.recorded import RecordedJson
from ragprof.evals import complaint
from ragprof.evals.recorded import read_manifest
from ragprof.studies.profile.section import ProfileSection

if TYPE_CHECKING:
    from mlflow import MlflowClient


EXTRA = "pip install 'ragprof[mlflow]'"
ARTEFACTS = ("report.html", "report.md", "summary.json")
PARAMS_A_BATCH, METRICS_A_BATCH = 100, 1_000
NAME_LENGTH, VALUE_LENGTH = 120, 250
_NS_PER_MS = 1e6
_FORBIDDEN = re.compile(r"[^\w.\- ]")


def log(
    folder: Path, *, tracking_uri: str | None = None, experiment: str | None = None, run_name: str | None = None
) -> str:
    """Log the recording in `folder` as one run and return the run's id.

    Without `tracking_uri` MLflow's own setting is taken ($MLFLOW_TRACKING_URI, else a database in this folder); without
    `experiment` $MLFLOW_EXPERIMENT_NAME, else the eval's name. Raises MissingPackage without the extra, BadInput for a
    folder that is no finished recording and for what MLflow refuses.
    """
    manifest = read_manifest(folder)
    _need("mlflow")
    summary = _summary(folder / "summary.json")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        note = [*(summary.get("headline") or ()), *(summary.get("warnings") or ())]
        client = MlflowClient(tracking_uri=tracking_uri)
        name = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or str(summary["eval"])
        experiment_of = client.get_experiment_by_name(name)
        run = client.create_run(
            str(experiment_of.experiment_id if experiment_of else client.create_experiment(name)),
            start_time=_milliseconds(summary),
            tags={"ragprof.recording": str(manifest["recording"]), "mlflow.note.content": "\n\n".join(map(str, note))},
            run_name=run_name or f"{summary['eval']} {summary['created']}",
        )
        return _filled(client, str(run.info.run_id), folder, summary, manifest)
    except MlflowException as refusal:
        if not (tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")).startswith(("http", "databricks")):
            _need("sqlalchemy")
        raise BadInput(
            f"MLflow took no run: {' '.join(str(refusal).split())}; give another tracking URI, such as "
            "sqlite:///mlflow.db or that of a server"
        ) from None


class Summarised(TypedDict):
    """Of summary.json, what has to be there before the rest can be checked."""

    pipelines: dict[str, dict[str, Any]]


def _summary(path: Path) -> dict[str, Any]:
    remedy = "write it again with 'ragprof report'"
    summary = RecordedJson(Summarised, remedy).read(path)
    try:
        ProfileSection.read(summary)
    except ValidationError as failure:
        raise BadInput(f"{complaint(failure)}; {remedy}", file=path) from None
    return summary


def params(summary: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, str]:
    """Eval, corpus, machine, versions, and what the parts of every pipeline are, values cut at 250 characters."""
    corpus, machine = summary["corpus"], summary["environment"]
    general = {
        "eval": summary["eval"],
        "corpus": corpus["name"],
        "corpus_docs": corpus["docs"],
        "corpus_documents": corpus.get("documents"),
        "corpus_sha256": corpus["sha256"],
        **{name: summary[name] for name in ("qrels_sha256", "queries", "seed")},
        "ragprof": summary["ragprof_version"],
    }
    own = {f"machine/{name}": machine.get(name) for name in ("cpu", "cores", "threads", "gpu", "os", "python")}
    versions = {f"version/{package}": version for package, version in (machine.get("packages") or {}).items()}
    names = pipeline_names(manifest["identities"])
    parts = {
        f"{names[pipeline]}/{part}": identity
        for pipeline, identities in manifest["identities"].items()
        for part, identity in identities.items()
    }
    found = {**general, **own, **versions, **parts}
    texts = {allowed(key): " ".join(str(value).split()) for key, value in found.items() if value is not None}
    cut = VALUE_LENGTH - 1
    return {key: text if len(text) <= VALUE_LENGTH else f"{text[:cut]}…" for key, text in texts.items()}


def metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """`<pipeline>/<quantity>` -> figure, with the ends of its interval as `..._low` and `..._high`.

    Quantities are named as everywhere (`rerank.latency_p95` in ms, `usd_per_1000_queries`) but that MLflow allows no
    @: `nDCG_at_10` is the metric of the final ranking.
    """
    names = pipeline_names(summary["pipelines"])
    found: dict[str, float] = {}
    for pipeline, figures in summary["pipelines"].items():
        final = summary["final_stage"][pipeline]
        for quantity, value, interval in _figures(figures, final):
            ends = zip(("", "_low", "_high"), (value, *(interval or (None, None))), strict=True)
            key = allowed(f"{names[pipeline]}/{quantity.label}")
            found.update({f"{key}{end}": float(figure) for end, figure in ends if figure is not None})
    return found


def allowed(name: str) -> str:
    """A name that MLflow takes on every system: letters, digits, `_`, `-`, `.`, space and `/`; `@` becomes `_at_`."""
    return "/".join(_FORBIDDEN.sub("_", part.replace("@", "_at_")) for part in name.split("/"))


def pipeline_names(pipelines: Sequence[str] | Mapping[str, Any]) -> dict[str, str]:
    """Pipeline -> its name in MLflow. Two that would be the same there are told apart by a number."""
    names: dict[str, str] = {}
    for pipeline in pipelines:
        name = allowed(pipeline.replace("/", "_"))[:NAME_LENGTH].strip(". ") or "pipeline"
        taken, number = set(names.values()), 2
        names[pipeline] = name
        while names[pipeline] in taken:
            names[pipeline], number = f"{name}_{number}", number + 1
    return names


def _need(package: str) -> None:
    if find_spec(package) is None:
        raise MissingPackage(f"logging to MLflow needs the package {package}, which is not installed: {EXTRA}")


def _filled(
    client: MlflowClient, run_id: str, folder: Path, summary: Mapping[str, Any], manifest: Mapping[str, Any]
) -> str:
    """The run with all that belongs into it; marked as failed where that breaks off."""
    from mlflow.entities import Metric, Param

    moment, status = _milliseconds(summary), "FAILED"
    try:
        given = [Param(key, value) for key, value in params(summary, manifest).items()]
        measured = [Metric(key, value, moment, 0) for key, value in metrics(summary).items()]
        for start in range(0, len(given), PARAMS_A_BATCH):
            client.log_batch(run_id, params=given[start : start + PARAMS_A_BATCH])
        for start in range(0, len(measured), METRICS_A_BATCH):
            client.log_batch(run_id, metrics=measured[start : start + METRICS_A_BATCH])
        for name in ARTEFACTS:
            if (folder / name).exists():
                client.log_artifact(run_id, str(folder / name))
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)
    return run_id


def _milliseconds(summary: Mapping[str, Any]) -> int:
    """When it was recorded, since 1970."""
    return int(datetime.fromisoformat(summary["created"]).timestamp() * 1_000)


def _figures(figures: Mapping[str, Any], final: str) -> Iterator[tuple[Quantity, Any, Sequence[Any] | None]]:
    """(quantity, figure, interval) of a pipeline: metrics, of the final ranking without a stage and then of every
    stage; latency in ms; usage; the whole bill and those of the stages, where one that lacks a rate has no figure."""
    stages = figures.get("scores") or {}
    for stage, scores in (("", stages.get(final)), *stages.items()):
        for metric, score in (scores or {}).items():
            yield Quantity("quality", stage, metric), score["mean"], score["interval"]
    for stage, times in (("", figures.get("end_to_end")), *(figures.get("stages") or {}).items()):
        for name in LATENCIES if times else ():
            ends = times.get(f"{name}_interval_ns")
            interval = None if ends is None or None in ends else [end / _NS_PER_MS for end in ends]
            yield Quantity("latency", stage, name), times[f"{name}_ns"] / _NS_PER_MS, interval
    for label, estimate in (figures.get("usage_estimates") or {}).items():
        stage, _, unit = label.partition(".")
        yield Quantity("usage", stage, unit), estimate["mean"], estimate["interval"]
    bill = figures.get("cost_usd_per_1000_queries") or {}
    yield Quantity("cost", "", ""), bill.get("total"), bill.get("interval") if bill.get("total") else None
    for stage in STAGES:
        ends = (bill.get("stage_intervals") or {}).get(stage)
        yield Quantity("cost", stage, ""), bill.get(stage), ends if bill.get(stage) else None
