"""A comparison for CI machines, one case a gate: JUnit, GitHub Actions, GitLab Code Quality, github-action-benchmark.

Without a gate the cases are the primary rows, and only what got worse counts against the change: nobody asked for a
price or for latencies of two machines, so these are told but fail nothing. Nothing in an id can end or start a command.

Formats: xunit2; docs.github.com, "Workflow commands for GitHub Actions"; docs.gitlab.com, "Code Quality report format";
github.com/benchmark-action/github-action-benchmark, customSmallerIsBetter and customBiggerIsBetter.
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias, get_args

from ragprof.core.errors import BadInput
from ragprof.core.plain import line, text
from ragprof.report import figures
from ragprof.studies.gate import cells
from ragprof.studies.gate.document import Comparison, GateRow, QuantityRow, Verdict
from ragprof.studies.gate.words import FAILING, headline, interval_words

Outcome: TypeAlias = Literal["regression", "unpriced", "incomparable", "undecided", "missing", "holds"]
"""The worst first."""
Loudness: TypeAlias = Literal["error", "warning", "notice"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
OF_VERDICT: dict[Verdict, Outcome] = {
    "worse": "regression", "better": "holds", "equivalent": "holds", "undecided": "undecided", "unpriced": "unpriced",
    "incomparable": "incomparable", "missing": "missing",
}  # fmt: skip
OF_CHANGE: dict[Verdict, Loudness] = {"worse": "warning", "better": "notice"}


@dataclass(frozen=True, slots=True)
class CiCase:
    """`fails` says whether the build fails by it; `level` is None where nothing needs to be said."""

    row: QuantityRow
    outcome: Outcome
    level: Loudness | None
    fails: bool

    @classmethod
    def of(cls, row: QuantityRow, *, strict: bool) -> CiCase:
        if not isinstance(row, GateRow):
            return cls(row, OF_VERDICT[row.verdict], OF_CHANGE.get(row.verdict), fails=False)
        fails = row.gate in FAILING or (strict and row.gate == "undecided")
        return cls(row, row.gate, None if row.gate == "holds" else "error" if fails else "warning", fails)

    @property
    def pipeline(self) -> str:
        return line(self.row.pipeline)

    @property
    def quantity(self) -> str:
        return line(self.row.quantity)

    @property
    def name(self) -> str:
        """`hybrid: rerank.latency_p95`."""
        return f"{self.pipeline}: {self.quantity}"

    @property
    def message(self) -> str:
        """The gate's sentence, or `hybrid: latency_p95 12.3 → 14.5 ms, +18.0% (+9.0% to +27.0%), margin 10.0%, p 0.002`
        and the reason."""
        row = self.row
        if isinstance(row, GateRow):
            return text(row.message)
        change, ends = cells.short_change(row)
        margin = f"margin {cells.short_margin(row)}, p {cells.short_p(row)}"
        told = row.verdict if row.difference is None else f"{cells.from_to(row)}, {change} ({ends}), {margin}"
        return text(f"{row.pipeline}: {row.quantity} {told}{f': {row.reason}' if row.reason else ''}")


def cases(comparison: Comparison) -> list[CiCase]:
    """One case a gate, in the order of the gate; without a gate one a primary row."""
    gate = comparison.gate
    rows = comparison.decisive if gate is None else gate.gates
    return [CiCase.of(row, strict=gate is not None and gate.strict) for row in rows]


def worst_first(found: Iterable[CiCase]) -> list[CiCase]:
    """By outcome, then by how many margins the figure got worse; equals keep their order."""

    def margins_worse(row: QuantityRow) -> float:
        worse = (row.difference or 0.0) * (1 if row.better == "lower" else -1)
        if row.margin:
            return worse / row.margin
        return math.inf if worse > 0 else 0.0

    return sorted(found, key=lambda case: (OUTCOMES.index(case.outcome), -margins_worse(case.row)))


def counted(found: Iterable[CiCase]) -> dict[Outcome, int]:
    """Every outcome with its number of cases, worst first."""
    outcomes = [case.outcome for case in found]
    return {outcome: outcomes.count(outcome) for outcome in OUTCOMES}


DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
FIGURES = ("base", "candidate", "difference", "relative", "margin", "p", "p_holm", "n")
SIDE_FACTS = ("label", "source", "created", "ragprof_version", "recording")
FAILURES = ("regression", "unpriced", "undecided")


def junit(comparison: Comparison) -> str:
    """The whole file, to be written as UTF-8; ends with a newline. A figure that is not there has no property."""
    found = cases(comparison)
    elements = [element_of(case) for case in found]
    spent = comparison.against.spent_seconds if comparison.against else 0
    totals = {
        "tests": str(len(found)),
        "failures": str(elements.count("failure")),
        "errors": str(elements.count("error")),
        "time": f"{spent:.3f}",
    }
    attributes = {"name": f"ragprof.{line(comparison.eval)}", **totals, "skipped": str(elements.count("skipped"))}
    if comparison.candidate.created is not None:
        attributes["timestamp"] = line(comparison.candidate.created)
    suites = ET.Element("testsuites", {"name": "ragprof", **totals})
    suite = ET.SubElement(suites, "testsuite", attributes)
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(found, comparison):
        ET.SubElement(properties, "property", name=line(name), value=line(value))
    for case in found:
        _append(suite, case, comparison)
    ET.indent(suites)
    return f"{DECLARATION}\n{ET.tostring(suites, encoding='unicode')}\n"


def element_of(case: CiCase) -> str | None:
    """`failure`, `error` or `skipped`; None where the case passes."""
    if case.outcome == "holds":
        return None
    if case.fails or case.outcome == "regression":
        return "failure" if case.outcome in FAILURES else "error"
    return "skipped"


def _append(suite: ET.Element, case: CiCase, comparison: Comparison) -> None:
    """A skipped case says why; a quality one that fails shows the queries that got worst, with their rankings."""
    classname = f"ragprof.{line(comparison.eval)}.{case.pipeline}"
    test = ET.SubElement(suite, "testcase", classname=classname, name=case.quantity, time="0.000")
    element, row = element_of(case), case.row
    if element == "skipped":
        why = f"{case.outcome}: {line(row.reason or case.message)}"
        if case.outcome == "undecided" and row.more_queries is not None:
            why = f"underpowered: needs about {row.n + row.more_queries} queries"
        ET.SubElement(test, element, message=why).text = case.message
    elif element:
        body = [case.message]
        lost = comparison.worst.get(row.pipeline) if row.kind == "quality" else None
        for query in lost.queries if lost else ():
            body.append(f"query {line(query.query_id)}: {query.base:.3f} → {query.candidate:.3f}")
            body += [f"  {when}: {', '.join(map(line, getattr(query, when)))}" for when in ("before", "after")]
        ET.SubElement(test, element, type=case.outcome, message=line(case.message)).text = "\n".join(body)


def _properties(found: list[CiCase], comparison: Comparison) -> Iterator[tuple[str, str]]:
    """What was compared, what came out, then the figures of every case."""
    general = {name: getattr(comparison, name) for name in ("title", "queries", "same_job", "alpha", "confidence")}
    told = ("verdict", "exit_code", "strict", "family") if comparison.gate else ()
    verdict = {name: getattr(comparison.gate, name) for name in told}
    both = {"base": comparison.base, "candidate": comparison.candidate}
    sides = {f"{name}.{fact}": getattr(side, fact) for name, side in both.items() for fact in SIDE_FACTS}
    yield from ((name, text(value)) for name, value in {**general, **verdict, **sides}.items() if value is not None)
    yield from ((f"cases.{outcome}", str(number)) for outcome, number in counted(found).items() if number)
    for case in found:
        row = case.row
        numbers = {name: getattr(row, name) for name in FIGURES}
        if row.interval is not None:
            numbers |= {"low": row.interval[0], "high": row.interval[1]}
        texts = {name: f"{value:.6g}" for name, value in numbers.items() if value is not None}
        texts |= {name: getattr(row, name) for name in ("unit", "verdict") if getattr(row, name)}
        yield from ((f"{case.pipeline}.{case.quantity}.{name}", value) for name, value in texts.items())


ANNOTATIONS = 10
"""What GitHub shows of a step."""
SUMMARY_BYTES = 1_048_576
"""What GitHub takes as the summary of a step."""
CUT = "_The summary was cut here: GitHub shows at most 1 MiB. The whole of it is in the Markdown file of this step._\n"
DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
PROPERTY = {**DATA, **str.maketrans({":": "%3A", ",": "%2C"})}


def workflow_commands(comparison: Comparison) -> list[str]:
    """At most ten workflow commands, worst first; the tenth stands for all that are left. One notice where nothing is
    to be said."""
    found = [case for case in worst_first(cases(comparison)) if case.level]
    if not found:
        message = f"{headline(comparison)}, over {figures.counted(comparison.queries, 'query')}"
        return [command("notice", title=f"ragprof: {line(comparison.eval)}", message=message)]
    shown = found if len(found) <= ANNOTATIONS else found[: ANNOTATIONS - 1]
    commands = []
    for case in shown:
        words = {"holds": "better", "regression": "regression" if case.fails else "worse"}
        word = words.get(case.outcome, case.outcome)
        title = f"ragprof: {word}: {case.quantity} of {case.pipeline}"
        commands.append(command(case.level or "notice", title=title, message=case.message))
    if left := found[len(shown) :]:
        message = "\n".join(["The step summary has them all.", *(f"{case.outcome}: {case.name}" for case in left)])
        commands.append(command(left[0].level or "notice", title=f"ragprof: {len(left)} more", message=message))
    return commands


def command(level: Loudness, *, title: str, message: str) -> str:
    """One workflow command on one line."""
    return f"::{level} title={line(title).translate(PROPERTY)}::{text(message).translate(DATA)}"


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


def outputs(comparison: Comparison) -> dict[str, str]:
    """name -> value on one line: verdict, exit_code, gates, a number for each outcome, queries, worst.

    Without a gate the verdict is `ungated`, the exit code 0, and `gates` counts the primary quantities.
    """
    found = cases(comparison)
    numbers = {outcome: str(count) for outcome, count in counted(found).items()}
    failing = [case for case in worst_first(found) if case.outcome == "regression"]
    return {
        "verdict": comparison.gate.verdict if comparison.gate else "ungated",
        "exit_code": str(comparison.exit_code),
        "gates": str(len(found)),
        "holds": numbers["holds"],
        "regressions": numbers["regression"],
        **{outcome: numbers[outcome] for outcome in OUTCOMES[1:4]},
        "queries": str(comparison.queries),
        "worst": failing[0].name if failing else "",
    }


def write_github(comparison: Comparison, environ: Mapping[str, str], *, markdown: str) -> list[str]:
    """Append to the files that GITHUB_STEP_SUMMARY and GITHUB_OUTPUT name, where they are set; return the lines that
    are to be printed. `findings`, one sentence a line, comes to the outputs. Raises BadInput for a file that cannot be
    written."""
    summary, output = (environ.get(name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"))
    if summary:
        taken = Path(summary).stat().st_size if Path(summary).exists() else 0
        _add(Path(summary), cut(markdown, limit=SUMMARY_BYTES - taken))
    if output:
        findings = [line(case.message) for case in worst_first(cases(comparison)) if case.level]
        lines = []
        for name, value in {**outputs(comparison), "findings": "\n".join(findings)}.items():
            end = f"ragprof_{secrets.token_hex(16)}"  # several lines stand between delimiters that nobody can foresee
            lines.append(f"{name}<<{end}\n{value}\n{end}\n" if "\n" in value else f"{name}={value}\n")
        _add(Path(output), "".join(lines))
    return workflow_commands(comparison)


def _add(path: Path, addition: str) -> None:
    try:
        with path.open("a", encoding="utf-8", newline="") as stream:
            stream.write(addition)
    except OSError as failure:
        raise BadInput(
            f"cannot write what GitHub is told: {failure.strerror or failure}; leave out --github outside of GitHub",
            file=path,
        ) from None


SEVERITIES = {"regression": "critical", "unpriced": "major", "incomparable": "major", "undecided": "minor"}
"""GitLab's, of what fails the build; all else is minor."""


