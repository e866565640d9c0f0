"""Plain text in UTF-8, or UTF-16 with a byte order mark."""

from __future__ import annotations

from ragprof.core.documents import ReadDocument, ReadFile, Segment
from ragprof.core.stages import Reader
from ragprof.corpus.texts import decoded


class TextReader:
    """Has no title and no headings."""

    identity = "text 1"
    isolated = False

    def load(self) -> None:
        """Nothing to load."""

    def read(self, content: bytes) -> ReadFile:
        return ReadFile((ReadDocument("", (Segment(decoded(content)),)),))


plugin: type[Reader] = TextReader
