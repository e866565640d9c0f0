"""The determinism audit of an eval, for the command line and for Python: record, judge, summarise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ragprof import files
from ragprof.errors import BadInput
from ragprof.injecting import answering_subject
from ragprof.judge.audit import judge_audit
from ragprof.preparation import Prepared, prepare
from ragprof.progress import Progress, Silent
from ragprof.record.audit.recording import record_audit
from ragprof.session import Result, bench_of, holds, redraw
from ragprof.studies.audit import audit_of
from ragprof.studies.headline import METRIC

TIMES, QUERIES = 5, 20


def audit(
    eval_file: str | Path,
    *,
    times: int = TIMES,
    queries: int | None = None,
    answers: bool = False,
    corpus: str | Path | None = None,
    out: str | Path | None = None,
    books: Sequence[Path] = (),
    progress: Progress | None = None,
) -> Result:
    """Ask the same queries `times` times, in other batches and with other threads, and say what differs, by stage.

    `queries` is the size of the seeded sample, by default 20 or all there are. With `answers`, pipelines without a
    generator of their own get that of [injection]. The facts go to `audit` in `out`
    (default: reports/<name of the eval>). Where the recording of the same eval is in `out`, the section joins its
    summary and its report, else the summary holds this section alone. Raises BadInput before any of it is run.
    """
    prepared = prepare(Path(eval_file), corpus=None if corpus is None else Path(corpus), books=books)
    asked = sample_size(queries, prepared)
    if times < 2:
        raise BadInput(f"times = {times}, but what is asked once cannot differ; give 2 or more")
    bench = bench_of(prepared, None if out is None else Path(out), progress or Silent())
    subject = answering_subject(prepared) if answers else prepared.subject
    with files.claimed(bench.folder):
        record_audit(subject, bench, times=times, queries=asked)
        metrics = prepared.subject.config.metrics
        judge_audit(bench.folder, prepared.evaluation, metric=METRIC if METRIC in metrics else metrics[0])
        return _summarised(bench.folder, prepared)


def sample_size(queries: int | None, prepared: Prepared) -> int:
    """How many queries are asked. Raises BadInput where there are not so many."""
    there = len(prepared.subject.queries)
    if queries is not None and not 1 <= queries <= there:
        raise BadInput(f"queries = {queries}, but the eval has {there} judged questions; give 1 to {there}")
    return min(QUERIES, there) if queries is None else queries


def _summarised(folder: Path, prepared: Prepared) -> Result:
    """With the recording's own summary, where its folder holds a finished one of this eval."""
    config = prepared.subject.config
    summary: dict[str, Any] = {
        "eval": config.name,
        "title": config.title or config.name,
        "corpus": {"name": prepared.subject.corpus.name, "docs": len(prepared.subject.corpus.docs)},
        "audit": audit_of(folder),
    }
    files.write_json(folder / "audit" / "audit.json", summary)
    if (folder / "summary.json").exists() and holds(folder, prepared):
        return redraw(folder)
    return Result(folder, summary)
