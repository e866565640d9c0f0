"""Columns of costs.parquet. In a file of their own, since pyarrow takes a while to load."""

from __future__ import annotations

import pyarrow as pa

TEXT, USD = pa.string(), pa.decimal128(38, 18)
COLUMNS = {"pipeline": TEXT, "query_id": TEXT, "stage": TEXT, "item": TEXT, "rate": TEXT, "usd": USD}
