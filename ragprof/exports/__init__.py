"""Exports for other suites: a recording's figures by query, TREC runs, and the data sets that Ragas and DeepEval load.

`per-query` and `trec` are made of ids and figures, from the recording alone; so are `otlp` and `openinference`, traces
of its timed queries, which hold texts where these are asked for. `ragas` and `deepeval` hold the texts of
questions, passages and answers: a recording has none of the first two, so they are read again by way of the eval file,
and only where they are what was recorded. Runs no pipeline, asks no model and needs no package of the other suites.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, get_args

from ragprof.core import files
from ragprof.core.clock import SILENT, Progress
from ragprof.core.errors import BadInput, UnknownName
from ragprof.evals.recorded import manifest_of
from ragprof.evals.traced import is_trace_profile
from ragprof.exports.per_query import per_query_table, write_per_query
from ragprof.exports.samples import Sample, Source, check_same, notes_on, samples_of, write_deepeval, write_ragas
from ragprof.exports.spans import Form, SpanTexts, timed_spans, write_spans
from ragprof.exports.trec import qrels_text, run_texts, written
from ragprof.studies.preparation import Prepared, prepare

Writer: TypeAlias = Callable[[Path, Sequence[Sample]], Path]
OF_TEXTS: dict[str, Writer] = {"ragas": write_ragas, "deepeval": write_deepeval}
OF_SPANS: tuple[Form, ...] = get_args(Form)
FORMATS = ("per-query", "trec", *OF_TEXTS, *OF_SPANS)
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
    texts: bool = False,
    books: Sequence[Path] = (),
    progress: Progress = SILENT,
) -> Exported:
    """Write a finished recording under `into` in each of FORMATS that is asked for.

    per_query.parquet and per_query.csv; trec/<pipeline>.<stage>.run, and trec/qrels.txt where there is an eval file;
    ragas/<pipeline>.jsonl; deepeval/<pipeline>.json; otlp/<pipeline>.jsonl, openinference/<pipeline>.jsonl. `corpus`
    and `books` go with the eval file as they do for `run`. Traces hold ids and figures alone, unless `texts` asks for
    questions and passages too. With `k`, prompts and answers are those that `inject` made of k chunks, in place of the
    pipelines' own.

    Raises before anything is written: UnknownName for a format or pipeline that does not exist, BadInput where texts
    are asked for without an eval file or the recording cannot be read, Incomparable where the eval file's corpus,
    questions or judgements are not those of the recording, NonFiniteScore for NaN in it.
    """
    folder, into = Path(folder), Path(into)
    for name in formats:
        if name not in FORMATS:
            raise UnknownName("export format", name, FORMATS)
    if not formats:
        raise BadInput(f"no export format; give one or more of {', '.join(FORMATS)}")
    suites = [name for name in OF_TEXTS if name in formats]
    spans: list[Form] = [form for form in OF_SPANS if form in formats]
    _check_asked(suites, spans, has_eval=eval_file is not None, has_corpus=corpus is not None, k=k, texts=texts)
    if is_trace_profile(folder):
        raise BadInput("this is a profile of traces, which are the export of their own service already", file=folder)
    if spans:
        timed_spans(folder)
    known = manifest_of(folder).names
    for name in pipelines or ():
        if name not in known:
            raise UnknownName("pipeline in this recording", name, known, file=folder / "manifest.json")
    names = [name for name in known if not pipelines or name in pipelines]
    table = per_query_table(folder, names) if "per-query" in formats else None
    prepared = None
    if eval_file is not None and ({*formats} - {"per-query", *OF_SPANS} or texts):
        given = None if corpus is None else Path(corpus)
        prepared = prepare(Path(eval_file), corpus=given, books=books, beside=folder, progress=progress)
        check_same(folder, prepared, eval_file=Path(eval_file))
    source = Source.of(folder, prepared, k=k) if prepared and suites else None
    samples = {name: samples_of(source, name) for name in names} if source else {}
    runs = run_texts(folder, names) if "trec" in formats else {}
    if prepared and "trec" in formats:
        runs["qrels.txt"] = qrels_text(prepared.evaluation.qrels)
    files.ready_folder(into, remedy="give another one with --into (in Python into=)")
    paths = [] if table is None else write_per_query(table, into)
    paths += written(runs, into / "trec")
    told = _span_texts(prepared) if texts and prepared else SpanTexts()
    paths += [write_spans(folder, name, form=form, into=into, texts=told) for form in spans for name in names]
    for suite in suites:
        paths += [OF_TEXTS[suite](into / suite / name, samples[name]) for name in names]
    holding = [*suites, *(spans if texts else ())]
    notes = [*notes_on(source, samples)] if source else []
    notes += [TEXTS.format(suites=" and ".join(holding))] if holding else []
    return Exported(tuple(paths), tuple(notes))


def _check_asked(
    suites: Sequence[str], spans: Sequence[Form], *, has_eval: bool, has_corpus: bool, k: int | None, texts: bool
) -> None:
    """Raises BadInput for options that need one another, or that nothing asked for has a use for."""
    remedy = "give the eval file that was recorded with --eval EVAL.toml (in Python eval_file=)"
    if suites and not has_eval:
        what = "needs the texts of questions and passages, which a recording does not hold"
        raise BadInput(f"'{suites[0]}' {what}; {remedy}")
    if texts and not spans:
        raise BadInput(f"texts go with {' and '.join(OF_SPANS)}, of which none is asked for")
    if texts and not has_eval:
        raise BadInput(f"a recording holds no texts; {remedy}")
    if has_corpus and not has_eval:
        raise BadInput("a corpus goes with an eval file; give that with --eval EVAL.toml (in Python eval_file=)")
    if k is not None and not suites:
        raise BadInput(f"k = {k} chooses prompts for {' and '.join(OF_TEXTS)}, of which none is asked for")


def _span_texts(prepared: Prepared) -> SpanTexts:
    subject = prepared.subject
    return SpanTexts(
        {query.query_id: query.text for query in subject.queries}, {doc.doc_id: doc for doc in subject.corpus.docs}
    )
