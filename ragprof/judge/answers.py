"""The judge pass over answers: injection/judged.parquet, a row a pipeline, setting and question.

Right or wrong by the gold answers that the questions carry, the context by the judgements, a wrong answer attributed to
the stage that lost the evidence. Asks no model; knows no clock and no price.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ragprof import files
from ragprof.core import Query
from ragprof.corpus import EvaluationSet
from ragprof.corpus.collection import Qrels
from ragprof.errors import BadInput
from ragprof.judge.abstention import abstained
from ragprof.judge.answer_texts import contains, exact_match, token_f1
from ragprof.judge.contexts import KEY, TOKEN_KINDS, Evidence, context_ndcg, context_tokens, evidence_position, lost_at

OF_TEXTS = ("exact_match", "f1", "in_context", "in_answer", "correct", "abstained", "lost_at", "evidence_position")
OF_LABELS = ("ndcg", *(f"{kind}_tokens" for kind in TOKEN_KINDS))
JUDGED_COLUMNS = (
    *KEY, "answerable", "exact_match", "f1", "in_context", "in_answer", "correct", "abstained", "lost_at", *OF_LABELS,
    "evidence_position",
)  # fmt: skip
F1_CORRECT = 0.5
ORDERS = ("best_first", "best_last", "edges")


@dataclass(frozen=True)
class Answered:
    """A recording of answers. `prompts` has, beside its own columns, `asked_k` and `answerable`."""

    place: Path
    manifest: Mapping[str, Any]
    prompts: pd.DataFrame
    chunks: pd.DataFrame

    @property
    def correct_by(self) -> str:
        """`contains`, `exact` or `f1`."""
        return str(self.manifest["config"]["injection"]["correct"])


def judge_answers(folder: Path, evaluation: EvaluationSet, contents: Mapping[str, str]) -> None:
    """Write injection/judged.parquet and injection/judgement.json; `contents` is doc_id -> content of the passages.

    A question without gold answers has NaN for what they decide, and "" for `lost_at`; judgement.json counts them.
    `in_answer` holds also where the whole answer matches exactly. Where the recording keeps no texts, what rests on
    them and on the gold answers stays as the judgement before had it; what rests on the labels is made anew. Raises
    BadInput where there is no judgement before, and for a passage that `contents` lacks.
    """
    answered = read_answered(folder / "injection")
    texts = _texts(answered)
    if texts is None:
        by_texts, facts = _kept(answered)
    else:
        golds = _golds(answered, evaluation.queries)
        by_texts, facts = _judged_texts(answered, texts, golds=golds, contents=contents), _facts(answered, golds)
    table = pd.concat([answered.prompts[[*KEY, "answerable"]], by_texts, _labelled(answered, evaluation.qrels)], axis=1)
    files.write_table(answered.place / "judged.parquet", table[list(JUDGED_COLUMNS)])
    files.write_json(answered.place / "judgement.json", {**facts, "qrels_sha256": evaluation.qrels_sha256})


def gold_answers(query: Query) -> tuple[str, ...]:
    """The question's gold answers that are not empty. Raises BadInput where `answers` is not a list of texts."""
    answers = query.metadata.get("answers") or []
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        found = f"'answers' of the question '{query.query_id}' is {answers!r}"
        raise BadInput(f'{found}; it must be a list of texts like ["shutil.rmtree"]')
    return tuple(answer for answer in answers if answer.strip())


def read_answered(place: Path) -> Answered:
    """The recording in an injection folder. Raises BadInput where a file of it is missing."""
    manifest = files.read_manifest(place)
    prompts = files.read_table(place / "prompts.parquet").reset_index(drop=True)
    k = [asked_k(manifest, pipeline, setting) for pipeline, setting in prompts[KEY[:2]].itertuples(index=False)]
    answerable = ~prompts["query_id"].isin(list(manifest["unanswerable"]))
    prompts = prompts.assign(asked_k=k, answerable=answerable.to_numpy(bool))
    return Answered(place, manifest, prompts, files.read_table(place / "chunks.parquet"))


def asked_k(manifest: Mapping[str, Any], pipeline: str, setting: str) -> int:
    """How many chunks a setting asks for; a budget of tokens asks for the pipeline's own number."""
    if setting.startswith("k="):
        return int(setting.removeprefix("k="))
    if setting in ORDERS:
        return int(manifest["config"]["injection"]["order_k"])
    return int(manifest["own_k"][pipeline])


