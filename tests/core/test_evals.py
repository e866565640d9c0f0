"""Eval files: every key is checked, and what is wrong is said with its file, its line and the nearest name."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from ragprof.core.errors import BadInput, UnknownName
from ragprof.evals import DEFAULT_METRICS, EvalConfig, line_of, read_eval

MINIMAL = 'name = "tiny"\n[[pipelines]]\nname = "a"\nstore = "bm25s"\n'
FULL = """# An eval file with every table.
name = "tiny"
title = "All tables"
seed = 7
metrics = ["nDCG@10", "AP"]

[corpus]
path = "pages"
format = "folder"
chunking = { max_characters = 400 }

[evaluation]
queries = "queries.jsonl"
qrels = "qrels.tsv"

[timing]
seconds = 10
rounds = 4

[prices]
llm = "openai:gpt-5-mini"
utilisation = 0.25

[[pipelines]]
name = "dense"
embedder = "hashing"
store = "faiss_flat"
depth = 30
injector = { name = "token_budget", tokens = 900, k = 12 }

[[pipelines]]
name = "hybrid + rerank"
embedder = { name = "hashing", dimensions = 64 }
reranker = "overlap"
[pipelines.store]
name = "rrf"
stores = ["bm25s", "faiss_flat"]
[pipelines.prices]
rerank = "free"
"""


@pytest.fixture
def eval_file(tmp_path: Path) -> Path:
    return tmp_path / "eval.toml"


def read(path: Path, text: str) -> EvalConfig:
    path.write_text(text, encoding="utf-8", newline="")
    return read_eval(path)


def complaint(path: Path, text: str) -> str:
    """The message without the folder: eval.toml:7: ..."""
    with pytest.raises(BadInput) as caught:
        read(path, text)
    assert caught.value.file == path
    return str(caught.value).removeprefix(f"{path.parent}/")


def line_with(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.split("\n"), start=1) if part in line)


def test_a_minimal_file_takes_the_defaults(eval_file: Path) -> None:
    config = read(eval_file, MINIMAL)
    (pipeline,) = config.pipelines
    assert (config.name, config.seed, config.metrics) == ("tiny", 0, DEFAULT_METRICS)
    assert (pipeline.depth, pipeline.embedder, pipeline.reranker.name, pipeline.injector.name) == (
        20, None, "none", "top_k",
    )  # fmt: skip
    assert config.prices.utilisation is None


def test_a_full_file_is_read_as_it_stands(eval_file: Path) -> None:
    config = read(eval_file, FULL)
    dense, hybrid = config.pipelines
    assert (config.seed, config.timing.rounds, config.timing.seconds) == (7, 4, 10.0)
    assert config.prices.utilisation == Decimal("0.25")
    assert config.corpus.chunking is not None
    assert (dense.depth, dict(dense.injector.options)) == (30, {"tokens": 900, "k": 12})
    assert (hybrid.store.name, dict(hybrid.store.options)) == ("rrf", {"stores": ["bm25s", "faiss_flat"]})
    assert hybrid.prices.rerank == "free"


@pytest.mark.parametrize(
    ("right", "wrong", "close"),
    [
        ("seed = 7", "sed = 7", "seed"),
        ('format = "folder"', 'fromat = "folder"', "format"),
        ("chunking = { max_characters", "chunking = { max_character", "max_characters"),
        ("chunking = { max_characters = 400 }", "chunking.max_character = 400", "max_characters"),
        ('qrels = "', 'qrel = "', "qrels"),
        ("[timing]", "[timings]", "timing"),
        ("rounds = 4", "'round' = 4", "rounds"),
        ("utilisation", "utilization", "utilisation"),
        ("depth = 30", "deph = 30", "depth"),
        ('reranker = "overlap"', 'rerankers = "overlap"', "reranker"),
        ("[pipelines.prices]", "[pipelines.price]", "prices"),
        ('rerank = "free"', 'rerankk = "free"', "rerank"),
    ],
)
def test_a_wrong_key_is_named_with_its_line_and_the_nearest_right_one(
    eval_file: Path, right: str, wrong: str, close: str
) -> None:
    text = FULL.replace(right, wrong)
    message = complaint(eval_file, text)
    assert message.startswith(f"eval.toml:{line_with(text, wrong)}: no key named ")
    assert f"did you mean '{close}'? There are: " in message
    with pytest.raises(UnknownName):
        read(eval_file, text)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("seed = 7", 'seed = "seven"', "seed: Input should be a valid integer"),
        ('"nDCG@10", "AP"', '"nDCG@10", 5', "metrics.1: Input should be a valid string"),
        ('format = "folder"', 'format = "pdf"', "corpus.format: Input should be 'auto', 'beir', 'jsonl' or 'folder'"),
        ("max_characters = 400", 'max_characters = "x"', "corpus.chunking.max_characters: Input should be a valid"),
        ("seconds = 10", "seconds = inf", "timing.seconds: Input should be a finite number"),
        ("rounds = 4", "rounds = 1", "timing.rounds: Input should be greater than or equal to 2"),
        ("utilisation = 0.25", "utilisation = 1.5", "prices.utilisation: Input should be less than or equal to 1"),
        ("utilisation = 0.25", "utilisation = true", "prices.utilisation: Input should be a valid decimal"),
        ("depth = 30", "depth = 0", "pipelines.0.depth: Input should be greater than or equal to 1"),
        ('store = "faiss_flat"', "store = 5", "pipelines.0.store: Input should be a valid dictionary"),
        ('store = "faiss_flat"', "store = { k = 1 }", "pipelines.0.store.name: Field required"),
        (
            'name = "hybrid + rerank"',
            'name = "hybrid/rerank"',
            "pipelines.1.name: 'hybrid/rerank' cannot be a name",
        ),
        ('name = "rrf"', "name = 5", "pipelines.1.store.name: Input should be a valid string"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(eval_file: Path, right: str, wrong: str, message: str) -> None:
    text = FULL.replace(right, wrong)
    assert complaint(eval_file, text).startswith(f"eval.toml:{line_with(text, wrong)}: {message}")


def test_a_missing_key_of_a_table_is_said_at_the_tables_head(eval_file: Path) -> None:
    text = MINIMAL + '\n[[pipelines]]\nname = "b"\n'
    assert complaint(eval_file, text) == "eval.toml:6: pipelines.1.store: Field required"


@pytest.mark.parametrize("text", ["", 'name = "tiny"\n'])
def test_a_missing_key_of_the_file_is_said_without_a_line(eval_file: Path, text: str) -> None:
    assert re.fullmatch(r"eval\.toml: (name|pipelines): Field required", complaint(eval_file, text))


def test_two_pipelines_of_one_name_are_refused_at_the_second(eval_file: Path) -> None:
    text = MINIMAL + '\n[[pipelines]]\nstore = "bm25s"\nname = "a"\n'
    assert complaint(eval_file, text) == "eval.toml:8: two pipelines are named a; each needs its own name"


def test_more_chunks_than_candidates_are_refused_where_k_stands(eval_file: Path) -> None:
    inline = MINIMAL + 'depth = 10\ninjector = { name = "top_k", k = 11 }\n'
    table = MINIMAL + 'depth = 10\n[pipelines.injector]\nname = "top_k"\nk = 11\n'
    message = "pipelines.0: k = 11 chunks cannot be injected from depth = 10 candidates; raise depth or lower k"
    assert complaint(eval_file, inline) == f"eval.toml:6: {message}"
    assert complaint(eval_file, table) == f"eval.toml:8: {message}"
    assert read(eval_file, inline.replace("11", "10")).pipelines[0].depth == 10


def test_a_depth_below_the_default_k_is_refused_where_the_depth_stands(eval_file: Path) -> None:
    assert complaint(eval_file, MINIMAL + "depth = 4\n").startswith("eval.toml:5: pipelines.0: k = 5 chunks")
    assert read(eval_file, MINIMAL + "depth = 5\n").pipelines[0].depth == 5


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(eval_file: Path) -> None:
    plain = read(eval_file, FULL)
    assert read(eval_file, "\ufeff" + FULL) == plain
    assert read(eval_file, FULL.replace("\n", "\r\n")) == plain
    wrong = FULL.replace("depth = 30", "deph = 30")
    line = f"eval.toml:{line_with(wrong, 'deph')}:"
    assert complaint(eval_file, "\ufeff" + wrong.replace("\n", "\r\n")).startswith(line)


def test_what_unicode_calls_a_line_end_and_toml_does_not_moves_no_line(eval_file: Path) -> None:
    text = 'name = "tiny"\ntitle = "a\u2028b\u0085c"\nmetrix = []\n' + MINIMAL.partition("\n")[2]
    assert complaint(eval_file, text).startswith("eval.toml:3: no key named 'metrix'")


def test_a_file_that_is_not_utf8_says_at_which_byte(eval_file: Path) -> None:
    eval_file.write_bytes('name = "größe"'.encode("latin-1"))
    with pytest.raises(BadInput, match=r"eval\.toml: this eval file is not UTF-8 \(byte 10\); save it as UTF-8"):
        read_eval(eval_file)


def test_a_missing_file_names_one_to_start_from(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(BadInput, match=r"no such eval file; start from evals/python-docs\.toml"):
            read_eval(path)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ('name = "a"\nname = \n', "eval.toml:2: not valid TOML: "),
        ('name = "a"\n\nname = "b"\n', "eval.toml:3: not valid TOML: "),
        ('name = "a"\n[corpus\n', "eval.toml:2: not valid TOML: "),
        ('name = "a', "eval.toml: not valid TOML: "),
    ],
)
def test_invalid_toml_is_said_with_its_line(eval_file: Path, text: str, start: str) -> None:
    assert complaint(eval_file, text).startswith(start)


@pytest.mark.parametrize(
    ("location", "part"),
    [
        (("pipelines", 0, "depth"), "depth = 30"),
        (("pipelines", 0, "injector", "tokens"), "injector = "),
        (("pipelines", 1, "store", "stores", 1), "stores = ["),
        (("pipelines", 1, "prices", "rerank"), 'rerank = "free"'),
        (("pipelines", 1, "depth"), 'name = "hybrid'),
        (("corpus", "path"), 'path = "pages"'),
    ],
)
def test_the_line_of_a_key_or_of_the_nearest_table_around_it(location: tuple[str | int, ...], part: str) -> None:
    expected = line_with(FULL, part) - (location == ("pipelines", 1, "depth"))
    assert line_of(FULL, location) == expected


def test_a_key_that_stands_nowhere_has_no_line() -> None:
    assert line_of(FULL, ("traffic", "queries_per_month")) is None
