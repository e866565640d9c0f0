"""What curate, screen and chunking show, from what the product recorded (curate.json, screen.json, chunking.json)."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ragprof.studies.chunking import tables as chunking
from ragprof.studies.chunking.section import ChunkingSection
from ragprof.studies.contract import Context
from ragprof.studies.curate import tables as curate
from ragprof.studies.curate.section import CurateSection
from ragprof.studies.screen import tables as screen
from ragprof.studies.screen.section import ScreenSection

CONTEXT = Context(("bm25", "dense"), "nDCG@10", {}, {})
STUDIES: dict[str, tuple[Any, Callable[..., Any]]] = {
    "curate": (CurateSection, curate.curate_table),
    "screen": (ScreenSection, screen.screen_table),
    "chunking": (ChunkingSection, chunking.chunking_table),
}


def golden(name: str) -> dict[str, Any]:
    return dict(json.loads((Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        (
            "curate",
            "without exact copies \u22120.083 0.000 \u22120.4 4.64 kB",
            "removing all of it changes nDCG@10 by \u22120.083 (95% CI \u22120.250 to 0.000)",
        ),
        (
            "screen",
            "dense all of it, estimated \u22120.090 27.1% +4.5 42.0 kB",
            "dense: adding it changes nDCG@10 by \u22120.090 (95% CI \u22120.220 to +0.010)",
        ),
        (
            "chunking",
            "dense as declared 0.900 0.139 0.139 56.1 24.6 kB",
            "80.0% (95% CI 44.4%\u201397.5%) of the answers stand whole in no passage",
        ),
    ],
)
def test_what_was_recorded_is_read_and_shown(name: str, row: str, said: str) -> None:
    model, table = STUDIES[name]
    section: Any = model.model_validate(golden(name))
    assert section.as_json() == golden(name)
    console = Console(width=100, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(table(section, CONTEXT))
    shown = " ".join(captured.get().split())
    assert row in shown
    assert said in shown


@pytest.mark.parametrize("name", STUDIES)
def test_long_names_of_pipelines_break_at_their_joints(name: str) -> None:
    model, table = STUDIES[name]
    recorded, long = golden(name), "hybrid-static-minilm+maxsim_depth50"
    recorded["pipelines"] = {long: next(iter(recorded["pipelines"].values()))}
    console = Console(width=80, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(table(model.model_validate(recorded), CONTEXT))
    beginnings = [line.split("  ")[0].strip() for line in captured.get().splitlines()]
    parts, whole = [], ""
    for line in beginnings:
        if long.startswith(whole + line) and line and whole != long:
            parts, whole = [*parts, line], whole + line
    assert whole == long
    assert all(part[-1] in "-_+" for part in parts[:-1])


def test_kinds_of_which_nothing_was_found_have_no_row_of_noughts() -> None:
    found = curate.found_table(CurateSection.model_validate(golden("curate")))
    assert [row.cells[0].text for row in found.rows] == ["Exact copies", "Empty pages", "Old versions"]
    assert "Nothing was found of: versions that contradict the ones that are kept, near copies, " in str(found.note)
