"""`ragprof init`: the questions that a new eval file needs, asked on a terminal and nowhere else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ragprof.cli import console
from ragprof.cli.options import with_progress


def add_to(app: typer.Typer) -> None:
    """Make the command part of the command line."""
    app.command()(with_progress(init))


def init(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Documents, a BEIR folder, a .jsonl file, or traces.")
    ] = None,
    store: Annotated[
        str, typer.Option("--store", metavar="TOML", help="An index that exists, as an eval file writes a store.")
    ] = "",
    name: Annotated[
        str | None, typer.Option("--name", help="What the eval is called; default: the folder's name.")
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option("--queries", metavar="FILE", help="Questions, or traces; default: those found beside the folder."),
    ] = None,
    llm: Annotated[
        str | None, typer.Option("--llm", metavar="PROVIDER:MODEL", help="Prices the prompts; 'none' for no price.")
    ] = None,
    machine: Annotated[
        str | None, typer.Option("--machine", metavar="RATE", help="Prices what runs here; 'none' for no price.")
    ] = None,
    reranker: Annotated[
        bool | None, typer.Option("--reranker/--no-reranker", help="Compare with a reranker; default: yes.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Default: <name>.toml.")] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing: take what was found, and the defaults.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Look at documents and write an eval file that runs.

    At most five questions are asked, and only on a terminal.

    Example: ragprof init docs/ --queries questions.csv
    """
    from ragprof.report.terminal import facts
    from ragprof.session.initial import LLM, MACHINE, NONE, EvalAnswers, seen, write_eval

    with console.progress() as bars:
        sight = seen(folder, store, progress=bars)
    console.show(facts(sight.rows_with(queries), title=f"{folder or sight.name}: what was found"))
    if not yes and sys.stdin.isatty() and sys.stdout.isatty():
        name = name or typer.prompt("Name of the eval", sight.name, err=True)
        if queries is None and sight.queries is None and sight.traces is None:
            told = typer.prompt("File of questions (none: some are made of headings)", NONE, err=True)
            queries = None if told == NONE else Path(told)
        llm = llm or typer.prompt("Model that reads the prompts, for its price", LLM, err=True)
        machine = machine or typer.prompt("Machine that this runs on, for its price", MACHINE, err=True)
        if reranker is None:
            reranker = typer.confirm("Compare with a reranker?", default=True, err=True)
    answers = EvalAnswers(name, queries, llm, machine, reranker is not False)
    made = write_eval(sight, answers, out=out, force=force)
    for step in made.next_steps:
        console.sentence(f"next: {step}")
    for path in (*made.made, made.eval_file):
        console.line(path)
