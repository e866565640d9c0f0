"""Text files, line by line, as UTF-8 and nothing else. A BOM and CRLF line ends are taken off without a word."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ragprof.errors import BadInput


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and lines without their ends. Raises BadInput for a file that is missing or not UTF-8."""
    offset = 0
    with _opened(path) as stream:
        for number, raw in enumerate(stream, 1):
            text = _decoded(raw, file=path, line=number, offset=offset)
            offset += len(raw)
            yield number, (text.removeprefix("\ufeff") if number == 1 else text).removesuffix("\n").removesuffix("\r")


def filled_lines(path: Path) -> Iterator[tuple[int, str]]:
    """As `lines`, without the blank ones; the numbers stay those of the file."""
    return ((number, text) for number, text in lines(path) if text and not text.isspace())


def whole_text(path: Path) -> str:
    """The file's text, every line ending in one newline."""
    return "".join(f"{text}\n" for _, text in lines(path))


def is_last(path: Path, line: int) -> bool:
    """Whether nothing but blank lines follows. Reads the file as bytes, so it may be asked of a broken one."""
    with _opened(path) as stream:
        return not any(number > line and raw.strip() for number, raw in enumerate(stream, 1))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as stream:
            yield stream
    except FileNotFoundError:
        raise BadInput("there is no such file; check the path", file=path) from None
    except OSError as failure:
        raise BadInput(f"cannot read it: {failure.strerror or failure}; a readable file is needed", file=path) from None


def _decoded(raw: bytes, *, file: Path, line: int, offset: int) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as failure:
        where = f"byte 0x{raw[failure.start]:02x} at offset {offset + failure.start} is not UTF-8"
        remedy = f"iconv -f {_likely_encoding(raw)} -t UTF-8 {file.name} > {file.stem}.utf8{file.suffix}"
        raise BadInput(f"{where}; convert the file, for example: {remedy}", file=file, line=line) from None


def _likely_encoding(raw: bytes) -> str:
    return "UTF-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "ISO-8859-1"
