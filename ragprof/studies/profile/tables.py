"""Tables of the main run, and the run on a terminal: the answer and one table, no wider than 80 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TypeAlias

from rich.console import Group, RenderableType
from rich.padding import Padding

from ragprof.core import RANKED_STAGES, in_order
from ragprof.corpus.account import ParsedFiles
from ragprof.report import figures
from ragprof.report.figures import UNPRICED
from ragprof.report.tables import (
    HOW_QUANTILES,
    PIPELINE,
    Cell,
    Column,
    Row,
    Table,
    bill_cell,
    figure,
    group,
    interval_cell,
    judged_cell,
    mark_note,
    marked,
    quantile_cell,
    score_cell,
    verdict_cell,
)
from ragprof.report.terminal import INDENT, empty_table, said, styled
from ragprof.statistics.estimates import QUANTILES
from ragprof.studies.contract import BuildFigures, ComparedPair, Latency
from ragprof.studies.labelled import side_by_side_words
from ragprof.studies.profile.section import MOST_PAIRS, IndexingCost, Overlap, PipelineFigures, ProfileSection

Columns: TypeAlias = dict[Column, Callable[[str], Cell]]
"""Of tables with a row a pipeline: what a column says of the pipeline of that name."""
_MACHINE = {
    "cpu": "Processor",
    "cores": "Cores",
    "threads": "Threads used",
    "memory_bytes": "Memory",
    "gpu": "GPU",
    "os": "System",
    "python": "Python",
    "ragprof": "ragprof",
}


def glance(section: ProfileSection) -> Table:
    """Quality of the final ranking, latency, money and tokens of each pipeline."""
    metric, judged, of = section.metric, figures.judged_beside(section.metric), section.pipelines
    fronts = dict(section.pareto)
    quality: Columns = {
        Column(metric, "final ranking"): lambda name: score_cell(section.final_scores(name), metric),
        Column(judged, extra=True): lambda name: judged_cell(section.final_scores(name), metric),
    }
    front: Columns = {
        Column("On the front", numeric=False, extra=True): lambda name: Cell(
            ", ".join(front for front in fronts if name in fronts[front]) or figures.DASH, tone="quiet"
        )
    }
    columns: Columns = {
        PIPELINE: lambda name: Cell(name, of[name].description, pipeline=name),
        **(quality if section.judged else {}),
        **{Column(quantile, "end to end"): partial(_end_to_end_cell, of, quantile) for quantile in ("p50", "p95")},
        Column("Cost", "per 1,000 queries"): lambda name: marked(
            bill_cell(of[name].cost_usd_per_1000_queries), of[name].cost_withheld
        ),
        Column("Context", "tokens per query"): lambda name: _usage_cell(of[name], "inject.context_tokens"),
        **(front if section.judged else {}),
    }
    cutoff = judged.partition("@")[2]
    told = (
        f"{judged} is the share of the {f'first {cutoff} ' if cutoff else ''}results "
        "that has a relevance judgement: unjudged is not irrelevant. On the front: no other pipeline measured here has "
        f"both a higher {metric} and a lower latency (or cost). "
    )
    note = (
        f"Small figures are 95% intervals. {told if section.judged else ''}"
        f"{HOW_QUANTILES}{mark_note(_withheld(section))}"
    )
    return Table.of("glance", "At a glance", columns, of, note)


def _end_to_end_cell(of: Mapping[str, PipelineFigures], quantile: str, name: str) -> Cell:
    return marked(quantile_cell(of[name].end_to_end, quantile), of[name].latency_withheld)


def _withheld(section: ProfileSection) -> dict[str, str]:
    return {name: one.latency_withheld for name, one in section.pipelines.items()}


def _usage_cell(pipeline: PipelineFigures, unit: str) -> Cell:
    return figure(figures.mean_count(pipeline.usage_per_query.get(unit)))


def latency(section: ProfileSection) -> Table:
    columns = (
        PIPELINE,
        Column("Stage", numeric=False),
        *(Column(quantile) for quantile in QUANTILES),
        Column("n", "timings", extra=True),
        Column("Cold start", "first query"),
    )
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        why = pipeline.latency_withheld
        cells = [
            _latency_cells(stage, pipeline.stages[stage], pipeline.cold_start_ns.get(stage), why=why)
            for stage in section.stages
            if stage in pipeline.stages
        ]
        if "generate" in pipeline.stages and (first := pipeline.stages["generate"].first_token):
            cells.append(_latency_cells("first token of it", first, None, why=why))
        *whole, _ = _latency_cells("end to end", pipeline.end_to_end, None, why=why)
        strong = (*(Cell(cell.text, cell.note, cell.tone or "strong") for cell in whole), Cell(""))
        rows += group(Cell(name, pipeline=name), [*cells, strong])
    note = (
        "Small figures are 95% intervals, resampled by query. The cold start is the first query after loading; "
        f"it is in no other figure. n counts timings: every query in every round. {HOW_QUANTILES}"
        f"{mark_note(_withheld(section))}"
    )
    return Table("latency", "Latency of each stage", columns, tuple(rows), note)


def _latency_cells(stage: str, found: Latency, cold_start: int | None, *, why: str) -> tuple[Cell, ...]:
    quantiles = (marked(quantile_cell(found, quantile), why) for quantile in QUANTILES)
    return (Cell(stage), *quantiles, figure(figures.count(found.n)), figure(figures.duration(cold_start)))


def quality(section: ProfileSection) -> Table:
    """Every metric at every stage that ranks, and at each of their cutoffs the share of results that is judged."""
    every = [scores for pipeline in section.pipelines.values() for scores in pipeline.scores.values()]
    names = dict.fromkeys(metric for scores in every for metric in scores)
    metrics = [metric for metric in names if not metric.startswith(figures.JUDGED)]
    shares = {figures.judged_beside(metric): metric for metric in metrics if figures.judged_beside(metric) in names}
    scored = (*map(Column, metrics), *(Column(share, quiet=True) for share in shares))
    columns = (PIPELINE, Column("After", numeric=False), *scored, Column("n", "queries"))
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        stages = []
        for stage in RANKED_STAGES:
            if scores := pipeline.scores.get(stage):
                cells = [Cell(stage, tone="strong" if stage == section.final_stage[name] else "")]
                cells += [score_cell(scores, metric) for metric in metrics]
                cells += [judged_cell(scores, metric) for metric in shares.values()]
                n = max((scores[metric].n for metric in metrics if metric in scores), default=0)
                stages.append((*cells, figure(figures.count(n or None))))
        rows += group(Cell(name, pipeline=name), stages)
    note = (
        "Means over queries with 95% bootstrap intervals. The row in bold is the pipeline's final ranking. "
        "Judged@k is the share of the first k results that somebody has judged; it qualifies the metrics at that k."
    )
    return Table("quality", "Ranking quality after each stage", columns, tuple(rows), note)


def cost(section: ProfileSection) -> Table:
    month = section.traffic.queries_per_month
    bills = {name: one.cost_usd_per_1000_queries for name, one in section.pipelines.items()}
    reasons = {name: one.cost_withheld for name, one in section.pipelines.items()}
    traffic = "" if month is None else f"{figures.rough_count(month)} queries"
    columns: Columns = {
        PIPELINE: lambda name: Cell(name, pipeline=name),
        **{Column(stage): partial(_stage_cost, section, stage) for stage in _billed(section)},
        Column("Total", "per 1,000 queries"): lambda name: marked(bill_cell(bills[name]), reasons[name]),
        Column("Per month", traffic): lambda name: marked(
            figure(UNPRICED if bills[name].total is None else figures.usd(bills[name].per_month), tone="strong"),
            reasons[name],
        ),
    }
    embedded = {name: one.indexing for name, one in section.pipelines.items()}
    if any(embedded.values()):
        columns[Column("Indexing", "the corpus, once")] = lambda name: _indexing_cell(embedded[name])
    note = (
        "USD per 1,000 queries; small figures are 95% intervals. n/a: the pipeline has no such stage, or nothing was "
        "recorded for it. UNPRICED: the stage was measured, but no rate for it is known; it is not free."
        f"{mark_note(reasons)}"
    )
    return Table.of("cost", "Cost of 1,000 queries, by stage", columns, bills, note)


def _indexing_cell(cost: IndexingCost | None) -> Cell:
    """What embedding the corpus costs, and the tokens that it is billed by."""
    if cost is None:
        return Cell(figures.ABSENT)
    if cost.usd is None:
        return Cell(UNPRICED, cost.reason)
    by = "" if cost.counted_by == "server" else ", by our tokenizer"
    return figure(figures.usd(cost.usd), f"{figures.rough_count(cost.tokens)} tokens{by}")


def _billed(section: ProfileSection) -> list[str]:
    """The stages that are measured, and what of an app's time belongs to none but is billed."""
    bills = (one.cost_usd_per_1000_queries for one in section.pipelines.values())
    return in_order([*section.stages, *(stage for bill in bills for stage in bill.stage_intervals)])


