"""int8 on a CPU: nearly the vectors of float32, the same every time, whatever else is in the batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ragprof.core import Vectors, registry
from ragprof.core.errors import BadInput
from ragprof.core.registry import Kind, PartSpec
from ragprof.parts.models.encoder import Transformer, encoder_numbers, fastest_float
from ragprof.parts.models.kernels import FEWEST_OUTPUTS, int8_speed, largest_weight, number_format, quantise_linears
from ragprof.parts.models.places import PACKAGED_MINILM, packaged_minilm
from ragprof.parts.rerankers.cross_encoder import CrossEncoderReranker

TEXTS = [
    "How do I read a CSV file in Python?",
    "csv.reader(csvfile) returns a reader object that will process lines from the given csvfile.",
    "The owl hunts at night, and it turns its head by 270 degrees.",
    "def mean(values: list[float]) -> float:\n    return sum(values) / len(values)",
    "東京都 は 日本 の 首都",
    "1 + 1 = 2; 3.14159, 2.71828e-10",
    "",
    "water " * 300,
]
MAX_TOKENS = 32


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def _on_a_cpu() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("int8 is for CPUs, and here models run on a GPU")


@pytest.fixture(scope="module", autouse=True)
def _whatever_its_speed() -> Iterator[None]:
    """The arithmetic is the same on CPUs where int8 is slower than float32, and refused."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ragprof.parts.models.encoder.int8_speed", lambda: 2.0)
        yield


@pytest.fixture(scope="module")
def int8() -> Transformer:
    model = Transformer(PACKAGED_MINILM, precision="int8", max_tokens=MAX_TOKENS)
    model.load()
    return model


def cosines(first: Vectors, second: Vectors) -> Vectors:
    return np.asarray((first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1))


@pytest.mark.slow
def test_vectors_point_where_those_of_float32_point(int8: Transformer) -> None:
    exact, _ = Transformer(PACKAGED_MINILM, precision="float32", max_tokens=MAX_TOKENS).vectors(TEXTS)
    found, tokens = int8.vectors(TEXTS)
    near = dict(zip(TEXTS, cosines(found, exact), strict=True))
    assert near.pop("") >= 0.97  # two special tokens and nothing to average over
    assert min(near.values()) >= 0.99
    assert np.abs(found - exact).max() > 1e-4
    assert tokens == sum(len(ids) for ids in int8.token_ids(TEXTS))


@pytest.mark.slow
def test_every_call_gives_the_same_numbers(int8: Transformer) -> None:
    assert np.array_equal(int8.vectors(TEXTS)[0], int8.vectors(TEXTS)[0])


@pytest.mark.slow
def test_other_texts_in_the_batch_hardly_change_a_vector(int8: Transformer) -> None:
    together, _ = int8.vectors(TEXTS)
    alone = np.concatenate([int8.vectors([text])[0] for text in TEXTS])
    assert cosines(together, alone).min() > 0.9995


def test_the_identity_names_int8_and_what_the_rest_computes_in(int8: Transformer) -> None:
    assert f" {number_format()} in {fastest_float()} cpu " in int8.identity
    others = {
        Transformer(PACKAGED_MINILM, precision=one, max_tokens=MAX_TOKENS).identity for one in ("float32", "bfloat16")
    }
    assert int8.identity not in others


def test_every_linear_layer_of_minilm_is_replaced(int8: Transformer) -> None:
    import torch

    assert [type(part) for part in int8.model.modules() if isinstance(part, torch.nn.Linear)] == []
    assert sum(type(part).__name__ == "Int8Linear" for part in int8.model.modules()) == 6 * 6 + 1


def test_a_layer_keeps_to_its_floats_within_a_hundredth_and_a_head_is_left_alone() -> None:
    import torch

    torch.manual_seed(0)
    wide = torch.nn.Linear(64, FEWEST_OUTPUTS)
    model = torch.nn.Sequential(wide, torch.nn.Linear(FEWEST_OUTPUTS, 1, bias=False))
    rows = torch.randn(3, 100, 64) * torch.logspace(-3, 3, 300).reshape(3, 100, 1)
    expected = wide(rows)
    assert quantise_linears(model) == 1
    assert type(model[1]) is torch.nn.Linear
    with torch.inference_mode():
        found = model[0](rows)
    assert found.shape == (3, 100, FEWEST_OUTPUTS)
    error = (found - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert error.max() < (0.03 if largest_weight() == 127 else 0.06)


def test_not_a_number_stays_one() -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(8, 16))
    quantise_linears(model)
    rows = torch.zeros(2, 8)
    rows[1, 3] = torch.nan
    with torch.inference_mode():
        found = model(rows)
    assert found[0].isfinite().all()
    assert found[1].isnan().all()


def test_auto_is_never_int8() -> None:
    assert encoder_numbers("auto", packaged_minilm()) == "float32"
    assert encoder_numbers("int8", packaged_minilm()) == "int8"


def test_int8_is_refused_where_it_is_not_built_for() -> None:
    with pytest.raises(BadInput, match="'precision': Input should be 'auto', 'float32' or 'bfloat16'"):
        registry.create("generators", PartSpec(name="local", precision="int8"))


@pytest.mark.parametrize(
    ("kind", "name"),
    [("embedders", "sentence_transformers"), ("rerankers", "maxsim"), ("rerankers", "bi_encoder")],
)
def test_int8_is_refused_before_anything_is_loaded_where_float32_is_faster(
    kind: Kind, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragprof.parts.models.encoder.int8_speed", lambda: 0.04)
    reason = r'precision = "int8" takes 25\.0 times as long as float32 on this CPU .*; use "float32" or "auto"'
    with pytest.raises(BadInput, match=reason):
        registry.create(kind, PartSpec(name=name, precision="int8"))


def test_the_speed_of_int8_is_measured_against_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that every reading of moves: the float32 layer is called first, five times, then the int8 layer."""
    taken = iter([10, 10, 10, 10, 10, 40, 50, 60, 70, 80])
    now = 0

    def clock() -> int:
        nonlocal now, started
        now += next(taken) if started else 0
        started = not started
        return now

    started = False
    monkeypatch.setattr("ragprof.parts.models.kernels.now_ns", clock)
    int8_speed.cache_clear()
    assert int8_speed() == 10 / 40
    int8_speed.cache_clear()


def test_an_unknown_precision_names_those_that_there_are() -> None:
    with pytest.raises(BadInput, match="'precision': Input should be 'auto', 'float32', 'bfloat16' or 'int8'"):
        registry.create("rerankers", PartSpec(name="maxsim", precision="int4"))


def test_a_cross_encoder_scores_in_int8(tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from ragprof.core import Doc, Query

    torch.manual_seed(0)
    AutoTokenizer.from_pretrained(packaged_minilm()).save_pretrained(tmp_path)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    BertForSequenceClassification(BertConfig(num_labels=1, initializer_range=0.2, **sizes)).save_pretrained(tmp_path)
    parts = [CrossEncoderReranker(str(tmp_path), precision=precision) for precision in ("float32", "int8")]
    docs = [Doc(str(place), "", text, str(place)) for place, text in enumerate(TEXTS)]
    exact, narrow = (np.array(part.score(Query("q", TEXTS[0]), docs).scores) for part in parts)
    assert np.corrcoef(exact, narrow)[0, 1] > 0.99
    assert not np.array_equal(exact, narrow)
    assert f" {number_format()} in " in parts[1].identity
