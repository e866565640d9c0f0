"""Timings, for cost: live queries, one at a time. Nothing is reused, cached or derived.

Three things are measured, each apart from the others:
- Cold start: the first call of each part in this process, after its model was loaded. A part that several pipelines
  share is cold once; each of them shows that one span.
- Rounds: after a few warm-up queries that are thrown away, every pipeline answers its queries in each round, and the
  order of the pipelines moves on by one from round to round. Once over all rounds each query is also asked bare, right
  before or after: the paired difference is the overhead. How many queries there is time for says `record/budget.py`.
- What the cores did, around all queries of a pipeline in a round, and around those stages in which it adds next to
  nothing. Where threads waited for a core for longer than the bound, a quieter moment is waited for and the busiest
  round timed again, as far as patience lasts.
- Floating point operations, which need no clock: torch's own counter counts matrix products, convolutions and
  attention, a multiplication and an addition as two. What runs outside torch (FAISS, BM25, a server) does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from math import prod
from statistics import median_high
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ragprof.core import Answer, Query, Span, StageName, Trace, cores, environment
from ragprof.core.clock import Clock, Progress, excluded_ns, sleep
from ragprof.core.errors import AppFailed
from ragprof.evals import Timing
from ragprof.record.budget import shares, warm_up_ns
from ragprof.record.disturbance import ROUND, waiting_of
from ragprof.record.pipeline import Parts
from ragprof.record.query import ask, traced, unmeasured

if TYPE_CHECKING:
    import pandas as pd


SPAN_COLUMNS = ("pipeline", "phase", "round", "query_id", "stage", "start_ns", "duration_ns", *cores.FIELDS)
"""What the cores did stands with stages that were read, and with the phase ROUND, a row for all queries of a round."""
T = TypeVar("T")
FIRST_TOKEN_COLUMNS = ("pipeline", "round", "query_id", "first_token_ns")
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 8.0
"""Seconds between two looks at a busy machine."""
USAGE_COLUMNS = ("pipeline", "query_id", "stage", "unit", "count")


@dataclass
class Timings:
    """What the rounds have written down so far. `peaks` is the highest resident memory of each pipeline's blocks."""

    spans: list[tuple[Any, ...]] = field(default_factory=list)
    usage: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    first_tokens: list[tuple[str, int, str, int]] = field(default_factory=list)

    @classmethod
    def of(cls, rounds: Sequence[Timings]) -> Timings:
        """All rounds as one."""
        whole = cls()
        for each in rounds:
            whole.spans += each.spans
            whole.usage |= each.usage
            whole.first_tokens += each.first_tokens
            for name, peak in each.peaks.items():
                whole.peaks[name] = max(whole.peaks.get(name, 0), peak)
        return whole

    @contextmanager
    def reading(self, pipeline: str, number: int, clock: Clock) -> Iterator[None]:
        """Add a row of the phase ROUND: how long what is done within takes, and what the cores do meanwhile."""
        meter = cores.meter()
        before, start, apart = meter.of_machine(), clock(), excluded_ns()
        yield
        duration = clock() - start - (excluded_ns() - apart)
        added = meter.of_machine().since(before)
        self.spans.append((pipeline, ROUND, number, "", "query", start, duration, *added.values()))

    def add(self, pipeline: str, phase: str, number: int, trace: Trace) -> None:
        whose = (pipeline, phase, number, trace.query_id)
        self.spans.append((*whose, "query", trace.start_ns, trace.duration_ns, *trace.cores.values()))
        for span in trace.spans:
            self.spans.append((*whose, span.stage, span.start_ns, span.duration_ns, *span.cores.values()))

    def add_whole(self, pipeline: str, phase: str, number: int, query_id: str, start_ns: int, duration_ns: int) -> None:
        """A duration around a whole query, without a reading of the cores."""
        unread = cores.NOTHING.values()
        self.spans.append((pipeline, phase, number, query_id, "query", start_ns, duration_ns, *unread))

    def add_usage(self, pipeline: str, answer: Answer) -> None:
        for stage, usage in answer.usage.items():
            for unit, count in usage.items():
                self.usage[pipeline, answer.query.query_id, stage, unit] = count

    def leave_out_failed(self, pipelines: Sequence[Parts]) -> None:
        """Take a question that an app failed once out of all of its rounds."""
        lost = {
            (parts.name, query_id) for parts in pipelines if parts.app is not None for query_id in parts.app.log.failed
        }
        self.spans = [row for row in self.spans if (row[0], row[3]) not in lost]

    def span_table(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(self.spans, columns=list(SPAN_COLUMNS)).astype(dict.fromkeys(cores.FIELDS, "Int64"))

    def first_token_table(self) -> pd.DataFrame:
        """Time from the call of the generator to its first token, where there is a generator that streams."""
        import pandas as pd

        return pd.DataFrame(self.first_tokens, columns=list(FIRST_TOKEN_COLUMNS))

    def usage_table(self) -> pd.DataFrame:
        import pandas as pd

        rows = [(*key, count) for key, count in self.usage.items()]
        return pd.DataFrame(rows, columns=list(USAGE_COLUMNS))


@dataclass(frozen=True, slots=True)
class TimedQuery:
    """One live query as it was timed; `size` is that of the sub-corpus, where the corpus grows."""

    pipeline: str
    number: int
    answer: Answer
    trace: Trace
    size: int | None = None


class TraceSink(Protocol):
    """Takes live queries as they are timed, and does its own work where nothing is timed."""

    def add(self, timed: TimedQuery) -> None:
        """Keep it; takes no time."""

    def send(self) -> None:
        """A round is over. Raises nothing."""


def time_pipelines(
    pipelines: Sequence[Parts],
    queries: Sequence[Query],
    *,
    timing: Timing,
    clock: Clock,
    progress: Progress,
    sink: TraceSink | None = None,
) -> Timings:
    """Warm-up and interleaved rounds. `queries` must be in a seeded order: a prefix of them is timed."""
    patience = QuietMoments(timing, clock, progress)

    asked = {parts.name: answered(parts, queries) for parts in pipelines}

    def warmed_up() -> dict[str, WarmedUp]:
        return {parts.name: warm_up(parts, asked[parts.name], timing, len(pipelines), clock) for parts in pipelines}

    warm = patience.quiet(warmed_up)
    durations = {name: one.duration_ns for name, one in warm.items()}
    counts = shares(durations, len(queries), timing, asked=timing.rounds + 1)

    def one_round(number: int) -> Timings:
        timings = Timings()
        for parts in rotated(pipelines, number):
            environment.reset_peak()
            with timings.reading(parts.name, number, clock):
                for place, query in enumerate(asked[parts.name][: counts[parts.name]]):
                    paired = place % timing.rounds == number
                    with unless_it_fails(parts, query, of=len(queries)):
                        if paired and place % 2:
                            _bare_query(parts, query, number, timings, clock)
                        answer, trace = timed_query(parts, query, number, timings, clock, read=warm[parts.name].read)
                        if sink is not None:
                            sink.add(TimedQuery(parts.name, number, answer, trace))
                        if paired and not place % 2:
                            _bare_query(parts, query, number, timings, clock)
                    progress.advance(1)
            timings.peaks[parts.name] = max(timings.peaks.get(parts.name, 0), environment.peak_rss_bytes())
        if sink is not None:
            sink.send()
        return timings

    steps, numbers = sum(counts.values()), range(timing.rounds)
    timings = Timings.of(patience.rounds(one_round, busiest, numbers, task="time live queries", steps=steps))
    timings.leave_out_failed(pipelines)
    return timings


def answered(parts: Parts, queries: Sequence[Query]) -> Sequence[Query]:
    """The queries without those that an app has failed."""
    return queries if parts.app is None else [each for each in queries if each.query_id not in parts.app.log.failed]


@contextmanager
def unless_it_fails(parts: Parts, query: Query, *, of: int) -> Iterator[None]:
    """Count a failure of an app and go on. Raises BadInput once too many `of` the questions have failed."""
    try:
        yield
    except AppFailed as failure:
        if parts.app is None:
            raise
        parts.app.log.fail(query.query_id, failure, of=of, name=parts.name)


def busiest(timings: Timings) -> float:
    """The highest share of waiting of a pipeline."""
    return max((waiting_of(rows) or 0.0 for _, rows in timings.span_table().groupby("pipeline")), default=0.0)


class QuietMoments:
    """Waits for quieter moments, and has busy work done again, for `timing.patience` seconds in all.

    What is kept is chosen by how long threads waited for a core, never by a latency. Where nothing is read nothing is
    waited for.
    """

    def __init__(self, timing: Timing, clock: Clock, progress: Progress) -> None:
        self._left_ns, self._bound = round(timing.patience * 1e9), timing.waiting_bound
        self._clock, self._progress, self._pause = clock, progress, FIRST_PAUSE

    def quiet(self, work: Callable[[], T]) -> T:
        """Do it, and while the machine is busy and patience lasts, pause and do it again: what the last time gave."""
        meter = cores.meter()
        while True:
            before, start = meter.of_process(), self._clock()
            made = work()
            duration, added = self._clock() - start, meter.of_process().since(before)
            waited = added.waiting_ns or 0
            busy = waited > self._bound * max(duration, waited + (added.cpu_ns or 0))
            if not busy or not self._paused(duration):
                return made

    def rounds(
        self, one: Callable[[int], T], waiting: Callable[[T], float], numbers: Sequence[int], *, task: str, steps: int
    ) -> list[T]:
        """The rounds of these numbers; then the busiest is timed again while it is above the bound and patience lasts.

        `waiting` is the share of waiting of a round, `steps` how many of the task one reports.
        """

        def timed(number: int) -> tuple[float, int, T]:
            start = self._clock()
            made = one(number)
            return waiting(made), self._clock() - start, made

        self._progress.start(task, steps * len(numbers))
        found = {number: timed(number) for number in numbers}
        self._progress.done()
        while True:
            number = max(found, key=lambda number: found[number][0])
            share, duration, _ = found[number]
            if share <= self._bound or not self._paused(duration):
                return [made for _, _, made in found.values()]
            self._progress.start("time the busiest round again", steps)
            again = timed(number)
            self._progress.done()
            if again[0] < share:
                found[number] = again

    def _paused(self, duration_ns: int) -> bool:
        """Wait a little, each time longer; False without a wait where patience does not last for that and the work.

        The work that follows, as long as it was before, is taken off what is left.
        """
        pause_ns = round(self._pause * 1e9)
        if self._left_ns < pause_ns + duration_ns:
            return False
        self._progress.start("wait for a quieter moment", 1)
        sleep(self._pause)
        self._progress.done()
        self._left_ns -= pause_ns + duration_ns
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return True


def rotated(pipelines: Sequence[Parts], number: int) -> Iterator[Parts]:
    """A B C, then C A B, then B C A, ..."""
    size = len(pipelines)
    return (pipelines[(place - number) % size] for place in range(size))


def warmed(
    askers: Mapping[str, Callable[[Query], int]],
    queries: Sequence[Query],
    *,
    timing: Timing,
    progress: Progress,
    patience: QuietMoments,
) -> dict[str, int]:
    """Let each answer a few queries that are forgotten; the median of the durations in ns that it returns.

    All of them do so again in a quieter moment where the machine is busy and patience lasts.
    """

    def once() -> dict[str, int]:
        progress.start("warm up", len(askers))
        medians: dict[str, int] = {}
        for name, asker in askers.items():
            durations: list[int] = []
            while len(durations) < timing.warmup and sum(durations) < warm_up_ns(timing, len(askers)):
                durations.append(asker(queries[len(durations) % len(queries)]))
            medians[name] = median_high(durations)
            progress.advance(1)
        progress.done()
        return medians

    return patience.quiet(once)


@dataclass(frozen=True, slots=True)
class WarmedUp:
    """How long a query takes, and the stages that take long enough to be read around. Medians over the warm-up."""

    duration_ns: int
    read: frozenset[str]


def warm_up(parts: Parts, queries: Sequence[Query], timing: Timing, pipelines: int, clock: Clock) -> WarmedUp:
    """Ask a few queries and forget them; how long they take tells how many can be timed.

    At least one, then as many of `timing.warmup` as the time of one among so many `pipelines` allows.
    """
    traces: list[Trace] = []
    asked = cycle(queries)
    failed = 0
    while len(traces) < timing.warmup and sum(trace.duration_ns for trace in traces) < warm_up_ns(timing, pipelines):
        try:
            traces.append(traced(parts, next(asked), clock)[1])
        except AppFailed:  # whether it fails for too many is counted where each is asked
            failed += 1
            if failed == len(queries):
                raise
    taken: dict[str, list[int]] = {}
    for span in (span for trace in traces for span in trace.spans):
        taken.setdefault(span.stage, []).append(span.duration_ns)
    shortest = cores.meter().shortest_ns()
    read = frozenset(stage for stage, durations in taken.items() if median_high(durations) >= shortest)
    return WarmedUp(median_high(trace.duration_ns for trace in traces), read)


def timed_query(
    parts: Parts, query: Query, number: int, timings: Timings, clock: Clock, *, read: Container[str]
) -> tuple[Answer, Trace]:
    """One live query, its spans and its usage written down; the cores are read around the stages in `read`."""
    start, apart = clock(), excluded_ns()
    answer, trace = traced(parts, query, clock, read=read)
    outer = clock() - start - (excluded_ns() - apart)
    if parts.app is not None:  # what is made of its answer afterwards is no part of what it takes
        start, outer = trace.start_ns, trace.duration_ns
    timings.add(parts.name, "timed", number, trace)
    timings.add_whole(parts.name, "instrumented", number, query.query_id, start, outer)
    timings.add_usage(parts.name, answer)
    if answer.generated is not None and answer.generated.first_token_ns is not None:
        timings.first_tokens.append((parts.name, number, query.query_id, answer.generated.first_token_ns))
    return answer, trace


def _bare_query(parts: Parts, query: Query, number: int, timings: Timings, clock: Clock) -> None:
    start, duration = unmeasured(parts, query, clock)
    timings.add_whole(parts.name, "bare", number, query.query_id, start, duration)


class ColdStarts:
    """First spans by part. `embedders` must be called before any document is embedded."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first: dict[int, Span] = {}

    def embedders(self, pipelines: Sequence[Parts], query: Query) -> None:
        """Take the first call of every embedder."""
        for parts in pipelines:
            if parts.embedder is not None and id(parts.embedder) not in self._first:
                start = self._clock()
                parts.embedder.embed_queries([query.text])
                self._first[id(parts.embedder)] = Span("embed", start, self._clock() - start)

    def queries(self, pipelines: Sequence[Parts], query: Query) -> dict[str, Trace]:
        """One cold trace a pipeline, put together from the first spans of its parts."""
        cold = {}
        for parts in pipelines:
            with suppress(AppFailed):  # whether it fails for too many is told when all are asked
                _, trace = traced(parts, query, self._clock)
                cold[parts.name] = trace
            if parts.app is not None:
                continue
            spans = tuple(self._first.setdefault(id(parts.by_stage[span.stage]), span) for span in trace.spans)
            whole_ns = sum(span.duration_ns for span in spans)
            cold[parts.name] = Trace(query.query_id, spans, trace.start_ns, whole_ns)
        return cold


def counted(function: Callable[..., T], *arguments: Any) -> tuple[T, int]:
    """What the function returns, and the floating point operations that it took in torch."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    # operators that inference runs whole on a CPU and torch's counter does not know
    known: dict[Any, Callable[..., int]] = {
        torch.ops.aten.linear: _linear,
        torch.ops.aten._int_mm: lambda left, right, *_, **__: 2 * prod(left) * right[-1],
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    }
    if torch.backends.mkldnn.is_available():
        known[torch.ops.mkldnn._linear_pointwise] = _linear
    with FlopCounterMode(display=False, custom_mapping=known) as counter:
        result = function(*arguments)
    return result, int(counter.get_total_flops())


def _linear(inputs: Sequence[int], weights: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * prod(inputs) * weights[0]


def _attention(queries: Sequence[int], keys: Sequence[int], values: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * prod(queries) * keys[-2] + 2 * prod(queries[:-1]) * keys[-2] * values[-1]


FLOPS = "flops"


def count_flops(pipelines: Sequence[Parts], queries: Sequence[Query], timings: Timings, progress: Progress) -> None:
    """Ask the queries once more and add `flops` to the usage of every stage that computes in torch."""
    if not queries:
        return
    ours = [parts for parts in pipelines if parts.app is None]  # an app runs on a thread of its own, unseen by torch
    progress.start("count operations", len(ours) * len(queries))
    for parts in ours:
        for query in queries:
            for stage, flops in flops_of(parts, query).items():
                timings.usage[parts.name, query.query_id, stage, FLOPS] = flops
            progress.advance(1)
    progress.done()


def flops_of(parts: Parts, query: Query) -> dict[StageName, int]:
    """Operations by stage of one query; a stage that does nothing in torch is left out, not 0."""
    taken: dict[StageName, int] = {}

    def call(stage: StageName, function: Callable[..., T], *arguments: Any) -> T:
        result, flops = counted(function, *arguments)
        if flops:
            taken[stage] = flops
        return result

    ask(parts, query, call)
    return taken
