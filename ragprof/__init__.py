"""ragprof: where a RAG query's time, tokens and money go, stage by stage, and what quality they buy.

>>> import ragprof
>>> print(*(name for name in ragprof.__all__ if name[0].isupper()))
Comparison Pipeline Prices RagprofError Result Timing
>>> print(*(name for name in ragprof.__all__ if name[0].islower()))
audit compare export gate grow inject profile reweigh run save_baseline weigh

Names are imported when they are used, so that `import ragprof` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragprof.core.errors import RagprofError
    from ragprof.evals import Prices, Timing
    from ragprof.exports import export
    from ragprof.record.pipeline import Pipeline
    from ragprof.session.gating import gate
    from ragprof.session.run import Result, audit, grow, inject, profile, reweigh, run, weigh
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
    "compare",
    "export",
    "gate",
    "grow",
    "inject",
    "profile",
    "reweigh",
    "run",
    "save_baseline",
    "weigh",
]

_HOMES = {
    "Comparison": "ragprof.studies.gate.document",
    "Pipeline": "ragprof.record.pipeline",
    "Prices": "ragprof.evals",
    "RagprofError": "ragprof.core.errors",
    "Result": "ragprof.session.run",
    "Timing": "ragprof.evals",
    "audit": "ragprof.session.run",
    "compare": "ragprof.studies.gate.sides",
    "export": "ragprof.exports",
    "gate": "ragprof.session.gating",
    "grow": "ragprof.session.run",
    "inject": "ragprof.session.run",
    "profile": "ragprof.session.run",
    "reweigh": "ragprof.session.run",
    "run": "ragprof.session.run",
    "save_baseline": "ragprof.studies.gate.sides",
    "weigh": "ragprof.session.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ragprof' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
