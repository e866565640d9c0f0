"""A causal language model of transformers, decoded greedily in two ways whose answers agree within rounding.

What is timed is the library's own call: `generate`, on the model as the library loads it.

What is not timed is answered by `answers_of`: what several prompts begin with is read once, and answers are continued
side by side. Prompts are read in blocks that fit the sliding window of models that have one, so that no more is
attended than the window holds. In exact arithmetic every answer is that of its prompt alone; in bfloat16 the order of
sums differs, and where two tokens are all but equal the other one may win (`ragprof audit` counts it).

On CPUs that runs on a copy of the model with an attention of its own: queries that share keys are rows of one matrix
product, where the usual kernels copy the keys of models with fewer key heads than query heads once per query head. In
bfloat16 a batch of decoding steps is an order of magnitude faster so than by the fused kernel of PyTorch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ragprof.core.clock import now_ns
from ragprof.core.errors import NonFiniteScore
from ragprof.core.files import written_path
from ragprof.parts.models.encoder import FloatPrecision, fastest_float, register_attention
from ragprof.parts.models.kernels import pack_linears
from ragprof.parts.models.places import (
    GEMMA_PACKAGE,
    PACKAGED_GEMMA,
    Float,
    converted,
    loading,
    locate,
    packaged_gemma,
    revision,
    stored_float,
    without_bars,
)

if TYPE_CHECKING:
    import torch


Ended: TypeAlias = Callable[[list[int]], bool]
"""Whether an answer of these tokens has come to its end, apart from end tokens and the most that it may have."""
GROUPED = "ragprof_grouped"


def use_grouped(model: Any) -> bool:
    """Let a model attend by `grouped_attention`; False where its attention is of another kind."""
    sinks = any("sinks" in name for name, _ in model.named_parameters())
    if sinks or not getattr(model, "_supports_attention_backend", False):
        return False
    register_attention(GROUPED, grouped_attention)
    model.set_attn_implementation(GROUPED)
    return True


def grouped_attention(
    _module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    **_options: Any,
) -> tuple[torch.Tensor, None]:
    """softmax(q k^T * scaling + mask) v, the softmax in float32.

    `query` is (batch, heads, tokens, width), `key` and `value` (batch, key heads, kept tokens, width); returns
    (batch, tokens, heads, width).
    """
    import torch

    batch, heads, tokens, width = query.shape
    shared = key.shape[1]
    rows = query.reshape(batch, shared, -1, width)
    scale = width**-0.5 if scaling is None else scaling
    weights = (rows @ key.transpose(2, 3)).view(batch, heads, tokens, -1) * scale
    if softcap is not None:
        weights = torch.tanh(weights / softcap) * softcap
    if attention_mask is not None:
        weights = weights + attention_mask
    weights = weights.softmax(-1, dtype=torch.float32).to(query.dtype)
    mixed = weights.view(batch, shared, -1, weights.shape[-1]) @ value
    return mixed.view(batch, heads, tokens, -1).transpose(1, 2).contiguous(), None


BLOCK_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Reading:
    """A prompt that was read: what the model keeps of it, how long it is, and its next token."""

    cache: Any
    length: int
    next_token: int


@dataclass
class Arrivals:
    """What `generate` streams: the prompt first, then a token at a time. `at_ns` is when each of them came."""

    at_ns: list[int] = field(default_factory=list)

    def put(self, _tokens: torch.Tensor) -> None:
        self.at_ns.append(now_ns())

    def end(self) -> None:
        """Nothing is left to be told."""


class CausalModel:
    """By packaged, local, GGUF or hub name. The constructor finds it; `load` reads the weights."""

    def __init__(self, model: str, *, precision: FloatPrecision) -> None:
        self.location = located(model)
        self.name = self.location.name if isinstance(self.location, Path) else model
        self.precision: Float = causal_float(precision, self.location)

    @cached_property
    def folder(self) -> Path | str:
        """Where the weights are, GGUF files converted."""
        if self.location == PACKAGED_GEMMA:
            return packaged_gemma()
        if isinstance(self.location, Path) and self.location.is_file():
            return converted(self.location)
        return self.location

    @cached_property
    def identity(self) -> str:
        """What an answer depends on besides the prompt: model, its files, number format, device, library."""
        return f"{self.name}@{revision(self.folder)} {self.precision} {self.device} {library()}"

    @cached_property
    def device(self) -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def model(self) -> Any:
        """The model as the library loads it, told the number format. Its own settings of sampling are left out."""
        from transformers import GenerationConfig

        settings: Any = GenerationConfig
        model, kept = self._loaded(), ("bos_token_id", "eos_token_id", "pad_token_id")
        model.generation_config = settings(**{name: getattr(model.generation_config, name) for name in kept})
        return model

    @cached_property
    def untimed_model(self) -> Any:
        """What untimed work runs on: on CPUs a copy with kernels of our own."""
        if self.device != "cpu":
            return self.model
        model = self._loaded(attn_implementation="eager")
        use_grouped(model)
        if self.precision == "bfloat16":
            pack_linears(model)
        return model

    def _loaded(self, **options: Any) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        without_bars()
        options |= {"dtype": getattr(torch, self.precision), "use_safetensors": True, "trust_remote_code": False}
        with loading(self.folder):
            model: Any = AutoModelForCausalLM.from_pretrained(str(self.folder), **options)
        return model.to(self.device).eval()

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        with loading(self.folder):
            return AutoTokenizer.from_pretrained(str(self.folder), trust_remote_code=False)

    @cached_property
    def context_tokens(self) -> int | None:
        """The longest text that the model was made for, prompt and answer together."""
        from transformers import AutoConfig

        with loading(self.folder):
            config = AutoConfig.from_pretrained(str(self.folder), trust_remote_code=False).get_text_config()
        longest = getattr(config, "max_position_embeddings", None)
        return None if longest is None else int(longest)

    @cached_property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer."""
        given = [self.model.generation_config.eos_token_id, self.tokenizer.eos_token_id]
        return frozenset(
            token for each in given for token in (each if isinstance(each, list) else [each]) if token is not None
        )

    @property
    def chats(self) -> bool:
        """Whether the model was tuned to answer messages; one that was not goes on with the text that it is given."""
        return bool(self.tokenizer.chat_template)

    def load(self) -> None:
        """Read the weights that are timed, and the tokenizer."""
        _ = self.model, self.tokenizer

    def tokens_of(self, text: str) -> list[int]:
        """Token ids as the model reads them, the mark of the beginning included; never empty."""
        ids: list[int] = self.tokenizer(text)["input_ids"]
        return ids or [self.tokenizer.bos_token_id or 0]

    def tokens_of_message(self, text: str) -> list[int]:
        """Token ids of one message of a user, as the model's chat template puts it."""
        message = [{"role": "user", "content": text}]
        written = self.tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
        ids: list[int] = self.tokenizer(written, add_special_tokens=False)["input_ids"]
        return ids

    def text_of(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def empty_cache(self) -> Any:
        from transformers.cache_utils import DynamicCache

        return DynamicCache(config=self.model.config)

    def generate(self, ids: Sequence[int], *, most: int, ended: Ended) -> tuple[list[int], list[int]]:
        """The answer's tokens by the library's own call, greedily, and the clock's reading as each of them came.

        There is a reading at least. At most so many tokens; an end token is not among them. Raises NonFiniteScore where
        the model yields NaN.
        """
        import torch
        from transformers import LogitsProcessorList, StoppingCriteriaList

        def finite(_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            best_tokens(scores)
            return scores

        def stop(read: torch.Tensor, _scores: torch.Tensor) -> torch.Tensor:
            return torch.tensor([ended(read[0, len(ids) :].tolist())], device=read.device)

        prompt, arrivals = torch.tensor([ids], device=self.device), Arrivals()
        ends = sorted(self.ends)
        answered = self.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=most,
            eos_token_id=ends or None,
            pad_token_id=ends[0] if ends else 0,
            logits_processor=LogitsProcessorList([finite]),
            stopping_criteria=StoppingCriteriaList([stop]),
            streamer=arrivals,
        )
        tokens = answered[0, len(ids) :].tolist()
        return tokens[:-1] if tokens[-1] in self.ends else tokens, arrivals.at_ns[1:]

    def read(self, ids: Sequence[int], cache: Any, *, before: int = 0, block: int = BLOCK_TOKENS) -> Reading:
        """Read tokens behind the `before` that the cache holds, `block` at a time. Only ever used untimed.

        Raises NonFiniteScore where the model yields NaN.
        """
        import torch

        with torch.inference_mode():
            for start in range(0, len(ids), block):
                tokens = torch.tensor([ids[start : start + block]], device=self.device)
                scores = self.step(tokens, cache, last=start + block >= len(ids))
            return Reading(cache, before + len(ids), int(best_tokens(scores)[0]))

    def step(self, block: torch.Tensor, cache: Any, *, last: bool = True, **options: Any) -> torch.Tensor:
        """Put a block through the model; scores of the next token, (rows, vocabulary), where the block is the last."""
        import torch

        with torch.inference_mode():
            if not last:
                self.untimed_model.base_model(block, past_key_values=cache, use_cache=True, **options)
                return torch.empty(0)
            out = self.untimed_model(block, past_key_values=cache, use_cache=True, logits_to_keep=1, **options)
            scores: torch.Tensor = out.logits[:, -1]
            return scores


def library() -> str:
    """Name and version of the library that causal models run in."""
    return f"transformers {version('transformers')}"


def best_tokens(scores: torch.Tensor) -> torch.Tensor:
    """The token of the highest score of each row. Raises NonFiniteScore where there is none."""
    import torch

    if not torch.isfinite(scores).all():
        raise NonFiniteScore('the model returned NaN or infinity; try precision = "float32"')
    return scores.argmax(-1)


def causal_float(precision: FloatPrecision, location: Path | str) -> Float:
    """What a precision stands for: `auto` is the format of the weights on disk, in which the library loads them.

    GGUF files hold their weights in a few bits each, and Gemma was published in bfloat16: those are computed in
    bfloat16 where the processor can, else in float32.
    """
    if precision != "auto":
        return precision
    if location == PACKAGED_GEMMA or (isinstance(location, Path) and location.is_file()):
        return fastest_float()
    return stored_float(location)


def located(model: str) -> Path | str:
    """PACKAGED_GEMMA, a GGUF file, a folder, or a hub name that can be had. Raises MissingModel or MissingPackage."""
    if model in (PACKAGED_GEMMA, f"google/{PACKAGED_GEMMA}") and find_spec(GEMMA_PACKAGE):
        return PACKAGED_GEMMA
    if model == PACKAGED_GEMMA:
        packaged_gemma()
    file = written_path(model)
    if file.is_file():
        return file
    return locate(model)


BATCH = 32


def answers_of(model: CausalModel, prompts: Sequence[Sequence[int]], *, most: int, ended: Ended) -> list[list[int]]:
    """The answer's tokens of each prompt (token ids), in order; equal prompts are answered once.

    A model that keeps other things than keys and values by position is asked prompt by prompt.
    """
    if not prompts:
        return []
    distinct = sorted({tuple(ids) for ids in prompts})
    if not can_stand_together(model.empty_cache()):
        answered = {ids: model.generate(ids, most=most, ended=ended)[0] for ids in distinct}
        return [answered[tuple(ids)] for ids in prompts]
    answered = {}
    readings = _readings(model, distinct, 0, model.empty_cache())
    while batch := list(islice(readings, BATCH)):
        answers = _together(model, [reading for _, reading in batch], most=most, ended=ended)
        answered |= {ids: tokens for (ids, _), tokens in zip(batch, answers, strict=True)}
    return [answered[tuple(ids)] for ids in prompts]


def can_stand_together(cache: Any) -> bool:
    """Whether all that a model keeps is keys and values by position."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers)


def _readings(
    model: CausalModel, prompts: Sequence[tuple[int, ...]], depth: int, cache: Any
) -> Iterator[tuple[tuple[int, ...], Reading]]:
    """Read sorted prompts that share their first `depth` tokens, which the cache holds; each comes out when read."""
    first, last = prompts[0], prompts[-1]  # sorted: what these two begin with, all between begin with
    shared = next((place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    shared = min(len(first), len(last)) if shared is None else shared
    reading = model.read(first[depth:shared], cache, before=depth) if shared > depth else None
    longer = [ids for ids in prompts if len(ids) > shared]
    if len(longer) < len(prompts) and reading is not None:
        yield first, Reading(branch(cache), shared, reading.next_token)
    for _, group in groupby(longer, key=lambda ids: ids[shared]):
        yield from _readings(model, list(group), shared, branch(cache))


def branch(cache: Any) -> Any:
    """A cache that is continued from here by itself. Layers put new tensors in place of old ones and change none."""
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    return twin


def _together(model: CausalModel, readings: Sequence[Reading], *, most: int, ended: Ended) -> list[list[int]]:
    """Greedy answers of several readings in one batch, padded on the left."""
    import torch

    longest = max(reading.length for reading in readings)
    cache = _stacked([reading.cache for reading in readings], longest)
    lengths = torch.tensor([reading.length for reading in readings], device=model.device)
    mask = (torch.arange(longest, device=model.device) >= (longest - lengths)[:, None]).long()
    answers: list[list[int]] = [[] for _ in readings]
    rows = list(range(len(readings)))
    tokens = [reading.next_token for reading in readings]
    for step in range(most):
        for row, token in zip(rows, tokens, strict=True):
            answers[row] += [token] if token not in model.ends else []
        kept = [
            place
            for place, (row, token) in enumerate(zip(rows, tokens, strict=True))
            if token not in model.ends and len(answers[row]) < most and not ended(answers[row])
        ]
        if not kept:
            break
        if len(kept) < len(rows):
            chosen = torch.tensor(kept, device=model.device)
            cache.batch_select_indices(chosen)
            mask, lengths = mask[chosen], lengths[chosen]
            rows, tokens = [rows[place] for place in kept], [tokens[place] for place in kept]
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        block = torch.tensor(tokens, device=model.device)[:, None]
        positions = (lengths + step)[:, None]
        tokens = best_tokens(model.step(block, cache, attention_mask=mask, position_ids=positions)).tolist()
    return answers


def _stacked(caches: Sequence[Any], longest: int) -> Any:
    """One cache for all, as if prompts had been padded to `longest` on the left."""
    import torch

    together = branch(caches[0])
    for number, layer in enumerate(together.layers):
        rows = [cache.layers[number] for cache in caches]
        width = max(row.keys.shape[-2] for row in rows)
        layer.keys, layer.values = (
            torch.cat([torch.nn.functional.pad(kept, (0, 0, width - kept.shape[-2], 0)) for kept in kind])
            for kind in ([row.keys for row in rows], [row.values for row in rows])
        )
        if layer.is_sliding:
            layer.cumulative_length = longest
    return together
