"""Fields to filter by: made up, each with the share of the passages that it lets through, or those of the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ragprof.core import Doc
from ragprof.core.errors import BadInput
from ragprof.corpus.jsonl import CORPUS_FILE, read_fields

IN, OUT = "in", "out"
"""Values of a field that is made up."""
SHOWN = 5
"""Values of a field that an error lists."""


@dataclass(frozen=True)
class FilterField:
    """The value of every passage, and the one that is asked for."""

    name: str
    values: Sequence[str]
    wanted: str
    is_made_up: bool

    @property
    def places(self) -> list[int]:
        """Of the passages that it lets through."""
        return [place for place, value in enumerate(self.values) if value == self.wanted]

    @property
    def share(self) -> float:
        """Of the passages that it lets through."""
        return len(self.places) / len(self.values)


def fields_of(
    filters: Mapping[str, float | str], docs: Sequence[Doc], corpus: Path | None, *, seed: int
) -> list[FilterField]:
    """One a filter: a share is drawn by the seed, a word is the value of the corpus's own field of that name.

    `corpus` is the folder or file that the documents were read from. Raises BadInput for a field or value that is not
    there, with those that are.
    """
    named = [name for name, value in filters.items() if isinstance(value, str)]
    own = read_fields(_lines_of(corpus, named[0]), named) if named else {}
    found = []
    for number, (name, value) in enumerate(filters.items()):
        if isinstance(value, str):
            values = [own.get(doc.document_id, {}).get(name, "") for doc in docs]
            found.append(FilterField(name, values, value, is_made_up=False))
            _check(found[-1])
            continue
        drawn = np.full(len(docs), OUT, object)
        drawn[np.random.default_rng([seed, number]).permutation(len(docs))[: max(1, round(value * len(docs)))]] = IN
        found.append(FilterField(name, drawn.tolist(), IN, is_made_up=True))
    return found


def _lines_of(corpus: Path | None, field: str) -> Path:
    if corpus is not None:
        path = corpus / CORPUS_FILE if corpus.is_dir() else corpus
        if path.is_file():
            return path
    raise BadInput(
        f"the field '{field}' is read from the lines of a {CORPUS_FILE} or a .jsonl file, and this corpus has neither; "
        f"give a share, such as {field} = 0.1"
    )


def _check(field: FilterField) -> None:
    if field.places:
        return
    seen = Counter(value for value in field.values if value).most_common(SHOWN)
    if not seen:
        raise BadInput(f"no document of the corpus has a field '{field.name}', beside its text or in its metadata")
    listed = ", ".join(f"'{value}' ({count:,})" for value, count in seen)
    raise BadInput(f"no document has '{field.wanted}' as its {field.name}; the most common are: {listed}")
