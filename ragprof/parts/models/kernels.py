"""Linear layers of our own for CPUs: weights laid out once as the matrix kernels want them, and 8-bit integers.

oneDNN reorders the weights of a bfloat16 layer each time that it is called; laying them out beforehand makes batches
of a few thousand tokens 10 to 20 % faster and changes no result. Where this build of torch lacks the operators,
nothing is replaced.

For 8-bit integers nothing is calibrated and nothing is trained. Weights are rounded once, each output channel on its
own scale; what comes in is rounded at every call, each row on its own scale, so that a row's result does not depend on
the rows beside it. Products are summed exactly, in 32 bits, and scaled back in float32 (Dettmers et al., LLM.int8(),
NeurIPS 2022, section 2.2, without its outliers).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from ragprof.core.errors import BadInput

if TYPE_CHECKING:
    import torch


TYPICAL_ROWS = 2048


def pack_linears(model: torch.nn.Module) -> int:
    """Replace every linear layer inside by a packed one and return how many were replaced; 0 where it cannot be."""
    import torch

    operators = torch.ops.mkldnn
    if not (hasattr(operators, "_reorder_linear_weight") and hasattr(operators, "_linear_pointwise")):
        return 0

    class PackedLinear(torch.nn.Module):
        """Same numbers as the layer that it is made of; for inference only."""

        def __init__(self, linear: torch.nn.Linear) -> None:
            super().__init__()
            self.in_features, self.out_features = linear.in_features, linear.out_features
            self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), TYPICAL_ROWS)
            self._bias = None if linear.bias is None else linear.bias.detach()

        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._weight, self._bias, "none", [], "")
            return result

    return replace_linears(model, PackedLinear)


def replace_linears(module: torch.nn.Module, made_from: Any, *, fewest_outputs: int = 1) -> int:
    """Put `made_from(layer)` in the place of every linear layer inside with so many outputs; how many there were."""
    import torch

    replaced = 0
    for name, child in module.named_children():
        if type(child) is torch.nn.Linear and child.out_features >= fewest_outputs:
            setattr(module, name, made_from(child))
            replaced += 1
        else:
            replaced += replace_linears(child, made_from, fewest_outputs=fewest_outputs)
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

    class Int8Linear(torch.nn.Module):
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

    return replace_linears(model, Int8Linear, fewest_outputs=FEWEST_OUTPUTS)


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
