"""How far forecasts can be trusted: curves of which the larger half is held back, against what was measured there.

    python evals/performance/forecasts.py RECORDING [RECORDING ...]

A recording is the folder of `ragprof grow`, such as of evals/forecasts.toml. Of each curve (a quantity of a pipeline)
the models see the sizes up to half of the largest alone, and say what the largest will show. Printed are the share of
95% intervals that hold what was measured, the width of an interval as a share of its value, the median error, and how
many curves had no forecast at that size.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from ragprof.core.errors import BadInput, RagprofError
from ragprof.studies.growth.data import GrowthData, read_growth
from ragprof.studies.growth.extrapolation import forecast_sum
from ragprof.studies.growth.forecasts import MeasuredSeries, measured_series


@dataclass(frozen=True)
class HeldBack:
    """A curve and what was said of its largest size; `value` and `interval` are None where nothing was."""

    recording: str
    pipeline: str
    quantity: str
    model: str
    step: float
    """The largest size over the largest that the model saw."""
    measured: float
    value: float | None
    interval: tuple[float, float] | None
    reason: str

    @property
    def holds(self) -> bool:
        return self.interval is not None and self.interval[0] <= self.measured <= self.interval[1]

    @property
    def width(self) -> float:
        """Of the interval, as a share of the value."""
        return (self.interval[1] - self.interval[0]) / self.value if self.interval and self.value else float("nan")

    @property
    def error(self) -> float:
        return abs(self.value - self.measured) / self.measured if self.value is not None else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("recordings", nargs="+", type=Path, metavar="RECORDING")
    parser.add_argument("--each", action="store_true", help="print every curve")
    options = parser.parse_args()
    found = [one for folder in options.recordings for one in held_back(folder)]
    console = Console()
    if options.each:
        for one in found:
            sys.stdout.write(line(one) + "\n")
    console.print(summary(found))


def held_back(folder: Path) -> Iterator[HeldBack]:
    """Every curve of a recording. Raises BadInput where there is no growth recording, or too few sizes in it."""
    data = read_growth(folder)
    seen = sum(size <= data.sizes()[-1] / 2 for size in data.sizes())
    if seen < 4:
        raise BadInput(
            f"{seen} sizes up to half of the largest; grow with more points or from a smaller size", file=folder
        )
    for name in data.names:
        for series in measured_series(data.read(name)):
            yield judged(folder.name, data, name, series, seen)


def judged(recording: str, data: GrowthData, pipeline: str, series: MeasuredSeries, seen: int) -> HeldBack:
    sizes = data.sizes()
    parts = [replace(part, means=part.means[:seen], replicates=part.replicates[:, :seen]) for part in series.parts]
    answer = forecast_sum(sizes[:seen], parts, targets=sizes[-1:], bounds=series.bounds)
    (said,) = answer["at"] or [{"value": None, "interval": None}]
    measured = float(sum(part.means[-1] for part in series.parts))
    told = {"measured": measured, "value": said["value"], "reason": answer["reason"]}
    interval = tuple(said["interval"]) if said["interval"] else None
    step = sizes[-1] / sizes[seen - 1]
    return HeldBack(recording, pipeline, series.quantity, answer["model"], step, interval=interval, **told)


def summary(found: Sequence[HeldBack]) -> Table:
    """A row a quantity, and one for all."""
    steps = [one.step for one in found]
    shown = Table(title=f"forecasts {min(steps):.1f} to {max(steps):.1f} times beyond the largest size that was seen")
    for heading in ("quantity", "curves", "forecast", "interval holds", "median width", "median error"):
        shown.add_column(heading, justify="left" if heading == "quantity" else "right")
    for quantity in (*dict.fromkeys(one.quantity for one in found), "all"):
        mine = [one for one in found if quantity in (one.quantity, "all")]
        told = [one for one in mine if one.interval]
        shares = (
            (f"{sum(one.holds for one in told)} of {len(told)}", f"{median(one.width for one in told):.0%}")
            if told
            else ("", "")
        )
        error = f"{median(one.error for one in told):.1%}" if told else ""
        shown.add_row(quantity, str(len(mine)), str(len(told)), *shares, error)
    return shown


def line(one: HeldBack) -> str:
    """A curve in a line, as values go by tab into a spreadsheet."""
    said = one.reason if one.interval is None else f"{one.value:.4g}\t{one.interval[0]:.4g}\t{one.interval[1]:.4g}"
    verdict = "" if one.interval is None else "holds" if one.holds else "misses"
    return "\t".join((one.recording, one.pipeline, one.quantity, one.model, f"{one.measured:.4g}", said, verdict))


if __name__ == "__main__":
    try:
        main()
    except RagprofError as error:
        sys.exit(f"forecasts.py: {error}")