def _texts(answered: Answered) -> pd.Series | None:
    """The answers, a row a prompt; None where they were not kept. Raises BadInput where one is missing."""
    path = answered.place / "answers.parquet"
    answers = files.read_table(path).drop_duplicates("digest").set_index("digest")["text"]
    lacking = answered.prompts.loc[~answered.prompts["digest"].isin(answers.index), "query_id"]
    if len(lacking):
        message = f"{len(lacking)} prompts have no answer in it (the first is of the question '{lacking.iloc[0]}')"
        raise BadInput(f"{message}; run 'ragprof inject' again, it goes on where it stopped", file=path)
    texts = answers.loc[answered.prompts["digest"]].reset_index(drop=True)
    return None if texts.isna().any() else texts


def _golds(answered: Answered, queries: Sequence[Query]) -> dict[str, tuple[str, ...]]:
    """Gold answers of every question asked; none where the corpus cannot answer it or nobody wrote them down."""
    written = {query.query_id: gold_answers(query) for query in queries}
    asked = answered.prompts.drop_duplicates("query_id")
    pairs = zip(asked["query_id"], asked["answerable"], strict=True)
    return {query_id: written.get(query_id, ()) if answerable else () for query_id, answerable in pairs}


def _judged_texts(
    answered: Answered, texts: pd.Series, *, golds: Mapping[str, Sequence[str]], contents: Mapping[str, str]
) -> pd.DataFrame:
    """The columns that rest on answers and gold answers."""
    candidates = files.read_table(answered.place / "candidates.parquet")
    passages = pd.concat([answered.chunks[["query_id", "doc_id"]], candidates[["query_id", "doc_id"]]])
    evidence = Evidence.of(passages, golds=golds, contents=contents)
    position = evidence_position(answered.prompts, answered.chunks, evidence)
    in_context = ~np.isnan(position)
    pairs = zip(texts, answered.prompts["query_id"], strict=True)
    judged = pd.DataFrame([_against(text, golds[query_id]) for text, query_id in pairs])
    correct = _correct(judged, answered.correct_by)
    known = judged["f1"].notna()
    lost = lost_at(answered.prompts, candidates, evidence, in_context=in_context)
    return judged.assign(
        in_context=pd.Series(in_context, dtype=float).where(known),
        correct=correct.where(known),
        abstained=[abstained(text) for text in texts],
        lost_at=np.where(known & (correct == 0), lost, ""),
        evidence_position=position,
    )


def _against(text: str, golds: Sequence[str]) -> dict[str, float]:
    """NaN all through where there is no gold answer."""
    if not golds:
        return {"exact_match": np.nan, "f1": np.nan, "in_answer": np.nan}
    exact = exact_match(golds, text)
    return {
        "exact_match": float(exact),
        "f1": token_f1(golds, text),
        "in_answer": float(exact or contains(golds, text)),
    }


def _correct(judged: pd.DataFrame, by: str) -> pd.Series:
    if by == "f1":
        return (judged["f1"] >= F1_CORRECT).astype(float)
    return judged["exact_match" if by == "exact" else "in_answer"]


def _labelled(answered: Answered, qrels: Qrels) -> pd.DataFrame:
    """The columns that rest on the relevance judgements."""
    tokens = context_tokens(answered.prompts, answered.chunks, qrels)
    return tokens.assign(ndcg=context_ndcg(answered.prompts, answered.chunks, qrels))


def _kept(answered: Answered) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What the judgement before says of the texts, and what it rests on. Raises BadInput where there is none."""
    path = answered.place / "judged.parquet"
    before = answered.place / "judgement.json"
    facts = files.read_json(before) if before.exists() and path.exists() else {}
    if facts.get("recording") != answered.manifest["recording"]:
        remedy = "run 'ragprof inject' again, without --no-text if answers are to be judged later"
        raise BadInput(
            f"the answers' texts were not kept and no judgement of this recording is here; {remedy}", file=path
        )
    kept = answered.prompts[KEY].merge(files.read_table(path), "left", KEY)
    if kept["lost_at"].isna().any():
        raise BadInput("it lacks some of the recording's prompts; run 'ragprof inject' again", file=path)
    return kept[list(OF_TEXTS)].astype({"abstained": bool}), dict(facts)


def _facts(answered: Answered, golds: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What a judgement by texts rests on; `answers_sha256` is over the gold answers of the questions asked."""
    ordered = json.dumps(sorted((query_id, *answers) for query_id, answers in golds.items()))
    answerable = answered.prompts.loc[answered.prompts["answerable"], "query_id"].unique()
    return {
        "recording": answered.manifest["recording"],
        "answers_sha256": hashlib.sha256(ordered.encode()).hexdigest(),
        "questions_without_gold": sum(not golds[query_id] for query_id in answerable),
    }
