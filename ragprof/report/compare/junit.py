"""A comparison as JUnit XML (xunit2): one suite, one test case a gate. Well-formed whatever the ids hold.

A regression or a missing price is a failure, what cannot be compared an error, what is undecided is skipped with the
number of queries that would tell. Undecided fails under `strict`, and then is a failure too.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET  # for writing only
from collections.abc import Iterator

from ragprof.report.compare.cases import Case, cases, counted, line, text
from ragprof.report.compare.reading import Document, Row
from ragprof.report.lookup import at, entries

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
FIGURES = ("base", "candidate", "difference", "relative", "margin", "p", "p_holm", "n")
_SIDES = ("label", "source", "created", "ragprof_version", "recording")
_FAILURES = ("regression", "unpriced", "undecided")
_INSTANT = "0.000"


def junit(document: Document) -> str:
    """The whole file, to be written as UTF-8; ends with a newline. A figure that is not there has no property."""
    found = cases(document)
    suites = ET.Element("testsuites", {"name": "ragprof", **_totals(found, document)})
    suite = ET.SubElement(suites, "testsuite", _suite_attributes(found, document))
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(found, document):
        ET.SubElement(properties, "property", name=line(name), value=line(value))
    for case in found:
        _append(suite, case, document)
    ET.indent(suites)
    return f"{DECLARATION}\n{ET.tostring(suites, encoding='unicode')}\n"


def element_of(case: Case) -> str | None:
    """`failure`, `error` or `skipped`; None where the case passes."""
    if case.outcome == "holds":
        return None
    if case.fails or case.outcome == "regression":
        return "failure" if case.outcome in _FAILURES else "error"
    return "skipped"


def _append(suite: ET.Element, case: Case, document: Document) -> None:
    classname = f"ragprof.{line(document['eval'])}.{case.pipeline}"
    test = ET.SubElement(suite, "testcase", classname=classname, name=case.quantity, time=_INSTANT)
    element = element_of(case)
    if element == "skipped":
        ET.SubElement(test, element, message=_why_skipped(case)).text = case.message
    elif element:
        body = "\n".join([case.message, *_worst(case, document)])
        ET.SubElement(test, element, type=case.outcome, message=line(case.message)).text = body


def _why_skipped(case: Case) -> str:
    more = case.row.get("more_queries")
    if case.outcome == "undecided" and more is not None:
        return f"underpowered: needs about {(case.row.get('n') or 0) + more} queries"
    return f"{case.outcome}: {line(case.row.get('reason') or case.message)}"


def _worst(case: Case, document: Document) -> Iterator[str]:
    """The queries of a quality regression that got worst, with their rankings."""
    if case.row.get("kind") != "quality":
        return
    for query in entries(document, "worst", str(case.row["pipeline"]), "queries"):
        yield f"query {line(query['query_id'])}: {query['base']:.3f} → {query['candidate']:.3f}"
        yield from (f"  {when}: {', '.join(map(line, query.get(when) or ()))}" for when in ("before", "after"))


def _totals(found: list[Case], document: Document) -> dict[str, str]:
    elements = [element_of(case) for case in found]
    failures, errors = elements.count("failure"), elements.count("error")
    spent = f"{at(document, 'against', 'spent_seconds') or 0:.3f}"
    return {"tests": str(len(found)), "failures": str(failures), "errors": str(errors), "time": spent}


def _suite_attributes(found: list[Case], document: Document) -> dict[str, str]:
    skipped = sum(element_of(case) == "skipped" for case in found)
    created = at(document, "candidate", "created")
    when = {} if created is None else {"timestamp": line(created)}
    return {
        "name": f"ragprof.{line(document['eval'])}",
        **_totals(found, document),
        "skipped": str(skipped),
        **when,
    }


def _properties(found: list[Case], document: Document) -> Iterator[tuple[str, str]]:
    """What was compared, what came out, then the figures of every case."""
    general = {name: document.get(name) for name in ("title", "queries", "same_job", "alpha", "confidence")}
    verdict = {name: at(document, "gate", name) for name in ("verdict", "exit_code", "strict", "family")}
    sides = {f"{side}.{name}": at(document, side, name) for side in ("base", "candidate") for name in _SIDES}
    yield from ((name, text(value)) for name, value in {**general, **verdict, **sides}.items() if value is not None)
    yield from ((f"cases.{outcome}", str(number)) for outcome, number in counted(found).items() if number)
    for case in found:
        yield from ((f"{case.pipeline}.{case.quantity}.{name}", value) for name, value in _figures(case.row))


def _figures(row: Row) -> Iterator[tuple[str, str]]:
    yield from ((name, f"{row[name]:.6g}") for name in FIGURES if row.get(name) is not None)
    low, high = row.get("interval") or (None, None)
    yield from ((name, f"{end:.6g}") for name, end in (("low", low), ("high", high)) if end is not None)
    yield from ((name, str(row[name])) for name in ("unit", "verdict") if row.get(name))
