"""Answers by prompt on disk, for one generator: a line of JSON each. Append-only, so a kill loses one line.

Holds texts, on this machine only. A prompt is known by its digest, its text is not kept.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ragprof.core import Generated
from ragprof.errors import BadInput
from ragprof.files import ready_folder, write_json
from ragprof.row_cache import digest


class AnswerCache:
    """`key_of` is what an answer is found by."""

    def __init__(self, folder: Path, *, identity: str) -> None:
        self._folder = folder / digest(identity).hex()
        ready_folder(self._folder, remedy="set RAGPROF_CACHE to a folder that can be written")
        write_json(self._folder / "identity.json", {"identity": identity})
        self._answers = dict(_read(self._file))

    def get(self, prompt: str) -> Generated | None:
        return self._answers.get(key_of(prompt))

    def put(self, prompts: Sequence[str], answers: Sequence[Generated]) -> None:
        """Append answers, and wait until they are on disk."""
        fresh = {key_of(prompt): answer for prompt, answer in zip(prompts, answers, strict=True)}
        lines = "".join(_line(key, answer) for key, answer in fresh.items() if key not in self._answers)
        try:
            with self._file.open("a", encoding="utf-8") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX)
                stream.write(lines)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as failure:
            raise BadInput(f"cannot write the cache: {failure.strerror}; free some space", file=self._file) from None
        self._answers.update(fresh)

    @property
    def _file(self) -> Path:
        return self._folder / "answers.jsonl"


def key_of(prompt: str) -> str:
    return digest(prompt).hex()


def _line(key: str, answer: Generated) -> str:
    record = {"key": key, "text": answer.text, "usage": dict(answer.usage), "finish": answer.finish}
    return "\n" + json.dumps(record, ensure_ascii=True)


def _read(file: Path) -> Mapping[str, Generated]:
    """Whole lines; what a kill cut off is passed over."""
    answers: dict[str, Generated] = {}
    for line in file.read_text(encoding="utf-8").split("\n") if file.exists() else ():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        answers[record["key"]] = Generated(record["text"], record["usage"], None, record["finish"])
    return answers
