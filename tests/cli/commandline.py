"""What running a command in a test gives back, and what a command that must fail says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it printed on either stream."""

    code: int
    output: str
    message: str


class Ragprof(Protocol):
    """`ragprof("run", path)` is `ragprof run PATH`."""

    def __call__(self, *arguments: object) -> Outcome: ...


def changed(path: Path, old: str, new: str) -> None:
    """The file with its first `old` replaced."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def complaint(ragprof: Ragprof, *arguments: object, folder: Path) -> str:
    """The message of a command that must fail, after checking all that holds for every one of them."""
    before = sorted(path for path in folder.rglob("*") if "cache" not in path.parts)
    outcome = ragprof(*arguments)
    assert outcome.code == 2
    assert outcome.output == ""
    assert outcome.message.startswith("ragprof: ")
    assert outcome.message.count("ragprof: ") == 1
    assert outcome.message.count("\n") == 1
    assert "Traceback" not in outcome.message
    assert sorted(path for path in folder.rglob("*") if "cache" not in path.parts) == before
    return outcome.message.removeprefix("ragprof: ").rstrip("\n").replace(f"{folder}/", "")
