"""A comparison as JUnit XML (xunit2): one suite, one test case a gate. Well-formed whatever the ids hold.

A regression or a missing price is a failure, what cannot be compared an error, what is undecided is skipped with the
number of queries that would tell. Undecided fails under `strict`, and then is a failure too.

A comparison for GitHub Actions: annotations, step summary, outputs. Nothing in an id can end or start a command.

Limits and escapes: docs.github.com, "Workflow commands for GitHub Actions".

A comparison as a GitLab Code Quality report: a finding for every case that does not hold.

Format: docs.gitlab.com, "Code Quality report format". GitLab tells new findings from known ones by the fingerprint, so
that rests on eval, pipeline, quantity and outcome, never on a figure.

The candidate's figures for github-action-benchmark: what should be small and what should be big, apart.

Format: github.com/benchmark-action/github-action-benchmark, customSmallerIsBetter and customBiggerIsBetter. Primary and
gated quantities only; a figure that is not there has no entry.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ragprof.core.errors import BadInput
from ragprof.report import figures
from ragprof.report.lookup import at, interval
from ragprof.report.lookup import entries as listed
from ragprof.report.lookup import entries as lookup_entries
from ragprof.studies.gate import cells
from ragprof.studies.gate.cells import Case, Document, Level, Row, cases, counted, line, primary, text, worst_first
from ragprof.studies.gate.words import headline, interval_words

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
    for query in lookup_entries(document, "worst", str(case.row["pipeline"]), "queries"):
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


ANNOTATIONS = 10
"""What GitHub shows of a step."""
SUMMARY_BYTES = 1_048_576
"""What GitHub takes as the summary of a step."""
CUT = "_The summary was cut here: GitHub shows at most 1 MiB. The whole of it is in the Markdown file of this step._\n"
_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def workflow_commands(document: Document) -> list[str]:
    """At most ten workflow commands, worst first; the tenth stands for all that are left. One notice where nothing is
    to be said."""
    found = [case for case in worst_first(cases(document)) if case.level]
    if not found:
        return [_all_well(document)]
    shown = found if len(found) <= ANNOTATIONS else found[: ANNOTATIONS - 1]
    return [*map(_annotation, shown), *_rest(found[len(shown) :])]


def step_summary(document: Document) -> str:
    """The comparison's Markdown, as much of it as GitHub takes."""
    from ragprof.studies.gate.pages import comparison_markdown

    return cut(comparison_markdown(document), limit=SUMMARY_BYTES)


def cut(markdown: str, *, limit: int) -> str:
    """At most `limit` bytes of UTF-8, cut after a line and then saying so. Empty where not even that sentence fits."""
    encoded = markdown.encode()
    if len(encoded) <= limit:
        return markdown
    room = limit - len(f"\n{CUT}".encode())
    if room < 0:
        return ""
    kept = encoded[: encoded.rfind(b"\n", 0, room) + 1].decode()
    return f"{kept}\n{CUT}"


def outputs(document: Document) -> dict[str, str]:
    """name -> value on one line: verdict, exit_code, gates, a number for each outcome, queries, worst.

    Without a gate the verdict is `ungated`, the exit code 0, and `gates` counts the primary quantities.
    """
    found = cases(document)
    numbers = counted(found)
    failing = [case for case in worst_first(found) if case.outcome == "regression"]
    return {
        "verdict": line(at(document, "gate", "verdict") or "ungated"),
        "exit_code": str(at(document, "gate", "exit_code") or 0),
        "gates": str(len(found)),
        "holds": str(numbers["holds"]),
        "regressions": str(numbers["regression"]),
        "unpriced": str(numbers["unpriced"]),
        "incomparable": str(numbers["incomparable"]),
        "undecided": str(numbers["undecided"]),
        "queries": str(document.get("queries") or 0),
        "worst": failing[0].name if failing else "",
    }


