"""The eval file: what to profile, on which corpus, with which questions and prices. TOML, every key checked."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ragprof.corpus import Chunking
from ragprof.errors import BadInput, UnknownName
from ragprof.registry import PartSpec
from ragprof.tokens import DEFAULT_TOKENIZER

DEFAULT_METRICS = ("nDCG@10", "RR@10", "R@20", "P@5", "AP", "Success@5", "Judged@5", "Judged@10", "Judged@20")


class Misplaced(ValueError):
    """What is wrong with a table as a whole, and where inside it the key stands that makes it so."""

    def __init__(self, message: str, *inside: str | int) -> None:
        super().__init__(message)
        self.inside = inside


class Table(BaseModel):
    """A table of the file; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CorpusSource(Table):
    """A recipe by name or folder, or a path in one of the formats; paths are relative to the eval file."""

    recipe: str | None = None
    path: str | None = None
    format: Literal["auto", "beir", "jsonl", "folder"] = "auto"
    chunking: Chunking | None = None


class EvaluationSource(Table):
    """Questions and relevance judgements. Without `queries` and `qrels`, those of the BEIR folder are taken."""

    queries: str | None = None
    qrels: str | None = None
    split: str = "test"


class Timing(Table):
    """Live rounds: how long they may take together, how many, and what spread between them counts as noise."""

    seconds: float = Field(45.0, gt=0, allow_inf_nan=False)
    rounds: int = Field(3, ge=2)
    min_queries: int = Field(20, ge=1)
    warmup: int = Field(3, ge=1)
    noise_bound: float = Field(0.10, gt=0, allow_inf_nan=False)


Curve: TypeAlias = Literal["all_judged", "proportional", "similar", "duplicate", "contradicting", "foreign"]
CURVES: tuple[Curve, ...] = ("all_judged", "proportional", "similar", "duplicate", "contradicting", "foreign")


class GrowthTiming(Timing):
    """Live rounds at every corpus size; `seconds` is for all sizes together."""

    seconds: float = Field(60.0, gt=0, allow_inf_nan=False)
    min_queries: int = Field(8, ge=1)
    warmup: int = Field(2, ge=1)


class Growth(Table):
    """How the corpus is made to grow. Without `sizes`, `points` sizes are spread evenly on a logarithmic scale."""

    sizes: tuple[int, ...] = ()
    points: int = Field(8, ge=2)
    orders: int = Field(5, ge=1)
    seed: int = Field(0, ge=0)
    depths: tuple[Annotated[int, Field(ge=1)], ...] = ()
    cutoffs: tuple[Annotated[int, Field(ge=1)], ...] = Field((5, 10, 20), min_length=1)
    metric: str = "nDCG@10"
    curves: tuple[Curve, ...] = CURVES[:-1]
    foreign: str | None = None
    variants: int = Field(3, ge=1)
    forecast: tuple[Annotated[int, Field(ge=1)], ...] = ()
    gain_bound: float = Field(0.02, ge=0, lt=1)
    timing: GrowthTiming = GrowthTiming()

    @model_validator(mode="after")
    def sizes_rise(self) -> Growth:
        for place, (before, size) in enumerate(pairwise(self.sizes), start=1):
            if size <= before:
                word = "repeated" if size == before else f"smaller than the {before:,} before it"
                raise Misplaced(f"size {size:,} is {word}; give rising sizes, each once", "sizes", place)
        if self.forecast and 0 < len(self.sizes) < 3:
            raise Misplaced(
                f"a forecast needs at least three sizes, here are {len(self.sizes)}; add some or leave forecast out",
                "sizes",
            )
        return self

    @model_validator(mode="after")
    def metric_is_computed(self) -> Growth:
        known = [f"{family}@{cutoff}" for family in ("nDCG", "P", "R") for cutoff in self.cutoffs]
        if self.metric not in known:
            raise Misplaced(
                f"no growth metric '{self.metric}'; with these cutoffs there are: {', '.join(known)}", "metric"
            )
        return self

    @model_validator(mode="after")
    def curves_can_be_drawn(self) -> Growth:
        if len(set(self.curves)) < len(self.curves):
            raise Misplaced("a curve is named twice; name each once", "curves")
        if "all_judged" not in self.curves:
            raise Misplaced("'all_judged' is missing; the other curves are compared with it", "curves")
        if "foreign" in self.curves and self.foreign is None:
            raise Misplaced("the curve 'foreign' needs passages; set foreign = \"passages.jsonl\"", "curves")
        return self


class Traffic(Table):
    """What a month holds."""

    queries_per_month: int = Field(1_000_000, ge=1)


Money = Annotated[Decimal, BeforeValidator(str)]


class Prices(Table):
    """Names of rates; one that is left out makes its stage UNPRICED."""

    llm: str | None = None
    embed: str | None = None
    search: str | None = None
    rerank: str | None = None
    machine: str | None = None
    utilisation: Money | None = Field(None, gt=0, le=1)


