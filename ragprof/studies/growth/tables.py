"""The tables of growth, and growth on a terminal of 80 columns.

Rows are the smallest, the middle and the largest corpus; the charts have the sizes between. That nothing crosses and
that a model abstains are answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ragprof.report import figures
from ragprof.report.figures import signed
from ragprof.report.lookup import COST, at, reach
from ragprof.report.palette import CONTEXT, LOSSES
from ragprof.report.tables import (
    HOW_QUANTILES,
    MARK,
    PIPELINE,
    Cell,
    Column,
    Estimated,
    Row,
    Table,
    bill_cell,
    figure,
    group,
    judged_cell,
    mark_note,
    marked,
    quantile_cell,
    score_cell,
)
from ragprof.report.terminal import INDENT, WIDTH, FittingTable, said
from ragprof.studies.contract import Context
from ragprof.studies.growth import lookup as grown
from ragprof.studies.growth.section import Crossover, Forecast, GrowthPoint, GrowthSection, LossParts

Write = Callable[[Any], str]
Cells = tuple[Cell, ...]
SIZE = Column("Passages")
_TOLD_APART = ("duplicate", "contradicting")


def _words(*titles: str) -> tuple[Column, ...]:
    return tuple(Column(title, numeric=False) for title in titles)


def _by_pipeline(section: GrowthSection, rows: Callable[[str], Sequence[Cells]]) -> tuple[Row, ...]:
    """A group for each pipeline."""
    return tuple(row for name in section.pipelines for row in group(Cell(name, pipeline=name), rows(name)))


def _estimate(estimate: Estimated | None, write: Write) -> Cell:
    if estimate is None:
        return figure(figures.ABSENT)
    return figure(write(estimate.mean), figures.span(estimate.interval, write))


def _size(value: int) -> Cell:
    return figure(figures.count(value))


def _quiet() -> Cell:
    return Cell(figures.DASH, tone="quiet")


def glance(section: GrowthSection) -> Table:
    """Quality, what the context is worth, latency and money, while every judged document is kept."""
    metric, cutoffs = section.metric, sorted(section.cutoffs)
    precision = f"P@{5 if 5 in cutoffs or not cutoffs else cutoffs[0]}"
    columns = (
        *(PIPELINE, SIZE),
        *(Column(metric, "final ranking"), Column(figures.judged_beside(metric), quiet=True)),
        *(Column("Change", "from the smallest"), Column(precision, "final ranking", extra=True)),
        *(
            Column("Relevant", "of injected tokens", extra=True),
            Column("p50", "end to end"),
            Column("Cost", "per 1,000 queries"),
        ),
    )

    def cells(name: str, point: GrowthPoint) -> Cells:
        scores = point.scores.get(grown.final_stage(section, name), {})
        first = point.size == grown.points(section, name)[0].size
        return (
            *(_size(point.size), score_cell(scores, metric), judged_cell(scores, metric)),
            *(_quiet() if first else _estimate(point.change, figures.difference), score_cell(scores, precision)),
            *(
                _share(point, "relevant"),
                marked(quantile_cell(point.end_to_end, "p50"), point.latency_withheld),
                marked(bill_cell(point.cost_usd_per_1000_queries), point.cost_withheld),
            ),
        )

    note = (
        f"Small figures are 95% intervals; {grown.basis(section)}. Every judged document is in every corpus, which "
        f"flatters the small sizes. {HOW_QUANTILES}{mark_note(grown.withheld(section))}"
    )
    return Table("growth-glance", "Growth at a glance", columns, _by_size(section, cells), note)


def _by_size(section: GrowthSection, cells: Callable[[str, GrowthPoint], Cells]) -> tuple[Row, ...]:
    """A group for each pipeline, a row for each of the sizes that are shown."""
    return _by_pipeline(
        section, lambda name: [cells(name, point) for point in grown.landmarks(grown.points(section, name))]
    )


def _share(point: GrowthPoint, kind: str) -> Cell:
    return _estimate(point.context_share.get(kind), figures.share)


def evidence(section: GrowthSection) -> Table:
    """Both causes at each size. No rows where only one curve was recorded."""
    metric = section.metric
    columns = (
        *(PIPELINE, SIZE, Column("Relevant documents", "in the corpus")),
        *(Column(metric, "all judged kept"), Column(metric, "in proportion")),
        *(Column("Taken by distractors", "since the smallest"), Column("Missing evidence", "at this size")),
    )

    def cells(name: str, point: GrowthPoint) -> Cells:
        drawn = next(one for one in grown.points(section, name, grown.PROPORTIONAL) if one.size == point.size)
        split = next(one for one in section.evidence[name] if one.size == point.size)
        return (
            *(_size(point.size), _estimate(drawn.coverage, figures.share)),
            *(_estimate(grown.score(section, name, one), figures.score) for one in (point, drawn)),
            *(_estimate(one, figures.difference) for one in (split.distractors, split.missing_evidence)),
        )

    rows = _by_size(section, cells) if section.evidence else ()
    note = (
        f"Small figures are 95% intervals; {grown.basis(section)}. The share of relevant documents is that of the "
        "corpus into which judged documents enter in proportion."
    )
    return Table("growth-evidence", "More distractors or more evidence", columns, rows, note)


def kinds(section: GrowthSection) -> Table:
    """A row for each kind of distractor at the largest size that it reaches."""
    metric = section.metric
    columns = (
        *(PIPELINE, Column("Distractors", numeric=False), Column("Passages", "largest size")),
        *(
            Column(metric, "final ranking"),
            Column(figures.judged_beside(metric), quiet=True),
            Column("Change", "of the means"),
        ),
        *(Column("Relevant", "of injected tokens"), Column("Of that kind", "of injected tokens")),
    )

    def cells(name: str, kind: str, last: GrowthPoint) -> Cells:
        scores = last.scores.get(grown.final_stage(section, name), {})
        return (
            *(Cell(kind), _size(last.size), score_cell(scores, metric), judged_cell(scores, metric)),
            *(_estimate(last.change, figures.difference), _share(last, "relevant")),
            _share(last, kind) if kind in _TOLD_APART else _quiet(),
        )

    note = (
        f"Small figures are 95% intervals; {grown.basis(section)}. Change: this mean minus that of the smallest "
        "corpus, both shown in the chart; it has no interval of its own. Only copies and contradictions are told "
        "apart in the prompt."
    )
    return Table("growth-kinds", "Kinds of distractors", columns, _by_kind(section, cells), note)


def _by_kind(section: GrowthSection, cells: Callable[[str, str, GrowthPoint], Cells]) -> tuple[Row, ...]:
    """A group for each pipeline, a row for each kind of distractor, at its largest size."""

    def rows(name: str) -> list[Cells]:
        found = {kind: grown.points(section, name, curve) for curve, kind in grown.KINDS.items()}
        return [cells(name, kind, points[-1]) for kind, points in found.items() if points]

    return _by_pipeline(section, rows)


def context_worth(section: GrowthSection) -> Table:
    """What the injected tokens are, for each kind of distractor at the largest size that it reaches."""
    columns = (
        *(PIPELINE, Column("Distractors", numeric=False), Column("Passages", "largest size")),
        *(Column(part.capitalize(), "of injected tokens") for part in CONTEXT),
    )
    rows = _by_kind(
        section, lambda _, kind, last: (Cell(kind), _size(last.size), *(_share(last, part) for part in CONTEXT))
    )
    note = f"Small figures are 95% intervals; {grown.basis(section)}. Unjudged is not irrelevant."
    return Table("growth-context", "What the injected tokens are worth", columns, rows, note)


def loss(section: GrowthSection) -> Table:
    """Where quality is lost at the smallest and at the largest size."""
    parts = (*LOSSES, "total")
    columns = (PIPELINE, SIZE, *(Column(grown.loss_words(part).capitalize()) for part in parts))

    def cell(line: LossParts, part: str) -> Cell:
        ends = getattr(line, f"{part}_interval")
        span = figures.span(ends, figures.difference) if ends is not None else ""
        return figure(figures.difference(getattr(line, part)), span)

    def rows(name: str) -> list[Cells]:
        ends = dict.fromkeys((0, len(section.loss[name]) - 1)) if section.loss[name] else ()
        lines = [section.loss[name][place] for place in ends]
        return [(_size(line.size), *(cell(line, part) for part in parts)) for line in lines]

    metric = next((line.metric for lines in section.loss.values() for line in lines), section.metric)
    note = (
        f"{metric}; positive is lost, negative is won. Small figures are 95% intervals; "
        f"{grown.basis(section)}. n/a: not measured, or the pipeline has no such part."
    )
    return Table("growth-loss", "Where quality is lost", columns, _by_pipeline(section, rows), note)


def resources(section: GrowthSection) -> Table:
    """Live timings, builds and memory."""
    columns = (
        *(PIPELINE, SIZE, Column("p50", "end to end"), Column("p95", "end to end"), Column("Build", "time")),
        *(Column("Index", "size"), Column("Build memory", "peak"), Column("Prompt", "tokens per query")),
    )

    def cells(_: str, point: GrowthPoint) -> Cells:
        built = (
            figures.duration(at(point, "build", "duration_ns")),
            *(figures.size(at(point, "build", key)) for key in ("index_bytes", "peak_rss_bytes")),
        )
        return (
            _size(point.size),
            *(marked(quantile_cell(point.end_to_end, each), point.latency_withheld) for each in ("p50", "p95")),
            *(*map(figure, built), _estimate(point.prompt_tokens, figures.mean_count)),
        )

    note = (
        f"On a real index of each size, {grown.timings(section)}. Small figures are 95% intervals. {HOW_QUANTILES}"
        f"{mark_note(grown.withheld(section))}"
    )
    return Table("growth-resources", "Time, builds and memory", columns, _by_size(section, cells), note)


def curves(section: GrowthSection) -> Table:
    """What grows in each curve, and which of them flatters."""
    rows = tuple(
        Row(
            (
                *(Cell(curve.replace("_", " ")), figure(meaning.what)),
                Cell("flattered" if meaning.flatters else "not flattered", tone="quiet"),
            )
        )
        for curve, meaning in section.curves.items()
    )
    return Table("growth-curves", "What grows", _words("Curve", "What grows", "Small sizes"), rows)


def work(section: GrowthSection) -> Table:
    """What the study computed and what it could reuse."""
    facts = {
        **{key: getattr(section, key) for key in ("seed", "orders", "sizes", "depths", "cutoffs")},
        **{"kept documents": section.kept.documents, "kept passages": section.kept.passages},
        **section.work,
    }

    def words(value: int | list[int]) -> str:
        return ", ".join(map(figures.text, value)) if isinstance(value, list) else figures.text(value)

    rows = tuple(Row((Cell(key.replace("_", " ").capitalize()), figure(words(value)))) for key, value in facts.items())
    return Table("growth-work", "Work done", _words("What", "Value"), rows)


_NAMES = {
    **{"index_bytes": "index size", "build_ns": "build time", "prompt_tokens": "prompt tokens"},
    COST: "cost of 1,000 queries",
}
_FOREMOST = ("end_to_end_p50_ns", COST)


def crossovers(section: GrowthSection) -> Table:
    columns = (*_words("What", "Metric"), Column("By more than"), Column("From", "passages"), *_words("Status"))

    def cells(found: Crossover) -> Cells:
        """An undecided crossover has no size, and yet an interval."""
        interval = reach({"interval": found.interval})
        size = figure(figures.count(found.size), interval)
        if found.size is None:
            size = Cell(figures.DASH, "" if interval == figures.ABSENT else interval, "quiet")
        bound = "0" if found.bound == 0 else figures.score(found.bound)
        return (figure(found.what), figure(found.metric), figure(bound), size, figure(found.status))

    note = (
        f"Small figures are 95% intervals; {grown.basis(section)}. Not within the measured range is an answer: "
        "nothing is said of larger corpora."
    )
    rows = tuple(Row(cells(found)) for found in section.crossovers)
    return Table("growth-crossovers", "Where pipelines change places", columns, rows, note)


def forecasts(section: GrowthSection) -> Table:
    """Quality, p50 end to end and cost, a group for each pipeline."""
    return _forecasts(section, "growth-forecast", "Forecasts beyond the largest corpus", foremost=True)


def other_forecasts(section: GrowthSection) -> Table:
    """Everything else that was forecast: p95, single stages, builds, memory and tokens."""
    title = "Forecasts of p95, stages, builds, memory and tokens"
    return _forecasts(section, "growth-forecast-parts", title, foremost=False)


def _forecasts(section: GrowthSection, key: str, title: str, *, foremost: bool) -> Table:
    targets = sorted({one.size for forecast in section.forecast for one in forecast.at})
    tried = {forecast.held_out.size for forecast in section.forecast} - {None}
    columns = (
        *(PIPELINE, Column("Quantity", "model", numeric=False)),
        Column(
            "Predicted", f"at {figures.count(tried.pop())}" if len(tried) == 1 else "at the held-out size", extra=True
        ),
        *(Column("Measured", "there", extra=True), Column("Error")),
        *(Column("Forecast", f"at {figures.count(size)}") for size in targets),
        Column("Verdict", numeric=False),
    )

    def cells(forecast: Forecast) -> Cells:
        write, held = writer(forecast.quantity), forecast.held_out
        values = {one.size: figure(write(one.value), figures.span(one.interval, write)) for one in forecast.at}
        absent = figure(figures.ABSENT) if values else _quiet()
        verdict = Cell("holds", forecast.reason)
        return (
            Cell(quantity_name(forecast.quantity), forecast.model),
            figure(write(held.predicted), figures.span(held.interval, write)),
            figure(write(held.measured)),
            figure(signed(held.error, write)),
            *(values.get(size, absent) for size in targets),
            Cell("abstains", forecast.reason, "undecided") if forecast.abstained else verdict,
        )

    def rows(name: str) -> list[Cells]:
        mine = [one for one in section.forecast if one.pipeline == name]
        return [cells(one) for one in mine if (one.quantity in (section.metric, *_FOREMOST)) is foremost]

    said = dict.fromkeys(f"{one.model}, {one.interval_kind}" for one in section.forecast if one.interval_kind)
    kinds = f"The intervals take in: {'; '.join(said)}." if said else ""
    note = (
        "Each model is first made from the smaller sizes for the largest measured one, and likewise for the one "
        "before; where it misses its own interval, it abstains. An interval that is wider than the value and than what "
        f"was measured is no forecast. Error: predicted minus measured. Small figures are 95% intervals; "
        f"{grown.basis(section)}. {kinds}"
    ).strip()
    return Table(key, title, columns, _by_pipeline(section, rows), note)


def quantity_name(quantity: str) -> str:
    """As people say it: `search_p50_ns` is `search p50`."""
    return _NAMES.get(quantity, quantity).removesuffix("_ns").replace("_", " ")


def writer(quantity: str) -> Write:
    """How values of a quantity are written."""
    if quantity == COST:
        return figures.usd
    units = {"_ns": figures.duration, "_bytes": figures.size, "_tokens": figures.mean_count}
    return next((write for suffix, write in units.items() if quantity.endswith(suffix)), figures.score)


_ARROW = "\u2192"


def growth_table(section: GrowthSection, _: Context) -> RenderableType:
    """Smallest against largest corpus, crossovers and forecasts in words. Nothing is cut; long names wrap."""
    lines = [said(f"{_ARROW} {_crossing(found)}") for found in section.crossovers]
    lines = [said("Where pipelines change places:"), *lines] if lines else []
    lines += [*_forecast_lines(section), *(said(f"! {note}", style="yellow") for note in section.notes)]
    sizes = _from_to([figures.count(size) for size in _ends(section.sizes)])
    kept = "every judged document is kept" if section.judged else "passages are added at random"
    basis = f"{sizes} passages; {grown.basis(section)}; {kept}"
    table = FittingTable(box=SIMPLE_HEAD, width=WIDTH, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("pipeline", overflow="fold", ratio=1)
    quality = (section.metric, "change", "relevant\nof tokens", "p50\nend to end")
    for title in quality if section.judged else ("p50\nend to end", "index", "prompt\ntokens", "USD per\n1,000"):
        table.add_column(title, justify="right", no_wrap=True)
    for name in section.pipelines:
        table.add_row(said(name), *map(said, _printed_cells(section, name)))
    return Group(table, *(Padding(line, INDENT) for line in [*lines, said(basis, style="dim")]))


def _printed_cells(section: GrowthSection, name: str) -> list[str]:
    points = _ends(grown.points(section, name))

    def live(write: Write, withheld: str, *path: str) -> str:
        """Both ends, marked where no sentence may rest on them."""
        ends = [(write(at(point, *path)), getattr(point, withheld)) for point in points]
        return _from_to([f"{text} {MARK}" if why and text != figures.ABSENT else text for text, why in ends])

    p50 = live(figures.duration, "latency_withheld", "end_to_end", "p50_ns")
    if not section.judged:
        return [
            p50,
            _from_to([figures.size(at(point, "build", "index_bytes")) for point in points]),
            _from_to([figures.mean_count(point.prompt_tokens.mean) for point in points]),
            live(figures.usd, "cost_withheld", "cost_usd_per_1000_queries", "total"),
        ]
    return [
        _from_to([figures.score(at(grown.score(section, name, point), "mean")) for point in points]),
        figures.difference(points[-1].change.mean) if len(points) > 1 else figures.ABSENT,
        _from_to([figures.share(at(point, "context_share", "relevant", "mean")) for point in points]),
        p50,
    ]


def _ends(found: list[grown.ItemT]) -> list[grown.ItemT]:
    """The first and the last; one where there is but one."""
    return [*found[:1], *found[1:][-1:]]


def _from_to(words: list[str]) -> str:
    return figures.ABSENT if set(words) <= {figures.ABSENT} else f" {_ARROW} ".join(words)


def _crossing(found: Crossover) -> str:
    interval = reach({"interval": found.interval})
    where = [] if found.size is None else [f"{figures.count(found.size)} passages"]
    where += [] if interval == figures.ABSENT else [f"interval {interval}"]
    return f"{found.what}: {', '.join([found.status, *where])}"


def _forecast_lines(section: GrowthSection) -> list[Text]:
    """Quality, latency and cost at the farthest size that was asked for: a heading, then a line for each pipeline."""
    ahead = max((one.size for forecast in section.forecast for one in forecast.at), default=None)
    lines = []
    for name in section.pipelines:
        words = []
        for quantity, word in {section.metric: section.metric, "end_to_end_p50_ns": "p50", COST: "cost"}.items():
            forecast = grown.drawn_forecast(section, name, quantity)
            if forecast is not None:
                write = writer(quantity)
                value = next((one for one in forecast.at if one.size == ahead), None)
                ends = f" ({figures.span(value.interval, write)})" if value else ""
                words.append(f"{word} {write(value.value) if value else figures.ABSENT}{ends}")
            elif name in grown.abstaining(section, quantity):
                words.append(f"{word} abstains")
        lines += [f"{_ARROW} {name}: {', '.join(words)}"] if words else []
    if not lines:
        return []
    where = "Forecast" if ahead is None else f"Forecast at {figures.count(ahead)} passages"
    return [said(f"{where}, 95% intervals; cost is of 1,000 queries:"), *map(said, lines)]
