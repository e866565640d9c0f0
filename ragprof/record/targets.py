"""What an eval file names as an app: `module:attribute`, `file.py:attribute` or an address. Runs the user's own code.

Nothing is imported before it was named, and nothing but what was named.
"""

from __future__ import annotations

import difflib
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import localcontext
from hashlib import sha256
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from inspect import Parameter, isclass, signature
from pathlib import Path
from threading import Event, current_thread, main_thread
from types import FrameType, ModuleType
from typing import Any

import numpy as np

from ragprof.core import registry
from ragprof.core.errors import BadInput
from ragprof.core.plain import said_by
from ragprof.core.registry import PartSpec
from ragprof.record import opentelemetry
from ragprof.record.apps import AskedApp, left_alone, stayed_in
from ragprof.record.indexing import Indexing

ADDRESSES = ("http://", "https://")
EXTRAS: Mapping[str, str] = {
    "langchain_core": "langchain", "llama_index": "llamaindex", "haystack": "haystack",
    "opentelemetry": "opentelemetry",
}  # fmt: skip
"""Module -> what of ragprof brings its package."""
LAST = "callable"
"""The kind that fits anything that can be called, so it is tried last."""


def located(target: str, *, beside: Path) -> Any:
    """The app that is named; an address is itself. A function that takes nothing is called once for its app."""
    return target if target.startswith(ADDRESSES) else _made(named("app", target, beside=beside), target)


def named(key: str, target: str, *, beside: Path) -> Any:
    """What stands under `module:attribute` or `file.py:attribute`, the value of a key of the eval file.

    Files are relative to the folder `beside`, where modules are looked for, too. Raises BadInput for a module that does
    not import, with the last place in its traceback, and for an attribute that it lacks.
    """
    module_name, colon, path = target.rpartition(":")
    if not colon or not module_name or not path:
        raise BadInput(
            f"{key} = '{target}' is none; write module:attribute, file.py:attribute, or an address like "
            "http://127.0.0.1:8000/answer"
        )
    for folder in (str(Path.cwd()), str(beside.resolve())):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    found: Any = _module(module_name, beside)
    for name in path.split("."):
        if not hasattr(found, name):
            close = difflib.get_close_matches(name, [each for each in dir(found) if not each.startswith("_")], n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise BadInput(f"{key} = '{target}': {module_name} has no '{name}'{hint}")
        found = getattr(found, name)
    return found


def names_beside(target: str, *, beside: Path) -> Mapping[str, Any]:
    """What the module of an app that was located before calls by a name; nothing of an address."""
    return {} if target.startswith(ADDRESSES) else vars(_module(target.rpartition(":")[0], beside))


def _module(name: str, beside: Path) -> ModuleType:
    folder = Path.cwd()
    try:
        # What it sets for its own arithmetic and warnings is not for ours.
        with np.errstate(), warnings.catch_warnings(), localcontext(), left_alone(), watching_for_ctrl_c() as pressed:
            found = _of_file(beside / Path(name).expanduser(), name) if name.endswith(".py") else import_module(name)
    except BadInput:
        raise
    except BaseException as problem:  # code of the user's own may raise anything, SystemExit too
        if isinstance(problem, KeyboardInterrupt) and pressed.is_set():
            raise
        raise BadInput(f"app: {name} does not import: {_last_place(problem)}") from None
    stayed_in(folder, name)
    return found


@contextmanager
def watching_for_ctrl_c() -> Iterator[Event]:
    """An event that is set once somebody interrupts the run: code of the user's own may raise the same."""
    pressed, before = Event(), signal.getsignal(signal.SIGINT)
    if current_thread() is not main_thread() or before is not signal.default_int_handler:
        pressed.set()
        yield pressed
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield pressed
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, before)


