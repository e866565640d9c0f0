"""ragprof: where a RAG query's time, tokens and money go, stage by stage, and what quality they buy.

>>> import ragprof
>>> print(*(name for name in ragprof.__all__ if name[0].isupper()))
Comparison Pipeline Prices RagprofError Result Timing
>>> names = [name for name in ragprof.__all__ if name[0].islower()]
>>> print(*names[:10])
audit chunking compare curate export gate grow init inject label
>>> print(*names[10:])
load profile recording reranker restate reweigh run save_baseline screen span stage stores trace weigh

Names are imported when they are used, so that `import ragprof` costs next to nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragprof.core.errors import RagprofError
    from ragprof.core.spans import span, stage
    from ragprof.evals import Prices, Timing
    from ragprof.exports import export
    from ragprof.record.pipeline import Pipeline
    from ragprof.session.again import Result, restate, reweigh
    from ragprof.session.gating import gate
    from ragprof.session.initial import init
    from ragprof.session.labelling import label
    from ragprof.session.notebook import recording
    from ragprof.session.run import (
        audit,
        chunking,
        curate,
        grow,
        inject,
        load,
        profile,
        reranker,
        run,
        screen,
        stores,
        weigh,
    )
    from ragprof.session.tracing import trace
    from ragprof.studies.gate.document import Comparison
    from ragprof.studies.gate.sides import compare, save_baseline


__all__ = [
    "Comparison",
    "Pipeline",
    "Prices",
    "RagprofError",
    "Result",
    "Timing",
    "audit",
    "chunking",
    "compare",
    "curate",
    "export",
    "gate",
    "grow",
    "init",
    "inject",
    "label",
    "load",
    "profile",
    "recording",
    "reranker",
    "restate",
    "reweigh",
    "run",
    "save_baseline",
    "screen",
    "span",
    "stage",
    "stores",
    "trace",
    "weigh",
]

_HOMES = {
    "Comparison": "ragprof.studies.gate.document",
    "Pipeline": "ragprof.record.pipeline",
    "Prices": "ragprof.evals",
    "RagprofError": "ragprof.core.errors",
    "Result": "ragprof.session.again",
    "Timing": "ragprof.evals",
    "audit": "ragprof.session.run",
    "chunking": "ragprof.session.run",
    "compare": "ragprof.studies.gate.sides",
    "curate": "ragprof.session.run",
    "export": "ragprof.exports",
    "gate": "ragprof.session.gating",
    "grow": "ragprof.session.run",
    "init": "ragprof.session.initial",
    "inject": "ragprof.session.run",
    "label": "ragprof.session.labelling",
    "load": "ragprof.session.run",
    "profile": "ragprof.session.run",
    "recording": "ragprof.session.notebook",
    "reranker": "ragprof.session.run",
    "restate": "ragprof.session.again",
    "reweigh": "ragprof.session.again",
    "run": "ragprof.session.run",
    "save_baseline": "ragprof.studies.gate.sides",
    "screen": "ragprof.session.run",
    "stores": "ragprof.session.run",
    "span": "ragprof.core.spans",
    "stage": "ragprof.core.spans",
    "trace": "ragprof.session.tracing",
    "weigh": "ragprof.session.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ragprof' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


_MOVED = {
    "ragprof.errors": "ragprof.core.errors",
    "ragprof.registry": "ragprof.core.registry",
    "ragprof.stages": "ragprof.core.stages",
    "ragprof.distractors": "ragprof.studies.growth",
    "ragprof.distractors.contradictions": "ragprof.studies.growth.contradictions",
    "ragprof.distractors.near_copies": "ragprof.studies.growth.near_copies",
}
"""Modules that parts of other packages import by a former name; these names go with the next release."""


class _Moved:
    """Finds a moved module under its former name."""

    @staticmethod
    def find_spec(
        name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, _Moved) if name in _MOVED else None  # type: ignore[arg-type]  # a loader by its methods

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        module = import_module(_MOVED[spec.name])
        sys.modules[spec.name] = module
        return module

    @staticmethod
    def exec_module(_module: ModuleType) -> None:
        """It ran when it was imported by its own name."""


sys.meta_path.insert(0, _Moved)
