"""Two versions interleaved in one job, each in a process of its own: another eval file, and a git revision."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from outside_parts import SOURCE, installed

from ragprof.core.errors import BadInput
from ragprof.session.gating import gate
from ragprof.studies.gate.sides import Comparison

DATA = Path(__file__).parents[1] / "data"
EVAL = """
name = "small"
metrics = ["nDCG@10"]
[corpus]
path = "handbook"
[timing]
waiting_bound = 1
[prices]
llm = "openai:gpt-4o-mini"
[gate]
budget_seconds = 2
looks = 2
[gate.quantities]
"nDCG@10" = { absolute = 0.02, pipelines = ["reranked"] }
"rerank.latency_p50" = { relative = 20 }
"rerank.docs_scored" = {}
[[pipelines]]
name = "plain"
store = "bm25s"
depth = 10
[[pipelines]]
name = "reranked"
embedder = "hashing"
store = "faiss_flat"
depth = 10
reranker = "overlap"
"""


@dataclass(frozen=True)
class Place:
    """Where the job was run, and what came of it."""

    top: Path
    found: Comparison

    @property
    def document(self) -> dict[str, Any]:
        return self.found.document

    def row(self, quantity: str) -> dict[str, Any]:
        (one,) = [each for each in self.found.rows if each["quantity"] == quantity]
        return one


def written(top: Path, patched: pytest.MonkeyPatch) -> Path:
    """The eval file as small.toml, where the user stands, with the rerankers of another package installed."""
    shutil.copytree(DATA / "handbook", top / "handbook")
    (top / "small.toml").write_text(EVAL)
    outside = str(installed(top / "outside"))
    patched.setenv("RAGPROF_CACHE", str(top / "cache"))
    patched.setenv("OMP_NUM_THREADS", "1")
    patched.setenv("PYTHONPATH", os.pathsep.join([outside, *filter(None, [os.environ.get("PYTHONPATH")])]))
    patched.syspath_prepend(outside)
    patched.chdir(top)
    return Path("small.toml")


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The reranker that puts the worst first, against the file with the good one."""
    top = tmp_path_factory.mktemp("beside")
    with pytest.MonkeyPatch.context() as patched:
        eval_file = written(top, patched)
        shutil.copy(eval_file, "before.toml")
        eval_file.write_text(EVAL.replace('"overlap"', '"backwards"'))
        yield Place(top, gate(eval_file, against="before.toml", out="out"))


@pytest.mark.slow
def test_what_got_worse_fails_and_what_did_not_holds(beside: Place) -> None:
    verdicts = {each["quantity"]: each["gate"] for each in beside.found.rows}
    assert verdicts == {"nDCG@10": "regression", "rerank.latency_p50": "holds", "rerank.docs_scored": "holds"}
    assert beside.found.exit_code == 1
    assert beside.document["changed"]["reranked"] == [{"part": "reranker", "base": "overlap", "candidate": "backwards"}]


@pytest.mark.slow
def test_both_sides_were_timed_in_one_job(beside: Place) -> None:
    assert beside.document["same_job"] is True
    assert beside.document["base"]["label"] == "before.toml"
    assert beside.document["base"]["source"] == beside.document["candidate"]["source"] == "revision"
    assert [each for each in beside.document["differences"] if each["blocks"] != "nothing"] == []


@pytest.mark.slow
def test_the_job_says_how_it_went(beside: Place) -> None:
    told = beside.document["against"]
    assert told["budget_seconds"] == 2
    assert (told["looks"], told["looks_allowed"], told["queries"]) == (1, 2, 12)
    assert 0 < told["spent_seconds"] < 4
    noise = told["noise"]["reranked"]["rerank.latency_p50"]
    assert beside.row("rerank.latency_p50")["noise"] == pytest.approx(noise)
    assert list(told["noise"]) == ["reranked"]


@pytest.mark.slow
def test_both_recordings_are_left_and_the_twins_is_not(beside: Place) -> None:
    assert sorted(path.name for path in (beside.top / "out" / "against").iterdir()) == ["base", "candidate"]
    spans = {
        name: pd.read_parquet(beside.top / "out" / "against" / name / "spans.parquet").query("stage == 'query'")
        for name in ("base", "candidate")
    }
    timed = {name: each[each["phase"] == "timed"] for name, each in spans.items()}
    keys = ["pipeline", "round", "query_id"]
    assert len(timed["base"]) == len(timed["candidate"]) > 0
    assert sorted(timed["base"][keys].to_numpy().tolist()) == sorted(timed["candidate"][keys].to_numpy().tolist())
    assert set(spans["base"]["phase"]) == {"cold", "warm", "itself", "round", "timed"}
    assert set(spans["candidate"]["phase"]) == {"cold", "warm", "round", "timed"}
    ends = timed["base"].set_index(keys)["start_ns"].sort_values(), timed["candidate"].set_index(keys)["start_ns"]
    first = (ends[0] < ends[1].reindex(ends[0].index)).groupby("pipeline").mean()
    assert first.to_dict() == {"plain": 0.5, "reranked": 0.5}


