"""Which pipeline of one side stands beside which of the other, on which queries, with what was recorded of each.

Refuses sides without a query or a pipeline in common, figures that are not numbers, and figures that stand there twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, cast

import numpy as np
import pandas as pd

from ragprof.core import STAGES
from ragprof.errors import BadInput, Incomparable, NonFiniteScore, UnknownName
from ragprof.quantities import KINDS, Kind, Quantity
from ragprof.studies.compare.effects import Array
from ragprof.studies.compare.evidence import Evidence
from ragprof.studies.compare.latencies import QUANTILES

Cell: TypeAlias = tuple[Kind, str, str]
"""kind, stage, name"""
WHOLE = "query"
KEY = ["pipeline", "kind", "stage", "name", "query_id"]


@dataclass(frozen=True, eq=False)
class Side:
    """One pipeline of one side, on the queries of the comparison."""

    evidence: Evidence
    pipeline: str
    queries: tuple[str, ...]

    @cached_property
    def columns(self) -> Mapping[Cell, Array]:
        """Figures in the order of the queries, NaN where a query has none."""
        rows = self.evidence.figures[self.evidence.figures["pipeline"] == self.pipeline]
        if rows.empty:
            return {}
        table = rows.pivot(index="query_id", columns=["kind", "stage", "name"], values="value")
        values = table.reindex(list(self.queries)).to_numpy(dtype=np.float64)
        cells = cast(list[Cell], table.columns.tolist())
        return {cell: values[:, at] for at, cell in enumerate(cells)}

    @cached_property
    def times(self) -> Mapping[str, pd.DataFrame]:
        """Stage (`query` is end to end) to its rows of the queries of the comparison."""
        times = self.evidence.times
        mine = times[(times["pipeline"] == self.pipeline) & times["query_id"].isin(self.queries)]
        return {str(stage): rows for stage, rows in mine.groupby("stage")}

    @cached_property
    def final(self) -> str:
        """The stage whose ranking is the pipeline's own."""
        return "rerank" if any(cell[:2] == ("quality", "rerank") for cell in self.columns) else "search"

    @property
    def unpriced(self) -> Mapping[str, str]:
        """Stage to why it has no price."""
        lines = self.evidence.facts["unpriced"].get(self.pipeline, ())
        return {stage: reason for stage, _, reason in (line.partition(": ") for line in lines)}

    def items(self, quantity: Quantity) -> dict[Cell, Array]:
        """The columns that a quantity is the sum of; none where it was not recorded. Not for latency."""
        if quantity.kind == "cost":
            stages = (quantity.stage,) if quantity.stage else STAGES
            return {cell: each for cell, each in self.columns.items() if cell[0] == "cost" and cell[1] in stages}
        stage = quantity.stage or (self.final if quantity.kind == "quality" else "")
        cell = (quantity.kind, stage, quantity.name)
        return {cell: self.columns[cell]} if cell in self.columns else {}

    def recorded(self) -> tuple[Quantity, ...]:
        """All that this pipeline can be asked for, in the order of a report; its final ranking under both names."""
        found = {self._quantity(cell) for cell in self.columns}
        final = {Quantity("quality", "", name) for kind, stage, name in self.columns if self._is_final(kind, stage)}
        stages = {"" if stage == WHOLE else stage for stage in self.times}
        timed = {Quantity("latency", stage, name) for stage in stages for name in QUANTILES}
        bills = {Quantity("cost", stage, "") for stage in self.unpriced}
        money = {Quantity("cost", "", "")} if bills or any(each.kind == "cost" for each in found) else set()
        return tuple(sorted(found | final | timed | bills | money, key=self.place_of))

    def _quantity(self, cell: Cell) -> Quantity:
        kind, stage, name = cell
        return Quantity(kind, stage, "" if kind == "cost" else name)

    def _is_final(self, kind: str, stage: str) -> bool:
        return kind == "quality" and stage == self.final

    def place_of(self, quantity: Quantity) -> tuple[int, int, int, str]:
        """What a report's rows are sorted by: kind, stage, metric in the eval's order, name."""
        metrics = list(self.evidence.facts["metrics"])
        place = metrics.index(quantity.name) if quantity.name in metrics else len(metrics)
        return KINDS.index(quantity.kind), ("", *STAGES).index(quantity.stage), place, quantity.name


