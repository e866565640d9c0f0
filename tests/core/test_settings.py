"""What a recording goes by now: kept beside it, so that its manifest stays what was written when it was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ragprof.core.errors import BadInput
from ragprof.evals import handed_down, keep_settings, settings_of

PIPELINES = [{"name": "a", "depth": 20, "prices": {"llm": "old"}}, {"name": "b", "depth": 5, "prices": {}}]
CONFIG = {"name": "small", "seed": 1, "metrics": ["AP"], "prices": {"llm": "old"}, "pipelines": PIPELINES}
NEW = {
    **CONFIG,
    "metrics": ["P@5"],
    "prices": {"llm": "new"},
    "traffic": {"queries_per_month": 7},
    "pipelines": [{**PIPELINES[0], "prices": {"llm": "mine"}}, PIPELINES[1]],
}


def recording(folder: Path, config: dict[str, Any] = CONFIG, recording: str | None = "first") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {"config": config} | ({} if recording is None else {"recording": recording})
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_an_old_recording_goes_by_its_manifest(tmp_path: Path) -> None:
    assert settings_of(recording(tmp_path)) == CONFIG


def test_kept_settings_go_before_the_manifest_and_leave_it_alone(tmp_path: Path) -> None:
    before = (recording(tmp_path) / "manifest.json").read_bytes()
    keep_settings(tmp_path, NEW)
    assert settings_of(tmp_path) == NEW
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_what_a_recording_rests_on_is_not_kept_as_a_setting(tmp_path: Path) -> None:
    keep_settings(recording(tmp_path), {**NEW, "seed": 2})
    assert settings_of(tmp_path) == NEW


def test_settings_that_did_not_change_write_nothing(tmp_path: Path) -> None:
    keep_settings(recording(tmp_path), CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


def test_settings_of_an_earlier_recording_do_not_count(tmp_path: Path) -> None:
    keep_settings(recording(tmp_path), NEW)
    assert settings_of(recording(tmp_path, recording="second")) == CONFIG


@pytest.mark.parametrize("text", ["[]", '{"pipelines": []}'])
def test_other_content_is_refused(tmp_path: Path, text: str) -> None:
    (recording(tmp_path) / "settings.json").write_text(text)
    with pytest.raises(
        BadInput, match=r"settings.json: (not a JSON object|these are not the settings of a recording); delete the file"
    ):
        settings_of(tmp_path)


def test_a_study_is_priced_as_the_recording_around_it(tmp_path: Path) -> None:
    size = recording(tmp_path / "growth", {**CONFIG, "pipelines": PIPELINES[:1]}, None)
    handed = handed_down(size, NEW)
    assert (handed["pipelines"], handed["prices"], handed["metrics"]) == (NEW["pipelines"][:1], NEW["prices"], ["AP"])


def test_a_study_of_other_pipelines_keeps_its_prices(tmp_path: Path) -> None:
    other = {**CONFIG, "pipelines": [{**PIPELINES[0], "depth": 10}]}
    assert handed_down(recording(tmp_path / "growth", other), NEW) == other