@pytest.mark.slow
def test_without_a_clock_nothing_is_timed_against_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eval_file = written(tmp_path, monkeypatch)
    shutil.copy(eval_file, "before.toml")
    found = gate(eval_file, against="before.toml", out="out", clock=False)
    assert found.exit_code == 0
    assert {each["quantity"]: each["difference"] for each in found.rows} == {"nDCG@10": 0, "rerank.docs_scored": 0}
    assert found.document["against"] is None
    spans = pd.read_parquet("out/against/base/spans.parquet")
    assert set(spans["phase"]) == {"cold", "counted"}


@pytest.mark.slow
def test_a_revision_is_run_with_its_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reranker is a module of the repository. The commit scored as ever, the work tree turns its scores around."""
    eval_file = written(tmp_path, monkeypatch)
    eval_file.write_text(
        EVAL.replace('"overlap"', '"talkative"').replace('"rerank.latency_p50" = { relative = 20 }', "")
    )
    monkeypatch.delenv("PYTHONPATH")
    for path in (tmp_path / "outside").iterdir():
        shutil.move(path, tmp_path / path.name)
    Path(".gitignore").write_text("cache\nout\n")
    name = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "--quiet"], ["add", "--all"], [*name, "commit", "--quiet", "--message", "before"]):
        subprocess.run(["git", *arguments], check=True)
    Path("outside_rerankers.py").write_text(SOURCE.replace(
        "        return super().score(query, docs)\n\n\nclass Back",
        "        scored = super().score(query, docs)\n"
        "        return replace(scored, scores=tuple(-score for score in scored.scores))\n\n\nclass Back",
    ).replace('identity = "talkative"', 'identity = "talkative 2"'))  # fmt: skip
    monkeypatch.syspath_prepend(str(tmp_path))
    found = gate(eval_file, against="HEAD", out="out")
    assert {each["quantity"]: each["gate"] for each in found.rows} == {
        "nDCG@10": "regression",
        "rerank.docs_scored": "holds",
    }
    assert found.document["changed"]["reranked"] == [
        {"part": "reranker", "base": "talkative", "candidate": "talkative 2"}
    ]
    listed = subprocess.run(["git", "worktree", "list"], check=True, capture_output=True, text=True).stdout
    assert len(listed.splitlines()) == 1


@pytest.mark.slow
def test_sides_that_rest_on_other_documents_end_before_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eval_file = written(tmp_path, monkeypatch)
    shutil.copytree("handbook", "other")
    corpus = Path("other/corpus.jsonl")
    corpus.write_text(corpus.read_text().replace("leave", "holiday", 1))
    Path("before.toml").write_text(EVAL.replace('path = "handbook"', 'path = "other"'))
    found = gate(eval_file, against="before.toml", out="out")
    assert found.exit_code == 3
    told = "'base before.toml' and 'candidate' cannot be compared: corpus: 'other' (24 passages of"
    assert told in found.document["notes"][0]
    assert not list(Path("out").iterdir())
    assert not Path("cache").exists()


@pytest.mark.slow
def test_a_side_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eval_file = written(tmp_path, monkeypatch)
    Path("before.toml").write_text(EVAL.replace('"overlap"', '"overlop"'))
    with pytest.raises(BadInput, match=r"^base before\.toml: .*before\.toml:\d+: no reranker named 'overlop'; did you"):
        gate(eval_file, against="before.toml", out="out")


@pytest.mark.slow
def test_a_side_that_is_killed_ends_the_job_in_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eval_file = written(tmp_path, monkeypatch)
    Path("before.toml").write_text(EVAL.replace('"overlap"', f'{{ name = "mortal", file = "{eval_file.absolute()}" }}'))
    with pytest.raises(
        BadInput, match=r"^base before\.toml: its process was ended by SIGKILL; is there memory for two"
    ):
        gate(eval_file, against="before.toml", out="out")
