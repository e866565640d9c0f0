"""AnswerCache: an answer put once is found by every later run, and a kill loses one line at most."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragprof.core import Generated
from ragprof.core.caches import AnswerCache, key_of
from ragprof.core.errors import BadInput

PARIS = Generated("Paris", {"input_tokens": 9, "output_tokens": 1, "requests": 1, "retries": 0}, None, "stop")
ROME = Generated("Rome,", {"output_tokens": 2}, None, "length")


def opened(folder: Path, identity: str = "model") -> AnswerCache:
    return AnswerCache(folder, identity=identity)


def lines_file(folder: Path) -> Path:
    (found,) = folder.glob("*/answers.jsonl")
    return found


def test_an_answer_is_found_again_by_another_instance(tmp_path: Path) -> None:
    opened(tmp_path).put(["Capital of France?", "Capital of Italy?"], [PARIS, ROME])
    again = opened(tmp_path)
    assert again.get("Capital of France?") == PARIS
    assert again.get("Capital of Italy?") == ROME
    assert again.get("Capital of Spain?") is None


def test_an_answer_is_found_by_the_instance_that_put_it(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    assert cache.get("Capital of France?") is None
    cache.put(["Capital of France?"], [PARIS])
    assert cache.get("Capital of France?") == PARIS


def test_time_to_first_token_is_not_kept(tmp_path: Path) -> None:
    opened(tmp_path).put(["p"], [Generated("a", {}, 12_345, "stop")])
    assert opened(tmp_path).get("p") == Generated("a", {}, None, "stop")


def test_generators_of_different_identities_share_nothing(tmp_path: Path) -> None:
    opened(tmp_path, "one").put(["p"], [PARIS])
    assert opened(tmp_path, "other").get("p") is None
    assert opened(tmp_path, "one").get("p") == PARIS


def test_what_was_put_before_is_not_written_again(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.put(["p"], [PARIS])
    before = lines_file(tmp_path).read_bytes()
    cache.put(["p", "p"], [PARIS, PARIS])
    assert lines_file(tmp_path).read_bytes() == before


def test_any_text_comes_back_as_it_was(tmp_path: Path) -> None:
    texts = ["東京都 🦉 Straße", "line\nbreak\r\n\u2028end", 'a "quote" and \\', "", "\x00\x1f", "nan"]
    answers = [Generated(text, {}, None, "stop") for text in texts]
    opened(tmp_path).put(texts, answers)
    again = opened(tmp_path)
    assert [again.get(text) for text in texts] == answers
    assert lines_file(tmp_path).read_bytes().isascii()


def test_the_prompt_itself_is_not_kept(tmp_path: Path) -> None:
    opened(tmp_path).put(["the secret recipe"], [PARIS])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert not [path for path in files if b"secret" in path.read_bytes()]
    assert json.loads(lines_file(tmp_path).read_text().strip())["key"] == key_of("the secret recipe")


def test_a_line_that_a_kill_cut_off_anywhere_costs_that_answer_alone(tmp_path: Path) -> None:
    opened(tmp_path).put(["one", "two"], [PARIS, ROME])
    whole = lines_file(tmp_path).read_bytes()
    start = whole.rindex(b"\n")
    for size in range(start, len(whole)):
        lines_file(tmp_path).write_bytes(whole[:size])
        torn = opened(tmp_path)
        assert (torn.get("one"), torn.get("two")) == (PARIS, None)


def test_what_is_put_after_a_torn_line_is_whole(tmp_path: Path) -> None:
    opened(tmp_path).put(["one", "two"], [PARIS, ROME])
    file = lines_file(tmp_path)
    file.write_bytes(file.read_bytes()[:-7])
    opened(tmp_path).put(["two"], [ROME])
    healed = opened(tmp_path)
    assert (healed.get("one"), healed.get("two")) == (PARIS, ROME)


def test_two_that_write_in_turn_lose_nothing(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    first.put(["one"], [PARIS])
    second.put(["two"], [ROME])
    first.put(["three"], [PARIS])
    again = opened(tmp_path)
    assert [again.get(prompt) for prompt in ("one", "two", "three")] == [PARIS, ROME, PARIS]


def test_a_folder_that_cannot_be_made_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput) as raised:
        opened(tmp_path / "file")
    folder = raised.value.file
    assert folder is not None
    assert folder.parent == tmp_path / "file"
    assert raised.value.message == (
        "cannot write into this folder: Not a directory; set RAGPROF_CACHE to a folder that can be written"
    )


def test_a_file_that_cannot_be_written_is_no_traceback(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    (identity,) = tmp_path.glob("*/identity.json")
    (identity.parent / "answers.jsonl").mkdir()
    with pytest.raises(BadInput, match="cannot write the cache: Is a directory; free some space") as raised:
        cache.put(["one"], [PARIS])
    assert raised.value.file == identity.parent / "answers.jsonl"
    assert cache.get("one") is None


def broken(line: bytes, how: str) -> bytes:
    record = json.loads(line)
    changes = {
        "other answer": {"text": "Rome"},
        "other key": {"key": key_of("Capital of Spain?")},
        "other finish": {"finish": "length"},
        "usage that is no table": {"usage": [1]},
        "count that is no number": {"usage": {"output_tokens": "many"}},
        "text that is none": {"text": None},
        "key that is none": {"key": 7},
    }
    if how in changes:
        return json.dumps({**record, **changes[how]}).encode()
    shapes = {
        "no object": b"[1, 2]",
        "a number": b"7",
        "without a text": json.dumps({name: value for name, value in record.items() if name != "text"}).encode(),
        "sum of another name": line.replace(b'"sum"', b'"sun"'),
        "not UTF-8": line[:20] + b"\xff\xfe" + line[22:],
        "half a line": line[: len(line) // 2],
        "no JSON": b"<html>502</html>",
        "deeper than any parser": b"[" * 100_000,
        "one bit": line[:60] + bytes([line[60] ^ 1]) + line[61:],
        "zeros": bytes(len(line)),
    }
    return shapes[how]


HOWS = (
    "other answer", "other key", "other finish", "usage that is no table", "count that is no number",
    "text that is none", "key that is none", "no object", "a number", "without a text", "sum of another name",
    "not UTF-8", "half a line", "no JSON", "deeper than any parser", "one bit", "zeros",
)  # fmt: skip


@pytest.mark.parametrize("how", HOWS)
def test_a_damaged_line_costs_its_own_answer_and_is_told_once(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    opened(tmp_path).put(["one", "Capital of France?", "three"], [ROME, PARIS, ROME])
    file = lines_file(tmp_path)
    lines = file.read_bytes().split(b"\n")
    lines[2] = broken(lines[2], how)
    file.write_bytes(b"\n".join(lines))
    damaged = opened(tmp_path)
    prompts = ("one", "Capital of France?", "three", "Capital of Spain?")
    assert [damaged.get(prompt) for prompt in prompts] == [ROME, None, ROME, None]
    assert caplog.messages == [
        f"1 of the cached answers are damaged or cut off and are asked for again; the first is line 3 of {file}"
    ]
    damaged.put(["Capital of France?"], [PARIS])
    caplog.clear()
    assert opened(tmp_path).get("Capital of France?") == PARIS
    assert caplog.messages == []


def test_answers_of_an_older_version_have_no_checksum_and_are_taken_as_they_are(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.put(["Capital of France?"], [PARIS])
    file = lines_file(tmp_path)
    record = {name: value for name, value in json.loads(file.read_bytes()).items() if name != "sum"}
    file.write_text(f"\n{json.dumps(record)}")
    assert opened(tmp_path).get("Capital of France?") == PARIS


def test_answers_are_not_written_through_a_link(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened(tmp_path / "cache").put(["one"], [PARIS])
    file = lines_file(tmp_path / "cache")
    precious = tmp_path / "precious"
    file.rename(precious)
    before = precious.read_bytes()
    file.symlink_to(precious)
    cache = opened(tmp_path / "cache")
    cache.put(["two"], [ROME])
    assert precious.read_bytes() == before
    assert (cache.get("one"), opened(tmp_path / "cache").get("two")) == (None, ROME)
    assert caplog.messages == [f"a cache is not written through a symbolic link; this one was taken away: {file}"]
