"""Damaged caches: whatever happened to their files, figures equal those of a whole cache, and the damage is told."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ragprof.core.caches import SUMS, sums_of
from ragprof.core.clock import Silent
from ragprof.judge.scores import measure, scores_of
from ragprof.record.recording import Bench, build_indexes, embed, rank
from ragprof.session.run import run
from ragprof.studies.preparation import Prepared, prepare

HANDBOOK = Path(__file__).parents[1] / "data" / "handbook.toml"
Damage = Callable[["CacheFiles"], None]


@dataclass(frozen=True)
class CacheFiles:
    """The files of one cached identity, as arrays that a test may change."""

    folder: Path
    dtype: type = np.float32

    @property
    def count(self) -> int:
        return (self.folder / "keys.bin").stat().st_size // 20

    def rows(self) -> np.memmap:
        return np.memmap(self.folder / "rows.bin", self.dtype, "r+").reshape(self.count, -1)

    def bits(self) -> np.memmap:
        return np.memmap(self.folder / "rows.bin", np.uint8, "r+").reshape(self.count, -1)

    def keys(self) -> np.memmap:
        return np.memmap(self.folder / "keys.bin", np.uint8, "r+").reshape(self.count, 20)

    def sums(self) -> np.memmap:
        return np.memmap(self.folder / "sums.bin", SUMS, "r+")

    def cut(self, name: str, by: int) -> None:
        path = self.folder / name
        os.truncate(path, path.stat().st_size - by)

    def rewrite(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)


def swap(array: np.ndarray, *others: np.ndarray) -> None:
    for each in (array, *others):
        each[[0, 1]] = each[[1, 0]]


def one_bit(files: CacheFiles) -> None:
    files.bits()[3, 2] ^= 0x40


def every_row_one_bit(files: CacheFiles) -> None:
    files.bits()[:, 3] ^= 0x80


def flipped_signs(files: CacheFiles) -> None:
    files.rows()[2] *= -1


def all_signs_flipped(files: CacheFiles) -> None:
    files.rows()[:] *= -1


def row_of_nan(files: CacheFiles) -> None:
    files.rows()[1] = np.nan


def one_nan(files: CacheFiles) -> None:
    files.rows()[1, 0] = np.nan


def infinity(files: CacheFiles) -> None:
    files.rows()[4, 0] = np.inf


def row_of_zeros(files: CacheFiles) -> None:
    files.rows()[0] = 0


def file_of_zeros(files: CacheFiles) -> None:
    files.rows()[:] = 0


def scaled_row(files: CacheFiles) -> None:
    files.rows()[1] *= 1.5


def reversed_row(files: CacheFiles) -> None:
    files.bits()[1] = files.bits()[1, ::-1].copy()


def exchanged_rows(files: CacheFiles) -> None:
    swap(files.rows())


def exchanged_keys(files: CacheFiles) -> None:
    swap(files.keys())


def exchanged_keys_with_their_sums(files: CacheFiles) -> None:
    keys, sums = files.keys(), files.sums()
    swap(keys, sums)


def rows_moved_by_one(files: CacheFiles) -> None:
    files.rows()[:] = np.roll(files.rows(), 1, axis=0)


def copied_row(files: CacheFiles) -> None:
    files.rows()[1] = files.rows()[0]


def bit_of_a_key(files: CacheFiles) -> None:
    files.keys()[2, 5] ^= 1


def duplicated_key(files: CacheFiles) -> None:
    files.keys()[3] = files.keys()[0]


def duplicated_key_with_its_sum(files: CacheFiles) -> None:
    files.keys()[3] = files.keys()[0]
    files.sums()[3] = files.sums()[0]


def bit_of_a_sum(files: CacheFiles) -> None:
    files.sums()["row"][1] ^= 8


def sums_of_zeros(files: CacheFiles) -> None:
    files.sums()["row"] = 0
    files.sums()["key"] = 0


def no_sums(files: CacheFiles) -> None:
    (files.folder / "sums.bin").unlink()


def no_rows(files: CacheFiles) -> None:
    (files.folder / "rows.bin").unlink()


def no_description_and_no_sums(files: CacheFiles) -> None:
    no_sums(files)
    (files.folder / "identity.json").unlink()


def damaged_description_and_no_sums(files: CacheFiles) -> None:
    no_sums(files)
    files.rewrite("identity.json", b'{"identity": ')


def rows_cut_within_a_row(files: CacheFiles) -> None:
    files.cut("rows.bin", 5)


def rows_cut_in_half(files: CacheFiles) -> None:
    files.cut("rows.bin", (files.folder / "rows.bin").stat().st_size // 2)


def keys_cut(files: CacheFiles) -> None:
    files.cut("keys.bin", 33)


def sums_cut(files: CacheFiles) -> None:
    files.cut("sums.bin", 12)


def empty_rows(files: CacheFiles) -> None:
    files.rewrite("rows.bin", b"")


def foreign_rows(files: CacheFiles) -> None:
    files.rewrite("rows.bin", HANDBOOK.read_bytes() * 40)


def foreign_keys(files: CacheFiles) -> None:
    files.rewrite("keys.bin", os.urandom(20 * files.count))


def lost_first_byte(files: CacheFiles) -> None:
    files.rewrite("rows.bin", (files.folder / "rows.bin").read_bytes()[1:])


def other_number_format(files: CacheFiles) -> None:
    files.rewrite("rows.bin", files.rows().astype(np.float16).tobytes())


def other_byte_order(files: CacheFiles) -> None:
    files.rewrite("rows.bin", files.rows().byteswap().tobytes())


def other_width(files: CacheFiles) -> None:
    """Rows of half as many numbers, whose sums are right for what they are."""
    half = np.ascontiguousarray(files.rows()[:, : files.rows().shape[1] // 2])
    if half.size:
        keys = files.keys().view("V20")[:, 0].tolist()
        files.rewrite("sums.bin", sums_of(keys, half).tobytes())
    files.rewrite("rows.bin", half.tobytes())


def page_of_zeros(files: CacheFiles) -> None:
    """What a file system leaves of a page that was never written."""
    rows = files.bits().reshape(-1)
    rows[: min(4096, len(rows))] = 0


DAMAGES: tuple[Damage, ...] = (
    one_bit, every_row_one_bit, flipped_signs, all_signs_flipped, row_of_nan, one_nan, infinity, row_of_zeros,
    file_of_zeros, scaled_row, reversed_row, exchanged_rows, exchanged_keys, exchanged_keys_with_their_sums,
    rows_moved_by_one, copied_row, bit_of_a_key, duplicated_key, duplicated_key_with_its_sum, bit_of_a_sum,
    sums_of_zeros, no_sums, no_rows, no_description_and_no_sums, damaged_description_and_no_sums,
    rows_cut_within_a_row, rows_cut_in_half, keys_cut, sums_cut, empty_rows, foreign_rows, foreign_keys,
    lost_first_byte, other_number_format, other_byte_order, other_width, page_of_zeros,
)  # fmt: skip


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(HANDBOOK)


def figures(prepared: Prepared, cache: Path, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Rankings of the pipelines that use the cache, their nDCG by query, and the work that was done for them."""
    subject, bench = prepared.subject, Bench(folder, cache, Silent())
    embedding = embed(subject, subject.corpus.docs, bench)
    build_indexes(subject.pipelines, subject.corpus.docs, embedding.documents, clock=bench.clock, progress=Silent())
    ranked = rank(subject, embedding, bench)
    tables = pd.concat([one.rankings.assign(pipeline=name) for name, one in ranked.items()], ignore_index=True)
    scores = [
        scores_of(one.rankings, prepared.evaluation.qrels, [measure("nDCG@10")], stages=("search",))
        for one in ranked.values()
    ]
    scored = sum(one.pairs_scored for one in ranked.values())
    return tables, pd.concat(scores, ignore_index=True), {**embedding.work, "pairs_scored": scored}


