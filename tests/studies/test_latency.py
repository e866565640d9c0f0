"""Where the time goes, from tables of spans written out by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from ragprof.core import Estimate
from ragprof.record.disturbance import disturbance_of
from ragprof.statistics.estimates import latency_quantiles, noise
from ragprof.studies.contract import EstimateValue
from ragprof.studies.profile.latency import closure, cold_start, latency_of, mean_usage, overhead, waiting
from ragprof.studies.profile.section import Noise, StageCores, Unaccounted

TIMING = {"noise_bound": 0.1, "waiting_bound": 0.1}
COLUMNS = ["pipeline", "phase", "round", "query_id", "stage", "start_ns", "duration_ns"]


def spans(*rows: tuple[str, int, str, str, int]) -> pd.DataFrame:
    """Rows of (phase, round, query_id, stage, duration_ns)."""
    full = [("p", phase, number, query, stage, 0, duration) for phase, number, query, stage, duration in rows]
    return pd.DataFrame(full, columns=COLUMNS)


def asked(
    phase: str, number: int, query: str, *, search: int, inject: int, whole: int
) -> list[tuple[str, int, str, str, int]]:
    """One query with two stages."""
    durations = {"query": whole, "search": search, "inject": inject}
    return [(phase, number, query, stage, duration) for stage, duration in durations.items()]


TWO_ROUNDS = spans(
    *asked("cold", 0, "q1", search=900, inject=90, whole=1_000),
    *asked("timed", 0, "q1", search=60, inject=20, whole=100),
    *asked("timed", 0, "q2", search=160, inject=20, whole=200),
    *asked("timed", 1, "q1", search=70, inject=20, whole=100),
    *asked("timed", 1, "q2", search=180, inject=10, whole=200),
    ("instrumented", 0, "q1", "query", 110),
    ("instrumented", 0, "q2", "query", 230),
    ("instrumented", 1, "q1", "query", 108),
    ("instrumented", 1, "q2", "query", 206),
    ("bare", 0, "q1", "query", 100),
    ("bare", 1, "q2", "query", 200),
)


def test_every_entry_of_a_pipelines_summary() -> None:
    found = latency_of(TWO_ROUNDS, timing=TIMING, seed=0)
    assert {stage: latency.mean_ns for stage, latency in found["stages"].items()} == {"search": 118, "inject": 18}
    assert (found["end_to_end"].mean_ns, found["end_to_end"].n, found["end_to_end"].queries) == (150, 4, 2)
    assert found["unaccounted"] == Unaccounted(mean_ns=14, share=14 / 150)
    assert found["closure"] == pytest.approx((80 / 100 + 180 / 200 + 90 / 100 + 190 / 200) / 4)
    assert found["overhead"] == pytest.approx((1.10 * 1.03) ** 0.5 - 1)
    assert found["noise"] == Noise(spread=0.0, bound=0.1, noisy=False)
    assert found["cold_start_ns"] == {"search": 900, "inject": 90}
    assert found["waiting"] is None


def test_each_stage_says_how_long_its_threads_ran_and_waited() -> None:
    rounds = spans(("round", 0, "", "query", 500), ("round", 1, "", "query", 500)).assign(cpu_ns=200, waiting_ns=600)
    rounds = rounds.assign(switches=9, machine_ns=60, stolen_ns=20, pressure_ns=100)
    table = pd.concat([TWO_ROUNDS, rounds], ignore_index=True).astype({"cpu_ns": "Int64", "waiting_ns": "Int64"})
    search = (table["phase"] == "timed") & (table["stage"] == "search")
    table.loc[search, "cpu_ns"], table.loc[search, "waiting_ns"] = 100, 300
    found = waiting(table, disturbance_of(table, TIMING))
    assert found is not None
    assert found.stages == {"search": StageCores(cpu_ns=100, waiting_ns=300, share=0.75)}
    assert (found.switches_per_query, found.stolen_share, found.pressure_share) == (18 / 6, 0.25, 0.2)
    assert found.share == 1200 / 1600 + 0.25 * 400 / 1000
    assert (found.busy, found.reason) == (True, "the machine was busy (85% of the time waiting for a core)")
    pressed = waiting(table.assign(pressure_ns=900), disturbance_of(table, TIMING))
    assert pressed is not None
    assert pressed.pressure_share == 1.0


def test_stages_stand_in_the_order_of_the_hops() -> None:
    names = ("inject", "rerank", "search", "embed")
    table = spans(("timed", 0, "q1", "query", 40), *(("timed", 0, "q1", name, 10) for name in names),
                  ("instrumented", 0, "q1", "query", 40), ("bare", 0, "q1", "query", 40))  # fmt: skip
    assert list(latency_of(table, timing=TIMING, seed=0)["stages"]) == ["embed", "search", "rerank", "inject"]


def test_quantiles_of_a_hundred_queries() -> None:
    rows = spans(*(("timed", 0, f"q{number}", "query", number * 1_000) for number in range(1, 102)))
    found = latency_quantiles(rows, seed=0)
    assert (found["p50_ns"], found["p95_ns"], found["p99_ns"]) == (51_000, 96_450, 100_412)
    assert (found["mean_ns"], found["n"], found["queries"]) == (51_000, 101, 101)
    low, high = found["p50_interval_ns"]
    assert 35_000 < low < 51_000 < high < 67_000


def test_rounds_of_a_query_are_no_independent_observations() -> None:
    once = spans(*(("timed", 0, f"q{number}", "query", number) for number in range(20)))
    thrice = spans(*(("timed", turn, f"q{number}", "query", number) for number in range(20) for turn in range(3)))
    assert latency_quantiles(thrice, seed=0)["n"] == 60
    first, second = (latency_quantiles(rows, seed=0)["p50_interval_ns"] for rows in (once, thrice))
    assert abs((second[1] - second[0]) - (first[1] - first[0])) <= 2


def test_one_query_has_no_interval() -> None:
    found = latency_quantiles(spans(("timed", 0, "q1", "query", 7), ("timed", 1, "q1", "query", 9)), seed=0)
    assert (found["p50_ns"], found["p50_interval_ns"]) == (8, None)


def test_closure_is_the_mean_of_each_querys_own() -> None:
    rows = spans(
        *asked("timed", 0, "q1", search=10, inject=10, whole=20),
        *asked("timed", 0, "q2", search=400, inject=100, whole=1_000),
    )
    assert closure(rows) == 0.75


def test_a_query_of_which_nobody_told_a_stage_closes_to_nothing() -> None:
    assert closure(spans(("timed", 0, "q1", "query", 10))) == 0
    assert (
        closure(spans(*asked("timed", 0, "q1", search=5, inject=5, whole=10), ("timed", 0, "q2", "query", 10))) == 0.5
    )


def test_overhead_pairs_each_bare_query_with_its_twin() -> None:
    found = overhead(TWO_ROUNDS, seed=0)
    assert found.mean == pytest.approx((1.10 * 1.03) ** 0.5 - 1)
    assert found.interval == pytest.approx((0.03, 0.10))


def test_what_asking_again_saves_is_no_overhead() -> None:
    """Who comes second is a fifth faster; instruments add 1 %. The differences themselves lie near -20 % and +25 %."""
    rows = [
        ("p", phase, 0, f"q{number}", "query", at, round(1_000_000 * (1 + number / 50) * extra * (0.8 if at else 1)))
        for number in range(20)
        for phase, at, extra in (("instrumented", number % 2, 1.01), ("bare", 1 - number % 2, 1.0))
    ]
    found = overhead(pd.DataFrame(rows, columns=COLUMNS), seed=0)
    assert (found.mean, found.interval) == (pytest.approx(0.01, abs=1e-6), pytest.approx((0.01, 0.01), abs=1e-6))


def test_overhead_may_come_out_negative() -> None:
    rows = spans(("instrumented", 0, "q1", "query", 90), ("bare", 0, "q1", "query", 100))
    assert overhead(rows, seed=0) == Estimate(pytest.approx(-0.1), None, 1)


@pytest.mark.parametrize(("last", "spread", "noisy"), [(110, 10 / 102.5, False), (130, 30 / 102.5, True)])
def test_noise_is_the_spread_of_the_rounds_medians(last: int, spread: float, noisy: bool) -> None:
    durations = {0: (95, 105), 1: (100, 100), 2: (last, last)}
    rows = spans(
        *(("timed", turn, f"q{at}", "query", ns) for turn, pair in durations.items() for at, ns in enumerate(pair))
    )
    found = noise(rows, 0.15)
    assert found == {"spread": pytest.approx(spread), "bound": 0.15, "noisy": noisy}


def test_cold_start_leaves_the_rounds_out() -> None:
    assert cold_start(TWO_ROUNDS) == {"search": 900, "inject": 90}
    assert cold_start(TWO_ROUNDS[TWO_ROUNDS["phase"] == "timed"]) == {}


def test_usage_is_a_mean_over_queries() -> None:
    rows = [("q1", "inject", "prompt_tokens", 100), ("q2", "inject", "prompt_tokens", 201), ("q1", "embed", "texts", 1)]
    table = pd.DataFrame(rows, columns=["query_id", "stage", "unit", "count"])
    found = mean_usage(table, seed=0)
    assert list(found) == ["embed.texts", "inject.prompt_tokens"]
    assert found["inject.prompt_tokens"] == EstimateValue(mean=150.5, interval=(100.0, 201.0), n=2)
    assert found["embed.texts"] == EstimateValue(mean=1.0, interval=None, n=1)
