"""A change before its gate: against what was recorded before, with every verdict, and what is refused unrun."""

from __future__ import annotations

import shutil
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from outside_parts import installed

import ragprof
from ragprof import files
from ragprof.comparing import Comparison, read_side, save_baseline
from ragprof.errors import BadInput
from ragprof.evals import read_eval
from ragprof.gate_proposal import propose
from ragprof.gating import gate, judged
from ragprof.report.compare.junit import junit
from ragprof.session import reprice, run

DATA = Path(__file__).parents[1] / "data"
EVAL = """# Two ways to the same handbook.
name = "small"
metrics = ["nDCG@10", "R@10"]

[corpus]
path = "handbook"

[timing]  # short
seconds = 0.05
rounds = 2
min_queries = 2
warmup = 1

[prices]
llm = "openai:gpt-4o-mini"

[[pipelines]]
name = "plain"
store = "bm25s"
depth = 10

[[pipelines]]
name = "reranked"
embedder = "hashing"
store = "faiss_flat"
depth = 10
reranker = "overlap"
"""
QUALITY = '"nDCG@10" = { absolute = 0.02 }'
TOKENS = '"inject.prompt_tokens" = { relative = 0.02 }'


@dataclass(frozen=True)
class Recorded:
    """The small eval, recorded twice alike and once with a reranker that puts the worst first. Only read them."""

    base: Path
    same: Path
    worse: Path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    top = tmp_path_factory.mktemp("recorded")
    shutil.copytree(DATA / "handbook", top / "handbook")
    (top / "small.toml").write_text(EVAL)
    (top / "worse.toml").write_text(EVAL.replace('"overlap"', '"backwards"'))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(top / "cache"))
        patched.syspath_prepend(str(installed(top / "outside")))
        made = {"base": "small", "same": "small", "worse": "worse"}
        yield Recorded(**{name: run(top / f"{file}.toml", out=top / name).folder for name, file in made.items()})


@pytest.fixture
def small(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The eval file in a place of this test's own, where the user stands; it gates nothing yet."""
    shutil.copytree(DATA / "handbook", tmp_path / "handbook")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(EVAL)
    return Path("small.toml")


def gating(eval_file: Path, *quantities: str, table: str = "") -> Path:
    """The eval file with a [gate] of these."""
    eval_file.write_text("\n".join([eval_file.read_text(), "[gate]", table, "[gate.quantities]", *quantities, ""]))
    return eval_file


def refused(eval_file: Path, **given: Any) -> str:
    """Why nothing was run: neither a folder nor a file was made or changed."""
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    with pytest.raises(ragprof.RagprofError) as problem:
        gate(eval_file, **given)
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before
    return str(problem.value)


def row(found: Comparison, quantity: str, pipeline: str = "reranked") -> dict[str, Any]:
    (one,) = [each for each in found.rows if (each["quantity"], each["pipeline"]) == (quantity, pipeline)]
    return one


def with_scores(recording: Path, folder: Path, changed: list[float]) -> Path:
    """A copy whose reranked nDCG@10 is so much higher, query by query."""
    shutil.copytree(recording, folder)
    scores = pd.read_parquet(folder / "scores.parquet")
    mine = (scores["pipeline"] == "reranked") & (scores["stage"] == "rerank") & (scores["metric"] == "nDCG@10")
    scores.loc[mine, "value"] += changed
    scores.to_parquet(folder / "scores.parquet", index=False)
    return folder


def with_machine(recording: Path, folder: Path) -> Path:
    """A copy whose machine has a price."""
    shutil.copytree(recording, folder)
    manifest = files.read_manifest(folder)
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


def test_a_gate_records_the_eval_where_reports_go(small: Path, recorded: Recorded) -> None:
    found = gate(gating(small, QUALITY, TOKENS), baseline=str(recorded.base))
    assert found.exit_code == 0
    assert Path("reports/small/manifest.json").is_file()
    assert found.document["candidate"]["label"] == "reports/small"
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
    mixed = with_scores(recorded.base, Path("mixed"), [0.3, -0.3] * 6)
    found = gate(gating(small, QUALITY), baseline=recorded.base, recording=mixed, strict=strict)
    assert (found.document["gate"]["verdict"], found.exit_code) == ("undecided", exit_code)
    assert row(found, "nDCG@10")["message"].startswith("nDCG@10 of 'reranked' went from 0.8506 to 0.8506 (")
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
    (suite,) = ET.fromstring(junit(found.document))  # noqa: S314 (written above)
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


def test_other_documents_are_refused_before_anything_is_run(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY)
    corpus = Path("handbook/corpus.jsonl")
    corpus.write_text(corpus.read_text().replace("leave", "holiday", 1))
    found = gate(small, baseline=recorded.base)
    (message,) = found.document["notes"]
    assert found.exit_code == 3
    assert [row["gate"] for row in found.rows] == ["incomparable"] * len(found.rows)
    assert message.startswith(f"{recorded.base.parent.name}/base: it was made with other corpus (")
    assert "nothing was run" in message
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("queries.jsonl", "?", "??", "questions"),
        ("qrels/test.tsv", "q01\tleave-annual\t2", "q01\tleave-annual\t1", "qrels"),
    ],
)
def test_other_questions_and_judgements_are_refused_too(
    small: Path, recorded: Recorded, file: str, old: str, new: str, named: str
) -> None:
    path = Path("handbook") / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    gating(small, QUALITY)
    found = gate(small, baseline=recorded.base)
    assert found.exit_code == 3
    assert f"it was made with other {named} (" in found.document["notes"][0]


