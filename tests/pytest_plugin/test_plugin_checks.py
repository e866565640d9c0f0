"""The `ragprof` fixture: figures and their checks, what a failing one says, and what becomes of bad input."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from small_suites import Run
from unsealed import unsealed

from ragprof.core.files import write_json
from ragprof.evals.settings import settings_of
from ragprof.price import price_recording

HOLDS = """
def test_figures(ragprof):
    result = ragprof.recording("good")
    assert result.metric("nDCG@10", stage="rerank").at_least(0.5)
    assert result.metric("nDCG@10", pipeline="lexical").at_most(0.95)
    assert result.latency("p50", stage="rerank").at_most(60_000)
    assert result.usage("inject.prompt_tokens").at_least(100)
"""


def test_checks_that_hold_pass_and_are_listed(suite: Run) -> None:
    result = suite(HOLDS)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_figures",
            "  holds     lexical: rerank.nDCG@10          0.770 [[]0.543, 0.947] >= 0.500, n 12",
            "  holds     lexical: nDCG@10                 0.770 [[]0.543, 0.947] <= 0.950, n 12",
            "  holds     lexical: rerank.latency_p50",
            "  * ms [[]*, *] <= 60,000 ms, n 12",
            "  holds     lexical: inject.prompt_tokens            156 [[]125, 184] >= 100, n 12",
            "4 holds",
        ]
    )


def test_a_figure_has_value_interval_and_n(suite: Run) -> None:
    code = """
    import pytest
    def test_figures(ragprof):
        figure = ragprof.recording("good").metric("AP")
        assert figure.value == pytest.approx(0.6759, abs=1e-4)
        assert figure.interval == pytest.approx((0.4676, 0.8704), abs=1e-4)
        assert figure.n == 12
        assert repr(figure) == "AP of lexical = 0.676 [0.468, 0.870] (n 12)"
    """
    suite(code).assert_outcomes(passed=1)


def test_a_p95_of_few_queries_can_break_a_bound_but_not_keep_it(suite: Run) -> None:
    code = "def test_it(ragprof): assert ragprof.recording('good').latency('p95').at_most({})"
    kept = suite(code.format(60_000))
    kept.assert_outcomes(passed=1)
    kept.stdout.fnmatch_lines(
        [
            "  undecided lexical: latency_p95 *without interval <= 60,000 ms, n 12",
            "*p95 of fewer than 20 queries has no*",
        ]
    )
    broken = suite(code.format(0.000001))
    broken.assert_outcomes(failed=1)
    broken.stdout.fnmatch_lines(["  fails     lexical: latency_p95*"])


def test_a_failing_bound_says_why_in_a_section_of_the_report(suite: Run) -> None:
    result = suite("def test_low(ragprof): assert ragprof.recording('good').metric('nDCG@10').at_least(0.7)")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*assert nDCG@10 of lexical = 0.770 [[]0.543, 0.947] (n 12) fails: at least 0.700",
            "*- ragprof: nDCG@10 of lexical: at least 0.700 -*",
            "  figure     0.770",
            "  interval   [[]0.543, 0.947] (95 %)",
            "  bound      at least 0.700, for the lower end of the interval",
            "  queries    12",
            "  more       about * more queries of this kind would tell, if the figure stays",
            "the 5 lowest of 12 queries, and their rankings:",
            "  q06  0.000",
            "    got     1 travel-car, 2 it-phishing",
            "  q12  0.000",
            "    got     nothing",
            "  fails     lexical: nDCG@10                 0.770 [[]0.543, 0.947] >= 0.700, n 12",
            "1 fails",
        ]
    )


def test_more_queries_are_not_promised_where_the_figure_itself_is_too_low(suite: Run) -> None:
    result = suite("def test_low(ragprof): assert ragprof.recording('good').metric('nDCG@10').at_least(0.9)")
    result.stdout.fnmatch_lines(["  more       the figure itself is beyond the bound: *"])


def test_worse_than_another_result_shows_the_rankings_before_and_after(suite: Run) -> None:
    result = suite(
        "def test_change(ragprof): assert ragprof.recording('bad').no_worse_than('./good', quantities={'AP': 0.02})"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*assert bad no worse than good: fails: AP of lexical regression: 0.676 -> 0.083 [[]*",
            "*- ragprof: bad: no worse than good -*",
            "AP of lexical: regression",
            "  good       0.676",
            "  here       0.083",
            "  difference -0.593 [[]-0.8*, -0.3*] (95 %)",
            "  margin     0.020 (0.02)",
            "  p          0.00*, corrected over all that was compared",
            "  queries    12",
            "changed in lexical: store: bm25s k1=1.5 b=0.75 -> none",
            "changed in lexical: reranker: overlap -> none",
            "the 5 that got worst of 12 queries, by AP of lexical:",
            "  q03  1.000 -> 0.000",
            "    before  1 travel-trains, *",
            "    after   1 leave-annual",
        ]
    )


def test_an_undecided_comparison_passes_with_a_remark_and_fails_when_strict(suite: Run) -> None:
    code = "def test_change(ragprof): assert ragprof.recording('bad').no_worse_than('./good', quantities={'AP': 0.5})"
    loose = suite(code)
    loose.assert_outcomes(passed=1)
    loose.stdout.fnmatch_lines(["  undecided lexical: AP vs good *", " * more queries would tell, if *", "1 undecided"])
    strict = suite(code, "--ragprof-strict")
    strict.assert_outcomes(failed=1)
    strict.stdout.fnmatch_lines(["AP of lexical: undecided", "  more       about * more queries would tell, if *"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("good.metric('nDCG@7')", "no metric named 'nDCG@7'; did you mean 'nDCG@10'? There are: AP, *"),
        ("good.metric('AP', stage='embed')", "no stage named 'embed'* There are: inject, rerank, search"),
        ("good.metric('AP', pipeline='dense')", "no pipeline named 'dense'. There are: lexical"),
        ("good.usage('prompt_tokens')", "no usage named 'prompt_tokens'; did you mean 'inject.prompt_tokens'?*"),
        ("good.latency('p96')", "no quantile of latency named 'p96'; did you mean 'p99'? There are: p50, p95, p99"),
        ("good.cost(stage='rerank')", "rerank of pipeline 'lexical' is UNPRICED: rerank: no rate for rerank; *"),
        ("good.metric('AP').at_least(float('nan'))", "AP of lexical: 'at least NaN' can be neither true nor false*"),
        ("good.no_worse_than('./gone')", "there is no recording or baseline './gone'; looked for */gone"),
        ("good.no_worse_than('./bad', margins={'AP': 0.1})", "margins= goes by kind (*quantities={'AP': ...}"),
        ("good.no_worse_than('./bad', margins={'speed': 0.1})", "no kind of quantity named 'speed'*"),
        ("good.no_worse_than('./bad', quantities={'nDCG@7': 0.1})", "no quantity *'nDCG@7'; did you mean 'nDCG@10'?*"),
        ("good.no_worse_than('./bad', quantities={'AP': -1})", "margin of AP: absolute: *"),
        ("good.no_worse_than('./bad', quantities={}, margins={})", "both margins= and quantities= are given*"),
    ],
)
def test_what_cannot_be_asked_is_one_message_without_a_traceback(suite: Run, asked: str, message: str) -> None:
    result = suite(f"def test_it(ragprof):\n    good = ragprof.recording('good')\n    assert {asked}")
    result.assert_outcomes(failed=1)
    escaped = message.replace("[", "[[]")
    result.stdout.fnmatch_lines([f"ragprof: {escaped} (test_it.py:3)"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert "ragprof/pytest_plugin" not in result.stdout.str()


def test_one_of_several_pipelines_has_to_be_named(suite: Run) -> None:
    code = """
    from ragprof import Pipeline, Timing
    def test_two(ragprof):
        two = [Pipeline("a", store="bm25s", depth=10), Pipeline("b", store="bm25s", depth=8)]
        result = ragprof.profile(two, corpus="handbook", queries="handbook/queries.jsonl",
                                 qrels="handbook/qrels/test.tsv", timing=Timing(seconds=0.1, rounds=2), name="two")
        assert result.pipelines == ("a", "b")
        assert result.metric("AP", pipeline="b").value > 0.5
        assert result.metric("AP")
    """
    result = suite(code)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ragprof: 'two' has 2 pipelines; say which with pipeline=: a, b (test_it.py:*)"])


RETRIEVERS = """
import math
from ragprof import Timing
HANDBOOK = {"corpus": "handbook", "queries": "handbook/queries.jsonl", "qrels": "handbook/qrels/test.tsv",
            "timing": Timing(seconds=0.1, rounds=2, min_queries=2, warmup=1)}
