"""A Gemma 3 of a few thousand random weights that reads bytes: tokenizer, configuration and safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SPECIAL = ("<pad>", "<eos>", "<bos>")


def save_causal_model(folder: Path) -> Path:
    """Write tokenizer, configuration and weights into the folder. The weights are the same every time."""
    import torch
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    bytes_and_special = byte_tokenizer(folder)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": bytes_and_special,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "intermediate_size": 64,
        "max_position_embeddings": 8192,
        "sliding_window": 64,
        "layer_types": ["sliding_attention", "full_attention"],
        "initializer_range": 0.2,
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    }
    Gemma3ForCausalLM(Gemma3TextConfig(**sizes)).save_pretrained(folder)
    return folder


def byte_tokenizer(folder: Path) -> int:
    """Save a tokenizer of which every byte is a token, and return how many tokens it knows."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({name: place for place, name in enumerate(names)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing("<bos> $A", special_tokens=[("<bos>", 2)])
    fast: Any = PreTrainedTokenizerFast
    special = {f"{name[1:-1]}_token": name for name in SPECIAL}
    fast(tokenizer_object=tokenizer, model_max_length=8192, **special).save_pretrained(folder)
    return len(names)
