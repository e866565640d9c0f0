"""The GitHub action and the CI examples: they parse, name options that exist, and let no input become a command."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ragprof.cli.app import app

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "action.yml"
EXAMPLES = (ROOT / "evals" / "ci" / "github-workflow.yml", ROOT / "evals" / "ci" / "gitlab-ci.yml")
BASH = "#!/usr/bin/env bash\n"


def read(path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(ACTION)["runs"]["steps"]
    return found


def step(name: str) -> dict[str, Any]:
    return next(each for each in steps() if each["name"] == name)


def scripts(node: Any) -> Iterator[str]:
    """Every `run` and `script`, wherever it stands."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("run", "script", "before_script"):
                yield from [value] if isinstance(value, str) else value
            else:
                yield from scripts(value)
    elif isinstance(node, list):
        for value in node:
            yield from scripts(value)


def options_of(command: str) -> set[str]:
    """The options of `ragprof COMMAND`."""
    found = typer.main.get_command(app)
    commands: dict[str, Any] = getattr(found, "commands", {})
    assert command in commands, f"there is no command 'ragprof {command}'"
    return {name for parameter in commands[command].params for name in parameter.opts}


def test_the_action_is_composite_and_every_script_has_a_shell() -> None:
    action = read(ACTION)
    assert action["runs"]["using"] == "composite"
    assert {each["shell"] for each in steps() if "run" in each} == {"bash"}
    assert all("uses" in each or "run" in each for each in steps())


def test_every_input_has_a_description_and_every_one_is_used() -> None:
    action, text = read(ACTION), ACTION.read_text(encoding="utf-8")
    assert all(given["description"] for given in action["inputs"].values())
    assert [name for name in action["inputs"] if f"inputs.{name}" not in text] == []


def test_every_output_of_the_action_is_written_by_the_gate_step() -> None:
    from ragprof.evals import GateSettings
    from ragprof.studies.gate.ci_files import outputs
    from ragprof.studies.gate.comparison import refused, unrecorded

    sides = unrecorded("before", queries=1), unrecorded("after", queries=1)
    found = refused(sides, GateSettings(), "why", eval_name="e", title="e", pipelines=[], strict=False)
    written = {*outputs(found), "findings", "folder"}
    named = {each["value"] for each in read(ACTION)["outputs"].values()}
    assert {re.sub(r".*outputs\.(\w+).*", r"\1", value) for value in named} <= written


@pytest.mark.parametrize("path", [ACTION, *EXAMPLES], ids=lambda path: path.name)
def test_no_expression_stands_in_a_script(path: Path) -> None:
    found = list(scripts(read(path)))
    assert found
    assert [script for script in found if "${{" in script] == []


@pytest.mark.parametrize("path", [ACTION, EXAMPLES[0]], ids=lambda path: path.name)
def test_actions_are_pinned_to_a_version(path: Path) -> None:
    used = re.findall(r"uses: (\S+)", path.read_text(encoding="utf-8"))
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@v\d+(\.\d+\.\d+)?", name)] == []


@pytest.mark.parametrize("path", [ACTION, *EXAMPLES], ids=lambda path: path.name)
def test_the_options_that_are_used_exist(path: Path) -> None:
    gates = [script for script in scripts(read(path)) if re.search(r"^\s*(- )?ragprof gate ", script, re.MULTILINE)]
    used = {name for script in gates for name in re.findall(r"(?<![\w-])(--[a-z]+(?:-[a-z]+)*)", script)}
    assert {"--junit", "--markdown"} <= used
    assert used - options_of("gate") == set()


def test_the_example_workflow_uses_inputs_that_the_action_has() -> None:
    jobs = read(EXAMPLES[0])["jobs"]
    (used,) = [each for each in jobs["latency"]["steps"] if "ragprof@" in each.get("uses", "")]
    assert set(used["with"]) <= set(read(ACTION)["inputs"])


