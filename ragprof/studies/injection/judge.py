"""The judge pass over answers: injection/judged.parquet, a row per pipeline, setting and question.

Right or wrong by the gold answers that the questions carry, the context by the judgements, a wrong answer attributed to
the stage that lost the evidence. Asks no model; knows no clock and no price. What judges prompts takes tables and gives
columns, a row per prompt in the order of `prompts`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import Query, files
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput
from ragprof.core.recorded import write_sealed
from ragprof.corpus import EvaluationSet
from ragprof.corpus.collection import Qrels
from ragprof.judge.arrays import Values, by_document, labels, metrics
from ragprof.studies.injection.answer_texts import Words, abstained, contains, exact_match, token_f1
from ragprof.studies.injection.recorded import ANSWERS, CANDIDATES, CHUNKS, JUDGED, JUDGEMENT, MANIFEST, PROMPTS

KEY = ["pipeline", "setting", "query_id"]
TOKEN_KINDS = ("relevant", "irrelevant", "unjudged", "duplicate")
CUTOFF = 10


@dataclass(frozen=True)
class GoldPassages:
    """Where gold answers stand: (query_id, doc_id) of every passage that holds one of its question's."""

    pairs: frozenset[tuple[str, str]]

    @classmethod
    def of(
        cls, passages: pd.DataFrame, *, golds: Mapping[str, Sequence[str]], contents: Mapping[str, str]
    ) -> GoldPassages:
        """Of passages with `query_id` and `doc_id`. Raises BadInput for one whose content is not given."""
        wanted = {query_id: [Words.of(gold) for gold in answers] for query_id, answers in golds.items() if answers}
        distinct = passages[["query_id", "doc_id"]].drop_duplicates()
        asked = distinct[distinct["query_id"].isin(list(wanted))]
        for doc_id in asked["doc_id"]:
            if doc_id not in contents:
                raise BadInput(
                    f"passage '{doc_id}' was recorded but is not in the corpus; judge it with the recording's own"
                )
        words = {doc_id: Words.of(contents[doc_id]) for doc_id in asked["doc_id"].unique()}
        pairs = asked.itertuples(index=False, name=None)
        return cls(frozenset((query, doc) for query, doc in pairs if any(map(words[doc].hold, wanted[query]))))

    def among(self, passages: pd.DataFrame) -> pd.DataFrame:
        """The rows whose passage holds a gold answer of its row's question."""
        held = [pair in self.pairs for pair in zip(passages["query_id"], passages["doc_id"], strict=True)]
        return passages[np.array(held, bool)]


def context_tokens(prompts: pd.DataFrame, chunks: pd.DataFrame, qrels: Qrels) -> pd.DataFrame:
    """`<kind>_tokens` of the chunks: a text that stood earlier in its prompt is a duplicate, the rest as judged."""
    ordered = chunks.sort_values("position", kind="stable")
    repeated = ordered.duplicated([*KEY, "content"]).to_numpy(bool)
    grades = [
        qrels.get(query_id, {}).get(document_id, np.nan)
        for query_id, document_id in zip(ordered["query_id"], ordered["document_id"], strict=True)
    ]
    graded = np.array(grades, float)
    kinds = np.select([repeated, graded > 0, np.isnan(graded)], ["duplicate", "relevant", "unjudged"], "irrelevant")
    tokens = ordered["tokens"].to_numpy(float)
    columns = {f"{kind}_tokens": tokens * (kinds == kind) for kind in TOKEN_KINDS}
    return _of_prompts(prompts, ordered[KEY].assign(**columns).groupby(KEY, as_index=False).sum()).fillna(0.0)


def context_ndcg(prompts: pd.DataFrame, chunks: pd.DataFrame, qrels: Qrels) -> Values:
    """nDCG@10 of the injected chunks' documents, as the final ranking orders them, whatever their order in the prompt.

    A document stands where its best chunk does. NaN for a question without judgements, 0 for a prompt without chunks.
    """
    row_of = {key: row for row, key in enumerate(_keys(prompts))}
    ranked = chunks.sort_values("rank", kind="stable")
    codes, documents = pd.factorize(ranked["document_id"])
    rows = np.array([row_of[key] for key in _keys(ranked)], np.int64)
    depths = ranked.groupby(KEY).cumcount().to_numpy(np.int64)
    places = np.full((len(prompts), int(depths.max(initial=0)) + 1), -1, np.int64)
    places[rows, depths] = codes
    numbers = {str(document): number for number, document in enumerate(documents)}
    labelled = labels(qrels, prompts["query_id"].tolist(), numbers)
    values = metrics(labelled.of(by_document(places)), labelled.ideal, (CUTOFF,))[f"nDCG@{CUTOFF}"]
    return np.where(prompts["query_id"].isin(list(qrels)).to_numpy(), values, np.nan)


