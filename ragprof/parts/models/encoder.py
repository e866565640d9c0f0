"""A sentence-transformers model, run in two ways whose results agree within rounding.

What is timed is the library's own call: `SentenceTransformer.encode`, on the model as the library loads it.

What is not timed is computed here: texts are tokenised once, sorted by length and packed into batches of about as many
tokens, which keeps padding near nothing and activations in the processor's cache. On CPUs this runs on a second copy of
the model, whose weights are laid out beforehand, a batch on each core: in float32 with layers of our own, in bfloat16
with attention written as two matrix products (faster than the fused kernel for the short sequences of retrieval). The
copy is believed once it gives what the library's model gives; else the library's model does this work too.

At the end: texts over a model's maximum length, how many tokens they have uncut, and the pieces that are each read
whole. Every piece is tokenised again before it is handed out, since it need not have the tokens that its text had
within the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from ragprof.core import Doc, PairLength, Query, Scored, Vectors
from ragprof.core.errors import BadInput, NonFiniteScore
from ragprof.parts.models.engines import LARGEST_DISTANCE, Engine, Engines, batches, copy_of, in_turn
from ragprof.parts.models.kernels import int8_speed, number_format, pack_linears, packed_copy, quantise_linears
from ragprof.parts.models.places import PACKAGED_MINILM, Float, loading, locate, revision, stored_float

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


FloatPrecision: TypeAlias = Literal["auto", "float32", "bfloat16"]
Precision: TypeAlias = Literal["auto", "float32", "bfloat16", "int8"]
Numbers: TypeAlias = Float | Literal["int8"]
"""What a precision stands for once `auto` is looked up."""
ATTENTION = "ragprof_matmul"
PROBE = ("", "the copy of a model reads this, and the empty text beside it")


@dataclass(frozen=True, slots=True)
class Encoded:
    """One batch of texts after the model: their places in the input and the model's outputs for them."""

    places: list[int]
    lengths: list[int]
    sentences: torch.Tensor
    tokens: torch.Tensor


