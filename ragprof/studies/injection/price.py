"""Price of answers: injection/ of a recording + rates -> costs. Reads no clock and no qrels, and asks no model again.

A generation has one price: the LLM's, by tokens, where the eval or the pipeline names one; else the machine time of a
model that runs here; else it is UNPRICED. A server's own count of tokens goes before the eval's tokenizer. Prompts are
billed as uncached: what a cache holds rests on what was asked just before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, localcontext
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from ragprof.core import RETRIEVAL_STAGES
from ragprof.core.errors import BadInput
from ragprof.core.files import write_table
from ragprof.core.recorded import write_sealed
from ragprof.evals import settings_of
from ragprof.evals.recorded import COSTS as BILL
from ragprof.price.bills import (
    ITEMS,
    PLACES,
    STAGE_ITEMS,
    BillingTerms,
    PriceList,
    is_remote,
    paid_hours,
    price_entries,
    price_terms,
)
from ragprof.price.columns import TEXT, USD
from ragprof.price.pricing import EXACT
from ragprof.price.rates import FREE, PublishedRate, Unpriced, shipped_books
from ragprof.studies.injection.recorded import ANSWERS, LIVE, MANIFEST, PROMPTS

REASONING = "reasoning tokens"
COLUMNS = {"pipeline": TEXT, "setting": TEXT, "query_id": TEXT, "item": TEXT, "usd": USD, "rate": TEXT}
PROMPT, ANSWER, MACHINE, RETRIEVAL = STAGE_ITEMS["inject"], STAGE_ITEMS["generate"], ITEMS["per_hour"], "retrieval"
Tokens: TypeAlias = Mapping[str, tuple[int, int, int]]
"""query_id -> tokens of its prompt, of all that the model wrote, and of the reasoning in that."""


@dataclass(frozen=True)
class Asked:
    """What one pipeline asked in one setting. `generate_ns` holds only the queries that were timed."""

    pipeline: str
    setting: str
    tokens: Tokens
    remote: bool
    generate_ns: Mapping[str, Decimal]


@dataclass(frozen=True)
class Line:
    """One item of a setting's bill. Without a price `usd` and `rate` are None and `reason` says why."""

    item: str
    rate: str | None
    usd: Mapping[str, Decimal] | None
    reason: str = ""


ANY = ""
"""Stands for every query."""
UNBILLED = Line(RETRIEVAL, None, None, "the recording has no costs.parquet; price it")


def price_answers(
    folder: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    books: Sequence[Path] = (),
    on: date,
    llm: str | None = None,
) -> None:
    """Write injection/costs.parquet and injection/rates.json of a recording's folder.

    `settings` is the configuration to price it by, its own where none is given; `books` are rate books on top of the
    shipped ones, `llm` replaces the eval's. Raises BadInput for files that cannot be read or lack an answer, and for a
    price under a name that does not exist.
    """
    home = folder / "injection"
    manifest, config = MANIFEST.read(home / "manifest.json"), settings or settings_of(home)
    prices = PriceList.of(config, books=books, on=on, file=home / "manifest.json")
    applied: dict[str, PublishedRate] = {}
    bills: list[tuple[Asked, list[Line]]] = []
    with localcontext(EXACT):
        retrieval = _retrieval_lines(folder / "costs.parquet")
        asked_by = _asked(home, manifest)
        for pipeline in config["pipelines"]:
            entries = price_entries(config, pipeline, llm=llm)
            terms = price_terms(entries, config, file=prices.file)
            for asked in asked_by.get(pipeline["name"], []):
                lines = _generation(asked, entries, prices=prices, terms=terms, applied=applied)
                found = retrieval.get(asked.pipeline, UNBILLED)
                usd = None if found.usd is None else dict.fromkeys(asked.tokens, found.usd[ANY])
                bills.append((asked, [*lines, replace(found, usd=usd)]))
    # A row per query, setting and item, of machine time per timed query; null `usd` and `rate` where unpriced.
    rows = [
        (asked.pipeline, asked.setting, query_id, line.item, line.usd[query_id] if line.usd else None, line.rate)
        for asked, lines in bills
        for line in lines
        for query_id in (line.usd or asked.tokens)
    ]
    types = {name: pd.ArrowDtype(kind) for name, kind in COLUMNS.items()}
    write_table(home / "costs.parquet", pd.DataFrame(rows, columns=list(COLUMNS)).astype(types))
    write_sealed(
        home / "rates.json", _document(bills, applied, on=on, books=[*shipped_books(), *books]), "costs.parquet"
    )


