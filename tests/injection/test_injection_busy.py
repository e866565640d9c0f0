"""Answers that were timed while the machine did other work: times and money are marked and decide nothing."""

from __future__ import annotations

import io

import pandas as pd
from rich.console import Console
from study import Study

from ragprof.studies.contract import Context
from ragprof.studies.injection import tables
from ragprof.studies.injection.analysis import analyse

BUSY = "the machine was busy (75% of the time waiting for a core)"


def test_what_was_timed_on_a_busy_machine_is_marked_and_decides_nothing(study_copy: Study) -> None:
    """The generator is billed by tokens; what retrieval takes is billed by the time of the main recording."""
    before = analyse(study_copy.folder)
    for name in ("live", "prefill"):
        study_copy.table(name).assign(cpu_ns=10**12, waiting_ns=3 * 10**12).to_parquet(
            study_copy.place / f"{name}.parquet"
        )
    spans = pd.read_parquet(study_copy.folder / "spans.parquet")
    rounds = (spans["phase"] == "round") * spans["duration_ns"]
    spans.assign(cpu_ns=rounds.astype("Int64"), waiting_ns=(3 * rounds).astype("Int64")).to_parquet(
        study_copy.folder / "spans.parquet"
    )
    after = analyse(study_copy.folder)
    assert {(one.latency_withheld, one.cost_withheld) for one in before.economics.values()} == {("", "")}
    assert {(one.latency_withheld, one.cost_withheld) for one in after.economics.values()} == {(BUSY, BUSY)}
    for name, one in after.economics.items():
        assert one.time_to_first_token_s == before.economics[name].time_to_first_token_s
        assert one.usd_per_correct_answer == before.economics[name].usd_per_correct_answer
    assert after.utility.winners == []
    leader = next(name for name in after.answers if f"{name} answers " in " ".join(after.statements))
    for withheld in (
        f"How the time to the first token grows with the prompt is withheld: {BUSY}.",
        f"What a correct answer of {leader} costs is billed by time and withheld: {BUSY}.",
        f"Who is ahead by U = A * R / L^k is withheld: {BUSY}.",
    ):
        assert withheld in after.statements
        assert withheld not in before.statements
    assert before.budget is not None
    assert after.budget is not None
    assert {one.within for one in before.budget.pipelines.values()} <= {True, False}
    assert True not in {one.within for one in after.budget.pipelines.values()}
    assert len([note for note in after.notes if BUSY in note]) == len(after.answers)


def test_marks_stand_behind_times_and_money_in_every_table_and_on_the_terminal(studied: Study) -> None:
    quiet = analyse(studied.folder)
    money = {name: one.model_copy(update={"cost_withheld": BUSY}) for name, one in quiet.economics.items()}
    both = {name: one.model_copy(update={"latency_withheld": BUSY}) for name, one in money.items()}
    timed = quiet.time_to_first_token.model_copy(update={"withheld": BUSY})
    busy = quiet.model_copy(update={"economics": both, "time_to_first_token": timed})
    marked = {
        tables.glance: 3, tables.marginal: 3, tables.fit: 3, tables.lengths: 1, tables.economics: 3,
        tables.utility: 5, tables.budget: 1,
    }  # fmt: skip
    for table, least in marked.items():
        told, untold = ([cell.text for row in table(each).rows for cell in row.cells] for each in (busy, quiet))
        assert not any(text.endswith(" *") for text in untold)
        assert [text.removesuffix(" *") for text in told] == untold
        assert sum(text.endswith(" *") for text in told) >= least
        assert BUSY in table(busy).note
    for one in tables.swept(busy):
        assert any(cell.text.endswith(" *") for row in one.rows for cell in row.cells) is bool(one.rows)
    console = Console(width=100, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(tables.injection_table(busy, Context((), "nDCG@10", {}, {})))
    assert captured.get().count(" *") > len(quiet.answers)
