"""LanceDB: files in this process; exact, IVF and HNSW with scalar or product codes, re-ranked by whole vectors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from math import sqrt
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from ragprof.core import Vectors
from ragprof.core.errors import BadInput
from ragprof.core.stages import Store
from ragprof.parts.databases import access, claims
from ragprof.parts.databases.metrics import Metric
from ragprof.parts.databases.rows import Batch, DatabaseStore, Hits

METRICS: Mapping[Metric, str] = {"inner_product": "dot", "cosine": "cosine", "l2": "l2"}
KINDS = {"ivf_flat": "IvfFlat", "ivf_pq": "IvfPq", "ivf_hnsw_sq": "HnswSq", "ivf_hnsw_pq": "HnswPq"}
TABLE = "passages"


class LancedbStore(DatabaseStore):
    """`index` over `lists` partitions (by default the square root of the rows; 1 for a graph), of which `probes` are
    looked at; `ef_search` candidates of a graph, at least the depth; `rescore` times the depth are compared again by
    their whole vectors, 0 for none.
    """

    name = "lancedb"
    search_knobs = ("ef_search", "probes", "rescore")

    def __init__(
        self,
        index: Literal["none", "ivf_flat", "ivf_pq", "ivf_hnsw_sq", "ivf_hnsw_pq"] = "ivf_hnsw_sq",
        metric: Metric = "inner_product",
        m: Annotated[int, Field(ge=2)] = 16,
        ef_construction: PositiveInt = 100,
        lists: PositiveInt | None = None,
        sub_vectors: PositiveInt | None = None,
        ef_search: PositiveInt = 64,
        probes: PositiveInt = 10,
        rescore: Annotated[int, Field(ge=0)] = 4,
    ) -> None:
        super().__init__(locals())
        access.need("lancedb", "lancedb")
        self._index, self._m, self._ef_construction = index, m, ef_construction
        self._lists, self._sub_vectors = lists, sub_vectors
        self._ef_search, self._probes, self._rescore = ef_search, probes, rescore
        self.metric = metric
        self._folder: Path | None = None
        self._table: Any = None
        self._lends = True

    @property
    def identity(self) -> str:
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
        codes = {"ivf_pq": "product codes", "ivf_hnsw_pq": "product codes", "ivf_hnsw_sq": "int8"}.get(self._index)
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
        query = self._table.search(np.asarray(vector, np.float32), vector_column_name="embedding")
        query = query.distance_type(METRICS[self.metric]).limit(depth).select(["id", "content", "_distance"])
        if self._index == "none":
            query = query.bypass_vector_index()
        else:
            query = query.nprobes(self._probes)
            query = query.ef(max(self._ef_search, depth * max(1, self._rescore))) if "hnsw" in self._index else query
            query = query.refine_factor(self._rescore) if self._rescore else query
        if where:
            chosen = (f"{field} = '{value.replace(chr(39), chr(39) * 2)}'" for field, value in where.items())
            query = query.where(" AND ".join(chosen), prefilter=True)
        found = query.to_arrow()
        distances = found["_distance"].to_numpy()
        scores = -np.sqrt(np.maximum(distances, 0)) if self.metric == "l2" else 1.0 - distances
        return list(zip(found["id"].to_pylist(), scores.tolist(), strict=True))

    @property
    def can_reopen(self) -> bool:
        return True

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
