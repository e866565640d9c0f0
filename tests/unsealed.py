"""Recordings that a test changes on purpose: without seals they are read as those of older versions are."""

from __future__ import annotations

import json
from pathlib import Path

from ragprof.core.recorded import SEAL, SEALS, SUMS


def unsealed(folder: Path) -> Path:
    """The same folder, whose files may be changed from now on; each is written anew, so that links are not followed."""
    for path in (path for name in SEALS for path in folder.rglob(name)):
        kept = {key: value for key, value in json.loads(path.read_text()).items() if key not in (SUMS, SEAL)}
        path.unlink()
        path.write_text(json.dumps(kept))
    return folder
