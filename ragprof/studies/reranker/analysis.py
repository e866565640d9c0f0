"""The reranker's profit and loss: a judged and priced recording -> what the summary says of every reranker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ragprof.price.pricing import QUERIES
from ragprof.record.budget import few_timed
from ragprof.report import figures
from ragprof.statistics.draws import VERDICT_RESAMPLES
from ragprof.statistics.paired import paired_ps
from ragprof.statistics.power import more_queries_needed
from ragprof.statistics.unseen import unseen_share
from ragprof.studies.labelled import gain_words, keeps_open, labelled_quality
from ragprof.studies.reranker.alternatives import MainBills, alternatives, whole_bills
from ragprof.studies.reranker.chunks import more_chunks
from ragprof.studies.reranker.corrected import moved_to, p_of
from ragprof.studies.reranker.data import RerankerData, read_recorded
from ragprof.studies.reranker.depths import depth_curve, falls_from, knee, latency_check
from ragprof.studies.reranker.effects import added_latency, found_money, means, money_ends
from ragprof.studies.reranker.growth_value import growth_value
from ragprof.studies.reranker.headroom import headroom, queries, truncation
from ragprof.studies.reranker.recorded import RERANK, order_after
from ragprof.studies.reranker.routing import routing, routing_choice
from ragprof.studies.reranker.section import (
    Alternative,
    OwnBill,
    RerankerBilling,
    RerankerSection,
    RerankerStudy,
    RerankerVerdict,
    RerankerWork,
    Scenario,
    Statement,
)
from ragprof.studies.reranker.side_by_side import side_by_side
from ragprof.studies.reranker.statement import (
    Net,
    break_even,
    llm_of,
    net_of,
    price_history,
    price_trend,
    statement,
)
from ragprof.studies.reranker.verdict import (
    CLEARLY,
    AtDepth,
    OpenQuestion,
    RerankerCase,
    Rival,
    decide,
    decided_words,
    sensitive_to,
)

NS_PER_MS = 1e6
LOW_JUDGED = 0.95
FEW_TIMED = 20
OTHERWISE = 0.05
REPORTED = {"per_input_token": "input_tokens", "per_search": "search_units", "per_request": "requests"}
RULE = (
    "The verdict: DROP for the first of these that is certain: it reorders nothing; it breaks a limit; significant "
    "harm; a gain below what counts; a gain worth less than its price, or as much evidence for less without it; a "
    "pipeline without a reranker as good, cheaper and faster. Else UNDECIDED with all that is open: a limit, whether "
    "it gains, whether that is worth its price. Else KEEP. A smaller depth that would be kept makes it SHRINK, where "
    "it saves something or the declared depth would not be kept."
)


def analyse(folder: Path) -> RerankerSection:
    """All that the summary says of the rerankers in a recording's folder."""
    data, whole = read_recorded(folder), whole_bills(folder)
    verdicts = {name: verdict_of(data, name, whole) for name in data.names}
    return RerankerSection(verdicts=verdicts, study=study_of(data, verdicts))


def verdict_of(data: RerankerData, arm: str, whole: MainBills) -> RerankerVerdict:
    """All that is said of one pipeline's reranker."""
    facts = data.arm(arm)
    others, own = alternatives(data, arm, whole)
    net = net_of(data, arm)
    case = case_of(data, arm, net, others=others, bill=own, whole=whole)
    decision = decide(case)
    reported = whole.reported.get(facts.pipeline, {})
    lines = statement(data, arm, reported=reported)
    curve = depth_curve(data, arm, nets=lambda depth: found_money(net_of(data, arm, depth=depth).net))
    percent, busy = data.settings.price_trend, data.busy(arm)
    withheld = {"latency_withheld": busy, "cost_withheld": busy if case.hourly else ""} if busy else {}
    return RerankerVerdict(
        verdict=decision.word,
        reason=decision.reason,
        against=facts.against,
        depth=decision.depth,
        own_depth=facts.own_depth,
        k=facts.own_k,
        metric=data.metric,
        reranker=facts.reranker["name"],
        listwise=facts.pointwise.listwise,
        more_queries=decision.more_queries,
        sensitive_to=sensitive_to(case, decision),
        statement=Statement(
            **dict(lines),
            break_even=break_even(data, arm),
            scenarios=tuple(_scenario(net, case, llm["name"], llm["usd_per_million_tokens"]) for llm in data.llms(arm)),
            alternatives=others,
            own=own,
        ),
        headroom=headroom(data, arm),
        depth_curve=curve,
        knee=knee(curve),
        falls_from=falls_from(data, arm),
        latency_check=latency_check(data, arm, curve),
        truncation=truncation(data, arm),
        queries=queries(data, arm),
        routing=routing(data, arm),
        routing_choice=routing_choice(data, arm),
        growth=growth_value(data, arm),
        price_trend=None
        if percent is None
        else price_trend(data, arm, percent, lambda usd: decide(replace(case, llm_usd_per_million=usd)).word),
        price_history=price_history(data, arm),
        **withheld,
        notes=(
            *([gained] if (gained := gain_words(labelled_quality(data.home), facts.pipeline)) else ()),
            *notes(data, arm),
            *_reported_otherwise(data, arm, lines.billing, reported),
        ),
    )


