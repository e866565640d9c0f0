"""Where things are in `summary["reranker"]` and `summary["reranker_study"]`, and what they rest on in words.

Every key may be missing or null. A summary without the section reads as one without reranked pipelines; nothing absent
becomes 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ragprof.report import figures
from ragprof.report.lookup import METRIC, Summary, at, entries, pipelines
from ragprof.report.tables import Cell, Tone

Verdict: TypeAlias = Mapping[str, Any]
_VERDICTS: dict[str, tuple[str, Tone]] = {
    "KEEP": ("\u25b2", "better"),
    "DROP": ("\u25bc", "worse"),
    "SHRINK": ("\u25c6", "undecided"),
    "UNDECIDED": ("\u25c7", "undecided"),
}


def names(summary: Summary) -> list[str]:
    """Pipelines with a verdict, in the order of the summary."""
    found = at(summary, "reranker") or {}
    known = [name for name in pipelines(summary) if name in found]
    return known + [name for name in found if name not in known]


def is_present(summary: Summary) -> bool:
    return bool(names(summary))


def of(summary: Summary, name: str) -> Verdict:
    return at(summary, "reranker", name) or {}


def metric(summary: Summary, name: str) -> str:
    """What the verdict is about."""
    own, everybody = at(of(summary, name), "metric"), at(summary, "reranker_study", "metric")
    return str(own or everybody or METRIC)


def gain(one: Verdict, metric: str) -> Mapping[str, Any]:
    """The paired difference of that metric with and without the reranker."""
    return at(one, "statement", "quality_gain", metric) or {}


def queries(summary: Summary, name: str) -> Any:
    """How many questions a quality figure of this pipeline rests on."""
    own = at(gain(of(summary, name), metric(summary, name)), "n")
    return at(summary, "reranker_study", "queries") if own is None else own


def basis(summary: Summary, name: str) -> str:
    found = queries(summary, name)
    return f"n {figures.ABSENT}" if found is None else f"n = {figures.count(found)} queries"


def timed(one: Verdict) -> str:
    found = at(one, "statement", "timed_queries")
    return f"n {figures.ABSENT}" if found is None else f"n = {figures.count(found)} live queries"


def steps(one: Verdict) -> list[Mapping[str, Any]]:
    """The depth curve at the pipeline's own k (or at the k that it has most of), in rising depth."""
    found = [step for step in entries(one, "depth_curve") if at(step, "depth") is not None]
    ks = [step.get("k") for step in found]
    if not ks:
        return []
    own = at(one, "k")
    shown = own if own in ks else max(ks, key=ks.count)
    return sorted((step for step in found if step.get("k") == shown), key=lambda step: float(step["depth"]))


def verdict_words(one: Verdict) -> str:
    """A mark and a word: never told by colour alone. A smaller depth is named."""
    word = at(one, "verdict")
    if word is None:
        return figures.ABSENT
    mark, _ = _VERDICTS.get(word, ("", ""))
    depth = at(one, "depth")
    to = f" to depth {figures.count(depth)}" if word == "SHRINK" and depth is not None else ""
    return f"{mark} {word}{to}".strip()


def verdict_tone(word: str | None) -> Tone:
    return _VERDICTS.get(word or "", ("", ""))[1] if word else "absent"


def verdict_cell(one: Verdict) -> Cell:
    words = needed(one) if at(one, "verdict") == "UNDECIDED" else ""
    return Cell(verdict_words(one), words, verdict_tone(at(one, "verdict")))


def needed(one: Verdict) -> str:
    """How many more questions would decide it; empty where nobody knows or none are needed."""
    more = at(one, "more_queries")
    return f"needs about {figures.count(more)} more queries" if more else ""


def why_unpriced(one: Verdict) -> str:
    """Why the reranker has no price; empty where it has one or nobody says."""
    return str(at(one, "statement", "billing", "unpriced") or "")


def sentences(one: Verdict) -> list[str]:
    """The reason, then what the verdict is most sensitive to."""
    found = (at(one, "reason"), at(one, "sensitive_to", "sentence"))
    return [str(sentence) for sentence in found if sentence]
