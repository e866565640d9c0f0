"""What the stores `faiss` and `faiss_hnsw` share: an index named by its index_factory string.

Douze and others: The Faiss library, 2024. A string reads from left to right as FAISS has it: `IVF1024,PQ48` clusters
the vectors and keeps 48 bytes of each, `HNSW32` is a graph, `SQ8` keeps a byte a dimension, `PQ48,RFlat` compares the
best again by their whole vectors. What is to be trained is trained on the corpus, from one seed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from copy import copy
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import RLock
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PositiveInt

from ragprof.core import Doc, EmbeddedQuery, Found, Vectors, registry
from ragprof.core.caches import unknown_rows
from ragprof.core.clock import exclude, now_ns
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.ranking import ranked
from ragprof.core.stages import Labels, Store
from ragprof.parts.databases import claims

OWN_SEED = 1234
"""Of FAISS itself."""
TRIED = (64, 384, 768, 5040, 1024)
"""Dimensions with which a factory string is read before the vectors' own are known: most quantisers divide one."""
KNOBS = ("nprobe", "ef_search", "k_factor")
NEEDS = {
    "nprobe": "clusters, such as IVF1024,Flat",
    "ef_search": "a graph, such as HNSW32 or IVF1024_HNSW32,Flat",
    "k_factor": "a refinement, such as PQ48,RFlat",
}


