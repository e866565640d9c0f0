"""The cross-encoder: raw logits of the model's one output, honest token counts, and no classifier by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from passages import CONTENTS, DOCS
from tiny_cross_encoder import save_cross_encoder

from ragprof.core import Query
from ragprof.core.errors import BadInput
from ragprof.parts.rerankers.cross_encoder import CrossEncoderReranker
from ragprof.parts.rerankers.maxsim import MaxSimReranker
from ragprof.record.trial import texts_read

QUERY = Query("q", "bread and water")


@pytest.fixture(scope="module")
def reranker(cross_encoder_folder: Path) -> CrossEncoderReranker:
    part = CrossEncoderReranker(str(cross_encoder_folder), precision="float32")
    part.load()
    return part


def test_scores_are_the_models_raw_logits(reranker: CrossEncoderReranker, cross_encoder_folder: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(cross_encoder_folder)
    model = AutoModelForSequenceClassification.from_pretrained(cross_encoder_folder).eval()
    expected = []
    for text in CONTENTS:
        with torch.inference_mode():
            features = tokenizer(QUERY.text, text, truncation=True, max_length=64, return_tensors="pt")
            expected.append(float(model(**features).logits[0, 0]))
    scores = reranker.score(QUERY, DOCS).scores
    assert scores == pytest.approx(expected, abs=1e-4)
    assert len(set(scores)) == len(DOCS)
    assert not all(0 < score < 1 for score in scores)


def test_tokens_are_those_of_all_pairs_as_the_model_reads_them(reranker: CrossEncoderReranker) -> None:
    # [CLS] bread and water [SEP] + the document's pieces + [SEP]
    one = reranker.score(QUERY, [type(DOCS[0])("x", "", "boil water", "x")]).usage
    assert dict(one) == {"requests": 1, "docs_scored": 1, "input_tokens": 8}


def test_a_pair_over_the_models_length_is_cut_and_counted_as_cut(
    reranker: CrossEncoderReranker, cross_encoder_folder: Path
) -> None:
    long = type(DOCS[0])("x", "", "water " * 500, "x")
    assert reranker.score(QUERY, [long]).usage["input_tokens"] == 64
    shorter = CrossEncoderReranker(str(cross_encoder_folder), precision="float32", max_tokens=16)
    assert shorter.score(QUERY, [long]).usage["input_tokens"] == 16


def test_the_batch_size_changes_no_score(reranker: CrossEncoderReranker, cross_encoder_folder: Path) -> None:
    by_one = CrossEncoderReranker(str(cross_encoder_folder), precision="float32", batch_size=1)
    assert by_one.score(QUERY, DOCS).scores == pytest.approx(reranker.score(QUERY, DOCS).scores, abs=1e-4)


def test_bfloat16_keeps_the_scores_within_two_hundredths(
    reranker: CrossEncoderReranker, cross_encoder_folder: Path
) -> None:
    narrow = CrossEncoderReranker(str(cross_encoder_folder), precision="bfloat16")
    assert narrow.score(QUERY, DOCS).scores == pytest.approx(reranker.score(QUERY, DOCS).scores, abs=2e-2)


def test_the_identity_tells_weights_precision_and_length_apart(cross_encoder_folder: Path) -> None:
    def identity(**options: object) -> str:
        return CrossEncoderReranker(str(cross_encoder_folder), **options).identity  # type: ignore[arg-type]

    assert identity(precision="float32") != identity(precision="bfloat16")
    assert identity(max_tokens=16) != identity(max_tokens=32)
    assert identity(batch_size=1) == identity(batch_size=16)


def test_a_classifier_with_two_outputs_is_refused(tmp_path: Path) -> None:
    part = CrossEncoderReranker(str(save_cross_encoder(tmp_path, outputs=2)), precision="float32")
    with pytest.raises(
        BadInput, match="gives 2 outputs a pair, as classifiers do; name a cross-encoder with one output"
    ):
        part.load()


def test_a_forecast_counts_every_pair_that_is_read_together_and_every_document_that_is_read_apart(
    reranker: CrossEncoderReranker,
) -> None:
    pairs = [(QUERY, DOCS[0]), (Query("r", "salt"), DOCS[0]), (QUERY, DOCS[1])]
    assert texts_read(reranker, pairs) == 3
    assert texts_read(MaxSimReranker(precision="float32"), pairs) == 2
