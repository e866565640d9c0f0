"""The audit in summary.json: what differed, by stage, and how much of the quality interval that explains.

Reads the judged facts of audit/ and runs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof import files
from ragprof.core import STAGES
from ragprof.evals import unpriced
from ragprof.statistics import mean_estimate
from ragprof.studies.audit_sentences import note, statements


@dataclass(frozen=True)
class Facts:
    """A judged audit as it lies on disk."""

    manifest: Mapping[str, Any]
    metric: str
    checks: pd.DataFrame
    ties: pd.DataFrame
    scores: pd.DataFrame

    @property
    def pipelines(self) -> list[Mapping[str, Any]]:
        return list(self.manifest["config"]["pipelines"])


@dataclass(frozen=True)
class Quality:
    """One pipeline's metric in every run of the audit."""

    metric: str
    scores: pd.DataFrame
    seed: int

    @cached_property
    def means(self) -> Mapping[str, float]:
        """By run: `1`, `2`, ... for the repetitions, `stage: variant` for another way that changed some ranking."""
        return {str(run): float(rows.mean()) for run, rows in self.scores.groupby("run", sort=False)["value"]}

    @cached_property
    def width(self) -> float | None:
        """Of the interval of the first repetition's mean; None where there is no interval."""
        first = self.scores[self.scores["run"] == "1"].sort_values("query_id")["value"]
        interval = mean_estimate(first.to_numpy(), seed=self.seed).interval
        return None if interval is None else interval[1] - interval[0]

    def share(self, moved: float | None) -> float | None:
        """Of the interval's width; None where that is nothing."""
        return abs(moved) / self.width if moved is not None and self.width else None

    def shift(self, run: str) -> float:
        """Mean of that run minus the mean of the first repetition; 0 where the run changed no ranking."""
        return self.means.get(run, self.means["1"]) - self.means["1"]

    def as_json(self) -> dict[str, Any]:
        repeated = [mean for run, mean in self.means.items() if run.isdigit()]
        spread = max(repeated) - min(repeated)
        return {
            "metric": self.metric, "mean": self.means["1"], "spread": spread,
            "interval_width": self.width, "share": self.share(spread),
        }  # fmt: skip


def is_audited(folder: Path) -> bool:
    """Whether an audit was finished and judged."""
    return all((folder / "audit" / name).exists() for name in ("manifest.json", "judgement.json"))


def audit_belongs(folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]) -> bool:
    """Whether the audit is of the same corpus, questions, pipelines and judgements as the recording it lies in."""
    audit, judged = (files.read_json(folder / "audit" / name) for name in ("manifest.json", "judgement.json"))
    return bool(
        audit["corpus"]["sha256"] == manifest["corpus"]["sha256"]
        and audit["questions"] == manifest.get("questions")
        and unpriced(audit["config"]["pipelines"]) == unpriced(manifest["config"]["pipelines"])
        and audit["identities"] == manifest["identities"]
        and judged["recording"] == audit["recording"]
        and judged["qrels_sha256"] == judgement["qrels_sha256"]
    )


def audit_of(folder: Path) -> dict[str, Any]:
    """The section of the summary. Raises BadInput where something is missing."""
    place = folder / "audit"
    facts = Facts(
        files.read_json(place / "manifest.json"),
        str(files.read_json(place / "judgement.json")["metric"]),
        *(files.read_table(place / f"{name}.parquet") for name in ("checks", "ties", "scores")),
    )
    section: dict[str, Any] = {
        "times": facts.manifest["times"],
        "queries": len(facts.manifest["queries"]),
        "threads": facts.manifest["threads"],
        "pipelines": {pipeline["name"]: _pipeline(facts, pipeline["name"]) for pipeline in facts.pipelines},
    }
    return {**section, "statements": statements(section, facts.pipelines)}


def _pipeline(facts: Facts, name: str) -> dict[str, Any]:
    checks, ties, scores = (table[table["pipeline"] == name] for table in (facts.checks, facts.ties, facts.scores))
    quality = Quality(facts.metric, scores, facts.manifest["config"]["seed"])
    rows = [
        stage_row(each, quality) for _, each in checks.groupby(["stage", "what", "variant"], sort=False, observed=True)
    ]
    rows.sort(key=lambda row: STAGES.index(row["stage"]))
    for row in rows:
        row["note"] = note(row, rows, facts.manifest, listwise=facts.manifest["pointwise"].get(name) is False)
    return {"stages": rows, "ties": ties_of(ties), "quality": quality.as_json()}


def stage_row(checks: pd.DataFrame, quality: Quality) -> dict[str, Any]:
    """One stage done in one other way, over all queries. Effects and shifts are None where it was only repeated."""
    first = checks.iloc[0]
    largest = checks["largest_difference"].max()
    changed = _count(checks["ranking_changed"])
    shift = None
    if changed is not None and (changed == 0 or _is_judged(first)):
        shift = quality.shift(f"{first['stage']}: {first['variant']}")
    return {
        "stage": first["stage"],
        "what": first["what"],
        "variant": first["variant"],
        "checked": len(checks),
        "differing": int((~checks["identical"]).sum()),
        "differing_queries": sorted(checks.loc[~checks["identical"], "query_id"]),
        "largest_difference": None if pd.isna(largest) else float(largest),
        "identical": bool(checks["identical"].all()),
        "rankings_changed": changed,
        "prompts_changed": _count(checks["injection_changed"]),
        "prompts_checked": int(checks["injection_changed"].notna().sum()),
        "quality_shift": shift,
        "share": quality.share(shift),
    }


def ties_of(ties: pd.DataFrame) -> dict[str, Any]:
    """How many queries have a tie that a cut goes through."""
    tied = int((ties["at_depth"] | ties["at_k"]).sum())
    at_depth, at_k = int(ties["at_depth"].sum()), int(ties["at_k"].sum())
    return {"queries": tied, "share": tied / len(ties), "at_depth": at_depth, "at_k": at_k, "checked": len(ties)}


def _is_judged(check: pd.Series) -> bool:
    """Whether what this way leads to was recorded to the end; of vectors of documents only their order is known."""
    return bool(check["variant"] != "documents in a batch")


def _count(changed: pd.Series) -> int | None:
    """How many are true; None where nothing could be told."""
    return None if changed.isna().all() else int(changed.sum())
