"""What `--against` may name, in repositories made here: a revision is checked out, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ragprof.core.errors import BadInput
from ragprof.studies.gate.job import other_side


class Repository:
    """A git repository with an eval file, evals/small.toml, in its second and third commit."""

    def __init__(self, top: Path) -> None:
        self.top = top
        top.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        for name, value in (("user.name", "A"), ("user.email", "a@example.org"), ("commit.gpgsign", "false")):
            self.git("config", name, value)
        self.commit({"README": "first"})
        self.commit({"evals/small.toml": "old", "module.py": "VERSION = 1"})
        self.git("tag", "v1")
        self.commit({"evals/small.toml": "new", "module.py": "VERSION = 2", "src/package.py": ""})
        self.eval_file = top / "evals" / "small.toml"

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.top, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, contents: dict[str, str]) -> None:
        for name, text in contents.items():
            (self.top / name).parent.mkdir(exist_ok=True)
            (self.top / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a change")

    def trees(self) -> int:
        return len(self.git("worktree", "list", "--porcelain").split("\n\n"))


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """One where the user stands at the top."""
    made = Repository(tmp_path / "repository")
    monkeypatch.chdir(made.top)
    return made


def left_behind(tmp_path: Path) -> Sequence[Path]:
    return list((tmp_path / "temporary").iterdir())


def refusal(against: str, eval_file: Path) -> str:
    with pytest.raises(BadInput) as refused, other_side(against, eval_file=eval_file):
        pass
    return str(refused.value)


def test_a_revision_is_checked_out_and_taken_away_again(repository: Repository, tmp_path: Path) -> None:
    with other_side("v1", eval_file=Path("evals/small.toml")) as side:
        assert side.eval_file.read_text() == "old"
        assert side.folder == side.eval_file.parents[1]
        assert side.paths == (side.folder,)
        assert side.python == Path(sys.executable)
        assert repository.trees() == 2
    assert repository.eval_file.read_text() == "new"
    assert (repository.trees(), left_behind(tmp_path)) == (1, [])
    assert repository.git("status", "--porcelain") == ""


def test_a_revision_is_taken_away_after_an_error_too(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), other_side("v1", eval_file=repository.eval_file):
        1 / 0  # noqa: B018 (any error)
    assert (repository.trees(), left_behind(tmp_path)) == (1, [])


def test_a_side_is_named_for_its_revision_and_commit(repository: Repository) -> None:
    commit = repository.git("rev-parse", "v1")
    for named, label in [("v1", f"base v1 ({commit[:9]})"), ("HEAD~1", f"base HEAD~1 ({commit[:9]})"),
                         (commit[:12], f"base {commit[:12]}")]:  # fmt: skip
        with other_side(named, eval_file=repository.eval_file) as side:
            assert side.label == label


def test_modules_of_the_revision_go_first_from_the_top_and_from_src(repository: Repository) -> None:
    with other_side("main", eval_file=repository.eval_file) as side:
        assert side.paths == (side.folder, side.eval_file.parents[1] / "src")


def test_a_side_is_started_where_the_user_stands(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository.top / "evals")
    with other_side("v1", eval_file=Path("small.toml")) as side:
        assert side.folder == side.eval_file.parent
    (repository.top / "later").mkdir()
    monkeypatch.chdir(repository.top / "later")
    with other_side("v1", eval_file=repository.eval_file) as side:
        assert side.folder == side.eval_file.parents[1]


def test_changes_that_are_not_committed_are_neither_seen_nor_touched(repository: Repository) -> None:
    repository.eval_file.write_text("being edited")
    with other_side("HEAD", eval_file=repository.eval_file) as side:
        assert side.eval_file.read_text() == "new"
    assert repository.eval_file.read_text() == "being edited"


def test_an_unknown_revision_is_refused_with_how_to_fetch_it(repository: Repository, tmp_path: Path) -> None:
    message = refusal("v9", repository.eval_file)
    assert message.startswith("no git revision 'v9' (nor a file or environment of that name); in CI, fetch it first: ")
    assert left_behind(tmp_path) == []


def test_a_revision_without_the_eval_file_is_refused(repository: Repository, tmp_path: Path) -> None:
    message = refusal("v1~1", repository.eval_file)
    assert message == f"{repository.eval_file}: revision v1~1 has no evals/small.toml; compare with a later one"
    assert (repository.trees(), left_behind(tmp_path)) == (1, [])


def test_a_file_outside_a_repository_has_no_revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    message = refusal("main", tmp_path / "small.toml")
    assert message.startswith("'main' is no eval file and no environment, and this file is in no git repository; name")


@pytest.mark.parametrize("revision", ["--help", "-h", "--output=stolen", "--exec=touch stolen", "-", "--"])
def test_a_revision_that_begins_with_a_dash_is_no_option(repository: Repository, revision: str) -> None:
    assert refusal(revision, repository.eval_file).startswith(f"no git revision '{revision}'")
    assert not list(repository.top.rglob("stolen"))


@pytest.mark.parametrize("revision", ["", "main:README", "main^{tree}", "main..v1", "v1 main"])
def test_what_is_no_single_commit_is_refused(repository: Repository, revision: str) -> None:
    assert refusal(revision, repository.eval_file).startswith(f"no git revision '{revision}'")


def test_hooks_of_the_repository_are_not_run(repository: Repository, tmp_path: Path) -> None:
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        hook = repository.top / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hook-was-run\n")
        hook.chmod(0o755)
    with other_side("v1", eval_file=repository.eval_file):
        pass
    assert not (tmp_path / "hook-was-run").exists()


def test_from_within_a_hook_the_commit_in_the_making_stays_as_it_is(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git tells its hooks where repository and index are; a check-out of another tree must not go by that."""
    repository.eval_file.write_text("staged")
    repository.git("add", "--all")
    monkeypatch.setenv("GIT_DIR", str(repository.top / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repository.top / ".git" / "index"))
    with other_side("v1", eval_file=repository.eval_file) as side:
        assert side.eval_file.read_text() == "old"
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert repository.git("diff", "--cached", "--name-only") == "evals/small.toml"
    assert repository.git("status", "--porcelain") == "M  evals/small.toml"


