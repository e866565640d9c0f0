"""The spans of one trace as a tree: whose time is whose, on the clock and added up, and what each stage did.

A span without a stage of its own, such as an HTTP call, belongs to the stage that it lies in, and all that happens
inside a reranker is the reranker's. Where a framework and a client library both trace one call, the inner one counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ragprof.core import STAGES
from ragprof.core.spantree import critical_path, own_times
from ragprof.traces import RAG_STAGES, SpanFacts

BILLED = ("embed", "rerank", "generate")
RECORDED = "ragprof"
"""The provider of calls whose price a recording of ragprof has told: it is not reckoned again."""
BITS: dict[str, int] = {stage: 1 << place for place, stage in enumerate(STAGES)}
RARE = frozenset({"resent", "usage", "sampled", "kept_share"})
"""Facts that few spans have."""
REST = ""
"""The stage of what holds others together: its own time is what no stage accounts for."""
Documents = list[list[Any]]
"""[id, probe] of passages, best first."""


@dataclass(slots=True)
class ModelCall:
    """One call that somebody may bill: of an embedder, a reranker or an LLM. None is what the span does not tell."""

    stage: str
    provider: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int
    docs: int | None
    reported_usd: float | None


@dataclass(slots=True)
class TraceFacts:
    """One trace. Times are ns; `duration_ns` is None where its root never ended.

    `busy_ns` and `path_ns` are by stage, `rest_ns` is the own time of spans without one; `untimed` are stages with a
    span that has no end. `usage` is what a recording of ragprof counted, by stage and
    unit. `rerankings` are pairs of what was offered and what went on, one a reranker's call; `injected` is None where
    nothing tells what was in the prompt.
    """

    trace_id: str
    service: str
    name: str
    start_ns: int
    duration_ns: int | None
    spans: int
    is_rooted: bool
    busy_ns: dict[str, int] = field(default_factory=dict)
    path_ns: dict[str, int] = field(default_factory=dict)
    starts_ns: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    usage: dict[tuple[str, str], int] = field(default_factory=dict)
    untimed: set[str] = field(default_factory=set)
    failed: bool = False
    errors: dict[str, int] = field(default_factory=dict)
    retries: dict[str, int] = field(default_factory=dict)
    model_calls: list[ModelCall] = field(default_factory=list)
    first_token_ns: int | None = None
    question: str | None = None
    query_id: str | None = None
    found: Documents = field(default_factory=list)
    rerankings: list[tuple[Documents, Documents]] = field(default_factory=list)
    injected: list[str] | None = None
    sampled: set[str] = field(default_factory=set)
    kept_share: float | None = None
    unfinished: int = 0
    repeated: int = 0
    skewed: int = 0

    @property
    def is_rag(self) -> bool:
        """Whether any span tells that it embeds, searches, reranks, injects or generates."""
        return not RAG_STAGES.isdisjoint(self.calls)


def trace_of(read: Sequence[SpanFacts]) -> TraceFacts:
    """Return what the spans of one trace say together. A span that is there twice counts once."""
    unique = {span.span_id or f"#{place}": span for place, span in enumerate(reversed(read))}
    places, spans = {key: place for place, key in enumerate(unique)}, list(unique.values())
    kids: list[list[int]] = [[] for _ in spans]
    roots = []
    for place, span in enumerate(spans):
        above = places.get(span.parent_id, place)
        if above != place:
            kids[above].append(place)
        else:
            roots.append(place)
    if len(roots) > 1:
        begins = [place for place in roots if not spans[place].parent_id]
        if len(begins) == 1:  # spans whose parents are not in the files happened within the whole
            kids[begins[0]] += [place for place in roots if place != begins[0]]
            roots = begins
    order, stages = _walked(spans, kids, roots)
    while len(order) < len(spans):  # spans that are each other's parents: the earliest of them begins
        roots.append(min(set(range(len(spans))).difference(order), key=lambda place: spans[place].start_ns))
        kids = [[kid for kid in below if kid not in roots] for below in kids]
        order, stages = _walked(spans, kids, roots)
    trace = _whole(read, spans, roots)
    _add_times(trace, spans, kids, roots, order, stages)
    if trace.errors:
        _add_retries(trace, spans, kids, stages)
    _add_calls(trace, spans, kids, order)
    ranked = [place for place in order if spans[place].stage in RAG_STAGES]
    ranked.sort(key=lambda place: spans[place].start_ns)
    _add_passages(trace, spans, ranked, stages, places)
    trace.question = _question(spans, ranked, order)
    return trace


def _walked(
    spans: Sequence[SpanFacts], kids: Sequence[list[int]], roots: Sequence[int]
) -> tuple[list[int], list[str]]:
    """All spans that a root leads to, parents first, and the stage that each belongs to."""
    order: list[int] = []
    stages = [REST] * len(spans)
    waiting = [(root, REST) for root in roots]
    while waiting:
        place, above = waiting.pop()
        own = spans[place].stage
        stage = above if above in RAG_STAGES and (above == "rerank" or own not in RAG_STAGES) else own
        stages[place] = stage
        order.append(place)
        for kid in kids[place]:
            waiting.append((kid, stage))
    return order, stages


def _whole(read: Sequence[SpanFacts], spans: Sequence[SpanFacts], roots: Sequence[int]) -> TraceFacts:
    """The trace as a whole: its root's name and time; of several roots, from the first beginning to the last end."""
    begun = [spans[place] for place in roots]
    first = begun[0] if len(begun) == 1 else min(begun, key=lambda span: span.start_ns)
    ends = [span.end_ns for span in begun if span.end_ns is not None]
    query_ids = [str(span.facts["query_id"]) for span in begun if "query_id" in span.facts]
    return TraceFacts(
        trace_id=first.trace_id, service=first.service, name=first.name, start_ns=first.start_ns,
        duration_ns=max(ends) - first.start_ns if len(ends) == len(begun) else None, spans=len(spans),
        is_rooted=len(roots) == 1 and not first.parent_id, repeated=len(read) - len(spans),
        query_id=query_ids[0] if query_ids else None,
    )  # fmt: skip


