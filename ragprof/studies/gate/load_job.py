"""Both versions under load in one job: base, candidate and a second process of the base make every step, by turns.

All are asked at the same rates and by the same arrivals. The capacity is searched twice, once by what the base answers
and once by what the candidate does, and all make every trial; then the curve, in a shuffled order. How far the two
processes of the base differ is the machine's own noise. Writes <recording>/load/ of each side, as `ragprof load` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

from ragprof.core.clock import Progress
from ragprof.core.quantities import LOAD_RATES, LOAD_TAILS, Quantity, quantity
from ragprof.evals import EvalConfig, GateSettings
from ragprof.evals.load import LoadSettings
from ragprof.studies.gate.document import Noise
from ragprof.studies.gate.duel import SideName
from ragprof.studies.gate.loaded import load_noise
from ragprof.studies.load.capacity import estimate, is_hopeless, search
from ragprof.studies.load.kept import read_load
from ragprof.studies.load.measured import MeasuredStep
from ragprof.studies.load.record import ALONE, CALIBRATE, CAPACITY, CURVE, HTTP_CONCURRENCY, PROBES, SHARES, read_step


class LoadAsker(Protocol):
    """What a process of one side is asked."""

    def ask(self, verb: str, **given: Any) -> Any:
        """The reply to one request."""
        ...


def loaded_pipelines(gate: GateSettings, config: EvalConfig) -> tuple[str, ...]:
    """The pipelines that a gate wants under load, in the order of the eval."""
    named: set[str] = set()
    for label, margin in gate.quantities.items():
        if quantity(label).kind == "load":
            named.update(margin.pipelines or gate.pipelines or [each.name for each in config.pipelines])
    return tuple(each.name for each in config.pipelines if each.name in named)


def shared_settings(config: EvalConfig, pipelines: Sequence[str], eval_file: Path, *, sides: int) -> dict[str, Any]:
    """The candidate's [load], for each of so many sides: a base with another promise would have another capacity."""
    given: dict[str, Any] = config.load.model_dump(mode="json", exclude_unset=True)
    if config.load.trace is not None:
        given["trace"] = str((eval_file.parent / config.load.trace).resolve())
    if config.load.budget_usd is not None:
        given["budget_usd"] = str(config.load.budget_usd / sides)
    return {
        **given,
        "pipelines": list(pipelines),
        "without_reranker": False,
        "depths": [],
        "batching": [],
        "concurrency": [],
    }


class StepOfAll(Protocol):
    """A step that all sides make; nothing once the budget is spent."""

    def __call__(self, key: str, purpose: str, seconds: float, **how: Any) -> dict[SideName, MeasuredStep]: ...


@dataclass
class LoadJob:
    """One job over the processes of its sides; `places` are their recordings."""

    workers: Mapping[SideName, LoadAsker]
    places: Mapping[SideName, Path]
    settings: LoadSettings
    wanted: frozenset[str]
    """Names of the quantities that are gated: where none rests on the curve it is not made, nor is the search."""
    progress: Progress
    turn: int = 0
    spent: bool = False
    made: list[str] = field(default_factory=list)

    def run(self, pipelines: Sequence[str]) -> Noise:
        """Put load on each; pipeline -> quantity -> the noise of the machine."""
        for number, name in enumerate(pipelines):
            self.made = []
            self._pipeline(number, name)
        for worker in self.workers.values():
            worker.ask("write_load")
        known = {side: read_load(place / "load") for side, place in self.places.items()}
        return {name: dict(self._noise(known, name)) for name in pipelines} if "twin" in known else {}

    @staticmethod
    def _noise(known: Mapping[SideName, Mapping[str, Any]], name: str) -> Iterator[tuple[str, float]]:
        base, twin = known["base"].get(name), known["twin"].get(name)
        for each in (Quantity("load", "", name) for name in (*LOAD_RATES, *LOAD_TAILS)):
            if base is not None and twin is not None and (found := load_noise(base, twin, each)) is not None:
                yield each.label, found

    def _pipeline(self, number: int, name: str) -> None:
        settings, share = self.settings, self.settings.seconds

        def step(key: str, purpose: str, seconds: float, **how: Any) -> dict[SideName, MeasuredStep]:
            """Made by all sides, in an order that turns around every time; nothing once the budget is spent."""
            found: dict[SideName, MeasuredStep] = {}
            order = list(self.workers) if self.turn % 2 == 0 else list(self.workers)[::-1]
            self.turn += 1
            for side in order:
                asked = {"pipeline": name, "key": key, "purpose": purpose, "seconds": seconds, **how}
                if self.spent or not self.workers[side].ask("put_load", **asked):
                    self.spent = True
                    return {}
                place = self.places[side] / "load" / str(number)
                found[side] = MeasuredStep.of(*read_step(place, key), seed=settings.seed)
            return found

        alone = step("alone", "alone", ALONE * share, concurrency=1)
        hopeless = any(is_hopeless(each, settings.slo) for each in alone.values())
        rates, trials = list(settings.rates), dict[SideName, list[MeasuredStep]]({side: [] for side in self.workers})
        if alone and not hopeless and ("capacity" in self.wanted or not rates):
            found = self._capacities(step, trials, share)
            rates = rates or [part * min(found) for part in SHARES if found]
        if not self.wanted - {"capacity"}:
            return
        order = [(repeat, place) for repeat in range(settings.repeats) for place in range(len(rates))]
        Random(settings.seed).shuffle(order)
        for repeat, place in order:
            rate = rates[place] if settings.max_rate is None else min(rates[place], settings.max_rate)
            step(f"curve-{place}-{repeat}", "curve", CURVE * share / len(order), rate=rate)

    def _capacities(self, step: StepOfAll, trials: Mapping[SideName, list[MeasuredStep]], share: float) -> list[float]:
        """Search by the base's answers and by the candidate's, all sides in every trial; what was found of both."""
        settings = self.settings
        many = self.workers["base"].ask("load_workers") or HTTP_CONCURRENCY
        calibrated = step("calibrate", "calibrate", CALIBRATE * share, concurrency=many)
        if not calibrated:
            return []
        start = 0.7 * min(calibrated["base"].answered, calibrated["candidate"].answered)
        for leader in ("base", "candidate"):

            def trial(rate: float, seconds: float, leader: SideName = leader) -> MeasuredStep | None:
                made = step(f"capacity-{len(trials['base'])}", "capacity", seconds, rate=rate)
                for side, each in made.items():
                    trials[side].append(each)
                return made.get(leader)

            search(
                trial, settings.slo, start=max(0.02, start), most=settings.max_rate, seconds=CAPACITY * share / 2,
                trial_s=CAPACITY * share / PROBES,
            )  # fmt: skip
            start = estimate(trials["candidate"], settings.slo).rate or start
        rates = [estimate(trials[side], settings.slo).rate for side in ("base", "candidate")]
        return [rate for rate in rates if rate]
