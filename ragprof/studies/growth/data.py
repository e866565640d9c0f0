"""A judged and priced growth recording as arrays: (orders, sizes, queries) a figure. Reads files, concludes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import RANKED_STAGES
from ragprof.core.errors import BadInput
from ragprof.evals.recorded import SPANS
from ragprof.price import read_pricing
from ragprof.price.pricing import PipelinePricing
from ragprof.record import belonging
from ragprof.record.belonging import Basis
from ragprof.record.disturbance import Disturbance, disturbance_of
from ragprof.statistics.draws import Draws
from ragprof.studies.growth.recorded import (
    ANEW,
    CONTEXT,
    COVERAGE,
    JUDGEMENT,
    MANIFEST,
    PROMPTS,
    QUERIES,
    SCORES,
    GrownApp,
)

Array = NDArray[np.float64]
KINDS = ("relevant", "irrelevant", "unjudged", "duplicate", "contradicting")
BIASED, UNBIASED = "all_judged", "proportional"


@dataclass(frozen=True)
class GrowthData:
    """What a growth recording holds. One set of resampled queries and orders serves every interval in it."""

    folder: Path
    manifest: Mapping[str, Any]
    draws: Draws
    query_ids: tuple[str, ...]

    @cached_property
    def config(self) -> Mapping[str, Any]:
        return dict(self.manifest["config"])

    @property
    def settings(self) -> Mapping[str, Any]:
        """The [growth] table."""
        return dict(self.config["growth"])

    @property
    def metric(self) -> str:
        return str(self.settings["metric"])

    @cached_property
    def judged(self) -> bool:
        """Whether there were relevance judgements; without, every metric is NaN."""
        return bool(JUDGEMENT.read(self.folder / "judgement.json").get("judged", True))

    @property
    def names(self) -> list[str]:
        return [pipeline["name"] for pipeline in self.config["pipelines"]]

    @property
    def curves(self) -> list[str]:
        return list(self.manifest["sizes"])

    def sizes(self, curve: str = BIASED) -> list[int]:
        return list(self.manifest["sizes"][curve])

    def size_folder(self, size: int) -> Path:
        return self.folder / "sizes" / str(size)

    @cached_property
    def bills(self) -> dict[int, Mapping[str, PipelinePricing]]:
        """What each pipeline costs at each size."""
        return {size: read_pricing(self.size_folder(size)).pipelines for size in self.sizes()}

    @cached_property
    def disturbances(self) -> dict[tuple[str, int], Disturbance]:
        """How far other work reached into the live timings of each pipeline at each size."""
        found = {}
        for size in self.sizes():
            spans = SPANS.read(self.size_folder(size) / "spans.parquet")
            for name in self.names:
                found[name, size] = disturbance_of(spans[spans["pipeline"] == name], self.settings["timing"])
        return found

    @cached_property
    def live(self) -> list[Mapping[tuple[str, str], pd.DataFrame]]:
        """Size by size the timed spans of each pipeline and stage."""
        tables = [SPANS.read(self.size_folder(size) / "spans.parquet") for size in self.sizes()]
        return [
            {(str(name), str(stage)): rows for (name, stage), rows in timed.groupby(["pipeline", "stage"], sort=False)}
            for timed in (table[table["phase"] == "timed"] for table in tables)
        ]

    def busy_words(self, name: str) -> str:
        """Why no sentence rests on a pipeline's live timings: at which sizes the machine was busy. Empty where none."""
        busy = {size: flag.waiting for size in self.sizes() if (flag := self.disturbances[name, size]).busy}
        if not busy:
            return ""
        sizes = ", ".join(f"{size:,}" for size in busy)
        most = max(waiting for waiting in busy.values() if waiting is not None)
        return f"the machine was busy at {sizes} passages (up to {most:.0%} of the time waiting for a core)"

    def pipeline(self, name: str) -> Mapping[str, Any]:
        return next(pipeline for pipeline in self.config["pipelines"] if pipeline["name"] == name)

    @property
    def apps(self) -> Mapping[str, GrownApp]:
        """What was noticed of each pipeline that is an app."""
        return dict(self.manifest.get("apps", {}))

    def is_reranked(self, name: str) -> bool:
        if name in self.apps:
            return self.apps[name]["reranked"]
        return bool(self.pipeline(name)["reranker"]["name"] != "none")

    def has_depth_curve(self, name: str) -> bool:
        """Whether quality is known at every depth of the depth curve: where scores hold for all of them."""
        return self.is_reranked(name) and name not in (*self.manifest["listwise"], *self.apps)

    def final_stage(self, name: str) -> str:
        return "rerank" if self.is_reranked(name) else "search"

    def read(self, name: str) -> PipelineData:
        """The tables of one pipeline; several megabytes, so they are not kept."""
        scores = SCORES.read(self.folder / "scores" / f"{name}.parquet", also=(self.metric,))
        return PipelineData(self, name, scores, CONTEXT.read(self.folder / "context" / f"{name}.parquet"))

    def prompts(self, name: str, curve: str) -> Array:
        """Prompt tokens, (orders, sizes, queries)."""
        table = PROMPTS.read(self.folder / "prompts" / name / f"{curve}.parquet")
        return self.shaped(table, curve, ["prompt_tokens"], f"prompts/{name}/{curve}.parquet")[..., 0]

    def coverage(self) -> Array:
        """Share of each query's relevant documents that are present in the unbiased curve."""
        table = COVERAGE.read(self.folder / "coverage.parquet")
        return self.shaped(table, UNBIASED, ["coverage"], "coverage.parquet")[..., 0]

    def shaped(self, table: pd.DataFrame, curve: str, columns: Sequence[str], file: str) -> Array:
        """Columns of a table of cells as (orders, sizes, queries, columns).

        Raises BadInput where the table, which was read from this file, lacks a size, or a query in some order.
        """
        sizes = self.sizes(curve)
        asked = table.groupby(["size", "order"], observed=True).size()
        if {*table["size"]} != {*sizes} or (asked != len(self.query_ids)).any():
            raise BadInput(
                f"its rows of the curve '{curve}' are not those of {len(self.query_ids)} queries at each of "
                f"{len(sizes)} sizes, so some were lost; {ANEW}",
                file=self.folder / file,
            )
        values = np.full((self.manifest["plan"]["orders"], len(sizes), len(self.query_ids), len(columns)), np.nan)
        size = np.searchsorted(np.array(sizes), table["size"].to_numpy())
        values[table["order"].to_numpy(), size, table["query"].to_numpy()] = table[list(columns)].to_numpy(float)
        return values


