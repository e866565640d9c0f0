"""What a user's own pipeline returned, taken apart: an answer, documents, a prompt and tokens, under their usual names.

Texts, lists of documents, pairs (answer, documents), mappings and objects are read, such as what chains of LangChain,
query engines of LlamaIndex and services behind HTTP return.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Integral
from typing import Any

from ragprof.core import AppAnswer
from ragprof.core.spans import listening
from ragprof.parts.hits import TEXT_NAMES, Hit, hit_of, listed, member, value_at

DOCUMENTS = (
    "documents", "source_documents", "source_nodes", "context", "contexts", "sources", "retrieved_documents",
    "passages", "chunks", "results", "hits", "docs",
)  # fmt: skip
ANSWERS = ("answer", "response", "output", "result", "output_text", "reply", "replies", "answers", "text", "content")
USAGES = ("usage", "usage_metadata", "token_usage")
UNITS: Mapping[str, tuple[str, ...]] = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
}
MOST = 10**12
"""Tokens, bytes or documents that anybody could count; more is a mistake, and sums of it would not fit a table."""
MOST_PIECES = 1_000_000
PIECES = ("delta", "token", "text", "content", "answer", "choices.0.delta.content", "choices.0.text")
"""Where the text of one piece of a stream may stand."""
STREAMED = frozenset({"delta", "token", "choices", "answer"})
"""What pieces of an answer have and documents have not."""
EXPECTED = (
    "a text, a list of documents (ids, pairs with a score, or objects with an id, a source or a text), both in a pair, "
    f"or a mapping with one under a name such as '{DOCUMENTS[0]}' and the other under '{ANSWERS[0]}'"
)


def answer_of(returned: object, *, documents: str | None = None, answer: str | None = None) -> AppAnswer | None:
    """Return what can be read of it; None for what is none of what is expected.

    `documents` and `answer` are dotted paths into it; where they lead nowhere nothing is read.
    """
    usual = _as_usual(returned)
    if documents is None and answer is None:
        return usual
    found = documents_of(value_at(returned, documents)) if documents else None
    text = text_of(alone(value_at(returned, answer))) if answer else None
    if (documents and found is None) or (answer and text is None):
        return None
    rest = usual or AppAnswer()
    return replace(rest, documents=rest.documents if found is None else found, text=rest.text if text is None else text)


def _as_usual(returned: object) -> AppAnswer | None:
    if returned is None:
        return AppAnswer()
    if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[0], str):
        beside = documents_of(returned[1])
        if beside is not None:
            return AppAnswer(beside, returned[0])
    named = _under(returned, DOCUMENTS)
    text, found = text_of(returned), documents_of(returned)
    if text is None and found is None:
        found = next((some for each in named if (some := documents_of(each)) is not None), None)
        text = next((said for each in _under(returned, ANSWERS) if (said := text_of(alone(each))) is not None), None)
        if found is None and text is None:
            return None
    prompt = member(returned, "prompt")
    return AppAnswer(found, text, prompt if isinstance(prompt, str) else None, usage_of(returned))


def text_of(value: object) -> str | None:
    """A text, or that of a message; None for anything else, and for a document, whose text is no answer."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping) or any(member(value, name) is not None for name in ("page_content", "metadata")):
        return None
    if member(value, "content") is not None and member(value, "meta") is not None:  # a document of Haystack
        return None
    return next((each for name in ("content", "text") if isinstance(each := member(value, name), str)), None)


def alone(value: object) -> object:
    """The only member of a list: some answer with a list of one reply."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def documents_of(value: object) -> list[Any] | None:
    """Results in their order; None for what is no list of them. An empty list is one."""
    if isinstance(value, Mapping):
        numbers = [each for each in value.values() if isinstance(each, int | float) and not isinstance(each, bool)]
        if not value or len(numbers) < len(value):
            return None
        value = list(value.items())
    elif member(value, "model_fields") is not None or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return None
    results = listed(value)
    if results is None:
        return None
    return results if all(is_document(hit_of(each)) or _is_empty(each) for each in results) else None


def is_document(hit: Hit | None) -> bool:
    """Whether a result names a document or has its text."""
    return hit is not None and bool(hit.ids or hit.text)


def _is_empty(result: object) -> bool:
    """Whether it is a document of no text: one empty passage among others is no reason to read none of them."""
    return any(member(result, name) == "" for name in TEXT_NAMES)


def usage_of(returned: object) -> dict[str, int]:
    """Tokens as the app tells them."""
    told = next((each for name in USAGES if (each := member(returned, name)) is not None), None)
    return {} if told is None else units_of(told)


def units_of(told: object) -> dict[str, int]:
    """`input_tokens` and `output_tokens` under either of their usual names; one that is not told is left out."""
    found = {unit: next((int(each) for name in names if is_count(each := member(told, name))), None)
             for unit, names in UNITS.items()}  # fmt: skip
    return {unit: count for unit, count in found.items() if count is not None}


def is_count(value: object) -> bool:
    """Whether it is a whole number that a table takes: NumPy's are, truth values and negative ones are not."""
    return isinstance(value, Integral) and not isinstance(value, bool) and 0 <= int(value) <= MOST


def joined(pieces: Iterable[Any]) -> Any:
    """Run a stream to its end and put its pieces together: texts in a row, and whatever else they say, last word first.

    When the first text came is told to whoever listens. Pieces that are neither texts nor mappings are documents, and
    so are mappings that have an id each, no two the same: the pieces of an answer share that of the answer.
    Raises ValueError where the stream tells an error, and where it goes on for more than MOST_PIECES.
    """
    here, whole, texts, others = listening(), dict[str, Any](), list[str](), list[Any]()
    by_id: dict[str, Any] | None = {}
    first_ns = None
    for place, piece in enumerate(pieces):
        if place >= MOST_PIECES:  # one without an end would fill the memory, also once its question is given up
            raise ValueError(f"the stream has more than {MOST_PIECES:,} pieces")
        if not isinstance(piece, str | Mapping):
            others.append(piece)
            continue
        by_id = _with_another(by_id, piece)
        told = {"text": piece} if isinstance(piece, str) else piece
        if error := told.get("error"):
            raise ValueError(f"the stream tells an error: {member(error, 'message') or error}")
        text = next((found for path in PIECES if isinstance(found := value_at(told, path), str)), "")
        if text and not texts and here is not None:
            first_ns = here[0].clock()
        texts += [text] if text else []
        whole |= {name: value for name, value in told.items() if name not in ("delta", "token", "choices", "text")}
    if by_id or (others and not texts and not whole):
        return [*others, *(by_id or {}).values()]
    if here is not None and first_ns is not None:
        here[0].first_ns = first_ns
    return {**whole, "answer": "".join(texts)} if whole else "".join(texts)


def _with_another(found: dict[str, Any] | None, piece: object) -> dict[str, Any] | None:
    """The documents by their ids with one more; None once a piece is none, or has an id that was there before."""
    if found is None or not isinstance(piece, Mapping) or STREAMED & piece.keys():
        return None
    hit = hit_of(piece)
    if hit is None or not hit.ids or hit.ids[0] in found:
        return None
    found[hit.ids[0]] = piece
    return found


def _under(returned: object, names: Iterable[str]) -> list[Any]:
    return [each for name in names if (each := member(returned, name)) is not None]
