"""A part of the corpus for a first report: what is said of it, which studies go by it, and how the whole comes back."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from ragprof.core.errors import BadInput
from ragprof.exports import export
from ragprof.session.forecast import forecast_eval
from ragprof.session.run import Result, audit, grow, inject, reranker, run
from ragprof.studies.preparation import prepare

DATA = Path(__file__).parents[1] / "data"
TIMING = "seconds = 0.02\nrounds = 2\nmin_queries = 2\nwarmup = 1\n"
SIZES = "[growth]\nsizes = [20, 24]\norders = 1\ncurves = ['all_judged']\ncutoffs = [5]\nmetric = 'nDCG@5'\n"
SAID = (
    "Only 18 of the corpus's 24 passages were searched, all relevant ones among them: with fewer distractors quality "
    "looks better than on the whole; 'ragprof run --full' searches them all."
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with handbook.toml, brief; its cache is that of the module."""
    top = tmp_path_factory.mktemp("parts")
    shutil.copytree(DATA / "handbook", top / "handbook")
    text = (DATA / "handbook.toml").read_text()
    text = text.replace("seconds = 2\nrounds = 3\nmin_queries = 12\nwarmup = 1\n", TIMING)
    text = text.replace("seconds = 1\nrounds = 2\nmin_queries = 4\n", TIMING).replace(", 256, 512]", ", 256]")
    (top / "handbook.toml").write_text(f"{text}\n{SIZES}[growth.timing]\n{TIMING}[reranker.timing]\n{TIMING}")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAGPROF_CACHE", str(top / "cache"))
        yield top


@pytest.fixture(scope="module")
def part(home: Path) -> Result:
    """The recording of 18 of the 24 passages. Read only."""
    return run(home / "handbook.toml", out=home / "part", passages=18)


@pytest.fixture
def copy(part: Result, tmp_path: Path) -> Path:
    return Path(shutil.copytree(part.folder, tmp_path / "copy"))


def printed(result: Result, study: str = "profile") -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(result.table(study))
    return " ".join(console.export_text().split())


def corpus_of(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "manifest.json").read_text())["corpus"]
    return found


def test_what_was_searched_stands_at_the_head_of_everything(part: Result) -> None:
    summary = part.summary
    assert summary["headline"][1] == SAID
    assert (summary["corpus"]["docs"], summary["corpus"]["whole"]["docs"]) == (18, 24)
    for page in ("report.html", "report.md"):
        assert "passages were searched, all relevant ones among them" in (part.folder / page).read_text()
    assert SAID in printed(part)
    assert "n = 12 queries, 18 passages of 18 documents, a part of 24 passages" in printed(part)
    assert "whole" not in run(part.folder.parent / "handbook.toml", out=part.folder.parent / "whole").summary["corpus"]


def test_a_part_flatters(part: Result, home: Path) -> None:
    """All relevant documents are there, so recall at a depth that holds them all is that of the whole or better."""
    whole = run(home / "handbook.toml", out=home / "all", passages="all").summary["pipelines"]
    for name, pipeline in part.summary["pipelines"].items():
        (best, full) = (one["scores"]["search"]["R@10"]["mean"] for one in (pipeline, whole[name]))
        assert best >= full


def test_check_says_it(home: Path) -> None:
    rows = dict(forecast_eval(home / "handbook.toml", passages=18).rows)
    assert rows["corpus"].startswith("handbook: 18 passages of 18 documents, a part of 24 passages, about ")
    assert "quality looks better than on the whole" in rows["part"]
    assert rows["growth"].startswith("takes the whole corpus")


@pytest.mark.parametrize("study", [reranker, inject])
def test_a_study_takes_the_recording_at_hand(study: object, home: Path, copy: Path, part: Result) -> None:
    result = study(home / "handbook.toml", out=copy)  # type: ignore[operator]
    before, after = (json.loads((each / "manifest.json").read_text()) for each in (part.folder, copy))
    assert before == after  # nothing was recorded anew
    assert SAID in result.summary["headline"]
    assert not any("left out" in warning for warning in result.summary["warnings"])


def test_an_audit_searches_what_the_recording_at_hand_searched(home: Path, copy: Path) -> None:
    summary = audit(home / "handbook.toml", out=copy, times=2, queries=2).summary
    assert summary["corpus"]["docs"] == 18
    assert "audit" in summary


@pytest.mark.slow
def test_growth_takes_the_whole_corpus(home: Path, copy: Path) -> None:
    summary = grow(home / "handbook.toml", out=copy).summary
    assert summary["growth"]["sizes"] == [20, 24]
    assert corpus_of(copy)["docs"] == summary["corpus"]["docs"] == 24
    assert "passages were searched" not in " ".join(summary["headline"])


def test_a_part_of_another_corpus_is_no_recording_at_hand(home: Path, copy: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "handbook", tmp_path / "handbook")
    shutil.copy(home / "handbook.toml", tmp_path)
    with (tmp_path / "handbook" / "corpus.jsonl").open("a") as lines:
        lines.write('{"_id": "new", "title": "new", "text": "a new rule"}\n')
    assert len(prepare(tmp_path / "handbook.toml", beside=copy).subject.corpus.docs) == 25


def test_texts_of_a_part_are_exported(home: Path, part: Result, tmp_path: Path) -> None:
    made = export(part.folder, formats=["trec"], into=tmp_path / "out", eval_file=home / "handbook.toml")
    assert made.paths


def test_the_eval_file_may_say_how_much_and_is_overruled(handbook: Path) -> None:
    text = handbook.read_text()
    handbook.write_text(text.replace('path = "handbook"\n', 'path = "handbook"\npassages = 18\n'))
    assert len(prepare(handbook).subject.corpus.docs) == 18
    assert len(prepare(handbook, passages="all").subject.corpus.docs) == 24
    assert len(prepare(handbook, passages=20).subject.corpus.docs) == 20
    handbook.write_text(text.replace('path = "handbook"\n', 'path = "handbook"\npassages = 12\n'))
    with pytest.raises(BadInput) as problem:
        prepare(handbook)
    line = handbook.read_text().splitlines().index("passages = 12") + 1
    assert str(problem.value) == (
        f"{handbook}:{line}: passages = 12: the documents that are judged relevant have 15 passages, and all of them "
        "have to be searched; give 15 or more"
    )


def test_more_than_there_is_is_the_whole_and_is_told(handbook: Path) -> None:
    prepared = prepare(handbook, passages=25)
    assert prepared.subject.corpus.whole is None
    assert prepared.evaluation.notices[-1] == (
        "25 passages were asked for and the corpus has 24: all of them are searched"
    )
