"""Knobs that are dotted paths on an app: found before any question, set for the time of each, and put back."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from reprlib import Repr
from typing import Any

from ragprof.core.errors import BadInput
from ragprof.core.plain import said_by

SHORT = Repr()
"""Shows values of the app's own, which may be long, or raise."""
ABSENT = object()
"""What a mapping without the key has there, so that the key is taken away again."""


@dataclass(frozen=True)
class KnobSetting:
    """A value for what stands at `path` from one of `roots`; the path is followed anew whenever it is set."""

    roots: Sequence[Any]
    path: str
    value: Any

    def found(self) -> tuple[Any, str, Any]:
        """What holds the value, by which name, and what is there now. Raises BadInput where the path leads nowhere."""
        try:
            holder, name = self.place()
            return holder, name, _inner(holder, name)
        except BadInput:
            raise
        except Exception as problem:  # properties of the app's own may raise anything
            raise BadInput(f"knob '{self.path}' cannot be read: {said_by(problem)}") from None

    def put(self, holder: Any, name: str, value: Any) -> None:
        """Raises BadInput for whatever the app's own code raises."""
        try:
            _put(holder, name, value)
        except Exception as problem:
            raise BadInput(f"knob '{self.path}' cannot be set to {SHORT.repr(value)}: {said_by(problem)}") from None

    def place(self) -> tuple[Any, str]:
        """What holds the value, and by which name. Raises BadInput where the path leads nowhere."""
        first, *steps = self.path.split(".")
        at = next((found for root in self.roots if (found := _inner(root, first)) is not ABSENT), ABSENT)
        if at is ABSENT:
            raise self._lost(first, [name for root in self.roots for name in _names(root)])
        for step in steps[:-1]:
            inner = _inner(at, step)
            if inner is ABSENT:
                raise self._lost(step, _names(at))
            at = inner
        if _inner(at, steps[-1]) is ABSENT and not isinstance(at, MutableMapping):
            raise self._lost(steps[-1], _names(at))
        return at, steps[-1]

    def _lost(self, step: str, names: Sequence[str]) -> BadInput:
        close = difflib.get_close_matches(step, [each for each in names if not each.startswith("_")], n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        return BadInput(f"knob '{self.path}': there is no '{step}' at this place of the app{hint}")


def settings_on(
    target: Any, names: Mapping[str, Any], knobs: Mapping[str, Any], *, as_declared: bool
) -> tuple[KnobSetting, ...]:
    """A setting for each path. It begins at the app, its object if it is a method, or a name of its module.

    Each is set once and put back, so that what cannot be set is known now. Raises BadInput, also where an app `as
    declared` has other values.
    """
    roots = [target, getattr(target, "__self__", None), getattr(inspect.unwrap(target), "__globals__", None), names]
    settings = tuple(KnobSetting([each for each in roots if each is not None], *knob) for knob in knobs.items())
    for setting in settings:
        found = setting.found()[-1]
        if as_declared and found is not ABSENT and not _same(found, setting.value):
            has = SHORT.repr(found)
            raise BadInput(
                f"knob '{setting.path}': the app has {has}, and the first value stands for the app as it is declared; "
                f"put {has} first"
            )
        with in_place((setting,)):
            pass
    return settings


def _same(found: Any, value: Any) -> bool:
    """Whether both are equal; what cannot be compared is not."""
    try:
        return bool(found == value)
    except Exception:  # arrays have no one answer, and objects of the app's own may raise anything
        return False


@contextmanager
def in_place(settings: Sequence[KnobSetting]) -> Iterator[None]:
    """Have the app with these settings as long as the block lasts; what was there before is put back, come what may.

    Raises BadInput where the app's own code refuses a value, or to have its own one back.
    """
    with ExitStack() as put_back:
        for setting in settings:
            holder, name, before = setting.found()
            put_back.callback(setting.put, holder, name, before)
            setting.put(holder, name, setting.value)
        yield


def _inner(holder: Any, name: str) -> Any:
    """What stands under a key, a place of a list, the name of a Haystack component, or an attribute; else ABSENT."""
    if isinstance(holder, Mapping):
        return holder.get(name, ABSENT)
    if isinstance(holder, Sequence) and not isinstance(holder, str) and name.isdecimal():
        return holder[int(name)] if int(name) < len(holder) else ABSENT
    if hasattr(holder, name):
        return getattr(holder, name)
    if callable(component := getattr(holder, "get_component", None)) and name in _names(holder):
        return component(name)
    return ABSENT


def _names(holder: Any) -> list[str]:
    """By what its inner values are called."""
    if isinstance(holder, Mapping):
        return [str(key) for key in holder]
    graph = getattr(holder, "graph", None)  # of a Haystack pipeline, whose nodes are its components
    return [*map(str, getattr(graph, "nodes", ())), *dir(holder)]


def _put(holder: Any, name: str, value: Any) -> None:
    if isinstance(holder, MutableMapping):
        if value is ABSENT:
            holder.pop(name, None)
        else:
            holder[name] = value
    elif isinstance(holder, MutableSequence) and name.isdecimal():
        holder[int(name)] = value
    else:
        setattr(holder, name, value)
