"""Answers against gold answers as texts, and what counts as saying that there is no answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragprof.studies.injection.answer_texts import abstained, contains, exact_match, normalised, token_f1

WORDS = st.lists(st.sampled_from(["lru_cache", "the", "a", "3.5", "1,000", "Kraków", "C++", "x"]), min_size=1).map(
    " ".join
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Denver Broncos!", "denver broncos"),
        ("  an  apple,\tA day\n", "apple day"),
        ("$37.6 billion", "376 billion"),
        ("Beyoncé\u2019s", "beyoncé\u2019s"),
        ("it's", "its"),
        ("shutil.rmtree", "shutilrmtree"),
        ("theatre", "theatre"),
        ("the", ""),
        ("", ""),
    ],
)
def test_texts_are_normalised_as_squads_evaluation_has_it(text: str, expected: str) -> None:
    assert normalised(text) == expected


@pytest.mark.parametrize(
    ("golds", "answer", "expected"),
    [
        (["Denver Broncos"], "the Denver Broncos.", True),
        (["308"], "308 points", False),
        (["two", "2"], "2", True),
        (["1,000"], "1000", True),
        (["shutil.rmtree"], "shutil.rmtree()", True),
        (["Kraków"], "Krakow", False),
        ([], "anything", False),
        (["x"], "", False),
        (["the"], "", False),
        ([""], "", False),
        (["//"], " // ", True),
        (["//"], "/", False),
    ],
)
def test_exact_match(golds: list[str], answer: str, *, expected: bool) -> None:
    assert exact_match(golds, answer) is expected


@pytest.mark.parametrize(
    ("golds", "answer", "expected"),
    [
        (["Denver Broncos"], "the Denver Broncos", 1.0),
        (["Denver Broncos"], "Broncos", 2 / 3),
        (["gold themed"], "a gold gold gold theme", 2 / 6),
        (["Carolina Panthers", "the Panthers"], "Panthers won", 2 / 3),
        (["308"], "24", 0.0),
        (["308"], "", 0.0),
        ([], "308", 0.0),
        (["//"], "//", 1.0),
    ],
)
def test_token_f1_is_that_of_the_gold_answer_which_fits_best(golds: list[str], answer: str, expected: float) -> None:
    assert token_f1(golds, answer) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        ("lru_cache", "@functools.lru_cache(maxsize=None)"),
        ("shutil.rmtree", "Call `shutil.rmtree(path)`."),
        ("check=True", "subprocess.run(cmd, check = True)"),
        ('errors="coerce"', "pd.to_numeric(s, errors='coerce')"),
        ("to_csv", "df.to_csv('x.csv')"),
        ("4", "There are 4."),
        ('mode="a"', "open(path, mode = 'a')"),
        ("1,000", "about 1000 people"),
        ("1000000", "1,000,000 people"),
        ("63%", "63 percent"),
        ("C++", "It is written in C++."),
        ("KRAKÓW", "in Kraków"),
        ("ﬁnal", "the final score"),
        ("20\u201318", "20-18"),
        ("the task", "it cancels task and raises"),
        ("it cancels the task", "Yes, it cancels task."),
        ("vitamin A", "a vitamin A deficiency"),
        ("a", "mode=a"),
        ("北京", "中国的首都是北京市"),
    ],
)
def test_a_gold_answer_is_found_inside_a_text(gold: str, text: str) -> None:
    assert contains([gold], text)


@pytest.mark.parametrize(
    ("gold", "text"),
    [
        ("he", "the"),
        ("cache", "lru_cache"),
        ("lru_cache", "lru cache"),
        ("rm", "shutil.rmtree"),
        ("4", "14, 40 and 4th"),
        ("3", "version 3.11"),
        ("3.1", "3.11"),
        ("100", "1,000,100"),
        ("C", "C++ or C#"),
        ('mode="a"', 'mode="w"'),
        ("check=True", "True, check"),
        ("a", "cat"),
        ("//", "a // b"),
        ("", "anything"),
        ("  ", "  "),
        ("x", ""),
    ],
)
def test_a_gold_answer_is_not_found_where_it_does_not_stand(gold: str, text: str) -> None:
    assert not contains([gold], text)


def test_one_gold_answer_of_several_suffices() -> None:
    assert contains(["twenty", "20"], "20 of them")
    assert not contains([], "20 of them")


@given(WORDS, WORDS, WORDS)
def test_what_stands_between_other_words_is_found(before: str, gold: str, after: str) -> None:
    assert contains([gold], f"{before} {gold} {after}")


@given(st.text(), st.text())
def test_measures_agree_at_their_ends(gold: str, answer: str) -> None:
    f1 = token_f1([gold], answer)
    assert 0.0 <= f1 <= 1.0
    assert token_f1([answer], gold) == f1 or not normalised(gold) or not normalised(answer)
    assert f1 == 1.0 or not exact_match([gold], answer)


@pytest.mark.parametrize(
    "answer",
    [
        "The passages do not say.",
        "The provided text does not contain information about that.",
        "The passages don\u2019t mention the default.",
        "Passages 1, 2 and 3 do not mention it.",
        "None of the provided passages contain the answer.",
        "They do not hold the answer.",
        "I don't know.",
        "I am unable to answer this question.",
        "I do not have enough information to answer.",
        "I'm sorry, but the passages do not mention it.",
        "Based on the provided passages, I cannot determine the year.",
        "The question cannot be answered from the given passages.",
        "The answer is not in the passages.",
        "The name of the author is not mentioned in the provided passages.",
        "There is no information about this in the passages.",
        "Not enough information.",
        "No answer.",
        "**Unknown**",
        "Answer: unknown.",
        "N/A",
        "The passages are about cats. They do not provide an answer.",
        "The passages do not say; a guess is 1999.",
    ],
)
def test_an_answer_that_says_there_is_none_abstains(answer: str) -> None:
    assert abstained(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " \n",
        "shutil.rmtree",
        'handle_unknown="ignore"',
        "Unknown categories are ignored.",
        "No.",
        "None",
        "If the text does not contain the delimiter, a ValueError is raised.",
        "FileNotFoundError is raised if the file is not found.",
        "It does not include the endpoint.",
        "You cannot find it with loc; use iloc.",
        "There is no information loss.",
        "Use shutil.rmtree. However, the passages do not mention Windows.",
    ],
)
def test_an_answer_that_gives_one_does_not_abstain(answer: str) -> None:
    assert not abstained(answer)
