"""The recordings below a folder, a row each, from their summaries alone; what cannot be read is a row with its reason.

Links are not followed. Of a summary only what a row shows is decoded, so that twenty of them are read in a moment.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ragprof.core.errors import BadInput
from ragprof.report import figures
from ragprof.session.drawn import SUMMARY
from ragprof.studies.profile.section import FORMAT

DEEPEST = 3
"""Folders below the one that is viewed in which recordings are looked for."""
MOST = 2000
"""Recordings that are listed; the newest folders' first."""
MOST_BYTES = 64 * 1024 * 1024
"""A summary that is larger is none of ours."""


class MeanShown(msgspec.Struct):
    """A mean of a summary with its interval."""

    mean: float | None = None
    interval: tuple[float | None, float | None] | None = None


class TimesShown(msgspec.Struct):
    """End-to-end latency in ns."""

    p50_ns: float | None = None
    p50_interval_ns: tuple[float, float] | None = None
    p95_ns: float | None = None
    p95_interval_ns: tuple[float, float] | None = None
    n: int = 0


class CostShown(msgspec.Struct):
    """USD per 1,000 queries, as decimal strings."""

    total: str | None = None
    interval: tuple[str | None, str | None] | None = None


class PipelineShown(msgspec.Struct):
    """What a row shows of a pipeline."""

    end_to_end: TimesShown | None = None
    cost_usd_per_1000_queries: CostShown = msgspec.field(default_factory=CostShown)
    scores: dict[str, dict[str, MeanShown]] = {}


class CorpusShown(msgspec.Struct):
    """The corpus."""

    name: str = ""
    docs: int = 0


class VerdictShown(msgspec.Struct):
    """Of the reranker's study."""

    verdict: str = ""


class TracesShown(msgspec.Struct):
    """A profile of traces."""

    traces: int = 0
    pipelines: dict[str, PipelineShown] = {}
    headline: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Summary(msgspec.Struct):
    """What a row needs of summary.json."""

    format: int
    eval: str
    created: str
    revision: str | None = None
    title: str = ""
    corpus: CorpusShown = msgspec.field(default_factory=CorpusShown)
    queries: int = 0
    pipelines: dict[str, PipelineShown] = {}
    final_stage: dict[str, str] = {}
    headline: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    reranker: dict[str, VerdictShown] = {}
    trace: TracesShown | None = None


@dataclass(frozen=True)
class Shelf:
    """A folder of recordings. Reads again what has changed since it was last asked."""

    root: Path

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise BadInput("no such folder; give that of your recordings, such as reports", file=self.root)
        object.__setattr__(self, "_read", {})

    def rows(self) -> list[dict[str, Any]]:
        """A row for every recording, the newest first."""
        rows = [self._row(folder) for folder in self._folders()]
        return sorted(rows, key=lambda row: str(row["created"]), reverse=True)

    def folder(self, key: str) -> Path | None:
        """The recording that a row's key stands for; None where it is gone."""
        return next((folder for folder in self._folders() if key_of(folder) == key), None)

    def _folders(self) -> Iterator[Path]:
        found, level = 0, [self.root]
        for _ in range(DEEPEST + 1):
            below: list[Path] = []
            for folder in level:
                if (folder / "manifest.json").is_file() or (folder / SUMMARY).is_file():
                    yield folder
                    found += 1
                    if found == MOST:
                        return
                    continue
                try:
                    with os.scandir(folder) as inside:
                        names = [each.name for each in inside if each.is_dir(follow_symlinks=False)]
                except OSError:
                    continue
                below += [folder / name for name in sorted(names) if not name.startswith(".")]
            level = below

    def _row(self, folder: Path) -> dict[str, Any]:
        path, read = folder / SUMMARY, self._read  # type: ignore[attr-defined]
        try:
            stamp = path.stat()
            version = (stamp.st_mtime_ns, stamp.st_size, stamp.st_ino)
            if read.get(folder, (None,))[0] != version:
                read[folder] = (version, as_row(summary_of(path, stamp.st_size)))
            row: Mapping[str, Any] = read[folder][1]
        except FileNotFoundError:
            row = broken("it has no summary yet: a run is under way, or was killed; run it again")
        except OSError as failure:
            row = broken(f"cannot read it: {failure.strerror or failure}")
        except Unreadable as problem:
            row = broken(str(problem))
        has_report = (folder / "report.html").is_file()
        return {"key": key_of(folder), "folder": str(folder.relative_to(self.root)), "report": has_report, **row}


