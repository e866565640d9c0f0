"""Instants as other tools write them, in ns since 1970 in UTC. A time zone is honoured; without one it is UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(value: Any) -> int | None:
    """Return a text of ISO 8601, a datetime, or a number (of s, ms, µs or ns, by its size) in ns; else None."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        known = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        passed = known - EPOCH
        # In whole numbers: a float of ns has lost its last digits.
        return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1_000
    if isinstance(value, int | float) and not isinstance(value, bool):
        for below, factor in ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000)):
            if abs(value) < below:
                return int(value * factor)
        return int(value)
    return None
