"""Two sides' evidence -> comparison.json: every figure of every common pipeline, with what a reader must know of it.

The document is plain JSON without NaN: null is not measured. The same evidence gives the same document to the last
digit. `gate` and `against` are left empty here: gates.gate_of judges, and who times two revisions fills in the rest.

Whether a change may pass: the quantities of [gate] against their margins, and the exit code that this makes.

Holm's family is the gates alone. Says in a sentence what each gate found; prints nothing and exits nowhere.

A gate over sides that cannot be compared: a document that says so, for who reads verdicts instead of messages.

Which queries got worst, with their rankings before and after, and which parts are others. Reads no file.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from ragprof.core.errors import BadInput, UnknownName
from ragprof.core.quantities import Kind, Quantity, quantity
from ragprof.evals import GateMargin, GateSettings
from ragprof.statistics.draws import Array
from ragprof.statistics.paired import DUST, GATE_FLIPS
from ragprof.studies.gate import verdicts
from ragprof.studies.gate.evidence import (
    MACHINE_TIME,
    Difference,
    Evidence,
    Pair,
    Side,
    check_comparable,
    check_figures,
    differences,
    only_one_side,
    pairs_of,
    queries_of,
    same_job,
)
from ragprof.studies.gate.findings import Ask, Finding, Row, Terms, family_of, found_rows, more_needed, rows_of, tidy

MOST = 5


def worst(pair: Pair) -> dict[str, Any] | None:
    """At most five queries whose final ranking lost most of the first metric that both sides have; None where none did.

    The largest loss first, equal ones by query_id.
    """
    metric = _metric(pair)
    if metric is None:
        return None
    table = pd.DataFrame(
        {name: _final(side, metric) for name, side in (("base", pair.base), ("candidate", pair.candidate))},
        index=pd.Index(pair.base.queries, name="query_id"),
    ).dropna()
    loss = table["base"] - table["candidate"]
    lost = table.assign(loss=loss)[loss > DUST * table.abs().max(axis=1)].reset_index()
    first = lost.sort_values(["loss", "query_id"], ascending=[False, True]).head(MOST)
    return (
        {"metric": metric, "queries": [_query(pair, row) for row in first.to_dict("records")]} if len(first) else None
    )


def changed(pair: Pair) -> list[dict[str, Any]]:
    """Parts whose identities differ between the sides, and the depth; empty where the pipelines are the same."""
    before, after = _parts(pair.base.evidence, pair.base.pipeline), _parts(pair.candidate.evidence, pair.name)
    return [
        {"part": part, "base": before.get(part), "candidate": after.get(part)}
        for part in dict.fromkeys([*before, *after])
        if before.get(part) != after.get(part)
    ]


def _metric(pair: Pair) -> str | None:
    known = [name for name in pair.candidate.evidence.facts["metrics"] if _has(pair.base, name)]
    return next((name for name in known if _has(pair.candidate, name)), None)


def _has(side: Side, metric: str) -> bool:
    return bool(side.items(Quantity("quality", "", metric)))


def _final(side: Side, metric: str) -> Array:
    (column,) = side.items(Quantity("quality", "", metric)).values()
    return column


def _query(pair: Pair, row: Mapping[Hashable, Any]) -> dict[str, Any]:
    return {
        "query_id": row["query_id"],
        "base": float(row["base"]),
        "candidate": float(row["candidate"]),
        "before": _ranking(pair.base, row["query_id"]),
        "after": _ranking(pair.candidate, row["query_id"]),
    }


def _ranking(side: Side, query_id: str) -> list[str]:
    table = side.evidence.rankings
    rows = table[(table["pipeline"] == side.pipeline) & (table["query_id"] == query_id)].sort_values("rank")
    return [str(document) for document in rows["document_id"]]


def _parts(evidence: Evidence, pipeline: str) -> dict[str, str | None]:
    depth = evidence.facts["depths"].get(pipeline)
    return {**evidence.facts["pipelines"][pipeline], "depth": None if depth is None else str(depth)}


FORMAT = 1


def compare(
    base: Evidence,
    candidate: Evidence,
    *,
    margins: Mapping[Kind, GateMargin] | None = None,
    pipelines: Sequence[str] | None = None,
    noise: Mapping[str, Mapping[str, float]] | None = None,
    looks: int = 1,
) -> dict[str, Any]:
    """The document, without a gate. A kind of which `margins` says nothing keeps its default.

    `noise` and `looks` are as in `findings.Terms`.

    Raises Incomparable for sides that rest on other documents, questions or judgements, or that have no query or no
    pipeline in common; UnknownName for a pipeline that neither has; NonFiniteScore for a figure that is no number.
    """
    found, pairs = examined(base, candidate, pipelines)
    terms = replace(terms_of(base, candidate, found, alpha=verdicts.ALPHA), noise=noise or {}, looks=looks)
    asks = [_ask(pair, quantity, margins or {}, terms) for pair in pairs for quantity in pair.listed()]
    rows = rows_of(asks, terms)
    return {
        "format": FORMAT,
        "eval": candidate.facts["eval"],
        "title": candidate.facts["title"],
        "base": side_facts(base),
        "candidate": side_facts(candidate),
        "queries": len(pairs[0].base.queries),
        "same_job": terms.one_job,
        "differences": [each.as_json() for each in found],
        "notes": _notes(base, candidate, pairs, rows=rows, margins=margins or {}, terms=terms),
        "alpha": verdicts.ALPHA,
        "confidence": 1 - verdicts.ALPHA,
        "family": family_of(rows),
        "rows": rows,
        "worst": {pair.name: moved for pair in pairs if (moved := worst(pair)) is not None},
        "changed": {pair.name: parts for pair in pairs if (parts := changed(pair))},
        "gate": None,
        "against": None,
    }


def examined(
    base: Evidence, candidate: Evidence, pipelines: Sequence[str] | None
) -> tuple[list[Difference], list[Pair]]:
    """What differs and what is paired, of sides that may be compared; see `compare` for what is raised."""
    for side in (base, candidate):
        check_figures(side)
    found = differences(base, candidate)
    check_comparable(base, candidate, found)
    return found, pairs_of(base, candidate, pipelines)


def terms_of(base: Evidence, candidate: Evidence, found: Sequence[Difference], *, alpha: float) -> Terms:
    """Randomness is seeded by the candidate's eval."""
    return Terms(alpha, int(candidate.facts["seed"]), same_job(base, candidate), found)