def _stage_cost(section: ProfileSection, stage: str, name: str) -> Cell:
    pipeline = section.pipelines[name]
    bill = pipeline.cost_usd_per_1000_queries
    usd, interval = bill.of_stage(stage), bill.stage_intervals.get(stage)
    if usd is None and stage in bill.unpriced_stages:
        return figure(UNPRICED)
    found = figure(figures.usd(usd), "" if interval is None else figures.span(interval, figures.usd))
    return marked(found, pipeline.cost_withheld if stage in pipeline.billed_by_time else "")


def builds(section: ProfileSection) -> Table:
    of = section.pipelines
    columns: Columns = {
        PIPELINE: lambda name: Cell(name, pipeline=name),
        Column("Build", "time"): lambda name: _built(of[name].build, "duration_ns", figures.duration),
        Column("Index", "size"): lambda name: _built(of[name].build, "index_bytes", figures.size),
        Column("Build memory", "peak"): lambda name: _built(of[name].build, "peak_rss_bytes", figures.size),
        Column("Query memory", "peak"): lambda name: figure(figures.size(of[name].peak_rss_bytes)),
        Column("Prompt", "tokens per query"): lambda name: _usage_cell(of[name], "inject.prompt_tokens"),
        Column("Scored pairs", "per query"): lambda name: _usage_cell(of[name], "rerank.docs_scored"),
    }
    return Table.of("builds", "Builds, memory and usage", columns, of, "Memory is the process's peak resident size.")


