"""The page of the main run: whole, closed to the network, and safe against what users' files say."""

from __future__ import annotations

import html.parser
import json
import re
from typing import Any

import pictures
import pytest
from main_runs import analysed, cut, twelve, unpriced

from ragprof.report.html import script_json
from ragprof.session.pages import parts_of, render_html
from ragprof.studies.profile.section import ProfileSection

HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\""


class _Page(html.parser.HTMLParser):
    """Tags with their attributes, the text outside scripts and styles, and each script's content."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif not self._inside:
            self.words.append(data)

    def shown(self) -> str:
        return " ".join(" ".join(self.words).split())


def _specifications(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="chart-specifications">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def drawn(run: ProfileSection) -> str:
    analysis = analysed(run)
    return render_html(analysis, parts_of(analysis))


@pytest.fixture(scope="module")
def page(main_run: ProfileSection) -> str:
    with pictures.real():
        return drawn(unpriced(main_run, "hybrid+overlap"))


def test_the_answer_the_warnings_and_the_limits_are_on_the_page(page: str, main_run: ProfileSection) -> None:
    shown = _Page(page).shown()
    for sentence in (*main_run.headline, *main_run.warnings, *main_run.limits, *main_run.method):
        assert " ".join(sentence.split()) in shown


def test_the_page_stays_under_three_megabytes(page: str) -> None:
    assert len(page.encode()) < 3_000_000


def test_nothing_is_fetched_from_anywhere(page: str) -> None:
    parsed = _Page(page)
    for tag, attributes in parsed.tags:
        for name in ("src", "srcset", "data", "action", "poster", "xlink:href"):
            assert name not in attributes
        if "href" in attributes and tag != "a":
            assert attributes["href"] == "data:,"
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "url(" not in style.group(1)
    assert "@import" not in style.group(1)
    policy = next(attributes for tag, attributes in parsed.tags if "http-equiv" in attributes)
    assert policy["content"].startswith("default-src 'none'")


def test_links_are_sources_of_rates_or_places_on_the_page(page: str, main_run: ProfileSection) -> None:
    addresses = {attributes["href"] for tag, attributes in _Page(page).tags if tag == "a"}
    sources = {rate.source for rate in main_run.rates if (rate.source or "").startswith("https")}
    assert {address for address in addresses if not address.startswith("#")} == sources
    places = {attributes["id"] for _, attributes in _Page(page).tags if "id" in attributes}
    assert {address[1:] for address in addresses if address.startswith("#")} <= places


def test_every_chart_is_there_once_as_a_still_and_once_as_a_specification(page: str) -> None:
    keys = list(_specifications(page))
    assert keys == ["time", "latency-quality", "cost-quality", "differences", "stage-quality", "tokens"]
    assert len(re.findall(r'<svg[^>]* class="marks"', page)) == page.count('class="still"') == 6
    assert len(_Page(page).scripts) == 4


def test_absent_is_shown_as_such_and_unpriced_too(page: str) -> None:
    shown = _Page(page).shown()
    assert "UNPRICED" in shown
    assert "n/a" in shown
    assert "more queries would be needed" in shown
    assert "Not plotted: hybrid+overlap: UNPRICED" in shown.replace(" :", ":")


@pytest.mark.usefixtures("real_pictures")
def test_hostile_texts_are_shown_and_never_run(main_run: ProfileSection) -> None:
    page = drawn(_poisoned(cut(main_run, "bm25", "dense")))
    parsed = _Page(page)
    assert HOSTILE in parsed.shown()
    assert not [tag for tag, attributes in parsed.tags if tag == "img" or "onerror" in attributes]
    assert len(parsed.scripts) == 4
    assert HOSTILE in json.dumps(_specifications(page), ensure_ascii=False).replace('\\"', '"').replace("\\n", " ")


def _poisoned(run: ProfileSection) -> ProfileSection:
    """The run with that text wherever a text of the user's may stand."""
    document = run.as_json()
    for part in ("pipelines", "final_stage"):
        document[part] = {HOSTILE if name == "dense" else name: value for name, value in document[part].items()}
    document["pipelines"][HOSTILE]["description"] = HOSTILE
    for pair in document["comparisons"]:
        pair["candidate"] = HOSTILE
    document["environment"]["packages"] = {HOSTILE: HOSTILE}
    document["rates"][0] |= {"name": HOSTILE, "source": f"https://example.org/{HOSTILE}", "note": HOSTILE}
    texts = {key: [HOSTILE] for key in ("headline", "warnings", "limits", "method")}
    return ProfileSection.model_validate(document | texts | {"title": HOSTILE, "ragprof_version": HOSTILE})


def test_script_json_cannot_end_its_element() -> None:
    text = script_json({"a": "</script><!--&"})
    assert not set(text) & set("<>&")
    assert json.loads(text) == {"a": "</script><!--&"}


def test_twelve_pipelines_with_long_names_are_all_named(main_run: ProfileSection) -> None:
    run = twelve(main_run)
    page = drawn(run)
    assert all(name in _Page(page).shown() for name in run.pipelines)
    assert "\u2026" not in page.partition('<script type="application/json"')[0]
