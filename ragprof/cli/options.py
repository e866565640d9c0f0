"""Arguments and options that several commands have, worded once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from ragprof.cli import console
from ragprof.core.collecting import without_collecting
from ragprof.core.errors import BadInput

EvalFile = Annotated[Path, typer.Argument(metavar="EVAL.toml", help="The eval file.")]
Recording = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a recording, such as reports/python-docs.")]
CorpusDir = Annotated[
    Path | None,
    typer.Option("--corpus", metavar="DIR", help="Another corpus; the questions of a BEIR folder are used too."),
]
OutDir = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Default: reports/<eval name>.")]
Pipelines = Annotated[
    list[str] | None, typer.Option("--pipeline", metavar="NAME", help="Only this pipeline; repeatable.")
]
RateBooks = Annotated[
    list[Path] | None, typer.Option("--rates", metavar="FILE", help="Your rate book; overrides the shipped ones.")
]
PassagesOfIt = Annotated[
    int | None,
    typer.Option(
        "--passages", metavar="N", help="Search at most so many passages, all relevant ones among them: a first report."
    ),
]
WholeCorpus = Annotated[bool, typer.Option("--full", help="Search the whole corpus, whatever the file says.")]
OtlpAddress = Annotated[
    str | None,
    typer.Option(
        "--otlp", metavar="URL", help="Send each live query as a trace: an OTLP/HTTP address, http://localhost:4318."
    ),
]
OtlpTexts = Annotated[bool, typer.Option("--otlp-texts", help="With --otlp: questions and passages, too.")]
BudgetUsd = Annotated[
    str | None,
    typer.Option("--budget-usd", metavar="USD", help="Hosted parts stop before they have cost more than this."),
]
NoText = Annotated[bool, typer.Option("--no-text", help="Keep no question and no passage.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; the result alone.")]
JsonProgress = Annotated[
    bool, typer.Option("--json-progress", help="Progress as JSON, one object a line, on the error stream.")
]


def runs_nothing(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that reads files, writes others and ends soon: it does without the search for circles."""

    @wraps(command)
    def undisturbed(*given: Any, **options: Any) -> None:
        with without_collecting():
            command(*given, **options)

    return undisturbed


def with_progress(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes its time with the options of how its progress is shown."""

    @wraps(command)
    def shown(*given: Any, quiet: bool, json_progress: bool, **options: Any) -> None:
        if quiet and json_progress:
            raise BadInput("--quiet and --json-progress exclude each other; give one of them")
        console.report_progress("quiet" if quiet else "json" if json_progress else "shown")
        command(*given, **options)

    own = signature(command, eval_str=True)
    added = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in (("quiet", Quiet), ("json_progress", JsonProgress))
    ]
    shown.__signature__ = own.replace(parameters=[*own.parameters.values(), *added])  # type: ignore[attr-defined]
    return shown
