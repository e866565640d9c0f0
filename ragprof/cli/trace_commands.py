"""`ragprof trace`: traces of production, profiled offline."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ragprof.cli import console
from ragprof.cli.options import RateBooks, with_progress


def add_to(app: typer.Typer) -> None:
    """Make the command part of the command line."""
    app.command()(with_progress(trace))


def trace(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="OTLP JSON lines, Langfuse observations, Phoenix spans; .gz too."),
    ],
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Default: reports/<name>.")] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="What it is called; default: the first file's name.")
    ] = None,
    price: Annotated[
        list[str] | None,
        typer.Option("--price", metavar="STAGE=RATE", help="A rate for llm, embed, search or rerank; repeatable."),
    ] = None,
    rates: RateBooks = None,
    on: Annotated[
        datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="Price as of this day. Default: today.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option("--queries", metavar="FILE", help="Questions, for the judgements of --qrels.")
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option("--qrels", metavar="FILE", help="Judgements; traces are found by their question.")
    ] = None,
    queries_per_month: Annotated[
        int | None, typer.Option("--queries-per-month", metavar="N", min=1, help="For bills by month.")
    ] = None,
) -> None:
    """Profile traces of production. Runs nothing.

    Stages, tokens, money, errors, and whether the reranker changes anything: from files that were recorded anyway.

    Example: ragprof trace traces/*.jsonl --out reports/traces
    """
    from ragprof.session.tracing import prices_of
    from ragprof.session.tracing import trace as profile

    with console.progress() as bars:
        result = profile(
            *files, out=out, name=name, prices=prices_of(price or []), books=rates or [],
            on=on.date() if on else None, queries=queries, qrels=qrels, queries_per_month=queries_per_month,
            progress=bars,
        )  # fmt: skip
    console.result(result, "trace")
