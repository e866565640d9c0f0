"""Every table of the reranker's section, in the order in which a reader meets them. Cells hold finished text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ragprof.report import figures
from ragprof.report.figures import signed
from ragprof.report.tables import (
    HOW_QUANTILES,
    PIPELINE,
    Cell,
    Column,
    Row,
    Table,
    Tone,
    estimate_cell,
    figure,
    gain_span,
    group,
    mark_note,
    marked,
    open_span,
    plain,
    score_change,
    share_cell,
)
from ragprof.studies.contract import EstimateValue
from ragprof.studies.reranker.section import (
    AddedLatency,
    Alternative,
    ChangedQuery,
    DepthStep,
    FlipPrice,
    FlipVolume,
    PairedDifference,
    RerankerBilling,
    RerankerSection,
    RerankerVerdict,
    Routed,
    Scenario,
    SizePoint,
    Statement,
    StudentBesideTeacher,
    TrendYear,
    Usd,
    UsdInterval,
    WholeBill,
)

PER_1000 = "USD per 1,000 queries"
MARKS: dict[str, tuple[str, Tone]] = {
    "KEEP": ("\u25b2", "better"),
    "DROP": ("\u25bc", "worse"),
    "SHRINK": ("\u25c6", "undecided"),
    "UNDECIDED": ("\u25c7", "undecided"),
}
_RELATIONS: dict[str, tuple[str, Tone]] = {
    "better": ("\u25b2 better", "better"),
    "as good": ("= as good", "strong"),
    "worse": ("\u25bc worse", "worse"),
    "undecided": ("\u25c7\u00a0undecided", "undecided"),
}
_KINDS = {"helped": "\u25b2 helped", "hurt": "\u25bc hurt", "unchanged": "= unchanged"}
_DASH = Cell(figures.DASH, tone="quiet")
_worded = partial(Column, numeric=False)
_quiet = partial(Cell, tone="quiet")


def verdict_words(verdict: str, depth: int | None = None) -> str:
    """A mark and a word: never told by colour alone. A smaller depth is named."""
    to = f" to depth {figures.count(depth)}" if verdict == "SHRINK" and depth is not None else ""
    return f"{MARKS[verdict][0]} {verdict}{to}"


def basis(one: RerankerVerdict) -> str:
    return f"n = {figures.counted(one.gain.n, 'query', 'queries')}"


def metrics_of(section: RerankerSection) -> str:
    """What the verdicts are about."""
    return " or ".join(dict.fromkeys(one.metric for one in section.verdicts.values()))


def signed_usd(value: Usd) -> str:
    return signed(value, figures.usd)


def money(
    value: Usd, interval: UsdInterval, *, unpriced: bool = True, write: Callable[[Any], str] = figures.usd
) -> Cell:
    """With its interval. Without a value: UNPRICED where that is why, else n/a."""
    if value is None:
        return figure(figures.UNPRICED if unpriced else figures.ABSENT)
    return figure(write(value), open_span(interval, write))


def price(value: Usd, *, unpriced: bool = True, write: Callable[[Any], str] = figures.usd) -> Cell:
    """A figure that has no interval of its own."""
    return figure(write(value) if value is not None else figures.UNPRICED if unpriced else figures.ABSENT)


def difference_cell(found: PairedDifference | None) -> Cell:
    """A paired difference of a score with its interval."""
    if found is None:
        return figure(figures.ABSENT)
    return figure(figures.difference(found.difference), figures.span(found.interval, figures.difference))


def added_cell(found: AddedLatency, quantile: str) -> Cell:
    """Time that comes on top, with its sign."""
    value, ends = (getattr(found, f"added_{quantile}{part}_ns") for part in ("", "_interval"))
    return figure(signed(value, figures.duration), gain_span(ends, figures.duration))


def money_cells(found: Statement) -> tuple[Cell, Cell, Cell]:
    """The reranker's cost, what is saved, and net, of 1,000 queries."""
    net = partial(money, unpriced=found.is_net_unpriced, write=signed_usd)
    return (
        money(found.reranker_usd_per_1000_queries, found.reranker_usd_interval),
        money(
            found.llm_usd_saved_per_1000_queries, found.llm_usd_saved_interval, unpriced=found.is_llm_unpriced
        ),
        net(found.net_usd_per_1000_queries, found.net_interval),
    )  # fmt: skip


