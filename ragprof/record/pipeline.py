"""A pipeline made of parts. Names, tables and callables become parts here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from ragprof.core import DEFAULT_K, STAGES, registry
from ragprof.core.errors import BadInput
from ragprof.core.registry import Kind, PartSpec
from ragprof.core.stages import ClosableStore, Embedder, Generator, Injector, Part, Reranker, Store
from ragprof.core.tokens import DEFAULT_TOKENIZER, counter
from ragprof.evals import PipelineConfig, complaint
from ragprof.evals.config import OF_AN_APP, OWN_STORE, AppSettings
from ragprof.parts.adapters import (
    FunctionEmbedder,
    FunctionGenerator,
    FunctionInjector,
    FunctionReranker,
    FunctionStore,
)
from ragprof.parts.hits import what
from ragprof.record.apps import AskedApp
from ragprof.record.indexing import indexing_of, own_indexing
from ragprof.record.knobs import settings_on
from ragprof.record.targets import ADDRESSES, asked_app, kind_of, located, named, names_beside

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
    """The stages of one pipeline; None where a stage is left out.

    With an `app` it is a pipeline of the user's own, which also stands where store and injector stand, and is asked
    whole.
    """

    name: str
    embedder: Embedder | None
    store: Store
    depth: int
    reranker: Reranker | None
    injector: Injector
    generator: Generator | None = None
    app: AskedApp | None = None

    @classmethod
    def of_app(cls, app: AskedApp) -> Parts:
        """A pipeline that is an app."""
        return cls(app.name, None, app, DEFAULT_K, None, app, app=app)

    @property
    def by_stage(self) -> dict[str, Part]:
        """Part of each stage; none of an app, whose stages are known once it was asked."""
        if self.app is not None:
            return {}
        every = (self.embedder, self.store, self.reranker, self.injector, self.generator)
        return {stage: part for stage, part in zip(STAGES, every, strict=True) if part is not None}

    @property
    def stages(self) -> tuple[Part, ...]:
        return tuple(self.by_stage.values()) if self.app is None else (self.app,)


@contextmanager
def closing(pipelines: Iterable[Parts]) -> Iterator[None]:
    """Have every store give back what it made outside this process once the block ends, in whatever way it ends."""
    with ExitStack() as stack:
        for store in {id(parts.store): parts.store for parts in pipelines}.values():
            if isinstance(store, ClosableStore) and not isinstance(store, AskedApp):
                stack.callback(store.close)
        yield


@dataclass(frozen=True)
class Pipeline:
    """A pipeline as a Python user declares it: each stage by plugin name, table, part or any callable.

    >>> Pipeline("mine", store=lambda question, depth: [("doc-1", 1.0)], depth=10).parts().depth
    10

    Or all of it at once, with `app`: a callable, a chain or query engine of a framework, or an address.

    >>> Pipeline("prod", app=lambda question: ["doc-1", "doc-7"], doc_id="metadata.source").parts().app.kind
    'callable'
    """

    name: str
    store: Given | None = None
    embedder: Given | None = None
    depth: int = 20
    reranker: Given | None = None
    injector: Given = "top_k"
    generator: Given | None = None
    app: Any = None
    kind: str | None = None
    question: str | None = None
    arguments: dict[str, Any] | None = None
    documents: str | None = None
    answer: str | None = None
    doc_id: str | None = None
    api_key_env: str | None = None
    timeout_seconds: float = 120.0
    knobs: dict[str, Any] | None = None
    index: Any = None
    index_timeout_seconds: float = 3600.0

    def variants(self) -> tuple[Parts, ...]:
        """The parts of every variant of an app with `knobs`, the app as declared first; else of the one pipeline."""
        if self.app is None or self.knobs is None:
            return (self.parts(),)
        target, home, index = _of(self.app, Path()), _home(self.app, Path()), _index(self.index, Path())
        return tuple(
            Parts.of_app(app_of(config.name, target, config, DEFAULT_TOKENIZER, home=home, index=index))
            for config in self.declared().variants()
        )

    def parts(self) -> Parts:
        """Build the parts, of an app with `knobs` as it is declared. Raises UnknownName or BadInput."""
        if self.app is not None:
            config = self.declared().variants()[0]
            target, home, index = _of(self.app, Path()), _home(self.app, Path()), _index(self.index, Path())
            return Parts.of_app(app_of(self.name, target, config, DEFAULT_TOKENIZER, home=home, index=index))
        if self.store is None:
            raise BadInput(f"pipeline '{self.name}' has no store; give one, or an app")
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

    def declared(self) -> PipelineConfig:
        """The app as an eval file would declare it. Raises BadInput."""
        settings = self.app_settings()
        try:
            return PipelineConfig(name=self.name, store=OWN_STORE, **settings.model_dump())
        except ValidationError as failure:
            raise BadInput(f"pipeline '{self.name}': {complaint(failure)}") from None

    def app_settings(self) -> AppSettings:
        """The app as the manifest shows it: one that is an object by its name. Raises BadInput for parts beside it."""
        brought = [name for name in ("store", "embedder", "reranker", "generator") if getattr(self, name) is not None]
        if brought:
            raise BadInput(f"pipeline '{self.name}': an app brings its own {brought[0]}; leave {brought[0]} out")
        given = {name: getattr(self, name) for name in OF_AN_APP if name != "app"}
        named, given["index"] = _known_as(self.app), None if self.index is None else _known_as(self.index)
        try:
            return AppSettings(app=named, **given)
        except ValidationError as failure:
            raise BadInput(f"pipeline '{self.name}': {complaint(failure)}") from None


def _of(app: Any, beside: Path) -> Any:
    return located(app, beside=beside) if isinstance(app, str) else app


def _known_as(given: Any) -> str:
    return given if isinstance(given, str) else str(getattr(given, "__name__", type(given).__name__))


def _index(given: Any, beside: Path) -> Any:
    """What `index` names; an address is itself. Never called before documents are to be indexed."""
    is_place = isinstance(given, str) and not given.startswith(ADDRESSES)
    return named("index", given, beside=beside) if is_place else given


def _home(app: Any, beside: Path) -> Mapping[str, Any]:
    return names_beside(app, beside=beside) if isinstance(app, str) else {}


def app_of(
    name: str, target: Any, settings: PipelineConfig, tokenizer: str, *, home: Mapping[str, Any], index: Any = None
) -> AskedApp:
    """An app by its settings, in the pipeline of this name; a path of its knobs may begin with a name of its `home`.

    `index` is what fills its index, where that is no method of its own. Raises BadInput.
    """
    knobs, options = settings.knobs or {}, settings.app_options
    chosen = kind_of(target, str(settings.app), settings.kind)
    paths = {knob: value for knob, value in knobs.items() if "." in knob}
    if given := {knob: value for knob, value in knobs.items() if knob not in paths}:
        options["arguments"] = {**options.get("arguments", {}), **given}
    if paths and chosen == "http":
        raise BadInput(
            f"knob '{next(iter(paths))}': a service is given its knobs in the request; write names without dots"
        )
    app = asked_app(
        name,
        target,
        known_as=str(settings.app),
        kind=chosen,
        doc_id=settings.doc_id,
        timeout_s=settings.timeout_seconds,
        options=options,
        count=counter(tokenizer),
        indexing=own_indexing(target)
        if index is None
        else indexing_of(
            index,
            known_as=str(settings.index),
            api_key_env=settings.api_key_env,
            timeout_s=settings.index_timeout_seconds,
        ),
        index_timeout_s=settings.index_timeout_seconds,
    )
    app.settings = settings_on(target, home, paths, as_declared=settings.variant_of == settings.name)
    return app


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
    """Builds the parts of declared pipelines; equal declarations share one part, and one index over one embedder.

    Files that an app is in are relative to the folder `beside`.
    """

    def __init__(self, beside: Path = Path(), tokenizer: str = DEFAULT_TOKENIZER) -> None:
        self._made: dict[tuple[str, ...], Any] = {}
        self._located: dict[str, Any] = {}
        self._beside, self._tokenizer = beside, tokenizer

    def parts(self, config: PipelineConfig) -> Parts:
        """Raises UnknownName, MissingModel, MissingPackage or BadInput for what cannot be built."""
        if config.app is not None:
            if config.app not in self._located:
                self._located[config.app] = _of(config.app, self._beside)
            home, index = _home(config.app, self._beside), _index(config.index, self._beside)
            app = app_of(config.name, self._located[config.app], config, self._tokenizer, home=home, index=index)
            return Parts.of_app(app)
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
