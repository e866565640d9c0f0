"""What the price pass reads in a recording: counts, tokens and busy time, one query at a time. Knows no money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from ragprof.core import STAGES
from ragprof.errors import BadInput
from ragprof.files import read_manifest, read_table

ByQuery: TypeAlias = Mapping[str, int]


@dataclass(frozen=True)
class Recording:
    """The tables that all pipelines share; `spans` is empty where no timings were recorded."""

    folder: Path
    config: Mapping[str, Any]
    usage: pd.DataFrame
    tokens: pd.DataFrame
    spans: pd.DataFrame


@dataclass(frozen=True)
class PipelineFacts:
    """One pipeline of a recording. `busy_ns` holds only the queries that were timed: a mean over rounds."""

    folder: Path
    name: str
    query_ids: tuple[str, ...]
    stages: tuple[str, ...]
    usage: Mapping[tuple[str, str], ByQuery]
    query_tokens: ByQuery
    doc_tokens: ByQuery
    busy_ns: Mapping[str, Mapping[str, Decimal]]

    def candidates(self) -> dict[str, list[int]]:
        """query_id -> tokens of each document that the search gave the reranker; empty where it found none."""
        path = self.folder / "rankings" / f"{self.name}.parquet"
        ranking = read_table(path)
        found = ranking[ranking["stage"] == "search"]
        tokens = found["doc_id"].map(self.doc_tokens)
        if tokens.isna().any():
            missing = found["doc_id"][tokens.isna()].iloc[0]
            raise BadInput(f"tokens.parquet has no document '{missing}'; record it again with 'ragprof run'", file=path)
        per_query: dict[str, list[int]] = {query_id: [] for query_id in self.query_ids}
        for query_id, count in zip(found["query_id"].tolist(), tokens.astype(int).tolist(), strict=True):
            per_query.setdefault(query_id, []).append(count)
        return per_query

    def tokens_of_query(self, query_id: str) -> int:
        if query_id not in self.query_tokens:
            raise BadInput(
                f"no query '{query_id}' in it; record it again with 'ragprof run'", file=self.folder / "tokens.parquet"
            )
        return self.query_tokens[query_id]


def read_recording(folder: Path) -> Recording:
    """Raises BadInput where a file is missing, unreadable or not of a recording."""
    config = read_manifest(folder)["config"]
    spans = folder / "spans.parquet"
    return Recording(
        folder=folder,
        config=config,
        usage=_columns(folder / "usage.parquet", ["pipeline", "query_id", "stage", "unit", "count"]),
        tokens=_columns(folder / "tokens.parquet", ["kind", "id", "tokens"]),
        spans=_columns(spans, ["pipeline", "phase", "round", "query_id", "stage", "duration_ns"])
        if spans.exists()
        else pd.DataFrame(columns=["pipeline", "phase", "round", "query_id", "stage", "duration_ns"]),
    )


def pipeline_facts(recording: Recording, name: str) -> PipelineFacts:
    """Raises BadInput for a pipeline without recorded usage."""
    usage = recording.usage[recording.usage["pipeline"] == name]
    if usage.empty:
        raise BadInput(
            f"it has nothing of the pipeline '{name}'; run it first", file=recording.folder / "usage.parquet"
        )
    spans = recording.spans
    timed = spans[(spans["pipeline"] == name) & (spans["phase"] == "timed")]
    present = {*usage["stage"], *timed["stage"]}
    return PipelineFacts(
        folder=recording.folder,
        name=name,
        query_ids=tuple(sorted(set(usage["query_id"]))),
        stages=tuple(stage for stage in STAGES if stage in present),
        usage=_counts(usage),
        query_tokens=_tokens(recording.tokens, "query"),
        doc_tokens=_tokens(recording.tokens, "doc"),
        busy_ns=_busy(recording.spans, name),
    )


def _columns(path: Path, columns: list[str]) -> pd.DataFrame:
    table = read_table(path)
    missing = [column for column in columns if column not in table]
    if missing:
        raise BadInput(f"it lacks the column '{missing[0]}'; record it again with 'ragprof run'", file=path)
    return table[columns]


def _counts(usage: pd.DataFrame) -> Mapping[tuple[str, str], ByQuery]:
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for stage, unit, query_id, count in zip(
        usage["stage"], usage["unit"], usage["query_id"], usage["count"].tolist(), strict=True
    ):
        counts.setdefault((stage, unit), {})[query_id] = count
    return counts


def _tokens(tokens: pd.DataFrame, kind: str) -> dict[str, int]:
    chosen = tokens[tokens["kind"] == kind]
    return dict(zip(chosen["id"].tolist(), chosen["tokens"].tolist(), strict=True))


def _busy(spans: pd.DataFrame, pipeline: str) -> dict[str, dict[str, Decimal]]:
    """stage -> query_id -> ns, the mean over that query's timed rounds, exactly."""
    timed = spans[(spans["pipeline"] == pipeline) & (spans["phase"] == "timed")]
    per_round = timed.groupby(["stage", "query_id", "round"])["duration_ns"].sum().reset_index()
    busy: dict[str, dict[str, Decimal]] = {}
    for (stage, query_id), group in per_round.groupby(["stage", "query_id"]):
        total = sum(group["duration_ns"].tolist())
        busy.setdefault(str(stage), {})[str(query_id)] = Decimal(total) / len(group)
    return busy
