"""The page of recordings: in a real browser, over good and broken recordings, closed to everybody else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import BROWSER, Tab, chromium

from ragprof.core import running
from ragprof.core.errors import BadInput
from ragprof.web.server import ViewServer, served
from ragprof.web.shelf import Shelf

NASTY = '<img src=x onerror="document.title=1">'


@pytest.fixture
def shelf(tmp_path: Path, recorded_handbook: Path, cache: Path) -> Path:
    """Two recordings of one eval, the later one under a hostile name, and what is none."""
    home = tmp_path / "reports"
    for name, day in (("first", "2026-11-21"), (NASTY.replace("/", ""), "2026-11-22")):
        folder = Path(shutil.copytree(recorded_handbook, home / name))
        summary = json.loads((folder / "summary.json").read_text())
        (folder / "summary.json").write_text(json.dumps({**summary, "created": f"{day}T06:00:00Z"}))
    for name, written in (("broken", "{"), ("foreign", '{"format": 1}'), ("later", None)):
        (home / name).mkdir()
        text = written or json.dumps({"format": 99, "eval": "e", "created": "2027-01-01T00:00:00Z"})
        (home / name / "summary.json").write_text(text)
    (home / "half").mkdir()
    (home / "half" / "manifest.json").write_text("{}")
    (home / "link").symlink_to(recorded_handbook)
    return home


@pytest.fixture
def server(shelf: Path) -> Iterator[ViewServer]:
    with served(shelf) as running_server:
        yield running_server


def got(server: ViewServer, place: str) -> Any:
    with urllib.request.urlopen(server.url + place) as answer:  # noqa: S310
        return json.loads(answer.read())


def refused(address: str, **headers: str) -> int:
    body = b'{"pid": 1}' if headers else None
    request = urllib.request.Request(address, data=body, headers={"Content-Type": "application/json", **headers})  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as failure:
        urllib.request.urlopen(request)  # noqa: S310
    failure.value.close()
    return failure.value.code


def test_every_recording_is_a_row_and_what_cannot_be_read_says_why(server: ViewServer) -> None:
    rows = {row["folder"]: row for row in got(server, "recordings")["rows"]}
    assert [*rows][:2] == [NASTY, "first"]
    assert {name: row["problem"] for name, row in rows.items() if row["problem"]} == {
        "broken": "its summary is broken or no summary of ragprof; write it again: ragprof report DIR",
        "foreign": "its summary is broken or no summary of ragprof; write it again: ragprof report DIR",
        "later": "it is of a later ragprof (format 99); this one reads up to 1",
        "half": "it has no summary yet: a run is under way, or was killed; run it again",
    }
    first = rows["first"]
    assert (first["eval"], first["passages"], first["questions"], first["metric"]) == ("handbook", 24, 12, "nDCG@10")
    assert {each["name"]: each["quality"]["text"][:5] for each in first["pipelines"]} == {
        "hybrid": "0.855", "hybrid+overlap": "0.850", "dense": "0.827", "bm25": "0.776",
    }  # fmt: skip


def test_a_question_shows_what_each_stage_ranked(server: ViewServer) -> None:
    key = next(row["key"] for row in got(server, "recordings")["rows"] if row["folder"] == "first")
    found = got(server, f"questions/{key}")
    assert (found["metric"], found["pipelines"]) == ("nDCG@10", ["bm25", "dense", "hybrid", "hybrid+overlap"])
    assert len(found["rows"]) == 12
    ranked = {each["pipeline"]: each["stages"] for each in got(server, f"question/{key}?id=q07")["pipelines"]}
    assert [item["rank"] for item in ranked["hybrid+overlap"]["rerank"]][:3] == [1, 2, 3]
    assert ranked["bm25"]["search"][0]["doc"] == "expenses-claims"
    assert refused(f"{server.url}question/{key}?id=nobody") == 400
    assert refused(f"{server.url}questions/0000000000000000") == 400


def test_nobody_else_is_answered(server: ViewServer) -> None:
    assert refused(server.url.replace(server.token, "guess")) == 403
    assert refused(f"{server.url}recordings", Host="evil.example") == 403
    assert refused(f"{server.url}stop", Origin="null") == 404
    assert refused(f"{server.url}stop", Origin="http://evil.example") == 404
    assert refused(f"{server.url}stop", Origin=server.url[:-1].rpartition("/")[0]) == 400  # 1 is no command of ours
    with urllib.request.urlopen(f"{server.url}recordings") as answer:  # noqa: S310
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_port_in_use_and_a_folder_that_is_not_there_are_said(server: ViewServer, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot serve on port"), served(tmp_path, server.server_address[1]):
        pass
    with pytest.raises(BadInput, match="no such folder; give that of your recordings"):
        Shelf(tmp_path / "nothing")


def test_a_command_tells_what_it_is_at_and_is_stopped(server: ViewServer, cache: Path) -> None:
    code = (
        "import sys, time; from ragprof.cli import console; from ragprof.cli.ending import ended_plainly, "
        "unwind_when_ended; unwind_when_ended()\n"
        "with ended_plainly(), console.progress() as bars:\n"
        "    bars.start('embed', 10); bars.note('it began'); bars.advance(3); print('told', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, "run", "sk-secretsecretsecret1234"], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env={**os.environ, "RAGPROF_CACHE": str(cache)},
    ) as command:  # fmt: skip
        assert command.stdout is not None
        assert command.stdout.readline() == "told\n"
        (found,) = got(server, "recordings")["running"]
        assert (found["task"]["task"], found["task"]["total"], found["said"]) == ("embed", 10, ["it began"])
        assert "sk-secret" not in json.dumps(found)
        assert running.stop(command.pid)
        assert command.wait(20) == 143
    assert running.running() == []
    (cache / "running").mkdir(parents=True)
    (cache / "running" / "77.json").write_text(json.dumps({"pid": os.getpid(), "began": "x"}))  # left by kill -9
    assert not running.stop(os.getpid())
    assert list((cache / "running").iterdir()) == []


def test_a_command_within_a_command_of_one_process_neither_waits_nor_speaks_for_it(cache: Path) -> None:
    with running.announced("ragprof run") as outer, running.announced("ragprof report") as inner:
        assert outer is not None
        assert inner is None
        outer.tell("it began")
        (found,) = running.running()
        assert (found.command, found.said) == ("ragprof run", ["it began"])


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH to open the page in")
def test_the_page_lists_filters_sorts_compares_and_asks_nobody_else(server: ViewServer, tmp_path: Path) -> None:
    with chromium(tmp_path / "profile") as browser:
        tab = Tab(browser, server.url)
        tab.until("document.body.dataset.rows === '6'")
        first = "document.querySelectorAll('#rows .name')[{}]"
        assert tab.value(first.format(0) + ".innerText") == NASTY
        assert (tab.value("document.title"), tab.value("document.images.length")) == ("ragprof: recordings", 0)
        tab.value(first.format(1) + ".click()")
        assert "hybrid+overlap" in tab.value("document.querySelector('tr.inside').innerText")
        assert tab.value("document.querySelectorAll('#drawn circle').length") == 2
        tab.value("[...document.querySelectorAll('#head button')].find(one => one.innerText === 'Recording').click()")
        assert tab.value(first.format(0) + ".innerText") == "later"
        tab.value("document.getElementById('filter').value = 'first'")
        tab.value("document.getElementById('filter').dispatchEvent(new Event('input'))")
        assert tab.value("document.querySelectorAll('#rows .name').length") == 1
        tab.value(
            "[...document.querySelectorAll('button')].find(one => one.innerText === 'Question by question').click()"
        )
        tab.until("document.querySelectorAll('#inside .name').length === 12")
        tab.value("document.querySelector('#inside .name').click()")
        tab.until("document.querySelectorAll('.lists li').length > 20")
        one, other = (row["key"] for row in got(server, "recordings")["rows"][:2])
        comparison = Tab(browser, f"{server.url}compare/{other}/{one}")
        comparison.until("document.body && document.body.innerText.includes('nDCG@10')")
        assert comparison.value("self.origin") == "null"  # in a box of its own: it can ask nothing here
        assert {address.partition("//")[2].split("/")[0] for address in browser.asked} <= {
            server.url.split("/")[2], "",
        }  # fmt: skip
        assert browser.complaints == []


@pytest.mark.slow
def test_a_thousand_recordings_are_listed_in_a_moment(tmp_path: Path, recorded_handbook: Path) -> None:
    from time import perf_counter

    for number in range(1000):
        (tmp_path / f"r{number}").mkdir()
        os.link(recorded_handbook / "summary.json", tmp_path / f"r{number}" / "summary.json")
    shelf = Shelf(tmp_path)
    begin = perf_counter()
    assert len(shelf.rows()) == 1000
    first = perf_counter() - begin
    assert len(shelf.rows()) == 1000
    assert first < 60
    assert perf_counter() - begin - first < first


def test_the_command_says_where_the_page_is_and_ends_at_ctrl_c(shelf: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "ragprof", "view", str(shelf), "--no-browser"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        assert command.stdout is not None
        address = command.stdout.readline().strip()
        with urllib.request.urlopen(address) as answer:  # noqa: S310
            assert b"ragprof: recordings" in answer.read()
        command.send_signal(signal.SIGINT)
        assert command.wait(20) == 0
