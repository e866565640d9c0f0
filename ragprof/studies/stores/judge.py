"""The judge pass over a stores recording: what each setting found of exact search, and its scores by the judgements."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof.core import files
from ragprof.core.recorded import write_sealed
from ragprof.corpus import EvaluationSet
from ragprof.judge.scores import measure, scores_of
from ragprof.record.recording import Bench
from ragprof.studies.stores.plan import StoresPlan
from ragprof.studies.stores.recorded import MANIFEST, RANKED
from ragprof.studies.stores.truth import found_right


def judge_stores(plan: StoresPlan, evaluation: EvaluationSet, bench: Bench) -> None:
    """scores.parquet and judgement.json; without relevance judgements recall alone."""
    place = bench.folder / "stores"
    manifest = MANIFEST.read(place / "manifest.json")
    k, query_ids = manifest["k"], manifest["query_ids"]
    tables = {
        each["name"]: RANKED.read(place / "rankings" / f"{each['number']}.parquet") for each in manifest["settings"]
    }
    exact, nothing = _first(next(iter(tables.values())), k), np.empty(0)
    scores = []
    for name, table in tables.items():
        found = _first(table, k)
        recalls = [
            (query_id, found_right(found.get(query_id, nothing), exact[query_id]) / len(exact[query_id]))
            for query_id in query_ids
            if query_id in exact
        ]
        rows = pd.DataFrame(recalls, columns=["query_id", "value"])
        scores.append(rows.assign(setting=name, stage="search", metric=f"recall@{k}"))
        if evaluation.is_judged:
            stages = ["search", *(["rerank"] if manifest["reranker"] else []), "inject"]
            own = scores_of(table, evaluation.qrels, [measure(plan.metric)], stages=stages)  # type: ignore[arg-type]
            scores.append(own.assign(setting=name))
    columns = ["setting", "stage", "metric", "query_id", "value"]
    files.write_table(place / "scores.parquet", pd.concat(scores, ignore_index=True)[columns])
    facts = {
        "recording": manifest["recording"], "qrels_sha256": evaluation.qrels_sha256, "metric": plan.metric,
        "judged": evaluation.is_judged, "margin": plan.settings.margin,
    }  # fmt: skip
    write_sealed(place / "judgement.json", facts, "scores.parquet")


def _first(table: pd.DataFrame, k: int) -> dict[str, NDArray[np.float64]]:
    """query_id -> what the first k passages of the search score exactly."""
    rows = table[(table["stage"] == "search") & (table["rank"] <= k)]
    return {str(query_id): own.to_numpy(np.float64) for query_id, own in rows.groupby("query_id")["exact_score"]}
