"""The audit in the report, in Markdown and on a terminal, from what the product recorded (tests/golden/audit.json)."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from ragprof.report.html import Front, page
from ragprof.report.tables import Cell, Table
from ragprof.studies.audit.section import AuditSection
from ragprof.studies.audit.tables import audit_table, quality, show, stages
from ragprof.studies.contract import Context

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "audit.json").read_text(encoding="utf-8"))
HOSTILE = "[red]a[/red] [/nothing] <img src=x onerror=alert(1)>|Überlänge für die Prüfung \u691c\u7d22"
CONTEXT = Context(("hybrid+overlap",), "nDCG@10", {}, {})


@pytest.fixture
def section() -> AuditSection:
    return AuditSection.model_validate(GOLDEN)


def renamed(section: AuditSection, name: str) -> AuditSection:
    """The pipeline under another name, and every sentence as hostile as the name."""
    (pipeline,) = section.pipelines.values()
    return section.model_copy(update={"pipelines": {name: pipeline}, "statements": [name]})


def texts(table: Table, place: int) -> list[str]:
    return [cell.text for cell in table.rows[place].cells]


def lines(section: AuditSection, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(audit_table(section, CONTEXT))
    return captured.get().splitlines()


def test_what_is_read_again_is_what_was_recorded(section: AuditSection) -> None:
    assert section.as_json() == GOLDEN


def test_the_table_names_what_differs_by_stage(section: AuditSection) -> None:
    table = stages(section)
    assert texts(table, 1)[1:] == [
        *("embed", "batch size", "12", "12 of 12 differ", "0.707", "0"),
        "alone or in one call with the others; changed no ranking",
    ]
    assert texts(table, 4)[1:] == ["search", "ranking", "12", "identical", "\u2013", "\u2013", "5 times"]
    assert table.rows[10].cells[6] == Cell("\u22120.462", "161.9% of the interval")
    assert table.note == "12 queries, each 5 times through every stage."
    assert [row.span for row in table.rows] == [15, *[0] * 14]


def test_differences_far_behind_the_point_are_powers_of_ten(section: AuditSection) -> None:
    (pipeline,) = section.pipelines.values()
    check = pipeline.stages[1].model_copy(
        update={"largest_difference": 1.19e-7, "quality_shift": 0.0012, "share": None}
    )
    changed = pipeline.model_copy(update={"stages": [check]})
    assert texts(stages(section.model_copy(update={"pipelines": {"p": changed}})), 0)[5:7] == [
        "1.2e\u22127",
        "+0.00120",
    ]


def test_it_says_how_much_of_the_interval_repeating_explains(section: AuditSection) -> None:
    (pipeline,) = section.pipelines.values()
    spread = pipeline.quality.model_copy(update={"spread": 0.0021, "interval_width": 0.0912, "share": 0.023})
    ties = pipeline.ties.model_copy(update={"queries": 3, "share": 0.15, "at_depth": 1, "at_k": 2})
    changed = pipeline.model_copy(update={"quality": spread, "ties": ties})
    table = quality(section.model_copy(update={"pipelines": {"p": changed}}))
    assert texts(table, 0) == ["p", "3", "15.0%", "0.00210", "0.091", "2.3%"]
    assert table.rows[0].cells[1].note == "1 at the depth, 2 at k"
    unknown = pipeline.model_copy(update={"quality": spread.model_copy(update={"interval_width": None, "share": None})})
    assert texts(quality(section.model_copy(update={"pipelines": {"p": unknown}})), 0)[4:] == ["n/a", "n/a"]


def test_the_terminal_names_what_differs_and_counts_the_rest(section: AuditSection) -> None:
    found = lines(section)
    assert max(map(len, found)) <= 80
    assert [line.split() for line in found[4:9]] == [
        ["hybrid+overlap", "embed", "in", "a", "batch", "12", "of", "12", "differ", "0.707"],
        ["rerank", "one", "by", "one", "12", "of", "12", "differ", "9.00"],
        ["rerank", "reversed", "12", "of", "12", "differ", "9.00"],
        ["generate", "answer", "5", "of", "5", "differ", "\u2013"],
        ["others", "11", "checks", "identical", "\u2013"],
    ]
    assert "\u2022 Mean nDCG@10 is the same over 5 repetitions in every pipeline." in " ".join(" ".join(found).split())


def test_where_nothing_differs_one_line_says_so(section: AuditSection) -> None:
    (pipeline,) = section.pipelines.values()
    same = pipeline.model_copy(update={"stages": [check for check in pipeline.stages if check.identical]})
    found = lines(section.model_copy(update={"pipelines": {"bm25": same}}))
    assert found[4].split() == ["bm25", "all", "11", "checks", "identical", "\u2013"]


@pytest.mark.parametrize("width", [80, 200])
def test_hostile_names_are_text_and_nothing_is_cut(section: AuditSection, width: int) -> None:
    found = lines(renamed(section, HOSTILE), width)
    assert "\u2026" not in "\n".join(found)
    assert "[red]a" in "\n".join(found)
    assert max(map(cell_len, found)) <= width


def test_on_a_page_the_sentences_come_first_and_hostile_names_are_text(section: AuditSection) -> None:
    front = Front("t", "", (), (), (), "", "")
    drawn = page(front, show(section, CONTEXT), {}).partition("<h2>Does it repeat?</h2>")[2]
    assert drawn.index(section.statements[0]) < drawn.index("What repeats exactly") < drawn.index("What that does to")
    hostile = page(front, show(renamed(section, HOSTILE), CONTEXT), {}).partition("<h2>Does it repeat?</h2>")[2]
    assert "<img" not in hostile
    assert hostile.count("&lt;img src=x onerror=alert(1)&gt;|Überlänge") == 3
