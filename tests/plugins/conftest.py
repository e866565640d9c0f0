"""Models, each loaded or built once for all tests: the packaged MiniLM and a tiny cross-encoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_cross_encoder import save_cross_encoder

from ragprof.models import PACKAGED_MINILM
from ragprof.transformer import Transformer


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """One thread in torch: two that wait for each other on a busy machine take ten times as long."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def minilm() -> Transformer:
    """The packaged all-MiniLM-L6-v2 in float32, loaded."""
    model = Transformer(PACKAGED_MINILM, precision="float32", max_tokens=None)
    model.load()
    return model


@pytest.fixture(scope="session")
def cross_encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT cross-encoder with one output and random weights, saved as safetensors."""
    return save_cross_encoder(tmp_path_factory.mktemp("cross_encoder"), outputs=1)
