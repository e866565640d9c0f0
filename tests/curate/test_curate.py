"""`ragprof curate`: what is found is priced, listed and left where it is; both scorings are shown."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from words_kept import words_kept

import ragprof
from ragprof.core.errors import BadInput
from ragprof.session.again import Result, redraw, reprice
from ragprof.studies.variants import as_one, as_one_qrels

Docs = list[dict[str, str]]


def edit(handbook: Path, change: Callable[[Docs], Docs]) -> Path:
    """The handbook with other documents, and an eval that takes no time."""
    corpus = handbook.parent / "handbook" / "corpus.jsonl"
    docs = [json.loads(line) for line in corpus.read_text(encoding="utf-8").splitlines()]
    corpus.write_text("".join(f"{json.dumps(doc)}\n" for doc in change(docs)), encoding="utf-8")
    text = handbook.read_text(encoding="utf-8").partition('[[pipelines]]\nname = "hybrid"')[0]
    text = text.replace('\nsweep = ["hybrid+overlap"]\n', "\n").replace("seconds = 2", "seconds = 0.1\npatience = 0")
    handbook.write_text(text, encoding="utf-8")
    return handbook


def with_copies(docs: Docs) -> Docs:
    """A copy of the page on annual leave in front, its title another; one of booking that is older; an empty page."""
    by_id = {doc["_id"]: doc for doc in docs}
    copy = {**by_id["leave-annual"], "_id": "holidays"}
    old = {"_id": "leave-booking-2019", "title": by_id["leave-booking"]["title"],
           "text": by_id["leave-booking"]["text"].replace("staff portal", "paper form")}  # fmt: skip
    return [copy, *docs, old, {"_id": "hello", "title": "Hello", "text": "..."}]


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The handbook with three pages too many, curated."""
    import shutil

    home = tmp_path_factory.mktemp("curated")
    data = Path(__file__).parents[1] / "data"
    shutil.copytree(data / "handbook", home / "handbook")
    eval_file = edit(Path(shutil.copy(data / "handbook.toml", home)), with_copies)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(home / "cache"))
        return ragprof.curate(eval_file, out=home / "out", changes={"related": 0.5})


@pytest.fixture(scope="module")
def section(curated: Result) -> dict[str, Any]:
    return dict(curated.summary["curate"])


def test_each_kind_is_counted_in_documents_passages_and_tokens(section: dict[str, Any]) -> None:
    found = {each["kind"]: (each["documents"], each["passages"]) for each in section["kinds"] if each["documents"]}
    assert found == {"exact": (1, 1), "empty": (1, 1), "stale": (1, 1)}
    assert (section["passages"], section["documents"], section["review_lines"]) == (27, 27, 3)
    assert section["searched_vectors"] == "dense"


def test_the_list_to_review_says_what_stays_and_why(curated: Result, section: dict[str, Any]) -> None:
    with (curated.folder / "curate" / "review.csv").open(encoding="utf-8", newline="") as written:
        rows = [(row["kind"], row["document"], row["kept"], row["reason"]) for row in csv.DictReader(written)]
    assert rows == [
        ("exact", "leave-annual", "holidays", "the same text"),
        ("empty", "hello", "", "0 words"),
        ("stale", "leave-booking-2019", "leave-booking", "version 2019, and there is without a mark"),
    ]
    assert [(line["kind"], line["document"]) for line in section["review"]] == [row[:2] for row in rows]


def test_a_removal_is_priced_against_the_corpus_as_it_is(section: dict[str, Any]) -> None:
    rows = section["pipelines"]["dense"]
    assert [row["variant"] for row in rows] == ["as_it_is", "exact", "empty", "stale", "all"]
    assert [row["passages"] for row in rows] == [27, 26, 26, 26, 24]
    assert rows[0]["quality"]["change"] is None
    for row in rows[1:]:
        for figure in ("quality", "as_one", "context_tokens", "usd_per_1000"):
            change = row[figure]["change"]
            assert change["n"] == 12
            assert change["interval"][0] <= change["mean"] <= change["interval"][1]
            assert row[figure]["mean"] - rows[0][figure]["mean"] == pytest.approx(change["mean"], abs=1e-9)
        assert row["index_bytes"] == row["passages"] * rows[0]["index_bytes"] / 27
        tokens = row["context_tokens"]["change"]["mean"]
        # gpt-4o-mini reads a million tokens for 0.15 USD.
        assert row["usd_per_1000"]["change"]["mean"] == pytest.approx(tokens * 0.15 / 1000)


def test_a_copy_that_nobody_judged_hurts_as_judged_and_not_as_one(section: dict[str, Any]) -> None:
    """The judged page on annual leave goes and its copy stays: the same text, another id."""
    for name in ("bm25", "dense"):
        exact = section["pipelines"][name][1]
        assert exact["quality"]["change"]["mean"] < -0.02
        assert exact["as_one"]["change"]["mean"] >= 0