def code_quality(comparison: Comparison, *, eval_file: str) -> str:
    """A JSON list, worst first, empty where all is well. `eval_file` is its path from the repository's root.

    GitLab tells new findings from known ones by the fingerprint, so that rests on eval, pipeline, quantity and outcome,
    never on a figure.
    """
    findings = []
    for case in worst_first(cases(comparison)):
        if case.level in ("error", "warning"):
            parts = ("ragprof", comparison.eval, case.row.pipeline, case.row.quantity, case.outcome)
            found = {
                "description": line(case.message),
                "check_name": f"ragprof.{case.outcome}.{case.quantity}",
                "fingerprint": hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest(),
                "severity": SEVERITIES[case.outcome] if case.fails else "minor",
                "location": {"path": str(PurePosixPath(eval_file.replace("\\", "/"))), "lines": {"begin": 1}},
            }
            findings.append(found)
    return _json(findings)


BENCHMARKS = ("smaller", "bigger")
"""Which figures are better."""


def entries(comparison: Comparison) -> dict[str, str]:
    """`smaller` and `bigger` (is better) -> a JSON list of the candidate's figures for github-action-benchmark: name,
    unit, value, range and extra; empty where there is nothing. Primary and gated quantities only, each once.

    `range` is half the interval of the difference to the base, the only interval that a comparison has; `extra` gives
    both of its ends.
    """
    primary = [row for row in comparison.quantities if row.primary]
    rows = [*primary, *(comparison.gate.gates if comparison.gate else ())]
    first = {(row.pipeline, row.quantity): row for row in reversed(rows) if row.candidate is not None}
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in BENCHMARKS}
    for key in dict.fromkeys((row.pipeline, row.quantity) for row in rows):
        if key in first:
            row = first[key]
            told = ""
            if row.difference is not None:
                told = (
                    f"{cells.difference(row)} against {line(comparison.base.label)}\n"
                    f"{interval_words(comparison)} {cells.difference_ends(row)}\n"
                )
            half = None if row.interval is None else (row.interval[1] - row.interval[0]) / 2
            entry = {
                "name": f"{line(comparison.eval)} / {line(row.pipeline)} / {line(row.quantity)}",
                "unit": row.unit if row.kind in ("latency", "load") else cells.unit_words(row),
                "value": row.candidate,
                **({} if half is None else {"range": f"± {figures.three_digits(half)}"}),
                "extra": f"{told}{row.verdict}, n = {figures.counted(row.n, row.unit_of_n)}",
            }
            found["bigger" if row.better == "higher" else "smaller"].append(entry)
    return {side: _json(listed) for side, listed in found.items()}


def _json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
