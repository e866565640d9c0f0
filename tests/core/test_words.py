"""Words: the terms that the lexical parts see."""

from __future__ import annotations

import pytest

from ragprof.core.tokens import STOP_WORDS, words


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Reading the files", ["read", "file"]),
        ("a cat, a cat; A CAT!", ["cat", "cat", "cat"]),
        ("running runner ran", ["run", "runner", "ran"]),
        ("pandas.read_csv(sep=',')", ["panda", "read_csv", "sep"]),
        ("__init__ and _private_", ["init", "privat"]),
        ("Ärger über 3.5 µm", ["ärger", "über", "3", "5", "µm"]),
        ("東京都 2024", ["東京都", "2024"]),
        ("to be or not to be?", []),
        ("!?; -- \u200b", []),
        ("", []),
    ],
)
def test_terms_are_lower_case_stemmed_in_order_with_repeats_and_without_stop_words(text: str, terms: list[str]) -> None:
    assert words(text) == terms


def test_the_stop_words_are_lucenes_33() -> None:
    assert len(STOP_WORDS) == 33
    assert words(" ".join(STOP_WORDS)) == []
