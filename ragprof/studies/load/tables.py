"""A load section in the report and on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragprof.report import figures
from ragprof.report.blocks import Block, Folded, ReportPart, Sentences
from ragprof.report.tables import Cell, Column, Table, Tone, figure, group
from ragprof.studies.contract import Context
from ragprof.studies.load.batches import batching_table, capacity_cell
from ragprof.studies.load.economics import busiest_words
from ragprof.studies.load.measured import needed
from ragprof.studies.load.own_or_api import api_table
from ragprof.studies.load.prefix_costs import prefix_table
from ragprof.studies.load.providers import providers_table
from ragprof.studies.load.section import LoadQuantile, LoadSection, LoadStep, LoadTarget
from ragprof.studies.load.words import DAY, promise_words

if TYPE_CHECKING:
    from rich.console import RenderableType

TONES: dict[str, Tone] = {"kept": "better", "broken": "worse", "undecided": "undecided"}
KINDS = {
    "threads": "worker threads in this process", "processes": "worker processes",
    "app": "your own code, on worker threads in this process",
    "http": "a service behind HTTP",
}  # fmt: skip


def show(section: LoadSection, _context: Context) -> list[ReportPart]:
    """One part: the answer in sentences, drawn, and in figures."""
    from ragprof.studies.load import charts

    blocks: list[Block] = [
        Sentences(section.statements),
        charts.latency_against_rate(section),
        charts.stages_against_rate(section),
        capacity_table(section),
        batching_table(section),
        charts.own_or_api_chart(section),
        api_table(section),
        providers_table(section),
        prefix_table(section),
        Folded(steps_table(section)),
        Folded(stages_table(section)),
    ]
    return [ReportPart("load", "Under load", blocks, link="Load")]


def basis(section: LoadSection) -> str:
    """How it was measured."""
    kinds = figures.listed([KINDS[kind] for kind in dict.fromkeys(each.kind for each in section.targets)])
    pattern = {"poisson": "a Poisson process", "constant": "equal gaps", "trace": "the pattern of a trace"}
    return (
        f"Open loop: requests come by {pattern[section.arrivals]} and wait for no answer; latency counts from when "
        f"each was due. Asked: {kinds}; {figures.counted(section.workers, 'worker')}, "
        f"{figures.counted(section.cores, 'core')}; {figures.counted(section.queries, 'question')} in turn. "
        "95% intervals by blocks of time."
    )


def _quantile(found: LoadQuantile) -> Cell:
    ends = figures.span(found.interval_ns, figures.duration)
    return figure(figures.duration(found.ns), "" if ends == figures.ABSENT else ends)


def _first(found: LoadQuantile | None) -> Cell:
    return Cell(figures.ABSENT, tone="absent") if found is None else _quantile(found)


def _per_1000(target: LoadTarget) -> Cell:
    """With what the capacity's interval leaves open, where that is another number of machines."""
    money = target.money
    if money.usd_per_1000 is None:
        return _usd(None)
    differs = money.interval is not None and money.interval[0] != money.interval[1]
    return figure(figures.usd(money.usd_per_1000), figures.span(money.interval, figures.usd) if differs else "")


def _usd(value: str | None) -> Cell:
    return Cell(figures.UNPRICED, tone="unpriced") if value is None else figure(figures.usd(value))


def capacity_table(section: LoadSection) -> Table:
    """A row a target."""
    earned = section.usd_per_question is not None
    columns = {
        Column("Target", numeric=False): lambda one: Cell(one.name),
        Column("Capacity", "a second"): lambda one: capacity_cell(one.capacity),
        Column("Goodput", "at most, a second"): lambda one: figure(_rate(one.goodput)),
        Column("Full first", numeric=False): _full,
        Column("Machines", "at the traffic"): lambda one: figure(figures.count(one.money.machines)),
        Column("USD", "a month"): lambda one: _usd(one.money.usd_per_month),
        Column("USD", "per 1,000"): _per_1000,
        Column("USD", "per 1,000, always full"): lambda one: _usd(one.money.usd_per_1000_full),
        Column("USD", "besides, per 1,000"): lambda one: _usd(one.money.other_usd_per_1000),
    }
    if earned:
        columns[Column("Left", "of a question")] = lambda one: _usd(one.money.margin_per_question)
        columns[Column("Earns from", "questions a month")] = lambda one: figure(
            figures.count(one.money.break_even_per_month)
        )
    note = (
        f"Capacity: the highest rate with {promise_words(section)}. Machines are whole and reserved for "
        f"{busiest_words(section.peak)} ({section.queries_per_month:,} questions a month, {DAY[section.profile]}); "
        f"the machine that this ran on stands in for the one that is priced. {basis(section)}"
    )
    note += "".join(f" {figures.UNPRICED}: {why}." for why in dict.fromkeys(
        each.money.reason for each in section.targets if each.money.reason))  # fmt: skip
    return Table.of(
        "load-capacity",
        "What one machine carries, and what a question costs",
        columns,
        [each for each in section.targets if each.only is None],
        note,
    )


def _rate(value: float | None) -> str:
    return figures.ABSENT if value is None else figures.three_digits(value)


def _full(target: LoadTarget) -> Cell:
    found = target.saturation
    if found is None or found.stage is None:
        return Cell(figures.ABSENT, tone="absent")
    where = "" if found.from_rate is None else f"{found.what} from {figures.three_digits(found.from_rate)}/s"
    return Cell(found.stage, note=where)


def _what(step: LoadStep) -> str:
    if step.mode == "closed":
        return f"{figures.counted(step.concurrency or 1, 'request')} at a time"
    return f"{figures.three_digits(step.rate or 0)}/s"


