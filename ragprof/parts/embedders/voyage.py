"""Voyage AI's embedders (api.voyageai.com), told what is a query and what a document by `input_type`."""

from __future__ import annotations

from ragprof.core.stages import Embedder
from ragprof.parts.http.embedding import HostedEmbedder
from ragprof.parts.http.vectors import VOYAGE


class VoyageEmbedder(HostedEmbedder):
    """What is sent and read is in `ragprof.parts.http.vectors`, with the pages where it was looked up."""

    form = VOYAGE


plugin: type[Embedder] = VoyageEmbedder
