"""Two sides' evidence compared, and what a gate makes of it. The same evidence gives the same figures, to the digit.

`compare` gives every figure of every common pipeline, `gate_of` judges the quantities of [gate] against their margins,
`refused` is the verdict on sides that cannot be compared, for who reads verdicts instead of messages. Holm's family is
that of the rows that stand together: all of a comparison, or the gates alone. Reads no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import cast

import pandas as pd

from ragprof.core.counting import counted
from ragprof.core.errors import BadInput, Incomparable, UnknownName
from ragprof.core.quantities import Kind, Quantity, quantity
from ragprof.evals import GateMargin, GateSettings
from ragprof.statistics.paired import DUST, GATE_FLIPS
from ragprof.studies.gate import verdicts
from ragprof.studies.gate.corrections import correction_notes
from ragprof.studies.gate.document import (
    ChangedPart,
    ComparedSide,
    Comparison,
    FactDifference,
    GateResult,
    GateRow,
    LostQuery,
    Noise,
    QuantityRow,
    WorstQueries,
)
from ragprof.studies.gate.evidence import (
    MACHINE_TIME,
    NOT_JUDGED,
    PipelinePair,
    PipelineSide,
    SideEvidence,
    check_figures,
    differences,
    only_one_side,
    pairs_of,
    queries_of,
    same_job,
    told_apart,
)
from ragprof.studies.gate.findings import Ask, ComparisonTerms, Finding, family_of, rows_of, tidy

MOST_LOST = 5


def compare(
    base: SideEvidence,
    candidate: SideEvidence,
    *,
    margins: Mapping[Kind, GateMargin] | None = None,
    pipelines: Sequence[str] | None = None,
    noise: Noise | None = None,
    looks: int = 1,
    clock: bool = True,
) -> Comparison:
    """Without a gate. A kind of which `margins` says nothing keeps its default.

    `noise` and `looks` are as in `findings.ComparisonTerms`. Without a `clock` no note is about what rests on one.

    Raises Incomparable for sides that rest on other documents, questions or judgements, or that have no query or no
    pipeline in common; UnknownName for a pipeline that neither has; NonFiniteScore for a figure that is no number.
    """
    pairs, terms = _examined(base, candidate, pipelines, alpha=verdicts.ALPHA, noise=noise, looks=looks)
    given = margins or {}
    asks = []
    for pair in pairs:
        for asked in pair.listed():
            margin = given.get(asked.kind)
            allowed = (
                verdicts.clocked_tolerance(verdicts.DEFAULTS[asked.kind], asked.kind, terms.clock)
                if margin is None
                else verdicts.given_tolerance(margin)
            )
            asks.append(Ask(pair, asked, allowed, verdicts.better_of(asked, margin)))
    rows = tuple(row for _, row in rows_of(asks, terms))
    return Comparison(
        eval=candidate.facts["eval"], title=candidate.facts["title"], base=side_of(base), candidate=side_of(candidate),
        queries=len(pairs[0].base.queries), same_job=terms.one_job, differences=tuple(terms.differences),
        notes=(
            *_notes(base, candidate, pairs, rows=rows, terms=terms),
            *correction_notes(base, candidate, pairs),
            *(_clock_notes(pairs, rows, terms=terms, margins=given) if clock else ()),
        ),
        alpha=verdicts.ALPHA, confidence=1 - verdicts.ALPHA, family=family_of(rows), quantities=rows,
        worst={pair.name: lost for pair in pairs if (lost := worst(pair)) is not None},
        changed={pair.name: parts for pair in pairs if (parts := changed(pair))},
    )  # fmt: skip


def _examined(
    base: SideEvidence,
    candidate: SideEvidence,
    pipelines: Sequence[str] | None,
    *,
    alpha: float,
    noise: Noise | None,
    looks: int,
) -> tuple[list[PipelinePair], ComparisonTerms]:
    """What is paired, of sides that may be compared, and on which terms; randomness is seeded by the candidate's eval.

    Raises what `compare` raises.
    """
    for side in (base, candidate):
        check_figures(side)
    found = differences(base, candidate)
    forbidding = [told_apart(each.field, base.facts, candidate.facts) for each in found if each.blocks == "all"]
    if forbidding:
        raise Incomparable(
            f"'{base.label}' and '{candidate.label}' cannot be compared: {'; '.join(forbidding)}; "
            "record both on the same corpus, questions and qrels"
        )
    one_job, seed = same_job(base, candidate), int(candidate.facts["seed"])
    terms = ComparisonTerms(alpha, seed, one_job, found, looks, noise or {})
    return pairs_of(base, candidate, pipelines), terms


def side_of(evidence: SideEvidence) -> ComparedSide:
    """Who a side is."""
    facts, corpus = evidence.facts, dict(cast(Mapping[str, str | int], evidence.facts["corpus"]))
    made = facts["created"], facts["ragprof_version"], facts["recording"], facts["queries"]
    return ComparedSide(evidence.label, evidence.source, corpus, *made)


def unrecorded(label: str, *, queries: int) -> ComparedSide:
    """A side that was not recorded, as it was refused before."""
    return ComparedSide(label, "recording", {}, None, None, None, queries)


def worst(pair: PipelinePair) -> WorstQueries | None:
    """At most five queries whose final ranking lost most of the first metric that both sides have; None where none did.

    The largest loss first, equal ones by query_id.
    """
    both = {"base": pair.base, "candidate": pair.candidate}
    finals = {
        metric: [list(side.items(Quantity("quality", "", metric)).values()) for side in both.values()]
        for metric in pair.candidate.evidence.facts["metrics"]
    }
    metric = next((name for name, columns in finals.items() if all(columns)), None)
    if metric is None:
        return None
    columns = {name: column for name, (column,) in zip(both, finals[metric], strict=True)}
    table = pd.DataFrame(columns, index=pd.Index(pair.base.queries, name="query_id")).dropna()
    loss = table["base"] - table["candidate"]
    lost = table.assign(loss=loss)[loss > DUST * table.abs().max(axis=1)].reset_index()
    if lost.empty:
        return None
    first = lost.sort_values(["loss", "query_id"], ascending=[False, True]).head(MOST_LOST)
    queries = []
    for query_id, base, candidate in first[["query_id", "base", "candidate"]].itertuples(index=False):
        before, after = (_ranking(side, query_id) for side in both.values())
        queries.append(LostQuery(str(query_id), float(base), float(candidate), before, after))
    return WorstQueries(metric, tuple(queries))


def _ranking(side: PipelineSide, query_id: str) -> tuple[str, ...]:
    table = side.evidence.rankings
    rows = table[(table["pipeline"] == side.pipeline) & (table["query_id"] == query_id)].sort_values("rank")
    return tuple(map(str, rows["document_id"]))


def changed(pair: PipelinePair) -> tuple[ChangedPart, ...]:
    """Parts whose identities differ between the sides, and the depth; empty where the pipelines are the same."""
    before, after = _parts(pair.base), _parts(pair.candidate)
    return tuple(
        ChangedPart(part, before.get(part), after.get(part))
        for part in dict.fromkeys([*before, *after])
        if before.get(part) != after.get(part)
    )


def _parts(side: PipelineSide) -> dict[str, str | None]:
    facts = side.evidence.facts
    depth = facts["depths"].get(side.pipeline)
    return {**facts["pipelines"][side.pipeline], "depth": None if depth is None else str(depth)}


def _notes(
    base: SideEvidence,
    candidate: SideEvidence,
    pairs: Sequence[PipelinePair],
    *,
    rows: Sequence[QuantityRow],
    terms: ComparisonTerms,
) -> Iterator[str]:
    for pair in pairs:
        if pair.name != pair.base.pipeline:
            yield f"'{pair.base.pipeline}' of the base is compared with '{pair.name}' of the candidate."
    for label, name in only_one_side(base, candidate):
        yield f"Pipeline '{name}' is in '{label}' alone."
    shared = len(pairs[0].base.queries)
    for side in (base, candidate):
        if (queries := len(queries_of(side))) > shared:
            yield (
                f"{shared} of the {queries} queries of '{side.label}' {'is' if shared == 1 else 'are'} also on the "
                f"other side; only {'this one is' if shared == 1 else 'these are'} compared."
            )
    family = family_of(rows)
    if family >= verdicts.ALPHA * (1 + GATE_FLIPS) / 2:  # no p is below 2 / (1 + GATE_FLIPS)
        yield f"So many figures ({family}) are compared at once that hardly any can be told; name fewer pipelines."
    if any(each.blocks == "tokens" for each in terms.differences):
        yield "Prompt tokens and the money made of them are not compared: the tokenizers differ."
    rates = [each.field.removeprefix("rates.") for each in terms.differences if each.field.startswith("rates.")]
    if rates:
        yield f"Rates differ between the sides: {', '.join(rates)}; a difference in cost may be theirs."


def _clock_notes(
    pairs: Sequence[PipelinePair],
    rows: Sequence[QuantityRow],
    *,
    terms: ComparisonTerms,
    margins: Mapping[Kind, GateMargin],
) -> Iterator[str]:
    """What keeps latency, and what is billed by time, from being compared, or widens their margins."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        what = "What load shows" if row.kind == "load" else "Latency, and money that is billed by time,"
        named = reasons.setdefault((what, row.reason), []) if row.reason.startswith(NOT_JUDGED) else []
        named += [] if row.pipeline in named else [row.pipeline]
    for (what, reason), named in reasons.items():
        yield f"{what} of {', '.join(named)}: {reason}."
    if blocking := [each.field for each in terms.differences if each.blocks == "latency"]:
        yield f"Latency is not compared: {', '.join(blocking)} differ."
    libraries = [each.field for each in terms.differences if each.field.startswith("environment.")]
    if terms.one_job and libraries:
        yield f"Timed in one job with different {', '.join(libraries)}: their effect is in the figures."
    if terms.one_job:
        return
    share = f"{100 * verdicts.BETWEEN_JOBS:.0f} %"
    if "latency" not in margins and any(row.kind == "latency" and row.interval for row in rows):
        yield (
            f"The sides were timed in two jobs, which alone may differ by {share}: no margin of latency is below that."
        )
    columns = [cell for pair in pairs for cell in pair.candidate.columns]
    if "cost" in margins or not any(kind == "cost" and item == MACHINE_TIME for kind, _, item in columns):
        return
    if terms.clock == "two machines":
        yield "What is billed by measured time was measured on two machines, and is left out of every bill."
    else:
        yield f"What is billed by measured time was measured in two jobs: {share} of it is within the margin."