@pytest.mark.slow
def test_removing_equals_recording_the_smaller_corpus(curated: Result, tmp_path: Path) -> None:
    """What is ranked without the copies is what is ranked where they never were."""
    smaller = {"leave-annual", "hello", "leave-booking-2019"}
    home = curated.folder.parent
    eval_file = tmp_path / "handbook.toml"
    eval_file.write_text((home / "handbook.toml").read_text().replace("curated", "smaller"))
    (tmp_path / "handbook").mkdir()
    for path in (home / "handbook").rglob("*"):
        if path.is_file():
            target = tmp_path / "handbook" / path.relative_to(home / "handbook")
            target.parent.mkdir(exist_ok=True)
            target.write_text(path.read_text())
    edit(eval_file, lambda docs: [doc for doc in docs if doc["_id"] not in smaller])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(home / "cache"))
        alone = ragprof.run(eval_file, out=tmp_path / "out").folder
    for name in ("bm25", "dense"):
        with_all = pd.read_parquet(curated.folder / "curate" / "variants" / "all" / "rankings" / f"{name}.parquet")
        pd.testing.assert_frame_equal(with_all, pd.read_parquet(alone / "rankings" / f"{name}.parquet"))


def test_nothing_is_embedded_again_and_nothing_is_removed(curated: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragprof.parts.embedders.hashing import HashingEmbedder

    home = curated.folder.parent
    before = (home / "handbook" / "corpus.jsonl").read_bytes()
    asked: list[int] = []
    monkeypatch.setenv("RAGPROF_CACHE", str(home / "cache"))
    monkeypatch.setattr(HashingEmbedder, "embed_documents", lambda self, texts: asked.append(len(texts)))
    again = ragprof.curate(home / "handbook.toml", out=curated.folder, changes={"related": 0.5})
    assert asked == []
    assert again.summary["curate"]["kinds"] == curated.summary["curate"]["kinds"]
    assert (home / "handbook" / "corpus.jsonl").read_bytes() == before


def test_it_joins_report_and_summary_and_is_priced_anew_with_them(curated: Result, whole_reports: None) -> None:
    usd = curated.summary["curate"]["pipelines"]["bm25"][0]["usd_per_1000"]["mean"]
    dearer = reprice(curated.folder, llm="openai:gpt-4o").summary["curate"]["pipelines"]["bm25"][0]
    assert dearer["usd_per_1000"]["mean"] == pytest.approx(usd * 2.5 / 0.15)
    assert "What could go" in curated.report.read_text(encoding="utf-8")
    redraw(curated.folder, full=True)
    assert "without old versions" in (curated.folder / "report-full.md").read_text(encoding="utf-8")


def test_without_text_the_list_has_ids_and_numbers_alone(handbook: Path, cache: Path, tmp_path: Path) -> None:
    found = ragprof.curate(edit(handbook, with_copies), out=tmp_path / "out", keep_text=False)
    kept = words_kept(found.folder)
    assert "holidays" in kept
    for words in ("Annual leave", "carried into the next year", "annual leave do I have"):
        assert words not in kept
    assert [line["reason"] for line in found.summary["curate"]["review"]] == [None, None, None]


def test_lines_that_many_documents_repeat_are_cut_and_priced(handbook: Path, cache: Path, tmp_path: Path) -> None:
    footer = "Printed from the portal of the staff: all rights reserved"

    def printed(docs: Docs) -> Docs:
        return [{**doc, "text": f"{doc['text']}\n{footer}"} for doc in docs]

    found = ragprof.curate(edit(handbook, printed), out=tmp_path / "out").summary["curate"]
    (kind,) = (each for each in found["kinds"] if each["documents"])
    assert (kind["kind"], kind["documents"], kind["passages"], kind["tokens"]) == ("lines", 24, 24, 24 * 11)
    whole, short = found["pipelines"]["dense"]
    assert (short["variant"], short["passages"], whole["tokens"] - short["tokens"]) == ("lines", 24, 24 * 11)
    assert short["context_tokens"]["change"]["interval"][1] < 0
    assert found["lines"][0]["text"] == footer.lower()


@pytest.mark.slow
def test_a_corpus_without_anything_redundant_says_so(handbook: Path, cache: Path, tmp_path: Path) -> None:
    found = ragprof.curate(edit(handbook, lambda docs: docs), out=tmp_path / "out").summary["curate"]
    assert found["statements"] == ["Nothing redundant was found in 24 documents."]
    assert [row["variant"] for row in found["pipelines"]["bm25"]] == ["as_it_is"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[curate]\nnear = 1.5\n", "near"),
        ("[curate]\nnear = 0.5\n", "related = 0.6 is above near = 0.5, and copies are alike at least as much"),
        ('[curate]\nmetric = "nDCGG"\n', "no metric named 'nDCGG'"),
    ],
)
def test_limits_that_make_no_sense_are_said_before_anything_runs(
    table: str, said: str, handbook: Path, cache: Path, tmp_path: Path
) -> None:
    handbook.write_text(f"{handbook.read_text()}\n{table}")
    with pytest.raises(BadInput, match=said):
        ragprof.curate(handbook, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_copy_inherits_its_grade_and_a_second_one_counts_for_nothing() -> None:
    ranking = pd.DataFrame(
        [("q", "search", rank, name, name, 1.0 / rank) for rank, name in enumerate(("b", "x", "a", "b2"), 1)],
        columns=["query_id", "stage", "rank", "doc_id", "document_id", "score"],
    )
    same_as = {"b": "a", "b2": "a"}
    qrels = as_one_qrels({"q": {"b2": 2, "x": 1}, "r": {"a": 1, "b": 3}}, same_as)
    assert qrels == {"q": {"a": 2, "x": 1}, "r": {"a": 3}}
    mine, judged = as_one(ranking, same_as, qrels)
    assert mine["document_id"].tolist() == ["a", "x", "a\x1fcopy", "b2\x1fcopy"]
    assert judged["q"] == {"a": 2, "x": 1, "a\x1fcopy": 0, "b2\x1fcopy": 0}
    assert judged["r"] == {"a": 3}
