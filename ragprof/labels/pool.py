"""Which passages are judged: what any pipeline ranks high, and a random sample of what lies below.

What nobody ranks high may be relevant, too; how much of it there is, is estimated from the sample.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ragprof.core import files
from ragprof.core.caches import digest
from ragprof.core.errors import BadInput
from ragprof.labels.records import Pair

Ranked = Mapping[str, Mapping[str, Sequence[str]]]
"""pipeline -> query_id -> doc_ids of distinct documents, best first."""


@dataclass(frozen=True)
class PooledQuery:
    """What is to be judged for one question: pooled passages in a random order, and some from below.

    `below` are drawn evenly from `unpooled` passages of the corpus that no pipeline has in its pool. `question_digest`
    is of the question's words, and `passage_digests` are of those of `passages`.
    """

    query_id: str
    pooled: tuple[str, ...]
    below: tuple[str, ...]
    unpooled: int
    question_digest: str = ""
    passage_digests: tuple[str, ...] = ()

    @property
    def passages(self) -> tuple[str, ...]:
        return self.pooled + self.below

    def digest_of_passages(self) -> dict[str, str]:
        """doc_id -> digest, of those that were noted."""
        return dict(zip(self.passages, self.passage_digests, strict=bool(self.passage_digests)))


def pooled(
    rankings: Ranked,
    queries: Sequence[str],
    doc_ids: Sequence[str],
    *,
    depth: int,
    below: int,
    seed: int,
    judged: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> list[PooledQuery]:
    """Pool the first `depth` of every pipeline for each query, and draw `below` others. The same seed, the same pool.

    Passages stand in a random order, so that no place tells which pipeline found one, or how high. `judged` were pooled
    and judged before, and stay.
    """
    keys = np.array([int.from_bytes(digest(doc)[:8], "little") for doc in doc_ids], np.uint64)
    found = []
    for query in queries:
        mine = random.Random(f"{seed} {query}")
        high = {doc for ranked in rankings.values() for doc in ranked.get(query, ())[:depth]}
        top = sorted(high.union(judged.get(query, ())))
        mine.shuffle(top)
        # The lowest of numbers that are each passage's own: a corpus that grows keeps most of the sample.
        mixed = keys * np.uint64(mine.getrandbits(63) * 2 + 1)
        lowest = np.argsort(mixed)[: below + len(top)] if below else ()
        inside = set(top)
        sample = [doc_ids[place] for place in lowest if doc_ids[place] not in inside][:below]
        found.append(PooledQuery(query, tuple(top), tuple(sample), len(doc_ids) - len(top)))
    return found


def keep_pool(path: Path, queries: Sequence[PooledQuery]) -> None:
    """Write the pool, a line for each question; ids alone."""
    lines = [json.dumps(asdict(each)) for each in queries]
    files.write_text(path, "".join(f"{line}\n" for line in lines))


def read_pool(path: Path) -> list[PooledQuery]:
    """The pool that was written. Raises BadInput where there is none."""
    if not path.exists():
        raise BadInput("nothing is pooled yet; run `ragprof label` on the eval file first", file=path)
    try:
        return list(_pooled(path))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput(
            "it is not a pool as ragprof writes it; delete it and run `ragprof label` again", file=path
        ) from None


def _pooled(path: Path) -> Iterator[PooledQuery]:
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        yield PooledQuery(
            record["query_id"], tuple(record["pooled"]), tuple(record["below"]), int(record["unpooled"]),
            record.get("question_digest", ""), tuple(record.get("passage_digests", ())),
        )  # fmt: skip


@dataclass(frozen=True)
class MissedDocuments:
    """Relevant passages for each question outside its pool, estimated, with a 95% interval; `judged` of the sample."""

    mean: float
    interval: tuple[float, float]
    found: int
    judged: int


def missed(queries: Sequence[PooledQuery], grades: Mapping[Pair, int], *, least: int = 1) -> MissedDocuments | None:
    """Estimate how many passages of at least this grade nobody ranked high, for each question.

    The share among the sampled passages has Clopper and Pearson's interval (Biometrika 26, 1934, 404-413): it holds
    also where none was found. It is scaled by the mean number of passages outside the pools, which are near equal.
    None where nothing of the sample is judged.
    """
    from scipy import special

    judged = [grades[each.query_id, doc] for each in queries for doc in each.below if (each.query_id, doc) in grades]
    if not judged:
        return None
    n, hits = len(judged), sum(grade >= least for grade in judged)
    outside = sum(each.unpooled for each in queries) / len(queries)
    low = float(special.betaincinv(hits, n - hits + 1, 0.025)) if hits else 0.0
    high = float(special.betaincinv(hits + 1, n - hits, 0.975)) if hits < n else 1.0
    return MissedDocuments(outside * hits / n, (outside * low, outside * high), hits, n)
