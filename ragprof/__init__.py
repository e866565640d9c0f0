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
    from ragprof.auditing import audit
    from ragprof.comparing import Comparison, compare, save_baseline
    from ragprof.errors import RagprofError
    from ragprof.evals import Prices, Timing
    from ragprof.exporting import export
    from ragprof.gating import gate
    from ragprof.injecting import inject
    from ragprof.record.pipeline import Pipeline
    from ragprof.reranking import reweigh, weigh
    from ragprof.session import Result, grow, profile, run

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
    "Comparison": "ragprof.comparing",
    "Pipeline": "ragprof.record.pipeline",
    "Prices": "ragprof.evals",
    "RagprofError": "ragprof.errors",
    "Result": "ragprof.session",
    "Timing": "ragprof.evals",
    "audit": "ragprof.auditing",
    "compare": "ragprof.comparing",
    "export": "ragprof.exporting",
    "gate": "ragprof.gating",
    "grow": "ragprof.session",
    "inject": "ragprof.injecting",
    "profile": "ragprof.session",
    "reweigh": "ragprof.reranking",
    "run": "ragprof.session",
    "save_baseline": "ragprof.comparing",
    "weigh": "ragprof.reranking",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ragprof' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