def write_github(document: Document, environ: Mapping[str, str], *, markdown: str) -> list[str]:
    """Append to the files that GITHUB_STEP_SUMMARY and GITHUB_OUTPUT name, where they are set; return the lines that
    are to be printed. `findings`, one sentence a line, comes to the outputs. Raises BadInput for a file that cannot be
    written."""
    summary, output = (environ.get(name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"))
    if summary:
        taken = Path(summary).stat().st_size if Path(summary).exists() else 0
        _add(Path(summary), cut(markdown, limit=SUMMARY_BYTES - taken))
    if output:
        values = {**outputs(document), "findings": _findings(document)}
        _add(Path(output), "".join(_entry(name, value) for name, value in values.items()))
    return workflow_commands(document)


def _findings(document: Document) -> str:
    return "\n".join(line(case.message) for case in worst_first(cases(document)) if case.level)


def _entry(name: str, value: str) -> str:
    """A line of $GITHUB_OUTPUT; several lines between delimiters that nobody can foresee."""
    if "\n" not in value:
        return f"{name}={value}\n"
    delimiter = f"ragprof_{secrets.token_hex(16)}"
    return f"{name}<<{delimiter}\n{value}\n{delimiter}\n"


def _add(path: Path, addition: str) -> None:
    try:
        with path.open("a", encoding="utf-8", newline="") as stream:
            stream.write(addition)
    except OSError as failure:
        raise BadInput(
            f"cannot write what GitHub is told: {failure.strerror or failure}; leave out --github outside of GitHub",
            file=path,
        ) from None


def _annotation(case: Case) -> str:
    return command(case.level or "notice", title=f"ragprof: {_headline(case)}", message=case.message)


def _headline(case: Case) -> str:
    words = {"holds": "better", "regression": "regression" if case.fails else "worse"}
    return f"{words.get(case.outcome, case.outcome)}: {case.quantity} of {case.pipeline}"


def _rest(left: list[Case]) -> list[str]:
    if not left:
        return []
    named = "\n".join(f"{case.outcome}: {case.name}" for case in left)
    message = f"The step summary has them all.\n{named}"
    return [command(left[0].level or "notice", title=f"ragprof: {len(left)} more", message=message)]


def _all_well(document: Document) -> str:
    message = f"{headline(document)}, over {document.get('queries') or 0} queries"
    return command("notice", title=f"ragprof: {line(document['eval'])}", message=message)


def command(level: Level, *, title: str, message: str) -> str:
    """One workflow command on one line."""
    return f"::{level} title={_escaped(line(title), _PROPERTY)}::{_escaped(text(message), _DATA)}"


def _escaped(value: str, escapes: Mapping[str, str]) -> str:
    return "".join(escapes.get(character, character) for character in value)


PASSING = "minor"
FAILING = {"regression": "critical", "unpriced": "major", "incomparable": "major", "undecided": "minor"}
"""What fails the build."""


def code_quality(document: Document, *, eval_file: str) -> str:
    """A JSON list, worst first, empty where all is well. `eval_file` is its path from the repository's root."""
    path = str(PurePosixPath(eval_file.replace("\\", "/")))
    told = [case for case in worst_first(cases(document)) if case.level in ("error", "warning")]
    findings = [_finding(case, document, path) for case in told]
    return json.dumps(findings, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _finding(case: Case, document: Document, path: str) -> dict[str, Any]:
    return {
        "description": line(case.message),
        "check_name": f"ragprof.{case.outcome}.{case.quantity}",
        "fingerprint": _fingerprint(case, document),
        "severity": FAILING[case.outcome] if case.fails else PASSING,
        "location": {"path": path, "lines": {"begin": 1}},
    }


def _fingerprint(case: Case, document: Document) -> str:
    parts = ("ragprof", str(document["eval"]), str(case.row["pipeline"]), str(case.row["quantity"]), case.outcome)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


SMALLER, BIGGER = "smaller", "bigger"


def entries(document: Document) -> dict[str, str]:
    """`smaller` and `bigger` -> a JSON list of name, unit, value, range and extra, empty where there is nothing.

    `range` is half the interval of the difference to the base, the only interval that a comparison has; `extra` gives
    both of its ends.
    """
    found: dict[str, list[dict[str, Any]]] = {SMALLER: [], BIGGER: []}
    for row in _measured(document):
        found[BIGGER if row.get("better") == "higher" else SMALLER].append(_benchmark_entry(row, document))
    return {
        side: json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n" for side, rows in found.items()
    }


def _measured(document: Document) -> list[Row]:
    """Primary rows, then gated ones that are none; each quantity of a pipeline once."""
    rows = [*primary(document), *listed(document, "gate", "gates")]
    first = {(row["pipeline"], row["quantity"]): row for row in reversed(rows) if row.get("candidate") is not None}
    order = dict.fromkeys((row["pipeline"], row["quantity"]) for row in rows)
    return [first[key] for key in order if key in first]


def _benchmark_entry(row: Row, document: Document) -> dict[str, Any]:
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