def _scenario(net: Net, case: RerankerCase, name: str, price: str | None) -> Scenario:
    """The statement's money and the verdict at one LLM's price."""
    usd = None if price is None else float(price)
    at, decision = net.at(usd), decide(replace(case, llm_usd_per_million=usd))
    return Scenario(
        llm=name,
        usd_per_million_tokens=price,
        llm_usd_saved_per_1000_queries=found_money(at.saved),
        net_usd_per_1000_queries=found_money(at.net),
        net_interval=money_ends(at.net, at.n),
        verdict=decision.word,
        depth=decision.depth,
        reason=decision.reason,
    )


def case_of(
    data: RerankerData, arm: str, net: Net, *, others: Sequence[Alternative], bill: OwnBill, whole: MainBills
) -> RerankerCase:
    """What the verdict rests on, at the price of the LLM that the bills were made at."""
    facts, settings, hourly = data.arm(arm), data.settings, bool(data.rates["arms"][arm]["hourly"])
    depths = [depth for depth in facts.depths if depth <= facts.own_depth]
    ps = paired_ps(np.stack([data.gain(arm, data.metric, depth) for depth in depths]).T, seed=data.seed).tolist()
    at = {depth: _at(data, arm, depth, p) for depth, p in zip(depths, ps, strict=True)}
    busy = data.busy(arm)
    if busy:
        # What was measured while others worked is in the tables, and decides nothing.
        at = {depth: replace(each, added_p95_ms=None, cost=None if hourly else each.cost) for depth, each in at.items()}
    quiet = not (busy or whole.busy)
    checked = _correct(data, arm, at)
    own = at.pop(facts.own_depth)
    plain = {each["name"] for each in data.pipelines if each["reranker"]["name"] == "none"}
    elsewhere = [
        each for each in others if each.what in ("another search", "another embedder") and each.name in plain and quiet
    ]
    return RerankerCase(
        metric=data.metric,
        own=own,
        smaller=tuple(at.values()),
        inert=is_inert(data, arm),
        nothing_found=data.candidates(arm, facts.own_depth).empty,
        queries=len(data.query_ids),
        more_queries=more_queries_needed(data.gain(arm, data.metric)) or None,
        margin=settings.margin,
        k=facts.own_k,
        bill_usd=None if bill.usd_per_1000_queries is None else float(bill.usd_per_1000_queries),
        tokens_saved=net.tokens_saved,
        llm_usd_per_million=net.llm_usd,
        rivals=rivals(elsewhere, bill, cost=None if own.cost is None else float(own.cost[0]), llm=net.llm_usd),
        worth_usd_per_point=settings.worth_usd_per_point,
        max_added_p95_ms=settings.max_added_p95_ms,
        max_usd_per_1000=settings.max_usd_per_1000_queries,
        hourly=hourly,
        busy=busy,
        unchecked=unchecked(data, arm),
        judged_by="" if data.corrected is None else ", ".join(data.corrected["judges"]),
        checked=checked,
    )


