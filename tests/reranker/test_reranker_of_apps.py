"""The verdict on the reranker of a user's own app: with, without, at other depths, and one of ours in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from handbook_reranker import RecordedRerankers, write_handbook

from ragprof.core.errors import BadInput
from ragprof.record.trial import Trial
from ragprof.session.run import reranker
from ragprof.studies.contract import Request
from ragprof.studies.preparation import prepare
from ragprof.studies.reranker.study import estimate, plan

APP = """
import json
import time
from pathlib import Path

import ragprof

LINES = (Path(__file__).parent / "handbook" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
PAGES = [json.loads(line) for line in LINES]


@ragprof.stage("search")
def search(question, depth):
    words = set(question.lower().split())
    scored = [(page["_id"], len(words & set(page["text"].lower().split()))) for page in PAGES]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:depth]


def answer(question, reranker="on", depth=6):
    found = search(question, depth)
    if reranker == "on":
        with ragprof.span("rerank") as marked:
            time.sleep(0.003)
            marked.documents = found = list(reversed(found))[:4]
    return [doc_id for doc_id, _ in found[:2]]


def plain(question):
    return [doc_id for doc_id, _ in search(question, 3)]
"""
STUDY = """
[reranker]
depths = [1, 2]
ks = [1, 2]
students = ["overlap"]
[reranker.timing]
seconds = 0.2
rounds = 2
min_queries = 3
"""
KNOBS = 'knobs = { reranker = ["on", "off"], depth = [6, 3] }'


def with_app(folder: Path, line: str, *, more: str = STUDY) -> Path:
    """The handbook with an app that has a reranker, and one that has none."""
    file = write_handbook(folder, more=more)
    (folder / "rag.py").write_text(APP, encoding="utf-8")
    with file.open("a", encoding="utf-8") as pipelines:
        pipelines.write(f'\n[[pipelines]]\nname = "prod"\napp = "rag.py:answer"\n{line}\n')
        pipelines.write('\n[[pipelines]]\nname = "plain"\napp = "rag.py:plain"\n')
    return file


@pytest.fixture(scope="module", params=[KNOBS, pytest.param("", marks=pytest.mark.slow)], ids=["knobs", "none"])
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RecordedRerankers:
    folder = tmp_path_factory.mktemp("app")
    file = with_app(folder, request.param)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        made = reranker(file, out=folder / "out")
    return RecordedRerankers(file, folder / "cache", folder / "out", made.summary)


def has_knobs(study: RecordedRerankers) -> bool:
    return "knobs" in study.eval_file.read_text(encoding="utf-8")


def test_an_app_has_a_verdict_of_its_own(study: RecordedRerankers) -> None:
    found = study.summary["reranker"]
    assert [*found] == ["hybrid+overlap", "prod"]
    one = found["prod"]
    assert (one["own_depth"], one["k"], one["reranker"]) == (6, 2, "own")
    assert one["against"] == ("prod reranker=off" if has_knobs(study) else "prod without its reranker")
    assert one["verdict"] == "DROP"
    curve = [step["depth"] for step in one["depth_curve"] if step["k"] == 2]
    assert curve == ([3, 6] if has_knobs(study) else [6])


def test_what_the_app_found_and_how_it_ordered_that_are_its_candidates(study: RecordedRerankers) -> None:
    rows = study.table("candidates")
    mine = rows[(rows["arm"] == "prod") & (rows["depth"] == 6)]
    for query_id, few in mine.groupby("query_id"):
        ranked = few.sort_values("rank")["doc_id"].tolist()
        ordered = few.sort_values("rerank_score", ascending=False)["doc_id"].tolist()
        assert ordered == [*ranked[::-1][:4], *ranked[:2]], query_id
    assert sorted(rows[rows["arm"] == "prod"]["depth"].unique()) == ([3, 6] if has_knobs(study) else [6])


def test_a_student_scores_the_same_candidates(study: RecordedRerankers) -> None:
    rows = study.table("candidates")
    mine, theirs = (rows[(rows["arm"] == name) & (rows["depth"] == 6)] for name in ("prod", "prod ~ overlap"))
    assert mine.set_index(["query_id", "rank"])["doc_id"].equals(theirs.set_index(["query_id", "rank"])["doc_id"])
    assert theirs["rerank_score"].nunique() > 3


def test_its_time_is_that_of_its_rerank_stage(study: RecordedRerankers) -> None:
    live = study.table("live")
    mine = live[live["arm"] == "prod"]
    asked = mine[mine["depth"] == 6]
    assert (asked["rerank_ns"] >= 3_000_000).all()
    assert (asked["candidates"] == 6).all()
    plain = mine[mine["depth"] == 0]
    assert plain["rerank_ns"].isna().all()
    assert (plain["end_to_end_ns"] < asked["end_to_end_ns"].min()).mean() > 0.5
    student = live[live["arm"] == "prod ~ overlap"]
    assert (student["rerank_ns"] > 0).all()
    assert (student["end_to_end_ns"] >= student["rerank_ns"]).all()


def test_what_it_rests_on_is_told(study: RecordedRerankers) -> None:
    notes = " ".join(study.summary["reranker"]["prod"]["notes"])
    assert "Candidates and their order are those that the app gave" in notes
    assert ("Nobody asked it live without its reranker" in notes) != has_knobs(study)
    assert "The corpus has fewer passages" not in notes


def test_check_says_as_what_it_is_asked(tmp_path: Path, cache: Path) -> None:
    file = with_app(tmp_path, KNOBS, more='[reranker]\npipelines = ["prod", "plain"]\nstudents = ["overlap"]\n')
    planned = plan(prepare(file), Request(file))
    (arm,) = [arm for arm in planned.own if arm.name == "prod"]
    assert arm.app is not None
    assert arm.app.without is not None
    assert arm.app.without.name == "prod reranker=off"
    assert [each.name for each in arm.app.others] == ["prod depth=3"]
    assert [each.name for each in planned.arms if each.student] == ["prod ~ overlap", "plain ~ overlap"]
    rows = dict(estimate(planned, Trial(planned.subject, cache)).rows)
    assert rows["calls of prod"] == ("asked live as prod, prod reranker=off, prod depth=3, beside the main recording")
    assert rows["live timings"].startswith("7 answers to each query a round, about")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('depth_knob = "deep"', "depth_knob = 'deep' is no knob of an app"),
        (
            'pipelines = ["prod reranker=off"]',
            "pipeline 'prod reranker=off' has no reranker; those that have one: hybrid+overlap, prod, plain",
        ),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(tmp_path: Path, line: str, message: str) -> None:
    file = with_app(tmp_path, KNOBS, more=f"[reranker]\n{line}\n")
    with pytest.raises(BadInput) as raised:
        plan(prepare(file), Request(file))
    assert message in str(raised.value)


def test_an_app_that_is_named_and_has_no_reranker_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))
    file = with_app(tmp_path, "", more='[reranker]\npipelines = ["plain"]\n')
    with pytest.raises(BadInput, match=r"nobody told of a reranker in app 'plain'; mark it with ragprof.span"):
        reranker(file, out=tmp_path / "out")
