"""What a test holds in its hand: the figures of one recording or baseline, asked for one by one or against another.

Baselines go by name, in a folder beside the test: read, or written where pytest was told to update them. With
--ragprof-out each comparison of a test is kept as JSON and as a page. Says what there is where a name is not recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from pydantic import ValidationError

from ragprof.core import Estimate, files
from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.quantities import KINDS, LATENCIES, LATENCY, LOAD_RATES, LOAD_TAILS, MONEY, Kind, Quantity, quantity
from ragprof.evals import GateMargin, GateSettings, complaint
from ragprof.pytest_plugin.checks import (
    SHOWN_QUERIES,
    CheckedFigure,
    CheckLine,
    CheckVerdict,
    PluginCheck,
    RunningTest,
    documents,
    facts,
    number,
    signed,
    span,
)
from ragprof.report.figures import p_value
from ragprof.statistics.draws import Draws, resampled
from ragprof.statistics.estimates import FEWEST, QUANTILES, mean_estimate, quantile_estimates, rounds_of
from ragprof.statistics.paired import NS_PER_MS
from ragprof.statistics.unseen import UNIT
from ragprof.studies.gate import baselines
from ragprof.studies.gate.comparison import changed, compare, gate_of
from ragprof.studies.gate.document import GateRow, GateVerdict
from ragprof.studies.gate.evidence import NOT_JUDGED, WHOLE, PipelineSide, SideEvidence, pairs_of, queries_of
from ragprof.studies.gate.loaded import load_figure, load_interval, load_withheld
from ragprof.studies.gate.pages import comparison_page
from ragprof.studies.gate.verdicts import BETWEEN_JOBS, DEFAULTS

Given: TypeAlias = float | Mapping[str, Any] | GateMargin
USUAL: dict[Kind, GateMargin] = {
    **DEFAULTS,
    "latency": GateMargin(relative=BETWEEN_JOBS),
    "load": GateMargin(relative=BETWEEN_JOBS),
}
"""A baseline was timed in another job than the test that is compared with it."""
PROMPT = "inject.prompt_tokens"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
APART = re.compile(r"[^A-Za-z0-9]+")
VERDICTS: dict[GateVerdict, CheckVerdict] = {"holds": "holds", "undecided": "undecided"}
"""What does not fail."""


@dataclass(frozen=True, eq=False, repr=False)
class ProfiledResult:
    """Figures of a recording, by name. `folder` is where it lies, `read` gives what is in it, when first asked.

    A pipeline may be left out where there is one. Whatever is not recorded raises UnknownName with what there is.
    """

    label: str
    folder: Path
    read: Callable[[], SideEvidence]
    test: RunningTest

    @cached_property
    def evidence(self) -> SideEvidence:
        return self.read()

    @property
    def pipelines(self) -> tuple[str, ...]:
        return self.evidence.pipelines

    @property
    def report(self) -> Path:
        """The recording's page, which is drawn when it is first asked for."""
        page = self.folder / "report.html"
        if not page.exists():
            from ragprof.session.again import redraw

            redraw(self.folder)
        return page

    def __repr__(self) -> str:
        return f"<ragprof {self.label}>"

    def metric(self, name: str, *, stage: str | None = None, pipeline: str | None = None) -> CheckedFigure:
        """Mean of a metric over queries, after `search`, `rerank` or `inject`; without a stage the final ranking's."""
        rows = self._rows(pipeline, "quality")
        metric = name
        if name not in set(rows["name"]):
            from ragprof.judge.scores import canonical

            with suppress(UnknownName):  # what is no metric stays as it is; `MAP` is kept as `AP`
                metric = canonical([name])[0]
        _known("metric", metric, rows["name"])
        if stage is not None:
            _known("stage", stage, rows["stage"])
        return self._figure(pipeline, Quantity("quality", stage or "", metric))

    def latency(self, quantile: str, *, stage: str | None = None, pipeline: str | None = None) -> CheckedFigure:
        """`p50`, `p95` or `p99` in ms, of a stage or end to end; over all rounds, the interval resamples queries."""
        times = self.evidence.times
        _known("quantile of latency", quantile, QUANTILES)
        if stage is not None:
            own = times.loc[times["pipeline"] == self._named(pipeline), "stage"]
            _known("timed stage", stage, own[own != WHOLE])
        return self._figure(pipeline, Quantity("latency", stage or "", quantile))

    def usage(self, name: str, *, pipeline: str | None = None) -> CheckedFigure:
        """Mean count a query of what a stage uses, by its full name: `inject.prompt_tokens`, `rerank.docs_scored`."""
        rows = self._rows(pipeline, "usage")
        _known("usage", name, rows["stage"] + "." + rows["name"])
        stage, _, unit = name.partition(".")
        return self._figure(pipeline, Quantity("usage", stage, unit))

    def cost(self, *, stage: str | None = None, pipeline: str | None = None) -> CheckedFigure:
        """USD per 1,000 queries, of a stage or in all. Raises BadInput where a rate is missing: that is not 0."""
        chosen = self._named(pipeline)
        missing = [
            line for line in self.evidence.facts["unpriced"][chosen] if stage is None or line.startswith(f"{stage}:")
        ]
        if missing:
            raise BadInput(f"{stage or 'the bill'} of pipeline '{chosen}' is UNPRICED: {'; '.join(missing)}")
        rows = self._rows(pipeline, "cost")
        if stage is not None:
            _known("stage with a bill", stage, rows["stage"])
        if rows.empty:
            raise BadInput(f"pipeline '{chosen}' has no bill; name rates under prices")
        return self._figure(pipeline, Quantity("cost", stage or "", ""))

    def load(self, name: str, *, pipeline: str | None = None) -> CheckedFigure:
        """What `ragprof load` measured: `capacity` or `goodput` a second, or `p50`, `p95`, `p99` in ms.

        Goodput and quantiles are those of the highest rate of the curve. Raises BadInput where no load was put on it.
        """
        chosen = self._named(pipeline)
        _known("figure under load", name, (*LOAD_RATES, *LOAD_TAILS))
        kept = self.evidence.facts.get("load", {}).get(chosen)
        value = None if kept is None else load_figure(kept, name)
        if kept is None or value is None:
            raise BadInput(f"{name} of {chosen} under load was not measured; run 'ragprof load' into this recording")
        why = load_withheld(kept, name)
        return CheckedFigure(
            Quantity("load", "", name), chosen, value, load_interval(kept, name), kept["trials"],
            pd.Series(dtype=float), self.evidence.rankings, self.test, withheld=f"{NOT_JUDGED}: {why}" if why else "",
        )  # fmt: skip

    def no_worse_than(
        self,
        baseline: str | Path | ProfiledResult,
        *,
        margins: Mapping[str, Given] | None = None,
        quantities: Mapping[str, Given] | None = None,
        pipelines: Sequence[str] | None = None,
    ) -> PluginCheck:
        """Paired by query: fails where a quantity got worse by more than its margin, and that is no chance.

        The baseline is a name (`ragprof_baselines/<name>` beside the test), the folder of a baseline or recording, or
        another result. Without more, every metric of the final ranking, the prompt's tokens and the bill are compared;
        `margins` says by kind how much worse each may get, such as {"quality": 0.02, "latency": 0.3}; `quantities`
        names what is compared instead, such as {"nDCG@10": 0.01, "rerank.latency_p95": {"absolute": 5}}. A number is
        absolute for metrics and relative for everything else.
        """
        if margins is not None and quantities is not None:
            raise BadInput(
                "both margins= and quantities= are given; quantities= brings its own margins, so give one of them"
            )
        by_kind: dict[Kind, GateMargin] = {_kind(name): margin(name, given) for name, given in (margins or {}).items()}
        chosen = None if quantities is None else {name: margin(name, given) for name, given in quantities.items()}
        base = against(baseline, self.test)
        if isinstance(base, Baseline) and self.test.settings.update:
            return self.test.made(_written(self, base))
        if chosen is None:
            chosen = dict(_usual(base.evidence, self.evidence, by_kind))
        if not chosen:
            raise BadInput("there is nothing to compare: no metric in common; name something with quantities=")
        gate = GateSettings(quantities=chosen, pipelines=None if pipelines is None else tuple(pipelines))
        return self.test.made(_no_worse(self, base, gate))

    def by_query(self, pipeline: str, asked: Quantity) -> tuple[Estimate, pd.Series]:
        """The estimate of a quantity that is recorded, and what each query has."""
        evidence, seed = self.evidence, int(self.evidence.facts["seed"])
        side = PipelineSide(evidence, pipeline, tuple(sorted(queries_of(evidence))))
        if asked.kind == "latency":
            timed = side.times.get(asked.stage or WHOLE, evidence.times.iloc[:0])
            table = rounds_of(timed) / NS_PER_MS
            (found,) = quantile_estimates(table, [QUANTILES[asked.name]], seed=seed)
            return replace(found, n=len(table)), timed.groupby("query_id")["duration_ns"].median() / NS_PER_MS
        items = [pd.Series(values, index=side.queries).dropna() for values in side.items(asked).values()]
        whole = pd.concat(items).groupby(level=0).sum() if items else pd.Series(dtype=float)
        if asked.kind != "cost":
            bounds = UNIT if asked.kind == "quality" else None
            return mean_estimate(whole.to_numpy(), bounds=bounds, seed=seed), whole
        draws = Draws.of(list(whole.index), seed=seed)
        total = resampled(sum(draws.mean(values) for values in items[1:]) + draws.mean(items[0]), len(draws.ids))
        interval = None if total["interval"] is None else (total["interval"][0], total["interval"][1])
        return Estimate(total["mean"], interval, len(draws.ids)), whole

    def _named(self, pipeline: str | None) -> str:
        """The pipeline meant; it may be left out where there is one. Raises UnknownName or BadInput."""
        names = self.pipelines
        if pipeline is None and len(names) > 1:
            label = self.evidence.label
            raise BadInput(f"'{label}' has {len(names)} pipelines; say which with pipeline=: {', '.join(names)}")
        if pipeline is not None:
            _known("pipeline", pipeline, names)
        return pipeline or names[0]

    def _rows(self, pipeline: str | None, kind: Kind) -> pd.DataFrame:
        table = self.evidence.figures
        return table[(table["pipeline"] == self._named(pipeline)) & (table["kind"] == kind)]

    def _figure(self, pipeline: str | None, asked: Quantity) -> CheckedFigure:
        chosen = self._named(pipeline)
        estimate, by_query = self.by_query(chosen, asked)
        if estimate.mean is None:
            raise BadInput(f"{asked.label} of {chosen} was measured for no query; record it again")
        return CheckedFigure(
            asked, chosen, estimate.mean, estimate.interval, estimate.n, by_query, self.evidence.rankings, self.test,
            withheld=self._withheld(chosen, asked), fewest=FEWEST[asked.name] if asked.kind == "latency" else 0,
        )  # fmt: skip

    def _withheld(self, pipeline: str, asked: Quantity) -> str:
        """Why no bound of a figure can be judged: it rests on times of a busy machine. Empty where it can."""
        clocked = set(self.evidence.facts["clocked"][pipeline])
        timed = asked.kind == "cost" and bool(clocked & {asked.stage} if asked.stage else clocked)
        flag = PipelineSide(self.evidence, pipeline, ()).disturbance
        return f"{NOT_JUDGED}: {flag.reason}" if flag.busy and (timed or asked.kind == "latency") else ""


