"""What is compared: every index of [stores] with every value of its options, over the vectors of one pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ragprof.core import registry
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.registry import PartSpec
from ragprof.core.stages import FilteredStore, MutableStore, ReopenableStore, Store, TrainedStore, TunableStore
from ragprof.evals import EvalConfig, complaint
from ragprof.evals.stores import StoresChurn, StoresSettings
from ragprof.price.databases import managed_database
from ragprof.record.pipeline import Parts, part
from ragprof.record.recording import Subject
from ragprof.studies.contract import Request
from ragprof.studies.preparation import Places, Prepared, corpus_path
from ragprof.studies.stores.fields import FilterField, fields_of
from ragprof.studies.variants import metrics_of

EXACT = "exact"
"""The label of exact search, which is always among them and the first."""
WHOLE_LISTS = ("stores",)
"""Options that are lists by nature, such as what a fusion is made of."""


@dataclass(frozen=True)
class IndexSetting:
    """One way to ask a built index; `knobs` are those that change nothing in it."""

    name: str
    knobs: Mapping[str, Any]

    def of(self, store: Store) -> Store:
        """The store, asked so."""
        return store.tuned(**self.knobs) if self.knobs and isinstance(store, TunableStore) else store


@dataclass(frozen=True)
class Index:
    """A store that is built once, and the settings that it is asked with. `name` says how it is built, too."""

    label: str
    name: str
    spec: PartSpec
    store: Store
    settings: tuple[IndexSetting, ...]


@dataclass(frozen=True)
class StoresPlan:
    """`parts` are the pipeline whose vectors are searched; its reranker, where there is one, sees every setting."""

    subject: Subject
    settings: StoresSettings
    parts: Parts
    reranker: str
    indexes: tuple[Index, ...]
    metric: str
    filters: tuple[FilterField, ...] = ()

    @property
    def names(self) -> list[str]:
        return [setting.name for index in self.indexes for setting in index.settings]


def plan(prepared: Prepared, request: Request) -> StoresPlan:
    """Check every index and setting; builds none. `request.changes` go before the file's [stores]. Raises BadInput."""
    prepared = prepared.without_apps("stores")
    config, places = prepared.subject.config, Places(request.eval_file)
    try:
        settings = StoresSettings.model_validate({**config.stores.model_dump(exclude_unset=True), **request.changes})
    except ValidationError as failure:
        raise BadInput(f"[stores] {complaint(failure)}", file=request.eval_file) from None
    if not settings.indexes:
        raise BadInput(
            'no indexes to compare; name some, such as [stores.indexes] hnsw = { name = "faiss", factory = "HNSW32", '
            "ef_search = [16, 64] }",
            file=request.eval_file,
        )
    if settings.margin is None:
        with places.put_before("stores"):
            raise BadInput(
                "[stores] has no margin; say how much of the metric may be lost against exact search, such as "
                "margin = 0.01"
            )
    with places.put_before("stores", "metric"):
        metric = metrics_of(settings.metric or config.metrics[0])[0]
    if settings.database is not None:
        with places.put_before("stores", "database"):
            managed_database(settings.database)
    parts, reranker = _parts(prepared.subject, settings, places)
    documents = len(prepared.subject.corpus.docs)
    if settings.k > parts.depth:
        with places.put_before("stores", "k"):
            raise BadInput(f"k = {settings.k} is above the depth {parts.depth} of pipeline '{parts.name}'; lower it")
    exact = part("stores", "faiss_flat")
    indexes = [Index(EXACT, EXACT, PartSpec(name="faiss_flat"), exact, (IndexSetting(EXACT, {}),))]
    for label, spec in settings.indexes.items():
        with places.put_before("stores", "indexes", label):
            if label == EXACT:
                raise BadInput("'exact' is what exact search is called, which is always compared; use another label")
            indexes += _indexes(label, spec, documents)
    if settings.filters and not any(can_filter(index.store) for index in indexes):
        with places.put_before("stores", "filters"):
            raise BadInput(
                "none of these indexes can filter; leave filters out, or add one that can, such as faiss HNSW32"
            )
    if settings.churn is not None:
        with places.put_before("stores", "churn"):
            counts_of(settings.churn, documents)
            if not any(can_change(index.store) for index in indexes):
                raise BadInput(
                    "none of these indexes can be changed; leave [stores.churn] out, or add one that can, such as "
                    "faiss IVF64,Flat, pgvector or qdrant"
                )
    if settings.cold is not None and not any(can_reopen(index.store) for index in indexes):
        with places.put_before("stores", "cold"):
            raise BadInput("none of these indexes is ragprof's own to close and open again; leave [stores.cold] out")
    with places.put_before("stores", "filters"):
        corpus = _corpus_of(settings, config, request.eval_file)
        filters = fields_of(settings.filters, prepared.subject.corpus.docs, corpus, seed=config.seed)
    subject = replace(prepared.subject, pipelines=(replace(parts, store=exact),))
    return StoresPlan(subject, settings, parts, reranker, tuple(indexes), metric, tuple(filters))


