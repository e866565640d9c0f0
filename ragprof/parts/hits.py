"""What a retriever of the user's own returned, as hits: ids that each may mean, its score and its text.

Any retriever's results are read: ids, pairs (id, score), mappings, and the documents of LangChain, LlamaIndex and
Haystack. What does not fit is told by its type, and never by what was retrieved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ragprof.core import Doc
from ragprof.core.plain import written

ID_NAMES = ("id", "_id", "id_", "doc_id", "document_id", "node_id", "ref_doc_id")
SOURCE_NAMES = ("source", "file_path", "path", "file_name", "url")
"""Where readers of LangChain, LlamaIndex and Haystack say which file a text is of."""
SCORE_NAMES = ("score", "_score", "relevance_score", "similarity")
TEXT_NAMES = ("page_content", "text", "content")
MOST_RESULTS = 100_000
"""That are taken of an iterator, which may have no end."""
SHOWN = 60
"""Characters of a text that a message shows."""


def short(text: str | bytes) -> str:
    return repr(text) if len(text) <= SHOWN else f"{text[:SHOWN]!r}..."


def what(value: object) -> str:
    """A value as a message names it: its type and, where that is short by nature, the value."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str | bytes):
        return f"{type(value).__name__} {short(value)}"
    if isinstance(value, tuple) and len(value) < 5:
        return f"({', '.join(map(what, value))})"
    return type(value).__name__


def listed(returned: object) -> list[Any] | None:
    """What a function returned, in its order; None for a text, for one value, and for a set, which has no order."""
    of_table = getattr(returned, "to_dict", None)
    if of_table is not None and hasattr(returned, "iterrows"):  # of pandas, which iterates over names of columns
        returned = of_table("records")
    elif hasattr(returned, "tolist"):
        returned = returned.tolist()
    if isinstance(returned, str | bytes | set | frozenset) or not isinstance(returned, Iterable):
        return None
    return list(islice(returned, MOST_RESULTS) if isinstance(returned, Iterator) else returned)


@dataclass(frozen=True)
class Hit:
    """One result as a retriever gave it: ids that it may mean, likeliest first, its score, and its text.

    `exact` where the retriever named an id itself, so that naming it twice is a mistake.
    """

    ids: tuple[str, ...]
    score: float | None
    text: str
    exact: bool


def hit_of(item: object, id_path: str | None = None) -> Hit | None:
    """Read a result; one that names no document has no ids. None for what is no result at all.

    `id_path` is where its id stands, such as "metadata.source"; it comes before all others.
    """
    of: Any = item
    if isinstance(item, tuple | list) and len(item) == 2:
        of, score = item
    else:
        score = next((each for name in SCORE_NAMES if (each := member(item, name)) is not None), None)
    try:
        score = None if score is None else float(score)
    except (TypeError, ValueError, OverflowError):
        return None
    if isinstance(of, str | int | np.integer) and not isinstance(of, bool):
        return Hit((written(str(of)),), score, "", exact=True)
    holders = (of, member(of, "node"))
    texts = (member(each, name) for each in holders if each is not None for name in TEXT_NAMES)
    text = written(next((each for each in texts if isinstance(each, str)), ""))
    named = () if id_path is None else _at(holders, id_path)
    ids = tuple(dict.fromkeys(map(written, (*named, *_ids(of)))))
    return Hit(ids, score, text, exact=False)


class KnownPassages:
    """The passages of a corpus, by the ids that a retriever may name them by, and by their text."""

    def __init__(self, docs: Sequence[Doc]) -> None:
        self._docs: dict[str, Doc] = {doc.doc_id: doc for doc in docs}
        self._passages: dict[str, list[Doc]] = {}
        for doc in docs:
            self._passages.setdefault(doc.document_id, []).append(doc)
        self._by_text: dict[str, Doc] | None = None

    @property
    def example(self) -> str:
        """What its ids look like; empty without passages."""
        return next(iter(self._docs), "")

    def doc_of(self, hit: Hit) -> Doc | None:
        """The passage that a hit means: a document stands for its passage that holds the hit's text, else its first."""
        for name in hit.ids:
            if name in self._docs:
                return self._docs[name]
            if passages := self._passages.get(name):
                holding = (doc for doc in passages if hit.text and hit.text.strip() in doc.text)
                return next(holding, passages[0])
        return None

    def doc_with_text(self, text: str) -> Doc | None:
        """The first passage of just this text, white space and its title apart; None for one that no passage has."""
        if self._by_text is None:
            self._by_text = {}
            for doc in self._docs.values():
                for own in (doc.text, doc.content):
                    self._by_text.setdefault(" ".join(own.split()), doc)
        plain = " ".join(text.split())
        return self._by_text.get(plain) if plain else None


def member(of: object, name: str) -> Any:
    """What an object or a mapping has under a name; None where it has nothing."""
    return of.get(name) if isinstance(of, Mapping) else getattr(of, name, None)


def value_at(of: object, path: str) -> Any:
    """What stands at a dotted path through mappings, attributes and lists (by number); None where a step leads nowhere.

    A key that has dots of its own is found too.
    """
    if isinstance(of, Mapping) and path in of:
        return of[path]
    name, _, rest = path.partition(".")
    inner: Any = member(of, name)
    if (
        inner is None
        and name.isdecimal()
        and isinstance(of, Sequence)
        and not isinstance(of, str)
        and int(name) < len(of)
    ):
        inner = of[int(name)]
    return value_at(inner, rest) if rest and inner is not None else inner


def _at(holders: Iterable[object], path: str) -> Iterator[str]:
    for each in holders:
        value = None if each is None else value_at(each, path)
        if isinstance(value, str | int) and not isinstance(value, bool):
            yield str(value)
            yield from _folders(str(value))
            return


def _folders(path: str) -> Iterator[str]:
    """A path by ever fewer folders."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    yield from ("/".join(parts[start:]) for start in range(len(parts)))


def _ids(of: object) -> Iterator[str]:
    """Ids that an object may go by: its own, those of its metadata, then its source by ever fewer folders."""
    inner = member(of, "node")
    places = [of, member(of, "metadata"), member(of, "meta"), inner, member(inner, "metadata")]
    known = [place for place in places if place is not None]
    for place in known:
        for name in ID_NAMES:
            if isinstance(value := member(place, name), str | int) and not isinstance(value, bool):
                yield str(value)
    for place in known:
        for name in SOURCE_NAMES:
            if isinstance(value := member(place, name), str):
                yield value
                yield from _folders(value)
