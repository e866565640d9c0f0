"""Analyses a judged and priced stores recording: fronts, the cheapest setting that keeps quality, and sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ragprof.evals import unpriced
from ragprof.record.belonging import Basis, belongs
from ragprof.record.disturbance import disturbance_of
from ragprof.report import figures
from ragprof.report.figures import counted
from ragprof.statistics.estimates import estimated, gained, latency_quantiles, quantile
from ragprof.statistics.unseen import SIGNED, UNIT, is_tie
from ragprof.studies.contract import EstimateValue, Latency
from ragprof.studies.stores.freshness import change_sentences, changes_in, cold_in, cold_sentences, phases_in
from ragprof.studies.stores.plan import EXACT
from ragprof.studies.stores.record import APART
from ragprof.studies.stores.recorded import BILLS, BUILDS, FILTERED, FOUND, JUDGEMENT, LIVE, MANIFEST, SCORES
from ragprof.studies.stores.section import (
    Kept,
    StoreFilter,
    StoreLoss,
    StoreQuality,
    StoreRate,
    StoreSetting,
    StoresSection,
)

FILES = ("manifest.json", "judgement.json")
BY = {"usd_per_month": "price", "p95": "time", "index_bytes": "size"}


@dataclass(frozen=True)
class Dearness:
    """What makes one setting dearer than another: money where all have a price, times where they can be trusted."""

    priced: bool
    busy: str

    @property
    def word(self) -> Literal["usd_per_month", "p95", "index_bytes"]:
        return "usd_per_month" if self.priced else "index_bytes" if self.busy else "p95"


def is_compared(folder: Path) -> bool:
    """Whether a stores recording was finished and judged."""
    return all((folder / "stores" / name).exists() for name in FILES)


def stores_belong(folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]) -> bool:
    """Whether it is of the same corpus, questions, pipelines and judgements as the recording it lies in."""
    place = folder / "stores"
    own, judged = MANIFEST.read(place / "manifest.json"), JUDGEMENT.read(place / "judgement.json")
    basis = Basis(
        corpus=own["corpus"]["sha256"], questions=own["questions"], pipelines=unpriced(own["config"]["pipelines"]),
        identities=own["identities"],
    )  # fmt: skip
    return belongs(basis, recording=own["recording"], judged=judged, manifest=manifest, judgement=judgement)


def analyse(folder: Path) -> StoresSection:
    """The section of the summary. Raises BadInput where a file is missing."""
    place = folder / "stores"
    manifest, judgement = MANIFEST.read(place / "manifest.json"), JUDGEMENT.read(place / "judgement.json")
    bills, builds = BILLS.read(place / "costs.json"), BUILDS.read(place / "builds.parquet").set_index("setting")
    scores, live, seed = SCORES.read(place / "scores.parquet"), LIVE.read(place / "spans.parquet"), 0
    seed = int(manifest["config"].get("seed", 0))
    margin, metric, k = judgement["margin"], judgement["metric"], manifest["k"]

    def values(setting: str, stage: str, name: str) -> pd.Series:
        mine = scores[(scores["setting"] == setting) & (scores["stage"] == stage) & (scores["metric"] == name)]
        return mine.set_index("query_id")["value"]

    def quality(setting: str, stage: str) -> StoreQuality | None:
        own, exact = values(setting, stage, metric), values(EXACT, stage, metric)
        if own.empty:
            return None
        change = None if setting == EXACT else EstimateValue(**estimated(gained(own, exact), bounds=SIGNED, seed=seed))
        score = EstimateValue(**estimated(own, bounds=UNIT, seed=seed))
        return StoreQuality(score=score, change=change, within_margin=_kept(change, margin))

    def loss(setting: str) -> StoreLoss:
        exact, search, inject = (
            values(EXACT, "search", metric),
            values(setting, "search", metric),
            values(setting, "inject", metric),
        )
        last = values(setting, "rerank", metric) if manifest["reranker"] else search

        def part(lost: pd.Series) -> EstimateValue:
            return EstimateValue(**estimated(lost, bounds=SIGNED, seed=seed))

        return StoreLoss(
            setting=setting,
            embedding=part(1 - exact),
            index=part(exact - search),
            rerank=part(search - last) if manifest["reranker"] else None,
            packing=part(last - inject),
            total=part(1 - inject),
        )

    settings = []
    for each in manifest["settings"]:
        name, number = each["name"], each["number"]
        found = FOUND.read(place / "found" / f"{number}.parquet")
        server, build = found["server_ns"].dropna(), builds.loc[name]
        bill = bills["bills"][name]
        wanted = min(manifest["depth"], manifest["corpus"]["docs"])
        settings.append(
            StoreSetting(
                name=name,
                index=each["index"],
                engine=manifest["engines"].get(name),
                recall=EstimateValue(**estimated(values(name, "search", f"recall@{k}"), bounds=UNIT, seed=seed)),
                quality=quality(name, "search"),
                reranked=quality(name, "rerank") if manifest["reranker"] else None,
                latency=Latency(**latency_quantiles(_timed(live, name), seed=seed)),
                server_p50_ns=None if server.empty else round(quantile(server.to_numpy(float)[:, None], 0.5)),
                short=int((found["found"] < wanted).sum()),
                build_ns=int(build["build_ns"]),
                ready_ns=int(build["ready_ns"]),
                index_bytes=int(build["index_bytes"]),
                memory_bytes=None if pd.isna(build["memory_bytes"]) else int(build["memory_bytes"]),
                usd_per_month=bill["usd"],
                unpriced=bill["reason"],
                latency_front=False,
                cost_front=False,
            )
        )
    settings = _with_fronts(settings)
    busy = _busy(live, manifest["config"].get("stores", {}).get("timing", {}))
    by = Dearness(all(each.usd_per_month is not None for each in settings), busy)
    rate = bills["database"]
    section = StoresSection(
        pipeline=manifest["pipeline"],
        reranker=manifest["reranker"],
        metric=metric,
        margin=margin,
        k=k,
        depth=manifest["depth"],
        queries=len(manifest["query_ids"]),
        passages=manifest["corpus"]["docs"],
        judged=judgement["judged"],
        busy=busy,
        settings=settings,
        losses=[loss(each.name) for each in settings] if judgement["judged"] else [],
        filters=_filters(place, manifest, seed),
        phases=phases_in(place, manifest, seed),
        changes=changes_in(place, manifest),
        unchanged=_left(manifest, "churn", "churned"),
        cold=cold_in(place, manifest, seed),
        kept_open=_left(manifest, "cold", "reopened"),
        cheapest=_cheapest(settings, lambda one: one.quality, by),
        cheapest_by=by.word,
        cheapest_reranked=_cheapest(settings, lambda one: one.reranked, by),
        database=None if rate is None else StoreRate(**rate),
        statements=[],
    )
    return section.model_copy(update={"statements": list(_sentences(section))})


def _filters(place: Path, manifest: Mapping[str, Any], seed: int) -> list[StoreFilter]:
    if not manifest.get("filters"):
        return []
    table, live = FILTERED.read(place / "filtered.parquet"), LIVE.read(place / "filtered_spans.parquet")
    found = []
    for (field, setting), rows in table.groupby(["field", "setting"], sort=False):
        mine, matching = rows[rows["wanted"] > 0].set_index("query_id"), int(rows["matching"].iloc[0])
        found.append(
            StoreFilter(
                setting=setting,
                field=field,
                value=manifest.get("values", {}).get(field),
                selectivity=manifest["filters"][field],
                matching=matching,
                recall=EstimateValue(**estimated(mine["hits"] / mine["wanted"], bounds=UNIT, seed=seed)),
                short=int((rows["found"] < min(manifest["depth"], matching)).sum()),
                latency=Latency(**latency_quantiles(_timed(live, f"{setting}{APART}{field}"), seed=seed)),
            )
        )
    return found


def _left(manifest: Mapping[str, Any], asked: str, done: str) -> list[str]:
    """Indexes with which it was not done, where it was asked for."""
    labels = dict.fromkeys(each["built"] for each in manifest["settings"] if each["name"] != EXACT)
    return [label for label in labels if label not in manifest[done]] if manifest.get(asked) else []


def _busy(live: pd.DataFrame, timing: Mapping[str, Any]) -> str:
    """Of the setting during which threads waited longest; empty where none waited for long."""
    each = [disturbance_of(rows, timing) for _, rows in live.groupby("pipeline")]
    worst = max(each, key=lambda one: one.waiting or 0.0)
    return worst.reason if worst.busy else ""


def _timed(live: pd.DataFrame, name: str) -> pd.DataFrame:
    return live[(live["pipeline"] == name) & (live["phase"] == "timed") & (live["stage"] == "query")]


def _kept(change: EstimateValue | None, margin: float) -> Kept:
    """Non-inferiority by the 95% interval of the paired difference; exact search keeps its own quality.

    So does what no query tells from it: that is a fact of these queries, though others may differ.
    """
    if change is None or is_tie(change.mean, change.interval, change.n):
        return "kept"
    low, high = change.interval or (None, None)
    if low is None or high is None:
        return "undecided"
    return "kept" if low >= -margin else "lost" if high < -margin else "undecided"


def _with_fronts(settings: Sequence[StoreSetting]) -> list[StoreSetting]:
    """No other setting has at least the quality for less, or more of it for the same; recall where nobody judged."""

    worth = {each.name: _worth(each) for each in settings}

    def front(cost: Mapping[str, float]) -> set[str]:
        return {name for name in cost if not any(beats(other, name, cost) for other in cost)}

    def beats(other: str, name: str, cost: Mapping[str, float]) -> bool:
        at_least = worth[other] >= worth[name] and cost[other] <= cost[name]
        return at_least and (worth[other], cost[other]) != (worth[name], cost[name])

    fast = front({each.name: float(each.latency.p95_ns) for each in settings})
    cheap = front({each.name: float(each.usd_per_month) for each in settings if each.usd_per_month is not None})
    return [
        each.model_copy(update={"latency_front": each.name in fast, "cost_front": each.name in cheap})
        for each in settings
    ]


def _worth(one: StoreSetting) -> float:
    found = one.recall if one.quality is None else one.quality.score
    return found.mean or 0.0


def _cheapest(
    settings: Sequence[StoreSetting], read: Callable[[StoreSetting], StoreQuality | None], by: Dearness
) -> str | None:
    """Of equally dear ones the faster, or the smaller where times are not to be trusted."""
    good = [each for each in settings if (own := read(each)) is not None and own.within_margin == "kept"]
    return min(good, key=lambda one: _dear(one, by)).name if good else None


def _dear(one: StoreSetting, by: Dearness) -> tuple[Decimal, int, int]:
    usd = Decimal(one.usd_per_month or 0) if by.priced else Decimal(0)
    return usd, 0 if by.busy else one.latency.p95_ns, one.index_bytes


def _sentences(section: StoresSection) -> Iterator[str]:
    of = {each.name: each for each in section.settings}
    exact = of[EXACT]
    if not section.judged:
        yield (
            "Nobody has judged this eval's questions: recall of exact search is all that can be said, and not what the "
            "missing passages are worth."
        )
    else:
        yield _answer(section, of, exact)
        if section.busy:
            yield f"Take the times again before you rest anything on them: {section.busy}."
        lost = [each.name for each in section.settings if each.quality and each.quality.within_margin == "lost"]
        unsure = [each.name for each in section.settings if each.quality and each.quality.within_margin == "undecided"]
        if lost:
            yield f"More than {section.margin:g} of {section.metric} is lost with {figures.listed(lost)}."
        if unsure:
            yield (
                f"{counted(section.queries, 'query', 'queries')} cannot tell whether {figures.listed(unsure)} "
                f"{'keeps' if len(unsure) == 1 else 'keep'} it within {section.margin:g}: the intervals reach beyond."
            )
        yield from _with_reranker(section)
    short = [each for each in section.settings if each.short]
    if short:
        told = figures.listed([f"{each.name} ({each.short:,})" for each in short])
        yield f"Fewer passages than asked for came back from {told}, in so many of {section.queries:,} searches."
    yield from _starved(section)
    yield from cold_sentences(section)
    yield from change_sentences(section)


def _starved(section: StoresSection) -> Iterator[str]:
    """Filters behind which settings return less than there is, in silence."""
    for field in dict.fromkeys(one.field for one in section.filters):
        short = [one for one in section.filters if one.field == field and one.short]
        if short:
            told = figures.listed([f"{one.setting} ({one.short:,})" for one in short])
            yield (
                f"Behind the filter {field}, which lets {short[0].matching:,} passages through, fewer than there are "
                f"came back from {told}, in so many of {section.queries:,} searches, without a word."
            )


def _answer(section: StoresSection, of: Mapping[str, StoreSetting], exact: StoreSetting) -> str:
    if section.cheapest is None or section.cheapest == EXACT:
        return (
            f"No setting that was tried beats exact search in {BY[section.cheapest_by]} and surely keeps "
            f"{section.metric} within {section.margin:g} of it ({counted(section.queries, 'query', 'queries')})."
        )
    best = of[section.cheapest]
    change = best.quality.change if best.quality else None
    told = "" if change is None else figures.with_interval(change.mean, change.interval, figures.difference)
    facts = []
    if section.cheapest_by == "usd_per_month" and best.usd_per_month == exact.usd_per_month:
        facts.append(f"a month costs {figures.usd(best.usd_per_month)} like that of exact search")
    elif section.cheapest_by == "usd_per_month":
        facts.append(f"a month costs {figures.usd(best.usd_per_month)} instead of {figures.usd(exact.usd_per_month)}")
    if not section.busy:
        facts.append(
            f"a search takes {figures.duration(best.latency.p95_ns)} at p95 instead of "
            f"{figures.duration(exact.latency.p95_ns)}"
        )
    facts.append(f"the index is {figures.size(best.index_bytes)} instead of {figures.size(exact.index_bytes)}")
    word = {"usd_per_month": "cheapest", "p95": "fastest", "index_bytes": "smallest"}[section.cheapest_by]
    return (
        f"Of {len(of)} settings, {best.name} is the {word} that surely loses no more than {section.margin:g} of "
        f"{section.metric} against exact search: {told}; {figures.listed(facts)}."
    )


def _with_reranker(section: StoresSection) -> Iterator[str]:
    """Whether the reranker makes up for what an index misses."""
    seen = [each for each in section.settings if each.reranked is not None and each.name != EXACT]
    if not seen:
        return
    mended = [
        each.name
        for each in seen
        if each.quality and each.reranked and each.quality.within_margin != "kept"
        and each.reranked.within_margin == "kept"
    ]  # fmt: skip
    worse = [
        each.name
        for each in seen
        if each.quality and each.reranked and each.quality.within_margin == "kept"
        and each.reranked.within_margin != "kept"
    ]  # fmt: skip
    if mended:
        yield (
            f"The reranker {section.reranker} makes up for a coarse index: behind it {figures.listed(mended)} "
            f"{'keeps' if len(mended) == 1 else 'keep'} {section.metric} within {section.margin:g} of exact search, "
            "which it is not certain to do alone."
        )
    else:
        yield (
            f"The reranker {section.reranker} makes up for no index that loses more than {section.margin:g} alone: "
            "it orders what was found and cannot find what was missed."
        )
    if worse:
        yield f"Behind the reranker more is lost than alone with {figures.listed(worse)}."
