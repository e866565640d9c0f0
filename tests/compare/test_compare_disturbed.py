"""A side whose timings other work reached into: nothing that rests on a clock is called better or worse."""

from __future__ import annotations

from typing import Any

import pytest
from compare_data import cost, ndcg, row, side, timings

from ragprof.evals import GateMargin, GateSettings
from ragprof.session.gating import judged
from ragprof.studies.gate import baselines
from ragprof.studies.gate.comparison import compare
from ragprof.studies.gate.document import Comparison
from ragprof.studies.gate.evidence import SideEvidence

QUIET = {"waiting": 0.0, "waiting_bound": 0.1, "spread": 0.01, "spread_bound": 0.1}
BUSY = {**QUIET, "waiting": 0.74}
NOISY = {**QUIET, "spread": 0.21}
SAID = "not judged: in the base the machine was busy (74% of the time waiting for a core)"
SLOW, FAST = [20.0 + at % 3 for at in range(30)], [10.0 + at % 3 for at in range(30)]
GATE = GateSettings(
    quantities={"latency_p50": GateMargin(relative=0.1), "usd_per_1000_queries": GateMargin(relative=0.1)},
    across_jobs=True,
)


def made(ms: list[float], *, job: str = "one", flag: dict[str, float] = QUIET, **other: Any) -> SideEvidence:
    """30 queries of one pipeline, that each take so long, cost as much machine time, and half as much in tokens."""
    return side(
        ndcg([0.25 + 0.5 * (at % 2) for at in range(30)]), cost(ms, "search", "machine time"), cost([5.0] * 30),
        times=[timings([ms, ms])], job=job, disturbance={"a": flag}, **other,
    )  # fmt: skip


def verdicts(found: Comparison) -> dict[str, str]:
    return {each.quantity: each.verdict for each in found.quantities}


def test_a_quiet_pair_is_judged() -> None:
    found = verdicts(compare(made(SLOW), made(FAST, job="two")))
    assert (found["latency_p50"], found["usd_per_1000_queries"]) == ("better", "better")


@pytest.mark.parametrize("busy", ["base", "candidate"])
def test_a_busy_machine_on_either_side_leaves_latency_and_money_by_the_hour_undecided(busy: str) -> None:
    """`compare` once called the quieter half hour 52 % better."""
    flags = {name: BUSY if name == busy else QUIET for name in ("base", "candidate")}
    found = compare(made(SLOW, flag=flags["base"]), made(FAST, job="two", flag=flags["candidate"]))
    latency = row(found, "latency_p50")
    assert (latency.verdict, latency.reason) == ("undecided", SAID.replace("base", busy))
    assert (latency.base, latency.more_queries, latency.p_holm) == (pytest.approx(21.0, abs=0.2), None, None)
    told = verdicts(found)
    assert told["usd_per_1000_queries"] == told["search.usd_per_1000_queries"] == "undecided"
    assert (told["inject.usd_per_1000_queries"], told["nDCG@10"]) == ("equivalent", "equivalent")
    assert found.notes[0] == f"Latency, and money that is billed by time, of a: {latency.reason}."


def test_a_gate_neither_fails_nor_holds_on_a_busy_machine() -> None:
    """A busy base hides a regression as well as a busy candidate feigns one."""
    for before, after in ((SLOW, FAST), (FAST, SLOW)):
        found = judged(made(before, flag=BUSY), made(after, job="two"), GATE, strict=True)
        assert found.gate is not None
        assert {each.gate for each in found.gate.gates} == {"undecided"}
        assert found.exit_code == 4
        assert found.gate.gates[0].message.endswith(f": {SAID}")


def test_rounds_that_disagree_say_nothing_of_two_jobs() -> None:
    found = row(compare(made(SLOW, flag=NOISY), made(FAST, job="two")), "latency_p50")
    assert found.verdict == "undecided"
    assert found.reason == "not judged: in the base the rounds' median latencies differ by 21% (bound 10%)"


def test_rounds_that_disagree_alike_in_one_job_are_judged_and_a_busy_machine_is_not() -> None:
    """Both sides answered by turns, so a slow round is slow on both."""
    assert row(compare(made(SLOW, flag=NOISY), made(FAST)), "latency_p50").verdict == "better"
    assert row(compare(made(SLOW, flag=BUSY), made(FAST)), "latency_p50").verdict == "undecided"


def test_a_baseline_keeps_what_reached_into_its_timings(tmp_path: Any) -> None:
    kept = baselines.read(baselines.save(made(SLOW, flag=BUSY), tmp_path / "kept"))
    assert row(compare(kept, made(FAST, job="two")), "latency_p50").reason == SAID


def test_a_baseline_of_an_older_version_has_its_noise_alone(tmp_path: Any) -> None:
    older = made(SLOW, noise={"a": 0.3})
    facts = {name: value for name, value in older.facts.items() if name != "disturbance"}
    kept = baselines.read(baselines.save(SideEvidence(**{**vars(older), "facts": facts}), tmp_path / "kept"))
    assert "differ by 30% (bound 10%)" in row(compare(kept, made(FAST, job="two")), "latency_p50").reason


def test_without_a_clock_no_note_is_about_latency() -> None:
    table = GATE.model_copy(update={"quantities": {**GATE.quantities, "nDCG@10": GateMargin(absolute=0.05)}})
    other = {
        "environment": {"cpu": "another", "cores": 2, "threads": 2, "python": "3.11.7", "gpu": None, "packages": {}}
    }
    sides = made(SLOW, flag=BUSY), made(FAST, job="two", **other)
    assert any("atency" in note for note in judged(*sides, table).notes)
    (note,) = judged(*sides, table, clock=False).notes
    assert note.startswith("Nothing that rests on a clock is gated, as was asked; left out: latency_p50")
    assert {each.blocks for each in judged(*sides, table, clock=False).differences} == {"nothing"}


def test_one_number_of_further_queries_stands_beside_a_gated_quantity() -> None:
    """The gate asks for the margin, the table of all for any difference: the gate's number stands in both."""
    after = side(ndcg([0.22 + 0.5 * (at % 2) + 0.2 * (at % 3) - 0.2 for at in range(30)]), job="two")
    before = side(ndcg([0.25 + 0.5 * (at % 2) for at in range(30)]))
    table = GateSettings(quantities={"nDCG@10": GateMargin(absolute=0.02)})
    found = judged(before, after, table)
    assert found.gate is not None
    (gate,) = found.gate.gates
    assert gate.gate == "undecided"
    assert gate.more_queries
    assert row(found, "nDCG@10").more_queries == gate.more_queries
