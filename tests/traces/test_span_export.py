"""A recording written as traces, and read back: what was recorded is what is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ragprof
from ragprof.core.errors import BadInput
from ragprof.session.tracing import trace
from ragprof.traces import SpanFacts
from ragprof.traces.reading import TraceAccount, read_spans

FORMS = ("otlp", "openinference")
HYBRID, HANDBOOK = "hybrid+overlap", Path(__file__).parents[1] / "data" / "handbook.toml"


@pytest.fixture(scope="module")
def written(recorded_handbook: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The handbook's recording in both forms, without texts."""
    into = tmp_path_factory.mktemp("written")
    ragprof.export(recorded_handbook, into=into, formats=FORMS)
    return into


def read(path: Path) -> list[SpanFacts]:
    return list(read_spans(path, TraceAccount(path)))


def attributes_of(path: Path) -> list[dict[str, Any]]:
    """Of every span of a file, as plain values."""
    spans = [span for line in path.read_text().splitlines() for span in json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]]  # noqa: E501 # fmt: skip
    return [{each["key"]: next(iter(each["value"].values())) for each in span["attributes"]} for span in spans]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_is_read_back_equal(form: str, written: Path, recorded_handbook: Path) -> None:
    spans = read(written / form / f"{HYBRID}.jsonl")
    roots = {span.trace_id: span for span in spans if not span.parent_id}
    recorded = pd.read_parquet(recorded_handbook / "spans.parquet")
    mine = recorded[(recorded["pipeline"] == HYBRID) & (recorded["phase"] == "timed")]
    expected = sorted(zip(mine["query_id"], mine["stage"], mine["duration_ns"], strict=True))
    found = sorted(
        (str(roots[span.trace_id].facts["query_id"]), span.stage or "query", (span.end_ns or 0) - span.start_ns)
        for span in spans
    )
    assert found == expected
    rankings = pd.read_parquet(recorded_handbook / "rankings" / f"{HYBRID}.parquet")
    usage = pd.read_parquet(recorded_handbook / "usage.parquet")
    for span in spans:
        query_id, stage = roots[span.trace_id].facts["query_id"], span.stage
        name = {"search": "found", "rerank": "reranked", "inject": "injected"}.get(stage)
        if name is not None:
            rows = rankings[(rankings["query_id"] == query_id) & (rankings["stage"] == stage)].sort_values("rank")
            assert [doc_id for doc_id, _ in span.facts.get(name, [])] == rows["doc_id"].tolist()
        own = usage[(usage["pipeline"] == HYBRID) & (usage["query_id"] == query_id) & (usage["stage"] == stage)]
        assert span.facts.get("usage", {}) == dict(zip(own["unit"], own["count"], strict=True))


def test_a_profile_of_the_written_traces_has_the_recordings_figures(
    written: Path, recorded_handbook: Path, tmp_path: Path
) -> None:
    """p50 is over the same durations; money is the recording's, to the last digit of a double."""
    document = json.loads((recorded_handbook / "summary.json").read_text())
    found = trace(*sorted((written / "otlp").glob("*.jsonl")), out=tmp_path / "again").summary["trace"]
    assert set(found["pipelines"]) == set(document["pipelines"])
    queries = sum(one["end_to_end"]["queries"] for one in document["pipelines"].values())
    assert found["asked_again"] == found["traces"] - queries > 0
    assert any(line.startswith("The traces are of a recording of ragprof") for line in found["warnings"])
    for name, recorded in document["pipelines"].items():
        read_back = found["pipelines"][name]
        assert read_back["traces"] == recorded["end_to_end"]["n"]
        both = {"query": (read_back["end_to_end"], recorded["end_to_end"])}
        both |= {stage: (read_back["stages"][stage], latency) for stage, latency in recorded["stages"].items()}
        for mine, theirs in both.values():  # intervals are of other draws
            figures = ("p50_ns", "p95_ns", "mean_ns", "n", "queries")
            assert [mine[figure] for figure in figures] == [theirs[figure] for figure in figures]
            assert mine["p50_interval_ns"] == pytest.approx(theirs["p50_interval_ns"], rel=0.1)
        assert read_back["failed"]["n"] == recorded["end_to_end"]["queries"]
        assert read_back["money"]["unpriced"] == 0


def test_spans_have_the_kinds_that_phoenix_shows(written: Path) -> None:
    kinds = [each["openinference.span.kind"] for each in attributes_of(written / "openinference" / f"{HYBRID}.jsonl")]
    assert kinds[:5] == ["CHAIN", "EMBEDDING", "RETRIEVER", "RERANKER", "PROMPT"]


