"""A pipeline made of parts. Names, tables and callables become parts here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ragprof.core import DEFAULT_K, STAGES, StageName, registry
from ragprof.core.errors import BadInput
from ragprof.core.registry import Kind, PartSpec
from ragprof.core.stages import Embedder, Generator, Injector, Part, Reranker, Store
from ragprof.evals import PipelineConfig
from ragprof.parts.adapters import (
    FunctionEmbedder,
    FunctionGenerator,
    FunctionInjector,
    FunctionReranker,
    FunctionStore,
    what,
)

Given: TypeAlias = str | dict[str, Any] | PartSpec | Callable[..., Any] | Part

ADAPTERS: dict[Kind, Any] = {
    "embedders": FunctionEmbedder,
    "stores": FunctionStore,
    "rerankers": FunctionReranker,
    "injectors": FunctionInjector,
    "generators": FunctionGenerator,
}
VERBS: dict[Kind, str] = {
    "embedders": "embed_documents",
    "stores": "search",
    "rerankers": "score",
    "injectors": "inject",
    "generators": "generate",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The stages of one pipeline; None where a stage is left out."""

    name: str
    embedder: Embedder | None
    store: Store
    depth: int
    reranker: Reranker | None
    injector: Injector
    generator: Generator | None = None

    @property
    def by_stage(self) -> dict[StageName, Part]:
        every = (self.embedder, self.store, self.reranker, self.injector, self.generator)
        return {stage: part for stage, part in zip(STAGES, every, strict=True) if part is not None}

    @property
    def stages(self) -> tuple[Part, ...]:
        return tuple(self.by_stage.values())


@dataclass(frozen=True)
class Pipeline:
    """A pipeline as a Python user declares it: each stage by plugin name, table, part or any callable.

    >>> Pipeline("mine", store=lambda question, depth: [("doc-1", 1.0)], depth=10).parts().depth
    10
    """

    name: str
    store: Given
    embedder: Given | None = None
    depth: int = 20
    reranker: Given | None = None
    injector: Given = "top_k"
    generator: Given | None = None

    def parts(self) -> Parts:
        """Build the parts. Raises UnknownName or BadInput for what cannot be built."""
        injector = self.injector
        if callable(injector) and not hasattr(injector, VERBS["injectors"]):
            injector = FunctionInjector(injector, k=min(DEFAULT_K, self.depth))
        return Parts(
            name=self.name,
            embedder=None if self.embedder is None else part("embedders", self.embedder),
            store=part("stores", self.store),
            depth=self.depth,
            reranker=None if self.reranker is None or self.reranker == "none" else part("rerankers", self.reranker),
            injector=part("injectors", injector),
            generator=None if self.generator is None else part("generators", self.generator),
        )


def part(kind: Kind, given: Given) -> Any:
    """A part from whatever a user may give for it."""
    if isinstance(given, PartSpec):
        return registry.create(kind, given)
    if isinstance(given, str | dict):
        return registry.create(kind, PartSpec.model_validate(given))
    if hasattr(given, VERBS[kind]):
        return registry.whole(kind, type(given).__name__, given)
    if callable(given):
        return ADAPTERS[kind](given)
    invoked = "; wrap it, as in lambda question, depth: retriever.invoke(question)" if hasattr(given, "invoke") else ""
    raise BadInput(
        f"{what(given)} is no {kind.removesuffix('s')}: give a plugin's name, a table, a part or a callable{invoked}"
    )


class Workshop:
    """Builds the parts of declared pipelines; equal declarations share one part, and one index over one embedder."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, ...], Any] = {}

    def parts(self, config: PipelineConfig) -> Parts:
        embedder_key = config.embedder.key if config.embedder else ""
        reranked = config.reranker.name != "none"
        return Parts(
            name=config.name,
            embedder=self._make("embedders", config.embedder) if config.embedder else None,
            store=self._make("stores", config.store, embedder_key),
            depth=config.depth,
            reranker=self._make("rerankers", config.reranker) if reranked else None,
            injector=self._make("injectors", config.injector),
            generator=self.generator(config.generator) if config.generator else None,
        )

    def generator(self, spec: PartSpec) -> Generator:
        """A generator, the same one for equal declarations: its model is in memory once."""
        made: Generator = self._make("generators", spec)
        return made

    def reranker(self, spec: PartSpec) -> Reranker:
        """A reranker, the same one for equal declarations."""
        made: Reranker = self._make("rerankers", spec)
        return made

    def _make(self, kind: Kind, spec: PartSpec, *over: str) -> Any:
        key = (kind, spec.key, *over)
        if key not in self._made:
            self._made[key] = registry.create(kind, spec)
        return self._made[key]
