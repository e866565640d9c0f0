"""The verbs: what a part of a pipeline can do. A part returns its value together with its usage.

`identity` names everything that the part's output depends on besides its input (model, revision, dtype, maximum
length, prompt); equal identities may share cached results, and None means: never reuse what this part returned.
`load` brings models into memory, so that loading never falls inside a timed span. It may be called twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from ragprof.core import (
    AppAnswer,
    Doc,
    Embedded,
    EmbeddedQuery,
    Found,
    Generated,
    Injected,
    Layout,
    Nearest,
    PairLength,
    Query,
    Ranking,
    Scored,
    StoredRow,
    Vectors,
)
from ragprof.core.documents import ReadFile
from ragprof.core.spans import Listener


class Part(Protocol):
    """What every stage has in common."""

    @property
    def identity(self) -> str | None: ...

    def load(self) -> None: ...


class Embedder(Part, Protocol):
    """Texts to vectors. Vectors are compared by inner product: normalise them for cosine similarity."""

    def embed_documents(self, texts: Sequence[str]) -> Embedded: ...

    def embed_queries(self, texts: Sequence[str]) -> Embedded: ...


@runtime_checkable
class WordEmbedder(Protocol):
    """An embedder that knows words one by one. A vector of zeros from any other embedder is a fault, and refused."""

    @property
    def zeros_are_unknown(self) -> bool:
        """Whether a vector of zeros says that it knows no word of the text."""


@runtime_checkable
class NamedEngine(Protocol):
    """A part that says what runs when it is timed."""

    @property
    def engine(self) -> str:
        """Library, version and call: `sentence-transformers 6.2.0 SentenceTransformer.encode`."""

    @property
    def precision(self) -> str:
        """The number format that it computes in, such as `float32`."""


@runtime_checkable
class UntimedEmbedder(Protocol):
    """An embedder whose `embed_queries` is the call that its users make, and which has a faster way for many texts."""

    def embed_queries_untimed(self, texts: Sequence[str]) -> Embedded:
        """The vectors of `embed_queries` within rounding. Only ever used untimed."""


@runtime_checkable
class RemoteEmbedder(Protocol):
    """An embedder behind a server: it is paid for the tokens that it reads, and says how many these were."""

    @property
    def remote(self) -> bool:
        """Whether its time is another machine's, which this one's price does not pay."""

    @property
    def texts_at_once(self) -> int:
        """How many texts it may be given in one call: what all its connections take together."""


@runtime_checkable
class CutsTexts(Protocol):
    """An embedder that reads no more than so much of a text, and says what it leaves out. Only ever asked untimed."""

    @property
    def max_tokens(self) -> int | None:
        """The most tokens that it reads of a text; None: no limit."""

    def document_lengths(self, texts: Sequence[str]) -> list[PairLength]:
        """How long each text is as a document, prompt and special tokens included, and how much of it is read."""

    def query_lengths(self, texts: Sequence[str]) -> list[PairLength]:
        """The same of queries."""


class Store(Part, Protocol):
    """An index over one corpus. A store with `needs_vectors` is given vectors, shape (docs, dimensions).

    A vector of zeros is of a text that its embedder knows no word of: such a document is left out of an index of
    vectors, and such a query finds nothing there.
    """

    @property
    def needs_vectors(self) -> bool: ...

    @property
    def index_bytes(self) -> int: ...

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        """Index these documents and no others: what was there before is gone."""

    def search(self, query: EmbeddedQuery, depth: int) -> Found: ...


@runtime_checkable
class NestedStore(Protocol):
    """A store that can rank many nested sub-corpora of one pool in one pass. Only ever used untimed.

    One list a layout, in it one Nearest a size: each equals `add` on that sub-corpus and `search` for every query, to
    the last digit, ties included. The store's own index is left alone.
    """

    @property
    def shallower_is_prefix(self) -> bool:
        """Whether a search to a smaller depth is the beginning of a deeper one; if so, only the deepest is made."""

    def search_nested(
        self,
        docs: Sequence[Doc],
        vectors: Vectors | None,
        *,
        queries: Sequence[EmbeddedQuery],
        layouts: Sequence[Layout],
        depth: int,
    ) -> list[list[Nearest]]: ...


@runtime_checkable
class ApproximateStore(Protocol):
    """A store that may miss what an exact search would find."""

    def exact(self) -> Store:
        """A store of the same scores that misses nothing; what it finds beyond this one is the index's loss."""


@runtime_checkable
class TunableStore(Protocol):
    """A store whose built index can be asked in several ways."""

    @property
    def search_knobs(self) -> tuple[str, ...]:
        """Names of options that change only how the built index is asked: `ef_search`, `nprobe`, `rescore`."""

    def tuned(self, **knobs: Any) -> Store:
        """The same built index, asked with other values of its knobs; nothing is built again, `identity` tells them.

        Raises BadInput for a value that it refuses. `add` and `close` are asked of the store that it came from.
        """


