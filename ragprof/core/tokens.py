"""Tokens by a named tokenizer: OpenAI's tables (bpe-openai, no download) or any Hugging Face tokenizer."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from ragprof.core.caches import digest
from ragprof.core.errors import BadInput
from ragprof.core.files import written_path

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


PIECE = 40_000
"""Characters that every tokenizer takes: OpenAI's refuse a text of a megabyte, and one that may have 200,000 tokens."""
WORD_BORDER = re.compile(r"(?<=\S) (?=\S)")


def in_pieces(text: str) -> list[str]:
    """The text in pieces of at most PIECE characters, each cut before a single blank if there is one in its last half.

    A tokenizer takes a blank together with the word behind it, so no token crosses such a border.
    """
    pieces, start = [], 0
    while len(text) - start > PIECE:
        borders = [found.start() for found in WORD_BORDER.finditer(text, start + PIECE // 2, start + PIECE)]
        end = borders[-1] if borders else start + PIECE
        pieces.append(text[start:end])
        start = end
    return [*pieces, text[start:]]


@cache
def counter(tokenizer: str) -> Callable[[str], int]:
    """A function from a text to its number of tokens, special tokens not counted.

    Texts longer than PIECE characters are counted in pieces, which end before a blank where there is one: the count is
    then that of the whole. The function raises BadInput for a text that the tokenizer cannot read.

    Raises BadInput for a tokenizer that is neither one of OPENAI, a local file or folder, nor on the hub.
    """
    count_piece = _openai(tokenizer) if tokenizer in OPENAI else _hugging_face(tokenizer)

    def counted(text: str) -> int:
        try:
            return sum(map(count_piece, in_pieces(text)))
        except Exception as failure:
            begin = f"{text[:40]!r}{'...' if len(text) > 40 else ''}"
            reason = f"the tokenizer '{tokenizer}' cannot read the text {begin} ({failure}); set another tokenizer"
            raise BadInput(reason) from None

    def count(text: str) -> int:
        known = _remembered.get()
        if known is None:
            return counted(text)
        key = digest(tokenizer, text)
        if key not in known:
            known[key] = counted(text)
        return known[key]

    return count


def _openai(tokenizer: str) -> Callable[[str], int]:
    count: Callable[[str], int] = _bindings().tokenizer_for_encoding(tokenizer).count

    def whole(text: str) -> int:
        try:
            return count(text)
        except UnicodeEncodeError:  # half of a surrogate pair counts as the character for what cannot be read
            return count(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))

    return whole


def _bindings() -> Any:
    """The compiled part of bpe-openai, which holds the tables and counts.

    Its Python part reads the tables of three tokenizers again when it is imported, which takes longer than a command.
    """
    name = "bpe_openai._bindings"
    found = find_spec("bpe_openai")
    for folder in (found and found.submodule_search_locations) or ():
        for path in Path(folder).glob("_bindings*"):
            spec = spec_from_file_location(name, path) if path.suffix in (".so", ".pyd") else None
            if spec is not None and spec.loader is not None and name not in sys.modules:
                sys.modules[name] = module_from_spec(spec)
                spec.loader.exec_module(sys.modules[name])
    return import_module(name)


def _hugging_face(tokenizer: str) -> Callable[[str], int]:
    from tokenizers import Tokenizer

    path = written_path(tokenizer)
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

    return lambda text: len(loaded.encode(text, add_special_tokens=False).ids)
