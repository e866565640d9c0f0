"""Still pictures: the same from a process of their own as from this one, and drawn here where that process fails."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ragprof.report import stills

pytestmark = pytest.mark.usefixtures("real_pictures")


def bars(value: int) -> dict[str, Any]:
    axes = {"x": {"field": "a", "type": "nominal"}, "y": {"field": "b", "type": "quantitative"}}
    return {"data": {"values": [{"a": "\u00e4 \u2028", "b": value}]}, "mark": "bar", "encoding": axes, "width": 100}


def test_another_process_draws_the_same_in_order() -> None:
    specs = [bars(value) for value in (1, 2, 3)]
    here = stills.pictures(specs)
    with stills.in_a_process(), stills.soon():
        process = stills._painter.get()
        assert process is not None
        assert stills.pictures(specs) == here
        assert stills.pictures(specs[:1]) == here[:1]
    assert process.returncode is not None
    assert len(set(here)) == 3


def test_without_its_answer_the_pictures_are_drawn_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nothing = tmp_path / "python"
    nothing.write_text("#!/bin/sh\necho not a picture\nexit 3\n")
    nothing.chmod(0o755)
    here = stills.pictures([bars(1)])
    monkeypatch.setattr(sys, "executable", str(nothing))
    with stills.in_a_process(), stills.soon():
        assert stills.pictures([bars(1)]) == here


def test_who_draws_more_than_once_starts_no_process() -> None:
    with stills.soon():
        assert stills._painter.get() is None
