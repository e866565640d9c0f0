"""Questions with the passages that were in their prompts, a model's answers and gold answers: what other suites judge.

Passages and answers go together: where a model answered, the passages are those of the prompt that it answered.
Nothing is retrieved or asked again, and no text is taken that is not the recording's.

Samples in the words of other suites: Ragas' SingleTurnSample as JSON Lines, DeepEval's test cases as JSON.

A file a pipeline. What is not known is null, never an empty text. No package of either suite is needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from ragprof.core import Doc, files
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput, Incomparable
from ragprof.evals.recorded import JUDGEMENT, RANKING, read_manifest
from ragprof.record.recording import fingerprint_of
from ragprof.report.figures import corpus_words, differing
from ragprof.studies.injection.data import belongs, is_recorded
from ragprof.studies.injection.judge import gold_answers, read_answered
from ragprof.studies.injection.plan import OWN
from ragprof.studies.injection.recorded import ANSWERS
from ragprof.studies.preparation import Prepared

ANSWER = "'ragprof inject' lets a model answer and, without --no-text, keeps its words"
Asked: TypeAlias = tuple[tuple[str, ...], str | None]
"""The passages of a prompt in their order, and the answer; None where none was kept."""


@dataclass(frozen=True)
class Sample:
    """One question of one pipeline. `contexts` in the order of the prompt, whole as the corpus has them.

    `response` is None where no answer was kept, `reference` (the first gold answer) where the question has none.
    `relevant` are the documents judged above 0, best first.
    """

    pipeline: str
    query_id: str
    question: str
    contexts: tuple[Doc, ...]
    response: str | None
    reference: str | None
    relevant: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A recording with the texts that belong to it. `answers` is None where it has none of this eval's.

    `setting` is the way in which chunks went into the prompts: the pipelines' own, or k=<number>.
    """

    folder: Path
    prepared: Prepared
    docs: Mapping[str, Doc]
    setting: str
    answers: Answers | None

    @classmethod
    def of(cls, folder: Path, prepared: Prepared, *, k: int | None) -> Source:
        docs = {doc.doc_id: doc for doc in prepared.subject.corpus.docs}
        setting, answers = OWN if k is None else f"k={k}", None
        manifest, judgement = read_manifest(folder), JUDGEMENT.read(folder / "judgement.json")
        if is_recorded(folder) and belongs(folder, manifest, judgement):
            answered = read_answered(folder / "injection")
            texts = ANSWERS.read(folder / "injection" / "answers.parquet")[["digest", "text"]]
            prompts = answered.prompts.merge(texts.drop_duplicates("digest"), on="digest", how="left")
            settings = {name: tuple(given) for name, given in answered.manifest["settings"].items()}
            answers = Answers(settings, prompts, answered.chunks)
        return cls(folder, prepared, docs, setting, answers)


@dataclass(frozen=True)
class Answers:
    """What `inject` recorded: `prompts` with the answer in `text` (null where it was not kept), `chunks` of each."""

    settings: Mapping[str, tuple[str, ...]]
    prompts: pd.DataFrame
    chunks: pd.DataFrame

    def asked(self, pipeline: str, setting: str) -> dict[str, Asked]:
        """What was asked by query_id."""
        mine = _rows(self.prompts, pipeline, setting)
        chunks = _rows(self.chunks, pipeline, setting).sort_values("position")
        inside = {str(query_id): tuple(rows) for query_id, rows in chunks.groupby("query_id")["doc_id"]}
        pairs = zip(mine["query_id"], mine["text"], strict=True)
        return {query_id: (inside.get(query_id, ()), None if pd.isna(text) else str(text)) for query_id, text in pairs}


def _rows(table: pd.DataFrame, pipeline: str, setting: str) -> pd.DataFrame:
    return table[(table["pipeline"] == pipeline) & (table["setting"] == setting)]


def check_same(folder: Path, prepared: Prepared, *, eval_file: Path) -> None:
    """Raise Incomparable, naming what differs, where the eval's texts are not those of the recording."""
    manifest, judgement = read_manifest(folder), JUDGEMENT.read(folder / "judgement.json")
    pairs = {
        "corpus": (manifest["corpus"]["sha256"], prepared.subject.corpus.sha256),
        "questions": (manifest.get("questions"), fingerprint_of(prepared.subject.queries)),
        "relevance judgements": (judgement.get("qrels_sha256"), prepared.evaluation.qrels_sha256),
    }
    corpus, subject = manifest["corpus"], prepared.subject
    named = {
        "corpus": [
            corpus_words(corpus["name"], corpus["docs"], corpus.get("documents")),
            corpus_words(subject.corpus.name, len(subject.corpus.docs), subject.corpus.documents),
        ],
        "questions": [f"{judgement['queries']:,}", f"{len(subject.queries):,}"],
        "relevance judgements": ["", ""],
    }
    found = [differing(name, *named[name]) for name, (recorded, now) in pairs.items() if recorded != now]
    if found:
        raise Incomparable(
            f"{eval_file} is not what was recorded in {folder} (named first): {'; '.join(found)}. Give the eval file "
            "and the corpus of that recording, or record anew with 'ragprof run'"
        )


