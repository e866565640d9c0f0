"""The made-up run of `sample.py`, whole and cut down, and its page, which is rendered once."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from ragprof.session.pages import render_html

_SAMPLE = runpy.run_path(str(Path(__file__).with_name("sample.py")))
_RERANKERS = runpy.run_path(str(Path(__file__).with_name("reranker_sample.py")))


@pytest.fixture
def summary() -> dict[str, Any]:
    return _SAMPLE["summary"]()


@pytest.fixture
def two_pipelines() -> dict[str, Any]:
    return _SAMPLE["first_pipelines"](2)


@pytest.fixture
def twelve_pipelines() -> dict[str, Any]:
    return _SAMPLE["many_pipelines"]()


@pytest.fixture(scope="session")
def page() -> str:
    return render_html(_SAMPLE["summary"]())


@pytest.fixture
def reranked(summary: dict[str, Any]) -> dict[str, Any]:
    """The made-up run with its verdicts on two rerankers: one in full, one that is unpriced and full of nulls."""
    return _RERANKERS["reranked"](summary)


@pytest.fixture(scope="session")
def whole_rerankers() -> dict[str, Any]:
    """As `reranked`, for tests that change nothing."""
    return _RERANKERS["reranked"](_SAMPLE["summary"]())


@pytest.fixture(scope="session")
def reranked_page(whole_rerankers: dict[str, Any]) -> str:
    return render_html(whole_rerankers)


@pytest.fixture(scope="session")
def hostile_text() -> str:
    return str(_RERANKERS["HOSTILE"])
