"""The tables of a comparison: gates, quantities, the two sides, what differs, the machine's noise, the queries that got
worst with their rankings; and the comparison on a terminal, at most 80 columns wide. Ids and places only; no text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ragprof.report import figures
from ragprof.report.tables import PIPELINE, Cell, Column, Row, Table, Tone, figure
from ragprof.report.terminal import FittingTable, said
from ragprof.studies.gate import cells, words
from ragprof.studies.gate.cells import ARROW
from ragprof.studies.gate.document import (
    ComparedSide,
    Comparison,
    FactDifference,
    LostQuery,
    QuantityRow,
    counts,
)

SIDES = (Column("Base", numeric=False), Column("Candidate", numeric=False))
MEASURED = ("base", "candidate", "difference", "relative", "margin")
SHORT = ("pipeline", "quantity", "from_to", "difference", "share", "margin", "holm", "verdict")


def gate_table(comparison: Comparison) -> Table:
    """A row a gate, the worst first."""
    note = (
        f"Regression: the whole interval is worse than the margin, and p is below {comparison.alpha} (alpha) after "
        "correction over all gates (Holm). Holds: the interval's worse end is within the margin."
    )
    columns, rows = _drawn(comparison, ("pipeline", "quantity", "verdict", *MEASURED, "holm"), comparison.gates)
    return Table("compare-gates", "Gates", columns, rows, note)


def short_gate_table(comparison: Comparison) -> Table:
    """As `gate_table`, in fewer columns: for a reader without a page."""
    columns, rows = _drawn(comparison, SHORT, comparison.gates)
    return replace(gate_table(comparison), columns=columns, rows=rows)


def told_table(comparison: Comparison) -> Table:
    """The quantities that matter most, with the pipeline in each row: for a reader without a page."""
    columns, rows = _drawn(comparison, SHORT, [row for row in comparison.quantities if row.is_shown])
    note = "The main quantities, and every other one that got better or worse."
    return Table("compare-told", "What changed", columns, rows, note)


def quantity_tables(comparison: Comparison) -> dict[str, Table]:
    """Pipeline -> every quantity of it; only pipelines that have any. The title counts the verdicts."""
    tables = {}
    for name in comparison.pipelines:
        own = [row for row in comparison.quantities if row.pipeline == name]
        counted = ", ".join(f"{count} {cells.MARKS[verdict][0]}" for verdict, count in counts(own).items() if count)
        columns, rows = _drawn(comparison, ("quantity", "verdict", *MEASURED, "p", "holm", "n"), own)
        tables[name] = Table("compare-rows", f"{name}: {counted}", columns, rows)
    return {name: table for name, table in tables.items() if table.rows}


def _drawn(
    comparison: Comparison, names: Sequence[str], shown: Sequence[QuantityRow]
) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """The columns of these names, and a row a quantity."""
    spread = words.interval_words(comparison)
    every: dict[str, tuple[Column, Callable[[QuantityRow], Cell]]] = {
        "pipeline": (PIPELINE, cells.pipeline_cell),
        "quantity": (
            Column("Quantity", "its unit", numeric=False),
            lambda row: Cell(row.quantity, f"{cells.unit_words(row)}, {row.better} is better"),
        ),
        "verdict": (Column("Verdict", numeric=False), cells.verdict_cell),
        "base": (Column("Base", "in its unit"), lambda row: figure(cells.side(row, row.base))),
        "candidate": (Column("Candidate", "in its unit"), lambda row: figure(cells.side(row, row.candidate))),
        "from_to": (Column(f"Base {ARROW} candidate", "in its unit"), lambda row: figure(cells.from_to(row))),
        "difference": (
            Column("Difference", f"in its unit, {spread}"),
            lambda row: figure(cells.difference(row), cells.difference_ends(row)),
        ),
        "relative": (
            Column("Relative", f"to the base, {spread}"),
            lambda row: figure(cells.relative(row), cells.relative_ends(row)),
        ),
        "share": (Column("Relative", "to the base"), lambda row: figure(cells.relative(row))),
        "margin": (Column("Margin", "in its unit"), cells.margin_cell),
        "p": (Column("p", "two-sided"), lambda row: figure(figures.p_value(row.p))),
        "holm": (Column("p", "Holm"), lambda row: figure(figures.p_value(row.p_holm))),
        "n": (Column("n", "queries"), lambda row: figure(figures.count(row.n))),
    }
    chosen = [every[name] for name in names]
    rows = tuple(Row(tuple(draw(row) for _, draw in chosen)) for row in shown)
    return tuple(column for column, _ in chosen), rows


def side_table(comparison: Comparison) -> Table:
    """A row a fact, a column a side."""
    told: dict[str, Callable[[ComparedSide], str]] = {
        "Name": lambda side: side.label,
        "Kind": lambda side: side.source,
        "Recorded": lambda side: figures.day(side.created),
        "ragprof": lambda side: figures.text(side.ragprof_version),
        "Recording": lambda side: figures.text(side.recording),
        "Corpus": lambda side: figures.text(side.corpus.get("name")),
        "Passages": lambda side: figures.text(side.corpus.get("docs")),
        "Documents": lambda side: figures.text(side.corpus.get("documents")),
        "Queries": lambda side: figures.text(side.queries),
    }
    both = comparison.base, comparison.candidate
    rows = tuple(Row((Cell(title), *(figure(draw(side)) for side in both))) for title, draw in told.items())
    return Table("compare-sides", "The two sides", (Column("", numeric=False), *SIDES), rows)


def difference_table(comparison: Comparison) -> Table:
    """A row a field that is not the same on both sides."""

    def drawn(one: FactDifference) -> Row:
        tone: Tone = "" if one.blocks == "nothing" else "worse"
        values = (figure(words.value(value)) for value in (one.base, one.candidate))
        return Row((Cell(one.field), *values, Cell(words.blocked(one), tone=tone)))

    columns = (Column("Field", numeric=False), *SIDES, Column("Keeps from being compared", numeric=False))
    return Table("compare-differences", "What else differs", columns, tuple(map(drawn, comparison.differences)))


def change_table(comparison: Comparison) -> Table:
    """A row a part of a pipeline that is not the same on both sides."""
    rows = tuple(
        Row((Cell(name, pipeline=name), Cell(part.part), Cell(part.base or "none"), Cell(part.candidate or "none")))
        for name, parts in comparison.changed.items()
        for part in parts
    )
    columns = (PIPELINE, Column("Part", numeric=False), *SIDES)
    return Table("compare-changes", "What was changed in the pipelines", columns, rows)


def noise_table(comparison: Comparison) -> Table:
    """What differed when the base ran against itself, on this machine; no rows where it was not measured."""
    columns = (PIPELINE, Column("Quantity", numeric=False), Column("Noise", "share of the base's figure"))
    noise = comparison.against.noise if comparison.against else {}
    rows = tuple(
        Row((Cell(name, pipeline=name), Cell(label), figure(figures.share(share))))
        for name, found in noise.items()
        for label, share in found.items()
    )
    note = "Measured in the same job, the base against itself. No margin is below it."
    return Table("compare-noise", "This machine's noise", columns, rows, note)


@dataclass(frozen=True, slots=True)
class Fallen:
    """One pipeline's worst queries: a table of their scores and, a query each, the two rankings."""

    name: str
    scores: Table
    rankings: tuple[Table, ...]


