"""What a model does not read of a text is told: in check, in the recording, in the report and in the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from ragprof.core import Doc, Query
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec, create
from ragprof.evals import EvalConfig
from ragprof.record.pipeline import Pipeline
from ragprof.record.unread import UnreadTexts, left_out_by_injectors, unread_by_embedders, unread_by_rerankers
from ragprof.session.forecast import forecast_eval
from ragprof.session.run import run

EVAL = """
name = "cut"
metrics = ["nDCG@10"]
corpus = { path = "handbook" }
timing = { seconds = 0.1, rounds = 2, min_queries = 1, warmup = 1 }

[[pipelines]]
name = "dense"
embedder = { name = "sentence_transformers", max_tokens = 16 }
store = "faiss_flat"
depth = 5
reranker = { name = "maxsim", max_tokens = 24 }
injector = { name = "token_budget", k = 3, tokens = 120 }
"""

MINILM = {"name": "sentence_transformers", "max_tokens": 16}


@pytest.fixture
def cutting(handbook: Path) -> Path:
    path = handbook.parent / "cut.toml"
    path.write_text(EVAL, encoding="utf-8")
    return path


def test_check_says_how_much_is_cut_before_anything_runs(cutting: Path, cache: Path) -> None:
    told = [much for what, much in forecast_eval(cutting).rows if what == "cut"]
    assert told == [
        "sentence_transformers (dense) reads 16 tokens at most: 24 of 24 passages are longer, and 44% of their tokens "
        "are not read; read them whole with [corpus] chunking = { max_characters = 50 }",
        "maxsim (dense) reads 24 tokens at most: 20 of 24 candidates are longer, and 19% of their tokens are not "
        "read; read them whole with [corpus] chunking = { max_characters = 100 }",
    ]


@pytest.mark.slow
def test_a_run_keeps_what_was_cut_and_warns_of_it(cutting: Path, cache: Path, tmp_path: Path) -> None:
    result = run(cutting, out=tmp_path / "out")
    unread = result.summary["unread"]
    assert [(each["part"], each["what"], each["of"]) for each in unread] == [
        ("sentence_transformers", "passages", 24),
        ("maxsim", "candidates", 60),
        ("injector", "chunks", unread[2]["of"]),
    ]
    assert all(0 < each["cut"] <= each["of"] for each in unread)
    warnings = result.summary["warnings"]
    assert "24 of 24 passages are longer, and 44% of their tokens are not read" in warnings[0]
    assert warnings[2].startswith(f"dense leaves out {unread[2]['cut']} of {unread[2]['of']} chunks")
    assert "44% of their tokens are not read" in result.report.read_text(encoding="utf-8")


def test_lengths_are_counted_once_ever(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = EvalConfig.model_validate(
        {"name": "cut", "pipelines": [{"name": "dense", "store": "faiss_flat", "embedder": MINILM}]}
    )
    parts = Pipeline("dense", embedder=MINILM, store="faiss_flat").parts()
    assert parts.embedder is not None
    parts.embedder.load()
    texts = [" ".join(["rule"] * 40), "short", " ".join(["exception"] * 30)]

    def found() -> list[UnreadTexts]:
        return list(unread_by_embedders(config, [parts], passages=texts, queries=texts[:1], cache=cache))

    first = found()
    assert [(one.what, one.cut, one.of, one.tokens, one.kept) for one in first] == [
        ("passages", 2, 3, 74, 32),
        ("queries", 1, 1, 42, 16),
    ]
    monkeypatch.setattr(type(parts.embedder), "document_lengths", lambda *_: pytest.fail("counted again"))
    monkeypatch.setattr(type(parts.embedder), "query_lengths", lambda *_: pytest.fail("counted again"))
    assert found() == first


def test_a_text_is_cut_where_the_model_reads_less_of_it() -> None:
    embedder = create("embedders", PartSpec(name="sentence_transformers", max_tokens=8))
    short, long = embedder.query_lengths(["tea", "a question of many words that goes on and on, for ever"])
    assert (short.tokens, short.kept, long.tokens, long.kept) == (3, 3, 15, 8)
    reranker = create("rerankers", PartSpec(name="maxsim", max_tokens=8))
    (pair,) = reranker.lengths([(Query("q", "tea"), Doc("d", "", "one two three four five six seven eight", "d"))])
    assert (pair.tokens, pair.kept) == (10, 8)


def test_chunks_that_a_budget_or_a_window_leaves_out_are_counted_together() -> None:
    rows = [
        ("q", "docs_injected", 3),
        ("q", "docs_passed_over", 2),
        ("r", "docs_injected", 4),
        ("r", "docs_dropped", 1),
    ]
    tables = {"all": pd.DataFrame(rows[::2], columns=["query_id", "unit", "count"])}
    tables["some"] = pd.DataFrame(rows, columns=["query_id", "unit", "count"])
    (told,) = left_out_by_injectors(tables)
    assert (told.pipelines, told.cut, told.of) == (("some",), 3, 10)


NOBODY_KNOWS = "..."
UNKNOWN = """
name = "unknown"
metrics = ["nDCG@10"]
corpus = { path = "handbook" }
timing = { seconds = 0.1, rounds = 2, min_queries = 1, warmup = 1 }

