"""`ragprof show` on terminals of any width, examples in every help page, and completion."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commandline import Ragprof
from rich.console import Console
from typer.core import TyperGroup
from typer.main import get_command

from ragprof.cli.app import app
from ragprof.report.text_charts import StackedBar, StackedBars, Whisker, Whiskers


def drawn(chart: StackedBars | Whiskers, width: int = 40) -> list[str]:
    console = Console(width=width, color_system=None, file=None)
    with console.capture() as captured:
        console.print(chart)
    return captured.get().splitlines()


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(group, TyperGroup):
        for name, command in group.commands.items():
            yield from commands(command, (*words, name))
    else:
        yield words, group


EVERY = dict(commands(get_command(app)))


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_help_page_has_an_example_that_the_command_understands(words: tuple[str, ...]) -> None:
    command = EVERY[words]
    example = re.search(r"Example: (ragprof .*)", command.help or "")
    assert example, f"no example in ragprof {' '.join(words)} --help"
    program, *given = shlex.split(example.group(1))
    assert (program, *given[: len(words)]) == ("ragprof", *words)
    command.make_context(" ".join(words), given[len(words) :])


def test_show_prints_decisions_tables_and_two_charts(ragprof: Ragprof, handbook_recording: Path) -> None:
    before = {path: path.read_bytes() for path in handbook_recording.rglob("*") if path.is_file()}
    outcome = ragprof("show", handbook_recording)
    assert outcome.code == 0
    assert max(map(len, outcome.output.splitlines())) <= 80
    assert re.search(
        r"nDCG@10, with 95% intervals +\n bm25 +├─+●─+┤ +\d\.\d{3} \d\.\d{3}\u2013\d\.\d{3}", outcome.output
    )
    assert "Mean time of a query, by stage" in outcome.output
    assert "█ embed   ▓ search   ▒ rerank   ░ inject   ▚ unaccounted" in outcome.output
    assert {path: path.read_bytes() for path in handbook_recording.rglob("*") if path.is_file()} == before


def test_show_says_what_a_folder_lacks(ragprof: Ragprof, tmp_path: Path) -> None:
    outcome = ragprof("show", tmp_path)
    assert outcome.code == 2
    assert "summary.json" in outcome.message


def test_intervals_lie_on_one_scale() -> None:
    rows = [Whisker("a", 0.5, 0.0, 1.0, "0.5"), Whisker("long", 0.25, None, None, "0.25")]
    assert [line.rstrip() for line in drawn(Whiskers("quality", rows, lambda value: f"{value:.1f}"), 22)] == [
        "quality",
        "a    ├─────●────┤ 0.5",
        "long    ●         0.25",
        "     0.0      1.0",
    ]


def test_parts_are_told_apart_without_colour_and_add_up() -> None:
    rows = [StackedBar("a", {"x": 1.0, "y": 3.0}, "4 s"), StackedBar("b", {"y": 1.0}, "1 s")]
    assert [line.rstrip() for line in drawn(StackedBars("time", ["x", "y"], rows), 22)] == [
        "time",
        "a ████▓▓▓▓▓▓▓▓▓▓▓▓ 4 s",
        "b ▓▓▓▓             1 s",
        "█ x   ▓ y",
    ]


@pytest.mark.parametrize("command", ["price", "report"])
def test_a_profile_of_traces_is_priced_and_drawn_again(
    ragprof: Ragprof, handbook_recording: Path, tmp_path: Path, command: str
) -> None:
    """It has no main profile to show, which must not fail what was done."""
    ragprof("export", handbook_recording, "--format", "otlp", "--into", tmp_path / "spans")
    out = tmp_path / "traced"
    assert ragprof("trace", *sorted((tmp_path / "spans").rglob("*.jsonl")), "--out", out, "-q").code == 0
    again = ragprof(command, out)
    assert again.code == 0, again.message
    assert "A trace takes " in " ".join(again.output.split())
    assert again.output.endswith(f"report: {out}/report.html\n")
    assert ragprof("trec", out).message == (
        f"ragprof: {out}: this is a profile of traces, which keeps no rankings to write as runs\n"
    )


def test_a_shell_completes_commands_and_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_RAGPROF_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "ragprof ru")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit):
        app(prog_name="ragprof")
    assert capsys.readouterr().out.split() == ["run"]
