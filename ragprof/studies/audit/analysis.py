"""Analyses a judged audit: what differed, by stage, and how much of the quality interval that explains, in words too.

Reads the files of audit/ and runs nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof.core import STAGES
from ragprof.evals import unpriced
from ragprof.record.belonging import Basis, belongs
from ragprof.report.figures import counted, listed
from ragprof.statistics.estimates import mean_estimate
from ragprof.statistics.unseen import UNIT
from ragprof.studies.audit.checks import DOCUMENTS_IN_A_BATCH, IN_A_BATCH, ONE_BY_ONE, REPEATED, REVERSED
from ragprof.studies.audit.recorded import CHECKS, JUDGEMENT, MANIFEST, SCORES, TIES
from ragprof.studies.audit.section import (
    AuditedPipeline,
    AuditSection,
    CutTies,
    RepeatedQuality,
    StageCheck,
    ThreadCounts,
)

WAYS = {
    IN_A_BATCH: "alone or in one call with the others",
    DOCUMENTS_IN_A_BATCH: "alone or in one call with the others",
    ONE_BY_ONE: "one candidate a call or all in one call",
    REVERSED: "candidates in their order or in reverse",
}
LISTWISE = "listwise: scores depend on the other candidates"
SUBJECTS = {"embed": "query vectors", "search": "scores", "rerank": "scores", "generate": "answers"}
PARTS = {"embed": "embedder", "search": "store", "rerank": "reranker", "generate": "generator"}


def is_audited(folder: Path) -> bool:
    """Whether an audit was finished and judged."""
    return all((folder / "audit" / name).exists() for name in ("manifest.json", "judgement.json"))


def audit_belongs(folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]) -> bool:
    """Whether the audit is of the same corpus, questions, pipelines and judgements as the recording it lies in."""
    audit, judged = (
        recorded.read(folder / "audit" / name)
        for name, recorded in {"manifest.json": MANIFEST, "judgement.json": JUDGEMENT}.items()
    )
    # With --answers a pipeline without a generator was given that of [injection], which is no part of the recording.
    given = {one["name"]: {"generator": None} for one in audit["config"]["pipelines"] if one.get("generator") is None}
    basis = Basis(
        corpus=audit["corpus"]["sha256"],
        questions=audit["questions"],
        pipelines=unpriced(audit["config"]["pipelines"]),
        identities={name: parts | given.get(name, {}) for name, parts in audit["identities"].items()},
    )
    return belongs(basis, recording=audit["recording"], judged=judged, manifest=manifest, judgement=judgement)


def analyse(folder: Path) -> AuditSection:
    """The section of the summary. Raises BadInput where a file of the audit is missing."""
    place = folder / "audit"
    manifest, metric = MANIFEST.read(place / "manifest.json"), JUDGEMENT.read(place / "judgement.json")["metric"]
    checks, ties = CHECKS.read(place / "checks.parquet"), TIES.read(place / "ties.parquet")
    every = SCORES.read(place / "scores.parquet")
    config = manifest["config"]
    configs = {
        pipeline["name"]: {**pipeline, "generator": pipeline.get("generator") or config["injection"]["generator"]}
        for pipeline in config["pipelines"]
    }
    counts = ThreadCounts(**manifest["threads"])
    pipelines = {}
    for name in configs:
        mine, tied, scores = (table[table["pipeline"] == name] for table in (checks, ties, every))
        found = _pipeline(mine, tied, scores, metric, manifest)
        listwise = manifest["pointwise"].get(name) is False
        stages = noted(found.stages, counts, times=manifest["times"], listwise=listwise)
        pipelines[name] = found.model_copy(update={"stages": stages})
    section = AuditSection(
        times=manifest["times"], queries=len(manifest["queries"]), threads=counts, pipelines=pipelines
    )
    sentences = [*_overall(section), *_repeated(section), *_other_ways(section, configs), *_of_pipelines(section)]
    return section.model_copy(update={"statements": [f"{words[0].upper()}{words[1:]}." for words in sentences]})


def _pipeline(
    checks: pd.DataFrame, ties: pd.DataFrame, scores: pd.DataFrame, metric: str, manifest: Mapping[str, Any]
) -> AuditedPipeline:
    # By run: `1`, `2`, ... for the repetitions, `stage: variant` for another way that changed some ranking.
    means = {str(run): float(rows.mean()) for run, rows in scores.groupby("run", sort=False)["value"]}
    first = scores[scores["run"] == "1"].sort_values("query_id")["value"]
    interval = mean_estimate(first.to_numpy(), bounds=UNIT, seed=manifest["config"]["seed"]).interval
    width = None if interval is None else interval[1] - interval[0]
    repeated = [mean for run, mean in means.items() if run.isdigit()]
    quality = None
    if repeated:
        spread = max(repeated) - min(repeated)
        explained = spread / width if width else None
        quality = RepeatedQuality(metric=metric, mean=means["1"], spread=spread, interval_width=width, share=explained)
    rows = [
        stage_check(each, means, width)
        for _, each in checks.groupby(["stage", "what", "variant"], sort=False, observed=True)
    ]
    at_depth, at_k = ties["at_depth"], ties["at_k"]
    tied = int((at_depth | at_k).sum())
    share = tied / len(ties)
    return AuditedPipeline(
        stages=sorted(rows, key=lambda row: STAGES.index(row.stage)),
        ties=CutTies(queries=tied, share=share, at_depth=int(at_depth.sum()), at_k=int(at_k.sum()), checked=len(ties)),
        quality=quality,
    )


def stage_check(checks: pd.DataFrame, means: Mapping[str, float], width: float | None) -> StageCheck:
    """One stage done in one other way, over all queries. Effects and shifts are None where it was only repeated."""
    stage, what, variant = (checks.iloc[0][column] for column in ("stage", "what", "variant"))
    largest = checks["largest_difference"].max()
    rankings, prompts = (
        None if checks[column].isna().all() else int(checks[column].sum())
        for column in ("ranking_changed", "injection_changed")
    )
    shift = None
    # Of vectors of documents only the order of what was found is known: no ranking was recorded that could be judged.
    if means and rankings is not None and (rankings == 0 or variant != DOCUMENTS_IN_A_BATCH):
        shift = means.get(f"{stage}: {variant}", means["1"]) - means["1"]
    return StageCheck(
        stage=stage,
        what=what,
        variant=variant,
        checked=len(checks),
        differing=int((~checks["identical"]).sum()),
        differing_queries=sorted(checks.loc[~checks["identical"], "query_id"]),
        largest_difference=None if pd.isna(largest) else float(largest),
        identical=bool(checks["identical"].all()),
        rankings_changed=rankings,
        prompts_changed=prompts,
        prompts_checked=int(checks["injection_changed"].notna().sum()),
        quality_shift=shift,
        share=abs(shift) / width if shift is not None and width else None,
    )


def noted(rows: Sequence[StageCheck], threads: ThreadCounts, *, times: int, listwise: bool) -> list[StageCheck]:
    """The rows, each with how it was checked, what its differences did, and where they come from."""
    repeated = [row for row in rows if row.variant == REPEATED]
    differing = {
        stage: {query_id for row in repeated if row.stage == stage for query_id in row.differing_queries}
        for stage in STAGES
    }

    def note(row: StageCheck) -> str:
        if row.variant == REPEATED:
            # Only what differs asks for a cause: the first stage before it that differed for all of its queries.
            earlier = () if row.identical else STAGES[: STAGES.index(row.stage)]
            cause = next((stage for stage in earlier if set(row.differing_queries) <= differing[stage]), None)
            return f"{times} times" + (f"; {cause} differed for the same queries" if cause else "")
        unsettled = not row.identical and bool(differing[row.stage])
        words = [
            way(row.variant, threads),
            effect([row]),
            "it differs when only asked again, too" if unsettled else "",
            LISTWISE if listwise and row.variant == ONE_BY_ONE else "",
        ]
        return "; ".join(word for word in words if word)

    return [row.model_copy(update={"note": note(row)}) for row in rows]


def way(variant: str, threads: ThreadCounts) -> str:
    """In which two ways the work was done."""
    return WAYS.get(variant) or f"on {threads.present} or {threads.other} threads"


def effect(rows: Sequence[StageCheck]) -> str:
    """What the differences of these rows changed; empty where there are none or nothing is known."""
    known = [row.rankings_changed for row in rows if row.rankings_changed is not None]
    if not known or all(row.identical for row in rows):
        return ""
    if not sum(known):
        return "changed no ranking"
    changed = f"changed {sum(known)} of {sum(row.checked for row in rows)} rankings"
    prompts = [row.prompts_changed for row in rows if row.prompts_changed is not None]
    if not prompts:
        return changed
    return f"{changed} and {sum(prompts)} of {sum(row.prompts_checked for row in rows)} prompts"


def queries(number: int) -> str:
    """`1 query`, `20 queries`."""
    return counted(number, "query", "queries")


def _overall(section: AuditSection) -> Iterator[str]:
    """The answer: how much of what was done again was the same to the last bit."""
    checks = [each for pipeline in section.pipelines.values() for each in pipeline.stages]
    same = sum(each.identical for each in checks)
    if same == len(checks):
        yield f"everything repeats to the last bit: {counted(same, 'check')} over all stages"
    else:
        yield f"{same:,} of {counted(len(checks), 'check')} repeat to the last bit, {len(checks) - same:,} do not"


def _repeated(section: AuditSection) -> Iterator[str]:
    """One sentence per stage and outcome; pipelines with the same outcome share it."""
    for stage in STAGES:
        outcomes: dict[tuple[int, int, float], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        having = set()
        for name, pipeline in section.pipelines.items():
            for row in pipeline.stages:
                if row.stage == stage and row.variant == REPEATED:
                    having.add(name)
                    key = (row.checked - row.differing, row.checked, row.largest_difference or 0.0)
                    outcomes[key][row.what].append(name)
        for (same, checked, largest), found in outcomes.items():
            shared: dict[tuple[str, ...], list[str]] = defaultdict(list)
            for what, pipelines in found.items():
                shared[tuple(pipelines)].append(what)
            for names, whats in shared.items():
                every = "both" if len(having) == 2 else f"all {len(having)}"
                where = f"{every} pipelines" if len(names) == len(having) > 1 else listed(names)
                moved = f" (up to {largest:.2g} apart)" if largest else ""
                same_of = f"{same} of {queries(checked)} in {where}{moved}"
                yield f"{stage} gave the same {listed(whats)} {section.times} times for {same_of}"


def _other_ways(section: AuditSection, configs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One sentence per part and way that differs, over all pipelines that have it; one per way for what does not."""
    grouped: dict[tuple[str, str, str], list[StageCheck]] = defaultdict(list)
    for name, pipeline in section.pipelines.items():
        for row in pipeline.stages:
            if row.variant != REPEATED:
                grouped[row.stage, configs[name][PARTS[row.stage]]["name"], row.variant].append(row)
    same: dict[str, list[str]] = defaultdict(list)
    for (stage, part, variant), rows in sorted(grouped.items(), key=lambda item: STAGES.index(item[0][0])):
        subject = "document vectors" if variant == DOCUMENTS_IN_A_BATCH else SUBJECTS[stage]
        in_ways = way(variant, section.threads)
        if all(row.identical for row in rows):
            same[in_ways].append(f"{subject} of {part}")
            continue
        sizes = [row.largest_difference for row in rows if row.largest_difference is not None]
        apart = f"up to {max(sizes):.2g} apart" if sizes else "different"
        differing, checked = (sum(getattr(row, key) for row in rows) for key in ("differing", "checked"))
        where = "" if len(rows) == 1 else f" in {len(rows)} pipelines"
        did = f", which {effect(rows)}" if effect(rows) else ""
        reason = f" ({LISTWISE})" if any(LISTWISE in row.note for row in rows) else ""
        yield f"{subject} of {part}, {in_ways}: {apart} for {differing} of {queries(checked)}{where}{did}{reason}"
    for in_ways, subjects in same.items():
        yield f"{in_ways}, the same to the last bit: {listed(subjects)}"