def _built(build: BuildFigures | None, name: str, write: Callable[[int], str]) -> Cell:
    """n/a of an app, which has an index of its own."""
    return Cell(figures.ABSENT) if build is None else figure(write(getattr(build, name)))


def trust(section: ProfileSection) -> Table:
    """How far each pipeline's timings can be trusted: do stages add up, what did measuring cost, how noisy was it."""
    of = section.pipelines
    columns: Columns = {
        PIPELINE: lambda name: Cell(name, pipeline=name),
        Column("Stages add up to", "of end to end"): lambda name: figure(figures.share(of[name].closure)),
        Column("Unaccounted", "mean per query"): lambda name: figure(figures.duration(of[name].unaccounted.mean_ns)),
        Column("Profiler overhead", "of end to end"): lambda name: interval_cell(
            of[name].overhead, of[name].overhead_interval, figures.share
        ),
        Column("Spread between rounds", "bound in small"): lambda name: figure(
            figures.share(of[name].noise.spread), f"bound {figures.share(of[name].noise.bound)}"
        ),
        Column("Timings", numeric=False): lambda name: _timings_cell(of[name]),
    }
    return Table.of("trust", "How far the timings can be trusted", columns, of)


def _timings_cell(pipeline: PipelineFigures) -> Cell:
    if pipeline.latency_withheld:
        return Cell("busy", pipeline.latency_withheld, tone="worse")
    return Cell("noisy", tone="worse") if pipeline.noise.noisy else Cell("steady", tone="quiet")


def cores(section: ProfileSection) -> Table | None:
    """What the threads of every stage did; None where no pipeline has a reading of it."""
    columns = (
        PIPELINE,
        Column("Stage", numeric=False),
        Column("On a core", "mean per query"),
        Column("Waiting for a core", "mean per query"),
        Column("Waiting", "of the time"),
        Column("Taken off a core", "times per query"),
        Column("Stolen", "by the hypervisor"),
        Column("Pressure", "of the machine"),
    )
    rows: list[Row] = []
    for name, pipeline in section.pipelines.items():
        if (found := pipeline.waiting) is None:
            continue
        cells = [
            (
                *(Cell(stage), figure(figures.duration(one.cpu_ns)), figure(figures.duration(one.waiting_ns))),
                *(figure(figures.share(one.share)), *[Cell("")] * 3),
            )
            for stage, one in found.stages.items()
        ]
        whole = (
            *(Cell("whole queries", tone="strong"), Cell(""), Cell("")),
            figure(
                figures.share(found.share), f"bound {figures.share(found.bound)}", "worse" if found.busy else "strong"
            ),
            figure(figures.mean_count(found.switches_per_query)),
            *(figure(figures.share(share)) for share in (found.stolen_share, found.pressure_share)),
        )
        rows += group(Cell(name, pipeline=name), [*cells, whole])
    note = (
        "Threads of one stage run and wait at the same time, so both may exceed its duration; waiting is subtracted "
        "from no figure. Stages so short that reading the counters around them would add more than 1 % are counted "
        "in the whole alone. Above the bound the machine was busy: "
        "latency, and money by the hour, are in no headline or verdict. Pressure is the share of the time in which "
        "some task of the machine, whoever's, waited."
    )
    return Table("cores", "What the cores did", columns, tuple(rows), note) if rows else None


