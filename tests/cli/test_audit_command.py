"""`ragprof audit`: what it prints, with and without a recording in the folder."""

from __future__ import annotations

from pathlib import Path

from commandline import Ragprof


def test_alone_it_names_the_file_of_the_audit(ragprof: Ragprof, handbook: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = ragprof("audit", handbook, "--times", 2, "--queries", 3, "--out", out)
    assert outcome.code == 0
    assert outcome.output.endswith(f"audit: {out}/audit/audit.json\n")
    said = " ".join(outcome.output.split())
    assert "Search gave the same ranking and scores 2 times for 3 of 3 queries in all 4 pipelines." in said


def test_beside_a_recording_it_names_the_report(ragprof: Ragprof, handbook: Path, handbook_recording: Path) -> None:
    outcome = ragprof("audit", handbook, "--times", 2, "--queries", 3, "--out", handbook_recording)
    assert outcome.code == 0
    assert outcome.output.endswith(f"report: {handbook_recording}/report.html\n")


def test_an_audit_prices_nothing_anew(ragprof: Ragprof, handbook: Path, handbook_recording: Path) -> None:
    """What is in the folder may be priced by rate books that the audit is not given."""
    ragprof("price", handbook_recording, "--llm", "openai:gpt-4o")
    before = (handbook_recording / "rates.json").read_bytes()
    assert ragprof("audit", handbook, "--times", 2, "--queries", 3, "--out", handbook_recording).code == 0
    assert (handbook_recording / "rates.json").read_bytes() == before
    assert (handbook_recording / "audit" / "audit.json").exists()


def test_one_time_is_refused(ragprof: Ragprof, handbook: Path, tmp_path: Path) -> None:
    outcome = ragprof("audit", handbook, "--times", 1, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert outcome.message == "ragprof: times = 1, but what is asked once cannot differ; give 2 or more\n"
    assert not (tmp_path / "out").exists()
