"""A pipeline of the user's own, asked a question at a time: what it returned, its spans, and what went wrong.

It runs as it stands, on a thread of its own, so that one that hangs can be given up. Its documents are told apart by
`KnownPassages` once the clock has stopped.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from math import isfinite
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread, current_thread, main_thread
from typing import Any, TypeAlias

from ragprof.core import (
    RANKED_STAGES,
    STAGES,
    Answer,
    AppAnswer,
    Doc,
    EmbeddedQuery,
    Found,
    Generated,
    Injected,
    Query,
    Ranking,
    ScoredDoc,
    Span,
    StageName,
    Trace,
    Usage,
    Vectors,
    cores,
    in_order,
)
from ragprof.core.clock import Clock, now_ns
from ragprof.core.counting import counted
from ragprof.core.errors import AppFailed, BadInput
from ragprof.core.plain import said_by, written
from ragprof.core.ranking import without
from ragprof.core.spans import AppSpan, Listener, heard_by
from ragprof.core.spantree import StageTime, one_after_another, parents, stage_times
from ragprof.core.stages import App
from ragprof.parts.hits import Hit, KnownPassages, hit_of, what
from ragprof.parts.returned import EXPECTED, documents_of, joined, units_of
from ragprof.record.indexing import Indexing
from ragprof.record.knobs import KnobSetting, in_place
from ragprof.record.opentelemetry import without_twins

MOST_FAILED = 0.05
"""Share of the questions that may fail before a run stops."""
SHOWN_DOCUMENTS = 5
MOST_NAMES, MORE_NAMES = 60, "(more names)"
"""Stages that are told apart; the rest share a name, so that one with a question in it fills no table."""
GIVEN, COUNTED, PASSAGES = (
    "told by the app's model",
    "counted in its prompt",
    "counted in its passages and the question",
)


@dataclass
class AppLog:
    """What was noticed while each question was asked once, by query_id. Ids of documents, and no texts.

    `unknown` are ids of documents that the corpus does not have, with how many answers they were in; `by_text` counts
    documents that were told by their text alone, `twice` ids that an answer gave twice. `sources` says who told of each
    stage, `tokens` for how many answers the prompt's tokens come from where.
    """

    asked: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    timed_out: int = 0
    without_documents: int = 0
    unknown: dict[str, int] = field(default_factory=dict)
    unknown_tokens: dict[str, int] = field(default_factory=dict)
    documents: int = 0
    by_text: int = 0
    twice: int = 0
    sources: dict[str, str] = field(default_factory=dict)
    overlapping: set[str] = field(default_factory=set)
    tokens: dict[str, int] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """What a manifest keeps. No text, and of documents the first few ids."""
        return {
            "asked": self.asked,
            "failed": len(self.failed),
            "timed_out": self.timed_out,
            "first_failure": next(iter(self.failed.values()), ""),
            "without_documents": self.without_documents,
            "documents": self.documents,
            "documents_by_text": self.by_text,
            "ids_twice": self.twice,
            "unknown_documents": len(self.unknown),
            "unknown_examples": list(self.unknown)[:SHOWN_DOCUMENTS],
            "sources": self.sources,
            "overlapping": in_order(self.overlapping),
            "prompt_tokens": max(self.tokens, key=self.tokens.__getitem__) if self.tokens else PASSAGES,
        }

    def fail(self, query_id: str, failure: AppFailed, *, of: int, name: str) -> None:
        """Count a question that failed. Raises BadInput once more than MOST_FAILED of all have."""
        self.failed[query_id] = failure.message
        self.timed_out += not failure.in_time
        if len(self.failed) > MOST_FAILED * of:
            raise BadInput(
                f"app '{name}' failed for {counted(len(self.failed), 'question')} of {of}, more than "
                f"{MOST_FAILED:.0%}; the first: {next(iter(self.failed.values()))}"
            )


@dataclass(frozen=True)
class Heard:
    """One question asked: what came back, when, and the spans that were heard meanwhile. Times in ns."""

    returned: AppAnswer
    start_ns: int
    end_ns: int
    spans: Sequence[AppSpan]
    first_ns: int | None


Piece: TypeAlias = "tuple[Callable[[asyncio.Runner], Any], SimpleQueue[Any]]"
"""Work, and where what it returns or raises goes."""


class OwnThread:
    """One thread that does what it is given, piece by piece, and an event loop for what is async.

    The thread ends when nobody holds this object any more.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[Piece | None] = SimpleQueue()
        # Daemon: an app that hangs must not keep the process from ending.
        Thread(target=_do_all, args=(self._work,), name="ragprof-app", daemon=True).start()
        weakref.finalize(self, self._work.put, None).atexit = False

    def do(self, work: Callable[[asyncio.Runner], Any], timeout_s: float) -> Any:
        """What the work returns; what it raises is raised here. Raises TimeoutError, and then is of no more use."""
        done: SimpleQueue[Any] = SimpleQueue()
        context = copy_context()
        self._work.put((lambda runner: context.run(work, runner), done))
        try:
            returned, problem = done.get(timeout=timeout_s)
        except Empty:
            raise TimeoutError from None
        if isinstance(problem, KeyboardInterrupt):  # Ctrl-C is raised in the main thread and never in this one
            raise RuntimeError("the app raised KeyboardInterrupt")
        if problem is not None:
            raise problem
        return returned