def test_two_comparisons_may_check_out_the_same_revision_at_once(repository: Repository) -> None:
    with (
        other_side("v1", eval_file=repository.eval_file) as one,
        other_side("v1", eval_file=repository.eval_file) as two,
    ):
        assert one.folder != two.folder
    assert repository.trees() == 1


def test_a_shallow_clone_says_what_to_fetch(repository: Repository, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", "--depth", "1", "--no-tags", f"file://{repository.top}", str(clone))
    assert "fetch-depth: 0" in refusal("main~1", clone / "evals" / "small.toml")


def test_another_eval_file_is_run_as_it_stands(repository: Repository) -> None:
    other = repository.top / "evals" / "other.toml"
    other.write_text("")
    with other_side("evals/other.toml", eval_file=repository.eval_file) as side:
        assert (side.label, side.eval_file) == ("base other.toml", Path("evals/other.toml"))
        assert (side.folder, side.paths, repository.trees()) == (None, (), 1)


def test_an_eval_file_that_is_not_there_is_refused(repository: Repository) -> None:
    assert refusal("evals/other.toml", repository.eval_file) == "evals/other.toml: no such eval file to compare with"


@pytest.mark.parametrize("given", ["older", "older/bin/python"])
def test_an_environment_runs_the_same_file_with_its_own_python(repository: Repository, given: str) -> None:
    python = repository.top / "older" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    with other_side(given, eval_file=repository.eval_file) as side:
        assert side.label == f"base in {Path(given).name}"
        assert side.python == python
        assert side.eval_file == repository.eval_file
        assert side.paths == ()


def test_a_folder_that_is_no_environment_is_taken_for_a_revision(repository: Repository) -> None:
    (repository.top / "older").mkdir()
    assert refusal("older", repository.eval_file).startswith(
        "no git revision 'older' (nor a file or environment of that name)"
    )


def test_a_machine_without_git_is_told_so(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert refusal("v1", repository.eval_file) == "git is not installed; --against a revision needs it"


def test_commands_that_git_is_set_up_to_run_are_not_run(repository: Repository, tmp_path: Path) -> None:
    """An fsmonitor and a smudge filter; data that Git LFS keeps is fetched all the same."""
    told = tmp_path / "was-run"
    repository.commit({".gitattributes": "*.py filter=own"})
    repository.git("config", "core.fsmonitor", f"touch {told}; false")
    repository.git("config", "filter.own.smudge", f"touch {told}; cat")
    repository.git("config", "filter.own.clean", "cat")
    repository.git("config", "filter.own.required", "true")
    repository.git("config", "filter.lfs.smudge", "sed s/2/3/")
    repository.commit({".gitattributes": "*.py filter=own\n*.txt filter=lfs", "data.txt": "2"})
    told.unlink(missing_ok=True)  # what the commit itself ran
    with other_side("HEAD", eval_file=repository.eval_file) as side:
        assert side.folder is not None
        assert (side.folder / "module.py").read_text() == "VERSION = 2"
        assert (side.folder / "data.txt").read_text() == "3"
    assert not told.exists()


def test_what_a_killed_gate_checked_out_is_taken_away_by_the_next(repository: Repository, tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = tmp_path / "temporary" / f"ragprof-against-{gone.pid}-left"
    repository.git("worktree", "add", "--detach", str(left / "tree"), "v1")
    mine = tmp_path / "temporary" / f"ragprof-against-{os.getpid()}-mine"
    repository.git("worktree", "add", "--detach", str(mine / "tree"), "v1")
    with other_side("v1", eval_file=repository.eval_file):
        assert repository.trees() == 3
    assert left_behind(tmp_path) == [mine]
