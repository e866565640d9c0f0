"""The judge pass over an audit: audit/scores.parquet, one value of one metric per pipeline, run and query.

A run is a repetition, or another way of doing one stage's work that changed some ranking. Knows no clock and no price.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ragprof.core import StageName, files
from ragprof.core.recorded import write_sealed
from ragprof.corpus import EvaluationSet
from ragprof.judge.scores import measure, scores_of
from ragprof.studies.audit.recorded import MANIFEST, RANKINGS

SCORE_COLUMNS = ("pipeline", "run", "query_id", "metric", "value")


def judge_audit(folder: Path, evaluation: EvaluationSet, *, metric: str) -> pd.DataFrame:
    """Judge the final rankings of `folder`/audit and return the scores. Raises BadInput where no audit is there."""
    place = folder / "audit"
    manifest = MANIFEST.read(place / "manifest.json")
    asked = set(manifest["queries"])
    qrels = {query_id: grades for query_id, grades in evaluation.qrels.items() if query_id in asked}
    rankings, measures = RANKINGS.read(place / "rankings.parquet"), [measure(metric)]
    tables = []
    for pipeline in manifest["config"]["pipelines"]:
        final: StageName = "search" if pipeline["reranker"]["name"] == "none" else "rerank"
        ours = rankings[(rankings["pipeline"] == pipeline["name"]) & (rankings["stage"] == final)]
        for run in runs(rankings, pipeline["name"]):
            scores = scores_of(ours[ours["run"] == run], qrels, measures, stages=[final])
            tables.append(scores.assign(pipeline=pipeline["name"], run=run)[list(SCORE_COLUMNS)])
    judged = pd.concat(tables, ignore_index=True)
    files.write_table(place / "scores.parquet", judged)
    facts = {"recording": manifest["recording"], "qrels_sha256": evaluation.qrels_sha256, "metric": metric}
    write_sealed(place / "judgement.json", facts, "scores.parquet")
    return judged


def runs(rankings: pd.DataFrame, pipeline: str) -> list[str]:
    """Names of a pipeline's runs, in the order in which they were written."""
    return [str(run) for run in rankings.loc[rankings["pipeline"] == pipeline, "run"].unique()]
