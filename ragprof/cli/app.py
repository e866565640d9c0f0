"""`ragprof`: every command with its options, and one message an error. What they do is in commands.

How a command ends when it is ended from outside, as a CI job is that somebody cancels: as by Ctrl-C, tidily.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ragprof.cli import export_commands as exports
from ragprof.cli import gate_commands as gates
from ragprof.cli.options import CorpusDir, EvalFile, OutDir, Pipelines, RateBooks, Recording
from ragprof.core.errors import RagprofError

ENDING = ("SIGTERM", "SIGHUP")


def unwind_when_ended() -> None:
    """From now on these signals unwind what runs, so that check-outs and processes of this command are taken away.

    One that is ignored already (nohup) or that has a handler keeps it.
    """
    for name in ENDING:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: object) -> None:
    """Ends with 128 + number, as a shell says it; a second signal does not disturb the tidying."""
    signal.signal(number, signal.SIG_IGN)
    typer.echo(f"ragprof: ended by {signal.Signals(number).name}", err=True)
    sys.exit(128 + number)


INTERRUPTED = 130
CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)

app = typer.Typer(
    name="ragprof",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
corpora = typer.Typer(help="Build and inspect corpora that are made on this machine.", no_args_is_help=True)
app.add_typer(corpora, name="corpora")


def main() -> None:
    """Run the command line and turn RagprofError into one message and its exit code."""
    unwind_when_ended()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        app()
    except RagprofError as error:
        typer.echo(f"ragprof: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise
        typer.echo(
            f"ragprof: {error.filename or 'a file'}: {error.strerror}; free some space or choose another folder",
            err=True,
        )
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            typer.echo(
                "ragprof: stopped; vectors and scores so far are kept, the next run goes on from there", err=True
            )
        raise


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("ragprof"))
        raise typer.Exit


@app.callback()
def options(
    _show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Profile RAG pipelines: where a query's time, tokens and money go, stage by stage, and what quality they buy."""


@app.command()
def run(
    eval_file: EvalFile,
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
) -> None:
    """Record, judge, price and report what an eval file declares."""
    from ragprof.cli.study_commands import run_eval

    run_eval(eval_file, corpus=corpus, out=out, rates=rates or [])


@app.command()
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
) -> None:
    """Let the corpus grow: precision, latency, memory, tokens and cost at every size, and a forecast beyond."""
    from ragprof.cli.study_commands import grow_eval

    given: dict[str, object] = {"sizes": sizes, "orders": orders, "seed": seed}
    changes = {name: value for name, value in given.items() if value is not None}
    grow_eval(eval_file, corpus=corpus, out=out, rates=rates or [], changes=changes, fresh=fresh)


@app.command()
def inject(
    eval_file: EvalFile,
    corpus: CorpusDir = None,
    out: OutDir = None,
    rates: RateBooks = None,
    questions: Annotated[
        int | None, typer.Option("--questions", metavar="N", help="How many questions; default: the file's, 60.")
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
) -> None:
    """Let a model answer: time to first token, answer quality and cost by number of chunks, cost per correct answer."""
    from ragprof.cli.study_commands import inject_eval

    given: dict[str, object] = {
        "questions": questions,
        "ks": ks,
        "pipelines": pipelines,
        "sweep": sweep,
        "sensitivities": sensitivity,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    inject_eval(eval_file, corpus=corpus, out=out, rates=rates or [], changes=changes, keep_text=not no_text)


@app.command()
def reranker(
    subject: Annotated[
        Path, typer.Argument(metavar="EVAL.toml|DIR", help="The eval file; or a recording, to weigh it anew.")
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
            "--llm", metavar="PROVIDER:MODEL", help="Also at this LLM's price, not at the file's llms; repeatable."
        ),
    ] = None,
    worth: Annotated[
        float | None, typer.Option("--worth", metavar="USD", help="What a point (0.01) is worth per 1,000 queries.")
    ] = None,
    margin: Annotated[float | None, typer.Option("--margin", help="The smallest gain that counts; 0.01.")] = None,
    price_trend: Annotated[
        float | None, typer.Option("--price-trend", metavar="PERCENT", help="LLM prices fall by so much a year.")
    ] = None,
    on: Annotated[
        datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="A recording's prices as of this day.")
    ] = None,
    no_text: Annotated[bool, typer.Option("--no-text", help="Keep no question and no passage.")] = False,
) -> None:
    """Keep, drop or shrink the reranker: what it buys, what it costs, and what else would buy the same."""
    from ragprof.cli.study_commands import weigh_rerankers

    given: dict[str, object] = {
        "depths": depths,
        "ks": ks,
        "pipelines": pipelines,
        "llms": llms,
        "worth_usd_per_point": worth,
        "margin": margin,
        "price_trend": price_trend,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    day = on.date() if on else None
    weigh_rerankers(subject, corpus=corpus, out=out, rates=rates or [], changes=changes, on=day, keep_text=not no_text)


@app.command()
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
    """Determinism: ask the same again, in other batches and with other threads, and say what differs, by stage."""
    from ragprof.cli.study_commands import audit_eval

    audit_eval(eval_file, corpus=corpus, out=out, rates=rates or [], times=times, queries=queries, answers=answers)


@app.command()
def check(eval_file: EvalFile, corpus: CorpusDir = None, rates: RateBooks = None) -> None:
    """Validate everything and estimate documents, tokens, time and money, before any of it is spent."""
    from ragprof.cli.study_commands import check_eval

    check_eval(eval_file, corpus=corpus, rates=rates or [])


@app.command()
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
    """Price a recording anew, without running anything."""
    from ragprof.cli.study_commands import price_folder

    price_folder(folder, rates=rates or [], on=on.date() if on else None, llm=llm)


@app.command()
def report(folder: Recording) -> None:
    """Write summary.json, report.html and report.md of a recording again."""
    from ragprof.cli.study_commands import report_folder

    report_folder(folder)


@app.command()
def trec(
    folder: Recording,
    into: Annotated[Path | None, typer.Option("--into", metavar="DIR", help="Default: DIR/trec.")] = None,
) -> None:
    """Write the rankings of every stage as TREC runs."""
    from ragprof.cli.study_commands import export_trec

    export_trec(folder, into or folder / "trec")


@app.command("list")
def list_names(
    what: Annotated[
        str, typer.Argument(metavar="[WHAT]", help="plugins, corpora, rates or energy; default: all.")
    ] = "all",
) -> None:
    """What there is to choose from: plugins, corpora, rates, regions with a price of electricity."""
    from ragprof.cli.listing import show

    show(what)


@corpora.command("build")
def corpora_build(name: Annotated[str, typer.Argument(help="A recipe's name or folder.")]) -> None:
    """Build a corpus by its recipe, unless it is built already."""
    from ragprof.cli.study_commands import build_corpus

    build_corpus(name)


@corpora.command("info")
def corpora_info(name: Annotated[str, typer.Argument(help="A recipe's name or folder.")]) -> None:
    """What a recipe makes, from which packages, under which licences."""
    from ragprof.cli.study_commands import show_corpus

    show_corpus(name)


gates.add_to(app)
exports.add_to(app)
