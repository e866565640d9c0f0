"""Answers on the page, in Markdown and in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ragprof.session.pages import render_html, render_markdown, write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,2000"),
    *("--virtual-time-budget=8000", "--enable-logging=stderr", "--v=0", "--dump-dom"),
)
_BAR = re.compile(r"(?<!\\)\|")
PICTURES = 4 + 2 * 3
Variant = Callable[..., dict[str, Any]]


def _section(page: str, name: str = "injection") -> str:
    return page.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def test_a_page_without_answers_has_no_trace_of_them(page: str) -> None:
    body = page.partition("</style>")[2].partition('id="chart-specifications"')[0]
    assert "injection" not in body
    assert "audit" not in body
    assert '"injection-' not in page


def test_economics_alone_are_shown_as_answers(whole_answers: dict[str, Any]) -> None:
    section = _section(render_html({**whole_answers, "injection": None, "audit": None}))
    assert "Unit economics" in section
    assert "Where answers are lost" not in section


def test_answers_and_audit_stand_between_quality_and_resources(answered_page: str) -> None:
    places = [answered_page.index(f'<section id="{name}">') for name in ("quality", "injection", "audit", "resources")]
    assert places == sorted(places)
    nav = answered_page.partition("<nav")[2].partition("</nav>")[0]
    assert re.findall(r">(\w[\w-]*)</a>", nav) == [
        *("Time", "Trade-off", "Quality", "Answers", "Audit", "Resources", "Trust", "Rates")
    ]


def test_every_chart_of_the_answers_is_there_as_a_still_too(answered_page: str) -> None:
    section = _section(answered_page)
    assert section.count('class="marks"') == section.count('class="still"') == PICTURES
    found = re.search(r'id="chart-specifications">(.*?)</script>', answered_page, re.DOTALL)
    assert found is not None
    assert len([key for key in json.loads(found.group(1)) if key.startswith("injection-")]) == PICTURES


def test_pictures_share_no_names_that_could_clash(answered_page: str) -> None:
    assert "clip-path" not in _section(answered_page)
    names = re.findall(r'\bid="([^"]+)"', answered_page)
    assert len(names) == len(set(names))


def test_statements_stand_first_and_notes_last(answered_page: str, whole_answers: dict[str, Any]) -> None:
    section, study = _section(answered_page), whole_answers["injection"]
    first, last = section.index(study["statements"][0]), section.index(study["notes"][-1])
    assert first < section.index("Answers at a glance") < section.index("Unit economics") < last


def test_long_tables_are_folded(answered_page: str) -> None:
    assert re.findall(r"<summary>(.*?)</summary>", _section(answered_page)) == [
        "Where answers are lost",
        "Questions that nothing answers",
        "A model as judge against the gold answers",
        "Answers by the number of chunks",
        "Answers by token budget",
        "Tokens and time by the number of chunks",
        "Tokens and time by token budget",
    ]


def test_the_page_with_answers_stays_under_two_and_a_half_megabytes(answered_page: str) -> None:
    assert len(answered_page.encode()) < 2_500_000


def test_hostile_texts_are_shown_and_never_run(answers_variant: Variant, hostile_name: str) -> None:
    page = render_html(answers_variant("renamed"))
    assert page.count("<script") == 3
    assert "<img" not in page.partition('<script type="application/json"')[0]
    assert "\u691c\u7d22" in hostile_name
    assert _section(page).count("&lt;img src=x onerror=alert(1)&gt;|Überlänge für die Prüfung \u691c\u7d22") > 20


def test_hostile_texts_break_no_table_in_markdown(answers_variant: Variant) -> None:
    text = render_markdown(answers_variant("renamed"))
    assert "<img" not in text
    for block in (block for block in text.split("\n\n") if block.startswith("|")):
        assert len({len(_BAR.findall(line)) for line in block.split("\n")}) == 1


def test_a_study_of_nulls_gives_a_section_without_zeros(answers_variant: Variant) -> None:
    page = render_html(answers_variant("bare"))
    section = _section(page)
    assert "Answers at a glance" in section
    assert "<svg" not in section
    assert ">0<" not in section
    assert section.count("<h3>") == section.count("<figure")
    assert '<section id="audit">' not in page


def test_a_generate_stage_has_its_bar_among_the_others(summary: dict[str, Any]) -> None:
    summary["pipelines"]["dense"]["stages"]["generate"] = dict(summary["pipelines"]["dense"]["end_to_end"])
    chart = render_html(summary).partition('id="chart-time"')[2].partition("</figure>")[0]
    assert "#7A5C86" in chart
    assert ">generate<" in chart


def test_markdown_unfolds_the_glance_and_folds_the_rest(whole_answers: dict[str, Any]) -> None:
    part = render_markdown(whole_answers).partition("### Context and answers")[2].partition("### Does it repeat?")[0]
    assert part.index("**Answers at a glance**") < part.index("<details>")
    assert part.count("<details>") == part.count("</details>") == 20
    assert "- dense: from k = 3 on one more chunk costs more than it brings." in part
    assert "| dense | 38.3% (26.0%\u201350.6%) | 0.353 (0.263\u20130.443) |" in part
    assert part.rstrip().endswith("- Time to first token is that of 2 cores without a GPU.")
    for block in (block for block in part.split("\n\n") if block.startswith("|")):
        lines = block.split("\n")
        assert len({len(_BAR.findall(line)) for line in lines}) == 1
        assert re.fullmatch(r"\|( (:---|---:) \|)+", lines[1])


def test_markdown_without_answers_has_no_trace_of_them(summary: dict[str, Any]) -> None:
    text = render_markdown(summary)
    assert "Context and answers" not in text
    assert "Does it repeat" not in text


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH to open the report in")
def test_a_browser_draws_every_chart_and_complains_of_nothing(answered_page: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(answered_page, encoding="utf-8")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    opened = subprocess.run(
        [str(BROWSER), *FLAGS, profile, page.as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    live = re.findall(r'<div class="live[^>]*><svg[^>]*class="marks"', opened.stdout)
    assert len(live) == 6 + PICTURES
    assert opened.stdout.count('<div class="panel drawn"') == 6
    assert not [line for line in opened.stderr.splitlines() if "CONSOLE" in line]


def test_answers_are_written_with_the_rest(answers_variant: Variant, tmp_path: Path) -> None:
    page = write_report(answers_variant("one_pipeline"), tmp_path)
    assert '<section id="injection">' in page.read_text(encoding="utf-8")
    assert "### Context and answers" in (tmp_path / "report.md").read_text(encoding="utf-8")
