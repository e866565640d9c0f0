"""A comparison as one HTML page that needs nothing else, and as the body of a comment on a pull request.

The comment has verdict and gates open and everything else folded. It begins with a hidden line, so that a bot finds its
own comment and replaces it. Everything from users' files is escaped. GitHub takes 65,536 characters; this takes 60,000
at most and says what was left out.
"""

from __future__ import annotations

from pathlib import Path

from ragprof.report import figures, html
from ragprof.report.brief import few, first_rows, shortened
from ragprof.report.markdown import as_bullets, as_details, as_folded, as_table, as_warnings, escaped
from ragprof.report.palette import pipeline_colours
from ragprof.report.tables import Tile
from ragprof.studies.gate import tables, words
from ragprof.studies.gate.document import Comparison, counts

TONES = {"regression": "worse", "holds": "better", "undecided": "undecided", "incomparable": "undecided"}
TABLES = {
    "gates": tables.gate_table, "changes": tables.change_table, "differences": tables.difference_table,
    "sides": tables.side_table, "noise": tables.noise_table,
}  # fmt: skip


def comparison_page(comparison: Comparison) -> str:
    """The whole page: verdict, gates, charts, every quantity, worst queries, both sides, method.

    Readable without scripts; absent values are `n/a`, a chart without data is left out. Of the folds of the pipelines
    those stand open in which something got worse.
    """
    from ragprof.studies.gate.charts import KEY, effects

    chart, folds = effects(comparison), []
    for name, table in tables.quantity_tables(comparison).items():
        found = counts([row for row in comparison.quantities if row.pipeline == name])
        counted = [(verdict, words.counted(verdict, count)) for verdict, count in found.items() if count]
        folds.append({"name": name, "table": table, "counted": counted, "open": bool(found["worse"])})
    return html.template("comparison.html.jinja", folder=Path(__file__).parent).render(
        **html.drawn({KEY: chart} if chart else {}),
        title=comparison.title,
        answer=_capitalised(words.headline(comparison)),
        tone=TONES.get(comparison.gate.verdict, "") if comparison.gate else "",
        findings=[*words.failures(comparison), *words.changes(comparison)],
        sides=[words.side(comparison.base), words.side(comparison.candidate)], basis=words.basis(comparison),
        notes=words.notes(comparison), gated=comparison.gate is not None, method=words.method(comparison),
        created=figures.day(comparison.candidate.created),
        version=figures.text(comparison.candidate.ragprof_version),
        tables={name: draw(comparison) for name, draw in TABLES.items()},
        tiles=tiles(comparison), folds=folds, fallen=tables.fallen(comparison),
        colours=pipeline_colours(comparison.pipelines),
    )  # fmt: skip


def tiles(comparison: Comparison) -> tuple[Tile, ...]:
    """How many of each verdict, and on how many queries."""
    rows, found = comparison.quantities, counts(comparison.quantities)
    left = found["unpriced"] + found["incomparable"] + found["missing"]
    left_out = f"{left} more without a price, incomparable or missing" if left else "all that both sides have"
    judged = Tile("Quantities compared", figures.count(len(rows) - left), "", left_out)
    if comparison.gate is not None:
        judged = Tile("Gates", figures.count(len(comparison.gates)), "", words.gate_tally(comparison.gate))
    of_all = f"of {figures.count(len(rows))} quantities; the interval excludes no difference"
    within = f"within the margin; {found['undecided']} undecided"
    job = "one job" if comparison.same_job else "two jobs"
    timed = f"{len({row.pipeline for row in rows})} pipelines, timed in {job}"
    basis = Tile("Measured on", figures.count(comparison.queries), "queries", timed)
    if not comparison.paired:
        more = f"base; {figures.counted(comparison.candidate.queries, 'trace')} of the candidate, not paired"
        basis = Tile("Measured on", figures.count(comparison.base.queries), "traces", f"of the {more}")
    return (
        judged,
        Tile("Worse", figures.count(found["worse"]), "", of_all),
        Tile("Better", figures.count(found["better"]), "", of_all),
        Tile("Equivalent", figures.count(found["equivalent"]), "", within),
        basis,
    )


MARKER = "<!-- ragprof -->"
MOST = 60_000
MOST_OPEN = 30_000
LONGEST = 2_000
MOST_SENTENCES = 20
ROOM_FOR_CUT = 300
"""What the sentence on what was left out takes, with something to spare."""


def comparison_markdown(comparison: Comparison) -> str:
    """Verdict, gates (or what changed), then the details while they fit. Ends with a newline."""
    table = tables.short_gate_table(comparison) if comparison.gate else tables.told_table(comparison)
    shown = [
        MARKER,
        f"## ragprof: {escaped(shortened(comparison.title, LONGEST))}",
        f"**{escaped(shortened(_capitalised(words.headline(comparison)), LONGEST))}**",
        as_bullets(few(words.failures(comparison), MOST_SENTENCES)),
        as_warnings(few(words.notes(comparison), MOST_SENTENCES)),
        first_rows(table, lambda text: len(text) <= MOST_OPEN, why="because a comment may not be longer"),
        as_bullets(few(words.changes(comparison), MOST_SENTENCES)),
    ]
    details = [part for part in _details(comparison) if part]
    base, candidate = (shortened(words.side(side)) for side in (comparison.base, comparison.candidate))
    told = f"Base {base}, candidate {candidate}; {words.basis(comparison)}."
    absent = f"n/a: not measured or not applicable. {figures.UNPRICED}: no rate is known; never counted as free."
    origin = f"<sub>{escaped(told)} {escaped(words.tally(comparison))}. {escaped(absent)}</sub>"
    room = MOST - ROOM_FOR_CUT - len(origin) - sum(len(part) + 2 for part in shown)
    kept = []
    for part in details:  # one that does not fit is left out whole, so that no fold stays open
        if len(part) + 2 <= room:
            kept.append(part)
            room -= len(part) + 2
    cut = []
    if left_out := len(details) - len(kept):
        what = "1 section of details was" if left_out == 1 else f"{left_out} sections of details were"
        cut = [f"{what} left out here, because a comment may not be longer; `comparison.json` has everything."]
    return "\n\n".join([*(part for part in (*shown, *kept) if part), *cut, origin]) + "\n"


def _details(comparison: Comparison) -> list[str]:
    """Everything else, folded, the most wanted first."""
    lost = []
    for one in tables.fallen(comparison):
        drawn = [as_table(one.scores).partition("\n\n")[2], *map(as_table, one.rankings)]
        lost.append(as_folded(one.scores.title, "\n\n".join(table for table in drawn if table)))
    return [
        *lost,
        as_details(tables.told_table(comparison)) if comparison.gate else "",
        as_details(tables.noise_table(comparison)),
        as_details(tables.difference_table(comparison)),
        as_details(tables.side_table(comparison)),
        as_folded("How it was measured", as_bullets(words.method(comparison))),
        *(as_details(table) for table in tables.quantity_tables(comparison).values()),
    ]


def _capitalised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
