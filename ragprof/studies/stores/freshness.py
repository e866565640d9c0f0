"""What changing an index did to it (recall, ghosts, latency, growth, a rebuild), and its first searches when cold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ragprof.report import figures
from ragprof.report.figures import counted
from ragprof.statistics.estimates import estimated, gained, latency_quantiles, quantile
from ragprof.statistics.unseen import SIGNED, UNIT
from ragprof.studies.contract import EstimateValue, Latency
from ragprof.studies.stores.churn import PHASES
from ragprof.studies.stores.recorded import CHANGED, COLD, OPENED, SIZES, WRITES
from ragprof.studies.stores.section import StoreChange, StoreCold, StorePhase, StoresSection


def phases_in(place: Path, manifest: Mapping[str, Any], seed: int) -> list[StorePhase]:
    """A row a setting and phase, in their order; none where no index was changed."""
    found = []
    for number in range(len(manifest.get("churned", ()))):
        table = CHANGED.read(place / "churn" / str(number) / "searches.parquet")
        for setting, searches in table.groupby("setting", sort=False):
            recalls = {phase: _recall(rows) for phase, rows in searches.groupby("phase", sort=False)}
            for phase in [each for each in PHASES if each in recalls]:
                rows, own = searches[searches["phase"] == phase], recalls[phase]
                change = (
                    None if phase == "before" else estimated(gained(own, recalls["before"]), bounds=SIGNED, seed=seed)
                )
                found.append(
                    StorePhase(
                        setting=setting,
                        phase=phase,
                        recall=EstimateValue(**estimated(own, bounds=UNIT, seed=seed)),
                        change=None if change is None else EstimateValue(**change),
                        searches=len(rows),
                        ghosts=int((rows["ghosts"] > 0).sum()),
                        stale=int((rows["stale"] > 0).sum()),
                        latency=Latency(**latency_quantiles(rows, seed=seed)),
                    )
                )
    return found


def _recall(rows: pd.DataFrame) -> pd.Series:
    """query_id -> mean over its searches for which something certain was to be found."""
    mine = rows[rows["wanted"] > 0]
    return (mine["hits"] / mine["wanted"]).groupby(mine["query_id"]).mean()


def changes_in(place: Path, manifest: Mapping[str, Any]) -> list[StoreChange]:
    """A row an index that was changed."""
    found = []
    for number, label in enumerate(manifest.get("churned", ())):
        writes = WRITES.read(place / "churn" / str(number) / "writes.parquet")
        sizes = SIZES.read(place / "churn" / str(number) / "sizes.parquet").iloc[0]
        passages = writes.groupby("kind")["passages"].sum()
        looked_for = writes[writes["kind"] != "delete"]["visible_ns"]
        visible, took = looked_for.dropna(), writes["duration_ns"].to_numpy(float)[:, None]
        found.append(
            StoreChange(
                index=label,
                deleted=int(passages.get("delete", 0)),
                replaced=int(passages.get("replace", 0)),
                inserted=int(passages.get("insert", 0)),
                writes=len(writes),
                seconds=round(
                    float((writes["start_ns"] + writes["duration_ns"]).max() - writes["start_ns"].min()) / 1e9, 3
                ),
                write_p50_ns=round(quantile(took, 0.5)),
                write_p95_ns=round(quantile(took, 0.95)),
                looked_for=len(looked_for),
                visible_p50_ns=None if visible.empty else round(quantile(visible.to_numpy(float)[:, None], 0.5)),
                visible_most_ns=None if visible.empty else int(visible.max()),
                never_visible=int(looked_for.isna().sum()),
                **{name: int(sizes[name]) for name in ("before_bytes", "after_bytes", "rebuilt_bytes", "rebuild_ns")},
            )
        )
    return found


def change_sentences(section: StoresSection) -> Iterator[str]:
    """What was lost, what came back as a ghost, what writes cost the searches, and what a rebuild gives back."""
    if not section.phases:
        return
    first = section.changes[0]
    what = figures.listed(
        [
            f"{count:,} {word}"
            for count, word in ((first.deleted, "deleted"), (first.replaced, "replaced"), (first.inserted, "inserted"))
            if count
        ]
    )
    yield _recall_told(section, f"While passages came and went ({what})")
    yield _ghosts_told(section)
    slower = [_slower(section, each.setting) for each in section.phases if each.phase == "during"]
    if not section.busy:
        yield f"Under writes the p95 of a search was {figures.listed(slower)} times that before."
    grown = [
        f"{each.index} {figures.size(each.before_bytes)} before, {figures.size(each.after_bytes)} after, "
        f"{figures.size(each.rebuilt_bytes)} built anew"
        for each in section.changes
    ]
    yield f"Size of the index: {'; '.join(grown)}."
    late = [
        f"{each.index} ({each.never_visible:,} of {each.looked_for:,})"
        for each in section.changes
        if each.never_visible
    ]
    if late:
        yield f"New passages were not found within ten seconds, by their own vectors, in {figures.listed(late)}."
    if section.unchanged:
        yield (f"Not changed, since its store lets no passage come and go: {figures.listed(section.unchanged)}.")


def _recall_told(section: StoresSection, during: str) -> str:
    """Settings whose recall surely fell, and how far; a rebuild stands beside."""
    after = {each.setting: each for each in section.phases if each.phase == "after"}
    rebuilt = {each.setting: each for each in section.phases if each.phase == "rebuilt"}
    before = {each.setting: each for each in section.phases if each.phase == "before"}
    fallen = [
        f"{name} (from {figures.score(before[name].recall.mean)} to {figures.score(each.recall.mean)}; built anew "
        f"{figures.score(rebuilt[name].recall.mean)})"
        for name, each in after.items()
        if each.change is not None and each.change.interval is not None and (each.change.interval[1] or 0) < 0
    ]
    if fallen:
        return f"{during}, recall@{section.k} fell of {figures.listed(fallen)}."
    return f"{during}, recall@{section.k} surely fell of no setting, against exact search over what was there."


def _ghosts_told(section: StoresSection) -> str:
    changed = [each for each in section.phases if each.phase in ("during", "after")]
    searches = counted(sum(each.searches for each in changed), "search", "searches")
    names = dict.fromkeys(each.setting for each in changed)
    found = {name: sum(max(each.ghosts, each.stale) for each in changed if each.setting == name) for name in names}
    told = [f"{name} ({count:,})" for name, count in found.items() if count]
    if not told:
        return f"None of {searches} found a passage that had been deleted or replaced before it began."
    return (
        f"Passages that had been deleted or replaced before were still found by {figures.listed(told)}, of {searches}."
    )


def _slower(section: StoresSection, setting: str) -> str:
    p95 = {each.phase: each.latency.p95_ns for each in section.phases if each.setting == setting}
    return f"{p95['during'] / max(1, p95['before']):.2f} ({setting})"


def cold_in(place: Path, manifest: Mapping[str, Any], seed: int) -> list[StoreCold]:
    """A row an index that was closed and opened again."""
    if not manifest.get("reopened"):
        return []
    searches, opened = COLD.read(place / "cold.parquet"), OPENED.read(place / "opened.parquet")
    found = []
    for (label, setting), opens in opened.groupby(["index", "setting"], sort=False):
        mine = searches[searches["index"] == label].assign(round=lambda rows: rows["restart"])
        first, warm = mine[(mine["place"] == 0) & ~mine["warm"]], mine["warm"]
        known = opens["resident"].dropna()
        found.append(
            StoreCold(
                index=label,
                setting=setting,
                restarts=len(opens),
                open_p50_ns=round(quantile(opens["open_ns"].to_numpy(float)[:, None], 0.5)),
                first=Latency(**latency_quantiles(first, seed=seed)),
                cold=Latency(**latency_quantiles(mine[~warm], seed=seed)),
                warm=Latency(**latency_quantiles(mine[warm], seed=seed)),
                resident=None if known.empty else round(float(known.max()), 4),
            )
        )
    return found


def cold_sentences(section: StoresSection) -> Iterator[str]:
    """How much slower first searches are, and whether the page cache was out of the way."""
    if not section.cold:
        return
    told = [f"{each.setting} ({figures.duration(each.first.p50_ns)})" for each in section.cold]
    yield f"The very first search after opening takes {figures.listed(told)} at the median of the restarts."
    kept = [each.index for each in section.cold if each.resident is None or each.resident > 0.05]
    if kept:
        yield (
            f"The system kept files of {figures.listed(kept)} in its page cache, or does not tell: there the process "
            "alone was cold."
        )
    if section.kept_open:
        yield f"Not closed and opened again, since they are not ragprof's own: {figures.listed(section.kept_open)}."
