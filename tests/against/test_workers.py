"""A side in a process of its own: what it answers, what cannot disturb its answers, and how it ends."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from outside_parts import installed

from ragprof.core.clock import Silent
from ragprof.core.errors import BadInput
from ragprof.record.recording import fingerprint_of
from ragprof.studies.gate.processes import Process, RunnableSide, serve
from ragprof.studies.preparation import prepare

DATA = Path(__file__).parents[1] / "data"
HANDBOOK_EVAL = DATA / "handbook.toml"
EVAL = """
name = "small"
metrics = ["nDCG@10"]
[corpus]
path = "handbook"
[gate]
flop_queries = 1
[prices]
llm = "openai:gpt-4o-mini"
[[pipelines]]
name = "talkative"
embedder = "hashing"
store = "faiss_flat"
depth = 5
reranker = "talkative"
[[pipelines]]
name = "mortal"
store = "bm25s"
depth = 5
reranker = {{ name = "mortal", file = "{file}" }}
"""


@dataclass
class Bars:
    """The tasks that a worker told of, and how many steps it took in each."""

    tasks: list[list[Any]] = field(default_factory=list)

    def start(self, task: str, total: int) -> None:
        self.tasks.append([task, total, 0])

    def advance(self, steps: int) -> None:
        self.tasks[-1][2] += steps

    def done(self) -> None:
        self.tasks[-1].append("done")

    def note(self, sentence: str) -> None:
        self.tasks.append([sentence])


@dataclass(frozen=True)
class Served:
    """One worker that was asked everything, in the end what kills it."""

    folder: Path
    told: dict[str, Any]
    machine: dict[str, Any]
    answers: list[dict[str, int]]
    refused: dict[str, str]
    bars: list[list[Any]]
    killed: list[str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    top = tmp_path_factory.mktemp("served")
    shutil.copytree(DATA / "handbook", top / "handbook")
    eval_file, death = top / "small.toml", top / "death"
    eval_file.write_text(EVAL.format(file=death))
    side = RunnableSide("base old", eval_file, folder=top, paths=(installed(top / "outside"),))
    bars = Bars()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(top / "cache"))
        patched.setenv("OMP_NUM_THREADS", "1")
        with Process(side, bars) as worker:
            yield _asked(worker, eval_file, death, bars)


def _asked(worker: Process, eval_file: Path, death: Path, bars: Bars) -> Served:
    folder = eval_file.parent / "out"
    refused = {"eval": refusal(worker, "prepare", eval_file="none.toml", corpus=None, books=[])}
    told = worker.ask("prepare", eval_file=str(eval_file), corpus=None, books=[])
    machine = worker.ask("load", folder=str(folder))
    worker.ask("rank")
    asked = {"pipeline": "talkative", "phase": "timed"}
    answers = [worker.ask("ask", query=query, number=0, **asked) for query in told["queries"][:2]]
    worker.ask("ask", **{**asked, "phase": "itself"}, query=told["queries"][0], number=0)
    refused["query"] = refusal(worker, "ask", **asked, query="q99", number=0)
    answers.append(worker.ask("ask", query=told["queries"][0], number=1, **asked))
    worker.ask("write", job="j1")
    death.touch()
    last = {"pipeline": "mortal", "query": "q01", "phase": "timed", "number": 0}
    killed = [refusal(worker, "ask", **last), refusal(worker, "ask", **last)]
    return Served(folder, told, machine, answers, refused, bars.tasks, killed)


def refusal(worker: Process, verb: str, **given: Any) -> str:
    with pytest.raises(BadInput) as refused:
        worker.ask(verb, **given)
    return str(refused.value)


def started(side: RunnableSide) -> str:
    """What the first request to a worker that cannot work ends in."""
    with Process(side, Silent()) as worker:
        return refusal(worker, "prepare", eval_file=str(side.eval_file), corpus=None, books=[])


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_worker_says_what_it_rests_on_before_it_loads_anything(served: Served) -> None:
    queries = prepare(HANDBOOK_EVAL).subject.queries
    assert list(served.told) == ["protocol", "corpus", "questions", "qrels", "named", "pipelines", "queries"]
    assert served.told["protocol"] == 1
    assert served.told["pipelines"] == ["talkative", "mortal"]
    assert sorted(served.told["queries"]) == [f"q{number:02d}" for number in range(1, 13)]
    assert served.told["queries"] != sorted(served.told["queries"])
    assert served.told["questions"] == fingerprint_of(queries)


def test_loading_describes_the_machine(served: Served) -> None:
    assert served.machine["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(served.machine) >= {"cpu", "cores", "threads", "packages"}


def test_an_answer_is_the_time_of_each_stage_and_of_the_whole(served: Served) -> None:
    for answer in served.answers:
        assert list(answer) == ["query", "embed", "search", "rerank", "inject"]
        assert all(taken > 0 for taken in answer.values())
        assert sum(answer.values()) - answer["query"] <= answer["query"]


def test_what_a_library_prints_is_no_reply(served: Served) -> None:
    assert len(served.answers) == 3


def test_a_request_that_fails_names_the_side_and_ends_nothing(served: Served) -> None:
    assert served.refused == {
        "eval": "base old: none.toml: no such eval file; start from evals/python-docs.toml",
        "query": "base old: there is no pipeline 'talkative' or no query 'q99' on this side",
    }


def test_its_bars_are_drawn_with_the_name_of_the_side(served: Served) -> None:
    assert served.bars == [
        ["load models (base old)", 6, 6, "done"],
        ["embed document texts (base old)", 24, 24, "done"],
        ["embed query texts (base old)", 12, 12, "done"],
        ["build indexes (base old)", 2, 2, "done"],
        ["score pairs (base old)", 60, 60, "done"],
        ["score pairs (base old)", 47, 47, "done"],
        ["count operations (base old)", 2, 2, "done"],
        ["count tokens (base old)", 24, 24, "done"],
    ]


def test_what_is_written_is_a_recording_of_the_job(served: Served) -> None:
    manifest = json.loads((served.folder / "manifest.json").read_text())
    assert manifest["job"] == "j1"
    assert manifest["recording"] != "j1"
    assert set(manifest["identities"]) == {"talkative", "mortal"}
    spans = pd.read_parquet(served.folder / "spans.parquet")
    whole = spans[(spans["stage"] == "query") & (spans["pipeline"] == "talkative")]
    assert whole["phase"].value_counts().to_dict() == {"timed": 3, "round": 3, "cold": 1, "itself": 1}
    timed = whole[whole["phase"] == "timed"]
    assert timed["round"].tolist() == [0, 0, 1]
    assert timed["duration_ns"].tolist() == [answer["query"] for answer in served.answers]
    assert sorted(path.stem for path in (served.folder / "rankings").iterdir()) == ["mortal", "talkative"]


def test_a_worker_that_is_killed_ends_in_one_message(served: Served) -> None:
    assert served.killed == ["base old: its process was ended by SIGKILL; is there memory for two of them?"] * 2


def test_an_environment_without_ragprof_is_told_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "bare"], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    assert started(RunnableSide("base in bare", HANDBOOK_EVAL, python=python)) == (
        "base in bare: its environment has no ragprof that can be compared; install this version of ragprof into it "
        f"({python})"
    )


def test_an_older_ragprof_without_workers_is_told_to_be_updated(tmp_path: Path) -> None:
    (tmp_path / "ragprof").mkdir()
    (tmp_path / "ragprof" / "__init__.py").touch()
    message = started(RunnableSide("base old", HANDBOOK_EVAL, folder=tmp_path, paths=(tmp_path,)))
    assert message.startswith("base old: its environment has no ragprof that can be compared; install this version")


def test_a_side_whose_code_is_broken_ends_in_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "pandas.py").write_text("raise SystemError('this revision is broken')")
    message = started(RunnableSide("base old", HANDBOOK_EVAL, paths=(tmp_path,)))
    assert message == "base old: its process ended (1): SystemError: this revision is broken"


def test_a_python_that_cannot_be_started_is_refused(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.touch()
    with pytest.raises(BadInput, match=r"handbook\.toml: cannot start .*/python: Permission denied"):
        Process(RunnableSide("base", HANDBOOK_EVAL, python=python), Silent())


@pytest.mark.parametrize("said", ["b'Welcome\\n'", "b'\\xff\\n'", "b'3\\n'"])
def test_what_is_no_reply_is_refused_with_what_it_said(tmp_path: Path, said: str) -> None:
    python = script(tmp_path / "python", f"import os, sys\nos.write(1, {said})\nsys.stdin.readline()")
    message = started(RunnableSide("base old", HANDBOOK_EVAL, python=python))
    assert message.startswith("base old: its answer is no reply of a worker")


def test_a_worker_that_does_not_end_with_its_input_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragprof.studies.gate.processes.SECONDS_TO_END", 0.1)
    python = script(
        tmp_path / "python", f"import os, time\nopen('{tmp_path}/pid', 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )
    with Process(RunnableSide("base old", HANDBOOK_EVAL, python=python), Silent()):
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            pass
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_requests_out_of_order_are_a_fault_of_the_program() -> None:
    with pytest.raises(RuntimeError, match="a worker is prepared before it loads"):
        serve(StringIO('{"do": "load", "folder": "out"}\n'), StringIO())
    with pytest.raises(RuntimeError, match="a worker is loaded before it is asked"):
        serve(StringIO('{"do": "rank"}\n'), StringIO())


def test_a_module_that_is_called_as_one_of_python_is_no_module_of_pythons(tmp_path: Path) -> None:
    """A random.py at the top of a repository broke every gate in it."""
    (tmp_path / "random.py").write_text("raise SystemExit('not this one')")
    (tmp_path / "own_words.py").write_text("")
    side = RunnableSide("base", HANDBOOK_EVAL, folder=tmp_path, paths=(tmp_path,))
    with Process(side, Bars()) as worker:
        assert worker.ask("prepare", eval_file=str(HANDBOOK_EVAL), corpus=None, books=[])
