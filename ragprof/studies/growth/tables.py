"""Tables of growth: pipelines at a glance, evidence against distractors, kinds of distractors, losses.

Rows are the smallest, the middle and the largest corpus; the charts have the sizes between.

Tables of growth about effort: time, builds and memory at each size, what grew, and the work that was done.

Where pipelines change places, and what to expect beyond the largest corpus. That a model abstains is an answer.

Growth on a terminal: a line a pipeline, then crossovers and forecasts in words, no wider than 80 columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from ragprof.report import figures
from ragprof.report.figures import signed
from ragprof.report.lookup import COST, Summary, at, entries, judged_beside, reach
from ragprof.report.palette import CONTEXT, LOSSES
from ragprof.report.tables import (
    HOW_QUANTILES,
    Cell,
    Column,
    Row,
    Table,
    figure,
    group,
    judged_cell,
    quantile_cell,
    score_cell,
    total_cell,
)
from ragprof.studies.growth import lookup as grown

PIPELINE, SIZE = Column("Pipeline", numeric=False), Column("Passages")
_FLATTERED = "Every judged document is in every corpus, which flatters the small sizes."


def glance(summary: Summary) -> Table:
    """Quality, what the context is worth, latency and money, while every judged document is kept."""
    metric, precision = grown.metric(summary), _precision(summary)
    columns = (
        *(PIPELINE, SIZE),
        *(Column(metric, "final ranking"), Column(judged_beside(metric), quiet=True)),
        *(Column("Change", "from the smallest"), Column(precision, "final ranking")),
        *(Column("Relevant", "of injected tokens"), Column("p50", "end to end"), Column("Cost", "per 1,000 queries")),
    )
    rows = rows_by_size(summary, lambda name, size: _glance_cells(summary, name, size, precision))
    note = f"Small figures are 95% intervals; {grown.basis(summary)}. {_FLATTERED} {HOW_QUANTILES}"
    return Table("growth-glance", "Growth at a glance", columns, rows, note)


def _precision(summary: Summary) -> str:
    """P@5, else the precision with the smallest cutoff."""
    cutoffs = sorted(entries(summary, "growth", "cutoffs"))
    return f"P@{5 if 5 in cutoffs or not cutoffs else cutoffs[0]}"


def rows_by_size(summary: Summary, cells: Callable[[str, int], tuple[Cell, ...]]) -> tuple[Row, ...]:
    """A group a pipeline, a row a size."""
    rows = []
    for name in grown.names(summary):
        chosen = grown.landmarks(grown.sizes_of(summary, name))
        rows += group(Cell(name, pipeline=name), [cells(name, size) for size in chosen])
    return tuple(rows)


def _glance_cells(summary: Summary, name: str, size: int, precision: str) -> tuple[Cell, ...]:
    point = grown.point_of_size(summary, name, size)
    scores = at(point, "scores", grown.final_stage(summary, name)) or {}
    metric = grown.metric(summary)
    return (
        figure(figures.count(size)),
        *(score_cell(scores, metric), judged_cell(scores, metric), _change_cell(summary, name, size)),
        *(score_cell(scores, precision), _share_cell(point, "relevant")),
        *(quantile_cell(at(point, "end_to_end"), "p50"), total_cell(point)),
    )


def _change_cell(summary: Summary, name: str, size: int) -> Cell:
    """What distractors took, with its sign turned: falling is negative."""
    if size == grown.sizes_of(summary, name)[0]:
        return Cell(figures.DASH, tone="quiet")
    return _estimate_cell(grown.change(summary, name, size), figures.difference)


def _estimate_cell(estimate: Any, write: Callable[[Any], str]) -> Cell:
    return figure(write(at(estimate, "mean")), figures.span(at(estimate, "interval"), write))


def _share_cell(point: Mapping[str, Any], kind: str) -> Cell:
    return _estimate_cell(at(point, "context_share", kind), figures.share)


def evidence(summary: Summary) -> Table:
    """Both causes at each size. No rows where only one curve was recorded."""
    metric = grown.metric(summary)
    columns = (
        *(PIPELINE, SIZE, Column("Relevant documents", "in the corpus")),
        *(Column(metric, "all judged kept"), Column(metric, "in proportion")),
        *(Column("Taken by distractors", "since the smallest"), Column("Missing evidence", "at this size")),
    )
    known = any(grown.points(summary, name, grown.PROPORTIONAL) for name in grown.names(summary))
    rows = rows_by_size(summary, lambda name, size: _evidence_cells(summary, name, size)) if known else ()
    note = (
        f"Small figures are 95% intervals; {grown.basis(summary)}. The share of relevant documents is that of the "
        "corpus into which judged documents enter in proportion."
    )
    return Table("growth-evidence", "More distractors or more evidence", columns, rows, note)


def _evidence_cells(summary: Summary, name: str, size: int) -> tuple[Cell, ...]:
    kept, drawn = (grown.point_of_size(summary, name, size, curve) for curve in grown.CAUSES)
    split = grown.of_size(entries(summary, "growth", "evidence", name), size)
    return (
        *(figure(figures.count(size)), _estimate_cell(at(drawn, "coverage"), figures.share)),
        *(_estimate_cell(grown.score(summary, name, point), figures.score) for point in (kept, drawn)),
        *(_estimate_cell(at(split, cause), figures.difference) for cause in ("distractors", "missing_evidence")),
    )


def kinds(summary: Summary) -> Table:
    """A row a kind of distractor at the largest size that it reaches."""
    metric = grown.metric(summary)
    columns = (
        *(PIPELINE, Column("Distractors", numeric=False), Column("Passages", "largest size")),
        *(Column(metric, "final ranking"), Column(judged_beside(metric), quiet=True), Column("Change", "of the means")),
        *(Column("Relevant", "of injected tokens"), Column("Of that kind", "of injected tokens")),
    )
    rows = [row for name in grown.names(summary) for row in _kind_rows(summary, name)]
    note = (
        f"Small figures are 95% intervals; {grown.basis(summary)}. Change: this mean minus that of the smallest "
        "corpus, both shown in the chart; it has no interval of its own. Only copies and contradictions are told "
        "apart in the prompt."
    )
    return Table("growth-kinds", "Kinds of distractors", columns, tuple(rows), note)


def _kind_rows(summary: Summary, name: str) -> list[Row]:
    found = {kind: grown.points(summary, name, curve) for curve, kind in grown.KINDS.items()}
    cells = [_kind_cells(summary, name, kind, points) for kind, points in found.items() if points]
    return group(Cell(name, pipeline=name), cells)


def _kind_cells(summary: Summary, name: str, kind: str, points: list[grown.Point]) -> tuple[Cell, ...]:
    last, metric = points[-1], grown.metric(summary)
    scores = at(last, "scores", grown.final_stage(summary, name)) or {}
    own = _share_cell(last, kind) if kind in grown.TOLD_APART else Cell(figures.DASH, tone="quiet")
    return (
        *(Cell(kind), figure(figures.count(last["size"])), score_cell(scores, metric), judged_cell(scores, metric)),
        *(_estimate_cell(at(last, "change"), figures.difference), _share_cell(last, "relevant"), own),
    )


def context(summary: Summary) -> Table:
    """What the injected tokens are, for each kind of distractor at the largest size that it reaches."""
    columns = (
        *(PIPELINE, Column("Distractors", numeric=False), Column("Passages", "largest size")),
        *(Column(part.capitalize(), "of injected tokens") for part in CONTEXT),
    )
    rows = [row for name in grown.names(summary) for row in _context_rows(summary, name)]
    note = f"Small figures are 95% intervals; {grown.basis(summary)}. Unjudged is not irrelevant."
    return Table("growth-context", "What the injected tokens are worth", columns, tuple(rows), note)


def _context_rows(summary: Summary, name: str) -> list[Row]:
    found = {kind: grown.points(summary, name, curve) for curve, kind in grown.KINDS.items()}
    cells = [_context_cells(kind, points[-1]) for kind, points in found.items() if points]
    return group(Cell(name, pipeline=name), cells)


def _context_cells(kind: str, last: grown.Point) -> tuple[Cell, ...]:
    return (Cell(kind), figure(figures.count(last["size"])), *(_share_cell(last, part) for part in CONTEXT))


def loss(summary: Summary) -> Table:
    """Where quality is lost at the smallest and at the largest size."""
    columns = (PIPELINE, SIZE, *(Column(part.capitalize()) for part in LOSSES), Column("Total"))
    rows = []
    for name in grown.names(summary):
        found = grown.losses(summary, name)
        ends = grown.landmarks(found)[:: 2 if len(found) > 2 else 1]
        rows += group(Cell(name, pipeline=name), [_loss_cells(row) for row in ends])
    note = (
        f"{grown.loss_metric(summary)}; positive is lost, negative is won. Small figures are 95% intervals; "
        f"{grown.basis(summary)}. n/a: not measured, or the pipeline has no such part."
    )
    return Table("growth-loss", "Where quality is lost", columns, tuple(rows), note)


def _loss_cells(row: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (figure(figures.count(row["size"])), *(_loss_cell(row, part) for part in (*LOSSES, "total")))


def _loss_cell(row: Mapping[str, Any], part: str) -> Cell:
    ends = at(row, f"{part}_interval")
    note = figures.span(ends, figures.difference) if ends is not None else ""
    return figure(figures.difference(at(row, part)), note)


def resources(summary: Summary) -> Table:
    """Live timings, builds and memory. No rows without any."""
    columns = (
        *(PIPELINE, SIZE, Column("p50", "end to end"), Column("p95", "end to end"), Column("Build", "time")),
        *(Column("Index", "size"), Column("Build memory", "peak"), Column("Prompt", "tokens per query")),
    )
    points = (point for name in grown.names(summary) for point in grown.points(summary, name))
    known = any(at(point, "end_to_end") or at(point, "build") for point in points)
    rows = rows_by_size(summary, lambda name, size: _resource_cells(summary, name, size)) if known else ()
    note = f"On a real index of each size, {grown.timings(summary)}. Small figures are 95% intervals. {HOW_QUANTILES}"
    return Table("growth-resources", "Time, builds and memory", columns, rows, note)


def _resource_cells(summary: Summary, name: str, size: int) -> tuple[Cell, ...]:
    point = grown.point_of_size(summary, name, size)
    build, prompt = at(point, "build"), at(point, "prompt_tokens")
    return (
        *(figure(figures.count(size)), quantile_cell(at(point, "end_to_end"), "p50")),
        *(quantile_cell(at(point, "end_to_end"), "p95"), figure(figures.duration(at(build, "duration_ns")))),
        *(figure(figures.size(at(build, "index_bytes"))), figure(figures.size(at(build, "peak_rss_bytes")))),
        figure(figures.mean_count(at(prompt, "mean")), figures.span(at(prompt, "interval"), figures.mean_count)),
    )


def curves(summary: Summary) -> Table:
    """What grows in each curve, and which of them flatters."""
    columns = (
        Column("Curve", numeric=False),
        Column("What grows", numeric=False),
        Column("Small sizes", numeric=False),
    )
    described = at(summary, "growth", "curves") or {}
    rows = tuple(Row(_curve_cells(curve, described.get(curve))) for curve in grown.curve_names(summary))
    return Table("growth-curves", "What grows", columns, rows)


def _curve_cells(curve: str, described: Any) -> tuple[Cell, ...]:
    flatters = at(described, "flatters")
    words = {True: "flattered", False: "not flattered"}
    verdict = figure(figures.ABSENT) if flatters is None else Cell(words[bool(flatters)], tone="quiet")
    return (Cell(curve.replace("_", " ")), figure(figures.text(at(described, "what"))), verdict)


def work(summary: Summary) -> Table:
    """What the study computed and what it could reuse."""
    study = at(summary, "growth") or {}
    kept = {f"kept_{what}": count for what, count in (at(study, "kept") or {}).items()}
    plan = {
        key: at(study, key) for key in ("seed", "orders", "sizes", "depths", "cutoffs") if at(study, key) is not None
    }
    facts = {**plan, **kept, **(at(study, "work") or {})}
    columns = (Column("What", numeric=False), Column("Value", numeric=False))
    rows = tuple(Row((Cell(key.replace("_", " ").capitalize()), figure(_fact(value)))) for key, value in facts.items())
    return Table("growth-work", "Work done", columns, rows)


def _fact(value: Any) -> str:
    return ", ".join(map(figures.text, value)) if isinstance(value, list | tuple) else figures.text(value)


_NAMES = {
    "index_bytes": "index size",
    "build_ns": "build time",
    "prompt_tokens": "prompt tokens",
    COST: "cost of 1,000 queries",
}
_FOREMOST = ("end_to_end_p50_ns", COST)


def crossovers(summary: Summary) -> Table:
    columns = (
        *(Column("What", numeric=False), Column("Metric", numeric=False), Column("By more than")),
        *(Column("From", "passages"), Column("Status", numeric=False)),
    )
    rows = tuple(Row(_crossover_cells(found)) for found in entries(summary, "growth", "crossovers"))
    note = (
        f"Small figures are 95% intervals; {grown.basis(summary)}. Not within the measured range is an answer: "
        "nothing is said of larger corpora."
    )
    return Table("growth-crossovers", "Where pipelines change places", columns, rows, note)


def _crossover_cells(found: Mapping[str, Any]) -> tuple[Cell, ...]:
    return (
        *(figure(figures.text(at(found, "what"))), figure(figures.text(at(found, "metric")))),
        *(figure(_bound(at(found, "bound"))), _size_cell(found), figure(figures.text(at(found, "status")))),
    )


def _size_cell(found: Mapping[str, Any]) -> Cell:
    """An undecided crossover has no size, and yet an interval."""
    size, interval = at(found, "size"), reach(found)
    if size is not None:
        return figure(figures.count(size), interval)
    return Cell(figures.DASH, "" if interval == figures.ABSENT else interval, "quiet")


def _bound(bound: float | None) -> str:
    return "0" if bound == 0 else figures.score(bound)


def forecasts(summary: Summary) -> Table:
    """Quality, p50 end to end and cost, a group a pipeline."""
    return _table(summary, "growth-forecast", "Forecasts beyond the largest corpus", _foremost(summary))


def other_forecasts(summary: Summary) -> Table:
    """Everything else that was forecast: p95, single stages, builds, memory and tokens."""
    asked = dict.fromkeys(at(found, "quantity") for found in entries(summary, "growth", "forecast"))
    others = [quantity for quantity in asked if quantity not in _foremost(summary)]
    return _table(summary, "growth-forecast-parts", "Forecasts of p95, stages, builds, memory and tokens", others)


def _foremost(summary: Summary) -> list[str]:
    return [grown.metric(summary), *_FOREMOST]


def _table(summary: Summary, key: str, title: str, quantities: Sequence[str]) -> Table:
    targets = _targets(summary)
    columns = (
        *(Column("Pipeline", numeric=False), Column("Quantity", "model", numeric=False)),
        *(Column("Predicted", _held_out(summary)), Column("Measured", "there"), Column("Error")),
        *(Column("Forecast", f"at {figures.count(size)}") for size in targets),
        Column("Verdict", numeric=False),
    )
    rows = [row for name in grown.names(summary) for row in _rows(summary, name, quantities, targets)]
    note = (
        "Each model is first made from the smaller sizes for the largest measured one; where that misses its own "
        f"interval, it abstains. Error: predicted minus measured. Small figures are 95% intervals; "
        f"{grown.basis(summary)}. {_intervals(summary)}"
    ).strip()
    return Table(key, title, columns, tuple(rows), note)


def _intervals(summary: Summary) -> str:
    """What the intervals of each model take in, where the study says so."""
    found = [(at(one, "model"), at(one, "interval_kind")) for one in entries(summary, "growth", "forecast")]
    said = dict.fromkeys(f"{model}, {kind}" for model, kind in found if model and kind)
    return f"The intervals take in: {'; '.join(said)}." if said else ""


def _held_out(summary: Summary) -> str:
    """The measured size for which every model is first tried."""
    found = {at(forecast, "held_out", "size") for forecast in entries(summary, "growth", "forecast")} - {None}
    return f"at {figures.count(found.pop())}" if len(found) == 1 else "at the held-out size"


def _targets(summary: Summary) -> list[int]:
    return sorted({size for found in entries(summary, "growth", "forecast") for size in grown.targets(found)})


def _rows(summary: Summary, name: str, quantities: Sequence[str], targets: Sequence[int]) -> list[Row]:
    found = [one for one in grown.forecasts(summary, name) if at(one, "quantity") in quantities]
    return group(Cell(name, pipeline=name), [_cells(one, targets) for one in found])


def _cells(forecast: Mapping[str, Any], targets: Sequence[int]) -> tuple[Cell, ...]:
    write, held = writer(forecast), at(forecast, "held_out")
    label = Cell(quantity_name(at(forecast, "quantity")), figures.text(at(forecast, "model")))
    return (
        label,
        figure(write(at(held, "predicted")), figures.span(at(held, "interval"), write)),
        figure(write(at(held, "measured"))),
        figure(signed(at(held, "error"), write)),
        *(_target_cell(forecast, size, write) for size in targets),
        _verdict_cell(forecast),
    )


def _target_cell(forecast: Mapping[str, Any], size: int, write: Callable[[Any], str]) -> Cell:
    if not grown.given(forecast):
        return Cell(figures.DASH, tone="quiet")
    found = grown.of_size(entries(forecast, "at"), size)
    return figure(write(at(found, "value")), figures.span(at(found, "interval"), write))


def _verdict_cell(forecast: Mapping[str, Any]) -> Cell:
    reason = at(forecast, "reason") or ""
    if at(forecast, "abstained") is None:
        return figure(figures.ABSENT)
    return Cell("abstains", reason, "undecided") if at(forecast, "abstained") else Cell("holds", reason)


def quantity_name(quantity: Any) -> str:
    """As people say it: `search_p50_ns` is `search p50`."""
    words = _NAMES.get(quantity) or figures.text(quantity)
    return words.removesuffix("_ns").replace("_", " ")


def writer(forecast: Mapping[str, Any]) -> Callable[[Any], str]:
    """How values of the forecast's quantity are written."""
    quantity = str(at(forecast, "quantity"))
    if quantity == COST:
        return figures.usd
    if quantity.endswith("_ns"):
        return figures.duration
    if quantity.endswith("_bytes"):
        return figures.size
    return figures.mean_count if quantity.endswith("_tokens") else figures.score


