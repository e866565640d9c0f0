"""Queries and judgements matched with a corpus: what can be evaluated, what is left out, and a notice for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ragprof.corpus.collection import Corpus, EvaluationSet, Qrels, fingerprint_of_qrels
from ragprof.corpus.qrels import read_qrels
from ragprof.corpus.queries import read_queries
from ragprof.errors import BadInput

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
    missing, documents = _missing(kept, corpus=corpus, file=qrels)
    notices = [
        _unjudged_notice(unjudged),
        _unknown_notice(unknown, file=queries),
        _missing_notice(missing, documents, corpus=corpus),
        _hopeless_notice(kept),
    ]
    return EvaluationSet(
        queries=tuple(query for query in asked if query.query_id in kept),
        qrels=kept,
        notices=tuple(notice for notice in notices if notice),
        qrels_sha256=fingerprint_of_qrels(kept),
        judged_documents_missing=missing,
        queries_without_judgements=len(unjudged),
        judged_queries_unknown=len(unknown),
    )


def _missing(qrels: Qrels, *, corpus: Corpus, file: Path) -> tuple[int, int]:
    """How many judged documents the corpus lacks, and how many there are. Raises BadInput if it lacks all."""
    documents = list(dict.fromkeys(document_id for judged in qrels.values() for document_id in judged))
    present = set(corpus.document_of.values())
    missing = sum(document_id not in present for document_id in documents)
    if missing == len(documents):
        found = f"none of the judged documents ({_shown(documents)}) is in the corpus '{corpus.name}'"
        example = corpus.docs[0].document_id
        raise BadInput(f"{found}, whose ids look like '{example}'; is it another collection's qrels?", file=file)
    return missing, len(documents)


def _unjudged_notice(ids: Sequence[str]) -> str:
    if not ids:
        return ""
    verbs = "has no relevance judgements and is" if len(ids) == 1 else "have no relevance judgements and are"
    return f"{_counted(len(ids), 'query', 'queries')} {verbs} left out: {_shown(ids)}"


def _unknown_notice(ids: Sequence[str], *, file: Path) -> str:
    if not ids:
        return ""
    verb = "is" if len(ids) == 1 else "are"
    queries = _counted(len(ids), "judged query", "judged queries")
    return f"{queries} {verb} not in {file.name} and {verb} left out: {_shown(ids)}"


def _missing_notice(missing: int, documents: int, *, corpus: Corpus) -> str:
    if not missing:
        return ""
    verb = "is" if missing == 1 else "are"
    guess = "other package versions?" if "versions" in corpus.manifest else "another version of it?"
    return f"{missing:,} of {documents:,} judged documents {verb} not in this corpus ({guess})"


def _hopeless_notice(qrels: Mapping[str, Mapping[str, int]]) -> str:
    """Queries that are judged, but with nothing above 0."""
    ids = [query_id for query_id, judged in qrels.items() if max(judged.values()) <= 0]
    if not ids:
        return ""
    verb = "has" if len(ids) == 1 else "have"
    return f"{_counted(len(ids), 'query', 'queries')} {verb} no relevant document, only irrelevant ones: {_shown(ids)}"


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _shown(ids: Sequence[str]) -> str:
    return ", ".join(ids[:IDS_SHOWN]) + (", ..." if len(ids) > IDS_SHOWN else "")
