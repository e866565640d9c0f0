"""Last week's traces against this week's: compare and gate without a query in common."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner
from written import attributes, openinference, request, write

import ragprof
from ragprof.cli.app import app
from ragprof.core.errors import BadInput, Incomparable, UnknownName
from ragprof.session.tracing import trace
from ragprof.studies.gate.document import Comparison
from ragprof.studies.gate.pages import comparison_markdown, comparison_page

TRACES = 150


def week(folder: Path, name: str, *, slower: float = 1.0, seed: int, **options: Any) -> Path:
    """A hundred and fifty queries whose lengths scatter; each week has trace ids and questions of its own."""
    rng = np.random.default_rng(seed)
    spans = [
        openinference(seed * 1000 + n, at_ms=n * 60_000, question=f"Question {n} of {name}?",
                      scale=slower * float(rng.lognormal(0, 0.2)), **options)
        for n in range(1, TRACES + 1)
    ]  # fmt: skip
    return trace(write(folder / f"{name}.jsonl", [request(each) for each in spans]), out=folder / name).folder


@pytest.fixture(scope="module")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two alike, one half as slow again with longer prompts, one with a model that nobody has a price of."""
    folder = tmp_path_factory.mktemp("weeks")
    longer = {"llm.model_name": "gpt-4o-mini", "llm.provider": "openai", "llm.token_count.prompt": 1500,
              "llm.token_count.completion": 100}  # fmt: skip
    return {
        "last": week(folder, "last", seed=1),
        "alike": week(folder, "alike", seed=2),
        "slower": week(folder, "slower", slower=1.5, seed=3, llm=longer),
        "unpriced": week(folder, "unpriced", seed=4, llm={"llm.model_name": "in-house"}),
    }


def verdict(found: Comparison, label: str) -> str:
    (row,) = [row for row in found.quantities if row.quantity == label]
    return row.verdict


def test_a_week_that_is_slower_and_dearer_is_told(weeks: dict[str, Path]) -> None:
    found = ragprof.compare(weeks["last"], weeks["slower"])
    assert not found.paired
    for label in (
        "latency_p50",
        "latency_p95",
        "generate.latency_p50",
        "usd_per_1000_queries",
        "generate.input_tokens",
    ):
        assert verdict(found, label) == "worse", label
    (p50,) = [row for row in found.quantities if row.quantity == "latency_p50"]
    assert p50.relative_interval is not None
    assert p50.relative_interval[0] < 0.5 < p50.relative_interval[1]
    assert verdict(found, "generate.output_tokens") == "equivalent"
    assert found.notes[0].startswith("Other questions were asked on each side, and nothing is paired")


def test_weeks_alike_are_not_told_apart(weeks: dict[str, Path]) -> None:
    found = ragprof.compare(weeks["last"], weeks["alike"])
    assert {row.verdict for row in found.quantities} <= {"equivalent", "undecided"}
    assert verdict(found, "usd_per_1000_queries") == "equivalent"


def test_money_without_a_price_is_unpriced(weeks: dict[str, Path]) -> None:
    found = ragprof.compare(weeks["last"], weeks["unpriced"])
    (row,) = [row for row in found.quantities if row.quantity == "usd_per_1000_queries"]
    assert (row.verdict, row.candidate) == ("unpriced", None)
    assert row.reason == "candidate: generate: no price of 'in-house' (150 calls)"
    assert verdict(found, "rerank.usd_per_1000_queries") == "equivalent"
    assert verdict(found, "generate.input_tokens") == "missing"


def test_pages_say_that_nothing_is_paired(weeks: dict[str, Path]) -> None:
    found = ragprof.compare(weeks["last"], weeks["slower"])
    assert "150 and 150 traces, not paired" in comparison_markdown(found)
    assert "samples of traces, of other questions" in comparison_page(found)


def gate_file(folder: Path, quantities: str) -> Path:
    path = folder / "weekly.toml"
    path.write_text(f"[gate.quantities]\n{quantities}\n")
    return path


def test_a_gate_fails_where_this_week_is_worse(weeks: dict[str, Path], tmp_path: Path) -> None:
    path = gate_file(tmp_path, 'latency_p95 = { relative = 0.1 }\n"generate.output_tokens" = { relative = 0.05 }')
    for name, code, verdicts in (("slower", 1, ["regression", "holds"]), ("alike", 0, ["holds", "holds"])):
        arguments = ["gate", str(path), "--baseline", str(weeks["last"]), "--recording", str(weeks[name]),
                     "--json", str(tmp_path / "gate.json"), "-q"]  # fmt: skip
        done = CliRunner().invoke(app, arguments)
        document = json.loads((tmp_path / "gate.json").read_text())
        told = [row["gate"] for row in document["gate"]["gates"]]
        assert (done.exit_code, told[1]) == (code, verdicts[1]), done.output
        assert told[0] in (verdicts[0], "undecided" if name == "alike" else verdicts[0])


