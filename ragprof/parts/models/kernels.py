"""Linear layers of our own for CPUs: weights laid out once as the matrix kernels want them, and 8-bit integers.

oneDNN reorders the weights of a bfloat16 layer each time that it is called; laying them out beforehand makes batches
of a few thousand tokens 10 to 20 % faster and changes no result. In float32 its product of such weights is also faster
than the one that torch calls otherwise, and can add and take GELU before anything is written to memory. Where this
build of torch lacks the operators, nothing is replaced.

For 8-bit integers nothing is calibrated and nothing is trained. Weights are rounded once, each output channel on its
own scale; what comes in is rounded at every call, each row on its own scale, so that a row's result does not depend on
the rows beside it. Products are summed exactly, in 32 bits, and scaled back in float32 (Dettmers et al., LLM.int8(),
NeurIPS 2022, section 2.2, without its outliers).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ragprof.core.clock import now_ns
from ragprof.core.errors import BadInput

if TYPE_CHECKING:
    import torch


TYPICAL_ROWS = 2048


def can_pack() -> bool:
    """Whether this build of torch has the operators: those for Arm and for macOS may not."""
    import torch

    operators = torch.ops.mkldnn
    return hasattr(operators, "_reorder_linear_weight") and hasattr(operators, "_linear_pointwise")


def packed(weight: torch.Tensor, bias: torch.Tensor | None) -> Callable[..., torch.Tensor]:
    """A linear layer with its weight laid out once: rows -> rows @ weight.T + bias, all in one pass.

    With `onto`, that is added as well. With `activation` "gelu", its exact form is taken of the result.
    """
    import torch

    linear = torch.ops.mkldnn._linear_pointwise
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), TYPICAL_ROWS)
    offset = None if bias is None else bias.detach()

    def product(rows: torch.Tensor, *, activation: str = "none", onto: torch.Tensor | None = None) -> torch.Tensor:
        result: torch.Tensor = (
            linear(rows, laid_out, offset, activation, [], "none")
            if onto is None
            else linear.binary(rows, onto, laid_out, offset, "add")
        )
        return result

    return product


def packed_copy(model: Any) -> Any:
    """A copy of a float32 model with packed layers; everything that is not laid out anew is shared with the model."""
    shared = {id(each): each for each in (*model.parameters(), *model.buffers())}
    copy = deepcopy(model, shared)
    pack_layers(copy)
    pack_linears(copy)
    return copy


def pack_layers(model: torch.nn.Module) -> int:
    """Replace every layer that is built as BERT's by one that makes fewer passes over its rows; how many there were.

    For inference only. Numbers are those of the layer that it is made of, within rounding. Roberta, XLM-R and Electra
    are built so, too. Who replaces layers has to compare the results: a model may have put something of its own
    between the same names.
    """
    import torch

    class PackedLayer(torch.nn.Module):  # type: ignore[misc]  # torch is not read by mypy
        """One product for query, key and value; additions and GELU within the products; torch's fused attention."""

        def __init__(self, layer: Any) -> None:
            super().__init__()
            attention, mixed = layer.attention.self, layer.attention.output
            parts = (attention.query, attention.key, attention.value)
            self._heads, self._width = attention.num_attention_heads, attention.attention_head_size
            self._project = packed(torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts]))
            self._mix, self._norm_mixed = packed(mixed.dense.weight, mixed.dense.bias), mixed.LayerNorm
            widened, narrowed = layer.intermediate.dense, layer.output.dense
            self._widen, self._narrow = packed(widened.weight, widened.bias), packed(narrowed.weight, narrowed.bias)
            self._activate, self._norm = layer.intermediate.intermediate_act_fn, layer.output.LayerNorm
            self._exact_gelu = attention.config.hidden_act == "gelu"

        def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None = None, *_: Any, **_options: Any) -> Any:
            rows = hidden.reshape(-1, hidden.shape[-1])
            heads = self._project(rows).view(*hidden.shape[:2], 3, self._heads, self._width)
            query, key, value = heads.permute(2, 0, 3, 1, 4)
            attended = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            rows = self._norm_mixed(self._mix(attended.transpose(1, 2).reshape(rows.shape), onto=rows))
            wide = self._widen(rows, activation="gelu") if self._exact_gelu else self._activate(self._widen(rows))
            return self._norm(self._narrow(wide, onto=rows)).view(hidden.shape)

    return replace(model, built_like_bert, PackedLayer) if can_pack() else 0


BERT_LAYER = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "attention.output.LayerNorm", "intermediate.dense", "intermediate.intermediate_act_fn", "output.dense",
    "output.LayerNorm",
)  # fmt: skip


def built_like_bert(module: torch.nn.Module) -> bool:
    """Whether a module is a layer whose parts have the names of BERT's, of no decoder."""
    try:
        for name in BERT_LAYER:
            attrgetter(name)(module)
    except AttributeError:
        return False
    return not getattr(module, "is_decoder", False)


