"""The spans of one trace as a tree: whose time is whose, on the clock and added up, and what each stage did.

A span without a stage of its own, such as an HTTP call, belongs to the stage that it lies in, and all that happens
inside a reranker is the reranker's. Where a framework and a client library both trace one call, the inner one counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from ragprof.core import STAGES
from ragprof.core.spantree import critical_path, own_times
from ragprof.traces import RAG_STAGES, SpanFacts

BILLED = ("embed", "rerank", "generate")
RECORDED = "ragprof"
"""The provider of calls whose price a recording of ragprof has told: it is not reckoned again."""
BITS: dict[str, int] = {stage: 1 << place for place, stage in enumerate(STAGES)}
RARE = frozenset({"resent", "usage", "sampled", "kept_share"})
"""Facts that few spans have."""
LISTED = ("found", "offered", "reranked")
REST = ""
"""The stage of what holds others together: its own time is what no stage accounts for."""
Documents = list[list[Any]]
"""[id, probe] of passages, best first."""


class ModelCall(msgspec.Struct, gc=False):
    """One call that somebody may bill: of an embedder, a reranker or an LLM. None is what the span does not tell."""

    stage: str
    provider: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int
    docs: int | None
    reported_usd: float | None


class TraceFacts(msgspec.Struct, gc=False):
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
    calls: Mapping[str, int]
    busy_ns: dict[str, int] = {}
    path_ns: dict[str, int] = {}
    starts_ns: dict[str, int] = {}
    usage: dict[tuple[str, str], int] = {}
    untimed: set[str] = set()
    failed: bool = False
    errors: dict[str, int] = {}
    retries: dict[str, int] = {}
    model_calls: list[ModelCall] = []
    first_token_ns: int | None = None
    question: str | None = None
    query_id: str | None = None
    session: str | None = None
    found: Documents = []
    rerankings: list[tuple[Documents, Documents]] = []
    injected: list[str] | None = None
    sampled: set[str] = set()
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
    unique = {span.span_id: span for span in reversed(read)}
    if "" in unique:
        unique = {span.span_id or f"#{place}": span for place, span in enumerate(reversed(read))}
    spans = sorted(unique.values(), key=_beginning)
    places = {span.span_id: place for place, span in enumerate(spans)}
    tree = tree_of(
        tuple([places.get(span.parent_id, -1) if span.parent_id else NO_PARENT for span in spans]),
        tuple([span.stage for span in spans]),
    )
    trace = _whole(read, spans, tree)
    _add_times(trace, spans, tree)
    if trace.errors:
        _add_retries(trace, spans, tree)
    for place in tree.innermost:
        if (stage := spans[place].stage) in BILLED or "own_usd" in spans[place].facts:
            trace.model_calls.append(_model_call(spans[place], stage))
    _add_passages(trace, spans, tree)
    trace.question = _question(spans, tree)
    session = next((span.facts["session"] for span in spans if "session" in span.facts), None)
    trace.session = None if session is None else str(session)
    return trace


_beginning = attrgetter("start_ns")
NO_PARENT = -2
"""The place of the parent of a span that has none; -1 is that of one whose parent is not in the files."""
TREES, LARGEST = 2_048, 100
"""Trees that are remembered, and the spans of the largest of these."""


@dataclass(frozen=True, slots=True)
class Tree:
    """How the spans of a trace lie within each other, by their places in the order in which they began.

    `order` has parents first. `stages` are those that they belong to, `ranked` the places of those that are of a RAG
    stage themselves, `innermost` of these the ones that hold none of the same stage: what is traced twice counts once.
    """

    roots: tuple[int, ...]
    order: tuple[int, ...]
    kids: tuple[tuple[int, ...], ...]
    stages: tuple[str, ...]
    ranked: tuple[int, ...]
    innermost: tuple[int, ...]
    inner_searches: frozenset[int]
    calls: Mapping[str, int]


def tree_of(parents: tuple[int, ...], own: tuple[str, ...]) -> Tree:
    """Return the tree of spans with these parents and these stages of their own."""
    # An app's traces are mostly alike: their tree is worked out once.
    return _tree(parents, own) if len(own) <= LARGEST else _tree.__wrapped__(parents, own)


@lru_cache(TREES)
def _tree(parents: tuple[int, ...], own: tuple[str, ...]) -> Tree:
    kids: list[list[int]] = [[] for _ in own]
    roots = []
    for place, above in enumerate(parents):
        if above >= 0 and above != place:
            kids[above].append(place)
        else:
            roots.append(place)
    begins = [place for place in roots if parents[place] == NO_PARENT]
    if len(begins) == 1 and len(roots) > 1:  # spans whose parents are not in the files happened within the whole
        kids[begins[0]] = sorted({*kids[begins[0]], *roots} - {begins[0]})
        roots = begins
    order, stages = _walked(own, kids, roots)
    reached = set(order)
    for place in range(len(own)) if len(order) < len(own) else ():
        if place not in reached:  # spans that are each other's parents: the earliest of them begins
            roots.append(place)
            kids[parents[place]].remove(place)
            more, found = _walked(own, kids, [place])
            for each in more:
                stages[each] = found[each]
            order += more
            reached.update(more)
    holds, innermost = [0] * len(own), []
    for place in reversed(order):  # children first
        inside, stage = 0, own[place]
        for kid in kids[place]:
            inside |= holds[kid]
        bit = BITS.get(stage, 0)
        asks_llm = stage == "rerank" and inside & BITS["generate"]  # such a reranker is billed by what it asks
        if bit and not inside & bit and not asks_llm:
            innermost.append(place)
        holds[place] = inside | bit
    return Tree(
        tuple(roots), tuple(order), tuple(map(tuple, kids)), tuple(stages),
        ranked=tuple(place for place, stage in enumerate(own) if stage in RAG_STAGES), innermost=tuple(innermost),
        inner_searches=frozenset(
            place for place, stage in enumerate(own) if stage == "search" and _is_within(place, parents, own, stage)
        ),
        calls=Counter(stages),
    )  # fmt: skip


def _is_within(place: int, parents: Sequence[int], own: Sequence[str], stage: str) -> bool:
    """Whether it lies inside another span of the stage, at most as deep as there are spans."""
    above, seen = parents[place], 0
    while above >= 0 and seen < len(own):
        if own[above] == stage:
            return True
        above, seen = parents[above], seen + 1
    return False


def _walked(own: Sequence[str], kids: Sequence[list[int]], roots: Sequence[int]) -> tuple[list[int], list[str]]:
    """All spans that a root leads to, parents first, and the stage that each belongs to."""
    order: list[int] = []
    stages = [REST] * len(own)
    waiting = [(root, REST) for root in roots]
    while waiting:
        place, above = waiting.pop()
        stage = own[place]
        if above in RAG_STAGES and (above == "rerank" or stage not in RAG_STAGES):
            stage = above
        stages[place] = stage
        order.append(place)
        waiting += [(kid, stage) for kid in kids[place]]
    return order, stages


def _whole(read: Sequence[SpanFacts], spans: Sequence[SpanFacts], tree: Tree) -> TraceFacts:
    """The trace as a whole: its root's name and time; of several roots, from the first beginning to the last end."""
    begun = [spans[place] for place in tree.roots]
    first = spans[min(tree.roots)]
    ends = [span.end_ns for span in begun if span.end_ns is not None]
    query_ids = [str(span.facts["query_id"]) for span in begun if "query_id" in span.facts]
    return TraceFacts(
        trace_id=first.trace_id, service=first.service, name=first.name, start_ns=first.start_ns,
        duration_ns=max(ends) - first.start_ns if len(ends) == len(begun) else None, spans=len(spans),
        is_rooted=len(begun) == 1 and not first.parent_id, repeated=len(read) - len(spans), calls=tree.calls,
        query_id=query_ids[0] if query_ids else None,
    )  # fmt: skip