_WIDTH = 78
_INDENT = (0, 1)
_ARROW = "\u2192"


def growth_table(summary: Summary) -> RenderableType:
    """Smallest against largest corpus. Without growth one line that says so. Nothing is cut; long names go on below."""
    if not grown.names(summary):
        return Padding(Text("no growth study in this summary", style="dim"), _INDENT)
    lines = [*_crossovers(summary), *_forecasts(summary), *_notes(summary), _basis(summary)]
    return Group(_terminal_table(summary), *(Padding(line, _INDENT) for line in lines))


def _terminal_table(summary: Summary) -> RichTable:
    table = RichTable(box=SIMPLE_HEAD, width=_WIDTH, pad_edge=False, header_style="bold", padding=(0, 1))
    table.add_column("pipeline", overflow="fold", ratio=1)
    titles = (grown.metric(summary), "change", "relevant\nof tokens", "p50\nend to end")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for name in grown.names(summary):
        table.add_row(Text(name), *(Text(words) for words in _terminal_cells(summary, name)))
    return table


def _terminal_cells(summary: Summary, name: str) -> list[str]:
    ends = [grown.point_of_size(summary, name, size) for size in _ends(grown.sizes_of(summary, name))]
    return [
        _from_to([figures.score(at(grown.score(summary, name, point), "mean")) for point in ends]),
        _change(summary, name),
        _from_to([figures.share(at(point, "context_share", "relevant", "mean")) for point in ends]),
        _from_to([figures.duration(at(point, "end_to_end", "p50_ns")) for point in ends]),
    ]


