"""`ragprof compare`, `gate` and `baseline`: options only; what they do is in gate_commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ragprof.cli.options import CorpusDir, EvalFile, OutDir, Pipelines, RateBooks

Junit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="JUnit XML, a case a gate.")]
Markdown = Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="The body of a comment.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="One page with charts.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="The whole comparison.")]
Gitlab = Annotated[Path | None, typer.Option("--gitlab", metavar="FILE", help="GitLab's code quality report.")]
Benchmark = Annotated[
    Path | None, typer.Option("--benchmark", metavar="DIR", help="Two files for github-action-benchmark.")
]
Github = Annotated[
    bool, typer.Option("--github", help="Annotations, and GitHub's step summary and outputs where they are set.")
]
baseline = typer.Typer(help="Keep figures of a recording, small enough to commit.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Make these commands part of the command line."""
    app.command()(compare)
    app.command()(gate)
    app.add_typer(baseline, name="baseline")


def compare(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="Folder of a recording or of a baseline.")],
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="The same, of what is new.")],
    pipelines: Pipelines = None,
    margins: Annotated[
        list[str] | None,
        typer.Option(
            "--margin",
            metavar="KIND=SHARE",
            help="What counts as equivalent: quality=0.02 in points, latency, usage or cost=0.05 of the base.",
        ),
    ] = None,
    junit: Junit = None,
    markdown: Markdown = None,
    html: Html = None,
    json: Json = None,
    gitlab: Gitlab = None,
    benchmark: Benchmark = None,
    github: Github = False,
) -> None:
    """Two recordings side by side: every figure's difference, interval, p and verdict. Runs nothing."""
    from ragprof.cli.gate_commands import Outputs, compare_sides

    outputs = Outputs(junit, markdown, html, json, gitlab, benchmark, github)
    compare_sides(base, candidate, pipelines=pipelines, margins=margins or [], outputs=outputs)


def gate(
    eval_file: EvalFile,
    baseline_dir: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="DIR", help="A baseline or recording; default: the one of \\[gate]."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="REV|EVAL.toml|VENV",
            help="Run another version in this job, interleaved: a git revision, an eval file, an environment.",
        ),
    ] = None,
    recording: Annotated[
        Path | None, typer.Option("--recording", metavar="DIR", help="Judge this recording; run nothing.")
    ] = None,
    init: Annotated[
        bool, typer.Option("--init", help="Write a sensible \\[gate] into EVAL.toml, from a recording of it.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 4 where a gate is undecided.")] = False,
    no_clock: Annotated[
        bool, typer.Option("--no-clock", help="Leave out latency and what is billed by time: for noisy runners.")
    ] = False,
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
    junit: Junit = None,
    markdown: Markdown = None,
    html: Html = None,
    json: Json = None,
    gitlab: Gitlab = None,
    benchmark: Benchmark = None,
    github: Github = False,
) -> None:
    """May this change pass? Exit code 0: yes, 1: a regression, 3: cannot be compared, 4: undecided (--strict)."""
    from ragprof.cli import gate_commands

    if init:
        gate_commands.write_gate(eval_file, recording=recording or baseline_dir, out=out)
        return
    outputs = gate_commands.Outputs(junit, markdown, html, json, gitlab, benchmark, github)
    gate_commands.gate_eval(
        eval_file, baseline=baseline_dir, against=against, recording=recording, strict=strict, clock=not no_clock,
        corpus=corpus, out=out, rates=rates or [], outputs=outputs,
    )  # fmt: skip


@baseline.command("save")
def baseline_save(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a recording.")],
    into: Annotated[Path | None, typer.Option("--into", metavar="DIR", help="Default: baselines/<eval name>.")] = None,
    no_rankings: Annotated[
        bool, typer.Option("--no-rankings", help="Keep no document ids; the queries that got worst show none.")
    ] = False,
) -> None:
    """Keep the figures of a recording, query by query and without any text."""
    from ragprof.cli.gate_commands import save

    save(folder, into=into, rankings=not no_rankings)


@baseline.command("list")
def baseline_list(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to look.")] = Path("baselines"),
) -> None:
    """Every baseline below a folder, with what it rests on."""
    from ragprof.cli.gate_commands import show_baselines

    show_baselines(folder)


@baseline.command("show")
def baseline_show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a baseline.")],
) -> None:
    """What a baseline holds: its figures and what it is tied to."""
    from ragprof.cli.gate_commands import show_baseline

    show_baseline(folder)
