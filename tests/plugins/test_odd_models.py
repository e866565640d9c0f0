"""Model folders and files that are broken or lack a part: one message each, before they could make a figure."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ragprof.core.errors import BadInput
from ragprof.parts.models.causal import CausalModel
from ragprof.parts.models.encoder import Transformer
from ragprof.parts.models.places import converted


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:200])


def other_shape(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"hidden_size": ', '"hidden_size": 1'))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "tokenizer.json").unlink(), "this folder holds weights and no tokenizer"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "this model cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text("["), "this model cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "nosuch"}'), "this model cannot be loaded"),
        (cut_weights, "this model cannot be loaded"),
        (other_shape, "this model cannot be loaded"),
    ],
)
def test_a_folder_that_is_broken_is_named(
    cross_encoder_folder: Path, tmp_path: Path, harm: Callable[[Path], object], said: str
) -> None:
    """Without a tokenizer the library made one that knows no word: nDCG 0.100 in silence."""
    folder = Path(shutil.copytree(cross_encoder_folder, tmp_path / "model"))
    harm(folder)
    with pytest.raises(BadInput, match=said) as raised:
        _ = Transformer(str(folder), precision="auto", max_tokens=None).model.tokenizer
    assert raised.value.file == folder


def test_a_causal_model_that_is_broken_is_named(causal_model_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(causal_model_folder, tmp_path / "model"))
    cut_weights(folder)
    with pytest.raises(BadInput, match="this model cannot be loaded"):
        CausalModel(str(folder), precision="float32").empty_cache()


@pytest.mark.parametrize(("heads", "blocks"), [(0, 2), (2, 2**32 - 1), (2, 0)])
def test_a_gguf_file_of_impossible_sizes_is_refused_before_a_model_is_made(
    tmp_path: Path, cache: Path, heads: int, blocks: int
) -> None:
    gguf = pytest.importorskip("gguf")
    file = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_block_count(blocks)
    writer.add_head_count(heads)
    writer.add_embedding_length(8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(BadInput, match=r"odd\.gguf: transformers cannot read this GGUF file: llama\.\S+ is \d+"):
        converted(file)
