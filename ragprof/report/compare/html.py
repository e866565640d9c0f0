"""A comparison as one HTML page that needs nothing else, made of the report's parts and in its look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ragprof.report import figures, html
from ragprof.report.compare import rankings, sections, words
from ragprof.report.compare.reading import (
    Document,
    changes,
    colours,
    counts,
    gates,
    is_gated,
    of_pipeline,
    pipelines,
    rows,
)
from ragprof.report.lookup import at
from ragprof.report.tables import Table
from ragprof.report.tiles import Tile

_TONES = {"regression": "worse", "holds": "better", "undecided": "undecided", "incomparable": "undecided"}


def comparison_page(document: Document) -> str:
    """The whole page: verdict, gates, charts, every quantity, worst queries, both sides, method.

    Readable without scripts; absent values are `n/a`, a chart without data is left out.
    """
    from ragprof.report.compare.effect_chart import KEY, effects

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