@pytest.fixture(scope="module")
def whole(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, pd.DataFrame]:
    """A cache that nothing happened to, and what was computed with it."""
    place = tmp_path_factory.mktemp("whole")
    tables, scores, _ = figures(prepared, place / "cache", place / "out")
    return place / "cache", tables, scores


def cached(cache: Path, what: str) -> CacheFiles:
    """The largest cache of vectors (the documents'), or that of pair scores."""
    kind = "scores" if what == "scores" else "vectors"
    folder = max((cache / kind).iterdir(), key=lambda each: (each / "keys.bin").stat().st_size)
    return CacheFiles(folder, np.float64 if what == "scores" else np.float32)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        *(pytest.param(damage, "vectors", id=f"{damage.__name__}-vectors") for damage in DAMAGES),
        *(
            pytest.param(
                damage,
                "scores",
                marks=() if damage in (one_bit, flipped_signs, exchanged_keys) else pytest.mark.slow,
                id=f"{damage.__name__}-scores",
            )
            for damage in DAMAGES
        ),
    ],
)
def test_a_damaged_cache_changes_no_figure_and_is_told_and_mended(
    prepared: Prepared,
    whole: tuple[Path, pd.DataFrame, pd.DataFrame],
    damage: Damage,
    what: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pristine, tables, scores = whole
    cache = shutil.copytree(pristine, tmp_path / "cache")
    files = cached(cache, what)
    before = {path.name: path.read_bytes() for path in files.folder.iterdir()}
    damage(files)
    assert before != {path.name: path.read_bytes() for path in files.folder.iterdir()}
    with caplog.at_level(logging.WARNING, logger="ragprof"):
        again, rescored, work = figures(prepared, cache, tmp_path / "out")
    pd.testing.assert_frame_equal(again, tables, check_exact=True)
    pd.testing.assert_frame_equal(rescored, scores, check_exact=True)
    told = [record.message for record in caplog.records if record.name == "ragprof"]
    assert len(told) == 1
    assert "cached rows are damaged or cut off; what is needed of them is computed again" in told[0]
    assert str(files.folder) in told[0]
    assert work["pairs_scored"] if what == "scores" else work["docs_embedded"]
    caplog.clear()
    third, _, work = figures(prepared, cache, tmp_path / "out")
    pd.testing.assert_frame_equal(third, tables, check_exact=True)
    assert (work["docs_embedded"], work["pairs_scored"], caplog.messages) == (0, 0, [])


def test_a_run_over_a_damaged_cache_ends_with_the_same_figures_and_says_so(
    cache: Path, handbook: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = run(handbook, out=tmp_path / "first").summary
    for what, damage in (("vectors", all_signs_flipped), ("scores", row_of_nan)):
        damage(cached(cache, what))
    caplog.clear()
    again = run(handbook, out=tmp_path / "again").summary
    assert {name: one["scores"] for name, one in again["pipelines"].items()} == {
        name: one["scores"] for name, one in first["pipelines"].items()
    }
    assert [message.partition(" cached rows")[0] for message in caplog.messages] == ["24 of 24", "1 of 120"]


def without_sums(folder: Path) -> None:
    """Leave the folder as a version without checksums did: no sums.bin, and a description that names none."""
    description = folder / "identity.json"
    kept = {key: value for key, value in json.loads(description.read_text()).items() if key != "sums"}
    description.write_text(json.dumps(kept, indent=1) + "\n")
    (folder / "sums.bin").unlink()


def test_a_cache_without_checksums_is_taken_as_it_is_told_once_and_verified_from_then_on(
    prepared: Prepared,
    whole: tuple[Path, pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pristine, tables, _ = whole
    cache = shutil.copytree(pristine, tmp_path / "cache")
    for description in cache.rglob("identity.json"):
        without_sums(description.parent)
    again, _, work = figures(prepared, cache, tmp_path / "out")
    pd.testing.assert_frame_equal(again, tables, check_exact=True)
    assert (work["docs_embedded"], work["pairs_scored"]) == (0, 0)
    assert len(caplog.messages) == 3
    assert all(" of an older version had no checksums and were given theirs as they are" in m for m in caplog.messages)
    caplog.clear()
    one_bit(cached(cache, "vectors"))
    again, _, work = figures(prepared, cache, tmp_path / "out")
    pd.testing.assert_frame_equal(again, tables, check_exact=True)
    assert (work["docs_embedded"], len(caplog.messages)) == (1, 1)


@pytest.mark.parametrize("damage", [row_of_nan, row_of_zeros, infinity], ids=lambda damage: damage.__name__)
def test_rows_without_checksums_that_cannot_be_right_are_computed_again(
    prepared: Prepared, whole: tuple[Path, pd.DataFrame, pd.DataFrame], damage: Damage, tmp_path: Path
) -> None:
    pristine, tables, _ = whole
    cache = shutil.copytree(pristine, tmp_path / "cache")
    files = cached(cache, "vectors")
    damage(files)
    kept = {
        key: value for key, value in json.loads((files.folder / "identity.json").read_text()).items() if key != "sums"
    }
    files.rewrite("identity.json", json.dumps(kept).encode())
    no_sums(files)
    again, _, work = figures(prepared, cache, tmp_path / "out")
    pd.testing.assert_frame_equal(again, tables, check_exact=True)
    assert work["docs_embedded"] == 1


@pytest.mark.parametrize("name", ["rows.bin", "sums.bin", "keys.bin", "identity.json", "lock"])
def test_a_link_among_a_caches_files_is_taken_away_and_what_it_names_is_left_alone(
    prepared: Prepared,
    whole: tuple[Path, pd.DataFrame, pd.DataFrame],
    name: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pristine, tables, _ = whole
    cache = shutil.copytree(pristine, tmp_path / "cache")
    path = cached(cache, "vectors").folder / name
    precious = tmp_path / "precious"
    precious.write_bytes(b"something else of the user's" * 1000)
    before = precious.read_bytes()
    path.unlink()
    path.symlink_to(precious)
    again, _, _ = figures(prepared, cache, tmp_path / "out")
    pd.testing.assert_frame_equal(again, tables, check_exact=True)
    assert precious.read_bytes() == before
    assert not path.is_symlink()
    assert caplog.messages[0] == f"a cache is not written through a symbolic link; this one was taken away: {path}"
