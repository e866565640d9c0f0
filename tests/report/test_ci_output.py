"""What CI machines read of a comparison: JUnit, GitHub, GitLab and github-action-benchmark."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from comparisons import DENSE, find, golden, with_gates

from ragprof.core.errors import BadInput
from ragprof.studies.gate import ci_files
from ragprof.studies.gate.ci_files import cases, cut, junit, outputs, workflow_commands, worst_first, write_github
from ragprof.studies.gate.document import Comparison, GateRow, LostQuery, QuantityRow, WorstQueries

HOSTILE = "a%\r\n::error title=x::y,b:c\x00\x1b[31m<&\"']]>\ud800\ufffe"
KINDS = {"nDCG@10": ("quality", ""), "latency_p95": ("latency", "ms"), "usd_per_1000_queries": ("cost", "USD")}
TAKEN = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"classname", "name", "time"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"message"},
}
INSIDE = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase"],
    "properties": ["property"],
    "testcase": ["failure", "error", "skipped"],
}
"""What xunit2 allows of an element: attributes and children, in their order."""


def row(quantity: str, **given: Any) -> QuantityRow:
    """A row that got worse by a fifth, unless other figures are given."""
    kind, unit = KINDS.get(quantity.rpartition(".")[2], ("usage", quantity.rpartition(".")[2]))
    better = "higher" if kind == "quality" else "lower"
    named = {"pipeline": "hybrid", "quantity": quantity, "kind": kind, "unit": unit, "better": better}
    return replace(find(golden("gated"), DENSE, "nDCG@10"), **{**WORSE, **named, **given})


def gate(quantity: str, outcome: str, **given: Any) -> GateRow:
    message = given.pop("message", f"{quantity} is {outcome}")
    limits = {"confidence": 0.95, "margin_absolute": 0.5, "margin_relative": 0.0}
    return GateRow(**{**vars(row(quantity)), "gate": outcome, "message": message, **limits, **given})


WORSE = {
    "primary": True, "base": 10.0, "candidate": 12.0, "difference": 2.0, "interval": (1.0, 3.0), "relative": 0.2,
    "relative_interval": (0.1, 0.3), "p": 0.001, "p_holm": 0.002, "n": 300, "margin": 0.5,
    "margin_why": "0.5 absolute", "verdict": "worse", "reason": "", "more_queries": None,
}  # fmt: skip
NOTHING = dict.fromkeys(("base", "candidate", "difference", "interval", "relative", "relative_interval", "p", "p_holm"))
GATES = (
    gate("latency_p95", "holds", candidate=10.1, difference=0.1, interval=(-0.1, 0.3)),
    gate("inject.prompt_tokens", "undecided", more_queries=120, interval=(-1.0, 3.0), p=0.2, p_holm=0.4),
    gate("rerank.latency_p95", "incomparable", reason="environment.cpu differs", **NOTHING),
    gate("usd_per_1000_queries", "unpriced", reason="the candidate lacks rerank", **NOTHING),
    gate("nDCG@10", "regression", base=0.7, candidate=0.65, difference=-0.05, interval=(-0.08, -0.02), margin=0.01),
)


def document(gates: tuple[GateRow, ...] | None = GATES, *, strict: bool = False, **given: Any) -> Comparison:
    """The golden comparison under other names, with these gates or none."""
    found = golden("gated")
    worst = WorstQueries("nDCG@10", (LostQuery("q7", 0.9, 0.1, ("d1", "d2"), ("d9",)),))
    named = replace(
        found,
        eval="scifact",
        base=replace(found.base, label="main"),
        queries=300,
        quantities=(row("latency_p95"),),
        worst={"hybrid": worst},
    )
    judged = replace(named, gate=None) if gates is None else with_gates(named, *gates, strict=strict)
    return replace(judged, **given)


def parsed(found: Comparison) -> ET.Element:
    return ET.fromstring(junit(found).encode("utf-8"))  # noqa: S314 (written by the function under test)


def test_the_worst_comes_first_and_among_regressions_the_one_farthest_beyond_its_margin() -> None:
    slower = gate("latency_p95", "regression", difference=1.0, margin=0.5)
    much_slower = gate("rerank.latency_p95", "regression", difference=5.0, margin=0.5)
    found = worst_first(cases(document((GATES[1], slower, GATES[3], much_slower))))
    assert [case.quantity for case in found] == [
        "rerank.latency_p95",
        "latency_p95",
        "usd_per_1000_queries",
        "inject.prompt_tokens",
    ]


def test_junit_has_a_case_for_each_gate_with_its_outcome() -> None:
    suite = parsed(document()).find("testsuite")
    assert suite is not None
    found = {case.get("name"): [(each.tag, each.get("type")) for each in case] for case in suite.iter("testcase")}
    assert found == {
        "latency_p95": [],
        "inject.prompt_tokens": [("skipped", None)],
        "rerank.latency_p95": [("error", "incomparable")],
        "usd_per_1000_queries": [("failure", "unpriced")],
        "nDCG@10": [("failure", "regression")],
    }
    assert {case.get("classname") for case in suite.iter("testcase")} == {"ragprof.scifact.hybrid"}
    totals = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert totals == {"tests": "5", "failures": "2", "errors": "1", "skipped": "1"}


def test_junit_says_how_many_queries_an_undecided_gate_needs() -> None:
    skipped = parsed(document()).find(".//skipped")
    assert skipped is not None
    assert skipped.get("message") == "underpowered: needs about 420 queries"


def test_junit_fails_what_is_undecided_under_strict() -> None:
    failure = parsed(document((GATES[1],), strict=True)).find(".//failure")
    assert failure is not None
    assert failure.get("type") == "undecided"


def test_junit_has_the_figures_as_properties_and_none_for_what_was_not_measured() -> None:
    found = {each.get("name"): each.get("value") for each in parsed(document()).iter("property")}
    assert found["hybrid.nDCG@10.candidate"] == "0.65"
    assert found["hybrid.nDCG@10.low"] == "-0.08"
    assert found["verdict"] == "regression"
    assert found["base.label"] == "main"
    assert "hybrid.usd_per_1000_queries.candidate" not in found


def test_junit_shows_the_queries_that_a_regression_hit_worst() -> None:
    failure = parsed(document()).find(".//failure[@type='regression']")
    assert failure is not None
    assert failure.text == "nDCG@10 is regression\nquery q7: 0.900 → 0.100\n  before: d1, d2\n  after: d9"


def test_junit_keeps_to_what_xunit2_allows() -> None:
    for element in parsed(document()).iter():
        assert set(element.attrib) <= TAKEN[element.tag]
        places = [INSIDE.get(element.tag, []).index(child.tag) for child in element]
        assert places == sorted(places)


def test_junit_is_well_formed_whatever_the_ids_hold() -> None:
    found = document((gate(HOSTILE, "regression", pipeline=HOSTILE, message=HOSTILE),), eval=HOSTILE)
    case = parsed(found).find(".//testcase")
    assert case is not None
    assert case.get("name") == "a% ::error title=x::y,b:c[31m<&\"']]>"
    assert case.get("classname") == f"ragprof.{case.get('name')}.{case.get('name')}"


def test_without_a_gate_the_cases_are_the_primary_rows_and_only_what_got_worse_fails() -> None:
    rows = (
        row("latency_p95"),
        row("nDCG@10", verdict="better"),
        row("usd_per_1000_queries", verdict="unpriced", reason="no rate for rerank", **NOTHING),
        row("inject.prompt_tokens", verdict="equivalent"),
        row("search.searches", primary=False),
    )
    found = {
        case.get("name"): [each.tag for each in case]
        for case in parsed(document(None, quantities=rows)).iter("testcase")
    }
    assert found == {
        "latency_p95": ["failure"],
        "nDCG@10": [],
        "usd_per_1000_queries": ["skipped"],
        "inject.prompt_tokens": [],
    }


def test_annotations_come_worst_first_and_loudest_first() -> None:
    assert workflow_commands(document()) == [
        "::error title=ragprof%3A regression%3A nDCG@10 of hybrid::nDCG@10 is regression",
        "::error title=ragprof%3A unpriced%3A usd_per_1000_queries of hybrid::usd_per_1000_queries is unpriced",
        "::error title=ragprof%3A incomparable%3A rerank.latency_p95 of hybrid::rerank.latency_p95 is incomparable",
        "::warning title=ragprof%3A undecided%3A inject.prompt_tokens of hybrid::inject.prompt_tokens is undecided",
    ]


def test_what_is_undecided_is_an_error_under_strict() -> None:
    assert workflow_commands(document((GATES[1],), strict=True))[0].startswith("::error title=")


def test_an_annotation_is_one_line_that_an_id_cannot_leave() -> None:
    (found,) = workflow_commands(document((gate("x", "regression", pipeline=HOSTILE, message=HOSTILE),)))
    assert found == (
        "::error title=ragprof%3A regression%3A x of a%25 %3A%3Aerror title=x%3A%3Ay%2Cb%3Ac[31m<&\"']]>"
        "::a%25%0D%0A::error title=x::y,b:c[31m<&\"']]>"
    )


def test_at_most_ten_annotations_and_the_tenth_names_the_rest() -> None:
    many = tuple(gate(f"inject.count_{number}", "regression", margin=1.0 + number) for number in range(12))
    found = workflow_commands(document(many))
    assert len(found) == 10
    assert "inject.count_0 of hybrid" in found[0]
    assert found[9] == (
        "::error title=ragprof%3A 3 more::The step summary has them all.%0Aregression: hybrid: inject.count_9"
        "%0Aregression: hybrid: inject.count_10%0Aregression: hybrid: inject.count_11"
    )


def test_where_all_is_well_there_is_one_notice() -> None:
    (found,) = workflow_commands(document((GATES[0],)))
    assert found.startswith("::notice title=ragprof%3A scifact::")
    assert found.endswith("over 300 queries")


def test_a_comparison_without_a_gate_warns_and_never_errs() -> None:
    rows = (row("latency_p95"), row("nDCG@10", verdict="better", better="higher"))
    found = workflow_commands(document(None, quantities=rows))
    assert [line.partition(" ")[0] for line in found] == ["::warning", "::notice"]
    assert "+20.0%" in found[0]


def test_outputs_are_single_lines() -> None:
    assert outputs(document()) == {
        "verdict": "regression",
        "exit_code": "1",
        "gates": "5",
        "holds": "1",
        "regressions": "1",
        "unpriced": "1",
        "incomparable": "1",
        "undecided": "1",
        "queries": "300",
        "worst": "hybrid: nDCG@10",
    }
    hostile = outputs(document((gate("x", "regression", pipeline="a\nverdict=holds"),)))
    assert hostile["worst"] == "a verdict=holds: x"


def test_a_summary_is_cut_after_a_line_and_says_so() -> None:
    markdown = "ä line\n" * 200_000
    found = cut(markdown, limit=1_048_576)
    assert len(found.encode()) <= 1_048_576
    assert found.startswith("ä line\n")
    assert found.endswith("ä line\n\n_The summary was cut here: GitHub shows at most 1 MiB. The whole of it is in the "
                          "Markdown file of this step._\n")  # fmt: skip
    assert cut("short\n", limit=6) == "short\n"
    assert cut("short\n", limit=5) == ""


def test_github_files_are_appended_to_and_several_lines_are_delimited(tmp_path: Path) -> None:
    summary, output = tmp_path / "summary", tmp_path / "output"
    output.write_text("before=1\n")
    environ = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output)}
    assert write_github(document(), environ, markdown="# M\n") == workflow_commands(document())
    assert summary.read_text() == "# M\n"
    lines = output.read_text().splitlines()
    assert lines[:3] == ["before=1", "verdict=regression", "exit_code=1"]
    name, _, delimiter = lines[11].partition("<<")
    assert (name, lines[-1]) == ("findings", delimiter)
    assert lines[12:-1] == [
        "nDCG@10 is regression",
        "usd_per_1000_queries is unpriced",
        "rerank.latency_p95 is incomparable",
        "inject.prompt_tokens is undecided",
    ]
    assert delimiter.startswith("ragprof_")
    assert len(delimiter) > 30


def test_a_summary_leaves_room_for_what_the_step_wrote_before(tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    summary.write_text("x" * 1_000_000)
    write_github(document(), {"GITHUB_STEP_SUMMARY": str(summary)}, markdown="line\n" * 100_000)
    assert 1_048_000 < summary.stat().st_size <= 1_048_576


def test_outside_of_github_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_github(document(), {}, markdown="# M\n") == workflow_commands(document())
    assert list(tmp_path.iterdir()) == []


def test_a_github_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "no" / "output"
    with pytest.raises(BadInput, match="cannot write what GitHub is told: No such file"):
        write_github(document(), {"GITHUB_OUTPUT": str(missing)}, markdown="")


CODE_QUALITY = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "additionalProperties": False,
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string"},
            "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": "^[^./]"},
                    "lines": {"type": "object", "properties": {"begin": {"type": "integer", "minimum": 1}}},
                },
            },
        },
    },
}
BENCHMARK = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "unit", "value"],
        "additionalProperties": False,
        "properties": {
            **{name: {"type": "string"} for name in ("name", "unit", "range", "extra")},
            "value": {"type": "number"},
        },
    },
}


def code_quality(found: Comparison) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = json.loads(ci_files.code_quality(found, eval_file="./evals/scifact.toml"))
    jsonschema.validate(read, CODE_QUALITY)
    return read


def test_gitlab_gets_a_finding_for_whatever_does_not_hold() -> None:
    found = code_quality(document())
    assert [(each["check_name"], each["severity"]) for each in found] == [
        ("ragprof.regression.nDCG@10", "critical"),
        ("ragprof.unpriced.usd_per_1000_queries", "major"),
        ("ragprof.incomparable.rerank.latency_p95", "major"),
        ("ragprof.undecided.inject.prompt_tokens", "minor"),
    ]
    assert found[0]["location"] == {"path": "evals/scifact.toml", "lines": {"begin": 1}}
    assert len({each["fingerprint"] for each in found}) == 4
    assert code_quality(document((GATES[0],))) == []


def test_gitlab_fingerprints_stay_when_figures_move() -> None:
    moved = gate("nDCG@10", "regression", candidate=0.6, difference=-0.1, message="worse still")
    assert code_quality(document((moved,)))[0]["fingerprint"] == code_quality(document())[0]["fingerprint"]


def test_gitlab_takes_hostile_ids() -> None:
    (found,) = code_quality(document((gate("x", "regression", pipeline=HOSTILE, message=HOSTILE),)))
    assert found["description"] == "a% ::error title=x::y,b:c[31m<&\"']]>"


def test_benchmark_entries_keep_small_and_big_apart_and_leave_out_what_was_not_measured() -> None:
    rows = (
        row("latency_p95"),
        row("nDCG@10", base=0.7, candidate=0.65, difference=-0.05, interval=(-0.08, -0.02)),
        row("usd_per_1000_queries", verdict="unpriced", **NOTHING),
        row("search.searches", primary=False),
    )
    found = {name: json.loads(text) for name, text in ci_files.entries(document(quantities=rows)).items()}
    for entries in found.values():
        jsonschema.validate(entries, BENCHMARK)
    assert found["smaller"][0] == {
        "name": "scifact / hybrid / latency_p95",
        "unit": "ms",
        "value": 12.0,
        "range": "± 1.00",
        "extra": "+2.00 ms against main\n95% interval +1.00 to +3.00 ms\nworse, n = 300 queries",
    }
    names = {side: [each["name"].rpartition(" ")[2] for each in entries] for side, entries in found.items()}
    assert names == {"smaller": ["latency_p95", "inject.prompt_tokens"], "bigger": ["nDCG@10"]}


def test_benchmark_files_of_an_empty_comparison_are_empty_lists() -> None:
    assert ci_files.entries(document(None, quantities=())) == {"smaller": "[]\n", "bigger": "[]\n"}