@dataclass(frozen=True, eq=False, repr=False)
class Baseline(ProfiledResult):
    """A result that was kept under a name. It is there from the first `pytest --ragprof-update` on."""

    def __repr__(self) -> str:
        return f"<ragprof baseline {self.label}>"


def _known(what: str, name: str, there: Sequence[str] | Mapping[str, object] | pd.Series) -> None:
    if name not in set(there):
        raise UnknownName(what, name, set(there))


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


def _usual(
    base: SideEvidence, candidate: SideEvidence, margins: Mapping[Kind, GateMargin]
) -> Iterator[tuple[str, GateMargin]]:
    """What is compared where a test names nothing: metrics in common, and what both sides have of the rest."""
    labels = [name for name in candidate.facts["metrics"] if name in base.facts["metrics"]]
    if all((side.figures["name"] == "prompt_tokens").any() for side in (base, candidate)):
        labels.append(PROMPT)
    if "cost" in margins or not any(any(side.facts["unpriced"].values()) for side in (base, candidate)):
        labels.append(MONEY)
    if "load" in margins:
        labels += [Quantity("load", "", name).label for name in (*LOAD_RATES, *LOAD_TAILS[1:2])]
    if "latency" in margins:
        labels += [f"{LATENCY}{name}" for name in LATENCIES]
    for label in labels:
        kind = quantity(label).kind
        yield label, margins.get(kind, USUAL[kind])


