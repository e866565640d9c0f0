"""Late interaction: the mean over query tokens of the best cosine with any token of the document (MaxSim).

Khattab and Zaharia: ColBERT, SIGIR 2020; here over the token vectors of an ordinary sentence encoder, without its
first and last special tokens on the query's side. Documents are encoded live: nothing is precomputed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragprof.core import Doc, Query, Scored
from ragprof.core.stages import Reranker
from ragprof.parts.models.encoder import EncoderReranker, shared_out

if TYPE_CHECKING:
    import torch


class MaxSimReranker(EncoderReranker):
    """Scores from -1 to 1."""

    name = "maxsim"
    call = "SentenceTransformer.encode(output_value='token_embeddings') and util.mean_maxsim"

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        from sentence_transformers.util import mean_maxsim

        (asked,), query_tokens = self._transformer.called_for_tokens([self._transformer.prompt("query") + query.text])
        prompt = self._transformer.prompt("document")
        found, tokens = self._transformer.called_for_tokens([prompt + doc.content for doc in docs])
        scores = mean_maxsim([own_tokens(asked)], [unit(vectors) for vectors in found])[0].tolist() if docs else []
        usage = {"requests": 1, "docs_scored": len(docs), "input_tokens": query_tokens * len(docs) + tokens}
        return Scored(tuple(scores), usage)

    def score_together(self, asked: Sequence[tuple[Query, Sequence[Doc]]]) -> list[Scored]:
        """All queries in one call and all documents in another."""
        from sentence_transformers.util import mean_maxsim

        queries, prompt = self._transformer.prompt("query"), self._transformer.prompt("document")
        found, _ = self._transformer.called_for_tokens([queries + query.text for query, _ in asked])
        contents = [prompt + doc.content for _, docs in asked for doc in docs]
        read, _ = self._transformer.called_for_tokens(contents)
        scores: list[float] = []
        for vectors, (_, docs) in zip(found, asked, strict=True):
            mine = [unit(each) for each in read[len(scores) : len(scores) + len(docs)]]
            scores += mean_maxsim([own_tokens(vectors)], mine)[0].tolist() if docs else []
        return shared_out(scores, [docs for _, docs in asked])

    def score_pairs(self, pairs: Sequence[tuple[Query, Doc]]) -> list[float]:
        """The scores of `score` within rounding; each distinct document is encoded once for all its queries."""
        askers: dict[str, list[int]] = {}
        for place, (_, doc) in enumerate(pairs):
            askers.setdefault(doc.content, []).append(place)
        contents = list(askers)
        queries = list(dict.fromkeys(query.text for query, _ in pairs))
        asked = {}
        for batch in self._transformer.encode([self._transformer.prompt("query") + text for text in queries]):
            for row, place in enumerate(batch.places):
                asked[queries[place]] = own_tokens(batch.tokens[row, : batch.lengths[row]])
        scores = [0.0] * len(pairs)
        prompt = self._transformer.prompt("document")
        for batch in self._transformer.encode([prompt + content for content in contents]):
            for row, content in enumerate(contents[place] for place in batch.places):
                tokens = unit(batch.tokens[row, : batch.lengths[row]])
                for place in askers[content]:
                    similar = asked[pairs[place][0].text] @ tokens.T
                    scores[place] = float(similar.amax(dim=1).mean())
        return scores


def own_tokens(query: torch.Tensor) -> torch.Tensor:
    """Unit vectors of a query's tokens, shape (tokens, dimensions), without the special tokens around them.

    A query that has no others (a zero-width space, say) keeps them.
    """
    return unit(query[1:-1] if len(query) > 2 else query)


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """Rows of length 1, in float32."""
    import torch

    return torch.nn.functional.normalize(vectors.float(), dim=-1)


plugin: type[Reranker] = MaxSimReranker
