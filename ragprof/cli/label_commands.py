"""`ragprof label`: judgements where there are none, by a model and by people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ragprof.cli import console
from ragprof.cli.options import CorpusDir, EvalFile, RateBooks, with_progress
from ragprof.core.counting import counted

if TYPE_CHECKING:
    from ragprof.session.labelling import LabelReport
    from ragprof.session.next_draw import NextDraw
    from ragprof.session.people import PeopleJudging

SHOWN_LINES = 60


def add_to(app: typer.Typer) -> None:
    """Make the command part of the command line."""
    app.command()(with_progress(label))


def label(
    eval_file: EvalFile,
    corpus: CorpusDir = None,
    rates: RateBooks = None,
    questions: Annotated[
        Path | None,
        typer.Option("--questions", metavar="FILE", help="Your users' questions: a log, CSV, JSONL or traces."),
    ] = None,
    generate: Annotated[bool, typer.Option("--generate", help="Have the model of [labels] write questions.")] = False,
    headings: Annotated[bool, typer.Option("--headings", help="Take titles as questions; weak.")] = False,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", min=1, help="How many questions are made.")
    ] = None,
    imported: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE", help="Judgements of others: BEIR, TREC or click log."),
    ] = None,
    budget_usd: Annotated[
        str | None, typer.Option("--budget-usd", metavar="USD", help="The model stops before more is spent.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Ask the model anew about passages that it gave no grade.")
    ] = False,
    no_model: Annotated[bool, typer.Option("--no-model", help="Ask no model.")] = False,
    next_passages: Annotated[
        int | None,
        typer.Option("--next", metavar="N", min=1, help="Draw questions with about so many passages for people."),
    ] = None,
    between: Annotated[
        str | None, typer.Option("--between", metavar="A,B", help="With --next: the difference of which pipelines.")
    ] = None,
    evenly: Annotated[bool, typer.Option("--evenly", help="With --next: without regard to what is known.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Judge in a browser on this machine.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of that page; default: a free one.")] = 0,
    ask: Annotated[bool, typer.Option("--ask", help="Judge here in the terminal.")] = False,
    person: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Who judges; default: you.")] = None,
    rubric: Annotated[bool, typer.Option("--rubric", help="Print what the model is asked, and end.")] = False,
) -> None:
    """Judge what nobody has judged: a model all of it, people a little.

    Makes questions where there are none, pools what the pipelines find, has a model grade it, and corrects its figures
    by what people say of a few questions.

    Example: ragprof label docs.toml --serve
    """
    from ragprof.core.errors import BadInput
    from ragprof.labels.page import person_named
    from ragprof.labels.rubric import judge_prompt
    from ragprof.session import labelling, next_draw, people

    if sum((serve, ask, next_passages is not None, rubric)) > 1:
        raise BadInput("--serve, --ask, --next and --rubric are different things to do; give one of them")
    if rubric:
        console.raw(judge_prompt("(the question)", "(the passage)", passage_first=False))
        return
    if next_passages is not None:
        with console.progress():
            pair = None if between is None else _pair(between)
            drawn = next_draw.next_draw(eval_file, next_passages, between=pair, evenly=evenly, corpus=corpus)
        for sentence in _sentences(drawn):
            console.sentence(sentence)
        return
    if serve or ask:
        with console.progress():
            work, judging = people.judging_by_people(eval_file, corpus=corpus)
        if serve:
            _serve(judging, port)
        else:
            _ask(judging, person_named(person or _me()))
        _show(labelling.reported(work))
        return
    with console.progress() as bars:
        report = labelling.label(
            eval_file, corpus=corpus, questions=questions, generate=generate, headings=headings, count=count,
            imported=imported, budget_usd=budget_usd, ask_model=not no_model, again=again,
            books=rates or [], progress=bars,
        )  # fmt: skip
    _show(report)


def _pair(between: str) -> tuple[str, str]:
    from ragprof.core.errors import BadInput

    first, comma, second = (part.strip() for part in between.partition(","))
    if not comma or not first or not second:
        raise BadInput(f"--between '{between}' is not two pipelines; write it like bm25,hybrid")
    return first, second


def _me() -> str:
    import getpass

    return getpass.getuser()


def _serve(judging: PeopleJudging, port: int) -> None:
    from threading import Event

    from ragprof.labels.page import served

    with served(judging, port) as server:
        console.line(f"page: {server.url}")
        console.sentence("open it in a browser on this machine; Ctrl-C ends it, and everything said so far is saved")
        try:
            Event().wait()
        except KeyboardInterrupt:
            console.sentence("closed")


def _ask(judging: PeopleJudging, person: str) -> None:
    """Show one passage after the other and read a key and Enter, until nothing waits or the input ends."""
    desk = judging.next(person)
    while (pair := desk.pair) is not None:
        console.line("")
        console.sentence(f"[{desk.done + 1} of {desk.done + desk.left}] {pair.question}")
        console.sentence(f"  from {pair.where}")
        for paragraph in pair.passage.splitlines()[:SHOWN_LINES]:
            console.sentence(f"  {paragraph}")
        console.line("0 nothing to do with it, 1 related, 2 answers in part, 3 answers exactly; s skip, u undo, q quit")
        try:
            said = input("> ").strip().lower()
        except EOFError:
            return
        if said == "q":
            return
        if said == "u":
            desk = judging.undo(person)
        elif said == "s" or said in ("0", "1", "2", "3"):
            desk = judging.grade(person, pair.query_id, pair.doc_id, None if said == "s" else int(said))
        else:
            console.line("one of 0, 1, 2, 3, s, u and q")
            continue
        console.line(desk.said)


def _show(report: LabelReport) -> None:
    from ragprof.report.terminal import columns, facts
    from ragprof.statistics.powered import FEWEST_DRAWN

    is_corrected = False
    console.show(facts(_rows(report), title=f"labels: {report.folder}"))
    if report.figures:
        (metric,) = {metric for _, metric in report.figures}
        is_corrected = any(figure.corrected.interval is not None for figure in report.figures.values())
        titles = (metric, "by the model", *(["corrected by people"] if is_corrected else []))
        console.show(columns(titles, (row[: len(titles)] for row in _figure_rows(report))))
    for both in report.agreements:
        titles = (f"{both.first} \\ {both.second}", *map(str, range(len(both.confusion))))
        rows = ((str(grade), *(f"{count:,}" for count in row)) for grade, row in enumerate(both.confusion))
        console.show(columns(titles, rows))
    for note in report.notes:
        console.sentence(f"note: {note}")
    if report.drawn and report.figures and not is_corrected:
        console.sentence(
            f"corrected figures come with {FEWEST_DRAWN} questions that people have judged to the end; these are "
            f"{report.judged_queries}"
        )
    if report.model is not None and report.model.left:
        return
    if not report.graded:
        answered = report.model is not None and report.model.unjudged
        what = "name a judge that answers with a grade" if answered else "name a model as judge"
        console.sentence(f"nothing is graded yet: {what} in [labels], or let people judge: `--next 40`, then `--serve`")
    elif not report.drawn:
        console.sentence(
            "all of this is a model's word: `--next 40` draws what people should check, `--serve` asks them"
        )


def _rows(report: LabelReport) -> list[tuple[str, str]]:
    """What is what, for the terminal."""
    from ragprof.labels.agreement import kappa_words

    rows = [
        ("questions", f"{report.questions:,}"),
        ("pooled", f"{report.pairs:,} passages"),
        ("graded", f"{report.graded:,}, {report.by_people:,} of them by people"),
        ("drawn for people", f"{counted(report.drawn, 'question')}, {report.judged_queries} judged to the end"),
    ]
    if report.imported:
        rows.append(("imported", report.imported))
    rows += [("refused", f"{number:,} ({reason})") for reason, number in report.refused.items()]
    if report.written_usd is not None:
        rows.append(("questions cost", f"${report.written_usd:.4f}"))
    if (model := report.model) is not None:
        spent = "at no known price" if model.usd is None else f"${model.usd:.4f}"
        rows.append(("model", f"{model.graded:,} graded, {model.unjudged:,} left unjudged, {spent}"))
        if model.left:
            rows.append(("budget", f"reached: {model.left:,} passages are left; run it again to go on"))
        rows += [("no grade", example or "(an empty answer)") for example in model.examples]
    if report.flips is not None:
        rows.append(
            ("flips", f"{report.flips[0]:.1%} of {report.flips[1]:,} passages that the model was asked about twice")
        )
    rows += [
        (
            "agreement",
            f"{each.first} and {each.second}: {each.agreement:.0%} of {each.pairs:,} grades alike, kappa "
            f"{kappa_words(each.kappa, each.kappa_interval)}, "
            f"weighted {kappa_words(each.weighted_kappa, each.weighted_interval)}",
        )
        for each in report.agreements
    ]
    if (lost := report.missed) is not None:
        low, high = lost.interval
        unchecked = "" if report.by_people else "; no person has checked them"
        rows.append(
            ("nobody found", f"{lost.mean:.1f} (95% CI {low:.1f}\u2013{high:.1f}) relevant passages a question, if "
             f"{lost.found} of {lost.judged:,} drawn from below the pool are relevant as graded{unchecked}")
        )  # fmt: skip
    if report.kept:
        rows.append(("written", f"qrels.tsv, labels.parquet ({report.kept:,} judgements)"))
    return rows


def _figure_rows(report: LabelReport) -> list[tuple[str, str, str]]:
    """Naive and corrected side by side."""
    from ragprof.report import figures

    return [
        (
            what,
            figures.with_interval(figure.naive, figure.naive_interval, figures.score),
            figures.with_interval(figure.corrected.mean, figure.corrected.interval, figures.score)
            if figure.corrected.interval is not None
            else "n/a",
        )
        for (what, _), figure in report.figures.items()
    ]


def _sentences(drawn: NextDraw) -> list[str]:
    """What was drawn, and what judging it would bring."""
    from ragprof.statistics.powered import FEWEST_DRAWN

    how = "evenly" if drawn.evenly else f"by what would tell most of {drawn.figure}"
    told = [f"{counted(drawn.queries, 'question')} drawn {how}: {counted(drawn.passages, 'passage')} to judge"]
    if drawn.waiting:
        told.append(f"{counted(drawn.waiting, 'passage')} of former draws come first")
    if drawn.until_interval is None:
        told.append(f"these are too few questions for an interval, which needs {FEWEST_DRAWN}")
    elif drawn.half_width is None:
        told.append(
            f"an interval comes with {FEWEST_DRAWN} questions that are judged to the end, which is about "
            f"{counted(drawn.until_interval, 'passage')} from here"
        )
    elif drawn.half_width_after is not None:
        told.append(
            f"the interval of {drawn.figure} is +- {drawn.half_width:.3f} now, and about +- "
            f"{drawn.half_width_after:.3f} once all that waits is judged"
        )
    return told
