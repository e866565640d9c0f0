"""The made-up run with answers of `injection_sample.py`, cut down in ways that real studies are."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

_SAMPLE = runpy.run_path(str(Path(__file__).with_name("injection_sample.py")))
with_answers = _SAMPLE["with_answers"]
AUDIT = json.loads((Path(__file__).parents[1] / "golden" / "audit.json").read_text(encoding="utf-8"))
BY_NAME = ("by_k", "by_budget", "orders", "marginal", "answers")
HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>|Überlänge für die Prüfung 検索 [b]"


def answered(summary: dict[str, Any]) -> dict[str, Any]:
    """Everything that a study has, and an audit."""
    return {**with_answers(summary), "audit": AUDIT}


def one_pipeline(summary: dict[str, Any], name: str = "dense") -> dict[str, Any]:
    found = with_answers({**summary, "pipelines": {name: summary["pipelines"][name]}})
    study = found["injection"]
    for part in BY_NAME:
        study[part] = {name: study[part][name]}
    for row in study["utility"]["curve"]:
        row["values"] = {name: row["values"][name]}
    study["utility"]["winners"] = [{"from_k": 0.01, "to_k": 10.0, "pipeline": name, "share": 1.0}]
    study["budget"]["pipelines"] = {name: study["budget"]["pipelines"][name]}
    return {**found, "injection": study | {"comparisons": []}}


def without_sweep(summary: dict[str, Any]) -> dict[str, Any]:
    found = with_answers(summary)
    return {**found, "injection": found["injection"] | {part: {} for part in BY_NAME[:-1]}}


def without_timings(summary: dict[str, Any]) -> dict[str, Any]:
    """No live part: no first token, no utility, no energy."""
    found = with_answers(summary)
    study = found["injection"] | {"time_to_first_token": None, "utility": None, "energy": None}
    for step in (step for part in BY_NAME[:2] for steps in study[part].values() for step in steps):
        step["time_to_first_token_ns"] = None
    for step in (step for one in study["marginal"].values() for step in one["steps"]):
        step["added_first_token_ns"] = None
    for pipeline in found["pipelines"].values():
        pipeline["economics"] |= dict.fromkeys(("time_to_first_token_s", "utility"))
        pipeline["economics"] |= {key: None for key in pipeline["economics"] if "joules" in key or "energy" in key}
        pipeline["economics"]["kg_co2_per_1000_queries"] = None
    return {**found, "injection": study}


def without_fit(summary: dict[str, Any]) -> dict[str, Any]:
    found = with_answers(summary)
    found["injection"]["time_to_first_token"]["fit"] = None
    return found


def too_few_lengths(summary: dict[str, Any]) -> dict[str, Any]:
    """Two lengths: points, and a fit of nothing but the reason why there is none."""
    found = with_answers(summary)
    wait = found["injection"]["time_to_first_token"]
    wait["points"], fit = wait["points"][:2], wait["fit"]
    terms = dict.fromkeys(fit["intervals"])
    empty = {**dict.fromkeys(fit), "intervals": terms, "residuals": [], "curve": [], "statement": "Two are too few."}
    return {**found, "injection": found["injection"] | {"time_to_first_token": {**wait, "fit": empty}}}


def straight(summary: dict[str, Any]) -> dict[str, Any]:
    """c is not told apart from 0."""
    found = with_answers(summary)
    fit = found["injection"]["time_to_first_token"]["fit"]
    fit |= {"quadratic_from_tokens": None, "c_ns_per_token2": -3.1, "statement": "c is not told apart from 0."}
    fit["intervals"]["c_ns_per_token2"] = [-21.0, 14.0]
    return found


def unpriced(summary: dict[str, Any]) -> dict[str, Any]:
    found = with_answers(summary)
    study = found["injection"]
    for step in (step for part in BY_NAME[:2] for steps in study[part].values() for step in steps):
        step |= {"usd_per_1000_queries": None, "usd_interval": None, "usd_per_relevant_token": None}
    for step in (step for one in study["marginal"].values() for step in one["steps"]):
        step |= {"added_usd_per_1000": None, "usd_per_extra_correct": None}
    for pipeline in found["pipelines"].values():
        money = ("usd_per_query", "usd_per_correct_answer", "usd_per_token_of_correctness", "usd_per_1000_queries")
        pipeline["economics"] |= {**dict.fromkeys(money), "usd_interval": None, "unpriced": ["inject: no rate 'llm'"]}
    for one in study["budget"]["pipelines"].values():
        one |= {"usd_per_1000_queries": None, "within": None}
    return found


def quick(summary: dict[str, Any]) -> dict[str, Any]:
    """First tokens within a second: U rises with k, and costs that lie far apart."""
    found = with_answers(summary)
    utility = found["injection"]["utility"]
    waits = {name: 0.3 + 0.12 * place for place, name in enumerate(found["pipelines"])}
    for row in utility["curve"]:
        row["values"] = {name: _worth(found, name) / wait ** row["k"] for name, wait in waits.items()}
    for name, wait in waits.items():
        means = {k: _worth(found, name) / wait ** float(k) for k in ("0.1", "0.5", "1", "2")}
        estimates = {k: {"mean": mean, "interval": [mean * 0.7, mean * 1.3], "n": 60} for k, mean in means.items()}
        found["pipelines"][name]["economics"]["utility"] = estimates
    utility["winners"] = [
        {"from_k": 0.01, "to_k": 0.3, "pipeline": "hybrid+maxsim", "share": 0.71},
        {"from_k": 0.3, "to_k": 1.0, "pipeline": None, "share": 0.4},
        {"from_k": 1.0, "to_k": 10.0, "pipeline": "bm25", "share": 0.93},
    ]
    dear = {"mean": 0.031, "interval": [0.019, None], "n": 60}
    found["pipelines"]["static"]["economics"]["usd_per_correct_answer"] = dear
    return found


def _worth(found: dict[str, Any], name: str) -> float:
    """A * R."""
    economics = found["pipelines"][name]["economics"]
    return float(economics["accuracy"]["mean"] * economics["relevance"]["mean"])


def renamed(summary: dict[str, Any], old: str = "dense", new: str = HOSTILE) -> dict[str, Any]:
    """A pipeline under another name, and every sentence as hostile as the name."""
    found: dict[str, Any] = _replaced(answered(summary), old, new)
    study = found["injection"]
    study["statements"], study["notes"] = [new], [new]
    study["energy"] |= {"region": new, "statement": new, "source": new}
    study["generator"] |= {"name": new, "model": new}
    study["time_to_first_token"]["fit"]["statement"] = new
    study["utility"]["presets"][0] |= {"name": new, "reason": new}
    return found


def _replaced(node: Any, old: str, new: str) -> Any:
    """Keys and texts that are exactly the old name."""
    if isinstance(node, dict):
        return {new if key == old else key: _replaced(value, old, new) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, old, new) for value in node]
    return new if node == old else node


def without_intervals(summary: dict[str, Any]) -> dict[str, Any]:
    """Every interval of the study is null, however deep it lies."""
    found = answered(summary)
    economics = {name: {**one, "economics": _stripped(one["economics"])} for name, one in found["pipelines"].items()}
    return {**found, "pipelines": economics, "injection": _stripped(found["injection"])}


def _stripped(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: None if "interval" in key else _stripped(value) for key, value in node.items()}
    return [_stripped(value) for value in node] if isinstance(node, list) else node


def bare(summary: dict[str, Any]) -> dict[str, Any]:
    """Nothing but what the format demands, all of it null."""
    estimates = dict.fromkeys(("exact_match", "f1", "answer_in_context", "answer_in_answer", "attribution"))
    study = {
        "time_to_first_token": {"model": None, "points": [], "fit": None},
        "by_k": {"dense": [{"k": 1}, {"k": 2, "tokens": None, "correct": {"mean": None, "interval": None, "n": 0}}]},
        "answers": {"bm25": estimates, "dense": estimates},
        "audit": None,
    }
    return {**summary, "injection": study}
