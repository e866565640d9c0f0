"""Queries and judgements matched with a corpus: what can be evaluated, what is left out, and a notice for each.

Relevance judgements have BEIR's three columns or TREC's four, told apart by the first line. Queries are BEIR's
queries.jsonl or lines of `id<TAB>text`; those without text are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from ragprof.core import Query
from ragprof.core.errors import BadInput
from ragprof.corpus.account import shown
from ragprof.corpus.collection import Corpus, EvaluationSet, fingerprint_of_qrels
from ragprof.corpus.jsonl import SeenIds, clean_id, filled_lines, identifier, is_blank, kind_of, records, text_of


@dataclass(frozen=True)
class QrelsFormat:
    """Columns of a qrels file; `separator` None is any run of blanks."""

    columns: tuple[str, ...]
    separator: str | None
    shown: str

    def split(self, row: str) -> list[str]:
        return row.split(self.separator)

    def fits(self, row: str) -> bool:
        return len(self.split(row)) == len(self.columns)


BEIR = QrelsFormat(("query", "document", "relevance"), "\t", "BEIR's query-id<TAB>corpus-id<TAB>score")
TREC = QrelsFormat(("query", "iteration", "document", "relevance"), None, "TREC's 'query_id 0 doc_id relevance'")


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """query_id -> document_id -> relevance, in the order of the file. Negative relevance is kept: not relevant.

    The same judgement twice is one. Raises BadInput with the line of whatever cannot be read or contradicts itself.
    """
    qrels: dict[str, dict[str, int]] = {}
    first_lines: dict[tuple[str, str], int] = {}
    for line, query_id, document_id, relevance in _rows(path):
        first = first_lines.setdefault((query_id, document_id), line)
        judged = qrels.setdefault(query_id, {})
        if judged.setdefault(document_id, relevance) != relevance:
            pair = f"query '{query_id}', document '{document_id}' has relevance {relevance}"
            message = f"{pair} here and {judged[document_id]} in line {first}; keep one of the two"
            raise BadInput(message, file=path, line=line)
    if not qrels:
        raise BadInput(f"there is no judgement in it; each line should be {BEIR.shown} or {TREC.shown}", file=path)
    return qrels


def _rows(path: Path) -> Iterator[tuple[int, str, str, int]]:
    """Line, query, document and relevance of each judgement."""
    form = None
    for line, row in filled_lines(path):
        if form is None:
            form = next((each for each in (BEIR, TREC) if each.fits(row)), None)
            if form is None:
                found = f"{_columns(row.split())} in this line"
                raise BadInput(f"{found}; judgements are {BEIR.shown} or {TREC.shown}", file=path, line=line)
            first = row.split("\t", maxsplit=1)[0].strip().lower()
            # BEIR's header, whatever its columns are called; files of TREC have none.
            if form is BEIR and first.replace("-", "").replace("_", "") in ("queryid", "query", "qid"):
                continue
        cells = form.split(row)
        if len(cells) != len(form.columns):
            found = f"{_columns(cells)} in this line"
            raise BadInput(f"{found}; it should have {len(form.columns)}: {form.shown}", file=path, line=line)
        if not all(cell.strip() for cell in cells):
            raise BadInput(f"one of its columns is blank; write {form.shown}", file=path, line=line)
        named = dict(zip(form.columns, cells, strict=True))
        query_id, document_id = (clean_id(named[each], each, file=path, line=line) for each in ("query", "document"))
        yield line, query_id, document_id, _grade(named["relevance"].strip(), path, line)


MOST_RELEVANT = 1000
"""trec_eval sets up memory for every grade up to the highest, and counts in C integers."""


def _grade(written: str, path: Path, line: int) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", written):
        message = f"relevance '{written[:40]}' is not an integer; write 0, 1, 2, ..."
        raise BadInput(message, file=path, line=line)
    if len(written) > 18 or abs(int(written)) > MOST_RELEVANT:
        bounds = f"lie between -{MOST_RELEVANT:,} and {MOST_RELEVANT:,}, and most are 0 to 3"
        message = f"relevance {written[:40]} is not a grade: grades {bounds}; is this column a time, a count or an id?"
        raise BadInput(message, file=path, line=line)
    return int(written)


def _columns(cells: list[str]) -> str:
    return f"{len(cells)} column{'' if len(cells) == 1 else 's'}"


QUERY_ID_FIELDS = ("_id", "id", "query_id")
TABLE_SUFFIXES = (".tsv", ".txt")


@dataclass(frozen=True)
class Questions:
    """Queries in the order of their file, and the ids of those that were left out because they have no text."""

    queries: tuple[Query, ...]
    without_text: tuple[str, ...]

    @property
    def notices(self) -> tuple[str, ...]:
        """A sentence about what was left out; none where nothing was."""
        if not self.without_text:
            return ()
        what = "has no text and is" if len(self.without_text) == 1 else "have no text and are"
        return (f"{_counted(len(self.without_text), 'query', 'queries')} {what} left out: {shown(self.without_text)}",)


def read_queries(path: Path) -> list[Query]:
    """Queries in the order of the file: .tsv and .txt as `id<TAB>text`, anything else as JSONL. Without text: none."""
    return list(read_questions(path).queries)


def read_questions(path: Path) -> Questions:
    """As `read_queries`, with the queries that were left out. Raises BadInput if none remains."""
    rows = _from_table(path) if path.suffix.lower() in TABLE_SUFFIXES else _from_jsonl(path)
    queries, without_text, seen = [], [], SeenIds(path, what="query")
    for line, query in rows:
        seen.add(query.query_id, line)
        if is_blank(query.text):
            without_text.append(query.query_id)
        else:
            queries.append(query)
    if not queries and without_text:
        raise BadInput("no query in it has a text; is this the right file?", file=path)
    if not queries:
        raise BadInput('there is no query in it; each line should be {"_id": "...", "text": "..."}', file=path)
    return Questions(tuple(queries), tuple(without_text))


def _from_jsonl(path: Path) -> Iterator[tuple[int, Query]]:
    """`metadata` of a query is what its line says beside id and text: its `metadata`, and any further field."""
    for line, record in records(path):
        query_id = identifier(record, QUERY_ID_FIELDS, file=path, line=line)
        text, metadata = text_of(record, "text", file=path, line=line), record.get("metadata")
        if not isinstance(metadata, dict | None):
            raise BadInput(f"'metadata' is {kind_of(metadata)}; it must be an object", file=path, line=line)
        known = {*QUERY_ID_FIELDS, "text", "metadata"}
        beside = {name: value for name, value in record.items() if name not in known}
        yield line, Query(query_id, text, beside | (metadata or {}))


def _from_table(path: Path) -> Iterator[tuple[int, Query]]:
    for line, row in filled_lines(path):
        written, tab, text = row.partition("\t")
        query_id = clean_id(written, "id", file=path, line=line)
        if not tab or not query_id:
            raise BadInput("not 'id<TAB>text'; put one tab between the query's id and its text", file=path, line=line)
        yield line, Query(query_id, text.strip())


NO_JUDGEMENTS = (
    "no relevance judgements: times, tokens, memory and money are measured, quality is not, and no pipeline is ranked; "
    "to get them, let `ragprof label` make them, or say for 30 questions or more which documents answer them (`ragprof "
    "trec` writes the results to look at), a line `query_id 0 doc_id 1` each, and name the file as qrels in "
    "[evaluation]"
)


def read_evaluation_set(queries: Path, qrels: Path | None, *, corpus: Corpus) -> EvaluationSet:
    """Judged queries with their judgements, which name documents (not passages) of the corpus.

    Without a file of judgements all queries, none of them judged, and a notice that says so. Raises BadInput where
    queries and qrels, or qrels and corpus, have not one id in common.
    """
    asked = read_questions(queries)
    if qrels is None:
        said = (NO_JUDGEMENTS, *asked.notices)
        return EvaluationSet(asked.queries, {}, said, fingerprint_of_qrels({}), judged_documents_missing=0)
    judged = read_qrels(qrels)
    known = {query.query_id for query in asked.queries}
    unjudged = [query.query_id for query in asked.queries if query.query_id not in judged]
    unknown = [each for each in judged if each not in known and each not in asked.without_text]
    if not known & judged.keys():
        message = (
            f"none of the judged queries ({shown(list(judged))}) is in {queries}; do the two files belong together?"
        )
        raise BadInput(message, file=qrels)
    kept = {query_id: judgements for query_id, judgements in judged.items() if query_id in known}
    documents = list(dict.fromkeys(document_id for judgements in kept.values() for document_id in judgements))
    present = set(corpus.document_of.values())
    absent = [document_id for document_id in documents if document_id not in present]
    missing = len(absent)
    if missing == len(documents):
        found = f"none of the judged documents ({shown(documents)}) is in the corpus '{corpus.name}'"
        example = corpus.docs[0].document_id
        raise BadInput(f"{found}, whose ids look like '{example}'; is it another collection's qrels?", file=qrels)
    hopeless = [query_id for query_id, judgements in kept.items() if max(judgements.values()) <= 0]
    notices = list(asked.notices)
    if unjudged:
        what = "has no relevance judgements and is" if len(unjudged) == 1 else "have no relevance judgements and are"
        notices.append(f"{_counted(len(unjudged), 'query', 'queries')} {what} left out: {shown(unjudged)}")
    if unknown:
        verb, asked_for = "is" if len(unknown) == 1 else "are", _counted(len(unknown), "judged query", "judged queries")
        notices.append(f"{asked_for} {verb} not in {queries.name} and {verb} left out: {shown(unknown)}")
    if missing:
        verb = "is" if missing == 1 else "are"
        guess = "other package versions?" if "versions" in corpus.manifest else "another version of it?"
        if empty := sum(document_id in corpus.without_text for document_id in documents):
            guess = f"{empty:,} of them without text" + (f"; {guess}" if empty < missing else "")
        notices.append(
            f"{missing:,} of {len(documents):,} judged documents {verb} not in this corpus ({guess}): {shown(absent)}"
        )
    if hopeless:
        what = f"{'has' if len(hopeless) == 1 else 'have'} no relevant document, only irrelevant ones"
        notices.append(f"{_counted(len(hopeless), 'query', 'queries')} {what}: {shown(hopeless)}")
    return EvaluationSet(
        queries=tuple(query for query in asked.queries if query.query_id in kept),
        qrels=kept,
        notices=tuple(notices),
        qrels_sha256=fingerprint_of_qrels(kept),
        judged_documents_missing=missing,
        queries_without_judgements=len(unjudged),
        judged_queries_unknown=len(unknown),
        qrels_file=qrels,
    )


OwnDocuments: TypeAlias = Literal["beir", "leave_out", "keep"]
"""Whether a document with a query's id stays out of that query's results: in BEIR folders, always, or never."""


def with_own_documents(evaluation: EvaluationSet, corpus: Corpus, rule: OwnDocuments = "beir") -> EvaluationSet:
    """Mark each query's own document, which is left out of its results as in BEIR, and add a notice.

    A collection of arguments or duplicate questions asks for documents like one that it holds: query and document then
    have one id. Where the two were merely numbered alike, the document may be an answer: one that is judged relevant
    is never left out.
    """
    if rule == "keep" or (rule == "beir" and corpus.manifest.get("format") != "beir"):
        return evaluation
    documents = set(corpus.document_of.values())
    alike = [query.query_id for query in evaluation.queries if query.query_id in documents]
    own = {each for each in alike if evaluation.qrels.get(each, {}).get(each, 0) <= 0}
    if not own:
        return evaluation
    kept = len(alike) - len(own)
    notice = (
        f"the document with the query's own id is left out of the results of {_counted(len(own), 'query', 'queries')} "
        f"(BEIR's rule{f'; {kept:,} kept, being judged relevant' if kept else ''}); "
        'where ids are only numbered alike, set own_documents = "keep" in [evaluation]'
    )
    queries = (
        replace(each, own_document=each.query_id) if each.query_id in own else each for each in evaluation.queries
    )
    return replace(evaluation, queries=tuple(queries), notices=(*evaluation.notices, notice))


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