def against(given: str | Path | ProfiledResult, test: RunningTest) -> ProfiledResult:
    """What a result is compared with: a text without a separator is the name of a baseline, all else is a path."""
    if isinstance(given, ProfiledResult):
        return given
    if isinstance(given, str) and NAME.fullmatch(given):
        return baseline_named(given, test)
    return side_at(given, test)


def baseline_named(name: str, test: RunningTest) -> Baseline:
    """The baseline of that name for this test, read when it is first needed. Raises BadInput for no name."""
    if not NAME.fullmatch(name):
        raise BadInput(f"'{name}' cannot be the name of a baseline; use letters, digits, '+', '.', '_' and '-'")
    folder = test.file.parent / test.settings.baselines / name

    def read() -> SideEvidence:
        if not baselines.is_baseline(folder):
            raise BadInput(f"there is no baseline '{name}' in {folder.parent}; run pytest --ragprof-update to write it")
        return replace(baselines.read(folder), label=name)

    return Baseline(name, folder, read, test)


def side_at(place: str | Path, test: RunningTest) -> ProfiledResult:
    """The recording or baseline in a folder."""
    from ragprof.studies.gate.sides import read_side

    folder = test.located(place, what="recording or baseline")
    return ProfiledResult(folder.name, folder, lambda: replace(read_side(folder), label=folder.name), test)