asked = []

def keywords(question, depth):
    asked.append(question)
    return [("leave-annual", 1.0), ("leave-sick", 0.5)][:depth]

def lost(question, depth):
    return [("leave-annual", math.nan)]

def broken(question, depth):
    raise KeyError("index")
"""


def test_a_bare_retriever_is_profiled_once_for_all_tests_of_a_session(suite: Run) -> None:
    code = """
    def test_first(ragprof):
        result = ragprof.profile(keywords, **HANDBOOK)
        assert result.pipelines == ("keywords",)
        assert result.metric("Success@5").at_most(0.5)
        assert not list(result.folder.glob("*.html")) and not (result.folder / "summary.json").exists()
        assert result.report.exists()
        test_first.calls = len(asked)

    def test_second(ragprof):
        assert ragprof.profile(keywords, **HANDBOOK).usage("search.searches").value == 1
        assert len(asked) == test_first.calls

    def test_third(ragprof):
        assert ragprof.profile(keywords, depth=1, **HANDBOOK).metric("Success@5").at_most(0.5)
        assert len(asked) > test_first.calls
    """
    suite(RETRIEVERS + "\n".join(line[4:] for line in code.splitlines())).assert_outcomes(passed=3)


def test_nan_out_of_a_retriever_is_one_message(suite: Run) -> None:
    result = suite(f"{RETRIEVERS}\ndef test_nan(ragprof): ragprof.profile(lost, **HANDBOOK)")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ragprof: *leave-annual*nan* (test_it.py:*)"])


def test_an_error_of_the_retriever_itself_keeps_its_traceback(suite: Run) -> None:
    result = suite(f"{RETRIEVERS}\ndef test_broken(ragprof): ragprof.profile(broken, **HANDBOOK)")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['>   *raise KeyError("index")', "E*KeyError: 'index'"])


def test_an_error_that_the_test_expects_reaches_the_test(suite: Run) -> None:
    code = """
    import pytest
    from ragprof import RagprofError
    def test_expected(ragprof):
        with pytest.raises(RagprofError, match="no metric named"):
            ragprof.recording("good").metric("nDCG@7")
    """
    suite(code).assert_outcomes(passed=1)


def test_an_eval_file_is_run_and_its_bill_is_in_usd(suite: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "handbook.toml").write_text(
        'name = "small"\nmetrics = ["AP"]\n[corpus]\npath = "handbook"\n[timing]\nseconds = 0.1\nrounds = 2\n'
        '[prices]\nllm = "openai:gpt-4o-mini"\nmachine = "aws/m7i.large"\nutilisation = 0.5\n'
        '[[pipelines]]\nname = "bm25"\nstore = "bm25s"\ndepth = 10\n'
    )
    code = """
    def test_bill(ragprof):
        result = ragprof.run("handbook.toml")
        assert result.cost(stage="inject").at_most(0.05)
        assert result.cost().value >= result.cost(stage="inject").value > 0
        assert ragprof.run("handbook.toml").folder == result.folder
    """
    result = suite(code)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["  holds     bm25: inject.usd_per_1000_queries", "*0.0* USD [[]0.0*] <= 0.05*00 USD, n 12"]
    )


def test_a_check_that_no_assert_asked_for_is_told(suite: Run) -> None:
    result = suite("def test_it(ragprof): ragprof.recording('good').metric('AP').at_least(0.99)")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["  fails     lexical: AP *", "*no assert asked for this check, so it cannot fail"])


def test_figures_are_properties_in_junit(suite: Run, pytester: pytest.Pytester) -> None:
    suite(HOLDS, "--junitxml=out.xml")
    case = ET.parse(pytester.path / "out.xml").getroot().find(".//testcase")  # noqa: S314
    assert case is not None
    found = {each.attrib["name"]: each.attrib["value"] for each in case.iter("property")}
    assert found["ragprof.lexical.rerank.nDCG@10"].startswith("0.77006")
    assert found["ragprof.lexical.rerank.nDCG@10.low"].startswith("0.54")
    assert found["ragprof.lexical.rerank.nDCG@10.at_least"] == "0.5"
    assert found["ragprof.lexical.rerank.nDCG@10.n"] == "12"
    assert found["ragprof.lexical.inject.prompt_tokens.verdict"] == "holds"


def test_no_line_of_a_check_is_longer_than_pytest_shows(suite: Run) -> None:
    code = """
    def test_long(ragprof):
        result = ragprof.recording("good")
        for check in (result.no_worse_than("./bad"), result.metric("AP").at_least(0.5)):
            assert len(repr(check)) <= 200 and "\\n" not in repr(check)
    """
    suite(code).assert_outcomes(passed=1)


def test_recordings_and_comparisons_are_kept_where_asked(suite: Run, pytester: pytest.Pytester) -> None:
    code = f"""{RETRIEVERS}
