"""The reranker's profit and loss: a judged and priced recording -> what the summary says of every reranker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof.statistics.draws import VERDICT_RESAMPLES
from ragprof.studies.reranker.alternatives import Whole, alternatives, whole_bills
from ragprof.studies.reranker.cases import case_of
from ragprof.studies.reranker.data import RERANK, RerankerData, read_reranking
from ragprof.studies.reranker.depths import depth_curve, falls_from, knee, latency_check
from ragprof.studies.reranker.effects import found_money, money_ends
from ragprof.studies.reranker.growth_value import growth_value
from ragprof.studies.reranker.headroom import headroom, queries, truncation
from ragprof.studies.reranker.routing import routing, routing_choice
from ragprof.studies.reranker.section import RerankerSection
from ragprof.studies.reranker.side_by_side import side_by_side
from ragprof.studies.reranker.statement import (
    Net,
    break_even,
    llm_of,
    net_of,
    price_history,
    price_trend,
    statement,
    usd_of,
)
from ragprof.studies.reranker.verdict import Case, decide, sensitive_to

LOW_JUDGED = 0.95
FEW_TIMED = 20
OTHERWISE = 0.05
REPORTED = {"per_input_token": "input_tokens", "per_search": "search_units", "per_request": "requests"}
RULE = (
    "The verdict is the first rule that applies: reorders nothing (DROP); too few queries for any test (UNDECIDED); "
    "told to harm, or to gain less than counts (DROP); not told from no gain (UNDECIDED); over a limit (DROP); not "
    "worth its price, or as much evidence for less without it (DROP); a pipeline without a reranker as good, cheaper "
    "and faster (DROP); else KEEP. A smaller depth that would be kept makes it SHRINK, where it saves something or the "
    "declared depth would not be kept."
)


def analyse(folder: Path) -> RerankerSection:
    """All that the summary says of the rerankers in a recording's folder."""
    data = read_reranking(folder)
    whole = whole_bills(folder)
    verdicts = {name: verdict_of(data, name, whole) for name in data.names}
    return RerankerSection.model_validate({"verdicts": verdicts, "study": study_of(data, verdicts)})


def verdict_of(data: RerankerData, arm: str, whole: Whole) -> dict[str, Any]:
    """All that is said of one pipeline's reranker."""
    facts, llm = data.arm(arm), llm_of(data, arm)
    others = alternatives(data, arm, whole)
    case = case_of(data, arm, others=others, llm_usd_per_million=usd_of(llm))
    verdict, net = decide(case), net_of(data, arm)
    percent = data.settings["price_trend"]
    said = statement(data, arm)
    reported = whole.reported.get(facts["pipeline"], {})
    said["billing"]["reported_per_query"] = {unit: float(counts.mean()) for unit, counts in reported.items()} or None
    curve = depth_curve(data, arm, nets=lambda depth: found_money(net_of(data, arm, depth=depth).net))
    return {
        "verdict": verdict.word,
        "reason": verdict.reason,
        "against": facts["against"],
        "depth": verdict.depth,
        "own_depth": facts["own_depth"],
        "k": facts["own_k"],
        "metric": data.metric,
        "reranker": facts["reranker"]["name"],
        "listwise": facts["pointwise"]["listwise"],
        "more_queries": verdict.more_queries,
        "sensitive_to": sensitive_to(case, verdict),
        "statement": {
            **said,
            "break_even": break_even(data, arm),
            "scenarios": [_scenario(net, case, each) for each in data.llms(arm)],
            **others,
        },
        "headroom": headroom(data, arm),
        "depth_curve": curve,
        "knee": knee(curve),
        "falls_from": falls_from(data, arm),
        "latency_check": latency_check(data, arm),
        "truncation": truncation(data, arm),
        "queries": queries(data, arm),
        "routing": routing(data, arm),
        "routing_choice": routing_choice(data, arm),
        "growth": growth_value(data, arm),
        "price_trend": None
        if percent is None
        else price_trend(data, arm, float(percent), lambda usd: decide(_at_price(case, usd)).word),
        "price_history": price_history(data, arm),
        "notes": [*notes(data, arm), *_reported_otherwise(data, arm, said["billing"], reported)],
    }