def _correct(data: RerankerData, arm: str, at: dict[int, AtDepth]) -> int:
    """Put the gains and losses that people's judgements correct in place of a model's, at all depths or at none.

    Returns how many queries people judged; 0 where nothing is corrected.
    """
    found = {depth: data.corrected_at(arm, depth) for depth in at}
    if data.corrected is None or not all(found.values()):
        return 0
    for depth, known in found.items():
        if known is not None:
            gain = moved_to(at[depth].gain, known["gain"], seed=data.seed)
            loss = moved_to(at[depth].loss, known["loss"], seed=data.seed)
            at[depth] = replace(at[depth], gain=gain, loss=loss, p=p_of(known["gain"]))
    return data.corrected["drawn"]


def unchecked(data: RerankerData, arm: str) -> OpenQuestion | None:
    """Why a KEEP would be withheld: the judgements are a model's, and people have not borne them out."""
    pipeline = data.arm(arm).pipeline
    parts = data.manifest.get("identities", {}).get(arm) or {}
    found = keeps_open(labelled_quality(data.home), pipeline, str(parts.get("reranker") or data.arm(arm).reranker))
    return None if found is None else OpenQuestion(*found, "what people judge")


def is_inert(data: RerankerData, arm: str) -> bool:
    """Whether the reranker leaves every query's candidates of the own depth as the search ordered them."""
    rows = data.candidates(arm, data.arm(arm).own_depth)
    return bool(np.array_equal(order_after(rows), np.arange(len(rows))))


def rivals(
    elsewhere: Sequence[Alternative], own: OwnBill, *, cost: float | None, llm: float | None
) -> tuple[Rival, ...]:  # fmt: skip
    """Those that are as good and whose median is clearly lower, with what their bills differ by.

    `elsewhere` are pipelines without a reranker; `cost` is the reranker's own and `llm` the price that the bills were
    made at. None where a bill is not known.
    """
    if cost is None or llm is None or own.usd_per_1000_queries is None or own.tokens_per_query is None:
        return ()
    mine, found = float(own.usd_per_1000_queries) - cost - own.tokens_per_query * llm / QUERIES, []
    for each in elsewhere:
        usd, tokens, p50 = each.usd_per_1000_queries, each.tokens_per_query, each.p50_ns
        if usd is None or tokens is None or p50 is None or own.p50_ns is None:
            continue
        if each.relation in ("as good", "better") and p50 < (1 - CLEARLY) * own.p50_ns:
            cheaper = mine - float(usd) + tokens * llm / QUERIES
            low, _ = each.difference.interval or (None, None)
            less = max(0.0, -(low or 0.0))
            found.append(Rival(each.name, cheaper, own.tokens_per_query - tokens, less))
    return tuple(found)


def _at(data: RerankerData, arm: str, depth: int, p: float) -> AtDepth:
    own, here = data.reranked(arm, data.metric), data.reranked(arm, data.metric, depth)
    usd, added, added_ms = data.usd(arm, depth), added_latency(data, arm, depth), None
    if added.added_p95_ns is not None:
        low, high = added.added_p95_interval_ns or (None, None)
        added_ms = (
            added.added_p95_ns / NS_PER_MS,
            -np.inf if low is None else low / NS_PER_MS,
            np.inf if high is None else high / NS_PER_MS,
        )
    return AtDepth(
        depth,
        gain=means(data, data.gain(arm, data.metric, depth)),
        loss=means(data, own - here),
        cost=None if usd is None else means(data, usd) * QUERIES,
        p=p,
        added_p95_ms=added_ms,
        more_chunks=more_chunks(data, arm, depth),
    )


def study_of(data: RerankerData, verdicts: Mapping[str, RerankerVerdict]) -> RerankerStudy:
    """What holds for all rerankers together."""
    priced = dict.fromkeys(llm["name"] for name in verdicts if (llm := llm_of(data, name)) is not None)
    words = {name: decided_words(one.verdict, one.depth) for name, one in verdicts.items()}
    return RerankerStudy(
        metric=data.metric,
        k={name: one.k for name, one in verdicts.items()},
        margin=data.settings.margin,
        worth_usd_per_point=data.settings.worth_usd_per_point,
        **{
            limit: value
            for limit in ("max_added_p95_ms", "max_usd_per_1000_queries")
            if (value := getattr(data.settings, limit)) is not None
        },
        priced_as=", ".join(priced) or None,
        queries=len(data.query_ids),
        timed_queries={name: one.statement.timed_queries for name, one in verdicts.items()},
        replicates=VERDICT_RESAMPLES,
        side_by_side=side_by_side(data),
        statements=tuple(f"{name}: {words[name]}. {one.reason}" for name, one in verdicts.items()),
        notes=(RULE,),
        work=RerankerWork(**data.manifest["work"]),
    )


