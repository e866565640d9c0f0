"""`gate --init`: a first [gate] goes to the end of the eval file, and what was there stays."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest
from gated_eval import EVAL, Recorded

from ragprof.core.errors import BadInput
from ragprof.evals import read_eval
from ragprof.session.gating import gate
from ragprof.studies.gate.initial import propose


def test_a_gate_that_was_proposed_reads_and_holds_and_keeps_what_was_there(small: Path, recorded: Recorded) -> None:
    proposal = propose(small, recording=recorded.base)
    text = small.read_text()
    assert text == f"{EVAL}\n{proposal.toml}"
    assert "# Two ways to the same handbook." in text
    assert "[timing]  # short" in text
    assert set(tomllib.loads(text)["gate"]["quantities"]) == set(read_eval(small).gate.quantities)
    gated = set(read_eval(small).gate.quantities)
    assert {"nDCG@10", "R@10", "inject.prompt_tokens", "rerank.docs_scored"} <= gated
    for timed in ("latency_p50", "rerank.latency_p95"):
        # On a busy machine rounds of a few microseconds may differ by more than themselves: then a sentence says so.
        assert timed in gated or any(f"{timed} of " in line and "is left out" in line for line in proposal.lines)
    found = gate(small, baseline=recorded.base, recording=recorded.base)
    assert {each["gate"] for each in found.rows} == {"holds"}
    assert found.exit_code == 0


def test_a_proposal_is_made_from_where_reports_go(small: Path, recorded: Recorded) -> None:
    with pytest.raises(BadInput, match="reports/small: no such folder"):
        propose(small)
    shutil.copytree(recorded.base, "reports/small")
    assert propose(str(small)).lines[0].startswith("nDCG@10: margin 0.01; smallest detectable effect ")


def test_a_second_proposal_is_refused(small: Path, recorded: Recorded) -> None:
    propose(small, recording=recorded.base)
    before = small.read_text()
    with pytest.raises(
        BadInput, match=r"small\.toml: it has \[gate\.quantities\] already; edit them, or take them out"
    ):
        propose(small, recording=recorded.base)
    assert small.read_text() == before


@pytest.mark.parametrize("table", ["[gate]\nlooks = 2", "[ gate ]", "[gate.quantities]"])
def test_a_gate_without_quantities_is_not_written_into(small: Path, recorded: Recorded, table: str) -> None:
    small.write_text(f"{EVAL}\n{table}\n")
    with pytest.raises(BadInput, match=r"it has a \[gate\] table without quantities; take it out and run this again"):
        propose(small, recording=recorded.base)


def test_a_gate_written_inline_is_left_to_its_writer(small: Path, recorded: Recorded) -> None:
    small.write_text(f"gate = {{ looks = 2 }}\n{EVAL}")
    with pytest.raises(BadInput, match=r"a \[gate\] cannot be added to it \(.*\); write one by hand"):
        propose(small, recording=recorded.base)
    assert small.read_text() == f"gate = {{ looks = 2 }}\n{EVAL}"


def test_a_recording_of_another_eval_proposes_nothing(small: Path, recorded: Recorded) -> None:
    small.write_text(EVAL.replace('name = "small"', 'name = "large"'))
    with pytest.raises(BadInput, match="is a recording of 'small', not of 'large'; run 'ragprof run' first"):
        propose(small, recording=recorded.base)


def test_an_eval_file_that_is_read_only_gets_no_gate(small: Path, recorded: Recorded) -> None:
    small.chmod(0o444)
    with pytest.raises(BadInput, match=r"small\.toml: it is read-only; allow writing to it"):
        propose(small, recording=recorded.base)
    assert small.read_text() == EVAL
