"""The audit in summary.json: what differed, by stage, and how much of the quality interval that explains.

Reads the judged facts of audit/ and runs nothing.

The audit in plain words: a note to every row and the statements for the top. Computes nothing new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof.core import STAGES, files
from ragprof.evals import unpriced
from ragprof.record.belonging import Basis, belongs
from ragprof.statistics.estimates import mean_estimate

Row = Mapping[str, Any]
REPEATED = "repeated"
WAYS = {
    "in a batch": "alone or in one call with the others",
    "documents in a batch": "alone or in one call with the others",
    "one by one": "one candidate a call or all in one call",
    "reversed": "candidates in their order or in reverse",
}
LISTWISE = "listwise: scores depend on the other candidates"
SUBJECTS = {"embed": "query vectors", "search": "scores", "rerank": "scores", "generate": "answers"}
PARTS = {"embed": "embedder", "search": "store", "rerank": "reranker", "generate": "generator"}


def note(row: Row, rows: Sequence[Row], audit: Mapping[str, Any], *, listwise: bool) -> str:
    """How the row was checked, what its differences did, and where they come from."""
    if row["variant"] == REPEATED:
        words = [f"{audit['times']} times", earlier(row, rows)]
    else:
        words = [way(row["variant"], audit["threads"]), effect(row), unsettled(row, rows)]
        words.append(LISTWISE if listwise and row["variant"] == "one by one" else "")
    return "; ".join(word for word in words if word)


def way(variant: str, threads: Mapping[str, int | None]) -> str:
    """In which two ways the work was done."""
    return WAYS.get(variant) or f"on {threads['present']} or {threads['other']} threads"


def effect(row: Row) -> str:
    """What the differences changed; empty where there are none or nothing is known."""
    if row["identical"] or row["rankings_changed"] is None:
        return ""
    if row["rankings_changed"] == 0:
        return "changed no ranking"
    prompts = row["prompts_changed"]
    changed = f"changed {row['rankings_changed']} of {row['checked']} rankings"
    return changed if prompts is None else f"{changed} and {prompts} of {row['prompts_checked']} prompts"


def earlier(row: Row, rows: Sequence[Row]) -> str:
    """The first stage that differed for all queries that this one differed for: what it got was another thing."""
    if row["identical"]:
        return ""
    for stage in STAGES[: STAGES.index(row["stage"])]:
        before = [each["differing_queries"] for each in rows if each["stage"] == stage and each["variant"] == REPEATED]
        if set(row["differing_queries"]) <= {query_id for each in before for query_id in each}:
            return f"{stage} differed for the same queries"
    return ""


def unsettled(row: Row, rows: Sequence[Row]) -> str:
    """A stage that differs when it is only asked again shows that here too."""
    repeated = [each for each in rows if each["stage"] == row["stage"] and each["variant"] == REPEATED]
    if row["identical"] or all(each["identical"] for each in repeated):
        return ""
    return "it differs when only asked again, too"


def statements(section: Mapping[str, Any], configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What stayed the same and what moved, stage by stage; then ties and quality."""
    names = {pipeline["name"]: pipeline for pipeline in configs}
    sentences = [*_repeated(section), *_other_ways(section, names), _ties(section), _quality(section), *_shift(section)]
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences]


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _repeated(section: Mapping[str, Any]) -> Iterator[str]:
    """One sentence a stage and outcome; pipelines with the same outcome share it."""
    for stage in STAGES:
        outcomes: dict[tuple[Any, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        having = 0
        for name, pipeline in section["pipelines"].items():
            rows = [row for row in pipeline["stages"] if row["stage"] == stage and row["variant"] == REPEATED]
            having += bool(rows)
            for row in rows:
                key = (row["checked"] - row["differing"], row["checked"], row["largest_difference"] or 0.0)
                outcomes[key][row["what"]].append(name)
        for (same, checked, largest), found in outcomes.items():
            for pipelines, whats in _by_pipelines(found).items():
                where = f" in {_all(having)} pipelines" if len(pipelines) == having > 1 else f" in {listed(pipelines)}"
                moved = f" (up to {largest:.2g} apart)" if largest else ""
                queries = f"{same} of {checked} queries{where}"
                yield f"{stage} gave the same {listed(whats)} {section['times']} times for {queries}{moved}"


def _all(pipelines: int) -> str:
    return "both" if pipelines == 2 else f"all {pipelines}"


def _by_pipelines(found: Mapping[str, Sequence[str]]) -> dict[tuple[str, ...], list[str]]:
    result: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for what, pipelines in found.items():
        result[tuple(pipelines)].append(what)
    return result


def _other_ways(section: Mapping[str, Any], configs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One sentence a part and way that differs, over all pipelines that have the part; one a way for what does not."""
    grouped: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for name, pipeline in section["pipelines"].items():
        for row in pipeline["stages"]:
            if row["variant"] != REPEATED:
                grouped[row["stage"], configs[name][PARTS[row["stage"]]]["name"], row["variant"]].append(row)
    same: dict[str, list[str]] = defaultdict(list)
    for (stage, part, variant), rows in sorted(grouped.items(), key=lambda item: STAGES.index(item[0][0])):
        subject = "document vectors" if variant == "documents in a batch" else SUBJECTS[stage]
        in_ways = way(variant, section["threads"])
        if all(row["identical"] for row in rows):
            same[in_ways].append(f"{subject} of {part}")
        else:
            reason = f" ({LISTWISE})" if any(LISTWISE in row["note"] for row in rows) else ""
            yield f"{subject} of {part}, {in_ways}: {_apart(summed(rows))}{reason}"
    for in_ways, subjects in same.items():
        yield f"{in_ways}, the same to the last bit: {listed(subjects)}"


def summed(rows: Sequence[Row]) -> dict[str, Any]:
    """Rows of several pipelines as one."""
    sizes = [row["largest_difference"] for row in rows if row["largest_difference"] is not None]
    total = {key: sum(row[key] for row in rows) for key in ("checked", "differing", "prompts_checked")}
    told = {
        key: sum(row[key] or 0 for row in rows) if any(row[key] is not None for row in rows) else None
        for key in ("rankings_changed", "prompts_changed")
    }
    identical = all(row["identical"] for row in rows)
    return {
        **total,
        **told,
        "pipelines": len(rows),
        "identical": identical,
        "largest_difference": max(sizes, default=None),
    }


def _apart(row: Row) -> str:
    size = row["largest_difference"]
    apart = "different" if size is None else f"up to {size:.2g} apart"
    where = "" if row["pipelines"] == 1 else f" in {row['pipelines']} pipelines"
    words = [f"{apart} for {row['differing']} of {row['checked']} queries{where}", effect(row)]
    return ", which ".join(word for word in words if word)


def _ties(section: Mapping[str, Any]) -> str:
    tied = {name: pipeline["ties"] for name, pipeline in section["pipelines"].items() if pipeline["ties"]["queries"]}
    if not tied:
        return f"no tie goes through a cut at the depth or at k in any of {section['queries']} queries"
    counts = [f"{ties['queries']} of {ties['checked']} queries in {name}" for name, ties in tied.items()]
    return f"equal scores on both sides of the cut at the depth or at k, so that ids decide: {listed(counts)}"


def _quality(section: Mapping[str, Any]) -> str:
    name, quality = max(
        ((name, pipeline["quality"]) for name, pipeline in section["pipelines"].items()),
        key=lambda item: item[1]["spread"],
    )
    over = f"over {section['times']} repetitions"
    if not quality["spread"]:
        return f"mean {quality['metric']} is the same {over} in every pipeline"
    share = "" if quality["share"] is None else f", {quality['share']:.1%} of its interval's width"
    return f"mean {quality['metric']} moves by up to {quality['spread']:.2g} {over}{share} ({name})"


def _shift(section: Mapping[str, Any]) -> Iterator[str]:
    """The largest shift of the mean that another batch or another number of threads brings, if there is one."""
    shifted = [
        (abs(row["quality_shift"]), name, row, pipeline["quality"]["metric"])
        for name, pipeline in section["pipelines"].items()
        for row in pipeline["stages"]
        if row["quality_shift"]
    ]
    if shifted:
        size, name, row, metric = max(shifted, key=lambda item: item[0])
        share = "" if row["share"] is None else f", {row['share']:.1%} of its interval's width"
        yield (
            f"the largest shift of mean {metric} by another batch or number of threads is {size:.2g}{share} "
            f"({name}, {row['stage']}: {way(row['variant'], section['threads'])})"
        )


@dataclass(frozen=True)
class Facts:
    """A judged audit as it lies on disk."""

    manifest: Mapping[str, Any]
    metric: str
    checks: pd.DataFrame
    ties: pd.DataFrame
    scores: pd.DataFrame

    @property
    def pipelines(self) -> list[Mapping[str, Any]]:
        return list(self.manifest["config"]["pipelines"])


@dataclass(frozen=True)
class Quality:
    """One pipeline's metric in every run of the audit."""

    metric: str
    scores: pd.DataFrame
    seed: int

    @cached_property
    def means(self) -> Mapping[str, float]:
        """By run: `1`, `2`, ... for the repetitions, `stage: variant` for another way that changed some ranking."""
        return {str(run): float(rows.mean()) for run, rows in self.scores.groupby("run", sort=False)["value"]}

    @cached_property
    def width(self) -> float | None:
        """Of the interval of the first repetition's mean; None where there is no interval."""
        first = self.scores[self.scores["run"] == "1"].sort_values("query_id")["value"]
        interval = mean_estimate(first.to_numpy(), seed=self.seed).interval
        return None if interval is None else interval[1] - interval[0]

    def share(self, moved: float | None) -> float | None:
        """Of the interval's width; None where that is nothing."""
        return abs(moved) / self.width if moved is not None and self.width else None

    def shift(self, run: str) -> float:
        """Mean of that run minus the mean of the first repetition; 0 where the run changed no ranking."""
        return self.means.get(run, self.means["1"]) - self.means["1"]

    def as_json(self) -> dict[str, Any]:
        repeated = [mean for run, mean in self.means.items() if run.isdigit()]
        spread = max(repeated) - min(repeated)
        return {
            "metric": self.metric, "mean": self.means["1"], "spread": spread,
            "interval_width": self.width, "share": self.share(spread),
        }  # fmt: skip


def is_audited(folder: Path) -> bool:
    """Whether an audit was finished and judged."""
    return all((folder / "audit" / name).exists() for name in ("manifest.json", "judgement.json"))


def audit_belongs(folder: Path, manifest: Mapping[str, Any], judgement: Mapping[str, Any]) -> bool:
    """Whether the audit is of the same corpus, questions, pipelines and judgements as the recording it lies in."""
    audit, judged = (files.read_json(folder / "audit" / name) for name in ("manifest.json", "judgement.json"))
    basis = Basis(
        corpus=audit["corpus"]["sha256"],
        questions=audit["questions"],
        pipelines=unpriced(audit["config"]["pipelines"]),
        identities=audit["identities"],
    )
    return belongs(basis, recording=audit["recording"], judged=judged, manifest=manifest, judgement=judgement)


def audit_of(folder: Path) -> dict[str, Any]:
    """The section of the summary. Raises BadInput where something is missing."""
    place = folder / "audit"
    facts = Facts(
        files.read_json(place / "manifest.json"),
        str(files.read_json(place / "judgement.json")["metric"]),
        *(files.read_table(place / f"{name}.parquet") for name in ("checks", "ties", "scores")),
    )
    section: dict[str, Any] = {
        "times": facts.manifest["times"],
        "queries": len(facts.manifest["queries"]),
        "threads": facts.manifest["threads"],
        "pipelines": {pipeline["name"]: _pipeline(facts, pipeline["name"]) for pipeline in facts.pipelines},
    }
    return {**section, "statements": statements(section, facts.pipelines)}


def _pipeline(facts: Facts, name: str) -> dict[str, Any]:
    checks, ties, scores = (table[table["pipeline"] == name] for table in (facts.checks, facts.ties, facts.scores))
    quality = Quality(facts.metric, scores, facts.manifest["config"]["seed"])
    rows = [
        stage_row(each, quality) for _, each in checks.groupby(["stage", "what", "variant"], sort=False, observed=True)
    ]
    rows.sort(key=lambda row: STAGES.index(row["stage"]))
    for row in rows:
        row["note"] = note(row, rows, facts.manifest, listwise=facts.manifest["pointwise"].get(name) is False)
    return {"stages": rows, "ties": ties_of(ties), "quality": quality.as_json()}


def stage_row(checks: pd.DataFrame, quality: Quality) -> dict[str, Any]:
    """One stage done in one other way, over all queries. Effects and shifts are None where it was only repeated."""
    first = checks.iloc[0]
    largest = checks["largest_difference"].max()
    changed = _count(checks["ranking_changed"])
    shift = None
    if changed is not None and (changed == 0 or _is_judged(first)):
        shift = quality.shift(f"{first['stage']}: {first['variant']}")
    return {
        "stage": first["stage"],
        "what": first["what"],
        "variant": first["variant"],
        "checked": len(checks),
        "differing": int((~checks["identical"]).sum()),
        "differing_queries": sorted(checks.loc[~checks["identical"], "query_id"]),
        "largest_difference": None if pd.isna(largest) else float(largest),
        "identical": bool(checks["identical"].all()),
        "rankings_changed": changed,
        "prompts_changed": _count(checks["injection_changed"]),
        "prompts_checked": int(checks["injection_changed"].notna().sum()),
        "quality_shift": shift,
        "share": quality.share(shift),
    }


def ties_of(ties: pd.DataFrame) -> dict[str, Any]:
    """How many queries have a tie that a cut goes through."""
    tied = int((ties["at_depth"] | ties["at_k"]).sum())
    at_depth, at_k = int(ties["at_depth"].sum()), int(ties["at_k"].sum())
    return {"queries": tied, "share": tied / len(ties), "at_depth": at_depth, "at_k": at_k, "checked": len(ties)}


def _is_judged(check: pd.Series) -> bool:
    """Whether what this way leads to was recorded to the end; of vectors of documents only their order is known."""
    return bool(check["variant"] != "documents in a batch")


def _count(changed: pd.Series) -> int | None:
    """How many are true; None where nothing could be told."""
    return None if changed.isna().all() else int(changed.sum())
