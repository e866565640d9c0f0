"""Files: whole or not there, and a message that names the file where one is missing or broken."""

from __future__ import annotations

from pathlib import Path

import pytest

import ragprof
from ragprof.core.errors import BadInput
from ragprof.core.files import (
    cache_folder,
    claimed,
    read_json,
    sha256_of,
    whole,
    write_json,
    write_text,
)

AGAIN = "record it again with 'ragprof run'"


def test_what_is_written_is_read_back_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "facts.json"
    write_json(path, {"größe": [1, 2.5, None]})
    assert read_json(path, remedy=AGAIN) == {"größe": [1, 2.5, None]}
    assert [found.name for found in path.parent.iterdir()] == ["facts.json"]


def test_a_block_that_fails_leaves_the_old_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    write_text(path, "old")

    def fail() -> None:
        with whole(path) as partial:
            partial.write_text("half of the n")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_not_there_before_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    with whole(path) as partial:
        partial.write_text("all of it")
        assert not path.exists()
    assert path.read_text() == "all of it"


def test_nan_is_never_written_as_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "summary.json", {"mean": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match=r"/file: cannot write into this folder: .*; choose another one"):
        write_text(tmp_path / "file" / "report.md", "text")


def test_a_missing_file_is_named_and_asked_about(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent: this file is missing; is this the folder of a ragprof recording\?"):
        read_json(tmp_path / "absent", remedy=AGAIN)


@pytest.mark.parametrize("content", [b'{"half": ', b"\xff\xfe", b"", b"[" * 100_000])
def test_broken_json_says_to_record_again(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"manifest\.json: not valid JSON .* record it again"):
        read_json(path, remedy=AGAIN)


@pytest.mark.parametrize("content", ["[]", "null", "7", '"text"'])
def test_json_that_is_no_object_says_to_record_again(tmp_path: Path, content: str) -> None:
    path = tmp_path / "growth" / "judgement.json"
    write_text(path, content)
    with pytest.raises(BadInput, match=r"judgement\.json: not a JSON object; record it again with 'ragprof run'"):
        read_json(path, remedy=AGAIN)


def test_a_member_that_json_lacks_is_named_at_every_depth(tmp_path: Path) -> None:
    path = tmp_path / "rates.json"
    write_text(path, '{"rates": [{"name": "a"}]}')
    kept = read_json(path, remedy=AGAIN)
    for lacking, of in (("pipelines", kept), ("usd", kept["rates"][0])):
        with pytest.raises(BadInput, match=rf"rates\.json: it has no '{lacking}'; record it again with 'ragprof run'"):
            of[lacking]
    assert kept.get("pipelines") is None
    assert "pipelines" not in kept


def test_the_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/user/cache")
    monkeypatch.setenv("RAGPROF_CACHE", "/chosen")
    assert cache_folder() == Path("/chosen")
    monkeypatch.setenv("RAGPROF_CACHE", "")
    assert cache_folder() == Path("/user/cache/ragprof")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/reader")
    assert cache_folder() == Path("/home/reader/.cache/ragprof")


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        claimed(tmp_path),
        pytest.raises(BadInput, match="another run is writing into this folder"),
        claimed(tmp_path),
    ):
        pass
    with claimed(tmp_path):
        pass


def test_a_folder_that_another_run_has_is_told_before_the_corpus_is_read(handbook: Path, tmp_path: Path) -> None:
    (tmp_path / "handbook" / "corpus.jsonl").unlink()
    (out := tmp_path / "out").mkdir()
    with claimed(out), pytest.raises(BadInput, match="another run is writing into this folder"):
        ragprof.run(handbook, out=out)
