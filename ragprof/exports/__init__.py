"""Exports for other suites: a recording's figures by query, TREC runs, and the data sets that Ragas and DeepEval load.

`per-query` and `trec` are made of ids and figures, from the recording alone. `ragas` and `deepeval` hold the texts of
questions, passages and answers: a recording has none of the first two, so they are read again by way of the eval file,
and only where they are what was recorded. Runs no pipeline, asks no model and needs no package of the other suites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ragprof.core import files
from ragprof.core.errors import BadInput, UnknownName
from ragprof.exports.per_query import per_query_table, write_per_query
from ragprof.exports.samples import Sample, Source, check_same, notes_on, samples_of, write_deepeval, write_ragas
from ragprof.exports.trec import export_qrels, run_text, word
from ragprof.judge.scores import rankings, trec_run
from ragprof.studies.preparation import Prepared, prepare

Writer: TypeAlias = Callable[[Path, Sequence[Sample]], Path]
OF_TEXTS: dict[str, Writer] = {"ragas": write_ragas, "deepeval": write_deepeval}
FORMATS = ("per-query", "trec", *OF_TEXTS)
TEXTS = "the files for {suites} hold texts: questions, passages and answers; share them as you would share those"


@dataclass(frozen=True)
class Exported:
    """The files that were written, and sentences on what they lack or hold that a reader must know."""

    paths: tuple[Path, ...]
    notes: tuple[str, ...]


def export(
    folder: str | Path,
    *,
    into: str | Path,
    formats: Sequence[str],
    eval_file: str | Path | None = None,
    corpus: str | Path | None = None,
    pipelines: Sequence[str] | None = None,
    k: int | None = None,
    books: Sequence[Path] = (),
) -> Exported:
    """Write a finished recording under `into` in each of FORMATS that is asked for.

    per_query.parquet and per_query.csv; trec/<pipeline>.<stage>.run, and trec/qrels.txt where there is an eval file;
    ragas/<pipeline>.jsonl; deepeval/<pipeline>.json. `corpus` and `books` go with the eval file as they do for `run`.
    With `k`, prompts and answers are those that `inject` made of k chunks, in place of the pipelines' own.

    Raises before anything is written: UnknownName for a format or pipeline that does not exist, BadInput where texts
    are asked for without an eval file or the recording cannot be read, Incomparable where the eval file's corpus,
    questions or judgements are not those of the recording, NonFiniteScore for NaN in it.
    """
    folder, into = Path(folder), Path(into)
    chosen = _formats(formats)
    suites = [name for name in chosen if name in OF_TEXTS]
    _check_texts(suites, eval_file=eval_file, corpus=corpus, k=k)
    names = _pipelines(folder, pipelines)
    table = per_query_table(folder, names) if "per-query" in chosen else None
    prepared = _prepared(folder, eval_file, corpus=corpus, books=books) if chosen != ("per-query",) else None
    source = Source.of(folder, prepared, k=k) if prepared and suites else None
    samples = {name: samples_of(source, name) for name in names} if source else {}
    runs = _runs(folder, names) if "trec" in chosen else {}
    files.ready_folder(into, remedy="give another one with --into (in Python into=)")
    paths = [] if table is None else write_per_query(table, into)
    if "trec" in chosen:
        paths += _write_runs(runs, into / "trec")
        paths += _write_qrels(prepared, into / "trec" / "qrels.txt")
    for suite in suites:
        paths += [OF_TEXTS[suite](into / suite / name, samples[name]) for name in names]
    notes = [*notes_on(source, samples), TEXTS.format(suites=" and ".join(suites))] if source else []
    return Exported(tuple(paths), tuple(notes))


def _formats(asked: Sequence[str]) -> tuple[str, ...]:
    """Each once, in the order of FORMATS."""
    for name in asked:
        if name not in FORMATS:
            raise UnknownName("export format", name, FORMATS)
    if not asked:
        raise BadInput(f"no export format; give one or more of {', '.join(FORMATS)}")
    return tuple(name for name in FORMATS if name in asked)


def _check_texts(
    suites: Sequence[str], *, eval_file: str | Path | None, corpus: str | Path | None, k: int | None
) -> None:
    if suites and eval_file is None:
        raise BadInput(
            f"'{suites[0]}' needs the texts of questions and passages, which a recording does not hold; "
            "give the eval file that was recorded with --eval EVAL.toml (in Python eval_file=)"
        )
    if corpus is not None and eval_file is None:
        raise BadInput("a corpus goes with an eval file; give that with --eval EVAL.toml (in Python eval_file=)")
    if k is not None and not suites:
        raise BadInput(f"k = {k} chooses prompts for {' and '.join(OF_TEXTS)}, of which none is asked for")


def _pipelines(folder: Path, asked: Sequence[str] | None) -> list[str]:
    """Names in the order of the recording. Raises UnknownName for one that it lacks."""
    known = files.manifest_of(folder).names
    for name in asked or ():
        if name not in known:
            raise UnknownName("pipeline in this recording", name, known, file=folder / "manifest.json")
    return [name for name in known if not asked or name in asked]


def _prepared(
    folder: Path, eval_file: str | Path | None, *, corpus: str | Path | None, books: Sequence[Path]
) -> Prepared | None:
    """What the eval file declares, read and checked against the recording; None without an eval file."""
    if eval_file is None:
        return None
    prepared = prepare(Path(eval_file), corpus=None if corpus is None else Path(corpus), books=books)
    check_same(folder, prepared, eval_file=Path(eval_file))
    return prepared


def _runs(folder: Path, pipelines: Sequence[str]) -> dict[str, str]:
    """File name -> text of one run a pipeline and stage, tagged pipeline.stage. Raises NonFiniteScore."""
    texts = {}
    for pipeline, table in rankings(folder).items():
        for stage in table["stage"].unique() if pipeline in pipelines else ():
            tag = word(f"{pipeline}.{stage}")
            texts[f"{tag}.run"] = run_text(trec_run(table[table["stage"] == stage]), tag)
    return texts


def _write_runs(texts: Mapping[str, str], into: Path) -> list[Path]:
    for name, text in texts.items():
        files.write_text(into / name, text)
    return [into / name for name in texts]


def _write_qrels(prepared: Prepared | None, path: Path) -> list[Path]:
    if prepared is None:
        return []
    export_qrels(prepared.evaluation.qrels, path)
    return [path]
