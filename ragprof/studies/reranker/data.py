"""A judged and priced recording of rerankers as tables. Reads files, concludes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from ragprof.core.errors import BadInput
from ragprof.evals import RerankerSettings, settings_of, unpriced
from ragprof.record import belonging
from ragprof.record.belonging import Basis
from ragprof.record.disturbance import busy_words
from ragprof.statistics.draws import VERDICT_RESAMPLES, Array, Draws
from ragprof.studies.reranker.recorded import (
    ANEW,
    CORRECTED,
    CORRECTED_FILE,
    JUDGEMENT,
    MANIFEST,
    RATES,
    RERANK,
    SEARCH,
    TABLES,
    CorrectedDepth,
    CorrectedGains,
    RecordedArm,
    candidates_at,
)

NEEDED = ("manifest.json", "judgement.json", "judged.parquet", "costs.parquet", "prompts.parquet", "rates.json")


@dataclass(frozen=True)
class RerankerData:
    """What a recording of rerankers holds; `home` is the recording that it lies in.

    Values of a metric are arrays with one entry a query, in the order of `query_ids`, so that `draws` fit them.
    """

    home: Path
    manifest: Mapping[str, Any]
    rates: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]

    @property
    def pipelines(self) -> list[dict[str, Any]]:
        """As the eval declares them, in its order."""
        return list(self.manifest["config"]["pipelines"])

    @cached_property
    def settings(self) -> RerankerSettings:
        """The [reranker] table."""
        return RerankerSettings.model_validate(self.manifest["config"]["reranker"])

    @property
    def metric(self) -> str:
        return self.settings.metric

    @property
    def seed(self) -> int:
        return self.settings.seed

    @cached_property
    def query_ids(self) -> list[str]:
        return sorted(self.manifest["query_ids"])

    @cached_property
    def draws(self) -> Draws:
        """Resamples of all questions, the same everywhere: (1 + VERDICT_RESAMPLES, questions)."""
        return Draws.of(self.query_ids, seed=self.seed, resamples=VERDICT_RESAMPLES)

    @cached_property
    def names(self) -> list[str]:
        """The pipelines whose rerankers are looked at, in the eval's order."""
        return [name for name, arm in self.arms.items() if arm.student is None]

    @cached_property
    def arms(self) -> dict[str, RecordedArm]:
        return {name: RecordedArm.model_validate(arm) for name, arm in self.manifest["arms"].items()}

    def arm(self, name: str) -> RecordedArm:
        """What the manifest says of a pipeline or of a student over its candidates."""
        return self.arms[name]

    @property
    def max_k(self) -> int:
        return int(self.manifest["max_k"])

    def students(self, pipeline: str) -> list[str]:
        """Arms that rerank this pipeline's candidates with another reranker."""
        return [name for name, arm in self.arms.items() if arm.student is not None and arm.pipeline == pipeline]

    def values(self, arm: str, ranking: str, depth: int, metric: str) -> Array:
        """A metric of each query. Raises KeyError for a ranking that was not judged, BadInput for such a metric."""
        rows = self._judged[arm, ranking, depth]
        if metric not in rows:
            raise BadInput(f"it lacks the column '{metric}'; {ANEW}", file=self.home / "reranker" / "judged.parquet")
        return np.asarray(rows[metric].to_numpy(float))

    def has(self, arm: str, ranking: str, depth: int) -> bool:
        return (arm, ranking, depth) in self._judged

    def plain(self, arm: str, metric: str) -> Array:
        """Of the search order at the arm's own depth: what there is without the reranker."""
        return self.values(arm, SEARCH, self.arm(arm).own_depth, metric)

    def reranked(self, arm: str, metric: str, depth: int | None = None) -> Array:
        """After the reranker, from the arm's own depth of candidates unless another is given."""
        return self.values(arm, RERANK, depth or self.arm(arm).own_depth, metric)

    def gain(self, arm: str, metric: str, depth: int | None = None) -> Array:
        return self.reranked(arm, metric, depth) - self.plain(arm, metric)

    def other(self, pipeline: str, metric: str) -> Array:
        """The final ranking of any pipeline of the eval; NaN for a metric that it was not recorded deep enough for."""
        rows = self.tables["others"]
        mine = rows[rows["pipeline"] == pipeline].set_index("query_id").reindex(self.query_ids)
        return np.asarray(mine[metric].to_numpy(float)) if metric in mine else np.full(len(self.query_ids), np.nan)

    def context_tokens(self, arm: str, ranking: str, depth: int) -> Array:
        """Tokens of the first 1, 2, ... max_k passages: (max_k, queries); 0 where a query found nothing."""
        return self._context_tokens[arm, ranking, depth]

    def usd(self, arm: str, depth: int) -> Array | None:
        """What reranking costs each query in USD; NaN where a query was not timed and time is what is billed.

        None where it is UNPRICED.
        """
        usd = self._cost(arm, depth, "usd")
        return None if np.isnan(usd).all() else usd

    def units(self, arm: str, depth: int) -> Array:
        """What is billed for, a query: searches, requests, tokens or paid hours; NaN where not known."""
        return self._cost(arm, depth, "units")

    def _cost(self, arm: str, depth: int, column: str) -> Array:
        rows = self._costs.get((arm, depth))
        if rows is None:
            return np.full(len(self.query_ids), np.nan)
        return np.asarray(rows[column].astype(float).reindex(self.query_ids).to_numpy(float, na_value=np.nan))

    def timed(self, arm: str, depth: int) -> pd.DataFrame:
        """Live rows of one depth (0: without the reranker), every round of every timed query."""
        return self._live.get((arm, depth), self.tables["live"].iloc[:0])

    @cached_property
    def corrected(self) -> CorrectedGains | None:
        """What the rerankers gain as people judged; None where no model made the judgements."""
        path = self.home / "reranker" / CORRECTED_FILE
        return cast(CorrectedGains, CORRECTED.read(path)) if path.exists() else None

    def corrected_at(self, arm: str, depth: int) -> CorrectedDepth | None:
        """Of an arm at one depth; None where people judged too few queries, too."""
        known = [] if self.corrected is None else self.corrected["depths"]
        return next((each for each in known if each["arm"] == arm and each["depth"] == depth), None)

    def busy(self, arm: str) -> str:
        """Why its live times count for nothing; empty where they count, or where nothing of it was recorded."""
        depths = [0, self.arm(arm).own_depth]
        live = self.table("live", arm)
        return busy_words(live[live["depth"].isin(depths)], self.settings.timing.model_dump())

    def llms(self, arm: str) -> list[Mapping[str, Any]]:
        """Prices of a prompt's tokens, the one that the arm's pipeline is billed by first."""
        return sorted(self.rates["arms"][arm]["llms"], key=lambda llm: not llm["primary"])

    def candidates(self, arm: str, depth: int) -> pd.DataFrame:
        """The first `depth` candidates of each query that has any, in the search's order."""
        if (arm, depth) not in self._candidates:
            self._candidates[arm, depth] = candidates_at(self.tables["candidates"], arm, self.arm(arm), depth)
        return self._candidates[arm, depth]

    def table(self, name: str, arm: str) -> pd.DataFrame:
        rows = self.tables[name]
        return rows[rows["arm"] == arm]

    @cached_property
    def _candidates(self) -> dict[tuple[str, int], pd.DataFrame]:
        return {}

    @cached_property
    def _live(self) -> dict[tuple[str, int], pd.DataFrame]:
        return _grouped(self.tables["live"], ["arm", "depth"])

    @cached_property
    def _judged(self) -> dict[tuple[str, str, int], pd.DataFrame]:
        found = _grouped(self.tables["judged"], ["arm", "ranking", "depth"])
        return {key: rows.set_index("query_id").reindex(self.query_ids) for key, rows in found.items()}

    @cached_property
    def _context_tokens(self) -> dict[tuple[str, str, int], Array]:
        found, ks = _grouped(self.tables["prompts"], ["arm", "ranking", "depth"]), range(1, self.max_k + 1)
        wide = {key: rows.pivot(index="k", columns="query_id", values="context_tokens") for key, rows in found.items()}
        return {
            key: np.asarray(each.reindex(index=ks, columns=self.query_ids).fillna(0).to_numpy(float))
            for key, each in wide.items()
        }

    @cached_property
    def _costs(self) -> dict[tuple[str, int], pd.DataFrame]:
        found = _grouped(self.tables["costs"], ["arm", "depth"])
        return {key: rows.set_index("query_id") for key, rows in found.items()}


