"""A look at an interleaved job: what the machine's noise is, and which latency gates are decided. Times by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from compare_data import query, side, timings

from ragprof.core.quantities import quantity
from ragprof.evals import GateMargin, GateSettings
from ragprof.studies.gate.comparison import gate_of
from ragprof.studies.gate.document import Noise
from ragprof.studies.gate.evidence import TIMES
from ragprof.studies.gate.looks import LookLevel, Watched, effect_of, learned, told, undecided, watched

STAGES = {"a": ("search", "inject"), "b": ("embed", "search", "rerank", "inject")}
LEVEL = LookLevel(alpha=0.05, looks=4, family=1, seed=0)


def gate(quantities: dict[str, GateMargin], **other: Any) -> GateSettings:
    return GateSettings(quantities=quantities, **other)


def watching(label: str = "latency_p50", pipeline: str = "a", **margin: Any) -> Watched:
    return Watched(pipeline, quantity(label), GateMargin(**margin))


def table(*rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame([row for each in rows for row in each], columns=list(TIMES))


def spread(n: int = 30, *, factor: float = 1.0, jitter: float = 0.02, seed: int = 1) -> list[float]:
    """About 10 ms a query, of a width that the seed alone makes."""
    return list(10 * factor * np.exp(np.random.default_rng(seed).normal(0, jitter, n)))


def one_round(factor: float = 1.0, *, seed: int = 1, jitter: float = 0.02, **other: str) -> pd.DataFrame:
    return table(timings([spread(factor=factor, seed=seed, jitter=jitter)], **other))


def verdict(
    base: pd.DataFrame, candidate: pd.DataFrame, watch: Watched, *, noise: Noise | None = None, level: LookLevel = LEVEL
) -> str:
    (found,) = told(base, candidate, [watch], noise=noise or {}, level=level)
    return found


def test_latency_gates_are_watched_in_every_pipeline_that_has_the_stage() -> None:
    gates = gate({"latency_p50": GateMargin(), "rerank.latency_p95": GateMargin(), "search.latency_p50": GateMargin()})
    assert [(each.pipeline, each.quantity.label) for each in watched(gates, STAGES)] == [
        ("a", "latency_p50"), ("b", "latency_p50"), ("b", "rerank.latency_p95"),
        ("a", "search.latency_p50"), ("b", "search.latency_p50"),
    ]  # fmt: skip


def test_what_no_clock_decides_is_not_watched() -> None:
    quantities = dict.fromkeys(("nDCG@10", "inject.prompt_tokens", "usd_per_1000_queries"), GateMargin(relative=0.1))
    assert watched(gate(quantities), STAGES) == []


def test_named_pipelines_go_before_the_gates_and_these_before_all() -> None:
    quantities = {"latency_p50": GateMargin(), "latency_p95": GateMargin(pipelines=("b",))}
    found = watched(gate(quantities, pipelines=("a",)), STAGES)
    assert [(each.pipeline, each.quantity.name) for each in found] == [("a", "p50"), ("b", "p95")]


def test_the_noise_is_as_far_as_the_interval_of_a_side_against_itself_reaches() -> None:
    """The twin is 3 % slower on every query alike and 5 % faster in one stage: the intervals are those points."""
    base = table(timings([[10.0] * 20]), timings([[4.0] * 20], stage="rerank"))
    twin = table(timings([[10.3] * 20]), timings([[3.8] * 20], stage="rerank"))
    names = ("latency_p50", "latency_p95", "usd_per_1000_queries")
    assert learned(base, twin, seed=0) == {
        "a": {
            **{name: pytest.approx(0.03) for name in names},
            **{f"rerank.{name}": pytest.approx(0.05) for name in names},
        }
    }


def test_two_sides_that_are_the_same_to_the_last_digit_have_no_noise() -> None:
    assert set(learned(one_round(), one_round(), seed=0)["a"].values()) == {0.0}


def test_noise_is_learned_by_pipeline() -> None:
    sides = [
        table(timings([spread(seed=seed, jitter=0.01)]), timings([spread(seed=seed, jitter=0.2)], pipeline="b"))
        for seed in (1, 2)
    ]
    found = learned(sides[0], sides[1], seed=0)
    for name in ("latency_p50", "usd_per_1000_queries"):
        assert 0 < found["a"][name] < 0.03 < 0.05 < found["b"][name] < 0.5


def test_a_pipeline_that_the_twin_was_not_asked_has_no_noise() -> None:
    assert learned(one_round(), one_round(pipeline="b"), seed=0) == {}


def test_a_stage_that_was_not_timed_has_no_noise_and_no_verdict() -> None:
    watch = watching("rerank.latency_p50")
    assert not any(name.startswith("rerank.") for name in learned(one_round(), one_round(), seed=0)["a"])
    assert effect_of(one_round(), one_round(), watch, seed=0, looks=1, alpha=0.05) is None
    assert verdict(one_round(), one_round(), watch) == "undecided"


def test_one_query_has_no_noise_and_no_verdict() -> None:
    one = table(timings([[10.0]]))
    assert learned(one, one, seed=0) == {}
    assert verdict(one, table(timings([[50.0]])), watching(relative=0.1)) == "undecided"


@pytest.mark.parametrize(
    ("factor", "margin", "expected"),
    [
        (1.00, 0.10, "holds"),
        (1.05, 0.10, "holds"),
        (0.50, 0.00, "holds"),
        (1.20, 0.10, "regression"),
        (1.02, 0.00, "regression"),
        (1.10, 0.10, "undecided"),
    ],
)
def test_a_gate_holds_within_its_margin_and_regresses_beyond_it(factor: float, margin: float, expected: str) -> None:
    noisy = spread(factor=factor, seed=1)
    candidate = table(timings([[each * (0.995 if at % 2 else 1.005) for at, each in enumerate(noisy)]]))
    assert verdict(one_round(), candidate, watching(relative=margin)) == expected


def test_no_gate_is_tighter_than_the_noise() -> None:
    base, slower = table(timings([spread()])), table(timings([spread(factor=1.1)]))
    assert verdict(base, slower, watching(relative=0.05)) == "regression"
    assert verdict(base, slower, watching(relative=0.05), noise={"a": {"latency_p50": 0.2}}) == "holds"
    assert verdict(base, slower, watching(relative=0.05), noise={"a": {"latency_p95": 0.2}}) == "regression"
    assert verdict(base, slower, watching(relative=0.05), noise={"b": {"latency_p50": 0.2}}) == "regression"


def test_the_margins_own_direction_is_kept() -> None:
    assert verdict(one_round(), one_round(2.0), watching(relative=0.1, better="higher")) == "holds"
    assert verdict(one_round(), one_round(0.5), watching(relative=0.1, better="higher")) == "regression"


def test_more_looks_and_more_gates_ask_for_more() -> None:
    """4 % slower with half as much scatter in ten queries: clear to one look at one gate, not to many at many."""
    base, slower = (
        table(timings([spread(10, jitter=0.03)])),
        table(timings([spread(10, jitter=0.03, factor=1.04, seed=2)])),
    )
    watch = watching(relative=0.0, better="higher")
    once = effect_of(base, slower, watch, seed=0, looks=1, alpha=0.05)
    often = effect_of(base, slower, watch, seed=0, looks=20, alpha=0.05)
    assert once is not None
    assert often is not None
    assert once.interval is not None
    assert often.interval is not None
    assert often.interval[0] < once.interval[0] < once.interval[1] < often.interval[1]
    assert (once.p, once.difference) == (often.p, often.difference)


def test_a_regression_must_be_clear_at_the_level_of_all_looks_and_gates() -> None:
    base = table(timings([spread(12, jitter=0.04)]))
    slower = table(timings([spread(12, jitter=0.04, factor=1.12, seed=5)]))
    watch = watching(relative=0.0)
    effect = effect_of(base, slower, watch, seed=0, looks=1, alpha=0.05)
    assert effect is not None
    assert effect.p is not None
    assert effect.p < 0.05
    assert verdict(base, slower, watch, level=LookLevel(0.05, 1, 1, 0)) == "regression"
    assert verdict(base, slower, watch, level=LookLevel(0.05, 1, int(0.06 / effect.p) + 1, 0)) == "undecided"


def test_only_pipelines_with_an_undecided_gate_are_left() -> None:
    gates = [watching(), watching("latency_p95"), watching(pipeline="b"), watching("latency_p95", "b")]
    assert undecided(gates, ["holds", "undecided", "holds", "regression"]) == {"a"}
    assert undecided(gates, ["undecided", "undecided", "undecided", "holds"]) == {"a", "b"}
    assert undecided(gates, ["holds", "regression", "holds", "holds"]) == set()


@pytest.mark.parametrize("factor", [1.0, 1.06, 1.12, 1.3])
@pytest.mark.parametrize("jitter", [0.01, 0.08])
@pytest.mark.parametrize("seed", [3, 4])
def test_what_a_look_decides_the_gate_decides_alike(factor: float, jitter: float, seed: int) -> None:
    """The same rounds, judged in the end by Holm over both gates: a verdict that ended the asking is not taken back."""
    rounds = {"base": [spread(jitter=jitter)], "candidate": [spread(factor=factor, jitter=jitter, seed=seed)]}
    allowed = {"latency_p50": GateMargin(relative=0.1), "latency_p95": GateMargin(relative=0.1)}
    gates = watched(gate(allowed), {"a": ("search",)})
    noise: Noise = {"a": {"latency_p50": 0.02, "latency_p95": 0.12}}
    base, candidate = (table(timings(each)) for each in rounds.values())
    looked = told(base, candidate, gates, noise=noise, level=LookLevel(0.05, 4, len(gates), 0))
    before, after = (side(times=[timings(each)], label=name) for name, each in rounds.items())
    final = gate_of(before, after, gate(allowed), strict=True, noise=noise, looks=4)
    for seen, row in zip(looked, final.gates, strict=True):
        assert seen in ("undecided", row.gate)


def test_rounds_of_a_pipeline_that_stopped_early_are_enough() -> None:
    """One side may have timed a query more often: each side is thinned to the fewest rounds that a query has there."""
    base = table(timings([[10.0] * 4, [10.0] * 4]))
    candidate = table(timings([[20.0] * 4, [20.0] * 4, [20.0, None, None, None]]))
    assert query(0) in set(candidate["query_id"])
    effect = effect_of(base, candidate, watching(), seed=0, looks=1, alpha=0.05)
    assert effect is not None
    assert (effect.base, effect.candidate, effect.n) == (10.0, 20.0, 4)


def test_a_stage_that_took_no_time_has_no_noise() -> None:
    """A clock that reads 0 has no ratio: nothing is learned, rather than NaN."""
    still = table(timings([[0.0] * 4], stage="inject"), timings([[2.0] * 4]))
    assert set(learned(still, still, seed=0)["a"]) == {"latency_p50", "latency_p95", "usd_per_1000_queries"}
