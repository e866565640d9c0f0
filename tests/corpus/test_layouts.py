"""Nested sub-corpora: what is kept is in all of them, orders are seeded, and every size is a prefix of the next."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from ragprof.core import Doc, Layout, Query
from ragprof.core.errors import BadInput
from ragprof.corpus import Corpus, EvaluationSet, WholeCorpus, fingerprint_of_docs, layouts
from ragprof.corpus.layouts import Ground, part_of

DOCS = tuple(Doc(f"d{number // 2}#{number % 2}", "", f"text {number}", f"d{number // 2}") for number in range(20))
KEPT = np.array([4, 5, 16])


def ground(seed: int = 0) -> Ground:
    return Ground(DOCS, KEPT, (6, 10, 20), seed)


def members(layout: Layout) -> list[int]:
    return list(map(int, layout.members))


def test_every_sub_corpus_of_all_judged_holds_what_is_kept() -> None:
    layout = layouts.all_judged(ground(), 3)
    assert members(layout)[:3] == [4, 5, 16]
    assert sorted(members(layout)) == list(range(20))
    assert layout.sizes == (6, 10, 20)


def test_passages_of_a_document_stay_together() -> None:
    order = members(layouts.proportional(ground(), 0))
    assert all(abs(order.index(2 * number) - order.index(2 * number + 1)) == 1 for number in range(10))


def test_an_order_is_told_by_its_seed_and_number() -> None:
    same, other = layouts.proportional(ground(), 1), layouts.proportional(ground(), 2)
    assert members(same) == members(layouts.proportional(ground(), 1))
    assert members(same) != members(other)
    assert members(same) != members(layouts.proportional(ground(seed=1), 1))


def test_the_kept_enter_in_proportion_where_they_are_not_kept() -> None:
    everywhere = [layouts.proportional(ground(), order).members[:10] for order in range(400)]
    share = np.mean([np.isin(KEPT, found).mean() for found in everywhere])
    assert share == pytest.approx(0.5, abs=0.05)


def test_similar_starts_like_all_judged_and_then_takes_the_closest() -> None:
    closeness = np.arange(20, dtype=float)
    layout = layouts.nearest_first(ground(), 0, closeness)
    start = members(layouts.all_judged(ground(), 0))[:6]
    assert members(layout)[:6] == start
    assert members(layout)[6:] == [place for place in range(19, -1, -1) if place not in start]


def test_added_distractors_come_behind_the_smallest_sub_corpus() -> None:
    layout = layouts.added(ground(), 0, np.arange(20, 28))
    assert members(layout)[:6] == members(layouts.all_judged(ground(), 0))[:6]
    assert sorted(members(layout)[6:]) == list(range(20, 28))
    assert layout.sizes == (6, 10, 14)


@pytest.mark.parametrize(
    ("end", "sizes"),
    [(20, (6, 10, 20)), (10, (6, 10)), (11, (6, 10, 11)), (19, (6, 10, 19)), (22, (6, 10, 20)), (900, (6, 10, 20))],
)
def test_a_curve_ends_where_its_distractors_do(end: int, sizes: tuple[int, ...]) -> None:
    assert layouts.reached((6, 10, 20), int(end)) == sizes


def test_sizes_are_evenly_spaced_on_a_logarithmic_scale() -> None:
    assert layouts.log_sizes(100, 1600, 5) == (100, 200, 400, 800, 1600)
    assert layouts.log_sizes(3, 5, 8) == (3, 4, 5)


QRELS = {"q1": {"d2": 1, "d8": 2, "d5": 0}, "q2": {"d2": 1, "d9": -1, "gone": 1}}
"""d2 and d8 are relevant, d5 and d9 judged as well; each has two passages."""
JUDGED = EvaluationSet(tuple(Query(each, each) for each in QRELS), QRELS, (), "", judged_documents_missing=1)
WHOLE = Corpus("whole", DOCS, fingerprint_of_docs(DOCS))


def documents(part: Corpus) -> list[str]:
    return list(dict.fromkeys(doc.document_id for doc in part.docs))


def test_a_part_holds_what_is_relevant_then_what_is_judged_then_others() -> None:
    assert documents(part_of(WHOLE, JUDGED, 4, seed=0)) == ["d2", "d8"]
    assert documents(part_of(WHOLE, JUDGED, 8, seed=0)) == ["d2", "d5", "d8", "d9"]
    assert len(documents(part_of(WHOLE, JUDGED, 12, seed=0))) == 6


@pytest.mark.parametrize("seed", range(3))
def test_a_larger_part_holds_every_smaller_one_in_the_order_of_the_corpus(seed: int) -> None:
    parts = [part_of(WHOLE, JUDGED, passages, seed=seed) for passages in range(4, 21)]
    for smaller, larger in pairwise(parts):
        assert set(smaller.docs) <= set(larger.docs)
    assert all(list(part.docs) == [doc for doc in DOCS if doc in part.docs] for part in parts)
    assert parts[-1] is WHOLE


def test_a_part_holds_whole_documents_and_knows_what_it_is_a_part_of() -> None:
    part = part_of(WHOLE, JUDGED, 7, seed=0)
    assert (len(part.docs), part.documents) == (6, 3)
    assert part.whole == WholeCorpus(20, 10, WHOLE.sha256)
    assert part.sha256 == fingerprint_of_docs(part.docs) != WHOLE.sha256


def test_parts_grow_by_the_order_in_which_growth_lets_a_corpus_grow() -> None:
    """Where nothing is judged but what is relevant."""
    judged = EvaluationSet(JUDGED.queries, {"q1": {"d2": 1, "d8": 1}}, (), "", judged_documents_missing=0)
    ground = Ground(DOCS, np.array([4, 5, 16, 17]), (10, 20), 3)
    first = layouts.all_judged(ground, 0).members[:10]
    assert [doc.doc_id for doc in part_of(WHOLE, judged, 10, seed=3).docs] == [
        DOCS[place].doc_id for place in sorted(first.tolist())
    ]


@pytest.mark.parametrize(
    ("passages", "said"),
    [
        (3, "passages = 3: the documents that are judged relevant have 4 passages, and all of them have to be "
            "searched; give 4 or more"),
        (0, "passages = 0: a corpus of none cannot be searched; give 1 or more"),
        (-5, "passages = -5: a corpus of none cannot be searched; give 1 or more"),
    ],
)  # fmt: skip
def test_a_part_without_room_for_what_is_relevant_is_refused(passages: int, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)):
        part_of(WHOLE, JUDGED, passages, seed=0)


def test_without_judgements_a_part_is_any_part() -> None:
    unjudged = EvaluationSet(JUDGED.queries, {}, (), "", judged_documents_missing=0)
    assert len(part_of(WHOLE, unjudged, 9, seed=0).docs) == 8
    with pytest.raises(BadInput, match="no document has so few"):
        part_of(WHOLE, unjudged, 1, seed=0)
