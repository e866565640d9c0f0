"""Reports: a summary drawn as HTML, Markdown or a terminal table. Draws what the summary says and computes nothing.

Every function takes the summary of `summary.json`, or the document of `comparison.json`. A value that is absent or null
is shown as `n/a`, a cost without a rate as `UNPRICED`; neither is shown as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = [
    "audit_table",
    "comparison_table",
    "growth_table",
    "injection_table",
    "render_comparison_markdown",
    "render_comparison_page",
    "render_html",
    "render_markdown",
    "render_reranker_page",
    "reranker_table",
    "terminal_table",
    "write_report",
]


def render_html(summary: Mapping[str, Any]) -> str:
    """One self-contained page: no network, readable without scripts, made for A4 paper too."""
    from ragprof.report import html

    return html.render_html(summary)


def render_markdown(summary: Mapping[str, Any]) -> str:
    """GitHub Markdown for a pull request, details folded."""
    from ragprof.report import markdown

    return markdown.render_markdown(summary)


def terminal_table(summary: Mapping[str, Any]) -> RenderableType:
    """For rich's Console; at most 80 columns wide."""
    from ragprof.report import terminal

    return terminal.terminal_table(summary)


def growth_table(summary: Mapping[str, Any]) -> RenderableType:
    """The growth study for rich's Console; at most 80 columns wide. One line where the summary has none."""
    from ragprof.report.growth import terminal as growth_terminal

    return growth_terminal.growth_table(summary)


def injection_table(summary: Mapping[str, Any]) -> RenderableType:
    """What answers are worth and cost, for rich's Console; at most 80 columns wide. One line where there are none."""
    from ragprof.report.injection import terminal as injection_terminal

    return injection_terminal.injection_table(summary)


def reranker_table(summary: Mapping[str, Any]) -> RenderableType:
    """What the rerankers are worth, for rich's Console; at most 80 columns wide. One line where there are none."""
    from ragprof.report.reranker import terminal as reranker_terminal

    return reranker_terminal.reranker_table(summary)


def render_reranker_page(summary: Mapping[str, Any]) -> str:
    """GitHub Markdown on one page for whoever pays: verdicts, what is bought, paid and saved, in plain words."""
    from ragprof.report.reranker import page

    return page.render_reranker_page(summary)


def audit_table(summary: Mapping[str, Any]) -> RenderableType:
    """The determinism audit for rich's Console; at most 80 columns wide. One line where the summary has none."""
    from ragprof.report.injection import terminal as injection_terminal

    return injection_terminal.audit_table(summary)


def comparison_table(document: Mapping[str, Any]) -> RenderableType:
    """A comparison or its gate for rich's Console; at most 80 columns wide."""
    from ragprof.report.compare import terminal as compare_terminal

    return compare_terminal.comparison_table(document)


def render_comparison_markdown(document: Mapping[str, Any]) -> str:
    """A comment on a pull request: GitHub Markdown with a hidden first line, at most 60,000 characters."""
    from ragprof.report.compare import markdown as compare_markdown

    return compare_markdown.comparison_markdown(document)


def render_comparison_page(document: Mapping[str, Any]) -> str:
    """One self-contained page of a comparison: no network, readable without scripts."""
    from ragprof.report.compare import html as compare_html

    return compare_html.comparison_page(document)


def write_report(summary: Mapping[str, Any], folder: Path) -> Path:
    """Write report.html and report.md into the folder, each whole or not at all. Returns the path of report.html.

    Where the summary has verdicts on rerankers, reranker.md as well.
    """
    from ragprof.files import write_text

    page = folder / "report.html"
    if not summary.get("reranker"):
        (folder / "reranker.md").unlink(missing_ok=True)
    write_text(folder / "report.md", render_markdown(summary))
    if summary.get("reranker"):
        write_text(folder / "reranker.md", render_reranker_page(summary))
    write_text(page, render_html(summary))
    return page