def _add_times(trace: TraceFacts, spans: Sequence[SpanFacts], tree: Tree) -> None:
    """Add up by stage what spans took, and what became of them."""
    kids, stages = tree.kids, tree.stages
    starts = [span.start_ns for span in spans]
    ends = [span.start_ns if span.end_ns is None else span.end_ns for span in spans]
    busy, begun = trace.busy_ns, trace.starts_ns
    for span, stage, own, below in zip(spans, stages, own_times(starts, ends, kids), kids, strict=True):
        if stage not in begun:
            begun[stage] = span.start_ns
        if span.end_ns is None:
            trace.unfinished += 1
            trace.untimed.add(stage)
        else:
            busy[stage] = busy.get(stage, 0) + own
            for kid in below:
                if starts[kid] < span.start_ns or ends[kid] > span.end_ns:
                    trace.skewed += spans[kid].end_ns is not None
        facts = span.facts
        if span.failed or "error" in facts:
            trace.errors[stage] = trace.errors.get(stage, 0) + 1
            trace.failed = trace.failed or not span.parent_id
        if not RARE.isdisjoint(facts):
            _add_rare(trace, facts, stage)
    if trace.duration_ns is not None:
        end_ns = trace.start_ns + trace.duration_ns
        path = critical_path(starts, ends, kids, tree.roots, start=trace.start_ns, end=end_ns)
        for stage, waited in zip((*stages, REST), path, strict=True):
            trace.path_ns[stage] = trace.path_ns.get(stage, 0) + waited


