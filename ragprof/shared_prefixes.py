"""Many prompts through one causal model: what several of them begin with is read once, answers go on side by side.

For quality only, where no clock runs. In exact arithmetic every answer is that of its prompt alone; in bfloat16 the
order of sums differs, and where two tokens are all but equal the other one may win (`ragprof audit` counts it).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ragprof.causal_model import CausalModel, Reading, best_tokens

if TYPE_CHECKING:
    import torch

BATCH = 32


def answers_of(
    model: CausalModel, prompts: Sequence[Sequence[int]], *, most: int, ended: Callable[[list[int]], bool]
) -> list[list[int]]:
    """The answer's tokens of each prompt (token ids), in order; equal prompts are answered once."""
    if not prompts:
        return []
    distinct = sorted({tuple(ids) for ids in prompts})
    answered: dict[tuple[int, ...], list[int]] = {}
    waiting: list[tuple[tuple[int, ...], Reading]] = []
    for ids, reading in _readings(model, distinct, 0, model.empty_cache()):
        waiting.append((ids, reading))
        if len(waiting) == BATCH:
            answered.update(_answered(model, waiting, most=most, ended=ended))
            waiting = []
    answered.update(_answered(model, waiting, most=most, ended=ended))
    return [answered[tuple(ids)] for ids in prompts]


def _readings(
    model: CausalModel, prompts: Sequence[tuple[int, ...]], depth: int, cache: Any
) -> Iterator[tuple[tuple[int, ...], Reading]]:
    """Read sorted prompts that share their first `depth` tokens, which the cache holds; each comes out when read."""
    shared = _shared(prompts[0], prompts[-1])
    reading = None
    if shared > depth:
        reading = model.read(prompts[0][depth:shared], cache, before=depth)
    longer = [ids for ids in prompts if len(ids) > shared]
    if len(longer) < len(prompts) and reading is not None:
        yield prompts[0], Reading(branch(cache), shared, reading.next_token)
    for _, group in groupby(longer, key=lambda ids: ids[shared]):
        yield from _readings(model, list(group), shared, branch(cache))


def _shared(first: Sequence[int], last: Sequence[int]) -> int:
    """How many tokens the first and the last of sorted prompts begin with: so do all between."""
    for place, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return place
    return min(len(first), len(last))


def branch(cache: Any) -> Any:
    """A cache that goes on from here by itself. Layers put new tensors in place of old ones and change none."""
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    return twin


def _answered(
    model: CausalModel,
    waiting: Sequence[tuple[tuple[int, ...], Reading]],
    *,
    most: int,
    ended: Callable[[list[int]], bool],
) -> dict[tuple[int, ...], list[int]]:
    readings = [reading for _, reading in waiting]
    if len(readings) > 1 and all(can_stand_together(reading.cache) for reading in readings):
        answers = _together(model, readings, most=most, ended=ended)
    else:
        answers = [model.go_on(reading, most=most, ended=ended) for reading in readings]
    return {ids: tokens for (ids, _), tokens in zip(waiting, answers, strict=True)}


def can_stand_together(cache: Any) -> bool:
    """Whether all that a model keeps is keys and values by position."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers)


def _together(
    model: CausalModel, readings: Sequence[Reading], *, most: int, ended: Callable[[list[int]], bool]
) -> list[list[int]]:
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
        kept = [place for place, row in enumerate(rows) if _goes_on(answers[row], tokens[place], model, most, ended)]
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


def _goes_on(answer: list[int], token: int, model: CausalModel, most: int, ended: Callable[[list[int]], bool]) -> bool:
    """Take the next token into an answer; whether it wants another one."""
    if token in model.ends:
        return False
    answer.append(token)
    return len(answer) < most and not ended(answer)


def _stacked(caches: Sequence[Any], longest: int) -> Any:
    """One cache for all, as if prompts had been padded to `longest` on the left."""
    import torch

    together = branch(caches[0])
    for number, layer in enumerate(together.layers):
        rows = [cache.layers[number] for cache in caches]
        width = max(row.keys.shape[-2] for row in rows)
        layer.keys = torch.cat([_padded(row.keys, width) for row in rows])
        layer.values = torch.cat([_padded(row.values, width) for row in rows])
        if layer.is_sliding:
            layer.cumulative_length = longest
    return together


def _padded(kept: torch.Tensor, width: int) -> torch.Tensor:
    """(1, heads, tokens, size) with zeros in front, `width` tokens in all."""
    import torch

    return torch.nn.functional.pad(kept, (0, 0, width - kept.shape[-2], 0))
