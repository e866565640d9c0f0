"""Statements of SQL, put together by psycopg: names are quoted, values stay parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def composed(text: str, /, *parts: Any, **named: Any) -> Any:
    from psycopg import sql

    return sql.SQL(text).format(*parts, **named)


def joined(between: str, parts: Sequence[Any]) -> Any:
    from psycopg import sql

    return sql.SQL(between).join(parts)


def raw(text: str) -> Any:
    """SQL of the user's own, as it stands; percent signs in it are no places of parameters."""
    from psycopg import sql

    return sql.SQL(text.replace("%", "%%"))


def identifier(*parts: str) -> Any:
    from psycopg import sql

    return sql.Identifier(*parts)
