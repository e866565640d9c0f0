"""What is done again without running a pipeline: price a recording anew, analyse it, draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragprof.core import files
from ragprof.core.clock import SILENT, Progress, step, today
from ragprof.evals.traced import is_trace_profile
from ragprof.price.rates import KEPT_BOOKS
from ragprof.report import stills
from ragprof.session import studies
from ragprof.session.drawn import SUMMARY, keep_drawn, last_drawn, rests_on
from ragprof.session.pages import FULL, page_names, write_report
from ragprof.session.summary import Analysis, analyse, belonging, read_analysis
from ragprof.studies.contract import Pricing

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Result:
    """A finished recording: its folder, the report's path, and the summary as a dict (see docs/summary.md)."""

    folder: Path
    analysis: Analysis

    @cached_property
    def summary(self) -> dict[str, Any]:
        return self.analysis.as_json()

    @property
    def report(self) -> Path:
        return self.folder / "report.html"

    def table(self, study: str = studies.PROFILE) -> RenderableType:
        """A study's figures for a terminal of 80 columns."""
        return self.analysis.printed(study)

    def pages(self, study: str = studies.PROFILE) -> list[tuple[str, Path]]:
        """Return (word, path) of each page written: the study's own and the report, or its section alone."""
        if self.analysis.profile is None and studies.TRACE not in self.analysis.sections:
            return [(study, self.folder / study / f"{study}.json")]
        own = [self.folder / name for name in studies.study(study).pages]
        return [("report", page) for page in (*own, self.report)]


PRICED = ("costs.parquet", "rates.json", "settings.json")
"""What pricing writes, in the folder of a recording and in those of its studies."""


def restate(
    name: str,
    folder: str | Path,
    *,
    books: Sequence[Path] = (),
    on: date | None = None,
    changes: Mapping[str, Any] | None = None,
    progress: Progress = SILENT,
) -> Result:
    """Analyse a study's recording again with other settings that need no new recording. Runs no pipeline."""
    home, study = Path(folder), studies.study(name)
    with files.claimed(home), files.unchanged_on_failure(home, *PRICED):
        with step(progress, f"price {name}"):
            study.restate(home, changes or {}, Pricing(_with_kept_books(home, books), on or today()))
        return reprice(home, books=books, on=on, progress=progress)


def reweigh(folder: str | Path, **options: Any) -> Result:
    """Analyse recorded rerankers anew: at other prices, with another worth or margin. Options as of `restate`."""
    return restate("reranker", folder, **options)


def reprice(
    folder: Path,
    *,
    books: Sequence[Path] = (),
    on: date | None = None,
    llm: str | None = None,
    progress: Progress = SILENT,
) -> Result:
    """Price a recording with its studies anew and write its summary and report again. Runs no pipeline.

    Where one of them cannot be priced, all keep the prices that they had. The books stay beside the recording.
    """
    price_all(folder, books=books, on=on or today(), llm=llm, progress=progress)
    return redraw(folder, progress=progress)


def price_all(
    folder: Path, *, books: Sequence[Path], on: date, llm: str | None = None, progress: Progress = SILENT
) -> None:
    """Price a recording with its studies, as `reprice` does, and draw nothing."""
    from ragprof.price import price_recording

    pricing = Pricing(_with_kept_books(folder, books), on, llm)
    with step(progress, "price"), files.unchanged_on_failure(folder, *PRICED):
        if is_trace_profile(folder):
            studies.study(studies.TRACE).price(folder, pricing)
        else:
            price_recording(folder, books=pricing.books, on=pricing.on, llm=llm)
            for study in belonging(folder):
                study.price(folder, pricing)
    for book in books:
        files.write_text(folder / KEPT_BOOKS / book.name, book.read_text(encoding="utf-8"))


def _with_kept_books(folder: Path, books: Sequence[Path]) -> tuple[Path, ...]:
    given = {book.name for book in books}
    return (*(book for book in sorted((folder / KEPT_BOOKS).glob("*.toml")) if book.name not in given), *books)


def redraw(folder: Path, *, full: bool = False, progress: Progress = SILENT) -> Result:
    """Summary and report of a recording, from its files. `full` asks for the whole report as Markdown, too.

    Pages whose sources have not changed, by content, are neither computed nor drawn again.
    """
    pages = page_names(folder)
    found, before = rests_on(folder, pages), last_drawn(folder)
    summary_holds = found == before.rests_on and before.holds(folder, SUMMARY)
    asked = [*before.pages, FULL] if full else before.pages
    if summary_holds and all(before.holds(folder, page) for page in asked):
        return Result(folder, read_analysis(folder))
    with stills.soon():
        analysis = read_analysis(folder) if summary_holds else analyse(folder, progress)
        files.write_json(folder / SUMMARY, analysis.as_json())
        with step(progress, "draw the report"):
            write_report(analysis, folder, full=full)
    keep_drawn(folder, pages, found)
    return Result(folder, analysis)
