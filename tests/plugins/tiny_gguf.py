"""A saved Llama as a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def write_gguf(folder: Path, file: Path) -> Path:
    """Write the Llama of a folder, its weights as they are, with its tokenizer of bytes."""
    import gguf
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoTokenizer

    config: Any = AutoConfig.from_pretrained(str(folder))
    writer: Any = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, AutoTokenizer.from_pretrained(str(folder)), config.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, weights in load_file(folder / "model.safetensors").items():
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), weights.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add_tokenizer(writer: Any, tokenizer: Any, size: int) -> None:
    """Bytes and one pair of them, as a file without any pair is taken for one of another kind."""
    known = len(tokenizer)
    names = [*tokenizer.convert_ids_to_tokens(range(known)), "qz", *(f"<{token}>" for token in range(known + 1, size))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(names)
    writer.add_token_types([3 if token in tokenizer.all_special_ids else 1 for token in range(size)])
    writer.add_token_merges(["q z"])
    writer.add_add_bos_token(True)
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
