"""Prompt and tokens: what stands in the prompt, and how many tokens that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragprof.core import Doc
from ragprof.core.errors import BadInput
from ragprof.core.prompt import TEMPLATE, build, check_template, passage
from ragprof.core.tokens import DEFAULT_TOKENIZER, OPENAI, PIECE, counter, in_pieces, remembering

DOCS = [Doc("a", "Title", "first text", "a"), Doc("b", "", "{question} and {passages}", "b")]


def test_content_is_title_and_text_without_loose_spaces() -> None:
    assert [doc.content for doc in DOCS] == ["Title first text", "{question} and {passages}"]
    assert Doc("c", "", "", "c").content == ""


def test_a_passage_carries_its_number_from_one() -> None:
    assert passage(1, DOCS[0]) == "[1] Title first text"


def test_template_chunks_and_question_and_no_more() -> None:
    built = build("P: {passages} Q: {question}", "why?", DOCS[:1])
    assert built == "P: [1] Title first text Q: why?"


def test_the_question_may_stand_on_both_sides_of_the_passages() -> None:
    assert build("{question}|{passages}|{question}", "why?", []) == "why?||why?"


def test_braces_in_documents_and_questions_stay_as_they_are() -> None:
    built = build("Q: {question} P: {passages}", "{passages} {0}?", DOCS)
    assert built == "Q: {passages} {0}? P: [1] Title first text\n\n[2] {question} and {passages}"


@pytest.mark.parametrize(
    ("template", "lacks"),
    [("{passages}", "{question}"), ("{question}", "{passages}"), ("", "{passages} and {question}")],
)
def test_a_template_without_a_place_says_which(template: str, lacks: str) -> None:
    with pytest.raises(BadInput, match=f"the prompt template lacks {lacks};"):
        check_template(template)


def test_the_shipped_template_is_a_template() -> None:
    assert check_template(TEMPLATE) == TEMPLATE


@pytest.mark.parametrize("tokenizer", ["o200k_base", "cl100k_base"])
def test_openais_tables_count_as_published(tokenizer: str) -> None:
    assert counter(tokenizer)("tiktoken is great!") == 6
    assert counter(tokenizer)("") == 0


def test_the_two_tables_differ() -> None:
    text = "antidisestablishmentarianism und Donaudampfschifffahrt 東京都"
    assert counter("o200k_base")(text) != counter("cl100k_base")(text)


def test_a_special_token_in_a_text_is_counted_as_text() -> None:
    assert counter(DEFAULT_TOKENIZER)("<|endoftext|>") > 1


def test_a_tokenizer_from_a_folder_counts_words_without_special_tokens_or_a_limit(word_tokenizer: Path) -> None:
    for place in (word_tokenizer, word_tokenizer / "tokenizer.json"):
        assert counter(str(place))("one two two") == 3
        assert counter(str(place))("one " * 5000) == 5000
        assert counter(str(place))("") == 0


@pytest.fixture
def word_tokenizer(tmp_path: Path) -> Path:
    """A folder with a tokenizer that adds [CLS], cuts at four tokens and pads."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({"[CLS]": 0, "one": 1, "two": 2}))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 0)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.mark.parametrize("name", ["./absent/tokenizer.json", "not a name"])
def test_a_tokenizer_that_is_nowhere_names_those_that_need_no_download(name: str) -> None:
    with pytest.raises(BadInput, match=f"no tokenizer '{name}' .* use o200k_base or cl100k_base, a folder with"):
        counter(name)


def test_remembered_counts_are_those_that_were_counted() -> None:
    texts = ["one two three", "one two three", "", "Straße 9"]
    counted = [counter("cl100k_base")(text) for text in texts]
    with remembering():
        assert [counter("cl100k_base")(text) for text in texts] == counted
        assert counter(DEFAULT_TOKENIZER)("Straße 9") == 4
    assert [counter("cl100k_base")(text) for text in texts] == counted


@pytest.mark.parametrize("tokenizer", OPENAI)
def test_a_text_in_pieces_has_the_tokens_of_the_whole(tokenizer: str) -> None:
    from bpe_openai import get_encoding

    text = "Ducks don't swim, 1234567 \u65e5\u672c\u8a9e foo();\n\n  x=1 na\u00efve\t\U0001f642 " * 3000
    pieces = in_pieces(text)
    assert len(pieces) > 3
    assert max(map(len, pieces)) <= PIECE
    assert "".join(pieces) == text
    assert counter(tokenizer)(text) == len(get_encoding(tokenizer).encode_ordinary(text))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("word " * 210_000, 210_001), ("a b " * 250_000, 500_001), ("\U0001f642" * 500_000, 500_000)],
    ids=["a-megabyte", "500,000-tokens", "no-blanks"],
)
def test_texts_that_the_tokenizer_refuses_whole_are_counted(text: str, tokens: int) -> None:
    assert counter("o200k_base")(text) == tokens


def test_a_tokenizer_that_fails_says_so_in_one_line(tmp_path: Path) -> None:
    """A table that lacks a word and has nothing to put in its place."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    path = tmp_path / "tokenizer.json"
    Tokenizer(WordLevel({"ducks": 0})).save(str(path))
    with pytest.raises(
        BadInput, match=r"the tokenizer '.*tokenizer\.json' cannot read the text 'trains' \(.*\); set anot"
    ):
        counter(str(path))("trains")
