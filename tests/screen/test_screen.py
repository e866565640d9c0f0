"""`ragprof screen`: what a source would do is told from a sample, and of the whole source exactly."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from words_kept import words_kept

import ragprof
from ragprof.core.errors import BadInput
from ragprof.judge.arrays import UNJUDGED
from ragprof.session.again import Result
from ragprof.studies.screen.simulate import Candidates, Packing, halves_of, inflation, merged, simulate

DATA = Path(__file__).parents[1] / "data"


def write_source(folder: Path) -> Path:
    """Ten pages of the handbook in a former wording, thirty on ferns, and one that is in the handbook word for word."""
    docs = [json.loads(line) for line in (DATA / "handbook" / "corpus.jsonl").read_text().splitlines()]
    former = [{**doc, "text": f"{doc['text']} This was the rule in the former handbook."} for doc in docs[:10]]
    ferns = [{"_id": f"fern{n}", "title": "Ferns", "text": f"Fern {n} grows below an oak."} for n in range(30)]
    folder.mkdir()
    lines = [json.dumps(doc) for doc in [*former, *ferns, {**docs[11], "_id": "copy"}]]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An eval that takes no time, and a source beside it."""
    home = tmp_path_factory.mktemp("screened")
    shutil.copytree(DATA / "handbook", home / "handbook")
    text = (DATA / "handbook.toml").read_text().replace("seconds = 2", "seconds = 0.1\npatience = 0")
    (home / "handbook.toml").write_text(text)
    write_source(home / "former")
    return home


