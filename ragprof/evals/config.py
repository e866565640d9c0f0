"""The whole eval file as data: corpus, questions, timing, prices, pipelines and the studies' tables."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from ragprof.core import DEFAULT_K
from ragprof.core.registry import PartSpec
from ragprof.core.tokens import DEFAULT_TOKENIZER
from ragprof.corpus import Chunking, OwnDocuments, ReadingRules
from ragprof.evals.chunking import ChunkingSettings
from ragprof.evals.curate import CurateSettings
from ragprof.evals.gate import GateSettings
from ragprof.evals.growth import GrowthSettings
from ragprof.evals.injection import BudgetSettings, EnergySettings, InjectionSettings
from ragprof.evals.knobs import Knobs, checked, variants
from ragprof.evals.labels import LabelSettings
from ragprof.evals.load import EconomicsSettings, LoadSettings
from ragprof.evals.reranker import RerankerSettings
from ragprof.evals.screen import ScreenSettings
from ragprof.evals.stores import StoresSettings
from ragprof.evals.tables import EvalTable, Misplaced, Timing

MOST_SECONDS = 604_800.0
"""A week: what takes longer never ends."""
DEFAULT_METRICS = ("nDCG@10", "RR@10", "R@20", "P@5", "AP", "Success@5", "Judged@5", "Judged@10", "Judged@20")


Named = Annotated[str, Field(min_length=1)]
"""A name or a path: an empty one would be taken for none, or for the eval file's own folder."""


class CorpusSettings(EvalTable):
    """A recipe by name or folder, or a path in one of the formats; paths are relative to the eval file.

    `from = "store"` takes what the first index that exists holds, documents and vectors.

    `passages` is how many of it are searched at most: a part with all that is judged relevant, for a first report.
    `readers` names readers of files by suffix, in place of the usual ones; files above `max_file_mb` are left out.
    """

    recipe: Named | None = None
    path: Named | None = None
    source: Literal["store"] | None = Field(None, validation_alias=AliasChoices("from", "source"))
    format: Literal["auto", "beir", "jsonl", "folder"] = "auto"
    chunking: Chunking | None = None
    passages: int | None = Field(None, ge=1)
    readers: dict[Annotated[str, Field(pattern=r"^[a-z0-9]+$")], PartSpec] = Field({})
    max_file_mb: float = Field(256, gt=0, allow_inf_nan=False)

    @property
    def rules(self) -> ReadingRules:
        """How the files of a folder are read."""
        return ReadingRules(self.readers, int(self.max_file_mb * 1_000_000))


class EvaluationSettings(EvalTable):
    """Questions and relevance judgements. Without `queries` and `qrels`, those of the BEIR folder are taken.

    `unanswerable` are questions that the corpus cannot answer: a model that knows its limits abstains. A document with
    the id of a query is that query's own: `own_documents` says whether it may be among the results.
    """

    queries: Named | None = None
    qrels: Named | None = None
    split: Named = "test"
    unanswerable: Named | None = None
    own_documents: OwnDocuments = "beir"


class TrafficSettings(EvalTable):
    """Monthly traffic, for bills by month."""

    queries_per_month: int = Field(1_000_000, ge=1)


def _decimal(value: object) -> Decimal:
    """A number as it was written: 0.1 is no binary fraction."""
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise ValueError("Input should be a valid decimal") from None


Money = Annotated[Decimal, BeforeValidator(_decimal)]


class Prices(EvalTable):
    """Names of rates; a stage without one is UNPRICED. `hour` (UTC) and `parse` are set once, for the whole eval."""

    llm: Named | None = None
    embed: Named | None = None
    search: Named | None = None
    rerank: Named | None = None
    parse: Named | None = None
    machine: Named | None = None
    utilisation: Money | None = Field(None, gt=0, le=1)
    hour: int | None = Field(None, ge=0, le=23)


