"""A comparison as one HTML page that needs nothing else, made of the report's parts and in its look.

A comparison as the body of a comment on a pull request: verdict and gates open, everything else folded.

It begins with a hidden line, so that a bot finds its own comment and replaces it. Everything from users' files is
escaped. GitHub takes 65,536 characters; this takes 60,000 at most and says what was left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ragprof.report import figures, html
from ragprof.report.lookup import at
from ragprof.report.markdown import as_bullets, as_details, as_folded, as_table, as_warnings, escaped
from ragprof.report.tables import Cell, Table, Tile
from ragprof.studies.gate import tables as rankings
from ragprof.studies.gate import tables as sections
from ragprof.studies.gate import words
from ragprof.studies.gate.cells import Document, changes, colours, counts, gates, is_gated, of_pipeline, pipelines, rows

_TONES = {"regression": "worse", "holds": "better", "undecided": "undecided", "incomparable": "undecided"}


def comparison_page(document: Document) -> str:
    """The whole page: verdict, gates, charts, every quantity, worst queries, both sides, method.

    Readable without scripts; absent values are `n/a`, a chart without data is left out.
    """
    from ragprof.studies.gate.charts import KEY, effects

    chart = effects(document)
    return html.template("comparison.html.jinja").render(
        **_words(document),
        **html.drawn({KEY: chart} if chart else {}),
        tables=_tables(document),
        tiles=tiles(document),
        folds=_folds(document),
        fallen=rankings.fallen(document),
        colours=colours(document),
    )


def _words(document: Document) -> Mapping[str, Any]:
    headline = words.headline(document)
    changed = [words.change(name, one) for name, one in changes(document)]
    return {
        "title": at(document, "title") or at(document, "eval") or figures.ABSENT,
        "answer": headline[:1].upper() + headline[1:],
        "tone": _TONES.get(str(at(document, "gate", "verdict")), ""),
        "findings": [*words.failures(document), *changed],
        "sides": [words.side(document, side) for side in ("base", "candidate")],
        "basis": words.basis(document),
        "notes": words.notes(document),
        "gated": is_gated(document),
        "method": words.method(document),
        "created": figures.day(at(document, "candidate", "created")),
        "version": figures.text(at(document, "candidate", "ragprof_version")),
    }


def _tables(document: Document) -> dict[str, Table]:
    return {
        "gates": sections.gate_table(document),
        "changes": sections.change_table(document),
        "differences": sections.difference_table(document),
        "sides": sections.side_table(document),
        "noise": sections.noise_table(document),
    }


def _folds(document: Document) -> list[Mapping[str, Any]]:
    """A fold a pipeline; one in which something got worse stands open."""
    tables = sections.quantity_tables(document)
    return [
        {"name": name, "table": tables[name], "counted": _counted(document, name), "open": _is_worse(document, name)}
        for name in pipelines(document)
        if name in tables
    ]


def _counted(document: Document, name: str) -> list[tuple[str, str]]:
    """(verdict, `2 worse`) for those that there are."""
    found = counts(of_pipeline(document, name), "verdict")
    return [(verdict, words.counted(verdict, count)) for verdict, count in found.items() if count]


def _is_worse(document: Document, name: str) -> bool:
    return any(at(row, "verdict") == "worse" for row in of_pipeline(document, name))


def tiles(document: Document) -> tuple[Tile, ...]:
    """How many of each verdict, and on how many queries."""
    found = counts(rows(document), "verdict")
    left = found["unpriced"] + found["incomparable"] + found["missing"]
    judged = Tile("Quantities compared", figures.count(len(rows(document)) - left), "", _left_words(left))
    if is_gated(document):
        gate = counts(gates(document), "gate")
        judged = Tile("Gates", figures.count(sum(gate.values())), "", words.gate_tally(document))
    of_all = f"of {figures.count(len(rows(document)))} quantities; the interval excludes no difference"
    return (
        judged,
        Tile("Worse", figures.count(found["worse"]), "", of_all),
        Tile("Better", figures.count(found["better"]), "", of_all),
        Tile(
            "Equivalent", figures.count(found["equivalent"]), "", f"within the margin; {found['undecided']} undecided"
        ),
        Tile("Measured on", figures.count(at(document, "queries")), "queries", _job_words(document)),
    )


def _left_words(left: int) -> str:
    return f"{left} more without a price, incomparable or missing" if left else "all that both sides have"


def _job_words(document: Document) -> str:
    same = at(document, "same_job")
    pipelines_words = f"{len(set(map(str, (at(row, 'pipeline') for row in rows(document)))))} pipelines"
    if same is None:
        return pipelines_words
    return f"{pipelines_words}, timed in {'one job' if same else 'two jobs'}"


MARKER = "<!-- ragprof -->"
MOST = 60_000
_OPEN = 30_000
_LONGEST = 2_000
_LONGEST_CELL = 300
_MOST_SENTENCES = 20
_ROOM_FOR_CUT = 300


def comparison_markdown(document: Document) -> str:
    """Verdict, gates (or what changed), then the details while they fit. Ends with a newline."""
    parts = [MARKER, *_open(document)]
    folded = [part for part in _folded(document) if part]
    origin = _origin(document)
    room = MOST - _ROOM_FOR_CUT - len(origin) - sum(len(part) + 2 for part in parts)
    kept = _fitting(folded, room)
    return "\n\n".join([*(part for part in [*parts, *kept] if part), *_cut(len(folded) - len(kept)), origin]) + "\n"


def _fitting(parts: Iterable[str], room: int) -> list[str]:
    """Every part that fits, in order; one that does not is left out whole, so that no fold stays open."""
    kept = []
    for part in parts:
        if len(part) + 2 <= room:
            kept.append(part)
            room -= len(part) + 2
    return kept


def _cut(left_out: int) -> list[str]:
    if not left_out:
        return []
    what = "1 section of details was" if left_out == 1 else f"{left_out} sections of details were"
    return [f"{what} left out here, because a comment may not be longer; `comparison.json` has everything."]


def _open(document: Document) -> list[str]:
    title = _shortened(figures.text(at(document, "title") or at(document, "eval")))
    table = sections.short_gate_table(document) if is_gated(document) else sections.told_table(document)
    return [
        f"## ragprof: {escaped(title)}",
        f"**{escaped(_shortened(_capitalised(words.headline(document))))}**",
        as_bullets(_few(words.failures(document))),
        as_warnings(_few(words.notes(document))),
        _shortened_table(table),
        as_bullets(_few([words.change(name, one) for name, one in changes(document)])),
    ]


def _capitalised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _few(sentences: list[str]) -> list[str]:
    """At most so many, each of a bounded length; the rest is counted."""
    shown = [_shortened(sentence, _LONGEST_CELL) for sentence in sentences[:_MOST_SENTENCES]]
    more = len(sentences) - len(shown)
    return [*shown, f"and {more} more"] if more else shown


def _shortened(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}\u2026"


def _shortened_table(table: Table) -> str:
    """As many rows as may stand open; the rest is counted."""
    rows = tuple(replace(row, cells=tuple(map(_shortened_cell, row.cells))) for row in table.rows)
    text, kept = as_table(replace(table, rows=rows)), len(rows)
    while len(text) > _OPEN and kept > 1:
        kept = min(kept - 1, int(kept * _OPEN / len(text)))
        note = f"{len(rows) - kept} further rows were left out, because a comment may not be longer. {table.note}"
        text = as_table(replace(table, rows=rows[: max(kept, 1)], note=note))
    return text


def _shortened_cell(cell: Cell) -> Cell:
    return replace(cell, text=_shortened(cell.text, _LONGEST_CELL), note=_shortened(cell.note, _LONGEST_CELL))


def _folded(document: Document) -> list[str]:
    """The details, the most wanted first."""
    quantities = (as_details(table) for table in sections.quantity_tables(document).values())
    return [
        *map(_fallen, rankings.fallen(document)),
        as_details(sections.told_table(document)) if is_gated(document) else "",
        as_details(sections.noise_table(document)),
        as_details(sections.difference_table(document)),
        as_details(sections.side_table(document)),
        as_folded("How it was measured", as_bullets(words.method(document))),
        *quantities,
    ]


def _fallen(fallen: rankings.Fallen) -> str:
    tables = [as_table(fallen.scores).partition("\n\n")[2], *map(as_table, fallen.rankings)]
    return as_folded(fallen.scores.title, "\n\n".join(table for table in tables if table))


def _origin(document: Document) -> str:
    base, candidate = (_shortened(words.side(document, side), _LONGEST_CELL) for side in ("base", "candidate"))
    told = f"Base {base}, candidate {candidate}; {words.basis(document)}."
    absent = f"n/a: not measured or not applicable. {figures.UNPRICED}: no rate is known; never counted as free."
    return f"<sub>{escaped(told)} {escaped(words.tally(document))}. {escaped(absent)}</sub>"
