"""Attention of causal models on CPUs, for transformers: queries that share keys are rows of one matrix product.

Models with fewer key heads than query heads copy their keys once a query head in the usual kernels; here nothing is
copied. In bfloat16 a batch of decoding steps is an order of magnitude faster than by the fused kernel of PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ragprof.transformer import register_attention

if TYPE_CHECKING:
    import torch

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