def _add_times(
    trace: TraceFacts,
    spans: Sequence[SpanFacts],
    kids: Sequence[list[int]],
    roots: Sequence[int],
    order: Sequence[int],
    stages: Sequence[str],
) -> None:
    """Add up by stage what spans took, how often they were called, and what became of them."""
    starts = [span.start_ns for span in spans]
    ends = [span.start_ns if span.end_ns is None else span.end_ns for span in spans]
    own = own_times(starts, ends, kids)
    busy, calls, begun = trace.busy_ns, trace.calls, trace.starts_ns
    for place in order:
        span, stage, start = spans[place], stages[place], starts[place]
        calls[stage] = calls.get(stage, 0) + 1
        if stage not in begun or start < begun[stage]:
            begun[stage] = start
        if span.end_ns is None:
            trace.unfinished += 1
            trace.untimed.add(stage)
        else:
            busy[stage] = busy.get(stage, 0) + own[place]
            for kid in kids[place]:
                if starts[kid] < start or ends[kid] > span.end_ns:
                    trace.skewed += spans[kid].end_ns is not None
        facts = span.facts
        if span.failed or "error" in facts:
            trace.errors[stage] = trace.errors.get(stage, 0) + 1
            trace.failed = trace.failed or not span.parent_id
        if not RARE.isdisjoint(facts):
            _add_rare(trace, facts, stage)
    if trace.duration_ns is not None:
        path = critical_path(starts, ends, kids, roots, start=trace.start_ns, end=trace.start_ns + trace.duration_ns)
        for stage, waited in zip((*stages, REST), path, strict=True):
            if waited or stage == REST:
                trace.path_ns[stage] = trace.path_ns.get(stage, 0) + waited


def _add_rare(trace: TraceFacts, facts: dict[str, Any], stage: str) -> None:
    if resent := facts.get("resent"):
        trace.retries[stage] = trace.retries.get(stage, 0) + int(resent)
    for unit, count in facts.get("usage", {}).items():
        trace.usage[stage, unit] = trace.usage.get((stage, unit), 0) + int(count)
    trace.sampled.update(facts.get("sampled", ()))
    if (share := facts.get("kept_share")) is not None:
        trace.kept_share = share


