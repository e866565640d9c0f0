"""A budget in USD and a hosted reranker: nothing is asked that could cost more than is left, and nothing twice."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from handbook_reranker import write_handbook
from reranker_server import MODEL, address, reranking
from speaking_server import SpeakingServer

from ragprof.core.errors import BadInput
from ragprof.session.run import run

SEARCH = Decimal("0.002")
"""What cohere/rerank-v3.5 takes for a query."""


def hosted(folder: Path, server: SpeakingServer, prices: str) -> Path:
    table = f'{{ name = "rerank_api", base_url = "{address(server)}", model = "{MODEL}", dialect = "cohere" }}'
    return write_handbook(folder, changes={'reranker = "overlap"\n': f"reranker = {table}\n{prices}"})


def test_a_reranker_stops_before_the_budget_is_exceeded_and_the_next_run_goes_on_from_there(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragprof.record.rankings.PAID_CHUNK", 1)
    with reranking("cohere") as server:
        eval_file = hosted(tmp_path, server, 'prices = { rerank = "cohere/rerank-v3.5" }\n')
        with pytest.raises(BadInput, match=r"may cost \$0\.00200; what was answered is kept.*--budget-usd goes on"):
            run(eval_file, out=tmp_path / "out", budget_usd=5 * SEARCH)
        greeting, cold = 1, 1  # each run begins with these
        assert len(server.bodies) == greeting + 5
        with pytest.raises(BadInput, match="what was answered is kept"):
            run(eval_file, out=tmp_path / "out", budget_usd=5 * SEARCH)
        assert len(server.bodies) == 2 * (greeting + 5)
        scored = {body["query"] for body in server.bodies} - {"hello"}
        assert len(scored) == 2 * (5 - cold)  # none of them twice
