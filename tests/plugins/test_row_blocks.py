"""Rows in blocks: all of them, in order, never copied, and a memory map never more than a block in memory."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from ragprof.core import Doc, Vectors
from ragprof.core import caches as row_cache
from ragprof.core.caches import blocks
from ragprof.parts.stores.faiss_flat import FaissFlatStore

ROWS, WIDTH = 16_384, 512
MIB = 2**20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Thirty-two MiB of rows; each holds its own number, from 1."""
    numbers = np.repeat(np.arange(1, ROWS + 1, dtype=np.float32)[:, None], WIDTH, axis=1)
    numbers.tofile(tmp_path / "rows")
    return tmp_path / "rows"


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cache, "BLOCK_ROWS", 2048)


def mapped(path: Path, mode: str = "r") -> Vectors:
    return np.memmap(path, np.float32, mode=mode, shape=(ROWS, WIDTH))  # type: ignore[call-overload,no-any-return]


def resident(rows: Vectors) -> int:
    """Bytes of a memory map that are in this process's memory."""
    address = f"{rows.ctypes.data // mmap.PAGESIZE * mmap.PAGESIZE:x}-"
    lines = iter(Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines())
    for line in lines:
        if line.startswith(address):
            return 1024 * int(next(each for each in lines if each.startswith("Rss:")).split()[1])
    raise AssertionError("the map is not in /proc/self/smaps")


needs_smaps = pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="residence is read from /proc")


def test_blocks_are_views_of_all_rows_in_order() -> None:
    rows = np.arange(5000, dtype=np.float32)[:, None]
    found = list(blocks(rows))
    assert [len(block) for block in found] == [2048, 2048, 904]
    assert np.array_equal(np.concatenate(found), rows)
    assert all(np.shares_memory(block, rows) for block in found)
    assert list(blocks(rows[:0])) == []


@pytest.mark.parametrize("part", [slice(None), slice(3, 9001), slice(None, None, 3), slice(None, None, -1)])
def test_parts_of_a_memory_map_hold_what_the_file_holds(path: Path, part: slice) -> None:
    rows = mapped(path)[part]
    expected = np.arange(1, ROWS + 1, dtype=np.float32)[part]
    for _ in range(2):
        assert np.array_equal(np.concatenate([block[:, 7] for block in blocks(rows)]), expected)


@needs_smaps
@pytest.mark.parametrize("view", [lambda rows: rows, np.asarray, lambda rows: rows.reshape(ROWS, WIDTH)[:]])
def test_no_more_than_a_block_of_a_memory_map_stays_in_memory(path: Path, view: type[Vectors]) -> None:
    rows = mapped(path)
    peak = 0
    for block in blocks(view(rows)):
        assert block.sum() >= 0
        peak = max(peak, resident(rows))
    assert 4 * MIB <= peak < 8 * MIB
    assert resident(rows) < MIB


@needs_smaps
def test_an_index_is_filled_without_the_map_staying_in_memory(path: Path) -> None:
    rows = mapped(path)
    store = FaissFlatStore()
    store.add([Doc("", "", "", "")] * ROWS, rows)
    assert resident(rows) < MIB
    assert store.index_bytes == 32 * MIB


def test_what_was_written_to_a_shared_map_is_in_the_file(path: Path) -> None:
    rows = mapped(path, "r+")
    rows[::1000] = -1.0
    assert sum(1 for block in blocks(rows) for row in block if row[0] == -1.0) == 17
    assert (mapped(path)[::1000] == -1.0).all()


def test_what_was_written_to_a_private_map_is_kept(path: Path) -> None:
    rows = mapped(path, "c")
    rows[::1000] = -1.0
    assert sum(len(block) for block in blocks(rows)) == ROWS
    assert (rows[::1000] == -1.0).all()
    assert (mapped(path)[::1000] != -1.0).all()
