"""A hosted reranker weighed from end to end: what goes over the wire, what is billed, what is seen when it fails."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from handbook_reranker import write_handbook
from reranker_server import MODEL, address, reranking
from speaking_server import SpeakingServer

from ragprof.core.errors import BadInput
from ragprof.session.run import weigh

NAME = "hybrid+overlap"


def hosted(folder: Path, server: SpeakingServer, dialect: str, rate: str) -> Path:
    table = f'{{ name = "rerank_api", base_url = "{address(server)}", model = "{MODEL}", dialect = "{dialect}" }}'
    return write_handbook(
        folder, changes={'reranker = "overlap"\n': f'reranker = {table}\nprices = {{ rerank = "{rate}" }}\n'}
    )


@pytest.mark.slow
def test_a_search_unit_is_billed_once_a_query_at_every_depth(tmp_path: Path, cache: Path) -> None:
    with reranking("cohere") as server:
        result = weigh(hosted(tmp_path, server, "cohere", "cohere/rerank-v3.5"), out=tmp_path / "out")
    verdict = result.summary["reranker"][NAME]
    assert verdict["statement"]["reranker_usd_per_1000_queries"] == "2"
    assert verdict["statement"]["billing"]["units_per_query"]["mean"] == 1.0
    assert verdict["statement"]["billing"]["reported_per_query"]["search_units"] == 1.0
    assert {row["usd_per_1000_queries"] for row in verdict["depth_curve"]} == {"2"}


@pytest.mark.slow
def test_the_curve_takes_one_request_a_query_and_the_rest_are_timed_live(tmp_path: Path, cache: Path) -> None:
    """12 queries scored in the main recording, whose scores are taken again; 3 are asked twice to find company out."""
    with reranking("cohere") as server:
        eval_file = hosted(tmp_path, server, "cohere", "cohere/rerank-v3.5")
        weigh(eval_file, out=tmp_path / "out")
        before = len(server.bodies)
        weigh(eval_file, out=tmp_path / "out")
        again = len(server.bodies) - before
    live = pd.read_parquet(tmp_path / "out" / "reranker" / "live.parquet")
    timed = int((live["depth"] > 0).sum())
    warmed, greeted, company = 5, 1, 9
    assert again == timed + warmed + greeted + company


@pytest.mark.slow
def test_tokens_that_the_server_counts_otherwise_are_told(tmp_path: Path, cache: Path) -> None:
    with reranking("voyage") as server:
        result = weigh(hosted(tmp_path, server, "voyage", "voyage/rerank-2.5"), out=tmp_path / "out")
    verdict = result.summary["reranker"][NAME]
    billing = verdict["statement"]["billing"]
    assert billing["shape"] == "per_input_token"
    assert billing["reported_per_query"]["input_tokens"] < billing["units_per_query"]["mean"]
    assert any(note.startswith("The reranker reported ") for note in verdict["notes"])


def test_a_server_that_is_gone_is_known_before_anything_is_recorded(tmp_path: Path, cache: Path) -> None:
    with reranking("tei") as server:
        eval_file = hosted(tmp_path, server, "tei", "free")
    with pytest.raises(BadInput, match="does not answer"):
        weigh(eval_file, out=tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()
