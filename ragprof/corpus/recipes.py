"""Corpora that are built on the user's machine by a recipe: a folder with recipe.toml and the script that it names.

The built corpus is kept under a digest of the recipe's files and of the versions that it was built from, so a new
package version makes a new corpus. A recipe's script is run as it is: use recipes that you would run yourself.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from ragprof.core import environment, plain
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.files import read_toml, sha256_of, written_path
from ragprof.corpus.jsonl import CORPUS_FILE

RECIPE_FILE = "recipe.toml"
MANIFEST_FILE = "manifest.json"
SCRIPT_LINES_SHOWN = 5


class PackageEntry(BaseModel):
    """One package that the corpus is made from; without a distribution it comes with Python."""

    distribution: str | None = None
    licence: str = "unknown"


class RecipeFile(BaseModel):
    """What recipe.toml must say; the build script may read more in it."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    title: str = ""
    build: str = Field(pattern=r"^[^/\\]+\.py$")
    packages: dict[str, PackageEntry] = {}


@dataclass(frozen=True)
class Recipe:
    """A recipe that can be built. `distributions`: package -> what it is installed as, None for Python itself."""

    folder: Path
    name: str
    title: str
    script: Path
    distributions: Mapping[str, str | None]
    licences: Mapping[str, str]


def info(recipe_folder: Path) -> Recipe:
    """Read recipe.toml. Raises BadInput where it or the script that it names is missing or malformed."""
    path = recipe_folder / RECIPE_FILE
    if not path.is_file():
        raise BadInput("there is no such recipe; a recipe folder has a recipe.toml", file=path)
    try:
        said = RecipeFile.model_validate(read_toml(path, what="recipe")[1])
    except ValidationError as failure:
        first = failure.errors()[0]
        raise BadInput(f"'{'.'.join(map(str, first['loc']))}': {plain.refused(first)}", file=path) from None
    script = recipe_folder / said.build
    if not script.is_file():
        raise BadInput(f"build = '{said.build}', but there is no such script beside it; add or rename it", file=path)
    return Recipe(
        folder=recipe_folder,
        name=said.name,
        title=said.title or said.name,
        script=script,
        distributions={name: entry.distribution for name, entry in said.packages.items()},
        licences={name: entry.licence for name, entry in said.packages.items()},
    )


def installed_versions(recipe: Recipe) -> dict[str, str | None]:
    """Package -> version beside this interpreter; None where it is not installed."""
    return {
        name: platform.python_version() if distribution is None else environment.installed(distribution)
        for name, distribution in recipe.distributions.items()
    }


def built_folder(recipe: Recipe, *, cache: Path) -> Path:
    """Where the corpus of this recipe and these versions is, or will be."""
    files = sorted(path for suffix in ("*.py", "*.toml") for path in recipe.folder.rglob(suffix))
    rests_on = {
        "files": {path.relative_to(recipe.folder).as_posix(): sha256_of(path) for path in files},
        "python": platform.python_version(),
        "versions": installed_versions(recipe),
    }
    digest = hashlib.sha256(json.dumps(rests_on, sort_keys=True).encode()).hexdigest()[:16]
    return cache / "corpora" / f"{recipe.name}-{digest}"


def is_built(folder: Path) -> bool:
    """Whether the folder is complete: corpus.jsonl is there, with the sha256 that manifest.json gives."""
    corpus, manifest = folder / CORPUS_FILE, folder / MANIFEST_FILE
    if not (corpus.is_file() and manifest.is_file()):
        return False
    try:
        return bool(manifest_of(folder).get("sha256") == sha256_of(corpus))
    except BadInput:
        return False


def build(recipe_folder: Path, *, cache: Path) -> Path:
    """The folder with corpus.jsonl and manifest.json, built if it is not there yet. Raises BadInput if that fails."""
    recipe = info(recipe_folder)
    target = built_folder(recipe, cache=cache)
    if is_built(target):
        return target
    with _partial_beside(target) as partial:
        _run(recipe, partial)
        if not is_built(partial):
            expected = f"{CORPUS_FILE} and a {MANIFEST_FILE} with its sha256"
            raise BadInput(f"the script succeeded, but did not write {expected}", file=recipe.script)
        if is_built(target):  # another build was faster; its corpus is kept
            return target
        shutil.rmtree(target, ignore_errors=True)
        try:
            partial.rename(target)
        except OSError as failure:
            if not is_built(target):
                said = f"cannot put the built corpus here: {failure.strerror}; run again"
                raise BadInput(said, file=target) from None
    return target


def manifest_of(folder: Path) -> dict[str, Any]:
    """Read the manifest that the build wrote."""
    path = folder / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as failure:
        raise BadInput(f"not a readable manifest ({failure}); remove its folder and build again", file=path) from None
    if not isinstance(manifest, dict):
        raise BadInput("not an object; remove its folder and build again", file=path)
    return manifest


def find(name_or_path: str, *, near: Path) -> Path:
    """The corpus meant: a name in `corpora/` beside the file `near`, above it or in the current folder, or a path.

    Relative paths start at `near`. Raises UnknownName with the names that there are, BadInput for a path.
    """
    folder = (near if near.is_dir() else near.parent).resolve()
    shelves = [parent / "corpora" for parent in dict.fromkeys([folder, *folder.parents, Path.cwd()])]
    is_name = re.fullmatch(r"[A-Za-z0-9][^/\\]*", name_or_path) is not None
    named = [shelf / name_or_path for shelf in shelves] if is_name else []
    candidates = [*named, folder / written_path(name_or_path)]
    found = next((path for path in candidates if path.exists()), None)
    if found is not None:
        return found
    if not named:
        raise BadInput("there is no such corpus; the path starts at the file that names it", file=candidates[-1])
    there = {path.name for shelf in shelves if shelf.is_dir() for path in shelf.iterdir()}
    raise UnknownName("corpus", name_or_path, {name for name in there if not name.startswith(".")})


@contextmanager
def _partial_beside(target: Path) -> Iterator[Path]:
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as failure:
        message = f"cannot write it: {failure.strerror}; set RAGPROF_CACHE to a folder that can be written"
        raise BadInput(message, file=target.parent) from None
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _run(recipe: Recipe, output: Path) -> None:
    script, settings = recipe.script.resolve(), (recipe.folder / RECIPE_FILE).resolve()
    command = [sys.executable, str(script), str(settings), str(output.resolve())]
    done = subprocess.run(  # noqa: S603 - running the recipe's own script is what a recipe is for
        command,
        env=environment.without_secrets(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-SCRIPT_LINES_SHOWN:]
        said = "\n".join(last) or "nothing"
        message = (
            f"building the corpus '{recipe.name}' ended with {done.returncode}; mend the script, which said:\n{said}"
        )
        raise BadInput(message, file=recipe.script)
