"""Options that say nothing, or what nobody would do, are one message and exit code 2, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import Ragprof, changed, complaint


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "EVAL", "--out", ""), "--out"),
        (("run", "EVAL", "--out="), "--out"),
        (("run", "EVAL", "--rates", " "), "--rates"),
        (("inject", "EVAL", "--ks", ""), "--ks"),
        (("inject", "EVAL", "--pipeline", ""), "--pipeline"),
        (("price", "FOLDER", "--llm", ""), "--llm"),
        (("price", ""), "an argument"),
        (("reranker", "EVAL", "--llm="), "--llm"),
        (("gate", "EVAL", "--against", ""), "--against"),
        (("export", "FOLDER", "--format", ""), "--format"),
    ],
)
def test_an_empty_option_is_told(
    ragprof: Ragprof, handbook: Path, tmp_path: Path, arguments: tuple[str, ...], named: str
) -> None:
    given = [{"EVAL": handbook, "FOLDER": tmp_path}.get(word, word) for word in arguments]
    told = complaint(ragprof, *given, folder=tmp_path)
    assert told == f"{named} is empty; give it a value or leave it out"


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ('llm = "openai:gpt-4o-mini"', 'llm = ""', 37),
        ('machine = "aws/m7i.large"', 'machine = ""', 38),
        ('path = "handbook"', 'path = ""', 7),
    ],
)
def test_an_empty_name_in_the_eval_file_is_told(
    ragprof: Ragprof, handbook: Path, tmp_path: Path, before: str, after: str, line: int
) -> None:
    changed(handbook, before, after)
    told = complaint(ragprof, "check", handbook, folder=tmp_path)
    assert told.startswith(f"handbook.toml:{line}: ")
    assert told.endswith("String should have at least 1 character")


def test_a_rate_book_that_is_not_there_is_told_without_a_number_of_the_system(
    ragprof: Ragprof, handbook: Path, tmp_path: Path
) -> None:
    told = complaint(ragprof, "run", handbook, "--rates", tmp_path / "absent.toml", folder=tmp_path)
    assert told == "absent.toml: cannot read this rate book: No such file or directory; check the path"
    told = complaint(ragprof, "run", handbook, "--rates", tmp_path, folder=tmp_path)
    assert told.endswith(": cannot read this rate book: Is a directory; check the path")


def test_an_option_that_goes_with_another_command_is_not_passed_over(
    ragprof: Ragprof, handbook: Path, tmp_path: Path
) -> None:
    told = complaint(ragprof, "gate", handbook, "--init", "--strict", "--junit", tmp_path / "gate.xml", folder=tmp_path)
    assert told == "handbook.toml: --init writes a [gate] and judges nothing; leave out --strict, --junit"
