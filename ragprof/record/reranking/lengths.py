"""How much of each pair a reranker reads, and what it would say of documents that it cuts, read piece by piece.

The best piece counts (MaxP: Dai and Callan, Deeper text understanding for IR with contextual neural language
modeling, SIGIR 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ragprof.core import Doc, PairLength, Query
from ragprof.progress import Progress
from ragprof.record.rankings import PairScores, economical
from ragprof.record.reranking.plan import Arm
from ragprof.stages import LengthLimited

LENGTH_COLUMNS = ("arm", "query_id", "doc_id", "tokens", "kept_tokens")
WINDOW_COLUMNS = ("arm", "query_id", "doc_id", "windows", "score")
Pairs = Sequence[tuple[Query, Doc]]


def lengths_of(arm: Arm, pairs: Pairs) -> list[PairLength]:
    """One length a pair; none where the reranker does not say how much it reads."""
    return arm.reranker.lengths(pairs) if isinstance(arm.reranker, LengthLimited) else []


def length_table(arm: Arm, pairs: Pairs, lengths: Sequence[PairLength]) -> pd.DataFrame:
    rows = [
        (arm.name, query.query_id, doc.doc_id, length.tokens, length.kept)
        for (query, doc), length in zip(pairs if lengths else (), lengths, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(LENGTH_COLUMNS))


def window_table(
    arm: Arm, pairs: Pairs, lengths: Sequence[PairLength], *, cache: Path, progress: Progress
) -> tuple[pd.DataFrame, int]:
    """The best piece of every pair that is cut, and how many pairs had to be scored for that."""
    reranker = arm.reranker
    counted = economical(reranker, cache)
    cut = [pair for pair, length in zip(pairs, lengths, strict=False) if length.kept < length.tokens]
    if not isinstance(reranker, LengthLimited) or not isinstance(counted, PairScores) or not cut:
        return pd.DataFrame(columns=list(WINDOW_COLUMNS)), 0
    pieces = [(query, doc, reranker.windows(query, doc)) for query, doc in cut]
    counted.prepare([(query, piece) for query, _, parts in pieces for piece in parts], progress)
    rows = [
        (arm.name, query.query_id, doc.doc_id, len(parts), float(max(counted.score(query, parts).scores)))
        for query, doc, parts in pieces
    ]
    return pd.DataFrame(rows, columns=list(WINDOW_COLUMNS)), counted.pairs_scored
