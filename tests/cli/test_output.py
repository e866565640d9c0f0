"""What reaches the terminal: all of it, as it is, on every terminal, and nothing that commands one."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from commandline import Ragprof, changed

from ragprof.cli import console
from ragprof.cli.app import main
from ragprof.core import plain

HOSTILE = "Docs [/en] [prices]\u001b]0;owned\u0007 \u001b[2J\n::error file=x::forged\r\nnext \u009b31m :smile: \u202e"
FIGURE = re.compile(r"\b\d+\.\d{3}\b|UNPRICED|\b\d+\.\d+ [m\u00b5]?s\b")
STEERING = re.compile("[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202d\u202e]")


def titled(recording: Path, title: str) -> Path:
    """The recording as one of an eval of that title."""
    path = recording / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["title"] = title
    path.write_text(json.dumps(manifest))
    return recording


def printed(encoding: str, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command writes to an output stream of that encoding; its exit code must be 0."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "argv", ["ragprof", *map(str, arguments)])
    console.terminal.cache_clear()
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, None)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cp1252", "shift_jis"))]
)
def test_a_sign_that_the_terminal_lacks_is_replaced_and_nothing_is_lost(
    handbook_recording: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    titled(handbook_recording, "\u00dcberblick \u4e2d\u6587 \U0001f600 \u2265 5 \u2192 10")
    monkeypatch.setenv("COLUMNS", "80")
    for arguments in (["report", handbook_recording], ["compare", handbook_recording, handbook_recording], ["list"]):
        text = printed(encoding, *arguments, monkeypatch=monkeypatch)
        assert text
        if arguments[0] == "report":
            assert "hybrid+overlap" in text
            assert text.splitlines()[-1] == f"report: {handbook_recording}/report.html"
    if encoding == "ascii":
        report = printed(encoding, "report", handbook_recording, monkeypatch=monkeypatch)
        assert "?berblick ?? ? >= 5 -> 10" in report
        assert re.search(r"hybrid\+overlap +\| 0\.\d{3} 0\.\d{3}-\d\.\d{3}", report)


@pytest.mark.parametrize("command", ["report", "compare", "baseline show", "baseline list", "export"])
def test_titles_and_names_are_printed_as_they_are_and_steer_nothing(
    ragprof: Ragprof, handbook_recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "n [draft]\u001b[31m"
    shutil.copytree(titled(handbook_recording, HOSTILE), folder)
    ragprof("baseline", "save", folder, "--into", tmp_path / "kept" / "b [draft]")
    arguments = {
        "report": [folder],
        "compare": [folder, folder],
        "baseline show": [tmp_path / "kept" / "b [draft]"],
        "baseline list": [tmp_path / "kept"],
        "export": [folder],
    }[command]
    outcome = ragprof(*command.split(), *arguments)
    assert outcome.code == 0
    assert not STEERING.search(outcome.output)
    assert not any(line.lstrip().startswith("::") for line in outcome.output.splitlines())
    assert "[draft]" in outcome.output or command == "baseline show"
    if command in ("report", "compare", "baseline show"):
        assert "Docs [/en] [prices]]0;owned [2J " in outcome.output
        assert " next 31m :smile:" in outcome.output


def test_a_message_is_one_line_whatever_an_id_holds(ragprof: Ragprof, handbook: Path, tmp_path: Path) -> None:
    first = (tmp_path / "handbook/corpus.jsonl").read_text().splitlines()[0]
    document = {**json.loads(first), "_id": HOSTILE}
    path = tmp_path / "handbook/corpus.jsonl"
    path.write_text("".join(f"{json.dumps(document)}\n" for _ in range(2)) + path.read_text())
    outcome = ragprof("check", handbook)
    assert (outcome.code, outcome.output, outcome.message.count("\n")) == (2, "", 1)
    assert not STEERING.search(outcome.message)
    assert "Docs [/en] [prices]" in outcome.message
    assert "::error" not in outcome.message


def test_no_line_of_a_log_is_a_command_to_the_machine_that_keeps_it() -> None:
    assert plain.no_command("::error::x") == ":\u200b:error::x"
    assert plain.no_command("a\n  ::error::x") == "a\n  :\u200b:error::x"
    assert plain.no_command("##[error]x ##vso[task.x]") == "#\u200b#[error]x #\u200b#vso[task.x]"
    assert plain.no_command("std::vector, C# [1], ## heading") == "std::vector, C# [1], ## heading"


@pytest.mark.parametrize(
    "columns", [pytest.param(30, marks=pytest.mark.slow), 40, pytest.param(79, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("command", ["report", "compare", "check"])
def test_a_narrow_terminal_shows_every_column(
    ragprof: Ragprof,
    handbook: Path,
    handbook_recording: Path,
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
    command: str,
) -> None:
    arguments = {"report": [handbook_recording], "compare": [handbook_recording] * 2, "check": [handbook]}[command]
    monkeypatch.setenv("COLUMNS", "200")
    wide = ragprof(command, *arguments)
    monkeypatch.setenv("COLUMNS", str(columns))
    narrow = ragprof(command, *arguments)
    assert (wide.code, narrow.code) == (0, 0)
    shown = [line for line in narrow.output.splitlines() if not line.startswith("report: ")]
    assert max(map(len, shown)) <= columns
    assert "\u2026" not in narrow.output
    figures, kept = (set(FIGURE.findall(" ".join(outcome.output.split()))) for outcome in (wide, narrow))
    assert len(figures) > 2 or command == "check"
    assert figures <= kept


def test_list_cuts_nothing_and_has_one_line_a_name_for_other_programs(
    ragprof: Ragprof, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragprof.core import registry

    monkeypatch.setenv("COLUMNS", "80")
    text = ragprof("list", "plugins").output
    assert "\u2026" not in text
    for kind in registry.KINDS:
        for name in registry.names(kind):
            told = " ".join(registry.summary(kind, name).split())
            assert any(line.startswith(f"{name} ") and line.endswith(told) for line in text.splitlines()), name


def test_corpora_info_shows_brackets_of_a_title(
    ragprof: Ragprof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Path(__file__).parents[2] / "corpora" / "python-docs"
    shutil.copytree(recipe, tmp_path / "corpora" / "own")
    monkeypatch.chdir(tmp_path)
    text = (tmp_path / "corpora/own/recipe.toml").read_text()
    title = re.search(r'^title = "(.*)"$', text, re.MULTILINE)
    assert title
    changed(tmp_path / "corpora/own/recipe.toml", title[1], "Docs [/en]")
    for arguments in (["list", "corpora"], ["corpora", "info", "own"]):
        outcome = ragprof(*arguments)
        assert (outcome.code, outcome.message) == (0, "")
        assert "Docs [/en]" in outcome.output