[[pipelines]]
name = "dense"
embedder = "hashing"
store = "faiss_flat"
depth = 5

[[pipelines]]
name = "words"
store = "bm25s"
depth = 5
"""


def test_a_passage_and_a_query_without_a_known_word_are_left_out_of_that_index_and_counted(
    handbook: Path, cache: Path
) -> None:
    folder = handbook.parent
    for name, key in (("corpus", "dots"), ("queries", "qx")):
        with (folder / "handbook" / f"{name}.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(f"{json.dumps({'_id': key, 'text': NOBODY_KNOWS})}\n")
    with (folder / "handbook" / "qrels" / "test.tsv").open("a") as stream:
        stream.write("qx\tleave-annual\t1\n")
    (folder / "unknown.toml").write_text(UNKNOWN, encoding="utf-8")
    for _ in range(2):  # from the cache, too
        result = run(folder / "unknown.toml", out=folder / "out")
        told = [warning for warning in result.summary["warnings"] if "knows no word" in warning]
        assert told == [
            "hashing (dense) knows no word of 1 of 25 passages: it is not in its index; name an embedder that knows "
            "its language",
            "hashing (dense) knows no word of 1 of 13 queries: it is searched for in vain; name an embedder that knows "
            "its language",
        ]
        assert result.summary["pipelines"]["dense"]["empty_rankings"] == 1
        found = pd.read_parquet(folder / "out" / "rankings" / "dense.parquet")
        assert "dots" not in set(found["doc_id"])
        assert "qx" not in set(found["query_id"])


def test_an_embedder_that_knows_no_word_of_the_whole_corpus_is_refused(handbook: Path, cache: Path) -> None:
    folder = handbook.parent
    lines = (folder / "handbook" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    dots = [json.dumps({**json.loads(line), "title": "", "text": NOBODY_KNOWS}) for line in lines]
    (folder / "handbook" / "corpus.jsonl").write_text("\n".join(dots), encoding="utf-8")
    (folder / "unknown.toml").write_text(UNKNOWN, encoding="utf-8")
    with pytest.raises(BadInput, match="knows no word of any passage, so nothing could be found; name one that knows"):
        run(folder / "unknown.toml", out=folder / "out")


def test_a_server_is_said_to_cut_what_it_is_told_to_cut_or_may_cut() -> None:
    """Tokens are those of the eval's tokenizer: nobody knows the server's."""
    docs = [Doc("short", "", "pay " * 20, "short"), Doc("long", "", "pay " * 700, "long")]
    pairs = {"p": [(Query("q", "when is pay day"), doc) for doc in docs]}
    told = {}
    for options in ({"max_tokens_per_doc": 100}, {}, {"truncate": False}):
        spec = {"name": "rerank_api", "base_url": "http://127.0.0.1:9", "model": "m", "dialect": "voyage"}
        if "max_tokens_per_doc" in options:
            spec["dialect"] = "cohere"
        pipeline = {"name": "p", "store": "bm25s", "reranker": spec | options}
        config = EvalConfig.model_validate({"name": "e", "pipelines": [pipeline]})
        parts = Pipeline("p", store="bm25s", reranker=spec | options).parts()
        told[str(options)] = [each.sentence for each in unread_by_rerankers(config, [parts], pairs)]
    assert told == {
        "{'max_tokens_per_doc': 100}": [
            "rerank_api (p) reads 100 tokens at most: 1 of 2 candidates are longer, and 86% of their tokens are not "
            "read; read them whole with [corpus] chunking = { max_characters = 350 }"
        ],
        "{}": [
            "rerank_api (p) has its server cut what is too long for the model, and is not told how much: 1 of 2 "
            "candidates are longer than 512 tokens; truncate = false has it refuse them"
        ],
        "{'truncate': False}": [],
    }
