"""Files of ours, and eval files, with any of their bytes or members others: one message or a result, nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kept_side import side
from unsealed import unsealed

from ragprof.core.errors import RagprofError
from ragprof.evals.reading import read_eval
from ragprof.evals.recorded import manifest_of
from ragprof.exports.per_query import per_query_table
from ragprof.exports.trec import run_texts
from ragprof.labels.pool import read_pool
from ragprof.price.rates import books_folder, read_book
from ragprof.studies.gate import baselines
from ragprof.studies.gate.evidence import of_recording
from ragprof.studies.profile.analysis import profile_of

DATA = Path(__file__).parents[1] / "data"
Door = tuple[Path, Callable[[Path], object]]
POOL = {
    "query_id": "q",
    "pooled": ["a"],
    "below": ["b"],
    "unpooled": 3,
    "question_digest": "",
    "passage_digests": ["x"],
}
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, 1e308, float("nan"), "", "x" * 300, "../..", "\ud800", "\x1b]0;x\x07", [], [[]], {},
    {"": {}},
)  # fmt: skip


@pytest.fixture(scope="module")
def doors(recorded_handbook: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Door]]:
    """Kind -> files that are damaged, each with what reads it."""
    top = tmp_path_factory.mktemp("doors")
    home = unsealed(Path(shutil.copytree(recorded_handbook, top / "recording")))
    kept = baselines.save(side(), top / "kept" / "side")
    (top / "pool.jsonl").write_text("".join(json.dumps(POOL) + "\n" for _ in range(3)))
    books = [Path(shutil.copy(path, top)) for path in sorted(books_folder().glob("rerankers.toml"))]
    files = sorted(
        path for path in home.rglob("*") if path.suffix in (".json", ".parquet") and path.name != "drawn.json"
    )
    return {
        "recordings": [(path, partial(of_a_recording, home, READERS[:2])) for path in files],
        "whole recordings": [(path, partial(of_a_recording, home, READERS)) for path in files],
        "baselines": [(path, partial(of_a_baseline, kept)) for path in sorted(kept.iterdir())],
        "books": [(path, read_book) for path in books],
        "evals": [(Path(shutil.copy(DATA / "handbook.toml", top)), read_eval)],
        "pools": [(top / "pool.jsonl", read_pool)],
    }


READERS: tuple[Callable[[Path], object], ...] = (
    of_recording, lambda home: per_query_table(home, manifest_of(home).names), run_texts, profile_of,
)  # fmt: skip


def of_a_recording(home: Path, readers: Sequence[Callable[[Path], object]], _path: Path) -> None:
    for read in readers:
        attempted(partial(read, home))


def of_a_baseline(folder: Path, _path: Path) -> None:
    attempted(partial(baselines.read, folder))
    assert len(baselines.listed(folder.parent)) <= 1


def attempted(read: Callable[[], object]) -> None:
    with suppress(RagprofError):
        read()


def cut(content: bytes, data: st.DataObject) -> bytes:
    """With some bytes replaced, deleted or doubled."""
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        end = min(len(content), at + data.draw(st.sampled_from([0, 1, 4, 64, 10_000])))
        put = data.draw(
            st.sampled_from([b"", b"\0", b"\xff\xfe", b"[" * 2_000, b"9" * 5_000, content[at:end] * 2, b'"', b"\n"])
        )
        content = content[:at] + put + content[end:]
    return content


def other_member(value: Any, data: st.DataObject) -> Any:
    """The document with one member, at any depth, lost or another."""
    if isinstance(value, dict) and value:
        name = data.draw(st.sampled_from(sorted(value)))
        change = data.draw(st.sampled_from(["deeper", "deeper", "lost", "other"]))
        if change == "lost":
            return {key: each for key, each in value.items() if key != name}
        return {
            **value,
            name: other_member(value[name], data) if change == "deeper" else data.draw(st.sampled_from(ODD)),
        }
    if isinstance(value, list) and value and data.draw(st.booleans()):
        return [other_member(value[0], data), *value[1:]]
    return data.draw(st.sampled_from(ODD))


def try_damages(doors: list[Door], cases: int) -> None:
    @settings(
        max_examples=cases, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def damaged(data: st.DataObject) -> None:
        path, read = data.draw(st.sampled_from(doors))
        whole = path.read_bytes()
        content = cut(whole, data)
        if path.suffix == ".json" and data.draw(st.booleans()):
            content = json.dumps(other_member(json.loads(whole), data)).encode()
        path.write_bytes(content)
        try:
            attempted(partial(read, path))
        finally:
            path.write_bytes(whole)

    damaged()


KINDS = ("baselines", "books", "evals", "pools")


@pytest.mark.parametrize("kind", ["recordings", *KINDS])
def test_ten_damages_of_a_kind_end_in_a_message_or_a_result(doors: Mapping[str, list[Door]], kind: str) -> None:
    try_damages(doors[kind], 10)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whole recordings", *KINDS])
def test_two_hundred_damages_of_a_kind_end_in_a_message_or_a_result(doors: Mapping[str, list[Door]], kind: str) -> None:
    try_damages(doors[kind], 200)
