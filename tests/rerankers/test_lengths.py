"""Lengths and windows of rerankers: what a plain tokenisation gives, and pieces that hold every word once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragprof.core import Doc, PairLength, Query
from ragprof.core.errors import BadInput
from ragprof.core.stages import LengthLimited
from ragprof.parts.models.encoder import pieces, token_counts
from ragprof.parts.rerankers.bi_encoder import BiEncoderReranker
from ragprof.parts.rerankers.cross_encoder import CrossEncoderReranker
from ragprof.parts.rerankers.maxsim import MaxSimReranker

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("bread", "and", "water", "boil", "rises", "slowly", "un", "##boil", "##ing", ".", ",")
QUERY = Query("q", "bread and water")
LONG = " ".join(f"{word}," for word in ["unboiling", "bread", "rises", "slowly"] * 40)


def word_pieces(**options: Any) -> Any:
    """A fast WordPiece tokenizer of eleven words, and letters to spell others."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    listed = dict.fromkeys([*SPECIAL, *WORDS, *letters, *(f"##{letter}" for letter in letters)])
    vocabulary = {piece: place for place, piece in enumerate(listed)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=SPECIAL[1]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {f"{name[1:-1].lower()}_token": name for name in SPECIAL}
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer, **names, **options)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT cross-encoder with random weights that reads 64 tokens."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    made, tokenizer = tmp_path_factory.mktemp("reader"), word_pieces(model_max_length=64)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "max_position_embeddings": 64, "num_labels": 1}
    BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(made)
    tokenizer.save_pretrained(made)
    return made


@pytest.fixture(scope="session")
def cross(folder: Path) -> CrossEncoderReranker:
    return CrossEncoderReranker(str(folder), precision="float32")


@pytest.fixture(scope="session")
def minilm() -> MaxSimReranker:
    part = MaxSimReranker(precision="float32", max_tokens=32)
    part.load()
    return part


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return word_pieces()


def document(text: str, title: str = "") -> Doc:
    return Doc("d", title, text, "whole")


def words(found: list[Doc]) -> list[str]:
    return [word for doc in found for word in doc.text.split()]


def test_cross_encoder_lengths_are_those_of_a_plain_tokenisation_of_the_pair(cross: CrossEncoderReranker) -> None:
    docs = [document("boil water"), document(LONG), document(""), document("unboiling", "Bread."), document(LONG)]
    plain = [len(word_pieces()([(QUERY.text, doc.content)])["input_ids"][0]) for doc in docs]
    assert plain == [8, 6 + 40 * 10, 6, 11, 406]
    found = cross.lengths([(QUERY, doc) for doc in docs])
    assert found == [PairLength(length, min(length, 64)) for length in plain]


def test_what_a_cross_encoder_keeps_is_what_it_reads(cross: CrossEncoderReranker) -> None:
    docs = [document("boil water"), document(LONG), document("")]
    kept = sum(length.kept for length in cross.lengths([(QUERY, doc) for doc in docs]))
    assert cross.score(QUERY, docs).usage["input_tokens"] == kept == 8 + 64 + 6


def test_maxsim_lengths_are_those_of_the_document_alone(minilm: MaxSimReranker) -> None:
    pairs = [
        (QUERY, document("boil water")),
        (QUERY, document("owl " * 99)),
        (Query("long", "owl " * 99), document("")),
    ]
    assert minilm.lengths(pairs) == [PairLength(4, 4), PairLength(101, 32), PairLength(2, 2)]


def test_no_pairs_have_no_lengths(cross: CrossEncoderReranker, minilm: MaxSimReranker) -> None:
    assert cross.lengths([]) == minilm.lengths([]) == []


def test_the_pieces_of_maxsim_are_read_whole_and_hold_every_word_once(minilm: MaxSimReranker) -> None:
    doc = document("The quick (brown) fox's antidisestablishmentarianism, naïve café; 東京都 is in Japan. " * 12)
    found = minilm.windows(QUERY, doc)
    assert len(found) > 10
    assert words(found) == doc.text.split()
    assert all(length.tokens == length.kept <= 32 for length in minilm.lengths([(QUERY, piece) for piece in found]))
    assert found[0].doc_id == "d#1"
    assert {piece.document_id for piece in found} == {"whole"}


