"""Engines of untimed work: the library's numbers whichever is taken, a measurement that is kept, and a way back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from passages import CONTENTS

from ragprof.parts.models import engines
from ragprof.parts.models.encoder import Transformer
from ragprof.parts.models.engines import CORE_TOKENS, WORTH_MEASURING, Engine, Engines, fastest, in_turn
from ragprof.parts.models.kernels import can_pack, pack_layers, packed_copy
from ragprof.parts.models.places import PACKAGED_MINILM

WAYS = [Engine("apart", None, 2, 512), Engine("together", None, 1, 2048), Engine("the library's", None, 1, 2048)]
TEXTS = ["", "owl", *CONTENTS, "word " * 300]

needs_operators = pytest.mark.skipif(not can_pack(), reason="this build of torch lays out no weights")


class Stopwatch:
    """A clock that only the engines move, each by so many ns; counts how often each has run."""

    def __init__(self, **ns: int) -> None:
        self.ns, self.now, self.ran = {"the library's": 90, **ns}, 0, dict.fromkeys(ns, 0)

    def run(self, engine: Engine) -> None:
        self.now += self.ns[engine.name]
        self.ran[engine.name] = self.ran.get(engine.name, 0) + 1

    def fastest(self) -> str:
        return fastest(WAYS, what="a model", run=self.run, clock=lambda: self.now).name


def kept_file(cache: Path) -> Path:
    (file,) = (cache / "engines").iterdir()
    return file


def test_the_fastest_engine_is_taken_and_told_in_one_line(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "ragprof")
    assert Stopwatch(apart=45, together=60).fastest() == "apart"
    assert Stopwatch(apart=45, together=30).fastest() == "apart"
    first, second = (record.getMessage() for record in caplog.records)
    expected = "untimed work of a model runs on apart: 2.00 times as fast as the library's "
    assert first == expected + "(measured in 0.0 s and kept for this machine)"
    assert second == expected + "(measured earlier on this machine)"


def test_each_engine_runs_twice_and_never_again_on_this_machine(cache: Path) -> None:
    watch = Stopwatch(apart=45, together=60)
    watch.fastest()
    watch.fastest()
    assert watch.ran == {"apart": 2, "together": 2, "the library's": 2}


@pytest.mark.parametrize(
    ("fact", "value"), [("cpu", "another processor"), ("threads", 64), ("packages", {"torch": "1.0"}), ("what", "x")]
)
def test_a_choice_of_another_machine_is_measured_again(
    cache: Path, caplog: pytest.LogCaptureFixture, fact: str, value: object
) -> None:
    Stopwatch(apart=45, together=60).fastest()
    kept = json.loads(kept_file(cache).read_text())
    kept["facts"][fact] = value
    kept_file(cache).write_text(json.dumps(kept))
    caplog.clear()
    assert Stopwatch(apart=45, together=30).fastest() == "together"
    assert "the kept choice of an engine is of another machine; the engines are measured again" in caplog.text
    assert Stopwatch(apart=1, together=2).fastest() == "together"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\x00", b"[]", b'{"facts": 1}', b'{"facts": {}, "ns": {"apart": "fast"}}', b"[" * 10**5],
    ids=["empty", "cut off", "no text", "a list", "no times", "no number", "nested"],
)
def test_a_damaged_choice_is_measured_again(cache: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    Stopwatch(apart=45, together=60).fastest()
    kept_file(cache).write_bytes(content)
    caplog.clear()
    assert Stopwatch(apart=45, together=30).fastest() == "together"
    assert "the kept choice of an engine is damaged; the engines are measured again" in caplog.text


@pytest.mark.parametrize("ns", [{"apart": 1}, {"apart": 1, "together": 2, "other": 3}, dict.fromkeys("abc", 0)])
def test_times_of_other_engines_are_not_believed(cache: Path, ns: dict[str, int]) -> None:
    Stopwatch(apart=45, together=60).fastest()
    kept = json.loads(kept_file(cache).read_text())
    kept_file(cache).write_text(json.dumps(kept | {"ns": ns}))
    assert Stopwatch(apart=45, together=30).fastest() == "together"


def test_results_come_in_the_order_of_the_items_and_torch_has_its_threads_back() -> None:
    import torch

    torch.set_num_threads(2)
    threads = [(item, torch.get_num_threads()) for item in range(3)]
    assert list(in_turn(lambda item: (item, torch.get_num_threads()), range(40), at_once=3)) == [
        (item, 1) for item in range(40)
    ]
    assert [(item, torch.get_num_threads()) for item in range(3)] == threads
    torch.set_num_threads(1)


def test_a_failure_in_a_thread_is_raised_and_torch_has_its_threads_back() -> None:
    import torch

    torch.set_num_threads(2)
    with pytest.raises(ZeroDivisionError):
        list(in_turn(lambda item: 1 // (item - 5), range(40), at_once=3))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_no_more_than_twice_as_many_results_are_held() -> None:
    begun: list[int] = []
    results = in_turn(begun.append, range(40), at_once=2)
    next(results)
    assert len(begun) <= 4
    results.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_one_core_has_no_engine_that_needs_two(minilm: Transformer, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    try:
        assert [engine.at_once for engine in minilm.engines.ways()] == ([1, 1] if threads == 1 else [2, 1, 1])
    finally:
        torch.set_num_threads(1)


def test_little_work_is_not_measured(minilm: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(engines, "fastest", lambda ways, **_: asked.append("measured") or ways[-1])
    mine = Engines(minilm.model, None, what=lambda: "x")
    enough = WORTH_MEASURING * CORE_TOKENS
    import torch

    torch.set_num_threads(2)
    try:
        assert mine.choose([1] * 100, run=lambda *_: None).at_once == 2
        assert asked == []
        assert mine.choose([1] * enough, run=lambda *_: None).at_once == 2
        assert asked == []
        assert mine.choose([1] * enough, run=lambda *_: None).at_once == 1
        assert asked == ["measured"]
        assert mine.choose([1], run=lambda *_: None).at_once == 1
    finally:
        torch.set_num_threads(1)


@needs_operators
def test_all_engines_give_the_librarys_numbers(minilm: Transformer) -> None:
    import torch

    called, _ = minilm.called(TEXTS)
    torch.set_num_threads(2)
    try:
        ids = minilm.token_ids(TEXTS)
        for engine in minilm.engines.ways():
            for batch in minilm._encode(engine, ids):
                assert abs(batch.sentences.numpy() - called[batch.places]).max() < 2e-6
    finally:
        torch.set_num_threads(1)


@needs_operators
def test_every_layer_of_minilm_is_packed_and_what_is_not_laid_out_is_shared(minilm: Transformer) -> None:
    own = minilm.engines.ways()[0].model
    assert sum(type(part).__name__ == "PackedLayer" for part in own.modules()) == 6
    mine, its = ({id(each) for each in model.parameters()} for model in (own, minilm.model))
    assert mine < its


@needs_operators
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
@pytest.mark.parametrize("kind", ["Bert", "Roberta", "XLMRoberta", "Electra"])
def test_layers_built_as_berts_are_packed_whatever_their_activation(kind: str, activation: str) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=50, embedding_size=32, hidden_act=activation, initializer_range=0.5, **sizes
    )
    model = getattr(transformers, f"{kind}Model")(config).eval()
    copy = packed_copy(model)
    assert sum(type(part).__name__ == "PackedLayer" for part in copy.modules()) == 2
    ids, mask = torch.randint(5, 50, (3, 9)), torch.ones(3, 9, dtype=torch.long)
    mask[1, 4:] = 0
    with torch.inference_mode():
        found, expected = (each(input_ids=ids, attention_mask=mask).last_hidden_state for each in (copy, model))
    assert (found - expected)[mask.bool()].abs().max() < 1e-4


def test_a_copy_that_gives_other_numbers_is_not_used(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(model: object) -> object:
        copy = packed_copy(model)
        next(part for part in copy.modules() if type(part).__name__ == "LayerNorm").eps = 0.5
        return copy

    monkeypatch.setattr("ragprof.parts.models.encoder.packed_copy", wrong)
    model = Transformer(PACKAGED_MINILM, precision="float32", max_tokens=16)
    assert {engine.model for engine in model.engines.ways()} == {model.model}
    assert (
        "untimed work of all-MiniLM-L6-v2 runs on the library's layers instead of packed ones: they give" in caplog.text
    )


def test_a_copy_that_fails_is_not_used(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_model: object) -> object:
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr("ragprof.parts.models.encoder.packed_copy", broken)
    model = Transformer(PACKAGED_MINILM, precision="float32", max_tokens=16)
    assert model.vectors(["owl"])[0] == pytest.approx(model.called(["owl"])[0], abs=1e-6)
    assert (
        "runs on the library's layers instead of packed ones: RuntimeError: could not create a primitive" in caplog.text
    )


def test_a_build_of_torch_without_the_operators_packs_nothing(
    minilm: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragprof.parts.models.kernels.can_pack", lambda: False)
    copy = packed_copy(minilm.model)
    assert [type(part) for part in copy.modules()] == [type(part) for part in minilm.model.modules()]
    assert pack_layers(copy) == 0
