"""Jina AI's embedders (api.jina.ai), told what is a query and what a document by `task`."""

from __future__ import annotations

from ragprof.core.stages import Embedder
from ragprof.parts.http.embedding import HostedEmbedder
from ragprof.parts.http.vectors import JINA


class JinaEmbedder(HostedEmbedder):
    """What is sent and read is in `ragprof.parts.http.vectors`, with the pages where it was looked up."""

    form = JINA


plugin: type[Embedder] = JinaEmbedder