def pack_linears(model: torch.nn.Module) -> int:
    """Replace every linear layer inside by a packed one with the same numbers and return how many were replaced."""
    import torch

    class PackedLinear(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, linear: torch.nn.Linear) -> None:
            super().__init__()
            self.in_features, self.out_features = linear.in_features, linear.out_features
            self._product = packed(linear.weight, linear.bias)

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return self._product(rows)

    return replace(model, is_linear, PackedLinear) if can_pack() else 0


def is_linear(module: torch.nn.Module, *, fewest_outputs: int = 1) -> bool:
    import torch

    return type(module) is torch.nn.Linear and module.out_features >= fewest_outputs


def replace(model: torch.nn.Module, chosen: Callable[[torch.nn.Module], bool], made_from: Any) -> int:
    """Put `made_from(module)` in the place of every module inside that is chosen; how many there were."""
    replaced = 0
    for name, child in model.named_children():
        if chosen(child):
            setattr(model, name, made_from(child))
            replaced += 1
        else:
            replaced += replace(child, chosen, made_from)
    return replaced


LARGEST = 127
LARGEST_WEIGHTS = (127, 63)
ROWS_AT_ONCE = 256
FEWEST_OUTPUTS = 16
"""Smaller layers, such as the head of a cross-encoder, stay as they are: they cost nothing and decide much."""
SMALLEST = 1e-12


def quantise_linears(model: torch.nn.Module) -> int:
    """Replace the linear layers inside and return how many were replaced. Raises BadInput as `largest_weight` does."""
    import torch

    largest = largest_weight()

    class Int8Linear(torch.nn.Module):  # type: ignore[misc]
        """Nearly the numbers of the layer that it is made of, in the type of what comes in; for inference only."""

        def __init__(self, linear: torch.nn.Linear) -> None:
            super().__init__()
            self.in_features, self.out_features = linear.in_features, linear.out_features
            weight = linear.weight.detach().float()
            self._scales = weight.abs().amax(1).clamp_min(SMALLEST) / largest
            self._weight = (weight / self._scales[:, None]).round().to(torch.int8).t()
            self._bias = weight.new_zeros(len(weight)) if linear.bias is None else linear.bias.detach().float()

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            flat = rows.reshape(-1, self.in_features)
            result = flat.new_empty(len(flat), self.out_features)
            for start in range(0, len(flat), ROWS_AT_ONCE):
                block = flat[start : start + ROWS_AT_ONCE].float()
                reach = torch.maximum(block.amax(1, keepdim=True), -block.amin(1, keepdim=True)).clamp_min_(SMALLEST)
                rounded = (block * (LARGEST / reach)).round_().to(torch.int8)
                sums = torch._int_mm(rounded, self._weight).float().mul_(self._scales)
                result[start : start + ROWS_AT_ONCE] = torch.addcmul(self._bias, sums, reach / LARGEST, out=sums)
            return result.view(*rows.shape[:-1], self.out_features)

    return replace(model, partial(is_linear, fewest_outputs=FEWEST_OUTPUTS), Int8Linear)


TRIED = (384, 1536)
"""Inputs and outputs of the layer that speed is tried on: the feed-forward half of MiniLM."""
TRIES = 5


@cache
def int8_speed() -> float:
    """How many times as fast as in float32 a linear layer is in int8 on this CPU: the fastest of a few calls of each.

    Takes milliseconds where there is a kernel for 8-bit integers, longer where there is none.
    """
    import torch

    linear = torch.nn.Linear(*TRIED)
    narrow = torch.nn.Sequential(torch.nn.Linear(*TRIED))
    quantise_linears(narrow)
    rows = torch.randn(ROWS_AT_ONCE, TRIED[0])

    def fastest(layer: torch.nn.Module) -> int:
        taken = []
        for _ in range(TRIES):
            start = now_ns()
            layer(rows)
            taken.append(now_ns() - start)
        return min(taken)

    with torch.inference_mode():
        return fastest(linear) / fastest(narrow)


def number_format() -> str:
    """What int8 stands for on this CPU: `int8`, or `int8 (7-bit weights)`."""
    return "int8" if largest_weight() == LARGEST else "int8 (7-bit weights)"


@cache
def largest_weight() -> int:
    """127, or 63 on CPUs without VNNI: their kernels add two products in 16 bits, which larger weights overflow.

    It is found by trying. Raises BadInput where even the smaller weights come out wrong.
    """
    import torch

    # the greatest size that products can have, in both signs
    rows = torch.full((ROWS_AT_ONCE, 64), LARGEST, dtype=torch.int8)
    rows[1::2] = -LARGEST
    for largest in LARGEST_WEIGHTS:
        weights = torch.full((64, FEWEST_OUTPUTS), largest, dtype=torch.int8)
        if (torch._int_mm(rows, weights) == rows[:, :1].int() * 64 * largest).all():
            return largest
    raise BadInput('this CPU multiplies 8-bit integers wrongly; use precision = "bfloat16" or "float32"')
