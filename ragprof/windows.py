"""Texts over a model's maximum length: how many tokens they have uncut, and the pieces that are each read whole.

Lengths and borders are the tokenizer's own. Every piece is tokenised again before it is handed out, because a piece
need not have the tokens that its text had within the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ragprof.core import Doc, PairLength, Query
from ragprof.errors import BadInput

if TYPE_CHECKING:
    from ragprof.transformer import Transformer

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


def lengths_apart(transformer: Transformer, pairs: Sequence[tuple[Query, Doc]]) -> list[PairLength]:
    """Of each pair the document's tokens, where query and document are read apart: prompt and special tokens too."""
    tokenizer, prompt, most = transformer.model.tokenizer, transformer.prompt("document"), transformer.max_tokens
    special = tokenizer.num_special_tokens_to_add(pair=False)
    counts = token_counts(tokenizer, [prompt + doc.content for _, doc in pairs])
    return [PairLength(count + special, min(count + special, most)) for count in counts]


def windows_apart(transformer: Transformer, doc: Doc) -> list[Doc]:
    """The document in pieces that this model reads whole; see `pieces`."""
    tokenizer = transformer.model.tokenizer
    most = transformer.max_tokens - tokenizer.num_special_tokens_to_add(pair=False)
    return pieces(doc, tokenizer, most=most, prompt=transformer.prompt("document"))


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
