"""What the documentation shows works: doctests, Python blocks, eval files and command lines."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ragprof.cli.app import app
from ragprof.evals import EvalConfig

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_EXAMPLES = [
    path.relative_to(PROJECT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in sorted((PROJECT / "ragprof").rglob("*.py"))
    if re.search(r"^\s*>>> ", path.read_text(encoding="utf-8"), re.MULTILINE)
]


def blocks(*languages: str) -> list[Any]:
    """Every fenced block in one of the languages, named by page and number."""
    return [
        pytest.param(text, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, (language, text) in enumerate(FENCE.findall(page.read_text(encoding="utf-8")), start=1)
        if language in languages
    ]


def commands() -> Iterator[Any]:
    """Every line of a shell block that calls ragprof, without its prompt and its comment."""
    for block in blocks("bash", "console", "sh", "shell"):
        for line in block.values[0].splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["ragprof"]:
                yield pytest.param(words[1:], id=" ".join(words))


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_docstrings(module: str) -> None:
    results = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks_run_in_an_empty_folder(
    block: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    exec(compile(block, "block", "exec"), {"__name__": "block"})  # noqa: S102 - it is what a reader would do


@pytest.mark.parametrize("block", blocks("toml"))
def test_eval_files_are_valid(block: str) -> None:
    table = tomllib.loads(block)
    if not table.keys() <= EvalConfig.model_fields.keys():
        pytest.skip("no eval file")
    rest = {"name": "rest", "corpus": {"path": "corpus"}, "pipelines": [{"name": "rest", "store": "bm25s"}]}
    assert EvalConfig.model_validate({**rest, **table}).pipelines


@pytest.mark.parametrize("arguments", list(commands()))
def test_command_lines_are_valid(arguments: list[str]) -> None:
    """Parsed to the last option by the command that they name; nothing is run."""
    command: Any = typer.main.get_command(app)
    rest, name = list(arguments), "ragprof"
    context = command.make_context(name, list(rest))
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, list(rest), parent=context)
    assert context.command is command