def fallen(comparison: Comparison) -> list[Fallen]:
    """A section a pipeline that has queries which got worse."""
    found = []
    for name, one in comparison.fallen.items():
        measured = (Column(title, one.metric) for title in ("Base", "Candidate", "Difference"))
        firsts = (Column(title, "document", numeric=False) for title in ("First before", "First after"))
        rows = []
        for query in one.queries:
            both = (figure(figures.score(score)) for score in (query.base, query.candidate))
            difference = figure(figures.difference(query.candidate - query.base), tone="worse")
            first = (figure(next(iter(ranking), figures.ABSENT)) for ranking in (query.before, query.after))
            rows.append(Row((Cell(query.query_id), *both, difference, *first)))
        columns = (Column("Query", numeric=False), *measured, *firsts)
        scores = Table("compare-worst", f"{name}: queries that got worst", columns, tuple(rows))
        found.append(Fallen(name, scores, tuple(_ranking(query, one.metric) for query in one.queries)))
    return found


def _scores(query: LostQuery) -> str:
    return f"{figures.score(query.base)} {ARROW} {figures.score(query.candidate)}"


def _ranking(query: LostQuery, metric: str) -> Table:
    """Rank by rank: what stood there before, and where it went; what stands there after, and whence it came."""
    columns = (Column("Rank"), Column("Before", "document", numeric=False), Column("After", "document", numeric=False))
    rows = []
    for place in range(max(len(query.before), len(query.after))):
        before = _moved(query.before, place, query.after, "now", "gone from the first ten")
        after = _moved(query.after, place, query.before, "was", "new in the first ten")
        rows.append(Row((Cell(str(place + 1)), before, after)))
    return Table("compare-ranking", f"Query {query.query_id}: {metric} {_scores(query)}", columns, tuple(rows))


def _moved(ranking: Sequence[str], place: int, other: Sequence[str], word: str, gone: str) -> Cell:
    if place >= len(ranking):
        return figure(figures.ABSENT)
    document = ranking[place]
    if document not in other:
        return Cell(document, gone, "strong")
    there = other.index(document)
    return Cell(document, "" if there == place else f"{word} {there + 1}")