def test_kept(ragprof):
    assert ragprof.profile(keywords, **HANDBOOK).no_worse_than("./bad", quantities={{"AP": 0.9}})
"""
    result = suite(code, "--ragprof-out=kept-here")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["recordings and comparisons: kept-here"])
    assert len(list((pytester.path / "kept-here").glob("profile-*/report.html"))) == 1
    document = json.loads((pytester.path / "kept-here/comparisons/test-it-py-test-kept-1-vs-bad.json").read_text())
    assert [row["quantity"] for row in document["gate"]["gates"]] == ["AP"]
    assert (pytester.path / "kept-here" / "comparisons" / "test-it-py-test-kept-1-vs-bad.html").exists()


def test_other_corpora_and_other_questions_are_not_compared(suite: Run, pytester: pytest.Pytester) -> None:
    code = "def test_it(ragprof): assert ragprof.recording('good').no_worse_than('./other', quantities={'AP': 0.1})"
    suite("def test_it(): pass", "--collect-only")
    (pytester.path / "bad").rename(pytester.path / "other")
    manifest = json.loads((pytester.path / "other" / "manifest.json").read_text())
    write_json(
        pytester.path / "other" / "manifest.json",
        {**manifest, "corpus": {**manifest["corpus"], "sha256": "0" * 64}, "questions": "1" * 64},
    )
    result = suite(code)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["ragprof: 'other' and 'good' cannot be compared: corpus: *; questions: * (test_it.py:1)"]
    )


def test_loading_the_plugin_loads_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, json, pytest\nbefore = set(sys.modules)\nimport ragprof.pytest_plugin\n"
    ending = "print(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run(
        [sys.executable, "-c", code + ending], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["ragprof", "ragprof.pytest_plugin"]


def test_a_suite_without_checks_has_no_summary(suite: Run) -> None:
    result = suite("def test_it(): pass")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("=*= ragprof =*")


def make_busy(folder: Path, *, waiting: int = 3, cpu: int = 1) -> None:
    """Write into a recording that threads waited so much and ran so much of its rounds' time."""
    path = unsealed(folder) / "spans.parquet"
    spans = pd.read_parquet(path)
    rounds = (spans["phase"] == "round") * spans["duration_ns"]
    read = {"cpu_ns": cpu * rounds, "waiting_ns": waiting * rounds}
    spans.assign(**{name: values.astype("Int64") for name, values in read.items()}).to_parquet(path)


