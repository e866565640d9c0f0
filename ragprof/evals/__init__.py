"""The eval file: what to profile, on which corpus, with which questions and prices. TOML, every key checked."""

from ragprof.evals.config import (
    DEFAULT_METRICS,
    CorpusSettings,
    EvalConfig,
    EvaluationSettings,
    PipelineConfig,
    Prices,
    TrafficSettings,
)
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
