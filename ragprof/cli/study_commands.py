"""What the commands do: call the session, show the outcome."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ragprof.cli.bars import Bars
from ragprof.core.errors import BadInput
from ragprof.core.files import cache_folder, claimed, read_json
from ragprof.corpus import build, find, info, installed_versions

out_console = Console()
error_console = Console(stderr=True)


def run_eval(eval_file: Path, *, corpus: Path | None, out: Path | None, rates: list[Path]) -> None:
    from ragprof.session.run import run

    with Bars(error_console) as bars:
        result = run(eval_file, corpus=corpus, out=out, books=rates, progress=bars)
    _show(result.summary, result.report)


def grow_eval(
    eval_file: Path,
    *,
    corpus: Path | None,
    out: Path | None,
    rates: list[Path],
    changes: dict[str, object],
    fresh: bool,
) -> None:
    from ragprof.session.pages import growth_table
    from ragprof.session.run import grow

    if isinstance(sizes := changes.get("sizes"), str):
        changes["sizes"] = numbers(sizes, option="--sizes")
    with Bars(error_console) as bars:
        result = grow(eval_file, corpus=corpus, out=out, books=rates, changes=changes, fresh=fresh, progress=bars)
    out_console.print(growth_table(result.summary))
    out_console.print(f"report: {result.report}", highlight=False, soft_wrap=True, markup=False)


def inject_eval(
    eval_file: Path,
    *,
    corpus: Path | None,
    out: Path | None,
    rates: list[Path],
    changes: dict[str, object],
    keep_text: bool,
) -> None:
    from ragprof.session.pages import injection_table
    from ragprof.session.run import inject

    if isinstance(ks := changes.get("ks"), str):
        changes["ks"] = numbers(ks, option="--ks")
    with Bars(error_console) as bars:
        result = inject(
            eval_file, corpus=corpus, out=out, books=rates, changes=changes, keep_text=keep_text, progress=bars
        )
    out_console.print(injection_table(result.summary))
    out_console.print(f"report: {result.report}", highlight=False, soft_wrap=True, markup=False)


def weigh_rerankers(
    subject: Path,
    *,
    corpus: Path | None,
    out: Path | None,
    rates: list[Path],
    changes: dict[str, object],
    on: date | None,
    keep_text: bool,
) -> None:
    from ragprof.session.pages import reranker_table
    from ragprof.session.run import reweigh, weigh

    for name in ("depths", "ks"):
        if isinstance(listed := changes.get(name), str):
            changes[name] = numbers(listed, option=f"--{name}")
    if subject.is_dir():
        if corpus is not None or out is not None or not keep_text:
            raise BadInput("--corpus, --out and --no-text go with an eval file, not with a recording", file=subject)
        result = reweigh(subject, books=rates, on=on, changes=changes)
    else:
        if on is not None:
            raise BadInput("--on goes with a recording; an eval file is priced as of today", file=subject)
        with Bars(error_console) as bars:
            result = weigh(
                subject, corpus=corpus, out=out, books=rates, changes=changes, keep_text=keep_text, progress=bars
            )
    out_console.print(reranker_table(result.summary))
    for page in (result.folder / "reranker.md", result.report):
        out_console.print(f"report: {page}", highlight=False, soft_wrap=True, markup=False)


def audit_eval(
    eval_file: Path,
    *,
    corpus: Path | None,
    out: Path | None,
    rates: list[Path],
    times: int,
    queries: int | None,
    answers: bool,
) -> None:
    from ragprof.session.pages import audit_table
    from ragprof.session.run import audit

    with Bars(error_console) as bars:
        result = audit(
            eval_file,
            times=times,
            queries=queries,
            answers=answers,
            corpus=corpus,
            out=out,
            books=rates,
            progress=bars,
        )
    out_console.print(audit_table(result.summary))
    kind, place = (
        ("report", result.report)
        if "pipelines" in result.summary
        else ("audit", result.folder / "audit" / "audit.json")
    )
    out_console.print(f"{kind}: {place}", highlight=False, soft_wrap=True, markup=False)


def numbers(listed: str, *, option: str) -> tuple[int, ...]:
    """`1000,2000` as numbers. Raises BadInput for anything else."""
    try:
        return tuple(int(number.strip().replace("_", "")) for number in listed.split(","))
    except ValueError:
        raise BadInput(f"{option} '{listed}' is no list of numbers; write it like 1000,2000,4000") from None


def check_eval(eval_file: Path, *, corpus: Path | None, rates: list[Path]) -> None:
    from ragprof.session.forecast import forecast
    from ragprof.studies.preparation import prepare

    with error_console.status("reading corpus and questions, probing the models"):
        prepared = prepare(eval_file, corpus=corpus, books=rates)
        rows = forecast(prepared.subject, cache=cache_folder())
    table = Table(
        title=f"{prepared.subject.config.name}: ready to run", title_justify="left", box=None, show_header=False
    )
    table.add_column(style="bold")
    table.add_column()
    for name, value in rows:
        table.add_row(name, value)
    out_console.print(table)
    for notice in prepared.evaluation.notices:
        out_console.print(f"note: {notice}", highlight=False, markup=False)


def price_folder(folder: Path, *, rates: list[Path], on: date | None, llm: str | None) -> None:
    from ragprof.session.run import reprice

    with claimed(folder):
        result = reprice(folder, books=rates, on=on, llm=llm)
    _show(result.summary, result.report)


def report_folder(folder: Path) -> None:
    from ragprof.session.run import redraw

    with claimed(folder):
        result = redraw(folder)
    _show(result.summary, result.report)


def export_trec(folder: Path, into: Path) -> None:
    from ragprof.exports.trec import export_runs

    for path in export_runs(folder, into=into):
        out_console.print(str(path), highlight=False, soft_wrap=True, markup=False)


def build_corpus(name: str) -> None:
    recipe = find(name, near=Path.cwd())
    with error_console.status(f"building the corpus '{name}'"):
        folder = build(recipe, cache=cache_folder())
    manifest = read_json(folder / "manifest.json")
    out_console.print(f"{manifest['docs']:,} passages, sha256 {manifest['sha256'][:16]}", highlight=False)
    for package, reason in manifest.get("left_out", {}).items():
        out_console.print(f"left out: {package} ({reason})", highlight=False, markup=False)
    out_console.print(str(folder), highlight=False, soft_wrap=True, markup=False)


def show_corpus(name: str) -> None:
    folder = find(name, near=Path.cwd())
    if not (folder / "recipe.toml").is_file():
        raise BadInput("this corpus has no recipe; only what is built on this machine has more to tell", file=folder)
    recipe = info(folder)
    out_console.print(f"[bold]{recipe.name}[/]: {recipe.title}", highlight=False)
    table = Table(box=None)
    for column in ("package", "version", "licence"):
        table.add_column(column)
    for package, found in installed_versions(recipe).items():
        table.add_row(package, found or "not installed", recipe.licences[package])
    out_console.print(table)


def _show(summary: dict[str, object], report: Path) -> None:
    from ragprof.session.pages import terminal_table

    out_console.print(terminal_table(summary))
    out_console.print(f"report: {report}", highlight=False, soft_wrap=True, markup=False)