@pytest.fixture(scope="module")
def whole(place: Path) -> Result:
    """All of the source, screened."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(place / "cache"))
        return ragprof.screen(place / "handbook.toml", place / "former", out=place / "out", keep_text=False)


@pytest.fixture(scope="module")
def section(whole: Result) -> dict[str, Any]:
    return dict(whole.summary["screen"])


def scores(folder: Path, name: str) -> pd.Series:
    """nDCG@10 of the final ranking by ir_measures, as the judge pass has it."""
    table = pd.read_parquet(folder / "screen" / "variants" / name / "scores.parquet")
    return table[table["metric"] == "nDCG@10"].groupby(["pipeline", "stage", "query_id"])["value"].sum()


def usage(folder: Path, name: str) -> pd.Series:
    table = pd.read_parquet(folder / "screen" / "variants" / name / "usage.parquet")
    return table[table["unit"] == "context_tokens"].groupby("pipeline")["count"].mean()


def test_of_the_whole_source_the_estimate_is_what_was_ranked(whole: Result, section: dict[str, Any]) -> None:
    """Nothing is drawn: quality is that of ir_measures, tokens are those of the real injectors."""
    quality = scores(whole.folder, "with_sample") - scores(whole.folder, "as_it_is")
    tokens = usage(whole.folder, "with_sample") - usage(whole.folder, "as_it_is")
    stages = {"bm25": "search", "dense": "search", "hybrid": "search", "hybrid+overlap": "rerank"}
    for name, stage in stages.items():
        effect = section["pipelines"][name]["effects"][0]
        assert effect["added"] == "all"
        assert effect["quality"]["mean"] == pytest.approx(quality[name, stage].mean(), abs=1e-9)
        assert effect["context_tokens"]["mean"] == pytest.approx(tokens[name], abs=1e-9)
        low, high = effect["quality"]["interval"]
        assert low <= effect["quality"]["mean"] <= high
    assert section["pipelines"]["bm25"]["effects"][0]["from_source"]["mean"] > 0.1


def test_similar_documents_are_told_from_unrelated_ones(section: dict[str, Any], whole: Result) -> None:
    sampled = pd.read_parquet(whole.folder / "screen" / "sampled.parquet").set_index("document_id")
    assert sampled.loc[[f"former/fern{n}" for n in range(30)], "similar"].mean() < 0.2
    assert sampled.loc["former/leave-annual", "similar"]
    assert sampled["copy"].sum() == 1
    parts = {each["added"]: each for each in section["pipelines"]["dense"]["effects"]}
    assert parts["similar"]["documents"] + parts["unrelated"]["documents"] == 41
    assert parts["similar"]["from_source"]["mean"] > parts["unrelated"]["from_source"]["mean"]
    assert section["copies"] == {"mean": pytest.approx(1 / 41), "interval": [pytest.approx(1 / 41)] * 2, "n": 41}


def test_the_source_is_priced_and_stays_where_it_is(section: dict[str, Any], place: Path) -> None:
    dense = section["pipelines"]["dense"]
    assert dense["added_index_bytes"] == dense["index_bytes"] / 24 * 41
    effect = dense["effects"][0]
    # gpt-4o-mini reads a million tokens for 0.15 USD.
    assert effect["usd_per_1000"]["mean"] == pytest.approx(effect["context_tokens"]["mean"] * 0.15 / 1000)
    assert (section["source_documents"], section["sampled_documents"]) == (41, 41)
    assert len((place / "handbook" / "corpus.jsonl").read_text().splitlines()) == 24


def test_no_word_of_the_source_the_corpus_or_a_question_is_kept(whole: Result) -> None:
    kept = words_kept(whole.folder)
    assert "former/fern7" in kept
    for words in ("grows below an oak", "carried into the next year", "annual leave do I have"):
        assert words not in kept


def test_a_sample_is_told_with_its_size_and_its_seed(
    place: Path, monkeypatch: pytest.MonkeyPatch, whole: Result
) -> None:
    monkeypatch.setenv("RAGPROF_CACHE", str(place / "cache"))
    found = ragprof.screen(
        place / "handbook.toml", place / "former", sample=12, changes={"seed": 3}, out=place / "out"
    ).summary["screen"]
    assert (found["source_documents"], found["sampled_documents"], found["seed"]) == (41, 12, 3)
    assert found["statements"][0].startswith("Adding all of former changes nDCG@10 by ")
    assert "former: 12 of 41 documents, drawn with seed 3; about" in " ".join(found["statements"])
    assert "dense: the 12 of the sample alone change nDCG@10 by" in " ".join(found["statements"])
    held = 0
    for name, each in found["pipelines"].items():
        source, sample = each["effects"][:2]
        assert (source["added"], source["documents"], sample["added"], sample["documents"]) == ("source", 41, "all", 12)
        for effect in (source, sample):
            low, high = effect["quality"]["interval"]
            assert low <= effect["quality"]["mean"] <= high
        truth = whole.summary["screen"]["pipelines"][name]["effects"][0]
        for figure in ("quality", "from_source", "context_tokens"):
            low, high = source[figure]["interval"]
            held += low <= truth[figure]["mean"] <= high
        # More documents take more places, and nobody has judged them.
        assert source["quality"]["mean"] <= sample["quality"]["mean"] + 1e-9
        assert source["from_source"]["mean"] >= sample["from_source"]["mean"] - 1e-9
        assert each["added_index_bytes"] > 0.3 * whole.summary["screen"]["pipelines"][name]["added_index_bytes"]
    assert held >= 11  # of twelve intervals of 95 %


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, r"no source to screen; name one with --source FOLDER or as source in \[screen\]"),
        ({"source": "nowhere"}, "there is no such file or folder"),
        ({"source": ".", "sample": 1}, "sample"),
    ],
)
def test_a_source_that_cannot_be_screened_is_said_before_anything_runs(
    changes: dict[str, Any], said: str, handbook: Path, cache: Path, tmp_path: Path
) -> None:
    from ragprof.session.run import run_study

    with pytest.raises(BadInput, match=said):
        run_study("screen", handbook, changes=changes, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_sampled_document_stands_as_often_as_it_was_drawn_and_the_depth_cuts() -> None:
    """Own passages a, b (relevant) and c; the sampled one x stands between a and b. Depth 4, two in the prompt."""
    found = Candidates(
        documents=np.array([0, 1, 2, 3]), source=np.array([-1, 0, -1, -1]), scores=np.array([4.0, 3, 2, 1]),
        grades=np.array([0, UNJUDGED, 1, 0]), tokens=np.array([10.0, 100, 20, 30]),
    )  # fmt: skip
    prompts = simulate(found, np.array([[0], [1], [2], [9]]), depth=4, packing=Packing(2, None))
    nan, new = np.nan, UNJUDGED
    np.testing.assert_array_equal(
        prompts.grades, [[0, 1, 0, nan], [0, new, 1, 0], [0, new, new, 1], [0, new, new, new]]
    )
    assert prompts.context_tokens.tolist() == [30, 110, 110, 110]
    assert prompts.from_source.tolist() == [0, 0.5, 0.5, 0.5]
    small = simulate(found, np.array([[1]]), depth=4, packing=Packing(3, 60.0))
    assert (small.context_tokens.tolist(), small.from_source.tolist()) == ([60.0], [0.0])


def test_what_no_draw_holds_makes_room_for_what_was_pushed_out() -> None:
    assert merged([("x", 0.9), ("a", 0.8)], [("a", 0.8), ("b", 0.7)]) == [("x", 0.9), ("a", 0.8), ("b", 0.7)]


@pytest.mark.slow
def test_intervals_hold_what_the_whole_source_does() -> None:
    """Of 100 samples of 200 from 1,000 documents, at least 90 intervals hold what 200 do on average."""
    rng = np.random.default_rng(7)
    queries, depth, own = 40, 10, np.sort(rng.normal(2.0, 0.5, (40, 10)))[:, ::-1]
    relevant, source = rng.integers(0, 5, queries), rng.normal(0.0, 1.0, (queries, 1000))

    def effect(at: int, columns: Any, counts: Any) -> Any:
        scores = np.concatenate([own[at], source[at, columns]])
        order = np.argsort(-scores)
        number = np.concatenate([np.full(depth, -1), np.arange(len(columns))])[order]
        grades = np.where(np.arange(len(scores)) == relevant[at], 1.0, 0.0)[order]
        found = Candidates(np.arange(len(scores)), number, scores[order], grades, np.ones(len(scores)))
        return np.nansum(simulate(found, counts, depth=depth, packing=Packing(3, None)).grades[:, :5], axis=1)

    samples = [np.random.default_rng(seed).permutation(1000)[:200] for seed in range(100)]
    every = [np.array([effect(at, some, np.ones((1, 200), int))[0] for at in range(queries)]) for some in samples]
    truth, held = np.mean(every), 0
    for seed, (some, found) in enumerate(zip(samples, every, strict=True)):
        halves = np.array([effect(at, some, halves_of(200, 100, seed)) for at in range(queries)]).mean(axis=0)
        nothing = 1.0  # every query finds its relevant document where nothing is added
        factor = inflation(np.array([found.mean() - nothing]), np.array([halves.mean() - nothing]))[0]
        low, high = np.quantile(found.mean() + (halves - halves.mean()) * factor, [0.025, 0.975])
        held += bool(low <= truth <= high)
    assert held >= 90


SCIFACT = Path(__file__).parents[3] / "shared" / "data" / "beir" / "scifact"
SCREENED = """
name = "claims"
corpus = { path = "today" }
metrics = ["nDCG@10"]
evaluation = { queries = "today/queries.jsonl", qrels = "today/qrels/test.tsv" }
timing = { seconds = 0.1, rounds = 2, min_queries = 3, warmup = 1, patience = 0 }