def _do_all(given: SimpleQueue[Piece | None]) -> None:
    """Do piece by piece, until there is a None."""
    with asyncio.Runner() as runner:
        while piece := given.get():
            work, done = piece
            try:
                done.put((work(runner), None))
            except BaseException as problem:  # whatever an app raises is for whoever asked it
                done.put((None, problem))
            del piece, work, done  # they hold the app


class AskedApp:
    """An app with the corpus that its documents are of. It stands where a pipeline's store and injector stand.

    `id_path` is where a document's id is, if not where ids usually are. `target` is what a reader knows it by;
    `watchers` are the hooks of all frameworks, since code of the user's own may use any of them. `settings` are what
    knobs set on it for the time of each question. With `indexing` its index can be filled anew.
    """

    identity = None
    needs_vectors = False
    index_bytes = 0

    def __init__(
        self, app: App, *, name: str, kind: str, target: str, id_path: str | None, timeout_s: float,
        count: Callable[[str], int],
        watchers: Sequence[Callable[[Listener], AbstractContextManager[None]]],
        indexing: Indexing | None = None, index_timeout_s: float = 3600.0,
    ) -> None:  # fmt: skip
        self.app, self.name, self.kind, self.target, self._watchers = app, name, kind, target, watchers
        self.log = AppLog()
        self.settings: Sequence[KnobSetting] = ()
        self.indexing, self._index_timeout_s = indexing, index_timeout_s
        self._id_path, self._timeout_s, self._count = id_path, timeout_s, count
        self._thread = OwnThread()
        self._known, self._names = KnownPassages(()), set[str]()

    def load(self) -> None:
        self.app.load()

    def add(self, docs: Sequence[Doc], vectors: Vectors | None) -> None:
        """Learn the passages of the corpus; the app has an index of its own."""
        self._known, self.log = KnownPassages(docs), AppLog()

    def reindex(self, documents: list[dict[str, Any]]) -> Any:
        """Have the app index these documents and no others; what it tells of it. Raises BadInput where it fails."""
        indexing = self.indexing
        if indexing is None:
            raise BadInput(f"pipeline '{self.name}' is an app without index(documents)")
        said = f"app '{self.name}': index(documents) with {counted(len(documents), 'document')}"
        try:
            return self._thread.do(lambda runner: _finished(indexing(documents), runner), self._index_timeout_s)
        except TimeoutError:
            self._thread = OwnThread()
            raise BadInput(
                f"{said} took longer than {self._index_timeout_s:g} s; raise index_timeout_seconds"
            ) from None
        except (BadInput, KeyboardInterrupt):
            raise
        except BaseException as problem:  # an app may raise anything, SystemExit too
            raise BadInput(f"{said} failed: {said_by(problem)}") from None

    def search(self, query: EmbeddedQuery, depth: int) -> Found:
        """What the app ends up with. Raises AppFailed."""
        answer = self.answer(query.query)
        ranking = answer.rankings.get("rerank", answer.rankings["search"])
        return Found(ranking[:depth], answer.usage.get("search", {}))

    def inject(self, query: Query, ranking: Ranking) -> Injected:
        """The passages and the question, as far as their tokens can be told."""
        prompt = "\n\n".join([*(item.doc.content for item in ranking), query.text])
        return Injected(prompt, ranking, {"docs_injected": len(ranking)})

    def hear(self, query: Query, clock: Clock = now_ns, *, watched: bool) -> Heard:
        """Ask the question. Raises AppFailed for whatever the app raises, and where nothing came in time."""

        listener = Listener(clock)

        def work(runner: asyncio.Runner) -> Heard:
            with ExitStack() as hooks:
                for each in self._watchers if watched else ():
                    hooks.enter_context(each(listener))
                with heard_by(listener) if watched else nullcontext():
                    start = clock()
                    returned = _finished(self.app.call(query.text), runner)
                    end = clock()
                spans = without_twins(listener.close())
            read = self.app.read(returned)
            if read is None:
                raise AppFailed(
                    f"question '{query.query_id}': app '{self.name}' returned {what(returned)}; expected {EXPECTED}"
                )
            return Heard(read, start, end, spans, listener.first_ns)

        # Set and put back on this side: a question that was given up cannot do it late, in the midst of another. What
        # cannot be put back ends the run: the app would be asked the next question with settings of this one.
        folder = Path.cwd()
        try:
            with in_place(self.settings), left_alone():
                heard: Heard = self._on_thread(query, work, listener)
        finally:
            stayed_in(folder, f"app '{self.name}'")
        return heard

    @contextmanager
    def asker(self) -> Iterator[Callable[[Query], dict[str, int]]]:
        """What one of several threads asks with: it returns the ns of each stage that the app's own marks tell of.

        The app is called on that thread, with neither a time limit nor hooks of frameworks. Raises AppFailed.
        """
        with asyncio.Runner() as runner:

            def ask(query: Query) -> dict[str, int]:
                listener = Listener(now_ns)
                with heard_by(listener):
                    start = now_ns()
                    returned = _finished(self.app.call(query.text), runner)
                    end = now_ns()
                if self.app.read(returned) is None:
                    raise AppFailed(f"app '{self.name}' returned {what(returned)}; expected {EXPECTED}")
                found: dict[str, int] = {}
                for stage, time in stage_times(listener.close(), start, end).items():
                    known = stage if stage in STAGES else "other"
                    found[known] = found.get(known, 0) + time.path_ns
                return found

            yield ask

    def _on_thread(self, query: Query, work: Callable[[asyncio.Runner], Any], listener: Listener | None = None) -> Any:
        """What the work of a question returns. Raises AppFailed for whatever it raises, and where it takes too long."""
        try:
            return self._thread.do(work, self._timeout_s)
        except TimeoutError:
            if listener is not None:
                listener.close()
            self._thread = OwnThread()
            raise AppFailed(
                f"question '{query.query_id}': nothing came from app '{self.name}' within {self._timeout_s:g} s "
                "(timeout_seconds)",
                in_time=False,
            ) from None
        except (AppFailed, KeyboardInterrupt):
            raise
        except BaseException as problem:  # an app may raise anything, SystemExit too
            raise AppFailed(f"question '{query.query_id}': {said_by(problem)}") from None

    def answer(self, query: Query) -> Answer:
        """Rankings, prompt and usage of a question that is asked now. Raises AppFailed."""
        return self.told(query, self.hear(query, watched=True))[0]

    def ranked(self, query: Query, *, of: int) -> Answer:
        """The same, with what is noticed written down; empty where the app fails for this one `of` so many questions.

        Raises BadInput once too many of them have failed.
        """
        log = self.log
        log.asked += 1
        try:
            heard = self.hear(query, watched=True)
            answer, times, read = self.told(query, heard)
        except AppFailed as failure:
            log.fail(query.query_id, failure, of=of, name=self.name)
            return Answer(query, {"search": (), "inject": ()}, query.text, {"inject": {}})
        for stage, time in times.items():
            log.sources.setdefault(stage, time.source)
            if time.busy_ns > time.path_ns:
                log.overlapping.add(stage)
        log.without_documents += not any(answer.rankings.values())
        source = read.tokens_from
        log.tokens[source] = log.tokens.get(source, 0) + 1
        log.documents += read.documents
        log.by_text += read.by_text
        log.twice += read.twice
        for doc_id, text in read.unknown.items():
            log.unknown[doc_id] = log.unknown.get(doc_id, 0) + 1
            log.unknown_tokens.setdefault(doc_id, self._count(text))
        return answer

    def traced(self, query: Query, clock: Clock, *, read_cores: bool) -> tuple[Answer, Trace]:
        """The answer, and a span a stage: its own time on the critical path, one stage after another.

        Stages heard before are 0 where absent.
        """
        meter = cores.meter()
        before = meter.of_process() if read_cores else cores.NOTHING
        heard = self.hear(query, clock, watched=True)
        added = meter.of_process().since(before) if read_cores else cores.NOTHING
        answer, times, _ = self.told(query, heard)
        starts = one_after_another(times)
        spans = tuple(
            Span(stage, starts.get(stage, heard.start_ns), times[stage].path_ns if stage in times else 0)
            for stage in in_order([*times, *self.log.sources])
        )
        return answer, Trace(query.query_id, spans, heard.start_ns, heard.end_ns - heard.start_ns, added)

    def told(self, query: Query, heard: Heard) -> tuple[Answer, Mapping[str, StageTime], DocumentReading]:
        """Make an answer of what was heard, once the clock has stopped. Raises AppFailed.

        Reading documents runs code of the user's own once more, such as properties, so it has a time limit, too.
        """
        read: tuple[Answer, Mapping[str, StageTime], DocumentReading] = self._on_thread(
            query, lambda _runner: self._read(query, heard)
        )
        return read

    def _read(self, query: Query, heard: Heard) -> tuple[Answer, Mapping[str, StageTime], DocumentReading]:
        for span in heard.spans:
            if span.stage not in self._names and len(self._names) >= MOST_NAMES and span.stage not in STAGES:
                span.name = MORE_NAMES
            self._names.add(span.stage)
        times = stage_times(heard.spans, heard.start_ns, heard.end_ns)
        reading, tree = DocumentReading(self._known, self._id_path), parents(heard.spans)
        rankings = _rankings(heard, reading, query, tree)
        usage: dict[StageName, Usage] = {
            stage: _usage(stage, times[stage], heard.spans, rankings, tree) for stage in STAGES if stage in times
        }
        usage["inject"] = {**usage.get("inject", {}), "docs_injected": len(rankings["inject"])}
        text = None if heard.returned.text is None else written(heard.returned.text)
        model = {**usage.get("generate", {}), **heard.returned.usage}
        if text is not None or "generate" in usage:
            if text is not None and "output_tokens" not in model:
                model["output_tokens"] = self._count(text)
            usage["generate"] = model
        said = [heard.returned.prompt, *(span.prompt for span in heard.spans if span.stage in ("inject", "generate"))]
        said += [span.returned for span in heard.spans if span.stage == "inject"]
        prompt = next((written(each) for each in said if isinstance(each, str)), None)
        reading.tokens_from = GIVEN if "input_tokens" in model else PASSAGES if prompt is None else COUNTED
        if prompt is None:
            prompt = self.inject(query, rankings["inject"]).prompt
        generated = None
        if "generate" in usage:
            generated = Generated(text or "", usage["generate"], _first_token_ns(heard), "stop")
        return Answer(query, rankings, prompt, usage, generated), times, reading


