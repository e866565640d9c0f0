"""`ragprof compare`, `gate` and `baseline`: get a comparison, show it, write it for people and machines, exit."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragprof.cli import console
from ragprof.cli.options import CorpusDir, EvalFile, Pipelines, RateBooks, runs_nothing, with_progress
from ragprof.core.clock import step
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.core.files import write_json, write_text

if TYPE_CHECKING:
    from ragprof.core.quantities import Kind
    from ragprof.evals import GateMargin
    from ragprof.studies.gate.document import Comparison


Junit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="JUnit XML, one case per gate.")]
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
    app.command()(with_progress(compare))
    app.command()(with_progress(gate))
    baseline.command("save")(with_progress(baseline_save))
    app.add_typer(baseline, name="baseline")


@runs_nothing
def compare(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="Folder of a recording or of a baseline.")],
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="Folder of the new recording or baseline.")],
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
    """Compare two recordings, figure by figure. Runs nothing.

    Every figure's difference, its interval, p and verdict.

    Example: ragprof compare reports/before reports/after
    """
    from ragprof.studies.gate import sides

    chosen = margins_of(margins or [])
    with console.progress() as bars, step(bars, "compare"):
        found = sides.compare(base, candidate, pipelines=pipelines, margins=chosen)
    Outputs(junit, markdown, html, json, gitlab, benchmark, github).write(found, subject=candidate)


def gate(
    eval_file: EvalFile,
    baseline_dir: Annotated[
        Path | None,
        typer.Option("--baseline", metavar="DIR", help="A baseline or recording; default: the one of [gate]."),
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
        bool, typer.Option("--init", help="Write a sensible [gate] into EVAL.toml, from a recording of it.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 4 where a gate is undecided.")] = False,
    no_clock: Annotated[
        bool, typer.Option("--no-clock", help="Leave out latency and what is billed by time: for noisy runners.")
    ] = False,
    corpus: CorpusDir = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Default: reports/<eval name>/gate."),
    ] = None,
    rates: RateBooks = None,
    junit: Junit = None,
    markdown: Markdown = None,
    html: Html = None,
    json: Json = None,
    gitlab: Gitlab = None,
    benchmark: Benchmark = None,
    github: Github = False,
) -> None:
    """May this change pass? Record, compare, exit 0 or 1.

    Exit code 0: yes, 1: a regression, 3: cannot be compared, 4: undecided (--strict).

    Example: ragprof gate docs.toml --against origin/main
    """
    if init:
        outputs = Outputs(junit, markdown, html, json, gitlab, benchmark, github)
        unused = {
            "--against": against, "--strict": strict, "--no-clock": no_clock, "--corpus": corpus, "--rates": rates,
        }  # fmt: skip
        if useless := [option for option, given in unused.items() if given] + outputs.given:
            raise BadInput(f"--init writes a [gate] and judges nothing; leave out {', '.join(useless)}", file=eval_file)
        from ragprof.studies.gate.initial import propose

        for line in propose(eval_file, recording=recording or baseline_dir or out).lines:
            console.sentence(line)
        console.line(f"written: [gate] in {eval_file}")
        return
    from ragprof.session import gating

    outputs = Outputs(junit, markdown, html, json, gitlab, benchmark, github)
    try:
        with console.progress() as bars:
            found = gating.gate(
                eval_file, baseline=baseline_dir, against=against, recording=recording, strict=strict,
                clock=not no_clock, corpus=corpus, out=out, books=rates or [], progress=bars,
            )  # fmt: skip
    except Exception as problem:
        # Whoever reads the files has to learn of it there: a missing one looks like none that was asked for.
        if (told := gating.unjudged(eval_file, problem, strict=strict)) is not None:
            outputs.keep(told, subject=eval_file)
        raise
    outputs.write(found, subject=eval_file)
    raise typer.Exit(found.exit_code)


def baseline_save(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a recording.")],
    into: Annotated[Path | None, typer.Option("--into", metavar="DIR", help="Default: baselines/<eval name>.")] = None,
    no_rankings: Annotated[
        bool, typer.Option("--no-rankings", help="Keep no document ids; queries that lost most show none.")
    ] = False,
) -> None:
    """Keep the figures of a recording, query by query and without any text.

    Example: ragprof baseline save reports/docs
    """
    from ragprof.studies.gate import baselines
    from ragprof.studies.gate.sides import read_side

    with console.progress() as bars, step(bars, "read the recording"):
        side = read_side(folder)
    made = baselines.save(side, into or Path("baselines") / str(side.facts["eval"]), rankings=not no_rankings)
    size = sum(path.stat().st_size for path in made.iterdir())
    console.line(f"{made} ({size / 1e3:,.0f} kB)")


@baseline.command("list")
def baseline_list(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to look.")] = Path("baselines"),
) -> None:
    """List every baseline below a folder, with its origin.

    Example: ragprof baseline list
    """
    from ragprof.studies.gate.baselines import listed

    found = listed(folder)
    if not found:
        raise BadInput("no baseline in it; make one with 'ragprof baseline save reports/<eval>'", file=folder)
    from ragprof.report.terminal import columns

    rows: list[tuple[str, ...]] = []
    for entry in found:
        if entry.wrong is not None:
            rows.append((entry.name, f"refused: {entry.wrong}"))
            continue
        size, corpus = f"{entry.bytes / 1e3:,.0f}", entry.hashes["corpus"][:12]
        rows.append((entry.name, entry.eval, entry.created[:10], f"{entry.queries:,}", size, corpus))
    console.show(columns(("baseline", "eval", "created", "queries", "kB", "corpus"), rows))


@baseline.command("show")
def baseline_show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a baseline.")],
) -> None:
    """Show what a baseline holds: its figures and their origin.

    Example: ragprof baseline show baselines/docs
    """
    from ragprof.studies.gate.baselines import read

    kept = read(folder)
    facts, corpus, machine = kept.facts, kept.facts["corpus"], kept.facts["environment"]
    from ragprof.report.terminal import facts as facts_table

    told = (
        ("eval", f"{facts['eval']} ({facts['title']})"),
        ("created", f"{facts['created']} by ragprof {facts['ragprof_version']}"),
        ("corpus", f"{corpus['name']}, {counted(corpus['docs'], 'passage')}, {corpus['sha256'][:16]}"),
        ("queries", f"{facts['queries']:,}, {facts['questions'][:16]}"),
        ("qrels", facts["qrels_sha256"][:16]),
        ("eval hash", facts["eval_sha256"][:16]),
        ("machine", f"{machine['cpu']}, {machine['cores']} cores"),
        ("pipelines", ", ".join(kept.pipelines)),
        ("figures", f"{len(kept.figures):,} by query, {len(kept.times):,} durations, {len(kept.rankings):,} ranks"),
    )
    console.show(facts_table(told))
    for metric in facts["metrics"][:1]:
        final = kept.figures[(kept.figures["kind"] == "quality") & (kept.figures["name"] == metric)]
        for name in kept.pipelines:
            mine = final[(final["pipeline"] == name) & final["stage"].isin(["rerank", "search"])]
            last = "rerank" if (mine["stage"] == "rerank").any() else "search"
            mean = mine.loc[mine["stage"] == last, "value"].mean()
            console.line(f"{name}: {metric} {mean:.3f}")


def margins_of(written: Sequence[str]) -> dict[Kind, GateMargin]:
    """`quality=0.02` as a margin: in points for quality, a share of the base for all else. Raises BadInput."""
    from pydantic import ValidationError

    from ragprof.core.quantities import KINDS
    from ragprof.evals import GateMargin

    margins: dict[Kind, GateMargin] = {}
    for text in written:
        kind, _, size = text.partition("=")
        try:
            number = float(size)
            found = next(each for each in KINDS if each == kind)
            margins[found] = GateMargin(absolute=number) if kind == "quality" else GateMargin(relative=number)
        except (ValueError, StopIteration, ValidationError):
            raise BadInput(
                f"--margin '{text}' is not a margin; write KIND=SHARE, such as quality=0.02 or latency=0.1"
            ) from None
    return margins


@dataclass(frozen=True)
class Outputs:
    """Where a comparison is written besides the terminal."""

    junit: Path | None
    markdown: Path | None
    html: Path | None
    json: Path | None
    gitlab: Path | None
    benchmark: Path | None
    github: bool

    @property
    def given(self) -> list[str]:
        """The options that ask for something."""
        return [f"--{field.name}" for field in fields(self) if getattr(self, field.name)]

    def keep(self, found: Comparison, *, subject: Path) -> list[BadInput]:
        """Write every file that was asked for, each whole, and say to GitHub what it is to hear; return what could not
        be written. `subject` is what GitLab's findings are about, relative to where the command runs, as CI runs it at
        the repository's top."""
        from ragprof.studies.gate import ci_files
        from ragprof.studies.gate.pages import comparison_markdown, comparison_page

        whole, here = subject.resolve(), Path.cwd().resolve()
        place = whole.relative_to(here).as_posix() if whole.is_relative_to(here) else subject.name
        writers: list[tuple[Path | None, Callable[[Path], None]]] = [
            (self.json, lambda path: write_json(path, found.document)),
            (self.junit, lambda path: write_text(path, ci_files.junit(found))),
            (self.gitlab, lambda path: write_text(path, ci_files.code_quality(found, eval_file=place))),
            (self.markdown, lambda path: write_text(path, comparison_markdown(found))),
            (self.html, lambda path: write_text(path, comparison_page(found))),
        ]
        for name in ci_files.BENCHMARKS if self.benchmark else ():
            entries = partial(write_text, text=ci_files.entries(found)[name])
            writers.append((self.benchmark and self.benchmark / f"{name}.json", entries))
        problems = []
        for path, write in writers:
            try:
                if path:
                    write(path)
            except BadInput as problem:
                problems.append(problem)
        if self.github:
            for line in ci_files.write_github(found, os.environ, markdown=comparison_markdown(found)):
                console.raw(line)
        return problems

    def write(self, found: Comparison, *, subject: Path) -> None:
        """Write the files, then print the comparison. A file that cannot be written does not prevent the others."""
        from ragprof.studies.gate.tables import comparison_table

        with console.progress() as bars, step(bars, "draw"):
            problems = self.keep(found, subject=subject)
        console.show(comparison_table(found))
        for problem in problems:
            raise problem