class AppSettings(EvalTable):
    """A pipeline of the user's own in place of parts: `app` is `module:attribute`, `file.py:attribute` or an address.

    Its `kind` is guessed where none is named. `question` is what the question goes by, `arguments` are given beside it.
    `doc_id` is a dotted path to the id in one of its documents; `documents` and `answer` lead to both in what it
    returns. It has `timeout_seconds` for each question. `knobs` are arguments, or dotted paths on the app, with the
    values that are tried. `index` fills its index anew while the corpus grows, each time in `index_timeout_seconds`.
    """

    app: Named | None = None
    kind: Named | None = None
    question: Named | None = None
    arguments: dict[str, Any] | None = None
    documents: Named | None = None
    answer: Named | None = None
    doc_id: Named | None = None
    api_key_env: Named | None = None
    timeout_seconds: float = Field(120.0, gt=0, le=MOST_SECONDS)
    knobs: Annotated[Knobs | None, BeforeValidator(checked)] = None
    index: Named | None = None
    index_timeout_seconds: float = Field(3600.0, gt=0, le=MOST_SECONDS)

    @model_validator(mode="after")
    def knobs_are_no_arguments(self) -> Self:
        """A value comes from one place."""
        for knob in self.knobs or ():
            if knob == self.question:
                raise Misplaced(f"'{knob}' is what the question goes by, and cannot be a knob", "knobs")
            if knob in (self.arguments or {}):
                raise Misplaced(
                    f"'{knob}' is a knob, so its values stand there; leave it out of arguments", "arguments"
                )
        return self

    @property
    def app_options(self) -> dict[str, Any]:
        """What the app's plugin is given beside the app itself."""
        names = ("question", "arguments", "documents", "answer", "api_key_env")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


OF_AN_APP = tuple(AppSettings.model_fields)
LIMITS = ("timeout_seconds", "index_timeout_seconds")
OWN_STORE = PartSpec(name="app")
"""What stands for the store of a pipeline that is an app."""


class PipelineConfig(AppSettings):
    """One pipeline: parts, or an app of the user's own. Its own prices override the eval's.

    An app with knobs stands for all of its variants; each of these has one value a knob, and knows whose it is.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._ =-]*$")
    variant_of: Named | None = None
    embedder: PartSpec | None = None
    store: PartSpec
    depth: int = Field(20, ge=1)
    reranker: PartSpec = PartSpec(name="none")
    injector: PartSpec = PartSpec(name="top_k")
    generator: PartSpec | None = None
    prices: Prices = Prices()

    @model_validator(mode="before")
    @classmethod
    def parts_or_app(cls, table: object) -> object:
        """An app has no parts of ours, so that none may be named beside it; what is the default does no harm."""
        if not isinstance(table, dict):
            return table
        if table.get("app") is None:
            stray = next((key for key in OF_AN_APP if key in table and key not in LIMITS), None)
            if stray is not None and table.get(stray) is not None and table.get("store") is not None:
                raise Misplaced(f"{stray} is an app's; give app, or leave {stray} out", stray)
            return table
        usual = {"embedder": None, "store": OWN_STORE, "depth": 20, "generator": None,
                 "reranker": PartSpec(name="none"), "injector": PartSpec(name="top_k")}  # fmt: skip
        for key, default in usual.items():
            given = table.get(key, default)
            if isinstance(given, str | dict):
                given = PartSpec.model_validate(given)
            if given is not None and given != default:
                raise Misplaced(f"an app brings its own {key}; leave {key} out", key)
        return {**table, "store": OWN_STORE.model_dump()}

    @model_serializer(mode="wrap")
    def without_app(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is an app's is not written of a pipeline of parts."""
        whole: dict[str, Any] = serialize(self)
        left_out = OF_AN_APP if self.app is None else () if self.knobs else ("knobs",)
        left_out += () if self.index else ("index", "index_timeout_seconds")
        left_out += () if self.variant_of else ("variant_of",)
        return {key: value for key, value in whole.items() if key not in left_out}

    def variants(self) -> tuple[PipelineConfig, ...]:
        """A pipeline for every combination of the knobs' values; itself where there is nothing to choose."""
        if not any(isinstance(given, list | tuple) for given in (self.knobs or {}).values()):
            return (self,)
        return tuple(
            self.model_copy(update={"name": name, "knobs": own, "variant_of": self.name})
            for name, own in variants(self.name, self.knobs or {})
        )

    @model_validator(mode="after")
    def k_within_depth(self) -> PipelineConfig:
        for key in ("hour", "parse"):
            if getattr(self.prices, key) is not None:
                raise Misplaced(f"{key} is set once, under [prices] of the eval", "prices", key)
        k = own_k(self)
        if k > self.depth:
            raise Misplaced(
                f"k = {k} chunks cannot be injected from depth = {self.depth} candidates; raise depth or lower k",
                *(("injector", "k") if "k" in self.injector.options else ("depth",)),
            )
        return self


