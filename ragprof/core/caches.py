"""Caches on disk that survive a kill: rows of numbers by the digest of a text, and answers by that of a prompt.

A kill loses one batch of rows, or one answer. Rows go into `rows.bin` first, then their checksums into `sums.bin`, then
their digests into `keys.bin`: whatever `keys.bin` lists is complete. The folder's name is the digest of the identity
that the rows belong to. Answers are kept as texts, prompts only as digests.

Nothing is believed: a row or an answer is compared with its checksum before it is used, and what fails counts as absent
and is computed again. That is told in one line on the logger `ragprof`, which prints on the error stream unless the
application says otherwise. No file of a cache is written through a symbolic link.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, TypeVar, cast
from zlib import crc32

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import DTypeLike, NDArray

from ragprof.core import Generated
from ragprof.core.errors import BadInput
from ragprof.core.files import ready_folder, write_json

DIGEST_BYTES = 20
BLOCK_ROWS = 65_536
SUMS = np.dtype([("key", "<u4"), ("row", "<u4")])
LOG = logging.getLogger("ragprof")

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


def known_width(folder: Path, identity: str) -> int | None:
    """How many numbers a row of an identity is said to have; None where nothing readable says it. Only reads."""
    try:
        described = json.loads((folder / digest(identity).hex() / "identity.json").read_bytes())
        width = described["width"] if described["identity"] == identity else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return width if type(width) is int and width > 0 else None


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


def sound(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows could be somebody's result: finite, and where they hold several numbers, not zero all through."""
    with np.errstate(invalid="ignore"):  # bytes of a damaged file may be a NaN that signals
        finite: NDArray[np.bool_] = np.isfinite(rows).all(axis=1)
        return finite if rows.shape[1] == 1 else finite & rows.any(axis=1)


