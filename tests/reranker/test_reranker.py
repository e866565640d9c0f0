"""`weigh` from end to end on the handbook: what is recorded, judged, priced and said."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from handbook_reranker import RERANKER, RecordedRerankers, contents, write_handbook
from typer.testing import CliRunner

from ragprof.cli.app import app
from ragprof.core.errors import BadInput
from ragprof.judge.scores import measure, scores_of
from ragprof.session.again import redraw, reprice, reweigh
from ragprof.session.run import keep, weigh
from ragprof.statistics.estimates import quantile, rounds_of
from ragprof.studies.preparation import prepare

NAME = "hybrid+overlap"


def test_every_figure_of_the_curve_is_that_of_a_run_at_its_depth(recorded: RecordedRerankers, tmp_path: Path) -> None:
    judged = recorded.table("judged")
    for depth in (4, 7, 10):
        k = min(3, depth)
        changes = {
            'depth = 10\nreranker = "overlap"': f'depth = {depth}\nreranker = "overlap"',
            "k = 3, tokens": f"k = {k}, tokens",
        }
        folder = tmp_path / str(depth)
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))
            made = keep(prepare(write_handbook(folder, changes=changes)), out=folder / "out")
        scores = pd.read_parquet(made / "scores.parquet")
        mine = scores[(scores["pipeline"] == NAME) & (scores["stage"] == "rerank")]
        curve = judged[(judged["ranking"] == "rerank") & (judged["depth"] == depth)].set_index("query_id")
        for metric in ("nDCG@10", "RR@10", "R@10", "P@5", "Success@5", "Judged@10"):
            expected = mine[mine["metric"] == metric].set_index("query_id")["value"]
            assert expected.to_dict() == curve.loc[expected.index, metric].to_dict(), (depth, metric)


def test_a_depth_below_the_chunks_that_are_injected_is_honoured(recorded: RecordedRerankers) -> None:
    curve = {(row["depth"], row["k"]): row for row in recorded.summary["reranker"][NAME]["depth_curve"]}
    assert set(curve) == {(depth, k) for depth in (1, 2, 4, 7, 10) for k in (1, 2, 3, 5)}
    assert curve[1, 1]["prompt_tokens"] == curve[1, 3]["prompt_tokens"] < curve[10, 3]["prompt_tokens"]
    live = recorded.table("live")
    assert live[live["depth"] == 2]["candidates"].tolist() == [2] * (live["depth"] == 2).sum()


def test_the_plain_ranking_is_that_of_the_twin(recorded: RecordedRerankers) -> None:
    judged = recorded.table("judged")
    plain = judged[judged["ranking"] == "search"].set_index("query_id")["nDCG@10"].to_dict()
    scores = pd.read_parquet(recorded.folder / "scores.parquet")
    twin = scores[(scores["pipeline"] == "hybrid") & (scores["stage"] == "search") & (scores["metric"] == "nDCG@10")]
    assert twin.set_index("query_id")["value"].to_dict() == plain
    assert recorded.summary["reranker"][NAME]["against"] == "hybrid"


def test_the_oracle_is_never_beaten(recorded: RecordedRerankers) -> None:
    wide = recorded.table("judged").pivot(index=["query_id", "depth"], columns="ranking", values="nDCG@10")
    assert (wide["oracle"] >= wide["rerank"] - 1e-12).all()


def test_every_depth_is_timed_on_the_same_queries(recorded: RecordedRerankers) -> None:
    live = recorded.table("live")
    assert sorted(live["depth"].unique()) == [0, 1, 2, 4, 7, 10]
    asked = {depth: sorted(rows["query_id"]) for depth, rows in live.groupby("depth")}
    assert all(each == asked[0] for each in asked.values())
    assert live["rerank_ns"].isna().tolist() == (live["depth"] == 0).tolist()


def test_the_summary_follows_the_contract(recorded: RecordedRerankers) -> None:
    import jsonschema

    from ragprof.session import summary

    schema = Path(summary.__file__).with_name("summary.schema.json")
    jsonschema.Draft202012Validator(json.loads(schema.read_text())).validate(dict(recorded.summary))
    verdict = recorded.summary["reranker"][NAME]
    assert verdict["verdict"] in ("KEEP", "DROP", "SHRINK", "UNDECIDED")
    assert verdict["own_depth"] == 10
    assert {row["llm"] for row in verdict["statement"]["scenarios"]} == {"openai:gpt-4o-mini", "openai:gpt-4o"}
    assert [year["year"] for year in verdict["price_trend"]["years"]] == [0, 1, 2, 3, 4, 5]


def test_both_pages_and_the_section_are_written(recorded: RecordedRerankers) -> None:
    page = (recorded.folder / "reranker.md").read_text()
    assert recorded.summary["reranker"][NAME]["verdict"] in page
    assert len(page.splitlines()) <= 80
    assert page.startswith("# Is the reranker worth it? Handbook: which pipeline finds the rule?\n")
    assert ", 24 passages of 24 documents. The whole statement: report.html.</sub>" in page
    assert "ranking quality" in page
    assert 'id="reranker"' in (recorded.folder / "report.html").read_text()


def test_the_verdict_is_the_first_sentence_of_report_and_summary(recorded: RecordedRerankers) -> None:
    one, headline = recorded.summary["reranker"][NAME], recorded.summary["headline"]
    assert headline[0].endswith(f". {one['reason']}")
    assert f"reranker of {NAME}" in headline[0].partition(". ")[0]
    assert not [sentence for sentence in headline if f"The reranker of {NAME} changes" in sentence]
    page = (recorded.folder / "report.html").read_text()
    findings = page.partition('<ul class="findings">')[2].partition("</li>")[0]
    assert unescape(findings).partition("<li>")[2] == headline[0]
    asked = page.partition('<p class="asked">')[2].partition("</p>")[0]
    assert asked == f"Is the reranker of {NAME} worth it?"
    assert asked in (recorded.folder / "decision.md").read_text()
    (bold,) = [line for line in (recorded.folder / "report.md").read_text().splitlines()[:4] if line.startswith("**")]
    assert f"reranker of {NAME}" in bold


def test_limits_and_worth_are_options_of_the_command(reranker_copy: RecordedRerankers) -> None:
    limits = ["--max-added-p95-ms", "600000", "--max-usd", "0", "--worth", "0.5"]
    result = CliRunner().invoke(app, ["reranker", str(reranker_copy.folder), *limits])
    assert result.exit_code == 0, result.output
    settings = json.loads((reranker_copy.place / "settings.json").read_text())["reranker"]
    kept = (settings["max_added_p95_ms"], settings["max_usd_per_1000_queries"], settings["worth_usd_per_point"])
    assert kept == (600_000.0, 0.0, 0.5)
    assert f"{NAME}: DROP. It costs $" in result.output
    assert "more than the $0 allowed, whatever its gain" in " ".join(result.output.split())


def test_what_was_timed_on_a_busy_machine_decides_nothing(reranker_copy: RecordedRerankers) -> None:
    live = reranker_copy.table("live").assign(cpu_ns=1_000_000_000, waiting_ns=3_000_000_000)
    live.to_parquet(reranker_copy.place / "live.parquet")
    one = reweigh(reranker_copy.folder, changes={"max_added_p95_ms": 0.0001}).summary["reranker"][NAME]
    assert one["verdict"] == "UNDECIDED"
    busy = "the machine was busy (75% of the time waiting for a core)"
    assert one["reason"].startswith(
        f"What it adds at p95 is withheld: {busy}; timing it again on a quieter machine would decide it. "
        f"What it costs is billed by time and withheld: {busy}; "
    )
    assert one["statement"]["added_p50_ns"] == reranker_copy.summary["reranker"][NAME]["statement"]["added_p50_ns"]
    assert any(note.startswith(f"While it was timed {busy}: ") for note in one["notes"])
    live.assign(waiting_ns=10_000_000).to_parquet(reranker_copy.place / "live.parquet")
    quiet = redraw(reranker_copy.folder).summary["reranker"][NAME]
    assert "withheld" not in quiet["reason"]


def test_added_time_is_the_difference_of_two_quantiles_of_all_rounds(recorded: RecordedRerankers) -> None:
    live = recorded.table("live")
    rounds = [rounds_of(live[live["depth"] == depth], column="end_to_end_ns") for depth in (0, 10)]
    plain, reranked = (quantile(each, 0.5) for each in rounds)
    added = recorded.summary["reranker"][NAME]["statement"]["added_p50_ns"]
    assert added == pytest.approx(reranked - plain, abs=1)


def test_a_second_run_scores_no_pair_again(reranker_copy: RecordedRerankers) -> None:
    assert reranker_copy.manifest["work"]["pairs_scored"] == 0  # the main recording has scored the deepest
    result = weigh(reranker_copy.eval_file, out=reranker_copy.folder)
    work = result.summary["reranker_study"]["work"]
    assert (work["pairs_scored"], work["pairs_reused"] > 0) == (0, True)
    before, after = reranker_copy.summary["reranker"][NAME], result.summary["reranker"][NAME]
    assert before["statement"]["quality_gain"] == after["statement"]["quality_gain"]


def test_reweighing_runs_nothing_and_changes_what_it_is_told(reranker_copy: RecordedRerankers) -> None:
    before = contents(reranker_copy.place)
    changed = reweigh(reranker_copy.folder, changes={"margin": 0.9, "price_trend": None}).summary["reranker"][NAME]
    assert changed["verdict"] == "DROP"
    assert "less than the 0.9 that counts" in changed["reason"]
    assert changed["price_trend"] is None
    for name in ("manifest.json", "candidates.parquet", "live.parquet", "judged.parquet", "signals.parquet"):
        path = reranker_copy.place / name
        assert path.read_bytes() == before[path]
    assert redraw(reranker_copy.folder).summary["reranker"][NAME]["verdict"] == "DROP"
    anew = weigh(reranker_copy.eval_file, out=reranker_copy.folder).summary["reranker"][NAME]
    assert anew["statement"]["quality_gain"] == changed["statement"]["quality_gain"]
    assert "0.9" not in anew["reason"]


def test_weighing_that_fails_keeps_what_was_there(reranker_copy: RecordedRerankers) -> None:
    (reranker_copy.place / "live.parquet").unlink()
    before = contents(reranker_copy.place)
    with pytest.raises(BadInput, match=r"live.parquet: this file is missing"):
        reweigh(reranker_copy.folder, changes={"margin": 0.9})
    assert contents(reranker_copy.place) == before


def test_repricing_the_recording_reprices_the_reranker(reranker_copy: RecordedRerankers) -> None:
    before = {path: path.read_bytes() for path in reranker_copy.folder.rglob("manifest.json")}
    other = reprice(reranker_copy.folder, llm="openai:gpt-4o").summary["reranker"][NAME]["statement"]
    assert other["llm"] == "openai:gpt-4o"
    assert before == {path: path.read_bytes() for path in before}


def test_redrawing_says_the_same(reranker_copy: RecordedRerankers) -> None:
    assert redraw(reranker_copy.folder).summary["reranker"] == reranker_copy.summary["reranker"]


def test_rerankers_of_another_eval_are_left_out_and_said_to_be(reranker_copy: RecordedRerankers) -> None:
    manifest = reranker_copy.manifest
    (reranker_copy.place / "manifest.json").write_text(json.dumps({**manifest, "corpus_sha256": "other"}))
    summary = redraw(reranker_copy.folder).summary
    assert "reranker" not in summary
    assert any("record them anew with 'ragprof reranker'" in warning for warning in summary["warnings"])


def test_no_text_keeps_no_question_and_no_passage(
    recorded: RecordedRerankers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGPROF_CACHE", str(recorded.cache))
    result = weigh(recorded.eval_file, out=tmp_path / "out", keep_text=False)
    written = b"".join(contents(result.folder).values())
    assert b"annual leave" not in written
    assert b"annual leave" in b"".join(contents(recorded.folder).values())


def test_a_reranker_that_depends_on_company_is_found_out_and_run_at_every_depth(
    tmp_path: Path, rerankers: None
) -> None:
    eval_file = write_handbook(tmp_path, changes={'reranker = "overlap"': 'reranker = "company"'})
    result = weigh(eval_file, out=tmp_path / "out")
    verdict = result.summary["reranker"][NAME]
    assert verdict["listwise"] is True
    assert any("declares that a pair's score depends on no other candidate" in note for note in verdict["notes"])
    candidates = pd.read_parquet(tmp_path / "out" / "reranker" / "candidates.parquet")
    assert sorted(candidates["depth"].unique()) == [1, 2, 4, 7, 10]


def test_a_listwise_reranker_is_judged_as_it_ranks_at_each_depth(tmp_path: Path, rerankers: None) -> None:
    eval_file = write_handbook(tmp_path, changes={'reranker = "overlap"': 'reranker = "listwise"'})
    prepared = prepare(eval_file)
    result = weigh(eval_file, out=tmp_path / "out")
    rankings = pd.read_parquet(result.folder / "rankings" / f"{NAME}.parquet")
    expected = scores_of(rankings, prepared.evaluation.qrels, [measure("nDCG@10")], stages=["rerank"])
    judged = pd.read_parquet(result.folder / "reranker" / "judged.parquet")
    own = judged[(judged["ranking"] == "rerank") & (judged["depth"] == 10)].set_index("query_id")["nDCG@10"]
    assert expected.set_index("query_id")["value"].to_dict() == own.to_dict()


def test_students_stand_beside_their_teacher(tmp_path: Path, rerankers: None) -> None:
    more = RERANKER.replace("price_trend = 30", 'students = ["company"]')
    result = weigh(write_handbook(tmp_path, more=more), out=tmp_path / "out")
    (row,) = result.summary["reranker_study"]["side_by_side"]
    assert row["kind"] == "reranker"
    assert "company" in row["student"]
    assert list(result.summary["reranker"]) == [NAME]


def test_a_query_that_is_a_document_itself_leaves_no_gap(tmp_path: Path, cache: Path) -> None:
    """BEIR's rule takes the query's own document out: what stands behind it moves up, and a depth stays a depth."""
    eval_file = write_handbook(tmp_path)
    corpus, queries = (tmp_path / "handbook" / f"{name}.jsonl" for name in ("corpus", "queries"))
    first = json.loads(queries.read_text().splitlines()[0])
    with corpus.open("a") as stream:
        stream.write(json.dumps({"_id": first["_id"], "title": "", "text": first["text"]}) + "\n")
    result = weigh(eval_file, out=tmp_path / "out")
    candidates = pd.read_parquet(result.folder / "reranker" / "candidates.parquet")
    mine = candidates[(candidates["query_id"] == first["_id"]) & (candidates["depth"] == 10)].sort_values("rank")
    assert first["_id"] not in set(mine["doc_id"])
    assert mine["rank"].tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    prompts = pd.read_parquet(result.folder / "reranker" / "prompts.parquet")
    asked = (prompts["query_id"] == first["_id"]) & (prompts["ranking"] == "search") & (prompts["k"] == 1)
    assert prompts[asked]["context_tokens"].tolist() == [mine["tokens"].iloc[0]]
