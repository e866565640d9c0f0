"""`compare`: two recordings, or a recording and a baseline, side by side. Runs no pipeline.

And what can be wrong with a gate before anything is run: its quantities, its baseline, where the recording goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ragprof.core import RANKED_STAGES
from ragprof.core.errors import BadInput, Incomparable, UnknownName
from ragprof.core.quantities import Kind, quantity
from ragprof.evals import EvalConfig, GateMargin
from ragprof.evals.traced import is_trace_profile
from ragprof.record.recording import fingerprint_of
from ragprof.record.timings import FLOPS
from ragprof.report.figures import corpus_words, differing
from ragprof.studies.gate import baselines, comparison, evidence, traced
from ragprof.studies.gate.document import Comparison
from ragprof.studies.gate.evidence import JUDGED, SideEvidence
from ragprof.studies.preparation import Places, Prepared


def compare(
    base: str | Path,
    candidate: str | Path,
    *,
    margins: Mapping[Kind, GateMargin] | None = None,
    pipelines: Sequence[str] | None = None,
) -> Comparison:
    """Every quantity of two recordings or baselines, or of two profiles of traces, of which nothing is paired.

    `margins` go before the usual ones, by kind.

    Raises Incomparable where corpus, questions or judgements differ, BadInput for a folder that is neither.
    """
    if traced.are_traced(base, candidate):
        sides = (traced.TracedSide(shown(Path(place)), Path(place)) for place in (base, candidate))
        return traced.compare_traces(*sides, margins=margins, pipelines=pipelines)
    return comparison.compare(read_side(base), read_side(candidate), margins=margins, pipelines=pipelines)


def read_side(place: str | Path) -> SideEvidence:
    """The figures of a recording's folder or of a baseline's. Raises BadInput for anything else."""
    folder = Path(place)
    if is_trace_profile(folder):
        raise BadInput(
            "this is a profile of traces; compare it with another one, which is its own baseline", file=folder
        )
    if not folder.is_dir():
        raise BadInput(
            "no such folder; give that of a recording, such as reports/<eval>, or of a baseline", file=folder
        )
    kept = baselines.read(folder) if baselines.is_baseline(folder) else evidence.of_recording(folder)
    return replace(kept, label=shown(folder))


def shown(folder: Path) -> str:
    """A folder as it may stand in a report: as it was given, or from here, or by its last two names."""
    if not folder.is_absolute():
        return str(folder)
    here = Path.cwd()
    return str(folder.relative_to(here) if folder.is_relative_to(here) else Path(*folder.parts[-2:]))


def save_baseline(recording: str | Path, *, into: str | Path, rankings: bool = True) -> Path:
    """Keep the figures of a recording as a baseline in a folder of its own, in place of what is there."""
    return baselines.save(read_side(recording), Path(into), rankings=rankings)


def check_gate(config: EvalConfig, eval_file: Path) -> None:
    """What can be wrong with a gate before anything is run. Raises BadInput or UnknownName with file and line."""
    if not config.gate.quantities:
        raise BadInput(
            "it has no [gate.quantities]; let 'ragprof gate EVAL.toml --init' write a sensible table", file=eval_file
        )
    places = Places(eval_file)
    metrics = [name for name in config.metrics if not name.startswith(JUDGED)]
    for label, margin in config.gate.quantities.items():
        asked = quantity(label)
        with places.put_before("gate", "quantities", label):
            if asked.kind == "quality" and asked.name not in metrics:
                raise UnknownName("metric of this eval", asked.name, metrics)
            if asked.kind == "usage" and asked.name == FLOPS and not config.gate.flop_queries:
                raise BadInput(f"'{label}' is not counted; say for how many queries with [gate] flop_queries = 20")
            if not asked.stage:
                continue
            # Every pipeline that is named for a quantity has its stage; where none is named, one of all has.
            stage = asked.stage
            if asked.kind == "quality" and stage not in RANKED_STAGES:
                ranked = ", ".join(RANKED_STAGES)
                raise BadInput(f"'{asked.label}': the {stage} stage ranks nothing; there are metrics of {ranked}")
            having = [
                each.name
                for each in config.pipelines
                if each.app is not None or {"embed": each.embedder is not None, "rerank": each.reranker.name != "none",
                    "generate": each.generator is not None}.get(stage, True)
            ]  # fmt: skip
            named = margin.pipelines or config.gate.pipelines or ()
            if lacking := [name for name in named if name not in having]:
                told = f"pipeline '{lacking[0]}' has no {stage} stage"
                raise BadInput(f"'{asked.label}': {told}; name others under pipelines")
            if not having:
                raise BadInput(f"'{asked.label}': no pipeline has a {stage} stage; leave it out")


def check_side(base: SideEvidence, prepared: Prepared) -> None:
    """Refuse a baseline of another corpus, other questions or judgements before anything is run."""
    subject = prepared.subject
    mine = {
        "corpus": (base.facts["corpus"]["sha256"], subject.corpus.sha256),
        "questions": (base.facts["questions"], fingerprint_of(subject.queries)),
        "qrels": (base.facts["qrels_sha256"], prepared.evaluation.qrels_sha256),
    }
    named = {
        "corpus": (
            evidence.named_corpus(base.facts),
            corpus_words(subject.corpus.name, len(subject.corpus.docs), subject.corpus.documents),
        ),
        "questions": (f"{base.facts['queries']:,}", f"{len(subject.queries):,}"),
        "qrels": ("", ""),
    }
    found = [differing(evidence.MUST_EQUAL[name], *named[name]) for name, (was, now) in mine.items() if was != now]
    if found:
        raise Incomparable(
            f"{base.label}: it was made with other data ({'; '.join(found)}); nothing was run. Make it anew with "
            "'ragprof baseline save', once the change of the data is meant"
        )


def check_recorded(base: SideEvidence, config: EvalConfig, eval_file: Path) -> None:
    """A unit that the base's stage never counted is misspelt, unless it is floating point operations."""
    places = Places(eval_file)
    usage = base.figures[base.figures["kind"] == "usage"]
    for label in config.gate.quantities:
        asked = quantity(label)
        units = set(usage.loc[usage["stage"] == asked.stage, "name"])
        if asked.kind == "usage" and units and asked.name not in units | {FLOPS}:
            with places.put_before("gate", "quantities", label):
                raise UnknownName(f"usage of the {asked.stage} stage", asked.name, units)