def steps_table(section: LoadSection) -> Table:
    """A row a step, those of one target together."""
    tells_first = any(step.first_p95 is not None for target in section.targets for step in target.steps)
    first = (Column("First token", "p50"), Column("First token", "p95")) if tells_first else ()
    columns = (
        Column("Target", numeric=False), Column("Step", numeric=False), Column("Mode", numeric=False),
        Column("Requests"), Column("p50"), Column("p95"), Column("p99"), Column("Answered", "a second"),
        Column("Goodput", "a second"), *first, Column("Failed"), Column("Generator", "late, p50"),
        Column("Promise", numeric=False), Column("Notes", numeric=False),
    )  # fmt: skip
    rows = []
    for target in section.targets:
        cells = []
        for each in target.steps:
            words = [each.unsteady] if each.unsteady else []
            words += ["the generator was the bottleneck"] if each.generator_bound else []
            cells.append(
                (
                    Cell(f"{each.purpose} {_what(each)}"),
                    Cell(f"{each.mode} loop"),
                    figure(figures.count(each.requests)),
                    _quantile(each.p50),
                    _quantile(each.p95),
                    _quantile(each.p99),
                    figure(_rate(each.answered)),
                    figure(_rate(each.goodput)),
                    *([_first(each.first_p50), _first(each.first_p95)] if tells_first else []),
                    figure(figures.share(each.failed.mean)),
                    figure(figures.duration(each.late_p50_ns)),
                    Cell(each.keeps, tone=TONES[each.keeps]),
                    Cell("; ".join(words)),
                )
            )
        rows += group(Cell(target.name), cells)
    note = (
        "A closed loop sends the next request when one was answered: a stall hides all that it kept from coming, so "
        f"its tails are too good. An interval takes {needed(0.95):,} requests at p95 and {needed(0.99):,} at p99. "
        "Requests that ran into a time limit, or were under way at the end, count with the time that they had taken; "
        "those that failed at once have no latency."
    )
    return Table("load-steps", "Every step", columns, tuple(rows), note)


def stages_table(section: LoadSection) -> Table:
    """Service and waiting of each stage, at the rates of the curve."""
    columns = (
        Column("Target", numeric=False), Column("Rate", "a second"), Column("Stage", numeric=False),
        Column("Alone", "mean"), Column("Under load", "mean"), Column("Waiting", "mean"), Column("Workers' time"),
    )  # fmt: skip
    rows = []
    for target in section.targets:
        cells = []
        alone = next((each.waits for each in target.steps if each.purpose == "alone"), None)
        alone_waits = {} if alone is None else {
            "(for a core)": alone.for_core_ns, "(asleep)": alone.for_others_ns,
            "(in the service)": alone.in_service_ns,
        }  # fmt: skip
        for step in [each for each in target.steps if each.purpose in ("curve", "beyond")]:
            queue = figures.duration(step.queue_ns)
            rate = figure(_rate(step.offered))
            cells.append((rate, Cell("(queue)"), figure("0"), figure(queue), figure(queue), figure(figures.ABSENT)))
            if step.batch_ns is not None:
                wait = figure(figures.duration(step.batch_ns))
                cells.append((rate, Cell("(batch)"), figure("0"), wait, wait, figure(figures.ABSENT)))
            waits = step.waits
            for name, found in (
                ("(for a core)", waits.for_core_ns), ("(asleep)", waits.for_others_ns),
                ("(in the service)", waits.in_service_ns),
            ):  # fmt: skip
                if found is not None:
                    of = alone_waits.get(name)
                    more = None if of is None else max(0, found - of)
                    cells.append((rate, Cell(name), figure(figures.duration(of)), figure(figures.duration(found)),
                                  figure(figures.duration(more)), figure(figures.ABSENT)))  # fmt: skip
            cells += [
                (rate, Cell(name), figure(figures.duration(stage.alone_ns)), figure(figures.duration(stage.mean_ns)),
                 figure(figures.duration(stage.waiting_ns)), figure(figures.share(stage.share)))
                for name, stage in step.stages.items()
            ]  # fmt: skip
        rows += group(Cell(target.name), cells) if cells else []
    note = (
        "Alone: one question at a time. Waiting is what load adds: for cores, locks, batches or a server; (queue) is "
        "the wait for a free worker, behind HTTP for a connection; (batch) that for others to share one with, and "
        "for the batch before it. Within the stages a worker's thread was ready and found no core (for a core), or "
        "slept (asleep): for locks, the interpreter's among them, a database, or a model's own threads. (in the "
        "service): in none of the stages that a service tells, so its own queue, and the network."
    )
    return Table("load-stages", "Service and waiting by stage", columns, tuple(rows), note)


def load_table(section: LoadSection, _context: Context) -> RenderableType:
    """For a terminal of 80 columns: a line a target, then the sentences."""
    from rich.console import Group
    from rich.padding import Padding

    from ragprof.report.terminal import INDENT, bullets, empty_table, said

    table = empty_table("target")
    for title in ("capacity/s", "goodput/s", "full first", "machines", "$/1,000"):
        table.add_column(title, justify="right", no_wrap=True)
    for each in section.targets:
        money = figures.UNPRICED if each.money.usd_per_1000 is None else figures.usd(each.money.usd_per_1000)
        stage = each.saturation.stage if each.saturation and each.saturation.stage else figures.ABSENT
        table.add_row(
            said(each.name),
            capacity_cell(each.capacity).text,
            _rate(each.goodput),
            stage,
            figures.count(each.money.machines),
            money,
        )
    lines = [*bullets(section.statements), said(basis(section), style="dim")]
    return Group(table, *(Padding(line, INDENT) for line in lines))
