"""How commands end: a crash has an exit code of its own and one line with its log; what can be mended has another."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer
from commandline import Ragprof, changed, complaint

from ragprof.cli.app import app
from ragprof.parts.rerankers.overlap import OverlapReranker

CRASHED = re.compile(r"ragprof: crashed \((.+)\); the log is in (\S+\.log): please report it\n")


def every_command(group: typer.Typer, *above: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The words of each command and what typer keeps of it."""
    for command in group.registered_commands:
        yield (*above, command.name or command.callback.__name__), command  # type: ignore[union-attr]
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from every_command(inner.typer_instance, *above, str(inner.name))


COMMANDS = {" ".join(words): command for words, command in every_command(app)}


def crashing(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
    """From now on the command does nothing but crash."""

    def crash() -> NoReturn:
        raise error

    monkeypatch.setattr(COMMANDS[name], "name", name.rsplit(maxsplit=1)[-1])
    monkeypatch.setattr(COMMANDS[name], "callback", crash)


CRASHES = [KeyError("kind"), EOFError(), ValueError("too many\nvalues"), RecursionError("deep"), ConnectionError("no")]


@pytest.mark.parametrize(
    ("name", "error"), [*((name, CRASHES[0]) for name in COMMANDS), *(("gate", error) for error in CRASHES)]
)
def test_a_crash_ends_every_command_with_70_and_one_line_that_names_the_log(
    ragprof: Ragprof, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception
) -> None:
    crashing(monkeypatch, name, error)
    outcome = ragprof(*name.split())
    assert (outcome.code, outcome.output) == (70, "")
    told = CRASHED.fullmatch(outcome.message)
    assert told
    assert told[1].startswith(type(error).__name__)
    log = Path(told[2]).read_text()
    assert f"\n{' '.join(['ragprof', *name.split()])}\n" in log
    assert "Traceback (most recent call last):" in log
    assert "in crash\n" in log


def test_a_gate_whose_part_crashes_ends_with_70_and_not_as_a_regression(
    ragprof: Ragprof, handbook: Path, recorded_handbook: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    handbook.write_text(handbook.read_text() + '\n[gate.quantities]\n"nDCG@10" = { absolute = 0.02 }\n')

    def score(*_: object) -> NoReturn:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(OverlapReranker, "score", score)
    outcome = ragprof("gate", handbook, "--baseline", recorded_handbook, "--out", tmp_path / "out")
    assert outcome.code == 70
    told = CRASHED.fullmatch(outcome.message.splitlines(keepends=True)[-1])
    assert told
    assert told[1] == "ZeroDivisionError: division by zero"
    assert str(tmp_path / "cache" / "crashes") in told[2]


def test_a_crash_without_any_place_for_its_log_shows_the_traceback(
    ragprof: Ragprof, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file" / "no"))
    crashing(monkeypatch, "run", KeyError("kind"))
    outcome = ragprof("run")
    assert outcome.code == 70
    assert "in crash\n" in outcome.message
    assert outcome.message.splitlines()[-1] == (
        "ragprof: crashed (KeyError: 'kind'); no log could be written, what led to it is above: please report it"
    )


def test_a_long_message_of_a_crash_is_cut_on_the_terminal_and_whole_in_the_log(
    ragprof: Ragprof, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing(monkeypatch, "run", ValueError("document " * 10_000))
    told = CRASHED.fullmatch(ragprof("run").message)
    assert told
    assert len(told[1]) < 250
    assert "document " * 9_999 in Path(told[2]).read_text()


@pytest.mark.parametrize("command", ["price", "report", "trec", "export", "mlflow", "reranker", "baseline save",
                                     "baseline show", "baseline list"])  # fmt: skip
def test_a_folder_that_is_not_there_is_one_message(ragprof: Ragprof, tmp_path: Path, command: str) -> None:
    said = complaint(ragprof, *command.split(), tmp_path / "nosuch", folder=tmp_path)
    assert said.startswith(
        ("nosuch: no such folder; ", "nosuch: there is no such folder; ", "nosuch: no such eval file ")
    )


@pytest.mark.parametrize("sides", [("nosuch", "recording"), ("recording", "nosuch")])
def test_a_side_that_is_not_there_is_one_message(
    ragprof: Ragprof, handbook_recording: Path, tmp_path: Path, sides: tuple[str, str]
) -> None:
    said = complaint(ragprof, "compare", *(tmp_path / side for side in sides), folder=tmp_path)
    assert said.startswith("nosuch: no such folder; ")


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom the system does not know, as in many containers."""

    def nobody(*_: object) -> NoReturn:
        raise KeyError("uid not found")

    for name in ("HOME", "RAGPROF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)


@pytest.mark.parametrize("command", ["run", "grow", "inject", "audit"])
@pytest.mark.usefixtures("homeless")
def test_without_a_home_folder_one_message_says_what_to_set(
    ragprof: Ragprof, handbook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.delenv("RAGPROF_CACHE")
    (tmp_path / "out").mkdir()
    said = complaint(ragprof, command, handbook, "--out", tmp_path / "out", folder=tmp_path)
    assert said == "there is no home folder to keep the cache in; set RAGPROF_CACHE to a folder"


KEYS = {
    "corpus": ('path = "handbook"', 'path = "{}"'),
    "queries": ("[timing]", '[evaluation]\nqueries = "{}"\nqrels = "q"\n[timing]'),
    "qrels": ("[timing]", '[evaluation]\nqueries = "handbook/queries.jsonl"\nqrels = "{}"\n[timing]'),
    "recipe": ('path = "handbook"', 'recipe = "{}"'),
    "model": ('embedder = "hashing"', 'embedder = {{ name = "sentence_transformers", model = "{}" }}'),
    "tokenizer": ('name = "handbook"', 'name = "handbook"\ntokenizer = "{}"'),
}


@pytest.mark.parametrize("key", KEYS)
def test_a_path_of_a_user_who_does_not_exist_is_one_message(
    ragprof: Ragprof, handbook: Path, tmp_path: Path, key: str
) -> None:
    old, new = KEYS[key]
    changed(handbook, old, new.format("~nosuchuser/x"))
    said = complaint(ragprof, "run", handbook, "--out", tmp_path / "out", folder=tmp_path)
    assert said.endswith("'~nosuchuser/x': there is no home folder of that user; write the path out")


@pytest.mark.parametrize("command", ["check", "run"])
def test_home_and_variables_are_read_in_every_path_key(
    ragprof: Ragprof, handbook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TEXTS", "handbook")
    changed(handbook, 'path = "handbook"', 'path = "~/$TEXTS"')
    changed(
        handbook,
        "[timing]",
        '[evaluation]\nqueries = "${HOME}/handbook/queries.jsonl"\nqrels = "~/${TEXTS}/qrels/test.tsv"\n[timing]',
    )
    changed(handbook, "seconds = 2", "seconds = 0.1")
    moved = tmp_path / "elsewhere" / "handbook.toml"
    moved.parent.mkdir()
    handbook.rename(moved)
    out = [] if command == "check" else ["--out", tmp_path / "out"]
    assert ragprof(command, moved, *out).code == 0


OPTIONS = [
    ["run", "eval.toml", "--out", "{}"], ["trace", "{}"], ["trace", "t.jsonl", "--out", "{}"], ["show", "{}"],
    ["trace", "t.jsonl", "--queries", "q", "--qrels", "{}"], ["view", "{}", "--no-browser"],
    ["screen", "eval.toml", "--source", "{}"], ["label", "eval.toml", "--import", "{}"],
    ["label", "eval.toml", "--questions", "{}"], ["stores", "eval.toml", "--rates", "{}"],
    ["load", "eval.toml", "--corpus", "{}"], ["baseline", "list", "{}"], ["compare", "{}", "b"],
]  # fmt: skip


@pytest.mark.parametrize("words", OPTIONS, ids=" ".join)
def test_no_folder_is_named_after_a_user_who_does_not_exist(ragprof: Ragprof, tmp_path: Path, words: list[str]) -> None:
    said = complaint(ragprof, *(word.format("~nosuchuser/x") for word in words), folder=tmp_path)
    assert said == "'~nosuchuser/x': there is no home folder of that user; write the path out"


def test_home_and_variables_are_read_in_options_too(
    ragprof: Ragprof, recorded_handbook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shell leaves them: `--into=~/x` and words in single quotes are not expanded by it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RECORDED", str(recorded_handbook))
    done = ragprof("export", "$RECORDED", "--into=~/there", "--format", "trec")
    assert (done.code, done.message) == (0, "")
    assert sorted((tmp_path / "there").rglob("*.run"))


def test_a_path_that_is_none_is_one_message(ragprof: Ragprof, handbook: Path, tmp_path: Path) -> None:
    changed(handbook, 'path = "handbook"', 'path = "a\\u0000b"')
    said = complaint(ragprof, "check", handbook, folder=tmp_path)
    assert said.endswith("'a\\x00b' is no path (embedded null byte)")
    changed(handbook, '"a\\u0000b"', f'"{"long" * 100}"')
    assert "is no path: File name too long" in complaint(ragprof, "check", handbook, folder=tmp_path)


def test_an_empty_cache_variable_is_as_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ragprof.core.files import cache_folder

    monkeypatch.delenv("RAGPROF_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for empty in ("RAGPROF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(empty, "")
    assert cache_folder() == tmp_path / ".cache" / "ragprof"
    monkeypatch.setenv("RAGPROF_CACHE", "~/kept")
    assert cache_folder() == tmp_path / "kept"


@pytest.mark.parametrize("command", [["list"], pytest.param(["compare", "{}", "{}"], marks=pytest.mark.slow)])
def test_a_reader_that_leaves_early_changes_no_exit_code(recorded_handbook: Path, command: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    words = [word.format(recorded_handbook) for word in command]
    with os.fdopen(write, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "ragprof", *words], stdout=nobody, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