def glance(section: RerankerSection) -> Table:
    """One row a pipeline: the verdict, what the reranker brings, takes and costs."""
    of = section.verdicts
    columns: dict[Column, Callable[[str], Cell]] = {
        PIPELINE: lambda name: Cell(
            name, f"{of[name].reranker} over {figures.counted(of[name].own_depth, 'candidate')}", pipeline=name
        ),
        _worded("Verdict"): lambda name: verdict_cell(of[name]),
        Column("Gain", metrics_of(section)): lambda name: difference_cell(of[name].gain),
        Column("Added time", "p50 of a query"): lambda name: marked(
            added_cell(of[name].statement, "p50"), of[name].latency_withheld
        ),
        Column("Reranker", PER_1000): lambda name: marked(money_cells(of[name].statement)[0], of[name].cost_withheld),
        Column("Prompt tokens saved", PER_1000, extra=True): lambda name: money_cells(of[name].statement)[1],
        Column("Net", PER_1000): lambda name: marked(money_cells(of[name].statement)[2], of[name].cost_withheld),
        Column("Questions", "n", extra=True): lambda name: figure(figures.count(of[name].gain.n)),
    }
    reasons = [
        f"{name} ({one.statement.billing.unpriced})" for name, one in of.items() if one.statement.billing.unpriced
    ]
    unpriced = f"{figures.UNPRICED}: {'; '.join(reasons)}." if reasons else ""
    note = (
        "Small figures are 95% intervals. Gain: paired by query, against the same pipeline without its reranker. "
        "Net above 0 costs, below 0 saves. KEEP, DROP and SHRINK rest on the intervals; of UNDECIDED the reason "
        f"says what is open and what would decide it. {unpriced}"
        f"{mark_note({name: one.latency_withheld for name, one in of.items()})}"
    )
    return Table.of("reranker-glance", "Verdicts at a glance", columns, of, note.strip())


def verdict_cell(one: RerankerVerdict) -> Cell:
    """With how many more questions would decide it, where that is known."""
    undecided = one.verdict == "UNDECIDED" and one.more_queries
    needed = f"needs about {figures.counted(one.more_queries or 0, 'more query', 'more queries')}" if undecided else ""
    return Cell(verdict_words(one.verdict, one.depth), needed, MARKS[one.verdict][1])


def side_by_side(section: RerankerSection) -> Table:
    """A student beside its teacher. No rows where nothing was compared."""
    columns: dict[Column, Callable[[StudentBesideTeacher], Cell]] = {
        _worded("Student"): lambda one: Cell(one.student, one.kind),
        _worded("Teacher"): lambda one: figure(one.teacher),
        _worded("Over"): lambda one: Cell(one.over, pipeline=one.over),
        Column("Retained", "share of the gain"): lambda one: share_cell(one.retained),
        Column("Quality", "share of the teacher's"): lambda one: share_cell(one.quality_share),
        Column("Difference", section.study.metric): _difference,
        _worded("Same order", "see the note"): _same_order,
        Column("Cost", "of the teacher's"): lambda one: figure(_times(one.cost_ratio)),
        Column("Latency", "of the teacher's"): lambda one: estimate_cell(one.latency_ratio, _times),
    }
    note = (
        "Small figures are 95% intervals. Rerankers rank the same candidates. Retained: the student's gain over search "
        "divided by the teacher's (of an embedder: its quality). Same order: queries with the same first passage, "
        "passages shared among those injected, and Kendall's tau of the two orders (1 is the same, 0 is chance)."
    )
    title = "Teacher and student side by side"
    return Table.of("reranker-sides", title, columns, section.study.side_by_side, note)


def _difference(one: StudentBesideTeacher) -> Cell:
    found = score_change(one.difference)
    p = "" if one.p is None else f", p = {figures.p_value(one.p)}".replace("= <", "<")
    return Cell(found.text, found.note + p + figures.disagreement(one.difference.interval, one.p), found.tone)


def _same_order(one: StudentBesideTeacher) -> Cell:
    agreed: list[tuple[str, EstimateValue, Callable[[Any], str]]] = [
        ("same first passage", one.agreement.same_first, figures.share),
        ("shared passages", one.agreement.overlap, figures.share),
        ("Kendall's tau", one.agreement.kendall_tau, figures.score),
    ]
    words = [
        f"{title} {write(found.mean)} ({figures.span(found.interval, write)})"
        for title, found, write in agreed
        if found.mean is not None
    ]
    return _quiet("; ".join(words)) if words else figure(figures.ABSENT)


