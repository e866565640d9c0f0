"""`ragprof`: the command line, assembled from the modules of its commands."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandInfo

from ragprof.cli import (
    console,
    export_commands,
    gate_commands,
    init_command,
    label_commands,
    listing,
    study_commands,
    trace_commands,
    view_command,
)
from ragprof.cli.ending import ended_plainly, unwind_when_ended
from ragprof.core.errors import BadInput
from ragprof.core.files import written_path
from ragprof.report import stills

EMPTY = "ragprof.empty"


class Commands(TyperGroup):
    """All commands. Their errors are reported here, before typer turns some of them into an exit code of 1."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Find an empty word, as an unset variable of a shell leaves one behind: no path, name or number is empty."""
        for before, word in zip(["", *args], args, strict=False):
            option = before if before.startswith("--") else "an argument"
            if not word.strip() or re.fullmatch(r"--[\w-]+=\s*", word):
                ctx.meta[EMPTY] = word.partition("=")[0] if word.strip() else option
        return super().parse_args(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        with ended_plainly():
            if option := ctx.meta.get(EMPTY):
                raise BadInput(f"{option} is empty; give it a value or leave it out")
            return super().invoke(ctx)


class PathsAsWritten(TyperCommand):
    """A command whose paths are read as those of an eval file: a shell expands neither `--out=~/x` nor '$HOME/x'."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        ctx.params = {name: _read(value) for name, value in ctx.params.items()}
        return super().invoke(ctx)


def _read(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_read(each) for each in value]
    return written_path(value) if isinstance(value, Path) else value


# Without rich's markup mode help needs neither rich.markdown nor its tables: half of the time of `--help`.
app = typer.Typer(
    name="ragprof",
    cls=Commands,
    no_args_is_help=True,
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


for commands in (
    init_command, study_commands, label_commands, trace_commands, listing, gate_commands, export_commands,
    view_command,
):  # fmt: skip
    commands.add_to(app)


def _commands_of(group: typer.Typer) -> Iterator[CommandInfo]:
    yield from group.registered_commands
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from _commands_of(inner.typer_instance)


for command in _commands_of(app):
    command.cls = PathsAsWritten
