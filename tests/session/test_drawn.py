"""A report that is drawn again: nothing that still holds is made anew, and nothing stale is ever shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ragprof.core import files
from ragprof.session.again import Result, redraw
from ragprof.session.pages import page_names


@pytest.fixture
def drawn(handbook_recording: Path) -> Path:
    redraw(handbook_recording)
    return handbook_recording


def stamps(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for name in page_names(folder) if (path := folder / name).exists()}


def edited(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def test_a_report_that_holds_is_left_as_it_is_and_its_summary_is_the_same(drawn: Path) -> None:
    before, text = stamps(drawn), (drawn / "summary.json").read_text(encoding="utf-8")
    result = redraw(drawn)
    assert stamps(drawn) == before
    assert result.summary == json.loads(text)


def test_a_judgement_that_changed_is_analysed_anew(drawn: Path) -> None:
    scores = pd.read_parquet(drawn / "scores.parquet")
    mine = (scores["pipeline"] == "bm25") & (scores["metric"] == "nDCG@10") & (scores["stage"] == "search")
    files.write_table(drawn / "scores.parquet", scores.assign(value=scores["value"].where(~mine, 0.5)))
    found = redraw(drawn).summary["pipelines"]["bm25"]["scores"]["search"]["nDCG@10"]
    assert (found["mean"], found["interval"]) == (0.5, pytest.approx([0.367676, 0.632324], abs=1e-6))


def test_a_rate_that_changed_is_told_anew(drawn: Path) -> None:
    def dearer(rates: Any) -> None:
        next(iter(rates["rates"].values()))["note"] = "agreed by telephone"

    edited(drawn / "rates.json", dearer)
    assert "agreed by telephone" in {rate["note"] for rate in redraw(drawn).summary["rates"]}


def test_a_setting_that_changed_is_gone_by(drawn: Path) -> None:
    manifest = json.loads((drawn / "manifest.json").read_text())
    kept = {"recording": manifest["recording"], "metrics": ["RR@10"], "pipelines": {}}
    files.write_json(drawn / "settings.json", kept)
    assert {pair["metric"] for pair in redraw(drawn).summary["comparisons"]} == {"RR@10"}


@pytest.mark.parametrize("page", ["summary.json", "report.html", "report.md"])
@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_text("{}", encoding="utf-8")])
def test_a_page_that_was_lost_or_edited_is_made_again(drawn: Path, page: str, harm: Callable[[Path], Any]) -> None:
    whole = (drawn / page).read_bytes()
    harm(drawn / page)
    redraw(drawn)
    assert (drawn / page).read_bytes() == whole


def test_another_ragprof_or_another_library_believes_nothing(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stamps(drawn)
    monkeypatch.syspath_prepend(str(drawn.parent))
    (drawn.parent / "numpy-99.0.dist-info").mkdir()
    from ragprof.session import drawn as module

    module.program.cache_clear()
    result: Result = redraw(drawn)
    module.program.cache_clear()
    assert all(stamps(drawn)[page] > before[page] for page in before)
    assert result.summary["queries"] > 0
