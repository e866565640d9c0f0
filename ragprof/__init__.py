"""ragprof: where a RAG query's time, tokens and money go, stage by stage, and what quality they buy.

>>> import ragprof
>>> print(*sorted(ragprof.__all__))
Pipeline Prices RagprofError Result Timing audit grow inject profile reweigh run weigh

Names are imported when they are used, so that `import ragprof` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragprof.auditing import audit
    from ragprof.errors import RagprofError
    from ragprof.evals import Prices, Timing
    from ragprof.injecting import inject
    from ragprof.record.pipeline import Pipeline
    from ragprof.reranking import reweigh, weigh
    from ragprof.session import Result, grow, profile, run

__all__ = [
    "Pipeline",
    "Prices",
    "RagprofError",
    "Result",
    "Timing",
    "audit",
    "grow",
    "inject",
    "profile",
    "reweigh",
    "run",
    "weigh",
]

_HOMES = {
    "Pipeline": "ragprof.record.pipeline",
    "Prices": "ragprof.evals",
    "RagprofError": "ragprof.errors",
    "Result": "ragprof.session",
    "Timing": "ragprof.evals",
    "audit": "ragprof.auditing",
    "grow": "ragprof.session",
    "inject": "ragprof.injecting",
    "profile": "ragprof.session",
    "reweigh": "ragprof.reranking",
    "run": "ragprof.session",
    "weigh": "ragprof.reranking",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ragprof' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