def _written(result: ProfiledResult, base: Baseline) -> PluginCheck:
    """The result kept under the baseline's name; of two workers that write it at once one leaves it whole."""
    folder, root = baselines.save(result.evidence, base.folder), result.test.settings.roots[0]
    place = str(folder.relative_to(root) if folder.is_relative_to(root) else folder)
    lines = tuple(
        CheckLine(
            verdict="written", pipeline=name, quantity="baseline written", kind="", value=None, interval=None,
            bound=None, sense="", n=int(result.evidence.facts["queries"]), against=base.label, note=place,
        )
        for name in result.pipelines
    )  # fmt: skip
    said = f"{result.label}: baseline written: {base.label}"
    return PluginCheck("written", True, said, said, "", lines)


def _no_worse(result: ProfiledResult, base: ProfiledResult, gate: GateSettings) -> PluginCheck:
    """Compare. Raises Incomparable, BadInput or UnknownName."""
    settings = result.test.settings
    found = gate_of(base.evidence, result.evidence, gate, strict=settings.strict)
    if settings.kept:
        # Every quantity of both sides and what was gated, as JSON and as a page beside it.
        comparison = replace(compare(base.evidence, result.evidence), gate=found)
        name = APART.sub("-", f"{result.test.name}-{len(result.test.checks) + 1}-vs-{base.evidence.label}").strip("-")
        path = settings.out / "comparisons" / f"{name}.json"
        files.write_json(path, comparison.document)
        files.write_text(path.with_suffix(".html"), comparison_page(comparison))
    passed, told = found.exit_code == 0, [row for row in found.gates if row.gate != "holds"]
    said = f"{result.label} no worse than {base.label}: holds for all {len(found.gates)} quantities"
    if told:
        first, kind = told[0], told[0].kind
        moved = f"{number(first.base, kind)} -> {number(first.candidate, kind)} {span(first.interval, kind)}"
        more = f", and {len(told) - 1} more" if len(told) > 1 else ""
        said = (
            f"{result.label} no worse than {base.label}: {'undecided' if passed else 'fails'}: {first.quantity} of "
            f"{first.pipeline} {first.gate}: {moved}{more}"
        )
    return PluginCheck(
        verdict=VERDICTS.get(found.verdict, "fails"),
        passed=passed,
        said=said,
        title=f"{result.label}: no worse than {base.label}",
        explanation="" if passed else _explanation(result, base, told),
        lines=tuple(_line(row, base.label) for row in found.gates),
    )


