"""Queries and judgements matched with a corpus: what can be evaluated, what is left out, and a notice for each.

Relevance judgements have BEIR's three columns or TREC's four, told apart by the first line. Queries are BEIR's
queries.jsonl or lines of `id<TAB>text`; one without text is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from ragprof.core import Query
from ragprof.core.errors import BadInput
from ragprof.corpus.collection import Corpus, EvaluationSet, fingerprint_of_qrels
from ragprof.corpus.jsonl import SeenIds, filled_lines, identifier, kind_of, records, text_of


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
        try:
            yield line, named["query"], named["document"], int(named["relevance"])
        except ValueError:
            message = f"relevance '{named['relevance']}' is not an integer; write 0, 1, 2, ..."
            raise BadInput(message, file=path, line=line) from None


def _columns(cells: list[str]) -> str:
    return f"{len(cells)} column{'' if len(cells) == 1 else 's'}"


QUERY_ID_FIELDS = ("_id", "id", "query_id")
TABLE_SUFFIXES = (".tsv", ".txt")


def read_queries(path: Path) -> list[Query]:
    """Queries in the order of the file: .tsv and .txt as `id<TAB>text`, anything else as JSONL."""
    rows = _from_table(path) if path.suffix.lower() in TABLE_SUFFIXES else _from_jsonl(path)
    queries, seen = [], SeenIds(path, what="query")
    for line, query in rows:
        if not query.text.strip():
            raise BadInput(f"query '{query.query_id}' has no text; fill or remove it", file=path, line=line)
        seen.add(query.query_id, line)
        queries.append(query)
    if not queries:
        raise BadInput('there is no query in it; each line should be {"_id": "...", "text": "..."}', file=path)
    return queries


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
        query_id, tab, text = row.partition("\t")
        if not tab or not query_id.strip():
            raise BadInput("not 'id<TAB>text'; put one tab between the query's id and its text", file=path, line=line)
        yield line, Query(query_id.strip(), text.strip())


IDS_SHOWN = 5


def read_evaluation_set(queries: Path, qrels: Path, *, corpus: Corpus) -> EvaluationSet:
    """Judged queries with their judgements, which name documents (not passages) of the corpus.

    Raises BadInput where queries and qrels, or qrels and corpus, have not one id in common.
    """
    asked, judged = read_queries(queries), read_qrels(qrels)
    known = {query.query_id for query in asked}
    unjudged = [query.query_id for query in asked if query.query_id not in judged]
    unknown = [query_id for query_id in judged if query_id not in known]
    if len(unknown) == len(judged):
        message = f"none of the judged queries ({_shown(unknown)}) is in {queries}; do the two files belong together?"
        raise BadInput(message, file=qrels)
    kept = {query_id: judgements for query_id, judgements in judged.items() if query_id in known}
    documents = list(dict.fromkeys(document_id for judgements in kept.values() for document_id in judgements))
    present = set(corpus.document_of.values())
    missing = sum(document_id not in present for document_id in documents)
    if missing == len(documents):
        found = f"none of the judged documents ({_shown(documents)}) is in the corpus '{corpus.name}'"
        example = corpus.docs[0].document_id
        raise BadInput(f"{found}, whose ids look like '{example}'; is it another collection's qrels?", file=qrels)
    hopeless = [query_id for query_id, judgements in kept.items() if max(judgements.values()) <= 0]
    notices = []
    if unjudged:
        what = "has no relevance judgements and is" if len(unjudged) == 1 else "have no relevance judgements and are"
        notices.append(f"{_counted(len(unjudged), 'query', 'queries')} {what} left out: {_shown(unjudged)}")
    if unknown:
        verb, asked_for = "is" if len(unknown) == 1 else "are", _counted(len(unknown), "judged query", "judged queries")
        notices.append(f"{asked_for} {verb} not in {queries.name} and {verb} left out: {_shown(unknown)}")
    if missing:
        verb = "is" if missing == 1 else "are"
        guess = "other package versions?" if "versions" in corpus.manifest else "another version of it?"
        notices.append(f"{missing:,} of {len(documents):,} judged documents {verb} not in this corpus ({guess})")
    if hopeless:
        what = f"{'has' if len(hopeless) == 1 else 'have'} no relevant document, only irrelevant ones"
        notices.append(f"{_counted(len(hopeless), 'query', 'queries')} {what}: {_shown(hopeless)}")
    return EvaluationSet(
        queries=tuple(query for query in asked if query.query_id in kept),
        qrels=kept,
        notices=tuple(notices),
        qrels_sha256=fingerprint_of_qrels(kept),
        judged_documents_missing=missing,
        queries_without_judgements=len(unjudged),
        judged_queries_unknown=len(unknown),
    )


OwnDocuments: TypeAlias = Literal["beir", "leave_out", "keep"]
"""Whether a document with a query's id stays out of that query's results: in BEIR folders, always, or never."""


def with_own_documents(evaluation: EvaluationSet, corpus: Corpus, rule: OwnDocuments = "beir") -> EvaluationSet:
    """Queries that know their own document, which is left out of their results as BEIR does, and a notice of it.

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


def _shown(ids: Sequence[str]) -> str:
    return ", ".join(ids[:IDS_SHOWN]) + (", ..." if len(ids) > IDS_SHOWN else "")
