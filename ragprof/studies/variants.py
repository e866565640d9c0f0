"""What studies of variants have in common: a corpus in several forms, each judged and priced against the first.

A difference is paired by query: the same question to the same pipeline over both forms. Knows neither what the forms
are nor why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from typing_extensions import TypedDict

from ragprof.core import Manifest, files
from ragprof.core.recorded import VARIANTS, RecordedJson, RecordedTable
from ragprof.corpus import EvaluationSet
from ragprof.evals import handed_down, settings_of
from ragprof.evals.recorded import BUILDS, COSTS, SCORES, TOKENS, USAGE, final_stage, manifest_of
from ragprof.judge.scores import canonical, judge, measure, rankings, scores_of
from ragprof.price.bills import PriceList, price_entries, price_recording
from ragprof.price.pricing import EXACT, plain
from ragprof.price.rates import Unpriced
from ragprof.report import figures
from ragprof.report.figures import judged_beside
from ragprof.statistics.estimates import estimated, gained
from ragprof.statistics.unseen import SIGNED, Bounds
from ragprof.studies.contract import EstimateValue, Pricing, Section

INGEST, AS_ONE = "ingest.json", "as_one.parquet"
COPIED = "\x1fcopy"
"""What the id of a copy ends with that adds nothing: the same was found further up."""


class IngestPrice(TypedDict):
    """What embedding all passages once costs by the published rate; `usd` is null where `reason` says why."""

    usd: str | None
    reason: str


INGESTED = RecordedJson(dict[str, IngestPrice])
AS_ONE_SCORES = RecordedTable(text="pipeline metric query_id", number="value", may_be_empty=True)


class PairedFigure(Section):
    """A mean over the queries, and how it differs from the first variant's."""

    mean: float | None
    change: EstimateValue | None = None
    """This variant minus the first, paired by query; None of the first itself."""


class PricedVariant(Section):
    """One form of the corpus in one pipeline."""

    variant: str
    passages: int
    documents: int
    tokens: int
    """Of all passages, by the eval's tokenizer."""
    index_bytes: int | None
    embed_usd: str | None
    """Embedding all passages once, at the rate under [prices]; None where that is UNPRICED or nothing is embedded."""
    quality: PairedFigure | None = None
    """The metric of the final ranking; None without relevance judgements."""
    as_one: PairedFigure | None = None
    """The same where copies count as one document: each inherits its grade, and only the first found counts."""
    judged: float | None = None
    """Share of the first results that somebody judged."""
    context_tokens: PairedFigure
    """Tokens of the passages in the prompt."""
    usd_per_1000: PairedFigure | None = None
    """USD per 1,000 queries of the prompt, and of the reranker where that is billed by what it reads."""
    unpriced: str = ""


def judge_variants(
    folder: Path, evaluation: EvaluationSet, metrics: Sequence[str], same_as: Mapping[str, str] | None = None
) -> None:
    """Scores of every variant of a study's recording; with `same_as` (copy -> original) also with copies as one."""
    for place in variant_folders(folder):
        judge(place, evaluation, metrics=metrics)
        if same_as is not None and evaluation.is_judged:
            qrels = as_one_qrels(evaluation.qrels, same_as)
            pipelines = {each["name"]: each for each in manifest_of(place).pipelines}
            tables = []
            for name, table in rankings(place).items():
                stage = final_stage(pipelines[name], table)
                mine, own = as_one(table[table["stage"] == stage], same_as, qrels)
                scored = scores_of(mine, own, [measure(each) for each in metrics], stages=[stage])
                tables.append(scored.assign(pipeline=name))
            files.write_table(place / AS_ONE, pd.concat(tables, ignore_index=True))