def test_only_otlp_speaks_genai(written: Path) -> None:
    either = {form: attributes_of(written / form / f"{HYBRID}.jsonl")[:5] for form in FORMS}
    operations = [each.get("gen_ai.operation.name") for each in either["otlp"]]
    assert operations == [None, "embeddings", "retrieval", None, None]
    assert not any(name.startswith("gen_ai.") for each in either["openinference"] for name in each)


def test_scores_and_quality_are_in_the_spans(written: Path, recorded_handbook: Path) -> None:
    rerank = next(each for each in attributes_of(written / "openinference" / f"{HYBRID}.jsonl")
                  if each["openinference.span.kind"] == "RERANKER")  # fmt: skip
    assert rerank["evaluations.0.evaluation.name"] == "nDCG@10"
    assert 0 <= rerank["evaluations.0.evaluation.score"] <= 1
    assert rerank["reranker.output_documents.0.document.score"] >= rerank["reranker.output_documents.1.document.score"]
    assert rerank["reranker.model_name"] == "overlap"


def test_no_text_is_written_unless_it_is_asked_for(written: Path) -> None:
    text = (written / "otlp" / f"{HYBRID}.jsonl").read_text()
    for hidden in ("input.value", "document.content", "doctor"):
        assert hidden not in text


def test_texts_are_written_where_they_are_asked_for_and_hidden_by_openinferences_variables(
    recorded_handbook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handbook: Path
) -> None:
    asked = {"formats": ["openinference"], "eval_file": handbook, "texts": True, "pipelines": [HYBRID]}
    ragprof.export(recorded_handbook, into=tmp_path / "open", **asked)
    root, embed, search, rerank, _ = attributes_of(tmp_path / "open" / "openinference" / f"{HYBRID}.jsonl")[:5]
    assert root["input.value"] == embed["embedding.embeddings.0.embedding.text"] == rerank["reranker.query"]
    assert len(search["retrieval.documents.0.document.content"]) > 20
    monkeypatch.setenv("OPENINFERENCE_HIDE_INPUTS", "true")
    monkeypatch.setenv("OPENINFERENCE_HIDE_RETRIEVAL_DOCUMENTS", "1")
    ragprof.export(recorded_handbook, into=tmp_path / "hidden", **asked)
    root, embed, search, rerank, _ = attributes_of(tmp_path / "hidden" / "openinference" / f"{HYBRID}.jsonl")[:5]
    first = "documents.0.document.content"
    assert root["input.value"] == embed["embedding.embeddings.0.embedding.text"] == "__REDACTED__"
    assert search[f"retrieval.{first}"] == rerank[f"reranker.input_{first}"] == "__REDACTED__"
    assert rerank["reranker.query"] == "__REDACTED__"
    assert len(rerank["reranker.output_documents.0.document.content"]) > 20
    assert search["retrieval.documents.0.document.id"]


def test_equal_recordings_give_equal_files(written: Path, recorded_handbook: Path, tmp_path: Path) -> None:
    ragprof.export(recorded_handbook, into=tmp_path, formats=["otlp"], pipelines=["bm25"])
    assert (tmp_path / "otlp" / "bm25.jsonl").read_bytes() == (written / "otlp" / "bm25.jsonl").read_bytes()


def test_texts_without_an_eval_file_are_refused(recorded_handbook: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"a recording holds no texts; give the eval file"):
        ragprof.export(recorded_handbook, into=tmp_path / "x", formats=["otlp"], texts=True)
    with pytest.raises(BadInput, match="texts go with otlp and openinference"):
        ragprof.export(recorded_handbook, into=tmp_path / "x", formats=["trec"], texts=True, eval_file=HANDBOOK)
    assert not (tmp_path / "x").exists()


def test_a_recording_that_timed_nothing_has_no_traces(handbook_recording: Path, tmp_path: Path) -> None:
    path = handbook_recording / "spans.parquet"
    table = pd.read_parquet(path)
    table[table["phase"] == "cold"].to_parquet(path)
    with pytest.raises(BadInput, match="nothing was timed in it"):
        ragprof.export(handbook_recording, into=tmp_path / "x", formats=["trec", "otlp"])
    assert not (tmp_path / "x").exists()


def test_a_profile_of_traces_is_not_exported_again(written: Path, tmp_path: Path) -> None:
    trace(written / "otlp" / "bm25.jsonl", out=tmp_path / "profile")
    with pytest.raises(BadInput, match="this is a profile of traces"):
        ragprof.export(tmp_path / "profile", into=tmp_path / "x", formats=["otlp"])