def test_a_money_gate_without_a_price_fails(weeks: dict[str, Path], tmp_path: Path) -> None:
    path = gate_file(tmp_path, "usd_per_1000_queries = { relative = 0.1 }")
    found = ragprof.gate(path, baseline=weeks["last"], recording=weeks["unpriced"])
    assert (found.exit_code, found.gate and found.gate.gates[0].gate) == (1, "unpriced")


def test_a_gate_on_what_no_trace_has_is_refused(weeks: dict[str, Path], tmp_path: Path) -> None:
    path = gate_file(tmp_path, '"nDCG@10" = { absolute = 0.01 }')
    with pytest.raises(UnknownName, match="no quantity of these traces named 'nDCG@10'"):
        ragprof.gate(path, baseline=weeks["last"], recording=weeks["alike"])


def test_a_gate_file_with_a_fault_names_its_line(weeks: dict[str, Path], tmp_path: Path) -> None:
    path = gate_file(tmp_path, "latency_p95 = { relative = -1 }")
    with pytest.raises(BadInput, match=r"weekly.toml:2: gate.quantities.latency_p95.relative"):
        ragprof.gate(path, baseline=weeks["last"], recording=weeks["alike"])


def test_traces_and_a_recording_are_not_of_a_kind(weeks: dict[str, Path], recorded_handbook: Path) -> None:
    for sides in ((weeks["last"], recorded_handbook), (recorded_handbook, weeks["last"])):
        with pytest.raises(BadInput, match="the other side is a profile of traces, and this is none"):
            ragprof.compare(*sides)


def test_sides_without_a_service_in_common_are_incomparable(tmp_path: Path) -> None:
    sides = []
    for n, services in enumerate((("a", "b"), ("c", "d"))):
        lines = [request(openinference(n * 10 + m), service=name) for m, name in enumerate(services, start=1)]
        sides.append(trace(write(tmp_path / f"{n}.jsonl", lines), out=tmp_path / str(n)).folder)
    with pytest.raises(Incomparable, match="no service is in both"):
        ragprof.compare(*sides)


def test_of_few_traces_no_p95_is_compared(tmp_path: Path) -> None:
    sides = []
    for n in (1, 2):
        lines = [request(openinference(n * 100 + m, scale=1 + m / 50, question=f"Question {m}?")) for m in range(1, 31)]
        sides.append(trace(write(tmp_path / f"{n}.jsonl", lines), out=tmp_path / str(n)).folder)
    rows = {row.quantity: row for row in ragprof.compare(*sides).quantities}
    assert rows["latency_p95"].reason == "a p95 of fewer than 100 traces a side is not compared"
    assert rows["latency_p95"].interval is None
    assert rows["latency_p50"].interval is not None


@pytest.mark.parametrize("joined_by", ["question", "session"])
def test_traces_of_one_question_or_one_session_count_as_one(tmp_path: Path, joined_by: str) -> None:
    """Six questions (or sessions) a side, asked 25 times each: as 150 witnesses the candidate would be slower."""
    sides = []
    for n, slower in ((1, 1.0), (2, 1.15)):
        lines = []
        for m in range(150):
            group, question = m % 6, f"Question {m}?"
            spans = openinference(
                n * 1000 + m, at_ms=m * 60_000, scale=slower * (0.7 + 0.1 * group),
                question=f"Question {group}  of {n}?" if joined_by == "question" else question,
            )  # fmt: skip
            if joined_by == "session":
                spans[0]["attributes"] += attributes({"session.id": f"user-{group}"})
            lines.append(request(spans))
        sides.append(trace(write(tmp_path / f"{n}.jsonl", lines), out=tmp_path / str(n)).folder)
    found = ragprof.compare(*sides)
    rows = {row.quantity: row for row in found.quantities}
    assert {row.n for row in rows.values()} == {6}
    assert (rows["latency_p95"].interval, rows["latency_p95"].verdict) == (None, "undecided")
    assert rows["latency_p50"].verdict == "undecided"
    assert found.notes[1] == (
        "Traces of one question or one session count as one: base 150 traces of 6, candidate 150 traces of 6 questions "
        "and sessions that are independent; intervals and p go by these."
    )
    assert "user-" not in (sides[0] / "traces.parquet").read_bytes().decode("latin-1")
