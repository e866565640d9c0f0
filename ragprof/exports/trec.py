"""TREC runs and qrels out of a recording, for any other evaluation tool. Scores in full precision."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import quote

from ragprof.core import files
from ragprof.core.errors import BadInput
from ragprof.core.recorded import of_recording
from ragprof.evals.traced import is_trace_profile
from ragprof.judge.scores import Qrels, rankings, trec_run


def export_runs(folder: Path, *, into: Path) -> list[Path]:
    """Write every run of `run_texts`; gives their paths. Raises BadInput for a profile of traces, which has none."""
    if is_trace_profile(folder):
        raise BadInput("this is a profile of traces, which keeps no rankings to write as runs", file=folder)
    return written(run_texts(folder), into)


@of_recording
def run_texts(folder: Path, pipelines: Collection[str] | None = None) -> dict[str, str]:
    """File name -> `run_text` of one run a pipeline and stage; its tag is pipeline.stage. Raises NonFiniteScore."""
    texts = {}
    for pipeline, table in rankings(folder).items():
        for stage in table["stage"].unique() if pipelines is None or pipeline in pipelines else ():
            tag = word(f"{pipeline}.{stage}")
            texts[f"{tag}.run"] = run_text(trec_run(table[table["stage"] == stage]), tag)
    return texts


def run_text(run: Mapping[str, Mapping[str, float]], tag: str) -> str:
    """`query_id Q0 document_id rank score tag`: by query, best first, ties by document id descending."""
    lines: list[str] = []
    for query_id, found in sorted(run.items()):
        ordered = sorted(found.items(), key=lambda item: (item[1], item[0]), reverse=True)
        lines += [
            f"{word(query_id)} Q0 {word(doc)} {rank} {score!r} {tag}\n"
            for rank, (doc, score) in enumerate(ordered, start=1)
        ]
    return "".join(lines)


def qrels_text(qrels: Qrels) -> str:
    """`query_id 0 document_id relevance`, a line a judgement."""
    judged = ((query_id, doc, grade) for query_id, grades in qrels.items() for doc, grade in grades.items())
    return "".join(f"{word(query_id)} 0 {word(doc)} {grade}\n" for query_id, doc, grade in judged)


def written(texts: dict[str, str], into: Path) -> list[Path]:
    """Write texts by file name, each whole; gives their paths."""
    paths = {files.inside(into, name): text for name, text in texts.items()}
    for path, text in paths.items():
        files.write_text(path, text)
    return list(paths)


def word(name: str) -> str:
    """The name as one column: blanks, and the percent sign that stands for them, are percent-encoded."""
    return re.sub(r"[\s%]", lambda found: quote(found[0]), name)
