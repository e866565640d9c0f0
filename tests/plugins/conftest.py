"""Models, each loaded or built once for all tests, and a server that answers as a model's endpoint does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from speaking_server import SpeakingServer, speaking
from tiny_causal_model import save_causal_model
from tiny_cross_encoder import save_cross_encoder

from ragprof.parts.models.encoder import Transformer
from ragprof.parts.models.places import PACKAGED_MINILM


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


@pytest.fixture(scope="session")
def causal_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Gemma 3 with random weights, saved as safetensors."""
    return save_causal_model(tmp_path_factory.mktemp("causal_model"))


@pytest.fixture(scope="session")
def speaking_server() -> Iterator[SpeakingServer]:
    """An OpenAI-compatible endpoint on loopback that answers with the prompt's first words."""
    with speaking() as server:
        yield server