def _times(ratio: float | None) -> str:
    return figures.ABSENT if ratio is None else f"{plain(ratio)}\u00d7"


def statement(one: RerankerVerdict) -> Table:
    """Profit and loss: quality and time of a query, money of 1,000 queries and of a month."""
    found, month = one.statement, one.statement.per_month
    monthly = partial(money, unpriced=month.queries is not None)
    no_llm, no_net = found.is_llm_unpriced and month.queries is not None, found.is_net_unpriced
    cost, saved, net = money_cells(found)
    dear, slow = partial(marked, reason=one.cost_withheld), partial(marked, reason=one.latency_withheld)
    bought = []
    for metric, gain in found.quality_gain.items():
        rests = f"p = {figures.p_value(gain.p)}, n = {figures.counted(gain.n, 'query', 'queries')}".replace("= <", "<")
        rests += figures.disagreement(gain.interval, gain.p)
        reached = Cell(metric, f"{figures.score(gain.without)} \u2192 {figures.score(gain.reached)}")
        bought.append((reached, difference_cell(gain), _DASH, _quiet(rests)))
    timed = _quiet(f"n = {figures.counted(found.timed_queries, 'live query', 'live queries')}")
    taken = [(Cell(f"added time, {each}"), slow(added_cell(found, each)), _DASH, timed) for each in ("p50", "p95")]
    paid = [
        (
            *(Cell("reranker"), dear(cost), dear(monthly(month.reranker_usd, month.reranker_usd_interval))),
            _billing_cell(found.billing),
        ),
        (
            *(Cell("prompt tokens saved"), saved),
            money(month.llm_usd_saved, month.llm_usd_saved_interval, unpriced=no_llm),
            _saving_cell(found),
        ),
        (
            *(Cell("net"), dear(net)),
            dear(
                money(
                    month.net_usd, month.net_interval, unpriced=no_net and month.queries is not None, write=signed_usd
                )
            ),
            _quiet("reranker less tokens saved"),
        ),
        (
            Cell("per point gained"),
            dear(
                money(
                    found.usd_per_point, found.usd_per_point_interval,
                    unpriced=found.reranker_usd_per_1000_queries is None,
                )
            ),
            *(_DASH, _quiet(f"reranker's price of 0.01 {one.metric} at equal k")),
        ),
    ]  # fmt: skip
    traffic = "traffic n/a" if month.queries is None else f"{figures.rough_count(month.queries)} queries"
    columns = (
        *(_worded(""), _worded("Line"), Column("Amount", "95% interval"), Column("Per month", traffic)),
        _worded("Rests on"),
    )
    rows = (
        *group(Cell("Buys", "per query"), bought),
        *group(Cell("Takes", "per query"), taken),
        *group(Cell("Costs", PER_1000), paid),
    )
    note = (
        f"Against {one.against}, paired by query. Small figures are 95% "
        "intervals, resampled by query. Net is the reranker's cost minus the prompt tokens saved: above 0 it costs, "
        f"below 0 it saves. A point is 0.01 of {one.metric}. {HOW_QUANTILES}"
        f"{mark_note({'its live times, and money that is billed by time': one.latency_withheld})}"
    )
    return Table("reranker-statement", "The statement", columns, rows, note)


def _billing_cell(billing: RerankerBilling) -> Cell:
    """The rate with its true unit, and how many units a query takes."""
    if billing.unpriced:
        return _quiet(billing.unpriced)
    units = estimate_cell(billing.units_per_query, plain)
    unit = figures.per_words(2, billing.unit).removeprefix("2 ")
    words = f"{rate_words(billing)}; {units.text} {unit} a query{_bracketed(units)}"
    if billing.utilisation is not None:
        words += f", machine used to {figures.share(float(billing.utilisation))}"
    verified = billing.verified
    note = [
        figures.text(billing.rate),
        "" if billing.since is None else f"since {billing.since}",
        "" if verified is None else "not verified" if verified is False else f"verified {figures.text(verified)}",
        billing.note or "",
    ]
    return _quiet(words, ", ".join(filter(None, note)))


def _bracketed(cell: Cell) -> str:
    return f" ({cell.note})" if cell.note else ""


def rate_words(billing: RerankerBilling) -> str:
    """The published rate: $2.00 per 1,000 searches."""
    return f"{figures.plain_usd(billing.usd)} per {figures.per_words(billing.per, billing.unit)}"