def comparisons(section: ProfileSection) -> Table:
    columns: dict[Column, Callable[[ComparedPair], Cell]] = {
        Column("Candidate", numeric=False): lambda pair: Cell(pair.candidate, pipeline=pair.candidate),
        Column("Against", numeric=False): lambda pair: Cell(pair.baseline, pipeline=pair.baseline),
        Column("Metric", numeric=False): lambda pair: figure(pair.metric, f"{pair.stage} ranking"),
        Column("Difference", "95% interval"): lambda pair: interval_cell(
            pair.difference, pair.interval, figures.difference
        ),
        Column("p", extra=True): lambda pair: figure(figures.p_value(pair.p)),
        Column("p", "Holm"): lambda pair: figure(figures.p_value(pair.p_holm)),
        Column("n", "queries"): lambda pair: figure(figures.count(pair.n)),
        Column("Verdict", numeric=False): lambda pair: verdict_cell(pair, sizes[pair.metric]),
    }
    sizes = Counter(pair.metric for pair in section.comparisons)
    note = (
        "Paired by query; candidate minus baseline. p (Holm) is corrected for all comparisons in this table, the "
        "intervals are not: one that excludes 0 may belong to a difference that is not significant after correction. "
        "How many more queries would be needed holds for all of them together; a study of one pair asks for fewer. "
        "Undecided means not distinguishable with these queries, which is not the same as equal."
    )
    shown = section.shown_comparisons()
    left = len(section.comparisons) - len(shown)
    title = "Comparisons with the highest-ranking pipeline" if left else "All comparisons"
    note += f" {figures.counted(left, 'more pair')} stand in summary.json." if left else ""
    return Table.of("comparisons", title, columns, shown, note)


def overlaps(section: ProfileSection) -> Table:
    """How alike the results of every two pipelines are."""
    columns: dict[Column, Callable[[Overlap], Cell]] = {
        PIPELINE: lambda pair: Cell(pair.one, pipeline=pair.one),
        Column("And", numeric=False): lambda pair: Cell(pair.other, pipeline=pair.other),
        Column(
            "Shared", f"of the first {section.overlaps[0].depth if section.overlaps else 0} documents"
        ): lambda pair: interval_cell(pair.shared.mean, pair.shared.interval, figures.share),
        Column("Same first", "document"): lambda pair: interval_cell(
            pair.same_first.mean, pair.same_first.interval, figures.share
        ),
        Column("n", "queries"): lambda pair: figure(figures.count(pair.shared.n)),
    }
    note = (
        "Small figures are 95% intervals. Needs no judgement: it says how alike two pipelines are, not which is better."
    )
    least = sorted(section.overlaps, key=lambda pair: 1.0 if pair.shared.mean is None else pair.shared.mean)
    shown = section.overlaps if len(least) <= MOST_PAIRS else least[:MOST_PAIRS]
    left = len(least) - len(shown)
    note += f" The least alike; {figures.counted(left, 'more pair')} stand in summary.json." if left else ""
    return Table.of("overlaps", "Overlap of the results", columns, shown, note)


def machine(section: ProfileSection) -> Table:
    """What the figures were measured on. Packages are not in it, nor is anything that looks like a place on a disk."""
    found = section.environment
    others = {
        key: value
        for key, value in found.items()
        if key not in _MACHINE
        and (isinstance(value, int | float) or (isinstance(value, str) and "/" not in value and "\\" not in value))
    }
    labels = _MACHINE | {key: key.replace("_", " ").capitalize() for key in others}
    facts = {}
    for key, label in labels.items():
        value = found.get(key)
        facts[label] = figures.size(value) if key == "memory_bytes" and isinstance(value, int) else figures.text(value)
    return _facts("machine", "Machine", facts)


def measured(section: ProfileSection) -> Table:
    """The corpus, the queries and the work that was done for this report."""
    corpus = section.corpus
    facts = {
        "Eval": section.eval,
        "Corpus": corpus.name,
        "Passages": figures.count(corpus.docs),
        "Documents": figures.count(corpus.documents),
        **({} if corpus.whole is None else {"Passages of the whole corpus": figures.count(corpus.whole.docs)}),
        "Tokens": figures.count(corpus.tokens),
        "Corpus SHA-256": corpus.sha256[:16],
        "Queries": figures.count(section.queries),
        "Seed": str(section.seed),
        **({} if section.revision is None else {"Git revision": section.revision[:12]}),
    }
    work = {
        key.replace("docs_", "passages_").replace("_", " ").capitalize(): figures.text(count)
        for key, count in section.work.items()
    }
    return _facts("measured", "What was measured", facts | work)


