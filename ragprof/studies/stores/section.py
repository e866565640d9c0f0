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


class StoreLoss(Section):
    """Where a perfect score of the metric is lost with one setting. The parts sum to the total; below 0 is won."""

    setting: str
    embedding: EstimateValue = Field(description="what exact search does not rank as labelled")
    index: EstimateValue = Field(description="what this setting misses of that")
    rerank: EstimateValue | None = Field(description="what reordering loses; null without a reranker")
    packing: EstimateValue = Field(description="what is not injected")
    total: EstimateValue


class StoreFilter(Section):
    """One setting behind a filter that lets a share of the passages through."""

    setting: str
    field: str
    value: str | None = Field(description="of the corpus's own field; null of one that is made up")
    selectivity: float
    matching: int = Field(description="passages that it lets through")
    recall: EstimateValue = Field(description="share of the first k that exact search finds among these")
    short: int = Field(description="questions for which fewer came back than were asked for and are there")
    latency: Latency


class StorePhase(Section):
    """One setting before, during or after its index was changed, or after it was built anew."""

    setting: str
    phase: Literal["before", "during", "after", "rebuilt"]
    recall: EstimateValue = Field(description="of exact search over what was in the index at that moment")
    change: EstimateValue | None = Field(description="of recall, against before, paired by query; null of before")
    searches: int
    ghosts: int = Field(description="searches that found a passage that had been deleted before they began")
    stale: int = Field(description="searches that found the old version of one that had been replaced before")
    latency: Latency


class StoreChange(Section):
    """What changing one index took, and what it left behind."""

    index: str
    deleted: int
    replaced: int
    inserted: int
    writes: int
    seconds: float = Field(description="from the first write to the end of the last")
    write_p50_ns: int
    write_p95_ns: int
    looked_for: int = Field(description="writes after which a new passage was looked for, by its own vector")
    visible_p50_ns: int | None = Field(description="from the beginning of the write until it was found")
    visible_most_ns: int | None
    never_visible: int = Field(description="of these, how many were not found within ten seconds")
    before_bytes: int
    after_bytes: int
    rebuilt_bytes: int = Field(description="of an index built anew of what is in it at the end")
    rebuild_ns: int


class StoreCold(Section):
    """The first searches of an index that was closed and opened again, beside the same ones asked again."""

    index: str
    setting: str
    restarts: int
    open_p50_ns: int = Field(description="until it can be asked; a server of ours is started in it")
    first: Latency = Field(description="of the very first search after each restart")
    cold: Latency = Field(description="of all questions after each restart, each asked once")
    warm: Latency = Field(description="of the same questions, asked again after all of them")
    resident: float | None = Field(
        description="largest share of its files left in the system's page cache before opening; null: nobody tells"
    )


class StoreRate(Section):
    """By which price a month was counted."""

    name: str
    since: str
    source: str
    verified: str | Literal[False]
    note: str
    least_usd: str | None = Field(None, description="billed at least for these queries, however small the index")


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
    losses: list[StoreLoss] = Field(description="a row a setting; empty without relevance judgements")
    filters: list[StoreFilter] = Field(description="of settings that can filter; empty where none was asked for")
    phases: list[StorePhase] = Field(description="of settings whose index can be changed; empty where none was asked")
    changes: list[StoreChange] = Field(description="a row an index that was changed")
    unchanged: list[str] = Field(description="indexes whose store lets no passage come and go")
    cold: list[StoreCold] = Field(description="a row an index that is ours; empty where none was asked")
    kept_open: list[str] = Field(description="indexes that cannot be closed and opened again here")
    cheapest: str | None = Field(description="the cheapest setting that keeps the quality of exact search")
    cheapest_by: Literal["usd_per_month", "p95", "index_bytes"] = Field(
        description="USD of a month where all have a price; else p95, or bytes where times are not to be trusted"
    )
    cheapest_reranked: str | None
    database: StoreRate | None
    statements: list[str]