WIDTH = 80
LABEL = 21
STYLES: dict[Tone, str] = {
    "absent": "dim",
    "unpriced": "yellow",
    "better": "bold",
    "worse": "bold yellow",
    "undecided": "dim",
}
HEAD_STYLES = {"regression": "bold red", "undecided": "bold yellow", "incomparable": "bold yellow"}


def comparison_table(comparison: Comparison) -> RenderableType:
    """Headline, the gates (or the main quantities and all that changed), notes, worst queries. Nothing is cut."""
    style = "bold" if comparison.gate is None else HEAD_STYLES.get(comparison.gate.verdict, "bold")
    head = [said(comparison.title, style="dim"), said(words.headline(comparison), style=style)]
    table = _gates(comparison) if comparison.gate else _quantities(comparison)
    return Group(*_padded(head), table, *_padded(_said(comparison)))


def _padded(lines: Iterable[Text]) -> list[Padding]:
    return [Padding(line, (0, 1)) for line in lines]


def _said(comparison: Comparison) -> list[Text]:
    """Notes first; then what differs, the queries that got worst, and what the figures rest on."""
    notes = [said(f"! {note}", style="yellow") for note in words.notes(comparison)]
    changed = [said(f"changed: {change}") for change in words.changes(comparison)]
    lost = []
    for name, one in comparison.fallen.items():
        queries = ", ".join(f"{query.query_id} {_scores(query)}" for query in one.queries)
        lost.append(said(f"worst: {name}, {one.metric}: {queries}"))
    gated = f"p is corrected over the gates alone (Holm); over all quantities at once: {words.tally(comparison)}"
    basis = [
        f"base {words.side(comparison.base)}",
        f"candidate {words.side(comparison.candidate)}",
        words.basis(comparison),
        *([gated] if comparison.gate else []),
    ]
    return [*notes, *changed, *lost, *(said(one, style="dim") for one in basis)]


def _empty(titles: Sequence[str], widths: Sequence[int | None]) -> FittingTable:
    """The first column takes what is left; the last holds verdicts."""
    table = FittingTable(box=SIMPLE_HEAD, width=WIDTH, pad_edge=False, header_style="bold", padding=0)
    table.add_column(titles[0], overflow="fold", ratio=1, min_width=LABEL)
    for title, width in zip(titles[1:-1], widths, strict=True):
        table.add_column(title, justify="right", overflow="fold", max_width=width)
    table.add_column(titles[-1], overflow="fold", max_width=12)
    return table


def _gates(comparison: Comparison) -> FittingTable:
    spread = words.interval_words(comparison)
    table = _empty(("gate", "base\ncandidate", f"difference\n{spread}", "margin\np", "verdict"), (12, 17, 11))
    above = ""
    for row in comparison.gates:
        above = _head(table, row, above)
        text, ends = cells.short_change(row)
        p = cells.short_p(row)
        unit = {"usage": "per query", "cost": "USD"}.get(row.kind) or cells.unit_words(row)
        verdict = _verdict(row)
        if row.gate == "undecided" and row.more_queries:
            verdict.append(f"\n{figures.count(row.more_queries)} more\nqueries", style="dim")
        table.add_row(
            _label(row).append(f"\n   {unit}", style="dim"),
            f"{cells.side(row, row.base)}\n{cells.side(row, row.candidate)}",
            text if ends == figures.ABSENT else f"{text}\n{ends}",
            f"{cells.short_margin(row)}\np {p}" if p[0] in "<n" else f"{cells.short_margin(row)}\np = {p}",
            verdict,
        )
    return table


def _quantities(comparison: Comparison) -> FittingTable:
    spread = words.interval_words(comparison)
    table = _empty(("quantity", f"base {ARROW} candidate", "change", spread, "verdict"), (17, 10, 17))
    above = ""
    for row in comparison.quantities:
        if row.is_shown:
            above = _head(table, row, above)
            text, ends = cells.short_change(row)
            table.add_row(_label(row), cells.from_to(row), text, "" if ends == figures.ABSENT else ends, _verdict(row))
    return table


def _head(table: FittingTable, row: QuantityRow, above: str) -> str:
    """The pipeline's name above the first of its rows, unless it stands there already."""
    if row.pipeline != above:
        cell = cells.pipeline_cell(row)
        table.add_row(said(f"{cell.text} {cell.note}", style="bold"))
    return row.pipeline


def _label(row: QuantityRow) -> Text:
    """A long name goes on below after its stage."""
    stage, dot, rest = row.quantity.partition(".")
    return Text(f" {stage}.\n   {rest}" if dot and len(row.quantity) > LABEL else f" {row.quantity}")


def _verdict(row: QuantityRow) -> Text:
    cell = cells.verdict_cell(row)
    return Text(cell.text, style=STYLES.get(cell.tone, ""))
