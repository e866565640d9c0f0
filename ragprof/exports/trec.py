"""TREC runs and qrels out of a recording, for any other evaluation tool. Scores in full precision."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

from ragprof.core import files
from ragprof.judge.scores import Qrels, rankings, trec_run


def export_runs(folder: Path, *, into: Path) -> list[Path]:
    """One run a pipeline and stage: `query_id Q0 document_id rank score tag`, tag = pipeline.stage."""
    written = []
    for pipeline, table in rankings(folder).items():
        for stage in table["stage"].unique():
            tag = word(f"{pipeline}.{stage}")
            path = into / f"{tag}.run"
            files.write_text(path, run_text(trec_run(table[table["stage"] == stage]), tag))
            written.append(path)
    return written


def run_text(run: dict[str, dict[str, float]], tag: str) -> str:
    """Lines by query, best first, ties by document id descending, as trec_eval breaks them."""
    lines: list[str] = []
    for query_id in sorted(run):
        ordered = sorted(run[query_id].items(), key=lambda item: (item[1], item[0]), reverse=True)
        lines.extend(
            f"{word(query_id)} Q0 {word(doc)} {rank} {score!r} {tag}\n"
            for rank, (doc, score) in enumerate(ordered, start=1)
        )
    return "".join(lines)


def export_qrels(qrels: Qrels, path: Path) -> None:
    """`query_id 0 document_id relevance`."""
    lines = [
        f"{word(query_id)} 0 {word(doc)} {grade}\n"
        for query_id, grades in qrels.items()
        for doc, grade in grades.items()
    ]
    files.write_text(path, "".join(lines))


def word(name: str) -> str:
    """The name as one column: blanks, and the percent sign that stands for them, are percent-encoded."""
    return re.sub(r"[\s%]", lambda found: quote(found[0]), name)
