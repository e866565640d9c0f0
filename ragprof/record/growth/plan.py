"""What is recorded of growth: the pool of passages, the sub-corpora, and the fingerprint that a recording goes by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ragprof import environment, files
from ragprof.core import Doc, Layout
from ragprof.corpus.layouts import Ground
from ragprof.distractors.edits import Edit
from ragprof.errors import BadInput
from ragprof.evals import Growth
from ragprof.record.recording import Subject, fingerprint_of, identities
from ragprof.record.redaction import redacted
from ragprof.row_cache import digest

FORMAT = 1
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """Every passage that some sub-corpus holds. `corpus` is how many of the first are the corpus itself.

    `kinds` has the places of the passages that came from elsewhere: duplicate, contradicting, foreign.
    """

    docs: tuple[Doc, ...]
    corpus: int
    kinds: Mapping[str, Places]
    edits: Mapping[int, Edit]

    def kind_of(self) -> list[str]:
        names = ["corpus"] * len(self.docs)
        for kind, places in self.kinds.items():
            for place in places.tolist():
                names[place] = kind
        return names


@dataclass(frozen=True)
class Growing:
    """A subject and how it grows. The record pass is told which passages to keep; it does not know why."""

    subject: Subject
    growth: Growth
    pool: Pool
    ground: Ground
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def depth(self) -> int:
        """How deep is searched: what the deepest pipeline or the deepest step of the depth curve wants."""
        return max([*self.growth.depths, *(parts.depth for parts in self.subject.pipelines)])

    @property
    def depths(self) -> tuple[int, ...]:
        return tuple(sorted(self.growth.depths))

    @property
    def query_ids(self) -> list[str]:
        return [query.query_id for query in self.subject.queries]


def fingerprint(growing: Growing) -> dict[str, Any]:
    """What a growth recording rests on, in an order in which differences are best told. JSON all through."""
    growth, subject = growing.growth, growing.subject
    return {
        "format": FORMAT,
        "seed": growth.seed,
        "orders": growth.orders,
        "sizes": list(growing.ground.sizes),
        "curves": list(growth.curves),
        "depths": list(growing.depths),
        "depth": growing.depth,
        "variants": growth.variants,
        "corpus": subject.corpus.sha256,
        "questions": fingerprint_of(subject.queries),
        "relevant passages": _sha([growing.pool.docs[place].doc_id for place in growing.ground.kept.tolist()]),
        "distractors": _sha([(doc.doc_id, doc.content) for doc in growing.pool.docs[growing.pool.corpus :]]),
        "pipelines": redacted([each.model_dump(mode="json", exclude={"prices"}) for each in subject.config.pipelines]),
        "identities": redacted(identities(subject.pipelines)),
        "tokenizer": subject.config.tokenizer,
        "timing": growth.timing.model_dump(mode="json"),
        "seed of the timed queries": subject.config.seed,
        "processor": environment.cpu_name(),
    }


def claim(folder: Path, growing: Growing) -> None:
    """Begin a recording or go on with the same one. Raises BadInput where another one is in the folder."""
    path, wanted = folder / "plan.json", fingerprint(growing)
    if path.exists():
        recorded = files.read_json(path)
        for key, value in wanted.items():
            if recorded.get(key) != value:
                raise BadInput(_other(key, recorded.get(key), value), file=path)
        return
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(path, wanted)


def sweep(folder: Path) -> None:
    """Take away what a killed run left half-written. Only for who has the folder to itself."""
    for left in folder.rglob("*.partial"):
        left.unlink()


def _other(key: str, recorded: Any, wanted: Any) -> str:
    shown = [json.dumps(value) if isinstance(value, int | list) else "" for value in (recorded, wanted)]
    found = f"{key} {shown[0]}, not {shown[1]}" if all(0 < len(text) < 90 for text in shown) else f"other {key}"
    return (
        f"a growth recording with {found} is in this folder; "
        "give another one with --out, or --fresh to record it anew and lose this one"
    )


def docs_table(growing: Growing, tokens: Mapping[int, int]) -> pd.DataFrame:
    """docs.parquet: one row a place. `tokens` is null for what no prompt holds; equal `content` is the same text.

    `source`, `rule`, `start` and `end` say of an edited passage where it was made from and what was changed.
    """
    pool = growing.pool
    edits = [pool.edits.get(place) for place in range(len(pool.docs))]
    return pd.DataFrame(
        {
            "place": np.arange(len(pool.docs)),
            "doc_id": [doc.doc_id for doc in pool.docs],
            "document_id": [doc.document_id for doc in pool.docs],
            "kind": pool.kind_of(),
            "source": [edit and edit.source for edit in edits],
            "rule": [edit and edit.rule for edit in edits],
            "start": pd.array([edit.start if edit else None for edit in edits], dtype="Int64"),
            "end": pd.array([edit.end if edit else None for edit in edits], dtype="Int64"),
            "content": _codes(" ".join(doc.content.casefold().split()) for doc in pool.docs),
            "tokens": pd.array([tokens.get(place) for place in range(len(pool.docs))], dtype="Int64"),
        }
    )


def entry_table(growing: Growing, curves: Mapping[str, Sequence[Layout]]) -> pd.DataFrame:
    """entry.parquet: at which position each kept passage enters, in every order of every curve."""
    tables = []
    for curve, layouts in curves.items():
        for order, layout in enumerate(layouts):
            positions = np.flatnonzero(np.isin(layout.members, growing.ground.kept))
            place = layout.members[positions]
            tables.append(pd.DataFrame({"curve": curve, "order": order, "place": place, "position": positions}))
    return pd.concat(tables, ignore_index=True)


def _codes(contents: Iterable[str]) -> list[int]:
    """A number a text, the same for the same one."""
    seen: dict[bytes, int] = {}
    return [seen.setdefault(digest(content), len(seen)) for content in contents]


def _sha(values: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=True).encode()).hexdigest()
