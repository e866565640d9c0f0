"""Two sides' evidence -> comparison.json: every figure of every common pipeline, with what a reader must know of it.

The document is plain JSON without NaN: null is not measured. The same evidence gives the same document to the last
digit. `gate` and `against` are left empty here: gates.gate_of judges, and who times two revisions fills in the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ragprof.evals import Margin
from ragprof.quantities import Kind, Quantity
from ragprof.studies.compare import verdicts
from ragprof.studies.compare.comparable import Difference, check_comparable, differences, same_job
from ragprof.studies.compare.effects import FLIPS
from ragprof.studies.compare.evidence import MACHINE_TIME, Evidence
from ragprof.studies.compare.findings import Ask, Terms
from ragprof.studies.compare.moves import changed, worst
from ragprof.studies.compare.pairing import Pair, check_figures, only_one_side, pairs_of, queries_of
from ragprof.studies.compare.rows import Row, family_of, rows_of

FORMAT = 1


def compare(
    base: Evidence,
    candidate: Evidence,
    *,
    margins: Mapping[Kind, Margin] | None = None,
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


def _ask(pair: Pair, quantity: Quantity, margins: Mapping[Kind, Margin], terms: Terms) -> Ask:
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
    margins: Mapping[Kind, Margin],
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
    if family < verdicts.ALPHA * (1 + FLIPS):
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
    pairs: Sequence[Pair], rows: Sequence[Row], *, clock: verdicts.Clock, margins: Mapping[Kind, Margin]
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
