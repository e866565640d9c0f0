"""A cross-encoder: query and document read together by one model, by local folder or hub name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from pydantic import PositiveInt

from ragprof.core import Doc, PairLength, Query, Scored, Usage
from ragprof.core.errors import BadInput
from ragprof.core.stages import Reranker
from ragprof.parts.models.encoder import (
    PROBE,
    Precision,
    encoder_numbers,
    float_of,
    library,
    named_numbers,
    pieces,
    shared_out,
    token_counts,
    tokens_read,
)
from ragprof.parts.models.engines import LARGEST_DISTANCE, Engine, Engines, batches, copy_of, in_turn
from ragprof.parts.models.kernels import packed_copy, quantise_linears
from ragprof.parts.models.places import loading, locate, revision

if TYPE_CHECKING:
    import torch
    from sentence_transformers import CrossEncoder


NO_LIMIT = 1_000_000_000
"""What tokenizers without a maximum length say is their maximum is above it."""


class CrossEncoderReranker:
    """Raw scores of the model's single output (no sigmoid): only their order means anything."""

    pointwise = True

    def __init__(
        self,
        model: str,
        *,
        precision: Precision = "auto",
        max_tokens: PositiveInt | None = None,
        batch_size: PositiveInt = 16,
    ) -> None:
        self._name, self._location = model, locate(model)
        self._numbers = encoder_numbers(precision, self._location)
        self._max_tokens, self._batch_size = max_tokens, batch_size

    @cached_property
    def identity(self) -> str:
        return f"cross_encoder {self._name}@{revision(self._location)} {self.precision} max_tokens={self._max_tokens}"

    @property
    def engine(self) -> str:
        return f"{library()} CrossEncoder.predict"

    @property
    def precision(self) -> str:
        return named_numbers(self._numbers)

    @cached_property
    def _model(self) -> CrossEncoder:
        import torch
        from sentence_transformers import CrossEncoder

        options = {"dtype": getattr(torch, float_of(self._numbers)), "use_safetensors": True}
        with loading(self._location):
            model: CrossEncoder = CrossEncoder(
                str(self._location), max_length=self._max_tokens, model_kwargs=options, trust_remote_code=False
            )
        if model.num_labels != 1:
            raise BadInput(
                f"model '{self._name}' gives {model.num_labels} outputs a pair, as classifiers do; "
                "name a cross-encoder with one output"
            )
        if self._numbers == "int8":
            quantise_linears(model)
        return model

    def load(self) -> None:
        _ = self._model

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        scores, tokens = self._predicted([(query.text, doc.content) for doc in docs])
        return Scored(tuple(scores), self._usage(docs, tokens))

    def score_together(self, asked: Sequence[tuple[Query, Sequence[Doc]]]) -> list[Scored]:
        """All pairs in one call, which batches them by length. Tokens of a query alone are not known."""
        scores, _ = self._predicted([(query.text, doc.content) for query, docs in asked for doc in docs])
        return shared_out(scores, [docs for _, docs in asked])

    def _predicted(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[float], int]:
        """By the library's own call; and how many tokens it read."""
        import torch

        with tokens_read(self._model) as read:
            scores = self._model.predict(
                list(pairs), batch_size=self._batch_size, activation_fn=torch.nn.Identity(), show_progress_bar=False
            )
        return scores.tolist(), sum(read)

    def score_pairs(self, pairs: Sequence[tuple[Query, Doc]]) -> list[float]:
        """The scores of `score` within rounding. Pairs of about the same length are read together, whoever asks."""
        read = self._read([(query.text, doc.content) for query, doc in pairs])
        engine = self._engines.choose(
            [len(pair["input_ids"]) for pair in read],
            lambda engine, places: self._scores(engine, [read[place] for place in places]),
        )
        return self._scores(engine, read)

    @cached_property
    def _engines(self) -> Engines:
        """The network as the library has it, and on a CPU a copy with layers of our own."""
        network, own = self._model.model, None
        if self._model.device.type == "cpu" and self._numbers == "float32":
            own = copy_of(
                partial(packed_copy, network), self._distance, most=LARGEST_DISTANCE["float32"], name=self._name
            )
        return Engines(network, own, what=lambda: self.identity)

    def _distance(self, copy: Any) -> float:
        read = self._read([(PROBE[1], text) for text in PROBE])
        found, expected = (self._logits(network, read, [0, 1]) for network in (copy, self._model.model))
        return float((found - expected).norm() / expected.norm())

    def _read(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, list[int]]]:
        """Each pair as the model is given it: token ids, and what else its tokenizer gives with them."""
        if not pairs:
            return []
        longest = self.max_tokens
        read = self._model.tokenizer(list(pairs), truncation=longest is not None, max_length=longest, padding=False)
        return [dict(zip(read, values, strict=True)) for values in zip(*read.values(), strict=True)]

    def _scores(self, engine: Engine, read: Sequence[dict[str, list[int]]]) -> list[float]:
        scores = [0.0] * len(read)
        groups = list(batches([len(pair["input_ids"]) for pair in read], engine.batch_tokens))
        found = in_turn(partial(self._logits, engine.model, read), groups, at_once=engine.at_once)
        for places, logits in zip(groups, found, strict=True):
            for place, score in zip(places, logits.tolist(), strict=True):
                scores[place] = score
        return scores

    def _logits(self, network: Any, read: Sequence[dict[str, list[int]]], places: Sequence[int]) -> torch.Tensor:
        import torch

        padded = self._model.tokenizer.pad([read[place] for place in places], return_tensors="pt")
        with torch.inference_mode():
            logits = network(**{name: tensor.to(self._model.device) for name, tensor in padded.items()}).logits
        found: torch.Tensor = logits.float()[:, 0].cpu()
        return found

    def _usage(self, docs: Sequence[Doc], tokens: int) -> Usage:
        return {"requests": 1, "docs_scored": len(docs), "input_tokens": tokens}

    @property
    def max_tokens(self) -> int | None:
        longest = self._max_tokens or self._model.max_seq_length
        return None if longest is None or longest >= NO_LIMIT else int(longest)

    def lengths(self, pairs: Sequence[tuple[Query, Doc]]) -> list[PairLength]:
        """Query, document and special tokens together."""
        tokenizer, most = self._model.tokenizer, self.max_tokens
        special = tokenizer.num_special_tokens_to_add(pair=True)
        counts = token_counts(tokenizer, [text for query, doc in pairs for text in (query.text, doc.content)])
        tokens = [asked + read + special for asked, read in zip(counts[::2], counts[1::2], strict=True)]
        return [PairLength(count, count if most is None else min(count, most)) for count in tokens]

    def windows(self, query: Query, doc: Doc) -> list[Doc]:
        """A query that leaves a document less than a quarter of the room is cut, as the model cuts it, to half."""
        tokenizer, most = self._model.tokenizer, self.max_tokens
        if most is None or self.lengths([(query, doc)])[0].tokens <= most:
            return [doc]
        room = most - tokenizer.num_special_tokens_to_add(pair=True)
        left = room - token_counts(tokenizer, [query.text])[0]
        return pieces(doc, tokenizer, most=left if left * 4 >= room else room // 2)


plugin: type[Reranker] = CrossEncoderReranker
