"""The plugin under pytest-xdist: what workers find reaches the summary, and what they write is whole."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from small_suites import ALONE, Run, installed

from ragprof.studies.gate import baselines

pytest.importorskip("xdist")

CHECKS = """
def test_low(ragprof): assert ragprof.recording("good").metric("nDCG@10").at_least(0.7)
def test_fine(ragprof): assert ragprof.recording("good").metric("nDCG@10").at_least(0.5)
"""
WRITERS = """
import pytest
@pytest.mark.parametrize("number", range(6))
def test_write(ragprof, number):
    assert ragprof.recording("good" if number % 2 else "bad").no_worse_than("main")
"""
KILLED = """
import os, pathlib, signal

def test_fine(ragprof):
    assert ragprof.recording("good").metric("nDCG@10").at_least(0.5)

def test_killed_while_it_writes(ragprof, monkeypatch):
    monkeypatch.setattr(pathlib.Path, "write_bytes", lambda path, content: os.kill(os.getpid(), signal.SIGKILL))
    assert ragprof.recording("good").no_worse_than("main")

def test_also_fine(ragprof):
    assert ragprof.recording("good").metric("AP").at_least(0.2)
"""
RECORDERS = """
import pytest
from ragprof import Pipeline, Timing
@pytest.mark.parametrize("number", range(2))
def test_record(ragprof, number, record_property):
    result = ragprof.profile(Pipeline("lexical", store="bm25s", depth=10), corpus="handbook",
                             queries="handbook/queries.jsonl", qrels="handbook/qrels/test.tsv",
                             timing=Timing(seconds=0.1, rounds=2, min_queries=2, warmup=1))
    record_property("recording", result.evidence.facts["recording"])
    assert result.metric("AP").at_least(0.2)
"""


@pytest.fixture
def workers(suite: Run, pytester: pytest.Pytester) -> Run:
    """Run a test module by two workers, in processes of their own."""
    suite("def test_it(): pass", "--collect-only")

    def run(code: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_it=code)
        plugin = () if installed() else ("-p", "ragprof.pytest_plugin")
        return pytester.runpytest_subprocess(*plugin, *ALONE, "-n", "2", *arguments)

    return run


def test_a_failing_check_shows_its_section_and_the_summary(workers: Run, pytester: pytest.Pytester) -> None:
    result = workers(CHECKS, "--junitxml=out.xml")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "E*assert nDCG@10 of lexical = 0.770 [[]0.543, 0.947] (n 12) fails: at least 0.700",
            "*- ragprof: nDCG@10 of lexical: at least 0.700 -*",
            "  q06  0.000",
            "test_it.py::test_low",
            "  fails     lexical: nDCG@10                 0.770 [[]0.543, 0.947] >= 0.700, n 12",
            "test_it.py::test_fine",
            "  holds     lexical: nDCG@10                 0.770 [[]0.543, 0.947] >= 0.500, n 12",
            "1 fails, 1 holds",
        ]
    )
    names = {each.attrib["name"] for each in ET.parse(pytester.path / "out.xml").getroot().iter("property")}  # noqa: S314
    assert "ragprof.lexical.nDCG@10.low" in names


@pytest.mark.slow
def test_workers_that_write_one_baseline_at_once_leave_a_whole_one(workers: Run, pytester: pytest.Pytester) -> None:
    workers(WRITERS, "--ragprof-update").assert_outcomes(passed=6)
    folder = pytester.path / "ragprof_baselines" / "main"
    assert baselines.read(folder).facts["queries"] == 12
    assert [each.name for each in folder.iterdir() if "partial" in each.name] == []


@pytest.mark.slow
def test_a_killed_worker_leaves_no_half_baseline_and_takes_no_figures_along(
    workers: Run, suite: Run, pytester: pytest.Pytester
) -> None:
    result = workers(KILLED, "--ragprof-update")
    result.assert_outcomes(failed=1, passed=2)
    result.stdout.fnmatch_lines(
        [
            "worker 'gw*' crashed while running 'test_it.py::test_killed_while_it_writes'",
            "test_it.py::test_also_fine",
            "test_it.py::test_fine",
            "2 holds",
        ]
    )
    assert not baselines.is_baseline(pytester.path / "ragprof_baselines" / "main")
    suite("def test_it(ragprof): assert ragprof.recording('good').no_worse_than('main')", "--ragprof-update")
    assert baselines.read(pytester.path / "ragprof_baselines" / "main").facts["queries"] == 12


def test_an_update_in_ci_is_refused_before_a_worker_starts(workers: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    result = workers(CHECKS, "--ragprof-update")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --ragprof-update is refused where CI=true, *"])


@pytest.mark.slow
def test_workers_share_the_recording_of_what_they_both_profile(workers: Run, pytester: pytest.Pytester) -> None:
    workers(RECORDERS, "--junitxml=out.xml").assert_outcomes(passed=2)
    properties = ET.parse(pytester.path / "out.xml").getroot().iter("property")  # noqa: S314
    found = [each.attrib["value"] for each in properties if each.attrib["name"] == "recording"]
    assert len(found) == 2
    assert len(set(found)) == 1
