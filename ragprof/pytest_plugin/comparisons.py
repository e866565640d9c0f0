"""`no_worse_than`: a result against another one, every quantity by its margin, and what to say of those that fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from ragprof.pytest_plugin.checks import Check, Line, Verdict
from ragprof.pytest_plugin.estimates import of_quantity
from ragprof.pytest_plugin.explanations import SHOWN_QUERIES
from ragprof.pytest_plugin.gating import Asked
from ragprof.pytest_plugin.keeping import keep_comparison
from ragprof.pytest_plugin.results import Baseline, Result
from ragprof.pytest_plugin.snapshots import write
from ragprof.pytest_plugin.words import documents, facts, number, ranked, signed, span
from ragprof.quantities import Quantity, quantity
from ragprof.report.figures import p_value
from ragprof.studies.compare.gates import gate_of
from ragprof.studies.compare.moves import changed
from ragprof.studies.compare.pairing import pairs_of

Row: TypeAlias = Mapping[str, Any]
VERDICTS: dict[str, Verdict] = {"holds": "holds", "undecided": "undecided"}


def no_worse(result: Result, base: Result, asked: Asked) -> Check:
    """Compare, or write the baseline where pytest was told to. Raises Incomparable, BadInput or UnknownName."""
    if isinstance(base, Baseline) and result.case.settings.update:
        return _written(result, base)
    gate = asked.gate(base.evidence, result.evidence)
    strict = result.case.settings.strict
    found = gate_of(base.evidence, result.evidence, gate, strict=strict)
    rows = found["gates"]
    passed = found["exit_code"] == 0
    if result.case.settings.kept:
        keep_comparison(result.case, base.evidence, result.evidence, found)
    told = [row for row in rows if row["gate"] != "holds"]
    return Check(
        verdict=VERDICTS.get(found["verdict"], "fails"),
        passed=passed,
        said=_said(result, base, told, of=len(rows), passed=passed),
        title=f"{result.label}: no worse than {base.label}",
        explanation="" if passed else _explanation(result, base, told),
        lines=tuple(_line(row, base.label) for row in rows),
    )


def _written(result: Result, base: Baseline) -> Check:
    folder = write(result, base)
    count = int(result.evidence.facts["queries"])
    lines = tuple(
        Line(
            verdict="written", pipeline=name, quantity="baseline written", kind="", value=None, interval=None,
            bound=None, sense="", n=count, against=base.label, note=_shown(folder, result.case.settings.roots[0]),
        )
        for name in result.pipelines
    )  # fmt: skip
    said = f"{result.label}: baseline written: {base.label}"
    return Check("written", True, said, said, "", lines)


def _shown(folder: Path, root: Path) -> str:
    return str(folder.relative_to(root) if folder.is_relative_to(root) else folder)


def _said(result: Result, base: Result, told: Sequence[Row], *, of: int, passed: bool) -> str:
    """The whole check in one line: the first quantity that fails, and how many more do."""
    if not told:
        return f"{result.label} no worse than {base.label}: holds for all {of} quantities"
    first = told[0]
    kind = first["kind"]
    moved = f"{number(first['base'], kind)} -> {number(first['candidate'], kind)} {span(first['interval'], kind)}"
    more = f", and {len(told) - 1} more" if len(told) > 1 else ""
    verdict = "undecided" if passed else "fails"
    return (
        f"{result.label} no worse than {base.label}: {verdict}: {first['quantity']} of {first['pipeline']} "
        f"{first['gate']}: {moved}{more}"
    )


def _line(row: Row, against: str) -> Line:
    """A row as the summary has it: its difference, and the margin as the bound of the difference."""
    lower = row["better"] == "lower"
    verdict = row["gate"] if row["gate"] in ("holds", "undecided") else "fails"
    return Line(
        verdict=verdict,
        pipeline=row["pipeline"],
        quantity=row["quantity"],
        kind=row["kind"],
        value=row["difference"],
        interval=None if row["interval"] is None else list(row["interval"]),
        bound=row["margin"] if lower else -row["margin"],
        sense="at most" if lower else "at least",
        n=int(row["n"] or 0),
        against=against,
        note=_more(row) if row["gate"] == "undecided" else "",
    )


def _explanation(result: Result, base: Result, told: Sequence[Row]) -> str:
    lines: list[str] = []
    for row in told:
        lines += _told(row, base.label)
    lines += _parts(result, base, told)
    lines += _lost(result, base, told)
    if result.case.settings.crowded and any(row["kind"] == "latency" for row in told):
        lines += ["", "Other tests ran on this machine at the same time, and latencies show it: time with -n 0."]
    return "\n".join(lines)


def _told(row: Row, against: str) -> list[str]:
    kind, confidence = row["kind"], 100 * row["confidence"]
    pairs = [
        (against[:10], number(row["base"], kind)),
        ("here", number(row["candidate"], kind)),
        ("difference", f"{signed(row['difference'], kind)} {span(row['interval'], kind)} ({confidence:.4g} %)"),
        ("margin", f"{number(row['margin'], kind)} ({row['margin_why']})"),
        ("p", f"{p_value(row['p_holm'])}, corrected over all that was compared"),
        ("queries", str(row["n"])),
        ("more", _more(row)),
        ("why", row["reason"]),
    ]
    known = [(name, text) for name, text in pairs if text and not text.startswith("n/a")]
    return [f"{row['quantity']} of {row['pipeline']}: {row['gate']}", *facts(known)]


def _more(row: Row) -> str:
    if row["more_queries"]:
        return f"about {row['more_queries']:,} more queries would tell, if the difference stays"
    return "" if row["gate"] != "undecided" else "more queries would tell, if there is a difference"


def _parts(result: Result, base: Result, told: Sequence[Row]) -> Iterator[str]:
    """Which parts of the pipelines are others than in the baseline: the likely reason."""
    names = {row["pipeline"] for row in told}
    for pair in pairs_of(base.evidence, result.evidence):
        for part in changed(pair) if pair.name in names else ():
            before, after = (part[side] or "none" for side in ("base", "candidate"))
            yield f"changed in {pair.name}: {part['part']}: {_start(before)} -> {_start(after)}"


def _start(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:37]}..."


def _lost(result: Result, base: Result, told: Sequence[Row]) -> list[str]:
    """The queries that got worst by the first failing metric, else by the first failing figure of another kind."""
    measured = [row for row in told if row["difference"] is not None]
    row = next((each for each in measured if each["kind"] == "quality"), measured[0] if measured else None)
    if row is None:
        return []
    asked = quantity(row["quantity"])
    before, after = (_by_query(side, name, asked) for side, name in _sides(result, base, row))
    loss = (after - before if row["better"] == "lower" else before - after).dropna()
    worst = loss[loss > 0].sort_values(ascending=False, kind="stable").head(SHOWN_QUERIES)
    lines = ["", f"the {len(worst)} that got worst of {len(loss)} queries, by {row['quantity']} of {row['pipeline']}:"]
    for query_id in map(str, worst.index):
        moved = [number(float(side[query_id]), row["kind"]) for side in (before, after)]
        lines.append(f"  {query_id}  {moved[0]} -> {moved[1]}")
        for when, (side, name) in zip(("before", "after"), _sides(result, base, row), strict=True):
            lines += documents(when, ranked(side.evidence.rankings, name, query_id))
    return lines if len(worst) else []


def _sides(result: Result, base: Result, row: Row) -> list[tuple[Result, str]]:
    return [(base, row["base_pipeline"]), (result, row["pipeline"])]


def _by_query(side: Result, pipeline: str, asked: Quantity) -> pd.Series:
    return of_quantity(side.evidence, pipeline, asked).by_query
