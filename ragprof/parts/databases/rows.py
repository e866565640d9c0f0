"""What every store in a database does alike: which documents go in, how a search is asked again, what comes back.

A database's own file says how to connect, fill, ask and give back. Rows are numbered by us: ids and texts of documents
may hold what a database forbids in its keys.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

import numpy as np
from pydantic import Field

from ragprof.core import Doc, EmbeddedQuery, Found, StoredRow, Usage, Vectors, registry
from ragprof.core.caches import unknown_rows
from ragprof.core.clock import OwnTime, exclude, now_ns
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.ranking import id_ranks, ranked
from ragprof.core.stages import Embedder, Labels, Store
from ragprof.parts.databases.existing import check_agreement
from ragprof.parts.databases.metrics import Metric, exact
from ragprof.parts.http.calls import CallFailed, Patience, attempted, persistently

SAMPLE = 64
TIMEOUT_S = 60.0
Seconds: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
FIELD = "field_"
"""Before the name of a field that a search may name, so that it is none of ours."""
Key: TypeAlias = int | str
"""A row's number, in what is ours; the id that it has there, in an index that exists."""
Hits: TypeAlias = Sequence[tuple[Key, float]]
"""Rows and their scores, higher is nearer, in any order."""
T = TypeVar("T")
PATIENCE = Patience(retries=7, first_s=0.25, most_s=8.0)
"""A database that restarts is back within half a minute, or not at all."""


@dataclass(frozen=True)
class Batch:
    """Rows to be put in: a number, a text and a vector each, and the values of every field."""

    numbers: Sequence[int]
    texts: Sequence[str]
    vectors: Vectors
    labels: Labels


