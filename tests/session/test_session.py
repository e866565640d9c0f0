"""The passes in a row, as Python has them: run, profile, price again, draw again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ragprof
from ragprof.core.errors import BadInput, UnknownName
from ragprof.session.again import redraw, reprice, restate
from ragprof.studies.profile.analysis import method

HANDBOOK = Path(__file__).parents[1] / "data" / "handbook"
FAST = ragprof.Timing(seconds=0.5, rounds=2, min_queries=2, warmup=1)


def total(summary: dict[str, object], name: str) -> float:
    return float(summary["pipelines"][name]["cost_usd_per_1000_queries"]["total"])  # type: ignore[index]


def test_run_returns_its_folder_its_report_and_its_summary(recorded_handbook: Path) -> None:
    result = redraw(recorded_handbook)
    assert result.folder == recorded_handbook
    assert result.report == recorded_handbook / "report.html"
    assert result.report.is_file()
    assert result.summary == json.loads((recorded_handbook / "summary.json").read_text())


def test_every_stage_may_be_a_function(cache: Path, tmp_path: Path) -> None:
    texts = {
        str(row["_id"]): f"{row['title']} {row['text']}".lower()
        for row in map(json.loads, (HANDBOOK / "corpus.jsonl").read_text().splitlines())
    }

    def retrieve(question: str, depth: int) -> list[tuple[str, float]]:
        asked = question.lower().rstrip("?").split()
        found = {doc: float(sum(word in text.split() for word in asked)) for doc, text in texts.items()}
        return sorted(found.items(), key=lambda item: -item[1])[:depth]

    def letters(words: Sequence[str]) -> np.ndarray:
        counts = np.array([[word.lower().count(letter) for letter in "aeiou"] for word in words], float)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1.0)

    def shorter(question: str, passages: Sequence[str]) -> list[float]:
        return [-float(len(passage)) for passage in passages]

    def prompt(question: str, passages: Sequence[str]) -> str:
        return "\n".join([*passages, question])

    result = ragprof.profile(
        [
            ragprof.Pipeline("retriever", store=retrieve, depth=5, reranker=shorter, injector=prompt),
            ragprof.Pipeline(
                "vectors", embedder=letters, store="faiss_flat", depth=5, injector={"name": "top_k", "k": 2}
            ),
        ],
        corpus=HANDBOOK,
        queries=HANDBOOK / "queries.jsonl",
        qrels=HANDBOOK / "qrels" / "test.tsv",
        timing=FAST,
        metrics=["nDCG@10", "MRR@10"],
        out=tmp_path / "out",
    )
    summary = result.summary
    assert list(summary["pipelines"]["retriever"]["stages"]) == ["search", "rerank", "inject"]
    assert list(summary["pipelines"]["vectors"]["stages"]) == ["embed", "search", "inject"]
    assert summary["pipelines"]["retriever"]["config"]["reranker"] == {"name": "shorter"}
    assert set(summary["pipelines"]["vectors"]["scores"]["search"]) == {"nDCG@10", "RR@10"}
    assert summary["pipelines"]["retriever"]["scores"]["search"]["nDCG@10"]["mean"] > 0.5
    assert summary["work"] == {"docs_embedded": 24, "docs_reused": 0, "queries_embedded": 12, "pairs_scored": 60}
    rankings = pd.read_parquet(tmp_path / "out" / "rankings" / "retriever.parquet")
    last = rankings[(rankings["stage"] == "rerank") & (rankings["query_id"] == "q01")]
    assert list(last["score"]) == sorted(last["score"], reverse=True)


def profiled(pipelines: Sequence[ragprof.Pipeline], out: Path, **choices: object) -> ragprof.Result:
    """A profile of the handbook."""
    arguments: dict[str, object] = {
        "corpus": HANDBOOK,
        "queries": HANDBOOK / "queries.jsonl",
        "qrels": HANDBOOK / "qrels" / "test.tsv",
        "timing": FAST,
        "out": out,
    }
    return ragprof.profile(pipelines, **{**arguments, **choices})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pipelines", "choices", "expected"),
    [
        ([ragprof.Pipeline("p", store="bm25", depth=5)], {}, "no store named 'bm25'; did you mean 'bm25s'"),
        ([ragprof.Pipeline("p", store="bm25s", depth=25)], {}, "depth = 25, but the corpus has 24 passages"),
        ([ragprof.Pipeline("p", store="bm25s", depth=3)], {}, "k = 5 chunks cannot be injected from depth = 3"),
        ([ragprof.Pipeline("p", store="faiss_flat", depth=5)], {}, "its store compares vectors; name an embedder"),
        ([ragprof.Pipeline("p", store="bm25s", depth=5)] * 2, {}, "two pipelines are named p"),
        ([ragprof.Pipeline("a/b", store="bm25s", depth=5)], {}, "name: 'a/b' cannot be a name"),
        ([], {}, "pipelines: Tuple should have at least 1 item"),
        ([ragprof.Pipeline("p", store="bm25s", depth=5)], {"metrics": ["nDGC@10"]}, "no metric named 'nDGC@10'"),
        ([ragprof.Pipeline("p", store="bm25s", depth=5)], {"queries": "none.jsonl"}, "there is no such file"),
        (
            [ragprof.Pipeline("p", store="bm25s", depth=5)],
            {"prices": ragprof.Prices(llm="openai:gpt-9")},
            "genai-prices has no model 'gpt-9'",
        ),
    ],
    ids=["plugin", "depth", "k", "no-embedder", "twice", "name", "none", "metric", "queries", "rate"],
)  # fmt: skip
def test_profile_finds_what_is_wrong_before_it_writes(
    cache: Path,
    tmp_path: Path,
    pipelines: list[ragprof.Pipeline],
    choices: dict[str, object],
    expected: str,
) -> None:
    with pytest.raises(ragprof.RagprofError, match=expected):
        profiled(pipelines, tmp_path / "out", **choices)
    assert not list(tmp_path.iterdir())


def test_a_broken_function_ends_the_run_without_a_manifest(cache: Path, tmp_path: Path) -> None:
    def broken(question: str, passages: Sequence[str]) -> list[float]:
        return [float("nan")] * len(passages)

    with pytest.raises(ragprof.RagprofError, match="got the score nan; scores must be finite"):
        profiled([ragprof.Pipeline("p", store="bm25s", depth=5, reranker=broken)], tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_study_whose_settings_are_recorded_is_not_restated(handbook_recording: Path) -> None:
    with pytest.raises(BadInput, match="this study's settings are part of its recording; give the eval file"):
        restate("audit", handbook_recording, changes={"times": 9})


def test_pricing_again_runs_nothing_again(handbook_recording: Path) -> None:
    facts = ["spans.parquet", "usage.parquet", "scores.parquet", "manifest.json", "rankings/hybrid.parquet"]
    before = [(handbook_recording / name).read_bytes() for name in facts]
    old = json.loads((handbook_recording / "summary.json").read_text())
    new = reprice(handbook_recording, llm="openai:gpt-4o").summary
    assert [(handbook_recording / name).read_bytes() for name in facts] == before
    assert total(new, "hybrid") > 10 * total(old, "hybrid")
    assert new["pipelines"]["hybrid"]["end_to_end"] == old["pipelines"]["hybrid"]["end_to_end"]
    assert new["comparisons"] == old["comparisons"]
    assert json.loads((handbook_recording / "summary.json").read_text()) == new


def test_a_day_before_every_rate_is_unpriced_and_not_free(handbook_recording: Path) -> None:
    summary = reprice(handbook_recording, on=date(2001, 1, 1)).summary
    cost = summary["pipelines"]["bm25"]["cost_usd_per_1000_queries"]
    assert cost["total"] is None
    assert any("no rate on that date: 'aws/m7i.large' on 2001-01-01" in reason for reason in cost["unpriced"])
    assert any("bm25" in warning.partition(": UNPRICED ")[0] for warning in summary["warnings"])


def test_a_rate_book_of_ones_own_and_an_llm_that_is_free(handbook_recording: Path, tmp_path: Path) -> None:
    """What is left to pay is the machine, at $3,600 an hour: $1 a busy second, half of the hours being busy."""
    book = tmp_path / "own.toml"
    rate = {"name": "aws/m7i.large", "shape": "per_hour", "usd": "3600", "source": "a contract"}
    lines = [f'{key} = "{value}"\n' for key, value in rate.items()]
    book.write_text("".join(["[[rates]]\n", "since = 2020-01-01\n", *lines]))
    summary = reprice(handbook_recording, books=[book], llm="free").summary
    busy_ns = sum(stage["mean_ns"] for stage in summary["pipelines"]["bm25"]["stages"].values())
    assert total(summary, "bm25") == pytest.approx(2 * busy_ns / 1e9 * 1_000, rel=1e-2)
    assert summary["pipelines"]["bm25"]["cost_usd_per_1000_queries"]["unpriced"] == []


def test_a_corpus_given_beside_the_eval_brings_its_questions_along(handbook: Path, cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(HANDBOOK, other)
    (other / "queries.jsonl").write_text('{"_id": "z1", "text": "where is the fire alarm"}\n')
    (other / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nz1\toffice-fire\t1\n")
    result = ragprof.run(handbook, corpus=other, out=tmp_path / "out")
    assert result.summary["queries"] == 1
    assert result.summary["corpus"]["name"] == "other"
    assert result.summary["pipelines"]["bm25"]["scores"]["search"]["RR@10"] == {"mean": 1.0, "interval": None, "n": 1}


def test_an_output_folder_that_cannot_be_made_is_found_before_the_work(handbook: Path, cache: Path) -> None:
    (handbook.parent / "file").touch()
    with pytest.raises(BadInput, match="cannot write into this folder"):
        ragprof.run(handbook, out=handbook.parent / "file" / "out")
    assert not cache.exists()


def test_an_unknown_name_is_bad_input_and_bad_input_is_ragprofs(handbook: Path, cache: Path) -> None:
    assert issubclass(UnknownName, BadInput)
    assert issubclass(BadInput, ragprof.RagprofError)
    assert ragprof.RagprofError.exit_code == 2


def test_the_report_names_what_was_timed_and_its_number_format(recorded_handbook: Path) -> None:
    manifest = json.loads((recorded_handbook / "manifest.json").read_text())
    engines = {
        "a": {"search": {"engine": "faiss 1 search", "precision": "float32"}},
        "b": {
            "embed": {"engine": "st 6 encode", "precision": "bfloat16"},
            "search": {"engine": "faiss 1 search", "precision": "float32"},
        },
        "c": {"embed": {"engine": "st 6 encode", "precision": "float32"}},
    }
    assert method(manifest["config"], engines)[0] == (
        "What was timed is the call that a user's own code would make: "
        "embed by st 6 encode in bfloat16 or st 6 encode in float32; search by faiss 1 search in float32."
    )
    assert method(manifest["config"], {}) == method(manifest["config"], engines)[1:]
