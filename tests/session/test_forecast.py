"""What a run would take, said before it runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ragprof.core import Embedded
from ragprof.core.clock import Silent
from ragprof.evals.tables import Timing
from ragprof.parts.embedders.hashing import HashingEmbedder
from ragprof.record.rankings import document_vectors
from ragprof.record.speeds import AFTERWARDS, Speeds
from ragprof.record.trial import START_S, Trial, recording_effort, rounds_s
from ragprof.session.forecast import forecast, forecast_eval
from ragprof.studies.preparation import prepare


def rows(handbook: Path, cache: Path) -> dict[str, str]:
    trial = Trial(prepare(handbook).subject, cache)
    return dict(forecast(trial, recording_effort(trial), judged=True))


def test_what_there_is_to_do(handbook: Path, cache: Path) -> None:
    found = rows(handbook, cache)
    assert found["corpus"] == "handbook: 24 passages of 24 documents, about 643 tokens"
    assert found["questions"] == "12 judged"
    assert found["pipelines"] == "bm25, dense, hybrid, hybrid+overlap"
    assert found["embed with hashing"].startswith("24 of 24 passages are new: about ")
    busy = "; where the machine is busy, up to 60 s more (timing.patience)"
    assert re.fullmatch(rf"about \d+ s in all, \d+ s of it live timings{re.escape(busy)}", found["time"])
    assert found["language"] == "English is read by bm25, hybrid, hybrid+overlap"


def test_prompts_and_their_price(handbook: Path, cache: Path) -> None:
    """The prompts that the run makes, template and all; gpt-4o-mini reads a million tokens for $0.15."""
    expected = "about 115 tokens per query, about $0.0172 per 1,000 queries with openai:gpt-4o-mini"
    assert rows(handbook, cache)["prompt of bm25"] == expected


@pytest.mark.parametrize(
    ("llm", "expected"),
    [("", ", UNPRICED (no llm in [prices])"), ('llm = "free"\n', ", priced by 'free'")],
    ids=["none", "from-a-book"],
)
def test_prompts_without_a_models_price(handbook: Path, cache: Path, llm: str, expected: str) -> None:
    text = handbook.read_text()
    handbook.write_text(text.replace('llm = "openai:gpt-4o-mini"\n', llm))
    assert rows(handbook, cache)["prompt of bm25"] == f"about 115 tokens per query{expected}"


def test_what_is_embedded_already_is_not_counted_again(handbook: Path, cache: Path) -> None:
    subject = prepare(handbook).subject
    embedder = subject.pipelines[1].embedder
    assert embedder is not None
    document_vectors(embedder, [doc.content for doc in subject.corpus.docs[:10]], cache=cache, progress=Silent())
    assert rows(handbook, cache)["embed with hashing"].startswith("14 of 24 passages are new")


def test_a_forecast_writes_nothing_but_how_fast_models_are(handbook: Path, cache: Path) -> None:
    rows(handbook, cache)
    assert [path.name for path in cache.rglob("*")] == ["speeds.json"]


def test_a_forecast_leaves_the_cache_as_it_is(handbook: Path, cache: Path) -> None:
    subject = prepare(handbook).subject
    embedder = subject.pipelines[1].embedder
    assert embedder is not None
    document_vectors(embedder, ["one text"], cache=cache, progress=Silent())
    before = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    rows(handbook, cache)
    assert {path: path.read_bytes() for path in before} == before


def test_a_speed_is_measured_once_on_a_machine(handbook: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows(handbook, cache)
    kept = (cache / "speeds.json").read_text(encoding="utf-8")
    monkeypatch.setattr(Trial, "_rate", None)  # what measures
    rows(handbook, cache)
    assert (cache / "speeds.json").read_text(encoding="utf-8") == kept


@pytest.mark.parametrize("damage", ['{"machine": "another", "seconds": {}}', "{", "[]", '{"seconds": {"a": "b"}}'])
def test_speeds_of_another_machine_or_damaged_ones_are_measured_again(handbook: Path, cache: Path, damage: str) -> None:
    cache.mkdir()
    (cache / "speeds.json").write_text(damage, encoding="utf-8")
    rows(handbook, cache)
    assert len(json.loads((cache / "speeds.json").read_text(encoding="utf-8"))["seconds"]) > 1


def test_a_command_starts_loads_its_models_and_draws_besides(
    handbook: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a command has told how long it judges and draws, 2.8 s and 0.4 s for each of four pipelines are taken."""
    monkeypatch.setattr("ragprof.record.speeds.WAITING", float("inf"))  # kept however busy this machine is
    first = Trial(prepare(handbook).subject, cache, start_s=100.0)
    assert recording_effort(first).fixed_s == pytest.approx(100 + first.loading_s + 2.8 + 4 * 0.4)
    Speeds(cache).timed(AFTERWARDS, lambda: None)
    kept = json.loads((cache / "speeds.json").read_text(encoding="utf-8"))
    kept["seconds"][AFTERWARDS] = 50.0
    (cache / "speeds.json").write_text(json.dumps(kept), encoding="utf-8")
    again = Trial(prepare(handbook).subject, cache, start_s=100.0)
    assert recording_effort(again).fixed_s == pytest.approx(150 + again.loading_s)
    found = forecast_eval(handbook).seconds
    assert min(found.values()) > 50 + START_S
    assert found.keys() >= {"profile", "growth", "reranker", "audit"}