class Unreadable(Exception):
    """Why a summary is no row."""


def key_of(folder: Path) -> str:
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]


def broken(reason: str) -> dict[str, Any]:
    return {"eval": "", "title": "", "created": "", "revision": "", "passages": 0, "questions": 0, "metric": "",
            "pipelines": [],
            "headline": [], "warnings": [], "problem": reason}  # fmt: skip


def summary_of(path: Path, size: int) -> Summary:
    """Raises Unreadable for what this version cannot show."""
    if size > MOST_BYTES:
        raise Unreadable(f"its summary has {figures.size(size)}; that is none of ragprof's")
    try:
        content = path.read_bytes()
        found = msgspec.json.decode(content, type=Summary)
    except msgspec.DecodeError:
        raise Unreadable("its summary is broken or no summary of ragprof; write it again: ragprof report DIR") from None
    if found.format > FORMAT:
        raise Unreadable(f"it is of a later ragprof (format {found.format}); this one reads up to {FORMAT}")
    return found


def as_row(summary: Summary) -> dict[str, Any]:
    """What the page shows: numbers to sort by, and their text."""
    traced = summary.trace
    measured = summary.pipelines if traced is None else traced.pipelines
    pipelines: list[dict[str, Any]] = [
        {
            "name": name, "quality": quality_of(found, summary.final_stage.get(name)), "p50": time_of(found, "p50"),
            "p95": time_of(found, "p95"), "usd": money_of(found), "verdict": verdict_of(summary, name),
        }
        for name, found in measured.items()
    ]  # fmt: skip
    pipelines.sort(key=lambda each: each["quality"]["mean"] if each["quality"] else -1.0, reverse=True)
    metrics = [each["quality"]["metric"] for each in pipelines if each["quality"]]
    about = summary if traced is None else traced
    return {
        "eval": summary.eval, "title": summary.title or summary.eval, "created": summary.created,
        "revision": (summary.revision or "")[:12], "passages": summary.corpus.docs,
        "questions": summary.queries if traced is None else traced.traces,
        "metric": metrics[0] if metrics else "", "pipelines": pipelines, "headline": list(about.headline),
        "warnings": list(about.warnings), "problem": "",
    }  # fmt: skip


def quality_of(found: PipelineShown, final_stage: str | None) -> dict[str, Any] | None:
    """The eval's first metric after the last ranked stage."""
    scores = found.scores.get(final_stage or next(reversed(found.scores), ""), {})
    for metric, value in scores.items():
        if value.mean is None:
            return None
        written = figures.with_interval(value.mean, value.interval, figures.score)
        return {"metric": metric, **figure_of(value.mean, value.interval, written)}
    return None


def time_of(found: PipelineShown, which: str) -> dict[str, Any] | None:
    timed = found.end_to_end
    value = None if timed is None else getattr(timed, f"{which}_ns")
    if timed is None or value is None:
        return None
    interval = getattr(timed, f"{which}_interval_ns")
    return figure_of(value / 1e6, None if interval is None else [end / 1e6 for end in interval],
                     figures.with_interval(value, interval, figures.duration))  # fmt: skip


def money_of(found: PipelineShown) -> dict[str, Any] | None:
    cost = found.cost_usd_per_1000_queries
    if cost.total is None:
        return None
    written = figures.with_interval(cost.total, cost.interval, figures.usd)
    try:
        ends = None if cost.interval is None else [None if end is None else float(end) for end in cost.interval]
        return figure_of(float(cost.total), ends, written)
    except ValueError:
        return None


def figure_of(mean: float, interval: Any, written: str) -> dict[str, Any]:
    low, high = (None, None) if interval is None else interval
    return {"mean": mean, "low": low, "high": high, "text": written}


def verdict_of(summary: Summary, name: str) -> str:
    found = summary.reranker.get(name)
    return "" if found is None else found.verdict
