"""The verdict for whoever pays: its words, without a metric's name or an interval, and what it leaves to be done."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ragprof.report.decision import PaidEffect, spoken, spoken_seconds, spoken_usd
from ragprof.studies.contract import Context
from ragprof.studies.reranker.decision import decided, decision_page, decisions
from ragprof.studies.reranker.section import RerankerSection, RerankerVerdict

CONTEXT = Context(
    ("hybrid+overlap", "dense+overlap"), "nDCG@10", {}, {}, title="Which <b>pipeline</b>?", origin="ragprof"
)


@pytest.fixture(scope="module")
def section() -> RerankerSection:
    """What the product recorded of the handbook."""
    text = (Path(__file__).parents[1] / "golden" / "reranker.json").read_text(encoding="utf-8")
    return RerankerSection.model_validate_json(text)


def changed(section: RerankerSection, name: str = "hybrid+overlap", **members: Any) -> RerankerVerdict:
    """The recorded verdict with other members of it or, by `statement__` and `gain__`, of what is in it."""
    whole = json.loads(section.verdicts[name].model_dump_json(by_alias=True))
    for path, value in members.items():
        *above, last = path.split("__")
        place = whole
        for step in above:
            place = place["statement"]["quality_gain"]["Success@5"] if step == "gain" else place[step]
        place[last] = value
    return RerankerVerdict.model_validate(whole)


def test_whoever_pays_reads_what_to_do_why_and_what_would_change_it(section: RerankerSection) -> None:
    undecided, dropped = decisions(section, CONTEXT)
    assert (undecided.question, undecided.verdict) == (
        "Is the reranker of hybrid+overlap worth it?",
        "Not decided yet.",
    )
    assert undecided.because == (
        "It finds right passages as often as the search alone, takes no time that anybody notices, and costs $0.46 a "
        "month at your traffic, with what longer prompts cost counted in, which may be chance."
    )
    assert undecided.following == "Next: judge about 500 more questions (ragprof label) and run it again."
    assert (dropped.verdict, dropped.tone) == ("Go without the reranker.", "worse")
    assert dropped.because.startswith("It finds a right passage for 25 more of 100 questions, which may be chance")
    assert dropped.because.endswith(" bm25 does as well without it.")
    assert dropped.changes == (
        "If the reranker's price were 0.047 times what it is, the answer would be to keep it.",
        "At $0.0077 per 1,000 searches it would pay for itself.",
    )
    assert dropped.sure == "Measured with 12 questions, which is few: a hint, no proof."
    for one in (undecided, dropped):
        told = " ".join([one.question, one.verdict, one.because, *one.changes, one.sure, one.following])
        assert not re.search(r"@\d|nDCG|Recall|Success|95|CI|\[|\(-?\d", told), told


def test_a_gain_that_is_clear_waiting_and_saving_are_said_plainly(section: RerankerSection) -> None:
    kept = decided("prod", changed(
        section, verdict="KEEP", gain__difference=0.031, gain__interval=[0.012, 0.05],
        statement__added_p50_ns=238_000_000, statement__added_p50_interval_ns=[200_000_000, 270_000_000],
        statement__per_month__net_usd="-1312.4", statement__per_month__net_interval=["-1500", "-1100"],
        statement__per_month__reranker_usd="80",
    ))  # fmt: skip
    assert (kept.verdict, kept.tone) == ("Keep the reranker.", "better")
    assert kept.because == (
        "It finds a right passage for 3 more of 100 questions, makes people wait 0.24 s longer, and saves $1,300 a "
        "month at your traffic, with what shorter prompts save counted in."
    )
    assert [(each.text, each.tone) for each in kept.effects] == [
        ("3.1 more", "better"), ("0.24 s longer", "worse"), ("$1,300 saved", "better"),
    ]  # fmt: skip
    smaller = decided("prod", changed(section, verdict="SHRINK", depth=5, own_depth=20))
    assert smaller.verdict == "Keep the reranker, but let it read 5 passages instead of 20."


def test_what_is_not_known_is_said(section: RerankerSection) -> None:
    busy = decided("prod", changed(section, latency_withheld="the machine was busy"))
    assert "takes time that could not be measured, as the machine was busy" in busy.because
    assert [each.label for each in busy.effects] == [
        "Questions with a right passage in the first 5, of 100",
        "Money, a month",
    ]
    assert busy.following == "Next: run it again while the machine does nothing else."
    free = decided("prod", changed(section, statement__reranker_usd_per_1000_queries=None))
    assert free.because.endswith("and costs an amount that nobody knows, as no price is named.")


def test_the_page_escapes_what_it_was_told(section: RerankerSection) -> None:
    page = decision_page(section, CONTEXT)
    assert "<b>" not in page
    assert page.count("\n## ") == 2
    assert page.endswith("report.html.</sub>\n")


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0"), (0.2378, "0.24"), (3.14, "3.1"), (13.2, "13"), (1312.4, "1,300"), (98_700, "99,000")],
)
def test_numbers_have_two_digits(value: float, words: str) -> None:
    assert spoken(value) == words


def test_money_and_time_are_as_people_say_them() -> None:
    assert [spoken_usd(value) for value in (0.004, 0.456, 9.87, 13.2, -1312.4)] == [
        "less than a cent", "$0.46", "$9.90", "$13", "$1,300",
    ]  # fmt: skip
    assert [spoken_seconds(ns) for ns in (2e5, 1.23e7, 2.4e8, 6.1e9)] == ["less than 1 ms", "12 ms", "0.24 s", "6.1 s"]


def test_an_effect_lies_on_a_line_with_no_change_on_it() -> None:
    assert PaidEffect("", "", 2.0, 1.0, 3.0, more_is_better=True).bar() == (35.12, 64.88, 94.64, 5.36)
    assert PaidEffect("", "", 0.0, 0.0, 0.0, more_is_better=True).tone == "undecided"