def _saving_cell(found: Statement) -> Cell:
    """Iso-quality k: how many chunks hold what the search holds with its own."""
    iso = found.iso_quality_k
    if iso.k_with is None:
        return _quiet(f"no k holds the {iso.metric} that search holds with {figures.counted(iso.k_without, 'chunk')}")
    fewer = estimate_cell(
        iso.tokens_saved_per_query, lambda value: figures.mean_count(value).replace("-", figures.MINUS)
    )
    own = "" if iso.k_without == iso.own_k else f" of its {iso.own_k}"
    words = (
        f"{figures.counted(iso.k_with, 'chunk')} ({figures.span(iso.interval, figures.count)}) "
        f"{'holds' if iso.k_with == 1 else 'hold'} what search holds with "
        f"{iso.k_without}{own}; tokens saved a query: {fewer.text}{_bracketed(fewer)}"
    )
    return _quiet(words, f"tokens priced as {found.llm}" if found.llm else "no LLM is priced")


def break_even(one: RerankerVerdict) -> Table:
    """Where the sign of net flips, one price or volume at a time."""
    found, reranker = one.statement.break_even, one.statement.break_even.reranker_usd
    lines: list[tuple[str, FlipPrice | FlipVolume, Callable[[Any], str], str]] = [
        ("the reranker's price", reranker, figures.usd, f"USD per {figures.per_words(reranker.per, reranker.unit)}"),
        ("the LLM's price", found.llm_usd_per_million_tokens, figures.usd, "USD per million tokens"),
        ("traffic", found.queries_per_month, figures.rough_count, "queries a month"),
    ]
    columns: dict[Column, Callable[[tuple[str, FlipPrice | FlipVolume, Callable[[Any], str], str]], Cell]] = {
        _worded("What"): lambda line: Cell(line[0]),
        Column("Net is 0 at", "95% interval"): lambda line: figure(line[2](line[1].value), _flip_span(*line[1:3])),
        _worded("Unit"): lambda line: _quiet(line[3]),
        _worded("In words"): lambda line: figure(line[1].sentence),
    }
    note = (
        f"One thing is moved, all others stay as they are today; {basis(one)}. n/a: no value turns the "
        "sign, or a price is missing."
    )
    return Table.of("reranker-break-even", "Where it breaks even", columns, lines, note)


def _flip_span(flip: FlipPrice | FlipVolume, write: Callable[[Any], str]) -> str:
    return open_span(flip.interval, write) if isinstance(flip, FlipPrice) and flip.interval else ""


def scenarios(one: RerankerVerdict) -> Table:
    """The statement at the prices of other LLMs. No rows where none was asked for."""
    no_reranker = one.statement.reranker_usd_per_1000_queries is None

    def net(each: Scenario) -> Cell:
        unpriced = no_reranker or each.usd_per_million_tokens is None
        return money(each.net_usd_per_1000_queries, each.net_interval, unpriced=unpriced, write=signed_usd)

    columns: dict[Column, Callable[[Scenario], Cell]] = {
        _worded("Prompt tokens priced as"): lambda each: Cell(each.llm),
        Column("Price", "USD per million tokens"): lambda each: price(
            each.usd_per_million_tokens, write=figures.plain_usd
        ),
        Column("Saved", PER_1000): lambda each: price(
            each.llm_usd_saved_per_1000_queries, unpriced=each.usd_per_million_tokens is None
        ),
        Column("Net", PER_1000): net,
        _worded("Verdict"): lambda each: _verdict(each.verdict),
        _worded("Why"): lambda each: figure(each.reason),
    }
    note = f"Quality and time stay as they are. Net with 95% intervals, {basis(one)}; below 0 it saves."
    return Table.of("reranker-scenarios", "At the prices of other LLMs", columns, one.statement.scenarios, note)


def _verdict(word: str) -> Cell:
    return Cell(verdict_words(word), tone=MARKS[word][1])


