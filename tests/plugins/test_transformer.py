"""The transformer: the same vectors as sentence-transformers gives, in batches that waste nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from passages import CONTENTS

from ragprof.core import Vectors
from ragprof.parts.models.encoder import Precision, Transformer
from ragprof.parts.models.engines import CORE_TOKENS, batches
from ragprof.parts.models.places import PACKAGED_MINILM, packaged_minilm, revision, stored_float

VARIED = [
    *CONTENTS,
    *(" ".join(CONTENTS[start : start + 3]) for start in range(10)),
    *(f"def f{number}(x: int) -> int: return x ** {number}" for number in range(6)),
    "",
    " ",
    "a",
    "\u200b",
    "🦉🦉🦉 owls",
    "東京都 は 日本 の 首都",
    "word " * 900,
    "Supercalifragilisticexpialidocious" * 30,
    "tab\tnew\nline\r\nend",
    "ÄÖÜ äöü ß É è ñ",
    "<|endoftext|> [SEP] [CLS] [MASK]",
    "1 + 1 = 2; 3.14159, 2.71828e-10",
]


@pytest.fixture(scope="module")
def expected() -> Vectors:
    """What sentence-transformers itself gives, with its own attention, tokenizing and batches."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(packaged_minilm()), device="cpu")
    return np.asarray(model.encode(VARIED, batch_size=8, show_progress_bar=False, convert_to_numpy=True))


def test_forty_texts_are_looked_at_and_one_is_over_the_maximum_length(minilm: Transformer) -> None:
    assert len(VARIED) == 40
    assert max(len(ids) for ids in minilm.token_ids(VARIED)) == minilm.max_tokens == 256
    assert len(minilm.model.tokenizer("word " * 900)["input_ids"]) > 256


def test_float32_vectors_equal_those_of_sentence_transformers(minilm: Transformer, expected: Vectors) -> None:
    vectors, _ = minilm.vectors(VARIED)
    assert (vectors.shape, vectors.dtype) == ((40, 384), np.dtype(np.float32))
    assert np.abs(vectors - expected).max() < 1e-5


@pytest.mark.slow
def test_bfloat16_vectors_point_the_same_way(expected: Vectors) -> None:
    vectors, _ = Transformer(PACKAGED_MINILM, precision="bfloat16", max_tokens=None).vectors(VARIED)
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((vectors * expected).sum(axis=1) / lengths).min() >= 0.99


def test_a_lower_maximum_cuts_texts_and_reads_fewer_tokens(minilm: Transformer) -> None:
    short = Transformer(PACKAGED_MINILM, precision="float32", max_tokens=8)
    text = " ".join(CONTENTS[0].split()[:3])
    assert short.max_tokens == 8
    assert [len(ids) for ids in short.token_ids(["word " * 900, "owl"])] == [8, 3]
    assert np.allclose(short.vectors([text])[0], minilm.vectors([text])[0], atol=1e-5)


def test_tokens_are_counted_with_special_tokens_and_without_padding(minilm: Transformer) -> None:
    assert minilm.vectors(["owl", "owl owl owl", ""])[1] == 3 + 5 + 2


def test_no_texts_have_no_vectors_and_no_tokens(minilm: Transformer) -> None:
    vectors, tokens = minilm.vectors([])
    assert (vectors.shape, tokens) == ((0, 384), 0)


def test_the_identity_names_weights_precision_and_length() -> None:
    identities = {
        Transformer(PACKAGED_MINILM, precision="float32", max_tokens=None).identity,
        Transformer(PACKAGED_MINILM, precision="bfloat16", max_tokens=None).identity,
        Transformer(PACKAGED_MINILM, precision="float32", max_tokens=64).identity,
    }
    assert len(identities) == 3
    assert all(f"all-MiniLM-L6-v2@{revision(packaged_minilm())} " in identity for identity in identities)


@pytest.mark.parametrize(
    ("precision", "nearest"),
    [
        ("float32", 0.99999),
        pytest.param("bfloat16", 0.999, marks=pytest.mark.slow),
        pytest.param("int8", 0.97, marks=pytest.mark.slow),
    ],
)
def test_untimed_vectors_are_those_of_the_librarys_call(
    precision: Precision, nearest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragprof.parts.models.encoder.int8_speed", lambda: 2.0)  # what is slow is right all the same
    model = Transformer(PACKAGED_MINILM, precision=precision, max_tokens=64 if precision == "float32" else 16)
    (called, called_tokens), (untimed, untimed_tokens) = model.called(VARIED), model.vectors(VARIED)
    assert called_tokens == untimed_tokens == sum(map(len, model.token_ids(VARIED)))
    if precision == "float32":
        assert np.abs(called - untimed).max() < 1e-5
    lengths = np.linalg.norm(called, axis=1) * np.linalg.norm(untimed, axis=1)
    assert ((called * untimed).sum(axis=1) / lengths).min() > nearest


@pytest.mark.parametrize("stored", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("told", [True, False], ids=["config.json tells", "the weights tell"])
def test_auto_is_the_number_format_in_which_the_library_loads_the_model(
    cross_encoder_folder: Path, tmp_path: Path, stored: str, told: bool
) -> None:
    import torch
    from transformers import AutoModel

    folder = Path(shutil.copytree(cross_encoder_folder, tmp_path / "model"))
    AutoModel.from_pretrained(folder).to(getattr(torch, stored)).save_pretrained(folder)
    if not told:
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(settings | {"dtype": None}))
    assert stored_float(folder) == stored == str(AutoModel.from_pretrained(folder).dtype).removeprefix("torch.")
    assert Transformer(str(folder), precision="auto", max_tokens=None).precision == stored
    assert Transformer(str(folder), precision="float32", max_tokens=None).precision == "float32"


def test_a_broken_file_is_left_to_whoever_loads_it(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    assert stored_float(tmp_path) == "float32"
    (tmp_path / "config.json").write_text("{")
    assert stored_float(tmp_path) == "float32"


def test_auto_is_float32_for_the_packaged_model() -> None:
    assert Transformer(PACKAGED_MINILM, precision="auto", max_tokens=None).precision == "float32"


@given(st.lists(st.integers(1, 3000), max_size=60))
def test_batches_hold_every_place_once_longest_first_within_the_budget(lengths: list[int]) -> None:
    made = list(batches(lengths, CORE_TOKENS))
    assert sorted(place for batch in made for place in batch) == list(range(len(lengths)))
    in_order = [lengths[place] for batch in made for place in batch]
    assert in_order == sorted(lengths, reverse=True)
    for batch in made:
        assert len(batch) * max(lengths[place] for place in batch) <= CORE_TOKENS or len(batch) == 1


def test_batches_are_as_full_as_the_budget_allows() -> None:
    assert [len(batch) for batch in batches([256] * 17, 2048)] == [8, 8, 1]
    assert [len(batch) for batch in batches([1] * 2048, 2048)] == [2048]