def test_the_pieces_of_a_cross_encoder_fit_beside_the_query(cross: CrossEncoderReranker) -> None:
    found = cross.windows(QUERY, document(LONG))
    assert words(found) == LONG.split()
    assert [piece.doc_id for piece in found] == [f"d#{number}" for number in range(1, 8)]
    lengths = cross.lengths([(QUERY, piece) for piece in found])
    assert all(length.tokens <= 64 for length in lengths)
    assert min(length.tokens for length in lengths[:-1]) > 64 - 4


def test_a_document_that_fits_is_returned_itself(cross: CrossEncoderReranker, minilm: MaxSimReranker) -> None:
    for doc in (document("boil water"), document(""), document(" \n "), document("", "Bread")):
        assert cross.windows(QUERY, doc) == minilm.windows(QUERY, doc) == [doc]


def test_a_query_as_long_as_the_model_reads_leaves_half_to_the_pieces(cross: CrossEncoderReranker) -> None:
    asked = Query("long", "water " * 90)
    found = cross.windows(asked, document(LONG))
    assert words(found) == LONG.split()
    counts = token_counts(word_pieces(), [piece.content for piece in found])
    assert max(counts) <= 61 // 2
    assert min(counts[:-1]) > 61 // 2 - 4


def test_a_short_title_stands_before_every_piece(tokenizer: Any) -> None:
    found = pieces(document(LONG, "Bread"), tokenizer, most=20)
    assert {piece.title for piece in found} == {"Bread"}
    assert words(found) == LONG.split()
    assert max(token_counts(tokenizer, [piece.content for piece in found])) <= 20


def test_a_title_of_a_quarter_of_the_room_is_cut_with_the_text(tokenizer: Any) -> None:
    found = pieces(document(LONG, "bread and water boil and"), tokenizer, most=20)
    assert {piece.title for piece in found} == {""}
    assert words(found) == ["bread", "and", "water", "boil", "and", *LONG.split()]


def test_a_prompt_before_the_document_takes_room_from_every_piece(tokenizer: Any) -> None:
    found = pieces(document(LONG), tokenizer, most=20, prompt="bread and water, ")
    assert max(token_counts(tokenizer, ["bread and water, " + piece.content for piece in found])) in range(17, 21)


def test_a_word_is_cut_only_where_it_is_too_long_alone(tokenizer: Any) -> None:
    found = pieces(document("bread xyxyxyxyxyxy water"), tokenizer, most=5)
    assert [piece.text for piece in found] == ["bread", "xyxyx", "yxyxy", "xy water"]


def test_a_room_without_a_token_is_refused(tokenizer: Any) -> None:
    with pytest.raises(BadInput, match="document 'd' cannot be cut into pieces of 0 tokens; give the model a larger"):
        pieces(document("bread"), tokenizer, most=0)


@given(text=st.text("ab .,\n\u200bé東", max_size=80), most=st.integers(3, 12))
def test_any_text_comes_out_whole(tokenizer: Any, text: str, most: int) -> None:
    found = pieces(document(text), tokenizer, most=most)
    assert "".join("".join(words(found)).split()) == "".join(text.split())
    assert max(token_counts(tokenizer, [piece.content for piece in found])) <= most


def test_all_three_rerankers_say_their_limit(cross: CrossEncoderReranker, minilm: MaxSimReranker, folder: Path) -> None:
    beside = BiEncoderReranker(max_tokens=16)
    assert all(isinstance(part, LengthLimited) for part in (cross, minilm, beside))
    assert (cross.max_tokens, minilm.max_tokens, beside.max_tokens) == (64, 32, 16)
    assert CrossEncoderReranker(str(folder), max_tokens=24).max_tokens == 24
    assert beside.lengths([(QUERY, document("owl " * 20))]) == [PairLength(22, 16)]
    assert len(beside.windows(QUERY, document("owl " * 20))) == 2