def alternatives(name: str, one: RerankerVerdict) -> Table:
    """This pipeline first, then what else was tried. No rows where there is nothing beside it."""
    own = one.statement.own
    columns = (
        *(_worded("Alternative"), Column("k", "chunks", extra=True), Column("Depth", "candidates", extra=True)),
        _worded("Metric"),
        *(
            Column("Quality", "95% interval"),
            Column("Difference", "to this pipeline"),
            _worded("Is"),
            Column("Whole bill", PER_1000),
        ),
        *(Column("p50", "of a query"), Column("Prompt", "tokens a query", extra=True)),
    )
    this = (
        *(Cell(name, "as it is", pipeline=name), figure(figures.count(one.k)), figure(figures.count(one.own_depth))),
        *(Cell(one.metric), estimate_cell(own.quality, figures.score), _DASH, _DASH, *_bill(own)),
    )
    rows = (Row(this), *(Row(_alternative_cells(other, one)) for other in one.statement.alternatives))
    note = (
        f"Small figures are 95% intervals, paired by query, {basis(one)}. As good: the interval of the "
        "difference stays within the smallest gain that counts. More chunks are compared by the evidence in the "
        "prompt, which the column Metric says. The whole bill counts every stage and the prompt."
    )
    return Table("reranker-alternatives", "What else would buy the same", columns, rows if len(rows) > 1 else (), note)


def _alternative_cells(other: Alternative, one: RerankerVerdict) -> tuple[Cell, ...]:
    words, tone = _RELATIONS[other.relation]
    return (
        Cell(other.name, other.what),
        figure(figures.DASH if other.k is None else figures.count(other.k)),
        figure(figures.count(other.depth)),
        Cell(other.metric, "" if other.metric == one.metric else f"against this pipeline's evidence@{one.k}"),
        *(estimate_cell(other.quality, figures.score), score_change(other.difference)),
        *(Cell(words, tone=tone), *_bill(other)),
    )


def _bill(bill: WholeBill) -> tuple[Cell, Cell, Cell]:
    return (
        price(bill.usd_per_1000_queries),
        figure(figures.duration(bill.p50_ns)),
        figure(figures.mean_count(bill.tokens_per_query)),
    )


def depths(one: RerankerVerdict) -> Table:
    """A row a depth at the pipeline's own k."""
    columns: dict[Column, Callable[[DepthStep], Cell]] = {
        _worded("Depth", "candidates"): lambda step: _marked(one, step.depth),
        Column(one.metric, "95% interval"): lambda step: estimate_cell(step.scores[one.metric], figures.score),
        Column("Gain", f"{one.metric}, 95% interval"): lambda step: score_change(step.gain),
        Column("p50", "live"): lambda step: figure(
            figures.duration(step.p50_ns), figures.span(step.p50_interval_ns, figures.duration)
        ),
        Column("p50", "composed", extra=True): lambda step: figure(figures.duration(step.composed_p50_ns)),
        Column("Timed", "queries", extra=True): lambda step: figure(figures.count(step.timed_queries)),
        Column("Reranker", PER_1000): lambda step: _work_cells(step, one.statement)[1],
        Column("Net", PER_1000): lambda step: _work_cells(step, one.statement)[2],
        Column("Prompt", "tokens"): lambda step: _work_cells(step, one.statement)[0],
    }
    note = (
        f"At k = {figures.count(one.k)} chunks in the prompt. Small figures are 95% intervals, {basis(one)}; p50 live, "
        "end to end, of the queries counted beside it. Composed: search and inject as timed, plus the reranker's time "
        "per candidate; not timed at that depth. Gain: against the search order; net below 0 saves. "
        f"{HOW_QUANTILES}"
    )
    return Table.of("reranker-depth", "Depth by depth", columns, one.at_own_k, note)


def _marked(one: RerankerVerdict, depth: int) -> Cell:
    marks = marks_of(one, depth)
    return Cell(figures.count(depth), ", ".join(marks), "strong" if marks else "")


def _work_cells(step: DepthStep, found: Statement) -> tuple[Cell, Cell, Cell]:
    """The prompt's tokens, the reranker's cost and the net at a depth, which may lack only its timings."""
    unpriced = found.reranker_usd_per_1000_queries is None
    return (
        figure(figures.mean_count(step.prompt_tokens)),
        price(step.usd_per_1000_queries, unpriced=unpriced),
        price(step.net_usd_per_1000_queries, unpriced=found.is_net_unpriced, write=signed_usd),
    )


def marks_of(one: RerankerVerdict, depth: int) -> list[str]:
    """What that depth is: the pipeline's own, the knee, where quality starts to fall."""
    known = {"own": one.own_depth, "knee": one.knee and one.knee.depth, "falls from here": one.falls_from.depth}
    return [word for word, found in known.items() if found == depth]


