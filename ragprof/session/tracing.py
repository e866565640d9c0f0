"""`ragprof trace`: files of traces to a profile. Runs no pipeline and asks no model."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ragprof.core import files
from ragprof.core.clock import SILENT, Progress, step, today
from ragprof.core.errors import BadInput
from ragprof.core.tokens import DEFAULT_TOKENIZER
from ragprof.corpus.evaluation import read_qrels, read_questions
from ragprof.evals import DEFAULT_METRICS, Prices, complaint
from ragprof.evals.traced import is_trace_profile
from ragprof.judge.scores import Qrels, canonical
from ragprof.price import check_rate
from ragprof.price.rates import KEPT_BOOKS
from ragprof.session.again import Result, reprice
from ragprof.studies.trace.judge import judge_traces
from ragprof.studies.trace.record import digest_of, record_traces
from ragprof.traces.reading import check_file

MADE = ("manifest.json", "spans.parquet", "usage.parquet", "calls.parquet", "traces.parquet", "ranked.parquet",
        "scores.parquet", "costs.parquet", "rates.json", "settings.json", "summary.json")  # fmt: skip
"""What an earlier profile in the folder leaves behind."""


def trace(
    *paths: str | Path,
    out: str | Path | None = None,
    name: str | None = None,
    prices: Prices | None = None,
    books: Sequence[Path] = (),
    on: date | None = None,
    queries: str | Path | None = None,
    qrels: str | Path | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    queries_per_month: int | None = None,
    progress: Progress = SILENT,
) -> Result:
    """Profile traces that other tools recorded: OTLP JSON lines, Langfuse observations, Phoenix spans.

    `name` defaults to the first file's, `out` to reports/<name>. `prices` name rates for stages in place of those of
    the spans' own models; `on` is the day of the prices, by default today. With `queries` and `qrels`, traces whose
    question is one of these by its words are judged. Raises BadInput for a file that cannot be read, before anything
    in `out` is changed.
    """
    given = [Path(path) for path in paths]
    if not given:
        raise BadInput("no file of traces; give at least one")
    for path in given:
        check_file(path)
    if (queries is None) != (qrels is None):
        raise BadInput("queries and qrels go together: the words of questions, and the judgements of their ids")
    called = name or re.sub(r"[^A-Za-z0-9._-]", "-", given[0].name.partition(".")[0]).lstrip("-._") or "traces"
    home = Path("reports") / called if out is None else Path(out)
    config = _config(called, prices, metrics, queries_per_month)
    for rate in filter(None, (prices or Prices()).model_dump(include={"llm", "embed", "search", "rerank"}).values()):
        check_rate(str(rate), on=on or today(), file=home, books=books)
    judgements, judged = _judged(queries, qrels)
    if queries is not None:
        config["questions"] = len(judged)
    files.ready_folder(home, remedy="give another one with --out (in Python out=)")
    with files.claimed(home):
        if (home / "manifest.json").exists() and not is_trace_profile(home):
            raise BadInput("this folder holds a recording of something else; give another one with --out", file=home)
        partial = home / ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            record_traces(given, partial, config=config, judged=judged, progress=progress)
            if judged:
                with step(progress, "judge"):
                    judge_traces(partial, judgements, metrics=config["metrics"])
            for made in MADE:
                (home / made).unlink(missing_ok=True)
            shutil.rmtree(home / KEPT_BOOKS, ignore_errors=True)
            # The manifest last: a folder with one is whole.
            for path in sorted(partial.iterdir(), key=lambda path: path.name == "manifest.json"):
                path.replace(home / path.name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return reprice(home, books=books, on=on, progress=progress)


def _judged(queries: str | Path | None, qrels: str | Path | None) -> tuple[Qrels, dict[str, str]]:
    """The judgements, and the digest of each judged question's words -> its id."""
    if queries is None or qrels is None:
        return {}, {}
    judgements = read_qrels(Path(qrels))
    asked = read_questions(Path(queries)).queries
    judged = {digest_of(query.text): query.query_id for query in asked if query.query_id in judgements}
    if not judged:
        raise BadInput(
            f"none of the judged queries is in {queries}; do the two files belong together?", file=Path(qrels)
        )
    return judgements, judged


def _config(name: str, prices: Prices | None, metrics: Sequence[str], monthly: int | None) -> dict[str, Any]:
    """What the manifest says of how the profile is made, in the words of an eval file."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise BadInput(f"'{name}' is no name of a profile; use letters, digits, '.', '_' and '-'")
    return {
        "name": name, "title": f"Traces: {name}", "tokenizer": DEFAULT_TOKENIZER, "seed": 0,
        "metrics": list(canonical(metrics)), "prices": (prices or Prices()).model_dump(mode="json"),
        **({} if monthly is None else {"traffic": {"queries_per_month": monthly}}),
    }  # fmt: skip


def prices_of(given: Sequence[str]) -> Prices:
    """Return prices from words such as `rerank=cohere/rerank-v3.5`. Raises BadInput for any other word."""
    known = ("llm", "embed", "search", "rerank")
    found = {}
    for word in given:
        stage, equals, rate = word.partition("=")
        if not equals or stage not in known or not rate:
            raise BadInput(f"'{word}' is no price; write STAGE=RATE with a stage of {', '.join(known)}")
        found[stage] = rate
    try:
        return Prices(**found)
    except ValidationError as failure:
        raise BadInput(complaint(failure)) from None
