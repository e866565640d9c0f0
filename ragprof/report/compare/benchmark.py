"""The candidate's figures for github-action-benchmark: what should be small and what should be big, apart.

Format: github.com/benchmark-action/github-action-benchmark, customSmallerIsBetter and customBiggerIsBetter. Primary and
gated quantities only; a figure that is not there has no entry.
"""

from __future__ import annotations

import json
from typing import Any

from ragprof.report import figures
from ragprof.report.compare import cells
from ragprof.report.compare.cases import line
from ragprof.report.compare.reading import Document, Row, primary
from ragprof.report.compare.words import interval_words
from ragprof.report.lookup import at, interval
from ragprof.report.lookup import entries as listed

SMALLER, BIGGER = "smaller", "bigger"


def entries(document: Document) -> dict[str, str]:
    """`smaller` and `bigger` -> a JSON list of name, unit, value, range and extra, empty where there is nothing.

    `range` is half the interval of the difference to the base, the only interval that a comparison has; `extra` gives
    both of its ends.
    """
    found: dict[str, list[dict[str, Any]]] = {SMALLER: [], BIGGER: []}
    for row in _measured(document):
        found[BIGGER if row.get("better") == "higher" else SMALLER].append(_entry(row, document))
    return {
        side: json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n" for side, rows in found.items()
    }


def _measured(document: Document) -> list[Row]:
    """Primary rows, then gated ones that are none; each quantity of a pipeline once."""
    rows = [*primary(document), *listed(document, "gate", "gates")]
    first = {(row["pipeline"], row["quantity"]): row for row in reversed(rows) if row.get("candidate") is not None}
    order = dict.fromkeys((row["pipeline"], row["quantity"]) for row in rows)
    return [first[key] for key in order if key in first]


def _entry(row: Row, document: Document) -> dict[str, Any]:
    entry = {
        "name": f"{line(document['eval'])} / {line(row['pipeline'])} / {line(row['quantity'])}",
        "unit": str(row["unit"]) if row.get("kind") == "latency" else cells.unit_words(row),
        "value": row["candidate"],
    }
    ends = interval(row, "interval")
    spread = {} if ends is None else {"range": f"± {figures.three_digits((ends[1] - ends[0]) / 2)}"}
    return {**entry, **spread, "extra": _extra(row, document)}


def _extra(row: Row, document: Document) -> str:
    base = line(at(document, "base", "label") or "the base")
    told = "" if row.get("difference") is None else f"{cells.difference(row)} against {base}\n"
    within = "" if not told else f"{interval_words(document)} {cells.difference_ends(row)}\n"
    return f"{told}{within}{row.get('verdict')}, n = {figures.count(row.get('n'))} queries"
