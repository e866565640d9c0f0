"""What `--against` names: a git revision, another eval file, or another environment. Becomes a Side that can be run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ragprof.against.processes import Side
from ragprof.errors import BadInput

OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
"""What git tells its hooks of the commit in the making; a check-out that went by it would overwrite that."""


@contextmanager
def other_side(against: str, *, eval_file: Path) -> Iterator[Side]:
    """The base of a comparison, as long as the block lasts; a revision is checked out beside the repository.

    `against` is an existing .toml file, else a folder with bin/python (or a python itself), else a git revision.
    Raises BadInput for what is none of these.
    """
    path = Path(against).expanduser()
    if path.suffix == ".toml":
        if not path.is_file():
            raise BadInput("no such eval file to compare with", file=path)
        yield Side(f"base {path.name}", path)
        return
    if (python := _python_of(path)) is not None:
        yield Side(f"base in {path.name}", eval_file, python=python)
        return
    with _checked_out(against, eval_file) as side:
        yield side


def _python_of(path: Path) -> Path | None:
    """The interpreter that a path names: itself, or that of the virtual environment; not resolved, as a link leads
    out of the environment."""
    for python in (path / "bin" / "python", path / "Scripts" / "python.exe", path):
        if python.is_file() and python.name.startswith("python"):
            return python.absolute()
    return None


@contextmanager
def _checked_out(revision: str, eval_file: Path) -> Iterator[Side]:
    top = Path(_git(eval_file.resolve().parent, "rev-parse", "--show-toplevel", otherwise=_no_repository(revision)))
    commit = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", otherwise=(
        f"no git revision '{revision}' (nor a file or environment of that name); in CI, fetch it first: "
        "actions/checkout with fetch-depth: 0, or git fetch origin main"
    ))  # fmt: skip
    inside = eval_file.resolve().relative_to(top.resolve())
    with TemporaryDirectory(prefix="ragprof-against-") as place:
        tree = Path(place) / "tree"
        _git(top, "worktree", "add", "--detach", "--force", str(tree), commit, otherwise="git cannot check it out")
        try:
            if not (tree / inside).is_file():
                raise BadInput(f"revision {revision} has no {inside}; compare with a later one", file=eval_file)
            yield _side_of(revision, commit, tree=tree, inside=inside, top=top)
        finally:
            with suppress(BadInput):
                _git(top, "worktree", "remove", "--force", str(tree), otherwise="")


def _side_of(revision: str, commit: str, *, tree: Path, inside: Path, top: Path) -> Side:
    """The checked out tree, its modules first on the import path, started from the place that the user stands in."""
    here = Path.cwd().resolve()
    below = here.relative_to(top.resolve()) if here.is_relative_to(top.resolve()) else Path()
    folder = tree / below
    named = revision if commit.startswith(revision) else f"{revision} ({commit[:9]})"
    paths = tuple(path for path in (tree, tree / "src") if path.is_dir())
    return Side(f"base {named}", tree / inside, folder=folder if folder.is_dir() else tree, paths=paths)


def _no_repository(revision: str) -> str:
    return (
        f"'{revision}' is no eval file and no environment, and this file is in no git repository; name one of these, "
        "or a revision inside a repository"
    )


def _git(folder: Path, *arguments: str, otherwise: str) -> str:
    """What git prints. Raises BadInput with `otherwise` and git's own last line."""
    surroundings = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
    try:
        command = ["git", "-C", str(folder), "-c", "core.hooksPath=/dev/null", *arguments]
        done = subprocess.run(command, env=surroundings, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError:
        raise BadInput("git is not installed; --against a revision needs it") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise BadInput(otherwise + (f" ({said[-1]})" if said else ""))
    return os.fsdecode(done.stdout).removesuffix("\n")
