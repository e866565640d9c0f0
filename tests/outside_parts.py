"""Rerankers of a package of its own, for a folder that goes first on the import path: of this process or a worker's."""

from __future__ import annotations

from pathlib import Path

NAMES = {"talkative": "TalkativeReranker", "mortal": "MortalReranker", "backwards": "BackwardsReranker"}
SOURCE = '''
"""Rerankers of a package of its own."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from ragprof.parts.rerankers.overlap import OverlapReranker


class TalkativeReranker(OverlapReranker):
    """Prints to either stream, and past Python's own, as compiled libraries do."""

    identity = "talkative"

    def load(self):
        print('{"done": "printed while loading"}', flush=True)

    def score(self, query, docs):
        print("scoring", query.query_id, flush=True)
        print("scoring", file=sys.stderr)
        os.write(1, b"\\xff no text at all\\n")
        return super().score(query, docs)


class BackwardsReranker(OverlapReranker):
    """What overlaps least goes first."""

    identity = "backwards"

    def score(self, query, docs):
        scored = super().score(query, docs)
        return replace(scored, scores=tuple(-score for score in scored.scores))


class MortalReranker(OverlapReranker):
    """Killed with its process by the first query after `file` was made."""

    identity = "mortal"

    def __init__(self, file: str):
        self._file = Path(file)

    def score(self, query, docs):
        if self._file.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(query, docs)
'''


def installed(folder: Path) -> Path:
    """The folder, with the module and what makes its rerankers known to ragprof."""
    entries = "".join(f"{name} = outside_rerankers:{plugin}\n" for name, plugin in NAMES.items())
    described = folder / "outside_rerankers-1.0.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-rerankers\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text(f"[ragprof.rerankers]\n{entries}")
    (folder / "outside_rerankers.py").write_text(SOURCE)
    return folder