def _line(row: GateRow, against: str) -> CheckLine:
    """A row as the summary has it: its difference, and the margin as the bound of the difference."""
    lower = row.better == "lower"
    return CheckLine(
        verdict=VERDICTS.get(row.gate, "fails"), pipeline=row.pipeline, quantity=row.quantity, kind=row.kind,
        value=row.difference, interval=None if row.interval is None else list(row.interval),
        bound=row.margin if lower else -row.margin, sense="at most" if lower else "at least", n=row.n,
        against=against, note=row.reason if row.reason.startswith(NOT_JUDGED) else _more(row),
    )  # fmt: skip


def _more(row: GateRow) -> str:
    """How many more queries would tell; empty where the gate is decided."""
    if row.gate != "undecided" or row.reason.startswith(NOT_JUDGED):
        return ""
    if row.more_queries:
        return f"about {row.more_queries:,} more queries would tell, if the difference stays"
    return "more queries would tell, if there is a difference"


def _explanation(result: ProfiledResult, base: ProfiledResult, told: Sequence[GateRow]) -> str:
    """Every gate that does not hold, the parts that are others than before, and the queries that got worst."""
    lines: list[str] = []
    for row in told:
        kind, difference = row.kind, f"{signed(row.difference, row.kind)} {span(row.interval, row.kind)}"
        pairs = [
            (base.label[:10], number(row.base, kind)),
            ("here", number(row.candidate, kind)),
            ("difference", f"{difference} ({100 * row.confidence:.4g} %)"),
            ("margin", f"{number(row.margin, kind)} ({row.margin_why})"),
            ("p", f"{p_value(row.p_holm)}, corrected over all that was compared"),
            ("queries", str(row.n)),
            ("more", _more(row)),
            ("why", row.reason),
        ]
        lines.append(f"{row.quantity} of {row.pipeline}: {row.gate}")
        lines += facts((name, text) for name, text in pairs if text and not text.startswith("n/a"))
    names = {row.pipeline for row in told}
    for pair in pairs_of(base.evidence, result.evidence):
        for part in changed(pair) if pair.name in names else ():
            texts = (" ".join((identity or "none").split()) for identity in (part.base, part.candidate))
            before, after = (text if len(text) <= 40 else f"{text[:37]}..." for text in texts)
            lines.append(f"changed in {pair.name}: {part.part}: {before} -> {after}")
    lines += _lost(result, base, told)
    if result.test.settings.crowded and any(row.kind == "latency" for row in told):
        lines += ["", "Other tests ran on this machine at the same time, and latencies show it: time with -n 0."]
    return "\n".join(lines)


def _lost(result: ProfiledResult, base: ProfiledResult, told: Sequence[GateRow]) -> list[str]:
    """The queries that got worst by the first failing metric, else by the first failing figure of another kind."""
    measured = [row for row in told if row.difference is not None and row.kind != "load"]
    row = next((each for each in measured if each.kind == "quality"), measured[0] if measured else None)
    if row is None:
        return []
    sides = [("before", base, row.base_pipeline), ("after", result, row.pipeline)]
    before, after = (side.by_query(name, quantity(row.quantity))[1] for _, side, name in sides)
    loss = (after - before if row.better == "lower" else before - after).dropna()
    worst = loss[loss > 0].sort_values(ascending=False, kind="stable").head(SHOWN_QUERIES)
    if worst.empty:
        return []
    lines = ["", f"the {len(worst)} that got worst of {len(loss)} queries, by {row.quantity} of {row.pipeline}:"]
    for query_id in map(str, worst.index):
        moved = [number(float(side[query_id]), row.kind) for side in (before, after)]
        lines.append(f"  {query_id}  {moved[0]} -> {moved[1]}")
        for when, side, name in sides:
            lines += documents(when, side.evidence.rankings, name, query_id)
    return lines
