"""A cross-encoder: query and document read together by one model, by local folder or hub name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import PositiveInt

from ragprof.core import Doc, PairLength, Query, Scored
from ragprof.core.errors import BadInput
from ragprof.parts.models import places as models
from ragprof.parts.models.encoder import (
    Precision,
    encoder_precision,
    float_precision,
    named_precision,
    pieces,
    token_counts,
)
from ragprof.parts.models.kernels import quantise_linears

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
        self._name, self._location = model, models.locate(model)
        self._precision, self._max_tokens, self._batch_size = encoder_precision(precision), max_tokens, batch_size

    @cached_property
    def identity(self) -> str:
        revision = models.revision(self._location)
        numbers = named_precision(self._precision)
        return f"cross_encoder {self._name}@{revision} {numbers} max_tokens={self._max_tokens}"

    @cached_property
    def _model(self) -> CrossEncoder:
        import torch
        from sentence_transformers import CrossEncoder

        options = {"dtype": getattr(torch, float_precision(self._precision)), "use_safetensors": True}
        model: CrossEncoder = CrossEncoder(
            str(self._location), max_length=self._max_tokens, model_kwargs=options, trust_remote_code=False
        )
        if model.num_labels != 1:
            raise BadInput(
                f"model '{self._name}' gives {model.num_labels} outputs a pair, as classifiers do; "
                "name a cross-encoder with one output"
            )
        if self._precision == "int8":
            quantise_linears(model)
        return model

    def load(self) -> None:
        _ = self._model

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        tokens = 0
        scores: list[float] = []
        for start in range(0, len(docs), self._batch_size):
            chunk = docs[start : start + self._batch_size]
            features = self._features([(query.text, doc.content) for doc in chunk])
            tokens += int(features["attention_mask"].sum())
            scores.extend(self._logits(features))
        return Scored(tuple(scores), {"requests": 1, "docs_scored": len(docs), "input_tokens": tokens})

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

    def _features(self, pairs: list[tuple[str, str]]) -> dict[str, torch.Tensor]:
        """Token ids of each pair, cut at the maximum length, padded to the longest of the batch."""
        longest = self.max_tokens
        encoded = self._model.tokenizer(
            pairs, truncation=longest is not None, max_length=longest, padding=True, return_tensors="pt"
        )
        return {name: tensor.to(self._model.device) for name, tensor in encoded.items()}

    def _logits(self, features: dict[str, torch.Tensor]) -> list[float]:
        import torch

        network: Any = self._model.model
        with torch.inference_mode():
            logits = network(**features).logits
        return [float(score) for score in logits.float()[:, 0]]


plugin = CrossEncoderReranker
