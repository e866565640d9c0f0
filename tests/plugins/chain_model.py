"""A Llama that spells out a text: its next token depends on the last one alone. It reads bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tiny_causal_model import byte_tokenizer

END = "<eos>"
WIDTH = 264
"""One place a byte, so that weights can say which byte follows which; a multiple of four, as two heads need."""


def save_chain_model(folder: Path, *texts: str, ends: bool = False, chat_template: str | None = None) -> Path:
    """Write a model that goes on within each text, from any of its characters to the one behind it.

    The last character is followed by itself; with `ends`, by the end of the answer. What is in no text ends it too.
    """
    from transformers import AutoTokenizer

    byte_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    if chat_template is not None:
        tokenizer.chat_template = chat_template
        tokenizer.save_pretrained(folder)
    follows: dict[int, int] = {}
    for text in texts:
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        follows.update(zip(ids, [*ids[1:], tokenizer.eos_token_id if ends else ids[-1]], strict=True))
    _chained(follows, end=tokenizer.eos_token_id).save_pretrained(folder)
    return folder


def _chained(follows: dict[int, int], *, end: int) -> Any:
    """Neither attention nor the feed-forward part adds anything: the last token alone decides."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes: dict[str, Any] = {
        "vocab_size": WIDTH,
        "hidden_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 8,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    }
    model = LlamaForCausalLM(LlamaConfig(**sizes))
    layer = model.model.layers[0]
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.eye(WIDTH))
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        model.lm_head.weight.copy_(_transitions([follows.get(token, end) for token in range(WIDTH)]))
    return model


def _transitions(follows: Sequence[int]) -> Any:
    import torch

    weights = torch.zeros(WIDTH, WIDTH)
    weights[torch.tensor(follows), torch.arange(WIDTH)] = 1.0
    return weights
