"""One side of a comparison: every figure of a recording, query by query, and what it rests on; and what stands beside
what. No text.

`figures` has the columns pipeline, kind, stage, name, query_id, value: of kind `quality` (name: the metric, at every
stage that ranks), `usage` (name: the unit) and `cost` (name: the item of the bill; value: USD per 1,000 such queries).
`times` has pipeline, stage (`query` is end to end), round, query_id, duration_ns: live queries only. `rankings` has
pipeline, query_id, rank, document_id: the first TOP documents of the final ranking.

Other documents, questions or judgements: nothing may be compared. Another machine, or another major version of what
runs on it: no latency, unless both were timed in one job, where such a difference is what is measured. Another
tokenizer: no token of a prompt, and no money made of them. Where other work reached into the timings of a side, nothing
that rests on a clock is judged. Refused are sides without a query or a pipeline in common, figures that are not
numbers, and figures that stand there twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeAlias, cast, get_args

import numpy as np
import pandas as pd
from pydantic import AfterValidator, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from ragprof.core import OTHER, STAGES, in_order
from ragprof.core.counting import counted
from ragprof.core.errors import BadInput, Incomparable, NonFiniteScore, UnknownName
from ragprof.core.quantities import KINDS, LATENCIES, LOAD_RATES, LOAD_TAILS, Kind, Quantity
from ragprof.evals import Timing, settings_of
from ragprof.evals import unpriced as without_prices
from ragprof.evals.recorded import (
    COSTS,
    JUDGEMENT,
    RANKING,
    RATES,
    SPANS,
    USAGE,
    final_stage,
    read_manifest,
    read_scores,
)
from ragprof.judge.labelled import labelled_scores
from ragprof.price.bills import UNTIMED
from ragprof.record.disturbance import Disturbance, disturbance_of
from ragprof.report.figures import corpus_words, differing
from ragprof.statistics.draws import Array
from ragprof.statistics.estimates import QUANTILES, noise, quantile, rounds_of
from ragprof.statistics.paired import NS_PER_MS, Paired, Timed
from ragprof.statistics.unseen import SIGNED
from ragprof.studies.gate.document import Blocks, FactDifference
from ragprof.studies.gate.loaded import has_load, load_figure, load_obstacle
from ragprof.studies.load.kept import KeptLoad, kept_load

TOP = 10
FIGURES = ("pipeline", "kind", "stage", "name", "query_id", "value")
TIMES = ("pipeline", "stage", "round", "query_id", "duration_ns")
RANKINGS = ("pipeline", "query_id", "rank", "document_id")
MACHINE_TIME = "machine time"
JUDGED = "Judged"
BLOCKS: tuple[Blocks, ...] = get_args(Blocks)


Dated: TypeAlias = Annotated[str, AfterValidator(lambda text: datetime.fromisoformat(text) and text)]


class SideCorpus(TypedDict):
    """What was searched: passages, and the documents that they were cut from where these are others."""

    name: str
    docs: int
    sha256: str
    documents: NotRequired[int]


class SideEnvironment(TypedDict):
    """Of a machine, and what else `environment.describe` says of it."""

    cpu: str | None
    cores: int | None
    packages: Mapping[str, str | None]


class SideFacts(TypedDict):
    """What the figures of a side rest on, as plain JSON.

    `job` is shared by recordings whose live queries were interleaved; `unpriced` (stages with the reason) and `clocked`
    (stages that are billed by time, whether it was measured or not) are by pipeline, `noise` is the spread between the
    rounds of its end-to-end medians, `disturbance` what the fields of Disturbance hold; baselines of older versions
    lack that. `load` is what `ragprof load` measured into the same folder, by pipeline.
    """

    eval: str
    title: str
    created: Dated
    recording: str
    job: str
    ragprof_version: str
    eval_sha256: str
    corpus: SideCorpus
    questions: str
    qrels_sha256: str
    queries: int
    seed: int
    tokenizer: str
    metrics: Sequence[str]
    environment: SideEnvironment
    pipelines: Mapping[str, Mapping[str, str | None]]
    depths: Mapping[str, int]
    rates: Mapping[str, Mapping[str, str | None]]
    priced_on: str
    unpriced: Mapping[str, Sequence[str]]
    clocked: Mapping[str, Sequence[str]]
    noise: Mapping[str, float | None]
    disturbance: NotRequired[Mapping[str, Mapping[str, float | None]]]
    load: NotRequired[Mapping[str, KeptLoad]]


@dataclass(frozen=True)
class SideEvidence:
    """`label` is what the user called it."""

    label: str
    source: Literal["recording", "baseline"]
    facts: SideFacts
    figures: pd.DataFrame
    times: pd.DataFrame
    rankings: pd.DataFrame
    labelled: pd.DataFrame | None = None
    """Scores by a model's grades and by people's, where `ragprof label` made the judgements; a baseline keeps none."""

    @property
    def pipelines(self) -> tuple[str, ...]:
        """In the order of the eval."""
        return tuple(self.facts["pipelines"])


def of_recording(folder: Path, *, label: str | None = None) -> SideEvidence:
    """Read a judged and priced recording. Raises BadInput for an incomplete one, NonFiniteScore for NaN in it."""
    try:
        manifest = {**read_manifest(folder), "config": settings_of(folder)}
        judgement = JUDGEMENT.read(folder / "judgement.json")
        if judgement.get("recording") != manifest.get("recording"):
            raise BadInput("it judges another recording; run 'ragprof run' to the end", file=folder / "judgement.json")
        rates = RATES.read(folder / "rates.json")
        spans = SPANS.read(folder / "spans.parquet")
        figures = _figures(folder)
        refuse_broken(folder, figures[figures["value"].isna()])
        return SideEvidence(
            label=label or str(folder),
            source="recording",
            facts=checked(_with_load(facts_of(manifest, judgement, rates, spans), folder, manifest), file=folder),
            figures=figures[list(FIGURES)],
            times=spans.loc[spans["phase"] == "timed", list(TIMES)].reset_index(drop=True),
            rankings=_rankings(folder, manifest),
            labelled=labelled_scores(folder),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as fault:  # what is in a file was changed, or is of others
        raise BadInput(
            f"a file in it is not as ragprof writes it ({type(fault).__name__}: {fault}); record it again with "
            "'ragprof run'",
            file=folder,
        ) from None


def _with_load(facts: SideFacts, folder: Path, manifest: Mapping[str, Any]) -> SideFacts:
    load = kept_load(folder, manifest)
    return {**facts, "load": load} if load else facts


def checked(facts: object, *, file: Path) -> SideFacts:
    """Facts of which all have the type that they are to have. Raises BadInput naming the first that has not."""
    try:
        TypeAdapter(SideFacts).validate_python(facts, strict=True)
    except ValidationError as failure:
        problem = failure.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise BadInput(f"its '{place}' is not what it has to be ({problem['msg']}); make it anew", file=file) from None
    return cast(SideFacts, facts)


def refuse_broken(folder: Path, rows: pd.DataFrame) -> None:
    """Raises NonFiniteScore where there is any of the figures that are not numbers."""
    for row in rows.head(1).to_dict("records"):
        raise NonFiniteScore(
            f"{folder}: '{row['name']}' of pipeline '{row['pipeline']}', query '{row['query_id']}', is not a number; "
            "record it again with 'ragprof run'"
        )


def facts_of(
    manifest: Mapping[str, Any], judgement: Mapping[str, Any], rates: Mapping[str, Any], spans: pd.DataFrame
) -> SideFacts:
    """What the figures rest on."""
    config, bills = manifest["config"], rates["pipelines"]
    corpus = cast(SideCorpus, {key: manifest["corpus"].get(key) for key in ("name", "docs", "sha256")})
    if (documents := manifest["corpus"].get("documents")) is not None:
        corpus["documents"] = documents
    pipelines = {entry["name"]: manifest["identities"][entry["name"]] for entry in config["pipelines"]}
    whole = spans[(spans["phase"] == "timed") & (spans["stage"] == "query")]
    timed = {name: whole[whole["pipeline"] == name] for name in pipelines}
    clocked = {
        name: sorted(
            {line["stage"] for line in bill["applied"] if line["item"] == MACHINE_TIME}
            | {line["stage"] for line in bill["unpriced"] if line["reason"].startswith(UNTIMED)}
        )
        for name, bill in bills.items()
    }
    unpriced = {
        name: [f"{line['stage']}: {line['reason']}" for line in bill["unpriced"]] for name, bill in bills.items()
    }
    return {
        "eval": config["name"], "title": config["title"] or config["name"], "created": manifest["created"],
        "recording": manifest["recording"], "job": manifest.get("job", manifest["recording"]),
        "ragprof_version": manifest["ragprof_version"], "eval_sha256": eval_sha256(config),
        "corpus": corpus,
        "questions": manifest["questions"], "qrels_sha256": judgement["qrels_sha256"], "queries": judgement["queries"],
        "seed": config["seed"], "tokenizer": config["tokenizer"],
        "metrics": [name for name in config["metrics"] if not name.startswith(JUDGED)],
        "environment": manifest["environment"], "pipelines": pipelines, "depths": manifest["depths"],
        "rates": {name: {key: rate.get(key) for key in ("usd", "since")} for name, rate in rates["rates"].items()},
        "priced_on": rates["on"], "unpriced": unpriced, "clocked": clocked,
        "noise": {
            name: float(noise(rows, bound=0.0)["spread"]) if rows["round"].nunique() > 1 else None
            for name, rows in timed.items()
        },
        "disturbance": {
            name: asdict(disturbance_of(spans[spans["pipeline"] == name], config["timing"])) for name in pipelines
        },
    }  # fmt: skip


def eval_sha256(config: Mapping[str, Any]) -> str:
    """Of what of an eval a recording's figures rest on: pipelines without prices, metrics, tokenizer, seed."""
    resting = {key: config[key] for key in ("name", "seed", "tokenizer", "metrics")}
    text = json.dumps({**resting, "pipelines": without_prices(config["pipelines"])}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _figures(folder: Path) -> pd.DataFrame:
    scores = read_scores(folder).rename(columns={"metric": "name"})
    quality = scores[~scores["name"].str.startswith(JUDGED)].assign(kind="quality")
    counts = USAGE.read(folder / "usage.parquet").rename(columns={"unit": "name", "count": "value"})
    usage = counts.assign(kind="usage", value=counts["value"].astype(float))
    costs = COSTS.read(folder / "costs.parquet").rename(columns={"item": "name"})
    priced = costs[costs["usd"].notna()]
    texts = {name: priced[name].astype(str) for name in ("pipeline", "query_id", "stage", "name")}
    bills = pd.DataFrame({**texts, "kind": "cost", "value": priced["usd"].astype(float) * 1_000})
    return pd.concat([quality, usage, bills], ignore_index=True)


def _rankings(folder: Path, manifest: Mapping[str, Any]) -> pd.DataFrame:
    """The first TOP distinct documents of each query: a document stands where its best chunk does."""
    tables = []
    for pipeline in manifest["config"]["pipelines"]:
        name = pipeline["name"]
        table = RANKING.read(folder / "rankings" / f"{name}.parquet")
        final = final_stage(pipeline, table)
        ranked = table[table["stage"] == final].sort_values(["query_id", "rank"])
        best = ranked.drop_duplicates(["query_id", "document_id"])
        numbered = best.assign(rank=best.groupby("query_id").cumcount() + 1, pipeline=name)
        tables.append(numbered[numbered["rank"] <= TOP])
    return pd.concat(tables, ignore_index=True)[list(RANKINGS)]


MUST_EQUAL = {"corpus": "corpus", "questions": "questions", "qrels": "relevance judgements"}
"""What both sides rest on, and how it is called."""
ALL = ("corpus.sha256", "questions", "qrels_sha256")
NOTED = ("eval", "eval_sha256", "seed", "ragprof_version", "priced_on")
MACHINE = tuple(f"environment.{name}" for name in ("cpu", "gpu", "cores", "threads"))
LIBRARIES = tuple(
    f"environment.packages.{name}"
    for name in ("torch", "faiss-cpu", "sentence-transformers", "transformers", "bm25s", "numpy")
)
TOLD_VERSION = {"environment.python": 2, **dict.fromkeys(LIBRARIES, 1)}
"""How many parts of a version number have to agree for latencies to be compared."""
PROMPT_STAGES = ("", "inject", "generate")


def same_job(base: SideEvidence, candidate: SideEvidence) -> bool:
    """Whether live queries of both sides were interleaved."""
    return bool(base.facts["job"] == candidate.facts["job"])


def differences(base: SideEvidence, candidate: SideEvidence) -> list[FactDifference]:
    """Every field that differs, those that block most first."""
    one_job = same_job(base, candidate)
    found = [
        FactDifference(name, before.get(name), after.get(name), _blocks(name, before, after, one_job=one_job))
        for before, after in zip(_compared_facts(base.facts), _compared_facts(candidate.facts), strict=True)
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]
    return sorted(found, key=lambda each: BLOCKS.index(each.blocks))


def _compared_facts(facts: SideFacts) -> list[dict[str, object]]:
    """Field -> value, in groups that stand together in a list of differences."""
    every: dict[str, object] = {**facts}
    machine = {name: value for name, value in facts["environment"].items() if name != "packages"}
    return [
        {"corpus.sha256": facts["corpus"]["sha256"], **{name: every[name] for name in (*ALL[1:], "tokenizer")}},
        {f"environment.{name}": value for name, value in machine.items()},
        {f"environment.packages.{name}": version for name, version in facts["environment"]["packages"].items()},
        {name: every[name] for name in NOTED},
        {f"rates.{name}": rate for name, rate in facts["rates"].items()},
    ]


def told_apart(field: str, base: SideFacts, candidate: SideFacts) -> str:
    """A field of ALL that differs, in words: names and sizes, since nobody knows a hash."""
    if field == "corpus.sha256":
        return differing("corpus", *map(named_corpus, (base, candidate)))
    if field == "questions":
        return differing("questions", *(f"{side['queries']:,}" for side in (base, candidate)))
    return differing("relevance judgements", "", "")


def named_corpus(facts: SideFacts) -> str:
    """Its corpus by name and size."""
    corpus = facts["corpus"]
    return corpus_words(corpus["name"], corpus["docs"], corpus.get("documents"))


def _blocks(name: str, before: Mapping[str, object], after: Mapping[str, object], *, one_job: bool) -> Blocks:
    if name in ALL:
        return "all"
    if name == "tokenizer":
        return "tokens"
    if one_job or name not in (*MACHINE, *TOLD_VERSION):
        return "nothing"
    versions = [side.get(name) for side in (before, after)]
    if name in MACHINE or None in versions:
        return "latency"
    first, second = (str(version).split(".")[: TOLD_VERSION[name]] for version in versions)
    return "nothing" if first == second else "latency"


def loaded_apart(pair: PipelinePair, quantity: Quantity) -> str:
    """Why what both sides measured under load cannot be compared; empty where it can, and for all other quantities."""
    before, after = pair.base.load, pair.candidate.load
    if quantity.kind != "load" or before is None or after is None:
        return ""
    return load_obstacle(before, after, quantity)


def blocked(quantity: Quantity, found: Sequence[FactDifference]) -> str | None:
    """Why a quantity may not be compared, naming the fields; None where it may."""
    of_prompts = quantity.kind == "cost" and quantity.stage in PROMPT_STAGES
    kinds = {
        "latency": quantity.kind in ("latency", "load"),
        "tokens": of_prompts or (quantity.kind == "usage" and quantity.stage == "inject"),
    }
    return "; ".join(str(each) for each in found if kinds.get(each.blocks, False)) or None


Cell: TypeAlias = tuple[Kind, str, str]
"""kind, stage, name"""
WHOLE = "query"
BEYOND = 1e15
"""Sums and squares of larger figures leave what a float can hold."""
KEY = ["pipeline", "kind", "stage", "name", "query_id"]


@dataclass(frozen=True, eq=False)
class PipelineSide:
    """One pipeline of one side, on the queries of the comparison."""

    evidence: SideEvidence
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

    @property
    def disturbance(self) -> Disturbance:
        """How far other work reached into its timings."""
        facts = self.evidence.facts
        usual = {name: Timing.model_fields[f"{name}_bound"].default for name in ("waiting", "noise")}
        known = facts.get("disturbance", {}).get(self.pipeline, {"spread": facts["noise"].get(self.pipeline)})
        return Disturbance(
            waiting=known.get("waiting"), waiting_bound=known.get("waiting_bound") or usual["waiting"],
            spread=known.get("spread"), spread_bound=known.get("spread_bound") or usual["noise"],
        )  # fmt: skip

    @property
    def load(self) -> KeptLoad | None:
        """What `ragprof load` measured of it; None where it was not run."""
        return self.evidence.facts.get("load", {}).get(self.pipeline)

    def items(self, quantity: Quantity) -> dict[Cell, Array]:
        """The columns that a quantity is the sum of; none where it was not recorded. Not for latency."""
        if quantity.kind == "cost":
            stage = quantity.stage
            return {cell: each for cell, each in self.columns.items() if cell[0] == "cost" and stage in ("", cell[1])}
        stage = quantity.stage or (self.final if quantity.kind == "quality" else "")
        cell = (quantity.kind, stage, quantity.name)
        return {cell: self.columns[cell]} if cell in self.columns else {}

    def recorded(self) -> tuple[Quantity, ...]:
        """All that this pipeline can be asked for, in the order of a report; its final ranking under both names."""
        found = {Quantity(kind, stage, "" if kind == "cost" else name) for kind, stage, name in self.columns}
        final = {
            Quantity("quality", "", each.name) for each in found if (each.kind, each.stage) == ("quality", self.final)
        }
        stages = {"" if stage == WHOLE else stage for stage in self.times}
        timed = {Quantity("latency", stage, name) for stage in stages for name in LATENCIES}
        bills = {Quantity("cost", stage, "") for stage in self.unpriced}
        money = {Quantity("cost", "", "")} if bills or any(each.kind == "cost" for each in found) else set()
        loaded = {
            each for name in (*LOAD_RATES, *LOAD_TAILS) if has_load(self.load, each := Quantity("load", "", name))
        }
        return tuple(sorted(found | final | timed | bills | money | loaded, key=self.place_of))

    def place_of(self, quantity: Quantity) -> tuple[int, int, int, str]:
        """What a report's rows are sorted by: kind, stage, metric in the eval's order, name."""
        metrics = list(self.evidence.facts["metrics"])
        place = metrics.index(quantity.name) if quantity.name in metrics else len(metrics)
        if quantity.kind == "load":
            place = (*LOAD_RATES, *LOAD_TAILS).index(quantity.name)
        stages = ["", *in_order([quantity.stage, *STAGES])] if quantity.stage else [""]
        return KINDS.index(quantity.kind), stages.index(quantity.stage), place, quantity.name


@dataclass(frozen=True, eq=False)
class PipelinePair:
    """The same pipeline of both sides."""

    base: PipelineSide
    candidate: PipelineSide

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


def pairs_of(base: SideEvidence, candidate: SideEvidence, pipelines: Sequence[str] | None = None) -> list[PipelinePair]:
    """The pipelines that both sides have, in the candidate's order; of these the named ones, where any is.

    Two sides with one pipeline each are paired whatever their names. Raises UnknownName for a name that neither side
    has, Incomparable for one that only one side has and where there is nothing to pair.
    """
    queries = tuple(sorted(queries_of(base) & queries_of(candidate)))
    if not queries:
        raise Incomparable(
            f"'{base.label}' ({counted(len(queries_of(base)), 'query')}) and '{candidate.label}' "
            f"({counted(len(queries_of(candidate)), 'query')}) have no query in common; record both with the same "
            "questions"
        )
    names = _names(base, candidate)
    if not names:
        raise Incomparable(
            f"no pipeline is in both '{base.label}' ({', '.join(base.pipelines)}) and '{candidate.label}' "
            f"({', '.join(candidate.pipelines)}); give them the same name, or compare sides of one pipeline each"
        )
    for name in pipelines or ():
        if name not in (*base.pipelines, *candidate.pipelines):
            raise UnknownName("pipeline", name, {each for pair in names for each in pair})
        if not any(name in pair for pair in names):
            lacking = base if name in candidate.pipelines else candidate
            raise Incomparable(
                f"pipeline '{name}' is not in '{lacking.label}', which has {', '.join(lacking.pipelines)}"
            )
    chosen = [pair for pair in names if not pipelines or set(pair) & set(pipelines)]
    sides = ((PipelineSide(base, before, queries), PipelineSide(candidate, after, queries)) for before, after in chosen)
    return [PipelinePair(*each) for each in sides]


def only_one_side(base: SideEvidence, candidate: SideEvidence) -> list[tuple[str, str]]:
    """(label, pipeline) of every pipeline that has none beside it."""
    names = _names(base, candidate)
    left = [(base.label, name) for name in base.pipelines if name not in [pair[0] for pair in names]]
    return left + [(candidate.label, name) for name in candidate.pipelines if name not in [pair[1] for pair in names]]


def check_figures(evidence: SideEvidence) -> None:
    """Raises NonFiniteScore for a figure that is no finite number, BadInput for one that stands there twice, that is of
    no kind or stage or beyond all that is measured, and for a negative duration."""
    figures, times = evidence.figures, evidence.times
    values, durations = (table.to_numpy(dtype=np.float64) for table in (figures["value"], times["duration_ns"]))
    if len(odd := figures[~np.isfinite(values)]):
        raise NonFiniteScore(f"'{evidence.label}': {_where(odd)} is not a finite number; record or save it again")
    if not np.isfinite(durations).all():
        raise NonFiniteScore(f"'{evidence.label}': a duration is not a finite number; record or save it again")
    for told, rows in (
        (
            "is of no kind or stage that there is",
            figures[~figures["kind"].isin(KINDS) | ~_is_stage(figures["stage"], "")],
        ),
        (f"is beyond all that is measured ({BEYOND:g})", figures[np.abs(values) > BEYOND]),
    ):
        if len(rows):
            raise BadInput(f"'{evidence.label}': {_where(rows)} {told}; record or save it again")
    if (durations < 0).any() or not _is_stage(times["stage"], WHOLE).all():
        raise BadInput(f"'{evidence.label}': a duration is negative or of no stage; record or save it again")
    twice = figures[figures.duplicated(KEY)]
    if len(twice):
        raise BadInput(f"'{evidence.label}': {_where(twice)} stands there twice; record or save it again")


def _is_stage(column: pd.Series, whole: str) -> pd.Series:
    return column.isin((whole, *STAGES)) | column.str.startswith(OTHER)


def _where(rows: pd.DataFrame) -> str:
    row = rows.iloc[0]
    return f"{row['stage']} '{row['name']}' of pipeline '{row['pipeline']}', query '{row['query_id']}',"


def queries_of(evidence: SideEvidence) -> set[str]:
    """All that a side has a figure or a time of."""
    return {*evidence.figures["query_id"].unique(), *evidence.times["query_id"].unique()}


def _names(base: SideEvidence, candidate: SideEvidence) -> list[tuple[str, str]]:
    if len(base.pipelines) == len(candidate.pipelines) == 1:
        return [(base.pipelines[0], candidate.pipelines[0])]
    return [(name, name) for name in candidate.pipelines if name in base.pipelines]


UNSHARED = "no query was measured on both sides"
NOT_JUDGED = "not judged"


def unpriced(pair: PipelinePair, quantity: Quantity) -> str | None:
    """Which stage of which side has no price; None where the money of a quantity is known on both."""
    lines = [f"{name}: {line}" for name, side in _named(pair) for line in _unpriced_lines(side, quantity)]
    return "; ".join(lines) or None


def missing(pair: PipelinePair, quantity: Quantity) -> str | None:
    """Which side did not record a quantity, or that no query was measured on both; None where it can be compared."""
    lacking = [name for name, side in _named(pair) if not _is_recorded(side, quantity)]
    if lacking:
        return f"the {' and the '.join(lacking)} did not record it"
    if quantity.kind == "load":
        return None
    if quantity.kind == "latency":
        return UNSHARED if timed_of(pair, quantity.stage) is None else None
    unshared = [cell[2] for cell, (before, after) in _columns(pair, quantity).items() if np.isnan(before + after).all()]
    return f"{UNSHARED} ({', '.join(unshared)})" if unshared else None


def withheld(pair: PipelinePair, *, one_job: bool) -> str:
    """Why nothing that rests on a clock is judged: the side and what reached into its timings. Empty where nothing did.

    Rounds that disagree say nothing against sides that were asked by turns, for these disagree alike.
    """
    found = [(name, side.disturbance) for name, side in _named(pair)]
    told = [f"in the {name} {each.reason}" for name, each in found if each.busy or (each.noisy and not one_job)]
    return f"{NOT_JUDGED}: {' and '.join(told)}" if told else ""


def paired(pair: PipelinePair, quantity: Quantity) -> Paired:
    """Of a quantity that is not missing, and no latency.

    A line that only one side's bill has is 0 on the other, whose bill was priced without it: a pipeline without a
    reranker pays nothing for reranking.
    """
    columns = _columns(pair, quantity)
    return Paired(
        np.column_stack([before for before, _ in columns.values()]),
        np.column_stack([after for _, after in columns.values()]),
        tuple(cell[0] == "cost" and cell[2] == MACHINE_TIME for cell in columns),
        SIGNED if quantity.kind == "quality" else None,
    )


def timed_of(pair: PipelinePair, stage: str) -> Timed | None:
    """The live queries of a stage (empty: end to end) that both sides timed; None where there is none."""
    key = stage or WHOLE
    return Timed.of(pair.base.times[key], pair.candidate.times[key])


def own_figure(side: PipelineSide, quantity: Quantity) -> float | None:
    """What one side alone found, on all of its queries; None where it has no figure or no price."""
    if not _is_recorded(side, quantity) or _unpriced_lines(side, quantity):
        return None
    if side.load is not None and quantity.kind == "load":
        return load_figure(side.load, quantity.name)
    if quantity.kind == "latency":
        return quantile(rounds_of(side.times[quantity.stage or WHOLE]) / NS_PER_MS, QUANTILES[quantity.name])
    means = [each[~np.isnan(each)].mean() for each in side.items(quantity).values() if not np.isnan(each).all()]
    return float(sum(means)) if means else None


def _columns(pair: PipelinePair, quantity: Quantity) -> Mapping[Cell, tuple[Array, Array]]:
    before, after = pair.base.items(quantity), pair.candidate.items(quantity)
    if quantity.kind != "cost":
        ((cell, column),), (other,) = before.items(), after.values()
        return {cell: (column, other)}
    nothing = np.zeros(len(pair.base.queries))
    stages = in_order(cell[1] for cell in (*before, *after))
    cells = sorted({*before, *after}, key=lambda cell: (stages.index(cell[1]), cell[2]))
    return {cell: (before.get(cell, nothing), after.get(cell, nothing)) for cell in cells}


def _named(pair: PipelinePair) -> Sequence[tuple[str, PipelineSide]]:
    return ("base", pair.base), ("candidate", pair.candidate)


def _is_recorded(side: PipelineSide, quantity: Quantity) -> bool:
    if quantity.kind == "load":
        return has_load(side.load, quantity)
    if quantity.kind == "latency":
        return (quantity.stage or WHOLE) in side.times
    return bool(side.items(quantity)) or bool(_unpriced_lines(side, quantity))


def _unpriced_lines(side: PipelineSide, quantity: Quantity) -> list[str]:
    if quantity.kind != "cost":
        return []
    return [f"{stage}: {why}" for stage, why in side.unpriced.items() if quantity.stage in ("", stage)]
