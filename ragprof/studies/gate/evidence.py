"""One side of a comparison: every figure of a recording, query by query, and what it rests on. No text.

`figures` has the columns pipeline, kind, stage, name, query_id, value: of kind `quality` (name: the metric, at every
stage that ranks), `usage` (name: the unit) and `cost` (name: the item of the bill; value: USD per 1,000 such queries).
`times` has pipeline, stage (`query` is end to end), round, query_id, duration_ns: live queries only. `rankings` has
pipeline, query_id, rank, document_id: the first TOP documents of the final ranking.

What two sides must have in common before their figures may stand beside each other, and what else differs.

Other documents, questions or judgements: nothing may be compared. Another machine, or another major version of what
runs on it: no latency, unless both were timed in one job, where such a difference is what is measured. Another
tokenizer: no token of a prompt, and no money made of them.

Which pipeline of one side stands beside which of the other, on which queries, with what was recorded of each.

Refuses sides without a query or a pipeline in common, figures that are not numbers, and figures that stand there twice.

What two sides recorded of one quantity, as arrays of the same queries; or why it cannot be compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import numpy as np
import pandas as pd

from ragprof.core import STAGES, files
from ragprof.core.errors import BadInput, Incomparable, NonFiniteScore, UnknownName
from ragprof.core.quantities import KINDS, LATENCIES, Kind, Quantity
from ragprof.evals import settings_of
from ragprof.evals import unpriced as evals_unpriced
from ragprof.statistics.draws import Array
from ragprof.statistics.estimates import QUANTILES, noise, quantile, rounds_of
from ragprof.statistics.paired import NS_PER_MS, Paired, Timed

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
    manifest = {**files.read_manifest(folder), "config": settings_of(folder)}
    judgement = files.read_json(folder / "judgement.json")
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
    text = json.dumps({**resting, "pipelines": evals_unpriced(config["pipelines"])}, sort_keys=True, ensure_ascii=True)
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


Blocks: TypeAlias = Literal["all", "latency", "tokens", "nothing"]
ALL = ("corpus.sha256", "questions", "qrels_sha256")
MACHINE = ("cpu", "gpu", "cores", "threads")
LIBRARIES = ("torch", "faiss-cpu", "sentence-transformers", "transformers", "bm25s", "numpy")
NOTED = ("eval", "eval_sha256", "seed", "ragprof_version", "priced_on")
PROMPT_STAGES = ("", "inject", "generate")
WIDTH = 40


@dataclass(frozen=True)
class Difference:
    """One field of the facts that differs, and which figures it keeps from being compared."""

    field: str
    base: Any
    candidate: Any
    blocks: Blocks

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.field} is {_short(self.base)} and {_short(self.candidate)}"


def same_job(base: Evidence, candidate: Evidence) -> bool:
    """Whether live queries of both sides were interleaved."""
    return bool(base.facts["job"] == candidate.facts["job"])


def differences(base: Evidence, candidate: Evidence) -> list[Difference]:
    """Every field that differs, those that block most first."""
    one_job = same_job(base, candidate)
    found = [
        *_facts(base, candidate, ALL, "all"),
        *_facts(base, candidate, ("tokenizer",), "tokens"),
        *_environment(base.facts["environment"], candidate.facts["environment"], one_job=one_job),
        *_facts(base, candidate, NOTED, "nothing"),
        *_each("rates", base.facts["rates"], candidate.facts["rates"], lambda _: "nothing"),
    ]
    return sorted(found, key=lambda each: ("all", "latency", "tokens", "nothing").index(each.blocks))


def check_comparable(base: Evidence, candidate: Evidence, found: Sequence[Difference]) -> None:
    """Raises Incomparable with every field that forbids any comparison."""
    forbidding = [str(each) for each in found if each.blocks == "all"]
    if forbidding:
        raise Incomparable(
            f"'{base.label}' and '{candidate.label}' cannot be compared: {'; '.join(forbidding)}; "
            "record both on the same corpus, questions and qrels"
        )


def blocked(quantity: Quantity, found: Sequence[Difference]) -> str | None:
    """Why a quantity may not be compared, naming the fields; None where it may."""
    kinds = {"latency": quantity.kind == "latency", "tokens": _counts_prompts(quantity)}
    fields = [str(each) for each in found if kinds.get(each.blocks, False)]
    return "; ".join(fields) or None


def _counts_prompts(quantity: Quantity) -> bool:
    if quantity.kind == "cost":
        return quantity.stage in PROMPT_STAGES
    return quantity.kind == "usage" and quantity.stage == "inject"


def _facts(base: Evidence, candidate: Evidence, fields: Sequence[str], blocks: Blocks) -> Iterator[Difference]:
    for field in fields:
        before, after = _fact(base.facts, field), _fact(candidate.facts, field)
        if before != after:
            yield Difference(field, before, after, blocks)


def _fact(facts: Mapping[str, Any], field: str) -> Any:
    outer, _, inner = field.partition(".")
    return facts[outer][inner] if inner else facts[outer]


def _environment(base: Mapping[str, Any], candidate: Mapping[str, Any], *, one_job: bool) -> Iterator[Difference]:
    def weight(name: str) -> Blocks:
        slower = name in MACHINE or (name == "python" and not _alike(base, candidate, name, parts=2))
        return "latency" if slower and not one_job else "nothing"

    def package_weight(name: str) -> Blocks:
        slower = name in LIBRARIES and not _alike(base["packages"], candidate["packages"], name, parts=1)
        return "latency" if slower and not one_job else "nothing"

    plain = [{name: value for name, value in side.items() if name != "packages"} for side in (base, candidate)]
    yield from _each("environment", plain[0], plain[1], weight)
    yield from _each("environment.packages", base["packages"], candidate["packages"], package_weight)


def _each(
    place: str, base: Mapping[str, Any], candidate: Mapping[str, Any], blocks: Callable[[str], Blocks]
) -> Iterator[Difference]:
    for name in dict.fromkeys([*base, *candidate]):
        if base.get(name) != candidate.get(name):
            yield Difference(f"{place}.{name}", base.get(name), candidate.get(name), blocks(name))


def _alike(base: Mapping[str, Any], candidate: Mapping[str, Any], name: str, *, parts: int) -> bool:
    """Whether two versions have the same first parts."""
    before, after = base.get(name), candidate.get(name)
    if before is None or after is None:
        return bool(before == after)
    return bool(str(before).split(".")[:parts] == str(after).split(".")[:parts])


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return f"'{text if len(text) <= WIDTH else text[: WIDTH - 3] + '...'}'"


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
        timed = {Quantity("latency", stage, name) for stage in stages for name in LATENCIES}
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


UNSHARED = "no query was measured on both sides"


def unpriced(pair: Pair, quantity: Quantity) -> str | None:
    """Which stage of which side has no price; None where the money of a quantity is known on both."""
    if quantity.kind != "cost":
        return None
    lines = [f"{name}: {line}" for name, side in _named(pair) for line in _unpriced_lines(side, quantity)]
    return "; ".join(lines) or None


def missing(pair: Pair, quantity: Quantity) -> str | None:
    """Which side did not record a quantity, or that no query was measured on both; None where it can be compared."""
    lacking = [name for name, side in _named(pair) if not _is_recorded(side, quantity)]
    if lacking:
        return f"the {' and the '.join(lacking)} did not record it"
    if quantity.kind == "latency":
        return UNSHARED if timed_of(pair, quantity.stage) is None else None
    unshared = [cell[2] for cell, (before, after) in _columns(pair, quantity).items() if np.isnan(before + after).all()]
    return f"{UNSHARED} ({', '.join(unshared)})" if unshared else None


def paired(pair: Pair, quantity: Quantity) -> Paired:
    """Of a quantity that is not missing, and no latency.

    A line that only one side's bill has is 0 on the other, whose bill was priced without it: a pipeline without a
    reranker pays nothing for reranking.
    """
    columns = _columns(pair, quantity)
    return Paired(
        np.column_stack([before for before, _ in columns.values()]),
        np.column_stack([after for _, after in columns.values()]),
        tuple(cell[0] == "cost" and cell[2] == MACHINE_TIME for cell in columns),
    )


def timed_of(pair: Pair, stage: str) -> Timed | None:
    """The live queries of a stage (empty: end to end) that both sides timed; None where there is none."""
    key = stage or WHOLE
    return Timed.of(pair.base.times[key], pair.candidate.times[key])


def own_figure(side: Side, quantity: Quantity) -> float | None:
    """What one side alone found, on all of its queries; None where it has no figure or no price."""
    if not _is_recorded(side, quantity) or _unpriced_lines(side, quantity):
        return None
    if quantity.kind == "latency":
        return quantile(rounds_of(side.times[quantity.stage or WHOLE]) / NS_PER_MS, QUANTILES[quantity.name])
    means = [each[~np.isnan(each)].mean() for each in side.items(quantity).values() if not np.isnan(each).all()]
    return float(sum(means)) if means else None


def _columns(pair: Pair, quantity: Quantity) -> Mapping[Cell, tuple[Array, Array]]:
    before, after = pair.base.items(quantity), pair.candidate.items(quantity)
    if quantity.kind != "cost":
        return {_one(before)[0]: (_one(before)[1], _one(after)[1])}
    nothing = np.zeros(len(pair.base.queries))
    cells = sorted({*before, *after}, key=lambda cell: (STAGES.index(cell[1]), cell[2]))
    return {cell: (before.get(cell, nothing), after.get(cell, nothing)) for cell in cells}


def _one(items: Mapping[Cell, Array]) -> tuple[Cell, Array]:
    ((cell, column),) = items.items()
    return cell, column


def _named(pair: Pair) -> Sequence[tuple[str, Side]]:
    return ("base", pair.base), ("candidate", pair.candidate)


def _is_recorded(side: Side, quantity: Quantity) -> bool:
    if quantity.kind == "latency":
        return (quantity.stage or WHOLE) in side.times
    return bool(side.items(quantity)) or bool(_unpriced_lines(side, quantity))


def _unpriced_lines(side: Side, quantity: Quantity) -> list[str]:
    if quantity.kind != "cost":
        return []
    return [f"{stage}: {why}" for stage, why in side.unpriced.items() if quantity.stage in ("", stage)]
