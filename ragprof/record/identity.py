"""What a cached result rests on: the part's own identity, its class, and the source of the file that it stands in.

Whoever edits a plugin gets new vectors and scores, not those of the code before.
"""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path

from ragprof.stages import Part


def cache_identity(part: Part, purpose: str) -> str | None:
    """The name under which results may be reused; None where the part forbids it."""
    if part.identity is None:
        return None
    kind = type(part)
    return f"{kind.__module__}.{kind.__qualname__} {_source(kind)} {purpose} {part.identity}"


def _source(kind: type) -> str:
    """Digest of the file that the class stands in; empty for classes typed at a prompt."""
    try:
        file = inspect.getsourcefile(kind)
    except TypeError:
        return ""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file and Path(file).is_file() else ""
