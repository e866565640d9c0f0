"""Floating point operations of whatever runs in torch, counted by torch's own counter: work that needs no clock.

A multiplication and an addition count as two, as torch.utils.flop_counter has it. Only matrix products, convolutions
and attention count; what runs outside torch (FAISS, BM25, a server) does not. The same versions, texts and batches
give the same number on every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeVar

T = TypeVar("T")


def counted(function: Callable[..., T], *arguments: Any) -> tuple[T, int]:
    """What the function returns, and the floating point operations that it took in torch."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False, custom_mapping=_fused()) as counter:
        result = function(*arguments)
    return result, int(counter.get_total_flops())


def _fused() -> dict[Any, Callable[..., int]]:
    """Operators that inference runs whole on a CPU and torch's counter does not know."""
    import torch

    known: dict[Any, Callable[..., int]] = {
        torch.ops.aten.linear: _linear,
        torch.ops.aten._int_mm: _product,
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    }
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch leaves it untyped
        known[torch.ops.mkldnn._linear_pointwise] = _linear
    return known


def _linear(inputs: Sequence[int], weights: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * prod(inputs) * weights[0]


def _product(left: Sequence[int], right: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * prod(left) * right[-1]


def _attention(queries: Sequence[int], keys: Sequence[int], values: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * prod(queries) * keys[-2] + 2 * prod(queries[:-1]) * keys[-2] * values[-1]
