"""A causal model: many prompts together are answered as each alone, and blocks change nothing."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from chain_model import save_chain_model

from ragprof.core.errors import MissingModel, NonFiniteScore
from ragprof.parts.models import causal
from ragprof.parts.models.causal import BATCH, BLOCK_TOKENS, CausalModel, answers_of, branch, can_stand_together

WINDOW = 64
MOST = 6
SOURCE = random.Random(7)
TOKENS = [SOURCE.randrange(3, 259) for _ in range(1_200)]
LENGTHS = (1, 2, 10, WINDOW - 1, WINDOW, WINDOW + 1, 200, BLOCK_TOKENS - 1, BLOCK_TOKENS, BLOCK_TOKENS + 1, 1_100)
PREFIXES = [TOKENS[:length] for length in LENGTHS]
BRANCHES = [[*TOKENS[:length], 9, 8, 7, 9] for length in LENGTHS]
OTHERS = [[SOURCE.randrange(3, 259) for _ in range(length)] for length in (3, 70, 600, *range(5, 100, 2))]
SECOND = OTHERS[1]


def never(tokens: list[int]) -> bool:
    return False


def on_an_even_token(tokens: list[int]) -> bool:
    return tokens[-1] % 2 == 0


@pytest.fixture(scope="module")
def gemma(causal_model_folder: Path) -> CausalModel:
    """Random weights, a sliding window of 64 in one of two layers, loaded."""
    model = CausalModel(str(causal_model_folder), precision="float32")
    model.load()
    return model


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> CausalModel:
    """Random weights without a window, loaded."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = save_chain_model(tmp_path_factory.mktemp("llama"))
    torch.manual_seed(1)
    config = LlamaConfig.from_pretrained(str(folder))
    config.hidden_size, config.initializer_range, config.num_hidden_layers = 32, 0.3, 2
    config.head_dim = 16
    LlamaForCausalLM(config).save_pretrained(folder)
    model = CausalModel(str(folder), precision="float32")
    model.load()
    return model


@pytest.fixture(params=["gemma", "llama"])
def model(request: pytest.FixtureRequest) -> CausalModel:
    found: CausalModel = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def stopping(causal_model_folder: Path, gemma: CausalModel, tmp_path: Path) -> CausalModel:
    """The Gemma, with the first token that is new in its answer to SECOND among those that end an answer."""
    folder = Path(shutil.copytree(causal_model_folder, tmp_path / "stopping"))
    settings = json.loads((folder / "generation_config.json").read_text())
    answer = alone(gemma, SECOND)
    settings["eos_token_id"] = [1, next(token for token in answer if token != answer[0])]
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return CausalModel(str(folder), precision="float32")


def alone(model: CausalModel, ids: Sequence[int], most: int = MOST) -> list[int]:
    return model.generate(ids, most=most, ended=never)[0]


def whole_forward(model: CausalModel, ids: Sequence[int]) -> int:
    """The next token by one forward over all tokens, with no cache."""
    import torch

    with torch.inference_mode():
        return int(model.model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())


def one_forward_a_token(model: CausalModel, ids: Sequence[int], most: int) -> Iterator[int]:
    """A greedy answer in which everything is read again for every token."""
    read = list(ids)
    for _ in range(most):
        read.append(whole_forward(model, read))
        yield read[-1]


@pytest.mark.parametrize("length", LENGTHS)
def test_reading_in_blocks_gives_the_next_token_of_one_forward(model: CausalModel, length: int) -> None:
    reading = model.read(TOKENS[:length], model.empty_cache())
    assert (reading.length, reading.next_token) == (length, whole_forward(model, TOKENS[:length]))


def test_reading_goes_on_behind_what_the_cache_holds(model: CausalModel) -> None:
    cache = model.empty_cache()
    model.read(TOKENS[:90], cache)
    reading = model.read(TOKENS[90:700], cache, before=90)
    assert (reading.length, reading.next_token) == (700, whole_forward(model, TOKENS[:700]))


@pytest.mark.parametrize("length", [2, 63, 64, 520])
def test_an_answer_is_that_of_a_model_without_a_cache(model: CausalModel, length: int) -> None:
    assert alone(model, TOKENS[:length]) == list(one_forward_a_token(model, TOKENS[:length], MOST))


def test_sampling_that_a_model_asks_for_is_not_done(
    causal_model_folder: Path, gemma: CausalModel, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(causal_model_folder, tmp_path / "sampling"))
    settings = json.loads((folder / "generation_config.json").read_text())
    settings |= {"do_sample": True, "top_k": 3, "temperature": 2.0, "repetition_penalty": 9.0}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    sampling = CausalModel(str(folder), precision="float32")
    assert alone(sampling, SECOND) == alone(gemma, SECOND)


