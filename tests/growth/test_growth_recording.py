"""A growth recording joins the report, survives a kill, and is never mixed with another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
from grown import Grown

from ragprof.core.errors import BadInput
from ragprof.session.again import redraw, reprice
from ragprof.session.run import grow, run

SCHEMA = Path(__file__).parents[2] / "ragprof" / "session" / "summary.schema.json"


def test_the_summary_keeps_its_contract(grown: Grown) -> None:
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(grown.summary)
    json.dumps(grown.summary, allow_nan=False)


def test_every_curve_has_its_points(grown: Grown) -> None:
    curves = grown.growth["pipelines"]["dense"]
    assert {name: [point["size"] for point in points] for name, points in curves.items()} == {
        "all_judged": [60, 90, 150, 240],
        "proportional": [60, 90, 150, 240],
        "similar": [60, 90, 150, 240],
        "duplicate": [60, 90, 132],
        "contradicting": [60, 90, 132],
        "foreign": [60, 90, 130],
    }


def test_curves_that_only_add_start_at_the_same_point(grown: Grown) -> None:
    for curves in grown.growth["pipelines"].values():
        starts = {name: points[0]["scores"] for name, points in curves.items() if name != "proportional"}
        assert all(scores == starts["all_judged"] for scores in starts.values())


def test_the_largest_size_is_the_recording_itself(grown: Grown) -> None:
    for name, curves in grown.growth["pipelines"].items():
        recorded = grown.summary["pipelines"][name]["scores"]
        for curve in ("all_judged", "proportional", "similar"):
            for stage, scores in curves[curve][-1]["scores"].items():
                assert scores["nDCG@10"]["mean"] == pytest.approx(recorded[stage]["nDCG@10"]["mean"], rel=1e-5)


def test_evidence_is_complete_at_the_largest_size_and_partial_below(grown: Grown) -> None:
    points = grown.growth["pipelines"]["dense"]["proportional"]
    coverage = [point["coverage"]["mean"] for point in points]
    assert coverage[-1] == 1.0
    assert coverage[0] < 0.5
    assert coverage == sorted(coverage)


def test_shares_of_the_context_sum_to_one(grown: Grown) -> None:
    for curves in grown.growth["pipelines"].values():
        for points in curves.values():
            for point in points:
                assert sum(share["mean"] for share in point["context_share"].values()) == pytest.approx(1.0, abs=1e-5)


def test_edited_passages_take_their_share_of_the_context(grown: Grown) -> None:
    curves = grown.growth["pipelines"]["bm25"]
    for kind in ("duplicate", "contradicting"):
        assert curves[kind][0]["context_tokens"]["contradicting"] == 0
        assert curves[kind][-1]["context_tokens"][kind] > 10


def test_a_repeated_text_is_a_duplicate_of_the_one_before_it(grown: Grown) -> None:
    context = pd.read_parquet(grown.folder / "growth" / "context" / "bm25.parquet")
    whole = context[(context["curve"] == "all_judged") & (context["size"] == 240)]
    assert (whole["duplicate"] > 0).any()


def test_the_parts_of_the_loss_sum_to_the_total(grown: Grown) -> None:
    for lines in grown.growth["loss"].values():
        assert [line["size"] for line in lines] == [60, 90, 150, 240]
        for line in lines:
            parts = [line[part] for part in ("embedding", "index", "rerank", "packing")]
            assert sum(parts) == pytest.approx(line["total"], abs=1e-5)
            assert line["index"] == 0.0


def test_timings_and_costs_are_there_at_every_size(grown: Grown) -> None:
    for name, curves in grown.growth["pipelines"].items():
        for point in curves["all_judged"]:
            stages = set(point["stages"])
            assert stages == {"search", "inject"} | ({"embed"} if name != "bm25" else set()) | (
                {"rerank"} if "overlap" in name else set()
            )
            assert point["end_to_end"]["p50_ns"] > 0
            assert point["build"]["n"] == 2
            assert float(point["cost_usd_per_1000_queries"]["total"]) > 0


def test_index_bytes_grow_with_the_corpus(grown: Grown) -> None:
    points = grown.growth["pipelines"]["dense"]["all_judged"]
    assert [point["build"]["index_bytes"] for point in points] == [size * 256 * 4 for size in (60, 90, 150, 240)]


def test_forecasts_hold_out_the_largest_size(grown: Grown) -> None:
    lines = grown.growth["forecast"]
    assert {line["held_out"]["size"] for line in lines} == {240}
    assert {line["quantity"] for line in lines if line["pipeline"] == "dense"} == {
        "nDCG@10", "prompt_tokens", "embed_p50_ns", "search_p50_ns", "inject_p50_ns", "end_to_end_p50_ns",
        "end_to_end_p95_ns", "index_bytes", "build_ns", "cost_usd_per_1000_queries",
    }  # fmt: skip
    models = [line["model"] for line in lines if line["pipeline"] == "dense" and line["quantity"] == "nDCG@10"]
    assert models == ["log-linear", "score distribution"]
    assert all((line["at"] == []) or not line["abstained"] for line in lines)


def test_questions_are_asked_of_rerankers_and_of_searches(grown: Grown) -> None:
    asked = [each["what"] for each in grown.growth["crossovers"]]
    assert "dense+overlap gains more than 0.02 over dense" in asked
    assert any(what in asked for what in ("dense beats bm25", "bm25 beats dense"))
    assert len(asked) == 2


def test_edits_can_be_traced_and_texts_are_not_kept(grown: Grown) -> None:
    docs = pd.read_parquet(grown.folder / "growth" / "docs.parquet")
    edited = docs[docs["kind"] == "contradicting"]
    assert len(edited) > 30
    assert edited["source"].isin(docs["doc_id"]).all()
    assert set(edited["rule"]) <= {"figure", "negation", "name", "antonym"}
    kept = [path for path in (grown.folder / "growth").rglob("*") if path.suffix in (".parquet", ".json")]
    words = b"harbour"
    assert not [path for path in kept if words in path.read_bytes()]


def test_recorded_growth_is_not_recorded_again(grown: Grown, copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (copy / "growth").rglob("*.parquet") if "live" in path.parts}
    recorded = (copy / "manifest.json").read_bytes()
    again = grow(grown.eval_file, out=copy).summary["growth"]
    assert (copy / "manifest.json").read_bytes() == recorded
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again["work"] == grown.growth["work"]
    assert again["pipelines"]["dense"] == grown.growth["pipelines"]["dense"]


@pytest.mark.slow
def test_another_seed_is_refused_and_nothing_is_lost(grown: Grown, copy: Path) -> None:
    with pytest.raises(
        BadInput, match="a growth recording with seed 0, not 7 is in this folder; give another one with"
    ):
        grow(grown.eval_file, out=copy, changes={"seed": 7})
    assert redraw(copy).summary["growth"] == grown.growth


def test_a_recording_of_another_machine_is_not_gone_on_with(grown: Grown, copy: Path) -> None:
    plan = copy / "growth" / "plan.json"
    plan.write_text(json.dumps({**json.loads(plan.read_text()), "processor": "another one"}))
    with pytest.raises(BadInput, match="a growth recording with other processor is in this folder"):
        grow(grown.eval_file, out=copy)


@pytest.mark.slow
def test_fresh_records_anew(grown: Grown, copy: Path) -> None:
    changed = grow(
        grown.eval_file, out=copy, changes={"seed": 7, "sizes": (60, 120, 240), "curves": ("all_judged",)}, fresh=True
    )
    assert changed.summary["growth"]["sizes"] == [60, 120, 240]
    assert changed.summary["growth"]["seed"] == 7


@pytest.mark.slow
def test_pricing_anew_prices_every_size(copy: Path) -> None:
    priced = reprice(copy, llm="openai:gpt-4o").summary["growth"]["pipelines"]["dense"]["all_judged"]
    cheap = reprice(copy, llm="openai:gpt-4o-mini").summary["growth"]["pipelines"]["dense"]["all_judged"]
    for dear, other in zip(priced, cheap, strict=True):
        assert float(dear["cost_usd_per_1000_queries"]["inject"]) > 10 * float(
            other["cost_usd_per_1000_queries"]["inject"]
        )


def test_growth_of_another_corpus_is_left_out_with_a_warning(grown: Grown, copy: Path, eval_file: Path) -> None:
    corpus = eval_file.parent / "collection" / "corpus.jsonl"
    corpus.write_text(corpus.read_text() + '{"_id": "new", "title": "", "text": "one more"}\n')
    summary = run(eval_file, out=copy).summary
    assert "growth" not in summary
    assert any("The growth recording in this folder is of another corpus" in warning for warning in summary["warnings"])


@pytest.mark.slow
def test_a_killed_recording_goes_on_where_it_stopped(eval_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    endless = eval_file.with_name("endless.toml")
    endless.write_text(eval_file.read_text().replace("seconds = 0.4\nrounds = 2", "seconds = 8\nrounds = 2"))
    command = [sys.executable, "-m", "ragprof", "grow", str(endless), "--out", str(out)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ))
    while not (out / "growth" / "live" / "0-90" / "spans.parquet").exists():
        assert running.poll() is None, "the run ended by itself"
        time.sleep(0.02)
    running.kill()
    running.wait()
    done = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert not (out / "growth" / "manifest.json").exists()
    result = grow(endless, out=out)
    assert not list((out / "growth").rglob("*.partial"))
    kept = {path for path, written in done.items() if path.stat().st_mtime_ns == written}
    assert {path.parent.name for path in kept if "live" in path.parts} >= {"0-60", "0-90"}
    assert {path.parent.name for path in kept if "cells" in path.parts} == {
        "bm25",
        "dense",
        "dense+overlap",
        "hybrid+overlap",
    }
    work = result.summary["growth"]["work"]
    assert (work["docs_embedded"], work["docs_reused"]) == (72 + 72 + 70, 238)
