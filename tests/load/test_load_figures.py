"""Figures of load held to queues whose answers are known in theory, without a clock."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from known_server import service_times, waited

from ragprof.core.errors import BadInput
from ragprof.evals.load import Promise
from ragprof.studies.load import models
from ragprof.studies.load.arrivals import arrivals, read_trace
from ragprof.studies.load.capacity import Capacity, estimate, search
from ragprof.studies.load.economics import OFFICE, LoadTraffic, money_of
from ragprof.studies.load.measured import MeasuredStep
from ragprof.studies.load.recorded import RecordedStep
from ragprof.studies.load.requests import ERROR

MU = 250.0


def step(rate: float, seconds: float, latencies_s: np.ndarray, due_s: np.ndarray, **facts: Any) -> MeasuredStep:
    """As it would have been recorded."""
    n, due = len(due_s), np.asarray(due_s * 1e9, np.int64)
    empty = {f"{name}_ns": pd.array([pd.NA] * n, "Int64") for name in
             ("first", "late", "embed", "search", "rerank", "inject", "generate", "other")}  # fmt: skip
    table = pd.DataFrame(
        {"query_id": "q", "due_ns": due, "sent_ns": pd.array(due, "Int64"), "outcome": "ok",
         "ended_ns": due + np.asarray(latencies_s * 1e9, np.int64), **empty}
    )  # fmt: skip
    known: dict[str, Any] = {
        "key": "k", "purpose": "capacity", "mode": "open", "rate": rate, "concurrency": None, "seconds": seconds,
        "warm_s": 0.15 * seconds, "cut_ns": round(seconds * 1e9), "stopped": "", "retry_after": 0, "said": {},
        "cpu_ns": None, "machine_ns": None, "waiting_ns": None, "wall_ns": round(seconds * 1e9), **facts,
    }  # fmt: skip
    return MeasuredStep.of(RecordedStep(**known), table)  # type: ignore[typeddict-item]  # as it is read from JSON


def queue_step(rate: float, seconds: float, seed: int, servers: int = 1, law: str = "exponential") -> MeasuredStep:
    """Poisson arrivals before servers of 4 ms each."""
    due = arrivals("poisson", rate, seconds, seed=(seed,)) / 1e9
    return step(rate, seconds, waited(due, service_times(law, servers / MU, seed, len(due)), servers), due)


def theory(level: float, rate: float) -> float:
    """Of the time in an M/M/1 queue, in s: exponential with rate mu - lambda."""
    return -math.log(1 - level) / (MU - rate)


def test_the_capacity_of_a_known_queue_is_found_within_five_per_cent() -> None:
    promise = Promise(p95_ms=60)
    true = MU + math.log(0.05) / 0.060  # where theory(0.95) is 60 ms: 200.07 a second
    trials: list[MeasuredStep] = []

    def trial(rate: float, seconds: float) -> MeasuredStep:
        trials.append(queue_step(rate, seconds, seed=len(trials)))
        return trials[-1]

    search(trial, promise, start=90.0, most=None, seconds=160.0, trial_s=20.0)
    found = estimate(trials, promise)
    assert found.status == "found"
    assert found.rate == pytest.approx(true, rel=0.05)
    assert found.interval is not None
    assert found.interval[0] <= true <= found.interval[1]
    assert found.interval[1] - found.interval[0] < 0.15 * true


def test_where_failures_end_the_capacity_the_interval_is_what_the_trials_leave_open() -> None:
    """Nothing fails at 100 a second, 4 of about 2,400 at 120, one in twenty at 140."""

    def failing(rate: float, every: int) -> MeasuredStep:
        found = queue_step(rate, 20, seed=1)
        if every:
            found.table.loc[found.table.index % every == 0, "outcome"] = ERROR
        return found

    trials = [failing(80.0, 0), failing(100.0, 0), failing(120.0, 600), failing(140.0, 20)]
    found = estimate(trials, Promise(p95_ms=60, error_rate=0.001))
    assert found.status == "found"
    assert found.rate is not None
    assert 100 <= found.rate < 120
    assert found.interval == (100.0, 140.0)


def test_trials_of_a_few_requests_leave_open_all_between_them() -> None:
    due = np.arange(6) / 10.0
    trials = [step(rate, 1.0, np.full(6, seconds), due) for rate, seconds in ((10.0, 0.02), (40.0, 0.2))]
    found = estimate(trials, Promise(p95_ms=60))
    assert found.rate is not None
    assert 10 < found.rate < 40
    assert found.interval == (10.0, 40.0)


def test_a_promise_that_all_rates_keep_or_break_has_a_bound_and_no_interval() -> None:
    trials = [queue_step(rate, 20, seed=1) for rate in (50.0, 100.0)]
    assert estimate(trials, Promise(p95_ms=1000)) == Capacity("at least", 100.0, None, 2)
    assert estimate(trials, Promise(p95_ms=1)).status == "at most"
    assert estimate(trials, Promise(p95_ms=1), alone=queue_step(5.0, 20, seed=1)).status == "never"


@pytest.mark.slow
def test_intervals_by_blocks_hold_the_true_quantile_where_requests_wait_on_each_other() -> None:
    hits = [
        found.interval is not None and found.interval[0] <= theory(0.95, 150.0) * 1e9 <= found.interval[1]
        for seed in range(8)
        if (found := queue_step(150.0, 20, seed).estimate("p95"))
    ]
    assert sum(hits) >= 6
    single = queue_step(150.0, 0.5, 0).estimate("p99")
    assert single.interval is None  # 64 requests know nothing of a p99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "least"), [(0.3, (0.9, 0.9, 0.85)), (0.6, (0.9, 0.9, 0.85)), (0.9, (0.85, 0.65, 0.25))]
)
def test_intervals_by_blocks_cover_theory_at_every_utilisation(load: float, least: tuple[float, ...]) -> None:
    """100 simulated steps of 6,000 requests: how often the interval of each quantile holds the true one.

    At 0.9 a step holds so few of the long queues that its tail is not in it: docs/load.md says so.
    """
    rate = load * MU
    steps = [queue_step(rate, 6_000 / rate, seed) for seed in range(100)]
    for name, level, share in zip(("p50", "p95", "p99"), (0.5, 0.95, 0.99), least, strict=True):
        spans = [found for each in steps if (found := each.estimate(name).interval)]
        assert len(spans) == len(steps)
        held = float(np.mean([low <= theory(level, rate) * 1e9 <= high for low, high in spans]))
        assert held >= share, (name, held)


@pytest.mark.slow
def test_the_model_of_a_queue_foretells_the_step_that_it_was_not_given_and_abstains_elsewhere() -> None:
    services = service_times("exponential", 4 / MU, 3, 4000) * 1e9
    points = []
    for rate in (75.0, 150.0, 215.0):
        found = queue_step(rate, 30, 5, servers=4).estimate("p95")
        points.append(models.RatePoint(rate, found.mean or 0, found.interval))
    fit = models.queue_fit(services, points, 0.95, servers=4, seed=0)
    assert fit is not None
    assert (fit.holds, fit.servers) == (True, 4)
    unlike = [*points[:2], models.RatePoint(215.0, 8 * points[2].ns, None)]
    assert not models.queue_fit(services, unlike, 0.95, servers=4, seed=0).holds  # type: ignore[union-attr]
    guessed = models.queue_fit(services, points, 0.95, servers=None, seed=0)
    assert guessed is not None
    assert guessed.servers in (3, 4)


def test_the_scalability_law_is_held_to_the_highest_level() -> None:
    def answered(many: int) -> float:
        return many * 100 / (1 + 0.05 * (many - 1) + 0.002 * many * (many - 1))

    fit = models.law_fit([(many, answered(many)) for many in (1, 2, 4, 8, 16)])
    assert fit is not None
    assert fit.holds
    assert fit.contention == pytest.approx(0.05, abs=0.005)
    assert fit.peak == pytest.approx(math.sqrt(0.95 / 0.002), rel=0.05)
    collapsed = models.law_fit([(1, 100.0), (2, 190.0), (4, 370.0), (8, 40.0)])
    assert collapsed is None or not collapsed.holds


def test_money_is_whole_machines_for_the_busiest_hour() -> None:
    bill = {"usd_per_hour": "0.50", "rate": "x/y", "reason": "", "other_usd_per_question": "0.001"}
    traffic = LoadTraffic(10_000_000, "office", OFFICE, Decimal("0.002"))
    # 10 million a month are 3.805 a second, 12.79 in the busiest hour of office hours: two machines of 10 a second.
    found = money_of(Capacity("found", 10.0, (6.0, 13.0), 9), bill, traffic)
    assert found.machines == 2
    assert found.usd_per_month == "730"
    assert found.usd_per_1000 == "0.073"
    assert found.interval == ("0.0365", "0.1095")
    assert found.usd_per_1000_full == "0.0138889"
    assert found.margin_per_question == "0.000927"
    # One machine costs 365 USD a month and each question leaves 0.001.
    assert found.break_even_per_month == 365_000
    unpriced = money_of(Capacity("found", 10.0, None, 9), {**bill, "usd_per_hour": None, "reason": "no rate"}, traffic)
    assert (unpriced.usd_per_1000, unpriced.reason) == (None, "no rate")


def test_arrivals_follow_their_pattern(tmp_path: Path) -> None:
    assert arrivals("constant", 4.0, 1.0, seed=(0,)).tolist() == [0, 250_000_000, 500_000_000, 750_000_000]
    poisson = np.diff(arrivals("poisson", 1000.0, 50.0, seed=(0,))) / 1e9
    assert poisson.mean() == pytest.approx(0.001, rel=0.02)
    assert poisson.std() == pytest.approx(0.001, rel=0.03)
    path = tmp_path / "trace.txt"
    path.write_text("".join(f"2026-11-30T10:00:{second:02}Z\n" for second in range(0, 40, 2)) + "\n")
    trace = read_trace(path)
    shaped = np.diff(arrivals("trace", 10.0, 3.0, seed=(0,), trace=trace))
    assert set((shaped / 1e6).round().tolist()) == {100.0}
    for text, told in (
        ("1.5\nsoon\n", "trace.txt:2: 'soon' is no time"),
        ("1\n2\n", "it has 2 times; a pattern needs at least 10"),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match=told):
            read_trace(path)
