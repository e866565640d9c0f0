"""A stores section in the report and on a terminal."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from ragprof.report import figures
from ragprof.report.blocks import Block, ReportPart, Sentences
from ragprof.report.tables import Cell, Column, Table, Tone, estimate_cell, figure, gain_span, quantile_cell
from ragprof.report.tables import Row as TableRow
from ragprof.studies.contract import Context, EstimateValue
from ragprof.studies.stores.section import Kept, StoreQuality, StoreSetting, StoresSection

if TYPE_CHECKING:
    from rich.console import RenderableType

WORDS: dict[Kept, tuple[str, Tone]] = {
    "kept": ("within the margin", "better"), "undecided": ("cannot be told", "undecided"), "lost": ("lost", "worse"),
}  # fmt: skip


def show(section: StoresSection, _context: Context) -> list[ReportPart]:
    """One part: the answer in sentences, drawn, and in figures."""
    from ragprof.studies.stores import charts

    blocks: list[Block] = [
        Sentences(section.statements),
        charts.quality_against_p95(section),
        charts.quality_against_usd(section),
        charts.losses(section),
        settings_table(section),
        *([losses_table(section)] if section.losses else []),
        costs_table(section),
        *([filters_table(section)] if section.filters else []),
        *([cold_table(section)] if section.cold else []),
        *([charts.recall_by_phase(section), phases_table(section), changes_table(section)] if section.phases else []),
    ]
    return [ReportPart("stores", "Which index is good enough", blocks, link="Indexes")]


def basis(section: StoresSection) -> str:
    """What the figures rest on."""
    rounds = figures.between([each.latency.queries for each in section.settings], "query", "queries")
    return (
        f"Vectors of {section.pipeline}, {figures.counted(section.passages, 'passage')}, depth {section.depth}; "
        f"{figures.counted(section.queries, 'query', 'queries')}, {rounds} of them timed in every round. Changes are "
        f"against exact search, paired by query, 95% intervals; within the margin: the interval ends above "
        f"-{section.margin:g}. Settings were chosen among {len(section.settings)} by the same questions."
    )


def settings_table(section: StoresSection) -> Table:
    """Recall, quality and latency, a row a setting."""
    judged, reranked = section.judged, any(each.reranked for each in section.settings)
    columns = [Column("Setting", numeric=False), Column(f"recall@{section.k}", "of exact search")]
    columns += [Column(section.metric, "change"), Column("Loss", f"margin {section.margin:g}")] if judged else []
    columns += [Column(section.metric, f"behind {section.reranker}"), Column("Loss", "behind it")] if reranked else []
    columns += [Column("Search", "p50"), Column("Search", "p95"), Column("Search", "p99")]
    server = any(each.server_p50_ns for each in section.settings)
    columns += [Column("Server", "p50, untimed pass")] if server else []
    rows = []
    for each in section.settings:
        cells = [Cell(each.name, tone="strong" if each.name == section.cheapest else ""),
                 estimate_cell(each.recall, figures.score)]  # fmt: skip
        cells += list(_quality(each.quality)) if judged else []
        cells += list(_quality(each.reranked)) if reranked else []
        cells += [quantile_cell(each.latency, name) for name in ("p50", "p95", "p99")]
        cells += [figure(figures.duration(each.server_p50_ns))] if server else []
        rows.append(TableRow(tuple(cells)))
    return Table("stores-settings", "Indexes and settings", tuple(columns), tuple(rows), basis(section))


def _quality(found: StoreQuality | None) -> tuple[Cell, Cell]:
    if found is None:
        return figure(figures.ABSENT), figure(figures.ABSENT)
    score = figures.score(found.score.mean)
    if found.change is None or found.change.mean is None:
        return figure(score), Cell("exact")
    words, tone = WORDS[found.within_margin]
    ends = gain_span(found.change.interval, figures.score)
    return figure(score, f"{figures.difference(found.change.mean)} ({ends})"), Cell(words, tone=tone)


def losses_table(section: StoresSection) -> Table:
    """Where a perfect score is lost: scoring, index, reranker, prompt."""
    columns = {
        Column("Setting", numeric=False): lambda one: Cell(one.setting),
        Column("Scoring", "of the vectors"): lambda one: estimate_cell(one.embedding, figures.score),
        Column("Index", "against exact"): lambda one: _lost(one.index),
        Column("Reordering", section.reranker): lambda one: _lost(one.rerank),
        Column("Packing", "of the prompt"): lambda one: _lost(one.packing),
        Column("All", "of 1"): lambda one: estimate_cell(one.total, figures.score),
    }
    if not section.reranker:
        columns = {column: read for column, read in columns.items() if column.title != "Reordering"}
    note = (
        f"{section.metric} lost in each part; the parts sum to what a perfect prompt has and this one has not. Below "
        "zero: won. Small figures are 95% intervals."
    )
    return Table.of("stores-parts", "Where quality is lost", columns, section.losses, note)


def _lost(part: EstimateValue | None) -> Cell:
    if part is None or part.mean is None:
        return figure(figures.ABSENT)
    return figure(figures.difference(part.mean), gain_span(part.interval, figures.score))


def costs_table(section: StoresSection) -> Table:
    """What each index takes to build and to keep."""
    columns = {
        Column("Setting", numeric=False): lambda one: Cell(one.name),
        Column("Build"): lambda one: figure(figures.duration(one.build_ns)),
        Column("Searchable", "after"): lambda one: figure(figures.duration(one.ready_ns)),
        Column("Index", "size"): lambda one: figure(figures.size(one.index_bytes)),
        Column("Memory", "of the server"): lambda one: figure(figures.size(one.memory_bytes)),
        Column("USD", "a month"): _month,
        Column("Short", "searches"): lambda one: figure(figures.count(one.short)),
    }
    note = "Settings of one index share its build."
    why = dict.fromkeys(each.unpriced for each in section.settings if each.unpriced)
    note += "".join(f" {figures.UNPRICED}: {reason}." for reason in why)
    if section.database is not None:
        rate = section.database
        read = f"verified {rate.verified}" if rate.verified else "not verified"
        note += f" A month: {rate.name} since {rate.since}, {read} ({rate.source}). {rate.note}"
        note += _floor(section)
    return Table.of("stores-costs", "What each index takes", columns, section.settings, note)


def _floor(section: StoresSection) -> str:
    """How many settings cost what is billed at least."""
    least = None if section.database is None else section.database.least_usd
    priced = [each.usd_per_month for each in section.settings if each.usd_per_month is not None]
    at_least = sum(least is not None and Decimal(usd) == Decimal(least) for usd in priced)
    if least is None or not at_least:
        return ""
    which = "Every setting costs" if at_least == len(priced) else f"{at_least} of {len(priced)} settings cost"
    return (
        f" {which} the least that is billed for these queries, {figures.usd(least)}: an index so small has no bill of "
        "its own, and bytes tell them apart."
    )


def filters_table(section: StoresSection) -> Table:
    """What each setting still finds where a filter lets few passages through."""
    columns = {
        Column("Filter", numeric=False): lambda one: Cell(
            one.field if one.value is None else f"{one.field} = {one.value}"
        ),
        Column("Lets through", "passages"): lambda one: figure(figures.count(one.matching)),
        Column("Setting", numeric=False): lambda one: Cell(one.setting),
        Column(f"recall@{section.k}", "of exact search"): lambda one: estimate_cell(one.recall, figures.score),
        Column("Short", "searches"): lambda one: figure(figures.count(one.short), tone="worse" if one.short else ""),
        Column("Search", "p50"): lambda one: quantile_cell(one.latency, "p50"),
        Column("Search", "p95"): lambda one: quantile_cell(one.latency, "p95"),
    }
    note = (
        "A field without a value is made up: which passages it lets through is drawn, whatever they "
        "say. Short: fewer came back than were asked for and are there."
    )
    return Table.of("stores-filters", "Behind filters", columns, section.filters, note)


def cold_table(section: StoresSection) -> Table:
    """First searches of what was closed and opened again, beside the same ones warm."""
    columns = {
        Column("Setting", numeric=False): lambda one: Cell(one.setting),
        Column("Restarts"): lambda one: figure(figures.count(one.restarts)),
        Column("Open", "p50"): lambda one: figure(figures.duration(one.open_p50_ns)),
        Column("First search", "p50"): lambda one: figure(figures.duration(one.first.p50_ns)),
        Column("Cold", "p50"): lambda one: quantile_cell(one.cold, "p50"),
        Column("Cold", "p95"): lambda one: quantile_cell(one.cold, "p95"),
        Column("Warm", "p50"): lambda one: quantile_cell(one.warm, "p50"),
        Column("Warm", "p95"): lambda one: quantile_cell(one.warm, "p95"),
        Column("Page cache", "kept"): lambda one: figure(figures.share(one.resident)),
    }
    note = (
        f"{figures.between([each.cold.n for each in section.cold], 'cold search', 'cold searches')} an index. Before "
        "each opening its process or its handle is gone, and its files are dropped from the system's page cache but "
        "for the share in the last column; what a disk keeps itself stays. FAISS reads its whole file while it opens. "
        "Warm: the same questions asked again, after all of them."
    )
    return Table.of("stores-cold", "Opened again", columns, section.cold, note)


def phases_table(section: StoresSection) -> Table:
    """Recall, ghosts and latency of each setting before, during and after changes, and after a rebuild."""
    columns = {
        Column("Setting", numeric=False): lambda one: Cell(one.setting if one.phase == "before" else ""),
        Column("Phase", numeric=False): lambda one: Cell(one.phase),
        Column(f"recall@{section.k}", "of what is there"): lambda one: estimate_cell(one.recall, figures.score),
        Column("Deleted", "still found"): lambda one: _ghosts(one.ghosts),
        Column("Old version", "still found"): lambda one: _ghosts(one.stale),
        Column("Searches"): lambda one: figure(figures.count(one.searches)),
        Column("Search", "p50"): lambda one: quantile_cell(one.latency, "p50"),
        Column("Search", "p95"): lambda one: quantile_cell(one.latency, "p95"),
    }
    note = (
        "Recall is against exact search over what is in the index while the search runs; a passage that is being "
        "written meanwhile counts neither way. Still found: searches that found what had gone before they began. "
        "Writes come from a second thread of the same process, so part of their cost to a search is Python's."
    )
    return Table.of("stores-phases", "An index that changes", columns, section.phases, note)


def _ghosts(count: int) -> Cell:
    return figure(figures.count(count), tone="worse" if count else "")


def changes_table(section: StoresSection) -> Table:
    """What the writes took, when new passages were found, and how large the index became."""
    columns = {
        Column("Index", numeric=False): lambda one: Cell(one.index),
        Column("Deleted", "passages"): lambda one: figure(figures.count(one.deleted)),
        Column("Replaced", "passages"): lambda one: figure(figures.count(one.replaced)),
        Column("Inserted", "passages"): lambda one: figure(figures.count(one.inserted)),
        Column("Write", "p50"): lambda one: figure(figures.duration(one.write_p50_ns)),
        Column("Write", "p95"): lambda one: figure(figures.duration(one.write_p95_ns)),
        Column("Found after", "p50"): lambda one: figure(figures.duration(one.visible_p50_ns)),
        Column("Found after", "longest"): lambda one: figure(figures.duration(one.visible_most_ns)),
        Column("Index", "before"): lambda one: figure(figures.size(one.before_bytes)),
        Column("Index", "after"): lambda one: figure(figures.size(one.after_bytes)),
        Column("Index", "built anew"): lambda one: figure(figures.size(one.rebuilt_bytes)),
        Column("Build anew"): lambda one: figure(figures.duration(one.rebuild_ns)),
    }
    note = (
        f"{figures.between([each.writes for each in section.changes], 'write')} an index. Found after: from the "
        "beginning of a write until a search by a new passage's own vector finds it."
    )
    return Table.of("stores-changes", "What changing an index takes", columns, section.changes, note)


def _month(one: StoreSetting) -> Cell:
    if one.usd_per_month is None:
        return Cell(figures.UNPRICED, tone="unpriced")
    return figure(figures.usd(one.usd_per_month))


def stores_table(section: StoresSection, _context: Context) -> RenderableType:
    """For a terminal of 80 columns: a line a setting, then the sentences."""
    from rich.console import Group
    from rich.padding import Padding

    from ragprof.report.terminal import INDENT, bullets, empty_table, said

    table = empty_table("setting")
    titles = [f"recall@{section.k}", *([section.metric, "change"] if section.judged else []), "p50", "p95", "index"]
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for each in section.settings:
        quality = []
        if section.judged and each.quality is not None:
            change = each.quality.change
            quality = [
                figures.score(each.quality.score.mean),
                "" if change is None else figures.difference(change.mean),
            ]
        times = [figures.duration(each.latency.p50_ns), figures.duration(each.latency.p95_ns)]
        table.add_row(
            said(each.name), figures.score(each.recall.mean), *quality, *times, figures.size(each.index_bytes)
        )
    lines = [*bullets(section.statements), said(basis(section), style="dim")]
    return Group(table, *(Padding(line, INDENT) for line in lines))
