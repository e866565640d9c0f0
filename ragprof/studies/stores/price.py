"""The price pass over a stores recording: what each index would cost a month in a managed database."""

from __future__ import annotations

from pathlib import Path

from ragprof.core.recorded import write_sealed
from ragprof.evals.settings import settings_of
from ragprof.price.databases import ManagedDatabase, managed_database
from ragprof.price.pricing import plain
from ragprof.price.rates import Unpriced
from ragprof.studies.contract import Pricing
from ragprof.studies.stores.recorded import BUILDS, StoreBill

NO_DATABASE = "no rate; name a managed database as database under [stores]"


def price_stores(folder: Path, _pricing: Pricing) -> None:
    """costs.json, by the database and the traffic that the recording's settings name now."""
    place, settings = folder / "stores", settings_of(folder)
    name = settings.get("stores", {}).get("database")
    queries = (settings.get("traffic") or {}).get("queries_per_month")
    builds = BUILDS.read(place / "builds.parquet")
    database = None if name is None else managed_database(name)
    bills: dict[str, StoreBill] = {}
    for setting, size in zip(builds["setting"], builds["index_bytes"], strict=True):
        if database is None:
            bills[setting] = {"usd": None, "reason": NO_DATABASE}
            continue
        try:
            bills[setting] = {"usd": plain(database.usd_per_month(int(size), queries)), "reason": ""}
        except Unpriced as missing:
            bills[setting] = {"usd": None, "reason": str(missing)}
    rate = None if database is None else {**database.as_json(), "least_usd": _least(database, queries)}
    write_sealed(place / "costs.json", {"database": rate, "bills": bills})


def _least(database: ManagedDatabase, queries: int | None) -> str | None:
    """The bill of an index of no bytes at all."""
    try:
        return plain(database.usd_per_month(0, queries))
    except Unpriced:
        return None
