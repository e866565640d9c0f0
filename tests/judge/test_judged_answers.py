"""The judge pass over answers, on small recordings with every way of being wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pandas as pd
import pytest
from complete_tables import complete

from ragprof.core import Query
from ragprof.core.errors import BadInput
from ragprof.corpus import EvaluationSet
from ragprof.corpus.collection import Qrels
from ragprof.studies.injection import recorded as recorded_tables
from ragprof.studies.injection.judge import JUDGED_COLUMNS, gold_answers, judge_answers

CONTENTS = {
    "gold": "functools.lru_cache remembers results",
    "gold2": "lru_cache again",
    "a": "Alpha",
    "b": "Beta",
    "c": "Gamma",
    "copy": "Alpha",
}
CONTENT_NUMBERS = {"gold": 0, "gold2": 1, "a": 2, "b": 3, "c": 4, "copy": 2}
TOKENS = {"gold": 10, "gold2": 20, "a": 30, "b": 40, "c": 50, "copy": 60}


@dataclass(frozen=True)
class Prompt:
    """One question in one setting: what stood in the prompt, in its order, and what was answered."""

    chunks: Sequence[str]
    answer: str | None = "I would guess"
    pipeline: str = "plain"
    setting: str = "own"
    query: str = "q"
    ranks: Sequence[int] | None = None


@dataclass(frozen=True)
class Recorded:
    """A recording to be written; `candidates`: (pipeline, stage, query) -> documents, best first."""

    prompts: Sequence[Prompt]
    candidates: Mapping[tuple[str, str, str], Sequence[str]] = field(default_factory=dict)
    unanswerable: Sequence[str] = ()
    correct: str = "contains"
    recording: str = "r1"

    def write(self, folder: Path) -> Path:
        place = folder / "injection"
        place.mkdir(parents=True, exist_ok=True)
        config = {"pipelines": [{"name": "plain"}], "injection": {"correct": self.correct, "order_k": 3}}
        own_k = {"plain": 2, "reranked": 2}
        settings: dict[str, list[str]] = {}
        for prompt in self.prompts:
            settings[prompt.pipeline] = list(dict.fromkeys([*settings.get(prompt.pipeline, []), prompt.setting]))
        facts = {
            "settings": settings,
            "config": config,
            "own_k": own_k,
            "unanswerable": list(self.unanswerable),
            "recording": self.recording,
        }
        (place / "manifest.json").write_text(json.dumps(facts))
        prompts = [(p.pipeline, p.setting, p.query, f"digest {n}") for n, p in enumerate(self.prompts)]
        self._table(place, "prompts", ["pipeline", "setting", "query_id", "digest"], prompts)
        answers = [(f"digest {n}", p.answer) for n, p in enumerate(self.prompts)]
        self._table(place, "answers", ["digest", "text"], answers)
        columns = ["pipeline", "setting", "query_id", "position", "rank", "doc_id", "document_id", "tokens", "content"]
        self._table(place, "chunks", columns, list(self._chunks()))
        self._table(place, "candidates", [columns[0], "stage", "query_id", *columns[4:7]], list(self._candidates()))
        return folder

    def _chunks(self) -> Iterator[tuple[object, ...]]:
        for prompt in self.prompts:
            ranks = prompt.ranks or range(1, len(prompt.chunks) + 1)
            for position, (rank, doc) in enumerate(zip(ranks, prompt.chunks, strict=True), start=1):
                key = (prompt.pipeline, prompt.setting, prompt.query, position, rank)
                name = doc.split("#")[0]
                yield (*key, doc, name, TOKENS.get(doc, 1), CONTENT_NUMBERS.get(doc, 99))

    def _candidates(self) -> Iterator[tuple[object, ...]]:
        for (pipeline, stage, query), docs in self.candidates.items():
            for rank, doc in enumerate(docs, start=1):
                yield (pipeline, stage, query, rank, doc, doc.split("#")[0])

    @staticmethod
    def _table(place: Path, name: str, columns: list[str], rows: Sequence[tuple[object, ...]]) -> None:
        table = pd.DataFrame(rows, columns=columns)
        complete(table, getattr(recorded_tables, name.upper())).to_parquet(place / f"{name}.parquet", index=False)


def evaluation(
    golds: Mapping[str, Any] | None = None, qrels: Qrels | None = None, *, fingerprint: str = "abc"
) -> EvaluationSet:
    answers: Mapping[str, Any] = {"q": ["lru_cache"]} if golds is None else golds
    queries = tuple(Query(query, "?", {"answers": given}) for query, given in answers.items())
    return EvaluationSet(queries, {"q": {"gold": 1}} if qrels is None else qrels, (), fingerprint, 0)


def judged(folder: Path, recorded: Recorded, by: EvaluationSet | None = None) -> pd.DataFrame:
    judge_answers(recorded.write(folder), by or evaluation(), CONTENTS)
    return pd.read_parquet(folder / "injection" / "judged.parquet")


def only(folder: Path, recorded: Recorded, by: EvaluationSet | None = None) -> pd.Series:
    table = judged(folder, recorded, by)
    assert len(table) == 1
    return table.iloc[0]


def test_a_right_answer_from_the_context(tmp_path: Path) -> None:
    row = only(tmp_path, Recorded([Prompt(["a", "gold"], "Use `functools.lru_cache`.")]))
    assert row.to_dict() == {
        "pipeline": "plain",
        "setting": "own",
        "query_id": "q",
        "answerable": True,
        "exact_match": 0.0,
        "f1": 0.0,
        "in_context": 1.0,
        "in_answer": 1.0,
        "correct": 1.0,
        "abstained": False,
        "lost_at": "",
        "ndcg": pytest.approx(0.63093, abs=1e-5),
        "relevant_tokens": 10.0,
        "irrelevant_tokens": 0.0,
        "unjudged_tokens": 30.0,
        "duplicate_tokens": 0.0,
        "evidence_position": 1.0,
    }
    assert tuple(row.index) == JUDGED_COLUMNS


PLAIN, RERANKED = ("plain", "search", "q"), ("reranked", "search", "q")
AFTER = ("reranked", "rerank", "q")


@pytest.mark.parametrize(
    ("prompt", "candidates", "expected"),
    [
        (Prompt(["a", "gold"]), {PLAIN: ["a", "gold"]}, "model"),
        (Prompt(["a"]), {PLAIN: ["a", "gold"]}, "packing"),
        (Prompt(["a", "b"]), {PLAIN: ["a", "b", "gold"]}, "search"),
        (Prompt(["a", "b"]), {PLAIN: ["a", "b", "c"]}, "search"),
        (Prompt([]), {}, "search"),
        (Prompt(["a", "b"], setting="k=3"), {PLAIN: ["a", "b", "gold"]}, "packing"),
        (Prompt(["a"], setting="k=1"), {PLAIN: ["a", "gold"]}, "search"),
        (Prompt(["a"], setting="tokens=30"), {PLAIN: ["a", "gold"]}, "packing"),
        (Prompt(["a"], setting="tokens=30"), {PLAIN: ["a", "b", "gold"]}, "search"),
        (Prompt(["a", "b"], setting="edges"), {PLAIN: ["a", "b", "gold"]}, "packing"),
        (Prompt(["gold", "b"], pipeline="reranked"), {RERANKED: ["gold"], AFTER: ["gold"]}, "model"),
        (Prompt(["a"], pipeline="reranked"), {RERANKED: ["a", "b", "gold"], AFTER: ["a", "gold", "b"]}, "packing"),
        (Prompt(["a", "b"], pipeline="reranked"), {RERANKED: ["gold", "a", "b"], AFTER: ["a", "b", "gold"]}, "rerank"),
        (Prompt(["a", "b"], pipeline="reranked"), {RERANKED: ["a", "b", "gold"], AFTER: ["a", "b"]}, "rerank"),
        (Prompt(["a", "b"], pipeline="reranked"), {RERANKED: ["a", "b", "c"], AFTER: ["b", "a", "c"]}, "search"),
    ],
)
def test_a_wrong_answer_is_laid_to_the_stage_that_lost_the_evidence(
    tmp_path: Path, prompt: Prompt, candidates: Mapping[tuple[str, str, str], Sequence[str]], expected: str
) -> None:
    row = only(tmp_path, Recorded([prompt], candidates))
    assert (row["correct"], row["lost_at"]) == (0.0, expected)
    assert row["in_context"] == float(expected == "model")


def test_evidence_for_another_question_is_none(tmp_path: Path) -> None:
    recorded = Recorded([Prompt(["gold"]), Prompt(["gold"], query="p")], {PLAIN: ["gold"]})
    table = judged(tmp_path, recorded, evaluation({"q": ["lru_cache"], "p": ["Beta"]}))
    assert table["lost_at"].tolist() == ["model", "search"]
    assert table["in_context"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("correct", "answer", "expected"),
    [
        ("contains", "it is lru_cache, I think", 1.0),
        ("exact", "it is lru_cache, I think", 0.0),
        ("f1", "it is lru_cache, I think", 0.0),
        ("f1", "is lru_cache here", 1.0),
        ("exact", "The LRU_cache.", 1.0),
        ("contains", "LRU-cache", 1.0),
        ("contains", "lru", 0.0),
    ],
)
def test_correct_is_what_the_eval_file_says(tmp_path: Path, correct: str, answer: str, expected: float) -> None:
    """`is lru_cache here` has F1 = 2 * 1 / (1 + 3) = 0.5; `LRU-cache` matches exactly, so it is also in the answer."""
    by = evaluation({"q": ["lru_cache", "lrucache"]})
    assert only(tmp_path, Recorded([Prompt(["gold"], answer)], correct=correct), by)["correct"] == expected


def test_an_empty_answer_is_wrong_and_does_not_abstain(tmp_path: Path) -> None:
    row = only(tmp_path, Recorded([Prompt(["gold"], "")]))
    assert (row["correct"], row["f1"], row["abstained"], row["lost_at"]) == (0.0, 0.0, False, "model")


def test_of_an_unanswerable_question_only_abstaining_is_said(tmp_path: Path) -> None:
    prompts = [Prompt(["gold"], "The passages do not say.", query="u"), Prompt(["a"], "lru_cache", query="v")]
    table = judged(tmp_path, Recorded(prompts, unanswerable=["u", "v"]), evaluation({"v": ["lru_cache"]}))
    assert table["abstained"].tolist() == [True, False]
    assert table["answerable"].tolist() == [False, False]
    assert table["lost_at"].tolist() == ["", ""]
    told = table[["exact_match", "f1", "in_context", "in_answer", "correct", "ndcg", "evidence_position"]]
    assert told.isna().all(axis=None)
    assert table["unjudged_tokens"].tolist() == [10.0, 30.0]


@pytest.mark.parametrize("answers", [[], None, ["", " "]])
def test_a_question_without_gold_answers_is_not_judged_but_counted(tmp_path: Path, answers: list[str] | None) -> None:
    row = only(tmp_path, Recorded([Prompt(["gold"], "lru_cache")]), evaluation({"q": answers}))
    assert math.isnan(row["correct"])
    assert math.isnan(row["in_context"])
    assert (row["answerable"], row["lost_at"], row["ndcg"]) == (True, "", 1.0)
    facts = json.loads((tmp_path / "injection" / "judgement.json").read_text())
    assert facts["questions_without_gold"] == 1


@pytest.mark.parametrize("answers", ["lru_cache", [1], {"a": 1}])
def test_gold_answers_that_are_no_list_of_texts_are_refused(answers: object) -> None:
    with pytest.raises(BadInput, match=r"'answers' of the question 'q' is .*; it must be a list of texts"):
        gold_answers(Query("q", "?", {"answers": answers}))


@pytest.mark.parametrize(
    ("chunks", "ranks", "expected"),
    [
        (["gold"], None, 0.0),
        (["gold", "a", "b"], None, 0.0),
        (["a", "gold", "b"], None, 0.5),
        (["a", "b", "gold"], [3, 2, 1], 1.0),
        (["a", "gold", "gold2", "b", "c"], None, 0.25),
        (["a", "b"], None, math.nan),
    ],
)
def test_the_evidence_stands_where_its_first_chunk_does(
    tmp_path: Path, chunks: list[str], ranks: list[int] | None, expected: float
) -> None:
    row = only(tmp_path, Recorded([Prompt(chunks, ranks=ranks)]))
    assert row["evidence_position"] == pytest.approx(expected, nan_ok=True)


def test_tokens_are_told_apart_by_the_judgements_and_a_repeated_text_counts_as_such(tmp_path: Path) -> None:
    qrels = {"q": {"gold": 2, "a": 0, "copy": 1, "b": -1}}
    prompts = [Prompt(["copy", "c", "gold", "a", "b"]), Prompt(["a", "copy"], setting="k=2"), Prompt([], setting="k=1")]
    table = judged(tmp_path, Recorded(prompts), evaluation(qrels=qrels))
    kinds = table[["relevant_tokens", "irrelevant_tokens", "unjudged_tokens", "duplicate_tokens"]]
    assert kinds.to_numpy().tolist() == [[70.0, 40.0, 50.0, 30.0], [0.0, 30.0, 0.0, 60.0], [0.0, 0.0, 0.0, 0.0]]


def test_ndcg_reads_the_ranking_whatever_the_order_in_the_prompt(tmp_path: Path) -> None:
    prompts = [
        Prompt(["gold", "a", "b"], setting="best_first"),
        Prompt(["b", "a", "gold"], setting="best_last", ranks=[3, 2, 1]),
        Prompt(["gold", "b", "a"], setting="edges", ranks=[1, 3, 2]),
    ]
    assert judged(tmp_path, Recorded(prompts))["ndcg"].tolist() == [1.0, 1.0, 1.0]


def test_ndcg_is_that_of_ir_measures(tmp_path: Path) -> None:
    """On random rankings of passages of few documents, some judged and some not, one question without judgements."""
    rng = np.random.default_rng(7)
    chosen = {f"q{n}": [f"d{d}#{c}" for d, c in rng.integers(0, 12, (rng.integers(0, 16), 2))] for n in range(30)}
    chosen = {query: list(dict.fromkeys(docs)) for query, docs in chosen.items()}
    qrels = {f"q{n}": {f"d{d}": int(rng.integers(0, 4)) for d in rng.integers(0, 14, 5)} for n in range(29)}
    contents = {doc: "text" for docs in chosen.values() for doc in docs}
    folder = Recorded([Prompt(docs, query=query) for query, docs in chosen.items()]).write(tmp_path)
    judge_answers(folder, evaluation({}, qrels), contents)
    found = pd.read_parquet(folder / "injection" / "judged.parquet").set_index("query_id")["ndcg"]
    documents = {query: list(dict.fromkeys(doc.split("#")[0] for doc in docs)) for query, docs in chosen.items()}
    run = {query: {doc: -float(rank) for rank, doc in enumerate(docs)} for query, docs in documents.items() if docs}
    expected = dict.fromkeys(qrels, 0.0)
    for value in ir_measures.iter_calc([ir_measures.nDCG @ 10], qrels, run):
        expected[value.query_id] = value.value
    assert found.drop("q29").to_dict() == pytest.approx(expected, abs=1e-12)
    assert math.isnan(found["q29"])


def test_what_the_judgement_rests_on_is_written_down(tmp_path: Path) -> None:
    def facts(by: EvaluationSet) -> dict[str, Any]:
        judge_answers(tmp_path, by, CONTENTS)
        return dict(json.loads((tmp_path / "injection" / "judgement.json").read_text()))

    Recorded([Prompt(["gold"])]).write(tmp_path)
    first = facts(evaluation())
    assert (first["recording"], first["qrels_sha256"]) == ("r1", "abc")
    assert facts(evaluation({"q": ["lru_cache"], "other": ["x"]})) == first
    assert facts(evaluation({"q": ["cache"]}))["answers_sha256"] != first["answers_sha256"]


def without_texts(recorded: Recorded) -> Recorded:
    return replace(recorded, prompts=[replace(prompt, answer=None) for prompt in recorded.prompts])


def test_without_texts_only_what_rests_on_the_labels_is_judged_anew(tmp_path: Path) -> None:
    recorded = Recorded([Prompt(["gold", "a"], "lru_cache"), Prompt(["a", "b"], "I don't know", setting="k=2")])
    before = judged(tmp_path, recorded)
    facts = json.loads((tmp_path / "injection" / "judgement.json").read_text())
    other = evaluation({"q": ["something else"]}, {"q": {"a": 1}}, fingerprint="def")
    after = judged(tmp_path, without_texts(recorded), other)
    renewed = ["ndcg", "relevant_tokens", "irrelevant_tokens", "unjudged_tokens", "duplicate_tokens"]
    pd.testing.assert_frame_equal(after.drop(columns=renewed), before.drop(columns=renewed))
    assert after["relevant_tokens"].tolist() == [30.0, 30.0]
    assert after["ndcg"].tolist() == pytest.approx([0.63093, 1.0], abs=1e-5)
    again = json.loads((tmp_path / "injection" / "judgement.json").read_text())
    assert {**again, "tables": {}, "seal": ""} == {**facts, "qrels_sha256": "def", "tables": {}, "seal": ""}


def test_without_texts_and_without_a_judgement_before_it_is_refused(tmp_path: Path) -> None:
    folder = without_texts(Recorded([Prompt(["gold"])])).write(tmp_path)
    with pytest.raises(BadInput, match="texts were not kept and no judgement of this recording is here; run 'ragprof"):
        judge_answers(folder, evaluation(), CONTENTS)


def test_a_judgement_of_another_recording_is_not_taken_for_it(tmp_path: Path) -> None:
    judged(tmp_path, Recorded([Prompt(["gold"])]))
    folder = without_texts(Recorded([Prompt(["gold"])], recording="r2")).write(tmp_path)
    with pytest.raises(BadInput, match="no judgement of this recording"):
        judge_answers(folder, evaluation(), CONTENTS)


def test_a_judgement_that_lacks_a_prompt_is_refused(tmp_path: Path) -> None:
    judged(tmp_path, Recorded([Prompt(["gold"])]))
    folder = without_texts(Recorded([Prompt(["gold"]), Prompt(["gold"], setting="k=1")])).write(tmp_path)
    with pytest.raises(BadInput, match=r"judged\.parquet: it lacks some of the recording's prompts"):
        judge_answers(folder, evaluation(), CONTENTS)


def test_a_passage_that_the_corpus_lacks_is_named(tmp_path: Path) -> None:
    folder = Recorded([Prompt(["gold"])], {PLAIN: ["gold", "gone"]}).write(tmp_path)
    with pytest.raises(BadInput, match="passage 'gone' was recorded but is not in the corpus"):
        judge_answers(folder, evaluation(), CONTENTS)


def test_a_prompt_without_an_answer_is_named(tmp_path: Path) -> None:
    folder = Recorded([Prompt(["gold"])]).write(tmp_path)
    path = folder / "injection" / "answers.parquet"
    pd.read_parquet(path).assign(digest="other").to_parquet(path, index=False)
    with pytest.raises(BadInput, match=r"answers\.parquet: 1 prompt has no answer in it .*question 'q'"):
        judge_answers(folder, evaluation(), CONTENTS)


def test_prompts_of_one_text_share_their_answer(tmp_path: Path) -> None:
    folder = Recorded([Prompt(["gold"], "lru_cache"), Prompt(["gold"], "none", setting="k=1")]).write(tmp_path)
    path = folder / "injection" / "prompts.parquet"
    pd.read_parquet(path).assign(digest="digest 0").to_parquet(path, index=False)
    judge_answers(folder, evaluation(), CONTENTS)
    assert pd.read_parquet(folder / "injection" / "judged.parquet")["correct"].tolist() == [1.0, 1.0]