def side_facts(evidence: Evidence) -> dict[str, Any]:
    """Who a side is."""
    facts = evidence.facts
    told = {key: facts[key] for key in ("created", "ragprof_version", "recording", "queries")}
    return {"label": evidence.label, "source": evidence.source, "corpus": dict(facts["corpus"]), **told}


def _ask(pair: Pair, quantity: Quantity, margins: Mapping[Kind, GateMargin], terms: Terms) -> Ask:
    margin = margins.get(quantity.kind)
    if margin is None:
        allowed = verdicts.default_tolerance(quantity.kind, terms.clock)
    else:
        allowed = verdicts.given_tolerance(margin)
    return Ask(pair, quantity, allowed, verdicts.better_of(quantity, margin))


def _notes(
    base: Evidence,
    candidate: Evidence,
    pairs: Sequence[Pair],
    *,
    rows: Sequence[Row],
    margins: Mapping[Kind, GateMargin],
    terms: Terms,
) -> list[str]:
    renamed = [pair for pair in pairs if pair.name != pair.base.pipeline]
    return [
        *(f"'{pair.base.pipeline}' of the base is compared with '{pair.name}' of the candidate." for pair in renamed),
        *(f"Pipeline '{name}' is in '{label}' alone." for label, name in only_one_side(base, candidate)),
        *_query_notes(base, candidate, pairs),
        *_family_notes(family_of(rows)),
        *_difference_notes(terms.differences, one_job=terms.one_job),
        *_clock_notes(pairs, rows, clock=terms.clock, margins=margins),
    ]


def _query_notes(base: Evidence, candidate: Evidence, pairs: Sequence[Pair]) -> list[str]:
    shared = len(pairs[0].base.queries)
    counts = [(side.label, len(queries_of(side))) for side in (base, candidate)]
    return [
        f"{shared} of the {queries} queries of '{label}' are also on the other side; only these are compared."
        for label, queries in counts
        if queries > shared
    ]


def _family_notes(family: int) -> list[str]:
    if family < verdicts.ALPHA * (1 + GATE_FLIPS) / 2:
        return []
    return [f"So many figures ({family}) are compared at once that hardly any can be told; name fewer pipelines."]


def _difference_notes(found: Sequence[Difference], *, one_job: bool) -> list[str]:
    fields = {blocks: [each.field for each in found if each.blocks == blocks] for blocks in ("latency", "tokens")}
    notes = []
    if fields["latency"]:
        notes.append(f"Latency is not compared: {', '.join(fields['latency'])} differ.")
    if fields["tokens"]:
        notes.append("Prompt tokens and the money made of them are not compared: the tokenizers differ.")
    libraries = [each.field for each in found if each.field.startswith("environment.")]
    if one_job and libraries:
        notes.append(f"Timed in one job with different {', '.join(libraries)}: their effect is in the figures.")
    rates = [each.field.removeprefix("rates.") for each in found if each.field.startswith("rates.")]
    if rates:
        notes.append(f"Rates differ between the sides: {', '.join(rates)}; a difference in cost may be theirs.")
    return notes


