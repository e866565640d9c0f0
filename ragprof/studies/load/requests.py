"""What became of each request of a step: a row each, made before it is sent, so that none is lost or counted twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pandas as pd

from ragprof.core import STAGES
from ragprof.studies.load.arrivals import Times

OK, BUSY, ERROR, TIMED_OUT, UNREACHED, UNFINISHED = "ok", "busy", "error", "timeout", "unreached", "unfinished"
OUTCOMES: Final = (OK, BUSY, ERROR, TIMED_OUT, UNREACHED, UNFINISHED)
"""Busy is a 429 or 503; unreached: no connection, or one that broke; unfinished: not answered when the step was ended.
A time limit and the end of a step are no latency: the request took at least as long."""
BATCH, TOGETHER = "batch", "together"
RAN, WAITED = "ran", "waited"
"""Among the stages: ns that a request's worker was on a core, and was ready to run and had none."""
"""Among the stages of a request: ns that it waited for batches, and how many shared its last one."""
MOST_CLOSED, FASTEST = 2_000_000, 20_000
"""Requests of a closed loop at most, in all and a second."""
RECENT = 400
"""Requests that the display of a running step goes by."""


@dataclass(eq=False)
class StepLog:
    """Rows of one step, by the number of the request. Times in ns from the beginning of the step; -1 is not yet."""

    due: Times
    sent: Times = field(init=False)
    ended: Times = field(init=False)
    first: Times = field(init=False)
    late: Times = field(init=False)
    outcome: list[str] = field(init=False)
    stages: list[Mapping[str, int] | None] = field(init=False)
    retry_after: int = 0
    """Refusals that named a time to wait."""
    said: dict[str, int] = field(default_factory=dict)
    """What failures said, the first few kinds."""
    used: dict[str, int] = field(default_factory=dict)
    """What services counted for their answers, such as tokens."""
    done: int = 0
    failed: int = 0
    under_way: int = 0
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT))

    def __post_init__(self) -> None:
        n = len(self.due)
        self.sent, self.ended, self.first, self.late = (np.full(n, -1, np.int64) for _ in range(4))
        self.outcome, self.stages = [UNFINISHED] * n, [None] * n

    @classmethod
    def empty(cls, most: int | None, seconds: float) -> StepLog:
        """Room for a closed loop, of which nobody knows how many requests it will make."""
        return cls(np.zeros(most or round(min(MOST_CLOSED, FASTEST * seconds)), np.int64))

    def cut_to(self, many: int) -> None:
        """Keep so many rows."""
        for name in ("due", "sent", "ended", "first", "late"):
            setattr(self, name, getattr(self, name)[:many])
        self.outcome, self.stages = self.outcome[:many], self.stages[:many]

    def end(self, number: int, at: int, outcome: str, stages: Mapping[str, int] | None = None) -> None:
        """Write down how request `number` ended; a second end of one is a fault and raises."""
        if self.ended[number] >= 0:
            raise RuntimeError(f"request {number} ended twice")
        self.ended[number], self.outcome[number], self.stages[number] = at, outcome, stages
        self.done += 1
        self.failed += outcome != OK
        self.recent.append(at - int(self.due[number]))

    def complain(self, words: str) -> None:
        """Count what a failure said; of very many kinds the first stand for all."""
        key = words[:200] if words[:200] in self.said or len(self.said) < 5 else "(others)"
        self.said[key] = self.said.get(key, 0) + 1

    def table(self, query_ids: Sequence[str], cut: int) -> pd.DataFrame:
        """All rows due until `cut`; what had not ended by then is unfinished, with the time that it had taken."""
        kept = np.flatnonzero((self.due <= cut) | (self.sent >= 0)).tolist()
        ended = np.where(self.ended[kept] < 0, np.maximum(cut, self.due[kept]), self.ended[kept])
        columns: dict[str, Any] = {
            "query_id": [query_ids[number % len(query_ids)] for number in kept],
            "due_ns": self.due[kept],
            "ended_ns": ended,
            "outcome": [self.outcome[number] for number in kept],
        }
        for name, times in (("sent_ns", self.sent), ("first_ns", self.first), ("late_ns", self.late)):
            columns[name] = pd.Series(times[kept], dtype="Int64").mask(times[kept] < 0)
        seen = [self.stages[number] for number in kept]
        names = {f"{stage}_ns": stage for stage in [*STAGES, "other", BATCH, RAN, WAITED]} | {TOGETHER: TOGETHER}
        for column, name in names.items():
            values = [pd.NA if each is None else each.get(name, pd.NA) for each in seen]
            columns[column] = pd.array(values, "Int64")
        return pd.DataFrame(columns)


@dataclass(frozen=True)
class StepRun:
    """A step as it ran: its log, when it was cut off (ns from its beginning), and why, if not because it was over."""

    log: StepLog
    cut: int
    stopped: str = ""
