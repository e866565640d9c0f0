"""A change before its gate: against what was recorded before, with every verdict, and what is refused unrun."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gated_eval import QUALITY, TOKENS, Recorded, gating, refused
from unsealed import unsealed

import ragprof
from ragprof.core import files
from ragprof.evals import read_eval
from ragprof.evals.recorded import read_manifest
from ragprof.session.again import redraw, reprice
from ragprof.session.gating import gate, judged
from ragprof.session.run import run
from ragprof.studies.gate.ci_files import junit
from ragprof.studies.gate.sides import Comparison, read_side, save_baseline


def row(found: Comparison, quantity: str, pipeline: str = "reranked") -> dict[str, Any]:
    (one,) = [each for each in found.rows if (each["quantity"], each["pipeline"]) == (quantity, pipeline)]
    return one


def with_scores(recording: Path, folder: Path, changed: list[float]) -> Path:
    """A copy whose reranked nDCG@10, drawn together between 0.3 and 0.7, is so much higher, query by query."""
    unsealed(Path(shutil.copytree(recording, folder)))
    scores = pd.read_parquet(folder / "scores.parquet")
    mine = (scores["pipeline"] == "reranked") & (scores["stage"] == "rerank") & (scores["metric"] == "nDCG@10")
    scores.loc[mine, "value"] = 0.3 + 0.4 * scores.loc[mine, "value"] + changed
    scores.to_parquet(folder / "scores.parquet", index=False)
    return folder


def with_machine(recording: Path, folder: Path) -> Path:
    """A copy whose machine has a price."""
    shutil.copytree(recording, folder)
    manifest = read_manifest(folder)
    manifest["config"]["prices"] |= {"machine": "aws/m7i.large", "utilisation": 0.5}
    files.write_json(folder / "manifest.json", manifest)
    return reprice(folder).folder


def test_what_did_not_change_passes_and_runs_nothing(small: Path, recorded: Recorded, cache: Path) -> None:
    found = gate(gating(small, QUALITY, TOKENS), baseline=recorded.base, recording=recorded.same)
    assert (found.document["gate"]["verdict"], found.exit_code) == ("holds", 0)
    assert [(each["pipeline"], each["quantity"], each["gate"]) for each in found.rows] == [
        (pipeline, quantity, "holds")
        for pipeline in ("plain", "reranked")
        for quantity in ("nDCG@10", "inject.prompt_tokens")
    ]
    assert row(found, "nDCG@10")["difference"] == 0
    assert found.document["same_job"] is False
    assert not cache.exists()
    assert not Path("reports").exists()


def test_a_gate_records_into_a_folder_of_its_own(small: Path, recorded: Recorded) -> None:
    """What `ragprof run` left in reports/<name>, which may take hours and money, is neither replaced nor touched."""
    shutil.copytree(recorded.base, "reports/small")
    before = {path: path.read_bytes() for path in Path("reports/small").rglob("*") if path.is_file()}
    found = gate(gating(small, QUALITY, TOKENS), baseline=str(recorded.base))
    assert found.exit_code == 0
    assert Path("reports/small/gate/manifest.json").is_file()
    assert {path: path.read_bytes() for path in before} == before
    assert found.document["candidate"]["label"] == "reports/small/gate"
    assert found.document["candidate"]["recording"] != found.document["base"]["recording"]


def test_a_baseline_gates_as_its_recording_does(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY, TOKENS)
    kept = save_baseline(recorded.base, into="baselines/small")
    found = [gate(small, baseline=side, recording=recorded.worse) for side in (recorded.base, kept)]
    assert found[0].document["base"]["source"] == "recording"
    assert found[1].document["base"]["source"] == "baseline"
    assert found[0].document["gate"] == found[1].document["gate"]


def test_the_evals_own_baseline_lies_beside_it(
    small: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_baseline(recorded.base, into="kept/small")
    gating(small, QUALITY, table='baseline = "kept/small"')
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert gate(Path("../small.toml"), recording=recorded.same).document["base"]["label"] == "../kept/small"


def test_a_worse_reranker_is_a_regression(small: Path, recorded: Recorded) -> None:
    found = gate(gating(small, QUALITY), baseline=recorded.base, recording=recorded.worse)
    assert (found.document["gate"]["verdict"], found.exit_code) == ("regression", 1)
    assert row(found, "nDCG@10", "plain")["gate"] == "holds"
    worse = row(found, "nDCG@10")
    assert worse["gate"] == "regression"
    assert worse["interval"][1] < -0.02
    assert worse["p_holm"] < 0.05
    assert worse["message"].startswith("nDCG@10 of 'reranked' went from 0.8506 to ")
    assert worse["message"].endswith("worse by more than the margin of 0.02 (0.02)")
    assert found.document["changed"] == {
        "reranked": [{"part": "reranker", "base": "overlap", "candidate": "backwards"}]
    }
    queries = found.document["worst"]["reranked"]["queries"]
    assert len(queries) == 5
    assert all(each["candidate"] < each["base"] and each["before"] != each["after"] for each in queries)


def test_a_regression_of_the_other_direction_is_none(small: Path, recorded: Recorded) -> None:
    found = gate(gating(small, QUALITY), baseline=recorded.worse, recording=recorded.base)
    assert (found.document["gate"]["verdict"], found.exit_code) == ("holds", 0)


def test_pipelines_that_are_named_are_gated_alone(small: Path, recorded: Recorded) -> None:
    found = gate(
        gating(small, QUALITY, table='pipelines = ["plain"]'), baseline=recorded.base, recording=recorded.worse
    )
    assert ([each["pipeline"] for each in found.rows], found.exit_code) == (["plain"], 0)


@pytest.mark.parametrize(("strict", "exit_code"), [(True, 4), (False, 0)])
def test_undecided_fails_where_that_is_strict(small: Path, recorded: Recorded, strict: bool, exit_code: int) -> None:
    """Six queries 0.3 better, six 0.3 worse: no difference in the mean, and far too much scatter to say so."""
    base = with_scores(recorded.base, Path("base"), [0.0] * 12)
    mixed = with_scores(recorded.base, Path("mixed"), [0.3, -0.3] * 6)
    found = gate(gating(small, QUALITY), baseline=base, recording=mixed, strict=strict)
    assert (found.document["gate"]["verdict"], found.exit_code) == ("undecided", exit_code)
    assert row(found, "nDCG@10")["message"].startswith("nDCG@10 of 'reranked' went from 0.6402 to 0.6402 (")
    assert (
        "12 queries do not tell whether it is within the margin of 0.02 (0.02); about "
        in row(found, "nDCG@10")["message"]
    )


def test_money_that_is_unpriced_fails_its_gate_and_no_other(small: Path, recorded: Recorded) -> None:
    """The prompts have a rate, the machine has none."""
    gating(small, '"usd_per_1000_queries" = { relative = 1 }', '"inject.usd_per_1000_queries" = { relative = 0.1 }')
    found = gate(small, baseline=recorded.base, recording=recorded.same)
    assert (found.document["gate"]["verdict"], found.exit_code) == ("regression", 1)
    unpriced = row(found, "usd_per_1000_queries")
    assert (unpriced["gate"], unpriced["difference"], unpriced["p"]) == ("unpriced", None, None)
    assert "is UNPRICED (" in unpriced["message"]
    assert "no rate for rerank; name one under [prices] as rerank or machine" in unpriced["message"]
    assert row(found, "inject.usd_per_1000_queries")["gate"] == "holds"


def test_a_price_that_one_side_alone_has_is_unpriced(small: Path, recorded: Recorded) -> None:
    priced = with_machine(recorded.base, Path("priced"))
    gating(small, '"usd_per_1000_queries" = { relative = 1 }')
    assert gate(small, baseline=priced, recording=recorded.same).exit_code == 1


def test_sides_without_a_common_pipeline_are_incomparable(small: Path, recorded: Recorded) -> None:
    renamed = small.read_text().replace('"plain"', '"one"').replace('"reranked"', '"two"')
    small.write_text(renamed)
    found = gate(gating(small, QUALITY), baseline=recorded.base)
    assert (found.document["gate"]["verdict"], found.exit_code) == ("incomparable", 3)
    assert [(each["pipeline"], each["gate"]) for each in found.rows] == [
        ("one", "incomparable"),
        ("two", "incomparable"),
    ]
    (suite,) = ET.fromstring(junit(found))  # noqa: S314 (written above)
    errors = suite.findall("testcase/error")
    assert [each.get("type") for each in errors] == ["incomparable", "incomparable"]
    assert "no pipeline is in both" in str(errors[0].get("message"))
    assert (suite.get("errors"), suite.get("failures")) == ("2", "0")


def test_a_recording_of_other_documents_is_incomparable(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY)
    other = Path(shutil.copytree("handbook", "other"))
    lines = (other / "corpus.jsonl").read_text().splitlines()
    (other / "corpus.jsonl").write_text(
        "\n".join([*lines[:-1], lines[-1].replace('"text": "', '"text": "More. ')]) + "\n"
    )
    run(small, corpus=other, out="other-recording")
    found = gate(small, baseline=recorded.base, recording="other-recording")
    assert found.exit_code == 3
    assert [each["field"] for each in found.document["differences"] if each["blocks"] == "all"] == ["corpus.sha256"]


def test_no_query_in_common_is_incomparable(small: Path, recorded: Recorded) -> None:
    base, candidate = read_side(recorded.base), read_side(recorded.same)
    for table in (base.figures, base.times):
        table["query_id"] = "other-" + table["query_id"].astype(str)
    found = judged(base, candidate, read_eval(gating(small, QUALITY)).gate)
    assert found.exit_code == 3
    assert "have no query in common" in row(found, "nDCG@10")["reason"]


def test_another_machine_keeps_latency_alone_from_being_gated(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY, '"latency_p95" = { relative = 5 }', table="across_jobs = true")
    base = read_side(recorded.base)
    base.facts["environment"]["cpu"] = "a very old one"
    found = judged(base, read_side(recorded.same), read_eval(small).gate)
    assert found.exit_code == 3
    assert row(found, "nDCG@10")["gate"] == "holds"
    assert "environment.cpu" in row(found, "latency_p95")["reason"]


def test_without_a_clock_latency_is_left_out_with_a_note(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY, '"latency_p95" = { relative = 0.0001 }', '"rerank.latency_p50" = { relative = 0.0001 }')
    found = gate(small, baseline=recorded.base, recording=recorded.same, clock=False)
    assert {each["quantity"] for each in found.rows} == {"nDCG@10"}
    assert found.document["notes"][-1] == (
        "Nothing that rests on a clock is gated, as was asked; left out: latency_p95, rerank.latency_p50."
    )


def test_without_a_clock_bills_for_machine_time_are_left_out(small: Path, recorded: Recorded) -> None:
    sides = [with_machine(each, Path(each.name)) for each in (recorded.base, recorded.same)]
    money = [f'"{stage}usd_per_1000_queries" = {{ relative = 0.01 }}' for stage in ("", "search.")]
    found = gate(gating(small, QUALITY, *money), baseline=sides[0], recording=sides[1], clock=False)
    assert {each["quantity"] for each in found.rows} == {"nDCG@10"}
    assert "usd_per_1000_queries, search.usd_per_1000_queries" in found.document["notes"][-1]


def test_without_a_clock_nothing_is_timed_nobody_is_asked_and_nothing_is_drawn(
    small: Path, recorded: Recorded, tmp_path: Path
) -> None:
    machine = 'llm = "openai:gpt-4o-mini"\nmachine = "aws/m7i.large"\nutilisation = 0.5'
    small.write_text(small.read_text().replace('llm = "openai:gpt-4o-mini"', machine))
    gating(small, QUALITY, TOKENS, '"inject.usd_per_1000_queries" = {}', '"usd_per_1000_queries" = {}')
    base = with_machine(recorded.base, tmp_path / "base")
    found = gate(small, baseline=base, clock=False, out="new")
    assert {each["quantity"]: each["gate"] for each in found.rows} == {
        "nDCG@10": "holds", "inject.prompt_tokens": "holds",
    }  # fmt: skip
    assert found.exit_code == 0
    assert set(pd.read_parquet(Path("new/spans.parquet"))["phase"]) == {"cold"}
    assert set(pd.read_parquet(Path("new/usage.parquet"))["stage"]) == {"inject"}
    assert not list(Path("new").glob("report.*"))
    told = {
        each.quantity: (each.verdict, each.reason)
        for each in found.quantities
        if each.kind == "cost" and each.pipeline == "reranked"
    }
    assert set(told) == {"usd_per_1000_queries"} | {
        f"{stage}.usd_per_1000_queries" for stage in ("embed", "search", "rerank", "inject")
    }
    for quantity, (verdict, reason) in told.items():
        assert verdict == "unpriced"
        assert "no timed query" in reason, quantity
    with pytest.raises(ragprof.RagprofError, match="nothing was timed in it"):
        redraw(Path("new"))
    again = gate(small, baseline=Path("new"), clock=False, out="newer")
    assert ({each["gate"] for each in again.rows}, again.exit_code) == ({"holds"}, 0)


def test_without_a_clock_a_few_queries_are_asked_where_a_gate_counts_what_they_use(
    small: Path, recorded: Recorded
) -> None:
    gating(small, QUALITY, '"rerank.docs_scored" = {}')
    found = gate(small, baseline=recorded.base, clock=False, out="new")
    assert {(each["pipeline"], each["quantity"]): (each["gate"], each["difference"]) for each in found.rows} == {
        ("plain", "nDCG@10"): ("holds", 0), ("reranked", "nDCG@10"): ("holds", 0),
        ("reranked", "rerank.docs_scored"): ("holds", 0),
    }  # fmt: skip
    usage = pd.read_parquet(Path("new/usage.parquet"))
    live = usage[usage["stage"] != "inject"]
    assert set(live["stage"]) == {"embed", "search", "rerank"}
    assert live[live["unit"] == "docs_scored"]["query_id"].nunique() == 12


def test_latency_is_gated_against_another_jobs_only_where_that_is_meant(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY, '"latency_p50" = { relative = 1000 }')
    found = gate(small, baseline=recorded.base, recording=recorded.same)
    assert {each["quantity"] for each in found.rows} == {"nDCG@10"}
    assert found.document["notes"][-1].startswith("Latency is not gated against another job's")
    small.write_text(small.read_text().replace("[gate]\n", "[gate]\nacross_jobs = true\n"))
    found = gate(small, baseline=recorded.base, recording=recorded.same)
    assert {each["quantity"]: each["gate"] for each in found.rows} == {"nDCG@10": "holds", "latency_p50": "holds"}


@pytest.mark.parametrize("clock", [True, False])
def test_a_gate_of_nothing_but_latency_needs_a_clock_that_can_be_believed(
    small: Path, recorded: Recorded, clock: bool
) -> None:
    gating(small, '"latency_p95" = { relative = 0.1 }')
    assert refused(small, baseline=recorded.base, clock=clock).startswith(
        "nothing of [gate.quantities] is left without a clock that can be believed (latency_p95); use --against REV, or"
    )


def test_recordings_of_one_job_are_gated_on_latency(small: Path, recorded: Recorded) -> None:
    gating(small, '"latency_p95" = { relative = 0 }')
    found = gate(small, baseline=recorded.base, recording=recorded.base)
    assert (found.document["same_job"], found.exit_code) == (True, 0)


def test_a_gate_tells_what_it_found_in_numbers_alone(small: Path, recorded: Recorded) -> None:
    found = gate(gating(small, QUALITY, TOKENS), baseline=recorded.base, recording=recorded.worse)
    numbers = [value for each in found.rows for value in each.values() if isinstance(value, float)]
    assert np.isfinite(numbers).all()
    assert found.document["against"] is None
    assert isinstance(found, ragprof.Comparison)


def test_a_report_names_a_folder_without_saying_where_on_this_machine_it_lies(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY)
    inside = Path(shutil.copytree(recorded.same, "reports/inside")).absolute()
    found = gate(small, baseline=recorded.base, recording=inside)
    assert found.document["base"]["label"] == f"{recorded.base.parent.name}/base"
    assert found.document["candidate"]["label"] == "reports/inside"