def gate_of(
    base: SideEvidence,
    candidate: SideEvidence,
    gate: GateSettings,
    *,
    strict: bool,
    noise: Noise | None = None,
    looks: int = 1,
) -> GateResult:
    """The verdict of [gate]. A quantity is gated in every pipeline that has it, or in those that are named for it.

    `noise` and `looks` are as in `findings.ComparisonTerms`. Raises BadInput for a gate without quantities, UnknownName
    for one that neither side recorded or for a pipeline that neither has, and what `compare` raises.
    """
    if not gate.quantities:
        raise BadInput(
            "[gate] names no quantity; add some under [gate.quantities], or have 'ragprof gate --init' write them"
        )
    pairs, terms = _examined(base, candidate, None, alpha=gate.alpha, noise=noise, looks=looks)
    margins = gate.quantities
    named = [*(gate.pipelines or ()), *(name for each in margins.values() for name in each.pipelines or ())]
    if named:
        pairs_of(base, candidate, list(dict.fromkeys(named)))
    gated = {label: _gated(label, margin.pipelines or gate.pipelines, pairs) for label, margin in margins.items()}
    places = [(pair, label) for pair in pairs for label in margins if pair in gated[label]]
    asks = []
    for pair, label in places:
        asked, margin = quantity(label), margins[label]
        allowed = verdicts.clocked_tolerance(margin, asked.kind, terms.clock)
        asks.append(Ask(pair, asked, allowed, verdicts.better_of(asked, margin)))
    made = rows_of(asks, terms)
    family = family_of([row for _, row in made])
    rows = tuple(
        _gate_row(found, row, margins[label], alpha=terms.alpha, family=family)
        for (found, row), (_, label) in zip(made, places, strict=True)
    )
    told = [row.gate for row in rows]
    return GateResult(verdicts.overall(told), verdicts.exit_code(told, strict=strict), strict, family, rows)


