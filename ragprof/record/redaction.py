"""What a recording keeps of its configuration: no folder of this machine and no secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

SECRET = re.compile(r"(^|_)(key|apikey|token|secret|password|credential)s?$", re.IGNORECASE)
NOT_SECRET = frozenset({"max_tokens", "tokens"})
ROOTED = re.compile(r"(?:~|[A-Za-z]:)?[/\\](?:[^/\\\s]+[/\\])*[^/\\\s]+")


def redacted(value: Any, key: str = "") -> Any:
    """A copy with absolute paths cut to their last name and values of secret options starred out."""
    if isinstance(value, Mapping):
        return {name: redacted(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner, key) for inner in value]
    if not isinstance(value, str):
        return value
    if SECRET.search(key) and key not in NOT_SECRET:
        return "***"
    return without_folders(value)


def without_folders(text: str) -> str:
    """The text with every absolute path in it, or one from home, cut to its last name."""
    words = re.split(r"(\s+)", text)
    return "".join(_last(word) if ROOTED.match(word) else word for word in words)


def _last(word: str) -> str:
    return PurePath(word.replace("\\", "/")).name
