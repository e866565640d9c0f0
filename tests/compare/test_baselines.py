"""Baselines: what is read is what was saved, small enough to commit, and whatever is not whole is refused by name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kept_side import side

from ragprof.core.errors import BadInput, NonFiniteScore
from ragprof.studies.gate import baselines
from ragprof.studies.gate.baselines import SORTED_BY, ListedBaseline, is_baseline, listed, read, save
from ragprof.studies.gate.evidence import FIGURES, RANKINGS, TIMES, SideEvidence

FORMAT_1 = Path(__file__).parents[1] / "data" / "baselines" / "format-1"
TABLES = ("figures", "times", "rankings")
FILES = ["baseline.json", "figures.parquet", "rankings.parquet", "times.parquet"]


def in_order(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table.sort_values(SORTED_BY[name], ignore_index=True)


def assert_same(read_back: SideEvidence, saved: SideEvidence) -> None:
    assert read_back.facts == saved.facts
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(read_back, name), in_order(getattr(saved, name), name), check_exact=True)


def edit(path: Path, change: Callable[[dict[str, Any]], object], *, sealed: bool = False) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    if sealed:
        document["seal"] = baselines.seal(document)
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(side(), tmp_path / "kept")


@pytest.fixture(scope="module")
def large() -> SideEvidence:
    """As large as 300 queries in six pipelines get: every query timed in three rounds, every figure its own."""
    rng = np.random.default_rng(7)
    names, queries = [f"pipeline-{number}" for number in range(6)], [str(number * 7 + 1) for number in range(300)]
    keys = pd.MultiIndex.from_product([names, ["search", "rerank", "inject"], ["nDCG@10", "RR@10", "R@50"], queries])
    quality = keys.to_frame(index=False, name=["pipeline", "stage", "name", "query_id"])
    quality = quality.assign(kind="quality", value=1 / rng.integers(1, 30, len(quality)))
    keys = pd.MultiIndex.from_product([names, ["embed", "search", "rerank", "inject"], queries])
    usage = keys.to_frame(index=False, name=["pipeline", "stage", "query_id"])
    usage = usage.assign(kind="usage", name="input_tokens", value=rng.integers(10, 4000, len(usage)) * 1.0)
    clocked = usage.iloc[::3].assign(kind="cost", name="machine time", value=lambda rows: rng.random(len(rows)))
    keys = pd.MultiIndex.from_product([names, ["query", "search", "rerank"], range(3), queries])
    times = keys.to_frame(index=False, name=["pipeline", "stage", "round", "query_id"])
    times = times.assign(duration_ns=rng.lognormal(15, 0.3, len(times)).astype(np.int64))
    documents = rng.integers(0, 40, (len(names) * len(queries), 10)) + np.arange(len(queries)).repeat(6)[:, None] * 12
    keys = pd.MultiIndex.from_product([queries, names, range(1, 11)])
    rankings = keys.to_frame(index=False, name=["query_id", "pipeline", "rank"])
    rankings = rankings.assign(document_id=[str(10_000_019 + 7919 * int(one)) for one in documents.ravel()])
    figures = pd.concat([quality, usage, clocked], ignore_index=True)[list(FIGURES)]
    return replace(side(), figures=figures, times=times[list(TIMES)], rankings=rankings[list(RANKINGS)])


def test_what_is_read_is_what_was_saved(folder: Path) -> None:
    found = read(folder)
    assert_same(found, side())
    assert (found.source, found.label) == ("baseline", str(folder))


def test_a_baseline_of_300_queries_and_six_pipelines_takes_at_most_200_kb(large: SideEvidence, tmp_path: Path) -> None:
    folder = save(large, tmp_path / "large")
    assert_same(read(folder), large)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 200_000


def test_the_same_side_makes_the_same_bytes(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    shuffled = side()
    save(replace(shuffled, times=shuffled.times.sample(frac=1, random_state=3)), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_holds_four_files_and_no_more(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert is_baseline(folder)
    assert not is_baseline(folder.parent)


def test_rankings_may_be_left_out_later(folder: Path) -> None:
    save(side(), folder, rankings=False)
    assert sorted(path.name for path in folder.iterdir()) == ["baseline.json", "figures.parquet", "times.parquet"]
    found = read(folder)
    assert (list(found.rankings.columns), len(found.rankings)) == (list(RANKINGS), 0)
    pd.testing.assert_frame_equal(found.figures, in_order(side().figures, "figures"))


def test_a_recording_without_live_queries_is_kept(tmp_path: Path) -> None:
    found = read(save(replace(side(), times=side().times.iloc[:0]), tmp_path / "untimed"))
    assert (list(found.times.columns), len(found.times)) == (list(TIMES), 0)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BadInput, match="missing; restore it from version control or save it again") as refused:
        read(folder)
    assert refused.value.file == folder / name


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".parquet")])
def test_a_table_that_was_cut_short_is_named(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:100])
    with pytest.raises(BadInput, match=rf"cut short: 100 of {len(whole):,} bytes; restore it") as refused:
        read(folder)
    assert refused.value.file == folder / name


def test_a_table_that_was_edited_is_named(folder: Path) -> None:
    table = pd.read_parquet(folder / "figures.parquet")
    table.assign(value=1.0).to_parquet(folder / "figures.parquet")
    with pytest.raises(BadInput, match="its sha256 differs") as refused:
        read(folder)
    assert refused.value.file == folder / "figures.parquet"


def test_a_table_that_was_not_fetched_says_how(folder: Path) -> None:
    (folder / "times.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(BadInput, match="git lfs pull"):
        read(folder)


def test_an_edited_document_breaks_its_seal(folder: Path) -> None:
    edit(folder / "baseline.json", lambda document: document["facts"].update(queries=21))
    with pytest.raises(BadInput, match="its seal differs") as refused:
        read(folder)
    assert refused.value.file == folder / "baseline.json"


def test_hashes_edited_along_with_the_table_break_the_seal(folder: Path) -> None:
    edit(folder / "baseline.json", lambda document: document["files"]["times.parquet"].update(sha256="0" * 64))
    with pytest.raises(BadInput, match="its seal differs"):
        read(folder)


def test_other_line_ends_and_indentation_do_not_break_the_seal(folder: Path) -> None:
    path = folder / "baseline.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_bytes(json.dumps(document, indent=4).replace("\n", "\r\n").encode())
    assert_same(read(folder), side())


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (3, "format 3, made by a newer ragprof; this one reads up to 2: upgrade ragprof"),
        (0, "format 0, which no ragprof reads; there are 1 to 2"),
        ("2", "format '2', which no ragprof reads"),
        (None, "format None, which no ragprof reads"),
    ],
)
def test_another_format_is_named(folder: Path, number: object, said: str) -> None:
    edit(folder / "baseline.json", lambda document: document.update(format=number))
    with pytest.raises(BadInput, match=said):
        read(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not valid JSON"),
        (b'{"kind": "ragprof baseline", "form', "edited or cut short; restore it"),
        (b"<<<<<<< HEAD\n{}\n=======\n", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[1, 2]", "not a baseline of ragprof"),
        (b'{"files": {}}', "not a baseline of ragprof"),
    ],
)
def test_a_document_that_is_none_is_refused(folder: Path, content: bytes, said: str) -> None:
    (folder / "baseline.json").write_bytes(content)
    with pytest.raises(BadInput, match=said) as refused:
        read(folder)
    assert refused.value.file == folder / "baseline.json"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such folder; make a baseline with 'ragprof baseline save'"):
        read(tmp_path / "nowhere")


def test_a_side_that_is_not_a_number_is_not_kept(tmp_path: Path) -> None:
    broken = side()
    broken.figures.loc[3, "value"] = np.inf
    with pytest.raises(NonFiniteScore, match="NaN or infinite"):
        save(broken, tmp_path / "kept")
    with pytest.raises(NonFiniteScore, match="the facts of 'small' cannot be kept"):
        save(side(noise={"plain": float("nan")}), tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_the_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadInput, match="the folder of a recording"):
        save(side(), tmp_path)
    (tmp_path / "typed").mkdir()
    (tmp_path / "typed" / "baseline.json").write_text('{"files": {}}', encoding="utf-8")
    with pytest.raises(BadInput, match="not ragprof's"):
        save(side(), tmp_path / "typed")


def test_a_broken_baseline_can_be_saved_again(folder: Path) -> None:
    (folder / "baseline.json").write_bytes(b"{")
    (folder / ".figures.parquet.1.partial").write_bytes(b"left by a killed save")
    assert_same(read(save(side(), folder)), side())
    assert sorted(path.name for path in folder.iterdir()) == FILES


@pytest.mark.parametrize("renamed", [1, 2, 3])
def test_tables_of_two_saves_never_read_as_one(folder: Path, tmp_path: Path, renamed: int) -> None:
    """The states that a kill between two renames leaves: the document goes last."""
    newer = side()
    other = replace(
        newer,
        figures=newer.figures.assign(value=newer.figures["value"] / 2),
        times=newer.times.assign(duration_ns=newer.times["duration_ns"] * 2),
        rankings=newer.rankings.assign(document_id="d9"),
    )
    save(other, tmp_path / "newer")
    for name in ("rankings.parquet", "times.parquet", "figures.parquet")[:renamed]:
        shutil.copy(tmp_path / "newer" / name, folder / name)
    with pytest.raises(BadInput, match=r"a save was interrupted|cut short"):
        read(folder)


def test_a_save_that_is_killed_leaves_no_baseline(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from kept_side import side; from ragprof.studies.gate.baselines import save\n"
        "rename, done = Path.replace, []\n"
        "def killed(self, target):\n"
        "    done.append(target)\n"
        "    return os._exit(9) if len(done) == 4 else rename(self, target)\n"
        "Path.replace = killed; save(side(), Path(sys.argv[2]))"
    )
    folder = tmp_path / "kept"
    ended = subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), str(folder)], check=False)
    assert ended.returncode == 9
    assert not is_baseline(folder)
    assert "missing" in listed(tmp_path)[0].wrong
    assert_same(read(save(side(), folder)), side())
    assert sorted(path.name for path in folder.iterdir()) == FILES


def test_those_who_save_and_read_at_once_wait_for_each_other(folder: Path) -> None:
    versions = [side(recording=str(number)) for number in range(4)]

    def save_then_read(version: SideEvidence) -> str:
        save(version, folder)
        return str(read(folder).facts["recording"])

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(save_then_read, versions * 8))
    assert set(found) <= {"0", "1", "2", "3"}
    assert sorted(path.name for path in folder.iterdir()) == FILES


def test_a_baseline_of_format_1_is_still_read() -> None:
    """Format 1 kept no rankings and knew no job."""
    found = read(FORMAT_1)
    assert json.loads((FORMAT_1 / "baseline.json").read_text(encoding="utf-8"))["format"] == 1
    assert found.facts["job"] == found.facts["recording"] == "0123456789abcdef"
    assert (list(found.rankings.columns), len(found.rankings)) == (list(RANKINGS), 0)
    quality = found.figures[found.figures["name"] == "nDCG@10"]
    assert quality[["query_id", "value"]].to_numpy().tolist() == [["q00", 0.0], ["q01", 0.25], ["q02", 0.5]]
    whole = found.times[(found.times["stage"] == "query") & (found.times["round"] == 0)]
    assert whole["duration_ns"].tolist() == [3_000_000, 3_030_000, 3_060_000]


def test_a_migrated_baseline_is_saved_in_the_format_of_today(tmp_path: Path) -> None:
    folder = save(read(FORMAT_1), tmp_path / "renewed")
    assert listed(folder)[0].format == 2
    assert_same(read(folder), read(FORMAT_1))


def test_a_list_says_what_each_baseline_holds(tmp_path: Path) -> None:
    save(side(), tmp_path / "nightly" / "small")
    (entry,) = listed(tmp_path)
    size = sum(path.stat().st_size for path in (tmp_path / "nightly" / "small").iterdir())
    assert entry == ListedBaseline(
        name="nightly/small",
        folder=str(tmp_path / "nightly" / "small"),
        eval="small",
        created="2026-11-20T10:00:00Z",
        queries=20,
        pipelines=("plain", "reranked"),
        bytes=size,
        hashes={"eval": "e" * 64, "corpus": "c" * 64, "questions": "a" * 64, "qrels": "b" * 64},
        format=2,
    )


def test_a_broken_baseline_does_not_end_the_list(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        save(side(), tmp_path / name)
    edit(tmp_path / "b" / "baseline.json", lambda document: document.update(format=9), sealed=True)
    (tmp_path / "c" / "baseline.json").unlink()
    os.truncate(tmp_path / "d" / "times.parquet", 10)
    found = {entry.name: entry for entry in listed(tmp_path)}
    assert [name for name in found if found[name].wrong is None] == ["a"]
    assert "made by a newer ragprof" in found["b"].wrong
    assert "is missing" in found["c"].wrong
    assert "times.parquet: it was cut short: 10 of" in found["d"].wrong
    assert found["d"].queries is None


def test_baselines_of_other_programs_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text('{"files": {}}', encoding="utf-8")
    assert listed(tmp_path) == []
    with pytest.raises(BadInput, match="no such folder"):
        listed(tmp_path / "nowhere")
