"""What the order of a prompt's chunks costs where a provider takes less for a prefix that it has just read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof.price.pricing import QUERIES
from ragprof.report import figures
from ragprof.report.tables import Cell, Column, Table, figure, group
from ragprof.statistics.estimates import mean_estimate
from ragprof.statistics.unseen import UNIT
from ragprof.studies.contract import EstimateValue
from ragprof.studies.load.money_section import PromptPrefix
from ragprof.studies.load.recorded import PREFIX_TABLE, PREFIXES, PrefixBill
from ragprof.studies.load.section import LoadSection

NEGLIGIBLE = 0.0005
"""USD per 1,000 questions that nobody would reorder a prompt for."""


def prefixes_of(
    place: Path, bills: Sequence[PrefixBill], config: Mapping[str, Any], seed: int
) -> list[PromptPrefix]:  # fmt: skip
    """One of each pipeline and order."""
    path = place / PREFIX_TABLE
    if not bills or not path.exists():
        return []
    table = PREFIXES.read(path)
    own = {each["name"]: (each.get("injector") or {}).get("order") or "best_first" for each in config["pipelines"]}
    found = []
    for bill in bills:
        mine = table[(table["pipeline"] == bill["pipeline"]) & (table["order"] == bill["order"])]
        usd, cached, saved = bill["usd"], bill["usd_cached"], bill["saved_interval"]
        found.append(
            PromptPrefix(
                pipeline=bill["pipeline"],
                order=bill["order"],
                is_own=own.get(bill["pipeline"]) == bill["order"],
                prompts=len(mine),
                tokens=float(mine["tokens"].mean()),
                repeated=_share(mine, "repeated", seed),
                repeated_any=_share(mine, "repeated_any", seed),
                cached_tokens=bill["cached_tokens"],
                rate=bill["rate"],
                usd_per_1000=None if usd is None else usd * QUERIES,
                usd_per_1000_cached=None if cached is None else cached * QUERIES,
                saved_per_1000=None if saved is None else (saved[0] * QUERIES, saved[1] * QUERIES),
                reason=bill["reason"],
            )
        )
    return found


def _share(table: pd.DataFrame, column: str, seed: int) -> EstimateValue:
    """Of the tokens of each prompt but the first, which has none before it."""
    later = table.iloc[1:]
    return EstimateValue.of(
        mean_estimate((later[column] / later["tokens"].clip(lower=1)).to_numpy(), bounds=UNIT, seed=seed)
    )


def prefix_words(prefixes: Sequence[PromptPrefix]) -> Iterator[str]:
    """What a pipeline's own order costs against the order that repeats most; one sentence a pipeline."""
    for name in dict.fromkeys(each.pipeline for each in prefixes):
        mine = [each for each in prefixes if each.pipeline == name and each.usd_per_1000_cached is not None]
        own = next((each for each in mine if each.is_own), None)
        if own is None or own.usd_per_1000_cached is None:
            continue
        best = min(mine, key=lambda each: each.usd_per_1000_cached or 0)
        lost = own.usd_per_1000_cached - (best.usd_per_1000_cached or 0)
        share, fixed = figures.share(own.repeated.mean), figures.share(best.repeated.mean)
        if lost > NEGLIGIBLE:
            yield (
                f"{name}: the order '{own.order}' costs {figures.usd(lost)} more per 1,000 questions than "
                f"'{best.order}' where {own.rate} discounts a repeated prefix: {share} of a prompt repeats the one "
                f"before it, against {fixed}."
            )
        else:
            yield (
                f"{name}: the order of chunks loses nothing of what {own.rate} discounts: {share} of a prompt repeats "
                "the one before it, and no order has more of it discounted."
            )


def prefix_table(section: LoadSection) -> Table | None:
    """A row an order, those of one pipeline together."""
    if not section.prefixes:
        return None
    columns = (
        Column("Pipeline", numeric=False), Column("Order of chunks", numeric=False), Column("Tokens", "of a prompt"),
        Column("Repeated", "of the one before"), Column("Repeated", "of any before"), Column("Discounted", "tokens"),
        Column("USD", "per 1,000, none discounted"), Column("USD", "per 1,000, with the discount"),
    )  # fmt: skip
    rows = []
    for name in dict.fromkeys(each.pipeline for each in section.prefixes):
        rows += group(Cell(name), [_row(each) for each in section.prefixes if each.pipeline == name])
    reasons = "".join(f" {figures.UNPRICED}: {why}." for why in dict.fromkeys(
        each.reason for each in section.prefixes if each.reason))  # fmt: skip
    note = (
        "Prompts of the same chunks, in the order in which the questions were asked; 'by id' is the same whatever was "
        "asked. Repeated: the share of its tokens with which a prompt begins as the one before it did. Discounted: "
        "what of it is long enough (cached_from_tokens and cached_step_tokens under [economics]) for the provider's "
        f"price of cached tokens.{reasons}"
    )
    return Table("load-prefixes", "What the order of chunks costs where repeated prefixes are cheaper", columns,
                 tuple(rows), note)  # fmt: skip


def _row(one: PromptPrefix) -> tuple[Cell, ...]:
    return (
        Cell(one.order, note="its own" if one.is_own else ""),
        figure(figures.mean_count(one.tokens)),
        _told(one.repeated),
        _told(one.repeated_any),
        figure(figures.mean_count(one.cached_tokens)),
        _usd(one.usd_per_1000),
        _usd(one.usd_per_1000_cached),
    )


def _told(found: EstimateValue) -> Cell:
    ends = figures.span(found.interval, figures.share)
    return figure(figures.share(found.mean), "" if ends == figures.ABSENT else ends)


def _usd(value: float | None) -> Cell:
    return Cell(figures.UNPRICED, tone="unpriced") if value is None else figure(figures.usd(value))
