"""Analyses a judged and priced curate recording: what was found, and what removing it changes, in words too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof.corpus.redundancy import REDUNDANT
from ragprof.record.belonging import basis_of, belongs
from ragprof.report import figures
from ragprof.report.figures import counted, listed
from ragprof.studies.curate.record import ALL, AS_IT_IS
from ragprof.studies.curate.recorded import JUDGEMENT, LINES, MANIFEST, REVIEW
from ragprof.studies.curate.section import CurateSection, KindFound, LineFound, ReviewLine
from ragprof.studies.variants import PairedFigure, changed, priced

REVIEWED, REPEATED = 20, 10
"""Lines of the list and of boilerplate that a report shows of each kind."""
NAMES: Mapping[str, str] = {
    AS_IT_IS: "as it is", ALL: "without all of these", "exact": "without exact copies", "empty": "without empty pages",
    "stale": "without old versions", "contradicting": "without contradicting versions",
    "near": "without near copies", "reworded": "without reworded copies", "boilerplate": "without boilerplate",
    "lines": "without repeated lines",
}  # fmt: skip
WHAT: Mapping[str, tuple[str, str]] = {
    "exact": ("exact copy", "exact copies"),
    "empty": ("empty page", "empty pages"),
    "stale": ("old version", "old versions"),
    "contradicting": (
        "version that contradicts the one that is kept",
        "versions that contradict the ones that are kept",
    ),
    "near": ("near copy", "near copies"),
    "reworded": ("copy in other words", "copies in other words"),
    "boilerplate": ("document with boilerplate", "documents with boilerplate"),
    "lines": ("document with repeated lines", "documents with repeated lines"),
}


def is_curated(folder: Path) -> bool:
    """Whether a curate recording was finished and judged."""
    return all((folder / "curate" / name).exists() for name in ("manifest.json", "judgement.json"))


def curate_belongs(folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]) -> bool:
    """Whether it is of the same corpus, questions, pipelines and judgements as the recording it lies in."""
    own, judged = (
        MANIFEST.read(folder / "curate" / "manifest.json"),
        JUDGEMENT.read(folder / "curate" / "judgement.json"),
    )
    return belongs(basis_of(own), recording=own["recording"], judged=judged, manifest=manifest, judgement=judgement)


def analyse(folder: Path) -> CurateSection:
    """The section of the summary. Raises BadInput where a file is missing."""
    place = folder / "curate"
    manifest, judgement = MANIFEST.read(place / "manifest.json"), JUDGEMENT.read(place / "judgement.json")
    review, lines = REVIEW.read(place / "review.parquet"), LINES.read(place / "lines.parquet")
    pipelines = priced(place, manifest["variants"], metric=judgement["metric"], seed=manifest["config"]["seed"])
    first = next(iter(pipelines.values()))[0]
    kinds = [
        KindFound(
            kind=kind, documents=len(mine), passages=int(mine["passages"].sum()), tokens=int(mine["tokens"].sum())
        )
        for kind in REDUNDANT
        for mine in (review[review["kind"] == kind],)
    ]
    section = CurateSection(
        metric=judgement["metric"],
        queries=manifest["queries"],
        judged=judgement["judged"],
        passages=first.passages,
        documents=first.documents,
        tokens=first.tokens,
        without_text=manifest["without_text"],
        searched_vectors=manifest["searched_vectors"],
        kinds=kinds,
        pipelines=pipelines,
        review=[_line(row) for kind in REDUNDANT for row in _rows(review[review["kind"] == kind].head(REVIEWED))],
        review_lines=len(review),
        lines=[LineFound(**row) for row in _rows(lines.head(REPEATED))],
        statements=[],
    )
    sentences = [*_found(section), *_removed(section), *_copies(section)]
    return section.model_copy(update={"statements": sentences})


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _line(row: Mapping[str, Any]) -> ReviewLine:
    known = {key: None if pd.isna(row[key]) else row[key] for key in ("title", "reason", "similarity")}
    return ReviewLine(
        kind=row["kind"], document=row["document"], kept=row["kept"], passages=row["passages"],
        title=known["title"], reason=known["reason"], similarity=known["similarity"],
    )  # fmt: skip


def _found(section: CurateSection) -> Iterator[str]:
    there = [each for each in section.kinds if each.documents]
    if not there:
        yield f"Nothing redundant was found in {counted(section.documents, 'document')}."
        return
    told = listed([counted(each.documents, *WHAT[each.kind]) for each in there])
    share = sum(each.tokens for each in there) / section.tokens
    yield (
        f"Of {counted(section.documents, 'document')}: {told}; together {figures.share(share)} of the corpus's tokens."
    )
    if section.searched_vectors is None:
        yield "No pipeline has vectors, so copies in other words were not looked for."


def _removed(section: CurateSection) -> Iterator[str]:
    """What removing all of it changes, by pipeline."""
    for name, rows in section.pipelines.items():
        if len(rows) == 1:
            continue
        last, first = rows[-1], rows[0]
        parts = [
            f"{section.metric} by {changed(last.quality, figures.score)}" if last.quality else "",
            f"context tokens per query by {changed(last.context_tokens, figures.mean_count)}",
            f"cost per 1,000 queries by {changed(last.usd_per_1000, figures.usd)}" if last.usd_per_1000 else "",
        ]
        told = listed([each for each in parts if each])
        size = ""
        if first.index_bytes is not None and last.index_bytes is not None:
            size = f"; its index has {figures.size(last.index_bytes)} instead of {figures.size(first.index_bytes)}"
        removed = NAMES[last.variant].removeprefix("without ").replace("all of these", "all of it")
        yield f"{name}: removing {removed} changes {told}{size}."


def _copies(section: CurateSection) -> Iterator[str]:
    """Where plain scoring and copies as one disagree."""
    for name, rows in section.pipelines.items():
        judged = [row for row in rows[1:] if row.quality and row.as_one]
        apart = [row for row in judged if _side(row.quality) != _side(row.as_one)]
        if apart:
            row = apart[0]
            yield (
                f"{name}, {NAMES[row.variant]}: {section.metric} changes by {changed(row.quality, figures.score)} as "
                f"judged, and by {changed(row.as_one, figures.score)} with copies as one. A copy that nobody judged "
                "counts as irrelevant in the first; the second is what readers see."
            )


def _side(figure: PairedFigure | None) -> int:
    """-1 or 1 where the whole interval is on one side of 0."""
    span = figure.change.interval if figure and figure.change else None
    if span is None or span[0] is None or span[1] is None:
        return 0
    return int(span[0] > 0) - int(span[1] < 0)
