"""Dynamic batching: the same answers, fewer calls; its gain and its price are rows of the study."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import tiny_cross_encoder
from test_load_study import DATA, HEAD

import ragprof
from ragprof.core import Doc, Query, registry
from ragprof.core.clock import excluded_ns, now_ns
from ragprof.core.errors import BadInput
from ragprof.core.registry import PartSpec
from ragprof.evals.load import Batching
from ragprof.record.batching import Batcher, BatchingEmbedder, BatchingReranker, batch_waits
from ragprof.studies.contract import Request
from ragprof.studies.load.batches import capacity_ratio
from ragprof.studies.load.section import LoadCapacity, LoadSection
from ragprof.studies.load.study import STUDY
from ragprof.studies.preparation import prepare

PART = '''
"""A reranker that is asked over a line: a call takes 12 ms, however many it holds."""

import time
from threading import Lock

from ragprof.core import Scored
from ragprof.parts.rerankers.overlap import OverlapReranker


class PerCallReranker(OverlapReranker):
    """One call at a time."""

    identity = "per call"
    busy = Lock()

    def score(self, query, docs):
        return self.score_together([(query, docs)])[0]

    def score_together(self, asked):
        with self.busy:
            time.sleep(0.012)
        return [super(PerCallReranker, self).score(query, docs) for query, docs in asked]

'''


def asked_at_once(batcher: Batcher[int, int], numbers: Sequence[int]) -> list[tuple[object, int, int]]:
    """Of each: its answer or failure, how many shared its batch, and by how much its wait is off what is excluded."""
    ready = Barrier(len(numbers))

    def ask(number: int) -> tuple[object, int, int]:
        ready.wait()
        apart, before = excluded_ns(), batch_waits()
        try:
            told: object = batcher.ask(number)
        except ValueError as failure:
            told = str(failure)
        waits = batch_waits()
        return told, waits.together, excluded_ns() - apart - (waits.waited_ns - before.waited_ns)

    with ThreadPoolExecutor(len(numbers)) as pool:
        return list(pool.map(ask, numbers))


def test_what_is_asked_at_once_is_answered_in_one_call_and_each_gets_its_own() -> None:
    calls: list[int] = []

    def squares(numbers: Sequence[int]) -> list[int]:
        calls.append(len(numbers))
        return [number * number for number in numbers]

    found = asked_at_once(Batcher(squares, Batching(max_batch=4, max_wait_ms=2000), now_ns), [1, 2, 3, 4])
    assert found == [(1, 4, 0), (4, 4, 0), (9, 4, 0), (16, 4, 0)]
    assert calls == [4]


def test_a_bad_question_fails_alone() -> None:
    def halves(numbers: Sequence[int]) -> list[int]:
        if any(number % 2 for number in numbers):
            raise ValueError("odd")
        return [number // 2 for number in numbers]

    found = asked_at_once(Batcher(halves, Batching(max_batch=3, max_wait_ms=2000), now_ns), [2, 3, 4])
    assert [told for told, *_ in found] == [1, "odd", 2]


def test_a_ratio_of_capacities_has_the_interval_of_both() -> None:
    def capacity(rate: float, low: float, high: float) -> LoadCapacity:
        return LoadCapacity(status="found", per_second=rate, interval=(low, high), tried=8)

    ratio, span = capacity_ratio(capacity(30, 27, 33), capacity(20, 18, 22))
    assert ratio == 1.5
    assert span == pytest.approx((1.3013, 1.7290), abs=1e-4)  # by hand: sqrt(ln(30/27)^2 + ln(22/20)^2) = 0.1421
    bound = LoadCapacity(status="at least", per_second=20, interval=None, tried=3)
    assert capacity_ratio(capacity(30, 27, 33), bound) == (None, None)  # it may be anything up to 1.5
    assert capacity_ratio(capacity(30, 27, 33), LoadCapacity(status="never", per_second=None, interval=None, tried=0)) \
        == (None, None)  # fmt: skip


def test_batching_without_a_part_that_batches_is_refused(tmp_path: Path) -> None:
    shutil.copytree(DATA / "handbook", tmp_path / "handbook")
    path = tmp_path / "eval.toml"
    path.write_text(
        f'{HEAD}[load]\nbatching = [{{ max_batch = 8, max_wait_ms = 5 }}]\n[[pipelines]]\nname = "a"\nstore = "bm25s"\n'
    )
    with pytest.raises(BadInput, match=r"eval.toml:\d+: .*no pipeline here has a part that takes several questions"):
        STUDY.plan(prepare(path), Request(path))
    path.write_text(path.read_text() + 'embedder = "hashing"\n')
    planned = STUDY.plan(prepare(path), Request(path, {"workers": 2}))
    assert [(each.name, each.workers(2)) for each in planned.targets] == [("a", 2), ("a batch 8, 5 ms", 16)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maxsim", "bi_encoder", "cross_encoder"])
def test_batched_models_answer_as_one_by_one_within_rounding(name: str, tmp_path: Path) -> None:
    options = (
        {"model": str(tiny_cross_encoder.save_cross_encoder(tmp_path, outputs=1))} if name == "cross_encoder" else {}
    )
    reranker = registry.create("rerankers", PartSpec.model_validate({"name": name, **options}))
    embedder = registry.create("embedders", PartSpec(name="sentence_transformers"))
    queries = [Query(f"q{n}", f"what about {'leave and travel ' * n}") for n in range(1, 5)]
    docs = [
        [Doc(f"d{n}-{m}", "", f"text {m} on the leave of question {n} " * (m + 1), "d") for m in range(n)]
        for n in range(4)
    ]
    limits = Batching(max_batch=4, max_wait_ms=3000)
    front, gathering = BatchingReranker(reranker, limits, now_ns), BatchingEmbedder(embedder, limits, now_ns)
    with ThreadPoolExecutor(4) as pool:
        scored = list(pool.map(lambda n: front.score(queries[n], docs[n]).scores, range(4)))
        vectors = list(pool.map(lambda query: gathering.embed_queries([query.text]).vectors, queries))
    assert scored[0] == ()
    for n in range(4):
        assert np.allclose(scored[n], reranker.score(queries[n], docs[n]).scores, atol=2e-5)
        assert np.allclose(vectors[n], embedder.embed_queries([queries[n].text]).vectors, atol=2e-6)
        assert vectors[n].shape == (1, 384)


@pytest.mark.slow
def test_its_gain_in_capacity_and_its_price_in_latency_are_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(DATA / "handbook", tmp_path / "handbook")
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "percall.py").write_text(PART)
    described = tmp_path / "percall-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: percall\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[ragprof.rerankers]\nper_call = percall:PerCallReranker\n")
    path = tmp_path / "eval.toml"
    path.write_text(
        HEAD + "[load]\nslo = { p95_ms = 250, error_rate = 0.01 }\nseconds = 12\nworkers = 8\n"
        "batching = [{ max_batch = 8, max_wait_ms = 10 }]\nwithout_reranker = false\n"
        '[[pipelines]]\nname = "a"\nstore = "bm25s"\ndepth = 5\nreranker = "per_call"\n'
        'injector = { name = "top_k", k = 3 }\n'
    )
    folder = ragprof.load(path, out=tmp_path / "out").folder
    section = LoadSection.read(json.loads((folder / "summary.json").read_text()), "load")
    plain, batched = section.targets
    assert (plain.name, batched.name, batched.workers) == ("a", "a batch 8, 10 ms", 16)
    assert batched.batching is not None
    assert batched.batching.ratio is not None
    assert batched.batching.ratio > 2  # a call holds up to eight
    alone = next(each for each in batched.steps if each.purpose == "alone")
    assert alone.batch_size == 1
    assert alone.batch_ns is not None
    assert alone.batch_ns >= 10_000_000  # who comes alone waits for others as long as is set
    assert plain.steps[0].batch_ns is None
    assert any(
        "questions a batch, gathered for 10 ms, answers" in each and "cannot tell" not in each
        for each in section.statements
    )
