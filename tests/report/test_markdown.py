"""The report as Markdown: well-formed tables, the answer first, details folded, and no markup of the user's."""

from __future__ import annotations

import re

import pytest
from main_runs import analysed, cut, twelve, unpriced

from ragprof.report.blocks import ReportPart
from ragprof.report.markdown import escaped
from ragprof.session.pages import parts_of, render_brief, render_markdown
from ragprof.studies.profile import tables
from ragprof.studies.profile.section import ProfileSection

_BAR = re.compile(r"(?<!\\)\|")


def written(run: ProfileSection) -> str:
    analysis = analysed(run)
    return render_markdown(analysis, parts_of(analysis))


def _tables(text: str) -> list[list[str]]:
    return [block.split("\n") for block in text.split("\n\n") if block.startswith("|")]


def test_every_table_is_well_formed(main_run: ProfileSection) -> None:
    tables = _tables(written(main_run))
    assert len(tables) == 10
    for lines in tables:
        widths = {len(_BAR.findall(line)) for line in lines}
        assert len(widths) == 1
        assert re.fullmatch(r"\|( (:---|---:) \|)+", lines[1])


def test_the_answer_comes_first_and_details_are_folded(main_run: ProfileSection) -> None:
    text = written(main_run)
    assert text.startswith(f"## {escaped(main_run.title)}\n\n**{escaped(main_run.headline[0])}**")
    assert text.count("<details>") == text.count("</details>") == 10
    assert text.index("At a glance") < text.index("<details>")
    assert text.endswith("</sub>\n")


def test_unpriced_and_undecided_are_said(main_run: ProfileSection) -> None:
    text = written(unpriced(main_run, "hybrid+overlap"))
    assert "**UNPRICED** (without it \\$" in text
    assert "\u25c7 undecided (about" in text


def test_hostile_texts_break_no_table(main_run: ProfileSection) -> None:
    hostile = "a|b\n| <img> @team `x` [y](z)"
    document = cut(main_run, "bm25").as_json()
    document["pipelines"], document["final_stage"] = {hostile: document["pipelines"]["bm25"]}, {hostile: "search"}
    text = written(ProfileSection.model_validate(document))
    for lines in _tables(text):
        assert len({len(_BAR.findall(line)) for line in lines}) == 1
    assert "<img>" not in text


def test_escaped_text_reads_as_itself() -> None:
    assert escaped("nDCG@10 of $5 & <b>") == "nDCG@10 of \\$5 &amp; &lt;b&gt;"
    assert escaped("ask @team\nabout it") == "ask &commat;team about it"


def brief(run: ProfileSection) -> str:
    analysis = analysed(run)
    return render_brief(analysis, parts_of(analysis))


def test_the_page_for_a_pull_request_has_answer_findings_warnings_and_pipelines(main_run: ProfileSection) -> None:
    text = brief(main_run)
    shown = [main_run.headline[0], *main_run.headline[1:], main_run.warnings[0], "**At a glance**"]
    places = [text.index(part if part.startswith("**") else escaped(part)) for part in shown]
    assert places == sorted(places)
    assert text.count("<details>") == text.count("</details>") == 2
    assert "7 more tables and all charts are in report.html; `ragprof report DIR --full`" in text


@pytest.mark.parametrize("name", ["\u30d1" * 5_000, "|\n\n" * 500])
def test_it_is_never_longer_than_60_lines_and_6_kb(main_run: ProfileSection, name: str) -> None:
    document = twelve(main_run).as_json()
    for key in ("pipelines", "final_stage"):
        document[key] |= {f"{name}{place}": document[key]["hybrid+overlap"] for place in range(40)}
    document |= {"title": name, "headline": [name] * 30, "warnings": [name] * 30}
    run = ProfileSection.model_validate(document)
    parts = [ReportPart("", "", [tables.glance(run)]), ReportPart("", "", [tables.latency(run), tables.cost(run)])]
    text = render_brief(analysed(run), parts)
    assert len(text.encode()) <= 6_000
    assert text.count("\n") <= 60
    assert "further rows were left out" in text
    assert "and 2" in text or "and 3" in text  # sentences that are counted alone
    assert text.endswith("n/a: not measured or not applicable.</sub>\n")