def notes(data: RerankerData, arm: str) -> list[str]:
    """What limits what is said of one reranker."""
    facts, found = data.arm(arm), []
    check = facts.pointwise
    if facts.app:
        found.append(
            "Candidates and their order are those that the app gave; what its reranker left out comes after what it "
            "kept. Its depth is how many candidates it had at most."
        )
        if not facts.without_live:
            found.append(
                "Nobody asked it live without its reranker (a knob named reranker with a value off would): the time "
                "without is the time with, less that of the rerank stage."
            )
    elif check.declared and check.listwise:
        found.append(
            "It declares that a pair's score depends on no other candidate, but scores moved by "
            f"{check.largest_difference:.0%} of their spread in other company: it was run at every depth."
        )
    elif check.declared and not check.checked_queries:
        found.append("Whether its scores depend on the other candidates could not be checked: there were too few.")
    elif check.listwise:
        found.append("Its scores depend on the other candidates, so it was run at every depth.")
    if busy := data.busy(arm):
        found.append(
            f"While it was timed {busy}: added time, and money that is billed by time, are those of other work too. "
            "They stand in the tables and decide nothing; time it again when the machine does nothing else."
        )
    timed = data.timed(arm, facts.own_depth)["query_id"].nunique()
    if timed < FEW_TIMED:
        rests = f"Latency rests on {figures.counted(timed, 'timed query', 'timed queries')}"
        found.append(f"{rests}, p95 on few of them; {_more_seconds(data, arm)}.")
    if not data.gain(arm, data.metric).any():
        found.append(
            f"No query's {data.metric} changed. Resampling cannot draw what is not there: the intervals count with up "
            f"to {figures.share(unseen_share(len(data.query_ids)))} of other queries that may still change."
        )
    judged = float(data.values(arm, RERANK, facts.own_depth, "Judged@10").mean())
    if judged < LOW_JUDGED:
        found.append(f"Only {judged:.0%} of its first ten are judged; unjudged documents count as not relevant.")
    beyond = [depth for depth in data.settings.depths if depth not in facts.depths]
    if beyond and not facts.app:
        found.append(f"The corpus has fewer passages than the depths {beyond}, which were left out.")
    rate = data.rates["arms"][arm]["rate"]
    if rate is not None and not rate.get("verified") and rate["name"] != "free":
        found.append(f"The rate {rate['name']} was read at second hand; check it against the provider's page.")
    return found


def _more_seconds(data: RerankerData, arm: str) -> str:
    """What would narrow its latency: the seconds in which as many queries are timed as wished for."""
    live, timing = data.tables["live"], data.settings.timing
    taken = live.groupby(["arm", "depth"])["end_to_end_ns"].mean().groupby("arm").sum()
    timed = data.timed(arm, data.arm(arm).own_depth)["query_id"].nunique()
    few = few_timed(
        {str(name): round(ns) for name, ns in taken.dropna().items()},
        {arm: timed},
        len(data.query_ids),
        timing,
        asked=timing.rounds,
        table="reranker.timing",
    )
    return few.remedy if few else "more seconds for [reranker.timing]"


def _reported_otherwise(
    data: RerankerData, arm: str, billing: RerankerBilling, reported: Mapping[str, pd.Series]
) -> list[str]:
    """Where the reranker's own count of what is billed is not the recording's, over the queries that it counted."""
    counts = reported.get(REPORTED.get(str(billing.shape), ""))
    if counts is None:
        return []
    units = pd.Series(data.units(arm, data.arm(arm).own_depth), index=data.query_ids)
    counted, said = float(units.reindex(counts.index).mean()), float(counts.mean())
    if not counted > 0 or abs(said / counted - 1) <= OTHERWISE:
        return []
    return [
        f"The reranker reported {said:,.4g} per query of what is billed ({billing.unit}), the recording counted "
        f"{counted:,.4g}: the bill may differ by as much."
    ]
