"""summary.json: all that a report or a machine reads of a recording. Documented in docs/summary.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ragprof.core import files
from ragprof.studies.audit.analysis import audit_belongs, audit_of, is_audited
from ragprof.studies.growth import data as growth_data
from ragprof.studies.growth.analysis import analyse
from ragprof.studies.injection import data as injection_data
from ragprof.studies.injection.analysis import analyse as analyse_answers
from ragprof.studies.profile.analysis import RETRIEVAL_ONLY, profile_of
from ragprof.studies.reranker import data as reranking_data
from ragprof.studies.reranker.analysis import analyse as analyse_rerankers

WITH_ANSWERS = (
    "Money a stage covers retrieval and the prompt's tokens; what answers cost is under injection and economics."
)


def summarise(folder: Path) -> dict[str, Any]:
    """Build the summary of a judged and priced recording and write summary.json."""
    summary = assemble(folder)
    files.write_json(folder / "summary.json", summary)
    return summary


def assemble(folder: Path) -> dict[str, Any]:
    """The summary as a dict. Raises BadInput where the recording is incomplete."""
    summary = profile_of(folder).as_json()
    manifest, judgement = files.read_manifest(folder), files.read_json(folder / "judgement.json")
    if growth_data.is_recorded(folder):
        _add_growth(summary, folder, manifest, judgement)
    if injection_data.is_recorded(folder):
        _add_injection(summary, folder, manifest, judgement)
    if reranking_data.is_judged(folder):
        _add_reranker(summary, folder, manifest, judgement)
    if is_audited(folder):
        _add_audit(summary, folder, manifest, judgement)
    return summary


def _add_growth(
    summary: dict[str, Any], folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]
) -> None:
    """The growth section; one that belongs to another corpus, other parts or labels is left out, and said to be."""
    if growth_data.belongs(folder, manifest, judgement):
        summary["growth"] = analyse(folder).as_json()
        return
    summary["warnings"].append(
        "The growth recording in this folder is of another corpus, other questions, pipelines or judgements and is "
        "left out; record it anew with 'ragprof grow --fresh'."
    )


def _add_injection(
    summary: dict[str, Any], folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]
) -> None:
    """The injection section and the pipelines' economics; answers of another eval are left out, and said to be."""
    if not injection_data.belongs(folder, manifest, judgement):
        summary["warnings"].append(
            "The answers in this folder are of another corpus, other questions, pipelines or judgements and are left "
            "out; record them anew with 'ragprof inject'."
        )
        return
    analyse_answers(folder).place(summary, "injection")
    summary["limits"] = [WITH_ANSWERS if line == RETRIEVAL_ONLY else line for line in summary["limits"]]


def _add_reranker(
    summary: dict[str, Any], folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]
) -> None:
    """The rerankers' sections; those of another corpus, other parts or labels are left out, and said to be."""
    if reranking_data.is_recorded(folder) and reranking_data.belongs(folder, manifest, judgement):
        analyse_rerankers(folder).place(summary, "reranker")
        return
    summary["warnings"].append(
        "The rerankers in this folder were recorded over another corpus, other questions, pipelines or judgements and "
        "are left out; record them anew with 'ragprof reranker'."
    )


def _add_audit(
    summary: dict[str, Any], folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]
) -> None:
    """The audit section; one of another corpus, other parts or labels is left out, and said to be."""
    if audit_belongs(folder, manifest, judgement):
        summary["audit"] = audit_of(folder)
        return
    summary["warnings"].append(
        "The audit in this folder is of another corpus, other questions, pipelines or judgements and is left out; "
        "make it anew with 'ragprof audit'."
    )