def as_one_qrels(qrels: Mapping[str, Mapping[str, int]], same_as: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Judgements of originals: each has the best grade of all its copies."""
    inherited: dict[str, dict[str, int]] = {}
    for query_id, grades in qrels.items():
        mine = inherited.setdefault(query_id, {})
        for document, grade in grades.items():
            original = same_as.get(document, document)
            mine[original] = max(grade, mine.get(original, grade))
    return inherited


def as_one(
    ranking: pd.DataFrame, same_as: Mapping[str, str], qrels: Mapping[str, Mapping[str, int]]
) -> tuple[pd.DataFrame, dict[str, dict[str, int]]]:
    """A ranking by originals, and its judgements.

    The first of several copies stands for all; a further one keeps its place and is irrelevant, since it tells nothing
    new (Bernstein and Zobel, Redundant documents and search effectiveness, CIKM 2005).
    """
    rows = ranking.sort_values(["query_id", "rank"])
    original = rows["document_id"].map(lambda name: same_as.get(name, name))
    first = rows.assign(original=original).groupby(["query_id", "original"])["document_id"].transform("first")
    again = rows["document_id"] != first
    named = original.where(~again, rows["document_id"] + COPIED)
    judged = {query_id: dict(grades) for query_id, grades in qrels.items()}
    for query_id, name in zip(rows.loc[again, "query_id"], named[again], strict=True):
        if query_id in judged:
            judged[query_id][name] = 0
    return rows.assign(document_id=named), judged


def variant_folders(folder: Path) -> list[Path]:
    """Where the variants of a study's recording lie."""
    return sorted(path for path in (folder / VARIANTS).iterdir() if path.is_dir())


def price_variants(home: Path, study: str, pricing: Pricing) -> None:
    """Price what depends on the corpus: prompts, pairs where they are billed, and embedding all of it once.

    No machine time: nothing was timed, and a stage takes the same whatever passages it handles.
    """
    settings = settings_of(home)
    for place in variant_folders(home / study):
        config = without_machine(handed_down(place, settings))
        price_recording(place, settings=config, books=pricing.books, on=pricing.on, llm=pricing.llm)
        prices = PriceList.of(config, books=pricing.books, on=pricing.on, file=home / "manifest.json")
        table = TOKENS.read(place / "tokens.parquet")
        tokens = int(table.loc[table["kind"] == "doc", "tokens"].sum())
        found = {
            each["name"]: _ingest_price(price_entries(config, each, llm=None).get("embed"), tokens, prices)
            for each in config["pipelines"]
            if each.get("embedder") is not None
        }
        files.write_json(place / INGEST, found)


def without_machine(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with no machine to pay."""

    def bare(prices: Mapping[str, Any] | None) -> dict[str, Any]:
        return {key: value for key, value in (prices or {}).items() if key != "machine"}

    pipelines = [{**each, "prices": bare(each.get("prices"))} for each in config["pipelines"]]
    return {**config, "prices": bare(config.get("prices")), "pipelines": pipelines}


def _ingest_price(name: str | None, tokens: int, prices: PriceList) -> IngestPrice:
    if not name:
        return {"usd": None, "reason": "no rate for embed under [prices]"}
    try:
        rate = prices.rate(name)
        if rate.shape not in ("per_input_token", "free"):
            raise Unpriced(f"'{name}' is billed {rate.shape.replace('_', ' ')}, and nothing was timed")
    except Unpriced as missing:
        return {"usd": None, "reason": str(missing)}
    with localcontext(EXACT):
        return {"usd": plain(rate.cost(Decimal(tokens))), "reason": ""}


@dataclass(frozen=True)
class Measured:
    """A judged and priced variant as tables."""

    folder: Path
    metric: str

    @cached_property
    def _scores(self) -> pd.DataFrame:
        return SCORES.read(self.folder / "scores.parquet")

    @cached_property
    def _usage(self) -> pd.DataFrame:
        return USAGE.read(self.folder / "usage.parquet")

    @cached_property
    def _costs(self) -> pd.DataFrame:
        return COSTS.read(self.folder / "costs.parquet")

    @cached_property
    def _builds(self) -> pd.DataFrame:
        return BUILDS.read(self.folder / "builds.parquet")

    @cached_property
    def _as_one(self) -> pd.DataFrame | None:
        path = self.folder / AS_ONE
        return AS_ONE_SCORES.read(path) if path.exists() else None

    @cached_property
    def tokens(self) -> int:
        """Of all passages."""
        table = TOKENS.read(self.folder / "tokens.parquet")
        return int(table.loc[table["kind"] == "doc", "tokens"].sum())

    @cached_property
    def ingest(self) -> Mapping[str, IngestPrice]:
        return INGESTED.read(self.folder / INGEST)

    @cached_property
    def manifest(self) -> Manifest:
        return manifest_of(self.folder)

    @property
    def size(self) -> tuple[int, int]:
        """Passages and documents."""
        corpus = self.manifest.facts["corpus"]
        return corpus["docs"], corpus["documents"]

    @cached_property
    def stages(self) -> dict[str, str]:
        """Pipeline -> the stage whose ranking is its own; no app is among them."""
        return {
            each["name"]: "search" if each["reranker"]["name"] == "none" else "rerank"
            for each in self.manifest.pipelines
        }

    def quality(self, pipeline: str, metric: str = "") -> pd.Series:
        table = self._scores
        mine = table[
            (table["pipeline"] == pipeline) & (table["stage"] == self.stages[pipeline])
            & (table["metric"] == (metric or self.metric))
        ]  # fmt: skip
        return mine.set_index("query_id")["value"]

    def as_one(self, pipeline: str) -> pd.Series | None:
        table = self._as_one
        if table is None:
            return None
        mine = table[(table["pipeline"] == pipeline) & (table["metric"] == self.metric)]
        return mine.set_index("query_id")["value"]

    def context_tokens(self, pipeline: str) -> pd.Series:
        table = self._usage
        mine = table[(table["pipeline"] == pipeline) & (table["unit"] == "context_tokens")]
        return mine.set_index("query_id")["count"].astype(float)

    def prompt_tokens(self, pipeline: str) -> pd.Series:
        table = self._usage
        mine = table[(table["pipeline"] == pipeline) & (table["unit"] == "prompt_tokens")]
        return mine.set_index("query_id")["count"].astype(float)

    def usd(self, pipeline: str) -> pd.Series | None:
        """Of 1,000 queries like this one; None where the prompt is UNPRICED."""
        table = self._costs
        mine = table[table["pipeline"] == pipeline]
        prompts = mine[mine["stage"] == "inject"]
        if prompts.empty or prompts["usd"].isna().any():
            return None
        return mine[mine["usd"].notna()].groupby("query_id")["usd"].sum().astype(float) * 1000

    def index_bytes(self, pipeline: str) -> int | None:
        found = self._builds.loc[self._builds["pipeline"] == pipeline, "index_bytes"]
        return None if found.empty else int(found.iloc[0])


def priced(folder: Path, names: Sequence[str], *, metric: str, seed: int) -> dict[str, list[PricedVariant]]:
    """pipeline -> its variants in this order, each against the first. `folder` is the study's."""
    measured = {name: Measured(folder / VARIANTS / name, metric) for name in names}
    first = measured[names[0]]
    pipelines = first.manifest.names
    return {
        pipeline: [_priced(name, each, first, pipeline, seed=seed) for name, each in measured.items()]
        for pipeline in pipelines
    }


def _priced(name: str, mine: Measured, first: Measured, pipeline: str, *, seed: int) -> PricedVariant:
    def paired(values: pd.Series | None, base: pd.Series | None, bounds: Bounds | None = None) -> PairedFigure | None:
        if values is None or base is None or values.empty:
            return None
        change = None if mine is first else EstimateValue(**estimated(gained(values, base), bounds=bounds, seed=seed))
        return PairedFigure(mean=float(values.mean()), change=change)

    context = paired(mine.context_tokens(pipeline), first.context_tokens(pipeline))
    judged = mine.quality(pipeline, judged_beside(mine.metric))
    usd = paired(mine.usd(pipeline), first.usd(pipeline))
    ingest = mine.ingest.get(pipeline)
    return PricedVariant(
        variant=name,
        passages=mine.size[0],
        documents=mine.size[1],
        tokens=mine.tokens,
        index_bytes=mine.index_bytes(pipeline),
        embed_usd=None if ingest is None else ingest["usd"],
        quality=paired(mine.quality(pipeline), first.quality(pipeline), SIGNED),
        as_one=paired(mine.as_one(pipeline), first.as_one(pipeline), SIGNED),
        judged=None if judged.empty else float(judged.mean()),
        context_tokens=context or PairedFigure(mean=None),
        usd_per_1000=usd,
        unpriced="" if usd is not None else "no rate for the prompt; name one under [prices] as llm",
    )


def metrics_of(metric: str) -> tuple[str, ...]:
    """The metric, and the share of judged results that qualifies it. Raises UnknownName."""
    (named,) = canonical([metric])
    return (named, judged_beside(named)) if "@" in named else (named,)


def changed(figure: PairedFigure | None, write: Any) -> str:
    """A change in a sentence, with its interval: `-0.002 (95% CI -0.006 to 0.001)`; empty where there is none."""
    if figure is None or figure.change is None or figure.change.mean is None:
        return ""
    return figures.with_interval(figure.change.mean, figure.change.interval, lambda each: figures.signed(each, write))