def _ends(sizes: list[int]) -> list[int]:
    """Smallest and largest; one where there is but one."""
    return list(dict.fromkeys((sizes[0], sizes[-1]))) if sizes else []


def _from_to(words: list[str]) -> str:
    if set(words) <= {figures.ABSENT}:
        return figures.ABSENT
    return f" {_ARROW} ".join(words)


def _change(summary: Summary, name: str) -> str:
    sizes = grown.sizes_of(summary, name)
    return figures.difference(at(grown.change(summary, name, sizes[-1]), "mean")) if len(sizes) > 1 else figures.ABSENT


def _crossovers(summary: Summary) -> list[Text]:
    return [Text(f"\u00d7 {_crossover(found)}") for found in entries(summary, "growth", "crossovers")]


def _crossover(found: Mapping[str, Any]) -> str:
    what, status = figures.text(at(found, "what")), figures.text(at(found, "status"))
    size, interval = at(found, "size"), reach(found)
    where = [] if size is None else [f"{figures.count(size)} passages"]
    where += [] if interval == figures.ABSENT else [f"interval {interval}"]
    return f"{what}: {status}" + (f", {', '.join(where)}" if where else "")


def _forecasts(summary: Summary) -> list[Text]:
    """Quality, latency and cost at the farthest size that was asked for: a heading, then a line a pipeline."""
    ahead = [size for forecast in entries(summary, "growth", "forecast") for size in grown.targets(forecast)]
    lines = [words for name in grown.names(summary) for words in _expected(summary, name, max(ahead, default=0))]
    if not lines:
        return []
    where = f"Forecast at {figures.count(max(ahead))} passages" if ahead else "Forecast"
    return [Text(f"{where}, 95% intervals; cost is of 1,000 queries:"), *map(Text, lines)]


