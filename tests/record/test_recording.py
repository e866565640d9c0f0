"""What a recording holds: its files, its manifest, and the work that it took."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from clockwork import HandClock

from ragprof.core.clock import Silent
from ragprof.record.recording import Bench, Subject, record, shuffled
from ragprof.studies.preparation import prepare

WORK = {"docs_embedded": 24, "docs_reused": 0, "queries_embedded": 12, "pairs_scored": 120}


def recorded(handbook: Path, cache: Path, name: str = "out") -> tuple[Path, dict[str, Any]]:
    """The handbook recorded beside its eval file: the folder and its manifest."""
    folder = handbook.parent / name
    clock = HandClock(per_reading=1_000)
    record(prepare(handbook).subject, Bench(folder, cache, Silent(), clock))
    return folder, json.loads((folder / "manifest.json").read_text())


def rankings(folder: Path) -> list[pd.DataFrame]:
    return [pd.read_parquet(path) for path in sorted((folder / "rankings").iterdir())]


def test_a_second_run_computes_nothing_and_ranks_the_same(handbook: Path, cache: Path) -> None:
    first, manifest = recorded(handbook, cache, "first")
    assert manifest["work"] == WORK
    second, manifest = recorded(handbook, cache, "second")
    assert manifest["work"] == {"docs_embedded": 0, "docs_reused": 24, "queries_embedded": 0, "pairs_scored": 0}
    assert all(a.equals(b) for a, b in zip(rankings(first), rankings(second), strict=True))


def test_timings_start_anew_in_every_run(handbook: Path, cache: Path) -> None:
    spans = [pd.read_parquet(recorded(handbook, cache, name)[0] / "spans.parquet") for name in ("first", "second")]
    assert len(spans[0]) == len(spans[1])
    assert (spans[0]["phase"] == "timed").sum() == (spans[1]["phase"] == "timed").sum() == 3 * 12 * (3 + 4 + 4 + 5)


def test_the_manifest_says_what_the_recording_rests_on(recorded_handbook: Path) -> None:
    manifest = json.loads((recorded_handbook / "manifest.json").read_text())
    assert manifest["format"] == 1
    assert manifest["queries"] == 12
    assert manifest["depths"] == {"bm25": 10, "dense": 10, "hybrid": 10, "hybrid+overlap": 10}
    faiss = {"engine": f"faiss {version('faiss-cpu')} IndexFlatIP.search, one thread", "precision": "float32"}
    bm25 = {"engine": f"bm25s {version('bm25s')} BM25.get_scores", "precision": "float32"}
    assert manifest["engines"]["dense"] == {"search": faiss}
    assert manifest["engines"]["bm25"] == {"search": bm25}
    assert manifest["corpus"]["name"] == "handbook"
    assert manifest["corpus"]["docs"] == 24
    assert manifest["corpus"]["tokens"] == 643
    assert manifest["identities"]["dense"] == {
        "embedder": "hashing 256",
        "store": "faiss_flat",
        "reranker": None,
        "injector": manifest["identities"]["bm25"]["injector"],
        "generator": None,
    }
    assert set(manifest["peak_rss_bytes"]) == set(manifest["depths"])


def test_the_manifest_names_no_folder_of_the_machine(handbook: Path, cache: Path) -> None:
    handbook.write_text(handbook.read_text().replace('path = "handbook"', f'path = "{handbook.parent}/handbook"'))
    folder, manifest = recorded(handbook, cache)
    assert manifest["config"]["corpus"]["path"] == "handbook"
    assert str(handbook.parent) not in (folder / "manifest.json").read_text()


def test_spans_hold_every_phase_of_every_pipeline(recorded_handbook: Path) -> None:
    spans = pd.read_parquet(recorded_handbook / "spans.parquet")
    assert list(spans.columns) == [
        *("pipeline", "phase", "round", "query_id", "stage", "start_ns", "duration_ns"),
        *("cpu_ns", "waiting_ns", "switches", "machine_ns", "stolen_ns", "pressure_ns"),
    ]
    phases = spans[spans["stage"] == "query"].groupby(["pipeline", "phase"]).size().unstack()
    assert phases.to_dict("index") == {
        name: {"bare": 12, "cold": 1, "instrumented": 36, "round": 3, "timed": 36}
        for name in ("bm25", "dense", "hybrid", "hybrid+overlap")
    }


def test_pipelines_that_share_an_index_show_one_build(recorded_handbook: Path) -> None:
    builds = pd.read_parquet(recorded_handbook / "builds.parquet").set_index("pipeline")
    assert list(builds.columns) == ["duration_ns", "index_bytes", "peak_rss_bytes"]
    assert builds.loc["hybrid"].equals(builds.loc["hybrid+overlap"].rename("hybrid"))
    assert builds.loc["dense", "index_bytes"] == 24 * 256 * 4


def test_the_old_manifest_goes_before_the_new_recording_begins(handbook: Path, cache: Path) -> None:
    folder, _ = recorded(handbook, cache)
    subject = prepare(handbook).subject

    def broken() -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(subject, Bench(folder, cache, Silent(), broken))
    assert not (folder / "manifest.json").exists()


def test_the_order_of_live_queries_is_seeded(handbook: Path) -> None:
    subject: Subject = prepare(handbook).subject
    ids = [[query.query_id for query in shuffled(subject.queries, seed)] for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]
    assert sorted(ids[0]) == sorted(query.query_id for query in subject.queries)
