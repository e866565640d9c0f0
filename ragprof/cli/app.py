"""`ragprof`: the command line, assembled from the modules of its commands."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ragprof.cli import console, export_commands, gate_commands, listing, study_commands
from ragprof.cli.ending import ended_plainly, unwind_when_ended
from ragprof.report import stills


class Commands(TyperGroup):
    """All commands. Their errors are reported here, before typer turns some of them into an exit code of 1."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        with ended_plainly():
            return super().invoke(ctx)


# Without rich's markup mode help needs neither rich.markdown nor its tables: half of the time of `--help`.
app = typer.Typer(
    name="ragprof",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Run the command line."""
    console.open_streams()
    unwind_when_ended()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with stills.in_a_process():
        app()


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.raw(version("ragprof"))
        raise typer.Exit


@app.callback()
def options(
    _show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Profile RAG pipelines: where a query's time, tokens and money go, stage by stage, and what quality they buy."""


for commands in (study_commands, listing, gate_commands, export_commands):
    commands.add_to(app)
