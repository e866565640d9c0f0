"""What the spans of one question say of its time: each stage's own, along the critical path and in all.

Own time is a span's without that of the spans in it. Of spans that run side by side the one that ends last is on the
critical path, so that the stages and what nobody attributed add up to the whole; busy time counts all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ragprof.core.spans import AppSpan


@dataclass
class StageTime:
    """One stage of one question: ns on the critical path, ns of all its spans, and how many there were: those within
    one of the same stage are the same call, told of by several.

    `source` told of most of its time.
    """

    path_ns: int = 0
    busy_ns: int = 0
    calls: int = 0
    source: str = ""


def stage_times(spans: Sequence[AppSpan], start_ns: int, end_ns: int) -> dict[str, StageTime]:
    """Return the time of each stage of a question that ran from `start_ns` to `end_ns`. All spans have ended."""
    inside: dict[AppSpan | None, list[AppSpan]] = {}
    for each, parent in parents(spans).items():
        inside.setdefault(parent, []).append(each)
    path = dict.fromkeys(spans, 0)
    _follow(None, start_ns, end_ns, inside, path)
    found: dict[str, StageTime] = {}
    sources: dict[str, dict[str, int]] = {}
    for each in spans:
        own = _own_ns(each, inside.get(each, ()))
        time = found.setdefault(each.stage, StageTime())
        time.path_ns += path[each]
        time.busy_ns += own
        time.calls += all(child.stage != each.stage for child in inside.get(each, ()))
        told = sources.setdefault(each.stage, {})
        told[each.source] = told.get(each.source, 0) + own
        time.source = max(told, key=told.__getitem__)
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


def _follow(
    span: AppSpan | None,
    start_ns: int,
    end_ns: int,
    inside: Mapping[AppSpan | None, Sequence[AppSpan]],
    path: dict[AppSpan, int],
) -> None:
    """Walk back from the end: whatever ended last before the point that was reached is what was waited for."""
    at_ns = end_ns
    for child in sorted(inside.get(span, ()), key=_end, reverse=True):
        child_end, child_start = min(_end(child), at_ns), max(child.start_ns, start_ns)
        if child_end <= child_start:
            continue
        if span is not None:
            path[span] += at_ns - child_end
        _follow(child, child_start, child_end, inside, path)
        at_ns = child_start
    if span is not None:
        path[span] += at_ns - start_ns


def _own_ns(span: AppSpan, children: Sequence[AppSpan]) -> int:
    covered, reached = 0, span.start_ns
    for child in sorted(children, key=lambda each: each.start_ns):
        start, end = max(child.start_ns, reached), min(_end(child), _end(span))
        if end > start:
            covered, reached = covered + end - start, end
    return _length(span) - covered


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
