"""A run that is killed with -9 leaves no manifest and no half-written file, and the next one completes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

from ragprof.session.run import run


def killed_while_timing(handbook: Path, out: Path) -> None:
    """Start `ragprof run` with rounds without end, and kill it once all rankings are written."""
    endless = handbook.with_name("endless.toml")
    endless.write_text(handbook.read_text().replace("rounds = 3", "rounds = 1_000_000"))
    command = [sys.executable, "-m", "ragprof", "run", str(endless), "--out", str(out)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    while not (out / "rankings" / "hybrid+overlap.parquet").exists():
        assert running.poll() is None, "the run ended by itself"
        time.sleep(0.02)
    running.kill()
    assert running.wait() == -9


def test_the_next_run_completes_what_kill_9_left(handbook: Path, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed_while_timing(handbook, out)
    left = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert [name for name in left if name.endswith(".parquet")] == left
    assert "spans.parquet" not in left
    assert all(len(pd.read_parquet(out / name)) for name in left)
    result = run(handbook, out=out)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["work"] == {"docs_embedded": 0, "docs_reused": 24, "queries_embedded": 0, "pairs_scored": 0}
    assert result.report.exists()
    assert not list(out.rglob("*.partial"))
