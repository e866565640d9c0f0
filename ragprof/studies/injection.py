"""summary["injection"] and each pipeline's economics: what answers are worth, what they cost, how long they take."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import Any

from ragprof.studies.answer_bills import usd_interval, usd_per_1000
from ragprof.studies.answers import answers_of, comparisons, order_settings, orders
from ragprof.studies.chunk_sweep import row
from ragprof.studies.economics import Facts, economics_of, facts_of
from ragprof.studies.first_token import decode_per_token, first_token
from ragprof.studies.growth import rounded
from ragprof.studies.injection_data import InjectionData, belongs, is_recorded, read_injection
from ragprof.studies.injection_statements import notes, statements
from ragprof.studies.marginal import Setting, marginal
from ragprof.studies.utility import PRESETS, utility_of

__all__ = ["belongs", "injection_of", "is_recorded"]

IDENTITY = ("name", "model", "precision", "device")


def injection_of(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The injection section of a recording's summary, and the economics of each pipeline that answered.

    Raises BadInput where the recording of answers is incomplete.
    """
    data = read_injection(folder)
    facts = {name: _facts(data, name) for name in data.names}
    economics = {name: _economics(data, name, each) for name, each in facts.items()}
    section = _section(data, facts)
    section["statements"] = statements(section, economics)
    section["notes"] = notes(data, section)
    return dict(rounded(section)), dict(rounded(economics))


def _section(data: InjectionData, facts: Mapping[str, Facts]) -> dict[str, Any]:
    generator = data.manifest["generator"]
    answers = {name: _answers(data, name) for name in data.names}
    swept = [name for name in data.names if data.steps(name, "k")]
    return {
        "generator": {key: generator.get(key) for key in IDENTITY},
        "priced_as": data.priced_as,
        "questions": len(data.manifest["questions"]),
        "unanswerable": len(data.manifest["unanswerable"]),
        "correct": data.settings["correct"],
        "seed": data.seed,
        "time_to_first_token": _first_token(data),
        "by_k": {name: _rows(data, name, "k", "k") for name in swept},
        "by_budget": {name: rows for name in data.names if (rows := _rows(data, name, "tokens", "budget_tokens"))},
        "orders": {name: rows for name in data.names if (rows := _orders(data, name))},
        "marginal": {name: _marginal(data, name) for name in swept},
        "answers": answers,
        "comparisons": comparisons({name: data.asked(name) for name in data.names}, seed=data.seed),
        "utility": utility_of(facts, sensitivities=data.settings["sensitivities"]),
        "budget": _budget(data, facts),
        "energy": data.manifest.get("energy"),
        "work": data.manifest["work"],
    }


def _first_token(data: InjectionData) -> dict[str, Any]:
    """The study's generator: pipelines with a generator of their own do not tell how fast it decodes."""
    generator = data.manifest["generator"]
    model = " ".join(str(generator[key]) for key in ("model", "precision") if generator.get(key)) or generator["name"]
    own = [pipeline["name"] for pipeline in data.config["pipelines"] if pipeline.get("generator")]
    live = data.live[~data.live["pipeline"].isin(own)]
    found = first_token(data.prefill, model=model, seed=data.seed)
    return {**found, "decode_ns_per_token": decode_per_token(live, seed=data.seed)}


def _rows(data: InjectionData, name: str, kind: str, key: str) -> list[dict[str, Any]]:
    """One row for each value of "k=3" or "tokens=1000"; `key` names the value in the row."""
    rows = []
    for step in data.steps(name, kind):
        setting = f"{kind}={step}"
        found = row(
            data.asked(name, setting),
            data.timed(name, setting),
            data.bill(name, setting),
            draws=data.draws,
            seed=data.seed,
        )
        rows.append({key: step, "setting": setting, **found})
    return rows


def _orders(data: InjectionData, name: str) -> list[dict[str, Any]]:
    present = data.cells[data.cells["pipeline"] == name]["setting"].unique().tolist()
    chosen = order_settings(present, data.settings["orders"])
    return orders({order: data.asked(name, order) for order in chosen}, k=int(data.settings["order_k"]), seed=data.seed)


def _marginal(data: InjectionData, name: str) -> dict[str, Any]:
    value = data.config["budget"].get("usd_per_correct_answer")
    settings = [_setting(data, name, k) for k in data.steps(name, "k")]
    return marginal(name, settings, value_usd=None if value is None else float(value), seed=data.seed)


def _setting(data: InjectionData, name: str, k: int) -> Setting:
    asked, timed = data.asked(name, f"k={k}"), data.timed(name, f"k={k}")
    return Setting(k, asked["correct"], asked["f1"], timed["first_token_ns"], data.bill(name, f"k={k}"))


def _answers(data: InjectionData, name: str) -> dict[str, Any]:
    judge = (data.judgement.get("judges") or {}).get(name)
    return answers_of(data.asked(name), data.unanswerable(name), judge=judge, seed=data.seed)


def _facts(data: InjectionData, name: str) -> Facts:
    energy = data.manifest.get("energy") or {}
    return facts_of(
        data.asked(name),
        data.timed(name),
        data.bill(name),
        draws=data.draws,
        timed_draws=data.timed_draws,
        watts=energy.get("watts"),
    )


def _economics(data: InjectionData, name: str, facts: Facts) -> dict[str, Any]:
    sensitivities = sorted({*(k for _, k, _ in PRESETS), *data.settings["sensitivities"]})
    found = economics_of(
        facts,
        data.asked(name),
        data.timed(name),
        energy=data.manifest.get("energy"),
        sensitivities=sensitivities,
        seed=data.seed,
    )
    bill = data.bill(name)
    money = {"usd_per_1000_queries": usd_per_1000(bill), "usd_interval": usd_interval(bill, data.draws)}
    return {**found, **money, "unpriced": data.unpriced(name)}


def _budget(data: InjectionData, facts: Mapping[str, Facts]) -> dict[str, Any] | None:
    """What a question may take, against what it takes; None where the eval sets no limit."""
    limits = {key: data.config["budget"].get(key) for key in ("tokens_per_query", "usd_per_1000_queries")}
    if all(limit is None for limit in limits.values()):
        return None
    return {**limits, "pipelines": {name: _spent(data, name, facts[name], limits) for name in data.names}}


def _spent(data: InjectionData, name: str, facts: Facts, limits: Mapping[str, Any]) -> dict[str, Any]:
    tokens, usd = float(facts.tokens[0]), usd_per_1000(data.bill(name))
    spent = {"tokens_per_query": None if isnan(tokens) else tokens, "usd_per_1000_queries": usd}
    return {**spent, "within": _within(spent, limits)}


def _within(spent: Mapping[str, Any], limits: Mapping[str, Any]) -> bool | None:
    """False where a limit is passed, None where one cannot be told."""
    known = {key: limit for key, limit in limits.items() if limit is not None}
    if any(spent[key] is not None and Decimal(str(spent[key])) > Decimal(str(known[key])) for key in known):
        return False
    return None if any(spent[key] is None for key in known) else True
