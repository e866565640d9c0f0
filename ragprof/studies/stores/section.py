"""What `ragprof stores` found, as summary.json has it under `stores`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from ragprof.studies.contract import EstimateValue, Latency, Section

Kept: TypeAlias = Literal["kept", "undecided", "lost"]


class StoreQuality(Section):
    """The metric of one ranking, and how it differs from that of exact search, paired by query."""

    score: EstimateValue
    change: EstimateValue | None = Field(description="null of exact search itself")
    within_margin: Kept = Field(
        description="kept: the interval of the loss ends below the margin; lost: it begins above it"
    )


class StoreSetting(Section):
    """One index asked in one way."""

    name: str
    index: str
    engine: str | None
    recall: EstimateValue = Field(
        description="share of exact search's first k that are found; ties with the last of them count"
    )
    quality: StoreQuality | None = Field(description="null without relevance judgements")
    reranked: StoreQuality | None = Field(description="after the reranker, against exact search after it")
    latency: Latency = Field(description="of a live search through the store's own call")
    server_p50_ns: int | None = Field(description="of what the server says of itself, in a pass that is not timed")
    short: int = Field(description="questions for which it found fewer passages than it was asked for")
    build_ns: int
    ready_ns: int = Field(description="until everything is searched through the index")
    index_bytes: int
    memory_bytes: int | None = Field(description="of the server, where it tells")
    usd_per_month: str | None = Field(description="null where UNPRICED")
    unpriced: str
    latency_front: bool = Field(description="no other setting has both better quality and a lower p95")
    cost_front: bool = Field(description="no other setting has both better quality and a lower price a month")


class StoreFilter(Section):
    """One setting behind a filter that lets a share of the passages through."""

    setting: str
    field: str
    selectivity: float
    matching: int = Field(description="passages that it lets through")
    recall: EstimateValue = Field(description="share of the first k that exact search finds among these")
    short: int = Field(description="questions for which fewer came back than were asked for and are there")
    latency: Latency


class StoreRate(Section):
    """By which price a month was counted."""

    name: str
    since: str
    source: str
    verified: str | Literal[False]
    note: str


class StoresSection(Section):
    """Indexes and their settings against exact search over the same vectors."""

    pipeline: str
    reranker: str = Field(description="empty where there is none")
    metric: str
    margin: float
    k: int
    depth: int
    queries: int
    passages: int
    judged: bool
    busy: str = Field(description="why times are not to be trusted; empty where nothing speaks against them")
    settings: list[StoreSetting]
    filters: list[StoreFilter] = Field(description="of settings that can filter; empty where none was asked for")
    cheapest: str | None = Field(description="the cheapest setting that keeps the quality of exact search")
    cheapest_by: Literal["usd_per_month", "p95", "index_bytes"] = Field(
        description="USD of a month where all have a price; else p95, or bytes where times are not to be trusted"
    )
    cheapest_reranked: str | None
    database: StoreRate | None
    statements: list[str]
