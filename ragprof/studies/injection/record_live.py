"""Live answers, for cost: one query at a time through every stage, and prompts of chosen lengths. Nothing is reused.

Rounds are interleaved over pipelines and settings, as the main recording's are over pipelines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd

from ragprof.core import STAGES, Doc, Query, cores, prompt
from ragprof.core.clock import excluded_ns
from ragprof.core.reasoning import apart
from ragprof.core.stages import Generator
from ragprof.record.budget import shares
from ragprof.record.disturbance import busiest_share
from ragprof.record.pipeline import Parts
from ragprof.record.query import traced
from ragprof.record.recording import Bench, shuffled
from ragprof.record.timings import QuietMoments, warmed
from ragprof.studies.injection.meters import Meter, joules
from ragprof.studies.injection.plan import InjectionPlan, Setting, with_injector

COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "retries")
LIVE_COLUMNS = (
    "pipeline", "setting", "round", "query_id", "end_to_end_ns", *(f"{stage}_ns" for stage in STAGES),
    "first_token_ns", "first_reasoning_ns", "decode_ns", *COUNTS, "excluded_ns", "cpu_ns", "waiting_ns", "joules",
)  # fmt: skip
PREFILL_COLUMNS = ("round", "prompt_tokens", "first_token_ns", "end_to_end_ns", "cpu_ns", "waiting_ns")
APART = 7_919
"""Passages between the places of the corpus where two prompts begin; prime, so that they meet late."""
SPREAD = 0.02
"""A prompt's length may be off by so much of the length that was asked for."""


@dataclass(frozen=True)
class AnsweringPipeline:
    """A pipeline in one setting."""

    name: str
    setting: Setting
    parts: Parts


@dataclass
class LiveAnswers:
    """Rows of live.parquet so far."""

    bench: Bench
    meter: Meter | None
    rows: list[tuple[object, ...]] = field(default_factory=list)

    def ask(self, asker: AnsweringPipeline, query: Query, number: int) -> int:
        """One live query, kept unless its round is below 0 or its answer was held back; its duration in ns."""
        before, apart = self.meter.read_nj() if self.meter else 0, excluded_ns()
        answer, trace = traced(asker.parts, query, self.bench.clock, read={"query"})
        drawn = joules(self.meter, since_nj=before) if self.meter else None
        generated = answer.generated
        if number >= 0 and generated is not None and generated.finish != "content_filter":
            spans: Mapping[str, int] = {span.stage: span.duration_ns for span in trace.spans}
            usage, first = generated.usage, generated.first_token_ns
            self.rows.append(
                (
                    *(asker.name, asker.setting.name, number, trace.query_id, trace.duration_ns),
                    *(spans.get(stage) for stage in STAGES),
                    *(first, generated.first_reasoning_ns, None if first is None else spans["generate"] - first),
                    *(usage.get(unit) for unit in COUNTS),
                    *(excluded_ns() - apart, trace.cores.cpu_ns, trace.cores.waiting_ns, drawn),
                )
            )
        return trace.duration_ns

    def table(self) -> pd.DataFrame:
        table = pd.DataFrame(self.rows, columns=list(LIVE_COLUMNS))
        whole = [column for column in LIVE_COLUMNS if column.endswith(("_ns", "_tokens")) or column == "retries"]
        return table.astype({**dict.fromkeys(whole, "Int64"), "joules": "Float64"})


def time_answers(planned: InjectionPlan, bench: Bench, meter: Meter | None) -> pd.DataFrame:
    """Warm-up, by how long which the time is shared out; then rounds over every pipeline and timed setting."""
    timing = planned.injection.timing
    askers = {
        f"{parts.name} {setting.name}": AnsweringPipeline(parts.name, setting, with_injector(parts, setting))
        for parts in planned.subject.pipelines
        for setting in planned.settings[parts.name]
        if setting.timed
    }
    queries = shuffled(planned.queries, planned.injection.seed)
    asking = {key: partial(LiveAnswers(bench, meter).ask, asker, number=-1) for key, asker in askers.items()}
    patience = QuietMoments(timing, bench.clock, bench.progress)
    taken = warmed(asking, queries, timing=timing, progress=bench.progress, patience=patience)
    counts = shares(taken, len(queries), timing, asked=timing.rounds)
    keys = list(askers)

    def one_round(number: int) -> pd.DataFrame:
        live = LiveAnswers(bench, meter)
        for place in range(len(keys)):
            key = keys[(place - number) % len(keys)]
            for query in queries[: counts[key]]:
                live.ask(askers[key], query, number)
                bench.progress.advance(1)
        return live.table()

    busiest = partial(busiest_share, by=["pipeline", "setting"])
    steps = sum(counts.values())
    rounds = patience.rounds(one_round, busiest, range(timing.rounds), task="time live answers", steps=steps)
    table: pd.DataFrame = pd.concat(rounds, ignore_index=True)
    return table


def time_lengths(
    generator: Generator, docs: Sequence[Doc], lengths: Sequence[int], *, repeats: int, bench: Bench
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
    bench.progress.start("time prompts by length", len(built))
    rows, meter = [], cores.meter()
    if warm is not None:
        generator.generate(warm)
    for (number, _), text in built.items():
        before, start = meter.of_process(), bench.clock()
        generated = apart(generator.generate(text))
        took, added = bench.clock() - start, meter.of_process().since(before)
        # The prompt is read when the model says its first word, be it to itself. Reasoning that is not shown hides it.
        hidden = generated.first_reasoning_ns is None and generated.usage.get("reasoning_tokens", 0) > 0
        first_ns = generated.first_token_ns if generated.first_reasoning_ns is None else generated.first_reasoning_ns
        if first_ns is not None and not hidden:
            tokens = generated.usage.get("input_tokens", generator.count_tokens(text))
            rows.append((number, tokens, first_ns, took, added.cpu_ns, added.waiting_ns))
        bench.progress.advance(1)
    bench.progress.done()
    table = pd.DataFrame(rows, columns=list(PREFILL_COLUMNS))
    return table.astype(dict.fromkeys(("cpu_ns", "waiting_ns"), "Int64"))


def prompt_of_length(generator: Generator, docs: Sequence[Doc], length: int, *, start: int) -> str | None:
    """A prompt of so many tokens as the generator counts, or a few less: passages from a place of the corpus on, cut.

    None where an empty prompt is longer already, or the corpus too short.
    """
    words: list[str] = []
    for place in range(len(docs)):
        words += docs[(start + place) % len(docs)].content.split()
        if len(words) >= length:  # a word is hardly ever less than a token
            break
    passages = " ".join(words)

    def text(characters: int) -> str:
        return prompt.build(prompt.TEMPLATE, "What do they say?", [Doc("", "", passages[:characters], "")])

    low, high = 0, len(passages)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if generator.count_tokens(text(middle)) <= length else (low, middle - 1)
    found = text(low)
    return found if abs(generator.count_tokens(found) - length) <= max(8, SPREAD * length) else None
