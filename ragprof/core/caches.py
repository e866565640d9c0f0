"""Caches on disk that survive a kill: rows of numbers by the digest of a text, and answers by that of a prompt.

Both are append-only, so a kill loses one batch of rows, or one answer. Rows go into `rows.bin` first and their digests
into `keys.bin` afterwards: whatever `keys.bin` lists is complete. The folder's name is the digest of the identity that
the rows belong to. Answers are kept as texts, prompts only as digests.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import TypeVar

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import DTypeLike, NDArray

from ragprof.core import Generated
from ragprof.core.errors import BadInput
from ragprof.core.files import ready_folder, write_json

DIGEST_BYTES = 20
BLOCK_ROWS = 65_536

Scalar = TypeVar("Scalar", bound=np.generic)


def digest(*texts: str) -> bytes:
    """One digest for several texts; their borders count."""
    joined = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        joined.update(len(encoded).to_bytes(8, "little"))
        joined.update(encoded)
    return joined.digest()


def known_keys(folder: Path, identity: str) -> frozenset[bytes]:
    """Digests that are cached for an identity. Only reads: an identity that was never cached leaves no trace."""
    path = folder / digest(identity).hex() / "keys.bin"
    if not path.exists():
        return frozenset()
    content = path.read_bytes()
    return frozenset(content[place : place + DIGEST_BYTES] for place in range(0, len(content), DIGEST_BYTES))


def blocks(rows: NDArray[Scalar]) -> Iterator[NDArray[Scalar]]:
    """Views of at most BLOCK_ROWS rows each, in order; nothing is copied.

    Rows in a memory map are given back to the system once the next block is asked for, so that no more than a block
    of them stays in memory. Reading them again reads them from the file again.
    """
    mapping = _mapping(rows)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        yield block
        if mapping is None:
            continue
        # only pages that lie wholly within the block
        origin = np.frombuffer(mapping, np.uint8, count=1).ctypes.data
        first, end = (address - origin for address in byte_bounds(block))
        first, end = -(-first // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
        if end > first:
            mapping.madvise(mmap.MADV_DONTNEED, first, end - first)


def mapped(parts: Iterable[NDArray[Scalar]], folder: Path) -> NDArray[Scalar]:
    """Blocks of rows of one shape and type, put behind each other in a nameless file of the folder and mapped from it.

    The file goes away with the last array over it. There must be at least one row.
    """
    rows, first = 0, None
    with TemporaryFile(dir=folder) as scratch:
        for part in parts:
            first = part if first is None else first
            rows += len(part)
            scratch.write(np.ascontiguousarray(part).tobytes())
        scratch.flush()
        if first is None:
            raise ValueError("no rows to map")
        return np.memmap(scratch, first.dtype, mode="r", shape=(rows, *first.shape[1:]))


def _mapping(rows: NDArray[np.generic]) -> mmap.mmap | None:
    """The memory map that rows are a view of. A private one is passed over: what was written to it is nowhere else."""
    holder: object = rows
    while isinstance(holder, np.ndarray):
        if isinstance(holder, np.memmap) and holder.mode == "c":
            return None
        holder = holder.base
    return holder if isinstance(holder, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") else None


class RowCache:
    """Rows of `width` numbers by digest, for one identity."""

    def __init__(self, folder: Path, *, identity: str, width: int, dtype: DTypeLike) -> None:
        self._folder = folder / digest(identity).hex()
        self._width, self._dtype = width, np.dtype(dtype)
        self._row_bytes = width * self._dtype.itemsize
        self._folder.mkdir(parents=True, exist_ok=True)
        write_json(self._folder / "identity.json", {"identity": identity, "width": width, "dtype": self._dtype.str})
        self._positions: dict[bytes, int] = {}
        self._refresh()

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, key: bytes) -> bool:
        return key in self._positions

    def get(self, keys: Sequence[bytes]) -> NDArray[np.generic]:
        """Rows in the order of the keys, shape (keys, width). Raises KeyError for one that is absent."""
        positions = [self._positions[key] for key in keys]
        if not positions:
            return np.empty((0, self._width), self._dtype)
        rows = np.memmap(self._rows_path, dtype=self._dtype, mode="r", shape=(len(self._positions), self._width))
        return np.asarray(rows[positions])

    def get_mapped(self, keys: Sequence[bytes]) -> NDArray[np.generic]:
        """The same rows out of a file in that order: however many there are, few of them are in memory at a time."""
        if not keys:
            return self.get(keys)
        return mapped((self.get(keys[at : at + BLOCK_ROWS]) for at in range(0, len(keys), BLOCK_ROWS)), self._folder)

    def put(self, keys: Sequence[bytes], rows: NDArray[np.generic]) -> None:
        """Append rows; keys that are there already, or earlier in the same batch, are passed over."""
        with (self._folder / "lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self._refresh()
            fresh: dict[bytes, int] = {}
            for place, key in enumerate(keys):
                if key not in self._positions:
                    fresh.setdefault(key, place)
            if not fresh:
                return
            chosen = np.ascontiguousarray(rows[list(fresh.values())], self._dtype)
            self._append(self._rows_path, chosen.tobytes(), self._row_bytes)
            self._append(self._keys_path, b"".join(fresh), DIGEST_BYTES)
            for key in fresh:
                self._positions[key] = len(self._positions)

    @property
    def _rows_path(self) -> Path:
        return self._folder / "rows.bin"

    @property
    def _keys_path(self) -> Path:
        return self._folder / "keys.bin"

    def _refresh(self) -> None:
        """Read digests that another process, or an earlier run, has written, as far as their rows are complete."""
        if not (self._keys_path.exists() and self._rows_path.exists()):
            return
        known = len(self._positions)
        complete = self._rows_path.stat().st_size // self._row_bytes
        with self._keys_path.open("rb") as stream:
            stream.seek(known * DIGEST_BYTES)
            fresh = stream.read(max(0, complete - known) * DIGEST_BYTES)
        for place in range(len(fresh) // DIGEST_BYTES):
            self._positions[fresh[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES]] = known + place

    def _append(self, path: Path, content: bytes, unit: int) -> None:
        """Write behind the last complete unit that the digests vouch for, and wait until it is on disk."""
        try:
            with path.open("r+b" if path.exists() else "w+b") as stream:
                stream.truncate(len(self._positions) * unit)
                stream.seek(0, os.SEEK_END)
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as failure:
            raise BadInput(
                f"cannot write the cache: {failure.strerror}; what was cached before is kept", file=path
            ) from None


class AnswerCache:
    """`key_of` is what an answer is found by."""

    def __init__(self, folder: Path, *, identity: str) -> None:
        self._folder = folder / digest(identity).hex()
        ready_folder(self._folder, remedy="set RAGPROF_CACHE to a folder that can be written")
        write_json(self._folder / "identity.json", {"identity": identity})
        self._answers: dict[str, Generated] = {}
        for line in self._file.read_text(encoding="utf-8").split("\n") if self._file.exists() else ():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:  # what a kill cut off is passed over
                continue
            self._answers[record["key"]] = Generated(record["text"], record["usage"], None, record["finish"])

    def get(self, prompt: str) -> Generated | None:
        return self._answers.get(key_of(prompt))

    def put(self, prompts: Sequence[str], answers: Sequence[Generated]) -> None:
        """Append answers, and wait until they are on disk."""
        fresh = {key_of(prompt): answer for prompt, answer in zip(prompts, answers, strict=True)}
        new = ((key, answer) for key, answer in fresh.items() if key not in self._answers)
        records = ({"key": key, "text": of.text, "usage": dict(of.usage), "finish": of.finish} for key, of in new)
        lines = "".join(f"\n{json.dumps(record, ensure_ascii=True)}" for record in records)
        try:
            with self._file.open("a", encoding="utf-8") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                stream.write(lines)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as failure:
            raise BadInput(f"cannot write the cache: {failure.strerror}; free some space", file=self._file) from None
        self._answers.update(fresh)

    @property
    def _file(self) -> Path:
        return self._folder / "answers.jsonl"


def key_of(prompt: str) -> str:
    return digest(prompt).hex()