def _corpus_of(settings: StoresSettings, config: EvalConfig, eval_file: Path) -> Path | None:
    """Where the corpus lies; None where no filter needs it, or it lies in an index that exists."""
    if config.corpus.source == "store" or not any(isinstance(value, str) for value in settings.filters.values()):
        return None
    return corpus_path(config, eval_file)


def _parts(subject: Subject, settings: StoresSettings, places: Places) -> tuple[Parts, str]:
    """The pipeline with the reranker that it is shown with, and what that is called."""
    embedded = {parts.name: parts for parts in subject.pipelines if parts.embedder is not None}
    if settings.pipeline is not None and settings.pipeline not in embedded:
        with places.put_before("stores", "pipeline"):
            raise UnknownName("pipeline with an embedder", settings.pipeline, embedded)
    if not embedded:
        raise BadInput("stores compares indexes of vectors; give some pipeline an embedder", file=places.file)
    parts = embedded[settings.pipeline] if settings.pipeline else next(iter(embedded.values()))
    if settings.reranker is not None:
        with places.put_before("stores", "reranker"):
            named = settings.reranker.name
            return replace(parts, reranker=None if named == "none" else part("rerankers", settings.reranker)), named
    specs = {each.name: each.reranker.name for each in subject.config.pipelines}
    alike = [each for each in embedded.values() if each.embedder is parts.embedder and each.reranker is not None]
    shown = next((each for each in [parts, *alike] if each.reranker is not None), parts)
    return replace(parts, reranker=shown.reranker), specs[shown.name]


def can_filter(store: Store) -> bool:
    """Whether it searches among the documents of one value of a field."""
    return isinstance(store, FilteredStore) and store.can_filter


def can_change(store: Store) -> bool:
    """Whether it lets passages come and go."""
    return isinstance(store, MutableStore) and store.can_change


def can_reopen(store: Store) -> bool:
    """Whether its index is ours to close and to open again."""
    return isinstance(store, ReopenableStore) and store.can_reopen


def counts_of(asked: StoresChurn, passages: int) -> tuple[int, int, int]:
    """How many are inserted, deleted and replaced. Raises BadInput where a share is too small for so few."""
    found = []
    for name, least in (("inserted", 1), ("deleted", 1), ("replaced", 2)):
        share = getattr(asked, name)
        found.append(round(share * passages))
        if share and found[-1] < least:
            raise BadInput(f"{name} = {share:g} of {passages:,} passages is fewer than {least}; give a larger share")
    return found[0], found[1], found[2]


def _said(option: str, value: object) -> str:
    """A word says itself what it is, such as `IVF64,Flat`; a number does not."""
    return value if isinstance(value, str) else f"{option}={value}"


def _indexes(label: str, spec: PartSpec, documents: int) -> Iterator[Index]:
    lists = {name: value for name, value in spec.options.items() if isinstance(value, list) and name not in WHOLE_LISTS}
    for name, values in lists.items():
        if not values:
            raise BadInput(f"'{name}' of '{label}' is an empty list; give one value or more")
    first = PartSpec(name=spec.name, **{**spec.options, **{name: values[0] for name, values in lists.items()}})
    probe: Store = registry.create("stores", first)
    if not probe.needs_vectors:
        raise BadInput(f"the store '{spec.name}' searches words; [stores] compares indexes of the same vectors")
    knobs = probe.search_knobs if isinstance(probe, TunableStore) else ()
    built = {name: values for name, values in lists.items() if name not in knobs}
    asked = {name: values for name, values in lists.items() if name in knobs}
    for options in product(*built.values()):
        own = dict(zip(built, options, strict=True))
        one = PartSpec(name=first.name, **{**first.options, **own})
        store: Store = registry.create("stores", one)
        if isinstance(store, TrainedStore) and store.least_docs > documents:
            raise BadInput(
                f"'{label}' is trained on at least {store.least_docs:,} passages, and the corpus has {documents:,}; "
                "name fewer clusters or bits"
            )
        settings = []
        for combination in product(*asked.values()):
            chosen = dict(zip(asked, combination, strict=True))
            name = " ".join([label, *(_said(key, value) for key, value in {**own, **chosen}.items())])
            registry.create("stores", PartSpec(name=one.name, **{**one.options, **chosen}))  # refuses what cannot be
            settings.append(IndexSetting(name, chosen))
        yield Index(
            label, " ".join([label, *(_said(key, value) for key, value in own.items())]), one, store, tuple(settings)
        )


def searches_of(planned: StoresPlan) -> int:
    """Searches of all settings for all questions, nothing timed."""
    return len(planned.names) * len(planned.subject.queries)