def _expected(summary: Summary, name: str, size: int) -> list[str]:
    """At most one line; a quantity without an answer is named."""
    asked = {grown.metric(summary): grown.metric(summary), "end_to_end_p50_ns": "p50", COST: "cost"}
    words = []
    for quantity, word in asked.items():
        forecast = grown.drawn_forecast(summary, name, quantity)
        if forecast:
            words.append(f"{word} {_value(forecast, size)}")
        elif name in grown.abstaining(summary, quantity):
            words.append(f"{word} abstains")
    return [f"{_ARROW} {name}: {', '.join(words)}"] if words else []


def _value(forecast: Mapping[str, Any], size: int) -> str:
    found, write = grown.of_size(entries(forecast, "at"), size), writer(forecast)
    if at(found, "value") is None:
        return figures.ABSENT
    return f"{write(found['value'])} ({figures.span(at(found, 'interval'), write)})"


def _notes(summary: Summary) -> list[Text]:
    return [Text(f"! {note}", style="yellow") for note in entries(summary, "growth", "notes")]


def _basis(summary: Summary) -> Text:
    sizes = _ends(grown.sizes(summary))
    words = f" {_ARROW} ".join(figures.count(size) for size in sizes) or figures.ABSENT
    return Text(f"{words} passages; {grown.basis(summary)}; every judged document is kept", style="dim")