def grid(one: RerankerVerdict) -> Table:
    """Every depth and every k with the scores of that k. No rows where there is just one k."""
    columns = (
        *(_worded("Depth", "candidates"), Column("k", "chunks"), Column("nDCG@k"), Column("P@k"), Column("evidence@k")),
        *(Column("Prompt", "tokens"), Column("Reranker", PER_1000), Column("Net", PER_1000)),
    )
    by_depth: dict[int, list[tuple[Cell, ...]]] = {}
    for step in one.depth_curve:
        scores = (
            estimate_cell(step.scores[f"{kind}@{step.k}"], figures.score) for kind in ("nDCG", "P", "evidence")
        )  # fmt: skip
        cells = (figure(figures.count(step.k)), *scores, *_work_cells(step, one.statement))
        by_depth.setdefault(step.depth, []).append(cells)
    rows = [row for depth, lines in by_depth.items() for row in group(Cell(figures.count(depth)), lines)]
    several = len({step.k for step in one.depth_curve}) > 1
    note = (
        f"Small figures are 95% intervals, {basis(one)}. evidence@k: the share of a query's relevant "
        "documents that k passages hold. A depth below k puts fewer chunks into the prompt."
    )
    return Table("reranker-grid", "Every depth and k", columns, tuple(rows) if several else (), note)


def headroom(one: RerankerVerdict) -> Table:
    """What the candidates would allow, and who left how much of it."""
    found = one.headroom
    lines: list[tuple[str, EstimateValue | None, Callable[[Any], str], str]] = [
        ("search alone", found.search, figures.score, "the order in which search found the candidates"),
        ("with this reranker", found.reranked, figures.score, "what the pipeline reaches"),
        ("best order there is", found.oracle, figures.score, "a perfect reranker over the same candidates"),
        ("captured", found.captured_share, figures.share, "share of what any reranker could win here"),
        ("left by the reranker", found.left_by_reranker, figures.score, "a better reranker could win this"),
        ("missed by search", found.missed_by_search, figures.score, "no reranker can: it is not among the candidates"),
    ]
    columns = (_worded("What"), Column(found.metric, "95% interval"), _worded("Meaning"))
    rows = tuple(Row((Cell(what), estimate_cell(value, write), _quiet(told))) for what, value, write, told in lines)
    note = f"Small figures are 95% intervals, {basis(one)}. What limits quality: {found.limit}."
    return Table("reranker-headroom", "Headroom", columns, rows, note)


def truncation(one: RerankerVerdict) -> Table:
    """Pairs that the reranker could not read whole."""
    found, judged = one.truncation, one.truncation.judged_cut
    lines = {
        "Pairs of query and passage": figure(figures.count(found.pairs)),
        "Longest that the reranker reads": _with_tokens(found.max_tokens, figures.count),
        "Pairs over that length": figure(figures.share(found.over_length_share)),
        "Dropped, mean per pair": _with_tokens(
            found.tokens_dropped, figures.mean_count, f"{figures.share(found.tokens_dropped_share)} of all"
        ),
        "Relevant passages that were cut": figure(figures.ABSENT)
        if judged is None
        else figure(f"{figures.count(judged.documents)} of {figures.count(judged.of)}", figures.share(judged.share)),
        "Quality that costs": difference_cell(found.quality_cost),
    }
    note = (
        "Quality that costs: cut documents read again piece by piece, the best piece counting, less the pipeline as it "
        f"is; {one.metric} with its 95% interval, {basis(one)}."
    )
    columns, rows = (_worded("What"), _worded("Value")), tuple(Row((Cell(what), cell)) for what, cell in lines.items())
    return Table("reranker-truncation", "What the reranker did not read", columns, rows, note)


def _with_tokens(value: float | None, write: Callable[[Any], str], note: str = "") -> Cell:
    return figure(figures.ABSENT if value is None else f"{write(value)} tokens", note)


def clearest(one: RerankerVerdict) -> Table:
    """The clearest queries of each kind with the document that moved most. Texts are those of the recording."""
    counts = {kind: figures.count(getattr(one.queries, kind)) for kind in _KINDS}
    columns = (
        *(_worded(""), _worded("Query"), Column("Change", one.metric), Column("Before"), Column("After")),
        *(_worded("Relevant document that moved most"), Column("Rank", "from \u2192 to")),
    )
    rows = [
        row
        for kind, words in _KINDS.items()
        for row in group(
            Cell(words, f"{counts[kind]} in all"), [_query_cells(each) for each in getattr(one.queries.clearest, kind)]
        )
    ]
    told = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    note = f"Of {basis(one).removeprefix('n = ')}: {told}. Single queries have no interval."
    return Table("reranker-clearest", "The clearest queries of each kind", columns, tuple(rows), note)


