"""Exports: what is in the files, that it is the recording's, that other suites load it, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from unsealed import unsealed

from ragprof.core.errors import BadInput, Incomparable, NonFiniteScore, UnknownName
from ragprof.exports import Exported, export
from ragprof.exports.per_query import csv_text, guarded_cell, per_query_table
from ragprof.exports.trec import export_runs
from ragprof.session.run import inject

PASSAGES = {
    "opening": ("Opening hours", "The clinic opens at eight | and closes at noon."),
    "parking": ("Parking", "Visitors park behind the clinic.\nTwo hours are free."),
    "visits": ("Visits", "Visits to patients end at nineteen. \u201cNo exceptions\u201d, says the ward\u2028sister."),
    "=flu": ("Vaccination", "Flu vaccination is free for patients above sixty."),
    "results": ("Results", "Laboratory results are ready after two days."),
}
QUESTIONS = {
    "=1+1": ("When does the clinic open?", ["eight", "at eight"], {"opening": 2, "parking": 1}),
    "q2": ("Where do visitors park?", ["behind the clinic"], {"parking": 1, "visits": 0}),
    "q3": ("For whom is flu vaccination free?", [], {"=flu": 1}),
    "q4": ("When are laboratory results ready?", ["after two days"], {"results": 1, "opening": 2}),
}
EVAL = """
name = "clinic"
metrics = ["nDCG@10", "P@2", "R@2", "Judged@2"]
[corpus]
path = "clinic"
[timing]
seconds = 0.02
rounds = 2
min_queries = 2
warmup = 1
[injection]
generator = "extractive"
questions = 2
sweep = ["both"]
ks = [1]
budgets = []
orders = ["best_first"]
lengths = []
[injection.timing]
seconds = 0.02
rounds = 1
min_queries = 1
repeats = 2
[prices]
llm = "openai:gpt-4o-mini"
[[pipelines]]
name = "bm25"
store = "bm25s"
depth = 4
injector = { name = "top_k", k = 2, order = "best_last" }
prices = { machine = "aws/m7i.large", utilisation = 0.5 }
[[pipelines]]
name = "both"
embedder = "hashing"
store = { name = "rrf", stores = ["bm25s", "faiss_flat"] }
depth = 4
reranker = "overlap"
injector = { name = "top_k", k = 2 }
"""


@dataclass(frozen=True)
class Clinic:
    """The collection, its eval file and the recording made of them, answers included."""

    eval_file: Path
    folder: Path

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / f"{name}.parquet")

    def packed(self, pipeline: str, query_id: str) -> list[str]:
        """Documents in the prompt of the main recording, in its order."""
        ranking = self.table(f"rankings/{pipeline}")
        rows = ranking[(ranking["stage"] == "inject") & (ranking["query_id"] == query_id)]
        return list(rows.sort_values("rank")["document_id"])

    def answer(self, pipeline: str, query_id: str, setting: str = "own") -> str:
        prompts = self.table("injection/prompts").merge(self.table("injection/answers"), on="digest")
        return str(prompts.set_index(["pipeline", "setting", "query_id"])["text"][pipeline, setting, query_id])

    @property
    def asked(self) -> list[str]:
        return list(json.loads((self.folder / "injection" / "manifest.json").read_text())["questions"])


def write_clinic(folder: Path) -> Path:
    place = folder / "clinic"
    (place / "qrels").mkdir(parents=True)
    corpus = [{"_id": key, "title": title, "text": text} for key, (title, text) in PASSAGES.items()]
    queries = [{"_id": key, "text": text, "metadata": {"answers": gold}} for key, (text, gold, _) in QUESTIONS.items()]
    (place / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (place / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    judged = [(key, doc, grade) for key, (_, _, grades) in QUESTIONS.items() for doc, grade in grades.items()]
    lines = [f"{key}\t{doc}\t{grade}\n" for key, doc, grade in judged]
    (place / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    (folder / "clinic.toml").write_text(EVAL)
    return folder / "clinic.toml"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    folder = tmp_path_factory.mktemp("clinic")
    eval_file = write_clinic(folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(folder / "cache"))
        return Clinic(eval_file, inject(eval_file, out=folder / "out").folder)


@pytest.fixture(scope="module")
def whole(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exported]:
    """Every format. Only read it."""
    into = tmp_path_factory.mktemp("whole")
    formats = ["deepeval", "per-query", "ragas", "trec"]
    return into, export(clinic.folder, into=into, formats=formats, eval_file=clinic.eval_file)


@pytest.fixture
def copy(clinic: Clinic, tmp_path: Path) -> Clinic:
    """A recording and a collection that the test may change."""
    return Clinic(write_clinic(tmp_path), unsealed(Path(shutil.copytree(clinic.folder, tmp_path / "out"))))


def lines(path: Path) -> dict[str, dict[str, Any]]:
    return {row["query_id"]: row for row in map(json.loads, path.read_text(encoding="ascii").splitlines())}


def content(doc_id: str) -> str:
    return " ".join(PASSAGES[doc_id])


def test_the_files_stand_where_their_formats_say(whole: tuple[Path, Exported]) -> None:
    into, done = whole
    assert [str(path.relative_to(into)) for path in done.paths] == [
        "per_query.parquet",
        "per_query.csv",
        "trec/bm25.search.run",
        "trec/bm25.inject.run",
        "trec/both.search.run",
        "trec/both.rerank.run",
        "trec/both.inject.run",
        "trec/qrels.txt",
        "ragas/bm25.jsonl",
        "ragas/both.jsonl",
        "deepeval/bm25.json",
        "deepeval/both.json",
    ]
    assert sorted(path for path in into.rglob("*") if path.is_file()) == sorted(done.paths)


def test_folders_may_be_given_as_text(clinic: Clinic, tmp_path: Path) -> None:
    paths = list(export(str(clinic.folder), into=str(tmp_path), formats=["per-query"]).paths)
    assert paths == [tmp_path / "per_query.parquet", tmp_path / "per_query.csv"]


def test_quality_and_usage_are_the_recordings(clinic: Clinic, whole: tuple[Path, Exported]) -> None:
    table = pd.read_parquet(whole[0] / "per_query.parquet")
    assert list(table.columns) == ["pipeline", "query_id", "kind", "stage", "name", "unit", "value"]
    assert list(dict.fromkeys(zip(table["pipeline"], table["kind"], strict=True))) == [
        (pipeline, kind) for pipeline in ("bm25", "both") for kind in ("quality", "latency", "usage", "cost")
    ]
    key = ["pipeline", "stage", "name", "query_id"]
    scores = clinic.table("scores").rename(columns={"metric": "name"}).set_index(key)["value"]
    quality = table[table["kind"] == "quality"].set_index(key)["value"]
    assert len(quality) == 4 * 4 * (2 + 3)
    assert quality.sort_index().tolist() == scores.sort_index().tolist()
    usage = table[(table["kind"] == "usage") & (table["name"] == "docs_injected")]
    assert usage[["stage", "unit"]].drop_duplicates().to_numpy().tolist() == [["inject", "docs_injected"]]
    injected = [len(clinic.packed(name, query_id)) for name, query_id in usage[key[:1] + key[3:]].to_numpy().tolist()]
    assert usage["value"].tolist() == injected
    assert sorted(set(injected)) == [1, 2]


def test_latency_is_the_median_of_the_live_rounds_in_ns(clinic: Clinic, whole: tuple[Path, Exported]) -> None:
    table = pd.read_parquet(whole[0] / "per_query.parquet")
    spans = clinic.table("spans")
    timed = spans[(spans["phase"] == "timed") & (spans["pipeline"] == "both") & (spans["stage"] == "query")]
    query_id = timed["query_id"].iloc[0]
    rounds = timed.loc[timed["query_id"] == query_id, "duration_ns"].tolist()
    assert len(rounds) == 2
    rows = table[(table["kind"] == "latency") & (table["pipeline"] == "both") & (table["query_id"] == query_id)]
    assert set(rows["stage"]) == {"query", "embed", "search", "rerank", "inject"}
    assert set(rows["name"]) == {"median"}
    assert set(rows["unit"]) == {"ns"}
    assert rows.set_index("stage").loc["query", "value"] == sum(rounds) / 2


def test_a_bill_is_the_sum_of_its_items_where_all_of_them_are_known(whole: tuple[Path, Exported]) -> None:
    table = pd.read_parquet(whole[0] / "per_query.parquet")
    cost = table[(table["kind"] == "cost") & (table["pipeline"] == "bm25")]
    assert set(cost["unit"]) == {"USD"}
    totals = cost[cost["name"] == "total"].set_index("query_id")
    items = cost[cost["name"] != "total"].groupby("query_id")["value"]
    timed = items.size()[items.size() == 3].index
    assert set(zip(cost["stage"], cost["name"], strict=True)) == {
        ("search", "machine time"),
        ("inject", "prompt tokens"),
        ("inject", "machine time"),
        ("query", "total"),
    }
    assert set(totals["stage"]) == {"query"}
    assert set(totals.index) == set(timed)
    assert totals["value"].to_dict() == pytest.approx(items.sum()[timed].to_dict())
    assert (totals["value"] > 0).all()


def test_what_is_unpriced_has_a_row_without_a_value(whole: tuple[Path, Exported]) -> None:
    table = pd.read_parquet(whole[0] / "per_query.parquet")
    cost = table[(table["kind"] == "cost") & (table["pipeline"] == "both")].set_index(["stage", "name"])["value"]
    assert cost["search", "unpriced"].isna().all()
    assert cost["query", "total"].isna().all()
    assert cost["inject", "prompt tokens"].notna().all()
    assert len(cost["query", "total"]) == 4
    assert "both,q2,cost,search,unpriced,USD,\n" in (whole[0] / "per_query.csv").read_text()


def test_csv_holds_what_parquet_holds(whole: tuple[Path, Exported]) -> None:
    table = pd.read_parquet(whole[0] / "per_query.parquet")
    text = dict.fromkeys(table.columns[:-1], str)
    csv = pd.read_csv(whole[0] / "per_query.csv", dtype=text, keep_default_na=False, na_values={"value": [""]})
    assert csv["value"].equals(table["value"])
    assert csv["query_id"].str.removeprefix("'").tolist() == table["query_id"].tolist()


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-q", "'-q"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\uff1d1", "'\uff1d1"),
        ("'=1", "''=1"),
        ("q=1", "q=1"),
        ("", ""),
    ],
)
def test_no_cell_can_be_taken_for_a_formula(text: str, cell: str) -> None:
    assert guarded_cell(text) == cell
    assert cell.removeprefix("'") == text.removeprefix("'" if cell == text else "")


def test_numbers_below_zero_stay_numbers() -> None:
    row = {"pipeline": "p", "query_id": "=q,1", "kind": "usage", "stage": "search", "name": "n", "unit": "n"}
    table = pd.DataFrame([{**row, "value": -0.1}])
    assert csv_text(table).splitlines()[1] == 'p,"\'=q,1",usage,search,n,n,-0.1'


def test_runs_are_those_of_the_judge(clinic: Clinic, tmp_path: Path) -> None:
    done = list(export(clinic.folder, into=tmp_path / "mine", formats=["trec"], pipelines=["both"]).paths)
    export_runs(clinic.folder, into=tmp_path / "all")
    assert [path.name for path in done] == ["both.search.run", "both.rerank.run", "both.inject.run"]
    assert all(path.read_bytes() == (tmp_path / "all" / path.name).read_bytes() for path in done)


def test_qrels_come_with_the_eval_file(whole: tuple[Path, Exported]) -> None:
    assert (whole[0] / "trec" / "qrels.txt").read_text().splitlines() == [
        "=1+1 0 opening 2",
        "=1+1 0 parking 1",
        "q2 0 parking 1",
        "q2 0 visits 0",
        "q3 0 =flu 1",
        "q4 0 results 1",
        "q4 0 opening 2",
    ]


def test_figures_and_runs_hold_no_text(whole: tuple[Path, Exported]) -> None:
    held = (
        "".join(path.read_text() for path in whole[1].paths if path.suffix in (".csv", ".run", ".txt"))
        + pd.read_parquet(whole[0] / "per_query.parquet").to_csv()
    )
    words = [text for text, _, _ in QUESTIONS.values()] + [text for pair in PASSAGES.values() for text in pair]
    assert [word for word in words if word in held] == []


def test_a_ragas_sample_has_the_prompts_passages_in_its_order(clinic: Clinic, whole: tuple[Path, Exported]) -> None:
    samples = lines(whole[0] / "ragas" / "bm25.jsonl")
    assert list(samples) == ["=1+1", "q2", "q3", "q4"]
    inside = clinic.packed("bm25", "q4")
    assert inside[-1] == "results"
    assert samples["q4"] == {
        "query_id": "q4",
        "user_input": "When are laboratory results ready?",
        "retrieved_contexts": [content(doc) for doc in inside],
        "retrieved_context_ids": inside,
        "reference_context_ids": ["opening", "results"],
        "response": clinic.answer("bm25", "q4") if "q4" in clinic.asked else None,
        "reference": "after two days",
    }


def test_a_deepeval_case_says_the_same_in_its_words(whole: tuple[Path, Exported]) -> None:
    for pipeline in ("bm25", "both"):
        samples = lines(whole[0] / "ragas" / f"{pipeline}.jsonl")
        cases = json.loads((whole[0] / "deepeval" / f"{pipeline}.json").read_text(encoding="utf-8"))
        assert cases == [
            {
                "name": query_id,
                "input": sample["user_input"],
                "actual_output": sample["response"],
                "expected_output": sample["reference"],
                "retrieval_context": sample["retrieved_contexts"],
                "additional_metadata": {
                    "query_id": query_id,
                    "pipeline": pipeline,
                    "retrieved_document_ids": sample["retrieved_context_ids"],
                    "relevant_document_ids": sample["reference_context_ids"],
                },
            }
            for query_id, sample in samples.items()
        ]


def test_answers_are_those_that_inject_kept(clinic: Clinic, whole: tuple[Path, Exported]) -> None:
    assert len(clinic.asked) == 2
    for pipeline in ("bm25", "both"):
        samples = lines(whole[0] / "ragas" / f"{pipeline}.jsonl")
        answers = {query_id: sample["response"] for query_id, sample in samples.items()}
        assert answers == {key: clinic.answer(pipeline, key) if key in clinic.asked else None for key in QUESTIONS}


def test_the_first_gold_answer_is_the_reference_and_none_is_null(whole: tuple[Path, Exported]) -> None:
    samples = lines(whole[0] / "ragas" / "both.jsonl")
    references = {query_id: sample["reference"] for query_id, sample in samples.items()}
    assert references == {"=1+1": "eight", "q2": "behind the clinic", "q3": None, "q4": "after two days"}


def test_notes_say_what_is_missing_and_what_is_held(whole: tuple[Path, Exported]) -> None:
    kept = "'ragprof inject' lets a model answer and, without --no-text, keeps its words"
    assert whole[1].notes == (
        f"pipeline 'bm25': 2 of 4 questions have no model's answer; {kept}",
        "pipeline 'bm25': 1 of 4 questions has no gold answer",
        f"pipeline 'both': 2 of 4 questions have no model's answer; {kept}",
        "pipeline 'both': 1 of 4 questions has no gold answer",
        "the files for ragas and deepeval hold texts: questions, passages and answers; "
        "share them as you would share those",
    )


def test_a_recording_without_answers_is_exported_without_them(copy: Clinic, tmp_path: Path) -> None:
    shutil.rmtree(copy.folder / "injection")
    export(copy.folder, into=tmp_path / "to", formats=["ragas"], eval_file=copy.eval_file)
    samples = lines(tmp_path / "to" / "ragas" / "bm25.jsonl")
    assert [sample["response"] for sample in samples.values()] == [None] * 4
    assert samples["q2"]["retrieved_context_ids"] == copy.packed("bm25", "q2")


def test_answers_whose_words_were_forgotten_are_null(copy: Clinic, tmp_path: Path) -> None:
    path = copy.folder / "injection" / "answers.parquet"
    pd.read_parquet(path).assign(text=None).astype({"text": "string"}).to_parquet(path)
    export(copy.folder, into=tmp_path / "to", formats=["ragas"], eval_file=copy.eval_file)
    samples = lines(tmp_path / "to" / "ragas" / "bm25.jsonl")
    assert [sample["response"] for sample in samples.values()] == [None] * 4


def test_answers_of_another_eval_are_left_out_and_said_to_be(copy: Clinic, tmp_path: Path) -> None:
    path = copy.folder / "injection" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["pipelines"][0]["depth"] = 3
    path.write_text(json.dumps(manifest))
    done = export(copy.folder, into=tmp_path / "to", formats=["ragas"], eval_file=copy.eval_file)
    assert "are of another eval or judgement and were left out" in done.notes[0]
    assert lines(done.paths[0])["q2"]["response"] is None


def test_k_takes_the_prompts_and_answers_of_k_chunks(clinic: Clinic, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"formats": ["ragas"], "eval_file": clinic.eval_file, "pipelines": ["both"], "k": 1}
    (path,) = export(clinic.folder, into=tmp_path, **arguments).paths
    samples = lines(path)
    assert set(samples) == set(clinic.asked)
    for query_id, sample in samples.items():
        assert sample["retrieved_context_ids"] == clinic.packed("both", query_id)[:1]
        assert sample["response"] == clinic.answer("both", query_id, "k=1")


@pytest.mark.parametrize(
    ("part", "old", "new", "named"),
    [
        ("corpus.jsonl", "noon", "two", "corpus: "),
        ("queries.jsonl", "Where do", "Where did", "questions: "),
        ("qrels/test.tsv", "parking\t1\nq2\tvisits", "parking\t2\nq2\tvisits", "other relevance judgements"),
    ],
)
def test_texts_that_were_not_recorded_are_refused_by_name(
    copy: Clinic, tmp_path: Path, part: str, old: str, new: str, named: str
) -> None:
    path = copy.eval_file.parent / "clinic" / part
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(Incomparable, match="is not what was recorded in") as refused:
        export(copy.folder, into=tmp_path / "to", formats=["per-query", "ragas"], eval_file=copy.eval_file)
    names = ("corpus: ", "questions: ", "other relevance judgements")
    assert [name for name in names if name in str(refused.value)] == [named]
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        (
            {"formats": ["csv"]},
            "no export format named 'csv'. There are: deepeval, openinference, otlp, per-query, ragas, trec",
        ),
        ({"formats": []}, "no export format; give one or more of per-query, trec, ragas, deepeval"),
        ({"formats": ["ragas"]}, "'ragas' needs the texts of questions and passages"),
        ({"formats": ["trec"], "corpus": "clinic"}, "a corpus goes with an eval file"),
        ({"formats": ["trec"], "k": 1}, "k = 1 chooses prompts for ragas and deepeval"),
        ({"formats": ["trec"], "pipelines": ["bm52"]}, "no pipeline in this recording named 'bm52'; did you mean"),
    ],
    ids=["format", "none", "no-eval", "corpus", "k", "pipeline"],
)
def test_what_cannot_be_exported_is_refused(
    clinic: Clinic, tmp_path: Path, choices: dict[str, Any], expected: str
) -> None:
    with pytest.raises(BadInput) as refused:
        export(clinic.folder, into=tmp_path / "to", **choices)
    assert expected in str(refused.value)
    assert not (tmp_path / "to").exists()


def test_a_k_that_nobody_asked_lists_what_there_is(clinic: Clinic, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'bm25': no prompts of 1 chunks were recorded \(there are: own\)"):
        export(clinic.folder, into=tmp_path / "to", formats=["ragas"], eval_file=clinic.eval_file, k=1)


def test_a_folder_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is this the folder of a ragprof recording"):
        export(tmp_path, into=tmp_path / "to", formats=["per-query"])


def test_a_judgement_of_another_recording_is_refused(copy: Clinic) -> None:
    path = copy.folder / "judgement.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "recording": "another"}))
    with pytest.raises(BadInput, match="it judges another recording"):
        per_query_table(copy.folder, ["bm25"])


def test_a_metric_that_is_no_number_is_refused(copy: Clinic) -> None:
    path = copy.folder / "scores.parquet"
    pd.read_parquet(path).assign(value=float("nan")).to_parquet(path)
    with pytest.raises(NonFiniteScore, match="query '=1\\+1', is not a number"):
        per_query_table(copy.folder, ["bm25"])


def test_an_unknown_format_is_an_unknown_name(clinic: Clinic, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'ragas'"):
        export(clinic.folder, into=tmp_path, formats=["raga"])


@pytest.mark.filterwarnings("ignore")
def test_ragas_loads_the_samples_and_finds_the_same_precision(
    clinic: Clinic, whole: tuple[Path, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGAS_DO_NOT_TRACK", "true")
    ragas = pytest.importorskip("ragas", reason="ragas is not installed")
    dataset = ragas.EvaluationDataset.from_jsonl(whole[0] / "ragas" / "both.jsonl")
    samples = lines(whole[0] / "ragas" / "both.jsonl")
    assert len(dataset) == 4
    for loaded, (query_id, written) in zip(dataset, samples.items(), strict=True):
        assert type(loaded).__name__ == "SingleTurnSample"
        kept = {key: value for key, value in written.items() if value is not None and key in type(loaded).model_fields}
        assert loaded.to_dict() == kept, query_id
    if "retrieved_context_ids" in ragas.SingleTurnSample.model_fields:
        from ragas.metrics import IDBasedContextPrecision, IDBasedContextRecall

        scores = clinic.table("scores")
        mine = scores[(scores["pipeline"] == "both") & (scores["stage"] == "inject")].set_index(["metric", "query_id"])
        for metric, name in ((IDBasedContextPrecision(), "P@2"), (IDBasedContextRecall(), "R@2")):
            theirs = [metric.single_turn_score(sample) for sample in dataset]
            assert theirs == pytest.approx(mine.loc[name].loc[list(samples), "value"].tolist())


@pytest.mark.filterwarnings("ignore")
def test_deepeval_loads_test_cases_and_goldens(
    whole: tuple[Path, Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPEVAL_TELEMETRY_OPT_OUT", "YES")
    monkeypatch.chdir(tmp_path)  # it writes a folder of its own where it is imported
    dataset_module = pytest.importorskip("deepeval.dataset", reason="deepeval is not installed")
    path = whole[0] / "deepeval" / "both.json"
    keys = ("input", "actual_output", "expected_output", "retrieval_context")
    names = {f"{key}_key_name": key for key in keys}
    cases, goldens = dataset_module.EvaluationDataset(), dataset_module.EvaluationDataset()
    cases.add_test_cases_from_json_file(str(path), **names)
    goldens.add_goldens_from_json_file(str(path), **names)
    written = [tuple(row[key] for key in keys) for row in json.loads(path.read_text(encoding="utf-8"))]
    assert [tuple(getattr(case, key) for key in keys) for case in cases.test_cases] == written
    assert [tuple(getattr(golden, key) for key in keys) for golden in goldens.goldens] == written
