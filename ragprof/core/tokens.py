"""Tokens by a named tokenizer: OpenAI's tables (bpe-openai, no download) or any Hugging Face tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from ragprof.core.caches import digest
from ragprof.core.errors import BadInput

OPENAI = ("o200k_base", "cl100k_base")
DEFAULT_TOKENIZER = "o200k_base"


_remembered: ContextVar[dict[bytes, int] | None] = ContextVar("remembered", default=None)


@contextmanager
def remembering() -> Iterator[None]:
    """Within, no text is counted twice: for work that is not timed and counts the same passages again and again."""
    token = _remembered.set({})
    try:
        yield
    finally:
        _remembered.reset(token)


@cache
def counter(tokenizer: str) -> Callable[[str], int]:
    """A function from a text to its number of tokens, special tokens not counted.

    Raises BadInput for a tokenizer that is neither one of OPENAI, a local file or folder, nor on the hub.
    """
    if tokenizer in OPENAI:
        from bpe_openai import get_encoding

        encode: Callable[[str], list[int]] = get_encoding(tokenizer).encode_ordinary
    else:
        encode = _hugging_face(tokenizer)

    def count(text: str) -> int:
        known = _remembered.get()
        if known is None:
            return len(encode(text))
        key = digest(tokenizer, text)
        if key not in known:
            known[key] = len(encode(text))
        return known[key]

    return count


def _hugging_face(tokenizer: str) -> Callable[[str], list[int]]:
    from tokenizers import Tokenizer

    path = Path(tokenizer)
    path = path / "tokenizer.json" if path.is_dir() else path
    try:
        loaded = Tokenizer.from_file(str(path)) if path.exists() else Tokenizer.from_pretrained(tokenizer)
    except Exception as failure:
        raise BadInput(
            f"no tokenizer '{tokenizer}' ({type(failure).__name__}); use {' or '.join(OPENAI)}, "
            "a folder with tokenizer.json, or a hub name that can be reached"
        ) from None
    loaded.no_truncation()
    loaded.no_padding()

    def encode(text: str) -> list[int]:
        return list(loaded.encode(text, add_special_tokens=False).ids)

    return encode