@runtime_checkable
class ServedStore(TunableStore, Protocol):
    """A store that is a server's: what `tuned` gives asks the same index over a connection of its own."""

    @property
    def remote(self) -> bool:
        """Whether the server is another machine's."""


@runtime_checkable
class FusedStore(Protocol):
    """A store made of others, some of which may be servers'."""

    def connected(self) -> Store:
        """The same, with a connection of its own to each server; what is in this process is shared."""


@runtime_checkable
class TrainedStore(Protocol):
    """A store that learns something of its documents before it takes them in: clusters, codes."""

    @property
    def least_docs(self) -> int:
        """With fewer it cannot be trained."""


@runtime_checkable
class ClosableStore(Protocol):
    """A store that made something outside this process: tables, collections, a server that it started."""

    def close(self) -> None:
        """Give all of that back; nothing that it did not make is touched. Called at the end, also after an error."""


@runtime_checkable
class IndexesLater(Protocol):
    """A store whose `add` returns before what it took is searched through the index. Whoever calls reads the clock."""

    def await_index(self) -> None:
        """Return once every document is searched through the index. Raises BadInput where that never comes."""


@runtime_checkable
class TellsServerTime(Protocol):
    """A store whose server tells how long a search took it. Asking changes the time: only ever called untimed."""

    def search_with_server_time(self, query: EmbeddedQuery, depth: int) -> Found:
        """As `search`; the usage has `server_ns`, such as EXPLAIN ANALYZE's execution time or a response's `took`."""


@runtime_checkable
class TellsMemory(Protocol):
    """A store of which it can be told how much memory its server holds."""

    @property
    def memory_bytes(self) -> int | None:
        """Of the index or of the server's process; None where nobody tells."""


Labels: TypeAlias = Mapping[str, Sequence[str]]
"""field -> its value of each document, in their order."""


@runtime_checkable
class FilteredStore(Protocol):
    """A store that searches among the documents of one value of a field."""

    @property
    def can_filter(self) -> bool:
        """Whether it can as it is set: what a table of somebody else's lacks, it cannot."""

    def add_labelled(self, docs: Sequence[Doc], vectors: Vectors | None, labels: Labels) -> None:
        """As `add`, with fields that a search may name."""

    def search_where(self, query: EmbeddedQuery, depth: int, where: Mapping[str, str]) -> Found:
        """The nearest whose fields have these values; shorter than `depth` where the store finds no more of them."""


