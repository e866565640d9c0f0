"""The main bill of a reranker behind an address: waiting for one elsewhere is no machine time, a server here is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from ragprof.price import price_recording, read_pricing

SECOND = 10**9
BOOK = """
[[rates]]
name = "own/request"
shape = "per_request"
usd = "1.00"
per = 1000
docs_per_request = 3
since = 2026-01-01
source = "contract"

[[rates]]
name = "own/machine"
shape = "per_hour"
usd = "0.36"
since = 2026-01-01
source = "contract"
"""


def price_with(folder: Path, reranker: dict[str, str]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config"]["pipelines"][0]["reranker"] = reranker
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "own.toml").write_text(BOOK)
    price_recording(folder, books=[folder / "own.toml"], on=date(2026, 11, 22))


@pytest.mark.parametrize("rerank", [None, "own/request"])
def test_waiting_for_a_reranker_elsewhere_is_no_machine_time(
    recorded: Callable[..., Path], rerank: str | None
) -> None:  # fmt: skip
    folder = recorded(
        prices={"machine": "own/machine", "rerank": rerank}, stages=["search", "rerank"], timed_ns={"q1": [SECOND]}
    )
    price_with(folder, {"name": "rerank_api"})
    priced = read_pricing(folder).pipelines["dense"]
    assert priced.stages["search"] == Decimal("0.2")
    if rerank:
        assert priced.stages["rerank"] == Decimal(4)
        return
    assert priced.stages["rerank"] is None
    assert priced.unpriced == (
        "rerank: its reranker runs elsewhere, whose time this machine does not pay; "
        "name its rate under [prices] as rerank",
    )


def test_a_server_on_this_machine_is_paid_by_its_time(recorded: Callable[..., Path]) -> None:
    folder = recorded(prices={"machine": "own/machine"}, stages=["search", "rerank"], timed_ns={"q1": [SECOND]})
    price_with(folder, {"name": "rerank_api", "base_url": "http://127.0.0.1:8080"})
    priced = read_pricing(folder).pipelines["dense"]
    assert priced.stages["rerank"] == priced.stages["search"] == Decimal("0.2")
