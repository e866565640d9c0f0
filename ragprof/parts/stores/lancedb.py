"""LanceDB: files in this process; exact, IVF and HNSW with scalar or product codes, re-ranked by whole vectors."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Mapping, Sequence
from importlib.metadata import version
from math import sqrt
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from ragprof.core import StoredRow, Vectors
from ragprof.core.errors import BadInput
from ragprof.core.stages import Store
from ragprof.parts.databases import access, claims
from ragprof.parts.databases.existing import LOG, FieldNames, check_fields, check_metric, no_place, said_to_scan
from ragprof.parts.databases.metrics import Metric
from ragprof.parts.databases.rows import Batch, DatabaseStore, Hits

METRICS: Mapping[Metric, str] = {"inner_product": "dot", "cosine": "cosine", "l2": "l2"}
KINDS = {"ivf_flat": "IvfFlat", "ivf_pq": "IvfPq", "ivf_hnsw_sq": "HnswSq", "ivf_hnsw_pq": "HnswPq"}
TABLE = "passages"
OURS = FieldNames("", "id", "content", "embedding")


class LancedbStore(DatabaseStore):
    """`index` over `lists` partitions (by default the square root of the rows; 1 for a graph), of which `probes` are
    looked at; `ef_search` candidates of a graph, at least the depth; `rescore` times the depth are compared again by
    their whole vectors, 0 for none. With `table` one that exists is opened as it is now, and only read: `url_env` names
    the environment variable with its folder or address, `id`, `text` and `vector` its columns, `where` a condition in
    SQL.
    """

    name = "lancedb"
    search_knobs = ("ef_search", "probes", "rescore")

    def __init__(
        self,
        index: Literal["none", "ivf_flat", "ivf_pq", "ivf_hnsw_sq", "ivf_hnsw_pq"] = "ivf_hnsw_sq",
        metric: Metric | None = None,
        m: Annotated[int, Field(ge=2)] = 16,
        ef_construction: PositiveInt = 100,
        lists: PositiveInt | None = None,
        sub_vectors: PositiveInt | None = None,
        ef_search: PositiveInt = 64,
        probes: PositiveInt = 10,
        rescore: Annotated[int, Field(ge=0)] = 4,
        url_env: str = "",
        table: str = "",
        id: str = "id",
        text: str = "content",
        vector: str = "embedding",
        where: str = "",
    ) -> None:
        super().__init__(locals())
        access.need("lancedb", "lancedb")
        self._index, self._m, self._ef_construction = index, m, ef_construction
        self._lists, self._sub_vectors = lists, sub_vectors
        self._ef_search, self._probes, self._rescore = ef_search, probes, rescore
        if bool(url_env) != bool(table) or (where and not table):
            raise BadInput(
                "the store 'lancedb': a table that exists has an address (url_env) and a name (table), and only there "
                "where chooses rows; what ragprof makes is in a folder of its own"
            )
        self.is_existing, self._url_env = bool(table), url_env
        self._asked_metric, self.metric = metric, metric or ("l2" if table else "inner_product")
        self._names, self._where = FieldNames(table, id, text, vector), where
        self._kind = index
        self._folder: Path | None = None
        self._table: Any = None
        self._lends = True

    @property
    def identity(self) -> str | None:
        if self.is_existing:
            return None
        if self._index == "none":
            return f"lancedb exact {self.metric}"
        graph = f" m={self._m} ef_construction={self._ef_construction}" if "hnsw" in self._index else ""
        codes = f" sub_vectors={self._sub_vectors or 'by width'}" if self._index.endswith("pq") else ""
        asked = f"ef_search={self._ef_search} " if "hnsw" in self._index else ""
        return (
            f"lancedb {self._index} lists={self._lists or 'by rows'}{graph}{codes} {self.metric} {asked}"
            f"probes={self._probes} rescore={self._rescore}"
        )

    @property
    def engine(self) -> str:
        return f"lancedb {version('lancedb')} Table.search, in this process"

    @property
    def precision(self) -> str:  # type: ignore[override]
        codes = {"ivf_pq": "product codes", "ivf_hnsw_pq": "product codes", "ivf_hnsw_sq": "int8"}.get(self._kind)
        if codes is None:
            return "float32"
        return f"{codes}, re-ranked in float32" if self._rescore else codes

    @property
    def index_bytes(self) -> int:
        """What its files take on disk, texts included."""
        if self._folder is None or self._table is None:
            return 0
        return sum(512 * path.stat().st_blocks for path in self._folder.rglob("*") if path.is_file())

    def load(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import lancedb  # noqa: F401  (the import is the loading)
        if self.is_existing and self._table is None:
            self._open_table()

    def _give_back(self) -> None:
        import shutil

        self._table = None
        if self._folder is not None and self._lends:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None

    def _fill(self, batch: Batch) -> None:
        import lancedb
        from lancedb import index as kinds

        self._give_back()
        self._folder = claims.own_folder()
        self._table = lancedb.connect(str(self._folder)).create_table(TABLE, _rows(batch))
        if self._index == "none":
            return
        rows, graph = len(batch.numbers), "hnsw" in self._index
        if rows < 256:
            raise BadInput(
                f"the store 'lancedb' trains its index on at least 256 vectors, not {rows}; set index = \"none\""
            )
        built: dict[str, Any] = {"distance_type": METRICS[self.metric]}
        built["num_partitions"] = self._lists or (1 if graph else max(1, min(round(sqrt(rows)), rows // 256)))
        if graph:
            built |= {"m": self._m, "ef_construction": self._ef_construction}
        if self._index.endswith("pq") and self._sub_vectors is not None:
            built["num_sub_vectors"] = self._sub_vectors
        self._table.create_index("embedding", config=getattr(kinds, KINDS[self._index])(**built), replace=True)

    def _put_in(self, batch: Batch) -> None:
        self._table.add(_rows(batch))

    def _take_out(self, numbers: Sequence[int]) -> None:
        self._table.delete(f"id IN ({', '.join(map(str, numbers))})")

    def _ask(self, vector: Vectors, depth: int, where: Mapping[str, str]) -> Hits:
        names = self._names if self.is_existing else OURS
        query = self._opened.search(np.asarray(vector, np.float32), vector_column_name=names.vector)
        query = query.distance_type(METRICS[self.metric]).limit(depth).select([names.id, names.text, "_distance"])
        if self._kind == "none":
            query = query.bypass_vector_index()
        else:
            query = query.nprobes(self._probes)
            query = query.ef(max(self._ef_search, depth * max(1, self._rescore))) if "hnsw" in self._kind else query
            query = query.refine_factor(self._rescore) if self._rescore else query
        if self._where:
            query = query.where(self._where, prefilter=True)
        elif where:
            chosen = (f"{field} = '{value.replace(chr(39), chr(39) * 2)}'" for field, value in where.items())
            query = query.where(" AND ".join(chosen), prefilter=True)
        found = self._called(query.to_arrow)
        distances = found["_distance"].to_numpy()
        scores = -np.sqrt(np.maximum(distances, 0)) if self.metric == "l2" else 1.0 - distances
        keys = found[names.id].to_pylist()
        return list(zip(map(str, keys) if self.is_existing else keys, scores.tolist(), strict=True))

    @property
    def can_reopen(self) -> bool:
        return not self.is_existing

    def shut(self) -> Path:
        if self._folder is None:
            return super().shut()
        self._table = None
        return self._folder

    def open_again(self) -> None:
        import lancedb

        if self._table is None and self._folder is not None:
            self._table = lancedb.connect(str(self._folder)).open_table(TABLE)

    def _reconnect(self) -> None:
        """There is no connection that could be lost."""

    def _share(self, other: DatabaseStore) -> None:
        super()._share(other)
        if isinstance(other, LancedbStore):
            self._table, self._folder, self._lends = other._table, other._folder, False
            self._kind, self.metric = other._kind, other.metric

    @property
    def _opened(self) -> Any:
        if self._table is None:
            raise BadInput("the store 'lancedb' is closed; fill it again")
        return self._table

    def _called(self, call: Any) -> Any:
        try:
            return call()
        except (ValueError, RuntimeError, OSError) as failure:
            raise BadInput(f"the store 'lancedb': {access.shown(failure)}") from None

    # A table that exists

    def _open_table(self) -> None:
        """As it is now: through a handle at one version LanceDB itself refuses to write. Raises BadInput."""
        import lancedb
        import pyarrow as pa

        url, name = access.address(self._url_env, store="lancedb"), self._names.place
        if "://" not in url and not Path(url).is_dir():  # connecting would make the folder
            raise BadInput(f"the store 'lancedb': what ${self._url_env} holds is no folder; name that of a database")
        base = self._called(lambda: lancedb.connect(url))
        known = self._called(base.table_names)
        if name not in known:
            raise no_place("lancedb", "table", name, known)
        table = self._called(lambda: base.open_table(name))
        table.checkout(table.version)
        check_fields("lancedb", self._names, table.schema.names, "id", "text", "vector")
        kind = table.schema.field(self._names.vector).type
        if not pa.types.is_fixed_size_list(kind) or not pa.types.is_floating(kind.value_type):
            raise BadInput(
                f"the store 'lancedb': the column '{self._names.vector}' of '{name}' is of the type {kind}; vector "
                "names a list of fixed size of floats"
            )
        self._width = kind.list_size
        indexes = [each for each in table.list_indices() if each.columns == [self._names.vector]]
        if not indexes:
            self._kind = "none"
            said_to_scan("lancedb", self._names)
        else:
            told = table.index_stats(indexes[0].name)
            found = next((metric for metric, word in METRICS.items() if word == told.distance_type), None)
            if found is None:
                raise BadInput(f"the store 'lancedb': '{name}' compares by {told.distance_type}, not known here")
            check_metric("lancedb", name, asked=self._asked_metric, found=found)
            self.metric, self._kind = found, told.index_type.lower()
            if told.num_unindexed_rows:
                LOG.warning(
                    "the store 'lancedb': %s rows of '%s' are not in its index and are scanned at every search",
                    *(f"{told.num_unindexed_rows:,}", name),
                )
        self._table = table

    def _count(self) -> int:
        return int(self._called(lambda: self._opened.count_rows(self._where or None)))

    def _all(self) -> Generator[StoredRow, None, None]:
        names, count = self._names, self._count()
        query = self._opened.search().select([names.id, names.text, names.vector]).limit(max(count, 1))
        query = query.where(self._where) if self._where else query
        for batch in self._called(query.to_batches):
            for key, text, vector in zip(
                *(batch.column(each).to_pylist() for each in (names.id, names.text, names.vector)), strict=True
            ):
                if vector is not None:
                    yield StoredRow(str(key), text or "", np.asarray(vector, np.float32))


def _rows(batch: Batch) -> Any:
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(batch.vectors, np.float32).ravel())
    return pa.table(
        {
            "id": pa.array(batch.numbers, pa.int64()),
            "content": pa.array(batch.texts, pa.string()),
            "embedding": pa.FixedSizeListArray.from_arrays(flat, batch.vectors.shape[1]),
            **{field: pa.array(values, pa.string()) for field, values in batch.labels.items()},
        }
    )


plugin: type[Store] = LancedbStore