def samples_of(source: Source, pipeline: str) -> list[Sample]:
    """In the order of the eval's questions; with a `k`, those alone that were asked so.

    Raises BadInput where no prompt of `k` chunks was recorded, or the recording names a passage that is not there.
    """
    asked = source.answers.asked(pipeline, source.setting) if source.answers else {}
    ranking = source.folder / "rankings" / f"{pipeline}.parquet"
    prompts = asked
    if source.setting == OWN:
        # What the inject stage of the main recording put into the prompt, where no model was asked.
        table = RANKING.read(ranking)
        packed = table[table["stage"] == "inject"].sort_values(["query_id", "rank"]).groupby("query_id")["doc_id"]
        inside: dict[str, Asked] = {str(query_id): (tuple(rows), None) for query_id, rows in packed}
        nothing: dict[str, Asked] = {query.query_id: ((), None) for query in source.prepared.subject.queries}
        prompts = nothing | inside | asked
    else:
        _check_setting(source, pipeline)
    samples = []
    for query in source.prepared.subject.queries:
        if query.query_id not in prompts:
            continue
        doc_ids, response = prompts[query.query_id]
        if lacking := [doc_id for doc_id in doc_ids if doc_id not in source.docs]:
            raise BadInput(
                f"pipeline '{pipeline}' had the passage '{lacking[0]}' in a prompt, which the corpus lacks; "
                "the recording was edited: record it again with 'ragprof run'",
                file=ranking,
            )
        judged = source.prepared.evaluation.qrels.get(query.query_id, {})
        relevant = sorted((doc for doc, grade in judged.items() if grade > 0), key=lambda doc: -judged[doc])
        contexts, reference = tuple(source.docs[doc_id] for doc_id in doc_ids), next(iter(gold_answers(query)), None)
        made = pipeline, query.query_id, query.text, contexts, response, reference, tuple(relevant)
        samples.append(Sample(*made))
    return samples


def notes_on(source: Source, samples: Mapping[str, Sequence[Sample]]) -> list[str]:
    """What the samples of the pipelines lack, in sentences."""
    notes = []
    if source.answers is None and is_recorded(source.folder):
        notes.append(f"the answers in {source.folder} are of another eval or judgement and were left out; {ANSWER}")
    for pipeline, mine in samples.items():
        silent = sum(sample.response is None for sample in mine)
        if silent:
            notes.append(f"pipeline '{pipeline}': {_lack(silent, mine)} no model's answer; {ANSWER}")
        unknown = sum(sample.reference is None for sample in mine)
        if unknown:
            notes.append(f"pipeline '{pipeline}': {_lack(unknown, mine)} no gold answer")
    return notes


def _lack(number: int, mine: Sequence[Sample]) -> str:
    """`1 of 12 questions has`."""
    return f"{number} of {counted(len(mine), 'question')} {'has' if number == 1 else 'have'}"


def _check_setting(source: Source, pipeline: str) -> None:
    there: tuple[str, ...] = source.answers.settings.get(pipeline, ()) if source.answers else ()
    if source.setting not in there:
        number = source.setting.removeprefix("k=")
        raise BadInput(
            f"pipeline '{pipeline}': no prompts of {number} chunks were recorded (there are: "
            f"{', '.join(there) or 'none'}); 'ragprof inject' makes them with --ks {number} --sweep {pipeline}"
        )


def write_ragas(stem: Path, samples: Sequence[Sample]) -> Path:
    """`stem`.jsonl for EvaluationDataset.from_jsonl: in ASCII, which that reads the same in every locale.

    Fields of SingleTurnSample, and the query's id. Ids are those of documents, as the judgements have them.
    """
    path = stem.with_name(f"{stem.name}.jsonl")
    rows = (
        {
            "query_id": sample.query_id,
            "user_input": sample.question,
            "retrieved_contexts": [doc.content for doc in sample.contexts],
            "retrieved_context_ids": [doc.document_id for doc in sample.contexts],
            "reference_context_ids": list(sample.relevant),
            "response": sample.response,
            "reference": sample.reference,
        }
        for sample in samples
    )
    files.write_text(path, "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in rows))
    return path


def write_deepeval(stem: Path, samples: Sequence[Sample]) -> Path:
    """`stem`.json for EvaluationDataset.add_goldens_from_json_file and add_test_cases_from_json_file.

    Fields of LLMTestCase and Golden. Without tools: the loaders take a missing list of tools, and no null.
    """
    path = stem.with_name(f"{stem.name}.json")
    cases = [
        {
            "name": sample.query_id,
            "input": sample.question,
            "actual_output": sample.response,
            "expected_output": sample.reference,
            "retrieval_context": [doc.content for doc in sample.contexts],
            "additional_metadata": {
                "query_id": sample.query_id,
                "pipeline": sample.pipeline,
                "retrieved_document_ids": [doc.document_id for doc in sample.contexts],
                "relevant_document_ids": list(sample.relevant),
            },
        }
        for sample in samples
    ]
    files.write_json(path, cases)
    return path
