"""Bytes to text, and what may be unpacked: every reader goes by the same bounds."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zipfile
import zlib
from importlib import import_module

from ragprof.core.errors import BadInput, MissingPackage

UNPACKED_BYTES = 300_000_000
"""The most that a compressed file may hold. Office files of a few MB that hold more are made to do harm."""
BLOCK_BYTES = 1 << 20
SAMPLE = 8_000
"""Bytes or characters by which a file is told to be no text, as git and grep do it."""
CONTROL = re.compile(r"[\x00-\x07\x0b\x0e-\x1a\x1c-\x1f\x7f]")
"""Signs that no text has, so without tabs, ends of lines and pages, overprinting, and escape sequences of terminals."""
MOST_CONTROLS = 0.05
"""Of random bytes they are a tenth."""
NO_TEXT = "no text, whatever its name says: its bytes are those of another kind of file"


def need(module: str, package: str, *, install: str = "") -> None:
    """Import a reader's library. Raises MissingPackage with the command that installs it, where it is not there."""
    try:
        import_module(module)
    except ImportError:
        raise MissingPackage(f"needs {package}: pip install {install or package}") from None


def decoded(content: bytes, declared: str | None = None) -> str:
    """The text, line ends as newlines: UTF-8, UTF-16 with a mark, or the encoding that the file declares.

    Raises BadInput for other encodings, and for bytes that are no text in any.
    """
    is_marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not is_marked and b"\0" in content[:SAMPLE]:
        even, odd = content[:SAMPLE:2].count(0), content[1:SAMPLE:2].count(0)
        # Latin letters in UTF-16 have a zero in every other byte, and none beside them.
        is_wide = not min(even, odd) and max(even, odd) > len(content[:SAMPLE]) // 4
        raise BadInput("UTF-16 without a byte order mark; convert it with iconv" if is_wide else NO_TEXT)
    for encoding in ("utf-8-sig", "utf-16" if is_marked else declared):
        try:
            text = content.decode(encoding or "utf-8")
        except (UnicodeDecodeError, LookupError):
            continue
        if _is_noise(text):
            raise BadInput(NO_TEXT)
        return text.replace("\r\n", "\n")
    raise BadInput(NO_TEXT if _is_noise(content[:SAMPLE].decode("latin-1")) else "not UTF-8; convert it with iconv")


def _is_noise(text: str) -> bool:
    sample = text[:SAMPLE]
    return len(CONTROL.findall(sample)) > MOST_CONTROLS * len(sample)


def gunzipped(content: bytes, *, most: int = UNPACKED_BYTES) -> bytes:
    """What a .gz file holds. Raises BadInput where that is more than `most` bytes, or damaged."""
    unpacked = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            while block := stream.read(BLOCK_BYTES):
                unpacked += block
                if len(unpacked) > most:
                    raise BadInput(f"holds more than {most / 1e6:,.0f} MB")
    except (OSError, EOFError, zlib.error) as failure:
        raise BadInput(f"broken gzip: {failure}") from None
    return bytes(unpacked)


def check_archive(content: bytes, *, most: int = UNPACKED_BYTES) -> None:
    """Raise BadInput for an Office file that is no zip archive, is encrypted, or would unpack to more than `most`.

    The sizes that an archive states are believed: Python's zipfile unpacks no more of a member than its stated size.
    """
    if content.startswith(b"\xd0\xcf\x11\xe0"):  # an OLE container: Office wraps encrypted files and old formats in it
        raise BadInput("encrypted, or in the format of Office before 2007; save it anew without a password")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as failure:
        raise BadInput(f"broken: {str(failure) or 'not a zip archive'}") from None
    size = sum(member.file_size for member in members)
    if size > most:
        raise BadInput(f"unpacks to {size / 1e6:,.0f} MB from {len(content) / 1e6:,.1f}: more than {most / 1e6:,.0f}")
    if any(member.flag_bits & 1 for member in members):
        raise BadInput("encrypted")
