"""A BERT cross-encoder of a few thousand random weights: tokenizer, configuration and safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from passages import CONTENTS

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def save_cross_encoder(folder: Path, *, outputs: int) -> Path:
    """Write tokenizer, configuration and weights into the folder. The weights are the same every time."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    tokenizer = word_pieces()
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "num_labels": outputs,
        "initializer_range": 0.2,
    }
    BertForSequenceClassification(BertConfig(**sizes)).save_pretrained(folder)
    names = {f"{name[1:-1].lower()}_token": name for name in SPECIAL}
    fast: Any = PreTrainedTokenizerFast
    fast(tokenizer_object=tokenizer, model_max_length=64, **names).save_pretrained(folder)
    return folder


def word_pieces() -> Any:
    """A WordPiece tokenizer with the passages' words, and letters to spell others."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    words = {word for text in CONTENTS for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))}
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = dict.fromkeys([*SPECIAL, *sorted(words), *letters, *(f"##{letter}" for letter in letters)])
    pieces = {piece: place for place, piece in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token=SPECIAL[1]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", pieces["[SEP]"]), ("[CLS]", pieces["[CLS]"]))
    return tokenizer
