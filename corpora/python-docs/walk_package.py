"""Child process of harvest.py: write the docstrings of one package's public names, one JSON array a line.

Refuses nothing: an import that prints, raises, exits or hangs is written down as a failure and the walk goes on.
Usage: walk_package.py PACKAGE OUTPUT.jsonl  (PACKAGE `stdlib` stands for every public module of the standard library)
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import pkgutil
import signal
import sys
import types
import warnings
from collections.abc import Iterator
from typing import TextIO

IMPORT_SECONDS = 30
ROOT_SECONDS = 180  # the first import of a large package from a cold disk
NOT_LIBRARY = {"antigravity", "this", "idlelib", "lib2to3", "turtledemo", "msilib", "test", "distutils", "encodings"}
NOT_LIBRARY |= {"posix", "nt", "genericpath", "nturl2path", "opcode"}  # shown under the names of `os` and `dis`
NOT_DOCUMENTATION = {"tests", "test", "conftest", "setup", "externals", "backends", "testing", "distutils"}
PUBLIC_NAMES = {"posixpath": "os.path"}
DESCRIPTORS = (property, types.GetSetDescriptorType, types.MemberDescriptorType, classmethod, staticmethod)


def is_public(dotted: str) -> bool:
    return not any(part.startswith("_") or part in NOT_DOCUMENTATION for part in dotted.split("."))


def roots(package: str) -> list[str]:
    if package != "stdlib":
        return [package]
    return sorted(name for name in sys.stdlib_module_names if not name.startswith("_") and name not in NOT_LIBRARY)


def submodules(root: str) -> list[str]:
    path = getattr(sys.modules.get(root), "__path__", None)
    if path is None:
        return []
    found = pkgutil.walk_packages(path, root + ".", onerror=lambda _: None)
    return sorted(module.name for module in found if is_public(module.name))


def own_doc(thing: object) -> str | None:
    """The thing's own docstring, cleaned; None when it only shows its type's."""
    doc = getattr(thing, "__doc__", None)
    if not isinstance(doc, str) or doc == type(thing).__doc__:
        return None
    return inspect.cleandoc(doc)


def belongs(thing: object, root: str) -> bool:
    owner = getattr(thing, "__module__", None)
    if not isinstance(owner, str):
        owner = type(thing).__module__ if not isinstance(thing, types.BuiltinFunctionType) else root
    top = owner.split(".")[0]
    return top.lstrip("_") == root.lstrip("_") or (root in sys.stdlib_module_names and top in sys.stdlib_module_names)


def members(cls: type) -> Iterator[tuple[str, object, bool]]:
    """Public documented attributes: name, object, and whether this very class defines it."""
    for name in sorted(dir(cls)):
        if name.startswith("_"):
            continue
        try:
            raw = inspect.getattr_static(cls, name)
        except AttributeError:
            continue
        if inspect.isclass(raw) or not (callable(raw) or isinstance(raw, DESCRIPTORS)):
            continue
        yield name, raw, name in vars(cls)


def rows(module: types.ModuleType, root: str) -> Iterator[tuple[str, str, str, int]]:
    """(dotted name, kind, docstring, ownership) for a module, its callables and their members.

    Ownership is 2 where the thing says that it was defined in this module, 1 where only its name agrees, else 0.
    """
    path = PUBLIC_NAMES.get(module.__name__, module.__name__)
    yield path, "module", own_doc(module) or "", 2
    for name in sorted(vars(module)):
        thing = vars(module)[name]
        if name.startswith("_") or inspect.ismodule(thing) or not callable(thing) or not belongs(thing, root):
            continue
        dotted = f"{path}.{name}"
        named_so = getattr(thing, "__qualname__", name) == name
        home = named_so + (named_so and getattr(thing, "__module__", None) == module.__name__)
        kind = "class" if inspect.isclass(thing) else "function"
        yield dotted, kind, own_doc(thing) or "", home
        if inspect.isclass(thing):
            for member, raw, here in members(thing):
                yield f"{dotted}.{member}", "member", own_doc(raw) or "", home if here else 0


def visit(name: str, root: str, out: TextIO) -> None:
    signal.alarm(ROOT_SECONDS if name == root else IMPORT_SECONDS)
    try:
        module = importlib.import_module(name)
        for row in rows(module, root):
            if row[2]:
                out.write(json.dumps(row) + "\n")
    except (SystemExit, Exception) as failure:
        out.write(json.dumps([name, "failure", f"{type(failure).__name__}: {failure}"[:200], 0]) + "\n")
    finally:
        signal.alarm(0)


def hush() -> None:
    """Send whatever the imported modules print to nowhere."""
    warnings.simplefilter("ignore")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def seed_numpy() -> None:
    """Examples that are drawn at import time (scipy.stats has some) must be the same in every build."""
    random = importlib.import_module("numpy.random")
    unseeded = random.default_rng

    @functools.wraps(unseeded)
    def default_rng(seed: object = None) -> object:
        return unseeded(0 if seed is None else seed)

    random.default_rng = default_rng


def on_alarm(_signal: int, _frame: object) -> None:
    raise TimeoutError("no answer in time")


def main(package: str, output: str) -> None:
    hush()
    signal.signal(signal.SIGALRM, on_alarm)
    if package != "stdlib":
        seed_numpy()
    with open(output, "w", encoding="utf-8") as out:
        for root in roots(package):
            visit(root, root, out)
            for name in submodules(root):
                visit(name, root, out)
        out.flush()
        os._exit(0)  # imported modules leave threads and exit hooks behind that may hang


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
