"""Wire formats of embedders over HTTP: what is sent, and the vectors and the count of tokens that come back.

Opens no connection and makes nothing up: a count that the server does not give is absent, a vector that is missing is
an error. Which requests are made of which texts is decided here too, since only a format knows how much one takes.

Where the formats were read:
openai  openai/openai-openapi, CreateEmbeddingRequest (2,048 inputs, 300,000 tokens over all inputs of a request, 8,192
        of one; `encoding_format` float or base64, float32 in little-endian order; `dimensions`).
azure   learn.microsoft.com, foundry/openai/how-to/embeddings (the v1 API: `model` is the deployment, header `api-key`)
        and MicrosoftDocs/azure-docs pull request 124129 (2,048 inputs).
vllm    vllm-project/vllm, entrypoints/pooling (`truncate_prompt_tokens` -1 is the model's own length).
tei     huggingface/text-embeddings-inference, router/src/http/types.rs, OpenAICompatRequest (`encoding_format`,
        `dimensions`), and `max_client_batch_size` 32.
ollama  ollama/ollama, openai/openai.go and openai_encoding_format_test.go.
cohere  docs.cohere.com/reference/embed and cohere-python, v2/client.py (96 texts, `output_dimension`, `truncate` NONE
        or END, `embeddings.float`) and types/api_meta_billed_units.py (`meta.billed_units.input_tokens`).
voyage  docs.voyageai.com/reference/embeddings-api (1,000 texts; 120,000 tokens for most models, 320,000 and a million
        for some; `input_type` null, query, document; `truncation`) and voyageai-python, api_resources/embedding.py.
jina    github.com/jina-ai/meta-prompt, v13.txt (`task`, `dimensions`, `truncate`), and
        langgenius/dify-official-plugins issue 1997 (512 texts).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from ragprof.core import Vectors
from ragprof.core.errors import NonFiniteScore
from ragprof.parts.http.calls import CallFailed

EmbedDialect: TypeAlias = Literal["openai", "azure", "vllm", "tei", "ollama"]
"""Of the one plugin that speaks OpenAI's format."""
Purpose: TypeAlias = Literal["query", "document"]
Encoding: TypeAlias = Literal["base64", "float"]
EMBEDDINGS = "/v1/embeddings"
FLOATS = np.dtype("<f4")
MARGIN = 1.2
"""Requests are filled as if the provider's tokenizer made so many tokens of one of ours."""


@dataclass(frozen=True)
class EmbedFormat:
    """What one provider takes. `base_url` and limits are what holds unless the user says otherwise.

    `kind` is the key that tells queries from documents, `kinds` its usual values. `cut` and `uncut` are sent where
    texts that are too long are to be cut, and where they are to be refused; empty where there is no such switch.
    """

    name: str
    base_url: str | None
    key_name: str
    most_texts: int
    most_tokens: int | None = None
    path: str = EMBEDDINGS
    key_header: str | None = None
    texts: str = "input"
    dimensions: str = "dimensions"
    kind: str | None = None
    kinds: Mapping[Purpose, str] = field(default_factory=dict)
    encodings: tuple[Encoding, ...] = ("float",)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    cut: Mapping[str, Any] = field(default_factory=dict)
    uncut: Mapping[str, Any] = field(default_factory=dict)


BOTH: tuple[Encoding, ...] = ("base64", "float")
OPENAI_FORMATS: Mapping[EmbedDialect, EmbedFormat] = {
    "openai": EmbedFormat(
        *("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", 2048, 300_000), encodings=BOTH
    ),
    "azure": EmbedFormat(
        *("azure", None, "AZURE_OPENAI_API_KEY", 2048, 300_000), key_header="api-key", encodings=BOTH
    ),
    "vllm": EmbedFormat(
        *("vllm", None, "VLLM_API_KEY", 256), encodings=BOTH, cut={"truncate_prompt_tokens": -1}
    ),
    "tei": EmbedFormat("tei", None, "TEI_API_KEY", 32, encodings=BOTH),
    "ollama": EmbedFormat("ollama", "http://127.0.0.1:11434/v1", "OLLAMA_API_KEY", 256, encodings=BOTH),
}  # fmt: skip
COHERE = EmbedFormat(
    *("cohere", "https://api.cohere.com", "CO_API_KEY", 96),
    path="/v2/embed", texts="texts", dimensions="output_dimension",
    kind="input_type", kinds={"query": "search_query", "document": "search_document"},
    fixed={"embedding_types": ["float"]}, cut={"truncate": "END"}, uncut={"truncate": "NONE"},
)  # fmt: skip
VOYAGE = EmbedFormat(
    *("voyage", "https://api.voyageai.com/v1", "VOYAGE_API_KEY", 1000, 120_000),
    dimensions="output_dimension", kind="input_type", kinds={"query": "query", "document": "document"},
    encodings=BOTH, cut={"truncation": True}, uncut={"truncation": False},
)  # fmt: skip
JINA = EmbedFormat(
    *("jina", "https://api.jina.ai/v1", "JINA_API_KEY", 512),
    kind="task", kinds={"query": "retrieval.query", "document": "retrieval.passage"},
    cut={"truncate": True}, uncut={"truncate": False},
)  # fmt: skip


