"""Analyses a judged and priced chunking recording: every way to cut against the eval's own, in words too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof.record.belonging import basis_of, belongs
from ragprof.report import figures
from ragprof.statistics.estimates import estimated, gained, share_estimate
from ragprof.studies.chunking.recorded import CUT, JUDGEMENT, MANIFEST, SPANS
from ragprof.studies.chunking.section import ChunkedPipeline, ChunkingSection, CutCorpus
from ragprof.studies.contract import EstimateValue
from ragprof.studies.variants import PairedFigure, changed, priced


def is_chunked(folder: Path) -> bool:
    """Whether a chunking recording was finished and judged."""
    return all((folder / "chunking" / name).exists() for name in ("manifest.json", "judgement.json"))


def chunking_belongs(folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]) -> bool:
    """Whether it is of the same corpus, questions, pipelines and judgements as the recording it lies in."""
    place = folder / "chunking"
    own, judged = MANIFEST.read(place / "manifest.json"), JUDGEMENT.read(place / "judgement.json")
    return belongs(basis_of(own), recording=own["recording"], judged=judged, manifest=manifest, judgement=judgement)


def analyse(folder: Path) -> ChunkingSection:
    """The section of the summary. Raises BadInput where a file is missing."""
    place = folder / "chunking"
    manifest, judgement = MANIFEST.read(place / "manifest.json"), JUDGEMENT.read(place / "judgement.json")
    spans, cut = SPANS.read(place / "spans.parquet"), CUT.read(place / "cut.parquet")
    names, seed = list(manifest["cuts"]), manifest["config"]["seed"]
    variants = priced(place, names, metric=judgement["metric"], seed=seed)
    first = next(iter(variants.values()))
    cuts = []
    for name, row in zip(names, first, strict=True):
        how, mine = manifest["cuts"][name] or {}, cut[cut["variant"] == name]["cut"]
        found = share_estimate(int(mine.sum()), len(mine)) if len(mine) else None
        cuts.append(
            CutCorpus(
                variant=name, splitter=how.get("splitter"), max_characters=how.get("max_characters"),
                overlap=how.get("overlap"), passages=row.passages, tokens=row.tokens,
                tokens_per_passage=row.tokens / row.passages,
                cut_answers=None if found is None else EstimateValue.of(found),
            )
        )  # fmt: skip
    pipelines = {
        name: [
            ChunkedPipeline(
                priced=row,
                **{
                    number: _paired(spans[spans["pipeline"] == name], number, row.variant, names[0], seed)
                    for number in ("recall", "precision", "iou")
                },
            )
            for row in rows
        ]
        for name, rows in variants.items()
    }
    section = ChunkingSection(
        budget=manifest["budget"], metric=judgement["metric"], queries=manifest["queries"],
        marked=judgement["marked"], answered=judgement["answered"], left_out=judgement["left_out"],
        cuts=cuts, pipelines=pipelines, statements=[],
    )  # fmt: skip
    return section.model_copy(update={"statements": list(_sentences(section))})


def _paired(spans: pd.DataFrame, number: str, variant: str, base: str, seed: int) -> PairedFigure | None:
    mine, first = (spans[spans["variant"] == name].set_index("query_id")[number] for name in (variant, base))
    if mine.empty:
        return None
    change = None if variant == base else EstimateValue(**estimated(gained(mine, first), bounds=None, seed=seed))
    return PairedFigure(mean=float(mine.mean()), change=change)


def _sentences(section: ChunkingSection) -> Iterator[str]:
    for name, rows in section.pipelines.items():
        told = [row for row in rows[1:] if row.recall is not None and row.recall.change is not None]
        decided = [row for row in told if _side(row.recall)]
        if not told:
            continue
        if not decided:
            yield f"{name}: none of them holds significantly more or less of the spans than the chunking as declared."
            continue
        best = max(decided, key=lambda row: row.recall.change.mean or 0 if row.recall and row.recall.change else 0)
        word = "more" if _side(best.recall) > 0 else "less"
        yield (
            f"{name}: with {best.priced.variant} the prompt holds {word} of the spans: token recall changes by "
            f"{changed(best.recall, figures.score)}, precision by {changed(best.precision, figures.score)}."
        )
    whole = section.queries - section.answered - section.marked
    kinds = [
        f"those that a file marks for {figures.counted(section.marked, 'question')}" if section.marked else "",
        f"the answers of {figures.counted(section.answered, 'question')}" if section.answered else "",
        f"the whole relevant documents of {whole:,}" if whole else "",
    ]
    yield (
        f"{len(section.cuts)} ways to cut the same documents, each in prompts of at most {section.budget:,} tokens; "
        f"spans are {figures.listed([each for each in kinds if each])}."
    )
    if section.left_out:
        reasons = figures.listed([f"{count:,} {reason}" for reason, count in section.left_out.items()])
        yield f"{figures.counted(sum(section.left_out.values()), 'span')} of the file could not be used: {reasons}."
    for cut in section.cuts:
        if cut.cut_answers is not None and cut.cut_answers.mean:
            share = figures.with_interval(cut.cut_answers.mean, cut.cut_answers.interval, figures.share)
            yield f"{cut.variant}: {share} of the answers stand whole in no passage."


def _side(found: PairedFigure | None) -> int:
    """-1 or 1 where the whole interval is on one side of 0."""
    span = found.change.interval if found and found.change else None
    if span is None or span[0] is None or span[1] is None:
        return 0
    return int(span[0] > 0) - int(span[1] < 0)