def study_of(data: RerankerData, verdicts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What holds for all rerankers together."""
    priced = dict.fromkeys(llm["name"] for name in verdicts if (llm := llm_of(data, name)) is not None)
    return {
        "metric": data.metric,
        "k": {name: verdict["k"] for name, verdict in verdicts.items()},
        "margin": data.settings["margin"],
        "worth_usd_per_point": data.settings["worth_usd_per_point"],
        "priced_as": ", ".join(priced) or None,
        "queries": len(data.query_ids),
        "timed_queries": {name: verdict["statement"]["timed_queries"] for name, verdict in verdicts.items()},
        "replicates": VERDICT_RESAMPLES,
        "side_by_side": side_by_side(data),
        "statements": [f"{name}: {_word(verdict)}. {verdict['reason']}" for name, verdict in verdicts.items()],
        "notes": [RULE],
        "work": data.manifest["work"],
    }


def notes(data: RerankerData, arm: str) -> list[str]:
    """What limits what is said of one reranker."""
    facts, found = data.arm(arm), []
    company = facts["pointwise"]
    if company["declared"] and company["listwise"]:
        found.append(
            "It declares that a pair's score depends on no other candidate, but scores moved by "
            f"{company['largest_difference']:.0%} of their spread in other company: it was run at every depth."
        )
    elif company["declared"] and not company["checked_queries"]:
        found.append("Whether its scores depend on the other candidates could not be checked: there were too few.")
    elif company["listwise"]:
        found.append("Its scores depend on the other candidates, so it was run at every depth.")
    timed = data.timed(arm, facts["own_depth"])["query_id"].nunique()
    if timed < FEW_TIMED:
        found.append(f"Latency rests on {timed} timed queries, p95 on few of them; more seconds for [reranker.timing].")
    judged = float(data.values(arm, RERANK, facts["own_depth"], "Judged@10").mean())
    if judged < LOW_JUDGED:
        found.append(f"Only {judged:.0%} of its first ten are judged; unjudged documents count as not relevant.")
    beyond = [depth for depth in data.settings["depths"] if depth not in facts["depths"]]
    if beyond:
        found.append(f"The corpus has fewer passages than the depths {beyond}, which were left out.")
    rate = data.rates["arms"][arm]["rate"]
    if rate is not None and not rate.get("verified") and rate["name"] != "free":
        found.append(f"The rate {rate['name']} was read at second hand; check it against the provider's page.")
    return found


def _reported_otherwise(
    data: RerankerData, arm: str, billing: Mapping[str, Any], reported: Mapping[str, pd.Series]
) -> list[str]:
    """Where the reranker's own count of what is billed is not the recording's, over the queries that it counted."""
    counts = reported.get(REPORTED.get(str(billing["shape"]), ""))
    if counts is None:
        return []
    units = pd.Series(data.units(arm, int(data.arm(arm)["own_depth"])), index=data.query_ids)
    counted, said = float(units.reindex(counts.index).mean()), float(counts.mean())
    if not counted > 0 or abs(said / counted - 1) <= OTHERWISE:
        return []
    return [
        f"The reranker reported {said:,.4g} a query of what is billed ({billing['unit']}), the recording counted "
        f"{counted:,.4g}: the bill may differ by as much."
    ]


def _scenario(net: Net, case: Case, llm: Mapping[str, Any]) -> dict[str, Any]:
    """The statement's money and the verdict at one LLM's price."""
    usd = usd_of(llm)
    at, verdict = net.at(llm_usd_per_million_tokens=usd), decide(_at_price(case, usd))
    return {
        "llm": llm["name"],
        "usd_per_million_tokens": llm["usd_per_million_tokens"],
        "llm_usd_saved_per_1000_queries": found_money(at.saved),
        "net_usd_per_1000_queries": found_money(at.net),
        "net_interval": money_ends(at.net, at.n),
        "verdict": verdict.word,
        "depth": verdict.depth,
        "reason": verdict.reason,
    }


def _at_price(case: Case, usd: float | None) -> Case:
    return replace(case, llm_usd_per_million=usd)


def _word(verdict: Mapping[str, Any]) -> str:
    return f"SHRINK to depth {verdict['depth']}" if verdict["verdict"] == "SHRINK" else str(verdict["verdict"])
