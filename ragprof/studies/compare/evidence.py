"""One side of a comparison: every figure of a recording, query by query, and what it rests on. No text.

`figures` has the columns pipeline, kind, stage, name, query_id, value: of kind `quality` (name: the metric, at every
stage that ranks), `usage` (name: the unit) and `cost` (name: the item of the bill; value: USD per 1,000 such queries).
`times` has pipeline, stage (`query` is end to end), round, query_id, duration_ns: live queries only. `rankings` has
pipeline, query_id, rank, document_id: the first TOP documents of the final ranking.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ragprof import files
from ragprof.errors import BadInput, NonFiniteScore
from ragprof.evals import unpriced
from ragprof.studies.latency import noise

TOP = 10
FIGURES = ("pipeline", "kind", "stage", "name", "query_id", "value")
TIMES = ("pipeline", "stage", "round", "query_id", "duration_ns")
RANKINGS = ("pipeline", "query_id", "rank", "document_id")
MACHINE_TIME = "machine time"
JUDGED = "Judged"


@dataclass(frozen=True)
class Evidence:
    """`label` is what the user called it. `facts` is plain JSON, see `facts_of`."""

    label: str
    source: Literal["recording", "baseline"]
    facts: Mapping[str, Any]
    figures: pd.DataFrame
    times: pd.DataFrame
    rankings: pd.DataFrame

    @property
    def pipelines(self) -> tuple[str, ...]:
        """In the order of the eval."""
        return tuple(self.facts["pipelines"])


def of_recording(folder: Path, *, label: str | None = None) -> Evidence:
    """Read a judged and priced recording. Raises BadInput for an incomplete one, NonFiniteScore for NaN in it."""
    manifest, judgement = files.read_manifest(folder), files.read_json(folder / "judgement.json")
    if judgement.get("recording") != manifest.get("recording"):
        raise BadInput("it judges another recording; run 'ragprof run' to the end", file=folder / "judgement.json")
    rates = files.read_json(folder / "rates.json")
    spans = files.read_table(folder / "spans.parquet")
    figures = pd.concat([_quality(folder), _usage(folder), _cost(folder)], ignore_index=True)
    if figures["value"].isna().any():
        row = figures[figures["value"].isna()].iloc[0]
        raise NonFiniteScore(
            f"{folder}: '{row['name']}' of pipeline '{row['pipeline']}', query '{row['query_id']}', is not a number; "
            "record it again with 'ragprof run'"
        )
    return Evidence(
        label=label or str(folder),
        source="recording",
        facts=facts_of(manifest, judgement, rates, spans),
        figures=figures[list(FIGURES)],
        times=spans.loc[spans["phase"] == "timed", list(TIMES)].reset_index(drop=True),
        rankings=_rankings(folder, manifest),
    )


def facts_of(
    manifest: Mapping[str, Any], judgement: Mapping[str, Any], rates: Mapping[str, Any], spans: pd.DataFrame
) -> dict[str, Any]:
    """What the figures rest on.

    `job` is shared by recordings whose live queries were interleaved; `unpriced` and `clocked` (stages that are
    billed by measured time) are by pipeline, `noise` is the spread between the rounds of its end-to-end medians.
    """
    config, bills = manifest["config"], rates["pipelines"]
    pipelines = {entry["name"]: manifest["identities"][entry["name"]] for entry in config["pipelines"]}
    return {
        "eval": config["name"],
        "title": config["title"] or config["name"],
        "created": manifest["created"],
        "recording": manifest["recording"],
        "job": manifest.get("job", manifest["recording"]),
        "ragprof_version": manifest["ragprof_version"],
        "eval_sha256": eval_sha256(config),
        "corpus": {key: manifest["corpus"][key] for key in ("name", "docs", "sha256")},
        "questions": manifest["questions"],
        "qrels_sha256": judgement["qrels_sha256"],
        "queries": judgement["queries"],
        "seed": config["seed"],
        "tokenizer": config["tokenizer"],
        "metrics": [name for name in config["metrics"] if not name.startswith(JUDGED)],
        "environment": manifest["environment"],
        "pipelines": pipelines,
        "depths": manifest["depths"],
        "rates": {name: {key: rate.get(key) for key in ("usd", "since")} for name, rate in rates["rates"].items()},
        "priced_on": rates["on"],
        "unpriced": {
            name: [f"{line['stage']}: {line['reason']}" for line in bill["unpriced"]] for name, bill in bills.items()
        },
        "clocked": {
            name: sorted({line["stage"] for line in bill["applied"] if line["item"] == MACHINE_TIME})
            for name, bill in bills.items()
        },
        "noise": {name: _spread(spans, name) for name in pipelines},
    }


def eval_sha256(config: Mapping[str, Any]) -> str:
    """Of what of an eval a recording's figures rest on: pipelines without prices, metrics, tokenizer, seed."""
    resting = {key: config[key] for key in ("name", "seed", "tokenizer", "metrics")}
    text = json.dumps({**resting, "pipelines": unpriced(config["pipelines"])}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _quality(folder: Path) -> pd.DataFrame:
    scores = files.read_table(folder / "scores.parquet").rename(columns={"metric": "name"})
    return scores[~scores["name"].str.startswith(JUDGED)].assign(kind="quality")


def _usage(folder: Path) -> pd.DataFrame:
    usage = files.read_table(folder / "usage.parquet").rename(columns={"unit": "name", "count": "value"})
    return usage.assign(kind="usage", value=usage["value"].astype(float))


def _cost(folder: Path) -> pd.DataFrame:
    costs = files.read_table(folder / "costs.parquet").rename(columns={"item": "name"})
    priced = costs[costs["usd"].notna()]
    texts = {name: priced[name].astype(str) for name in ("pipeline", "query_id", "stage", "name")}
    return pd.DataFrame({**texts, "kind": "cost", "value": priced["usd"].astype(float) * 1_000})


def _rankings(folder: Path, manifest: Mapping[str, Any]) -> pd.DataFrame:
    tables = []
    for pipeline in manifest["config"]["pipelines"]:
        name, final = pipeline["name"], "search" if pipeline["reranker"]["name"] == "none" else "rerank"
        table = files.read_table(folder / "rankings" / f"{name}.parquet")
        tables.append(_documents(table[table["stage"] == final]).assign(pipeline=name))
    return pd.concat(tables, ignore_index=True)[list(RANKINGS)]


def _documents(ranking: pd.DataFrame) -> pd.DataFrame:
    """The first TOP distinct documents of each query: a document stands where its best chunk does."""
    best = ranking.sort_values(["query_id", "rank"]).drop_duplicates(["query_id", "document_id"])
    numbered = best.assign(rank=best.groupby("query_id").cumcount() + 1)
    return numbered[numbered["rank"] <= TOP]


def _spread(spans: pd.DataFrame, name: str) -> float | None:
    whole = spans[(spans["pipeline"] == name) & (spans["phase"] == "timed") & (spans["stage"] == "query")]
    if whole.empty or whole["round"].nunique() < 2:
        return None
    return float(noise(whole, bound=0.0)["spread"])
