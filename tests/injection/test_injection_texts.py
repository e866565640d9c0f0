"""`--no-text`: answers are judged and then forgotten; what was concluded stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from study import Study, contents
from unsealed import unsealed

from ragprof.core.prompt import TEMPLATE
from ragprof.corpus import read_corpus
from ragprof.session.again import redraw, reprice
from ragprof.studies.injection.judge import judge_answers
from ragprof.studies.preparation import prepare


@pytest.fixture
def wordless_copy(wordless: Study, tmp_path: Path) -> Path:
    """A copy of the study without words that the test may change."""
    return unsealed(Path(shutil.copytree(wordless.folder, tmp_path / "copy")))


def words_in(folder: Path) -> str:
    """All that can be read in the files of a folder, tables decoded."""
    tables = [pd.read_parquet(path) for path in folder.rglob("*.parquet")]
    cells = [str(cell) for table in tables for column in table.columns for cell in table[column].unique()]
    others = [path.read_text(encoding="utf-8") for path in contents(folder) if path.suffix != ".parquet"]
    return "\n".join([*cells, *others])


def test_no_answer_is_anywhere_in_the_folder(studied: Study, wordless: Study) -> None:
    answers = {text for text in studied.table("answers")["text"] if len(text) > 12 and text not in TEMPLATE}
    assert len(answers) > 15
    assert all(answer in words_in(studied.folder) for answer in list(answers)[:3])
    written = words_in(wordless.folder)
    assert [answer for answer in answers if answer in written] == []


def test_all_but_the_words_is_there(studied: Study, wordless: Study) -> None:
    answers = wordless.table("answers")
    assert answers["text"].isna().all()
    assert answers.drop(columns="text").equals(studied.table("answers").drop(columns="text"))
    assert wordless.table("judged").equals(studied.table("judged"))
    assert wordless.summary["injection"]["answers"] == studied.summary["injection"]["answers"]


def test_neither_prompts_nor_passages_are_kept_with_or_without_words(studied: Study) -> None:
    passages = [doc.text for doc in read_corpus(studied.eval_file.parent / "handbook").docs]
    tables = [studied.table(path.stem) for path in studied.place.glob("*.parquet") if path.stem != "answers"]
    cells = {str(cell) for table in tables for column in table.columns for cell in table[column].unique()}
    assert [text for text in passages if any(text in cell for cell in cells)] == []
    assert not [cell for cell in cells if "Answer the question with the help of" in cell]


def test_a_study_without_words_can_be_drawn_again(wordless: Study, wordless_copy: Path) -> None:
    again = redraw(wordless_copy).summary
    assert again["injection"] == wordless.summary["injection"]
    assert again["pipelines"]["bm25"]["economics"] == wordless.summary["pipelines"]["bm25"]["economics"]


def test_a_study_without_words_can_be_priced_again(wordless: Study, wordless_copy: Path) -> None:
    old, new = wordless.summary, reprice(wordless_copy, llm="openai:gpt-4o").summary
    dear, cheap = (each["pipelines"]["dense"]["economics"]["usd_per_query"]["mean"] for each in (new, old))
    assert dear > 5 * cheap
    assert new["injection"]["priced_as"] == "openai:gpt-4o"
    assert new["injection"]["answers"] == old["injection"]["answers"]


def test_a_study_without_words_can_be_judged_again_by_labels(wordless: Study, wordless_copy: Path) -> None:
    prepared = prepare(wordless.eval_file)
    judge_answers(wordless_copy, prepared.evaluation, {doc.doc_id: doc.content for doc in prepared.subject.corpus.docs})
    assert pd.read_parquet(wordless_copy / "injection" / "judged.parquet").equals(wordless.table("judged"))