def _gated(label: str, named: Sequence[str] | None, pairs: Sequence[PipelinePair]) -> list[PipelinePair]:
    """The pairs in which a quantity is gated. Raises UnknownName where a named one, or none of all, recorded it."""
    asked = quantity(label)
    chosen = [pair for pair in pairs if named is None or {pair.name, pair.base.pipeline} & set(named)]
    having = [pair for pair in chosen if asked in pair.recorded()]
    if asked.kind == "load" and not having:
        raise BadInput(f"'{label}' was measured on neither side; run 'ragprof load' into both, or gate with --against")
    if not having or (named is not None and len(having) < len(chosen)):
        lacking = next(pair for pair in chosen if pair not in having)
        if named is not None:
            known = {each.label for each in lacking.listed()}
            raise UnknownName(f"quantity of pipeline '{lacking.name}'", label, known)
        raise UnknownName("quantity", label, {each.label for pair in chosen for each in pair.listed()})
    return having


def _gate_row(found: Finding, row: QuantityRow, margin: GateMargin, *, alpha: float, family: int) -> GateRow:
    told = verdicts.gate_verdict(
        found.judged(row.interval), margin=row.margin, p=row.p_holm, better=row.better, alpha=alpha
    )
    if found.obstacle is not None:
        told = "unpriced" if found.obstacle == "unpriced" else "incomparable"
    elif found.withheld:
        told = "undecided"
    more = None
    if told == "undecided":
        beyond = row.margin if row.better == "lower" else -row.margin
        more = found.more_queries(alpha=alpha / max(1, family), beyond=beyond)
    reason = found.withheld or found.reason or verdicts.gate_correction(told, row, family=family)
    judged = GateRow(
        **{**vars(row), "more_queries": more, "reason": reason}, gate=told, confidence=tidy(found.confidence),
        margin_absolute=margin.absolute, margin_relative=margin.relative, message="",
    )  # fmt: skip
    return replace(judged, message=gate_message(judged))


