"""Build the corpus `python-docs` from the docstrings of the packages installed beside this interpreter.

Each package is walked in a process of its own (walk_package.py). The same versions give the same bytes.
Usage: harvest.py RECIPE.toml OUTPUT_FOLDER  -> corpus.jsonl, manifest.json
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
PACKAGE_SECONDS = 300


@dataclass(eq=False)
class Passage:
    """One distinct docstring and every public name that carries it."""

    text: str
    kind: str
    names: dict[str, int] = field(default_factory=dict)

    def doc_id(self, preferred: tuple[str, ...]) -> str:
        """The name a programmer would type: as the recipe prefers, then fewest dots, then where it is defined."""

        def effort(name: str) -> tuple[bool, int, int, int, str]:
            title = name.removeprefix("builtins.")
            return not name.startswith(preferred), title.count("."), -self.names[name], len(title), name

        return min(self.names, key=effort)


def walk(package: str, scratch: Path) -> tuple[list[list[str]], str | None]:
    """Rows of one package, and what went wrong with its process, if anything did."""
    output = scratch / f"{package}.rows.jsonl"
    command = [sys.executable, str(Path(__file__).with_name("walk_package.py")), package, str(output)]
    quiet = {"PYTHONHASHSEED": "0", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "Agg", "COLUMNS": "80"}
    problem = None
    try:
        done = subprocess.run(
            command, env={**os.environ, **quiet}, timeout=PACKAGE_SECONDS, stdin=subprocess.DEVNULL, cwd=scratch
        )
        if done.returncode != 0:
            problem = f"process ended with {done.returncode}"
    except subprocess.TimeoutExpired:
        problem = f"stopped after {PACKAGE_SECONDS} s"
    lines = output.read_text(encoding="utf-8").splitlines() if output.exists() else []
    output.unlink(missing_ok=True)
    return [json.loads(line) for line in lines if line.endswith("]")], problem


def installed(distribution: str | None) -> str | None:
    if distribution is None:
        return platform.python_version()
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def merge(rows: list[list[str]], passages: dict[str, Passage], min_characters: int) -> list[str]:
    failures = []
    for name, kind, doc, owned in rows:
        if kind == "failure":
            failures.append(f"{name}: {doc}")
            continue
        text = ADDRESS.sub("", doc)
        if len(text) >= min_characters:
            passage = passages.setdefault(text, Passage(text, kind))
            passage.names[name] = max(int(owned), passage.names.get(name, 0))
    return failures


def record(passage: Passage, doc_id: str) -> dict[str, object]:
    aliases = sorted(set(passage.names) - {doc_id})
    metadata = {"package": doc_id.split(".", maxsplit=1)[0], "kind": passage.kind, "aliases": aliases}
    return {"_id": doc_id, "title": doc_id.removeprefix("builtins."), "text": passage.text, "metadata": metadata}


def identified(passages: dict[str, Passage], preferred: tuple[str, ...]) -> list[tuple[str, Passage]]:
    """Passages by id, sorted; a second passage under one name gets a number behind it."""
    taken: dict[str, Passage] = {}
    named = sorted((passage.doc_id(preferred), passage.text, passage) for passage in passages.values())
    for name, _, passage in named:
        doc_id, number = name, 1
        while doc_id in taken:
            number += 1
            doc_id = f"{name}#{number}"
        taken[doc_id] = passage
    return sorted(taken.items())


def write(path: Path, content: str) -> str:
    partial = path.with_suffix(".partial")
    partial.write_text(content, encoding="utf-8")
    partial.replace(path)
    return hashlib.sha256(content.encode()).hexdigest()


def main(recipe_path: str, output: str) -> None:
    recipe = tomllib.loads(Path(recipe_path).read_text(encoding="utf-8"))
    folder = Path(output).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    versions = {name: installed(entry.get("distribution")) for name, entry in recipe["packages"].items()}
    present = [name for name, found in versions.items() if found is not None]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        walks = dict(zip(present, pool.map(lambda name: walk(name, folder), present), strict=True))
    passages: dict[str, Passage] = {}
    failures: dict[str, list[str]] = {}
    left_out = {}  # whole or not at all: a part of a package would make another corpus out of the same versions
    for name in sorted(present):
        rows, problem = walks[name]
        broken = problem or next((text for dotted, kind, text, _ in rows if (dotted, kind) == (name, "failure")), None)
        if broken:
            left_out[name] = broken
            continue
        failures[name] = merge(rows, passages, recipe["min_characters"])
    preferred = tuple(recipe["prefer"])
    docs = [record(passage, doc_id) for doc_id, passage in identified(passages, preferred)]
    sha256 = write(folder / "corpus.jsonl", "".join(json.dumps(doc, ensure_ascii=False) + "\n" for doc in docs))
    counts = Counter(str(doc["_id"]).split(".")[0] for doc in docs)
    manifest = {
        "name": recipe["name"],
        "docs": len(docs),
        "aliases": sum(len(passage.names) - 1 for passage in passages.values()),
        "sha256": sha256,
        "versions": versions,
        "licences": {name: entry["licence"] for name, entry in recipe["packages"].items()},
        "docs_by_package": dict(counts.most_common()),
        "left_out": left_out,
        "failures": {name: lines for name, lines in failures.items() if lines},
    }
    write(folder / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
