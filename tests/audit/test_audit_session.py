"""`ragprof.audit`: beside a recording it joins its summary, alone it stands for itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ragprof
from ragprof.core.errors import BadInput
from ragprof.parts.generators.extractive import ExtractiveGenerator
from ragprof.session.again import redraw

DATA = Path(__file__).parents[1] / "data"


def test_without_a_recording_the_audit_stands_alone(cache: Path, tmp_path: Path) -> None:
    result = ragprof.audit(DATA / "handbook.toml", times=2, queries=2, out=tmp_path / "out")
    assert result.summary == json.loads((tmp_path / "out" / "audit" / "audit.json").read_text())
    assert list(result.summary) == ["eval", "title", "corpus", "audit"]
    assert list(result.summary["audit"]["pipelines"]) == ["bm25", "dense", "hybrid", "hybrid+overlap"]
    assert not result.report.exists()


def test_prompts_are_told_of_document_vectors_where_scores_are_inner_products(cache: Path, tmp_path: Path) -> None:
    found = ragprof.audit(DATA / "handbook.toml", times=2, queries=3, out=tmp_path / "out").summary["audit"]
    checked = {
        name: [row["prompts_checked"] for row in pipeline["stages"] if row["variant"] == "documents in a batch"]
        for name, pipeline in found["pipelines"].items()
    }
    assert checked == {"bm25": [], "dense": [3], "hybrid": [0], "hybrid+overlap": [0]}


def test_beside_its_recording_it_joins_summary_and_report(cache: Path, handbook_recording: Path) -> None:
    result = ragprof.audit(DATA / "handbook.toml", times=2, queries=2, out=handbook_recording)
    assert "pipelines" in result.summary
    assert result.summary["audit"]["queries"] == 2
    assert result.summary == json.loads((handbook_recording / "summary.json").read_text())


def test_answers_of_a_generator_that_the_recording_lacks_join_it_all_the_same(
    cache: Path, handbook_recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = lambda self, prompts: [self.generate(prompt) for prompt in prompts]  # noqa: E731
    monkeypatch.setattr(ExtractiveGenerator, "generate_many", together, raising=False)
    result = ragprof.audit(DATA / "handbook.toml", times=2, queries=2, answers=True, out=handbook_recording)
    rows = [row for row in result.summary["audit"]["pipelines"]["bm25"]["stages"] if row["stage"] == "generate"]
    assert [row["what"] for row in rows] == ["answer", "batch size"]
    assert "answers of extractive" in " ".join(result.summary["audit"]["statements"])
    assert "pipelines" in result.summary


def test_beside_another_recording_it_stands_alone(cache: Path, handbook: Path, handbook_recording: Path) -> None:
    handbook.write_text(handbook.read_text().replace("k = 3 }", "k = 2 }", 1))
    before = (handbook_recording / "summary.json").read_bytes()
    result = ragprof.audit(handbook, times=2, queries=2, out=handbook_recording)
    assert "pipelines" not in result.summary
    assert (handbook_recording / "summary.json").read_bytes() == before


def test_an_audit_of_another_eval_is_left_out_of_the_summary(
    cache: Path, handbook: Path, handbook_recording: Path
) -> None:
    handbook.write_text(handbook.read_text().replace("k = 3 }", "k = 2 }", 1))
    ragprof.audit(handbook, times=2, queries=2, out=handbook_recording)
    summary = redraw(handbook_recording).summary
    assert "audit" not in summary
    assert summary["warnings"][-1] == (
        "The audit in this folder is of another corpus, other questions, pipelines or judgements and is left out; "
        "make it anew with 'ragprof audit'."
    )


def test_the_default_sample_is_no_larger_than_the_questions(cache: Path, tmp_path: Path) -> None:
    assert ragprof.audit(DATA / "handbook.toml", times=2, out=tmp_path / "out").summary["audit"]["queries"] == 12


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"times": 1}, "times = 1, but what is asked once cannot differ; give 2 or more"),
        ({"queries": 0}, "queries = 0, but the eval has 12 judged questions; give 1 to 12"),
        ({"queries": 13}, "queries = 13, but the eval has 12 judged questions; give 1 to 12"),
    ],
)
def test_impossible_numbers_are_said_before_anything_is_run(
    given: dict[str, int], said: str, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as raised:
        ragprof.audit(DATA / "handbook.toml", out=tmp_path / "out", **given)  # type: ignore[arg-type]
    assert str(raised.value) == said
    assert not (tmp_path / "out").exists()