LATENCIES = """
def test_slow(ragprof): assert ragprof.recording("good").latency("p50").at_most(0.000001)
def test_fast(ragprof): assert ragprof.recording("good").latency("p95", stage="rerank").at_most(60_000)
def test_quality(ragprof): assert ragprof.recording("good").metric("AP").at_least(0.1)
"""
BUSY = "not judged: the machine was busy (75% of the time waiting for a core)"


def test_on_a_busy_machine_no_bound_of_a_latency_holds_or_fails(suite: Run, pytester: pytest.Pytester) -> None:
    suite(LATENCIES).assert_outcomes(passed=2, failed=1)
    make_busy(pytester.path / "good")
    loose = suite(LATENCIES)
    loose.assert_outcomes(passed=3)
    assert str(loose.stdout).count(f"            {BUSY[:63]}") == 2
    loose.stdout.fnmatch_lines(["  undecided lexical: rerank.latency_p95*", "  undecided lexical: latency_p50*"])
    loose.stdout.fnmatch_lines(["2 undecided, 1 holds"])
    strict = suite(LATENCIES, "--ragprof-strict")
    strict.assert_outcomes(passed=1, failed=2)
    strict.stdout.fnmatch_lines([f"E*assert latency_p50 of lexical = * undecided: at most 0.00000100 ms; {BUSY[:40]}*"])
    strict.stdout.fnmatch_lines(["  more       not judged: the machine was busy (75% of the time waiting for a*"])


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        ({"llm": "openai:gpt-4o-mini"}, "1 holds"),
        ({"llm": "openai:gpt-4o-mini", "machine": "aws/m7i.large", "utilisation": "0.5"}, "1 undecided"),
    ],
)
def test_on_a_busy_machine_no_bound_of_machine_time_is_judged_and_that_of_tokens_is(
    prices: dict[str, str], told: str, suite: Run, pytester: pytest.Pytester
) -> None:
    good = pytester.path / "good"
    settings = settings_of(good)
    priced = {**settings, "prices": {**settings["prices"], **prices}}
    price_recording(good, settings=priced, books=(), on=date(2026, 11, 30))
    make_busy(good)
    result = suite("def test_it(ragprof): assert ragprof.recording('good').cost(stage='inject').at_most(100)")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([told])


def test_names_in_the_summary_steer_neither_terminal_nor_ci(suite: Run) -> None:
    result = suite("""
    import pytest
    @pytest.mark.parametrize("name", ["::error::x", "##vso[task.complete]", "a\\x1b[31mb\\u202ec"])
    def test_names(ragprof, name):
        figure = ragprof.recording("good").metric("AP")
        object.__setattr__(figure, "pipeline", name)
        assert figure.at_least(0.1)
    """)
    result.assert_outcomes(passed=3)
    summary = str(result.stdout).partition(" ragprof ")[2]
    assert " ::error" not in summary
    assert "##vso" not in summary
    assert "\x1b[31mb" not in summary
    assert "\u202e" not in summary