def _of_file(path: Path, name: str) -> ModuleType:
    if not path.is_file():
        raise BadInput(f"app: there is no file {name}", file=None)
    stamp = f"{path.resolve()} {path.stat().st_mtime_ns}"
    own_name = f"{path.stem}_{sha256(stamp.encode()).hexdigest()[:8]}"
    if own_name in sys.modules:
        return sys.modules[own_name]
    spec = spec_from_file_location(own_name, path)
    if spec is None or spec.loader is None:
        raise BadInput(f"app: {name} is no Python file")
    module = sys.modules[own_name] = module_from_spec(spec)
    if str(path.parent.resolve()) not in sys.path:
        sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[own_name]
        raise
    return module


def _last_place(problem: BaseException) -> str:
    """The error in one line, with the last place of its traceback that is not of the import machinery."""
    said = said_by(problem)
    if isinstance(problem, ModuleNotFoundError) and (problem.name or "").partition(".")[0] in EXTRAS:
        said += f"; pip install 'ragprof[{EXTRAS[(problem.name or '').partition('.')[0]]}]'"
    if isinstance(problem, SyntaxError) and problem.filename:
        return f"{said.partition(' (')[0]} ({Path(problem.filename).name}:{problem.lineno})"
    frames = [
        frame
        for frame in traceback.extract_tb(problem.__traceback__)
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    return f"{said} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else said


def _made(found: Any, target: str) -> Any:
    """What a factory makes: a function, no class, that takes nothing at all."""
    if not callable(found) or isclass(found) or not hasattr(found, "__code__"):
        return found
    try:
        takes = signature(found).parameters.values()
    except (TypeError, ValueError):
        return found
    if any(each.default is Parameter.empty or each.kind is Parameter.VAR_POSITIONAL for each in takes):
        return found
    try:
        with left_alone(), watching_for_ctrl_c() as pressed:
            return found() if not takes else found
    except BaseException as problem:
        if isinstance(problem, KeyboardInterrupt) and pressed.is_set():
            raise
        raise BadInput(f"app = '{target}' made no app: {_last_place(problem)}") from None


def asked_app(
    name: str,
    target: Any,
    *,
    known_as: str,
    kind: str | None,
    doc_id: str | None,
    timeout_s: float,
    options: Mapping[str, Any],
    count: Callable[[str], int],
    indexing: Indexing | None = None,
    index_timeout_s: float = 3600.0,
) -> AskedApp:
    """An app that can be asked; its kind is guessed where none is named.

    Raises UnknownName for a kind or an option that there is not, and BadInput for what no kind fits.
    """
    chosen = kind_of(target, known_as, kind)
    given = {key: value for key, value in options.items() if value is not None}
    if chosen == "http":
        given["timeout_seconds"] = timeout_s
    app = registry.create("apps", PartSpec.model_validate({"name": chosen, "target": target, **given}))
    watchers = [*(registry.find("apps", each).watched for each in registry.names("apps")), opentelemetry.watched]
    return AskedApp(
        app, name=name, kind=chosen, target=known_as, id_path=doc_id, timeout_s=timeout_s, count=count,
        watchers=watchers, indexing=indexing, index_timeout_s=index_timeout_s,
    )  # fmt: skip


def kind_of(target: Any, known_as: str, kind: str | None) -> str:
    """The kind that is named, else the one that fits. Raises UnknownName, and BadInput for what none fits."""
    if kind is not None:
        if not registry.find("apps", kind).fits(target):
            raise BadInput(f"app = '{known_as}' is a {type(target).__name__}, which is none of the kind {kind}")
        return kind
    names = registry.names("apps")
    for name in sorted(names, key=lambda each: (each == LAST, each)):
        fits = getattr(registry.find("apps", name), "fits", None)
        if fits is not None and fits(target):
            return name
    methods = [name for name in ("invoke", "run", "query", "retrieve", "answer", "ask") if hasattr(target, name)]
    wrap = f"; name its method, as in app = '{known_as}.{methods[0]}'" if methods else ""
    raise BadInput(
        f"app = '{known_as}' is a {type(target).__name__}, which is no app: give what is called with a question{wrap}"
    )
