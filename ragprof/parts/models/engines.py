"""How untimed batches are computed on a CPU: which of a few engines, chosen by a short measurement on this machine.

Engines give the same numbers within rounding, so the choice changes what work takes and no result. It is kept in the
cache with the facts that it rests on (processor, cores, versions, model): a file that tells other facts, or that was
damaged, is not believed, and the engines are measured again. Only work that takes much longer than the measurement is
worth one.
"""

from __future__ import annotations

import json
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ragprof.core import environment
from ragprof.core.caches import digest
from ragprof.core.clock import Clock, now_ns
from ragprof.core.files import cache_folder, write_json

LOG = logging.getLogger("ragprof")
Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Engine:
    """One way to put batches through a model: so many at once, each of about so many tokens."""

    name: str
    model: Any
    at_once: int
    batch_tokens: int


BATCH_TOKENS, CORE_TOKENS = 2048, 512
"""Tokens of a batch that all cores compute together, and of one that a core computes alone."""
WORTH_MEASURING = 50
"""Batches on each core that are asked for before engines are measured, which takes six. Work comes in pieces; where so
much was asked for, more will be."""
LARGEST_DISTANCE = {"float32": 1e-4, "bfloat16": 0.1}
"""Of the outputs of a copy from those of the library's model, as a share of their length."""


class Engines:
    """The library's model, on which all work can be done, and a copy with layers of our own if there is one."""

    def __init__(self, library: Any, own: Any | None, *, what: Callable[[], str]) -> None:
        self._library, self._own, self._what = library, own, what
        self._fastest: str | None = None
        self._tokens = 0

    def ways(self) -> list[Engine]:
        """All of them, the likeliest to be fast first, the library's own model last."""
        import torch

        cores = torch.get_num_threads() if torch.device(self._library.device).type == "cpu" else 1
        library = Engine("the library's layers", self._library, 1, BATCH_TOKENS)
        together = library if self._own is None else Engine("packed layers", self._own, 1, BATCH_TOKENS)
        alone = replace(
            together, name=f"{together.name}, a batch on each core", at_once=cores, batch_tokens=CORE_TOKENS
        )
        return list(dict.fromkeys([*([alone] if cores > 1 else []), together, library]))

    def choose(self, lengths: Sequence[int], run: Callable[[Engine, list[int]], object]) -> Engine:
        """The one for texts of so many tokens each. For a measurement, `run` computes those at a few places."""
        ways = self.ways()
        sample = ways[0].at_once * CORE_TOKENS
        self._tokens += sum(lengths)
        if self._fastest is None and len(ways) > 1 and self._tokens >= WORTH_MEASURING * sample and lengths:
            places = sorted(range(len(lengths)), key=lambda place: -lengths[place])
            some = places[: max(1, sample // max(1, lengths[places[0]]))]
            self._fastest = fastest(ways, what=self._what(), run=lambda engine: run(engine, some)).name
        return next((engine for engine in ways if engine.name == self._fastest), ways[0])


def copy_of(make: Callable[[], Any], distance: Callable[[Any], float], *, most: float, name: str) -> Any:
    """The copy of a model that `make` makes, if it gives the same to within `most`; else None, and one line says so."""
    try:
        made = make()
        if (apart := distance(made)) <= most:
            return made
        problem = f"they give other numbers ({apart:.1e} apart)"
    except Exception as failure:  # whatever a model has that our layers do not know, or this build of torch lacks
        problem = f"{type(failure).__name__}: {failure}"
    LOG.warning("untimed work of %s runs on the library's layers instead of packed ones: %s", name, problem)
    return None


def fastest(engines: Sequence[Engine], *, what: str, run: Callable[[Engine], object], clock: Clock = now_ns) -> Engine:
    """The engine with which `run` takes the least time: the better of two runs of each, or what the cache knows.

    The choice is told in one line. `what` names the model and its numbers.
    """
    facts = {
        "what": what,
        "engines": [engine.name for engine in engines],
        "cpu": environment.cpu_name(),
        "threads": environment.torch_threads(),
        "packages": {name: environment.installed(name) for name in ("torch", "transformers")},
        "isa": os.environ.get("ONEDNN_MAX_CPU_ISA"),
    }
    path = cache_folder() / "engines" / f"{digest(json.dumps(facts)).hex()}.json"
    taken, origin = _kept(path, facts), "measured earlier on this machine"
    if taken is None:
        start = clock()
        rounds = [{engine.name: _took(run, engine, clock) for engine in engines} for _ in range(2)]
        taken = {name: min(each[name] for each in rounds) for name in rounds[0]}
        origin = f"measured in {(clock() - start) / 1e9:.1f} s and kept for this machine"
        write_json(path, {"facts": facts, "ns": taken})
    best = min(engines, key=lambda engine: taken[engine.name])
    LOG.info(
        "untimed work of %s runs on %s: %.2f times as fast as %s (%s)",
        what, best.name, taken[engines[-1].name] / taken[best.name], engines[-1].name, origin,
    )  # fmt: skip
    return best


def _took(run: Callable[[Engine], object], engine: Engine, clock: Clock) -> int:
    start = clock()
    run(engine)
    return max(1, clock() - start)


def _kept(path: Path, facts: Mapping[str, Any]) -> dict[str, int] | None:
    """What an earlier measurement took by engine; None where there is none that rests on the same facts."""
    if not path.exists():
        return None
    try:
        kept = json.loads(path.read_bytes())
        taken = {str(name): int(ns) for name, ns in kept["ns"].items()}
        if kept["facts"] == facts and taken.keys() == set(facts["engines"]) and min(taken.values()) > 0:
            return taken
        problem = "is of another machine"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        problem = "is damaged"
    LOG.warning("the kept choice of an engine %s; the engines are measured again (%s)", problem, path)
    return None


def in_turn(work: Callable[[Item], Made], items: Sequence[Item], *, at_once: int) -> Iterator[Made]:
    """Results in the order of the items, of which so many are worked on at once, by a thread each.

    Each of these threads computes alone: none of them waits for another within a layer, as torch's own threads do.
    Twice as many results at most are held.
    """
    import torch

    if at_once == 1 or len(items) < 2:
        yield from map(work, items)
        return
    threads = torch.get_num_threads()
    waiting: deque[Future[Made]] = deque()
    try:
        with ThreadPoolExecutor(min(at_once, len(items)), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) == 2 * at_once:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(threads)


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Places of the texts, longest first, in groups whose padded size stays within so many tokens."""
    places = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    start = 0
    while start < len(places):
        size = max(1, batch_tokens // max(1, lengths[places[start]]))
        yield places[start : start + size]
        start += size
