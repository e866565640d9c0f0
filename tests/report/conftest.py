"""The made-up run of `sample.py`, whole and cut down, and its page, which is rendered once."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from ragprof.session.pages import render_html

_SAMPLE = runpy.run_path(str(Path(__file__).with_name("sample.py")))


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
