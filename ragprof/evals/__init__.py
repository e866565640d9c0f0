"""The eval file: what to profile, on which corpus, with which questions and prices. TOML, every key checked.

Names are imported when they are used: a finished recording is drawn without the tables of the file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragprof.evals.config import (
        DEFAULT_METRICS,
        CorpusSettings,
        EvalConfig,
        EvaluationSettings,
        PipelineConfig,
        Prices,
        TrafficSettings,
    )
    from ragprof.evals.curate import CurateSettings
    from ragprof.evals.gate import GateMargin, GateSettings
    from ragprof.evals.growth import CURVES, Curve, GrowthSettings, GrowthTiming
    from ragprof.evals.injection import BudgetSettings, EnergySettings, InjectionSettings, InjectionTiming
    from ragprof.evals.reading import complaint, line_of, read_eval
    from ragprof.evals.reranker import RerankerSettings, RerankerTiming
    from ragprof.evals.settings import handed_down, keep_settings, lasting, settings_of, unpriced
    from ragprof.evals.tables import EvalTable, Misplaced, Timing

__all__ = [
    "CURVES",
    "DEFAULT_METRICS",
    "BudgetSettings",
    "CorpusSettings",
    "CurateSettings",
    "Curve",
    "EnergySettings",
    "EvalConfig",
    "EvaluationSettings",
    "GateSettings",
    "GrowthSettings",
    "GrowthTiming",
    "InjectionSettings",
    "InjectionTiming",
    "GateMargin",
    "Misplaced",
    "PipelineConfig",
    "Prices",
    "RerankerTiming",
    "RerankerSettings",
    "EvalTable",
    "Timing",
    "TrafficSettings",
    "complaint",
    "handed_down",
    "keep_settings",
    "lasting",
    "line_of",
    "read_eval",
    "settings_of",
    "unpriced",
]

_HOMES = {
    "DEFAULT_METRICS": "ragprof.evals.config",
    "CorpusSettings": "ragprof.evals.config",
    "EvalConfig": "ragprof.evals.config",
    "EvaluationSettings": "ragprof.evals.config",
    "PipelineConfig": "ragprof.evals.config",
    "Prices": "ragprof.evals.config",
    "TrafficSettings": "ragprof.evals.config",
    "CurateSettings": "ragprof.evals.curate",
    "GateMargin": "ragprof.evals.gate",
    "GateSettings": "ragprof.evals.gate",
    "CURVES": "ragprof.evals.growth",
    "Curve": "ragprof.evals.growth",
    "GrowthSettings": "ragprof.evals.growth",
    "GrowthTiming": "ragprof.evals.growth",
    "BudgetSettings": "ragprof.evals.injection",
    "EnergySettings": "ragprof.evals.injection",
    "InjectionSettings": "ragprof.evals.injection",
    "InjectionTiming": "ragprof.evals.injection",
    "complaint": "ragprof.evals.reading",
    "line_of": "ragprof.evals.reading",
    "read_eval": "ragprof.evals.reading",
    "RerankerSettings": "ragprof.evals.reranker",
    "RerankerTiming": "ragprof.evals.reranker",
    "handed_down": "ragprof.evals.settings",
    "keep_settings": "ragprof.evals.settings",
    "lasting": "ragprof.evals.settings",
    "settings_of": "ragprof.evals.settings",
    "unpriced": "ragprof.evals.settings",
    "EvalTable": "ragprof.evals.tables",
    "Misplaced": "ragprof.evals.tables",
    "Timing": "ragprof.evals.tables",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ragprof.evals' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