class FaissStore:
    """Inner product of what the index keeps of the vectors; a quantised index scores what it kept.

    `nprobe` clusters are looked into, `ef_search` candidates kept while a graph is walked (of the vectors, or of the
    clusters' centres), `k_factor` times as many candidates as asked for are compared again. What is left out is FAISS's
    own: 1, 16 and 1. `ef_construction` is the graph's while it is built.
    """

    needs_vectors = True
    precision = "float32"
    name = "faiss"

    def __init__(
        self,
        factory: str,
        nprobe: PositiveInt | None = None,
        ef_search: PositiveInt | None = None,
        k_factor: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None,
        ef_construction: PositiveInt | None = None,
        seed: Annotated[int, Field(ge=0, lt=2**31)] = OWN_SEED,
    ) -> None:
        self._factory, self._ef_construction, self._seed = factory, ef_construction, seed
        self._settings: dict[str, float | None] = {"nprobe": nprobe, "ef_search": ef_search, "k_factor": k_factor}
        self._index: Any = None
        self._whole: Any = None
        """The same index as the object that owns it."""
        self._docs: list[Doc] = []
        self._made: dict[tuple[int, tuple[tuple[str, str], ...]], Any] = {}
        self._bytes: int | None = 0
        self._changing = RLock()
        """FAISS may not be asked while it is changed."""
        self._is_graph, self._counter = False, None
        self._fields: Labels = {}
        self._selectors: dict[tuple[tuple[str, str], ...], Any] = {}
        self._kept: Path | None = None
        """While it is closed: the folder of its file."""
        self._holes: set[int] = set()
        """Numbers that clusters gave to what was taken out since."""
        takes = _knobs_of(factory)
        for knob in [name for name, value in self._settings.items() if value is not None]:
            if knob not in takes:
                raise BadInput(f"the index '{factory}' takes no {knob}; that is a knob of {NEEDS[knob]}")

    @property
    def identity(self) -> str:
        named = [f"{name}={value:g}" for name, value in self._settings.items() if value is not None]
        named += [] if self._ef_construction is None else [f"ef_construction={self._ef_construction}"]
        named += [] if self._seed == OWN_SEED else [f"seed={self._seed}"]
        return " ".join(["faiss", self._factory, *named])

    @property
    def engine(self) -> str:
        return f"faiss {version('faiss-cpu')} index_factory {self._factory}"

    @property
    def search_knobs(self) -> tuple[str, ...]:
        return tuple(knob for knob in KNOBS if knob in _knobs_of(self._factory))

    @property
    def least_docs(self) -> int:
        """With fewer, clusters or quantisers cannot be trained."""
        return max((_training_needs(index) for index in _read(self._factory)), default=1)

    @property
    def index_bytes(self) -> int:
        """What FAISS writes of it, as it lies in memory."""
        if self._bytes is None:
            self._bytes = _written_bytes(self._whole)
        return self._bytes

    def load(self) -> None:
        _faiss()

    def tuned(self, **knobs: Any) -> FaissStore:
        """The same index, asked with other values; nothing is built again."""
        twin = copy(self)
        twin._settings, twin._made = {**self._settings, **knobs}, {}
        for knob, value in knobs.items():
            if knob not in self.search_knobs:
                raise BadInput(f"the index '{self._factory}' takes no {knob}; its knobs are: {self.search_knobs}")
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 1 or value == float("inf"):
                raise BadInput(f"{knob} = {value!r} of the store '{self.name}': give a number from 1 on")
            if knob != "k_factor" and value != int(value):
                raise BadInput(f"{knob} = {value!r} of the store '{self.name}': give a whole number")
        return twin

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        """All vectors at once: a graph would be another one if they came in blocks."""
        faiss = _faiss()

        if vectors is None:
            raise BadInput(f"the store '{self.name}' compares vectors; give this pipeline an embedder")
        unknown = unknown_rows(vectors)
        self._docs, self._fields, self._selectors = list(docs), {}, {}
        self._holes = set()
        if unknown.any():
            self._docs, vectors = [docs[place] for place in np.flatnonzero(~unknown).tolist()], vectors[~unknown]
        self._whole, self._made = self._built(vectors), {}
        self._index, self._bytes = faiss.downcast_index(self._whole), None
        self._is_graph = isinstance(self._index, faiss.IndexHNSW)
        self._counter = _counter_of(_layers(self._whole))

    @property
    def can_filter(self) -> bool:
        """Not every quantised index of FAISS takes a selection of vectors."""
        faiss = _faiss()
        takes = (faiss.IndexHNSW, faiss.IndexIVF, faiss.IndexFlat, faiss.IndexScalarQuantizer)
        main = next((layer for layer in _read(self._factory) if isinstance(layer, takes)), None)
        return main is not None and not isinstance(main, faiss.IndexIVFFastScan)

    @property
    def can_change(self) -> bool:
        """Clusters and plain lists of codes; FAISS takes nothing out of a graph, a refinement or fast-scan codes."""
        faiss = _faiss()
        layers = [layer for layer in _read(self._factory)[1:] if not isinstance(layer, faiss.IndexPreTransform)]
        main = layers[0] if layers else None
        return isinstance(main, (faiss.IndexIVF, faiss.IndexFlatCodes)) and not isinstance(main, faiss.IndexIVFFastScan)

    def delete(self, doc_ids: Sequence[str]) -> None:
        """A list of codes closes up, so that places move; clusters keep the numbers of what stays."""
        faiss, gone = _faiss(), set(doc_ids)
        with self._changing:
            places = [place for place, doc in enumerate(self._docs) if doc.doc_id in gone and place not in self._holes]
            self._whole.remove_ids(faiss.IDSelectorBatch(np.asarray(places, np.int64)))
            if self._is_clustered:
                self._holes.update(places)
            else:
                taken = set(places)
                self._docs[:] = [doc for place, doc in enumerate(self._docs) if place not in taken]
            self._selectors.clear()
        self._bytes = None

    def insert(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        if vectors is None or self._fields:
            raise BadInput(f"the store '{self.name}': what is inserted has vectors, and an index without fields")
        kept = np.flatnonzero(~unknown_rows(vectors))
        with self._changing:
            first = len(self._docs)
            if self._is_clustered:
                self._whole.add_with_ids(vectors[kept], np.arange(first, first + len(kept)))
            else:
                self._whole.add(vectors[kept])
            self._docs += [docs[place] for place in kept.tolist()]
            self._selectors.clear()
        self._bytes = None

    @property
    def can_reopen(self) -> bool:
        return True

    def shut(self) -> Path:
        """The index is written to a file, which is read once and taken away."""
        self._kept = claims.own_folder()
        _faiss().write_index(self._whole, str(self._kept / "index.faiss"))
        self._whole = self._index = self._counter = None
        self._made.clear()
        return self._kept

    def open_again(self) -> None:
        if self._kept is None:
            return
        faiss = _faiss()
        self._whole = faiss.read_index(str(self._kept / "index.faiss"))
        self._index, self._counter = faiss.downcast_index(self._whole), _counter_of(_layers(self._whole))
        self._forget()

    def close(self) -> None:
        """Take away the file, if there is one."""
        self._forget()

    def _forget(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            shutil.rmtree(kept, ignore_errors=True)

    @property
    def _is_clustered(self) -> bool:
        faiss = _faiss()
        return any(isinstance(layer, faiss.IndexIVF) for layer in _layers(self._whole))

    def add_labelled(self, docs: Sequence[Doc], vectors: Vectors | None, labels: Labels) -> None:
        self.add(docs, vectors)
        places = {doc.doc_id: place for place, doc in enumerate(docs)}
        kept = [places[doc.doc_id] for doc in self._docs]
        self._fields = {field: [values[place] for place in kept] for field, values in labels.items()}

    def search_where(self, query: EmbeddedQuery, depth: int, where: Mapping[str, str]) -> Found:
        """The search looks at the selected vectors alone; a graph is walked through the others too, and may come short.

        `vectors_scanned` counts what FAISS does.
        """
        return self._search(query, depth, tuple(sorted(where.items())))

    def _selector(self, where: tuple[tuple[str, str], ...]) -> Any:
        if where not in self._selectors:
            chosen = np.ones(len(self._docs), np.bool_)
            for field, value in where:
                if field not in self._fields:
                    raise UnknownName("field of the index", field, self._fields)
                chosen &= np.array(self._fields[field], object) == value
            self._selectors[where] = _faiss().IDSelectorBitmap(np.packbits(chosen, bitorder="little"))
        return self._selectors[where]

    def _built(self, vectors: Vectors) -> Any:
        faiss = _faiss()

        try:
            index = faiss.index_factory(vectors.shape[1], self._factory, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as failure:
            raise BadInput(f"the store '{self.name}' makes no '{self._factory}': {_said(failure)}") from None
        for layer in _layers(index):
            trained: tuple[Any, ...] = (layer, getattr(layer, "pq", None))
            for quantiser in trained:
                if hasattr(quantiser, "cp"):
                    quantiser.cp.seed = self._seed
                    quantiser.cp.min_points_per_centroid = 1  # FAISS would print that they are few
            if hasattr(layer, "do_polysemous_training"):
                # It reorders codes for a filter that nobody here uses, changes no result, and takes minutes.
                layer.do_polysemous_training = False
            if self._ef_construction is not None and hasattr(layer, "hnsw"):
                layer.hnsw.efConstruction = self._ef_construction
        least = max(_training_needs(layer) for layer in _layers(index))
        if len(vectors) < least:
            raise BadInput(
                f"the store '{self.name}' trains '{self._factory}' on at least {least:,} passages, and there are "
                f"{len(vectors):,}; name fewer clusters or bits, or Flat"
            )
        threads = faiss.omp_get_max_threads()
        try:
            index.train(vectors)
            if not hasattr(faiss.HNSW, "merge_reverse_links_deterministic"):
                faiss.omp_set_num_threads(1)  # as many as give the same graph every time
            index.add(vectors)
        except RuntimeError as failure:
            raise BadInput(f"the store '{self.name}' cannot build '{self._factory}': {_said(failure)}") from None
        finally:
            faiss.omp_set_num_threads(threads)
        return index

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        """The best that the index finds; ties at the depth are settled by doc_id, as far as it finds them."""
        return self._search(query, depth, ())

    def _search(self, query: EmbeddedQuery, depth: int, where: tuple[tuple[str, str], ...]) -> Found:
        """FAISS's own call and turning its rows into documents are the search's time; the rest is excluded."""
        entered = now_ns()
        if query.vector is None:
            raise BadInput(f"the store '{self.name}' got a query without a vector; give this pipeline an embedder")
        if not self._docs or not (query.vector[0] or query.vector.any()):  # looking at all of it takes 3 us
            return Found((), {"searches": 1, "vectors_scanned": 0})
        index, counter, docs, vector = self._index, self._counter, self._docs, query.vector[None, :]
        with self._changing:
            kept, parameters = self._walked(depth, where)
            most, before = min(kept or len(docs), len(docs)), 0 if counter is None else counter.ndis
            asked = min(depth + 1, most)  # and not all that was kept: a tenth of the walk goes into handing them over
            start = now_ns()
            scores, places = index.search(vector, asked, params=parameters)
            found, best = places[0].tolist(), scores[0].tolist()
            met = [(docs[place], score) for place, score in zip(found[:depth], best, strict=False) if place >= 0]
            own_ns = now_ns() - start
            if asked > depth and best[depth] == best[depth - 1]:
                met = self._with_ties(vector, depth, most, parameters)
            scanned = len(docs) if counter is None else counter.ndis - before
        answer = Found(ranked(met)[:depth], {"searches": 1, "vectors_scanned": scanned})
        exclude(now_ns() - entered - own_ns)
        return answer

    def _with_ties(self, vector: Vectors, depth: int, most: int, parameters: Any) -> list[tuple[Doc, float]]:
        """The best and whatever ties with the last of them, `most` at most: FAISS settles ties by position."""
        asked = depth + 1
        while True:
            asked = min(2 * asked, most)
            scores, places = self._index.search(vector, asked, params=parameters)
            found, best = places[0].tolist(), scores[0].tolist()
            if asked == most or found[-1] < 0 or best[-1] != best[depth - 1]:
                return [
                    (self._docs[place], score)
                    for place, score in zip(found, best, strict=True)
                    if place >= 0 and score >= best[depth - 1]
                ]

    def exact(self) -> Store:
        """`faiss_flat`, not filled yet."""
        store: Store = registry.create("stores", registry.PartSpec(name="faiss_flat"))
        return store

    def _walked(self, depth: int, where: tuple[tuple[str, str], ...]) -> tuple[int, Any]:
        """How many candidates the walk through a graph keeps, 0 where there is none; how the search is to be made."""
        kept = max(int(self._settings["ef_search"] or self._index.hnsw.efSearch), depth) if self._is_graph else 0
        if (kept, where) not in self._made:
            settings = {**self._settings, **({"ef_search": kept} if kept else {})}
            self._made[kept, where] = _parameters(self._index, settings, self._selector(where) if where else None)
        return kept, self._made[kept, where]


def _counter_of(layers: Sequence[Any]) -> Any:
    """FAISS's own count of compared vectors; None where every vector is compared."""
    faiss = _faiss()
    for layer in layers:
        if isinstance(layer, faiss.IndexHNSW):
            return faiss.cvar.hnsw_stats
        if isinstance(layer, faiss.IndexIVF):
            return faiss.cvar.indexIVF_stats
    return None


def _faiss() -> Any:
    """The module, whose own types lack what is asked of it here."""
    import faiss

    return faiss


def _layers(index: Any) -> list[Any]:
    """An index, and within it what it hands its vectors on to, from outside in."""
    faiss = _faiss()

    found = [faiss.downcast_index(index)]
    while (inner := getattr(found[-1], "base_index", None) or getattr(found[-1], "index", None)) is not None:
        found.append(faiss.downcast_index(inner))
    if isinstance(found[-1], faiss.IndexIVF):
        found.append(faiss.downcast_index(found[-1].quantizer))
    return found


def _training_needs(index: Any) -> int:
    quantiser = getattr(index, "pq", None)
    return max(getattr(index, "nlist", 1), getattr(quantiser, "ksub", 1))


@cache
def _read(factory: str) -> tuple[Any, ...]:
    """The layers of a small index of this kind. Empty where it fits no usual dimension; its own may fit.

    Raises BadInput for a string that FAISS cannot read.
    """
    faiss = _faiss()

    for dimensions in TRIED:
        try:
            index = faiss.index_factory(dimensions, factory, faiss.METRIC_INNER_PRODUCT)
        except RuntimeError as failure:
            if "could not parse" in str(failure):
                raise BadInput(
                    f"FAISS knows no index '{factory}'; write as its index_factory does: Flat, HNSW32, IVF1024,Flat, "
                    "IVF1024,PQ48, SQ8, or IVF1024,PQ48,RFlat"
                ) from None
            continue
        return (index, *_layers(index))  # the first owns the others
    return ()


@cache
def _knobs_of(factory: str) -> frozenset[str]:
    faiss = _faiss()

    layers = _read(factory)
    kinds = {"nprobe": faiss.IndexIVF, "ef_search": faiss.IndexHNSW, "k_factor": faiss.IndexRefine}
    return frozenset(
        knob for knob, kind in kinds.items() if not layers or any(isinstance(layer, kind) for layer in layers)
    )


def _parameters(index: Any, settings: Mapping[str, float | None], selected: Any) -> Any:
    """How one search is to be made; None where the index takes none, or nothing is set."""
    faiss = _faiss()
    index, only = faiss.downcast_index(index), {} if selected is None else {"sel": selected}
    if isinstance(index, faiss.IndexPreTransform):
        inner = _parameters(index.index, settings, selected)
        return None if inner is None else faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexRefine):
        inner, factor = _parameters(index.base_index, settings, selected), settings["k_factor"] or 1.0
        return faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=inner)
    if isinstance(index, faiss.IndexIVF):
        centres = _parameters(index.quantizer, settings, None)
        return faiss.SearchParametersIVF(nprobe=int(settings["nprobe"] or 1), quantizer_params=centres, **only)
    if isinstance(index, faiss.IndexHNSW) and settings["ef_search"]:
        return faiss.SearchParametersHNSW(efSearch=int(settings["ef_search"]), **only)
    return faiss.SearchParameters(**only) if only else None


def _written_bytes(index: Any) -> int:
    """Counted while it is written to nowhere: a second copy in memory would be as large as the index."""
    faiss = _faiss()

    total = 0

    def count(chunk: bytes) -> None:
        nonlocal total
        total += len(chunk)

    faiss.write_index(index, faiss.PyCallbackIOWriter(count))
    return total


def _said(failure: RuntimeError) -> str:
    """FAISS's reason without the place in its source."""
    text = str(failure).replace("\n", " ").strip()
    found = re.search(r"Error: '(.*?)' failed:?\s*(.*)$", text)
    if found:
        return found[2] or f"it wants {found[1]}"
    return re.sub(r"^.*?\.cpp:\d+:\s*", "", text)