[[pipelines]]
name = "bm25"
store = "bm25s"
depth = 20
injector = { name = "top_k", k = 5 }

[[pipelines]]
name = "static"
embedder = "static"
store = "faiss_flat"
depth = 20
injector = { name = "token_budget", k = 5, tokens = 1500 }

[[pipelines]]
name = "static+overlap"
embedder = "static"
store = "faiss_flat"
depth = 20
reranker = "overlap"
injector = { name = "top_k", k = 5 }
"""


@pytest.mark.slow
@pytest.mark.shared_data
@pytest.mark.skipif(not SCIFACT.is_dir(), reason=f"SciFact is not beside the project ({SCIFACT.name})")
def test_a_sample_tells_what_ingesting_the_whole_source_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SciFact in two: what is judged and 1,200 others are today's, 3,700 the source; a sample of 400 against all.

    A hundred questions.
    """
    monkeypatch.setenv("RAGPROF_CACHE", str(tmp_path / "cache"))
    lines = (SCIFACT / "corpus.jsonl").read_text().splitlines()
    judged = {line.split("\t")[1] for line in (SCIFACT / "qrels" / "test.tsv").read_text().splitlines()[1:]}
    others = [line for line in lines if json.loads(line)["_id"] not in judged]
    own = [line for line in lines if json.loads(line)["_id"] in judged] + others[:1200]
    shutil.copytree(SCIFACT, tmp_path / "today")
    (tmp_path / "today" / "corpus.jsonl").write_text("\n".join(own))
    qrels = (SCIFACT / "qrels" / "test.tsv").read_text().splitlines()
    asked_about = sorted({line.split("\t")[0] for line in qrels[1:]})[:100]
    kept = [line for line in qrels[1:] if line.split("\t")[0] in asked_about]
    (tmp_path / "today" / "qrels" / "test.tsv").write_text("\n".join([qrels[0], *kept]))
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "corpus.jsonl").write_text("\n".join(others[1200:]))
    (tmp_path / "claims.toml").write_text(SCREENED)

    def screened(sample: int, seed: int) -> Any:
        changes = {"seed": seed}
        found = ragprof.screen(
            tmp_path / "claims.toml", tmp_path / "source", sample=sample, changes=changes, out=tmp_path / "out"
        )
        return {name: each["effects"] for name, each in found.summary["screen"]["pipelines"].items()}

    truth, samples = screened(100_000, 0), [screened(400, seed) for seed in (1, 2)]
    held, closer, asked = 0, 0, 0
    for found in samples:
        for name, (of_all, of_sample, *_) in found.items():
            for key in ("quality", "from_source", "context_tokens", "judged"):
                real = truth[name][0][key]["mean"]
                low, high = of_all[key]["interval"]
                held += low <= real <= high
                if key != "context_tokens":  # too noisy to be extrapolated: its interval is what there is to read
                    closer += abs(of_all[key]["mean"] - real) < abs(of_sample[key]["mean"] - real)
                asked += 1
    assert asked == 24
    assert held >= 21
    assert closer >= 17  # of 18
