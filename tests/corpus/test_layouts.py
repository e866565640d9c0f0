"""Nested sub-corpora: what is kept is in all of them, orders are seeded, and every size is a prefix of the next."""

from __future__ import annotations

import numpy as np
import pytest

from ragprof.core import Doc, Layout
from ragprof.studies.growth import sub_corpora as layouts
from ragprof.studies.growth.sub_corpora import Ground

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