@contextmanager
def left_alone() -> Iterator[None]:
    """Have code of the user's own leave the process as it was: its streams open, no alarm set.

    A stream that it closes is opened again. An alarm that it sets is one of its own time, and would ring in the midst
    of something else: it is called off, and where it rings meanwhile and nobody takes it, it raises RuntimeError here
    instead of ending the process.
    """
    has_alarm = current_thread() is main_thread() and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    before = signal.getsignal(signal.SIGALRM) if has_alarm else None
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGALRM, _rang)
    try:
        yield
    finally:
        if has_alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)
        for name, number in (("stdout", 1), ("stderr", 2)):
            stream = getattr(sys, name)
            if stream is not None and stream.closed:
                setattr(sys, name, open(number, "w", encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115


def _rang(_number: int, _frame: object) -> None:
    raise RuntimeError("an alarm rang that the app set (signal.alarm)")


def stayed_in(folder: Path, name: str) -> None:
    """Raises BadInput, back in the folder, where code of the user's own went into another one."""
    if (left_for := Path.cwd()) != folder:
        os.chdir(folder)
        raise BadInput(
            f"{name} changes the working folder to {left_for}, where the run would be written from then on; open files "
            "by their whole path instead, such as Path(__file__).parent / 'index'"
        )


def _finished(returned: Any, runner: asyncio.Runner) -> Any:
    """What the app returned, once it is there: a coroutine and a stream are run to their end."""
    if inspect.isawaitable(returned):
        returned = runner.run(_awaited(returned))
    if isinstance(returned, AsyncIterator):
        return joined(runner.run(_collected(returned)))
    return joined(returned) if isinstance(returned, Iterator) else returned


async def _awaited(returned: Awaitable[Any]) -> Any:
    return await returned


async def _collected(pieces: AsyncIterator[Any]) -> list[Any]:
    return [piece async for piece in pieces]


class DocumentReading:
    """Makes rankings of what an app calls documents, and counts what was noticed about them in one answer."""

    def __init__(self, known: KnownPassages, id_path: str | None) -> None:
        self._known, self._id_path = known, id_path
        self.documents, self.by_text, self.twice, self.tokens_from = 0, 0, 0, PASSAGES
        self.unknown: dict[str, str] = {}

    def ranking(self, lists: Sequence[Sequence[Any]], query: Query) -> Ranking:
        """Results in the app's order, each document at its best place, with the app's own text of it.

        Scores are the app's where it gives all, finite ones, and they never rise, else the places from the end. Several
        searches are one ranking, all first places before all second ones: their scores are not comparable.
        """
        longest = max(map(len, lists), default=0)
        results = [each[place] for place in range(longest) for each in lists if place < len(each)]
        hits = [hit for each in results if (hit := hit_of(each, self._id_path)) is not None]
        places: dict[str, int] = {}
        docs: list[Doc] = []
        texts: dict[str, list[str]] = {}
        for place, hit in enumerate(hits):
            doc = self._doc(hit)
            self.documents += 1
            if doc.doc_id in places:
                self.twice += hit.exact
            else:
                places[doc.doc_id] = place
                docs.append(doc)
            texts.setdefault(doc.doc_id, []).extend([hit.text] if hit.text else [])
        scores = [hits[places[doc.doc_id]].score for doc in docs]
        given = [score for score in scores if score is not None]
        falling = len(lists) == 1 and len(given) == len(docs) and all(map(isfinite, given))
        falling = falling and all(one >= other for one, other in pairwise(given))
        ranking = tuple(
            ScoredDoc(
                Doc(doc.doc_id, "", "\n".join(texts[doc.doc_id]), doc.document_id) if texts[doc.doc_id] else doc,
                given[place] if falling else float(-place),
            )
            for place, doc in enumerate(docs)
        )
        return without(ranking, query.own_document)

    def _doc(self, hit: Hit) -> Doc:
        doc = self._known.doc_of(hit)
        if doc is None and hit.text:
            doc = self._known.doc_with_text(hit.text)
            self.by_text += doc is not None
        if doc is not None:
            return doc
        name = hit.ids[0] if hit.ids else f"text {sha256(hit.text.encode()).hexdigest()[:12]}"
        self.unknown[name] = hit.text
        return Doc(name, "", hit.text, name)


def _rankings(
    heard: Heard, reading: DocumentReading, query: Query, tree: Mapping[AppSpan, AppSpan | None]
) -> dict[StageName, Ranking]:
    """What left each stage that ranks, as far as it was told; what it answered from is what it put into the prompt.

    An app that tells no more than its documents has searched for them. Of searches within a search the outer one
    counts, unless it reranks what the inner ones found: then its documents are the reranker's.
    """
    found = {span: _left(span) for span in tree}
    reranks = [span for span in heard.spans if span.stage == "rerank"]
    reranking = {above for span in reranks for above in _above(span, tree)}

    def lists(stage: StageName) -> list[Sequence[Any]]:
        """Of the outermost spans of a stage that have any documents."""
        mine = {span for span in heard.spans if span.stage == stage and found[span] is not None} - reranking
        return [found[span] or [] for span in heard.spans if span in mine and mine.isdisjoint(_above(span, tree))]

    final = [] if heard.returned.documents is None else [heard.returned.documents]
    around = [found[span] or [] for each in reranks for span in _above(each, tree) if found[span] is not None]
    rankings: dict[StageName, Ranking] = {}
    if (searched := lists("search")) or not reranks:
        rankings["search"] = reading.ranking(searched or final, query)
    if reranks:
        rankings["rerank"] = reading.ranking(lists("rerank")[-1:] or around[:1] or final, query)
    rankings.setdefault("search", rankings.get("rerank", ()))
    chosen = lists("inject") or final
    rankings["inject"] = reading.ranking(chosen, query) if chosen else rankings.get("rerank", rankings["search"])
    return {stage: rankings[stage] for stage in RANKED_STAGES if stage in rankings}


def _left(span: AppSpan) -> list[Any] | None:
    """The documents that a span has; an iterator is the app's own, and is let alone."""
    told = span.documents if span.documents is not None else span.returned
    return None if isinstance(told, Iterator) else documents_of(told)


def _above(span: AppSpan, tree: Mapping[AppSpan, AppSpan | None]) -> Iterator[AppSpan]:
    """What a span lies within, the nearest first."""
    above = tree[span]
    while above is not None:
        yield above
        above = tree[above]


def _usage(
    stage: StageName,
    time: StageTime,
    spans: Sequence[AppSpan],
    rankings: Mapping[StageName, Ranking],
    tree: Mapping[AppSpan, AppSpan | None],
) -> dict[str, int]:
    """What a stage used: its calls, what its spans told, and busy time where it ran side by side with others.

    What a span told is not counted again of those within it that are of the same stage.
    """
    mine = [span for span in spans if span.stage == stage]
    told: dict[str, int] = {"searches" if stage == "search" else "requests": time.calls}
    if time.busy_ns > time.path_ns:
        told["busy_ns"] = time.busy_ns
    counted = {span: units for span in mine if (units := units_of(span.usage))}
    for span, units in counted.items():
        if counted.keys().isdisjoint(_above(span, tree)):
            told |= {unit: told.get(unit, 0) + count for unit, count in units.items()}
    if stage == "rerank":
        known = {span for span in mine if isinstance(span.candidates, int)}
        outer = [span.candidates or 0 for span in known if known.isdisjoint(_above(span, tree))]
        told["docs_scored"] = sum(outer) if known else len(rankings["search"])
    return told


def _first_token_ns(heard: Heard) -> int | None:
    """From the beginning of the last model call to its first piece, else from the question to the answer's first."""
    calls = [span for span in heard.spans if span.stage == "generate" and span.first_ns is not None]
    if calls:
        return (calls[-1].first_ns or 0) - calls[-1].start_ns
    return None if heard.first_ns is None else heard.first_ns - heard.start_ns
