"""A causal language model of transformers, decoded greedily. Prompts are read in blocks, as servers read them.

A block fits the sliding window of models that have one, so that no more is attended than the window holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ragprof import models
from ragprof.errors import NonFiniteScore
from ragprof.gguf_models import GEMMA_PACKAGE, PACKAGED_GEMMA, converted, packaged_gemma, without_bars
from ragprof.grouped_attention import use_grouped
from ragprof.packing import pack_linears
from ragprof.transformer import FloatPrecision, resolved_precision

if TYPE_CHECKING:
    import torch

BLOCK_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Reading:
    """A prompt that was read: what the model keeps of it, how long it is, and its next token."""

    cache: Any
    length: int
    next_token: int


class CausalModel:
    """By packaged, local, GGUF or hub name. The constructor finds it; `load` reads the weights."""

    def __init__(self, model: str, *, precision: FloatPrecision) -> None:
        self.location = located(model)
        self.name = self.location.name if isinstance(self.location, Path) else model
        self.precision: Literal["float32", "bfloat16"] = resolved_precision(precision)

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
        library = f"transformers {version('transformers')}"
        return f"{self.name}@{models.revision(self.folder)} {self.precision} {self.device} {library}"

    @cached_property
    def device(self) -> str:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def model(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        without_bars()
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(self.folder),
            dtype=getattr(torch, self.precision),
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation="eager" if self.device == "cpu" else "sdpa",
        )
        model.to(self.device).eval()
        if self.device == "cpu":
            use_grouped(model)
        if self.device == "cpu" and self.precision == "bfloat16":
            pack_linears(model)
        return model

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(str(self.folder), trust_remote_code=False)

    @cached_property
    def context_tokens(self) -> int | None:
        """The longest text that the model was made for, prompt and answer together."""
        from transformers import AutoConfig

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
        """Read weights and tokenizer."""
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

    def read(self, ids: Sequence[int], cache: Any, *, before: int = 0, block: int = BLOCK_TOKENS) -> Reading:
        """Read tokens behind the `before` that the cache holds, `block` at a time.

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
                self.model.base_model(block, past_key_values=cache, use_cache=True, **options)
                return torch.empty(0)
            out = self.model(block, past_key_values=cache, use_cache=True, logits_to_keep=1, **options)
            scores: torch.Tensor = out.logits[:, -1]
            return scores

    def go_on(self, reading: Reading, *, most: int, ended: Callable[[list[int]], bool]) -> list[int]:
        """The answer's tokens, greedily, at most so many; an end token is not among them. Changes the cache."""
        import torch

        tokens: list[int] = []
        token = reading.next_token
        while token not in self.ends:
            tokens.append(token)
            if len(tokens) == most or ended(tokens):
                break
            token = int(best_tokens(self.step(torch.tensor([[token]], device=self.device), reading.cache))[0])
        return tokens


def best_tokens(scores: torch.Tensor) -> torch.Tensor:
    """The token of the highest score of each row. Raises NonFiniteScore where there is none."""
    import torch

    if not torch.isfinite(scores).all():
        raise NonFiniteScore('the model returned NaN or infinity; try precision = "float32"')
    return scores.argmax(-1)


def located(model: str) -> Path | str:
    """PACKAGED_GEMMA, a GGUF file, a folder, or a hub name that can be had. Raises MissingModel or MissingPackage."""
    if model in (PACKAGED_GEMMA, f"google/{PACKAGED_GEMMA}") and find_spec(GEMMA_PACKAGE):
        return PACKAGED_GEMMA
    if model == PACKAGED_GEMMA:
        packaged_gemma()
    file = Path(model).expanduser()
    if file.is_file():
        return file
    return models.locate(model)