def test_live_rounds_keep_to_the_seconds_but_for_a_handful_of_queries() -> None:
    """Two seconds a query: 6 queries, 3 rounds and one bare, 3 to warm up, where 45 s were asked for."""
    assert rounds_s({"slow": 2.0}, Timing(), available=100, bare=True) == 2.0 * (6 * 4 + 3)
    assert rounds_s({"slow": 2.0}, Timing(), available=5, bare=True) == 2.0 * (5 * 4 + 3)
    assert rounds_s({"slow": 0.5}, Timing(), available=100, bare=True) == 0.5 * (21 * 4 + 3) < 45
    assert rounds_s({"fast": 0.01}, Timing(), available=10, bare=False) == pytest.approx(0.01 * (10 * 3 + 3))


def test_every_study_says_how_long_it_takes(handbook: Path, cache: Path) -> None:
    found = dict(forecast_eval(handbook).rows)
    assert all("beside the main recording" in found[f"{study}: time"] for study in ("growth", "reranker", "audit"))


@pytest.mark.slow
def test_a_second_check_loads_no_model(handbook: Path, cache: Path) -> None:
    text = handbook.read_text(encoding="utf-8").replace('embedder = "hashing"', 'embedder = "sentence_transformers"')
    handbook.write_text(text, encoding="utf-8")
    code = (
        f"import sys\nfrom pathlib import Path\nfrom ragprof.session.forecast import forecast_eval\n"
        f"forecast_eval(Path({str(handbook)!r}))\nprint('torch' in sys.modules)"
    )
    loaded = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    ]
    assert loaded == ["True", "False"]


BENCHMARK = Path(__file__).parents[2] / "evals" / "performance" / "estimates.py"
HANDBOOK = Path(__file__).parents[1] / "data" / "handbook"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "beir"


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("folder", "options"),
    [
        (HANDBOOK, ["--answers"]),
        (HANDBOOK, ["--models"]),
        (SHARED / "scifact", []),
        (SHARED / "clapnq-dev", []),
        (SHARED / "xquad-en", ["--models"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value.name,
)
def test_times_are_right_within_a_quarter_and_tokens_within_a_twentieth(folder: Path, options: list[str]) -> None:
    """On a machine that does nothing else: whole commands are timed by the clock."""
    if not folder.exists():
        pytest.skip("the shared collections are not beside the project")
    command = [sys.executable, str(BENCHMARK), str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_unchanged_eval_is_not_tried_again_and_a_changed_one_is(
    handbook: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = forecast_eval(handbook)

    def tried(*_: object, **__: object) -> None:
        raise AssertionError("tried again")

    with monkeypatch.context() as patched:
        patched.setattr("ragprof.session.forecast.Trial", tried)
        assert forecast_eval(handbook) == first
        handbook.write_text(handbook.read_text().replace("depth = 10", "depth = 9", 1))
        with pytest.raises(AssertionError, match="tried again"):
            forecast_eval(handbook)
    changed = forecast_eval(handbook)
    assert changed.seconds != first.seconds
    embedder = prepare(handbook).subject.pipelines[1].embedder
    assert embedder is not None
    document_vectors(embedder, ["one text"], cache=cache, progress=Silent())
    with monkeypatch.context() as patched:
        patched.setattr("ragprof.session.forecast.Trial", tried)
        with pytest.raises(AssertionError, match="tried again"):
            forecast_eval(handbook)
    for path in (cache / "checks").glob("*.json"):
        path.write_text('{"rests_on": 1}')
    assert forecast_eval(handbook).name == "handbook"


def test_vectors_that_are_all_in_the_cache_need_no_model(handbook: Path, cache: Path) -> None:
    class Unloaded(HashingEmbedder):
        asked = 0

        def embed_documents(self, texts: Sequence[str]) -> Embedded:
            self.asked += 1
            return super().embed_documents(texts)

    embedder = Unloaded()
    first = document_vectors(embedder, ["leave", "travel"], cache=cache, progress=Silent())
    asked = embedder.asked
    again = document_vectors(embedder, ["travel", "leave"], cache=cache, progress=Silent())
    assert (embedder.asked, again.computed) == (asked, 0)
    assert (again.vectors == first.vectors[::-1]).all()
    (described,) = cache.rglob("identity.json")
    described.write_text(re.sub(r'"width": \d+', '"width": 16', described.read_text()))
    third = document_vectors(embedder, ["leave", "travel"], cache=cache, progress=Silent())
    assert (third.vectors == first.vectors).all()