def gate_message(row: GateRow) -> str:
    """The sentence of a judged row."""
    what = f"{row.quantity} of '{row.pipeline}'"
    if row.gate == "unpriced":
        return f"{what} is UNPRICED ({row.reason}); name a rate for it, or gate something else"
    if row.gate == "incomparable":
        return f"{what} cannot be compared: {row.reason}"
    unit = f" {row.unit}" if row.unit else ""
    change = f"went from {row.base:.4g} to {row.candidate:.4g}{unit}"
    if row.interval is None:
        change += f" ({row.difference:+.4g})"
    else:
        low, high = row.interval
        p = "" if row.p_holm is None else f", p {row.p_holm:.2g}"
        confidence = f"{100 * row.confidence:.4g} % interval"
        change += f" ({row.difference:+.4g}, {confidence} {low:+.4g} to {high:+.4g}{p})"
    margin = f"the margin of {row.margin:.4g} ({row.margin_why})"
    if row.gate == "regression":
        return f"{what} {change}: worse by more than {margin}"
    if row.gate == "holds":
        return f"{what} {change}: within {margin}"
    if row.reason.startswith(NOT_JUDGED):
        return f"{what} {change}: {row.reason}"
    more = "" if row.more_queries is None else f"; about {row.more_queries} more would be needed"
    reason = f"; {row.reason}" if row.reason else ""
    asked = f"{counted(row.n, row.unit_of_n)} {'does' if row.n == 1 else 'do'}"
    return f"{what} {change}: {asked} not tell whether it is within {margin}{more}{reason}"


def refused(
    sides: tuple[ComparedSide, ComparedSide],
    gate: GateSettings,
    why: str,
    *,
    eval_name: str,
    title: str,
    pipelines: Sequence[str],
    strict: bool,
    differing: Sequence[FactDifference] = (),
) -> Comparison:
    """Every gate `incomparable`, no figure, exit code 3. `sides` are base and candidate."""
    rows = []
    for pipeline, (label, margin) in product(pipelines, gate.quantities.items()):
        if pipeline in (margin.pipelines or gate.pipelines or pipelines):
            asked, message = quantity(label), f"{label} of '{pipeline}' cannot be compared: {why}"
            row = GateRow(
                pipeline=pipeline, base_pipeline=pipeline, quantity=label, kind=asked.kind, stage=asked.stage,
                name=asked.name, unit=asked.unit, better=verdicts.better_of(asked, margin), primary=not asked.stage,
                margin=margin.absolute, margin_why="", verdict="incomparable", reason=why, gate="incomparable",
                confidence=1 - verdicts.ALPHA, margin_absolute=margin.absolute, margin_relative=margin.relative,
                message=message,
            )  # fmt: skip
            rows.append(row)
    return Comparison(
        eval=eval_name, title=title, base=sides[0], candidate=sides[1], queries=0, same_job=False,
        differences=tuple(differing), notes=(why,), alpha=gate.alpha, confidence=1 - gate.alpha, family=0,
        quantities=(), gate=GateResult("incomparable", verdicts.INCOMPARABLE, strict, 0, tuple(rows)),
    )  # fmt: skip


def refused_sides(
    base: SideEvidence, candidate: SideEvidence, gate: GateSettings, why: str, *, strict: bool
) -> Comparison:
    """The same of two sides that were recorded."""
    sides, facts = (side_of(base), side_of(candidate)), candidate.facts
    return refused(
        sides, gate, why, eval_name=facts["eval"], title=facts["title"], pipelines=candidate.pipelines, strict=strict,
        differing=differences(base, candidate),
    )  # fmt: skip
