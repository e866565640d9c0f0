"""The order in which two sides are asked, how much of the time is laid out, and when a duel ends. Nothing is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
import pytest

from ragprof.core.clock import Silent
from ragprof.studies.gate.document import InterleavedJob, Noise
from ragprof.studies.gate.duel import ITSELF, TIMED, DuelOutcome, DuelPlan, SideName, plan_duel, run_duel, told, turns
from ragprof.studies.gate.evidence import TIMES

MS = 1_000_000
QUERIES = tuple(f"q{number:03d}" for number in range(100))
LETTERS: Mapping[SideName, str] = {"base": "A", "candidate": "B", "twin": "T"}


@dataclass
class Machine:
    """A machine of the test's own: each query takes so many ms of a clock that nothing else moves."""

    ms: Mapping[str, int] = field(default_factory=dict)
    asked: list[tuple[SideName, str, str, str, int]] = field(default_factory=list)
    now: int = 0

    def ask(self, side: SideName, pipeline: str, query_id: str, *, phase: str, number: int) -> Mapping[str, int]:
        self.asked.append((side, pipeline, query_id, phase, number))
        taken = self.ms.get(pipeline, 1) * MS
        self.now += taken
        return {"query": taken, "search": taken // 2}

    def clock(self) -> int:
        return self.now

    def timed(self, phase: str = TIMED) -> list[tuple[SideName, str, str, int]]:
        return [(side, name, query, number) for side, name, query, told, number in self.asked if told == phase]


@dataclass
class Referee:
    """Says which pipelines are undecided, as it was told to, a look at a time, and notes what it was shown."""

    undecided: Sequence[Collection[str]]
    looks: list[tuple[int, int, Noise, int]] = field(default_factory=list)

    def judge(self, base: pd.DataFrame, other: pd.DataFrame, noise: Noise, looks: int) -> Collection[str]:
        self.looks.append((len(base), len(other), noise, looks))
        return self.undecided[min(len(self.looks), len(self.undecided)) - 1]


def silent(base: pd.DataFrame, twin: pd.DataFrame) -> Noise:
    return {}


def plan(*pipelines: str, queries: int = 4, rounds: int = 2, looks: int = 3) -> DuelPlan:
    return DuelPlan(pipelines or ("p",), QUERIES[:queries], rounds, looks)


def duel(
    machine: Machine, laid_out: DuelPlan, *undecided: Collection[str], seconds: float = 1_000
) -> tuple[DuelOutcome, Referee]:
    referee = Referee(undecided or [()])
    found = run_duel(
        machine.ask, laid_out, learn=silent, judge=referee.judge, progress=Silent(),
        seconds=seconds, clock=machine.clock,
    )  # fmt: skip
    return found, referee


def letters(machine: Machine, phase: str = TIMED) -> str:
    return "".join(LETTERS[side] for side, *_ in machine.timed(phase))


def test_the_sides_are_asked_a_b_then_b_a() -> None:
    machine = Machine()
    duel(machine, plan(queries=3, rounds=2, looks=1))
    assert letters(machine) == "ABBAAB" + "BAABBA"


def test_a_query_that_one_side_answered_first_is_the_other_sides_first_in_the_next_round() -> None:
    assert list(turns(["x", "y"], 0)) == [("x", (0, 1)), ("y", (1, 0))]
    assert list(turns(["x", "y"], 1)) == [("x", (1, 0)), ("y", (0, 1))]


def test_both_sides_get_every_query_as_often_and_as_often_first() -> None:
    machine = Machine()
    duel(machine, plan("p", "r", queries=5, rounds=4, looks=1))
    asked = machine.timed()
    times = Counter((side, name, query) for side, name, query, _ in asked)
    assert set(times) == {
        (side, name, query) for side in ("base", "candidate") for name in "pr" for query in QUERIES[:5]
    }
    assert set(times.values()) == {4}
    first = Counter((side, name, query) for side, name, query, _ in asked[::2])
    assert set(first.values()) == {2}
    assert [entry[1:] for entry in asked[::2]] == [entry[1:] for entry in asked[1::2]]


def test_pipelines_go_by_turns_and_begin_with_another_in_the_next_round() -> None:
    machine = Machine()
    duel(machine, plan("x", "y", "z", queries=1, rounds=3, looks=1))
    assert "".join(name for _, name, _, _ in machine.timed()[::2]) == "xyz" + "zxy" + "yzx"


def test_both_tables_hold_what_each_side_took_by_stage() -> None:
    found, _ = duel(Machine({"p": 6}), plan(queries=2, rounds=2, looks=1))
    for table in (found.base, found.candidate):
        assert tuple(table.columns) == TIMES
        assert table["stage"].tolist() == ["query", "search"] * 4
        assert table["duration_ns"].tolist() == [6 * MS, 3 * MS] * 4
        assert table["round"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
        assert table["query_id"].tolist() == ["q000", "q000", "q001", "q001"] * 2


def test_a_duel_ends_with_the_look_that_decides_all() -> None:
    machine = Machine()
    found, referee = duel(machine, plan("p", "r", looks=4))
    assert (found.looks, found.rounds) == (1, 2)
    assert len(referee.looks) == 1
    assert len(machine.timed()) == 2 * 2 * 2 * 4


def test_only_an_undecided_pipeline_is_asked_again() -> None:
    machine = Machine()
    found, _ = duel(machine, plan("p", "r", looks=4), ["p", "r"], ["p"], [])
    assert (found.looks, found.rounds) == (3, 6)
    rounds = Counter((name, number) for _, name, _, number in machine.timed())
    assert rounds == {("p", number): 8 for number in range(6)} | {("r", number): 8 for number in range(4)}


def test_undecided_to_the_end_ends_with_the_last_look() -> None:
    found, referee = duel(Machine(), plan(queries=4, rounds=2, looks=3), ["p"])
    assert (found.looks, found.rounds) == (3, 6)
    assert [seen[:2] for seen in referee.looks] == [(16, 16), (32, 32), (48, 48)]
    assert {seen[3] for seen in referee.looks} == {3}


def test_the_noise_is_learned_from_the_base_against_itself_before_any_look() -> None:
    machine, heard = Machine({"p": 4}), []
    referee = Referee([()])

    def learn(base: pd.DataFrame, twin: pd.DataFrame) -> Noise:
        heard.append((len(base), len(twin), len(machine.timed())))
        return {"p": {"latency_p50": 0.03}}

    found = run_duel(
        machine.ask, plan(queries=4, rounds=2), learn=learn, judge=referee.judge, progress=Silent(),
        seconds=1_000, clock=machine.clock,
    )  # fmt: skip
    assert heard == [(16, 16, 0)]
    assert letters(machine, ITSELF) == "ATTAATTA" + "TAATTAAT"
    assert {side for side, *_ in machine.timed()} == {"base", "candidate"}
    assert found.noise == {"p": {"latency_p50": 0.03}}
    assert referee.looks == [(16, 16, {"p": {"latency_p50": 0.03}}, 3)]
    assert len(found.base) == len(found.candidate) == 16


def test_the_warm_up_asks_all_three_processes_and_is_forgotten() -> None:
    machine = Machine()
    plan_duel(machine.ask, ["p", "r"], QUERIES, seconds=10, looks=4, clock=machine.clock)
    warm = Counter((side, name) for side, name, *_ in machine.timed("warm"))
    assert warm == {(side, name): 3 for side in ("base", "candidate", "twin") for name in "pr"}
    assert len(machine.asked) == 18


@pytest.mark.parametrize(
    ("ms", "seconds", "looks", "expected"),
    [
        (10, 60.0, 4, (100, 4, 4)),
        (10, 24.0, 4, (100, 2, 4)),
        (10, 600.0, 4, (100, 10, 4)),
        (10, 10.0, 4, (43, 2, 4)),
        (10, 1.3, 4, (8, 2, 2)),
        (10, 0.7, 4, (8, 2, 1)),
        (1_000, 1.0, 4, (8, 2, 1)),
    ],
    ids=["rounds", "all", "most", "fewer-queries", "fewer-looks", "last-look", "never-none"],
)
def test_a_plan_is_as_large_as_its_time(ms: int, seconds: float, looks: int, expected: tuple[int, int, int]) -> None:
    machine = Machine({"p": ms})
    laid_out = plan_duel(machine.ask, ["p"], QUERIES, seconds=seconds, looks=looks, clock=machine.clock)
    assert (len(laid_out.queries), laid_out.rounds, laid_out.looks) == expected
    assert laid_out.queries == QUERIES[: expected[0]]


@pytest.mark.parametrize("pipelines", [["p"], ["p", "slow"]])
@pytest.mark.parametrize("seconds", [5.0, 20.0, 60.0, 300.0])
def test_even_an_undecided_duel_keeps_to_its_time(pipelines: list[str], seconds: float) -> None:
    machine = Machine({"p": 5, "slow": 30})
    laid_out = plan_duel(machine.ask, pipelines, QUERIES, seconds=seconds, looks=4, clock=machine.clock)
    start = machine.now
    duel(machine, laid_out, pipelines)
    assert (machine.now - start) / 1e9 <= seconds


@pytest.mark.parametrize(("seconds", "looks"), [(0.001, 1), (0.051, 1), (0.052, 2), (0.067, 2), (0.068, 3), (1.0, 4)])
def test_another_look_is_begun_where_half_of_it_is_within_the_time(seconds: float, looks: int) -> None:
    """Four queries in two rounds at 1 ms a side: the noise and each look take 16 ms, the first answers 12."""
    machine = Machine()
    found, _ = duel(machine, plan(queries=4, rounds=2, looks=4), ["p"], seconds=seconds)
    assert found.looks == looks
    assert machine.now == (12 + (1 + looks) * 16) * MS


def test_a_look_at_fewer_pipelines_needs_less_time() -> None:
    """Of two pipelines at 1 ms, 32 ms a look, one is left: 16 ms are half begun at 88 ms where 96 are given."""
    for seconds, looks in ((0.095, 1), (0.096, 2)):
        assert duel(Machine(), plan("p", "r", looks=4), ["p"], seconds=seconds)[0].looks == looks


def test_queries_that_take_longer_than_the_warm_up_told_do_not_multiply_the_time() -> None:
    """One query in five takes twenty times as long, and none of those that warm up."""

    @dataclass
    class Heavy(Machine):
        def ask(self, side: SideName, pipeline: str, query_id: str, *, phase: str, number: int) -> Mapping[str, int]:
            taken = super().ask(side, pipeline, query_id, phase=phase, number=number)
            self.now += 19 * taken["query"] if int(query_id[1:]) % 5 == 4 else 0
            return taken

    machine = Heavy({"p": 10})
    laid_out = plan_duel(machine.ask, ["p"], QUERIES, seconds=20, looks=4, clock=machine.clock)
    start = machine.now
    found, _ = duel(machine, laid_out, ["p"], seconds=20)
    assert (laid_out.looks, found.looks) == (4, 1)
    first_noise_and_look = 3 + 2 * 2 * 2
    assert (machine.now - start) / 1e9 == pytest.approx(first_noise_and_look * 0.01 * (86 + 17 * 19))


def test_a_small_set_of_questions_is_asked_whole() -> None:
    machine = Machine()
    laid_out = plan_duel(machine.ask, ["p"], QUERIES[:3], seconds=60, looks=2, clock=machine.clock)
    assert (laid_out.queries, laid_out.rounds, laid_out.looks) == (QUERIES[:3], 10, 2)


def test_the_facts_tell_looks_taken_from_looks_allowed() -> None:
    laid_out = plan(queries=4, rounds=2, looks=3)
    found, _ = duel(Machine(), laid_out)
    assert told(found, laid_out, seconds=60.0, spent_seconds=1.2345) == InterleavedJob(
        budget_seconds=60.0,
        spent_seconds=1.2,
        looks=1,
        looks_allowed=3,
        rounds=2,
        queries=4,
        noise={},
    )


def test_a_query_that_fails_on_a_side_is_left_out_of_both_and_not_asked_again() -> None:
    class Failing(Machine):
        def ask(self, side: SideName, pipeline: str, query_id: str, *, phase: str, number: int) -> Mapping[str, int]:
            taken = super().ask(side, pipeline, query_id, phase=phase, number=number)
            fails = side == "candidate" and query_id == "q001" and phase == TIMED and number == 1
            return {} if fails else taken

    machine = Failing()
    found, _ = duel(machine, plan(queries=3, rounds=2, looks=2), {"p"}, ())
    assert set(found.base["query_id"]) == set(found.candidate["query_id"]) == {"q000", "q002"}
    assert len(found.base) == len(found.candidate)
    assert found.failed == (("p", "q001"),)
    assert [number for _, _, query, number in machine.timed() if query == "q001"] == [0, 0, 1, 1]
    assert told(found, plan(queries=3), seconds=1, spent_seconds=1).failed == {"p": 1}
