"""HTML: what a reader of the page sees, without scripts and the site's navigation."""

from __future__ import annotations

from ragprof.core.documents import ReadFile
from ragprof.core.stages import Reader
from ragprof.corpus.markup import html
from ragprof.corpus.texts import decoded


class HtmlReader:
    """Believes the encoding that the page states, where it is not UTF-8."""

    identity = "html 1"
    isolated = False

    def load(self) -> None:
        """Nothing to load."""

    def read(self, content: bytes) -> ReadFile:
        from bs4.dammit import EncodingDetector

        return ReadFile((html(decoded(content, EncodingDetector.find_declared_encoding(content, is_html=True))),))


plugin: type[Reader] = HtmlReader
