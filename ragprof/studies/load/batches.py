"""What batching gains and what it costs: capacity over that of the same pipeline without, and what a question waits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp, hypot, log

from ragprof.report import figures
from ragprof.report.tables import Cell, Column, Table, figure
from ragprof.studies.load.section import LoadBatching, LoadCapacity, LoadSection, LoadStep, LoadTarget

UNKNOWN = ("never", "unknown", "at most")


def with_gains(targets: Sequence[LoadTarget]) -> list[LoadTarget]:
    """The same, each that batches compared with the one of its pipeline that does not."""
    plain = {each.pipeline: each for each in targets if each.name == each.pipeline}
    return [
        each
        if each.batching is None
        else each.model_copy(update={"batching": _gain(each, each.batching, plain.get(each.pipeline))})
        for each in targets
    ]


def _gain(own: LoadTarget, batching: LoadBatching, plain: LoadTarget | None) -> LoadBatching:
    if plain is None:
        return batching
    ratio, span = capacity_ratio(own.capacity, plain.capacity)
    waits = [step.p50.ns for target in (own, plain) for step in target.steps if step.purpose == "alone"]
    added = waits[0] - waits[1] if len(waits) == 2 and None not in waits else None  # type: ignore[operator]
    return batching.model_copy(update={"ratio": ratio, "ratio_interval": span, "added_p50_ns": added})


def capacity_ratio(own: LoadCapacity, other: LoadCapacity) -> tuple[float | None, tuple[float, float] | None]:
    """One over the other, which were measured apart; its interval from both of theirs. None where one is only a bound.

    MOVER on logarithms (Zou and Donner, Statistics in Medicine 27, 2008): the distances of the ends add in squares.
    """
    if not own.per_second or not other.per_second or {own.status, other.status} != {"found"}:
        return None, None
    ratio = own.per_second / other.per_second
    if not own.interval or not other.interval or min(own.interval[0], other.interval[0]) <= 0:
        return ratio, None
    down = hypot(log(own.per_second / own.interval[0]), log(other.interval[1] / other.per_second))
    up = hypot(log(own.interval[1] / own.per_second), log(other.per_second / other.interval[0]))
    return ratio, (ratio * exp(-down), ratio * exp(up))


SIGNS = {"at least": "\u2265 ", "at most": "< "}


def capacity_cell(found: LoadCapacity) -> Cell:
    """A capacity and its interval, or the bound that is known."""
    if found.per_second is None:
        never = found.status == "never"
        return Cell("none" if never else figures.ABSENT, tone="worse" if never else "absent")
    ends = figures.span(found.interval, figures.three_digits)
    told = f"{SIGNS.get(found.status, '')}{figures.three_digits(found.per_second)}"
    return figure(told, "" if ends == figures.ABSENT else ends)


def batching_words(targets: Sequence[LoadTarget]) -> Iterator[str]:
    """One sentence for each setting."""
    for target in targets:
        found = target.batching
        if found is None:
            continue
        how = (
            f"{target.pipeline} with up to {found.max_batch:,} questions a batch, gathered for {found.max_wait_ms:g} ms"
        )
        if found.ratio is None:
            yield f"{how}: what that changes is not known, as not both capacities were found."
            continue
        told = figures.with_interval(found.ratio, found.ratio_interval, figures.three_digits)
        low, high = found.ratio_interval or (0.0, float("inf"))
        unsure = "" if low > 1 or high < 1 else ", which these steps cannot tell from as many"
        waits = "" if found.added_p50_ns is None else (
            f"; one question alone takes {figures.duration(abs(found.added_p50_ns))} "
            f"{'longer' if found.added_p50_ns >= 0 else 'less'}"
        )  # fmt: skip
        yield f"{how}, answers {told} times as many at the promise as without{unsure}{waits}."


def batching_table(section: LoadSection) -> Table | None:
    """Off and on, a row each; None where nothing was batched."""
    batched = {each.pipeline for each in section.targets if each.batching is not None}
    rows = [each for each in section.targets if each.pipeline in batched and _is_compared(each)]
    if not rows:
        return None
    columns = {
        Column("Target", numeric=False): lambda one: Cell(one.name),
        Column("Workers"): lambda one: figure(figures.count(one.workers)),
        Column("Capacity", "a second"): lambda one: capacity_cell(one.capacity),
        Column("Capacity", "times that without"): _ratio,
        Column("p50", "one at a time"): lambda one: figure(figures.duration(_alone(one))),
        Column("p50", "added by batching"): lambda one: figure(
            figures.duration(one.batching.added_p50_ns) if one.batching else figures.ABSENT
        ),
        Column("Wait for a batch", "mean, highest rate kept"): lambda one: figure(
            figures.duration(None if (step := _kept(one)) is None else step.batch_ns)
        ),
        Column("Batch", "mean size there"): lambda one: figure(
            figures.three_digits(size) if (step := _kept(one)) and (size := step.batch_size) else figures.ABSENT
        ),
        Column("p95", "there"): lambda one: figure(figures.duration(None if (s := _kept(one)) is None else s.p95.ns)),
    }
    note = (
        "Questions of several workers gather before the embedder and the reranker and go through each in one call; "
        "the first waits for others as long as is set, one batch runs at a time, and the next gathers meanwhile. "
        "A target that batches has workers for two batches. Scores are those of one by one, within rounding."
    )
    return Table.of("load-batching", "Batching of questions: what it gains and what it costs", columns, rows, note)


def _is_compared(target: LoadTarget) -> bool:
    return target.batching is not None or target.name == target.pipeline


def _alone(target: LoadTarget) -> int | None:
    return next((step.p50.ns for step in target.steps if step.purpose == "alone"), None)


def _kept(target: LoadTarget) -> LoadStep | None:
    """The highest rate of the curve that did not break the promise."""
    curve = [each for each in target.steps if each.purpose == "curve" and each.keeps != "broken"]
    return max(curve, key=lambda each: each.offered, default=None)


def _ratio(target: LoadTarget) -> Cell:
    found = target.batching
    if found is None or found.ratio is None:
        return Cell(figures.ABSENT, tone="absent")
    ends = figures.span(found.ratio_interval, figures.three_digits)
    return figure(figures.three_digits(found.ratio), "" if ends == figures.ABSENT else ends)
