"""Time in a tree of spans, by their places in a list: each span's own, and its share of the critical path.

Own time is a span's without that of the spans in it; added up it is *busy* time, which exceeds the clock where branches
run side by side. The *critical path* gives every moment of the whole to the one span that the end waited for, so its
parts add up to the whole: it is walked from the end backwards, the child that ended last, before that the child that
ended last before it began, and so on (as Jaeger does; Eaton et al., Practical critical path analysis of microservice
RPC traces, Uber 2022). Of a child that ran longer than the one that was waited for, the part before that counts.

A span that never ended has its beginning for an end: it takes no time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ragprof.core.spans import AppSpan

Places: TypeAlias = Sequence[int]
"""Of spans in their list."""


def own_times(starts: Sequence[int], ends: Sequence[int], kids: Sequence[Places]) -> list[int]:
    """Return the ns of each span that none of its `kids` covers; each span has a list of these."""
    found = []
    for start, end, below in zip(starts, ends, kids, strict=True):
        own, reached = end - start, start
        for kid in sorted(below, key=starts.__getitem__) if len(below) > 1 else below:
            begun = starts[kid] if starts[kid] > reached else reached
            ended = ends[kid] if ends[kid] < end else end
            if ended > begun:
                own, reached = own - (ended - begun), ended
        found.append(own)
    return found


def critical_path(
    starts: Sequence[int], ends: Sequence[int], kids: Sequence[Places], roots: Places, *, start: int, end: int
) -> list[int]:
    """Return the ns from `start` to `end` that each span was waited for, and last those that no span was."""
    path = [0] * (len(starts) + 1)
    todo: list[tuple[int, Places, int, int]] = [(len(starts), roots, start, end)]
    while todo:
        span, below, low, at = todo.pop()
        waited = 0
        for kid in sorted(below, key=ends.__getitem__, reverse=True) if len(below) > 1 else below:
            begun = starts[kid] if starts[kid] > low else low
            ended = ends[kid] if ends[kid] < at else at
            if ended > begun:
                waited += at - ended
                todo.append((kid, kids[kid], begun, ended))
                at = begun
        path[span] += waited + at - low
    return path


@dataclass
class StageTime:
    """One stage of one question: ns on the critical path, ns of all its spans, and how many there were: those within
    one of the same stage are the same call, told of by several.

    `source` told of most of its time; `start_ns` is when its first span began.
    """

    start_ns: int
    path_ns: int = 0
    busy_ns: int = 0
    calls: int = 0
    source: str = ""


def stage_times(spans: Sequence[AppSpan], start_ns: int, end_ns: int) -> dict[str, StageTime]:
    """Return the time of each stage of a question that ran from `start_ns` to `end_ns`. All spans have ended."""
    places: dict[AppSpan | None, int] = {span: place for place, span in enumerate(spans)}
    kids: list[list[int]] = [[] for _ in (*spans, None)]
    for each, parent in parents(spans).items():
        kids[places.get(parent, -1)].append(places[each])
    roots = kids.pop()
    starts, ends = [each.start_ns for each in spans], [_end(each) for each in spans]
    path = critical_path(starts, ends, kids, roots, start=start_ns, end=end_ns)
    found: dict[str, StageTime] = {}
    sources: dict[str, dict[str, int]] = {}
    for each, own, waited, below in zip(spans, own_times(starts, ends, kids), path, kids, strict=False):
        time = found.setdefault(each.stage, StageTime(each.start_ns))
        time.start_ns = min(time.start_ns, each.start_ns)
        time.path_ns += waited
        time.busy_ns += own
        time.calls += all(spans[kid].stage != each.stage for kid in below)
        told = sources.setdefault(each.stage, {})
        told[each.source] = told.get(each.source, 0) + own
        time.source = max(told, key=told.__getitem__)
    return found


def one_after_another(times: Mapping[str, StageTime]) -> dict[str, int]:
    """Return when each stage begins if each is one piece as long as its part of the critical path, and none overlap.

    A stage begins when its first span did or, where stages take turns, once those before it have ended. The last one
    ends in time: what a stage was waited for lies behind its first span, and no two were waited for at once.
    """
    found: dict[str, int] = {}
    free = 0
    for stage in sorted(times, key=lambda stage: times[stage].start_ns):
        found[stage] = max(free, times[stage].start_ns)
        free = found[stage] + times[stage].path_ns
    return found


def parents(spans: Sequence[AppSpan]) -> Mapping[AppSpan, AppSpan | None]:
    """The span that each is within: the shortest around it that is known to be, or that another source told of.

    Sources do not know each other: theirs lie within one another by time.
    """
    # Of equally long ones the one that began first is around the others.
    by_length = [spans[-place] for _, place in sorted((_length(each), -place) for place, each in enumerate(spans))]
    found: dict[AppSpan, AppSpan | None] = {}
    known = {each: place for place, each in enumerate(by_length)}
    of_one_source = len({each.source for each in spans}) < 2
    for place, each in enumerate(by_length):
        # With one source only what is known to be above is looked at, the nearest first: thousands of spans are common.
        above = _above(each)
        longer = (other for other in above if known.get(other, -1) > place)
        if not of_one_source:
            told = set(above)
            longer = (other for other in by_length[place + 1 :] if other in told or other.source != each.source)
        around = (other for other in longer if other.start_ns <= each.start_ns and _end(other) >= _end(each))
        found[each] = next(around, each.parent if each.parent in known else None)
    return found


def _above(span: AppSpan) -> Iterator[AppSpan]:
    """What a span is known to be in, the nearest first, each once."""
    seen, parent = set[AppSpan](), span.parent
    while parent is not None and parent not in seen:
        yield parent
        seen.add(parent)
        parent = parent.parent


def _end(span: AppSpan) -> int:
    return span.start_ns if span.end_ns is None else max(span.end_ns, span.start_ns)


def _length(span: AppSpan) -> int:
    return _end(span) - span.start_ns