@dataclass(frozen=True, eq=False)
class Pair:
    """The same pipeline of both sides."""

    base: Side
    candidate: Side

    @property
    def name(self) -> str:
        return self.candidate.pipeline

    def recorded(self) -> tuple[Quantity, ...]:
        """All that either side can be asked for, in the order of a report."""
        both = {*self.base.recorded(), *self.candidate.recorded()}
        return tuple(sorted(both, key=self.candidate.place_of))

    def listed(self) -> tuple[Quantity, ...]:
        """`recorded`, with the final ranking of both sides under its short name alone."""
        finals = {self.base.final, self.candidate.final}
        twice = finals if len(finals) == 1 else set()
        return tuple(each for each in self.recorded() if each.kind != "quality" or each.stage not in twice)


def pairs_of(base: Evidence, candidate: Evidence, pipelines: Sequence[str] | None = None) -> list[Pair]:
    """The pipelines that both sides have, in the candidate's order; of these the named ones, where any is.

    Two sides with one pipeline each are paired whatever their names. Raises UnknownName for a name that neither side
    has, Incomparable for one that only one side has and where there is nothing to pair.
    """
    queries = common_queries(base, candidate)
    names = _names(base, candidate)
    if not names:
        raise Incomparable(
            f"no pipeline is in both '{base.label}' ({', '.join(base.pipelines)}) and '{candidate.label}' "
            f"({', '.join(candidate.pipelines)}); give them the same name, or compare sides of one pipeline each"
        )
    for name in pipelines or ():
        _check_name(name, base, candidate, names)
    chosen = [pair for pair in names if not pipelines or set(pair) & set(pipelines)]
    return [Pair(Side(base, before, queries), Side(candidate, after, queries)) for before, after in chosen]


def common_queries(base: Evidence, candidate: Evidence) -> tuple[str, ...]:
    """Sorted. Raises Incomparable where there is none."""
    found = tuple(sorted(queries_of(base) & queries_of(candidate)))
    if not found:
        raise Incomparable(
            f"'{base.label}' ({len(queries_of(base))} queries) and '{candidate.label}' ({len(queries_of(candidate))} "
            "queries) have no query in common; record both with the same questions"
        )
    return found


def only_one_side(base: Evidence, candidate: Evidence) -> list[tuple[str, str]]:
    """(label, pipeline) of every pipeline that has none beside it."""
    names = _names(base, candidate)
    left = [(base.label, name) for name in base.pipelines if name not in [pair[0] for pair in names]]
    return left + [(candidate.label, name) for name in candidate.pipelines if name not in [pair[1] for pair in names]]


def check_figures(evidence: Evidence) -> None:
    """Raises NonFiniteScore for a figure that is no finite number, BadInput for one that stands there twice."""
    odd = evidence.figures[~np.isfinite(evidence.figures["value"].to_numpy(dtype=np.float64))]
    if len(odd):
        raise NonFiniteScore(f"'{evidence.label}': {_where(odd)} is not a finite number; record or save it again")
    if not np.isfinite(evidence.times["duration_ns"].to_numpy(dtype=np.float64)).all():
        raise NonFiniteScore(f"'{evidence.label}': a duration is not a finite number; record or save it again")
    twice = evidence.figures[evidence.figures.duplicated(KEY)]
    if len(twice):
        raise BadInput(f"'{evidence.label}': {_where(twice)} stands there twice; record or save it again")


def _where(rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    return f"{row['stage']} '{row['name']}' of pipeline '{row['pipeline']}', query '{row['query_id']}',"


def queries_of(evidence: Evidence) -> set[str]:
    """All that a side has a figure or a time of."""
    return {*evidence.figures["query_id"].unique(), *evidence.times["query_id"].unique()}


def _names(base: Evidence, candidate: Evidence) -> list[tuple[str, str]]:
    if len(base.pipelines) == len(candidate.pipelines) == 1:
        return [(base.pipelines[0], candidate.pipelines[0])]
    return [(name, name) for name in candidate.pipelines if name in base.pipelines]


def _check_name(name: str, base: Evidence, candidate: Evidence, names: Sequence[tuple[str, str]]) -> None:
    if any(name in pair for pair in names):
        return
    if name not in (*base.pipelines, *candidate.pipelines):
        raise UnknownName("pipeline", name, {each for pair in names for each in pair})
    lacking = base if name in candidate.pipelines else candidate
    raise Incomparable(f"pipeline '{name}' is not in '{lacking.label}', which has {', '.join(lacking.pipelines)}")