@runtime_checkable
class MutableStore(Protocol):
    """A store whose documents come and go while it is asked. A replaced one is deleted and inserted."""

    @property
    def can_change(self) -> bool:
        """Whether it may be changed as it is set: never where it is somebody else's."""

    def delete(self, doc_ids: Sequence[str]) -> None:
        """Take out these documents; whoever searches after that should not find them."""

    def insert(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        """Put in these documents beside the others; their ids are new."""


@runtime_checkable
class ReopenableStore(Protocol):
    """A store whose index lies in files of ours, so that it can be closed and opened again with nothing in memory."""

    @property
    def can_reopen(self) -> bool:
        """Whether it can as it is set: a server of somebody else's is never restarted."""

    def shut(self) -> Path:
        """Write and close what is open, end a server of ours; the folder with the files. Nobody may search then."""

    def open_again(self) -> None:
        """Ready to be searched as before; what was `tuned` from it before is not. Harmless where it is open."""


@runtime_checkable
class ExistingIndex(Protocol):
    """A store that may open an index of somebody else's, which is only read."""

    @property
    def is_existing(self) -> bool:
        """Whether it is such a one as it is set; else none of the other members may be asked."""

    def check_embedder(self, embedder: Embedder) -> None:
        """Embed some of its texts again and compare. Raises BadInput where another model filled the index."""

    def stored_count(self) -> int:
        """How many documents it has now."""

    def stored_rows(self) -> Iterator[StoredRow]:
        """All of them, as of one moment where the database can."""


@runtime_checkable
class Lexical(Protocol):
    """A store that reads texts as words of a language."""

    @property
    def language(self) -> str:
        """The language whose stop words and stems it takes; `auto` until `settle`, empty where it reads no words."""

    def settle(self, docs: Sequence[Doc]) -> None:
        """Choose the language by the whole corpus where nobody named one, once: sub-corpora are read in it too."""


class Reranker(Part, Protocol):
    """Scores candidates. `pointwise`: the score of a pair depends on no other candidate, so it may be reused."""

    @property
    def pointwise(self) -> bool: ...

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored: ...


@runtime_checkable
class PairReranker(Protocol):
    """A reranker that scores many pairs of several queries faster than query by query. Only ever used untimed."""

    def score_pairs(self, pairs: Sequence[tuple[Query, Doc]]) -> list[float]: ...


@runtime_checkable
class TogetherReranker(Reranker, Protocol):
    """A reranker whose own call takes the candidates of several queries at once, as servers that batch give them."""

    def score_together(self, asked: Sequence[tuple[Query, Sequence[Doc]]]) -> list[Scored]:
        """`score` of each query, within rounding, by the same engine in one call. Timed under load."""


@runtime_checkable
class LengthLimited(Protocol):
    """A reranker that reads no more than so much of a pair, and says what it leaves out. Only ever asked untimed."""

    @property
    def max_tokens(self) -> int | None:
        """The most tokens that it reads of a pair (or of a document, where it reads the two apart); None: no limit."""

    def lengths(self, pairs: Sequence[tuple[Query, Doc]]) -> list[PairLength]:
        """How long each pair is and how much of it is read, in order."""

    def windows(self, query: Query, doc: Doc) -> list[Doc]:
        """The document in pieces that are each read whole beside this query, in order; itself where it fits."""


@runtime_checkable
class CutsElsewhere(Protocol):
    """A reranker behind a server. How much the server reads of a text is not said; what it is told to read is."""

    @property
    def max_tokens_per_doc(self) -> int | None:
        """The most tokens of a document that the server is told to read; None: as many as its model takes."""

    @property
    def truncate(self) -> bool:
        """Whether the server cuts what is too long for its model; else it refuses it."""


class Signal(Protocol):
    """How sure a retriever is of what it found; a query of which it is sure needs no reranker."""

    def value(self, query: Query, ranking: Ranking) -> float:
        """Higher is surer. `ranking` is the search's, best first, and may be empty. Finite."""


@runtime_checkable
class RemoteReranker(Protocol):
    """A reranker that may run elsewhere."""

    @property
    def remote(self) -> bool:
        """Whether its time is another machine's, which this one's price does not pay."""


@runtime_checkable
class QueryReranker(Protocol):
    """A reranker that is sent a query at a time, and billed so: all pairs of a query go to it at once."""

    @property
    def asks_by_query(self) -> bool: ...


class Injector(Part, Protocol):
    """Puts chunks of a ranking into a prompt."""

    def inject(self, query: Query, ranking: Ranking) -> Injected: ...


class Generator(Part, Protocol):
    """Answers a prompt, greedily where the model allows it. Time spent on waiting and failed attempts is `excluded`.

    Reasoning that stands in the text between <think> and </think> is told apart from the answer by whoever calls.
    """

    @property
    def model_name(self) -> str:
        """What a reader knows the model by, such as `gemma-3-270m bfloat16`."""

    @property
    def context_tokens(self) -> int | None:
        """The most tokens that prompt and answer may have together; None where nobody knows."""

    @property
    def max_new_tokens(self) -> int: ...

    def count_tokens(self, prompt: str) -> int:
        """Tokens of the prompt as the model reads it, with all that the generator puts around it."""

    def generate(self, prompt: str) -> Generated: ...


class App(Part, Protocol):
    """A pipeline of the user's own, as it stands: it is asked, and nothing in it is changed.

    Its plugin is made of a `target` (an object, or an address) and options.
    """

    @staticmethod
    def fits(target: object) -> bool:
        """Whether the target is of this kind, told without importing its framework."""

    @property
    def description(self) -> str:
        """What it is, in a word or two: `callable`, `LangChain RunnableSequence`."""

    def call(self, question: str) -> object:
        """What the app returns for a question, as it is; a coroutine or an iterator is not run to its end here.

        Whatever the app raises goes through.
        """

    @staticmethod
    def watched(listener: Listener, /) -> AbstractContextManager[None]:
        """Have the hooks of its framework write spans into the listener, as long as the block lasts.

        Whatever the app is: where code of its own uses the framework, that is seen too. Nothing where it is not loaded.
        """

    def read(self, returned: object) -> AppAnswer | None:
        """Take apart what came back; None where nothing can be made of it."""


class Reader(Part, Protocol):
    """Makes text of files of one kind. Equal bytes and equal identities give equal results."""

    @property
    def isolated(self) -> bool:
        """Whether it is run in a process of its own, where a broken file can neither end the run nor take its memory.

        What such a reader returns is kept in the cache.
        """

    def read(self, content: bytes) -> ReadFile:
        """All documents of a file. Raises BadInput with the reason, in a few words, where it cannot be read."""


@runtime_checkable
class ManyGenerator(Protocol):
    """A generator that answers many prompts faster than one by one. Only ever used untimed."""

    def generate_many(self, prompts: Sequence[str]) -> list[Generated]:
        """One answer a prompt, in order, with nothing measured."""


@runtime_checkable
class ConcurrentGenerator(Protocol):
    """A generator whose answers are asked for several at a time and paid for one by one, such as a server's."""

    @property
    def concurrency(self) -> int:
        """How many calls of `generate`, from as many threads, may be under way at once. Only ever used untimed."""
