"""`ragprof chunking`: ways to cut at one budget, judged by spans of documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from words_kept import words_kept

import ragprof
from ragprof.core.errors import BadInput
from ragprof.session.again import Result
from ragprof.studies.chunking.spans import TextSpan, answer_spans, token_scores

MARKED = "[chunking]\nvariants = [{ max_characters = 600 }]\n"
TEXTS = {"d": "a b c d e f g h i j", "e": "k l m n"}


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize(
    ("wanted", "held", "scores"),
    [
        # t_e = c d e f; the passage c..h has 6 tokens, 4 of them wanted.
        ([("d", 4, 11)], [("d", 4, 15)], (1.0, 4 / 6, 4 / 6)),
        ([("d", 4, 11)], [("d", 0, 7)], (2 / 4, 2 / 4, 2 / 6)),
        # Overlapping passages a..d and c..f: c and d are counted once in both, twice in what was retrieved.
        ([("d", 4, 11)], [("d", 0, 7), ("d", 4, 11)], (1.0, 4 / 8, 4 / 8)),
        ([("d", 0, 19), ("e", 0, 7)], [("e", 0, 7)], (4 / 14, 1.0, 4 / 14)),
        ([("d", 0, 3), ("d", 2, 7)], [("d", 0, 7)], (1.0, 1.0, 1.0)),
        ([("d", 0, 3)], [("e", 0, 3)], (0.0, 0.0, 0.0)),
        ([("d", 0, 3)], [], (0.0, 0.0, 0.0)),
    ],
)
def test_recall_precision_and_iou_by_tokens(
    wanted: list[tuple[str, int, int]], held: list[tuple[str, int, int]], scores: tuple[float, float, float]
) -> None:
    found = token_scores([TextSpan(*each) for each in wanted], [TextSpan(*each) for each in held], TEXTS, words)
    assert found == pytest.approx(scores)


def test_an_answer_is_a_span_of_every_relevant_document_that_states_it() -> None:
    assert answer_spans(["m", "c d", "", "zz"], ["d", "e"], TEXTS) == [TextSpan("d", 4, 7), TextSpan("e", 4, 5)]


EVAL = """
name = "cutting"
[corpus]
path = "pages"
chunking = { splitter = "text", max_characters = 120 }
[timing]
seconds = 0.1
rounds = 2
min_queries = 2
patience = 0
[chunking]
budget = 120
spans = "spans.parquet"
variants = [
  { splitter = "text", max_characters = 40 },
  { splitter = "text", max_characters = 40, overlap = 20 },
  { splitter = "text", max_characters = 400 },
]
[prices]
llm = "openai:gpt-4o-mini"
embed = "openai:text-embedding-3-small"
[[pipelines]]
name = "dense"
embedder = "hashing"
store = "faiss_flat"
depth = 4
injector = { name = "top_k", k = 2 }
"""
SENTENCES = (
    "The lamp of tower {n} is lit at {n} past the hour. Its keeper writes the fuel down every night in the blue book. "
    "Whoever visits tower {n} has to ring the bell of the gate {n} times before noon. "
    "Boats wait at the pier of the town."
)


def write_pages(home: Path) -> Path:
    """Twelve pages of four sentences; each question's answer crosses the border between the first two sentences."""
    (home / "pages" / "qrels").mkdir(parents=True)
    docs = [{"_id": f"p{n}", "title": "", "text": SENTENCES.format(n=n)} for n in range(10, 22)]
    asked = [
        {"_id": f"q{n}", "text": f"When is the lamp of tower {n} lit?",
         "metadata": {"answers": [f"at {n} past the hour. Its keeper"]}}
        for n in range(10, 20)
    ]  # fmt: skip
    (home / "pages" / "corpus.jsonl").write_text("\n".join(map(json.dumps, docs)))
    (home / "pages" / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
    qrels = "".join(f"q{n}\tp{n}\t1\n" for n in range(10, 20))
    (home / "pages" / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{qrels}")
    (home / "cutting.toml").write_text(EVAL)
    text = SENTENCES.format(n=18)
    marked = [
        {"query_id": "q18", "doc_id": "p18", "start": text.index("Boats"), "end": len(text)},
        {"query_id": "q19", "doc_id": "p19", "text": "ring the bell\nof the gate"},
        {"query_id": "q19", "doc_id": "p19", "text": "nobody wrote this"},
        {"query_id": "q77", "doc_id": "p19", "text": "Boats wait"},
        {"query_id": "q10", "doc_id": "p99", "text": "Boats wait"},
    ]  # fmt: skip
    pd.DataFrame(marked).to_parquet(home / "spans.parquet")
    return home / "cutting.toml"


@pytest.fixture(scope="module")
def chunked(tmp_path_factory: pytest.TempPathFactory) -> Result:
    home = tmp_path_factory.mktemp("cutting")
    eval_file = write_pages(home)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(home / "cache"))
        return ragprof.chunking(eval_file, out=home / "out", keep_text=False)


@pytest.fixture(scope="module")
def section(chunked: Result) -> dict[str, Any]:
    return dict(chunked.summary["chunking"])


def test_every_way_to_cut_gets_the_same_budget(chunked: Result, section: dict[str, Any]) -> None:
    assert [cut["variant"] for cut in section["cuts"]] == ["as declared", "text 40", "text 40, overlap 20", "text 400"]
    for cut in section["cuts"]:
        folder = chunked.folder / "chunking" / "variants" / cut["variant"]
        usage = pd.read_parquet(folder / "usage.parquet")
        prompts = usage[usage["unit"] == "prompt_tokens"]["count"]
        assert prompts.max() <= 120
        if cut["variant"] != "text 400":  # whole pages leave more room than any page would fill
            assert prompts.min() >= 120 - 1.6 * cut["tokens_per_passage"]


def test_no_word_of_a_document_a_question_or_an_answer_is_kept(chunked: Result) -> None:
    kept = words_kept(chunked.folder)
    assert "p13" in kept
    for words in ("Its keeper", "Boats wait", "is the lamp of tower"):
        assert words not in kept


def test_answers_that_cross_a_border_are_counted(section: dict[str, Any]) -> None:
    cut = {each["variant"]: each["cut_answers"]["mean"] for each in section["cuts"]}
    assert (section["answered"], section["marked"]) == (8, 2)
    assert cut["text 40"] == 0.9  # of what is marked, "Boats wait at the pier of the town." fits into one passage
    assert cut["text 400"] == 0.0


def test_marked_spans_take_the_place_of_answers(chunked: Result, section: dict[str, Any]) -> None:
    assert section["left_out"] == {
        "of questions that the eval does not ask": 1,
        "of documents that the corpus does not have": 1,
        "whose words are not in their document": 1,
    }
    told = "spans are those that a file marks for 2 questions and the answers of 8 questions."
    assert [sentence for sentence in section["statements"] if sentence.endswith(told)]
    spans = pd.read_parquet(chunked.folder / "chunking" / "spans.parquet").set_index(["variant", "query_id"])
    whole = spans.loc[("text 400", "q19")]
    assert (whole["recall"], whole["precision"] < 0.2) == (1.0, True)  # six words of a page


def test_each_is_compared_with_the_chunking_as_declared(section: dict[str, Any]) -> None:
    rows = section["pipelines"]["dense"]
    assert rows[0]["recall"]["change"] is None
    for row in rows[1:]:
        change = row["recall"]["change"]
        assert (change["n"], row["priced"]["quality"]["change"]["n"]) == (10, 10)
        assert row["recall"]["mean"] - rows[0]["recall"]["mean"] == pytest.approx(change["mean"])
    sizes = {row["priced"]["variant"]: row["priced"] for row in rows}
    assert sizes["text 40"]["index_bytes"] > sizes["text 400"]["index_bytes"]
    # text-embedding-3-small reads a million tokens for 0.02 USD.
    for row in sizes.values():
        assert float(row["embed_usd"]) == pytest.approx(row["tokens"] * 0.02 / 1e6, rel=1e-4)
    assert sizes["text 40, overlap 20"]["tokens"] > sizes["text 40"]["tokens"]


def test_spans_are_judged_in_whatever_passages_there_are(chunked: Result) -> None:
    """Recomputed from the files: characters of the answer that the prompt's passages hold."""
    place = chunked.folder / "chunking"
    spans = pd.read_parquet(place / "spans.parquet").set_index(["variant", "query_id"])
    text = SENTENCES.format(n=10)
    start = text.index("at 10 past")
    for variant in ("text 40", "text 400"):
        here = place / "variants" / variant
        placed = pd.read_parquet(here / "placed.parquet").set_index("doc_id")
        ranking = pd.read_parquet(here / "rankings" / "dense.parquet")
        held = ranking[(ranking["query_id"] == "q10") & (ranking["stage"] == "inject")]["doc_id"]
        inside = {at for name in held if placed.loc[name, "document_id"] == "p10"
                  for at in range(placed.loc[name, "start"], placed.loc[name, "end"])}  # fmt: skip
        wanted = set(range(start, start + len("at 10 past the hour. Its keeper")))
        share = len(wanted & inside) / len(wanted)
        assert spans.loc[(variant, "q10"), "recall"] == pytest.approx(share, abs=0.2)
        assert (spans.loc[(variant, "q10"), "recall"] == 1) == (wanted <= inside)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "there is nothing to compare the chunking with"),
        ("[chunking]\nvariants = [{ max_characters = 600 }, { max_characters = 600 }]\n", "stands twice"),
        ("[chunking]\nvariants = [{ max_characters = 10, overlap = 20 }]\n", "must be smaller"),
        (MARKED + 'spans = "gone.jsonl"', "gone.jsonl: there is no such file; check the path"),
        (MARKED + 'spans = "other.jsonl"', "no span in it can be used: 1 of questions that the eval does not ask"),
        (
            MARKED + 'spans = "far.jsonl"',
            "far.jsonl:1: characters 5 to 999 are no stretch of 'leave-annual', which has 137",
        ),
        (MARKED + 'spans = "bare.jsonl"', "bare.jsonl:1: a span has 'start' and 'end', or its words as 'text'"),
    ],
)
def test_variants_that_make_no_sense_are_refused(
    table: str, said: str, handbook: Path, cache: Path, tmp_path: Path
) -> None:
    handbook.write_text(f"{handbook.read_text()}\n{table}")
    for name, line in {
        "other": {"query_id": "nobody", "doc_id": "leave-annual", "text": "28 days"},
        "far": {"query_id": "q01", "doc_id": "leave-annual", "start": 5, "end": 999},
        "bare": {"query_id": "q01", "doc_id": "leave-annual"},
    }.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(line))
    with pytest.raises(BadInput, match=said):
        ragprof.chunking(handbook, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