def evidence_position(prompts: pd.DataFrame, chunks: pd.DataFrame, evidence: GoldPassages) -> Values:
    """Where the first chunk that holds a gold answer stands: 0 = first .. 1 = last, 0 for an only chunk; else NaN."""
    first = evidence.among(chunks).groupby(KEY, as_index=False)["position"].min()
    counts = chunks.groupby(KEY, as_index=False).agg(chunks=("position", "size"))
    both = _of_prompts(prompts, counts.merge(first, "left", KEY))
    last = np.maximum(both["chunks"].to_numpy(float) - 1, 1)
    position: Values = (both["position"].to_numpy(float) - 1) / last
    return position


def lost_at(
    prompts: pd.DataFrame, candidates: pd.DataFrame, evidence: GoldPassages, *, in_context: NDArray[np.bool_]
) -> NDArray[np.str_]:
    """Where a wrong answer's evidence was lost, by the last stage that still had it; `prompts` has `asked_k`.

    "model": it stood in the prompt. "packing": in a candidate among the `asked_k` best of the final ranking. "rerank":
    in some candidate that the search brought, in a pipeline with a reranker. "search": anything else.
    """
    with_reranker = candidates.loc[candidates["stage"] == "rerank", "pipeline"].unique()
    reranked = prompts["pipeline"].isin(with_reranker).to_numpy(bool)
    best = evidence.among(candidates).groupby(["stage", "pipeline", "query_id"])["rank"].min().to_dict()

    def ranks(stages: Iterable[str]) -> Values:
        """The best rank of evidence at a stage each; NaN where there is none, which is below no k."""
        keys = zip(stages, prompts["pipeline"], prompts["query_id"], strict=True)
        return np.array([best.get(key, np.nan) for key in keys], float)

    searched = ranks(["search"] * len(prompts))
    final = ranks(np.where(reranked, "rerank", "search").tolist())
    packed = final <= prompts["asked_k"].to_numpy(float)
    return np.select([in_context, packed, reranked & ~np.isnan(searched)], ["model", "packing", "rerank"], "search")