class DatabaseStore(ABC):
    """A store in a database. Its index holds every document but those that the embedder knows no word of.

    A lost connection is opened again, and the search asked again; both are counted as `reconnects` and kept out of the
    latency.
    """

    needs_vectors = True
    precision = "float32"
    name: ClassVar[str]
    """Of the plugin."""
    search_knobs: tuple[str, ...] = ()
    metric: Metric = "inner_product"
    is_existing = False
    """Whether the index is somebody else's, which is only read."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {name: value for name, value in given.items() if name not in ("self", "__class__")}
        self._timeout_s = float(given.get("timeout_s", TIMEOUT_S))
        """After so long without an answer a search is given up."""
        self._docs: dict[Key, Doc] = {}
        self._numbers: dict[str, int] = {}
        self._fields: tuple[str, ...] = ()
        self._width = 0
        self._twins: list[DatabaseStore] = []

    # What a database's own file says

    @property
    @abstractmethod
    def identity(self) -> str | None:
        """What a search depends on; None where rows come and go without us."""

    @property
    @abstractmethod
    def index_bytes(self) -> int:
        """What the database stores for it; 0 where nothing was put in."""

    @abstractmethod
    def load(self) -> None:
        """Connect, and check what is there. Raises BadInput with what to do."""

    @abstractmethod
    def _fill(self, batch: Batch) -> None:
        """Make what is to be asked, with these rows and no others; what was there of ours is gone."""

    @abstractmethod
    def _ask(self, vector: Vectors, depth: int, where: Mapping[str, str]) -> Hits:
        """The nearest rows. Raises CallFailed where the connection is lost."""

    @abstractmethod
    def _reconnect(self) -> None:
        """Open the connection again, with all that it was set to. Raises CallFailed."""

    @abstractmethod
    def _give_back(self) -> None:
        """Take away all that was made and close the connection; nothing where there is none."""

    def _take_out(self, numbers: Sequence[int]) -> None:
        raise BadInput(f"the store '{self.name}' takes no document out")

    def _put_in(self, batch: Batch) -> None:
        raise BadInput(f"the store '{self.name}' takes no document in")

    def _sample(self, rows: int) -> Sequence[StoredRow]:
        """Some rows of an index that exists: the first, where the database cannot spread them over it."""
        with closing(self._all()) as found:
            return list(islice(found, rows))

    def _count(self) -> int:
        """Rows of an index that exists."""
        raise BadInput(f"the store '{self.name}' opens no index that exists")

    def _all(self) -> Generator[StoredRow, None, None]:
        """Every row of an index that exists, as of one moment where the database can."""
        raise BadInput(f"the store '{self.name}' opens no index that exists")

    # What all do alike

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        self.add_labelled(docs, vectors, {})

    def add_labelled(self, docs: Sequence[Doc], vectors: Vectors | None, labels: Labels) -> None:
        rows = self._given_vectors(vectors)
        self.load()
        if self.is_existing:
            self._docs = {doc.doc_id: doc for doc in docs}
            self._check_corpus(docs)
            return
        self._docs, self._numbers, self._width = {}, {}, rows.shape[1]
        self._fields = tuple(labels)
        self._fill(self._numbered(docs, rows, labels))

    def _numbered(self, docs: Sequence[Doc], rows: Vectors, labels: Labels) -> Batch:
        """Numbers rise with the ids, so that a database can settle ties as we do."""
        known = np.flatnonzero(~unknown_rows(rows))
        kept = [docs[place] for place in known.tolist()]
        first = max((key for key in self._docs if isinstance(key, int)), default=-1) + 1
        numbers = (id_ranks([doc.doc_id for doc in kept]) + first).tolist()
        for number, doc in zip(numbers, kept, strict=True):
            self._docs[number], self._numbers[doc.doc_id] = doc, number
        chosen = {f"{FIELD}{field}": [values[place] for place in known.tolist()] for field, values in labels.items()}
        vectors = rows if len(known) == len(rows) else rows[known]
        return Batch(numbers, [doc.content for doc in kept], vectors, chosen)

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        return self.search_where(query, depth, {})

    def search_where(self, query: EmbeddedQuery, depth: int, where: Mapping[str, str]) -> Found:
        own, vector = OwnTime(), query.vector
        if vector is None:
            raise BadInput(f"the store '{self.name}' got a query without a vector; give this pipeline an embedder")
        if not self._docs or not (vector[0] or vector.any()):
            return Found((), {"searches": 1})
        named = {f"{FIELD}{field}": value for field, value in where.items()}
        return self._answered(lambda: self._ask(vector, depth, named), depth, own)

    def _answered(self, ask: Callable[[], Hits], depth: int, own: OwnTime) -> Found:
        """What `ask` finds, asked persistently: it and turning keys into documents are the search's own time."""
        own.begin()
        hits, usage = self._persistently(ask)
        met = self._met(hits)
        own.end()
        answer = Found(ranked(met)[:depth], usage)
        own.leave()
        return answer

    def _met(self, hits: Hits) -> list[tuple[Doc, float]]:
        docs = self._docs
        try:
            return [(docs[key], score) for key, score in hits]
        except KeyError as failure:
            raise BadInput(
                f"the store '{self.name}' found '{failure.args[0]}', which the corpus does not have: the index changed "
                'while it was read, or is of other documents; take the corpus from it with [corpus] from = "store"'
            ) from None

    def _timed_out(self) -> CallFailed:
        return CallFailed(
            f"a search took longer than {self._timeout_s:g} s and was given up; see what else the server does, give "
            "it an index, or raise timeout_s",
            again=False,
        )

    def _persistently(self, ask: Callable[[], T]) -> tuple[T, Usage]:
        """What it gives, asked again on a new connection each time that the connection is lost."""
        start = now_ns()
        try:
            return ask(), {"searches": 1}  # nothing more is between a search and its caller while all goes well
        except CallFailed as lost:
            if not lost.again:
                raise BadInput(f"the store '{self.name}': {lost.reason}") from None
            exclude(now_ns() - start)

        def attempt() -> T:
            self._reconnect()
            return ask()

        answered = attempted(lambda: persistently(attempt, PATIENCE))
        if isinstance(answered, CallFailed):
            raise BadInput(
                f"the store '{self.name}': the database failed {answered.attempts + 1} times, last with: "
                f"{answered.reason}; see that it runs and is reachable, then run again"
            )
        value, failed = answered
        return value, {"searches": 1, "reconnects": failed + 1}

    def close(self) -> None:
        """Also of the stores that were tuned from this one."""
        with ExitStack() as stack:
            for store in (self, *self._twins):
                stack.callback(store._give_back)
        self._twins.clear()
        if not self.is_existing:
            self._docs, self._numbers = {}, {}

    def delete(self, doc_ids: Sequence[str]) -> None:
        numbers = [self._numbers.pop(doc_id) for doc_id in doc_ids if doc_id in self._numbers]
        self._take_out(numbers)
        # what is still found of them is a ghost, and has to have a name: its document stays known

    def insert(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        if self._fields:
            raise BadInput(f"the store '{self.name}': what is inserted has no fields, and the index has some")
        self._put_in(self._numbered(docs, self._given_vectors(vectors), {}))

    @property
    def can_reopen(self) -> bool:
        return False

    def shut(self) -> Path:
        raise BadInput(f"the store '{self.name}' is not restarted by ragprof")

    def open_again(self) -> None:
        raise BadInput(f"the store '{self.name}' is not restarted by ragprof")

    @property
    def can_filter(self) -> bool:
        return not self.is_existing

    @property
    def can_change(self) -> bool:
        return not self.is_existing

    def exact(self) -> Store:
        """In memory, not filled yet."""
        return exact(self.metric)

    def tuned(self, **knobs: Any) -> Store:
        for knob in knobs:
            if knob not in self.search_knobs:
                raise UnknownName(f"knob of the store '{self.name}'", knob, self.search_knobs)
        twin: DatabaseStore = registry.create("stores", registry.PartSpec(name=self.name, **{**self._given, **knobs}))
        twin._share(self)
        self._twins.append(twin)
        return twin

    def _share(self, other: DatabaseStore) -> None:
        """Ask what another store has filled."""
        self._docs, self._numbers, self._width = other._docs, other._numbers, other._width
        self._fields = other._fields

    def _given_vectors(self, vectors: Vectors | None) -> Vectors:
        if vectors is None:
            raise BadInput(f"the store '{self.name}' compares vectors; give this pipeline an embedder")
        return vectors

    def check_embedder(self, embedder: Embedder) -> None:
        """Embed a sample of what is stored again. Raises BadInput where another model filled the index."""
        self.load()
        check_agreement(self.name, self._sample(SAMPLE), embedder, metric=self.metric)

    def stored_rows(self) -> Iterator[StoredRow]:
        """Ids, texts and vectors of an index that exists."""
        self.load()
        return self._all()

    def stored_count(self) -> int:
        """How many rows an index that exists has now."""
        self.load()
        return self._count()

    def _check_corpus(self, docs: Sequence[Doc]) -> None:
        stored, known = self._count(), {doc.doc_id for doc in docs}
        lacking = [row.doc_id for row in self._sample(SAMPLE) if row.doc_id not in known]
        if not lacking and len(docs) < stored:
            raise BadInput(
                f"the store '{self.name}': the index that exists has {stored:,} documents, and a part of it "
                f"({len(docs):,}) cannot be searched apart; name a store that ragprof fills for parts of a corpus, or "
                'take all of it with [corpus] from = "store"'
            )
        if lacking or stored != len(docs):
            which = f", and lacks '{lacking[0]}'" if lacking else ""
            raise BadInput(
                f"the store '{self.name}': the index has {stored:,} documents and the corpus {len(docs):,}{which}; "
                'take the corpus from the index with [corpus] from = "store", or mend the name of its id'
            )
