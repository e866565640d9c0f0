"""A server on loopback for each test, a clock that it moves by hand, and the generator that asks it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asker import KEY, Asker
from passing_time import PassingTime
from speaking_server import SpeakingServer, speaking

from ragprof.parts.generators.openai_compatible import OpenAICompatibleGenerator
from ragprof.parts.http.calls import Patience


@pytest.fixture
def server() -> Iterator[SpeakingServer]:
    with speaking() as running:
        yield running


@pytest.fixture
def time() -> PassingTime:
    return PassingTime()


@pytest.fixture
def asking(server: SpeakingServer, time: PassingTime, monkeypatch: pytest.MonkeyPatch) -> Asker:
    """A generator of these options that asks the server; it waits by the test's clock."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def made(**options: Any) -> OpenAICompatibleGenerator:
        generator = OpenAICompatibleGenerator(**{"base_url": server.url, "model": "tiny-1"} | options)
        generator.patience = Patience(options.get("retries", 4), clock=time, sleep=time.sleep)
        return generator

    return made
