"""Late interaction: the mean over query tokens of the best cosine with any token of the document (MaxSim).

Khattab and Zaharia: ColBERT, SIGIR 2020; here over the token vectors of an ordinary sentence encoder, without its
first and last special tokens on the query's side. Documents are encoded live: nothing is precomputed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import PositiveInt

from ragprof.core import Doc, PairLength, Query, Scored
from ragprof.parts.models.encoder import Encoded, Precision, Transformer, lengths_apart, windows_apart
from ragprof.parts.models.places import PACKAGED_MINILM

if TYPE_CHECKING:
    import torch


class MaxSimReranker:
    """Scores from -1 to 1."""

    pointwise = True

    def __init__(
        self, model: str = PACKAGED_MINILM, *, precision: Precision = "auto", max_tokens: PositiveInt | None = None
    ) -> None:
        self._transformer = Transformer(model, precision=precision, max_tokens=max_tokens)

    @property
    def identity(self) -> str:
        return f"maxsim {self._transformer.identity}"

    def load(self) -> None:
        self._transformer.load()

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        asked, query_tokens = self._asked(query)
        scores = [0.0] * len(docs)
        tokens = query_tokens * len(docs)
        prompt = self._transformer.prompt("document")
        for batch in self._transformer.encode([prompt + doc.content for doc in docs]):
            tokens += sum(batch.lengths)
            for place, score in zip(batch.places, maxsim(asked, batch), strict=True):
                scores[place] = score
        return Scored(tuple(scores), {"requests": 1, "docs_scored": len(docs), "input_tokens": tokens})

    def score_pairs(self, pairs: Sequence[tuple[Query, Doc]]) -> list[float]:
        """The same scores with each distinct document encoded once, whatever number of queries it is a candidate of."""
        askers: dict[str, list[int]] = {}
        for place, (_, doc) in enumerate(pairs):
            askers.setdefault(doc.content, []).append(place)
        contents = list(askers)
        queries = {query.query_id: query for query, _ in pairs}
        asked = {query_id: self._asked(query)[0] for query_id, query in queries.items()}
        scores = [0.0] * len(pairs)
        prompt = self._transformer.prompt("document")
        for batch in self._transformer.encode([prompt + content for content in contents]):
            for row, content in enumerate(contents[place] for place in batch.places):
                tokens = unit(batch.tokens[row, : batch.lengths[row]])
                for place in askers[content]:
                    similar = asked[pairs[place][0].query_id] @ tokens.T
                    scores[place] = float(similar.amax(dim=1).mean())
        return scores

    @property
    def max_tokens(self) -> int:
        return self._transformer.max_tokens

    def lengths(self, pairs: Sequence[tuple[Query, Doc]]) -> list[PairLength]:
        return lengths_apart(self._transformer, pairs)

    def windows(self, query: Query, doc: Doc) -> list[Doc]:
        return windows_apart(self._transformer, doc)

    def _asked(self, query: Query) -> tuple[torch.Tensor, int]:
        """Unit vectors of the query's tokens, shape (tokens, dimensions), and how many tokens the model read.

        Special tokens are left out, unless the query has no others (a zero-width space, say).
        """
        (encoded,) = self._transformer.encode([self._transformer.prompt("query") + query.text])
        length = encoded.lengths[0]
        return unit(encoded.tokens[0, 1 : length - 1] if length > 2 else encoded.tokens[0, :length]), length


def maxsim(asked: torch.Tensor, batch: Encoded) -> list[float]:
    """One score a document; `asked` has shape (query tokens, dimensions) and unit rows."""
    import torch

    similar = torch.einsum("qd,btd->bqt", asked, unit(batch.tokens))
    lengths = torch.tensor(batch.lengths, device=similar.device)
    padding = torch.arange(similar.shape[2], device=similar.device)[None, :] >= lengths[:, None]
    best = similar.masked_fill(padding[:, None, :], -torch.inf).amax(dim=2)
    return [float(score) for score in best.mean(dim=1)]


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """Rows of length 1, in float32."""
    import torch

    return torch.nn.functional.normalize(vectors.float(), dim=-1)


plugin = MaxSimReranker
