"""How often a latency gate cries wolf, and how often it finds a slowdown: on a simulated machine and on this one.

    python evals/performance/gates.py simulated
    python evals/performance/gates.py real EVAL.toml --corpus DIR --pipeline NAME --jobs 20 [--slowdown 0.1]

A job is what `ragprof gate --against` does: base against itself first, then base and candidate by turns until every
gate is decided or the time is spent. The simulated machine has slow and fast queries, a drifting speed, spikes, and
processes that differ by chance. The real candidate is the same pipeline, with its reranker slowed by a stated share
(the plugin `slowed`) where that is asked. Printed: alarms of so many jobs, with Clopper and Pearson's 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ragprof.core.clock import Silent
from ragprof.corpus import find
from ragprof.evals import GateMargin, GateSettings, read_eval
from ragprof.session.gating import gate
from ragprof.studies.gate import duel
from ragprof.studies.gate.looks import LookLevel, learned, told, undecided, watched

GATES = {"rerank.latency_p50": "p50 of reranking", "rerank.latency_p95": "p95 of reranking"}


@dataclass
class Machine:
    """Durations of a pipeline that reranks, and a clock that they move. All shares are standard deviations of logs."""

    seed: int
    slowdown: float = 0.0
    typical_ms: float = 200.0
    of_queries: float = 0.20
    of_processes: float = 0.01
    of_drift: float = 0.08
    drift_seconds: float = 5.0
    of_noise: float = 0.03
    spikes: float = 0.02
    now: int = 0
    drift: float = 0.0
    processes: dict[str, float] = field(default_factory=dict)
    queries: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def clock(self) -> int:
        return self.now

    def ask(self, side: str, _pipeline: str, query_id: str, *, phase: str, number: int) -> Mapping[str, int]:
        process = self.processes.setdefault(side, float(self.random.normal(0, self.of_processes)))
        query = self.queries.setdefault(query_id, float(self.random.normal(0, self.of_queries)))
        log = query + process + self.drift + float(self.random.normal(0, self.of_noise))
        if self.random.random() < self.spikes:
            log += float(self.random.uniform(0.2, 1.0))
        rerank = self.typical_ms * math.exp(log) * (1 + (self.slowdown if side == "candidate" else 0.0))
        other = 0.05 * self.typical_ms * math.exp(self.drift + float(self.random.normal(0, 0.1)))
        self._pass((rerank + other) / 1_000)
        return {"query": int(1e6 * (rerank + other)), "search": int(1e6 * other), "rerank": int(1e6 * rerank)}

    def _pass(self, seconds: float) -> None:
        """The drift forgets itself exponentially."""
        kept = math.exp(-seconds / self.drift_seconds)
        self.drift = kept * self.drift + float(self.random.normal(0, self.of_drift * math.sqrt(1 - kept**2)))
        self.now += int(1e9 * seconds)


def simulated_job(machine: Machine, table: GateSettings) -> tuple[list[str], int, float]:
    """The verdict of each gate, the looks and the seconds of one job."""
    gates = watched(table, {"reranked": ("search", "rerank")})
    queries = [f"q{number}" for number in range(160)]
    plan = duel.plan_duel(
        machine.ask, ["reranked"], queries, seconds=table.budget_seconds, looks=table.looks, clock=machine.clock
    )
    level = LookLevel(table.alpha, plan.looks, len(gates), 0)
    outcome = duel.run_duel(
        machine.ask,
        plan,
        learn=partial(learned, seed=0),
        judge=lambda base, candidate, noise, _: undecided(
            gates, told(base, candidate, gates, noise=noise, level=level)
        ),
        progress=Silent(),
        seconds=table.budget_seconds,
        clock=machine.clock,
    )
    final = told(outcome.base, outcome.candidate, gates, noise=outcome.noise, level=level)
    return final, outcome.looks, machine.now / 1e9


def simulated(arguments: argparse.Namespace) -> None:
    """Equal sides with and without a margin, and slowed ones, in quiet and in noisy surroundings."""
    print(f"{arguments.jobs} simulated jobs each, {arguments.seconds:.0f} s at most; regressions with 95 % interval")
    for surroundings, drift in (("quiet", 0.03), ("noisy", 0.15)):
        for margin, slowdown in ((0.0, 0.0), (0.05, 0.0), (0.05, 0.1)):
            quantities = {label: GateMargin(relative=margin) for label in GATES}
            table = GateSettings(quantities=quantities, budget_seconds=arguments.seconds)
            machines = (Machine(seed, slowdown, of_drift=drift) for seed in range(arguments.jobs))
            jobs = [simulated_job(machine, table) for machine in machines]
            alarms = {"any": sum("regression" in verdicts for verdicts, _, _ in jobs)}
            for place, label in enumerate(GATES):
                alarms[label[-3:]] = sum(verdicts[place] == "regression" for verdicts, _, _ in jobs)
            print(
                f"{surroundings}, margin {margin:.0%}, {slowdown:.0%} slower: "
                + "; ".join(f"{name} {share(found, len(jobs))}" for name, found in alarms.items())
                + f"; median {np.median([seconds for _, _, seconds in jobs]):.0f} s",
                flush=True,
            )


def share(found: int, of: int) -> str:
    ends = stats.binomtest(found, of).proportion_ci(0.95)
    return f"{found} of {of} = {found / of:.1%} [{ends.low:.1%}, {ends.high:.1%}]"


def real(arguments: argparse.Namespace) -> None:
    """Whole jobs on this machine, in processes of their own."""
    with tempfile.TemporaryDirectory() as place:
        base, candidate = written(arguments, Path(place))
        jobs = [job(base, candidate, Path(place) / "out", arguments.corpus) for _ in range(arguments.jobs)]
    for label in [*GATES, "any gate"]:
        alarms = sum(label in found or (label == "any gate" and bool(found)) for found, _ in jobs)
        print(f"{label}: regression in {share(alarms, len(jobs))}")
    spent = [facts["spent_seconds"] for _, facts in jobs]
    print(f"seconds of live queries: median {np.median(spent):.0f}, most {max(spent):.0f}")


def job(base: Path, candidate: Path, out: Path, corpus: Path | None) -> tuple[set[str], dict[str, Any]]:
    """Which quantities were told to be worse, and the facts of the job."""
    document = gate(candidate, against=str(base), corpus=corpus, out=out).document
    rows = document["gate"]["gates"]
    told = {row["quantity"] for row in rows if row["gate"] == "regression"}
    figures = ", ".join(f"{row['quantity'].removeprefix('rerank.latency_')} {described(row)}" for row in rows)
    facts: dict[str, Any] = document["against"]
    print(f"{figures}; {facts['looks']} looks, {facts['queries']} queries, {facts['spent_seconds']:.0f} s", flush=True)
    return told, facts


def described(row: Mapping[str, Any]) -> str:
    if row["relative_interval"] is None:
        return f"{row['relative']:+.1%}, no interval, {row['gate']}"
    low, high = row["relative_interval"]
    noise = "unknown" if row["noise"] is None else f"{row['noise']:.1%}"
    return f"{row['relative']:+.1%} [{low:+.1%}, {high:+.1%}] noise {noise} {row['gate']}"


def written(arguments: argparse.Namespace, place: Path) -> tuple[Path, Path]:
    """The two eval files: one pipeline of the given eval, and the same with its reranker slowed."""
    config = read_eval(arguments.eval).model_dump(mode="json", exclude_unset=True)
    (chosen,) = [each for each in config["pipelines"] if each["name"] == arguments.pipeline]
    own = chosen["reranker"]
    slowed = {"name": "slowed", "reranker": own, "share": arguments.slowdown}
    paths = []
    for side, reranker in (("base", own), ("candidate", slowed if arguments.slowdown else own)):
        path = place / f"{side}.toml"
        path.write_text(toml(arguments, {**chosen, "reranker": reranker}), encoding="utf-8")
        paths.append(path)
    return paths[0], paths[1]


def toml(arguments: argparse.Namespace, pipeline: Mapping[str, Any]) -> str:
    corpus = read_eval(arguments.eval).corpus
    evaluation = read_eval(arguments.eval).evaluation
    near = arguments.eval.resolve().parent
    lines = ['name = "gates"', 'metrics = ["nDCG@10"]']
    if arguments.corpus is None:
        recipe = None if corpus.recipe is None else str(find(corpus.recipe, near=arguments.eval).resolve())
        found = {"recipe": recipe, "path": None if corpus.path is None else str(near / corpus.path)}
        lines += ["[corpus]", *(f"{key} = {json.dumps(value)}" for key, value in found.items() if value is not None)]
        asked = {"queries": evaluation.queries, "qrels": evaluation.qrels}
        lines += [
            "[evaluation]",
            *(f"{key} = {json.dumps(str(near / value))}" for key, value in asked.items() if value),
        ]
    lines += ["[gate]", f"budget_seconds = {arguments.seconds}", "[gate.quantities]"]
    chosen = [label for label in GATES if label[-3:] in (arguments.quantile or ("p50", "p95"))]
    lines += [f"{json.dumps(label)} = {{ relative = {arguments.margin} }}" for label in chosen]
    lines += ["[[pipelines]]", *(f"{key} = {inline(value)}" for key, value in pipeline.items() if value is not None)]
    return "\n".join(lines) + "\n"


def inline(value: Any) -> str:
    """A value as TOML writes it on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {inline(inner)}" for key, inner in value.items() if inner is not None) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(inline(inner) for inner in value) + "]"
    return json.dumps(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True)
    imagined = kinds.add_parser("simulated")
    imagined.set_defaults(run=simulated)
    genuine = kinds.add_parser("real")
    genuine.set_defaults(run=real)
    genuine.add_argument("eval", type=Path)
    genuine.add_argument("--corpus", type=Path)
    genuine.add_argument("--pipeline", required=True)
    genuine.add_argument("--slowdown", type=float, default=0.0)
    genuine.add_argument("--margin", type=float, default=0.05)
    genuine.add_argument("--quantile", choices=["p50", "p95"], action="append")
    for each, jobs, seconds in ((imagined, 200, 300.0), (genuine, 20, 60.0)):
        each.add_argument("--jobs", type=int, default=jobs)
        each.add_argument("--seconds", type=float, default=seconds)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
