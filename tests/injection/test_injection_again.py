"""A study beside other recordings, made again, killed and gone on with: nothing is asked twice, nothing disturbed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from answerers import CountingGenerator
from study import Study, answers_by_place, read_manifest, record_study, table, write_handbook

from ragprof.session.again import redraw
from ragprof.session.run import inject
from ragprof.studies.injection.record import AT_ONCE

COUNTING = ('generator = "extractive"', 'generator = "counting"')
DRAWN = {
    "summary.json",
    "report.html",
    "report.md",
    "costs.parquet",
    "rates.json",
    "judgement.json",
    "scores.parquet",
    "drawn.json",
}
"""Made anew by every verb from what was recorded."""


@pytest.fixture
def counting(tmp_path: Path, answerers: type[CountingGenerator]) -> Path:
    """This test's own handbook, answered by the generator that counts."""
    return write_handbook(tmp_path, COUNTING)


def recorded(files: Mapping[Path, bytes], folder: Path) -> dict[str, bytes]:
    """What the main recording and its growth rest on, by name."""
    kept = {path.relative_to(folder).as_posix(): content for path, content in files.items()}
    return {
        name: content
        for name, content in kept.items()
        if not name.startswith("injection/") and Path(name).name not in DRAWN
    }


def now(names: Mapping[str, bytes], folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.slow
def test_the_recording_in_the_folder_is_taken_as_it_is(studied: Study) -> None:
    before = recorded(studied.before, studied.folder)
    assert {"spans.parquet", "usage.parquet", "rankings/hybrid.parquet"} <= set(before)
    assert now(before, studied.folder) == before
    assert "manifest.json" in before


def test_growth_beside_the_study_stays_as_it_was(studied: Study) -> None:
    grown = [name for name in recorded(studied.before, studied.folder) if name.startswith("growth/")]
    assert len(grown) > 10
    assert (studied.folder / "growth" / "manifest.json").is_file()
    assert studied.summary["growth"]["sizes"] == [22, 24]
    assert not [warning for warning in studied.summary["warnings"] if "left out;" in warning]


def test_no_prompt_is_answered_again_in_a_second_run(studied: Study, studied_again: Study) -> None:
    first, second = studied.manifest, studied_again.manifest
    assert second["work"] == {**first["work"], "generated": 0, "reused": first["work"]["distinct"]}
    assert answers_by_place(studied_again.place).equals(answers_by_place(studied.place))
    assert second["recording"] != first["recording"]


def test_live_timings_are_new_in_every_run(studied: Study, studied_again: Study) -> None:
    for name, column in {"live": "end_to_end_ns", "prefill": "first_token_ns"}.items():
        assert studied.table(name)[column].tolist() != studied_again.table(name)[column].tolist()


def test_what_rests_on_no_clock_is_the_same_in_a_second_run(studied: Study, studied_again: Study) -> None:
    for name in ("prompts", "chunks", "candidates", "answers", "judged"):
        assert studied.table(name).equals(studied_again.table(name)), name
    for key in ("questions", "unanswerable", "own_k", "settings", "generators", "config", "identities"):
        assert studied.manifest[key] == studied_again.manifest[key]
    assert studied.summary["injection"]["answers"] == studied_again.summary["injection"]["answers"]


def test_the_main_recording_is_made_once_for_two_runs(studied_again: Study) -> None:
    before = recorded(studied_again.before, studied_again.folder)
    assert now(before, studied_again.folder) == before


def test_each_distinct_prompt_goes_to_the_model_once(counting: Path, tmp_path: Path) -> None:
    place = record_study(counting, tmp_path / "out")
    asked = CountingGenerator.answered
    assert len(asked) == len(set(asked)) == read_manifest(place)["work"]["distinct"] > 100
    record_study(counting, tmp_path / "out")
    record_study(counting, tmp_path / "another")
    assert len(asked) == read_manifest(place)["work"]["distinct"]
    assert read_manifest(tmp_path / "another" / "injection")["work"]["generated"] == 0


def test_more_questions_ask_only_what_is_new(counting: Path, tmp_path: Path) -> None:
    few = record_study(counting, tmp_path / "out", questions=5)
    first = read_manifest(few)
    asked_before = len(CountingGenerator.answered)
    many = read_manifest(record_study(counting, tmp_path / "out", questions=0))
    assert (len(first["questions"]), len(many["questions"])) == (5, 12)
    assert many["questions"][:5] == first["questions"]
    assert many["work"]["reused"] == asked_before == first["work"]["distinct"]
    assert len(CountingGenerator.answered) == many["work"]["distinct"]


@pytest.mark.parametrize(
    ("stops_after", "kept"), [(0, 0), (AT_ONCE - 1, 0), (AT_ONCE, AT_ONCE), (AT_ONCE + 7, AT_ONCE)]
)
def test_a_killed_study_goes_on_and_asks_only_the_rest(
    counting: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops_after: int, kept: int
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(CountingGenerator, "stops_after", stops_after)
    with pytest.raises(KeyboardInterrupt):
        record_study(counting, out)
    assert len(CountingGenerator.answered) == stops_after
    assert not (out / "injection" / "manifest.json").exists()
    monkeypatch.setattr(CountingGenerator, "stops_after", float("inf"))
    place = record_study(counting, out)
    work = read_manifest(place)["work"]
    assert (work["reused"], work["generated"]) == (kept, work["distinct"] - kept)
    assert len(CountingGenerator.answered) == stops_after + work["generated"]
    assert not list(out.rglob("*.partial"))


def test_a_killed_study_leaves_no_old_conclusions_behind(
    study_copy: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answerers: type[CountingGenerator]
) -> None:
    (tmp_path / "other").mkdir()
    other = write_handbook(tmp_path / "other", COUNTING)
    monkeypatch.setattr(CountingGenerator, "stops_after", 3)
    with pytest.raises(KeyboardInterrupt):
        record_study(other, study_copy.folder)
    names = {path.name for path in study_copy.place.iterdir()}
    assert not names & {"manifest.json", "judgement.json", "judged.parquet", "costs.parquet", "rates.json"}
    assert "injection" not in redraw(study_copy.folder).summary


def test_other_settings_of_the_study_leave_the_recording_alone(study_copy: Study, tmp_path: Path) -> None:
    os.utime(study_copy.folder / "spans.parquet", ns=(1, 1))
    summary = inject(
        study_copy.eval_file, out=study_copy.folder, changes={"questions": 4, "ks": (2, 4), "sweep": ("bm25",)}
    ).summary
    before = recorded(study_copy.before, study_copy.folder)
    assert now(before, study_copy.folder) == before
    assert (study_copy.folder / "spans.parquet").stat().st_mtime_ns == 1
    assert summary["injection"]["questions"] == 4
    assert {name: [row["k"] for row in rows] for name, rows in summary["injection"]["by_k"].items()} == {"bm25": [2, 4]}
    assert summary["injection"]["work"]["reused"] > 0


def test_only_the_pipelines_that_are_asked_for_answer(studied: Study, tmp_path: Path, cache: Path) -> None:
    place = record_study(studied.eval_file, tmp_path / "out", pipelines=("dense", "hybrid+overlap"), sweep=())
    assert read_manifest(place)["settings"] == {"dense": ["own"], "hybrid+overlap": ["own"]}
    assert [each["name"] for each in read_manifest(place)["config"]["pipelines"]] == ["dense", "hybrid+overlap"]
    assert set(table(place, "live")["pipeline"]) == {"dense", "hybrid+overlap"}


def test_without_a_sweep_every_pipeline_is_swept(tmp_path: Path, cache: Path) -> None:
    eval_file = write_handbook(tmp_path, ('sweep = ["hybrid+overlap"]\n', ""))
    place = record_study(eval_file, tmp_path / "out", questions=2, ks=(1, 2), orders=("best_first",), budgets=())
    settings = read_manifest(place)["settings"]
    assert list(settings) == ["bm25", "dense", "hybrid", "hybrid+overlap"]
    assert all(names == ["own", "k=1", "k=2"] for names in settings.values())


def test_questions_are_a_seeded_sample(tmp_path: Path, cache: Path) -> None:
    eval_file = write_handbook(tmp_path)
    chosen = [
        read_manifest(record_study(eval_file, tmp_path / "out", questions=5, unanswerable=2, seed=seed, sweep=()))
        for seed in (0, 0, 1)
    ]
    assert chosen[0]["questions"] == chosen[1]["questions"] != chosen[2]["questions"]
    assert chosen[0]["unanswerable"] == chosen[1]["unanswerable"]
    assert len(chosen[2]["unanswerable"]) == 2