def _grouped(table: pd.DataFrame, keys: list[str]) -> dict[Any, pd.DataFrame]:
    """The rows of each combination of keys, by those keys in order."""
    return dict(list(table.groupby(keys, sort=False)))


def is_judged(folder: Path) -> bool:
    """Whether rerankers were recorded to the end and judged, priced or not."""
    return all((folder / "reranker" / name).exists() for name in NEEDED[:3])


def is_recorded(folder: Path) -> bool:
    """Whether rerankers were recorded to the end, judged and priced."""
    return all((folder / "reranker" / name).exists() for name in NEEDED)


def belongs(folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]) -> bool:
    """Whether it is of the same corpus, questions, pipelines and judgements as the recording that it lies in."""
    mine = MANIFEST.read(folder / "reranker" / "manifest.json")
    judged = JUDGEMENT.read(folder / "reranker" / "judgement.json")
    parts = {name: mine["identities"].get(name, {}) for name, arm in mine["arms"].items() if arm["student"] is None}
    basis = Basis(
        corpus=mine["corpus_sha256"],
        questions=mine["questions_sha256"],
        pipelines=unpriced(mine["config"]["pipelines"]),
        # No answer is generated for a reranker's study.
        identities={
            name: {stage: part for stage, part in of.items() if stage != "generator"} for name, of in parts.items()
        },
        tokenizer=mine["config"]["tokenizer"],
        # Its live times stand beside those of the recording.
        cpu=mine["environment"]["cpu"],
        every_pipeline=False,
    )
    return belonging.belongs(basis, recording=mine["recording"], judged=judged, manifest=manifest, judgement=judgement)


def read_recorded(folder: Path) -> RerankerData:
    """The rerankers in a recording's folder. Raises BadInput where something that is needed is missing."""
    place = folder / "reranker"
    return RerankerData(
        folder,
        {**MANIFEST.read(place / "manifest.json"), "config": settings_of(place)},
        RATES.read(place / "rates.json"),
        {name: table.read(place / f"{name}.parquet") for name, table in TABLES.items()},
    )