class PipelineConfig(Table):
    """One pipeline. Its own prices go before the eval's."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._ -]*$")
    embedder: PartSpec | None = None
    store: PartSpec
    depth: int = Field(20, ge=1)
    reranker: PartSpec = PartSpec(name="none")
    injector: PartSpec = PartSpec(name="top_k")
    prices: Prices = Prices()

    @model_validator(mode="after")
    def k_within_depth(self) -> PipelineConfig:
        k = self.injector.options.get("k", 5)
        if isinstance(k, int) and k > self.depth:
            raise Misplaced(
                f"k = {k} chunks cannot be injected from depth = {self.depth} candidates; raise depth or lower k",
                *(("injector", "k") if "k" in self.injector.options else ("depth",)),
            )
        return self


class EvalConfig(Table):
    """The whole file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    tokenizer: str = DEFAULT_TOKENIZER
    seed: int = 0
    metrics: tuple[str, ...] = DEFAULT_METRICS
    corpus: CorpusSource = CorpusSource()
    evaluation: EvaluationSource = EvaluationSource()
    timing: Timing = Timing()
    growth: Growth = Growth()
    traffic: Traffic = Traffic()
    prices: Prices = Prices()
    pipelines: tuple[PipelineConfig, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def names_differ(self) -> EvalConfig:
        names = [pipeline.name for pipeline in self.pipelines]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise Misplaced(
                    f"two pipelines are named {name}; every name must be its own", "pipelines", place, "name"
                )
        return self


def read_eval(path: Path) -> EvalConfig:
    """Parse and check an eval file. Raises BadInput or UnknownName with file and line."""
    if not path.is_file():
        raise BadInput("no such eval file; start from evals/python-docs.toml", file=path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        table = tomllib.loads(text)
    except UnicodeDecodeError as failure:
        raise BadInput(f"not UTF-8 (byte {failure.start}); save it as UTF-8", file=path) from None
    except tomllib.TOMLDecodeError as failure:
        found = re.search(r"line (\d+)", str(failure))
        line = int(found[1]) if found else None
        raise BadInput(f"not valid TOML: {failure}; mend it", file=path, line=line) from None
    try:
        return EvalConfig.model_validate(table)
    except ValidationError as failure:
        raise _first_problem(failure, path, text) from None


def unpriced(pipelines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Pipelines of a dumped configuration without their prices: what a recording of them rests on."""
    return [{key: value for key, value in pipeline.items() if key != "prices"} for pipeline in pipelines]


def line_of(text: str, location: Sequence[str | int]) -> int | None:
    """The line on which a key stands, by reading tables as TOML writes them; None where it cannot be told."""
    place: list[str | int] = []
    counts: dict[str, int] = {}
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        header = re.match(r"\s*\[(\[)?\s*([^\]]+?)\s*\]", line)
        if header and "=" not in line.split("]")[0]:
            place = _place_of(_keys(header[2]), repeated=bool(header[1]), counts=counts)
            here = list(place)
        else:
            key = re.match(r"""\s*([\w."' -]+?)\s*=""", line)
            if not key:
                continue
            here = [*place, *_keys(key[1])]
        shared = 0
        while shared < min(len(here), len(location)) and here[shared] == location[shared]:
            shared += 1
        if shared == len(here) and (best is None or shared > best[0]):
            best = (shared, number)
    return best[1] if best else None


def _keys(dotted: str) -> list[str]:
    return [key.strip().strip("\"'") for key in dotted.split(".")]


def _place_of(parts: list[str], *, repeated: bool, counts: dict[str, int]) -> list[str | int]:
    name = ".".join(parts)
    if repeated:
        counts[name] = counts.get(name, -1) + 1
    place: list[str | int] = []
    for depth, part in enumerate(parts, start=1):
        place.append(part)
        above = ".".join(parts[:depth])
        if above in counts:
            place.append(counts[above])
    return place


def _first_problem(failure: ValidationError, path: Path, text: str) -> BadInput:
    problem = failure.errors()[0]
    location = (*problem["loc"], *getattr(problem.get("ctx", {}).get("error"), "inside", ()))
    line = line_of(text, location)
    if problem["type"] == "extra_forbidden":
        return UnknownName("key", str(location[-1]), _known_keys(location[:-1]), file=path, line=line)
    return BadInput(complaint(failure), file=path, line=line)


def complaint(failure: ValidationError) -> str:
    """The first thing that is wrong with a configuration, with the place of the value in front."""
    problem = failure.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _known_keys(location: Sequence[str | int]) -> list[str]:
    model: Any = EvalConfig
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            model = _table_in(model.model_fields[part].annotation)
    return list(model.model_fields)


def _table_in(annotation: Any) -> Any:
    """The table type inside an annotation such as `tuple[PipelineConfig, ...]` or `Chunking | None`."""
    for inner in getattr(annotation, "__args__", ()):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
    return annotation