LINE = EVAL.count("\n") + 5
"""Of the first quantity that `gating` adds."""


@pytest.mark.parametrize(
    ("quantity", "table", "expected"),
    [
        ('"nDCG@5" = {}', "", "no metric of this eval named 'nDCG@5'; did you mean 'nDCG@10'? There are: R@10,"),
        ('"generate.latency_p50" = {}', "", "'generate.latency_p50': no pipeline has a generate stage; leave it out"),
        ('"rerank.docs_scored" = { pipelines = ["plain"] }', "",
         "'rerank.docs_scored': pipeline 'plain' has no rerank stage; name others under pipelines"),
        ('"rerank.docs_scored" = {}', 'pipelines = ["plain"]',
         "'rerank.docs_scored': pipeline 'plain' has no rerank stage; name others under pipelines"),
        ('"nDCG@10" = { pipelines = ["plane"] }', "", "no pipeline named 'plane'; there are: plain, reranked"),
        ('"embed.nDCG@10" = {}', "",
         "'embed.nDCG@10': the embed stage ranks nothing; there are metrics of search, rerank, inject"),
        ('"rerank.flops" = {}', "",
         "'rerank.flops' is not counted; say for how many queries with [gate] flop_queries = 20"),
        ('"latency" = {}', "", "no quantity named 'latency'; did you mean 'latency_p95'?"),
        ('"nDCG@10" = { absolute = nan }', "", "gate.quantities.nDCG@10.absolute: Input should be a finite number"),
        ('"nDCG@10" = { relative = -0.1 }', "", "gate.quantities.nDCG@10.relative: Input should be greater than"),
    ],
    ids=["metric", "stage", "named", "gates", "pipeline", "unranked", "uncounted", "quantity", "nan", "negative"],
)  # fmt: skip
def test_what_cannot_be_gated_is_refused_with_its_line_before_anything_is_run(
    small: Path, recorded: Recorded, quantity: str, table: str, expected: str
) -> None:
    message = refused(gating(small, quantity, table=table), baseline=recorded.base)
    assert message.startswith(f"small.toml:{LINE}: ")
    assert expected in message


def test_a_count_that_neither_side_has_is_refused_with_those_there_are(small: Path, recorded: Recorded) -> None:
    gating(small, '"rerank.docs_scord" = {}')
    with pytest.raises(
        BadInput,
        match=rf"small.toml:{LINE}: no usage of the rerank stage named 'docs_scord'; did you mean 'docs_scored'",
    ):
        gate(small, baseline=recorded.base, recording=recorded.same)


def test_an_eval_that_gates_nothing_is_told_how_to_begin(small: Path, recorded: Recorded) -> None:
    message = refused(small, baseline=recorded.base)
    assert message == (
        "small.toml: it has no [gate.quantities]; let 'ragprof gate EVAL.toml --init' write a sensible table"
    )


def test_nothing_to_compare_with_is_refused(small: Path) -> None:
    assert refused(gating(small, QUALITY)).startswith(
        "small.toml: nothing to compare with; give --baseline DIR or --ag"
    )