def reading(section: ProfileSection) -> Table | None:
    """What was read of the user's files and what was left out, by kind and reason."""
    account = section.corpus.reading
    if account is None:
        return None
    columns = (
        Column("Kind", numeric=False),
        Column("Read"),
        Column("Left out"),
        Column("Why", numeric=False),
        Column("Which", numeric=False),
    )
    read = [
        (Cell(kind), figure(figures.count(count)), Cell(""), Cell(""), Cell("")) for kind, count in account.read.items()
    ]
    left = [
        (
            Cell(each.kind),
            Cell(""),
            figure(figures.count(each.count)),
            Cell(each.reason),
            Cell(each.named),
        )
        for each in account.left_out
    ]
    return Table("reading", "What was read", columns, tuple(Row(cells) for cells in (*read, *left)))


def parsing(section: ProfileSection) -> Table | None:
    """How fast files became text, and what that cost; None where no file needed a parser."""
    account, cost = section.corpus.reading, section.corpus.parsing
    if account is None or not account.parsed:
        return None
    columns: dict[Column, Callable[[ParsedFiles], Cell]] = {
        Column("Kind", numeric=False): lambda each: Cell(each.kind),
        Column("Files"): lambda each: figure(figures.count(each.files)),
        Column("Pages"): lambda each: figure(figures.count(each.pages or None)),
        Column("Without text"): lambda each: figure(figures.count(each.empty_pages if each.pages else None)),
        Column("Time"): lambda each: figure(figures.duration(each.parsing_ns)),
        Column("Pages per second"): lambda each: figure(figures.rough_count(each.pages_per_second)),
    }
    note = "Time is that of the parsers, summed over files and measured when they were first parsed."
    if cost is not None and cost.usd is None:
        note += f" UNPRICED: {cost.reason}."
    elif cost is not None:
        paid = f"{figures.usd(cost.usd)} once for {figures.count(cost.pages)} pages by '{cost.rate}'"
        note += f" It cost {paid}, {figures.usd(Decimal(cost.usd or 0) / cost.pages * 1000)} per 1,000 pages."
    return Table.of("parsing", "Files that were parsed", columns, account.parsed, note)


def _facts(key: str, title: str, known: Mapping[str, str]) -> Table:
    columns: Columns = {
        Column("What", numeric=False): Cell,
        Column("Value", numeric=False): lambda label: figure(known[label]),
    }
    return Table.of(key, title, columns, known)


LEFT_OUT_SHOWN = 5


def terminal_table(section: ProfileSection) -> RenderableType:
    """Headline, one row a pipeline, warnings. Long names go on over several lines; nothing is cut."""
    table, metric = empty_table(), section.metric
    judged = figures.judged_beside(metric).lower().replace("@", "\n@")
    quality = (f"{metric}\n95% interval", judged) if section.judged else ()
    titles = (*quality, "p50", "p95", "USD per\n1,000", *(() if section.judged else ("context\ntokens",)))
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for row in glance(section).rows:
        name, first, *others = row.cells[: len(titles) + 1]
        score = replace(first, text=f"{first.text} {first.note}".strip()) if section.judged else first
        table.add_row(said(name.text), styled(score), *map(styled, others))
    answer = [said(sentence, style="" if place else "bold") for place, sentence in enumerate(section.headline)]
    warnings = [said(f"! {warning}", style="yellow") for warning in section.warnings]
    if section.labelled is not None:
        warnings += [said(line) for line in side_by_side_words(section.labelled, metric)]
    queries, reading = figures.counted(section.queries, "query"), section.corpus.reading
    left_out = [said(f"left out: {each}", style="dim") for each in (reading.lines(LEFT_OUT_SHOWN) if reading else ())]
    left_out += [said(f"parsed: {each}", style="dim") for each in (reading.parsed if reading else ())]
    basis = said(f"n = {queries}, {section.corpus.size}; p50 and p95 are end to end", style="dim")
    above, below = [said(section.title, style="dim"), *answer], [*warnings, *left_out, basis]
    return Group(*(Padding(line, INDENT) for line in above), table, *(Padding(line, INDENT) for line in below))
