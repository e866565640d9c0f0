"""Commands that record and analyse: run, one for each study, check, price, report, trec."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragprof.cli import console
from ragprof.cli.options import (
    BudgetUsd,
    CorpusDir,
    EvalFile,
    NoText,
    OtlpAddress,
    OtlpTexts,
    OutDir,
    PassagesOfIt,
    Pipelines,
    RateBooks,
    Recording,
    WholeCorpus,
    runs_nothing,
    with_progress,
)
from ragprof.core.clock import step
from ragprof.session.studies import STUDIES

if TYPE_CHECKING:
    from ragprof.corpus import Passages

DECLARED = ("growth", "injection", "reranker", "curate", "screen", "chunking", "stores", "load", "audit")
"""Studies whose commands have options of their own."""


def add_to(app: typer.Typer) -> None:
    """Make these commands part of the command line, and one for every study that has none here."""
    commands = (run, grow, inject, reranker, curate, screen, chunking, stores, load, audit, check, price, report, trec)
    for command in commands:
        app.command()(with_progress(command))
    for name in STUDIES:
        if name not in DECLARED:
            app.command(name)(with_progress(plain(name)))


def plain(name: str) -> Callable[..., None]:
    """The command of a study without options of its own."""

    def command(eval_file: EvalFile, corpus: CorpusDir = None, out: OutDir = None, rates: RateBooks = None) -> None:
        from ragprof.session.run import run_study

        with console.progress() as bars:
            result = run_study(name, eval_file, corpus=corpus, out=out, books=rates or [], progress=bars)
        console.result(result, name)

    command.__doc__ = f"Run the study '{name}' of an eval."
    return command


def run(
    eval_file: EvalFile,
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
    passages: PassagesOfIt = None,
    full: WholeCorpus = False,
    otlp: OtlpAddress = None,
    otlp_texts: OtlpTexts = False,
    budget_usd: BudgetUsd = None,
) -> None:
    """Record, judge, price and report what an eval file declares.

    Example: ragprof run docs.toml --passages 2000
    """
    from ragprof.session.run import run as profile

    much = how_much(passages, full)
    with console.progress() as bars:
        result = profile(
            eval_file, corpus=corpus, out=out, books=rates or [], passages=much, otlp=otlp, otlp_texts=otlp_texts,
            budget_usd=budget_usd, progress=bars,
        )  # fmt: skip
    console.result(result)


def how_much(passages: int | None, full: bool) -> Passages | None:
    """How much of the corpus is searched, by the options. Raises BadInput for both of them."""
    from ragprof.core.errors import BadInput

    if passages is not None and full:
        raise BadInput("--passages searches a part of the corpus and --full all of it; give one of them")
    return "all" if full else passages


def grow(
    eval_file: EvalFile,
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
    sizes: Annotated[str | None, typer.Option("--sizes", metavar="N,N,...", help="Corpus sizes in passages.")] = None,
    orders: Annotated[
        int | None, typer.Option("--orders", help="How many random orders; default: the file's, 5.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the orders; default: the file's, 0.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw away the growth recording that is there.")] = False,
    otlp: OtlpAddress = None,
    otlp_texts: OtlpTexts = False,
    budget_usd: BudgetUsd = None,
) -> None:
    """Let the corpus grow: quality, time and cost at every size.

    Precision, latency, memory, tokens and cost at every size, and a forecast beyond.

    Example: ragprof grow docs.toml --sizes 1000,2000,4000
    """
    from ragprof.session.run import run_study

    changes = console.given(sizes=console.numbers(sizes, option="--sizes"), orders=orders, seed=seed)
    with console.progress() as bars:
        result = run_study(
            "growth", eval_file, corpus=corpus, out=out, books=rates or [], changes=changes, fresh=fresh, otlp=otlp,
            otlp_texts=otlp_texts, budget_usd=budget_usd, progress=bars,
        )  # fmt: skip
    console.result(result, "growth")


def inject(
    eval_file: EvalFile,
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
    questions: Annotated[
        int | None,
        typer.Option("--questions", metavar="N", help="How many questions, 0: all; default: the file's, 60."),
    ] = None,
    ks: Annotated[str | None, typer.Option("--ks", metavar="K,K,...", help="Numbers of chunks to sweep.")] = None,
    pipelines: Pipelines = None,
    sweep: Annotated[
        list[str] | None, typer.Option("--sweep", metavar="NAME", help="Sweep this pipeline; repeatable, default: all.")
    ] = None,
    sensitivity: Annotated[
        list[float] | None,
        typer.Option("--sensitivity", metavar="K", help="A time-sensitivity of your own, the k of U = A R / L^k."),
    ] = None,
    no_text: Annotated[bool, typer.Option("--no-text", help="Forget the answers' words once they are judged.")] = False,
    budget_usd: BudgetUsd = None,
) -> None:
    """Let a model answer: first token, quality, cost per answer.

    Time to first token, answer quality and cost by number of chunks, and the cost per correct answer.

    Example: ragprof inject docs.toml --questions 20 --ks 1,3,5
    """
    from ragprof.session.run import run_study

    changes = console.given(
        questions=questions,
        ks=console.numbers(ks, option="--ks"),
        pipelines=pipelines,
        sweep=sweep,
        sensitivities=sensitivity,
    )
    with console.progress() as bars:
        result = run_study(
            "injection",
            eval_file,
            corpus=corpus,
            out=out,
            books=rates or [],
            changes=changes,
            keep_text=not no_text,
            budget_usd=budget_usd,
            progress=bars,
        )
    console.result(result, "injection")


def reranker(
    subject: Annotated[
        Path, typer.Argument(metavar="EVAL.toml|DIR", help="The eval file; or a recording, to analyse it anew.")
    ],
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
    depths: Annotated[str | None, typer.Option("--depths", metavar="D,D,...", help="Candidates to rerank.")] = None,
    ks: Annotated[str | None, typer.Option("--ks", metavar="K,K,...", help="Numbers of chunks to inject.")] = None,
    pipelines: Pipelines = None,
    llms: Annotated[
        list[str] | None,
        typer.Option(
            "--llm", metavar="PROVIDER:MODEL", help="A further LLM price, instead of the file's llms; repeatable."
        ),
    ] = None,
    worth: Annotated[
        float | None, typer.Option("--worth", metavar="USD", help="What a point (0.01) is worth per 1,000 queries.")
    ] = None,
    margin: Annotated[float | None, typer.Option("--margin", help="The smallest gain that counts; 0.01.")] = None,
    max_added_p95_ms: Annotated[
        float | None,
        typer.Option("--max-added-p95-ms", metavar="MS", help="Adding more than this at p95 is too slow."),
    ] = None,
    max_usd: Annotated[
        float | None, typer.Option("--max-usd", metavar="USD", help="More per 1,000 queries is too dear.")
    ] = None,
    price_trend: Annotated[
        float | None, typer.Option("--price-trend", metavar="PERCENT", help="LLM prices fall by this much a year.")
    ] = None,
    on: Annotated[
        datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="A recording's prices as of this day.")
    ] = None,
    no_text: NoText = False,
    otlp: OtlpAddress = None,
    otlp_texts: OtlpTexts = False,
    budget_usd: BudgetUsd = None,
) -> None:
    """Keep, drop or shrink the reranker: what it buys and costs.

    What it buys, what it costs, and what else would buy the same.

    Example: ragprof reranker docs.toml --depths 10,20,50 --worth 2
    """
    from ragprof.core.errors import BadInput
    from ragprof.session.again import restate
    from ragprof.session.run import run_study

    changes = console.given(
        depths=console.numbers(depths, option="--depths"),
        ks=console.numbers(ks, option="--ks"),
        pipelines=pipelines,
        llms=llms,
        worth_usd_per_point=worth,
        margin=margin,
        max_added_p95_ms=max_added_p95_ms,
        max_usd_per_1000_queries=max_usd,
        price_trend=price_trend,
    )
    if not subject.exists():
        raise BadInput("no such eval file and no such folder of a recording", file=subject)
    if subject.is_dir():
        if corpus is not None or out is not None or no_text:
            raise BadInput("--corpus, --out and --no-text go with an eval file, not with a recording", file=subject)
        if otlp is not None or budget_usd is not None:
            raise BadInput("--otlp and --budget-usd go with an eval file; a recording asks nothing", file=subject)
        with console.progress() as bars:
            day = on.date() if on else None
            result = restate("reranker", subject, books=rates or [], on=day, changes=changes, progress=bars)
    else:
        if on is not None:
            raise BadInput("--on goes with a recording; an eval file is priced as of today", file=subject)
        with console.progress() as bars:
            result = run_study(
                "reranker",
                subject,
                corpus=corpus,
                out=out,
                books=rates or [],
                changes=changes,
                keep_text=not no_text,
                otlp=otlp,
                otlp_texts=otlp_texts,
                budget_usd=budget_usd,
                progress=bars,
            )
    console.result(result, "reranker")


def curate(
    eval_file: EvalFile,
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
    near: Annotated[
        float | None, typer.Option("--near", metavar="SHARE", help="Copies share so many three-word sequences; 0.9.")
    ] = None,
    related: Annotated[
        float | None, typer.Option("--related", metavar="SHARE", help="Versions of a page share so many; 0.6.")
    ] = None,
    no_text: NoText = False,
) -> None:
    """Find copies, old versions and boilerplate, and price them.

    What the corpus holds twice or for nothing, and what removing it would do to quality, tokens and money. The list to
    look through is curate/review.csv; nothing is removed.

    Example: ragprof curate docs.toml
    """
    from ragprof.session.run import run_study

    changes = console.given(near=near, related=related)
    with console.progress() as bars:
        result = run_study(
            "curate", eval_file, corpus=corpus, out=out, books=rates or [], changes=changes, keep_text=not no_text,
            progress=bars,
        )  # fmt: skip
    console.result(result, "curate")


def screen(
    eval_file: EvalFile,
    source: Annotated[
        Path | None, typer.Option("--source", metavar="FOLDER", help="What would be added; default: the file's.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", help="Documents of it to look at; 1000, or all there are.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of the sample; default: the file's, 0.")] = None,
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
    no_text: NoText = False,
) -> None:
    """Say what adding a source would do, from a sample of it.

    Precision, tokens and money for the questions of today, with similar and unrelated documents told apart. Nothing is
    added to the corpus.

    Example: ragprof screen docs.toml --source new-wiki/
    """
    from ragprof.session.run import run_study

    changes = console.given(source=None if source is None else str(source), sample=sample, seed=seed)
    with console.progress() as bars:
        result = run_study(
            "screen", eval_file, corpus=corpus, out=out, books=rates or [], changes=changes, keep_text=not no_text,
            progress=bars,
        )  # fmt: skip
    console.result(result, "screen")


def chunking(
    eval_file: EvalFile,
    budget: Annotated[
        int | None, typer.Option("--budget", metavar="TOKENS", help="Tokens of each prompt; default: the file's, 2000.")
    ] = None,
    spans: Annotated[
        Path | None, typer.Option("--spans", metavar="FILE", help="What answers: spans of documents; JSONL or Parquet.")
    ] = None,
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
    no_text: NoText = False,
) -> None:
    """Compare ways to cut the documents.

    At one budget of prompt tokens: how much of what answers is in the prompt, which answers are cut, what indexes and
    embedding take. The ways to cut are [chunking] variants of the eval file.

    Example: ragprof chunking docs.toml
    """
    from ragprof.session.run import run_study

    changes = console.given(budget=budget, spans=None if spans is None else str(spans))
    with console.progress() as bars:
        result = run_study(
            "chunking", eval_file, corpus=corpus, out=out, books=rates or [], changes=changes, keep_text=not no_text,
            progress=bars,
        )  # fmt: skip
    console.result(result, "chunking")


def stores(
    eval_file: EvalFile,
    margin: Annotated[
        float | None, typer.Option("--margin", help="The loss against exact search that is acceptable; the file's.")
    ] = None,
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
) -> None:
    """Compare indexes: recall, quality, latency, bytes and money.

    Approximate and quantised indexes of [stores] against exact search over the same vectors, each asked live, with and
    without the reranker: which is the cheapest that loses no more than the margin.

    Example: ragprof stores docs.toml
    """
    from ragprof.session.run import run_study

    changes = console.given(margin=margin)
    with console.progress() as bars:
        result = run_study(
            "stores", eval_file, corpus=corpus, out=out, books=rates or [], changes=changes, progress=bars
        )
    console.result(result, "stores")


def load(
    eval_file: EvalFile,
    rates_per_second: Annotated[
        str | None, typer.Option("--rate", metavar="R,R,...", help="Requests a second; default: by the capacity.")
    ] = None,
    concurrency: Annotated[
        str | None, typer.Option("--concurrency", metavar="N,N,...", help="Closed loops, too: requests under way.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", metavar="S", help="For each target; default: the file's, 120.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Threads that answer; default: as many as cores.")
    ] = None,
    pipelines: Pipelines = None,
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
    budget_usd: Annotated[
        str | None, typer.Option("--budget-usd", metavar="USD", help="Requests stop before they cost more than this.")
    ] = None,
) -> None:
    """Put load on the pipelines: capacity, tails, USD at the promise.

    How many questions a second keep the promise of [load], which stage is full first, what happens beyond, and what a
    question costs then, with and without the reranker.

    Example: ragprof load docs.toml
    """
    from ragprof.session.run import run_study

    changes = console.given(
        rates=console.rates(rates_per_second, option="--rate"),
        concurrency=console.numbers(concurrency, option="--concurrency"),
        seconds=seconds,
        workers=workers,
        pipelines=pipelines,
        budget_usd=budget_usd,
    )
    with console.progress() as bars:
        result = run_study("load", eval_file, corpus=corpus, out=out, books=rates or [], changes=changes, progress=bars)
    console.result(result, "load")


def audit(
    eval_file: EvalFile,
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
    times: Annotated[int, typer.Option("--times", metavar="N", help="How often each query is asked.")] = 5,
    queries: Annotated[
        int | None, typer.Option("--queries", metavar="N", help="Size of the sample; default: 20, or all there are.")
    ] = None,
    answers: Annotated[bool, typer.Option("--answers", help="Let the model of [injection] answer, too.")] = False,
) -> None:
    """Ask the same again and say what differs, stage by stage.

    Determinism: the same queries again, in other batches and with other numbers of threads.

    Example: ragprof audit docs.toml --times 3 --queries 20
    """
    from ragprof.session.run import run_study

    changes = console.given(times=times, queries=queries, answers=answers)
    with console.progress() as bars:
        result = run_study(
            "audit", eval_file, corpus=corpus, out=out, books=rates or [], changes=changes, progress=bars
        )
    console.result(result, "audit")


def check(
    eval_file: EvalFile,
    corpus: CorpusDir = None,
    rates: RateBooks = None,
    passages: PassagesOfIt = None,
    full: WholeCorpus = False,
) -> None:
    """Validate an eval and estimate tokens, time and money.

    Everything is read and validated, and documents, tokens, time and money are estimated before any is spent.

    Example: ragprof check docs.toml
    """
    from ragprof.report.terminal import facts
    from ragprof.session.forecast import forecast_eval

    much = how_much(passages, full)
    with console.progress() as bars:
        found = forecast_eval(eval_file, corpus=corpus, books=rates or [], passages=much, progress=bars)
    console.show(facts(found.rows, title=f"{found.name}: ready to run"))
    for notice in found.notices:
        console.sentence(f"note: {notice}")


@runs_nothing
def price(
    folder: Recording,
    rates: RateBooks = None,
    on: Annotated[
        datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="Price as of this day. Default: today.")
    ] = None,
    llm: Annotated[
        str | None, typer.Option("--llm", metavar="PROVIDER:MODEL", help="Price the prompts for this model.")
    ] = None,
) -> None:
    """Price a recording anew, without running anything.

    Example: ragprof price reports/docs --rates ours.toml
    """
    from ragprof.core.files import claimed
    from ragprof.session.again import reprice

    with claimed(folder), console.progress() as bars:
        result = reprice(folder, books=rates or [], on=on.date() if on else None, llm=llm, progress=bars)
    console.result(result)


@runs_nothing
def report(
    folder: Recording,
    full: Annotated[bool, typer.Option("--full", help="The whole report as Markdown, too: report-full.md.")] = False,
) -> None:
    """Write the report of a recording again.

    Writes summary.json, report.html and report.md, which is short enough for a pull request.

    Example: ragprof report reports/docs --full
    """
    from ragprof.core.files import claimed
    from ragprof.session.again import redraw

    with claimed(folder), console.progress() as bars:
        result = redraw(folder, full=full, progress=bars)
    console.result(result)


@runs_nothing
def trec(
    folder: Recording,
    into: Annotated[Path | None, typer.Option("--into", metavar="DIR", help="Default: DIR/trec.")] = None,
) -> None:
    """Write the rankings of every stage as TREC runs.

    Example: ragprof trec reports/docs
    """
    from ragprof.exports.trec import export_runs

    with console.progress() as bars, step(bars, "write the runs"):
        paths = export_runs(folder, into=into or folder / "trec")
    for path in paths:
        console.line(path)
