"""Makes the golden summaries anew: what the product itself records, kept so that tests of reports need no run.

`python tests/golden/make.py audit` writes audit.json beside this file. A change of a study's section asks for it; the
difference then shows in review what users of summary.json will see.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS), str(TESTS / "audit")]


def audit(handbook: Path) -> dict[str, Any]:
    """The handbook's hybrid+overlap with parts that each have one reason not to give the same every time."""
    from restless import BatchBoundEmbedder, CountingGenerator, PlaceBoundReranker, audited

    parts = {"embedder": BatchBoundEmbedder(256), "reranker": PlaceBoundReranker(), "generator": CountingGenerator()}
    return audited(handbook, handbook.parent / "cache", times=5, queries=12, **parts).as_json()


def make(study: str) -> None:
    """Write <study>.json, from a copy of the handbook and with a cache of its own."""
    import shutil

    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(TESTS / "data" / "handbook", Path(folder) / "handbook")
        handbook = Path(shutil.copy(TESTS / "data" / "handbook.toml", folder))
        os.environ["RAGPROF_CACHE"] = str(Path(folder) / "cache")
        found = globals()[study](handbook)
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False)
    (TESTS / "golden" / f"{study}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        make(name)
