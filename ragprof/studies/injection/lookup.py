"""Where things are in `summary["injection"]`, and what its figures rest on in words. Every key may be missing or null.

A summary without the study reads as one without pipelines here. Nothing absent becomes 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ragprof.report import figures
from ragprof.report.lookup import Summary, at, entries, pipelines

Step: TypeAlias = Mapping[str, Any]
BY_K, BY_BUDGET = "by_k", "by_budget"
_SIZES = {BY_K: "k", BY_BUDGET: "budget_tokens"}
_NAMED = ("answers", BY_K, BY_BUDGET, "orders", "marginal")
_CORRECT = {
    "contains": "a gold answer stands in the answer",
    "exact": "the answer is a gold answer, word for word",
    "f1": "the answer shares at least half of its tokens with a gold answer (F1)",
}


def names(summary: Summary) -> list[str]:
    """Pipelines that answered, in the order of the summary."""
    asked = dict.fromkeys(name for part in _NAMED for name in at(summary, "injection", part) or {})
    known = [name for name in pipelines(summary) if name in asked or economics(summary, name)]
    return known + [name for name in asked if name not in known]


def is_present(summary: Summary) -> bool:
    return bool(names(summary) or entries(summary, "injection", "time_to_first_token", "points"))


def answers(summary: Summary, name: str) -> Mapping[str, Any]:
    return at(summary, "injection", "answers", name) or {}


def economics(summary: Summary, name: str) -> Mapping[str, Any]:
    return at(summary, "pipelines", name, "economics") or {}


def size_of(step: Step, part: str) -> Any:
    """The k or the token budget of a step of that part."""
    return at(step, _SIZES[part])


def steps(summary: Summary, part: str, name: str) -> list[Step]:
    """The pipeline's steps in rising k (or budget); those without one cannot be placed and are left out."""
    found = entries(summary, "injection", part, name)
    return sorted((one for one in found if size_of(one, part) is not None), key=lambda one: float(size_of(one, part)))


def presets(summary: Summary) -> list[Mapping[str, Any]]:
    """Named time-sensitivities in rising k."""
    found = entries(summary, "injection", "utility", "presets")
    return sorted((one for one in found if at(one, "k") is not None), key=lambda one: float(one["k"]))


def utility_at(summary: Summary, name: str, k: float) -> Any:
    """The estimate of the pipeline's U at that time-sensitivity, or None."""
    found = at(economics(summary, name), "utility") or {}
    return next((estimate for key, estimate in found.items() if _number(key) == k), None)


def _number(key: str) -> float | None:
    try:
        return float(key)
    except ValueError:
        return None


def formula(summary: Summary) -> str:
    return str(at(summary, "injection", "utility", "formula") or "U = A * R / L^k")


def basis(summary: Summary) -> str:
    """What a figure of the answers rests on."""
    questions = at(summary, "injection", "questions")
    return f"n {figures.ABSENT}" if questions is None else f"n = {figures.count(questions)} questions"


def correct_words(summary: Summary) -> str:
    """When an answer counts as correct; empty where the summary does not say."""
    rule = at(summary, "injection", "correct")
    return "" if rule is None else f"Correct: {_CORRECT.get(rule, rule)}."


def is_estimated(summary: Summary) -> bool:
    """Whether energy was worked out from a stated wattage rather than read from the machine."""
    return bool(at(summary, "injection", "energy", "source") == "estimate")


def model_words(summary: Summary) -> str:
    """Who answered, priced as whom, how many questions: one sentence; empty where nothing is told."""
    study = at(summary, "injection")
    generator = at(study, "generator")
    traits = [at(generator, key) for key in ("name", "precision", "device")]
    who = at(generator, "model") or at(study, "time_to_first_token", "model")
    told = f" ({', '.join(str(trait) for trait in traits if trait)})" if any(traits) else ""
    parts = [f"answered by {who}{told}"] if who else []
    unanswerable = at(study, "unanswerable")
    besides = f" and {figures.count(unanswerable)} unanswerable ones" if unanswerable else ""
    parts += [f"{basis(summary)}{besides}"] if at(study, "questions") is not None else []
    priced_as = at(study, "priced_as")
    parts += [f"tokens priced as {priced_as}"] if priced_as else []
    sentence = "; ".join(parts)
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""


def unpriced(summary: Summary, name: str) -> list[str]:
    """Why the pipeline's answers have no price, each reason once; empty where nobody says."""
    own = entries(economics(summary, name), "unpriced")
    return list(dict.fromkeys(own or entries(summary, "pipelines", name, "cost_usd_per_1000_queries", "unpriced")))