def unknown_rows(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows are zeros all through. Only of those that begin with one is more than the beginning looked at."""
    zeros: NDArray[np.bool_] = rows[:, 0] == 0
    zeros[zeros] = ~rows[zeros].any(axis=1)
    return zeros


def sums_of(keys: Sequence[bytes], rows: NDArray[Any]) -> NDArray[np.void]:
    """CRC-32 of each key, and of each key with its row: a row that stands under another's key has another sum."""
    content = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
    size = rows.shape[1] * rows.dtype.itemsize
    found = np.empty(len(keys), SUMS)
    found["key"] = [crc32(key) for key in keys]
    starts = enumerate(found["key"].tolist())
    found["row"] = [crc32(content[at * size : (at + 1) * size], start) for at, start in starts]
    return found


class RowCache:
    """Rows of `width` numbers by digest, for one identity.

    Where a row is damaged, its place in the files is a hole: it counts as absent, and the next row put fills it. Rows
    that a version without checksums wrote are given theirs when the cache is opened, as they are.
    """

    def __init__(self, folder: Path, *, identity: str, width: int, dtype: DTypeLike) -> None:
        self._folder = folder / digest(identity).hex()
        self._width, self._dtype = width, np.dtype(dtype)
        self._rows, self._sums, self._keys = (self._folder / f"{name}.bin" for name in ("rows", "sums", "keys"))
        self._units = {self._rows: width * self._dtype.itemsize, self._sums: SUMS.itemsize, self._keys: DIGEST_BYTES}
        self._folder.mkdir(parents=True, exist_ok=True)
        take_links_away(*self._units, self._folder / "identity.json", self._folder / "lock")
        self._places: dict[bytes, tuple[int, int]] = {}  # where the row is, and its checksum
        self._verified: set[bytes] = set()
        self._holes: set[int] = set()
        self._count = self._untold = 0
        with self._locked():
            described = {"identity": identity, "width": width, "dtype": self._dtype.str}
            before = None
            with suppress(OSError, ValueError):  # missing or damaged
                before = json.loads((self._folder / "identity.json").read_bytes())
            if before == described and not self._sums.exists():
                self._adopt()
            write_json(self._folder / "identity.json", {**described, "sums": "crc32"})
            self._refresh()
            longest = max(-(-self._size(path) // unit) for path, unit in self._units.items())
        self._untold = len(self._holes) + longest - self._count

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def lacking(self, keys: Iterable[bytes]) -> set[bytes]:
        """Keys that are absent, or whose rows fail their checksums. Damage is told."""
        wanted = list(dict.fromkeys(keys))
        self._verify(wanted)
        if self._untold:
            LOG.warning(
                "%s of %s cached rows are damaged or cut off; what is needed of them is computed again (%s)",
                f"{self._untold:,}", f"{len(self._places) + self._untold:,}", self._folder,
            )  # fmt: skip
            self._untold = 0
        return {key for key in wanted if key not in self._places}

    def get(self, keys: Sequence[bytes], *, zeros: Set[bytes] = frozenset()) -> NDArray[np.generic]:
        """Rows in the order of the keys, shape (keys, width); those of `zeros`, which are never kept, are zeros.

        Raises KeyError for one that is absent or damaged.
        """
        self._verify(keys)
        if zeros.isdisjoint(keys):
            return self._read([self._places[key][0] for key in keys])
        rows, kept = np.zeros((len(keys), self._width), self._dtype), [key not in zeros for key in keys]
        rows[kept] = self._read([self._places[key][0] for key in keys if key not in zeros])
        return rows

    def get_mapped(self, keys: Sequence[bytes], *, zeros: Set[bytes] = frozenset()) -> NDArray[np.generic]:
        """The same rows out of a file in that order: however many there are, few of them are in memory at a time."""
        if not keys:
            return self.get(keys)
        starts = range(0, len(keys), BLOCK_ROWS)
        return mapped((self.get(keys[at : at + BLOCK_ROWS], zeros=zeros) for at in starts), self._folder)

    def put(self, keys: Sequence[bytes], rows: NDArray[np.generic]) -> None:
        """Add rows; keys that are there already, or earlier in the same batch, are passed over."""
        with self._locked():
            self._refresh()
            holes = self._still_holes(len(keys))
            fresh: dict[bytes, int] = {}
            for number, key in enumerate(keys):
                if key not in self._places:
                    fresh.setdefault(key, number)
            if not fresh:
                return
            chosen = np.ascontiguousarray(rows[list(fresh.values())], self._dtype)
            holes = holes[: len(fresh)]
            places = [*holes, *range(self._count, self._count + len(fresh) - len(holes))]
            sums = sums_of(list(fresh), chosen)
            self._write(self._rows, places, chosen.tobytes())
            self._write(self._sums, places, sums.tobytes())
            self._write(self._keys, places, b"".join(fresh))
            self._places.update(zip(fresh, zip(places, sums["row"].tolist(), strict=True), strict=True))
            self._holes.difference_update(holes)
            self._count = max(self._count, places[-1] + 1)

    def _verify(self, keys: Iterable[bytes]) -> None:
        """Compare rows with their checksums, once for each in the life of this object; those that fail become holes."""
        todo = [key for key in dict.fromkeys(keys) if key in self._places and key not in self._verified]
        for start in range(0, len(todo), BLOCK_ROWS):
            some = todo[start : start + BLOCK_ROWS]
            rows = self._read([self._places[key][0] for key in some])
            right = (sums_of(some, rows)["row"] == [self._places[key][1] for key in some]) & sound(rows)
            for key, is_right in zip(some, right.tolist(), strict=True):
                if is_right:
                    self._verified.add(key)
                else:
                    self._holes.add(self._places.pop(key)[0])
                    self._untold += 1

    def _read(self, places: Sequence[int]) -> NDArray[np.generic]:
        if not places:
            return np.empty((0, self._width), self._dtype)
        rows = np.memmap(self._rows, dtype=self._dtype, mode="r", shape=(self._count, self._width))
        return np.asarray(rows[places])

    def _refresh(self) -> None:
        """Take in what another process, or an earlier run, has written, as far as all three files have it."""
        known, complete = self._count, min(self._size(path) // unit for path, unit in self._units.items())
        if complete <= known:
            return
        keys = self._content(self._keys, known, complete)
        sums = np.frombuffer(self._content(self._sums, known, complete), SUMS)
        for number, (of_key, of_row) in enumerate(zip(sums["key"].tolist(), sums["row"].tolist(), strict=True)):
            key = keys[number * DIGEST_BYTES : (number + 1) * DIGEST_BYTES]
            if crc32(key) == of_key:
                self._places[key] = known + number, of_row
            else:
                self._holes.add(known + number)
        self._count = complete

    def _still_holes(self, most: int) -> list[int]:
        """The first holes, without those that another process has filled since: they are taken in, not written over."""
        looked_at = sorted(self._holes)[:most]
        for place in looked_at:
            key = self._content(self._keys, place, place + 1)
            (found,) = np.frombuffer(self._content(self._sums, place, place + 1), SUMS)
            row = self._read([place])
            if sums_of([key], row)[0] == found and sound(row)[0]:
                self._places[key] = place, int(found["row"])
                self._holes.discard(place)
        return [place for place in looked_at if place in self._holes]

    def _adopt(self) -> None:
        """Give checksums to rows that an older version wrote. Those that cannot be right get none that fits."""
        count = min(self._size(path) // self._units[path] for path in (self._keys, self._rows))
        if not count:
            return
        content = self._content(self._keys, 0, count)
        rows = np.memmap(self._rows, dtype=self._dtype, mode="r", shape=(count, self._width))
        for start in range(0, count, BLOCK_ROWS):
            some = np.asarray(rows[start : start + BLOCK_ROWS])
            places = range(start, start + len(some))
            keys = [content[place * DIGEST_BYTES : (place + 1) * DIGEST_BYTES] for place in places]
            sums = sums_of(keys, some)
            sums["key"] ^= ~sound(some)
            self._count = start
            self._write(self._sums, places, sums.tobytes())
        self._count = 0
        LOG.warning(
            "%s cached rows of an older version had no checksums and were given theirs as they are; "
            "to compute them anew, delete %s", f"{count:,}", self._folder,
        )  # fmt: skip

    def _size(self, path: Path) -> int:
        return path.stat().st_size if path.is_file() else 0

    def _content(self, path: Path, first: int, end: int) -> bytes:
        """Records of a file, from the first to before the end."""
        with path.open("rb") as stream:
            stream.seek(first * self._units[path])
            return stream.read((end - first) * self._units[path])

    def _write(self, path: Path, places: Sequence[int], content: bytes) -> None:
        """Write records to their places, wait until they are on disk; what is behind those vouched for is cut off."""
        unit = self._units[path]
        with no_link(path) as stream:
            stream.truncate(self._count * unit)
            for number, place in enumerate(places):
                stream.seek(place * unit)
                stream.write(content[number * unit : (number + 1) * unit])
            stream.flush()
            os.fsync(stream.fileno())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with no_link(self._folder / "lock") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def take_links_away(*paths: Path) -> None:
    """Remove symbolic links among a cache's files, and say so. What they name is left alone."""
    for path in paths:
        if path.is_symlink():
            path.unlink()
            LOG.warning("a cache is not written through a symbolic link; this one was taken away: %s", path)


@contextmanager
def no_link(path: Path, *, append: bool = False) -> Iterator[IO[bytes]]:
    """Open a file of a cache to read and write; it is made where it is missing. Raises BadInput where that fails."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | (os.O_APPEND if append else 0), 0o666)
        with os.fdopen(file, "r+b") as stream:
            yield stream
    except OSError as failure:
        raise BadInput(
            f"cannot write the cache: {failure.strerror}; free some space. What was cached before is kept", file=path
        ) from None


class AnswerCache:
    """`key_of` is what an answer is found by.

    Each answer is a line with its own checksum. A line that is damaged or that a kill cut off is blanked and told, and
    its answer counts as absent; one of an older version, without a checksum, is taken as it is.
    """

    def __init__(self, folder: Path, *, identity: str) -> None:
        self._folder = folder / digest(identity).hex()
        ready_folder(self._folder, remedy="set RAGPROF_CACHE to a folder that can be written")
        take_links_away(self._file, self._folder / "identity.json")
        write_json(self._folder / "identity.json", {"identity": identity})
        self._answers: dict[str, Generated] = {}
        if self._file.is_file():
            self._load()

    def get(self, prompt: str) -> Generated | None:
        return self._answers.get(key_of(prompt))

    def put(self, prompts: Sequence[str], answers: Sequence[Generated]) -> None:
        """Append answers, and wait until they are on disk."""
        fresh = {key_of(prompt): answer for prompt, answer in zip(prompts, answers, strict=True)}
        lines = "".join(f"\n{_line_of(key, of)}" for key, of in fresh.items() if key not in self._answers)
        with no_link(self._file, append=True) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.write(lines.encode("ascii"))
            stream.flush()
            os.fsync(stream.fileno())
        self._answers.update(fresh)

    def _load(self) -> None:
        """Read the file. It is locked, so that no line is half written: what is not whole never will be."""
        with no_link(self._file) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            damaged, at = [], 0
            for number, line in enumerate(stream.read().split(b"\n"), start=1):
                if line.strip():
                    try:
                        key, answer = _answer_of(line)
                        self._answers[key] = answer
                    except (ValueError, RecursionError):
                        damaged.append(number)
                        stream.seek(at)
                        stream.write(b" " * len(line))
                at += len(line) + 1
                stream.seek(at)
        if damaged:
            LOG.warning(
                "%s of the cached answers are damaged or cut off and are asked for again; the first is line %s of %s",
                f"{len(damaged):,}", f"{damaged[0]:,}", self._file,
            )  # fmt: skip

    @property
    def _file(self) -> Path:
        return self._folder / "answers.jsonl"


def key_of(prompt: str) -> str:
    return digest(prompt).hex()


def _line_of(key: str, answer: Generated) -> str:
    record = {"key": key, "text": answer.text, "usage": dict(answer.usage), "finish": answer.finish}
    if answer.reasoning:
        record["reasoning"] = answer.reasoning
    return json.dumps({**record, "sum": _sum_of(record)}, ensure_ascii=True)


def _sum_of(record: dict[str, Any]) -> int:
    return crc32(json.dumps(record, ensure_ascii=True, sort_keys=True).encode())


def _answer_of(line: bytes) -> tuple[str, Generated]:
    """Key and answer of a line. Raises ValueError where it is not what `_line_of` made."""
    record = json.loads(line)
    if not isinstance(record, dict):
        raise ValueError("no object")
    stated = record.pop("sum", None)
    key, text, usage, finish = (record.get(name) for name in ("key", "text", "usage", "finish"))
    if not (isinstance(key, str) and isinstance(text, str) and isinstance(usage, dict) and isinstance(finish, str)):
        raise ValueError("no answer")
    if not all(isinstance(count, int) for count in usage.values()):
        raise ValueError("no counts")
    if stated != _sum_of(record) and not (stated is None and len(record) == 4):
        raise ValueError("not its checksum")
    return key, Generated(text, usage, None, cast(Any, finish), str(record.get("reasoning", "")))
