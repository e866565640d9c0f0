"""How a table or a JSON file of a recording is read: what it must hold is checked, and what is wrong is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NotRequired

import pandas as pd
import pytest
from typing_extensions import TypedDict

from ragprof.core.errors import BadInput
from ragprof.core.files import write_json, write_table
from ragprof.core.recorded import RecordedJson, RecordedTable, reading, recorded_by, seal_again, write_sealed

BILL = RecordedTable(
    text="query_id rate", whole="rank round", number="score", flag="identical", money="usd",
    nullable="rate rank", later="round", metrics=True, remedy=recorded_by("ragprof audit"),
)  # fmt: skip
ROWS = pd.DataFrame(
    {
        "query_id": ["a", "b"],
        "rate": ["own/rate", None],
        "rank": pd.array([1, None], dtype="Int64"),
        "round": [0, 1],
        "score": [0.5, None],
        "identical": [True, False],
        "usd": [Decimal("0.1"), None],
        "nDCG@10": [1.0, 0.5],
    }
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_table(tmp_path / "bill.parquet", ROWS)
    return tmp_path / "bill.parquet"


def test_a_table_comes_back_with_its_columns_and_rows(path: Path) -> None:
    pd.testing.assert_frame_equal(BILL.read(path), pd.read_parquet(path))


def test_columns_of_newer_versions_may_be_missing(path: Path) -> None:
    write_table(path, ROWS.drop(columns="round"))
    assert "round" not in BILL.read(path)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (ROWS.drop(columns="score"), "it lacks the column 'score'"),
        (ROWS.drop(columns="nDCG@10"), "it lacks the column 'nDCG@10'"),
        (ROWS.iloc[:0], "it has no rows"),
        (ROWS.assign(query_id=[1, 2]), "its column 'query_id' is of int64 instead of text"),
        (ROWS.assign(query_id=["a", None]), "its column 'query_id' has cells without a value"),
        (ROWS.assign(rank=["1", "2"]), "its column 'rank' is of string instead of whole numbers"),
        (ROWS.assign(round=[0.5, 1.5]), "its column 'round' is of double instead of whole numbers"),
        (ROWS.assign(score=["0.5", ""]), "its column 'score' is of string instead of numbers"),
        (ROWS.assign(identical=[0, 1]), "its column 'identical' is of int64 instead of true and false"),
        (ROWS.assign(usd=[0.1, 0.2]), "its column 'usd' is of double instead of decimals"),
        (ROWS.assign(**{"nDCG@10": "high"}), "its column 'nDCG@10' is of string instead of numbers"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_with_the_command_that_makes_it(
    path: Path, table: pd.DataFrame, told: str
) -> None:
    write_table(path, table)
    with pytest.raises(BadInput) as raised:
        BILL.read(path, also=("nDCG@10",))
    message = str(raised.value).replace("large_string", "string")
    assert message == f"{path}: {told}; record it again with 'ragprof audit'"


def test_a_table_that_may_be_empty_may_be_so(path: Path) -> None:
    write_table(path, pd.DataFrame([], columns=["query_id", "first_token_ns"]))
    assert RecordedTable(text="query_id", whole="first_token_ns", may_be_empty=True).read(path).empty


def test_a_truncated_table_says_to_record_again(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadInput, match=r"bill\.parquet: not a readable Parquet file .* record it again"):
        BILL.read(path)


def test_a_missing_table_is_named_and_asked_about(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent: this file is missing; is this the folder of a ragprof recording\?"):
        BILL.read(tmp_path / "absent")


@pytest.mark.parametrize(
    ("folder", "command"), [("growth/sizes/60", "ragprof grow --fresh"), ("growth", "ragprof run"), ("", "ragprof run")]
)
def test_a_table_of_a_main_recording_names_what_makes_that_one(tmp_path: Path, folder: str, command: str) -> None:
    path = tmp_path / "out" / folder / "spans.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 cut short")
    with pytest.raises(BadInput, match=f"record it again with '{command}'"):
        RecordedTable(text="pipeline").read(path)


class Inner(TypedDict):
    """A part of it."""

    docs: int


class Facts(TypedDict):
    """What is asked for."""

    corpus: Inner
    names: NotRequired[list[str]]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({}, "it has no 'corpus'"),
        ({"corpus": {}}, "it has no 'corpus.docs'"),
        ({"corpus": {"docs": "3"}}, "its 'corpus.docs' is not as ragprof writes it (Input should be a valid integer)"),
        (
            {"corpus": {"docs": 3}, "names": "ab"},
            "its 'names' is not as ragprof writes it (Input should be a valid array)",
        ),
    ],
)
def test_what_is_wrong_with_a_json_file_is_told(tmp_path: Path, content: dict[str, Any], told: str) -> None:
    path = tmp_path / "manifest.json"
    write_json(path, content)
    with pytest.raises(BadInput) as raised:
        RecordedJson(Facts).read(path)
    assert str(raised.value) == f"{path}: {told}; record it again with 'ragprof run'"


def test_a_json_file_keeps_what_nobody_asks_for(tmp_path: Path) -> None:
    facts = {"corpus": {"docs": 3, "name": "a"}, "more": [1]}
    write_json(tmp_path / "manifest.json", facts)
    assert RecordedJson(Facts).read(tmp_path / "manifest.json") == facts


def sealed(folder: Path) -> Path:
    write_table(folder / "bill.parquet", ROWS)
    write_sealed(folder / "manifest.json", {"arms": {"a": 1}}, "*.parquet")
    return folder


def test_a_table_of_another_pass_is_refused_until_it_is_sealed_again(tmp_path: Path) -> None:
    table = sealed(tmp_path) / "bill.parquet"
    write_table(table, ROWS.iloc[::-1])
    with pytest.raises(BadInput, match=r"bill\.parquet: it is not the table that manifest\.json was written with"):
        BILL.read(table)
    seal_again(tmp_path / "manifest.json", table)
    assert BILL.read(table)["query_id"].tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda kept: kept["arms"].clear(), r"manifest\.json: it was edited \(its seal differs\) and does not fit"),
        (lambda kept: kept.pop("seal"), r"the files of this recording do not fit together \(KeyError: 'b'\)"),
    ],
)
def test_what_does_not_fit_is_told_of_an_edited_or_an_old_recording(
    tmp_path: Path, edit: Callable[[dict[str, Any]], Any], said: str
) -> None:
    path = sealed(tmp_path) / "manifest.json"
    kept = json.loads(path.read_text())
    edit(kept)
    path.write_text(json.dumps(kept))
    with pytest.raises(BadInput, match=said), reading(tmp_path):
        raise KeyError("b")


def test_a_crash_over_files_that_are_as_they_were_written_is_a_crash(tmp_path: Path) -> None:
    with pytest.raises(KeyError), reading(sealed(tmp_path)):
        raise KeyError("b")
