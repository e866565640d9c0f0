"""The written page, opened in a real browser."""

from __future__ import annotations

import json
from pathlib import Path

import axe_core_python
import pytest
from browsing import BROWSER, Tab, chromium
from main_runs import analysed, cut

from ragprof.session.pages import write_report
from ragprof.studies.audit.section import AuditSection
from ragprof.studies.profile.section import ProfileSection

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH to open the report in")
AXE = Path(axe_core_python.__file__).parent / "axe.min.js"
RULES = "{runOnly: ['wcag2a', 'wcag2aa', 'best-practice']}"
TOLD = "r.violations.map((v) => [v.id, v.nodes.map((n) => n.html)])"


def test_both_files_are_written_whole(main_run: ProfileSection, tmp_path: Path) -> None:
    page = write_report(analysed(cut(main_run, "bm25", "dense")), tmp_path / "reports" / "python-docs")
    assert page == tmp_path / "reports" / "python-docs" / "report.html"
    assert sorted(path.name for path in page.parent.iterdir()) == ["report.html", "report.md"]
    assert page.read_text(encoding="utf-8").endswith("</html>")


@needs_browser
def test_parts_are_closed_until_opened_and_charts_drawn_when_seen(main_run: ProfileSection, tmp_path: Path) -> None:
    golden = Path(__file__).parent.parent / "golden" / "audit.json"
    audit = AuditSection.model_validate_json(golden.read_text(encoding="utf-8"))
    page = write_report(analysed(main_run, audit=audit), tmp_path)
    with chromium(tmp_path / "profile") as browser:
        tab = Tab(browser, page.as_uri())
        parts = tab.until("document.readyState === 'complete' && document.querySelectorAll('details.part').length")
        assert tab.value("document.querySelectorAll('details.part[open]').length") == 0
        assert tab.value("document.querySelectorAll('.drawn').length") == 0
        # A closed part says what it has found.
        assert "hybrid ranks highest" in tab.value(
            "document.querySelector('details:has(#quality) > summary').innerText"
        )
        # A link of the contents opens its part and marks it.
        tab.value("document.querySelector('.contents a[href=\"#quality\"]').click()")
        tab.until("document.querySelector('details:has(#quality)').open")
        tab.until("document.querySelector('.contents a[aria-current]')?.hash === '#quality'")
        # Six columns, and the others when asked for.
        shown = "[...document.querySelectorAll('.table-quality thead th')].filter((th) => th.offsetParent).length"
        assert tab.value(shown) == 6
        tab.value("document.querySelector('.table-quality .more input').click()")
        assert tab.value(shown) == 11
        tab.value("document.querySelector('button.all').click()")
        assert tab.value("document.querySelectorAll('details.part[open]').length") == parts
        charts = tab.value("document.querySelectorAll('.still').length")
        scroll = "document.querySelectorAll('.still').forEach((still) => still.parentElement.scrollIntoView())"
        tab.value(f"document.querySelectorAll('details').forEach((fold) => fold.open = true); {scroll}")
        for place in range(charts):
            tab.value(f"document.querySelectorAll('.live')[{place}].parentElement.scrollIntoView()")
            tab.until(f"document.querySelectorAll('.live')[{place}].querySelectorAll('svg.marks').length")
        assert browser.complaints == []
        tab.value(AXE.read_text(encoding="utf-8"))
        for scheme in ("light", "dark"):
            tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            tab.value(
                f"window.told = null; axe.run(document, {RULES}).then((r) => window.told = JSON.stringify({TOLD}))"
            )
            assert json.loads(tab.until("window.told")) == []
        assert [url for url in browser.asked if not url.startswith(("file:", "data:"))] == []
