"""A connection to PostgreSQL that is given up where the server hangs: it neither answers nor takes a new connection.

A statement may take hours, so that silence alone says nothing; a server that is frozen keeps its sockets open, and its
own statement_timeout does not run. So after a silence that no search may take, a second connection is tried.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import PQGen

CONNECT_TIMEOUT_S = 10
QUIET_S = 10.0
"""Beyond what a search may take, so that what the server itself gives up is said by the server."""


class WatchedConnection(psycopg.Connection[Any]):  # type: ignore[misc]  # psycopg is Any where it is not installed
    """As psycopg's own. Raises OperationalError, and is closed, once the server hangs."""

    quiet_s = 60.0 + QUIET_S

    def wait(self, gen: PQGen[Any], interval: float = 0.1) -> Any:
        return super().wait(self._until_it_hangs(gen, interval), interval)

    def _until_it_hangs(self, gen: PQGen[Any], interval: float) -> PQGen[Any]:
        """The same generator; every time that it is told that nothing came, time is counted."""
        quiet_s = 0.0
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                quiet_s = 0.0 if ready else quiet_s + interval
                if quiet_s >= self.quiet_s:
                    if not self._is_answered():
                        self.pgconn.finish()
                        raise psycopg.OperationalError(
                            f"the server hangs: nothing came within {quiet_s:.0f} s, and it takes no new connection"
                        )
                    quiet_s = 0.0
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value

    def _is_answered(self) -> bool:
        """Whether a new connection is answered, be it with a refusal."""
        try:
            psycopg.connect(
                self.info.dsn, password=self.info.password or None, connect_timeout=CONNECT_TIMEOUT_S
            ).close()
        except psycopg.errors.ConnectionTimeout:
            return False
        except psycopg.OperationalError:
            return True
        return True
