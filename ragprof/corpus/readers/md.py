"""Markdown: title from the front matter or the first heading, a section for each heading."""

from __future__ import annotations

from ragprof.core.documents import ReadFile
from ragprof.core.stages import Reader
from ragprof.corpus.markup import markdown
from ragprof.corpus.texts import decoded


class MarkdownReader:
    """Keeps the source as it is written."""

    identity = "markdown 1"
    isolated = False

    def load(self) -> None:
        """Nothing to load."""

    def read(self, content: bytes) -> ReadFile:
        return ReadFile((markdown(decoded(content)),))


plugin: type[Reader] = MarkdownReader
