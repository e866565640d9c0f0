"""Floating point operations: what is counted by hand is counted, and what never runs in torch has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from clockwork import HandClock

from ragprof.core import Doc, Query, Scored
from ragprof.core.clock import Silent
from ragprof.parts.rerankers.overlap import OverlapReranker
from ragprof.record.pipeline import Parts
from ragprof.record.recording import Bench, record, shuffled
from ragprof.record.timings import Timings, count_flops, counted, flops_of
from ragprof.studies.preparation import prepare


class LinearReranker(OverlapReranker):
    """Overlap, after one product of a row of 8 numbers a document with an 8 x 4 layer."""

    def __init__(self) -> None:
        self._layer = torch.nn.Linear(8, 4)
        self.asked: list[str] = []

    @property
    def identity(self) -> str:
        return "linear"

    def score(self, query: Query, docs: Sequence[Doc]) -> Scored:
        self.asked.append(query.query_id)
        with torch.inference_mode():
            self._layer(torch.ones(len(docs), 8))
        return super().score(query, docs)


def parts_of(handbook: Path) -> tuple[Parts, Parts]:
    """bm25 without torch, and hybrid with a linear layer in its rerank stage."""
    plain, *_, reranked = prepare(handbook).subject.pipelines
    return plain, replace(reranked, reranker=LinearReranker())


@pytest.mark.parametrize("quiet", [torch.inference_mode, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_takes_two_operations_a_weight_and_row(quiet: Callable[[], object], bias: bool) -> None:
    """5 rows, 3 inputs, 7 outputs; the bias is not counted."""
    layer, rows = torch.nn.Linear(3, 7, bias=bias), torch.ones(5, 3)
    with quiet():  # type: ignore[attr-defined]  # each is a context manager
        result, flops = counted(layer, rows)
    assert result.shape == (5, 7)
    assert flops == 2 * 5 * 3 * 7


@pytest.mark.parametrize("quiet", [torch.inference_mode, torch.enable_grad])
def test_a_linear_layer_over_a_batch_counts_every_row(quiet: Callable[[], object]) -> None:
    layer, batch = torch.nn.Linear(3, 7), torch.ones(2, 5, 3)
    with quiet():  # type: ignore[attr-defined]  # each is a context manager
        assert counted(layer, batch)[1] == 2 * 2 * 5 * 3 * 7


def test_products_of_matrices_are_counted_alone_and_in_batches() -> None:
    assert counted(torch.matmul, torch.ones(4, 3), torch.ones(3, 6))[1] == 2 * 4 * 3 * 6
    assert counted(torch.bmm, torch.ones(2, 4, 3), torch.ones(2, 3, 6))[1] == 2 * 2 * 4 * 3 * 6
    left, right = torch.ones(4, 8, dtype=torch.int8), torch.ones(8, 16, dtype=torch.int8)
    assert counted(torch._int_mm, left, right)[1] == 2 * 4 * 8 * 16


@pytest.mark.parametrize("quiet", [torch.inference_mode, torch.enable_grad])
def test_attention_counts_both_of_its_products(quiet: Callable[[], object]) -> None:
    """1 x 2 heads, 5 queries, 7 keys, 16 numbers a head: once for the weights, once for what they gather."""
    queries, keys = torch.ones(1, 2, 5, 16), torch.ones(1, 2, 7, 16)
    with quiet():  # type: ignore[attr-defined]  # each is a context manager
        _, flops = counted(torch.nn.functional.scaled_dot_product_attention, queries, keys, keys)
    assert flops == 2 * (2 * 1 * 2 * 5 * 7 * 16)


def test_what_computes_nothing_in_torch_takes_none() -> None:
    assert counted(sum, [1, 2, 3]) == (6, 0)
    assert counted(torch.add, torch.ones(3), torch.ones(3))[1] == 0


def test_the_same_call_takes_the_same_again() -> None:
    layer, rows = torch.nn.Linear(16, 16), torch.ones(9, 16)
    assert {counted(layer, rows)[1] for _ in range(3)} == {2 * 9 * 16 * 16}


def test_a_stage_without_torch_is_left_out(handbook: Path, cache: Path) -> None:
    subject = prepare(handbook).subject
    plain, reranked = parts_of(handbook)
    record(replace(subject, pipelines=(plain, reranked)), Bench(handbook.parent / "out", cache, Silent(), HandClock(1)))
    query = subject.queries[0]
    assert flops_of(plain, query) == {}
    assert flops_of(reranked, query) == {"rerank": 2 * 10 * 8 * 4}


def test_no_query_is_asked_where_none_is_to_be_counted(handbook: Path) -> None:
    _, reranked = parts_of(handbook)
    timings = Timings()
    count_flops([reranked], [], timings, Silent())
    assert timings.usage == {}
    assert reranked.reranker.asked == []  # type: ignore[union-attr]  # it is LinearReranker


@pytest.mark.parametrize("flop_queries", [3, 12, 50])
def test_the_queries_that_are_counted_have_flops_in_their_usage(handbook: Path, cache: Path, flop_queries: int) -> None:
    handbook.write_text(handbook.read_text() + f"\n[gate]\nflop_queries = {flop_queries}\n")
    subject = replace(prepare(handbook).subject, pipelines=parts_of(handbook))
    record(subject, Bench(handbook.parent / "out", cache, Silent(), HandClock(per_reading=1_000)))
    usage = pd.read_parquet(handbook.parent / "out" / "usage.parquet")
    rows = usage[usage["unit"] == "flops"]
    counted_queries = [query.query_id for query in shuffled(subject.queries, 0)[:flop_queries]]
    assert rows["query_id"].tolist() == counted_queries
    assert set(rows["pipeline"]) == {"hybrid+overlap"}
    assert set(rows["stage"]) == {"rerank"}
    assert set(rows["count"]) == {2 * 10 * 8 * 4}
