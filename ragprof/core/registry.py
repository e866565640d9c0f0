"""Plugins by name: a file in `ragprof/parts/<kind>/` (apps: `ragprof/apps/`, readers: `ragprof/corpus/readers/`) or an
entry point in the group `ragprof.<kind>`.

The file's name is the plugin's name and its module ends in `plugin = TheClass`. Listing names imports nothing;
creating a part imports just that module and checks the options against the class's own signature.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model, model_validator

from ragprof.core import plain, stages
from ragprof.core.errors import BadInput, UnknownName

Kind: TypeAlias = Literal["embedders", "stores", "rerankers", "injectors", "generators", "signals", "apps", "readers"]
PACKAGE = Path(__file__).parents[1]
ROOMS: Mapping[Kind, tuple[str, ...]] = {"apps": ("apps",), "readers": ("corpus", "readers")}
"""Where plugins of a kind are, if not in the folder of their kind in `parts`."""
KINDS: tuple[Kind, ...] = ("embedders", "stores", "rerankers", "injectors", "generators", "signals", "apps", "readers")
PROTOCOLS: Mapping[Kind, type] = {
    "embedders": stages.Embedder,
    "stores": stages.Store,
    "rerankers": stages.Reranker,
    "injectors": stages.Injector,
    "generators": stages.Generator,
    "signals": stages.Signal,
    "apps": stages.App,
    "readers": stages.Reader,
}
"""What a part of each kind promises; mypy holds the built-in parts to it where their modules end."""


class PartSpec(BaseModel):
    """A part as the eval file declares it: a name, or a table with `name` and the part's options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @model_validator(mode="before")
    @classmethod
    def from_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> Mapping[str, Any]:
        return self.model_extra or {}

    @property
    def key(self) -> str:
        """Equal specifications have equal keys."""
        return json.dumps(self.model_dump(), sort_keys=True, default=str)


def names(kind: Kind) -> list[str]:
    """All plugin names of one kind, sorted. Imports no plugin."""
    folder = PACKAGE.joinpath(*_room(kind))
    built_in = {module.name for module in pkgutil.iter_modules([str(folder)]) if not module.name.startswith("_")}
    return sorted(built_in | set(_outside(kind)))


def create(kind: Kind, spec: PartSpec) -> Any:
    """Build a part. Raises UnknownName for a name or an option, BadInput for a value or for a member that it lacks."""
    factory = find(kind, spec.name)
    parameters = inspect.signature(factory).parameters
    what = f"option of the {kind.removesuffix('s')} '{spec.name}'"
    for option in spec.options:
        if option not in parameters:
            raise UnknownName(what, option, parameters)
    hints = get_type_hints(factory.__init__, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in parameters.items()
    }
    model = create_model(f"{spec.name}_options", __config__=ConfigDict(arbitrary_types_allowed=True), **fields)
    try:
        checked = model(**spec.options)
    except ValidationError as failure:
        first = failure.errors()[0]
        raise BadInput(f"{what} '{'.'.join(map(str, first['loc']))}': {plain.refused(first)}") from None
    return whole(kind, spec.name, factory(**{name: getattr(checked, name) for name in spec.options}))


def members(kind: Kind) -> list[str]:
    """Names that every part of a kind has, sorted."""
    return sorted({name for each in PROTOCOLS[kind].__mro__ for name in vars(each) if not name.startswith("_")})


def whole(kind: Kind, name: str, part: Any) -> Any:
    """The part itself, once it has every member of its kind. Raises BadInput that names those that it lacks.

    Members are looked up without being asked for their values: a property may load a model.
    """
    lacking = [each for each in members(kind) if inspect.getattr_static(part, each, None) is None]
    lacking = [each for each in lacking if not hasattr(part, each)]
    if lacking:
        single = kind.removesuffix("s")
        raise BadInput(
            f"the {single} '{name}' lacks {', '.join(lacking)}; every {single} has {', '.join(members(kind))} "
            f"(ragprof.core.stages.{PROTOCOLS[kind].__name__} says what each of them is)"
        )
    return part


def find(kind: Kind, name: str) -> Any:
    """The plugin's class. Imports its module and no other."""
    outside = _outside(kind)
    if name in outside:
        return outside[name].load()
    if name not in names(kind):
        raise UnknownName(kind.removesuffix("s"), name, names(kind))
    return importlib.import_module(".".join(("ragprof", *_room(kind), name))).plugin


def summary(kind: Kind, name: str) -> str:
    """First line of the plugin module's docstring, read from its source without importing it."""
    outside = _outside(kind)
    if name in outside:
        return f"from {outside[name].value}"
    source = PACKAGE.joinpath(*_room(kind), f"{name}.py").read_text(encoding="utf-8")
    return source.lstrip('"').split("\n", 1)[0].rstrip('"')


def _room(kind: Kind) -> tuple[str, ...]:
    return ROOMS.get(kind, ("parts", kind))


def _outside(kind: Kind) -> Mapping[str, EntryPoint]:
    return _entries(kind, tuple(sys.path))


@cache
def _entries(kind: Kind, _path: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    """What packages on this path add. Reading their metadata takes a sixtieth of a second, so it is read once."""
    return {entry.name: entry for entry in entry_points(group=f"ragprof.{kind}")}
