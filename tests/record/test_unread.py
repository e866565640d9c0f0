"""What a model does not read of a text is told: in check, in the recording, in the report and in the terminal."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ragprof.core import Doc, Query
from ragprof.core.registry import PartSpec, create
from ragprof.record.unread import left_out_by_injectors
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
