"""What load measured, compared and gated: capacity, goodput and tails, and what keeps them from a verdict."""

from __future__ import annotations

from typing import Any

import pytest
from compare_data import ndcg, row, side

from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.quantities import Quantity, quantity
from ragprof.evals import GateMargin, GateSettings
from ragprof.studies.gate.comparison import compare, gate_of
from ragprof.studies.gate.document import GateRow
from ragprof.studies.gate.evidence import SideEvidence

QUALITY = ndcg([0.5, 0.6, 0.7, 0.8])
SLO = "p95 within 500 ms, error_rate 0.001"


def step(rate: float = 20.0, p95: float = 100.0, goodput: float = 20.0, **other: Any) -> dict[str, Any]:
    """A step whose quantiles are known to 2 %, and whose goodput is known to 1 %."""
    tails = {"p50": p95 / 2, "p95": p95, "p99": 2 * p95}
    ends = {name: [0.98 * value, 1.02 * value] for name, value in tails.items()}
    return {
        "rate": rate, "requests": 1000, "tails": tails, "intervals": ends, "goodput": goodput,
        "goodput_interval": [0.99 * goodput, 1.01 * goodput], "withheld": "", **other,
    }  # fmt: skip


def load(*steps: dict[str, Any], capacity: float | None = 40.0, **other: Any) -> dict[str, Any]:
    plan = {"slo": SLO, "arrivals": "poisson", "workers": "2", "kind": "threads"}
    span = None if capacity is None else [0.97 * capacity, 1.03 * capacity]
    return {
        "plan": plan, "status": "found", "capacity": capacity, "interval": span, "trials": 8, "withheld": "",
        "steps": list(steps or [step()]), **other,
    }  # fmt: skip


def loaded(found: dict[str, Any], **other: Any) -> SideEvidence:
    return side(QUALITY, load={"a": found}, **other)


def gated(base: SideEvidence, candidate: SideEvidence, label: str, *, relative: float = 0.1) -> GateRow:
    table = GateSettings(quantities={label: GateMargin(relative=relative)})
    (judged,) = gate_of(base, candidate, table, strict=True).gates
    return judged


def test_names_of_load_are_quantities_and_come_back() -> None:
    assert quantity("capacity") == Quantity("load", "", "capacity")
    assert quantity("load.p95") == Quantity("load", "", "p95")
    assert [Quantity("load", "", name).label for name in ("goodput", "p99")] == ["goodput", "load.p99"]
    assert (quantity("capacity").unit, quantity("load.p50").unit) == ("a second", "ms")
    assert (quantity("goodput").lower_is_better, quantity("load.p95").lower_is_better) == (False, True)
    with pytest.raises(UnknownName, match="capacity"):
        quantity("capacities")


def test_less_capacity_and_longer_tails_are_regressions_beyond_the_margin() -> None:
    base = loaded(load(step(), capacity=40))
    worse = loaded(load(step(p95=150.0, goodput=14.0), capacity=30))
    for label, figures in (("capacity", (40, 30)), ("goodput", (20, 14)), ("load.p95", (100, 150))):
        judged = gated(base, worse, label)
        assert (judged.gate, judged.base, judged.candidate) == ("regression", *figures)
        assert gated(worse, base, label).gate == "holds"
    same = gated(base, base, "load.p95")
    assert (same.gate, same.difference, same.reason) == ("holds", 0, "at 20.0 requests a second")
    assert same.interval == pytest.approx((-2.79, 2.87), abs=0.01)


def test_the_highest_rate_that_both_were_asked_at_is_compared() -> None:
    base, candidate = loaded(load(step(10), step(20), step(30, 400.0))), loaded(load(step(10), step(20, 130.0)))
    judged = gated(base, candidate, "load.p95")
    assert (judged.gate, judged.base, judged.candidate) == ("regression", 100, 130)
    apart = gated(loaded(load(step(11))), candidate, "goodput")
    assert apart.gate == "incomparable"
    assert "asked at other rates (11 and 10, 20 a second); name rates in [load]" in apart.message


@pytest.mark.parametrize(
    ("base", "candidate", "gate", "told"),
    [
        (load(), load(plan={"slo": "p95 within 400 ms, error_rate 0.001"}), "incomparable", "[load] slo is"),
        (load(), load(withheld="the generator itself was late"), "undecided", "in the candidate the generator"),
        (load(capacity=40), load(capacity=60, status="at least"), "holds", "capacity of 'a' went from 40 to 60"),
        (load(capacity=40), load(capacity=30, status="at least"), "undecided", "not known beyond the rates"),
        (load(capacity=40, status="at least"), load(capacity=30), "regression", "worse by more than"),
        (load(capacity=40, status="at least"), load(capacity=45), "undecided", "not known beyond the rates"),
        (load(), load(capacity=0.0, status="never", interval=None), "regression", "went from 40 to 0 a second"),
        (load(capacity=0.0, status="never", interval=None),
         load(capacity=0.0, status="never", interval=None), "undecided", "neither side keeps the promise"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_of_a_capacity_is_no_verdict(
    base: dict[str, Any], candidate: dict[str, Any], gate: str, told: str
) -> None:
    judged = gated(loaded(base), loaded(candidate), "capacity")
    assert judged.gate == gate
    assert told in judged.message


def test_a_late_generator_keeps_load_from_a_verdict_and_not_the_latency_of_single_questions() -> None:
    found = compare(loaded(load()), loaded(load(withheld="the generator itself was late")))
    assert found.notes[0] == ("What load shows of a: not judged: in the candidate the generator itself was late.")
    assert not any(note.startswith("Latency") for note in found.notes)


def test_two_jobs_allow_what_jobs_differ_by_and_two_machines_allow_nothing() -> None:
    base = loaded(load(capacity=40))
    judged = gated(base, loaded(load(capacity=32), job="j2"), "capacity")
    assert (judged.gate, judged.margin) == ("holds", 40 * 0.26)
    other = gated(base, loaded(load(), job="j2", environment={"cpu": "Arm", "cores": 2, "packages": {}}), "load.p50")
    assert (other.gate, "environment.cpu is" in other.message) == ("incomparable", True)


def test_a_side_without_load_is_missing_and_two_are_told_what_to_run() -> None:
    with_load, without = loaded(load()), side(QUALITY)
    assert row(compare(with_load, without), "capacity").verdict == "missing"
    assert row(compare(with_load, with_load), "goodput").verdict == "equivalent"
    with pytest.raises(BadInput, match="'capacity' was measured on neither side; run 'ragprof load' into both"):
        gated(without, without, "capacity")