def _clock_notes(
    pairs: Sequence[Pair], rows: Sequence[Row], *, clock: verdicts.Clock, margins: Mapping[Kind, GateMargin]
) -> list[str]:
    if clock == "one job":
        return []
    share = f"{100 * verdicts.BETWEEN_JOBS:.0f} %"
    notes = []
    if "latency" not in margins and any(row["kind"] == "latency" and row["interval"] for row in rows):
        notes.append(
            f"The sides were timed in two jobs, which alone may differ by {share}: no margin of latency is below that."
        )
    columns = [cell for pair in pairs for cell in pair.candidate.columns]
    clocked = "cost" not in margins and any(kind == "cost" and item == MACHINE_TIME for kind, _, item in columns)
    if clocked and clock == "two machines":
        notes.append("What is billed by measured time was measured on two machines, and is left out of every bill.")
    elif clocked:
        notes.append(f"What is billed by measured time was measured in two jobs: {share} of it is within the margin.")
    return notes


OBSTACLES: Mapping[str, verdicts.GateVerdict] = {
    "unpriced": "unpriced", "missing": "incomparable", "incomparable": "incomparable",
}  # fmt: skip


def gate_of(
    base: Evidence,
    candidate: Evidence,
    gate: GateSettings,
    *,
    strict: bool,
    noise: Mapping[str, Mapping[str, float]] | None = None,
    looks: int = 1,
) -> dict[str, Any]:
    """The `gate` of the document. A quantity is gated in every pipeline that has it, or in those that are named for it.

    `noise` and `looks` are as in `findings.Terms`. Raises BadInput for a gate without quantities, UnknownName for one
    that neither side recorded or for a pipeline that neither has, and what `comparison.compare` raises.
    """
    if not gate.quantities:
        raise BadInput(
            "[gate] names no quantity; add some under [gate.quantities], or have 'ragprof gate --init' write them"
        )
    differing, pairs = examined(base, candidate, None)
    if named := _named(gate):
        pairs_of(base, candidate, named)
    terms = replace(
        terms_of(base, candidate, differing, alpha=gate.alpha),
        noise=noise or {},
        looks=looks,
    )
    margins = gate.quantities
    gated = {label: _gated(label, margin.pipelines or gate.pipelines, pairs) for label, margin in margins.items()}
    places = [(pair, label) for pair in pairs for label in margins if pair in gated[label]]
    made = found_rows([_gates_ask(pair, quantity(label), margins[label], terms) for pair, label in places], terms)
    family = family_of([row for _, row in made])
    rows = [
        _gate_row(found, row, margins[label], alpha=terms.alpha, family=family)
        for (found, row), (_, label) in zip(made, places, strict=True)
    ]
    told = [row["gate"] for row in rows]
    return {
        "verdict": verdicts.overall(told),
        "exit_code": verdicts.exit_code(told, strict=strict),
        "strict": strict,
        "family": family,
        "gates": rows,
    }


def _named(gate: GateSettings) -> list[str]:
    named = [*(gate.pipelines or ()), *(name for each in gate.quantities.values() for name in each.pipelines or ())]
    return list(dict.fromkeys(named))


