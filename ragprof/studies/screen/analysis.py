"""Analyses a judged and priced screening: what adding the source would change, in words too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ragprof.core.recorded import VARIANTS
from ragprof.price.pricing import plain
from ragprof.record.belonging import basis_of, belongs
from ragprof.report import figures
from ragprof.report.figures import counted
from ragprof.statistics.draws import resampled
from ragprof.statistics.estimates import share_estimate
from ragprof.statistics.unseen import SIGNED, UNIT, Bounds
from ragprof.studies.contract import EstimateValue
from ragprof.studies.screen.record import AS_IT_IS, WITH_SAMPLE
from ragprof.studies.screen.recorded import EFFECTS, JUDGEMENT, MANIFEST, SAMPLED
from ragprof.studies.screen.section import ADDED, AddedEffect, ScreenedPipeline, ScreenSection
from ragprof.studies.variants import Measured, PricedVariant, priced


def is_screened(folder: Path) -> bool:
    """Whether a screening was finished and judged."""
    return all((folder / "screen" / name).exists() for name in ("manifest.json", "judgement.json"))


def screen_belongs(folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]) -> bool:
    """Whether it is of the same corpus, questions, pipelines and judgements as the recording it lies in."""
    place = folder / "screen"
    own, judged = MANIFEST.read(place / "manifest.json"), JUDGEMENT.read(place / "judgement.json")
    return belongs(basis_of(own), recording=own["recording"], judged=judged, manifest=manifest, judgement=judgement)


def analyse(folder: Path) -> ScreenSection:
    """The section of the summary. Raises BadInput where a file is missing."""
    place = folder / "screen"
    manifest, judgement = MANIFEST.read(place / "manifest.json"), JUDGEMENT.read(place / "judgement.json")
    sampled, effects = SAMPLED.read(place / "sampled.parquet"), EFFECTS.read(place / "effects.parquet")
    variants = priced(place, [AS_IT_IS, WITH_SAMPLE], metric=judgement["metric"], seed=manifest["config"]["seed"])
    times = manifest["source_documents"] / len(sampled)
    measured = Measured(place / VARIANTS / AS_IT_IS, judgement["metric"])
    pipelines = {
        name: _pipeline(rows, effects[effects["pipeline"] == name], sampled, measured, name, times=times,
                        queries=manifest["queries"], documents=manifest["source_documents"])
        for name, rows in variants.items()
    }  # fmt: skip
    section = ScreenSection(
        source=manifest["source"],
        metric=judgement["metric"],
        queries=manifest["queries"],
        resamples=judgement["resamples"],
        seed=manifest["seed"],
        source_documents=manifest["source_documents"],
        sampled_documents=len(sampled),
        sampled_passages=int(sampled["passages"].sum()),
        source_tokens=round(int(sampled["tokens"].sum()) * times),
        similar=_share(sampled["similar"], times) if manifest["has_vectors"] else None,
        copies=_share(sampled["copy"], times),
        pipelines=pipelines,
        statements=[],
    )
    return section.model_copy(update={"statements": list(_sentences(section))})


def _share(flags: pd.Series, times: float) -> EstimateValue:
    """Of a sample, with the exact interval; of the whole source the share itself."""
    found = share_estimate(int(flags.sum()), len(flags))
    whole = (found.mean or 0.0, found.mean or 0.0)
    return EstimateValue(mean=found.mean, interval=whole if times <= 1 else found.interval, n=found.n)


def _pipeline(
    rows: list[PricedVariant], effects: pd.DataFrame, sampled: pd.DataFrame, measured: Measured, name: str, *,
    times: float, queries: int, documents: int,
) -> ScreenedPipeline:  # fmt: skip
    today, with_sample = rows
    added_bytes = None
    if today.index_bytes is not None and with_sample.index_bytes is not None:
        added_bytes = round((with_sample.index_bytes - today.index_bytes) * times)
    embed = None
    if today.embed_usd is not None and with_sample.embed_usd is not None:
        embed = plain((Decimal(with_sample.embed_usd) - Decimal(today.embed_usd)) * Decimal(repr(times)))
    usd, tokens = measured.usd(name), measured.prompt_tokens(name)
    per_token = None if usd is None or not tokens.sum() else float(usd.sum() / tokens.sum())
    counts = {"source": documents, "all": len(sampled), "similar": int(sampled["similar"].sum())}
    counts["unrelated"] = counts["all"] - counts["similar"]
    found = []
    for added in ("source", *ADDED) if (effects["added"] == "source").any() else ADDED:
        mine = effects[effects["added"] == added].sort_values("resample")
        change = {key: _estimate(mine[key].to_numpy(), queries, SIGNED) for key in ("quality", "judged")}
        context = mine["context_tokens"].to_numpy()
        found.append(
            AddedEffect(
                added=added,
                documents=counts[added],
                quality=change["quality"],
                quality_of_half=None
                if change["quality"] is None or added == "source"
                else float(mine["quality_of_half"].iloc[0]),
                judged=change["judged"],
                from_source=_estimate(np.clip(mine["from_source"].to_numpy(), 0, 1), queries, UNIT)
                or EstimateValue(mean=None, interval=None, n=0),
                context_tokens=_estimate(context, queries) or EstimateValue(mean=None, interval=None, n=0),
                usd_per_1000=None if per_token is None else _estimate(context * per_token, queries),
            )
        )
    return ScreenedPipeline(
        quality=None if today.quality is None else today.quality.mean,
        judged=today.judged,
        context_tokens=today.context_tokens.mean or 0.0,
        index_bytes=today.index_bytes,
        added_index_bytes=added_bytes,
        added_embed_usd=embed,
        effects=found,
    )


def _estimate(values: Any, queries: int, bounds: Bounds | None = None) -> EstimateValue | None:
    """Of figures whose first is the estimate and whose others are resamples; `bounds` are those of one query."""
    if np.isnan(values).any():
        return None
    return EstimateValue(**resampled(values, queries, bounds=bounds))


def _sentences(section: ScreenSection) -> Iterator[str]:
    whole = section.sampled_documents >= section.source_documents
    size = counted(section.source_documents, "document")
    of = f"all {size}" if whole else f"{section.sampled_documents:,} of {size}, drawn with seed {section.seed}"
    if told := figures.from_least_to_most(_quality(section), figures.difference):
        yield f"Adding all of {section.source} changes {section.metric} by {told}."
    for name, each in section.pipelines.items():
        yield f"{name}: adding it {figures.listed(_changes(section, each.effects[0]))}."
        if not whole and (sample := each.effects[1]).quality is not None:
            told = figures.with_interval(sample.quality.mean, sample.quality.interval, figures.difference)
            half = (
                ""
                if sample.quality_of_half is None
                else f", half as many by {figures.difference(sample.quality_of_half)}"
            )
            yield f"{name}: the {sample.documents:,} of the sample alone change {section.metric} by {told}{half}."
    yield f"{section.source}: {of}; about {figures.rough_count(section.source_tokens)} tokens in all."
    if section.similar is not None:
        told = figures.with_interval(section.similar.mean, section.similar.interval, figures.share)
        yield (
            f"{told} of its documents are as close to what today's questions find as half of today's corpus is; the "
            "others are unrelated."
        )
    if section.copies.mean:
        told = figures.with_interval(section.copies.mean, section.copies.interval, figures.share)
        yield f"{told} of its documents are in the corpus already, word for word."
    if not whole:
        yield (
            "What the whole of it does is estimated from how many passages of the sample come before each of today's "
            "results; what the parts do is that of the sample. Size and price of the index are those of the whole."
        )
    if any(each.quality is not None for each in section.pipelines.values()):
        yield (
            "Nobody has judged the new documents: each counts as irrelevant here, so quality is what it costs the "
            "questions of today if the source answers none of them."
        )


def _quality(section: ScreenSection) -> dict[str, EstimateValue]:
    """The change by pipeline that all of it makes, where more than one was judged."""
    found = {name: each.effects[0].quality for name, each in section.pipelines.items()}
    return {name: each for name, each in found.items() if each is not None} if len(found) > 1 else {}


def _changes(section: ScreenSection, effect: AddedEffect) -> list[str]:
    """What adding it does, in words."""
    parts = []
    if effect.quality is not None:
        told = figures.with_interval(effect.quality.mean, effect.quality.interval, figures.difference)
        parts.append(f"changes {section.metric} by {told}")
    share = figures.with_interval(effect.from_source.mean, effect.from_source.interval, figures.share)
    parts.append(f"puts passages of the source into {share} of the places in prompts")
    tokens = figures.with_interval(
        effect.context_tokens.mean,
        effect.context_tokens.interval,
        lambda value: figures.signed(value, figures.mean_count),
    )
    parts.append(f"changes context tokens per query by {tokens}")
    return parts