@dataclass(frozen=True)
class EmbedSettings:
    """What is asked besides texts. `kinds` may lack a purpose, of which the server is then told nothing."""

    model: str
    dimensions: int | None
    kinds: Mapping[Purpose, str]
    truncate: bool
    encoding: Encoding


def embed_path(base_url: str, form: EmbedFormat) -> str:
    """What follows the address: nothing where it is whole, and no version where it ends in one."""
    version, _, last = form.path[1:].partition("/")
    if base_url.endswith(f"/{last}"):
        return ""
    return f"/{last}" if re.search(r"/v\d+$", base_url) else f"/{version}/{last}"


def embed_body(form: EmbedFormat, settings: EmbedSettings, purpose: Purpose, texts: Sequence[str]) -> dict[str, Any]:
    """One request for the vectors of all these texts."""
    body: dict[str, Any] = {"model": settings.model, form.texts: list(texts), **form.fixed}
    if settings.dimensions is not None:
        body[form.dimensions] = settings.dimensions
    if form.kind is not None and purpose in settings.kinds:
        body[form.kind] = settings.kinds[purpose]
    if settings.encoding == "base64":
        body["encoding_format"] = "base64"
    return {**body, **(form.cut if settings.truncate else form.uncut)}


def requests_of(
    texts: Sequence[str], *, most_texts: int, most_tokens: int | None, count: Callable[[str], int]
) -> Iterator[Sequence[str]]:
    """The texts in order, as few requests as the two limits allow. A text over the limit goes out alone."""
    if most_tokens is None or len(texts) == 1:
        for start in range(0, len(texts), most_texts):
            yield texts[start : start + most_texts]
        return
    start, taken = 0, 0.0
    for place, text in enumerate(texts):
        tokens = MARGIN * count(text)
        if place > start and (place - start == most_texts or taken + tokens > most_tokens):
            yield texts[start:place]
            start, taken = place, 0.0
        taken += tokens
    yield texts[start:]


def vectors_in(payload: object, count: int) -> Vectors:
    """One vector a text, shape (count, dimensions), in the order in which the texts were sent.

    Raises CallFailed where a text has no vector or several, or what came is not of the format, and NonFiniteScore for
    null, which is how some servers write NaN.
    """
    rows = [_numbers(each) for each in _entries(payload, count)]
    if len({len(row) for row in rows}) > 1:
        raise CallFailed("its vectors are of different lengths", again=False)
    if not rows[0].size:
        raise CallFailed("its vectors are empty", again=False)
    return np.stack(rows)


def _entries(payload: object, count: int) -> list[Any]:
    """What stands for each vector: of a list with places, or of Cohere's, which has none."""
    data = payload.get("data") if isinstance(payload, Mapping) else None
    by_type = payload.get("embeddings") if isinstance(payload, Mapping) else None
    if isinstance(by_type, Mapping) and isinstance(by_type.get("float"), list):
        found: list[Any] = by_type["float"]
    elif isinstance(data, list):
        placed: dict[int, Any] = {}
        for place, entry in enumerate(data):
            index = entry.get("index", place) if isinstance(entry, Mapping) else None
            if type(index) is not int or "embedding" not in entry:
                raise CallFailed("an entry of 'data' has 'index' and 'embedding'; one has not", again=False)
            if not 0 <= index < count:
                raise CallFailed(f"it gave a vector of text {index} of {count}, counted from 0", again=False)
            if index in placed:
                raise CallFailed(f"it gave two vectors of text {index}", again=False)
            placed[index] = entry["embedding"]
        found = [placed[index] for index in sorted(placed)]
    else:
        raise CallFailed("a list of vectors should be 'data' or 'embeddings.float'", again=False)
    if len(found) != count:
        raise CallFailed(f"it gave {len(found)} vectors for {count} texts", again=False)
    return found


def _numbers(given: object) -> Vectors:
    if isinstance(given, str):
        try:
            content = base64.b64decode(given, validate=True)
            return np.frombuffer(content, FLOATS).astype(np.float32)
        except (binascii.Error, ValueError):
            raise CallFailed("a vector is no base64 of float32 numbers", again=False) from None
    if not isinstance(given, list):
        raise CallFailed("a vector is neither a list of numbers nor base64", again=False)
    if None in given:
        raise NonFiniteScore("the embedder gave null in a vector; no ranking could be trusted")
    try:
        row = np.asarray(given)
    except ValueError:
        row = np.empty(0, object)
    if row.size and (row.ndim != 1 or row.dtype.kind not in "fiu"):
        raise CallFailed("a vector holds something that is no number", again=False)
    return row.astype(np.float32)


def tokens_in(payload: object) -> int | None:
    """Input tokens as the server counted them, those that it bills first; None where it gives none."""
    usage, meta = ((payload.get(key) if isinstance(payload, Mapping) else None) for key in ("usage", "meta"))
    billed, read = ((meta.get(key) if isinstance(meta, Mapping) else None) for key in ("billed_units", "tokens"))
    places = ((billed, "input_tokens"), (read, "input_tokens"), (usage, "prompt_tokens"), (usage, "total_tokens"))
    for held, key in places:
        value = held.get(key) if isinstance(held, Mapping) else None
        if (type(value) is int or (isinstance(value, float) and value.is_integer())) and value >= 0:
            return int(value)
    return None
