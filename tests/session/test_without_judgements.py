"""An eval without relevance judgements: everything that needs none is measured, and nobody is ranked."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

import ragprof
from ragprof.core.errors import BadInput
from ragprof.corpus.evaluation import NO_JUDGEMENTS
from ragprof.judge.scores import judge
from ragprof.session.again import Result, redraw
from ragprof.session.forecast import forecast_eval
from ragprof.session.run import audit, grow, run, run_study
from ragprof.studies.preparation import prepare


@pytest.fixture
def unjudged(handbook: Path) -> Path:
    """The handbook without its judgements."""
    shutil.rmtree(handbook.parent / "handbook" / "qrels")
    return handbook


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    top = tmp_path_factory.mktemp("unjudged")
    data = Path(__file__).parents[1] / "data"
    shutil.copytree(data / "handbook", top / "handbook")
    shutil.rmtree(top / "handbook" / "qrels")
    shutil.copy(data / "handbook.toml", top)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(top / "cache"))
        return run(top / "handbook.toml", out=top / "out")


def printed(table: object) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(table)
    return " ".join(out.getvalue().split())


def test_times_tokens_memory_and_money_are_those_of_any_run(result: Result) -> None:
    found = result.summary
    assert (found["judged"], found["queries"], found["comparisons"]) == (False, 12, [])
    for pipeline in found["pipelines"].values():
        assert pipeline["end_to_end"]["p50_ns"] > 0
        assert pipeline["usage_per_query"]["inject.prompt_tokens"] > 0
        assert pipeline["peak_rss_bytes"] > 0
        assert float(pipeline["cost_usd_per_1000_queries"]["priced_subtotal"]) > 0
        assert pipeline["scores"] == {}


def test_nobody_is_ranked(result: Result) -> None:
    answer = result.summary["headline"][0]
    assert answer.startswith("Nobody has judged these results, so no pipeline is ranked; ")
    page = result.report.read_text(encoding="utf-8")
    text = printed(result.table())
    for word in ("ranks highest", "nDCG@10", "Judged@"):
        assert word not in page
        assert word not in text
    assert result.summary["pareto"] == {"latency": [], "cost": []}


def test_what_is_missing_and_how_to_get_it_is_said_first(result: Result, unjudged: Path, cache: Path) -> None:
    assert result.summary["warnings"][0] == NO_JUDGEMENTS
    assert "name the file as qrels in [evaluation]" in printed(result.table())
    forecast = forecast_eval(unjudged)
    refused = {names: reason for names, reason in forecast.rows if "not possible" in reason}
    assert len({*refused.values()}) == len(refused)  # a reason is told once
    assert not {"screen", "chunking"} & {name for names in refused for name in names.split(", ")}  # nobody asked
    assert ("questions", "12 without judgements") in forecast.rows
    assert forecast.notices[0] == NO_JUDGEMENTS


def test_the_overlap_of_the_pipelines_is_counted(result: Result) -> None:
    """Recomputed from the rankings, without the product's own code."""
    found = {(pair["one"], pair["other"]): pair for pair in result.summary["overlaps"]}
    assert len(found) == 6
    first: dict[str, dict[str, list[str]]] = {}
    for name in ("bm25", "dense"):
        table = pd.read_parquet(result.folder / "rankings" / f"{name}.parquet")
        ranked = table[table["stage"] == "search"].sort_values("rank")
        first[name] = {query: rows["document_id"].tolist()[:10] for query, rows in ranked.groupby("query_id")}
    queries = sorted({*first["bm25"], *first["dense"]})
    pairs = [(first["bm25"].get(query, []), first["dense"].get(query, [])) for query in queries]
    shared = [len(set(one) & set(other)) / max(len(one), len(other)) for one, other in pairs]
    same = [one[:1] == other[:1] for one, other in pairs]
    pair = found["bm25", "dense"]
    assert pair["shared"]["mean"] == pytest.approx(sum(shared) / len(shared), abs=1e-12)
    assert pair["same_first"]["mean"] == pytest.approx(sum(same) / len(same), abs=1e-12)
    assert "Overlap of the results" in result.report.read_text(encoding="utf-8")


def test_judged_later_the_same_recording_has_quality(unjudged: Path, cache: Path, tmp_path: Path) -> None:
    folder = run(unjudged, out=tmp_path / "out").folder
    shutil.copytree(Path(__file__).parents[1] / "data" / "handbook" / "qrels", unjudged.parent / "handbook" / "qrels")
    prepared = prepare(unjudged)
    judge(folder, prepared.evaluation, metrics=prepared.subject.config.metrics)
    found = redraw(folder).summary
    assert found["judged"] is True
    assert found["pipelines"]["bm25"]["scores"]["search"]["nDCG@10"]["mean"] == pytest.approx(0.775641, abs=1e-6)


def test_studies_of_quality_say_that_they_need_judgements(unjudged: Path, cache: Path, tmp_path: Path) -> None:
    expected = "needs relevance judgements, and this eval has none; name qrels in"
    for name in ("reranker", "injection"):
        with pytest.raises(BadInput, match=expected):
            run_study(name, unjudged, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_queries_without_qrels_are_enough_in_an_eval_and_in_python(unjudged: Path, cache: Path, tmp_path: Path) -> None:
    text = unjudged.read_text()
    unjudged.write_text(text.replace("[timing]", '[evaluation]\nqueries = "handbook/queries.jsonl"\n\n[timing]'))
    assert audit(unjudged, out=tmp_path / "audited", times=2).summary["audit"]
    found = ragprof.profile(
        [ragprof.Pipeline("bm25", store="bm25s", depth=3, injector={"name": "top_k", "k": 1})],
        corpus=unjudged.parent / "handbook",
        queries=unjudged.parent / "handbook" / "queries.jsonl",
        out=tmp_path / "python",
    )
    assert found.summary["judged"] is False
    assert found.summary["overlaps"] == []
    assert found.summary["headline"][0] == "Nobody has judged these results, so no pipeline is ranked."


@pytest.mark.slow
def test_growth_of_time_memory_tokens_and_money_needs_no_judgements(
    unjudged: Path, cache: Path, tmp_path: Path
) -> None:
    found = grow(unjudged, out=tmp_path / "out", changes={"sizes": (12, 18, 24), "orders": 2})
    growth = found.summary["growth"]
    assert (growth["judged"], growth["sizes"], list(growth["curves"])) == (False, [12, 18, 24], ["all_judged"])
    for name, curves in growth["pipelines"].items():
        for point in curves["all_judged"]:
            assert point["end_to_end"]["p50_ns"] > 0
            assert point["build"]["index_bytes"] > 0
            assert point["prompt_tokens"]["mean"] > 0
            assert float(point["cost_usd_per_1000_queries"]["total"]) > 0
            assert point["scores"] == {}, name
    assert growth["crossovers"] == []
    assert {line["quantity"] for line in growth["forecast"]}.isdisjoint({"nDCG@10"})
    text = printed(found.table("growth"))
    page = found.report.read_text(encoding="utf-8")
    assert "No relevance judgements: time, memory, tokens and money are told at every size" in text
    assert "Cost as the corpus grows" in page
    for word in ("nDCG@10", "relevant of tokens", "Judged@"):
        assert word not in text
        assert word not in page