def _add_rare(trace: TraceFacts, facts: dict[str, Any], stage: str) -> None:
    if resent := facts.get("resent"):
        trace.retries[stage] = trace.retries.get(stage, 0) + int(resent)
    for unit, count in facts.get("usage", {}).items():
        trace.usage[stage, unit] = trace.usage.get((stage, unit), 0) + int(count)
    trace.sampled.update(facts.get("sampled", ()))
    if (share := facts.get("kept_share")) is not None:
        trace.kept_share = share


def _add_retries(trace: TraceFacts, spans: Sequence[SpanFacts], tree: Tree) -> None:
    """A call that failed and was made again beside it, under the same name."""
    for below in tree.kids:
        if len(below) < 2:
            continue
        calls: dict[tuple[str, str], list[SpanFacts]] = defaultdict(list)
        for kid in below:
            calls[spans[kid].name, tree.stages[kid]].append(spans[kid])
        for (_, stage), same in calls.items():
            failed = sum(span.failed or "error" in span.facts for span in same[:-1])
            if failed:
                trace.retries[stage] = trace.retries.get(stage, 0) + failed


def _add_passages(trace: TraceFacts, spans: Sequence[SpanFacts], tree: Tree) -> None:
    """What was found, what rerankers made of it, and what of it stands in a prompt; spans by the time they begin."""
    prompts: list[str] = []
    passages: dict[str, str] = {}
    for place in tree.ranked:
        span, facts = spans[place], spans[place].facts
        for name in LISTED:
            if name in facts:
                for doc_id, probe in facts[name]:
                    if probe and doc_id not in passages:
                        passages[doc_id] = probe
        if "found" in facts and span.stage == "search" and place not in tree.inner_searches:
            trace.found = facts["found"]
        if "reranked" in facts and span.stage == "rerank" and (offered := facts.get("offered") or trace.found):
            trace.rerankings.append((offered, facts["reranked"]))
        if "injected" in facts and span.stage == "inject":
            trace.injected = [doc_id for doc_id, _ in facts["injected"]]
        if tree.stages[place] == "generate":
            if prompt := facts.get("prompt") or facts.get("question"):
                prompts.append(prompt)
            if "first_token_s" in facts:
                trace.first_token_ns = round(facts["first_token_s"] * 1e9)
    if trace.injected is None and prompts:
        whole = "\0".join(prompts)  # a probe is of one line and holds no such character
        trace.injected = [doc_id for doc_id, probe in passages.items() if probe in whole] or None


def _model_call(span: SpanFacts, stage: str) -> ModelCall:
    get = span.facts.get
    recorded, docs, input_tokens = get("own_usd"), get("candidates"), get("input_tokens")
    if docs is None and (offered := get("offered")) is not None:
        docs = len(offered)
    if input_tokens is None and stage == "embed":
        input_tokens = get("total_tokens")
    return ModelCall(
        stage, RECORDED if recorded is not None else str(get("provider") or "").lower(), str(get("model") or ""),
        input_tokens, get("output_tokens"), get("cached_tokens") or 0, docs,
        get("usd") if recorded is None else recorded,
    )  # fmt: skip


def _question(spans: Sequence[SpanFacts], tree: Tree) -> str | None:
    """The question as the search, the reranker or the embedder was given it, else as the whole was."""
    for stage in ("search", "rerank", "embed"):
        for place in tree.ranked:
            if spans[place].stage == stage and spans[place].facts.get("question"):
                return str(spans[place].facts["question"])
    return next(
        (str(spans[place].facts["question"]) for place in tree.order if spans[place].facts.get("question")), None
    )
