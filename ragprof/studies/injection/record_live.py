"""Live answers, for cost: one query at a time through every stage, and prompts of chosen lengths. Nothing is reused.

Rounds are interleaved over pipelines and settings, as the main recording's are over pipelines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd

from ragprof.core import STAGES, Answer, Doc, Query, Trace, prompt
from ragprof.core.clock import Progress, excluded_ns
from ragprof.core.stages import Generator
from ragprof.evals import InjectionTiming
from ragprof.record.pipeline import Parts
from ragprof.record.query import traced
from ragprof.record.recording import Bench, shuffled
from ragprof.record.timings import shares, warmed
from ragprof.studies.injection.meters import Meter, joules
from ragprof.studies.injection.plan import InjectionPlan, Setting, with_injector

COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "retries")
LIVE_COLUMNS = (
    "pipeline", "setting", "round", "query_id", "end_to_end_ns", *(f"{stage}_ns" for stage in STAGES),
    "first_token_ns", "decode_ns", *COUNTS, "excluded_ns", "joules",
)  # fmt: skip
PREFILL_COLUMNS = ("round", "prompt_tokens", "first_token_ns")
APART = 7_919
"""Passages between the places of the corpus where two prompts begin; prime, so that they meet late."""
SPREAD = 0.02
"""A prompt's length may be off by so much of the length that was asked for."""


@dataclass(frozen=True)
class Asker:
    """A pipeline in one setting."""

    name: str
    setting: Setting
    parts: Parts


@dataclass
class Live:
    """Rows of live.parquet so far."""

    bench: Bench
    meter: Meter | None
    rows: list[tuple[object, ...]] = field(default_factory=list)

    def ask(self, asker: Asker, query: Query, number: int) -> int:
        """One live query; its duration in ns."""
        before, apart = self.meter.read_nj() if self.meter else 0, excluded_ns()
        answer, trace = traced(asker.parts, query, self.bench.clock)
        drawn = joules(self.meter, since_nj=before) if self.meter else None
        if number >= 0:
            self.rows.append(
                (asker.name, asker.setting.name, number, *_facts(answer, trace), excluded_ns() - apart, drawn)
            )
        return trace.duration_ns

    def table(self) -> pd.DataFrame:
        table = pd.DataFrame(self.rows, columns=list(LIVE_COLUMNS))
        whole = [column for column in LIVE_COLUMNS if column.endswith(("_ns", "_tokens")) or column == "retries"]
        return table.astype({**dict.fromkeys(whole, "Int64"), "joules": "Float64"})


def time_answers(injecting: InjectionPlan, bench: Bench, meter: Meter | None) -> pd.DataFrame:
    """Warm-up, then rounds over every pipeline and timed setting."""
    timing = injecting.injection.timing
    askers = [
        Asker(parts.name, setting, with_injector(parts, setting))
        for parts in injecting.subject.pipelines
        for setting in injecting.settings[parts.name]
        if setting.timed
    ]
    queries = shuffled(injecting.queries, injecting.injection.seed)
    live = Live(bench, meter)
    counts = _counts(live, askers, queries, timing, bench.progress)
    bench.progress.start("time live answers", sum(counts.values()) * timing.rounds)
    for number in range(timing.rounds):
        for place in range(len(askers)):
            asker = askers[(place - number) % len(askers)]
            for query in queries[: counts[_key(asker)]]:
                live.ask(asker, query, number)
                bench.progress.advance(1)
    bench.progress.done()
    return live.table()


def time_lengths(
    generator: Generator, docs: Sequence[Doc], lengths: Sequence[int], *, repeats: int, progress: Progress
) -> pd.DataFrame:
    """Time to first token of prompts of real passages, other ones each time, so that no cache knows their beginning.

    Lengths that do not fit the model's window beside an answer are left out, as are those shorter than an empty prompt.
    """
    room = None if generator.context_tokens is None else generator.context_tokens - generator.max_new_tokens
    fitting = [length for length in lengths if room is None or length <= room]
    built = {
        (number, length): text
        for number in range(repeats)
        for place, length in enumerate(fitting, start=number * len(fitting))
        if (text := prompt_of_length(generator, docs, length, start=place * APART)) is not None
    }
    warm = prompt_of_length(generator, docs, fitting[0], start=-APART) if built else None
    progress.start("time prompts by length", len(built))
    rows = []
    if warm is not None:
        generator.generate(warm)
    for (number, _), text in built.items():
        generated = generator.generate(text)
        if generated.first_token_ns is not None:
            tokens = generated.usage.get("input_tokens", generator.count_tokens(text))
            rows.append((number, tokens, generated.first_token_ns))
        progress.advance(1)
    progress.done()
    return pd.DataFrame(rows, columns=list(PREFILL_COLUMNS))


def prompt_of_length(generator: Generator, docs: Sequence[Doc], length: int, *, start: int) -> str | None:
    """A prompt of so many tokens as the generator counts, or a few less: passages from a place of the corpus on, cut.

    None where an empty prompt is longer already, or the corpus too short.
    """
    passages = " ".join(_words(docs, start, at_least=length))

    def text(characters: int) -> str:
        return prompt.build(prompt.TEMPLATE, "What do they say?", [Doc("", "", passages[:characters], "")])

    low, high = 0, len(passages)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if generator.count_tokens(text(middle)) <= length else (low, middle - 1)
    found = text(low)
    return found if abs(generator.count_tokens(found) - length) <= max(8, SPREAD * length) else None


def _words(docs: Sequence[Doc], start: int, *, at_least: int) -> list[str]:
    words: list[str] = []
    for place in range(len(docs)):
        words += docs[(start + place) % len(docs)].content.split()
        if len(words) >= at_least:
            break
    return words


def _counts(
    live: Live, askers: Sequence[Asker], queries: Sequence[Query], timing: InjectionTiming, progress: Progress
) -> dict[str, int]:
    """Warm up, and share the time out by how long that took."""
    asking = {_key(asker): partial(live.ask, asker, number=-1) for asker in askers}
    return shares(warmed(asking, queries, count=timing.warmup, progress=progress), len(queries), timing)


def _key(asker: Asker) -> str:
    return f"{asker.name} {asker.setting.name}"


def _facts(answer: Answer, trace: Trace) -> Iterator[object]:
    """From the query's id to its tokens, in the order of LIVE_COLUMNS."""
    spans: Mapping[str, int] = {span.stage: span.duration_ns for span in trace.spans}
    usage = answer.usage.get("generate", {})
    first = answer.generated.first_token_ns if answer.generated else None
    yield trace.query_id
    yield trace.duration_ns
    yield from (spans.get(stage) for stage in STAGES)
    yield first
    yield None if first is None else spans["generate"] - first
    yield from (usage.get(unit) for unit in COUNTS)
