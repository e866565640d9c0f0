"""The spans of one trace as a tree: whose time is whose, on the clock and added up, and what each stage did.

A span's own time is its duration without what its children cover. Added up over a stage it is *busy* time, which
exceeds the clock where branches run side by side; the *critical path* gives every moment of the trace to the one span
that the end waited for, so its parts add up to the whole. It is walked from the end backwards: the child that ended
last, before that the child that ended last before it began, and so on (as Jaeger does; Eaton et al., Practical critical
path analysis of microservice RPC traces, Uber 2022). Of a child that ran longer than the one that was waited for, the
part before that counts.

A span without a stage of its own, such as an HTTP call, belongs to the stage that it lies in, and all that happens
inside a reranker is the reranker's. Where a framework and a client library both trace one call, the inner one counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ragprof.core import STAGES
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
    spans = {span.span_id or f"#{place}": span for place, span in enumerate(reversed(read))}
    kids: dict[str, list[str]] = {}
    roots = []
    for key, span in spans.items():
        if span.parent_id in spans and span.parent_id != key:
            kids.setdefault(span.parent_id, []).append(key)
        else:
            roots.append(key)
    begins = [key for key in roots if not spans[key].parent_id]
    if len(begins) == 1 and len(roots) > 1:  # spans whose parents are not in the files happened within the whole
        kids.setdefault(begins[0], []).extend(key for key in roots if key != begins[0])
        roots = begins
    order, stages = _walked(spans, kids, roots)
    while len(order) < len(spans):  # spans that are each other's parents: the earliest of them begins
        roots.append(min((key for key in spans if key not in stages), key=lambda key: spans[key].start_ns))
        kids = {key: [kid for kid in of if kid not in roots] for key, of in kids.items()}
        order, stages = _walked(spans, kids, roots)
    trace = _whole(read, spans, roots)
    calls, starts = trace.calls, trace.starts_ns
    for key in order:
        span, stage = spans[key], stages[key]
        calls[stage] = calls.get(stage, 0) + 1
        if (begun := starts.get(stage)) is None or span.start_ns < begun:
            starts[stage] = span.start_ns
        _add_time(trace, span, stage, [spans[kid] for kid in kids[key]] if key in kids else ())
        _add_outcome(trace, span, stage)
    _add_path(trace, spans, kids, roots, stages)
    if trace.errors:
        _add_retries(trace, spans, kids, stages)
    _add_calls(trace, spans, kids, order)
    ranked = sorted((key for key in order if spans[key].stage in RAG_STAGES), key=lambda key: spans[key].start_ns)
    _add_passages(trace, spans, ranked, stages)
    trace.question = _question(spans, ranked, order)
    return trace


def _walked(
    spans: dict[str, SpanFacts], kids: dict[str, list[str]], roots: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """All spans that a root leads to, parents first, and the stage that each belongs to."""
    order: list[str] = []
    stages: dict[str, str] = {}
    waiting = [(root, REST) for root in roots]
    while waiting:
        key, above = waiting.pop()
        own = spans[key].stage
        stage = above if above in RAG_STAGES and (above == "rerank" or own not in RAG_STAGES) else own
        stages[key] = stage
        order.append(key)
        if key in kids:
            waiting += [(kid, stage) for kid in kids[key]]
    return order, stages


def _whole(read: Sequence[SpanFacts], spans: dict[str, SpanFacts], roots: Sequence[str]) -> TraceFacts:
    """The trace as a whole: its root's name and time; of several roots, from the first beginning to the last end."""
    first = min((spans[key] for key in roots), key=lambda span: span.start_ns)
    ends = [spans[key].end_ns for key in roots]
    known = [end for end in ends if end is not None]
    return TraceFacts(
        trace_id=first.trace_id, service=first.service, name=first.name, start_ns=first.start_ns,
        duration_ns=max(known) - first.start_ns if len(known) == len(ends) else None, spans=len(spans),
        is_rooted=len(roots) == 1 and not first.parent_id, repeated=len(read) - len(spans),
        query_id=next((str(spans[key].facts["query_id"]) for key in roots if "query_id" in spans[key].facts), None),
    )  # fmt: skip


def _add_time(trace: TraceFacts, span: SpanFacts, stage: str, below: Sequence[SpanFacts]) -> None:
    if span.end_ns is None:
        trace.unfinished += 1
        trace.untimed.add(stage)
        return
    own = span.end_ns - span.start_ns
    if below:
        reached, covered = span.start_ns, 0
        for start, end in sorted((kid.start_ns, kid.end_ns) for kid in below if kid.end_ns is not None):
            if start < span.start_ns or end > span.end_ns:
                trace.skewed += 1
            inside = min(end, span.end_ns)
            if inside > reached:
                covered += inside - max(start, reached)
                reached = inside
        own -= covered
    trace.busy_ns[stage] = trace.busy_ns.get(stage, 0) + own


