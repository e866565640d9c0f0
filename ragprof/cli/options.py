"""Arguments and options that several commands have, worded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
NoText = Annotated[bool, typer.Option("--no-text", help="Keep no question and no passage.")]
