"""A server of each dialect on loopback, and the embedder that asks it; it waits by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from embedding_server import MODEL, embedding
from generators.passing_time import PassingTime
from speaking_server import SpeakingServer

from ragprof.core import registry
from ragprof.core.registry import PartSpec
from ragprof.parts.http.calls import Patience
from ragprof.parts.http.embedding import HostedEmbedder

KEYS = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "CO_API_KEY", "JINA_API_KEY", "VOYAGE_API_KEY")


@pytest.fixture
def time() -> PassingTime:
    return PassingTime()


@pytest.fixture
def name() -> str:
    """Of tests that do not say which."""
    return "openai_compatible"


@pytest.fixture
def server(name: str) -> Iterator[SpeakingServer]:
    with embedding(name) as running:
        yield running


@pytest.fixture
def asking(
    server: SpeakingServer, name: str, time: PassingTime, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., HostedEmbedder]:
    """An embedder of these options that asks the server, without a key unless the test sets one."""
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)

    def made(**options: Any) -> HostedEmbedder:
        given = {"base_url": server.url.removesuffix("/v1"), "model": MODEL} | options
        embedder: HostedEmbedder = registry.create("embedders", PartSpec(name=name, **given))
        embedder.patience = Patience(options.get("retries", 4), clock=time, sleep=time.sleep)
        return embedder

    return made
