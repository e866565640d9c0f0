"""`ragprof export` and `mlflow`: a recording for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragprof.cli import console
from ragprof.cli.options import Pipelines, Recording, with_progress
from ragprof.core.clock import step


def add_to(app: typer.Typer) -> None:
    """Make these commands part of the command line."""
    app.command()(with_progress(export))
    app.command()(with_progress(mlflow))


def export(
    folder: Recording,
    formats: Annotated[
        str,
        typer.Option(
            "--format", metavar="NAME[,NAME]", help="per-query, trec, ragas, deepeval, otlp or openinference."
        ),
    ] = "per-query",
    eval_file: Annotated[
        Path | None, typer.Option("--eval", metavar="EVAL.toml", help="Where the texts are; for ragas and deepeval.")
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option("--corpus", metavar="DIR", help="The corpus, if it was not the eval's.")
    ] = None,
    into: Annotated[Path | None, typer.Option("--into", metavar="DIR", help="Default: DIR/export.")] = None,
    pipelines: Pipelines = None,
    k: Annotated[int | None, typer.Option("--k", help="Answers from this many chunks; default: the eval's.")] = None,
    texts: Annotated[
        bool, typer.Option("--texts", help="Traces with questions and passages, from --eval; else ids alone.")
    ] = False,
    rates: Annotated[
        list[Path] | None, typer.Option("--rates", metavar="FILE", help="Your rate book, where the eval names one.")
    ] = None,
) -> None:
    """Write a recording for other tools.

    Figures by query, TREC runs, data sets for Ragas and DeepEval, or traces as OTLP JSON lines.

    Example: ragprof export reports/docs --format per-query,otlp
    """
    from ragprof import exports as exporting

    with console.progress() as bars, step(bars, "export"):
        done = exporting.export(
            folder, into=into or folder / "export", formats=[name.strip() for name in formats.split(",")],
            eval_file=eval_file, corpus=corpus, pipelines=pipelines, k=k, texts=texts, books=rates or [], progress=bars,
        )  # fmt: skip
    for path in done.paths:
        console.line(path)
    for note in done.notes:
        console.sentence(f"note: {note}")


def mlflow(
    folder: Recording,
    tracking_uri: Annotated[
        str | None, typer.Option("--tracking-uri", metavar="URI", help="Default: MLflow's own setting.")
    ] = None,
    experiment: Annotated[str | None, typer.Option("--experiment", metavar="NAME", help="Default: the eval's.")] = None,
    run_name: Annotated[str | None, typer.Option("--run-name", metavar="NAME", help="What the run is called.")] = None,
) -> None:
    """Log a recording to MLflow.

    Parameters, metrics with their intervals, and the reports as artefacts.

    Example: ragprof mlflow reports/docs
    """
    from ragprof.exports.mlflow import log

    with console.progress() as bars, step(bars, "log to MLflow"):
        run_id = log(folder, tracking_uri=tracking_uri, experiment=experiment, run_name=run_name)
    console.line(f"run: {run_id}")