def _of_prompts(prompts: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Columns of a table with one row a key, in the order of the prompts; missing where there is no row."""
    return prompts[KEY].merge(table, "left", KEY).drop(columns=KEY)


def _keys(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(zip(*(table[column] for column in KEY), strict=True))


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


def judge_answers(folder: Path, evaluation: EvaluationSet, contents: Mapping[str, str]) -> None:
    """Write injection/judged.parquet and injection/judgement.json; `contents` is doc_id -> content of the passages.

    A question without gold answers has NaN for what they decide, and "" for `lost_at`; judgement.json counts them.
    `in_answer` holds also where the whole answer matches exactly. Where the recording keeps no texts, what rests on
    them and on the gold answers stays as the judgement before had it; what rests on the labels is made anew. Raises
    BadInput where there is no judgement before, and for a passage that `contents` lacks.
    """
    answered = read_answered(folder / "injection")
    prompts, chunks, qrels = answered.prompts, answered.chunks, evaluation.qrels
    path = answered.place / "answers.parquet"
    answers = ANSWERS.read(path).drop_duplicates("digest").set_index("digest")["text"]
    lacking = prompts.loc[~prompts["digest"].isin(answers.index), "query_id"]
    if len(lacking):
        many = f"{counted(len(lacking), 'prompt')} {'has' if len(lacking) == 1 else 'have'}"
        message = f"{many} no answer in it (the first is of the question '{lacking.iloc[0]}')"
        raise BadInput(f"{message}; run 'ragprof inject' again, it goes on where it stopped", file=path)
    texts = answers.loc[prompts["digest"]].reset_index(drop=True)
    if texts.isna().any():  # they were not kept
        by_texts, facts = _kept(answered)
    else:
        written = {query.query_id: gold_answers(query) for query in evaluation.queries}
        asked = prompts.drop_duplicates("query_id")
        # No gold answer counts where the corpus cannot answer the question, or where nobody wrote one down.
        golds = {
            query_id: written.get(query_id, ()) if answerable else ()
            for query_id, answerable in zip(asked["query_id"], asked["answerable"], strict=True)
        }
        by_texts = _judged_texts(answered, texts, golds=golds, contents=contents)
        ordered = json.dumps(sorted((query_id, *answers) for query_id, answers in golds.items()))
        facts = {
            "recording": answered.manifest["recording"],
            "answers_sha256": hashlib.sha256(ordered.encode()).hexdigest(),
            "questions_without_gold": sum(not golds[query_id] for query_id in asked[asked["answerable"]]["query_id"]),
        }
    by_labels = context_tokens(prompts, chunks, qrels).assign(ndcg=context_ndcg(prompts, chunks, qrels))
    table = pd.concat([prompts[[*KEY, "answerable"]], by_texts, by_labels], axis=1)
    files.write_table(answered.place / "judged.parquet", table[list(JUDGED_COLUMNS)])
    write_sealed(
        answered.place / "judgement.json", {**facts, "qrels_sha256": evaluation.qrels_sha256}, "judged.parquet"
    )


def gold_answers(query: Query) -> tuple[str, ...]:
    """The question's gold answers that are not empty. Raises BadInput where `answers` is not a list of texts."""
    answers = query.metadata.get("answers") or []
    if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
        found = f"'answers' of the question '{query.query_id}' is {answers!r}"
        raise BadInput(f'{found}; it must be a list of texts like ["shutil.rmtree"]')
    return tuple(answer for answer in answers if answer.strip())


def read_answered(place: Path) -> Answered:
    """The recording in an injection folder. Raises BadInput where a file of it is missing."""
    manifest = MANIFEST.read(place / "manifest.json")
    prompts = PROMPTS.read(place / "prompts.parquet").reset_index(drop=True)
    chunks = CHUNKS.read(place / "chunks.parquet")
    lost = chunks[KEY].drop_duplicates().merge(prompts[KEY], how="left", on=KEY, indicator=True)
    asked = prompts[~prompts["query_id"].isin(manifest["unanswerable"])].groupby(KEY[:2], sort=False).size()
    settings = {(name, setting) for name, of in manifest["settings"].items() for setting in of}
    if (
        (lost["_merge"] == "left_only").any()
        or {*map(tuple, prompts[KEY[:2]].to_numpy())} != settings
        or asked.nunique() > 1
    ):
        raise BadInput(
            "it has not the prompts of the same questions in each setting, and of all with chunks; record it again "
            "with 'ragprof inject'",
            file=place / "prompts.parquet",
        )
    k = [asked_k(manifest, pipeline, setting) for pipeline, setting in prompts[KEY[:2]].itertuples(index=False)]
    answerable = ~prompts["query_id"].isin(list(manifest["unanswerable"]))
    prompts = prompts.assign(asked_k=k, answerable=answerable.to_numpy(bool))
    return Answered(place, manifest, prompts, chunks)


def asked_k(manifest: Mapping[str, Any], pipeline: str, setting: str) -> int:
    """How many chunks a setting asks for; a budget of tokens asks for the pipeline's own number."""
    if setting.startswith("k="):
        return int(setting.removeprefix("k="))
    if setting in ORDERS:
        return int(manifest["config"]["injection"]["order_k"])
    return int(manifest["own_k"][pipeline])


def _judged_texts(
    answered: Answered, texts: pd.Series, *, golds: Mapping[str, Sequence[str]], contents: Mapping[str, str]
) -> pd.DataFrame:
    """The columns that rest on answers and gold answers."""
    candidates = CANDIDATES.read(answered.place / "candidates.parquet")
    passages = pd.concat([answered.chunks[["query_id", "doc_id"]], candidates[["query_id", "doc_id"]]])
    evidence = GoldPassages.of(passages, golds=golds, contents=contents)
    position = evidence_position(answered.prompts, answered.chunks, evidence)
    in_context = ~np.isnan(position)
    nothing = (np.nan, np.nan, np.nan)  # a question without a gold answer has no verdict
    rows = []
    for text, query_id in zip(texts, answered.prompts["query_id"], strict=True):
        gold = golds[query_id]
        exact = exact_match(gold, text)
        rows.append((exact, token_f1(gold, text), exact or contains(gold, text)) if gold else nothing)
    judged = pd.DataFrame(rows, columns=["exact_match", "f1", "in_answer"]).astype(float)
    by = answered.manifest["config"]["injection"]["correct"]
    correct = judged[{"contains": "in_answer", "exact": "exact_match"}.get(by, "f1")]
    if by == "f1":
        correct = (correct >= F1_CORRECT).astype(float)
    known = judged["f1"].notna()
    lost = lost_at(answered.prompts, candidates, evidence, in_context=in_context)
    return judged.assign(
        in_context=pd.Series(in_context, dtype=float).where(known),
        correct=correct.where(known),
        abstained=[abstained(text) for text in texts],
        lost_at=np.where(known & (correct == 0), lost, ""),
        evidence_position=position,
    )


def _kept(answered: Answered) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What the judgement before says of the texts, and what it rests on. Raises BadInput where there is none."""
    path = answered.place / "judged.parquet"
    before = answered.place / "judgement.json"
    facts = JUDGEMENT.read(before) if before.exists() and path.exists() else {}
    if facts.get("recording") != answered.manifest["recording"]:
        remedy = "run 'ragprof inject' again, without --no-text if answers are to be judged later"
        raise BadInput(
            f"the answers' texts were not kept and no judgement of this recording is here; {remedy}", file=path
        )
    kept = answered.prompts[KEY].merge(JUDGED.read(path), "left", KEY)
    if kept["lost_at"].isna().any():
        raise BadInput("it lacks some of the recording's prompts; run 'ragprof inject' again", file=path)
    return kept[list(OF_TEXTS)].astype({"abstained": bool}), dict(facts)