@pytest.mark.parametrize("ended", [pytest.param(never, marks=pytest.mark.slow), on_an_even_token])
def test_many_prompts_are_answered_as_each_alone(model: CausalModel, ended: Callable[[list[int]], bool]) -> None:
    prompts = [*PREFIXES, *BRANCHES, *OTHERS, PREFIXES[4], OTHERS[1], OTHERS[1]]
    random.Random(3).shuffle(prompts)
    assert len(prompts) > 2 * BATCH + 3
    expected = [model.generate(ids, most=MOST, ended=ended)[0] for ids in prompts]
    assert answers_of(model, prompts, most=MOST, ended=ended) == expected
    assert len({tuple(answer) for answer in expected}) > 20


def test_one_prompt_and_none(gemma: CausalModel) -> None:
    assert answers_of(gemma, [], most=MOST, ended=never) == []
    assert answers_of(gemma, [TOKENS[:70]], most=MOST, ended=never) == [alone(gemma, TOKENS[:70])]


def test_a_prompt_that_others_begin_with_is_not_changed_by_them(gemma: CausalModel) -> None:
    prompts = [TOKENS[:80], [*TOKENS[:80], 5], [*TOKENS[:80], 5, 6]]
    assert answers_of(gemma, prompts, most=MOST, ended=never) == [alone(gemma, ids) for ids in prompts]


def test_a_branch_leaves_the_cache_alone(gemma: CausalModel) -> None:
    cache = gemma.empty_cache()
    gemma.read(TOKENS[:100], cache)
    twin = branch(cache)
    gemma.read(OTHERS[1], twin, before=100)
    reading = gemma.read(TOKENS[100:130], cache, before=100)
    assert reading.next_token == whole_forward(gemma, TOKENS[:130])


def test_a_model_that_keeps_other_things_is_answered_one_by_one(
    gemma: CausalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.cache_utils import StaticCache

    assert can_stand_together(gemma.empty_cache())
    assert not can_stand_together(StaticCache(config=gemma.model.config, max_cache_len=8))
    prompts = [SECOND, *OTHERS[2:6], SECOND]
    expected = answers_of(gemma, prompts, most=MOST, ended=never)
    monkeypatch.setattr(causal, "can_stand_together", lambda _cache: False)
    assert answers_of(gemma, prompts, most=MOST, ended=never) == expected


def test_end_tokens_end_an_answer_and_are_not_in_it(stopping: CausalModel, gemma: CausalModel) -> None:
    token = max(stopping.ends)
    assert stopping.ends == {1, token}
    whole = alone(gemma, SECOND)
    assert alone(stopping, SECOND) == whole[: whole.index(token)] != []


def test_end_tokens_end_one_answer_of_many(stopping: CausalModel) -> None:
    prompts = [SECOND, *OTHERS[2:6], *PREFIXES[:6]]
    found = answers_of(stopping, prompts, most=MOST, ended=never)
    assert found == [alone(stopping, ids) for ids in prompts]
    assert len(found[0]) < MOST
    assert max(len(answer) for answer in found) == MOST


@pytest.mark.parametrize("most", [1, 2, 5])
def test_an_answer_is_cut_at_the_most_tokens(gemma: CausalModel, most: int) -> None:
    whole = alone(gemma, TOKENS[:70], 8)
    assert len(whole) == 8
    assert alone(gemma, TOKENS[:70], most) == whole[:most]
    assert answers_of(gemma, [TOKENS[:70], OTHERS[1]], most=most, ended=never)[0] == whole[:most]


def test_weights_that_are_no_numbers_are_an_error(causal_model_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(causal_model_folder, tmp_path / "broken"))
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    broken = CausalModel(str(folder), precision="float32")
    remedy = 'the model returned NaN or infinity; try precision = "float32"'
    with pytest.raises(NonFiniteScore, match=remedy):
        broken.read(TOKENS[:5], broken.empty_cache())
    with pytest.raises(NonFiniteScore, match=remedy):
        broken.generate(TOKENS[:5], most=MOST, ended=never)
    with pytest.raises(NonFiniteScore, match=remedy):
        answers_of(broken, [TOKENS[:5], TOKENS[:6]], most=MOST, ended=never)


def test_the_window_is_what_the_model_was_made_for(gemma: CausalModel, llama: CausalModel) -> None:
    assert (gemma.context_tokens, llama.context_tokens) == (8192, 4096)


def test_a_text_is_never_without_a_token(gemma: CausalModel) -> None:
    assert gemma.tokens_of("") == [2]
    assert gemma.tokens_of("ab")[0] == 2
    assert gemma.text_of(gemma.tokens_of("Straße 東京")) == "Straße 東京"


def test_the_identity_names_files_and_precision(causal_model_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(causal_model_folder, tmp_path / "copy"))
    before = CausalModel(str(folder), precision="float32").identity
    assert CausalModel(str(folder), precision="float32").identity == before
    assert CausalModel(str(folder), precision="bfloat16").identity != before
    (folder / "generation_config.json").write_text("{}")
    assert CausalModel(str(folder), precision="float32").identity != before


def test_a_folder_without_safetensors_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match=r"no \.safetensors weights in this folder"):
        CausalModel(str(tmp_path), precision="float32")
