"""The nouns: frozen data that the stages hand to each other. Reads nothing, computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ragprof.core.cores import NOTHING, CoreTimes

if TYPE_CHECKING:  # the command line imports this package for its errors, and starts faster without numpy
    import numpy as np
    from numpy.typing import NDArray

StageName: TypeAlias = Literal["embed", "search", "rerank", "inject", "generate"]
STAGES: tuple[StageName, ...] = get_args(StageName)
RANKED_STAGES: tuple[StageName, ...] = ("search", "rerank", "inject")
RETRIEVAL_STAGES: tuple[StageName, ...] = ("embed", "search", "rerank")
OTHER = "other:"
"""How a stage of a user's own pipeline begins that is none of these: `other:merge`."""
DEFAULT_K = 5
"""Passages in a prompt where nobody says how many."""

Usage: TypeAlias = Mapping[str, int]
"""unit -> count: `input_tokens`, `searches`, `docs_scored`, `vectors_scanned`, `docs_injected`, ..."""
Vectors: TypeAlias = "NDArray[np.float32]"


def in_order(stages: Iterable[str]) -> list[str]:
    """Distinct stages in the order in which a query meets them; those of a user's own pipeline last, by name."""
    return sorted(set(stages), key=lambda stage: (STAGES.index(stage) if stage in STAGES else len(STAGES), stage))


@dataclass(frozen=True, slots=True)
class Position:
    """Where in its document a passage stands: characters `start` to `end` of the document's text, and how one finds it.

    `page` and `last_page` are None where the document has no pages, `heading` is empty above the first one. A heading
    within another is `Leave > Parental leave`.
    """

    start: int
    end: int
    page: int | None = None
    last_page: int | None = None
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Doc:
    """One passage. `document_id` is the document that it was cut from; its own id where it was not cut.

    Two passages with the same texts and ids are equal, wherever they were found.
    """

    doc_id: str
    title: str
    text: str
    document_id: str
    position: Position | None = field(default=None, compare=False)

    @property
    def content(self) -> str:
        """What is embedded, scored and injected: title + " " + text, as BEIR has it."""
        return f"{self.title} {self.text}".strip()

    @property
    def where(self) -> str:
        """Document, page and heading, as a person would look it up: `handbook.pdf p. 12, § Leave`."""
        found = self.position
        pages, heading = "", ""
        if found is not None and found.page is not None:
            pages = f" p. {found.page}" if found.last_page == found.page else f" p. {found.page}-{found.last_page}"
        if found is not None and found.heading:
            heading = f", § {found.heading}"
        return f"{self.document_id}{pages}{heading}"


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One document of an index that exists: its id and text there, and its vector, shape (dimensions,)."""

    doc_id: str
    text: str
    vector: Vectors


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `metadata` is what the file says beside it (package, difficulty, gold answers).

    `own_document` is the document that the query itself was taken from, which is never a result (BEIR's rule).
    """

    query_id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    own_document: str | None = None


@dataclass(frozen=True, slots=True)
class EmbeddedQuery:
    """A query and its vector, shape (dimensions,); None in a pipeline without an embedder."""

    query: Query
    vector: Vectors | None


@dataclass(frozen=True, slots=True)
class ScoredDoc:
    """A document in a ranking. Higher scores come first."""

    doc: Doc
    score: float


Ranking: TypeAlias = tuple[ScoredDoc, ...]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of shape (texts, dimensions), float32, in the order of the texts."""

    vectors: Vectors
    usage: Usage


@dataclass(frozen=True, slots=True)
class Found:
    """What a store returned, best first; may be shorter than the depth that was asked for."""

    ranking: Ranking
    usage: Usage


@dataclass(frozen=True, slots=True)
class Scored:
    """One score per document, in the order given."""

    scores: tuple[float, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class PairLength:
    """A text as its embedder reads it, or a pair as its reranker does: `tokens` in all, of which it reads `kept`; both
    of the document alone where the reranker reads query and document apart."""

    tokens: int
    kept: int


@dataclass(frozen=True, slots=True)
class Injected:
    """The prompt and the documents in it, in the order of the prompt."""

    prompt: str
    ranking: Ranking
    usage: Usage


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer. `first_token_ns` is the time from the call to its first token; None where it was not measured.

    `usage` counts `input_tokens` (as the model read them), `output_tokens`, `requests`, `retries`, and where they are
    known `cached_tokens` and `reasoning_tokens`, which are among the `output_tokens`. `finish` is "length" where the
    answer was cut at the most tokens that it may have, "content_filter" where somebody held it back. `reasoning` is
    what the model said to itself before, where that is known; its first token is timed apart from the answer's.
    """

    text: str
    usage: Usage
    first_token_ns: int | None
    finish: Literal["stop", "length", "content_filter"]
    reasoning: str = ""
    first_reasoning_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """One stage of one query. Times in ns of one monotonic clock; `cores` is what the threads did meanwhile.

    The stage is one of STAGES or, in a pipeline of the user's own, begins with OTHER.
    """

    stage: str
    start_ns: int
    duration_ns: int
    cores: CoreTimes = NOTHING


@dataclass(frozen=True, slots=True)
class Trace:
    """One query through one pipeline; `duration_ns` is end to end, so at least the sum of its spans."""

    query_id: str
    spans: tuple[Span, ...]
    start_ns: int
    duration_ns: int
    cores: CoreTimes = NOTHING


@dataclass(frozen=True, slots=True)
class Answer:
    """What a pipeline gave for one query: the ranking after each stage that ranks, the prompt, the usage.

    `generated` is None in a pipeline without a generator.
    """

    query: Query
    rankings: Mapping[StageName, Ranking]
    prompt: str
    usage: Mapping[StageName, Usage]
    generated: Generated | None = None


@dataclass(frozen=True, slots=True)
class AppAnswer:
    """What a pipeline of the user's own returned for a question, taken apart; documents are as its framework has them.

    `documents` are those that it answered from, best first; None where it does not say. `usage` counts `input_tokens`
    and `output_tokens` of its model where it tells them.
    """

    documents: Sequence[Any] | None = None
    text: str | None = None
    prompt: str | None = None
    usage: Usage = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """Nested sub-corpora of a pool of documents: the first `size` of `members`, for each of the rising `sizes`.

    `members` are distinct positions in the pool, shape (documents,); no size is above their number.
    """

    members: NDArray[np.int64]
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Nearest:
    """What one sub-corpus gave for every query, best first: positions in the pool and scores, both (queries, depth).

    A ranking that is shorter than the depth is filled up with -1 and a score of 0.
    """

    places: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Manifest:
    """What a recording rests on, as its manifest.json has it; None or empty is what an old one does not say.

    `facts` is the whole file: what only single studies read has no name here.
    """

    config: Mapping[str, Any]
    recording: str | None
    corpus_sha256: str | None
    questions: str | None
    identities: Mapping[str, Mapping[str, str | None]]
    cpu: str | None
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Manifest:
        return cls(
            config=facts["config"],
            recording=facts.get("recording"),
            corpus_sha256=facts.get("corpus", {}).get("sha256"),
            questions=facts.get("questions"),
            identities=facts.get("identities", {}),
            cpu=facts.get("environment", {}).get("cpu"),
            facts=facts,
        )

    @property
    def pipelines(self) -> tuple[Mapping[str, Any], ...]:
        """The pipelines as they were declared, in the eval's order; their prices may have changed since."""
        return tuple(self.config["pipelines"])

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(pipeline["name"] for pipeline in self.pipelines)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean (or quantile) with its interval; None where nothing can be said. `n` is what it rests on."""

    mean: float | None
    interval: tuple[float, float] | None
    n: int
