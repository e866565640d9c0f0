"""Growth on the page, in Markdown and in a browser."""

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

HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>|a"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,2000"),
    *("--virtual-time-budget=8000", "--enable-logging=stderr", "--v=0", "--dump-dom"),
)
_BAR = re.compile(r"(?<!\\)\|")


def _section(page: str) -> str:
    return page.partition('<section id="growth">')[2].partition("</section>")[0]


def test_a_page_without_growth_has_no_trace_of_it(page: str) -> None:
    body = page.partition("</style>")[2]
    assert "growth" not in body.lower().partition('id="chart-specifications"')[0]
    assert '"growth-' not in body


def test_growth_stands_between_quality_and_resources(grown_page: str) -> None:
    places = [grown_page.index(f'<section id="{name}">') for name in ("quality", "growth", "resources")]
    assert places == sorted(places)
    nav = grown_page.partition("<nav")[2].partition("</nav>")[0]
    assert re.findall(r">(\w[\w-]*)</a>", nav) == [
        *("Time", "Trade-off", "Quality", "Growth", "Resources", "Trust", "Rates")
    ]


def test_every_chart_of_growth_is_there_as_a_still_too(grown_page: str) -> None:
    section = _section(grown_page)
    places = re.findall(r'id="chart-(growth-[\w-]+)"', section)
    assert len(places) == 8 + 5 * 6 + 2
    assert section.count('class="marks"') == section.count('class="still"') == 2 + 5 * 6 + 2
    found = re.search(r'id="chart-specifications">(.*?)</script>', grown_page, re.DOTALL)
    assert found is not None
    drawn = [key for key in json.loads(found.group(1)) if key.startswith("growth-")]
    panelled = {key.rpartition("-")[0] for key in drawn if key[-1].isdigit()}
    assert set(places) == set(drawn) | panelled


def test_pictures_share_no_names_that_could_clash(grown_page: str) -> None:
    section = _section(grown_page)
    assert "clip-path" not in section
    names = re.findall(r'\bid="([^"]+)"', grown_page)
    assert len(names) == len(set(names))


def test_what_flatters_is_on_the_page(grown_page: str, whole_study: dict[str, Any]) -> None:
    section = _section(grown_page).replace("&#39;", "'")
    assert all(note in section for note in whole_study["growth"]["notes"])
    assert section.count("flatters the small sizes") >= 4


def test_long_tables_are_folded(grown_page: str) -> None:
    section = _section(grown_page)
    assert re.findall(r"<summary>(.*?)</summary>", section) == [
        "Forecasts of p95, stages, builds, memory and tokens",
        "More distractors or more evidence",
        "Kinds of distractors",
        "What the injected tokens are worth",
        "Where quality is lost",
        "Time, builds and memory",
    ]


def test_the_page_with_growth_stays_under_three_megabytes(grown_page: str) -> None:
    assert len(grown_page.encode()) < 3_000_000


def _poisoned(variant: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    summary = variant("renamed", "static", HOSTILE)
    study = summary["growth"]
    study["pipelines"] = {HOSTILE: study["pipelines"][HOSTILE]}
    for forecast in study["forecast"]:
        forecast |= {"model": HOSTILE, "reason": HOSTILE}
    study["curves"] = {HOSTILE: {"what": HOSTILE, "flatters": True}}
    study["crossovers"][0] |= {"what": HOSTILE, "status": HOSTILE, "metric": HOSTILE}
    return {**summary, "growth": study | {"notes": [HOSTILE], "metric": "nDCG@10"}}


def test_hostile_texts_are_shown_and_never_run(growth_variant: Callable[..., dict[str, Any]]) -> None:
    page = render_html(_poisoned(growth_variant))
    assert page.count("<script") == 3
    assert "<img" not in page.partition('<script type="application/json"')[0]
    assert _section(page).count("&lt;img src=x onerror=alert(1)&gt;") > 20


def test_hostile_texts_break_no_table_in_markdown(growth_variant: Callable[..., dict[str, Any]]) -> None:
    text = render_markdown(_poisoned(growth_variant))
    assert "<img" not in text
    for block in (block for block in text.split("\n\n") if block.startswith("|")):
        assert len({len(_BAR.findall(line)) for line in block.split("\n")}) == 1


def test_a_study_of_nulls_gives_a_section_without_zeros(growth_variant: Callable[..., dict[str, Any]]) -> None:
    section = _section(render_html(growth_variant("bare")))
    assert "Growth at a glance" in section
    assert "<svg" not in section
    assert ">0<" not in section
    assert section.count("<h3>") == section.count("<figure")


def test_markdown_unfolds_the_glance_and_folds_the_rest(whole_study: dict[str, Any]) -> None:
    text = render_markdown(whole_study)
    part = text.partition("### Growth")[2]
    assert part.index("**Growth at a glance**") < part.index("<details>")
    assert text.count("<details>") == text.count("</details>") == 9 + 10
    assert "| dense | 19,740 | 0.398 (0.356\u20130.440) | 94.0% | \u22120.100 (\u22120.112 to \u22120.088) |" in part
    assert "<summary>Where pipelines change places</summary>" in part
    for block in (block for block in part.split("\n\n") if block.startswith("|")):
        lines = block.split("\n")
        assert len({len(_BAR.findall(line)) for line in lines}) == 1
        assert re.fullmatch(r"\|( (:---|---:) \|)+", lines[1])


def test_markdown_without_growth_has_no_trace_of_it(summary: dict[str, Any]) -> None:
    assert "rowth" not in render_markdown(summary)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH to open the report in")
def test_a_browser_draws_every_panel_and_complains_of_nothing(grown_page: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(grown_page, encoding="utf-8")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    opened = subprocess.run(
        [str(BROWSER), *FLAGS, profile, page.as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    live = re.findall(r'<div class="live[^>]*><svg[^>]*class="marks"', opened.stdout)
    assert len(live) == 6 + 34
    assert opened.stdout.count('<div class="panel drawn"') == 32
    assert not [line for line in opened.stderr.splitlines() if "CONSOLE" in line]


def test_growth_is_written_with_the_rest(growth_variant: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    page = write_report(growth_variant("one_pipeline"), tmp_path)
    assert '<section id="growth">' in page.read_text(encoding="utf-8")
    assert "### Growth" in (tmp_path / "report.md").read_text(encoding="utf-8")
