"""What a test holds in its hand: the figures of one recording or baseline, asked for one by one or against another.

`no_worse_than`: a result against another one, every quantity by its margin, and what to say of those that fail.

Baselines by name, in a folder beside the test: read, or written where pytest was told to update them.

What `no_worse_than` compares: a [gate] table, made of what a test gives. Knows no recording but by its names.

With --ragprof-out: each comparison of a test as JSON and as a page, beside the recordings that were kept.

Single figures of one recording: a mean or a quantile with its interval, and the value of each query behind it.

Says what there is where a name is not recorded. Latency in ms, usage a query, money in USD per 1,000 queries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from pydantic import ValidationError

from ragprof.core import Estimate, files
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.quantities import KINDS, LATENCIES, LATENCY, MONEY, Kind, Quantity, quantity
from ragprof.evals import GateMargin, GateSettings, complaint
from ragprof.pytest_plugin.checks import (
    SHOWN_QUERIES,
    Case,
    Check,
    Figure,
    Line,
    Verdict,
    documents,
    facts,
    number,
    ranked,
    signed,
    span,
)
from ragprof.report.figures import p_value
from ragprof.statistics.draws import Draws, resampled
from ragprof.statistics.estimates import QUANTILES, mean_estimate, quantile_estimates, rounds_of
from ragprof.statistics.paired import NS_PER_MS
from ragprof.studies.gate import baselines
from ragprof.studies.gate.comparison import changed, compare, gate_of
from ragprof.studies.gate.evidence import Evidence, pairs_of
from ragprof.studies.gate.pages import comparison_page
from ragprof.studies.gate.verdicts import BETWEEN_JOBS, DEFAULTS

Given: TypeAlias = float | Mapping[str, Any] | GateMargin
USUAL: dict[Kind, GateMargin] = {**DEFAULTS, "latency": GateMargin(relative=BETWEEN_JOBS)}
"""A baseline was timed in another job than the test that is compared with it."""
PROMPT = "inject.prompt_tokens"


@dataclass(frozen=True)
class Asked:
    """Margins by kind, or by quantity where `quantities` is not None."""

    margins: Mapping[Kind, GateMargin]
    quantities: Mapping[str, GateMargin] | None
    pipelines: tuple[str, ...] | None

    def gate(self, base: Evidence, candidate: Evidence) -> GateSettings:
        """The table for two sides. Raises BadInput where nothing is left to compare."""
        chosen = self.quantities
        if chosen is None:
            labels = dict.fromkeys(_usual(base, candidate, self.margins))
            chosen = {label: self.margins.get(quantity(label).kind, USUAL[quantity(label).kind]) for label in labels}
        if not chosen:
            raise BadInput("there is nothing to compare: no metric in common; name something with quantities=")
        return GateSettings(quantities=dict(chosen), pipelines=self.pipelines)


def gate_for(
    *,
    margins: Mapping[str, Given] | None,
    quantities: Mapping[str, Given] | None,
    pipelines: Sequence[str] | None,
) -> Asked:
    """Raises BadInput or UnknownName for what cannot be asked."""
    if margins is not None and quantities is not None:
        raise BadInput(
            "both margins= and quantities= are given; quantities= brings its own margins, so give one of them"
        )
    by_kind: dict[Kind, GateMargin] = {_kind(name): margin(name, given) for name, given in (margins or {}).items()}
    by_name = None if quantities is None else {name: margin(name, given) for name, given in quantities.items()}
    return Asked(by_kind, by_name, None if pipelines is None else tuple(pipelines))


def margin(name: str, given: Given) -> GateMargin:
    """A margin of a kind or a quantity; a bare number is absolute for quality and relative for the rest."""
    if isinstance(given, GateMargin):
        return given
    kind = name if name in KINDS else quantity(name).kind
    table = given if isinstance(given, Mapping) else {"absolute" if kind == "quality" else "relative": given}
    try:
        return GateMargin.model_validate(dict(table))
    except ValidationError as failure:
        raise BadInput(f"margin of {name}: {complaint(failure)}") from None


def _kind(name: str) -> Kind:
    for kind in KINDS:
        if name == kind:
            return kind
    try:
        quantity(name)
    except UnknownName:
        raise UnknownName("kind of quantity", name, KINDS) from None
    raise BadInput(f"margins= goes by kind ({', '.join(KINDS)}); for '{name}' alone give quantities={{'{name}': ...}}")


def _usual(base: Evidence, candidate: Evidence, margins: Mapping[Kind, GateMargin]) -> Iterator[str]:
    yield from (name for name in candidate.facts["metrics"] if name in base.facts["metrics"])
    if all((side.figures["name"] == "prompt_tokens").any() for side in (base, candidate)):
        yield PROMPT
    if "cost" in margins or all(not any(side.facts["unpriced"].values()) for side in (base, candidate)):
        yield MONEY
    if "latency" in margins:
        yield from (f"{LATENCY}{name}" for name in LATENCIES)


WHOLE = "query"


@dataclass(frozen=True)
class Measured:
    """An estimate over `n` queries; `by_query` is what each of them has."""

    quantity: Quantity
    estimate: Estimate
    by_query: pd.Series


def pipeline_of(evidence: Evidence, name: str | None) -> str:
    """The pipeline meant; it may be left out where there is one. Raises UnknownName or BadInput."""
    names = evidence.pipelines
    if name is None and len(names) > 1:
        raise BadInput(f"'{evidence.label}' has {len(names)} pipelines; say which with pipeline=: {', '.join(names)}")
    if name is not None and name not in names:
        raise UnknownName("pipeline", name, names)
    return name or names[0]


def quality(evidence: Evidence, pipeline: str, name: str, stage: str | None) -> Measured:
    """A metric at a stage; without a stage that of the final ranking. Raises UnknownName for either."""
    rows = _rows(evidence, pipeline, "quality")
    metric = name if name in set(rows["name"]) else _estimates_written(name)
    _known("metric", metric, rows["name"])
    if stage is not None:
        _known("stage", stage, rows["stage"])
    at_stage = stage or ("rerank" if (rows["stage"] == "rerank").any() else "search")
    values = _estimates_by_query(rows[(rows["name"] == metric) & (rows["stage"] == at_stage)])
    return Measured(Quantity("quality", stage or "", metric), _mean(values, evidence), values)


def usage(evidence: Evidence, pipeline: str, name: str) -> Measured:
    """What a stage counted, by its full name such as `inject.prompt_tokens`. Raises UnknownName."""
    rows = _rows(evidence, pipeline, "usage")
    full = rows["stage"] + "." + rows["name"]
    _known("usage", name, full)
    values = _estimates_by_query(rows[full == name])
    stage, _, unit = name.partition(".")
    return Measured(Quantity("usage", stage, unit), _mean(values, evidence), values)


def latency(evidence: Evidence, pipeline: str, name: str, stage: str | None) -> Measured:
    """A quantile over all rounds in ms, end to end without a stage; the interval resamples queries."""
    _known("quantile of latency", name, QUANTILES)
    rows = evidence.times[evidence.times["pipeline"] == pipeline]
    if stage is not None:
        _known("timed stage", stage, rows["stage"][rows["stage"] != WHOLE])
    timed = rows[rows["stage"] == (stage or WHOLE)]
    table = rounds_of(timed) / NS_PER_MS
    (found,) = quantile_estimates(table, [QUANTILES[name]], seed=int(evidence.facts["seed"]))
    medians = timed.groupby("query_id")["duration_ns"].median() / NS_PER_MS
    return Measured(Quantity("latency", stage or "", name), replace(found, n=len(table)), medians)


def cost(evidence: Evidence, pipeline: str, stage: str | None) -> Measured:
    """The bill of a stage, or the whole one. Raises BadInput for one that is not priced: it is not 0."""
    missing = [line for line in evidence.facts["unpriced"][pipeline] if stage is None or line.startswith(f"{stage}:")]
    if missing:
        raise BadInput(f"{stage or 'the bill'} of pipeline '{pipeline}' is UNPRICED: {'; '.join(missing)}")
    rows = _rows(evidence, pipeline, "cost")
    if stage is not None:
        _known("stage with a bill", stage, rows["stage"])
        rows = rows[rows["stage"] == stage]
    if rows.empty:
        raise BadInput(f"pipeline '{pipeline}' has no bill; name rates under prices")
    items = [_estimates_by_query(each) for _, each in rows.groupby(["stage", "name"])]
    asked = sorted(set(rows["query_id"]))
    draws = Draws.of(asked, seed=int(evidence.facts["seed"]))
    total = resampled(sum(draws.mean(values) for values in items[1:]) + draws.mean(items[0]), len(asked))
    interval = None if total["interval"] is None else (total["interval"][0], total["interval"][1])
    estimate = Estimate(total["mean"], interval, len(asked))
    return Measured(Quantity("cost", stage or "", ""), estimate, pd.concat(items).groupby(level=0).sum())


def of_quantity(evidence: Evidence, pipeline: str, asked: Quantity) -> Measured:
    """Any quantity by its name."""
    stage = asked.stage or None
    if asked.kind == "quality":
        return quality(evidence, pipeline, asked.name, stage)
    if asked.kind == "usage":
        return usage(evidence, pipeline, asked.label)
    if asked.kind == "latency":
        return latency(evidence, pipeline, asked.name, stage)
    return cost(evidence, pipeline, stage)


def _rows(evidence: Evidence, pipeline: str, kind: str) -> pd.DataFrame:
    figures = evidence.figures
    return figures[(figures["pipeline"] == pipeline) & (figures["kind"] == kind)]


def _estimates_by_query(rows: pd.DataFrame) -> pd.Series:
    return rows.set_index("query_id")["value"].sort_index()


def _mean(values: pd.Series, evidence: Evidence) -> Estimate:
    return mean_estimate(values.to_numpy(), seed=int(evidence.facts["seed"]))


def _estimates_written(metric: str) -> str:
    """The name under which scores are kept: `MAP` is `AP`. What is no metric stays as it is."""
    from ragprof.judge.scores import canonical

    try:
        return canonical([metric])[0]
    except UnknownName:
        return metric


def _known(what: str, name: str, there: Iterable[str]) -> None:
    if name not in set(there):
        raise UnknownName(what, name, set(there))


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Figures of a recording, by name. `folder` is where it lies, `read` gives what is in it, when first asked.

    A pipeline may be left out where there is one. Whatever is not recorded raises UnknownName with what there is.
    """

    label: str
    folder: Path
    read: Callable[[], Evidence]
    case: Case

    @cached_property
    def evidence(self) -> Evidence:
        return self.read()

    @property
    def pipelines(self) -> tuple[str, ...]:
        return self.evidence.pipelines

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    def __repr__(self) -> str:
        return f"<ragprof {self.label}>"

    def metric(self, name: str, *, stage: str | None = None, pipeline: str | None = None) -> Figure:
        """Mean of a metric over queries, after `search`, `rerank` or `inject`; without a stage the final ranking's."""
        chosen = pipeline_of(self.evidence, pipeline)
        return self._figure(chosen, quality(self.evidence, chosen, name, stage))

    def latency(self, quantile: str, *, stage: str | None = None, pipeline: str | None = None) -> Figure:
        """`p50`, `p95` or `p99` in ms, of a stage or end to end."""
        chosen = pipeline_of(self.evidence, pipeline)
        return self._figure(chosen, latency(self.evidence, chosen, quantile, stage))

    def usage(self, name: str, *, pipeline: str | None = None) -> Figure:
        """Mean count a query of what a stage uses, by its full name: `inject.prompt_tokens`, `rerank.docs_scored`."""
        chosen = pipeline_of(self.evidence, pipeline)
        return self._figure(chosen, usage(self.evidence, chosen, name))

    def cost(self, *, stage: str | None = None, pipeline: str | None = None) -> Figure:
        """USD per 1,000 queries, of a stage or in all. Raises BadInput where a rate is missing: that is not 0."""
        chosen = pipeline_of(self.evidence, pipeline)
        return self._figure(chosen, cost(self.evidence, chosen, stage))

    def no_worse_than(
        self,
        baseline: str | Path | Result,
        *,
        margins: Mapping[str, Given] | None = None,
        quantities: Mapping[str, Given] | None = None,
        pipelines: Sequence[str] | None = None,
    ) -> Check:
        """Paired by query: fails where a quantity got worse by more than its margin, and that is no chance.

        The baseline is a name (`ragprof_baselines/<name>` beside the test), the folder of a baseline or recording, or
        another result. Without more, every metric of the final ranking, the prompt's tokens and the bill are compared;
        `margins` says by kind how much worse each may get, such as {"quality": 0.02, "latency": 0.3}; `quantities`
        names what is compared instead, such as {"nDCG@10": 0.01, "rerank.latency_p95": {"absolute": 5}}. A number is
        absolute for metrics and relative for everything else.
        """

        asked = gate_for(margins=margins, quantities=quantities, pipelines=pipelines)
        return self.case.made(no_worse(self, against(baseline, self.case), asked))

    def _figure(self, pipeline: str, measured: Measured) -> Figure:
        estimate = measured.estimate
        if estimate.mean is None:
            raise BadInput(f"{measured.quantity.label} of {pipeline} was measured for no query; record it again")
        return Figure(
            quantity=measured.quantity,
            pipeline=pipeline,
            value=estimate.mean,
            interval=estimate.interval,
            n=estimate.n,
            by_query=measured.by_query,
            rankings=self.evidence.rankings,
            case=self.case,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Baseline(Result):
    """A result that was kept under a name. It is there from the first `pytest --ragprof-update` on."""

    def __repr__(self) -> str:
        return f"<ragprof baseline {self.label}>"


def against(given: str | Path | Result, case: Case) -> Result:
    """What a result is compared with, from whatever a test may give for it."""

    if isinstance(given, Result):
        return given
    if is_name(given):
        return baseline_named(str(given), case)
    return side_at(given, case)


NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")


def is_name(given: str | Path) -> bool:
    """Whether it is the name of a baseline: a text without a separator. Everything else is a path."""
    return isinstance(given, str) and NAME.fullmatch(given) is not None


def baseline_named(name: str, case: Case) -> Baseline:
    """The baseline of that name for this test, read when it is first needed. Raises BadInput for no name."""
    if not is_name(name):
        raise BadInput(f"'{name}' cannot be the name of a baseline; use letters, digits, '+', '.', '_' and '-'")
    folder = case.file.parent / case.settings.baselines / name
    return Baseline(label=name, folder=folder, read=lambda: _saved(folder, name), case=case)


def side_at(place: str | Path, case: Case) -> Result:
    """The recording or baseline in a folder."""
    from ragprof.studies.gate.sides import read_side

    folder = case.located(place, what="recording or baseline")
    return Result(folder.name, folder, lambda: replace(read_side(folder), label=folder.name), case)


def write(result: Result, baseline: Baseline) -> Path:
    """Keep a result under the baseline's name; a worker that writes it at the same time leaves one of the two whole."""
    return baselines.save(result.evidence, baseline.folder)


def _saved(folder: Path, name: str) -> Evidence:
    if not baselines.is_baseline(folder):
        raise BadInput(f"there is no baseline '{name}' in {folder.parent}; run pytest --ragprof-update to write it")
    return replace(baselines.read(folder), label=name)


APART = re.compile(r"[^A-Za-z0-9]+")


def keep_comparison(case: Case, base: Evidence, candidate: Evidence, gate: Mapping[str, Any]) -> Path:
    """Write every quantity of two sides and what was gated; gives the JSON's path, the page is beside it."""
    document = {**compare(base, candidate), "gate": dict(gate)}
    name = APART.sub("-", f"{case.name}-{len(case.checks) + 1}-vs-{base.label}").strip("-")
    path = case.settings.out / "comparisons" / f"{name}.json"
    files.write_json(path, document)
    files.write_text(path.with_suffix(".html"), comparison_page(document))
    return path


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