def _query_cells(one: ChangedQuery) -> tuple[Cell, ...]:
    ranks = (one.from_rank, one.to_rank)
    moved = " \u2192 ".join("not found" if rank is None else figures.count(rank) for rank in ranks)
    return (
        Cell(one.text, one.query_id) if one.text else Cell(one.query_id),
        *(figure(figures.difference(one.change)), figure(figures.score(one.before)), figure(figures.score(one.after))),
        Cell(one.doc_text, figures.text(one.doc_where or one.doc_id))
        if one.doc_text
        else figure(figures.text(one.doc_id)),
        figure(figures.ABSENT if ranks == (None, None) else moved),
    )


def routing(one: RerankerVerdict) -> Table:
    """Rerank only where the retriever is unsure: what is kept and what is saved, a group a signal."""
    columns = (
        *(_worded("Signal"), Column("Reranked", "of the queries"), Column("Gain kept", "95% interval")),
        *(Column("At random", "gain kept"), Column("Cost saved", "of the reranker's")),
    )
    by_signal: dict[str, list[Routed]] = {}
    for step in one.routing:
        by_signal.setdefault(figures.text(step.signal), []).append(step)
    rows = [row for signal, steps in by_signal.items() for row in group(Cell(signal), [*map(_routed_cells, steps)])]
    note = (
        f"Queries are reranked where the signal says that search is least sure; thresholds are cross-validated, "
        f"{basis(one)}. Random: the same share of queries picked blindly."
    )
    return Table("reranker-routing", "Reranking only some queries", columns, tuple(rows), note)


def _routed_cells(step: Routed) -> tuple[Cell, ...]:
    shares = (step.share_reranked, step.share_of_gain_kept, step.random, step.share_of_cost_saved)
    reranked, kept, random, saved = map(figures.share, shares)
    return figure(reranked), figure(kept, open_span(step.interval, figures.share)), figure(random), figure(saved)


def growth(one: RerankerVerdict) -> Table:
    """Gain and net value at each corpus size. No rows without a growth recording."""
    unpriced = one.statement.is_net_unpriced
    columns: dict[Column, Callable[[SizePoint], Cell]] = {
        _worded("Corpus", "passages"): lambda point: figure(figures.count(point.size)),
        Column("Gain", f"{one.metric}, 95% interval"): lambda point: score_change(point.gain),
        Column("Net", PER_1000): lambda point: price(
            point.net_usd_per_1000_queries, unpriced=unpriced, write=signed_usd
        ),
        _worded("Worth it"): lambda point: figure(figures.text(point.worth)),
    }
    note = f"Small figures are 95% intervals, {basis(one)}; net below 0 saves."
    return Table.of("reranker-growth", "By corpus size", columns, one.growth.points if one.growth else (), note)


def price_trend(one: RerankerVerdict) -> Table:
    """The verdict if LLM prices keep falling. No rows where it was not asked for."""
    net = partial(money, unpriced=one.statement.is_net_unpriced, write=signed_usd)
    columns: dict[Column, Callable[[TrendYear], Cell]] = {
        _worded("Year"): lambda year: Cell(str(year.year)),
        Column("LLM price", "USD per million tokens"): lambda year: price(year.llm_usd_per_million_tokens),
        Column("Net", PER_1000): lambda year: net(year.net_usd_per_1000_queries, year.net_interval),
        _worded("Verdict"): lambda year: _verdict(year.verdict),
    }
    years, sentence = (one.price_trend.years, one.price_trend.sentence) if one.price_trend else ((), "")
    return Table.of("reranker-trend", "As LLM prices fall", columns, years, sentence)


def price_history(one: RerankerVerdict) -> Table:
    """Every price of the reranker's rate that the books hold. No rows where there is just one."""
    rows = tuple(Row((figure(each.since), price(each.usd, write=figures.plain_usd))) for each in one.price_history)
    columns = (_worded("In force since"), Column("Price", "USD"))
    return Table("reranker-history", "The reranker's price so far", columns, rows if len(rows) > 1 else ())