class Transformer:
    """An encoder by packaged, local or hub name. The constructor finds it; `load` reads the weights."""

    def __init__(self, model: str, *, precision: Precision, max_tokens: int | None) -> None:
        self.name = model
        self.location: Path | str = locate(model)
        self.numbers = encoder_numbers(precision, self.location)
        self._max_tokens = max_tokens

    @cached_property
    def identity(self) -> str:
        """What a vector depends on besides its text: model, its files, number format, device, length, library."""
        length = f"max_tokens={self._max_tokens}"
        return f"{self.name}@{revision(self.location)} {self.precision} {self.device} {length} {library()}"

    @property
    def precision(self) -> str:
        """The number format as reports name it."""
        return named_numbers(self.numbers)

    @cached_property
    def device(self) -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def model(self) -> SentenceTransformer:
        """The model as the library loads it, told the number format and the maximum length."""
        model = self._loaded()
        longest = model.max_seq_length or 512
        model.max_seq_length = min(longest, self._max_tokens or longest)
        return model

    @cached_property
    def engines(self) -> Engines:
        """What untimed work runs on: on a CPU a copy with kernels of our own, where it gives what the model gives."""
        own = None
        if self.device == "cpu" and self.numbers in LARGEST_DISTANCE:
            make = self._with_matmul_attention if self.numbers == "bfloat16" else partial(packed_copy, self.model)
            own = copy_of(make, self._distance, most=LARGEST_DISTANCE[self.numbers], name=self.name)
        return Engines(self.model, own, what=lambda: f"{self.name}@{revision(self.location)} in {self.precision}")

    def _with_matmul_attention(self) -> SentenceTransformer:
        register_attention(ATTENTION, matmul_attention)
        model = self._loaded(attn_implementation=ATTENTION)
        pack_linears(model)
        return model

    def _distance(self, copy: SentenceTransformer) -> float:
        """How far a copy's token vectors of PROBE are from the model's, as a share of their length."""
        import torch

        ids, both = self.token_ids(PROBE), []
        for model in (copy, self.model):
            encoded = self._encoded(model, ids, list(range(len(ids))))
            both.append(torch.cat([encoded.tokens[row, :length] for row, length in enumerate(encoded.lengths)]).float())
        return float((both[0] - both[1]).norm() / both[1].norm())

    def _loaded(self, **options: Any) -> SentenceTransformer:
        import torch
        from sentence_transformers import SentenceTransformer

        options |= {"dtype": getattr(torch, float_of(self.numbers)), "use_safetensors": True}
        with loading(self.location):
            model = SentenceTransformer(
                str(self.location), device=self.device, model_kwargs=options, trust_remote_code=False
            )
        model.eval()
        if self.numbers == "int8":
            quantise_linears(model)
        return model

    @property
    def max_tokens(self) -> int:
        return int(self.model.max_seq_length or 512)

    @property
    def dimensions(self) -> int:
        return int(self.model.get_embedding_dimension() or 0)

    def load(self) -> None:
        """Read the weights that are timed; the first text afterwards is the model's cold start."""
        _ = self.model

    def prompt(self, purpose: Literal["query", "document"]) -> str:
        """The text that this model wants in front of a query or a document; often none."""
        return self.model.prompts.get(purpose) or ""

    @property
    def normalises(self) -> bool:
        """Whether vectors are made unit vectors, so that an inner product is the cosine: not where the model was
        trained for inner products."""
        return bool(self.model.similarity_fn_name != "dot")

    def called(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """Sentence vectors, shape (texts, dimensions), by the library's own call, and the number of tokens read.

        Raises NonFiniteScore where the model yields NaN.
        """
        if not texts:
            return np.empty((0, self.dimensions), np.float32), 0
        with tokens_read(self.model) as read:
            vectors = self.model.encode(
                list(texts), prompt="", normalize_embeddings=self.normalises, show_progress_bar=False
            )
        found = np.asarray(vectors, np.float32)
        if not np.isfinite(found).all():
            raise self._not_a_number()
        return found, sum(read)

    def called_for_tokens(self, texts: Sequence[str]) -> tuple[list[torch.Tensor], int]:
        """Token vectors of each text, (its tokens, dimensions), by the library's own call; the number of tokens."""
        with tokens_read(self.model) as read:
            vectors = self.model.encode(
                list(texts), prompt="", output_value="token_embeddings", show_progress_bar=False
            )
        return list(vectors), sum(read)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut at the maximum length, special tokens included."""
        if not texts:
            return []
        encoded = self.model.tokenizer(list(texts), truncation=True, max_length=self.max_tokens, padding=False)
        return list(encoded["input_ids"])

    def lengths(self, texts: Sequence[str], purpose: Literal["query", "document"]) -> list[PairLength]:
        """How long each text is, prompt and special tokens included, and how much of it is read."""
        tokenizer, prompt = self.model.tokenizer, self.prompt(purpose)
        special = tokenizer.num_special_tokens_to_add(pair=False)
        counts = [count + special for count in token_counts(tokenizer, [prompt + text for text in texts])]
        return [PairLength(count, min(count, self.max_tokens)) for count in counts]

    def encode(self, texts: Sequence[str]) -> Iterator[Encoded]:
        """Batches in order of falling length. Only ever used untimed. Raises NonFiniteScore for NaN."""
        ids = self.token_ids(texts)
        engine = self.engines.choose(
            list(map(len, ids)), lambda engine, places: list(self._encode(engine, [ids[place] for place in places]))
        )
        return self._encode(engine, ids)

    def _encode(self, engine: Engine, ids: Sequence[Sequence[int]]) -> Iterator[Encoded]:
        groups = list(batches([len(tokens) for tokens in ids], engine.batch_tokens))
        return in_turn(partial(self._encoded, engine.model, ids), groups, at_once=engine.at_once)

    def _encoded(self, model: SentenceTransformer, ids: Sequence[Sequence[int]], places: list[int]) -> Encoded:
        import torch

        batch = [ids[place] for place in places]
        with torch.inference_mode():
            padded = model.tokenizer.pad({"input_ids": batch}, return_tensors="pt")
            features = model.forward({name: tensor.to(model.device) for name, tensor in padded.items()})
            sentences = features["sentence_embedding"].float()
            if self.normalises:
                sentences = torch.nn.functional.normalize(sentences, dim=1)
            if not torch.isfinite(sentences).all():
                raise self._not_a_number()
            return Encoded(places, [len(tokens) for tokens in batch], sentences, features["token_embeddings"])

    def vectors(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """As `called`, within rounding and faster for many texts. Only ever used untimed."""
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        tokens = 0
        for batch in self.encode(texts):
            vectors[batch.places] = batch.sentences.cpu().numpy()
            tokens += sum(batch.lengths)
        return vectors, tokens

    def _not_a_number(self) -> NonFiniteScore:
        return NonFiniteScore(f"model '{self.name}' returned NaN in {self.numbers}; try precision = \"float32\"")


class EncoderPart:
    """What embedders and rerankers made of one encoder have in common."""

    name = ""
    """The plugin's name, with which its identity begins."""
    call = "SentenceTransformer.encode"

    def __init__(
        self, model: str = PACKAGED_MINILM, *, precision: Precision = "auto", max_tokens: PositiveInt | None = None
    ) -> None:
        self._transformer = Transformer(model, precision=precision, max_tokens=max_tokens)

    @property
    def identity(self) -> str:
        return f"{self.name} {self._transformer.identity}"

    @property
    def engine(self) -> str:
        return f"{library()} {self.call}"

    @property
    def precision(self) -> str:
        return self._transformer.precision

    def load(self) -> None:
        self._transformer.load()

    @property
    def max_tokens(self) -> int:
        return self._transformer.max_tokens

    def document_lengths(self, texts: Sequence[str]) -> list[PairLength]:
        return self._transformer.lengths(texts, "document")

    def query_lengths(self, texts: Sequence[str]) -> list[PairLength]:
        return self._transformer.lengths(texts, "query")


class EncoderReranker(EncoderPart):
    """A reranker that reads query and document apart, so that its limit is on the document alone."""

    pointwise = True

    def lengths(self, pairs: Sequence[tuple[Query, Doc]]) -> list[PairLength]:
        """Of each pair the document's tokens, prompt and special tokens included."""
        return self.document_lengths([doc.content for _, doc in pairs])

    def windows(self, query: Query, doc: Doc) -> list[Doc]:
        tokenizer = self._transformer.model.tokenizer
        most = self.max_tokens - tokenizer.num_special_tokens_to_add(pair=False)
        return pieces(doc, tokenizer, most=most, prompt=self._transformer.prompt("document"))


def library() -> str:
    """Name and version of the library that encoders run in."""
    return f"sentence-transformers {version('sentence-transformers')}"


@contextmanager
def tokens_read(model: torch.nn.Module) -> Iterator[list[int]]:
    """How many tokens the model reads inside the `with`, batch by batch: special tokens count, padding does not.

    They are counted where they enter the model: tokenising the texts a second time would be timed as well.
    """
    read: list[int] = []

    def count(_module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        features = arguments[0]
        mask = features.get("attention_mask")
        read.append(int(features["input_ids"].numel() if mask is None else mask.sum()))

    hook = model.register_forward_pre_hook(count)
    try:
        yield read
    finally:
        hook.remove()


def encoder_numbers(precision: Precision, location: Path | str) -> Numbers:
    """What a precision stands for: `auto` is the format of the weights on disk, in which the library loads them.

    Raises BadInput for int8 on a GPU, and on a CPU that is no faster in it than in float32.
    """
    if precision == "auto":
        return stored_float(location)
    if precision == "int8":
        import torch

        if torch.cuda.is_available():
            raise BadInput(
                'precision = "int8" is for CPUs, and this model runs on a GPU; use "bfloat16", "float32" or "auto"'
            )
        if (speed := int8_speed()) <= 1:
            raise BadInput(
                f'precision = "int8" takes {1 / speed:.1f} times as long as float32 on this CPU (measured just now on '
                'one layer): its 8-bit integers are slow; use "float32" or "auto"'
            )
    return precision


def float_of(numbers: Numbers) -> Float:
    """In which floats a model of that precision computes; beside int8 linear layers, in the fastest that there are."""
    return fastest_float() if numbers == "int8" else numbers


def named_numbers(numbers: Numbers) -> str:
    """As identities have it: `bfloat16`, or `int8 in bfloat16`, the format of all that is not a linear layer."""
    return f"{number_format()} in {float_of(numbers)}" if numbers == "int8" else numbers


def fastest_float() -> Literal["float32", "bfloat16"]:
    """bfloat16 where the processor computes in it, float32 elsewhere."""
    import torch

    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    capable = torch.cpu.get_capabilities()
    return "bfloat16" if capable.get("amx_bf16") or capable.get("avx512_bf16") else "float32"


def register_attention(name: str, attention: Callable[..., Any]) -> None:
    """Offer an attention of our own to transformers under a name; its masks are those that are added to weights."""
    from transformers import AttentionInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface

    AttentionInterface.register(name, attention)
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS["eager"])


def matmul_attention(
    _module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_options: Any,
) -> tuple[torch.Tensor, None]:
    """softmax(q k^T * scaling + mask) v; all of shape (batch, heads, tokens, width of a head)."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    weights = (query * scale) @ key.transpose(2, 3)
    if attention_mask is not None:
        weights = weights + attention_mask
    return (weights.softmax(-1) @ value).transpose(1, 2).contiguous(), None


TEXTS_AT_ONCE = 1024
SHORT_TITLE = 4
"""A title is repeated at every piece where it takes less than one part in so many of what a piece may hold."""


def token_counts(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Tokens of each text uncut, special tokens left out. Equal texts are tokenised once."""
    distinct = list(dict.fromkeys(texts))
    counts: dict[str, int] = {}
    for start in range(0, len(distinct), TEXTS_AT_ONCE):
        some = distinct[start : start + TEXTS_AT_ONCE]
        counts.update(zip(some, map(len, _uncut(tokenizer, some)["input_ids"]), strict=True))
    return [counts[text] for text in texts]


def shared_out(scores: Sequence[float], groups: Sequence[Sequence[Doc]]) -> list[Scored]:
    """The scores of all groups' documents, one after the other, as what each group was given."""
    ends = np.cumsum([len(docs) for docs in groups]).tolist()
    return [
        Scored(tuple(scores[end - len(docs) : end]), {"requests": 1, "docs_scored": len(docs)})
        for docs, end in zip(groups, ends, strict=True)
    ]


def pieces(doc: Doc, tokenizer: Any, *, most: int, prompt: str = "") -> list[Doc]:
    """The document in pieces of at most `most` tokens each, prompt included, special tokens not; itself if it fits.

    Pieces are called `<id>#1`, `<id>#2` and so on. They do not overlap and together hold every word of the text once;
    a word is cut only where it alone is too long for a piece. A title of less than a quarter of `most` stands before
    every piece; a longer one is cut with the text, as its beginning. Raises BadInput where not a character fits.
    """
    if token_counts(tokenizer, [prompt + doc.content])[0] <= most:
        return [doc]
    short = token_counts(tokenizer, [doc.title])[0] * SHORT_TITLE < most
    title, text = (doc.title, doc.text) if short else ("", doc.content)
    starts, words = _borders(tokenizer, text)
    room = most - token_counts(tokenizer, [f"{prompt}{title}"])[0]
    while room > 0:
        cut = [part for part in _cut(text, starts, words, room=room) if part]
        if not cut:
            return [doc]
        made = [replace(doc, doc_id=f"{doc.doc_id}#{at}", title=title, text=part) for at, part in enumerate(cut, 1)]
        excess = max(token_counts(tokenizer, [prompt + piece.content for piece in made])) - most
        if excess <= 0:
            return made
        room -= excess
    raise BadInput(
        f"document '{doc.doc_id}' cannot be cut into pieces of {most} tokens; "
        "give the model a larger max_tokens, or set windows = false under [reranker]"
    )


def _borders(tokenizer: Any, text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where in the text each token begins, rising, and the places among them at which a word begins."""
    if not tokenizer.is_fast:
        raise BadInput(
            "this model's tokenizer does not say where its tokens lie in the text, so no text can be read in pieces; "
            "set windows = false under [reranker]"
        )
    found = _uncut(tokenizer, [text], return_offsets_mapping=True)["offset_mapping"][0]
    starts = np.maximum.accumulate(np.array([start for start, _ in found], np.int64))
    distinct = np.unique(starts)
    first = [start == 0 or text[start - 1].isspace() or text[start].isspace() for start in distinct]
    return starts, distinct[np.array(first, bool)]


def _cut(text: str, starts: NDArray[np.int64], words: NDArray[np.int64], *, room: int) -> Iterator[str]:
    """Parts of at most `room` tokens, as they are in the whole, without white space around them."""
    begin = 0
    while (reached := int(np.searchsorted(starts, begin)) + room) < len(starts):
        end = int(starts[reached])
        word = int(np.searchsorted(words, end, side="right")) - 1
        if word >= 0 and words[word] > begin:
            end = int(words[word])
        elif end == begin:  # one character of more tokens than there is room for
            end = int(np.append(starts, len(text))[np.searchsorted(starts, begin, side="right")])
        yield text[begin:end].strip()
        begin = end
    yield text[begin:].strip()


def _uncut(tokenizer: Any, texts: list[str], **options: Any) -> Any:
    return tokenizer(
        texts,
        add_special_tokens=False,
        truncation=False,
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
        **options,
    )
