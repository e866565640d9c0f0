"""What `ragprof label` works on: an eval, its corpus and questions, and the folder in which judgements are made.

All of it lies in `<eval>.labels` beside the eval file: what was made is taken as it is, and what was stopped goes on.
Only the questions hold text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pandas as pd

from ragprof.core import Query, files
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.corpus import Corpus, read_corpus, read_queries
from ragprof.evals import EvalConfig, read_eval
from ragprof.evals.recorded import RANKING
from ragprof.labels.judging import PairTexts
from ragprof.labels.pool import PooledQuery, read_pool
from ragprof.labels.records import (
    DrawFile,
    LabelFile,
    PassageLabel,
    QueryDraw,
    standing,
    still_drawn,
    still_worded,
    words_digest,
)
from ragprof.studies.preparation import corpus_path

FOR_EVERYBODY = 5
"""Every so manieth drawn query is judged by everybody."""


@dataclass(frozen=True)
class Labelling:
    """An eval, its corpus and questions, and the folder in which its judgements are made."""

    eval_file: Path
    config: EvalConfig
    corpus: Corpus
    folder: Path
    queries: tuple[Query, ...]

    @cached_property
    def store(self) -> LabelFile:
        return LabelFile(self.folder)

    @cached_property
    def pool(self) -> list[PooledQuery]:
        """Raises BadInput where nothing is pooled yet."""
        return read_pool(self.folder / "pool.jsonl")

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """query_id -> the digest of its words as they are now."""
        return {query.query_id: words_digest(query.text) for query in self.queries}

    @cached_property
    def passage_digests(self) -> Mapping[str, str]:
        """doc_id -> the digest of its words as they are now."""
        return {doc.doc_id: words_digest(doc.content) for doc in self.corpus.docs}

    @cached_property
    def pairs(self) -> list[PairTexts]:
        """Every pair of the pool with its texts; passages that the corpus no longer has are left out."""
        docs = {doc.doc_id: doc for doc in self.corpus.docs}
        asked = {query.query_id: query.text for query in self.queries}
        return [
            PairTexts(
                each.query_id, doc, docs[doc].document_id, asked[each.query_id], docs[doc].content, docs[doc].where
            )
            for each in self.pool
            if each.query_id in asked
            for doc in each.passages
            if doc in docs
        ]

    def labels(self) -> list[PassageLabel]:
        """All that was said so far of questions and passages that still have the same words."""
        return still_worded(self.store.read(), self.digests, self.passage_digests)

    def draws(self) -> list[QueryDraw]:
        """The draws among the questions as they are now, in their order."""
        return still_drawn(DrawFile(self.folder).read(), [each.query_id for each in self.pool])

    def ranking(self, pipeline: str) -> pd.DataFrame:
        """What a pipeline found when the pool was made. Raises BadInput where that is not known."""
        path = self.folder / "rankings" / f"{pipeline}.parquet"
        if not path.exists():
            raise BadInput(
                f"what pipeline '{pipeline}' finds is not recorded; run `ragprof label` on the eval file again",
                file=path,
            )
        return RANKING.read(path)

    @property
    def leading_metric(self) -> str:
        return next((metric for metric in self.config.metrics if not metric.startswith("Judged")), "nDCG@10")

    def check_pool(self) -> None:
        """Raises BadInput where nothing is pooled, or where the questions are others than those that were pooled."""
        if not self.pool:
            raise BadInput("its pool is empty; run `ragprof label` on the eval file again", file=self.folder)
        pooled = {each.query_id: each.question_digest for each in self.pool}
        changed = pooled.keys() ^ self.digests.keys()
        changed |= {query for query, was in pooled.items() if was and self.digests.get(query, was) != was}
        if changed:
            raise BadInput(
                f"{counted(len(changed), 'question')} added, removed or reworded since they were pooled; run "
                "`ragprof label` on the eval file first",
                file=self.folder,
            )

    def waiting_for(self, person: str = "") -> list[PairTexts]:
        """Passages of drawn queries in the order of the draws: what nobody has judged, nor this person seen.

        Those of every fifth query are for everybody, so that people can be compared. Within a query the order is
        random. Without a name: what nobody has judged or skipped.
        """
        by_person = standing(label for label in self.labels() if label.source == "person")
        mine = by_person.get(person, {})
        settled = {
            pair
            for judged in by_person.values()
            for pair, label in judged.items()
            if label.grade is not None or not person
        }
        places = {each.query_id: number for number, each in enumerate(self.draws())}
        drawn = sorted((each for each in self.pairs if each.query_id in places), key=lambda each: places[each.query_id])
        return [
            each
            for each in drawn
            if each.pair not in mine
            and (each.pair not in settled or (person and places[each.query_id] % FOR_EVERYBODY == 0))
        ]

    def check_ids(self) -> None:
        """Raises BadInput for an id that no file of judgements can hold, before anything is asked or paid."""
        ids = [query.query_id for query in self.queries] + [doc.document_id for doc in self.corpus.docs]
        for each in ids:
            if any(sign in each for sign in "\t\n\r"):
                raise BadInput(
                    f"the id {each!r} holds a tab or a line break, which no file of judgements can hold; rename it",
                    file=self.eval_file,
                )

    def with_queries(self, path: Path) -> Labelling:
        """The same with the questions of a file."""
        return replace(self, queries=tuple(read_queries(path)))

    def anew(self) -> Labelling:
        """The same after its pool was written."""
        return replace(self)


def opened(eval_file: Path, *, corpus: Path | None = None) -> Labelling:
    """Read the eval, its corpus, and its questions where there are any."""
    config = read_eval(eval_file)
    if corpus is not None:
        source = config.corpus.model_copy(
            update={"recipe": None, "source": None, "path": str(corpus.resolve()), "format": "auto"}
        )
        config = config.model_copy(update={"corpus": source})
    path = corpus_path(config, eval_file)
    docs = read_corpus(
        path, format="recipe" if config.corpus.recipe else config.corpus.format, chunking=config.corpus.chunking
    )
    folder = label_folder(eval_file)
    source_of_queries = queries_file(config, eval_file, path, folder)
    queries = tuple(read_queries(source_of_queries)) if source_of_queries is not None else ()
    return Labelling(eval_file, config, docs, folder, queries)


def label_folder(eval_file: Path) -> Path:
    """Where the judgements of an eval are made."""
    return eval_file.with_suffix(".labels")


def queries_file(config: EvalConfig, eval_file: Path, corpus: Path, folder: Path) -> Path | None:
    """The questions that the eval names, else those that were made, else those of a BEIR folder; None: none yet."""
    named = (
        None if config.evaluation.queries is None else files.written_path(config.evaluation.queries, beside=eval_file)
    )
    beside = corpus / "queries.jsonl" if corpus.is_dir() else None
    return next(
        (path for path in (named, folder / "queries.jsonl", beside) if path is not None and path.is_file()), None
    )


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