def _gated(label: str, named: Sequence[str] | None, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs in which a quantity is gated. Raises UnknownName where a named one, or none of all, recorded it."""
    asked = quantity(label)
    chosen = [pair for pair in pairs if named is None or {pair.name, pair.base.pipeline} & set(named)]
    having = [pair for pair in chosen if asked in pair.recorded()]
    if not having or (named is not None and len(having) < len(chosen)):
        lacking = next(pair for pair in chosen if pair not in having)
        if named is not None:
            known = {each.label for each in lacking.listed()}
            raise UnknownName(f"quantity of pipeline '{lacking.name}'", label, known)
        raise UnknownName("quantity", label, {each.label for pair in chosen for each in pair.listed()})
    return having


def _gates_ask(pair: Pair, asked: Quantity, margin: GateMargin, terms: Terms) -> Ask:
    allowed = verdicts.gated_tolerance(margin, asked.kind, terms.clock)
    return Ask(pair, asked, allowed, verdicts.better_of(asked, margin))


def _gate_row(found: Finding, row: Row, margin: GateMargin, *, alpha: float, family: int) -> Row:
    told = (
        OBSTACLES[found.obstacle]
        if found.obstacle
        else verdicts.gate_verdict(
            row["interval"], margin=row["margin"], p=row["p_holm"], better=row["better"], alpha=alpha
        )
    )
    more = None
    if told == "undecided" and found.effect is not None:
        beyond = row["margin"] if row["better"] == "lower" else -row["margin"]
        more = more_needed(found, alpha=alpha / max(1, family), beyond=beyond)
    judged = {**row, "gate": told, "more_queries": more, "confidence": tidy(found.confidence)}
    limits = {"margin_absolute": margin.absolute, "margin_relative": margin.relative}
    return {**judged, **limits, "message": _message(judged)}


def _message(row: Row) -> str:
    what = f"{row['quantity']} of '{row['pipeline']}'"
    if row["gate"] == "unpriced":
        return f"{what} is UNPRICED ({row['reason']}); name a rate for it, or gate something else"
    if row["gate"] == "incomparable":
        return f"{what} cannot be compared: {row['reason']}"
    return f"{what} {_change(row)}: {_ending(row)}"


def _change(row: Row) -> str:
    unit = f" {row['unit']}" if row["unit"] else ""
    figures = f"went from {row['base']:.4g} to {row['candidate']:.4g}{unit}"
    if row["interval"] is None:
        return f"{figures} ({row['difference']:+.4g})"
    low, high = row["interval"]
    share = f"{100 * row['confidence']:.4g} % interval {low:+.4g} to {high:+.4g}"
    p = "" if row["p_holm"] is None else f", p {row['p_holm']:.2g}"
    return f"{figures} ({row['difference']:+.4g}, {share}{p})"


def _ending(row: Row) -> str:
    margin = f"the margin of {row['margin']:.4g} ({row['margin_why']})"
    if row["gate"] == "regression":
        return f"worse by more than {margin}"
    if row["gate"] == "holds":
        return f"within {margin}"
    more = "" if row["more_queries"] is None else f"; about {row['more_queries']} more would be needed"
    reason = f"; {row['reason']}" if row["reason"] else ""
    return f"{row['n']} queries do not tell whether it is within {margin}{more}{reason}"


def unrecorded(label: str, *, queries: int) -> dict[str, Any]:
    """What a document says of a side that was not recorded, as it was refused before."""
    absent = dict.fromkeys(("created", "ragprof_version", "recording"))
    return {"label": label, "source": "recording", "corpus": {}, "queries": queries, **absent}


def refused(
    sides: tuple[dict[str, Any], dict[str, Any]],
    gate: GateSettings,
    why: str,
    *,
    eval_name: str,
    title: str,
    pipelines: Sequence[str],
    strict: bool,
) -> dict[str, Any]:
    """Every gate `incomparable`, no figure, exit code 3. `sides` are base and candidate as `side_facts` has them."""
    rows = [
        _row(pipeline, label, margin, why)
        for pipeline in pipelines
        for label, margin in gate.quantities.items()
        if pipeline in (margin.pipelines or gate.pipelines or pipelines)
    ]
    judged = {"verdict": "incomparable", "exit_code": verdicts.INCOMPARABLE, "strict": strict, "family": 0}
    return {
        "format": FORMAT,
        "eval": eval_name,
        "title": title,
        "base": sides[0],
        "candidate": sides[1],
        "queries": 0,
        "same_job": False,
        "differences": [],
        "notes": [why],
        "alpha": gate.alpha,
        "confidence": 1 - gate.alpha,
        "family": 0,
        "rows": [],
        "worst": {},
        "changed": {},
        "gate": {**judged, "gates": rows},
        "against": None,
    }


def refused_sides(base: Evidence, candidate: Evidence, gate: GateSettings, why: str, *, strict: bool) -> dict[str, Any]:
    """The same of two sides that were recorded."""
    document = refused(
        (side_facts(base), side_facts(candidate)),
        gate,
        why,
        eval_name=candidate.facts["eval"],
        title=candidate.facts["title"],
        pipelines=candidate.pipelines,
        strict=strict,
    )
    return {**document, "differences": [each.as_json() for each in differences(base, candidate)]}


def _row(pipeline: str, label: str, margin: GateMargin, why: str) -> Row:
    asked = quantity(label)
    named = {"pipeline": pipeline, "base_pipeline": pipeline, "quantity": label}
    kind = {"kind": asked.kind, "stage": asked.stage, "name": asked.name, "unit": asked.unit}
    absent = dict.fromkeys(
        ("base", "candidate", "difference", "interval", "relative", "relative_interval", "p", "p_holm", "more_queries",
         "noise")
    )  # fmt: skip
    return {
        **named,
        **kind,
        **absent,
        "better": verdicts.better_of(asked, margin),
        "primary": not asked.stage,
        "n": 0,
        "margin": margin.absolute,
        "margin_why": "",
        "confidence": 1 - verdicts.ALPHA,
        "verdict": "incomparable",
        "gate": "incomparable",
        "reason": why,
        "margin_absolute": margin.absolute,
        "margin_relative": margin.relative,
        "message": f"{label} of '{pipeline}' cannot be compared: {why}",
    }
