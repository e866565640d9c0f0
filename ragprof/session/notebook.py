"""A recording in a notebook: its figures as tables of pandas, its charts as pictures. Runs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ragprof.core import files
from ragprof.core.errors import BadInput
from ragprof.evals.recorded import COSTS, SCORES, SPANS
from ragprof.report import figures
from ragprof.session.pages import parts_of
from ragprof.session.summary import read_analysis

if TYPE_CHECKING:
    from ragprof.session.summary import Analysis


@dataclass(frozen=True)
class ShownChart:
    """A chart of the report: its Vega-Lite specification, and how a notebook draws it."""

    specification: dict[str, Any]

    def _repr_svg_(self) -> str:
        from ragprof.report.theme import STATIC_WIDTH, static_svgs

        (picture,) = static_svgs([(self.specification, STATIC_WIDTH)])
        return picture


@dataclass(frozen=True)
class OpenRecording:
    """A finished recording. Each table is read when it is first asked for."""

    folder: Path

    @cached_property
    def analysis(self) -> Analysis:
        return read_analysis(self.folder)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """summary.json, as docs/summary.md describes it."""
        return self.analysis.as_json()

    @cached_property
    def scores(self) -> pd.DataFrame:
        """A row per question, metric, ranked stage and pipeline: pipeline, stage, metric, query_id, value (0 to 1)."""
        return SCORES.read(self.folder / "scores.parquet")

    @cached_property
    def latencies(self) -> pd.DataFrame:
        """A row per stage of each timed question: pipeline, round, query_id, stage (`query` is end to end), ms."""
        spans = SPANS.read(self.folder / "spans.parquet")
        timed = spans[spans["phase"] == "timed"]
        columns = timed[["pipeline", "round", "query_id", "stage"]]
        return columns.assign(ms=timed["duration_ns"] / 1e6).reset_index(drop=True)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """A row per question, stage and item: pipeline, query_id, stage, item, rate, usd (Decimal; None: unpriced)."""
        return COSTS.read(self.folder / "costs.parquet")

    @cached_property
    def pipelines(self) -> pd.DataFrame:
        """A row per pipeline: the leading metric, p50 and p95 in ms, USD per 1,000 questions, with intervals."""
        rows = {}
        for name, found in self.summary["pipelines"].items():
            scores = found["scores"][self.summary["final_stage"][name]]
            metric = next(iter(scores), "")
            quality, time, cost = scores.get(metric, {}), found["end_to_end"], found["cost_usd_per_1000_queries"]
            rows[name] = {
                **_with_ends(metric or "quality", quality.get("mean"), quality.get("interval")),
                **_with_ends("p50_ms", time["p50_ns"], time["p50_interval_ns"], 1e-6),
                **_with_ends("p95_ms", time["p95_ns"], time["p95_interval_ns"], 1e-6),
                **_with_ends("usd_per_1000", cost["total"], cost["interval"]),
            }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("pipeline")

    @cached_property
    def charts(self) -> dict[str, ShownChart]:
        """The charts of the report, by their keys in it; each shows itself as the last value of a cell."""
        from ragprof.report.html import charts_of

        return {
            place: ShownChart(specification)
            for part in parts_of(self.analysis)
            for chart in charts_of(part.blocks)
            for place, specification in chart.pictures().items()
        }

    def _repr_html_(self) -> str:
        summary = self.summary
        told = "".join(f"<li>{escape(sentence)}</li>" for sentence in summary["headline"])
        made = f"{figures.day(summary['created'])}, {figures.counted(summary['queries'], 'question')}"
        return f"<h4>{escape(summary['title'])}</h4><p>{escape(made)}</p><ul>{told}</ul>{self.pipelines.to_html()}"


def recording(folder: str | Path) -> OpenRecording:
    """Open a finished recording, such as reports/python-docs. Raises BadInput for a folder that holds none."""
    found = OpenRecording(Path(folder))
    files.check_folder(found.folder)
    if found.analysis.profile is None:
        raise BadInput("this is a profile of traces, which has a summary alone: summary.json", file=found.folder)
    return found


def _with_ends(name: str, value: Any, interval: Any, factor: float = 1.0) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {
        key: None if each is None else float(each) * factor
        for key, each in ((name, value), (f"{name}_low", low), (f"{name}_high", high))
    }
