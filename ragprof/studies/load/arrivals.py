"""When requests are to arrive: intended times in ns from the beginning of a step, before anything is sent.

None of them waits for an answer, so that a stall delays all that would have come during it, and shows in their latency
(Schroeder, Wierman and Harchol-Balter, Open versus closed, NSDI 2006; Tene, How not to measure latency, 2013).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import floor
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ragprof.core.counting import counted
from ragprof.core.errors import BadInput

Times: TypeAlias = NDArray[np.int64]
Pattern: TypeAlias = Literal["poisson", "constant", "trace"]
HOURS = 24
FEWEST_TIMES = 10
"""A trace of fewer has no pattern."""


@dataclass(frozen=True)
class ArrivalTrace:
    """Times of arrival in s since 1970 (or since any moment), rising."""

    times_s: NDArray[np.float64]

    @property
    def gaps(self) -> NDArray[np.float64]:
        """Gaps between neighbours, with a mean of 1."""
        gaps = np.diff(self.times_s)
        return np.asarray(gaps / gaps.mean())

    def peak(self) -> float:
        """The busiest hour's rate over the mean rate, of the hours that it covers."""
        hours = ((self.times_s - self.times_s[0]) // 3600).astype(int)
        counts = np.bincount(hours)
        span = max(1.0, float(self.times_s[-1] - self.times_s[0]) / 3600)
        return max(1.0, float(counts.max()) * span / len(self.times_s))


def read_trace(path: Path) -> ArrivalTrace:
    """Read times of arrival, one a line: seconds, or times as ISO 8601 writes them. Raises BadInput with the line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as failure:
        raise BadInput(f"cannot read this trace: {failure}; name a text file with a time a line", file=path) from None
    found = []
    for number, line in enumerate(lines, start=1):
        if word := line.strip().strip('"'):
            try:
                found.append(_seconds(word))
            except (ValueError, OverflowError):
                raise BadInput(
                    f"'{word[:40]}' is no time; write seconds, or a time like 2026-11-30T14:05:09.250Z, one a line",
                    file=path,
                    line=number,
                ) from None
    times = np.array(sorted(found))
    if len(times) < FEWEST_TIMES or times[-1] == times[0]:
        same = " and all are the same" if len(times) > 1 and times[-1] == times[0] else ""
        raise BadInput(
            f"it has {counted(len(times), 'time')}{same}; a pattern needs at least {FEWEST_TIMES}", file=path
        )
    return ArrivalTrace(times)


def _seconds(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        return datetime.fromisoformat(word).timestamp()
    if not np.isfinite(value):
        raise ValueError
    return value


def arrivals(
    pattern: Pattern, rate: float, seconds: float, *, seed: tuple[int, ...], trace: ArrivalTrace | None = None
) -> Times:
    """Return the intended times of a step in ns, rising; at least one. The number of a Poisson process is random.

    Where none would fall within the step, one does near its end: nobody waits for it longer than the step lasts.
    """
    rng = np.random.default_rng(seed)
    if pattern == "constant":
        times = np.arange(max(1, floor(rate * seconds))) / rate
    elif pattern == "trace" and trace is not None:
        # From a random place on, as often as it takes: the pattern of a day is kept, its rate is set.
        gaps, start = trace.gaps / rate, int(rng.integers(len(trace.gaps)))
        many = int(np.ceil(rate * seconds / len(gaps))) + 2
        times = np.cumsum(np.tile(np.roll(gaps, -start), many))
    else:
        many = int(rate * seconds + 10 * np.sqrt(rate * seconds) + 20)
        times = np.cumsum(rng.exponential(1 / rate, many))
    kept = times[times < seconds]
    return np.asarray((kept if len(kept) else np.minimum(times[:1], 0.9 * seconds)) * 1e9, np.int64)
