"""The number of threads is what it was, whatever happened in between."""

from __future__ import annotations

from pathlib import Path

import faiss
import pytest
import torch
from restless import audited

from ragprof.core.errors import NonFiniteScore
from ragprof.parts.rerankers.overlap import OverlapReranker
from ragprof.studies.audit.checks import other_threads, present_threads, threads


def numbers() -> tuple[int, int]:
    return torch.get_num_threads(), faiss.omp_get_max_threads()


class FailsOnOtherThreads(OverlapReranker):
    """Works as long as the number of threads is the one that it was made under."""

    def __init__(self) -> None:
        self._threads = torch.get_num_threads()

    def score(self, query, docs):  # type: ignore[no-untyped-def]
        if torch.get_num_threads() != self._threads:
            raise NonFiniteScore("another number of threads")
        return super().score(query, docs)


def test_every_library_gets_the_number_and_its_own_one_back() -> None:
    before = numbers()
    with threads(3):
        assert numbers() == (3, 3)
    assert numbers() == before


def test_an_error_leaves_no_other_number_behind() -> None:
    before = numbers()
    with pytest.raises(KeyError), threads(3):
        raise KeyError
    assert numbers() == before


def test_an_audit_that_fails_on_other_threads_leaves_none_behind(handbook: Path, cache: Path) -> None:
    before = numbers()
    with pytest.raises(NonFiniteScore, match="another number of threads"):
        audited(handbook, cache, times=2, queries=1, reranker=FailsOnOtherThreads())
    assert numbers() == before
    assert not (handbook.parent / "out" / "audit" / "manifest.json").exists()


@pytest.mark.parametrize(("present", "other"), [(1, 2), (2, 1), (4, 1)])
def test_the_other_number_is_another_one(present: int, other: int) -> None:
    with threads(present):
        assert (present_threads(), other_threads()) == (present, other)