def test_against_takes_no_baseline_beside_it(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY)
    for given in ({"baseline": recorded.base}, {"recording": recorded.same}):
        assert refused(small, against="main", **given).startswith("small.toml: --against runs both sides itself; leave")


def test_a_folder_that_is_no_baseline_is_refused(small: Path) -> None:
    gating(small, QUALITY)
    assert refused(small, baseline="nowhere").startswith("nowhere: no such folder; give that of a recording")
    Path("empty").mkdir()
    assert refused(small, baseline="empty").startswith("empty/manifest.json: this file is missing")


def test_an_edited_baseline_is_refused_before_anything_is_run(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY)
    kept = save_baseline(recorded.worse, into="baselines/small")
    document = kept / "baseline.json"
    document.write_text(document.read_text().replace('"queries": 12', '"queries": 13'))
    assert refused(small, baseline=kept).startswith(
        "baselines/small/baseline.json: it is not as it was saved (its seal differs): it was edited; restore it from"
    )


def test_a_recording_does_not_take_the_place_of_its_own_baseline(small: Path, recorded: Recorded) -> None:
    gating(small, QUALITY)
    shutil.copytree(recorded.base, "reports/small")
    assert refused(small, baseline="reports/small").startswith(
        "reports/small: this folder is the baseline, and a new recording would take its place; keep it with 'ragprof "
    )


def test_a_gate_that_was_proposed_reads_and_holds_and_keeps_what_was_there(small: Path, recorded: Recorded) -> None:
    proposal = propose(small, recording=recorded.base)
    text = small.read_text()
    assert text == f"{EVAL}\n{proposal.toml}"
    assert "# Two ways to the same handbook." in text
    assert "[timing]  # short" in text
    assert set(tomllib.loads(text)["gate"]["quantities"]) == set(read_eval(small).gate.quantities)
    assert {
        "nDCG@10",
        "R@10",
        "latency_p50",
        "rerank.latency_p95",
        "inject.prompt_tokens",
        "rerank.docs_scored",
    } <= set(read_eval(small).gate.quantities)
    found = gate(small, baseline=recorded.base, recording=recorded.base)
    assert {each["gate"] for each in found.rows} == {"holds"}
    assert found.exit_code == 0


def test_a_proposal_is_made_from_where_reports_go(small: Path, recorded: Recorded) -> None:
    with pytest.raises(BadInput, match="reports/small: no such folder"):
        propose(small)
    shutil.copytree(recorded.base, "reports/small")
    assert propose(str(small)).lines[0].startswith("nDCG@10: margin 0.01; smallest detectable effect ")


def test_a_second_proposal_is_refused(small: Path, recorded: Recorded) -> None:
    propose(small, recording=recorded.base)
    before = small.read_text()
    with pytest.raises(
        BadInput, match=r"small\.toml: it has \[gate\.quantities\] already; edit them, or take them out"
    ):
        propose(small, recording=recorded.base)
    assert small.read_text() == before


@pytest.mark.parametrize("table", ["[gate]\nlooks = 2", "[ gate ]", "[gate.quantities]"])
def test_a_gate_without_quantities_is_not_written_into(small: Path, recorded: Recorded, table: str) -> None:
    small.write_text(f"{EVAL}\n{table}\n")
    with pytest.raises(BadInput, match=r"it has a \[gate\] table without quantities; take it out and run this again"):
        propose(small, recording=recorded.base)


def test_a_gate_written_inline_is_left_to_its_writer(small: Path, recorded: Recorded) -> None:
    small.write_text(f"gate = {{ looks = 2 }}\n{EVAL}")
    with pytest.raises(BadInput, match=r"a \[gate\] cannot be added to it \(.*\); write one by hand"):
        propose(small, recording=recorded.base)
    assert small.read_text() == f"gate = {{ looks = 2 }}\n{EVAL}"


def test_a_recording_of_another_eval_proposes_nothing(small: Path, recorded: Recorded) -> None:
    small.write_text(EVAL.replace('name = "small"', 'name = "large"'))
    with pytest.raises(BadInput, match="is a recording of 'small', not of 'large'; run 'ragprof run' first"):
        propose(small, recording=recorded.base)


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
