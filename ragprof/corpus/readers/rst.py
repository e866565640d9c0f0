"""reStructuredText: title and sections from its underlined headings."""

from __future__ import annotations

from ragprof.core.documents import ReadFile
from ragprof.core.stages import Reader
from ragprof.corpus.markup import restructured_text
from ragprof.corpus.texts import decoded


class RestructuredTextReader:
    """Keeps the source as it is written."""

    identity = "restructured text 1"
    isolated = False

    def load(self) -> None:
        """Nothing to load."""

    def read(self, content: bytes) -> ReadFile:
        return ReadFile((restructured_text(decoded(content)),))


plugin: type[Reader] = RestructuredTextReader
