from __future__ import annotations

import re
from typing import Any

from ragprof.report.markdown import escaped
from ragprof.session.pages import render_markdown

_BAR = re.compile(r"(?<!\\)\|")


def _tables(text: str) -> list[list[str]]:
    return [block.split("\n") for block in text.split("\n\n") if block.startswith("|")]


def test_every_table_is_well_formed(summary: dict[str, Any]) -> None:
    tables = _tables(render_markdown(summary))
    assert len(tables) == 10
    for lines in tables:
        widths = {len(_BAR.findall(line)) for line in lines}
        assert len(widths) == 1
        assert re.fullmatch(r"\|( (:---|---:) \|)+", lines[1])


def test_the_answer_comes_first_and_details_are_folded(summary: dict[str, Any]) -> None:
    text = render_markdown(summary)
    assert text.startswith(
        "## Search over the Python documentation\n\n**Reranking dense search raises nDCG@10 by 0.051"
    )
    assert text.count("<details>") == text.count("</details>") == 9
    assert text.index("At a glance") < text.index("<details>")
    assert text.endswith("</sub>\n")


def test_unpriced_and_undecided_are_said(summary: dict[str, Any]) -> None:
    text = render_markdown(summary)
    assert "**UNPRICED** (without it \\$0.211)" in text
    assert "◇ undecided (about 85 more queries would be needed)" in text


def test_hostile_texts_break_no_table(summary: dict[str, Any]) -> None:
    hostile = "a|b\n| <img> @team `x` [y](z)"
    summary["pipelines"], summary["final_stage"] = {hostile: summary["pipelines"]["bm25"]}, {hostile: "search"}
    for lines in _tables(render_markdown(summary)):
        assert len({len(_BAR.findall(line)) for line in lines}) == 1
    assert "<img>" not in render_markdown(summary)


def test_escaped_text_reads_as_itself() -> None:
    assert escaped("nDCG@10 of $5 & <b>") == "nDCG@10 of \\$5 &amp; &lt;b&gt;"
    assert escaped("ask @team\nabout it") == "ask &commat;team about it"
