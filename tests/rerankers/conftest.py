"""A server of each dialect on loopback, and the reranker that asks it; it waits by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from generators.passing_time import PassingTime
from reranked import Asked
from reranker_server import MODEL, address, reranking
from speaking_server import SpeakingServer

from ragprof.parts.http.calls import Patience
from ragprof.parts.rerankers.rerank_api import RerankApiReranker


@pytest.fixture
def time() -> PassingTime:
    return PassingTime()


@pytest.fixture
def dialect() -> str:
    """Of tests that do not say which."""
    return "cohere"


@pytest.fixture
def server(dialect: str) -> Iterator[SpeakingServer]:
    with reranking(dialect) as running:
        yield running


@pytest.fixture
def asking(server: SpeakingServer, dialect: str, time: PassingTime, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A reranker of these options that asks the server, without a key unless the test sets one."""
    for name in ("CO_API_KEY", "JINA_API_KEY", "VOYAGE_API_KEY", "TEI_API_KEY", "VLLM_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def made(**options: Any) -> RerankApiReranker:
        reranker = RerankApiReranker(**{"base_url": address(server), "model": MODEL, "dialect": dialect} | options)
        reranker.patience = Patience(options.get("retries", 4), clock=time, sleep=time.sleep)
        return reranker

    return made