def test_the_gitlab_jobs_show_their_reports_even_where_they_fail() -> None:
    artifacts = read(EXAMPLES[1])[".ragprof"]["artifacts"]
    assert artifacts["when"] == "always"
    assert artifacts["reports"] == {"junit": "junit.xml", "codequality": "gl-code-quality-report.json"}


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(BASH + text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)


def shell(script: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """As GitHub runs it, with the programs in `folder` before all others."""
    given = {"PATH": f"{folder}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(folder / "output"), **environ}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, check=False)


def test_the_gate_step_passes_inputs_on_as_they_are(tmp_path: Path) -> None:
    program(tmp_path, "ragprof", 'printf "%s\\n" "$@" > given\nexit 1\n')
    hostile = "$(touch broken); touch broken `touch broken` *"
    done = shell(
        step("Gate")["run"],
        tmp_path,
        RAGPROF_EVAL=f"evals/{hostile}.toml",
        RAGPROF_BASELINE=hostile,
        RAGPROF_AGAINST="",
        RAGPROF_ARGS="--strict\n  --pipeline *",
        RAGPROF_FOLDER=str(tmp_path / "out put"),
    )
    assert done.returncode == 1
    assert (tmp_path / "given").read_text().splitlines() == [
        *("gate", "--github"),
        *("--junit", f"{tmp_path}/out put/junit.xml"),
        *("--markdown", f"{tmp_path}/out put/comparison.md"),
        *("--html", f"{tmp_path}/out put/comparison.html"),
        *("--json", f"{tmp_path}/out put/comparison.json"),
        *("--baseline", hostile),
        *("--strict", "--pipeline", "*"),
        *("--", f"evals/{hostile}.toml"),
    ]
    assert not (tmp_path / "broken").exists()
    assert (tmp_path / "output").read_text() == f"folder={tmp_path}/out put\n"


@pytest.mark.parametrize(
    ("comment", "known", "called"),
    [
        ("replace", "17", "--method PATCH repos/me/mine/issues/comments/17"),
        ("replace", "", "--method POST repos/me/mine/issues/5/comments"),
        ("post", "17", "--method POST repos/me/mine/issues/5/comments"),
    ],
)
def test_the_comment_is_replaced_or_posted(tmp_path: Path, comment: str, known: str, called: str) -> None:
    program(tmp_path, "gh", f'echo "$*" >> calls\ncase "$*" in *--paginate*) echo "{known}" ;; esac\n')
    (tmp_path / "comparison.md").write_text("# Gate\n" + "line\n" * 20_000, encoding="utf-8")
    environ = {"RAGPROF_COMMENT": comment, "RAGPROF_EVAL": "e.toml", "RAGPROF_FOLDER": str(tmp_path)}
    done = shell(step("Comment on the pull request")["run"], tmp_path, GH_REPO="me/mine", RAGPROF_PULL="5", **environ)
    assert (done.returncode, done.stdout) == (0, "")
    assert called in (tmp_path / "calls").read_text().splitlines()[-1]
    body = (tmp_path / "comment.md").read_text(encoding="utf-8")
    assert re.match(r"<!-- ragprof gate \d+ -->\n# Gate\nline\n", body)
    assert body.endswith("line\n\n_Cut here: the whole of it is in the artifact._\n")
    assert len(body) < 65_536


def test_a_comment_that_is_refused_fails_no_build(tmp_path: Path) -> None:
    program(tmp_path, "gh", "exit 1\n")
    (tmp_path / "comparison.md").write_text("# Gate\n", encoding="utf-8")
    environ = {"RAGPROF_COMMENT": "replace", "RAGPROF_EVAL": "e.toml", "RAGPROF_FOLDER": str(tmp_path)}
    done = shell(step("Comment on the pull request")["run"], tmp_path, GH_REPO="me/mine", RAGPROF_PULL="5", **environ)
    assert done.returncode == 0
    assert done.stdout.startswith("::warning title=ragprof::the pull request took no comment")
