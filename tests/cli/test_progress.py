"""What long work says of itself: to a log, to another program, and to nobody."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pytest
from commandline import Ragprof, changed

from ragprof.cli import console
from ragprof.cli.lines import Both, Lines, TaskReport, as_json
from ragprof.core import Embedded
from ragprof.core.clock import Silent, TellsState, step
from ragprof.parts.embedders.hashing import HashingEmbedder
from ragprof.record.rankings import document_vectors

SECOND = 1_000_000_000
RUNNING = re.compile(r"embed document texts: ([\d,]+) of 2,000 \((\d+)%\), ([\d.]+)/s, about (\d+) s left")
FIELDS = {"task", "state", "done", "total", "seconds", "per_second", "remaining_seconds"}
LONG = ("run", "grow", "inject", "reranker", "curate", "screen", "chunking", "stores", "load", "audit", "check",
        "price", "report", "trec", "compare", "gate", "export", "mlflow", "baseline save", "corpora build")  # fmt: skip


class Hand:
    """A clock that is moved by hand, and what was written with the second at which it was."""

    def __init__(self) -> None:
        self.now, self.written = 0, list[tuple[float, str]]()

    def __call__(self) -> int:
        return self.now

    def write(self, line: str) -> None:
        self.written.append((self.now / SECOND, line))

    def passes(self, seconds: float, lines: Lines) -> None:
        """Time passes, a quarter of a second at a time, and the thread that watches it looks up each time."""
        for _ in range(round(seconds * 4)):
            self.now += SECOND // 4
            lines.tick()


class SlowEmbedder(HashingEmbedder):
    """Reads 32 texts a second."""

    def __init__(self, hand: Hand) -> None:
        super().__init__(16)
        self.hand, self.lines = hand, Lines(hand.write, clock=hand)

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        self.hand.passes(len(texts) / 32, self.lines)
        return super().embed_documents(texts)


def test_embedding_tells_a_log_its_rate_and_what_is_left_at_least_every_ten_seconds(tmp_path: Path) -> None:
    hand = Hand()
    embedder = SlowEmbedder(hand)
    texts = [f"passage {number}" for number in range(2000)]
    document_vectors(embedder, texts, cache=tmp_path, progress=embedder.lines)
    assert hand.now == 62.5 * SECOND
    first, *between, last = [line for _, line in hand.written]
    assert (first, last) == ("embed document texts (2,000)", "embed document texts: done in 62 s (32.0/s)")
    moments = [second for second, _ in hand.written]
    assert max(after - before for before, after in pairwise(moments)) <= 10
    found = [RUNNING.fullmatch(line) for line in between]
    assert len(between) >= 7
    for (second, _), each in zip(hand.written[1:-1], found, strict=True):
        assert each
        assert each[3] == "32.0"
        assert int(each[4]) == pytest.approx(62.5 - second, abs=1)
        assert int(each[2]) == pytest.approx(int(each[1].replace(",", "")) / 20, abs=1)


def test_a_line_a_twentieth_and_never_two_within_two_seconds() -> None:
    hand = Hand()
    lines = Lines(hand.write, clock=hand)
    with step(lines, "slow", 100):
        for _ in range(100):
            hand.passes(1, lines)
            lines.advance(1)
    assert [second for second, _ in hand.written] == [0, *range(5, 100, 5), 100]
    hand.written.clear()
    with step(lines, "quick", 1000):
        for _ in range(1000):
            hand.now += SECOND // 100
            lines.advance(1)
    moments = [second - 100 for second, _ in hand.written]
    assert moments == pytest.approx([0, 2, 4, 6, 8, 10])


def test_a_step_that_reports_nothing_is_not_silent_and_its_rate_is_that_of_the_steps_before() -> None:
    hand = Hand()
    lines = Lines(hand.write, clock=hand)
    with step(lines, "build indexes", 3):
        hand.passes(5, lines)
        lines.advance(1)
        hand.passes(25, lines)
    hand.passes(10, lines)
    assert hand.written == [
        (0, "build indexes (3)"),
        (5, "build indexes: 1 of 3 (33%), 0.200/s, about 10 s left"),
        (15, "build indexes: 1 of 3 (33%), 0.200/s, 15 s so far"),
        (25, "build indexes: 1 of 3 (33%), 0.200/s, 25 s so far"),
        (30, "build indexes: done in 30 s (0.200/s)"),
        (40, "still working: 10 s so far"),
    ]


def test_what_has_one_step_is_told_once_it_takes_long() -> None:
    hand = Hand()
    lines = Lines(hand.write, clock=hand)
    with step(lines, "judge"):
        hand.passes(9, lines)
    with step(lines, "analyse"):
        hand.passes(1, lines)
        with step(lines, "draw"):
            hand.passes(12, lines)
        hand.passes(10, lines)
    assert hand.written == [
        (10, "analyse: 1 s so far"),
        (20, "draw: 10 s so far"),
        (22, "draw: done in 12 s"),
        (32, "analyse: 23 s so far"),
        (32, "analyse: done in 23 s"),
    ]


def test_a_thread_tells_the_time_that_passes() -> None:
    written: list[str] = []
    with Lines(written.append, every_s=0.01) as lines, step(lines, "judge"):
        until = time.monotonic() + 10
        while written.count("judge: 0 s so far") < 3 and time.monotonic() < until:
            time.sleep(0.01)
    assert written.count("judge: 0 s so far") >= 3
    told = len(written)
    time.sleep(0.05)
    assert len(written) == told


def test_each_line_of_json_is_an_object_of_the_documented_fields() -> None:
    hand = Hand()
    lines = Lines(hand.write, as_json, clock=hand)
    with step(lines, "embed \u001b[2J", 4):
        hand.passes(10, lines)
        lines.advance(1)
    reports = [TaskReport(**json.loads(line)) for _, line in hand.written]
    assert reports == [
        TaskReport("embed [2J", "started", 0, 4, 0.0, None, None),
        TaskReport("embed [2J", "running", 0, 4, 10.0, None, None),
        TaskReport("embed [2J", "finished", 1, 4, 10.0, 0.1, None),
    ]
    documented = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(\w+)`", documented)) >= FIELDS
    assert {*json.loads(hand.written[0][1])} == FIELDS


def test_a_program_gets_json_alone_and_the_same_result(ragprof: Ragprof, handbook: Path, tmp_path: Path) -> None:
    changed(handbook, "seconds = 2\nrounds = 3", "seconds = 0.1\nrounds = 2")
    outcome = ragprof("run", handbook, "--out", tmp_path / "out", "--json-progress")
    reports = [json.loads(line) for line in outcome.message.splitlines()]
    assert all({*report} == FIELDS for report in reports)
    finished = [report["task"] for report in reports if report["state"] == "finished"]
    assert finished == [
        "read the corpus and the questions", "load models", "embed document texts", "embed query texts",
        "build indexes", "score pairs", "time live queries", "find cut texts", "count tokens",
        "judge", "price", "analyse", "draw the report",
    ]  # fmt: skip
    assert outcome.output.endswith(f"report: {tmp_path}/out/report.html\n")
    quiet = ragprof("report", tmp_path / "out", "--quiet")
    assert (quiet.code, quiet.message, quiet.output) == (0, "", outcome.output)


def test_quiet_prints_only_the_result(ragprof: Ragprof, handbook: Path, tmp_path: Path) -> None:
    changed(handbook, "seconds = 2\nrounds = 3", "seconds = 0.1\nrounds = 2")
    outcome = ragprof("run", handbook, "--out", tmp_path / "out", "--quiet")
    assert (outcome.code, outcome.message) == (0, "")
    assert "nDCG@10" in outcome.output
    both = ragprof("run", handbook, "--quiet", "--json-progress")
    assert (both.code, both.output) == (2, "")
    assert both.message == "ragprof: --quiet and --json-progress exclude each other; give one of them\n"


@pytest.mark.parametrize("command", LONG)
def test_every_command_that_takes_its_time_has_both_options(ragprof: Ragprof, command: str) -> None:
    text = ragprof(*command.split(), "--help").output
    assert "--quiet" in text
    assert "--json-progress" in text


@pytest.mark.parametrize(
    ("how", "told"),
    [("shown", ["a notice", "a warning"]), ("json", ["a notice", "a warning"]), ("quiet", ["a warning"])],
)
def test_what_is_logged_is_told_and_only_warnings_with_quiet(
    how: console.Shown, told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    console.report_progress(how)
    try:
        with console.progress():
            logging.getLogger("ragprof").info("a notice")
            logging.getLogger("ragprof").warning("a warning")
    finally:
        console.report_progress("shown")
    logging.getLogger("ragprof").info("not any more")
    assert capsys.readouterr().err == "".join(f"ragprof: {line}\n" for line in told)


def test_what_a_task_is_at_reaches_the_one_of_two_that_can_show_it() -> None:
    class Telling(Silent):
        told: ClassVar[list[str]] = []

        def state(self, words: str) -> None:
            self.told.append(words)

    both = Both(Silent(), Telling())
    assert isinstance(both, TellsState)
    both.state("20/s, 3 in flight")
    assert Telling.told == ["20/s, 3 in flight"]