class EvalConfig(EvalTable):
    """The whole file."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    tokenizer: Named = DEFAULT_TOKENIZER
    seed: int = 0
    metrics: tuple[str, ...] = DEFAULT_METRICS
    corpus: CorpusSettings = CorpusSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    timing: Timing = Timing()
    growth: GrowthSettings = GrowthSettings()
    injection: InjectionSettings = InjectionSettings()
    reranker: RerankerSettings = RerankerSettings()
    curate: CurateSettings = CurateSettings()
    screen: ScreenSettings = ScreenSettings()
    chunking: ChunkingSettings = ChunkingSettings()
    stores: StoresSettings = StoresSettings()
    load: LoadSettings = LoadSettings()
    economics: EconomicsSettings = EconomicsSettings()
    gate: GateSettings = GateSettings()
    labels: LabelSettings = LabelSettings()
    budget: BudgetSettings = BudgetSettings()
    energy: EnergySettings = EnergySettings()
    traffic: TrafficSettings = TrafficSettings()
    prices: Prices = Prices()
    pipelines: tuple[PipelineConfig, ...] = Field(min_length=1)

    @field_validator("pipelines")
    @classmethod
    def every_variant(cls, pipelines: tuple[PipelineConfig, ...]) -> tuple[PipelineConfig, ...]:
        """From here on a variant of an app is a pipeline like any other."""
        return tuple(variant for pipeline in pipelines for variant in pipeline.variants())

    @model_validator(mode="after")
    def names_differ(self) -> EvalConfig:
        names = [pipeline.name for pipeline in self.pipelines]
        for place, name, table in zip(range(len(names)), names, self.tables, strict=True):
            if name in names[:place]:
                raise Misplaced(f"two pipelines are named {name}; each needs its own name", "pipelines", table, "name")
        return self

    @property
    def tables(self) -> tuple[int, ...]:
        """Of each pipeline which table of the file it is in: the variants of an app are in one."""
        found = list[int]()
        for before, pipeline in zip((None, *self.pipelines), self.pipelines, strict=False):
            same = before is not None and before.variant_of is not None and before.variant_of == pipeline.variant_of
            found.append(0 if before is None else found[-1] + (not same))
        return tuple(found)

    @model_validator(mode="after")
    def studies_name_pipelines(self) -> EvalConfig:
        names = [pipeline.name for pipeline in self.pipelines]
        chosen: dict[tuple[str, ...], tuple[str, ...] | None] = {
            ("injection", "pipelines"): self.injection.pipelines,
            ("injection", "sweep"): self.injection.sweep,
            ("reranker", "pipelines"): self.reranker.pipelines,
            ("gate", "pipelines"): self.gate.pipelines,
            ("load", "pipelines"): tuple(name for name in self.load.pipelines if name not in self.load.endpoints),
            **{
                ("gate", "quantities", label, "pipelines"): margin.pipelines
                for label, margin in self.gate.quantities.items()
            },
        }
        for inside, written in chosen.items():
            for place, name in enumerate(written or ()):
                if name not in names:
                    raise Misplaced(f"no pipeline named '{name}'; there are: {', '.join(names)}", *inside, place)
        return self


def own_k(config: PipelineConfig) -> int:
    """How many chunks a pipeline injects as it is declared; at most, where a budget of tokens may cut it short.

    An injector of another package need not have a `k` that could be lowered, so its usual number fits every depth.
    """
    usual = DEFAULT_K if config.injector.name in ("top_k", "token_budget") else min(DEFAULT_K, config.depth)
    k = config.injector.options.get("k", usual)
    return k if isinstance(k, int) else config.depth
