"""The page on which people judge: in a real browser, for two people, and closed to everybody else."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import BROWSER, Tab, chromium

from ragprof.core.errors import BadInput
from ragprof.labels.page import PageServer, served
from ragprof.labels.pool import PooledQuery, keep_pool
from ragprof.labels.records import DrawFile, LabelFile, QueryDraw
from ragprof.session.people import judging_by_people

NASTY = '<img src=x onerror="document.title=1"><script>document.title=2</script> & "quoted"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two drawn questions with three and two passages; the second is nobody's yet."""
    docs = [
        {"_id": f"d{number}", "title": f"Title {number}", "text": NASTY if number == 0 else f"Text {number}"}
        for number in range(6)
    ]
    (tmp_path / "corpus.jsonl").write_text("".join(f"{json.dumps(doc)}\n" for doc in docs))
    (tmp_path / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "First <b>question</b>?"}\n{"_id": "q2", "text": "Second?"}\n'
    )
    (tmp_path / "eval.toml").write_text(
        'name = "e"\n[corpus]\npath = "corpus.jsonl"\n[evaluation]\nqueries = "queries.jsonl"\n'
        '[[pipelines]]\nname = "bm25"\nstore = "bm25s"\ndepth = 5\n'
    )
    labels = LabelFile(tmp_path / "eval.labels").folder
    keep_pool(
        labels / "pool.jsonl", [PooledQuery("q1", ("d0", "d1", "d2"), (), 3), PooledQuery("q2", ("d3",), ("d4",), 5)]
    )
    DrawFile(labels).append([QueryDraw("q2", 0.5, 2, "now"), QueryDraw("q1", 1.0, 2, "now")])
    return labels


@pytest.fixture
def server(folder: Path) -> Iterator[PageServer]:
    _, judging = judging_by_people(folder.parent / "eval.toml")
    with served(judging) as running:
        yield running


def said_in(folder: Path) -> list[tuple[str, str, int | None, str]]:
    return [(each.judge, each.doc_id, each.grade, each.state) for each in LabelFile(folder).read()]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH to open the page in")
def test_keys_are_saved_as_they_are_pressed_undone_and_outlive_a_reload(
    server: PageServer, folder: Path, tmp_path: Path
) -> None:
    with chromium(tmp_path / "profile") as browser:
        tab = Tab(browser, f"{server.url}?person=anna")
        tab.until("document.body.dataset.doc === 'd3'")
        assert tab.value("document.getElementById('where').innerText") == "d3"
        tab.press("2")
        tab.until("document.body.dataset.doc === 'd4'")
        assert said_in(folder) == [("anna", "d3", 2, "graded")]
        tab.press("7")  # no grade
        tab.press("s")
        tab.until("document.body.dataset.doc === 'd0'")
        assert tab.value("document.querySelector('h1').innerText") == "First <b>question</b>?"
        assert NASTY in tab.value("document.getElementById('passage').textContent")
        assert (tab.value("document.title"), tab.value("document.images.length")) == ("ragprof: judge passages", 0)
        tab.press("3")
        tab.until("document.body.dataset.doc === 'd1'")
        tab.press("u")
        tab.until("document.body.dataset.doc === 'd0'")
        tab.press("1")
        tab.until("document.body.dataset.doc === 'd1'")
        tab.reload()
        tab.until("document.body.dataset.doc === 'd1' && document.body.dataset.done === '3'")
        assert tab.value("document.getElementById('count').innerText") == "3 of 5"
        # Ben sees the first question of the draw, which is for everybody; of the second not what lies before Anna.
        other = Tab(browser, f"{server.url}?person=ben")
        other.until("document.body.dataset.doc === 'd3'")
        for key, doc in (("0", "d4"), ("0", "d2"), ("1", "d1")):
            other.press(key)
            other.until(f"document.body.dataset.doc === '{doc}'")
        assert {address.partition("/")[2].split("/")[1] for address in browser.asked} == {
            f"127.0.0.1:{server.server_address[1]}"
        }
        assert browser.complaints == []
    assert said_in(folder) == [
        ("anna", "d3", 2, "graded"), ("anna", "d4", None, "skipped"), ("anna", "d0", 3, "graded"),
        ("anna", "d0", None, "undone"), ("anna", "d0", 1, "graded"), ("ben", "d3", 0, "graded"),
        ("ben", "d4", 0, "graded"), ("ben", "d2", 1, "graded"),
    ]  # fmt: skip


def posted(url: str, body: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, body.encode(), {"Content-Type": "application/json", **headers})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_nothing_is_told_or_saved_without_the_secret_the_own_name_and_a_sound_request(
    server: PageServer, folder: Path
) -> None:
    port = server.server_address[1]
    assert posted(f"http://127.0.0.1:{port}/next", '{"person": "eve"}')[0] == 403
    assert posted(f"http://127.0.0.1:{port}/{'x' * 32}/next", '{"person": "eve"}')[0] == 403
    assert posted(f"{server.url}next", '{"person": "eve"}', Host="evil.example")[0] == 403
    assert posted(f"{server.url}next", '{"person": "eve"}', **{"Content-Type": "text/plain"})[0] == 404
    assert posted(f"{server.url}grade", "x" * 10_001)[0] == 413
    for body, told in (
        ("nothing", "not understood"), ('{"person": "  "}', "give a name without a colon"),
        ('{"person": "model:x"}', "give a name without a colon"),
        ('{"person": "a", "query_id": "q1", "doc_id": "d0", "grade": 4}', "a grade is 0, 1, 2 or 3"),
        ('{"person": "a", "query_id": "q1", "doc_id": "d0", "grade": true}', "a grade is 0, 1, 2 or 3"),
        ('{"person": "a", "query_id": "q1", "doc_id": "d0", "grade": 1.0}', "a grade is 0, 1, 2 or 3"),
        (
            '{"person": "a", "query_id": "q1", "doc_id": "d5", "grade": 1}',
            "the passage 'd5' is not in the pool of 'q1'; reload the page",
        ),
        ('{"person": "a", "grade": 1}', "not understood"),
    ):  # fmt: skip
        assert posted(f"{server.url}grade", body) == (400, json.dumps({"error": told}))
    assert said_in(folder) == []
    assert server.server_address[0] == "127.0.0.1"
    with pytest.raises(BadInput, match="give another with --port, or none"), served(server.judging, port):
        pass
