"""RowCache: what it says it holds is complete and right, after a kill at any byte and with others writing beside it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragprof.core import caches as row_cache
from ragprof.core.caches import RowCache, digest
from ragprof.core.errors import BadInput

KEYS = [digest(name) for name in ("one", "two", "three")]
ROWS = np.array([[1.0, -1.0], [2.0, -2.0], [3.0, -3.0]], np.float32)
ROW_BYTES, KEY_BYTES = 24, 60
BATCH = 100
WRITER = f"""
import sys
from pathlib import Path
import numpy as np
from ragprof.core.caches import RowCache, digest
cache = RowCache(Path(sys.argv[1]), identity="model", width=500, dtype=np.float32)
first, last, step = (int(number) for number in sys.argv[2:])
for start in range(first, last, step):
    numbers = range(start, start + {BATCH})
    rows = np.repeat(np.array(numbers, np.float32)[:, None] + 1, 500, axis=1)
    cache.put([digest(str(number)) for number in numbers], rows)
    print(start + {BATCH}, flush=True)
"""


def opened(folder: Path, identity: str = "model") -> RowCache:
    return RowCache(folder, identity=identity, width=2, dtype=np.float32)


def written(folder: Path) -> RowCache:
    cache = opened(folder)
    cache.put(KEYS[:2], ROWS[:2])
    cache.put(KEYS[2:], ROWS[2:])
    return cache


def shorten(folder: Path, name: str, size: int) -> None:
    (path,) = folder.glob(f"*/{name}")
    with path.open("r+b") as stream:
        stream.truncate(size)


def assert_heals(folder: Path) -> None:
    """What is there is right; what is lost can be put again; then everything is there and right."""
    cache = opened(folder)
    kept = [place for place, key in enumerate(KEYS) if key in cache]
    assert kept == list(range(len(cache)))
    assert np.array_equal(cache.get([KEYS[place] for place in kept]), ROWS[kept])
    cache.put(KEYS, ROWS)
    for each in (cache, opened(folder)):
        assert np.array_equal(each.get(KEYS), ROWS)
        assert len(each) == 3


@pytest.fixture
def writers() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of this test; none outlives it."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def writer(folder: Path, *, first: int, last: int, step: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(folder), str(first), str(last), str(step)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_rows_come_back_in_the_order_of_the_keys(tmp_path: Path) -> None:
    cache = written(tmp_path)
    assert cache.get([KEYS[2], KEYS[0], KEYS[2]]).tolist() == [[3.0, -3.0], [1.0, -1.0], [3.0, -3.0]]


def test_rows_outlive_the_process_that_wrote_them(tmp_path: Path) -> None:
    written(tmp_path)
    assert np.array_equal(opened(tmp_path).get(KEYS), ROWS)


def test_no_keys_give_no_rows_of_the_right_width(tmp_path: Path) -> None:
    rows = opened(tmp_path).get([])
    assert (rows.shape, rows.dtype) == ((0, 2), np.dtype(np.float32))


def test_a_key_that_was_never_put_is_a_key_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        written(tmp_path).get([digest("four")])


def test_rows_of_one_identity_are_unknown_to_another(tmp_path: Path) -> None:
    written(tmp_path)
    assert KEYS[0] not in opened(tmp_path, "other model")
    assert len(opened(tmp_path, "other model")) == 0


def test_a_key_that_is_there_keeps_its_first_row_and_is_stored_once(tmp_path: Path) -> None:
    cache = written(tmp_path)
    cache.put(KEYS, ROWS + 100)
    assert np.array_equal(opened(tmp_path).get(KEYS), ROWS)
    assert [path.stat().st_size for path in sorted(tmp_path.glob("*/*.bin"))] == [KEY_BYTES, ROW_BYTES, 3 * 8]


def test_a_key_that_stands_twice_in_one_batch_is_stored_once(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.put([KEYS[0], KEYS[0], KEYS[1]], ROWS)
    cache.put([KEYS[2]], ROWS[2:])
    for each in (cache, opened(tmp_path)):
        assert each.get(KEYS).tolist() == [[1.0, -1.0], [3.0, -3.0], [3.0, -3.0]]
        assert len(each) == 3


def test_borders_between_texts_count_in_a_digest() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("a") != digest("a", "")
    assert len(digest("\ud800 half a surrogate pair")) == 20


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 15), max_size=6), max_size=6))
def test_whatever_is_put_in_whatever_batches_comes_back(batches: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        cache = opened(Path(name))
        for batch in batches:
            cache.put([digest(str(number)) for number in batch], np.array([[n + 1, -n] for n in batch], np.float32))
        numbers = sorted({number for batch in batches for number in batch})
        for each in (cache, opened(Path(name))):
            assert len(each) == len(numbers)
            rows = each.get([digest(str(number)) for number in numbers])
            assert rows.tolist() == [[number + 1, -number] for number in numbers]


@pytest.mark.parametrize("name", ["rows.bin", "keys.bin"])
def test_a_file_cut_off_at_any_byte_loses_whole_rows_and_nothing_else(tmp_path: Path, name: str) -> None:
    for size in range((ROW_BYTES if name == "rows.bin" else KEY_BYTES) + 1):
        folder = tmp_path / str(size)
        written(folder)
        shorten(folder, name, size)
        assert_heals(folder)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, ROW_BYTES), st.integers(0, KEY_BYTES))
def test_both_files_cut_off_anywhere_heal(rows: int, keys: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        written(Path(name))
        shorten(Path(name), "rows.bin", rows)
        shorten(Path(name), "keys.bin", keys)
        assert_heals(Path(name))


def test_rows_without_keys_as_a_kill_between_the_two_writes_leaves_them_are_readable(tmp_path: Path) -> None:
    written(tmp_path)
    (path,) = tmp_path.glob("*/rows.bin")
    with path.open("ab") as stream:
        stream.write(b"half a r")
    assert np.array_equal(opened(tmp_path).get(KEYS), ROWS)
    assert_heals(tmp_path)


def test_two_instances_writing_in_turn_keep_all_rows_once(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    first.put(KEYS[:1], ROWS[:1])
    second.put(KEYS[1:2], ROWS[1:2])
    first.put(KEYS, ROWS)
    second.put(KEYS, ROWS + 100)
    for each in (first, second, opened(tmp_path)):
        assert np.array_equal(each.get(KEYS), ROWS)
        assert len(each) == 3


def test_two_processes_writing_at_once_keep_all_rows_once(tmp_path: Path, writers: list[subprocess.Popen[str]]) -> None:
    writers += [writer(tmp_path, first=first, last=2000, step=BATCH // 2) for first in (0, 50)]
    assert [process.wait(timeout=60) for process in writers] == [0, 0]
    cache = RowCache(tmp_path, identity="model", width=500, dtype=np.float32)
    rows = cache.get([digest(str(number)) for number in range(2050)])
    assert len(cache) == 2050
    assert np.array_equal(rows, np.repeat(np.arange(1, 2051, dtype=np.float32)[:, None], 500, axis=1))
    assert (next(tmp_path.glob("*/keys.bin"))).stat().st_size == 2050 * 20


def test_a_killed_process_loses_at_most_the_batch_in_flight(
    tmp_path: Path, writers: list[subprocess.Popen[str]]
) -> None:
    process = writer(tmp_path, first=0, last=10**9, step=BATCH)
    writers.append(process)
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(3)][-1]
    process.kill()
    acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    process.wait(timeout=60)
    cache = RowCache(tmp_path, identity="model", width=500, dtype=np.float32)
    assert acknowledged <= len(cache) <= acknowledged + BATCH
    rows = cache.get([digest(str(number)) for number in range(len(cache))])
    assert np.array_equal(rows[:, 0], np.arange(1, len(cache) + 1))
    assert np.array_equal(rows[:, 499], np.arange(1, len(cache) + 1))


def test_mapped_rows_are_the_same_rows_and_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cache, "BLOCK_ROWS", 7)
    rows = RowCache(tmp_path, identity="x", width=3, dtype=np.float32)
    keys = [digest(str(number)) for number in range(40)]
    rows.put(keys, np.arange(1, 121, dtype=np.float32).reshape(40, 3))
    wanted = [keys[number] for number in (39, 3, 3, *range(20))]
    before = sorted(path.name for path in tmp_path.rglob("*"))
    found = rows.get_mapped(wanted)
    assert isinstance(found, np.memmap)
    assert np.array_equal(found, rows.get(wanted))
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert rows.get_mapped([]).shape == (0, 3)


def test_a_hole_that_another_process_has_filled_is_not_written_over(tmp_path: Path) -> None:
    """Both see the damage; the first mends it with one row, the second has another one to add."""
    written(tmp_path)
    (path,) = tmp_path.glob("*/rows.bin")
    path.write_bytes(bytes(8) + path.read_bytes()[8:])
    first, second = opened(tmp_path), opened(tmp_path)
    assert first.lacking(KEYS) == second.lacking(KEYS) == {KEYS[0]}
    four = digest("four")
    first.put([four], np.array([[4.0, -4.0]], np.float32))
    second.put(KEYS[:1], ROWS[:1])
    for each in (first, second, opened(tmp_path)):
        each.put([], ROWS[:0])
        assert each.lacking([*KEYS, four]) == set()
        assert each.get([*KEYS, four]).tolist() == [[1.0, -1.0], [2.0, -2.0], [3.0, -3.0], [4.0, -4.0]]
    assert path.stat().st_size == 4 * 8


def test_a_damaged_row_is_a_key_error_and_never_a_value(tmp_path: Path) -> None:
    written(tmp_path)
    (path,) = tmp_path.glob("*/rows.bin")
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(KeyError):
        opened(tmp_path).get(KEYS)


def test_a_folder_in_the_place_of_a_file_is_no_traceback(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    next(tmp_path.glob("*/identity.json")).with_name("rows.bin").mkdir()
    with pytest.raises(BadInput, match="cannot write the cache: Is a directory"):
        cache.put(KEYS, ROWS)
