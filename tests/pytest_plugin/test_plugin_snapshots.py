"""Baselines by name: written by --ragprof-update, compared with afterwards, refused where they cannot be trusted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from small_suites import Run
from unsealed import unsealed

from ragprof.core import files
from ragprof.studies.gate import baselines
from ragprof.studies.gate.evidence import of_recording

SAME = "def test_same(ragprof): assert ragprof.recording('good').no_worse_than('main')"
WORSE = "def test_worse(ragprof): assert ragprof.recording('bad').no_worse_than('main', margins={'quality': 0.1})"


@pytest.fixture
def main(suite: Run, pytester: pytest.Pytester) -> Path:
    """The baseline `main`, written by a run."""
    suite(SAME, "--ragprof-update").assert_outcomes(passed=1)
    return pytester.path / "ragprof_baselines" / "main"


def test_a_missing_baseline_fails_and_says_how_to_write_it(suite: Run, pytester: pytest.Pytester) -> None:
    result = suite(SAME)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            f"ragprof: there is no baseline 'main' in {pytester.path}/ragprof_baselines; "
            "run pytest --ragprof-update to write it (test_it.py:1)"
        ]
    )


def test_an_update_writes_the_baseline_and_says_so(suite: Run, pytester: pytest.Pytester) -> None:
    result = suite(SAME, "--ragprof-update")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  written   lexical: baseline written vs main * n 12", "1 written"])
    written = baselines.read(pytester.path / "ragprof_baselines" / "main")
    assert written.facts["queries"] == 12
    assert written.pipelines == ("lexical",)


@pytest.mark.usefixtures("main")
def test_what_has_not_changed_is_no_worse_than_the_baseline(suite: Run) -> None:
    result = suite(SAME)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["  holds     lexical: nDCG@10 vs main      0.000 without interval >= -0.010, n 12", "7 holds"]
    )


@pytest.mark.usefixtures("main")
def test_what_got_worse_fails_with_the_queries_that_got_worst(suite: Run) -> None:
    result = suite(WORSE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- ragprof: bad: no worse than main -*",
            "nDCG@10 of lexical: regression",
            "  main       0.770",
            "  margin     0.100 (0.1)",
            "the 5 that got worst of 12 queries, by nDCG@10 of lexical:",
            "    before  *",
            "    after   1 leave-annual",
        ]
    )


def test_a_baseline_answers_like_a_result(suite: Run, main: Path) -> None:
    code = """
    def test_it(ragprof):
        before, now = ragprof.baseline("main"), ragprof.recording("good")
        assert now.metric("AP").value == before.metric("AP").value
        assert now.no_worse_than(before, quantities={"AP": 0})
        assert now.no_worse_than("ragprof_baselines/main", quantities={"AP": 0})
    """
    assert main.is_dir()
    suite(code).assert_outcomes(passed=1)


def test_the_folder_of_baselines_is_an_option_of_the_project(suite: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nragprof_baselines = snapshots")
    suite(SAME, "--ragprof-update").assert_outcomes(passed=1)
    assert baselines.is_baseline(pytester.path / "snapshots" / "main")
    assert not (pytester.path / "ragprof_baselines").exists()


@pytest.mark.parametrize("ci", ["true", "1", "True"])
def test_an_update_is_refused_in_ci(
    suite: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    monkeypatch.setenv("CI", ci)
    result = suite(SAME, "--ragprof-update")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --ragprof-update is refused where CI=true, *--ragprof-update=force"])
    assert not (pytester.path / "ragprof_baselines").exists()


def test_an_update_in_ci_can_be_forced(suite: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    suite(SAME, "--ragprof-update=force").assert_outcomes(passed=1)
    assert baselines.is_baseline(pytester.path / "ragprof_baselines" / "main")


def test_an_update_takes_no_word_after_it_for_its_own(suite: Run, pytester: pytest.Pytester) -> None:
    suite(SAME, "--ragprof-update", "test_it.py").assert_outcomes(passed=1)
    assert baselines.is_baseline(pytester.path / "ragprof_baselines" / "main")


def test_an_edited_baseline_is_refused(suite: Run, main: Path) -> None:
    document = json.loads((main / "baseline.json").read_text())
    document["facts"]["queries"] = 300
    (main / "baseline.json").write_text(json.dumps(document))
    result = suite(SAME)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ragprof: */ragprof_baselines/main/baseline.json: it is not as it was saved *"])


def test_a_truncated_baseline_is_refused(suite: Run, main: Path) -> None:
    table = main / "figures.parquet"
    table.write_bytes(table.read_bytes()[:-100])
    result = suite(SAME)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ragprof: */ragprof_baselines/main/figures.parquet: it was cut short: *"])


def test_a_baseline_of_another_corpus_is_refused(suite: Run, main: Path) -> None:
    saved = baselines.read(main)
    other = {**saved.facts, "corpus": {**saved.facts["corpus"], "sha256": "0" * 64}}
    baselines.save(replace(saved, facts=other), main)
    result = suite(SAME)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["ragprof: 'main' and 'good' cannot be compared: corpus: * on both sides, with other contents*(test_it.py:1)"]
    )


def test_a_baseline_without_a_query_in_common_is_refused(suite: Run, main: Path) -> None:
    saved = baselines.read(main)
    renamed = {
        name: getattr(saved, name).assign(query_id="x" + getattr(saved, name)["query_id"])
        for name in ("figures", "times", "rankings")
    }
    baselines.save(replace(saved, **renamed), main)
    result = suite(SAME)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ragprof: 'main' (12 queries) and 'good' (12 queries) have no query in common; *"])


def test_a_recording_with_nan_in_it_is_one_message(suite: Run, main: Path, pytester: pytest.Pytester) -> None:
    assert main.is_dir()
    path = unsealed(pytester.path / "good") / "scores.parquet"
    scores = pd.read_parquet(path)
    scores.loc[0, "value"] = float("nan")
    files.write_table(path, scores)
    result = suite(SAME)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ragprof: *good: * of pipeline 'lexical', query *, is not a number; *"])


def test_a_name_that_cannot_be_a_folder_is_refused(suite: Run) -> None:
    result = suite("def test_it(ragprof): ragprof.baseline('../main')")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ragprof: '../main' cannot be the name of a baseline; use letters, *"])


def test_an_unpriced_bill_fails_a_gate_on_money(suite: Run, main: Path) -> None:
    assert main.is_dir()
    result = suite(
        "def test_it(ragprof): assert ragprof.recording('good').no_worse_than('main', margins={'cost': 0.1})"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["usd_per_1000_queries of lexical: unpriced", "  why        *no rate for search*"])


def test_latency_against_a_baseline_of_another_cpu_is_not_compared(suite: Run, main: Path, recordings: Path) -> None:
    recorded = of_recording(recordings / "good")
    machine = {**recorded.facts["environment"], "cpu": "another"}
    facts = {**recorded.facts, "environment": machine, "job": "another"}
    baselines.save(replace(recorded, facts=facts), main)
    suite(SAME).assert_outcomes(passed=1)
    timed = suite(
        "def test_it(ragprof): assert ragprof.recording('good').no_worse_than('main', margins={'latency': 9})"
    )
    timed.assert_outcomes(failed=1)
    timed.stdout.fnmatch_lines(["latency_p50 of lexical: incomparable", "  why        *environment.cpu*"])
