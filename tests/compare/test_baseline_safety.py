"""A baseline that somebody made by hand, sealed as ours are: refused in one message, whatever it holds."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kept_side import side

from ragprof.core.errors import BadInput
from ragprof.studies.gate import baselines
from ragprof.studies.gate.baselines import listed, read, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(side(), tmp_path / "kept")


def reseal(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "baseline.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps({**document, "seal": baselines.seal(document)}), encoding="utf-8")


def replace_figures(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Other figures under a seal that fits them."""
    stream = io.BytesIO()
    pq.write_table(change(pq.read_table(folder / "figures.parquet")), stream)
    content = stream.getvalue()
    (folder / "figures.parquet").write_bytes(content)
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    reseal(folder, lambda document: document["files"].update({"figures.parquet": entry}))


def with_first_value(table: pa.Table, value: float | None) -> pa.Table:
    values = [value, *table["value"].to_pylist()[1:]]
    return table.set_column(table.schema.get_field_index("value"), "value", pa.array(values, pa.float64()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document.pop("facts"), "it has no facts or no files"),
        (lambda document: document.update(facts=[]), "it has no facts or no files"),
        (lambda document: document.update(files=["figures.parquet"]), "it has no facts or no files"),
        (lambda document: document["facts"].pop("seed"), "its facts lack seed"),
        (lambda document: document["files"].pop("figures.parquet"), "its files are not those of a baseline"),
        (lambda document: document["files"].update({"times.parquet": None}), "its files are not those of a baseline"),
        (
            lambda document: document["files"].update({"../outside": {"bytes": 1, "sha256": ""}}),
            "its files are not those of a baseline",
        ),
        (lambda document: document["facts"].update(title="\ud800"), "surrogates not allowed"),
    ],
)
def test_a_document_with_a_seal_of_its_own_is_still_checked(
    folder: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    reseal(folder, change)
    with pytest.raises(BadInput, match=said):
        read(folder)
    assert said in (listed(folder)[0].wrong or "")


@pytest.mark.parametrize(
    "content",
    ['{"kind": "ragprof baseline", "format": 2, "facts": {"seed": NaN}}', '{"format": -Infinity}', "[" * 100_000],
)
def test_what_json_does_not_know_is_refused(folder: Path, content: str) -> None:
    (folder / "baseline.json").write_text(content)
    with pytest.raises(BadInput, match=r"baseline\.json: not valid JSON"):
        read(folder)


@pytest.mark.parametrize("value", [float("nan"), None])
def test_a_table_with_a_figure_that_is_none_is_refused(folder: Path, value: float | None) -> None:
    replace_figures(folder, lambda table: with_first_value(table, value))
    with pytest.raises(BadInput, match=r"figures\.parquet: a value in it is missing or NaN"):
        read(folder)


def test_a_table_with_other_columns_is_refused(folder: Path) -> None:
    replace_figures(folder, lambda table: table.drop(["value"]))
    with pytest.raises(BadInput, match=r"figures\.parquet: its columns are not pipeline, kind, stage, name"):
        read(folder)


@pytest.mark.parametrize("metadata", [b"no JSON", b'{"index_columns": ["value"], "columns": [], "column_indexes": []}'])
def test_what_pandas_would_take_from_a_file_is_not_believed(folder: Path, metadata: bytes) -> None:
    before = read(folder).figures
    replace_figures(folder, lambda table: table.replace_schema_metadata({b"pandas": metadata}))
    assert read(folder).figures.equals(before)


def test_a_table_of_more_rows_than_any_comparison_has_is_not_unpacked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "MOST_ROWS", 10)
    with pytest.raises(BadInput, match=r"figures\.parquet: it has \d+ rows, of at most 10"):
        read(folder)


@pytest.mark.parametrize(
    ("fact", "value", "said"),
    [
        ("environment", [], "its 'environment' is not what it has to be"),
        ("environment", {"cpu": "x", "cores": 2}, "its 'environment.packages' is not what it has to be"),
        ("pipelines", ["plain"], "its 'pipelines' is not what it has to be"),
        ("corpus", {}, "its 'corpus.name' is not what it has to be"),
        ("metrics", None, "its 'metrics' is not what it has to be"),
        ("created", "yesterday", "its 'created' is not what it has to be"),
        ("queries", "20", "its 'queries' is not what it has to be"),
        ("depths", None, "its 'depths' is not what it has to be"),
        ("disturbance", {"plain": {"waiting": "much"}}, "its 'disturbance.plain.waiting' is not what it has to be"),
    ],
)
def test_a_fact_of_another_type_is_named(folder: Path, fact: str, value: object, said: str) -> None:
    """Each of them was a traceback, and so an exit code of 1 or 70, somewhere behind the reading."""
    reseal(folder, lambda document: document["facts"].update({fact: value}))
    with pytest.raises(BadInput, match=re.escape(f"baseline.json: {said}")):
        read(folder)
    assert said in (listed(folder)[0].wrong or "")