def _add_outcome(trace: TraceFacts, span: SpanFacts, stage: str) -> None:
    facts = span.facts
    if span.failed or "error" in facts:
        trace.errors[stage] = trace.errors.get(stage, 0) + 1
        trace.failed = trace.failed or not span.parent_id
    if RARE.isdisjoint(facts):
        return
    if resent := facts.get("resent"):
        trace.retries[stage] = trace.retries.get(stage, 0) + int(resent)
    for unit, count in facts.get("usage", {}).items():
        trace.usage[stage, unit] = trace.usage.get((stage, unit), 0) + int(count)
    trace.sampled.update(facts.get("sampled", ()))
    if (share := facts.get("kept_share")) is not None:
        trace.kept_share = share


def _add_path(
    trace: TraceFacts,
    spans: dict[str, SpanFacts],
    kids: dict[str, list[str]],
    roots: Sequence[str],
    stages: dict[str, str],
) -> None:
    """Give every moment of the trace to the span that its end waited for."""
    if trace.duration_ns is None:
        return
    path = trace.path_ns
    todo: list[tuple[str | None, Sequence[str], int, int]] = [
        (None, roots, trace.start_ns, trace.start_ns + trace.duration_ns)
    ]
    while todo:
        key, below, low, high = todo.pop()
        stage, cursor = REST if key is None else stages[key], high
        ended = [(spans[kid].end_ns, kid) for kid in below]
        for end, kid in sorted(((end, kid) for end, kid in ended if end is not None), reverse=True):
            start, reached = max(spans[kid].start_ns, low), min(end, cursor)
            if reached > start:
                path[stage] = path.get(stage, 0) + cursor - reached
                todo.append((kid, kids.get(kid, ()), start, reached))
                cursor = start
        path[stage] = path.get(stage, 0) + cursor - low


def _add_retries(
    trace: TraceFacts, spans: dict[str, SpanFacts], kids: dict[str, list[str]], stages: dict[str, str]
) -> None:
    """A call that failed and was made again beside it, under the same name."""
    for below in kids.values():
        if len(below) < 2:
            continue
        calls: dict[tuple[str, str], list[SpanFacts]] = defaultdict(list)
        for key in below:
            calls[spans[key].name, stages[key]].append(spans[key])
        for (_, stage), same in calls.items():
            same.sort(key=lambda span: span.start_ns)
            failed = sum(span.failed or "error" in span.facts for span in same[:-1])
            if failed:
                trace.retries[stage] = trace.retries.get(stage, 0) + failed


def _add_calls(
    trace: TraceFacts,
    spans: dict[str, SpanFacts],
    kids: dict[str, list[str]],
    order: Sequence[str],
) -> None:
    """The calls that somebody may bill: the innermost of those that are traced twice."""
    holds: dict[str, int] = {}
    for key in reversed(order):  # children first
        inside, own = 0, spans[key].stage
        for kid in kids.get(key, ()):
            inside |= holds[kid]
        bit = BITS.get(own, 0)
        asks_llm = own == "rerank" and inside & BITS["generate"]  # such a reranker is billed by what it asks
        billed = own in BILLED or (bit and "own_usd" in spans[key].facts)
        if billed and not inside & bit and not asks_llm:
            trace.model_calls.append(_model_call(spans[key], own))
        holds[key] = inside | bit


def _add_passages(
    trace: TraceFacts, spans: dict[str, SpanFacts], ranked: Sequence[str], stages: dict[str, str]
) -> None:
    """What was found, what rerankers made of it, and what of it stands in a prompt; spans by the time they begin."""
    prompts: list[str] = []
    passages: dict[str, str] = {}
    for key in ranked:
        span, facts = spans[key], spans[key].facts
        for name in ("found", "offered", "reranked"):
            for doc_id, probe in facts.get(name, ()):
                if probe:
                    passages.setdefault(doc_id, probe)
        if "found" in facts and span.stage == "search" and not _is_within(span, spans, "search"):
            trace.found = facts["found"]
        if "reranked" in facts and span.stage == "rerank" and (offered := facts.get("offered") or trace.found):
            trace.rerankings.append((offered, facts["reranked"]))
        if "injected" in facts and span.stage == "inject":
            trace.injected = [doc_id for doc_id, _ in facts["injected"]]
        if stages[key] == "generate":
            if prompt := facts.get("prompt") or facts.get("question"):
                prompts.append(prompt)
            if "first_token_s" in facts:
                trace.first_token_ns = round(facts["first_token_s"] * 1e9)
    if trace.injected is None and prompts:
        held = [doc_id for doc_id, probe in passages.items() if any(probe in prompt for prompt in prompts)]
        trace.injected = held or None


def _is_within(span: SpanFacts, spans: dict[str, SpanFacts], stage: str) -> bool:
    """Whether it lies inside another span of the stage, at most as deep as there are spans."""
    above, seen = spans.get(span.parent_id), 0
    while above is not None and seen < len(spans):
        if above.stage == stage:
            return True
        above, seen = spans.get(above.parent_id), seen + 1
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


def _question(spans: dict[str, SpanFacts], ranked: Sequence[str], order: Sequence[str]) -> str | None:
    """The question as the search, the reranker or the embedder was given it, else as the whole was."""
    for stage in ("search", "rerank", "embed"):
        for key in ranked:
            if spans[key].stage == stage and spans[key].facts.get("question"):
                return str(spans[key].facts["question"])
    return next((str(spans[key].facts["question"]) for key in order if spans[key].facts.get("question")), None)