@dataclass(frozen=True)
class PipelineData:
    """One pipeline's judged cells."""

    data: GrowthData
    name: str
    scores: pd.DataFrame
    context: pd.DataFrame

    @property
    def metrics(self) -> list[str]:
        return [column for column in self.scores.columns if "@" in column]

    @property
    def stages(self) -> list[str]:
        found = set(self.scores["stage"].unique())
        return [stage for stage in RANKED_STAGES if stage in found]

    @cached_property
    def _judged(self) -> Mapping[tuple[str, str], pd.DataFrame]:
        """Scores by curve and stage. To compare a column of texts with one of them takes as long as to group it."""
        grouped = self.scores.groupby(["curve", "stage"], sort=False, observed=True)
        return {(str(curve), str(stage)): rows for (curve, stage), rows in grouped}

    def at_stage(self, curve: str, stage: str, metrics: Sequence[str], depth: int | None = None) -> Array | None:
        """(orders, sizes, queries, metrics); None where the curve was not judged at that stage or depth."""
        rows = self._judged.get((curve, stage))
        if rows is not None and depth is not None:
            rows = rows[rows["depth"] == depth]
        return (
            None
            if rows is None or rows.empty
            else self.data.shaped(rows, curve, metrics, f"scores/{self.name}.parquet")
        )

    def quality(self, curve: str) -> Array:
        """The growth metric of the final ranking, (orders, sizes, queries)."""
        values = self.at_stage(curve, self.data.final_stage(self.name), [self.data.metric])
        return np.empty((0, 0, 0)) if values is None else values[..., 0]

    def tokens(self, curve: str) -> Array:
        """Injected tokens by kind, (orders, sizes, queries, kinds)."""
        rows = self.context[self.context["curve"] == curve]
        return self.data.shaped(rows, curve, KINDS, f"context/{self.name}.parquet")


def is_recorded(folder: Path) -> bool:
    """Whether a growth recording was finished and judged."""
    return all((folder / "growth" / name).exists() for name in ("manifest.json", "judgement.json"))


def belongs(folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]) -> bool:
    """Whether the growth recording is of the same eval as the recording that it lies in: of its corpus, questions,
    pipelines and tokens, and judged by the same judgements."""
    growth = MANIFEST.read(folder / "growth" / "manifest.json")
    judged = JUDGEMENT.read(folder / "growth" / "judgement.json")
    rests_on = ("corpus", "questions", "pipelines", "identities", "tokenizer")
    basis = Basis(**{name: growth["plan"][name] for name in rests_on})
    return belonging.belongs(
        basis, recording=growth["recording"], judged=judged, manifest=manifest, judgement=judgement
    )


def read_growth(folder: Path) -> GrowthData:
    """The growth recording in a recording's folder. Raises BadInput where something is missing."""
    place = folder / "growth"
    manifest = MANIFEST.read(place / "manifest.json")
    query_ids = tuple(QUERIES.read(place / "queries.parquet")["query_id"])
    drawn = Draws.of(query_ids, seed=manifest["config"]["seed"], orders=manifest["plan"]["orders"])
    return GrowthData(place, manifest, drawn, query_ids)
