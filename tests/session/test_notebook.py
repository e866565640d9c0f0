"""A recording in a notebook: its tables hold what the summary says, its charts are those of the report."""

from __future__ import annotations

from pathlib import Path

import pytest

import ragprof
from ragprof.core.errors import BadInput


def test_tables_have_the_documented_columns_and_the_summarys_figures(recorded_handbook: Path) -> None:
    found = ragprof.recording(recorded_handbook)
    assert [*found.scores.columns] == ["pipeline", "stage", "metric", "query_id", "value"]
    assert [*found.latencies.columns] == ["pipeline", "round", "query_id", "stage", "ms"]
    assert [*found.costs.columns] == ["pipeline", "query_id", "stage", "item", "rate", "usd"]
    table = found.pipelines
    assert [*table.columns[:3]] == ["nDCG@10", "nDCG@10_low", "nDCG@10_high"]
    assert table["nDCG@10"].round(3).to_dict() == {
        "bm25": 0.776, "dense": 0.827, "hybrid": 0.855, "hybrid+overlap": 0.850,
    }  # fmt: skip
    final = found.scores.query("pipeline == 'hybrid+overlap' and stage == 'rerank' and metric == 'nDCG@10'")
    assert final["value"].mean() == pytest.approx(table.loc["hybrid+overlap", "nDCG@10"])
    whole = found.latencies.query("pipeline == 'bm25' and stage == 'query'")
    assert len(whole) == found.summary["pipelines"]["bm25"]["end_to_end"]["n"]
    assert whole["ms"].mean() * 1e6 == pytest.approx(found.summary["pipelines"]["bm25"]["end_to_end"]["mean_ns"], abs=1)


def test_it_shows_itself_and_its_charts(recorded_handbook: Path, real_pictures: None) -> None:
    found = ragprof.recording(recorded_handbook)
    shown = found._repr_html_()
    assert "Handbook: which pipeline finds the rule?" in shown
    assert shown.count("<tr") > 4
    chart = next(iter(found.charts.values()))
    assert chart.specification["width"]
    assert chart._repr_svg_().startswith("<svg")


def test_a_folder_without_a_recording_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        ragprof.recording(tmp_path)
    with pytest.raises(BadInput, match="no such folder"):
        ragprof.recording(tmp_path / "nothing")
