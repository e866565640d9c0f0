"""Documents cut into passages, by semantic-text-splitter. Sizes are in characters, not tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ragprof.core import Doc


class Chunking(BaseModel):
    """How documents are cut. `auto` cuts Markdown along its headings and everything else as plain text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    splitter: Literal["auto", "text", "markdown"] = "auto"
    max_characters: int = Field(default=1200, ge=1)
    overlap: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def overlap_leaves_room(self) -> Self:
        if self.overlap >= self.max_characters:
            raise ValueError(f"overlap {self.overlap} must be smaller than max_characters {self.max_characters}")
        return self


def cut(docs: Iterable[Doc], chunking: Chunking) -> Iterator[Doc]:
    """Passages of each document in order, ids `<doc_id>#0001` and on. A document without text stays one passage.

    Documents whose id ends in `.md` count as Markdown for `auto`.
    """
    as_text, as_markdown = _splitters(chunking)
    for doc in docs:
        split = as_markdown if doc.doc_id.lower().endswith(".md") else as_text
        for number, text in enumerate(split(doc.text) or [""], 1):
            yield Doc(f"{doc.doc_id}#{number:04d}", doc.title, text, document_id=doc.doc_id)


def _splitters(chunking: Chunking) -> tuple[Callable[[str], list[str]], Callable[[str], list[str]]]:
    """What cuts plain text and what cuts Markdown; the same one twice unless the splitter is `auto`."""
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    text = TextSplitter(chunking.max_characters, overlap=chunking.overlap).chunks
    markdown = MarkdownSplitter(chunking.max_characters, overlap=chunking.overlap).chunks
    chosen = {"auto": (text, markdown), "text": (text, text), "markdown": (markdown, markdown)}
    return chosen[chunking.splitter]