def _add_retries(
    trace: TraceFacts, spans: Sequence[SpanFacts], kids: Sequence[list[int]], stages: Sequence[str]
) -> None:
    """A call that failed and was made again beside it, under the same name."""
    for below in kids:
        if len(below) < 2:
            continue
        calls: dict[tuple[str, str], list[SpanFacts]] = defaultdict(list)
        for kid in below:
            calls[spans[kid].name, stages[kid]].append(spans[kid])
        for (_, stage), same in calls.items():
            same.sort(key=lambda span: span.start_ns)
            failed = sum(span.failed or "error" in span.facts for span in same[:-1])
            if failed:
                trace.retries[stage] = trace.retries.get(stage, 0) + failed


def _add_calls(
    trace: TraceFacts, spans: Sequence[SpanFacts], kids: Sequence[list[int]], order: Sequence[int]
) -> None:
    """The calls that somebody may bill: the innermost of those that are traced twice."""
    holds = [0] * len(spans)
    for place in reversed(order):  # children first
        inside, own = 0, spans[place].stage
        for kid in kids[place]:
            inside |= holds[kid]
        bit = BITS.get(own, 0)
        asks_llm = own == "rerank" and inside & BITS["generate"]  # such a reranker is billed by what it asks
        billed = own in BILLED or (bit and "own_usd" in spans[place].facts)
        if billed and not inside & bit and not asks_llm:
            trace.model_calls.append(_model_call(spans[place], own))
        holds[place] = inside | bit


def _add_passages(
    trace: TraceFacts,
    spans: Sequence[SpanFacts],
    ranked: Sequence[int],
    stages: Sequence[str],
    places: Mapping[str, int],
) -> None:
    """What was found, what rerankers made of it, and what of it stands in a prompt; spans by the time they begin."""
    prompts: list[str] = []
    passages: dict[str, str] = {}
    for place in ranked:
        span, facts = spans[place], spans[place].facts
        for name in ("found", "offered", "reranked"):
            if name in facts:
                for doc_id, probe in facts[name]:
                    if probe:
                        passages.setdefault(doc_id, probe)
        if "found" in facts and span.stage == "search" and not _is_within(span, spans, places, "search"):
            trace.found = facts["found"]
        if "reranked" in facts and span.stage == "rerank" and (offered := facts.get("offered") or trace.found):
            trace.rerankings.append((offered, facts["reranked"]))
        if "injected" in facts and span.stage == "inject":
            trace.injected = [doc_id for doc_id, _ in facts["injected"]]
        if stages[place] == "generate":
            if prompt := facts.get("prompt") or facts.get("question"):
                prompts.append(prompt)
            if "first_token_s" in facts:
                trace.first_token_ns = round(facts["first_token_s"] * 1e9)
    if trace.injected is None and prompts:
        held = [doc_id for doc_id, probe in passages.items() if any(probe in prompt for prompt in prompts)]
        trace.injected = held or None


def _is_within(span: SpanFacts, spans: Sequence[SpanFacts], places: Mapping[str, int], stage: str) -> bool:
    """Whether it lies inside another span of the stage, at most as deep as there are spans."""
    seen = 0
    while (above := places.get(span.parent_id)) is not None and seen < len(spans):
        span, seen = spans[above], seen + 1
        if span.stage == stage:
            return True
    return False


def _model_call(span: SpanFacts, stage: str) -> ModelCall:
    facts = span.facts
    recorded = facts.get("own_usd")
    docs = facts.get("candidates", len(facts["offered"]) if "offered" in facts else None)
    input_tokens = facts.get("input_tokens")
    if input_tokens is None and stage == "embed":
        input_tokens = facts.get("total_tokens")
    return ModelCall(
        stage=stage, model=str(facts.get("model") or ""),
        provider=RECORDED if recorded is not None else str(facts.get("provider") or "").lower(),
        input_tokens=input_tokens, output_tokens=facts.get("output_tokens"),
        cached_tokens=facts.get("cached_tokens") or 0, docs=docs,
        reported_usd=facts.get("usd") if recorded is None else recorded,
    )  # fmt: skip


def _question(spans: Sequence[SpanFacts], ranked: Sequence[int], order: Sequence[int]) -> str | None:
    """The question as the search, the reranker or the embedder was given it, else as the whole was."""
    for stage in ("search", "rerank", "embed"):
        for place in ranked:
            if spans[place].stage == stage and spans[place].facts.get("question"):
                return str(spans[place].facts["question"])
    return next((str(spans[place].facts["question"]) for place in order if spans[place].facts.get("question")), None)
