"""The eval file: what to profile, on which corpus, with which questions and prices. TOML, every key checked."""

from ragprof.evals.config import (
    DEFAULT_METRICS,
    CorpusSource,
    EvalConfig,
    EvaluationSource,
    PipelineConfig,
    Prices,
    Traffic,
    unpriced,
)
from ragprof.evals.gate import Gate, Margin
from ragprof.evals.growth import CURVES, Curve, Growth, GrowthTiming
from ragprof.evals.injection import Budget, Energy, Injection, InjectionTiming
from ragprof.evals.reading import complaint, line_of, read_eval
from ragprof.evals.reranker import RerankerTiming, Reranking
from ragprof.evals.tables import Misplaced, Table, Timing

__all__ = [
    "CURVES",
    "DEFAULT_METRICS",
    "Budget",
    "CorpusSource",
    "Curve",
    "Energy",
    "EvalConfig",
    "EvaluationSource",
    "Gate",
    "Growth",
    "GrowthTiming",
    "Injection",
    "InjectionTiming",
    "Margin",
    "Misplaced",
    "PipelineConfig",
    "Prices",
    "RerankerTiming",
    "Reranking",
    "Table",
    "Timing",
    "Traffic",
    "complaint",
    "line_of",
    "read_eval",
    "unpriced",
]
