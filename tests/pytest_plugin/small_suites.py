"""What the tests of the plugin share: how pytest is told of it, and the type of what runs a suite."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeAlias

import pytest

HANDBOOK = Path(__file__).parents[1] / "data" / "handbook"
ALONE = tuple(
    word for name in ("cacheprovider", "hypothesispytest", "langsmith_plugin", "anyio") for word in ("-p", f"no:{name}")
)
"""Plugins that have no part in it; each run would load them anew."""
Run: TypeAlias = Callable[..., pytest.RunResult]


def installed() -> bool:
    """Whether pytest finds the plugin by itself: ragprof is installed with its entry point."""
    return [entry.value for entry in entry_points(group="pytest11", name="ragprof")] == ["ragprof.pytest_plugin"]


def one_passage(question: str, depth: int) -> list[tuple[str, float]]:
    """A retriever that always finds the same."""
    return [("leave-annual", 1.0)]
