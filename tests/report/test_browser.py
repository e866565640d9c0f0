"""The written page, opened in a real browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from main_runs import analysed, cut

from ragprof.session.pages import write_report
from ragprof.studies.profile.section import ProfileSection

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--window-size=1280,2000"),
    *("--virtual-time-budget=5000", "--enable-logging=stderr", "--v=0", "--dump-dom"),
)


def test_both_files_are_written_whole(main_run: ProfileSection, tmp_path: Path) -> None:
    page = write_report(analysed(cut(main_run, "bm25", "dense")), tmp_path / "reports" / "python-docs")
    assert page == tmp_path / "reports" / "python-docs" / "report.html"
    assert sorted(path.name for path in page.parent.iterdir()) == ["report.html", "report.md"]
    assert page.read_text(encoding="utf-8").endswith("</html>")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on PATH to open the report in")
def test_a_browser_draws_every_chart_and_complains_of_nothing(main_run: ProfileSection, tmp_path: Path) -> None:
    page = write_report(analysed(main_run), tmp_path)
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    opened = subprocess.run(
        [str(BROWSER), *FLAGS, profile, page.as_uri()], capture_output=True, text=True, timeout=90, check=True
    )
    live = re.findall(r'<div class="live[^>]*><svg[^>]*class="marks"', opened.stdout)
    assert len(live) == opened.stdout.count('<figure class="chart drawn"') == 6
    assert not [line for line in opened.stderr.splitlines() if "CONSOLE" in line]