def _asked(home: Path, manifest: Mapping[str, Any]) -> dict[str, list[Asked]]:
    """pipeline -> what it asked, a setting at a time, in the order of the prompts."""
    live = dict(list(LIVE.read(home / "live.parquet").groupby(["pipeline", "setting"])))
    generators = manifest.get("generators") or {}
    answered = PROMPTS.read(home / "prompts.parquet").merge(
        ANSWERS.read(home / "answers.parquet"), on="digest", how="left", validate="many_to_one"
    )
    asked: dict[str, list[Asked]] = {}
    for (pipeline, setting), rows in answered.groupby(["pipeline", "setting"], sort=False):
        remote = is_remote(str(generators.get(pipeline, "")))
        unanswered = rows.loc[rows["answer_tokens"].isna(), "query_id"]
        if len(unanswered):
            raise BadInput(
                f"it has no answer for '{unanswered.iloc[0]}'; run 'ragprof inject' again",
                file=home / "answers.parquet",
            )
        reasoning = rows["reasoning_tokens"].fillna(0) if "reasoning_tokens" in rows else rows["answer_tokens"] * 0
        prompt, answer = rows["prompt_tokens"], rows["answer_tokens"] + reasoning
        if remote:  # a server's own count goes first
            prompt, answer = rows["model_tokens"].fillna(prompt), rows["output_tokens"].fillna(answer)
        counts = zip(*(column.astype(int).tolist() for column in (prompt, answer, reasoning)), strict=True)
        tokens = dict(zip(rows["query_id"].tolist(), counts, strict=True))
        busy: dict[str, Decimal] = {}
        if (timed := live.get((pipeline, setting))) is not None:
            # Mean ns of generating over a query's rounds, exactly.
            spans = timed[timed["generate_ns"].notna()].groupby("query_id")["generate_ns"]
            busy = {str(query): Decimal(sum(int(ns) for ns in each.tolist())) / len(each) for query, each in spans}
        asked.setdefault(str(pipeline), []).append(Asked(str(pipeline), str(setting), tokens, remote, busy))
    return asked