def _of_pipelines(section: AuditSection) -> Iterator[str]:
    """Ties at the cut, the mean of the pipeline where it moves most, and the largest shift of a mean, if there is one.

    A shift is what another batch or another number of threads brings.
    """
    tied = {name: pipeline.ties for name, pipeline in section.pipelines.items() if pipeline.ties.queries}
    counts = [f"{ties.queries} of {queries(ties.checked)} in {name}" for name, ties in tied.items()]
    if tied:
        yield f"equal scores on both sides of the cut at the depth or at k, so that ids decide: {listed(counts)}"
    else:
        yield f"no tie goes through a cut at the depth or at k in any of {queries(section.queries)}"
    qualities = {name: one.quality for name, one in section.pipelines.items() if one.quality is not None}
    if not qualities:
        return
    name = max(qualities, key=lambda each: qualities[each].spread)
    quality, over = qualities[name], f"over {section.times} repetitions"
    if quality.spread:
        yield f"mean {quality.metric} moves by up to {quality.spread:.2g} {over}{_of_width(quality.share)} ({name})"
    else:
        yield f"mean {quality.metric} is the same {over} in every pipeline"
    shifted = [
        (abs(row.quality_shift), name, row, quality.metric)
        for name, quality in qualities.items()
        for row in section.pipelines[name].stages
        if row.quality_shift
    ]
    if shifted:
        size, name, row, metric = max(shifted, key=lambda item: item[0])
        yield (
            f"the largest shift of mean {metric} by another batch or number of threads is {size:.2g}"
            f"{_of_width(row.share)} ({name}, {row.stage}: {way(row.variant, section.threads)})"
        )


def _of_width(share: float | None) -> str:
    return "" if share is None else f", {share:.1%} of its interval's width"