def _generation(
    asked: Asked,
    entries: Mapping[str, Any],
    *,
    prices: PriceList,
    terms: BillingTerms,
    applied: dict[str, PublishedRate],
) -> list[Line]:
    """The lines of the generation alone; the rate that was found is added to `applied`."""
    llm, machine = entries.get("llm"), None if asked.remote else entries.get("machine")
    items = [MACHINE] if machine and not llm else [PROMPT, ANSWER]
    try:
        if llm:
            rate = prices.rate(llm)
        elif machine:
            rate = prices.machine(machine, "generate")
        else:
            named = "llm" if asked.remote else "llm or machine"
            raise Unpriced(f"no rate for the generation; name one under [prices] as {named}")
        hourly = rate.shape == "per_hour" or not llm
        items = [MACHINE] if hourly else [PROMPT, ANSWER]
        if not hourly:
            call = cache(lambda tokens: rate.call(prompt_tokens=tokens[0], answer_tokens=tokens[1]))
            calls = {query_id: call(tokens[:2]) for query_id, tokens in asked.tokens.items()}
            answers = {query_id: cost.answer for query_id, cost in calls.items()}
            costs = [{query_id: cost.prompt for query_id, cost in calls.items()}, answers]
            if any(thought for _, _, thought in asked.tokens.values()):
                # Reasoning is billed as output; its share of the output's price stands in a line of its own.
                shares = {
                    query_id: (answers[query_id] * min(thought, written) / written if written else Decimal(0))
                    for query_id, (_, written, thought) in asked.tokens.items()
                }
                thoughts = {query_id: usd.quantize(PLACES) for query_id, usd in shares.items()}
                items = [PROMPT, ANSWER, REASONING]
                costs = [costs[0], {query_id: usd - thoughts[query_id] for query_id, usd in answers.items()}, thoughts]
        elif rate.shape == FREE:
            costs = [dict.fromkeys(asked.tokens, Decimal(0))]
        elif asked.generate_ns:
            # What generating took, for each query that was timed; a mean over them is what a query costs.
            hours = {query_id: paid_hours(ns, rate=rate, terms=terms) for query_id, ns in asked.generate_ns.items()}
            costs = [{query_id: rate.cost(paid) for query_id, paid in hours.items()}]
        else:
            raise Unpriced(
                f"no timed query, so no machine time for '{rate.name}'; give [injection.timing] more seconds"
            )
    except Unpriced as missing:
        return [Line(item, None, None, str(missing)) for item in items]
    applied[rate.name] = rate
    return [
        Line(item, rate.name, {query_id: usd.quantize(PLACES) for query_id, usd in each.items()})
        for item, each in zip(items, costs, strict=True)
    ]


def _retrieval_lines(path: Path) -> dict[str, Line]:
    """Mean cost of embedding, searching, reranking and packing of each pipeline, under ANY for every query alike.

    Nothing where no bill was written.
    """
    if not path.exists():
        return {}
    bill = BILL.read(path)
    packing = (bill["stage"] == "inject") & (bill["item"] == MACHINE)
    chosen = bill[bill["stage"].isin(RETRIEVAL_STAGES) | packing]
    found: dict[str, Line] = {}
    for name, rows in chosen.groupby("pipeline", sort=False):
        missing = rows.loc[rows["usd"].isna(), "stage"]
        if len(missing):
            reason = f"the recording has no price of {', '.join(dict.fromkeys(missing.tolist()))}; see its rates.json"
            found[str(name)] = Line(RETRIEVAL, None, None, reason)
            continue
        columns = [usd.tolist() for _, usd in rows.groupby(["stage", "item"])["usd"]]
        mean = sum((sum(usd, Decimal(0)) / len(usd) for usd in columns), Decimal(0))
        found[str(name)] = Line(RETRIEVAL, ", ".join(sorted(set(rows["rate"].tolist()))), {ANY: mean.quantize(PLACES)})
    return found


def _document(
    bills: Sequence[tuple[Asked, Sequence[Line]]],
    applied: Mapping[str, PublishedRate],
    *,
    on: date,
    books: Sequence[Path],
) -> dict[str, Any]:
    """`priced_as` is the rate of a pipeline's generations, null where they are unpriced."""
    priced_as: dict[str, str | None] = {}
    pipelines: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for asked, lines in bills:
        mine = pipelines.setdefault(asked.pipeline, {"applied": [], "unpriced": []})
        for line in lines:
            where = {"setting": asked.setting, "item": line.item}
            if line.usd is None:
                mine["unpriced"].append({**where, "reason": line.reason})
            else:
                mine["applied"].append({**where, "rate": line.rate, "queries": len(line.usd)})
        rates = [line.rate for line in lines if line.item != RETRIEVAL and line.rate]
        priced_as[asked.pipeline] = priced_as.get(asked.pipeline) or next(iter(rates), None)
    return {
        "format": 1,
        "on": on.isoformat(),
        "books": [book.name for book in books],
        "rates": {name: rate.as_json() for name, rate in sorted(applied.items())},
        "priced_as": priced_as,
        "pipelines": pipelines,
    }
